//! `bailiwick platform`: the installation.

use bailiwick_client::routes;
use bailiwick_types::api::platform::{PlatformHealth, RotateRootKey};
use bailiwick_types::api::tenant::Reason;
use clap::Subcommand;

use super::installation::RootKeyArgs;
use super::invariant::{self, InvariantCommand};
use super::ledger::{self, LedgerCommand};
use super::{bundle, caller};
use crate::fail::Fail;
use crate::output::{Human, bytes, count, fields, span};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick platform health
  bailiwick platform rotate-root-key --provider shamir --shares 5 --threshold 3
  bailiwick platform ledger list --action tenant:delete
  bailiwick platform seal --reason \"moving to another data centre\"")]
pub(crate) enum PlatformCommand {
    /// Show the installation's health and totals
    Health,
    /// Show which operator you are
    Whoami,
    /// Show whom bundles for this installation are sealed to, and the key that signs those made here
    Recipient,
    /// Seal the installation: every plane answers as sealed until it is unsealed again
    Seal {
        /// Why, for the platform's ledger
        #[arg(long)]
        reason: Option<String>,
    },
    /// Replace the root key, and wrap every tenant's key anew
    RotateRootKey(RootKeyArgs),
    /// Rules over all requests, whatever tenants write
    #[command(subcommand)]
    Invariant(InvariantCommand),
    /// The platform's own ledger
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

pub(crate) fn run(session: &mut Session, command: PlatformCommand) -> Result<(), Fail> {
    match command {
        PlatformCommand::Health => session.show_with(&routes::health(), health),
        PlatformCommand::Whoami => caller::show(session, &routes::platform_whoami()),
        PlatformCommand::Recipient => session.show_with(&routes::recipient(), bundle::recipient),
        PlatformCommand::Seal { reason } => {
            session.confirm("Seal the whole installation? Every tenant's requests will be refused.")?;
            session.done(&routes::platform_seal(&Reason { reason }), "sealed: `bailiwick unseal` brings it back")
        }
        PlatformCommand::RotateRootKey(args) => rotate(session, &args),
        PlatformCommand::Invariant(command) => invariant::run(session, &routes::platform_invariants(), command),
        PlatformCommand::Ledger(command) => ledger::run(session, &routes::platform_ledger(), command),
    }
}

fn health(health: PlatformHealth, _: Human) -> String {
    let tenants: Vec<_> = health.tenants.iter().map(|(state, number)| format!("{} {state}", count(*number))).collect();
    fields(&[
        ("version", health.version),
        ("engine", health.engine),
        ("storage", health.storage),
        ("tenants", if tenants.is_empty() { "none".to_owned() } else { tenants.join(", ") }),
        ("size", bytes(health.size_bytes)),
        ("ledger entries", count(health.ledger_entries)),
        ("up for", span(std::time::Duration::from_millis(health.uptime_ms))),
    ])
}

fn rotate(session: &mut Session, args: &RootKeyArgs) -> Result<(), Fail> {
    session.confirm("Replace the root key? The old shares or passphrase will open nothing any more.")?;
    let root_key = args.settle(session)?;
    let body = RotateRootKey {
        provider: root_key.provider.to_owned(),
        shares: root_key.shares,
        threshold: root_key.threshold,
        passphrase: root_key.passphrase.map(|passphrase| passphrase.expose().clone()),
    };
    let reply = session.send(&routes::rotate_root_key(&body))?;
    if session.is_json() {
        session.json(reply.text())?;
    } else {
        let rotated = reply.value()?;
        if session.is_quiet() {
            return session
                .terminal
                .print(&rotated.shares.iter().map(|share| format!("{share}\n")).collect::<String>());
        }
        let mut lines = vec![
            ("root key version", rotated.version.to_string()),
            ("tenants wrapped anew", count(rotated.tenants)),
            ("installation key", rotated.installation_key),
        ];
        lines.extend(rotated.shares.into_iter().map(|share| ("share", share)));
        session.terminal.print(&fields(&lines))?;
    }
    if args.has_shares() {
        session.shown_once("each share");
    }
    Ok(())
}
