//! Why a run has shown nothing.

use std::io;

/// Why a run has shown nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The plan makes no sense.
    #[error("the plan has {0}")]
    Plan(&'static str),
    /// No connection.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /// Where.
        address: String,
        /// Why.
        reason: io::Error,
    },
    /// A connection broke in a way that a new one does not mend.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// What came is no answer.
    #[error("not an answer in HTTP/1.1: {0}")]
    NotHttp(&'static str),
    /// The server has answered nothing for a long time.
    #[error("the server has answered nothing for a minute")]
    Silent,
    /// It was told to stop.
    #[error("stopped")]
    Stopped,
    /// It was over before the window began.
    #[error("the run ended in its warm-up")]
    TooShort,
}
