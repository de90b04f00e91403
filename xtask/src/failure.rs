//! One error for all automation: a sentence for the person at the terminal.
//!
//! Nothing here is handled by code further up, only printed, so a type with variants would be ceremony.

use std::fmt;

/// Why a task did not do its job.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// What a task returns.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure that says this.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A failure about which everything has been printed already.
    pub(crate) fn told() -> Self {
        Self(String::new())
    }

    /// Whether there is nothing left to print.
    pub(crate) fn is_told(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// `Failure` does not implement `Error`, which is what lets this one conversion cover every library's error.
impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    /// Puts `what` in front of the message.
    fn context(self, what: impl fmt::Display) -> Outcome<T>;
    /// Puts what a person can do about it behind the message.
    fn advice(self, what: impl fmt::Display) -> Outcome<T>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{what}: {}", error.into())))
    }

    fn advice(self, what: impl fmt::Display) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{}\n{what}", error.into())))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: impl fmt::Display) -> Outcome<T> {
        self.ok_or_else(|| Failure(what.to_string()))
    }

    fn advice(self, what: impl fmt::Display) -> Outcome<T> {
        self.context(what)
    }
}
