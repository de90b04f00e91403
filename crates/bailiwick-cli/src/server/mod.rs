//! `bailiwick dev`, `serve` and `config`: the commands that are a server, or are about one.

mod check;
pub(crate) mod config;
pub(crate) mod credentials;
mod descriptors;
mod logging;
mod node;
mod passfile;
mod program;
mod prover;
mod start;
mod store_config;
pub(crate) mod store_url;
mod tls;
mod welcome;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use self::config::{Config, LogFormat};
use self::credentials::DevCredentials;
pub(crate) use self::start::Told;
use self::store_url::StoreUrl;
use self::welcome::Welcome;
use crate::fail::Fail;
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick dev
  bailiwick dev --listen 127.0.0.1:8300 --data /tmp/try --credentials-file try.json

The first start makes the data directory, a root key in a file, and the sample tenants acme and globex. A later \
start finds everything as it was left. This is for one person on one machine: for anything else, `bailiwick serve`.")]
pub(crate) struct DevArgs {
    /// Where to listen; an address of this machine only
    #[arg(long, default_value = "127.0.0.1:8200", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Where to keep everything
    #[arg(long, default_value = "bailiwick-data", value_name = "DIRECTORY")]
    pub(crate) data: PathBuf,
    /// Where to write the credentials, for scripts [default: credentials.json in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) credentials_file: Option<PathBuf>,
    /// What to log: error, warn, info, debug, or a filter such as `info,bailiwick_http=debug`
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    pub(crate) log: String,
}

impl DevArgs {
    /// Where the credentials go. They are kept at all because they are stored nowhere else: a second start could not
    /// show them again. Next to a root key in a file they weaken nothing.
    pub(crate) fn credentials_file(&self) -> PathBuf {
        self.credentials_file.clone().unwrap_or_else(|| self.data.join("credentials.json"))
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick config example > bailiwick.toml
  bailiwick config check --config bailiwick.toml
  bailiwick serve --config bailiwick.toml
  bailiwick serve --config bailiwick.toml --store postgres://bailiwick_server@db.example/bailiwick \\
      --store-password-file /etc/bailiwick/db-password

SIGTERM and Ctrl-C end it gracefully: readiness says no, and requests in flight are answered. A second one ends it at \
once.")]
pub(crate) struct ServeArgs {
    /// The configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
}

/// Which store.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// Where everything is kept: `sqlite:PATH`, or `postgres://ROLE@HOST/DATABASE` for many nodes [default: a file in the
    /// data directory]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// The file that holds the password of the database's role
    #[arg(long, value_name = "FILE", requires = "store")]
    store_password_file: Option<PathBuf>,
}

impl StoreArgs {
    /// The store, if one was named.
    pub(crate) fn url(&self) -> Result<Option<StoreUrl>, Fail> {
        self.store.as_deref().map(|url| StoreUrl::parse(url, self.store_password_file.as_deref())).transpose()
    }
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick config example > bailiwick.toml
  bailiwick config check --config bailiwick.toml")]
pub(crate) enum ConfigCommand {
    /// Check a configuration and the files that it names, and start nothing
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Print a configuration with every setting, explained
    Example,
}

/// Runs what needs a runtime, for commands that speak with a database themselves.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Fail>>) -> Result<T, Fail> {
    start::runtime()?.block_on(work)
}

pub(crate) fn dev(session: &mut Session, args: DevArgs) -> Result<(), Fail> {
    if !args.listen.ip().is_loopback() {
        return Err(Fail::usage(format!("{} is not an address of this machine only", args.listen))
            .with_hint("`dev` speaks plain HTTP and prints credentials; for a network there is `bailiwick serve`"));
    }
    logging::init(LogFormat::Text, &args.log)?;
    start::dev(session, &args)
}

/// What `dev` does once its server listens: hands the credentials to scripts and to the person who started it.
pub(crate) fn announce(
    session: &mut Session,
    args: &DevArgs,
    credentials: &DevCredentials,
    is_first_start: bool,
) -> Result<(), Fail> {
    let credentials_file = args.credentials_file();
    credentials.write(&credentials_file)?;
    let program =
        welcome::program(std::env::current_exe().ok(), std::env::current_dir().ok().as_deref(), &session.env.path);
    let welcome =
        Welcome { program, data: &args.data, credentials_file: &credentials_file, is_first_start, credentials };
    session.terminal.print(&welcome.text())
}

pub(crate) fn serve(session: &mut Session, args: &ServeArgs) -> Result<(), Fail> {
    let mut config = Config::read(&args.config, args.store.store.as_deref())?;
    if let Some(file) = &args.store.store_password_file {
        config.store.password_file = Some(file.clone());
    }
    check::run(&config)?;
    logging::init(config.log.format, &config.log.level)?;
    start::serve(session, &config)
}

pub(crate) fn config(session: &mut Session, command: ConfigCommand) -> Result<(), Fail> {
    match command {
        ConfigCommand::Check { config: file } => {
            let config = Config::read(&file, None)?;
            let mut findings = check::run(&config)?;
            findings.extend(check::solver(&config));
            session.terminal.print(&crate::output::fields(&config.summary()))?;
            for finding in findings {
                session.terminal.note(&format!("note: {finding}"));
            }
            Ok(())
        }
        ConfigCommand::Example => session.terminal.print(config::EXAMPLE),
    }
}
