//! Requests to a world's server, and its answers.

use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bailiwick_http::Server;
use bailiwick_types::CredentialText;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::random::SeededRandom;
use crate::world::World;
use bailiwick_probe::holdings::names;

/// A request that is being put together.
#[must_use = "a request that is not sent asks nothing"]
pub struct Request<'w> {
    world: &'w World,
    builder: http::request::Builder,
    /// The credential that it is sent with, to find out whose randomness it draws.
    caller: String,
    body: Bytes,
    /// Of which size the body's pieces are.
    piece: usize,
    /// Whether the body breaks off after its last piece.
    is_cut_off: bool,
    label: Option<String>,
    peer: Option<SocketAddr>,
    node: Option<Arc<Server>>,
}

impl<'w> Request<'w> {
    pub(crate) fn new(world: &'w World, method: &str, target: &str) -> Self {
        let builder = http::Request::builder().method(method).uri(target);
        let peer = Some(names::PEER.parse().unwrap());
        let (caller, body) = (String::new(), Bytes::new());
        Self { world, builder, caller, body, piece: usize::MAX, is_cut_off: false, label: None, peer, node: None }
    }

    /// Sent with this credential: in `X-Vault-Token` at the Vault door, as a bearer token elsewhere. An empty one is
    /// none.
    pub fn by(mut self, caller: impl AsRef<str>) -> Self {
        self.caller = caller.as_ref().to_owned();
        if self.caller.is_empty() {
            return self;
        }
        let is_vault = self.builder.uri_ref().is_some_and(|uri| uri.path().starts_with("/v1/"));
        let (name, value) = match is_vault {
            true => ("x-vault-token", self.caller.clone()),
            false => ("authorization", format!("Bearer {}", self.caller)),
        };
        self.header(name, &value)
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// With this value in place of whatever the header said so far.
    pub fn replace_header(mut self, name: &str, value: &str) -> Self {
        if let Some(headers) = self.builder.headers_mut() {
            headers.remove(name);
        }
        self.header(name, value)
    }

    /// With this JSON as its body; `null` is no body.
    pub fn json(self, body: &Value) -> Self {
        match body {
            Value::Null => self,
            body => self.header("content-type", "application/json").bytes(body.to_string()),
        }
    }

    /// With these very bytes as its body.
    pub fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// With its body in pieces of this size, of which nobody knows before how many there are.
    pub fn in_pieces(mut self, size: usize) -> Self {
        self.piece = size;
        self
    }

    /// With a body that the connection breaks off after.
    pub fn cut_off(mut self) -> Self {
        self.is_cut_off = true;
        self
    }

    /// Draws randomness from the stream of this name, so that another request in another world can draw the same. Not
    /// to be used twice for requests that make things in one world: they would get the same ids.
    pub fn label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// Comes from this address.
    pub fn from(mut self, peer: &str) -> Self {
        self.peer = Some(peer.parse().unwrap());
        self
    }

    /// Sent to this node in place of the world's own server.
    pub fn through(mut self, node: &Arc<Server>) -> Self {
        self.node = Some(Arc::clone(node));
        self
    }

    /// Sends it and waits for the answer.
    ///
    /// # Panics
    /// If the request is not one that HTTP knows, or if called from asynchronous code (see [`Request::ask`]).
    pub fn send(self) -> Answer {
        let world = self.world;
        world.block_on(self.ask())
    }

    /// As [`Request::send`], for asynchronous code.
    pub fn ask(self) -> impl Future<Output = Answer> + Send + 'static {
        let asked = self.open();
        async move { Answer::of(asked.await).await }
    }

    /// Sends it and reads no more than the answer's head: the answer is being given until this is dropped.
    ///
    /// # Panics
    /// As [`Request::send`].
    pub fn hold(self) -> impl Drop + use<> {
        struct Held(#[expect(dead_code, reason = "held, not read")] http::Response<bailiwick_http::Body>);
        impl Drop for Held {
            fn drop(&mut self) {}
        }
        let world = self.world;
        Held(world.block_on(self.open()))
    }

    fn open(self) -> impl Future<Output = http::Response<bailiwick_http::Body>> + Send + 'static {
        let label = self.label.unwrap_or_else(|| self.world.next_label(&whose(&self.caller)));
        let body = Pieces::of(&self.body, self.piece, self.is_cut_off);
        let request = self.builder.body(body).expect("a request that HTTP knows");
        let server = self.node.unwrap_or_else(|| Arc::clone(self.world.server()));
        let peer = self.peer;
        async move { SeededRandom::labelled(&label, async move { server.handle(request, peer).await }).await }
    }
}

/// A request's body on its way.
struct Pieces {
    left: VecDeque<Bytes>,
    is_cut_off: bool,
}

impl Pieces {
    fn of(body: &Bytes, size: usize, is_cut_off: bool) -> Self {
        let mut left = VecDeque::new();
        let mut rest = body.clone();
        while !rest.is_empty() {
            left.push_back(rest.split_to(size.min(rest.len())));
        }
        Self { left, is_cut_off }
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let end = std::mem::take(&mut self.is_cut_off).then(|| Err(std::io::ErrorKind::ConnectionReset.into()));
        match self.left.pop_front() {
            Some(piece) => {
                self.is_cut_off = end.is_some();
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None => Poll::Ready(end),
        }
    }
}

/// Whose randomness a request with this credential draws: its tenant's, so that nothing one tenant does changes what
/// another draws.
fn whose(credential: &str) -> String {
    CredentialText::parse(credential).map_or_else(|_| "nobody".to_owned(), |text| text.claimed_tenant().to_string())
}

/// What the server answered, to the byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the body ended with an error instead of its end.
    pub is_broken_off: bool,
}

impl Answer {
    /// A response, read to its end.
    pub(crate) async fn of(response: http::Response<bailiwick_http::Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|collected| collected.to_bytes().to_vec());
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        Self {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            is_broken_off: body.is_err(),
            body: body.unwrap_or_default(),
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The value of a header.
    pub fn header(&self, wanted: &str) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// The stable code of a problem; at the Vault door, which has none, the errors' text. Empty for a success.
    pub fn code(&self) -> String {
        let body = self.json();
        match (body["code"].as_str(), body["errors"].as_array()) {
            (Some(code), _) => code.to_owned(),
            (None, Some(errors)) => errors.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "),
            (None, None) => String::new(),
        }
    }

    /// Status and code, for people.
    pub fn brief(&self) -> String {
        format!("{} {}", self.status, self.code()).trim_end().to_owned()
    }

    /// The body as JSON, if the status is this one.
    ///
    /// # Panics
    /// If it is another.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()
    }

    /// Fails unless this was refused with this status and code.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn expect_refusal(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code().as_str()), (status, code), "{}", self.text());
    }
}

/// An answer without what no two bundles of one tenant share. What its keys are sealed to the recipient with is drawn by
/// the crypto library, where nothing can be injected; what is sealed, and who it is of, is left.
pub fn hide_sealed_keys(mut answer: Answer) -> Answer {
    use bailiwick_ledger::bundle::{FRAME_HEAD_BYTES, Kind, MAGIC};
    let Some(mut rest) = answer.body.strip_prefix(MAGIC) else { return answer };
    let mut kept = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<FRAME_HEAD_BYTES>() {
        let Ok((kind, length)) = Kind::of_head(head) else { break };
        let (payload, after) = after.split_at(length.min(after.len()));
        if matches!(kind, Kind::Records | Kind::Entries | Kind::Checkpoint) {
            kept.extend_from_slice(payload);
        }
        rest = after;
    }
    answer.body = kept;
    answer
}

/// An answer without the one value that differs between any two requests.
pub fn hide_request_id(mut answer: Answer) -> Answer {
    let Some(id) = answer.header("x-request-id").map(str::to_owned) else { return answer };
    for (_, value) in &mut answer.headers {
        *value = value.replace(&id, "REQUEST");
    }
    answer.body = answer.text().replace(&id, "REQUEST").into_bytes();
    answer
}
