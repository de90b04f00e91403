//! `bailiwick operator`: the people who run the installation.

use bailiwick_client::routes;
use bailiwick_types::api::platform::{CreateOperator, UpdateOperator};
use clap::Subcommand;

use super::credential::CredentialCommand;
use crate::args::Paging;
use crate::fail::Fail;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick operator create \"Grace H.\" --role operator-viewer
  bailiwick operator credential issue opr_… --expires 90d
  bailiwick operator disable opr_…

Operators are in no tenant: they create, suspend and delete tenants and never see their contents.")]
pub(crate) enum OperatorCommand {
    /// Add an operator
    Create {
        /// Display name
        name: String,
        /// operator-admin or operator-viewer
        #[arg(long)]
        role: String,
    },
    /// List the operators
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one operator
    Show {
        /// Its id
        operator: String,
    },
    /// Change an operator's name or role
    Update {
        /// Its id
        operator: String,
        /// The new display name
        #[arg(long, required_unless_present = "role")]
        name: Option<String>,
        /// The new role
        #[arg(long)]
        role: Option<String>,
    },
    /// Disable an operator: its credentials work no more until it is enabled
    Disable {
        /// Its id
        operator: String,
    },
    /// Enable an operator
    Enable {
        /// Its id
        operator: String,
    },
    /// Delete an operator and its credentials
    Delete {
        /// Its id
        operator: String,
    },
    /// An operator's credentials
    #[command(subcommand)]
    Credential(CredentialCommand),
}

pub(crate) fn run(session: &mut Session, command: OperatorCommand) -> Result<(), Fail> {
    match command {
        OperatorCommand::Create { name, role } => {
            session.show(&routes::create_operator(&CreateOperator { name, role }))
        }
        OperatorCommand::List { paging } => session.list(routes::operators(), &paging),
        OperatorCommand::Show { operator } => session.show(&routes::operator(&operator).show()),
        OperatorCommand::Update { operator, name, role } => {
            update(session, &operator, UpdateOperator { name, role, is_disabled: None })
        }
        OperatorCommand::Disable { operator } => {
            session.confirm(&format!("Disable operator `{operator}`?"))?;
            update(session, &operator, UpdateOperator { is_disabled: Some(true), ..UpdateOperator::default() })
        }
        OperatorCommand::Enable { operator } => {
            update(session, &operator, UpdateOperator { is_disabled: Some(false), ..UpdateOperator::default() })
        }
        OperatorCommand::Delete { operator } => {
            session.confirm(&format!("Delete operator `{operator}` and its credentials?"))?;
            session.done(&routes::operator(&operator).delete(), &format!("deleted operator {operator}"))
        }
        OperatorCommand::Credential(CredentialCommand::Issue { principal, issue }) => {
            let body = issue.body();
            session.issued(&routes::operator(&principal).issue_credential(&body))
        }
        OperatorCommand::Credential(CredentialCommand::List { principal, paging }) => {
            session.list(routes::operator(&principal).credentials(), &paging)
        }
        OperatorCommand::Credential(CredentialCommand::Revoke { principal, credential }) => {
            session.confirm(&format!("Revoke credential `{credential}`? It cannot be brought back."))?;
            let call = routes::operator(&principal).revoke_credential(&credential);
            session.done(&call, &format!("revoked {credential}"))
        }
    }
}

fn update(session: &mut Session, operator: &str, body: UpdateOperator) -> Result<(), Fail> {
    session.show(&routes::operator(operator).update(&body))
}
