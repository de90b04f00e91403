//! Which actions were asked for, and what came of them: part of a simulation's result.

use std::collections::BTreeMap;
use std::fmt;

use bailiwick_testkit::Answer;
use bailiwick_types::{Action, Code, ErrorClass};

use crate::asking::Asked;

/// The columns, in the order of the table: a success, then the classes of failures, then no answer at all.
const COLUMNS: &[&str] =
    &["ok", "invalid", "unauthenticated", "denied", "absent", "conflict", "limited", "sealed", "busy", "fault", "gone"];

/// What needs a file that was made elsewhere, and that no history has: its successes are in `tests/it/bundles` of the
/// testkit.
const BROUGHT: &[Action] = &[Action::TenantImport];

/// Counts by action and outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<Action, BTreeMap<&'static str, u64>>);

fn of_class(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Stale | ErrorClass::Busy => "busy",
        class => class.as_str(),
    }
}

/// What an answer is. The Vault door has no codes, so there the status has to do.
pub(crate) fn outcome(answer: &Answer) -> &'static str {
    if let Some(code) = Code::from_text(&answer.code()) {
        return of_class(code.class());
    }
    match answer.status {
        200..=299 => "ok",
        401 => "unauthenticated",
        403 => "denied",
        404 => "absent",
        409 | 412 | 422 => "conflict",
        429 => "limited",
        500 => "fault",
        503 => "busy",
        _ => "invalid",
    }
}

impl Coverage {
    pub(crate) fn answered(&mut self, asked: &Asked, answer: &Answer) {
        self.count(asked.action, outcome(answer));
    }

    pub(crate) fn gone(&mut self, action: Option<Action>) {
        self.count(action, "gone");
    }

    fn count(&mut self, action: Option<Action>, outcome: &'static str) {
        if let Some(action) = action {
            *self.0.entry(action).or_default().entry(outcome).or_default() += 1;
        }
    }

    /// Takes in what another run has covered.
    pub fn add(&mut self, other: &Self) {
        for (action, outcomes) in &other.0 {
            for (outcome, count) in outcomes {
                *self.0.entry(*action).or_default().entry(outcome).or_default() += count;
            }
        }
    }

    /// How often an action had this outcome.
    pub fn of(&self, action: Action, outcome: &str) -> u64 {
        self.0.get(&action).and_then(|outcomes| outcomes.get(outcome)).copied().unwrap_or(0)
    }

    /// How many requests there were.
    pub fn requests(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Actions that never succeeded, or never failed.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for action in Action::ALL {
            let total: u64 = COLUMNS.iter().map(|column| self.of(*action, column)).sum();
            let is_ok = self.of(*action, "ok");
            if is_ok == 0 && BROUGHT.contains(action) {
                // Nothing to bring: it has been asked for, and refused for just that.
                if total == 0 || self.of(*action, "invalid") == 0 {
                    missing.push(format!("{action}: never refused for what it brought in {total}"));
                }
            } else if is_ok == 0 {
                missing.push(format!("{action}: no success in {total}"));
            } else if is_ok == total {
                missing.push(format!("{action}: no failure in {total}"));
            }
        }
        missing
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<28}", "action")?;
        for column in COLUMNS {
            write!(f, " {:>7}", &column[..column.len().min(7)])?;
        }
        for action in Action::ALL {
            write!(f, "\n{:<28}", action.as_str())?;
            for column in COLUMNS {
                match self.of(*action, column) {
                    0 => write!(f, " {:>7}", "·")?,
                    count => write!(f, " {count:>7}")?,
                }
            }
        }
        Ok(())
    }
}
