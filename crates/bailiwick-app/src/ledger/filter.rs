//! Which entries a search wants.

use std::str::FromStr;

use bailiwick_ledger::entry::Entry;
use bailiwick_types::{Action, ErrorClass, Timestamp};

use crate::error::AppError;

/// Which entries are wanted. All that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// The actor's id.
    pub actor: Option<String>,
    /// The action's name, or a noun with a `:` at its end for all of its actions.
    pub action: Option<String>,
    /// The resource's id, or its beginning followed by `*`.
    pub resource: Option<String>,
    /// `ok`, or an error class such as `denied`.
    pub outcome: Option<String>,
    /// `allow`, `deny` or `none`.
    pub decision: Option<String>,
    /// The request id.
    pub request: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Leave out this caller's own reading of the ledger, so that a follower does not follow itself.
    pub skip_own_reads: bool,
}

/// Whether an action is the one that is wanted, or one of the noun that is wanted (`secret:`).
pub(super) fn is_action(wanted: &str, action: &str) -> bool {
    action == wanted || (wanted.ends_with(':') && action.starts_with(wanted))
}

impl Filter {
    pub(super) fn query(&self) -> String {
        format!("{self:?}")
    }

    /// A word that no entry can have is a mistake, and not a ledger in which nothing of the kind ever happened.
    pub(super) fn check(&self) -> Result<(), AppError> {
        let is_outcome = |word: &str| word == "ok" || ErrorClass::ALL.iter().any(|class| class.as_str() == word);
        let is_any_action = |word: &str| Action::ALL.iter().any(|action| is_action(word, action.as_str()));
        if self.outcome.as_deref().is_some_and(|word| !is_outcome(word)) {
            return Err(AppError::invalid("`outcome` must be `ok` or a class of errors, such as `denied`"));
        }
        if self.decision.as_deref().is_some_and(|word| !matches!(word, "allow" | "deny" | "none")) {
            return Err(AppError::invalid("`decision` must be `allow`, `deny` or `none`"));
        }
        if self.action.as_deref().is_some_and(|word| !is_any_action(word)) {
            return Err(AppError::invalid(
                "`action` must be an action, such as `secret:reveal`, or a noun, such as `secret:`",
            ));
        }
        Ok(())
    }

    /// Texts that the bytes of an entry have if it fits: to look for them takes a fraction of parsing it.
    pub(super) fn texts(&self) -> Vec<&str> {
        /// What is written in canonical JSON as it is.
        fn is_plain(text: &str) -> bool {
            !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\'))
        }
        let resource = self.resource.as_deref().map(|wanted| wanted.strip_suffix('*').unwrap_or(wanted));
        let words = [self.request.as_deref(), self.actor.as_deref(), resource];
        words.into_iter().flatten().filter(|word| is_plain(word)).collect()
    }

    pub(super) fn fits(&self, entry: &Entry, reader: &str) -> bool {
        fn is(wanted: Option<&String>, value: &str) -> bool {
            wanted.is_none_or(|wanted| wanted == value)
        }
        let fits_action = self.action.as_ref().is_none_or(|wanted| is_action(wanted, &entry.action));
        let is_resource = self.resource.as_ref().is_none_or(|wanted| match wanted.strip_suffix('*') {
            Some(prefix) => entry.resource.id.starts_with(prefix),
            None => *wanted == entry.resource.id,
        });
        let is_own_read = self.skip_own_reads
            && entry.actor.id.as_deref() == Some(reader)
            && Action::from_str(&entry.action)
                .is_ok_and(|action| matches!(action, Action::LedgerRead | Action::PlatformLedgerRead));
        is(self.actor.as_ref(), entry.actor.id.as_deref().unwrap_or_default())
            && fits_action
            && is_resource
            && is(self.outcome.as_ref(), &entry.outcome)
            && is(self.decision.as_ref(), entry.decision.as_str())
            && is(self.request.as_ref(), &entry.request)
            && self.since.is_none_or(|since| entry.time >= since)
            && self.until.is_none_or(|until| entry.time < until)
            && !is_own_read
    }
}
