//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{
    account, attest, backup, bench, binding, docs, guardrail, installation, invariant, isolation, key, keyring, ledger,
    member, mount, operator, platform, policy, profile, restore, role, secret, store, tenant, verify,
};
use crate::output::OutputFormat;
use crate::server;

/// Access, policy, secrets and evidence for many tenants, kept apart.
#[derive(Debug, Parser)]
#[command(
    name = "bailiwick",
    version,
    max_term_width = 100,
    propagate_version = false,
    disable_help_subcommand = true,
    after_help = "\
Start here:
  bailiwick dev                               a server with two sample tenants, on this machine
  bailiwick login                             keep an address and a credential under a name
  bailiwick whoami                            who you are, and in which tenant
  bailiwick secret put secret/app/db user=app password=@password.txt
  bailiwick ledger list --decision deny       what was refused, and to whom

The tenant comes from the credential. The credential comes from --credential-file, --profile, \
BAILIWICK_CREDENTIAL, BAILIWICK_PROFILE or the default profile: the first that is there.

Exit codes: 0 done, 2 invalid, 3 no valid credential, 4 denied, 5 not found, 6 conflict, 7 limit reached, \
8 sealed, 9 unreachable or busy, 10 fault."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    /// The server [env: BAILIWICK_ADDRESS] [default: http://127.0.0.1:8200]
    #[arg(long, global = true, value_name = "URL", hide_short_help = true)]
    pub(crate) address: Option<String>,
    /// The profile to use [env: BAILIWICK_PROFILE] [default: the one chosen with `profile use`]
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub(crate) profile: Option<String>,
    /// A file with the credential [env: BAILIWICK_CREDENTIAL holds the credential itself]
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "insecure_credential", hide_short_help = true)]
    pub(crate) credential_file: Option<PathBuf>,
    /// The credential itself. Every process of this machine can see it, and the shell remembers it
    #[arg(long, global = true, value_name = "CREDENTIAL", hide_short_help = true)]
    pub(crate) insecure_credential: Option<Hidden>,
    /// Restate the credential's tenant, by id or slug; the server refuses any other
    #[arg(long, global = true, value_name = "TENANT", hide_short_help = true)]
    pub(crate) tenant: Option<String>,
    /// A PEM file with the certificate authorities to trust instead of the system's [env: BAILIWICK_CA_FILE]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub(crate) ca_file: Option<PathBuf>,
    /// Let the credential cross a network in clear. For networks that only tests use
    #[arg(long, global = true, hide_short_help = true)]
    pub(crate) insecure_http: bool,
    /// How long to wait for an answer, such as `30s` [default: 60s]
    #[arg(long, global = true, value_name = "SPAN", hide_short_help = true)]
    pub(crate) timeout: Option<String>,
    /// Tables for people, or the API's own JSON for machines
    #[arg(long, short, global = true, value_enum, default_value_t, value_name = "FORM")]
    pub(crate) output: OutputFormat,
    /// Print only names, or only the credential that was issued
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Do not ask before what cannot be undone
    #[arg(long, short, global = true, hide_short_help = true)]
    pub(crate) yes: bool,
}

/// A word of the command line that no message repeats.
#[derive(Clone)]
pub(crate) struct Hidden(String);

impl Hidden {
    /// The word.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Hidden {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

/// How much of a list.
#[derive(Debug, Args)]
pub(crate) struct Paging {
    /// How many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub(crate) limit: u64,
    /// Go on from here
    #[arg(long, allow_hyphen_values = true)]
    pub(crate) cursor: Option<String>,
    /// All of them
    #[arg(long, conflicts_with_all = ["limit", "cursor"])]
    pub(crate) all: bool,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a server on this machine with two sample tenants
    Dev(server::DevArgs),
    /// Start a server
    Serve(server::ServeArgs),
    /// Look at a server's configuration
    #[command(subcommand)]
    Config(server::ConfigCommand),
    /// Where everything is kept: copies, and the roles, schema and checks of a database
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Write a whole installation into one file, also while a server uses it
    Backup(backup::BackupArgs),
    /// Make an installation from a backup
    Restore(restore::RestoreArgs),

    /// Initialise an installation: make its root key and its first operator
    Init(installation::InitArgs),
    /// Give a sealed installation a share of its root key, or its passphrase
    Unseal(installation::UnsealArgs),
    /// Show whether an installation is initialised and unsealed
    Status,

    /// Keep an address and a credential under a name, after trying them
    Login(profile::LoginArgs),
    /// Names for addresses and credentials
    #[command(subcommand)]
    Profile(profile::ProfileCommand),

    /// Tenants, for operators
    #[command(subcommand)]
    Tenant(tenant::TenantCommand),
    /// Operators of the installation and their credentials
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Policies of the platform that no tenant can relax
    #[command(subcommand)]
    Guardrail(guardrail::GuardrailCommand),
    /// The installation: health, root key, ledger
    #[command(subcommand)]
    Platform(platform::PlatformCommand),
    /// What the server found when it tried its own isolation
    #[command(subcommand)]
    Isolation(isolation::IsolationCommand),
    /// Measure the installation: throughput, latency, and what a flood costs a neighbour
    Bench(bench::BenchArgs),

    /// Show who you are, in which tenant, and with which roles
    Whoami,
    /// Revoke the credential that you are using
    RevokeSelf,
    /// Show what you may do on paths of secrets
    Capabilities {
        /// Paths such as `secret/app/db`, `secret/app/` for a folder, or those of the Vault door
        #[arg(required = true)]
        paths: Vec<String>,
    },
    /// Show the limits in force and how much of them is used
    Limits,
    /// The tenant's people and their credentials
    #[command(subcommand)]
    Member(member::MemberCommand),
    /// Service accounts and agents
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// API keys of accounts
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// The roles that ship with the product
    #[command(subcommand)]
    Role(role::RoleCommand),
    /// Roles given to members and accounts
    #[command(subcommand)]
    Binding(binding::BindingCommand),
    /// The tenant's own policies, in Cedar
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Rules over all possible requests, which no change of policies may break
    #[command(subcommand)]
    Invariant(invariant::InvariantCommand),
    /// Prove isolation, guardrails and invariants of the policies in force
    #[command(after_help = "\
Examples:
  bailiwick prove
  bailiwick prove --output json

The same as `bailiwick invariant check`. Exit code 6: something is untrue, and a request is shown for which it is.")]
    Prove,
    /// Mounts: where secrets live
    #[command(subcommand)]
    Mount(mount::MountCommand),
    /// Secrets and their versions
    #[command(subcommand)]
    Secret(secret::SecretCommand),
    /// The tenant's ledger: everything that was done or refused
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// The tenant's keys
    #[command(subcommand)]
    Keyring(keyring::KeyringCommand),

    /// Get a signed attestation: which program, rules, proofs and probes stand behind the tenant's isolation
    Attest(attest::AttestArgs),
    /// Verify an exported ledger, a proof or an attestation, offline
    Verify(verify::VerifyArgs),
    /// Print a completion script
    #[command(alias = "completion", after_help = "Examples:\n  source <(bailiwick completions bash)")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the generated reference
    #[command(subcommand, hide = true)]
    Docs(docs::DocsCommand),
}
