//! One request, and what came back.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bailiwick_types::Secret;
use bailiwick_types::api::Page;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ClientError;
use crate::path::Path;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, or does something that is no noun.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// As on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// Whether sending a request again could do something twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It only reads, or its `Idempotency-Key` makes the second one the first one's echo.
    Safe,
    /// It may be sent again only if it never arrived.
    Unsent,
}

/// A request that answers with an `A`. Made by [`crate::routes`], or by hand for what is not there.
pub struct Call<A> {
    pub(crate) method: Method,
    pub(crate) path: Path,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) repeat: Repeat,
    answer: PhantomData<fn() -> A>,
}

pub(crate) enum Body {
    None,
    Json(Secret<Vec<u8>>),
    /// It did not serialise; reported when it is sent.
    Broken(String),
}

impl<A> Call<A> {
    /// A request without a body.
    pub fn new(method: Method, path: Path) -> Self {
        Self {
            method,
            path,
            query: Vec::new(),
            body: Body::None,
            headers: Vec::new(),
            timeout: None,
            repeat: Repeat::Safe,
            answer: PhantomData,
        }
    }

    /// Reads.
    pub fn get(path: Path) -> Self {
        Self::new(Method::Get, path)
    }

    /// Creates or does.
    pub fn post(path: Path) -> Self {
        Self::new(Method::Post, path)
    }

    /// Replaces.
    pub fn put(path: Path) -> Self {
        Self::new(Method::Put, path)
    }

    /// Changes a part.
    pub fn patch(path: Path) -> Self {
        Self::new(Method::Patch, path)
    }

    /// Removes.
    pub fn delete(path: Path) -> Self {
        Self::new(Method::Delete, path)
    }

    /// Adds a query parameter.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a query parameter if there is a value.
    #[must_use]
    pub fn query_opt(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// Sets the body.
    #[must_use]
    pub fn json<B: Serialize + ?Sized>(mut self, body: &B) -> Self {
        self.body = match serde_json::to_vec(body) {
            Ok(bytes) => Body::Json(Secret::new(bytes)),
            Err(error) => Body::Broken(error.to_string()),
        };
        self
    }

    /// Asks for the change only if the thing still has this ETag (quotes may be left out).
    #[must_use]
    pub fn if_match(mut self, etag: &str) -> Self {
        let quoted = if etag.starts_with('"') || etag == "*" { etag.to_owned() } else { format!("\"{etag}\"") };
        self.headers.push(("if-match", quoted));
        self
    }

    /// Uses this `Idempotency-Key` instead of a random one, so that a later process can repeat the request.
    #[must_use]
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.headers.push(("idempotency-key", key.to_owned()));
        self
    }

    /// Waits this long for the answer instead of the client's usual time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Never sends it twice unless it surely did not arrive: for routes that keep no `Idempotency-Key`.
    #[must_use]
    pub fn at_most_once(mut self) -> Self {
        self.repeat = Repeat::Unsent;
        self
    }

    /// Method and path, for messages.
    pub fn describe(&self) -> String {
        format!("{} {}", self.method.as_str(), self.path)
    }

    /// The same request with another idea of its answer.
    pub fn answering<B>(self) -> Call<B> {
        Call {
            method: self.method,
            path: self.path,
            query: self.query,
            body: self.body,
            headers: self.headers,
            timeout: self.timeout,
            repeat: self.repeat,
            answer: PhantomData,
        }
    }
}

impl<T> Call<Page<T>> {
    /// At most this many items, from this cursor on.
    #[must_use]
    pub fn page(mut self, limit: u64, cursor: Option<&str>) -> Self {
        self.set_page(limit, cursor);
        self
    }

    /// The same, for the page after this one.
    pub fn set_page(&mut self, limit: u64, cursor: Option<&str>) {
        self.query.retain(|(name, _)| !matches!(*name, "limit" | "cursor"));
        self.query.push(("limit", limit.to_string()));
        self.query.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
    }
}

/// The body is left out: it may hold a secret.
impl<A> fmt::Debug for Call<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

/// An answer: the server's own text, and what it means.
pub struct Reply<A> {
    pub(crate) text: Secret<String>,
    pub(crate) etag: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) what: String,
    pub(crate) answer: PhantomData<fn() -> A>,
}

impl<A> Reply<A> {
    /// The body, byte for byte as it came.
    pub fn text(&self) -> &str {
        self.text.expose()
    }

    /// The ETag, with its quotes.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// The request's id.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl<A: DeserializeOwned> Reply<A> {
    /// The answer, typed. Members that this version does not know are ignored: answers may grow.
    ///
    /// # Errors
    /// [`ClientError::Unexpected`] if it is not an `A`; the message carries nothing of the body.
    pub fn value(&self) -> Result<A, ClientError> {
        serde_json::from_str(self.text()).map_err(|error| ClientError::Unexpected {
            what: self.what.clone(),
            // A serde message may quote what it found, which may be a secret; the place is enough to look it up.
            reason: format!("the answer is not what was expected, at line {} column {}", error.line(), error.column()),
        })
    }
}

/// The body is left out: it may hold a secret.
impl<A> fmt::Debug for Reply<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}
