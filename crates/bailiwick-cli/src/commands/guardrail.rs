//! `bailiwick guardrail`: the platform's policies.

use bailiwick_client::routes;
use clap::Subcommand;

use super::policy_text::{self, PutArgs};
use crate::args::Paging;
use crate::fail::Fail;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick guardrail put no-eternal-keys.cedar --dry-run
  bailiwick guardrail put no-eternal-keys.cedar --description \"no key without expiry\"

A guardrail is evaluated together with every tenant's policies. No tenant can relax it.")]
pub(crate) enum GuardrailCommand {
    /// Create or replace a guardrail
    Put(PutArgs),
    /// List the guardrails
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one guardrail
    Show {
        /// Its name
        guardrail: String,
        /// Only its text
        #[arg(long)]
        text: bool,
    },
    /// Delete a guardrail
    Delete {
        /// Its name
        guardrail: String,
    },
}

pub(crate) fn run(session: &mut Session, command: GuardrailCommand) -> Result<(), Fail> {
    match command {
        GuardrailCommand::Put(args) => {
            args.run(session, routes::create_guardrail, |name, body| routes::guardrail(name.as_str()).put(body))
        }
        GuardrailCommand::List { paging } => session.list(routes::guardrails(), &paging),
        GuardrailCommand::Show { guardrail, text: false } => session.show(&routes::guardrail(&guardrail).show()),
        GuardrailCommand::Show { guardrail, text: true } => {
            session.show_with(&routes::guardrail(&guardrail).show(), |policy, _| policy_text::text(&policy))
        }
        GuardrailCommand::Delete { guardrail } => {
            session.confirm(&format!("Delete guardrail `{guardrail}`? It will bind no tenant any more."))?;
            session.done(&routes::guardrail(&guardrail).delete(), &format!("deleted guardrail {guardrail}"))
        }
    }
}
