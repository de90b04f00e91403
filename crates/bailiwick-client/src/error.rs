//! What can go wrong between asking and having the answer.

use bailiwick_types::api::Problem;
use bailiwick_types::{Code, ErrorClass};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client cannot be set up as asked: the address or the CA file is no good.
    #[error("{message}")]
    Setup {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The server refused, and said why.
    #[error("{}", problem.detail.as_deref().unwrap_or(&problem.title))]
    Problem {
        /// Its words.
        problem: Box<Problem>,
        /// `Retry-After`, in seconds.
        retry_after_seconds: Option<u64>,
    },
    /// Nothing listens there: the request did not arrive.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// The connection broke on the way: whether the request arrived is unknown.
    #[error("the connection to {address} broke: {reason}")]
    Interrupted {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// No answer in time: whether the request arrived is unknown.
    #[error("no answer from {address} in time ({reason})")]
    Timeout {
        /// Where.
        address: String,
        /// Which wait it was.
        reason: String,
    },
    /// TLS does not trust the server, or the two have nothing in common.
    #[error("no trusted connection to {address}: {reason}")]
    Tls {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// An answer that no Bailiwick server gives.
    #[error("{what}: {reason}")]
    Unexpected {
        /// The request.
        what: String,
        /// What is odd about the answer.
        reason: String,
    },
}

impl ClientError {
    /// The class, and so the exit code.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Setup { .. } => ErrorClass::Invalid,
            Self::Problem { problem, .. } => class_of(problem),
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Timeout { .. } | Self::Tls { .. } => {
                ErrorClass::Busy
            }
            Self::Unexpected { .. } => ErrorClass::Fault,
        }
    }

    /// The server's problem, if it was the server who refused.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }

    /// The stable code, if it is one that this version knows.
    pub fn code(&self) -> Option<Code> {
        self.problem().and_then(|problem| Code::from_text(&problem.code))
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Setup { hint, .. } => Some(hint),
            Self::Problem { problem, .. } => problem.hint.as_deref(),
            Self::Unreachable { .. } => Some("is the server running, and is the address right?"),
            Self::Interrupted { .. } | Self::Timeout { .. } => {
                Some("it may or may not have been carried out; look before you repeat it")
            }
            Self::Tls { .. } => Some("name the certificate authority with --ca-file"),
            Self::Unexpected { .. } => Some("is that the address of a Bailiwick server, and is it of this version?"),
        }
    }
}

/// The class of a problem; by its status where the code is newer than this client.
fn class_of(problem: &Problem) -> ErrorClass {
    if let Some(code) = Code::from_text(&problem.code) {
        return code.class();
    }
    match problem.status {
        401 => ErrorClass::Unauthenticated,
        403 => ErrorClass::Denied,
        404 | 410 => ErrorClass::Absent,
        409 | 412 | 422 => ErrorClass::Conflict,
        429 => ErrorClass::Limited,
        400..=499 => ErrorClass::Invalid,
        502..=504 => ErrorClass::Busy,
        _ => ErrorClass::Fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: &str, status: u16) -> ClientError {
        let problem = Problem {
            kind: format!("urn:bailiwick:error:{code}"),
            title: "title".to_owned(),
            status,
            code: code.to_owned(),
            detail: None,
            hint: None,
            request_id: None,
            errors: Vec::new(),
            refuted: Vec::new(),
        };
        ClientError::Problem { problem: Box::new(problem), retry_after_seconds: None }
    }

    #[test]
    fn the_code_decides_the_class_and_the_status_where_the_code_is_unknown() {
        for code in Code::ALL {
            assert_eq!(problem(code.as_str(), code.status()).class(), code.class());
            assert_eq!(problem(code.as_str(), 418).class(), code.class(), "the status has no say");
        }
        for (status, class) in [
            (400, ErrorClass::Invalid),
            (401, ErrorClass::Unauthenticated),
            (403, ErrorClass::Denied),
            (404, ErrorClass::Absent),
            (409, ErrorClass::Conflict),
            (429, ErrorClass::Limited),
            (503, ErrorClass::Busy),
            (500, ErrorClass::Fault),
        ] {
            assert_eq!(problem("from_the_future", status).class(), class, "{status}");
        }
    }
}
