//! `bailiwick binding`: roles given to members and accounts.

use bailiwick_types::api::policy::CreateBinding;
use clap::Subcommand;

use crate::args::Paging;
use crate::fail::Fail;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick binding create acc_… secret-reader --on folder/secret/shop
  bailiwick binding create mem_… auditor
  bailiwick binding list --principal acc_…")]
pub(crate) enum BindingCommand {
    /// Give a role to a member or an account
    Create {
        /// Whom: the id of a member or an account
        principal: String,
        /// Which role: see `bailiwick role list`
        role: String,
        /// On what: tenant, mount/NAME, folder/MOUNT/PATH or secret/MOUNT/PATH
        #[arg(long, default_value = "tenant", value_name = "WHAT")]
        on: String,
    },
    /// List the bindings
    List {
        /// Only those of this member or account
        #[arg(long, value_name = "ID")]
        principal: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one binding
    Show {
        /// Its id
        binding: String,
    },
    /// Take a role back
    Delete {
        /// Its id
        binding: String,
    },
}

pub(crate) fn run(session: &mut Session, command: BindingCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        BindingCommand::Create { principal, role, on } => {
            session.show(&tenant.create_binding(&CreateBinding { principal, role, on }))
        }
        BindingCommand::List { principal, paging } => {
            session.list(tenant.bindings().query_opt("principal", principal), &paging)
        }
        BindingCommand::Show { binding } => session.show(&tenant.binding(&binding)),
        BindingCommand::Delete { binding } => {
            session.confirm(&format!("Take binding `{binding}` back?"))?;
            session.done(&tenant.delete_binding(&binding), &format!("deleted binding {binding}"))
        }
    }
}
