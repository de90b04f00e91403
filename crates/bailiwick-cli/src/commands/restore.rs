//! `bailiwick restore`: an installation from a backup, and its acceptance.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_app::AppError;
use bailiwick_app::relocation::{self, CLOSED, Keep};
use bailiwick_transfer::file::{Contents, Manifest};
use bailiwick_transfer::{Progress, Rule, check_target, restore};
use bailiwick_types::{CredentialId, CredentialText};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::commands::backup;
use crate::commands::moving::{conclude, failed, opener, watch};
use crate::fail::Fail;
use crate::server::block_on;
use crate::server::store_url::StoreUrl;
use crate::session::Session;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  bailiwick restore --file 2026-01-31.backup --store sqlite:data/bailiwick.db
  bailiwick restore accept --store sqlite:data/bailiwick.db --keep-credential-file mine.key
  bailiwick restore --file last.backup --store sqlite:new/bailiwick.db --trust-backup-is-latest

A backup does not know what was revoked after it was made. So every tenant comes up suspended, and no operator gets in \
before `restore accept` has named the operators' credentials that are good today; then `bailiwick tenant resume`, one by one. \
Stop all servers of the installation first. The file is checked to its end before anything is written; what was interrupted is \
continued by the same command."
)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "FILE", required = true)]
    file: Option<PathBuf>,
    /// The store that gets it: an empty one, or one with a part of this very backup
    #[arg(long, value_name = "URL", required = true)]
    store: Option<String>,
    /// The file that holds the password of the database's role
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<PathBuf>,
    /// What `backup` printed when the file was made
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// Only check the backup and the store, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Nothing was revoked or answered after this backup: tenants and operators go on as they were
    #[arg(long)]
    trust_backup_is_latest: bool,
    #[command(subcommand)]
    command: Option<RestoreCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RestoreCommand {
    /// Let the operators into a restored installation whose credentials are good today, and remove all others
    Accept(AcceptArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick restore accept --store sqlite:data/bailiwick.db --keep-credential-file mine.key
  bailiwick restore accept --store sqlite:data/bailiwick.db --keep key_7fw8… --revoked revoked.txt

The ids of what was revoked since are in a later export of each ledger: the resources of its `…:revoke` entries.")]
pub(crate) struct AcceptArgs {
    /// The store of the restored installation
    #[arg(long, value_name = "URL")]
    store: String,
    /// The file that holds the password of the database's role
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<PathBuf>,
    /// The id of an operator's credential that is good today
    #[arg(long, value_name = "CREDENTIAL_ID")]
    keep: Vec<CredentialId>,
    /// A file with an operator's credential that is good today
    #[arg(long, value_name = "FILE")]
    keep_credential_file: Vec<PathBuf>,
    /// All operators' credentials of the backup are good: somebody knows that none was revoked since
    #[arg(long, conflicts_with_all = ["keep", "keep_credential_file"])]
    keep_all: bool,
    /// A file with ids of credentials that were revoked after the backup, one in a line: removed before anything is opened
    #[arg(long, value_name = "FILE")]
    revoked: Option<PathBuf>,
}

/// What came of it, for machines.
#[derive(Serialize)]
struct Restored<'a> {
    action: &'a str,
    #[serde(flatten)]
    manifest: &'a Manifest,
    /// Whether every tenant was left suspended, and the platform sealed.
    is_shut: bool,
    /// Tenants whose keys will be destroyed when their hold is over.
    being_deleted: Vec<&'a str>,
}

#[derive(Serialize)]
struct Accepted {
    action: &'static str,
    kept: usize,
    removed: usize,
    /// How many of the credentials that were given as revoked the backup had.
    revoked: usize,
}

pub(crate) fn run(session: &mut Session, args: RestoreArgs) -> Result<(), Fail> {
    match args.command {
        Some(RestoreCommand::Accept(args)) => accept(session, &args),
        None => block_on(run_restore(session, args)),
    }
}

async fn run_restore(session: &mut Session, args: RestoreArgs) -> Result<(), Fail> {
    let (Some(file), Some(store)) = (args.file, args.store) else {
        return Err(Fail::usage("--file and --store are needed"));
    };
    let store = StoreUrl::parse(&store, args.store_password_file.as_deref())?;
    let rule = if args.trust_backup_is_latest {
        Rule::anew(CLOSED, epoch_min(session), |header| header.state)
    } else {
        Rule::anew(CLOSED, epoch_min(session), relocation::restored_state)
    };
    let is_trusted = args.trust_backup_is_latest;
    let rule = rule.with_meta(move |header| relocation::restored_meta(header, is_trusted));
    // All of the file, before the store is as much as made.
    let contents = backup::read(session, &file, args.sha256.as_deref()).await?;
    let (open, progress) = (opener(&file), Arc::new(Progress::default()));
    if args.dry_run {
        if store.is_there() {
            let to = store.open_to_read().await?;
            watch(session, &progress, check_target(&open, &to, &rule, &contents, &progress)).await?;
        }
        return said(session, "would_restore", &contents, !args.trust_backup_is_latest);
    }
    let to = store.open().await?;
    watch(session, &progress, check_target(&open, &to, &rule, &contents, &progress)).await?;
    watch(session, &progress, restore(&open, &to, &rule, &contents, &progress)).await?;
    said(session, "restored", &contents, !args.trust_backup_is_latest)
}

/// A number beyond every epoch that the installation can have reached before: milliseconds since 1970, as changes that bump an
/// epoch are not made every millisecond for years.
fn epoch_min(session: &Session) -> u64 {
    u64::try_from(session.now.unix_ms()).unwrap_or(0)
}

fn said(session: &mut Session, action: &'static str, contents: &Contents, is_shut: bool) -> Result<(), Fail> {
    let being_deleted: Vec<&str> = contents
        .tenants
        .iter()
        .filter(|tenant| relocation::is_being_deleted(tenant.state))
        .map(|tenant| tenant.slug.as_str())
        .collect();
    for slug in &being_deleted {
        session.terminal.note(&format!(
            "warning: `{}` was being deleted: its keys are destroyed when its hold is over, also if it was saved since",
            crate::output::clean(slug)
        ));
    }
    let is_done = action == "restored";
    if is_done && is_shut {
        session.terminal.note(
            "warning: what was revoked after this backup is not revoked in it. Every tenant is suspended and no operator is let in:\n  \
             bailiwick restore accept    names the operators' credentials that are good today\n  \
             bailiwick tenant resume     then opens a tenant",
        );
    } else if is_done {
        session
            .terminal
            .note("warning: you said that nothing was revoked after this backup; everything in it is accepted");
    }
    let mut rows = backup::rows(if is_done { "restored" } else { "would restore" }, &contents.manifest);
    if is_done {
        rows.push(("compared", "equal: every record, every entry, every root".to_owned()));
    }
    let answer = Restored { action, manifest: &contents.manifest, is_shut, being_deleted };
    conclude(session, &answer, rows)
}

fn accept(session: &mut Session, args: &AcceptArgs) -> Result<(), Fail> {
    let keep = if args.keep_all {
        Keep::All
    } else {
        let mut ids: BTreeSet<CredentialId> = args.keep.iter().copied().collect();
        for file in &args.keep_credential_file {
            let text = std::fs::read_to_string(file).map_err(|error| Fail::file(file, &error))?;
            let credential = CredentialText::parse(text.trim())
                .map_err(|_| Fail::credential(format!("`{}` holds no credential", file.display())))?;
            if !credential.is_operator() {
                return Err(Fail::credential(format!("`{}` holds no operator's credential", file.display())));
            }
            ids.insert(credential.id());
        }
        if ids.is_empty() {
            return Err(Fail::usage("no credential was named")
                .with_hint("give --keep-credential-file or --keep: what is not named is removed"));
        }
        Keep::Only(ids)
    };
    session.confirm("Let these operators in, and remove the credentials of all others?")?;
    let revoked = match &args.revoked {
        Some(file) => ids_in(file)?,
        None => BTreeSet::new(),
    };
    if let Keep::Only(ids) = &keep
        && let Some(both) = ids.intersection(&revoked).next()
    {
        return Err(Fail::usage(format!("`{both}` is named as good and as revoked")));
    }
    let store = StoreUrl::parse(&args.store, args.store_password_file.as_deref())?;
    let (accepted, removed) = block_on(async {
        if !store.is_there() {
            return Err(failed(bailiwick_transfer::TransferError::Empty));
        }
        let store = store.open().await?;
        // First, so that a credential which is known to be revoked is gone before anybody is let in.
        let removed = relocation::remove_credentials(store.as_ref(), &revoked).await.map_err(refused)?;
        Ok((relocation::accept(store.as_ref(), &keep).await.map_err(refused)?, removed.len()))
    })?;
    let answer = Accepted { action: "accepted", kept: accepted.kept, removed: accepted.removed, revoked: removed };
    let rows = vec![
        ("accepted", format!("{} operators' credentials are good", accepted.kept)),
        ("removed", format!("{} credentials of operators", accepted.removed)),
        ("revoked", format!("{removed} of {} credentials that were given were in the backup", revoked.len())),
        ("next", "bailiwick tenant resume, for each tenant after asking what was revoked in it".to_owned()),
    ];
    conclude(session, &answer, rows)
}

#[expect(clippy::needless_pass_by_value, reason = "an adapter for `map_err`")]
fn refused(error: AppError) -> Fail {
    let message = error.detail().map_or_else(|| error.code().title().to_owned(), str::to_owned);
    Fail::new(error.class(), error.code().as_str(), message)
}

/// The ids in a file, one in a line; empty lines say nothing.
fn ids_in(file: &std::path::Path) -> Result<BTreeSet<CredentialId>, Fail> {
    let text = std::fs::read_to_string(file).map_err(|error| Fail::file(file, &error))?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let parsed = lines.map(|(number, line)| {
        let wrong = |error| Fail::usage(format!("{}: line {number}: {error}", file.display()));
        line.trim().parse::<CredentialId>().map_err(wrong)
    });
    parsed.collect()
}
