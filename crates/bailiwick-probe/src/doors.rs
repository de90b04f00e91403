//! Requests to the server's own doors, in this process, and what comes back.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_http::{Route, Server};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use crate::catalogue::{ANONYMOUS, Aim, Row, Sides};

/// Where the requests of probes come from: this host, in the block for documentation, so that no network is meant.
const PEER: ([u8; 4], u16) = ([192, 0, 2, 1], 0);

/// The doors, as the prober sees them. The server's own, or in tests a server that leaks on purpose.
#[async_trait]
pub trait Doors: Send + Sync {
    /// Answers a request.
    async fn answer(&self, ask: Ask) -> Seen;
    /// What is mounted.
    fn routes(&self) -> &[Route];
}

/// A request.
#[derive(Clone)]
pub struct Ask {
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Headers besides those of credential and body.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for none.
    pub credential: String,
    /// `null` for none.
    pub body: Value,
}

impl Ask {
    /// A plain request at the native door.
    pub fn plain(method: &'static str, target: impl Into<String>, credential: &str, body: Value) -> Self {
        Self { method, target: target.into(), headers: Vec::new(), credential: credential.to_owned(), body }
    }

    /// A row's request.
    pub fn of(route: &Route, row: &Row, aim: &Aim, credential: &str, sides: &Sides<'_>) -> Self {
        let mut ask = Self::plain(route.method, aim.target.clone(), credential, (row.body)(sides));
        ask.headers.extend(row.content_type.map(|kind| ("content-type", kind.to_owned())));
        ask.headers.extend(aim.namespace.clone().map(|namespace| ("x-vault-namespace", namespace)));
        ask
    }

    fn into_request(self) -> Result<http::Request<Full<Bytes>>, http::Error> {
        let mut builder = http::Request::builder().method(self.method).uri(&self.target);
        if self.credential != ANONYMOUS {
            builder = match self.target.starts_with("/v1/") {
                true => builder.header("x-vault-token", &self.credential),
                false => builder.header("authorization", format!("Bearer {}", self.credential)),
            };
        }
        let has_type = self.headers.iter().any(|(name, _)| *name == "content-type");
        for (name, value) in &self.headers {
            builder = builder.header(*name, value);
        }
        let body = match &self.body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        if !body.is_empty() && !has_type {
            builder = builder.header("content-type", "application/json");
        }
        builder.body(Full::new(body))
    }
}

/// An answer, to the byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The status; 0 if there was no answer.
    pub status: u16,
    /// The headers, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The request's id.
    pub fn request(&self) -> &str {
        self.headers.iter().find(|(name, _)| name == "x-request-id").map_or("", |(_, id)| id)
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether the server had no time or no room: such an answer says nothing about isolation.
    pub fn is_busy(&self) -> bool {
        self.status == 429 || self.status >= 500 || self.status == 0
    }

    /// The same without what differs between any two requests (their ids) and what the caller itself has said.
    pub fn comparable(&self, echoes: &[&str]) -> Self {
        let id = self.request().to_owned();
        let clean = |text: &str| {
            let mut text = if id.is_empty() { text.to_owned() } else { text.replace(&id, "REQUEST") };
            for word in echoes.iter().filter(|word| !word.is_empty()) {
                text = text.replace(word, "ECHO");
            }
            text
        };
        Self {
            status: self.status,
            headers: self.headers.iter().map(|(name, value)| (name.clone(), clean(value))).collect(),
            body: clean(&String::from_utf8_lossy(&self.body)).into_bytes(),
        }
    }
}

#[async_trait]
impl Doors for Arc<Server> {
    async fn answer(&self, ask: Ask) -> Seen {
        let request = match ask.into_request() {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(%error, "a probe is no request that HTTP knows");
                return Seen::default();
            }
        };
        let response = self.handle(request, Some(SocketAddr::from(PEER))).await;
        let (parts, body) = response.into_parts();
        let Ok(body) = body.collect().await else { return Seen::default() };
        let headers = parts.headers.iter();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Seen {
            status: parts.status.as_u16(),
            headers: headers.map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
            body: body.to_bytes().to_vec(),
        }
    }

    fn routes(&self) -> &[Route] {
        Server::routes(self)
    }
}
