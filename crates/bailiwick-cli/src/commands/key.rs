//! `bailiwick key`: API keys of accounts.

use bailiwick_types::api::identity::RotateCredential;
use clap::Subcommand;

use super::credential::{IssueArgs, expiry};
use crate::args::Paging;
use crate::fail::Fail;
use crate::input::When;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick key issue acc_… --expires 90d --network 10.0.0.0/8
  bailiwick key issue acc_… --quiet | my-vault-of-choice store
  bailiwick key rotate acc_… key_… --overlap 24h
  bailiwick key revoke acc_… key_…

Once `revoke` has returned, no request completes with the key, those in flight included.")]
pub(crate) enum KeyCommand {
    /// Issue a key to an account; it is shown once
    Issue {
        /// The account's id
        account: String,
        #[command(flatten)]
        issue: IssueArgs,
    },
    /// List an account's keys, never their secrets
    List {
        /// The account's id
        account: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one key, never its secret
    Show {
        /// The account's id
        account: String,
        /// The key's id
        key: String,
    },
    /// Issue a successor; the old key lives on for an overlap
    Rotate {
        /// The account's id
        account: String,
        /// The old key's id
        key: String,
        /// How long the old key still works, such as `24h`; `0s` ends it at once
        #[arg(long, value_name = "SPAN")]
        overlap: Option<String>,
        /// When the successor stops working: a time, or a span such as `90d`
        #[arg(long, visible_alias = "ttl", value_name = "WHEN")]
        expires: Option<When>,
    },
    /// Revoke a key
    Revoke {
        /// The account's id
        account: String,
        /// The key's id
        key: String,
    },
}

pub(crate) fn run(session: &mut Session, command: KeyCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        KeyCommand::Issue { account, issue } => session.issued(&tenant.issue_key(&account, &issue.body())),
        KeyCommand::List { account, paging } => session.list(tenant.keys(&account), &paging),
        KeyCommand::Show { account, key } => session.show(&tenant.key(&account, &key)),
        KeyCommand::Rotate { account, key, overlap, expires } => {
            let (expires, ttl) = expiry(expires);
            session.issued(&tenant.rotate_key(&account, &key, &RotateCredential { overlap, expires, ttl }))
        }
        KeyCommand::Revoke { account, key } => {
            session.confirm(&format!("Revoke key `{key}`? It cannot be brought back."))?;
            session.done(&tenant.revoke_key(&account, &key), &format!("revoked {key}"))
        }
    }
}
