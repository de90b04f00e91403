//! `bailiwick backup`: a whole installation in one file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_transfer::file::{Contents, Intro, Manifest, TenantSummary, back_up};
use bailiwick_transfer::{Progress, check_file};
use bailiwick_types::ErrorClass;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::commands::moving::{amounts, conclude, installation_in, opener, watch};
use crate::fail::Fail;
use crate::files::PrivateFile;
use crate::output::to_second;
use crate::server::block_on;
use crate::server::store_url::StoreUrl;
use crate::session::Session;

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  bailiwick backup --store sqlite:data/bailiwick.db --file 2026-01-31.backup
  bailiwick backup verify --file 2026-01-31.backup

The server may go on meanwhile. What is in the file is sealed as it was in the store, so it opens only with the \
installation's root key; keep that elsewhere. Keep the printed SHA-256 elsewhere too: it is what shows that a file is the \
one that was made."
)]
pub(crate) struct BackupArgs {
    /// The store that has the installation: `sqlite:PATH` or `postgres://ROLE@HOST/DATABASE`
    #[arg(long, value_name = "URL", required = true)]
    store: Option<String>,
    /// The file that holds the password of the database's role
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<PathBuf>,
    /// The file to write; one that is there is replaced when the new one is whole
    #[arg(long, value_name = "FILE", required = true)]
    file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<BackupCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupCommand {
    /// Read a backup to its end and check it: hashes, counts, the root of every ledger
    #[command(after_help = "Examples:\n  bailiwick backup verify --file 2026-01-31.backup --sha256 9f86d0…")]
    Verify {
        /// The backup
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// What `backup` printed when the file was made
        #[arg(long, value_name = "HEX")]
        sha256: Option<String>,
    },
}

/// What came of it, for machines.
#[derive(Serialize)]
struct Answer<'a> {
    action: &'a str,
    file: String,
    #[serde(flatten)]
    manifest: &'a Manifest,
    #[serde(rename = "planes", skip_serializing_if = "Option::is_none")]
    tenants: Option<&'a [TenantSummary]>,
}

pub(crate) fn run(session: &mut Session, args: BackupArgs) -> Result<(), Fail> {
    match (args.command, args.store, args.file) {
        (Some(BackupCommand::Verify { file, sha256 }), _, _) => {
            let contents = block_on(read(session, &file, sha256.as_deref()))?;
            let rows = rows("holds", &contents.manifest);
            let (manifest, tenants) = (&contents.manifest, Some(contents.tenants.as_slice()));
            let answer = Answer { action: "verified", file: file.display().to_string(), manifest, tenants };
            conclude(session, &answer, rows)
        }
        (None, Some(store), Some(file)) => {
            let store = StoreUrl::parse(&store, args.store_password_file.as_deref())?;
            block_on(make(session, &store, &file))
        }
        (None, _, _) => Err(Fail::usage("--store and --file are needed")),
    }
}

async fn make(session: &mut Session, store: &StoreUrl, file: &Path) -> Result<(), Fail> {
    let from = store.open_to_read().await?;
    let intro = Intro {
        installation: installation_in(&from).await?,
        engine: from.engine().to_owned(),
        program: format!("bailiwick {}", bailiwick_app::installation::VERSION),
        created: session.now,
    };
    let unwritable = |error: std::io::Error| Fail::file(file, &error);
    // Under its name only once it is whole and durable.
    let mut medium = PrivateFile::create(file).map_err(unwritable)?;
    let progress = Arc::new(Progress::default());
    let manifest = watch(session, &progress, back_up(&from, &mut medium, intro, &progress)).await?;
    medium.flush().and_then(|()| medium.finish()).map_err(unwritable)?;
    let answer = Answer { action: "backed_up", file: file.display().to_string(), manifest: &manifest, tenants: None };
    let mut rows = rows("backed up", &manifest);
    rows.push(("file", file.display().to_string()));
    conclude(session, &answer, rows)
}

/// Reads a backup to its end and checks everything that can be checked without keys.
pub(crate) async fn read(session: &mut Session, file: &Path, sha256: Option<&str>) -> Result<Contents, Fail> {
    let (open, progress) = (opener(file), Progress::default());
    if let Err(error) = std::fs::File::open(file) {
        return Err(Fail::file(file, &error));
    }
    let contents = watch(session, &progress, check_file(&open, &progress)).await?;
    let found = &contents.manifest.sha256;
    if let Some(wanted) = sha256
        && !wanted.eq_ignore_ascii_case(found)
    {
        return Err(Fail::new(
            ErrorClass::Invalid,
            "backup_invalid",
            format!("it is another file: its SHA-256 is {found}"),
        )
        .with_hint("nothing was written; look for the backup that was made then"));
    }
    Ok(contents)
}

/// A backup for people.
pub(crate) fn rows(what: &'static str, manifest: &Manifest) -> Vec<(&'static str, String)> {
    let intro = &manifest.intro;
    let mut rows = vec![
        (what, intro.installation.clone()),
        ("as it was", format!("{}, on {}", to_second(intro.created), intro.engine)),
    ];
    rows.extend(amounts(manifest.totals));
    rows.push(("sha256", manifest.sha256.clone()));
    rows
}
