//! `bailiwick store copy`: a whole installation, from one store into another.

use std::path::PathBuf;
use std::sync::Arc;

use bailiwick_app::relocation::CLOSED;
use bailiwick_transfer::{Plan, Progress, Rule, Standing, Totals, plan, verify};
use clap::Args;
use serde::Serialize;

use crate::commands::moving::{amounts, conclude, failed, installation_in, watch};
use crate::fail::Fail;
use crate::server::block_on;
use crate::server::store_url::StoreUrl;
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick store copy --from sqlite:data/bailiwick.db --to sqlite:/mnt/new/bailiwick.db --dry-run
  bailiwick store copy --from sqlite:data/bailiwick.db --to postgres://bailiwick_server@db.example/bailiwick \\
      --to-password-file /etc/bailiwick/db-password

Nothing is opened: what is sealed is copied as it is. The target answers nothing before everything in it was compared with \
the source: every record, every entry, every ledger's root.

The source may be in use. To change over without loss: copy while the servers run, stop them, and give the same command \
again, which brings the copy up to date. What was interrupted is continued in the same way.")]
pub(crate) struct CopyArgs {
    /// The store that has the installation: `sqlite:PATH` or `postgres://ROLE@HOST/DATABASE`
    #[arg(long, value_name = "URL")]
    from: String,
    /// The file that holds the password of its role
    #[arg(long, value_name = "FILE")]
    from_password_file: Option<PathBuf>,
    /// The store that gets it: an empty one, or one that has a part or an earlier state of it
    #[arg(long, value_name = "URL")]
    to: String,
    /// The file that holds the password of its role
    #[arg(long, value_name = "FILE")]
    to_password_file: Option<PathBuf>,
    /// Only say what would be done
    #[arg(long, conflicts_with = "verify_only")]
    dry_run: bool,
    /// Only compare the two, completely
    #[arg(long)]
    verify_only: bool,
}

/// What came of it, for machines.
#[derive(Serialize)]
struct Copied<'a> {
    action: &'a str,
    installation: &'a str,
    from: &'a str,
    to: &'a str,
    #[serde(flatten)]
    totals: Totals,
    is_equal: bool,
}

/// What would be done, for machines.
#[derive(Serialize)]
struct Planned<'a> {
    action: &'a str,
    installation: &'a str,
    absent: usize,
    begun: usize,
    behind: usize,
    same: usize,
    tenants: Vec<PlannedTenant<'a>>,
}

#[derive(Serialize)]
struct PlannedTenant<'a> {
    slug: &'a str,
    standing: Standing,
}

pub(crate) fn run(session: &mut Session, args: &CopyArgs) -> Result<(), Fail> {
    let from = StoreUrl::parse(&args.from, args.from_password_file.as_deref())?;
    let to = StoreUrl::parse(&args.to, args.to_password_file.as_deref())?;
    if from.is_same(&to) {
        return Err(Fail::usage("the two stores are the same"));
    }
    block_on(copy(session, args, &from, &to))
}

async fn copy(session: &mut Session, args: &CopyArgs, from: &StoreUrl, to: &StoreUrl) -> Result<(), Fail> {
    let rule = Rule::exact(CLOSED);
    let from = from.open_to_read().await?;
    let installation = installation_in(&from).await?;
    if args.dry_run {
        let plan = if to.is_there() {
            let to = to.open_to_read().await?;
            plan(from.as_ref(), to.as_ref(), &rule).await.map_err(failed)?
        } else {
            bailiwick_transfer::plan_of_all(from.as_ref()).await.map_err(failed)?
        };
        return planned(session, &installation, &plan);
    }
    let progress = Arc::new(Progress::default());
    let to = if args.verify_only { to.open_to_read().await? } else { to.open().await? };
    let totals = if args.verify_only {
        watch(session, &progress, verify(&from, &to, &rule, &progress)).await?
    } else {
        let plan = plan(from.as_ref(), to.as_ref(), &rule).await.map_err(failed)?;
        watch(session, &progress, bailiwick_transfer::copy(&from, &to, &rule, &plan, &progress)).await?
    };
    let action = if args.verify_only { "compared" } else { "copied" };
    let answer =
        Copied { action, installation: &installation, from: from.engine(), to: to.engine(), totals, is_equal: true };
    let mut rows = vec![(action, format!("{installation}, {} to {}", from.engine(), to.engine()))];
    rows.extend(amounts(totals));
    rows.push(("both sides", "equal: every record, every entry, every root".to_owned()));
    conclude(session, &answer, rows)
}

fn planned(session: &mut Session, installation: &str, plan: &Plan) -> Result<(), Fail> {
    let count = |standing| plan.count(standing);
    let answer = Planned {
        action: "planned",
        installation,
        absent: count(Standing::Absent),
        begun: count(Standing::Begun),
        behind: count(Standing::Behind),
        same: count(Standing::Same),
        tenants: plan.tenants.iter().map(|(slug, standing)| PlannedTenant { slug, standing: *standing }).collect(),
    };
    let rows = vec![
        ("installation", installation.to_owned()),
        ("to copy", format!("{} planes", answer.absent)),
        ("to continue", format!("{} planes", answer.begun)),
        ("to bring up to date", format!("{} planes", answer.behind)),
        ("the same already", format!("{} planes", answer.same)),
        ("nothing was done", "this was a dry run; a plane is a tenant, or the platform".to_owned()),
    ];
    conclude(session, &answer, rows)
}
