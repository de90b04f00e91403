//! What went wrong with a fixture, as its reader needs it: the program's own last words.

use std::fmt;

/// A fixture does not do what it is for.
#[derive(thiserror::Error)]
pub enum Error {
    /// A program is not installed.
    #[error("{0}")]
    Missing(String),
    /// The machine refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A program failed, or did not do in time what it should.
    #[error("{0}")]
    Program(String),
}

impl Error {
    pub(crate) fn program(text: impl Into<String>) -> Self {
        Self::Program(text.into())
    }
}

/// `unwrap` in a test shows this; escaped line breaks help nobody.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Says what was tried when the machine refuses.
pub(crate) trait Trying<T> {
    fn trying(self, what: impl fmt::Display) -> Result<T, Error>;
}

impl<T> Trying<T> for Result<T, std::io::Error> {
    fn trying(self, what: impl fmt::Display) -> Result<T, Error> {
        self.map_err(|source| Error::Io { what: what.to_string(), source })
    }
}

impl<T> Trying<T> for Result<T, rustix::io::Errno> {
    fn trying(self, what: impl fmt::Display) -> Result<T, Error> {
        self.map_err(std::io::Error::from).trying(what)
    }
}
