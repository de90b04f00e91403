//! What to send, and what came of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One request and what its answer must be. `{n}` in path, headers and body is the number of the unit. It may carry a
/// credential, so it is not `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub struct Request {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Besides `Host`, and what a body needs.
    pub headers: Vec<(String, String)>,
    /// JSON, or nothing.
    pub body: String,
    /// Text that the answer holds.
    pub must_hold: String,
    /// Statuses that are right besides those of success: a flood's are.
    pub may_be: Vec<u16>,
}

impl Request {
    /// A request without a body whose answer may be anything.
    pub fn new(method: &str, path: impl Into<String>) -> Self {
        let (method, path) = (method.to_owned(), path.into());
        let (headers, body, must_hold, may_be) = Default::default();
        Self { method, path, headers, body, must_hold, may_be }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With this body.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// With this text in the answer.
    #[must_use]
    pub fn must_hold(mut self, text: impl Into<String>) -> Self {
        self.must_hold = text.into();
        self
    }

    /// Answered with one of these, it is answered rightly as well, whatever the answer holds.
    #[must_use]
    pub fn may_be(mut self, statuses: &[u16]) -> Self {
        self.may_be.extend_from_slice(statuses);
        self
    }
}

/// When a run is over.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Until {
    /// After this time, the warm-up not counted.
    Time {
        /// Before anything is counted.
        warm_up: Duration,
        /// While it is.
        window: Duration,
    },
    /// When this many units are done; there is no warm-up.
    Count(u64),
}

impl Until {
    /// A run of this length, with the warm-up that all runs have: a fifth of it.
    pub fn window(window: Duration) -> Self {
        Self::Time { warm_up: window.div_f64(5.0), window }
    }
}

/// What to send. The unit with number `n` is the requests in `units[n % units.len()]`, one after the other.
#[derive(Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Where to send it; connections take them in turn.
    pub addresses: Vec<SocketAddr>,
    /// What the server is called, for `Host`.
    pub host: String,
    /// How many connections, each of which sends its next request when the last one is answered.
    pub connections: usize,
    /// When it is over.
    pub until: Until,
    /// How long a connection rests after each unit.
    pub rest: Duration,
    /// The number of the first unit.
    pub first: u64,
    /// The units.
    pub units: Vec<Vec<Request>>,
}

/// What a run has shown.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Run {
    /// Units completed in the window.
    pub done: u64,
    /// Those of them that had an answer whose status is no success.
    pub failed: u64,
    /// Length of the window.
    pub seconds: f64,
    /// Units a second.
    pub rate: f64,
    /// Half of the units took no longer.
    pub p50_ms: f64,
    /// 99 of 100 took no longer.
    pub p99_ms: f64,
    /// None took longer.
    pub max_ms: f64,
    /// Answers by status, warm-up included.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers with status 429.
    pub refused: u64,
    /// Those of them that do not say when to try again.
    pub refused_for_ever: u64,
    /// Answers that were not as they must be.
    pub wrong: u64,
    /// Those of them that said success, and held something else than they must.
    pub mistaken: u64,
    /// The first wrong one.
    pub first_wrong: String,
    /// Connections that the server closed and that were opened anew; what was under way on them was not answered.
    pub reopened: u64,
    /// CPU seconds of the generator's thread in the window.
    pub generator_cpu: f64,
    /// The first unit number that was never sent.
    pub next: u64,
}
