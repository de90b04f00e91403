//! `bailiwick store`: where everything is kept, for whoever runs the database. No server is asked.

use bailiwick_store_postgres::{Migrator, Roles, Step, Url, newest};
use bailiwick_types::ErrorClass;
use clap::{Args, Subcommand};

use crate::commands::store_copy::{self, CopyArgs};
use crate::fail::Fail;
use crate::output::table;
use crate::server::store_url::{StoreUrl, not_opened};
use crate::server::{self, StoreArgs};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick store copy --from sqlite:data/bailiwick.db --to postgres://bailiwick_server@db.example/bailiwick
  bailiwick store roles | psql -h db.example -U postgres
  bailiwick store migrate --store postgres://bailiwick_owner@db.example/bailiwick --store-password-file owner.password
  bailiwick store check --store postgres://bailiwick_server@db.example/bailiwick --store-password-file server.password

An embedded store needs neither roles nor migrations: a server makes and migrates its file when it starts.")]
pub(crate) enum StoreCommand {
    /// Copy a whole installation into another store, of any engine, and compare the two
    Copy(CopyArgs),
    /// Print the statements that make a database and its two roles
    Roles(RolesArgs),
    /// Bring a database's schema to the version that this build needs
    Migrate(MigrateArgs),
    /// Look at a database as a node does before it starts: its schema, its roles, its fences
    Check {
        #[command(flatten)]
        store: StoreArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RolesArgs {
    /// The database
    #[arg(long, default_value = "bailiwick", value_name = "NAME")]
    database: String,
    /// The role that owns the schema; only `store migrate` uses it
    #[arg(long, default_value = "bailiwick_owner", value_name = "ROLE")]
    owner_role: String,
    /// The role that nodes use
    #[arg(long, default_value = "bailiwick_server", value_name = "ROLE")]
    server_role: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick store migrate --plan --store postgres://bailiwick_owner@db.example/bailiwick
  bailiwick store migrate --check --store postgres://bailiwick_owner@db.example/bailiwick

Migrations go forward only. A new release first expands the schema, which old and new nodes can work with while they are \
replaced, and a later one takes away what nobody needs any more: migrate first, then replace the nodes one by one.

Exit code 6 with --check: there is something to apply.")]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// The role that nodes use
    #[arg(long, default_value = "bailiwick_server", value_name = "ROLE")]
    server_role: String,
    /// Partitions of each table, when the schema is made; 0 where the engine distributes tables by itself
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=256))]
    partitions: u16,
    /// Apply nothing; say whether there is something to apply
    #[arg(long, conflicts_with = "plan")]
    check: bool,
    /// Apply nothing; print the statements
    #[arg(long)]
    plan: bool,
}

pub(crate) fn run(session: &mut Session, command: StoreCommand) -> Result<(), Fail> {
    match command {
        StoreCommand::Copy(args) => store_copy::run(session, &args),
        StoreCommand::Roles(RolesArgs { database, owner_role, server_role }) => {
            let names = Roles { database, owner: owner_role, server: server_role };
            session.terminal.print(&bailiwick_store_postgres::roles(&names))
        }
        StoreCommand::Migrate(args) => migrate(session, &args),
        StoreCommand::Check { store } => {
            let store = required(&store)?;
            server::block_on(store.open())?;
            session.terminal.line(&format!("{} is as it must be", store.shown()))
        }
    }
}

fn required(store: &StoreArgs) -> Result<StoreUrl, Fail> {
    store.url()?.ok_or_else(|| Fail::usage("which store? --store names it"))
}

fn migrate(session: &mut Session, args: &MigrateArgs) -> Result<(), Fail> {
    let StoreUrl::Postgres(url) = required(&args.store)? else {
        return Err(Fail::usage("an embedded store is migrated by the server that opens it"));
    };
    server::block_on(migrate_database(session, args, &url))
}

async fn migrate_database(session: &mut Session, args: &MigrateArgs, url: &Url) -> Result<(), Fail> {
    let opened = Migrator::connect(url, &args.server_role, args.partitions).await;
    let migrator = opened.map_err(|error| not_opened(&error))?;
    if args.plan {
        let plan = migrator.plan().await.map_err(|error| not_opened(&error))?;
        return session.terminal.print(if plan.is_empty() { "-- nothing to do\n" } else { &plan });
    }
    let pending = |steps: &[Step]| steps.iter().filter(|step| step.applied.is_none()).count();
    let before = migrator.steps().await.map_err(|error| not_opened(&error))?;
    if args.check {
        show(session, &before)?;
        return match pending(&before) {
            0 => Ok(()),
            _ => Err(Fail::silently(ErrorClass::Conflict)),
        };
    }
    let mut applied = Vec::new();
    let ran = migrator.run(|migration| applied.push((migration.version, migration.name))).await;
    for (version, name) in &applied {
        session.terminal.note(&format!("applied {version}: {name}"));
    }
    ran.map_err(|error| not_opened(&error))?;
    show(session, &migrator.steps().await.map_err(|error| not_opened(&error))?)
}

/// What the database has, and what is to come.
fn show(session: &mut Session, steps: &[Step]) -> Result<(), Fail> {
    if session.is_json() {
        let steps: Vec<_> = steps
            .iter()
            .map(|step| serde_json::json!({"version": step.version, "name": step.name, "applied": step.applied}))
            .collect();
        return session.terminal.line(&serde_json::json!({"newest": newest(), "migrations": steps}).to_string());
    }
    let row = |step: &Step| {
        let applied = step.applied.clone().unwrap_or_else(|| "to come".to_owned());
        vec![step.version.to_string(), step.name.clone(), applied]
    };
    let rows: Vec<_> = steps.iter().map(row).collect();
    session.terminal.print(&table(&["VERSION", "WHAT", "APPLIED"], &rows))
}
