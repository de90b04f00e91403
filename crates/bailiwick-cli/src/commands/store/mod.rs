//! `bailiwick store`: where everything is kept, as whoever runs its machine or its database handles it. No server is asked.

mod copy;
mod schema;

use clap::Subcommand;

use crate::fail::Fail;
use crate::server::StoreArgs;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick store roles | psql -h db.example -U postgres
  bailiwick store migrate --store postgres://bailiwick_owner@db.example/bailiwick --store-password-file owner.password
  bailiwick store check --store postgres://bailiwick_server@db.example/bailiwick --store-password-file server.password
  bailiwick store copy --from sqlite:data/bailiwick.db --to postgres://bailiwick_server@db.example/bailiwick \\
      --to-password-file server.password

An embedded store is made and migrated by the server that opens it.")]
pub(crate) enum StoreCommand {
    /// Print the statements that make a database and its two roles
    Roles(schema::RolesArgs),
    /// Bring a database's schema to the version that this build needs
    Migrate(schema::MigrateArgs),
    /// Look at a database as a node does before it starts: its schema, its roles, its fences
    Check {
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Copy a whole installation into another store, of any engine, and compare the two
    #[command(after_help = "\
Nothing is opened: what is sealed is copied as it is. The target answers nothing before everything in it was compared with \
the source: every record, every entry, every ledger's root.

The source may be in use; the copy is of one moment. To change over without loss: copy while the server runs, stop it, and \
give the same command again, which brings the copy up to date. What was interrupted is continued in the same way.")]
    Copy(copy::CopyArgs),
}

pub(crate) fn run(session: &mut Session, command: StoreCommand) -> Result<(), Fail> {
    match command {
        StoreCommand::Roles(args) => schema::roles(session, args),
        StoreCommand::Migrate(args) => schema::migrate(session, &args),
        StoreCommand::Check { store } => schema::check(session, &store),
        StoreCommand::Copy(args) => copy::run(session, args),
    }
}
