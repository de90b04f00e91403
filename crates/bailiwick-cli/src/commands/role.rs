//! `bailiwick role`: the roles that ship with the product.

use clap::Subcommand;

use crate::fail::Fail;
use crate::output::list;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick role list
  bailiwick role show secret-reader")]
pub(crate) enum RoleCommand {
    /// List the roles
    List,
    /// Show a role, the actions that it allows, and its Cedar template
    Show {
        /// Its name
        role: String,
    },
}

pub(crate) fn run(session: &mut Session, command: RoleCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        RoleCommand::List => {
            let is_quiet = session.is_quiet();
            session.show_with(&tenant.roles(), |page, human| list(&page.items, is_quiet, human))
        }
        RoleCommand::Show { role } => session.show(&tenant.role(&role)),
    }
}
