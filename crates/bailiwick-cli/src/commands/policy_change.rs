//! `bailiwick policy diff` and `bailiwick policy subset`: what a change comes to, before it is made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bailiwick_client::routes::Tenant;
use bailiwick_types::ErrorClass;
use bailiwick_types::api::proof::{Difference, Outcome, PolicyDiff, ProposeChange};
use clap::Args;

use super::{invariant, policy_text};
use crate::fail::Fail;
use crate::input::{self, Pair};
use crate::output::fields;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Files with policies, each named as its file without its ending
    files: Vec<PathBuf>,
    /// A policy under another name than its file's; may be repeated
    #[arg(long = "with", value_name = "NAME=FILE")]
    with: Vec<Pair>,
    /// Leave this policy out; may be repeated
    #[arg(long = "without", value_name = "NAME")]
    without: Vec<String>,
}

impl ChangeArgs {
    fn read(self, session: &mut Session) -> Result<ProposeChange, Fail> {
        let mut with_policies = BTreeMap::new();
        for file in self.files {
            let name = policy_text::name_of(&file)?;
            with_policies.insert(name.to_string(), Some(input::text_of(&file, &mut session.terminal)?));
        }
        for Pair { name, value } in self.with {
            with_policies.insert(name, Some(input::text_of(Path::new(&value), &mut session.terminal)?));
        }
        with_policies.extend(self.without.into_iter().map(|name| (name, None)));
        if with_policies.is_empty() {
            return Err(Fail::usage("there is no change to look at")
                .with_hint("give a file, --with NAME=FILE or --without NAME"));
        }
        Ok(ProposeChange { with_policies })
    }
}

pub(crate) fn diff(session: &mut Session, tenant: &Tenant, args: ChangeArgs) -> Result<(), Fail> {
    let body = args.read(session)?;
    session.show_with(&tenant.diff_policies(&body), |diff, _| view(&diff))
}

fn view(diff: &PolicyDiff) -> String {
    let one = |difference: &Difference| {
        let others = difference.actions.iter().filter(|action| **action != difference.example.action).count();
        let more = if others == 0 { String::new() } else { format!(" (and {others} more actions like it)") };
        format!("{}{more}", difference.example.sentence)
    };
    let mut lines = Vec::new();
    lines.extend(diff.allowed.iter().map(|difference| ("newly allowed", one(difference))));
    lines.extend(diff.denied.iter().map(|difference| ("newly denied", format!("until now {}", one(difference)))));
    if diff.allowed.is_empty() && diff.denied.is_empty() && diff.outcome == Outcome::Proved {
        lines.push(("changes", "nothing: every request is decided as before".to_owned()));
    }
    lines.extend(diff.warnings.iter().map(|warning| ("warning", warning.clone())));
    if let Some(reason) = &diff.reason {
        lines.push(("incomplete", format!("{}: {reason}", diff.outcome)));
    }
    fields(&lines)
}

/// The exit code says whether it allows something new.
pub(crate) fn subset(session: &mut Session, tenant: &Tenant, args: ChangeArgs) -> Result<(), Fail> {
    let body = args.read(session)?;
    let reply = session.send(&tenant.is_subset(&body))?;
    let outcome = reply.value()?.verdict.outcome;
    session.print_with(&reply, |result, _| fields(&[("subset", invariant::said(&result.verdict))]))?;
    match outcome {
        Outcome::Refuted => Err(Fail::silently(ErrorClass::Conflict)),
        Outcome::Proved | Outcome::Unproven => Ok(()),
    }
}
