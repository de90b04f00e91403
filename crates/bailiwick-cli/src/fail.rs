//! How a command fails: one line that says what, one that says what to do, and an exit code by class.

use std::fmt::Write as _;
use std::io;

use bailiwick_client::ClientError;
use bailiwick_types::ErrorClass;
use bailiwick_types::api::Problem;

use crate::output::{OutputFormat, clean};
use crate::terminal::Terminal;

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Fail {
    class: ErrorClass,
    code: &'static str,
    message: String,
    hint: Option<String>,
    problem: Option<Box<Problem>>,
    is_silent: bool,
}

impl Fail {
    /// Of this class, without the server's words.
    pub(crate) fn new(class: ErrorClass, code: &'static str, message: impl Into<String>) -> Self {
        Self { class, code, message: message.into(), hint: None, problem: None, is_silent: false }
    }

    /// The command line, a file or standard input is not as it must be.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Invalid, "usage", message)
    }

    /// The credential is missing or is none.
    pub(crate) fn credential(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Unauthenticated, "credential", message)
    }

    /// A local file cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Self {
        Self::new(ErrorClass::Invalid, "file", format!("`{}`: {error}", path.display()))
    }

    /// Standard input cannot be read.
    pub(crate) fn input(error: &io::Error) -> Self {
        Self::new(ErrorClass::Invalid, "input", format!("cannot read standard input: {error}"))
    }

    /// Standard output cannot be written. If its reader went away (`| head`), that is how it ends, without a word.
    #[expect(clippy::needless_pass_by_value, reason = "an adapter for `map_err`")]
    pub(crate) fn output(error: io::Error) -> Self {
        let mut this = Self::new(ErrorClass::Fault, "output", format!("cannot write the output: {error}"));
        this.is_silent = error.kind() == io::ErrorKind::BrokenPipe;
        this
    }

    /// The command's answer is the exit code (`status` of a sealed server).
    pub(crate) fn silently(class: ErrorClass) -> Self {
        Self { is_silent: true, ..Self::new(class, "answer", String::new()) }
    }

    /// What to do about it.
    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether trying again may help.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.class, ErrorClass::Busy | ErrorClass::Stale)
    }

    /// Whether there is no such thing.
    pub(crate) fn is_absent(&self) -> bool {
        self.class == ErrorClass::Absent
    }

    /// Whether what was asked makes no sense.
    pub(crate) fn is_invalid(&self) -> bool {
        self.class == ErrorClass::Invalid
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        self.class.exit_code()
    }

    /// Says it on standard error, in the form that was asked for.
    pub(crate) fn report(&self, terminal: &mut Terminal, format: OutputFormat) {
        if self.is_silent {
            return;
        }
        match format {
            OutputFormat::Json => terminal.note(&self.json()),
            OutputFormat::Table => terminal.note(&self.text()),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("error: {}", clean(&self.message));
        if let Some(problem) = &self.problem {
            for error in &problem.errors {
                let _ = write!(text, "\n  line {}, column {}: {}", error.line, error.column, clean(&error.message));
                if let Some(hint) = &error.hint {
                    let _ = write!(text, " ({})", clean(hint));
                }
            }
        }
        if let Some(problem) = &self.problem {
            for verdict in &problem.refuted {
                let _ = write!(text, "\n  {}", clean(&crate::commands::invariant::said(verdict)));
            }
        }
        if let Some(hint) = self.hint.as_deref().filter(|hint| !hint.is_empty()) {
            let _ = write!(text, "\nhint: {}", clean(hint));
        }
        if let Some(request) = self.problem.as_ref().and_then(|problem| problem.request_id.as_deref()) {
            let _ = write!(text, "\nrequest: {}", clean(request));
        }
        text
    }

    /// For machines: a problem document, the server's own where it is the server's.
    pub(crate) fn json(&self) -> String {
        let made_here;
        let problem = match &self.problem {
            Some(problem) => &**problem,
            None => {
                made_here = Problem {
                    kind: format!("urn:bailiwick:cli:{}", self.code),
                    title: self.message.clone(),
                    status: 0,
                    code: self.code.to_owned(),
                    detail: None,
                    hint: self.hint.clone(),
                    request_id: None,
                    errors: Vec::new(),
                    refuted: Vec::new(),
                };
                &made_here
            }
        };
        serde_json::to_string(problem).unwrap_or_default()
    }
}

impl From<ClientError> for Fail {
    fn from(error: ClientError) -> Self {
        let code = match &error {
            ClientError::Setup { .. } => "usage",
            ClientError::Problem { .. } => "refused",
            ClientError::Unreachable { .. } => "unreachable",
            ClientError::Interrupted { .. } => "interrupted",
            ClientError::Timeout { .. } => "timeout",
            ClientError::Tls { .. } => "tls",
            ClientError::Unexpected { .. } => "unexpected_answer",
        };
        let mut fail = Self::new(error.class(), code, error.to_string());
        fail.hint = error.hint().map(str::to_owned);
        if let ClientError::Problem { problem, .. } = error {
            fail.problem = Some(problem);
        }
        fail
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_types::api::policy::PolicyProblem;

    use super::*;

    fn refused() -> Fail {
        let problem = Problem {
            kind: "urn:bailiwick:error:invalid_policy".into(),
            title: "the policy does not parse".into(),
            status: 400,
            code: "invalid_policy".into(),
            detail: Some("the policy \u{1b}[31m`x` does not parse".into()),
            hint: Some("see the schema".into()),
            request_id: Some("req_1".into()),
            errors: vec![PolicyProblem { message: "unexpected `)`".into(), line: 3, column: 14, hint: None }],
            refuted: Vec::new(),
        };
        Fail::from(ClientError::Problem { problem: Box::new(problem), retry_after_seconds: None })
    }

    #[test]
    fn a_refusal_says_what_and_where_and_what_to_do() {
        let text = "error: the policy \\u{1b}[31m`x` does not parse\n  line 3, column 14: unexpected `)`\n\
                    hint: see the schema\nrequest: req_1";
        assert_eq!(refused().text(), text);
        assert_eq!(refused().exit_code(), 2);
        let json: Problem = serde_json::from_str(&refused().json()).unwrap();
        assert_eq!((json.code.as_str(), json.errors.len()), ("invalid_policy", 1));
    }

    #[test]
    fn a_failure_of_our_own_is_a_problem_too() {
        let fail = Fail::usage("no").with_hint("do");
        assert_eq!(fail.text(), "error: no\nhint: do");
        let json: Problem = serde_json::from_str(&fail.json()).unwrap();
        assert_eq!((json.code.as_str(), json.status, json.hint.as_deref()), ("usage", 0, Some("do")));
    }

    #[test]
    fn exit_codes_follow_the_class() {
        for class in ErrorClass::ALL {
            assert_eq!(Fail::new(*class, "x", "y").exit_code(), class.exit_code());
        }
        let gone = ClientError::Unreachable { address: "a".into(), reason: "r".into() };
        assert_eq!(Fail::from(gone).exit_code(), 9);
        assert_eq!(Fail::credential("x").exit_code(), 3);
    }
}
