//! One module per noun: its verbs, and what each sends and prints.

pub(crate) mod account;
pub(crate) mod attest;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod binding;
mod bundle;
pub(crate) mod caller;
pub(crate) mod credential;
pub(crate) mod docs;
pub(crate) mod guardrail;
pub(crate) mod installation;
pub(crate) mod invariant;
pub(crate) mod isolation;
pub(crate) mod key;
pub(crate) mod keyring;
pub(crate) mod ledger;
pub(crate) mod ledger_view;
pub(crate) mod member;
pub(crate) mod mount;
pub(crate) mod moving;
pub(crate) mod operator;
pub(crate) mod platform;
pub(crate) mod policy;
pub(crate) mod policy_change;
pub(crate) mod policy_text;
pub(crate) mod profile;
pub(crate) mod restore;
pub(crate) mod role;
pub(crate) mod secret;
pub(crate) mod secret_metadata;
pub(crate) mod store;
mod store_copy;
pub(crate) mod tenant;
pub(crate) mod verify;

use clap::CommandFactory as _;

use crate::args::{Cli, Command};
use crate::fail::Fail;
use crate::server;
use crate::session::Session;

/// Runs a command.
pub(crate) fn run(session: &mut Session, command: Command) -> Result<(), Fail> {
    match command {
        Command::Dev(args) => server::dev(session, args),
        Command::Serve(args) => server::serve(session, &args),
        Command::Config(command) => server::config(session, command),
        Command::Store(command) => store::run(session, command),
        Command::Backup(args) => backup::run(session, args),
        Command::Restore(args) => restore::run(session, args),
        Command::Init(args) => installation::init(session, &args),
        Command::Unseal(args) => installation::unseal(session, &args),
        Command::Status => installation::status(session),
        Command::Login(args) => profile::login(session, args),
        Command::Profile(command) => profile::run(session, command),
        Command::Tenant(command) => tenant::run(session, command),
        Command::Operator(command) => operator::run(session, command),
        Command::Guardrail(command) => guardrail::run(session, command),
        Command::Platform(command) => platform::run(session, command),
        Command::Isolation(command) => isolation::run(session, command),
        Command::Bench(args) => bench::run(session, &args),
        Command::Whoami => caller::whoami(session),
        Command::RevokeSelf => caller::revoke_self(session),
        Command::Capabilities { paths } => caller::capabilities(session, &paths),
        Command::Limits => caller::limits(session),
        Command::Member(command) => member::run(session, command),
        Command::Account(command) => account::run(session, command),
        Command::Key(command) => key::run(session, command),
        Command::Role(command) => role::run(session, command),
        Command::Binding(command) => binding::run(session, command),
        Command::Policy(command) => policy::run(session, command),
        Command::Invariant(command) => {
            let invariants = session.tenant()?.invariants();
            invariant::run(session, &invariants, command)
        }
        Command::Prove => {
            let invariants = session.tenant()?.invariants();
            invariant::check(session, &invariants)
        }
        Command::Mount(command) => mount::run(session, command),
        Command::Secret(command) => secret::run(session, command),
        Command::Ledger(command) => {
            let ledger = session.tenant()?.ledger();
            ledger::run(session, &ledger, command)
        }
        Command::Keyring(command) => keyring::run(session, command),
        Command::Attest(args) => attest::run(session, &args),
        Command::Verify(args) => verify::run(session, &args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bailiwick", &mut script);
            session.terminal.print(&String::from_utf8_lossy(&script))
        }
        Command::Docs(command) => docs::run(session, &command),
    }
}
