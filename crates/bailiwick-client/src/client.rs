//! Sends calls.

use std::io::Read;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_types::api::{Page, Problem};
use bailiwick_types::{Random, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::{self, Uri};
use ureq::tls::TlsConfig;
use ureq::{Agent, Timeout};

use crate::call::{Body, Call, Method, Reply};
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::options::Options;
use crate::path::{Path, push_query};
use crate::retry;
use crate::tls;

/// The largest answer that is read into memory.
const ANSWER_BYTES_MAX: u64 = 64 * 1_048_576;
/// The largest page.
const PAGE_SIZE_MAX: u64 = 1_000;

/// A connection to one server as one caller.
pub struct Client {
    agent: Agent,
    address: Address,
    authorization: Option<Secret<String>>,
    random: Arc<dyn Random>,
    options: Options,
}

impl Client {
    /// A client of the server at `address` (`https://host[:port]`, or `http://` on this machine).
    ///
    /// # Errors
    /// [`ClientError::Setup`] for an address that is none, for plain HTTP to another machine, and for a CA file that
    /// cannot be used.
    pub fn new(address: &str, credential: Option<Secret<String>>, options: Options) -> Result<Self, ClientError> {
        let address = Address::parse(address)?;
        if !address.is_tls && !address.is_loopback && !options.allow_plain_http {
            return Err(ClientError::Setup {
                message: format!("`{}` would carry the credential over the network in clear", address.base),
                hint: "use https://; on a network that only tests use, --insecure-http",
            });
        }
        let provider = tls::provider();
        let tls = if address.is_tls {
            tls::config(options.ca_file.as_deref(), Arc::clone(&provider))?
        } else {
            TlsConfig::builder().unversioned_rustls_crypto_provider(Arc::clone(&provider)).build()
        };
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            // A credential goes where the caller said, not where an answer says.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .https_only(address.is_tls)
            .user_agent(options.user_agent.as_str())
            .accept("application/json")
            .timeout_connect(Some(options.connect_timeout))
            .tls_config(tls);
        if !address.is_tls {
            // A proxy would read the credential.
            config = config.proxy(None);
        }
        let authorization = match credential {
            Some(credential) => Some(bearer(&credential)?),
            None => None,
        };
        let random = options.random.clone().unwrap_or_else(|| Arc::new(tls::TlsRandom(provider)));
        Ok(Self { agent: Agent::new_with_config(config.build()), address, authorization, random, options })
    }

    /// Where the server is.
    pub fn address(&self) -> &str {
        &self.address.base
    }

    /// Where the server is, for a caller that writes its requests itself.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if the name is nobody's; [`ClientError::Setup`] as [`Client::new`].
    pub fn endpoint(&self) -> Result<Endpoint, ClientError> {
        let tls = match self.address.is_tls {
            true => Some(tls::raw_config(self.options.ca_file.as_deref())?),
            false => None,
        };
        let Address { host, port, prefix, .. } = &self.address;
        Endpoint::resolve(host, *port, prefix, tls)
    }

    /// Random bytes, from where the client takes its own.
    pub fn random(&self) -> &dyn Random {
        &*self.random
    }

    /// Sends a call, again where that is safe and promises something.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn send<A>(&self, call: &Call<A>) -> Result<Reply<A>, ClientError> {
        let timeout = call.timeout.unwrap_or(self.options.timeout);
        self.repeat(call, |key| {
            let response = self.exchange(call, key, Waits::Whole(timeout))?;
            let (etag, request_id) = (header(&response, "etag"), header(&response, "x-request-id"));
            let text = self.read_text(call, response)?;
            Ok(Reply { text, etag, request_id, what: call.describe(), answer: PhantomData })
        })
    }

    /// Sends a call and hands out the answer as it arrives, whatever its size.
    ///
    /// # Errors
    /// [`ClientError`] before the answer begins; while it is read, as [`std::io::Error`] from the reader. An answer
    /// that is cut off is an error of the reader, never a shorter answer.
    pub fn download<A>(&self, call: &Call<A>) -> Result<impl Read + use<A>, ClientError> {
        let response = self.repeat(call, |key| self.exchange(call, key, Waits::Pieces(self.options.timeout)))?;
        Ok(response.into_body().into_with_config().limit(u64::MAX).reader())
    }

    /// Sends a call whose body is a stream, once: nobody can say how much of a stream arrived. Waits for its answer however
    /// long that takes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn upload<A>(
        &self,
        call: &Call<A>,
        content_type: &'static str,
        body: &mut dyn Read,
    ) -> Result<Reply<A>, ClientError> {
        // The server is asked before the stream is sent: a refusal then comes as an answer, and not as a broken pipe.
        let request = self.begin(call, None)?.header("content-type", content_type).header("expect", "100-continue");
        let response = self.run(request.body(ureq::SendBody::from_reader(body)), Waits::Long)?;
        let response = self.judged(call, response)?;
        let (etag, request_id) = (header(&response, "etag"), header(&response, "x-request-id"));
        let text = self.read_text(call, response)?;
        Ok(Reply { text, etag, request_id, what: call.describe(), answer: PhantomData })
    }

    /// Sends a request that [`crate::routes`] does not have.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn call<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: Path,
        query: &[(&'static str, String)],
        body: Option<&B>,
    ) -> Result<A, ClientError> {
        let mut call = Call::new(method, path);
        for (name, value) in query {
            call = call.query(name, value);
        }
        if let Some(body) = body {
            call = call.json(body);
        }
        self.send(&call)?.value()
    }

    /// Follows a list to its end.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn all<T: DeserializeOwned>(&self, list: Call<Page<T>>) -> Result<Vec<T>, ClientError> {
        let mut call = list.page(PAGE_SIZE_MAX, None);
        let mut items = Vec::new();
        loop {
            let page: Page<T> = self.send(&call)?.value()?;
            items.extend(page.items);
            match page.next {
                Some(cursor) => call.set_page(PAGE_SIZE_MAX, Some(&cursor)),
                None => return Ok(items),
            }
        }
    }

    fn repeat<A, R>(
        &self,
        call: &Call<A>,
        mut attempt: impl FnMut(Option<&str>) -> Result<R, ClientError>,
    ) -> Result<R, ClientError> {
        // One key for all attempts: that is what makes the second one harmless.
        let key = self.fresh_key(call);
        let mut tried = 1;
        loop {
            let error = match attempt(key.as_deref()) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if tried >= self.options.attempts || !retry::may_repeat(call.repeat, &error) {
                return Err(error);
            }
            (self.options.wait)(retry::delay(tried, &error, &*self.random));
            tried += 1;
        }
    }

    fn fresh_key<A>(&self, call: &Call<A>) -> Option<String> {
        let has_one = call.headers.iter().any(|(name, _)| *name == "idempotency-key");
        if call.method == Method::Get || has_one || call.repeat == crate::call::Repeat::Unsent {
            return None;
        }
        let mut bytes = [0u8; 16];
        self.random.fill(&mut bytes);
        Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// A request's head.
    fn begin<A>(&self, call: &Call<A>, idempotency_key: Option<&str>) -> Result<http::request::Builder, ClientError> {
        let mut target = format!("{}{}", self.address.base, call.path);
        push_query(&mut target, &call.query);
        let mut request = http::Request::builder().method(call.method.as_str()).uri(target);
        if let Some(authorization) = &self.authorization {
            let mut value = http::HeaderValue::from_str(authorization.expose()).map_err(|_| bad_credential())?;
            value.set_sensitive(true);
            request = request.header("authorization", value);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        Ok(request)
    }

    /// One attempt, up to the head of a good answer.
    fn exchange<A>(
        &self,
        call: &Call<A>,
        idempotency_key: Option<&str>,
        waits: Waits,
    ) -> Result<http::Response<ureq::Body>, ClientError> {
        let request = self.begin(call, idempotency_key)?;
        let response = match &call.body {
            Body::Broken(reason) => return Err(self.unexpected(call, format!("the request is no JSON: {reason}"))),
            Body::Json(bytes) => {
                let request = request.header("content-type", "application/json").body(bytes.expose().as_slice());
                self.run(request, waits)
            }
            Body::None => self.run(request.body(()), waits),
        }?;
        self.judged(call, response)
    }

    /// The answer, if it is a good one.
    fn judged<A>(
        &self,
        call: &Call<A>,
        response: http::Response<ureq::Body>,
    ) -> Result<http::Response<ureq::Body>, ClientError> {
        let status = response.status().as_u16();
        match status {
            200..=299 => Ok(response),
            400..=599 => Err(self.refusal(call, status, response)),
            _ => Err(self.unexpected(call, format!("the answer has the status {status}"))),
        }
    }

    fn run<B: ureq::AsSendBody>(
        &self,
        request: http::Result<http::Request<B>>,
        waits: Waits,
    ) -> Result<http::Response<ureq::Body>, ClientError> {
        let request = request.map_err(|error| ClientError::Setup {
            message: format!("no such request can be made: {error}"),
            hint: "look at the names and the address",
        })?;
        let config = self.agent.configure_request(request);
        let request = match waits {
            Waits::Long => config.timeout_global(None),
            Waits::Whole(timeout) => config.timeout_global(Some(timeout)),
            Waits::Pieces(timeout) => config.timeout_recv_response(Some(timeout)).timeout_per_read(Some(timeout)),
        };
        self.agent.run(request.build()).map_err(|error| self.broken(error))
    }

    fn read_text<A>(
        &self,
        call: &Call<A>,
        response: http::Response<ureq::Body>,
    ) -> Result<Secret<String>, ClientError> {
        let bytes = response.into_body().into_with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let bytes = bytes.map_err(|error| self.broken(error))?;
        String::from_utf8(bytes)
            .map(Secret::new)
            .map_err(|_| self.unexpected(call, "the answer is not UTF-8".to_owned()))
    }

    fn refusal<A>(&self, call: &Call<A>, status: u16, response: http::Response<ureq::Body>) -> ClientError {
        let request_id = header(&response, "x-request-id");
        let retry_after_seconds = header(&response, "retry-after").and_then(|text| text.parse().ok());
        let text = match self.read_text(call, response) {
            Ok(text) => text,
            Err(error) => return error,
        };
        match serde_json::from_str::<Problem>(text.expose()) {
            Ok(mut problem) => {
                // Some refusals leave it out of their body, so that two of them are the same byte for byte.
                problem.request_id = problem.request_id.or(request_id);
                ClientError::Problem { problem: Box::new(problem), retry_after_seconds }
            }
            // Something in between answered, or nothing that we know.
            Err(_) => self.unexpected(call, format!("the answer has the status {status} and is no problem document")),
        }
    }

    fn unexpected<A>(&self, call: &Call<A>, reason: String) -> ClientError {
        ClientError::Unexpected { what: call.describe(), reason }
    }

    fn broken(&self, error: ureq::Error) -> ClientError {
        use std::io::ErrorKind;
        let address = self.address.base.clone();
        match error {
            ureq::Error::Io(error) => match error.kind() {
                ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable => ClientError::Unreachable { address, reason: error.kind().to_string() },
                // rustls reports a refused handshake as invalid data.
                ErrorKind::InvalidData => ClientError::Tls { address, reason: error.to_string() },
                _ => ClientError::Interrupted { address, reason: error.to_string() },
            },
            ureq::Error::HostNotFound => ClientError::Unreachable { address, reason: "no such host".to_owned() },
            ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
                ClientError::Unreachable { address, reason: "no connection in time".to_owned() }
            }
            ureq::Error::Timeout(which) => ClientError::Timeout { address, reason: which.to_string() },
            ureq::Error::Rustls(error) => ClientError::Tls { address, reason: error.to_string() },
            ureq::Error::Tls(reason) => ClientError::Tls { address, reason: reason.to_owned() },
            ureq::Error::ConnectionFailed => {
                ClientError::Unreachable { address, reason: "the connection failed".to_owned() }
            }
            ureq::Error::Protocol(_) => ClientError::Unexpected {
                what: address,
                reason: "what listens there does not answer in HTTP; does it want https://?".to_owned(),
            },
            ureq::Error::BodyExceedsLimit(max) => {
                ClientError::Unexpected { what: address, reason: format!("the answer is larger than {max} bytes") }
            }
            other => ClientError::Interrupted { address, reason: other.to_string() },
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address.base).finish_non_exhaustive()
    }
}

/// What the timeout is for.
#[derive(Clone, Copy)]
enum Waits {
    /// Nothing but the connection.
    Long,
    /// The whole exchange.
    Whole(Duration),
    /// The head of the answer, and each piece of it.
    Pieces(Duration),
}

struct Address {
    /// Without a slash at the end.
    base: String,
    /// Without brackets.
    host: String,
    port: u16,
    /// The path that everything is below; empty for most.
    prefix: String,
    is_tls: bool,
    is_loopback: bool,
}

impl Address {
    fn parse(text: &str) -> Result<Self, ClientError> {
        let bad = |reason: &str| ClientError::Setup {
            message: format!("`{}` is not the address of a server: {reason}", text.escape_debug()),
            hint: "give it as https://host:port or http://127.0.0.1:port",
        };
        let uri: Uri = text.parse().map_err(|_| bad("it is no URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("it does not start with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("a name or password does not belong there"));
        }
        if uri.query().is_some() {
            return Err(bad("it has a query"));
        }
        let host = authority.host();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_loopback = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let (host, prefix) = (bare.to_owned(), uri.path().trim_end_matches('/').to_owned());
        Ok(Self { base: text.trim_end_matches('/').to_owned(), host, port, prefix, is_tls, is_loopback })
    }
}

fn bearer(credential: &Secret<String>) -> Result<Secret<String>, ClientError> {
    let value = Secret::new(format!("Bearer {}", credential.expose()));
    match http::HeaderValue::from_str(value.expose()) {
        Ok(_) => Ok(value),
        Err(_) => Err(bad_credential()),
    }
}

/// Says nothing of the credential itself.
fn bad_credential() -> ClientError {
    ClientError::Setup {
        message: "the credential holds characters that no credential has".to_owned(),
        hint: "a credential is one word that starts with `bwk_` or `bwo_`",
    }
}

fn header(response: &http::Response<ureq::Body>, name: &str) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
