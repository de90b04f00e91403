//! `bailiwick keyring`: the tenant's keys.

use bailiwick_types::api::tenant::{Keyring, Reason, RotateKey};
use clap::Subcommand;

use crate::fail::Fail;
use crate::output::{Human, table};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick keyring show
  bailiwick keyring rotate records
  bailiwick keyring seal --reason \"stolen laptop\"

Rotation is online: new things are sealed with the new key, old ones still open with theirs.")]
pub(crate) enum KeyringCommand {
    /// Show the keys and their versions, never their material
    Show,
    /// Rotate a key
    Rotate {
        /// tenant, records, ledger, credentials, cursors or ledger-signing
        purpose: String,
    },
    /// Seal the tenant: its plane answers as sealed until an operator unseals it
    Seal {
        /// Why, for the ledger
        #[arg(long)]
        reason: Option<String>,
    },
}

pub(crate) fn run(session: &mut Session, command: KeyringCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        KeyringCommand::Show => session.show_with(&tenant.keyring(), view),
        KeyringCommand::Rotate { purpose } => session.show_with(&tenant.rotate_key_of(&RotateKey { purpose }), view),
        KeyringCommand::Seal { reason } => {
            session.confirm("Seal the tenant? Only an operator can unseal it.")?;
            session.done(&tenant.seal(&Reason { reason }), "sealed: only an operator can unseal it")
        }
    }
}

fn view(keyring: Keyring, human: Human) -> String {
    let rows: Vec<_> = keyring
        .keys
        .into_iter()
        .map(|key| {
            let state = if key.is_current { "current" } else { "opens old things" };
            vec![key.purpose, key.version.to_string(), human.moment(key.created), state.to_owned()]
        })
        .collect();
    let keys: Vec<_> = keyring.ledger_keys.into_iter().map(|key| vec![key]).collect();
    format!(
        "{}\n{}",
        table(&["PURPOSE", "VERSION", "CREATED", "STATE"], &rows),
        table(&["KEYS THAT VERIFY THE LEDGER"], &keys)
    )
}
