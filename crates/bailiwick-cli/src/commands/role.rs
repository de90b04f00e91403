//! `bailiwick role`: the roles that ship with the product.

use clap::Subcommand;

use crate::args::Paging;
use crate::fail::Fail;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick role list
  bailiwick role show secret-reader")]
pub(crate) enum RoleCommand {
    /// List the roles
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a role, the actions that it allows, and its Cedar template
    Show {
        /// Its name
        role: String,
    },
}

pub(crate) fn run(session: &mut Session, command: RoleCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        RoleCommand::List { paging } => session.list(tenant.roles(), &paging),
        RoleCommand::Show { role } => session.show(&tenant.role(&role)),
    }
}
