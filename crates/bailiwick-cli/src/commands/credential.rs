//! What issuing a credential takes, whoever gets it; and the verbs of members' and operators' credentials.

use bailiwick_types::Timestamp;
use bailiwick_types::api::identity::IssueCredential;
use bailiwick_types::time::format_duration;
use clap::{Args, Subcommand};

use crate::args::Paging;
use crate::input::When;

#[derive(Debug, Args)]
pub(crate) struct IssueArgs {
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    description: String,
    /// When it stops working: a time, or a span such as `90d` [default: never]
    #[arg(long, visible_alias = "ttl", value_name = "WHEN")]
    expires: Option<When>,
    /// A network that it may be used from, such as `10.0.0.0/8`; may be repeated [default: any]
    #[arg(long = "network", value_name = "CIDR")]
    networks: Vec<String>,
}

impl IssueArgs {
    pub(crate) fn body(self) -> IssueCredential {
        let (expires, ttl) = expiry(self.expires);
        IssueCredential { description: self.description, expires, ttl, source_networks: self.networks }
    }
}

/// A moment goes out as it is; a span too, so that it is the server's clock that counts.
pub(crate) fn expiry(when: Option<When>) -> (Option<Timestamp>, Option<String>) {
    match when {
        None => (None, None),
        Some(When::At(moment)) => (Some(moment), None),
        Some(When::Away(span)) => (None, Some(format_duration(span))),
    }
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick member credential issue mem_… --expires 30d
  bailiwick operator credential issue opr_… --network 10.0.0.0/8
  bailiwick member credential revoke mem_… key_…

Once `revoke` has returned, no request completes with the credential, those in flight included.")]
pub(crate) enum CredentialCommand {
    /// Issue a credential; it is shown once
    Issue {
        /// Whose: the id
        #[arg(value_name = "ID")]
        principal: String,
        #[command(flatten)]
        issue: IssueArgs,
    },
    /// List credentials, never their secrets
    List {
        /// Whose: the id
        #[arg(value_name = "ID")]
        principal: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Revoke a credential; it works no more once this returns
    Revoke {
        /// Whose: the id
        #[arg(value_name = "ID")]
        principal: String,
        /// The credential's id
        credential: String,
    },
}
