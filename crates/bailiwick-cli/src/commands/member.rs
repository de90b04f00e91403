//! `bailiwick member`: the tenant's people.

use bailiwick_types::api::identity::{CreateMember, UpdateMember};
use clap::Subcommand;

use super::credential::CredentialCommand;
use crate::args::Paging;
use crate::fail::Fail;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick member create \"Ada L.\" --email ada@acme.example --role admin
  bailiwick member credential issue mem_… --expires 30d
  bailiwick member update mem_… --role auditor")]
pub(crate) enum MemberCommand {
    /// Add a member with a role
    Create {
        /// Display name
        name: String,
        /// owner, admin, auditor, viewer or another role
        #[arg(long)]
        role: String,
        /// E-mail address
        #[arg(long)]
        email: Option<String>,
    },
    /// List the members
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one member
    Show {
        /// Its id
        member: String,
    },
    /// Change a member's name, e-mail address or role
    Update {
        /// Its id
        member: String,
        /// The new display name
        #[arg(long, required_unless_present_any = ["email", "role"])]
        name: Option<String>,
        /// The new e-mail address
        #[arg(long)]
        email: Option<String>,
        /// The new role
        #[arg(long)]
        role: Option<String>,
    },
    /// Disable a member: its credentials work no more until it is enabled
    Disable {
        /// Its id
        member: String,
    },
    /// Enable a member
    Enable {
        /// Its id
        member: String,
    },
    /// Delete a member and its credentials
    Delete {
        /// Its id
        member: String,
    },
    /// A member's credentials
    #[command(subcommand)]
    Credential(CredentialCommand),
}

pub(crate) fn run(session: &mut Session, command: MemberCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        MemberCommand::Create { name, role, email } => {
            session.show(&tenant.create_member(&CreateMember { name, email, role }))
        }
        MemberCommand::List { paging } => session.list(tenant.members(), &paging),
        MemberCommand::Show { member } => session.show(&tenant.member(&member)),
        MemberCommand::Update { member, name, email, role } => {
            session.show(&tenant.update_member(&member, &UpdateMember { name, email, role, is_disabled: None }))
        }
        MemberCommand::Disable { member } => {
            session.confirm(&format!("Disable member `{member}`?"))?;
            let body = UpdateMember { is_disabled: Some(true), ..UpdateMember::default() };
            session.show(&tenant.update_member(&member, &body))
        }
        MemberCommand::Enable { member } => {
            let body = UpdateMember { is_disabled: Some(false), ..UpdateMember::default() };
            session.show(&tenant.update_member(&member, &body))
        }
        MemberCommand::Delete { member } => {
            session.confirm(&format!("Delete member `{member}` and its credentials?"))?;
            session.done(&tenant.delete_member(&member), &format!("deleted member {member}"))
        }
        MemberCommand::Credential(CredentialCommand::Issue { principal, issue }) => {
            session.issued(&tenant.issue_member_credential(&principal, &issue.body()))
        }
        MemberCommand::Credential(CredentialCommand::List { principal, paging }) => {
            session.list(tenant.member_credentials(&principal), &paging)
        }
        MemberCommand::Credential(CredentialCommand::Revoke { principal, credential }) => {
            session.confirm(&format!("Revoke credential `{credential}`? It cannot be brought back."))?;
            let call = tenant.revoke_member_credential(&principal, &credential);
            session.done(&call, &format!("revoked {credential}"))
        }
    }
}
