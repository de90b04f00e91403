//! `bailiwick ledger` and `bailiwick platform ledger`: everything that was done or refused.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bailiwick_client::routes::{EntryFilter, ExportFormat, Ledger};
use bailiwick_types::api::ledger::{ConsistencyProof, InclusionProof, LedgerEntry, LedgerPage, SignedCheckpoint};
use clap::{Args, Subcommand, ValueEnum};

use super::ledger_view::{EntryView, HEAD};
use crate::fail::Fail;
use crate::files;
use crate::input::When;
use crate::output::{Human, fields, merged, table};
use crate::session::{PAGE_SIZE_MAX, Session};

/// How long the server holds a request of a follower open.
const FOLLOW_WAIT_SECONDS: u64 = 25;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick ledger list --decision deny --since 24h
  bailiwick ledger list --actor acc_… --action secret:reveal --all -o json
  bailiwick ledger follow
  bailiwick ledger export --file acme.ledger && bailiwick verify acme.ledger
  bailiwick ledger inclusion 42")]
pub(crate) enum LedgerCommand {
    /// List entries, the newest first
    List {
        #[command(flatten)]
        filter: FilterArgs,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1_000))]
        limit: u64,
        /// Go on from here
        #[arg(long, allow_hyphen_values = true)]
        cursor: Option<String>,
        /// All of them
        #[arg(long, conflicts_with_all = ["limit", "cursor"])]
        all: bool,
        /// The oldest first
        #[arg(long)]
        oldest_first: bool,
    },
    /// Show one entry
    Show {
        /// Its place in the ledger
        index: u64,
    },
    /// Print entries as they come, until interrupted
    Follow {
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Show the signed checkpoint: size, root hash, and the keys that verify it
    Checkpoint,
    /// Get a proof that an entry is in the ledger
    Inclusion {
        /// Its place in the ledger
        index: u64,
        /// The size of the ledger to prove it in [default: the current one]
        #[arg(long)]
        size: Option<u64>,
    },
    /// Get a proof that the ledger of an older size is a beginning of a newer one
    Consistency {
        /// The older size
        old: u64,
        /// The newer size [default: the current one]
        new: Option<u64>,
    },
    /// Export the ledger
    Export {
        /// The form: whole and sealed for `bailiwick verify`, or for other programs
        #[arg(long, value_enum, default_value_t)]
        format: Format,
        /// Where to [default: standard output]
        #[arg(long, short, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// From this index on
    #[arg(long, value_name = "INDEX")]
    from: Option<u64>,
    /// Only of this member, account or operator
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only this action, such as secret:reveal
    #[arg(long)]
    action: Option<String>,
    /// Only on this resource
    #[arg(long)]
    resource: Option<String>,
    /// Only with this outcome: ok, denied, absent, invalid, …
    #[arg(long)]
    outcome: Option<String>,
    /// Only with this decision: allow, deny or none
    #[arg(long)]
    decision: Option<String>,
    /// Not before: a time, or a span back from now such as `24h`
    #[arg(long, value_name = "WHEN")]
    since: Option<When>,
    /// Not after: a time, or a span back from now
    #[arg(long, value_name = "WHEN")]
    until: Option<When>,
}

impl FilterArgs {
    fn filter(self, session: &Session, order: &'static str) -> EntryFilter {
        EntryFilter {
            from: self.from,
            actor: self.actor,
            action: self.action,
            resource: self.resource,
            outcome: self.outcome,
            decision: self.decision,
            since: self.since.map(|when| when.before(session.now)),
            until: self.until.map(|when| when.before(session.now)),
            order: Some(order),
        }
    }
}

/// The form of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Whole and sealed: what `bailiwick verify` checks
    #[default]
    Bailiwick,
    /// One entry a line
    Jsonl,
    /// One event of the Open Cybersecurity Schema Framework a line
    Ocsf,
}

pub(crate) fn run(session: &mut Session, ledger: &Ledger, command: LedgerCommand) -> Result<(), Fail> {
    match command {
        LedgerCommand::List { filter, limit, cursor, all, oldest_first } => {
            let filter = filter.filter(session, if oldest_first { "asc" } else { "desc" });
            list(session, ledger, &filter, (!all).then_some(limit), cursor.as_deref())
        }
        LedgerCommand::Show { index } => {
            session.show_with(&ledger.entry(index), |entry, human| fields(&EntryView::of(&entry).fields(&entry, human)))
        }
        LedgerCommand::Follow { filter } => {
            let filter = filter.filter(session, "asc");
            follow(session, ledger, filter)
        }
        LedgerCommand::Checkpoint => session.show_with(&ledger.checkpoint(), checkpoint),
        LedgerCommand::Inclusion { index, size } => session.show_with(&ledger.inclusion(index, size), inclusion),
        LedgerCommand::Consistency { old, new } => session.show_with(&ledger.consistency(old, new), consistency),
        LedgerCommand::Export { format, file } => export(session, ledger, format, file.as_deref()),
    }
}

fn list(
    session: &mut Session,
    ledger: &Ledger,
    filter: &EntryFilter,
    limit: Option<u64>,
    cursor: Option<&str>,
) -> Result<(), Fail> {
    let text = match limit {
        Some(limit) => session.send(&ledger.entries(filter, limit, cursor))?.text().to_owned(),
        None => {
            let client = session.client()?;
            merged(|cursor| Ok(client.send(&ledger.entries(filter, PAGE_SIZE_MAX, cursor))?.text().to_owned()))?
        }
    };
    if session.is_json() {
        return session.json(&text);
    }
    let page: Listed = serde_json::from_str(&text).map_err(|_| not_a_page())?;
    let is_quiet = session.is_quiet();
    let rows: Vec<_> = page.items.iter().map(|entry| EntryView::of(entry).row(entry)).collect();
    if is_quiet {
        let indexes: String = page.items.iter().map(|entry| format!("{}\n", entry.index)).collect();
        return session.terminal.print(&indexes);
    }
    session.terminal.print(&table(HEAD, &rows))?;
    if let Some(next) = page.next.filter(|_| !page.is_complete) {
        session.terminal.note(&format!("there are more: --all, or --cursor {}", crate::output::clean(&next)));
    }
    Ok(())
}

/// A page of entries, or several joined.
#[derive(serde::Deserialize)]
struct Listed {
    items: Vec<LedgerEntry>,
    next: Option<String>,
    #[serde(default)]
    is_complete: bool,
}

fn not_a_page() -> Fail {
    Fail::new(bailiwick_types::ErrorClass::Fault, "unexpected_answer", "the answer is not the list that was asked for")
}

/// Prints entries as they come. Starts at the end unless `--from` or `--since` says otherwise.
fn follow(session: &mut Session, ledger: &Ledger, mut filter: EntryFilter) -> Result<(), Fail> {
    if filter.from.is_none() && filter.since.is_none() {
        filter.from = Some(session.send(&ledger.checkpoint())?.value()?.size);
    }
    let mut cursor: Option<String> = None;
    loop {
        let call = ledger
            .entries(&filter, PAGE_SIZE_MAX, cursor.as_deref())
            .query("wait", FOLLOW_WAIT_SECONDS)
            .timeout(Duration::from_secs(FOLLOW_WAIT_SECONDS * 2));
        let page: LedgerPage = session.send(&call)?.value()?;
        for entry in &page.items {
            let line = if session.is_json() {
                serde_json::to_string(entry).unwrap_or_default()
            } else {
                EntryView::of(entry).line(entry)
            };
            session.terminal.line(&line)?;
        }
        match page.next {
            Some(next) => cursor = Some(next),
            // No cursor to go on from: go on from what was seen.
            None => {
                filter.from = Some(page.size);
                cursor = None;
            }
        }
    }
}

fn checkpoint(checkpoint: SignedCheckpoint, _: Human) -> String {
    fields(&[
        ("origin", checkpoint.origin),
        ("size", checkpoint.size.to_string()),
        ("root", checkpoint.root),
        ("keys", checkpoint.keys.join("\n")),
        ("note", checkpoint.note.trim_end().to_owned()),
    ])
}

fn inclusion(proof: InclusionProof, _: Human) -> String {
    fields(&[
        ("index", proof.index.to_string()),
        ("size", proof.size.to_string()),
        ("leaf", proof.leaf),
        ("proof", proof.proof.join("\n")),
        ("checkpoint", proof.checkpoint.trim_end().to_owned()),
    ])
}

fn consistency(proof: ConsistencyProof, _: Human) -> String {
    fields(&[
        ("old size", proof.old.to_string()),
        ("new size", proof.new.to_string()),
        ("old root", proof.old_root),
        ("proof", proof.proof.join("\n")),
        ("checkpoint", proof.checkpoint.trim_end().to_owned()),
    ])
}

fn export(session: &mut Session, ledger: &Ledger, format: Format, file: Option<&Path>) -> Result<(), Fail> {
    let format = match format {
        Format::Bailiwick => ExportFormat::Bailiwick,
        Format::Jsonl => ExportFormat::JsonLines,
        Format::Ocsf => ExportFormat::Ocsf,
    };
    let mut reader = session.client()?.download(&ledger.export(format))?;
    match file {
        None => {
            copy(&mut reader, session.terminal.output())?;
        }
        Some(path) => {
            // Under its name only once it is whole: a broken download never looks like an export.
            let mut writer = files::PrivateFile::create(path).map_err(|error| Fail::file(path, &error))?;
            copy(&mut reader, &mut writer)?;
            writer.finish().map_err(|error| Fail::file(path, &error))?;
            if !session.is_quiet() {
                session.terminal.note(&format!("exported to {}", path.display()));
            }
        }
    }
    Ok(())
}

fn copy(reader: &mut dyn Read, writer: &mut dyn Write) -> Result<(), Fail> {
    let mut buffer = vec![0; 64 * 1_024];
    loop {
        let read = reader.read(&mut buffer).map_err(|error| {
            Fail::new(bailiwick_types::ErrorClass::Busy, "interrupted", format!("the export broke off: {error}"))
                .with_hint("start it again; what was written so far does not verify")
        })?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else {
            return writer.flush().map_err(Fail::output);
        };
        writer.write_all(piece).map_err(Fail::output)?;
    }
}
