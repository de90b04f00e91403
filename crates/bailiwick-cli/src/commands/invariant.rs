//! `bailiwick invariant`, `bailiwick platform invariant` and `bailiwick prove`: rules over all possible requests.

use std::path::PathBuf;

use bailiwick_client::routes::Invariants;
use bailiwick_types::PolicyName;
use bailiwick_types::api::proof::{Covers, CreateInvariant, Invariant, Outcome, Proof, PutInvariant, Verdict};
use clap::{Args, Subcommand, ValueEnum};

use super::policy_text;
use crate::args::Paging;
use crate::fail::Fail;
use crate::input;
use crate::output::{Human, Noun as _, clean_lines, fields};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick invariant put no-agent-reveals-prod.cedar --dry-run
  bailiwick invariant put no-agent-reveals-prod.cedar --description \"agents stay out of production\"
  bailiwick invariant check

An invariant says what may never be allowed, or the most that may be, in Cedar. It decides no request: policies and
guardrails do. It is proved for every possible request whenever policies change, and a change that would break it is
refused with a request that shows how.")]
pub(crate) enum InvariantCommand {
    /// Create or replace an invariant, if it holds
    Put(PutArgs),
    /// List the invariants
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one invariant
    Show {
        /// Its name
        invariant: String,
        /// Only its text
        #[arg(long)]
        text: bool,
    },
    /// Delete an invariant
    Delete {
        /// Its name
        invariant: String,
    },
    /// Prove isolation, guardrails and invariants of the policies in force
    Check,
}

/// What an invariant speaks about.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Coverage {
    /// Whatever policies allow, and whatever role anybody has or will be given
    Everything,
    /// What policies allow; roles aside
    Policies,
}

#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// A file with Cedar, or `-` for standard input
    file: PathBuf,
    /// Its name [default: the file's name without its ending]
    #[arg(long)]
    name: Option<PolicyName>,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    description: String,
    /// What it speaks about
    #[arg(long, value_enum, default_value_t = Coverage::Everything)]
    covers: Coverage,
    /// Check and prove it, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace it only if this is still its version
    #[arg(long, value_name = "VERSION")]
    if_match: Option<String>,
    /// Refuse if there is one of that name already
    #[arg(long, conflicts_with = "if_match")]
    new: bool,
}

pub(crate) fn run(session: &mut Session, invariants: &Invariants, command: InvariantCommand) -> Result<(), Fail> {
    match command {
        InvariantCommand::Put(args) => put(session, invariants, args),
        InvariantCommand::List { paging } => session.list(invariants.list(), &paging),
        InvariantCommand::Show { invariant, text: false } => session.show(&invariants.show(&invariant)),
        InvariantCommand::Show { invariant, text: true } => {
            session.show_with(&invariants.show(&invariant), |invariant, _| policy_text::only(&invariant.text))
        }
        InvariantCommand::Delete { invariant } => {
            session.confirm(&format!("Delete invariant `{invariant}`? Nothing will be held against it any more."))?;
            session.done(&invariants.delete(&invariant), &format!("deleted invariant {invariant}"))
        }
        InvariantCommand::Check => check(session, invariants),
    }
}

fn put(session: &mut Session, invariants: &Invariants, args: PutArgs) -> Result<(), Fail> {
    let name = match args.name {
        Some(name) => name,
        None => policy_text::name_of(&args.file)?,
    };
    let text = input::text_of(&args.file, &mut session.terminal)?;
    let covers = match args.covers {
        Coverage::Everything => Covers::Everything,
        Coverage::Policies => Covers::Policies,
    };
    let (description, dry_run) = (args.description, args.dry_run);
    let call = if args.new {
        invariants.create(&CreateInvariant { name, description, text, covers, dry_run })
    } else {
        invariants.put(name.as_str(), &PutInvariant { description, text, covers, dry_run })
    };
    let call = match &args.if_match {
        Some(version) => call.if_match(version),
        None => call,
    };
    session.show_with(&call, |invariant, human| stored(&invariant, dry_run, human))
}

fn stored(invariant: &Invariant, is_dry_run: bool, human: Human) -> String {
    let mut lines = invariant.fields(human);
    lines.retain(|(name, _)| *name != "text");
    if is_dry_run {
        lines.push(("dry run", "nothing was stored".to_owned()));
    }
    fields(&lines)
}

/// Proves everything; the exit code says whether something is untrue.
pub(crate) fn check(session: &mut Session, invariants: &Invariants) -> Result<(), Fail> {
    let reply = session.send(&invariants.check())?;
    let proof = reply.value()?;
    let is_quiet = session.is_quiet();
    session.print_with(&reply, |proof, _| if is_quiet { format!("{}\n", proof.status()) } else { shown(&proof) })?;
    match proof.outcome {
        Outcome::Refuted => Err(Fail::silently(bailiwick_types::ErrorClass::Conflict)),
        Outcome::Proved | Outcome::Unproven => Ok(()),
    }
}

fn shown(proof: &Proof) -> String {
    let mut lines = vec![("outcome", proof.status())];
    lines.extend(proof.verdicts.iter().map(|verdict| ("property", said(verdict))));
    if !proof.hash.is_empty() {
        lines.push(("proof of", proof.hash.clone()));
    }
    if let Some(solver) = &proof.solver {
        lines.push(("solver", solver.clone()));
    }
    fields(&lines)
}

/// One verdict in a line, with the request that shows it.
pub(crate) fn said(verdict: &Verdict) -> String {
    let mut text = format!("{}: {}", verdict.property, verdict.outcome);
    for more in verdict.reason.iter().chain(verdict.counterexample.as_ref().map(|example| &example.sentence)) {
        text.push_str(": ");
        text.push_str(&clean_lines(more));
    }
    text
}
