//! Somebody who asks a node over HTTP, and what came of it. Nothing is asked twice by itself.

use std::time::Duration;

use bailiwick_client::{Call, Client, ClientError, Options, Reply};
use bailiwick_types::api::Page;
use bailiwick_types::{Code, ErrorClass, Secret};
use serde::de::DeserializeOwned;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out, under this request id.
    Done(String),
    /// The server refused: the caller has no right to it, now.
    Refused(String),
    /// The server says that it did nothing, and to try again.
    Busy(String),
    /// Whether it was carried out is not known: the database did not answer in time, or the server did not.
    Lost(String),
    /// Nobody listens there, so nothing was sent.
    Unreachable,
}

impl Outcome {
    pub(crate) fn of<A>(asked: Result<Reply<A>, ClientError>) -> Self {
        match asked {
            Ok(reply) => Self::Done(reply.request_id().unwrap().to_owned()),
            Err(ClientError::Unreachable { .. }) => Self::Unreachable,
            // The one refusal after which something may have happened all the same: see `docs/operating/nodes.md`.
            Err(error) if error.code() == Some(Code::StorageUnavailable) => Self::Lost(told(&error)),
            Err(error @ ClientError::Problem { .. }) => match error.class() {
                ErrorClass::Unauthenticated | ErrorClass::Denied | ErrorClass::Sealed => Self::Refused(told(&error)),
                ErrorClass::Busy | ErrorClass::Stale => Self::Busy(told(&error)),
                class => Self::Lost(format!("{class:?}: {}", told(&error))),
            },
            Err(error) => Self::Lost(error.to_string()),
        }
    }

    /// Whether asking again may help.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Busy(_) | Self::Unreachable => true,
            Self::Lost(why) => why.starts_with("503 "),
            Self::Done(_) | Self::Refused(_) => false,
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
}

/// What a failure says, with its request.
pub(crate) fn told(error: &ClientError) -> String {
    match error.problem() {
        Some(problem) => format!("{} {} ({:?})", problem.status, problem.code, problem.request_id),
        None => error.to_string(),
    }
}

/// A client of one port.
pub(crate) struct Caller {
    port: u16,
    credential: Option<String>,
    client: Client,
}

impl Caller {
    pub(crate) fn new(port: u16, credential: Option<&str>) -> Self {
        Self::with(port, credential, Duration::from_secs(60))
    }

    fn with(port: u16, credential: Option<&str>, timeout: Duration) -> Self {
        let options = Options { attempts: 1, timeout, connect_timeout: timeout, ..Options::default() };
        let secret = credential.map(|credential| Secret::new(credential.to_owned()));
        let client = Client::new(&format!("http://127.0.0.1:{port}"), secret, options).unwrap();
        Self { port, credential: credential.map(str::to_owned), client }
    }

    /// The same with less patience.
    pub(crate) fn within(&self, timeout: Duration) -> Self {
        Self::with(self.port, self.credential.as_deref(), timeout)
    }

    /// Asks.
    pub(crate) fn ask<A>(&self, call: &Call<A>) -> Outcome {
        Outcome::of(self.client.send(call))
    }

    /// Asks, and hands out everything.
    pub(crate) fn send<A>(&self, call: &Call<A>) -> Result<Reply<A>, ClientError> {
        self.client.send(call)
    }

    /// Asks for what must be given.
    #[track_caller]
    pub(crate) fn must<A: DeserializeOwned>(&self, call: &Call<A>) -> A {
        let reply = self.client.send(call).unwrap_or_else(|error| panic!("{}: {}", call.describe(), told(&error)));
        reply.value().unwrap_or_else(|error| panic!("{}: {error}", call.describe()))
    }

    /// Asks for what must be done; answers the request's id.
    #[track_caller]
    pub(crate) fn done<A>(&self, call: &Call<A>) -> String {
        match self.ask(call) {
            Outcome::Done(request) => request,
            other => panic!("{}: {other:?}", call.describe()),
        }
    }

    /// A list to its end.
    #[track_caller]
    pub(crate) fn all<T: DeserializeOwned>(&self, list: Call<Page<T>>) -> Vec<T> {
        self.client.all(list).unwrap_or_else(|error| panic!("{}", told(&error)))
    }

    /// The bare text of an answer.
    pub(crate) fn text<A>(&self, call: Call<A>) -> Result<String, ClientError> {
        self.client.send(&call).map(|reply| reply.text().to_owned())
    }

    /// An answer of any length.
    #[track_caller]
    pub(crate) fn download<A>(&self, call: &Call<A>) -> String {
        let mut reader = self.client.download(call).unwrap_or_else(|error| panic!("{}", told(&error)));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut reader, &mut text).unwrap();
        text
    }
}
