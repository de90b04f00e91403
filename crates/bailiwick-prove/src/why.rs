//! Why something is not proved.

use std::fmt;

/// The reasons, each with the text that people and ledgers see.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// There is no solver to ask.
    NoSolver,
    /// The solver did not answer in time.
    TimedOut,
    /// The solver answered that it does not know.
    Unknown,
    /// The solver ended, or answered something that is no answer.
    SolverFailed,
    /// Too much is being proved already.
    Busy,
    /// The policies are too large to be translated.
    TooLarge,
    /// Cedar's authorizer, or a random request, contradicts the solver.
    Disagreement,
    /// A statement of the invariant can fail to evaluate, so what it says is not certain.
    MayFail,
    /// A policy can fail to evaluate; such requests are denied, which the translation does not know.
    Errors,
    /// A policy does not translate.
    Untranslatable(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSolver => "no solver",
            Self::TimedOut => "timed out",
            Self::Unknown => "the solver could not decide",
            Self::SolverFailed => "the solver failed",
            Self::Busy => "too many proofs at once",
            Self::TooLarge => "too many policies or names for one proof",
            Self::Disagreement => "disagreement between the solver and the authorizer",
            Self::MayFail => "the invariant itself can fail to evaluate",
            Self::Errors => "a policy can fail to evaluate",
            Self::Untranslatable(what) => return write!(f, "a policy cannot be translated: {what}"),
        })
    }
}
