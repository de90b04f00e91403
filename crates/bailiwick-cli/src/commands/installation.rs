//! `bailiwick init`, `unseal` and `status`: bringing an installation up. They take no credential.

use std::path::PathBuf;

use bailiwick_client::routes;
use bailiwick_types::api::platform::{Initialize, SealStatus, Unseal};
use bailiwick_types::{ErrorClass, Secret};
use clap::{Args, ValueEnum};
use zeroize::Zeroizing;

use crate::args::Hidden;
use crate::fail::Fail;
use crate::output::{Human, fields};
use crate::session::Session;

/// How the root key is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Provider {
    /// In shares that several people keep; some of them together make it
    Shamir,
    /// Behind a passphrase
    Passphrase,
    /// In the file that the server's configuration names
    File,
}

#[derive(Debug, Args)]
pub(crate) struct RootKeyArgs {
    /// How the root key is held
    #[arg(long, value_enum, default_value = "shamir")]
    provider: Provider,
    /// How many shares to make, with shamir [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..))]
    shares: Option<u8>,
    /// How many of them are needed, with shamir [default: 3]
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u8).range(1..))]
    threshold: Option<u8>,
    /// A file with the passphrase, instead of asking for it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// What [`RootKeyArgs`] come to.
pub(crate) struct RootKey {
    pub(crate) provider: &'static str,
    pub(crate) shares: Option<u8>,
    pub(crate) threshold: Option<u8>,
    pub(crate) passphrase: Option<Secret<String>>,
}

impl RootKeyArgs {
    pub(crate) fn has_shares(&self) -> bool {
        self.provider == Provider::Shamir
    }

    pub(crate) fn settle(&self, session: &mut Session) -> Result<RootKey, Fail> {
        if self.provider != Provider::Shamir && (self.shares.is_some() || self.threshold.is_some()) {
            return Err(Fail::usage("--shares and --threshold are for --provider shamir"));
        }
        if self.provider != Provider::Passphrase && self.passphrase_file.is_some() {
            return Err(Fail::usage("--passphrase-file is for --provider passphrase"));
        }
        Ok(match self.provider {
            Provider::File => RootKey { provider: "file", shares: None, threshold: None, passphrase: None },
            Provider::Passphrase => {
                let passphrase = Some(self.passphrase(session)?);
                RootKey { provider: "passphrase", shares: None, threshold: None, passphrase }
            }
            Provider::Shamir => {
                let (shares, threshold) = (self.shares.unwrap_or(5), self.threshold.unwrap_or(3));
                if threshold > shares {
                    return Err(Fail::usage(format!("{threshold} of {shares} shares cannot be")));
                }
                RootKey { provider: "shamir", shares: Some(shares), threshold: Some(threshold), passphrase: None }
            }
        })
    }

    fn passphrase(&self, session: &mut Session) -> Result<Secret<String>, Fail> {
        if let Some(file) = &self.passphrase_file {
            let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| Fail::file(file, &error))?;
            return Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()));
        }
        let first = session.terminal.secret("passphrase")?;
        // A typing error in a passphrase that nobody else knows would be the end of the installation.
        if session.terminal.is_interactive && session.terminal.secret("once more")?.expose() != first.expose() {
            return Err(Fail::usage("the two passphrases differ"));
        }
        Ok(first)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick init                                    5 shares, 3 of them needed
  bailiwick init --shares 3 --threshold 2 -o json
  bailiwick init --provider passphrase

The shares and the operator's credential are shown once and kept nowhere. Give each share to another person.")]
pub(crate) struct InitArgs {
    #[command(flatten)]
    root_key: RootKeyArgs,
}

pub(crate) fn init(session: &mut Session, args: &InitArgs) -> Result<(), Fail> {
    let root_key = args.root_key.settle(session)?;
    let body = Initialize {
        provider: root_key.provider.to_owned(),
        shares: root_key.shares,
        threshold: root_key.threshold,
        passphrase: root_key.passphrase.map(|passphrase| passphrase.expose().clone()),
    };
    let reply = session.anonymous()?.send(&routes::init(&body))?;
    if session.is_json() {
        session.json(reply.text())?;
    } else {
        let made = reply.value()?;
        if session.is_quiet() {
            let shares: String = made.shares.iter().map(|share| format!("{share}\n")).collect();
            return session.terminal.print(&format!("{shares}{}\n", made.operator.credential));
        }
        let mut lines: Vec<_> = made.shares.into_iter().map(|share| ("share", share)).collect();
        lines.push(("operator", made.operator.id.to_string()));
        lines.push(("credential", made.operator.credential));
        session.terminal.print(&fields(&lines))?;
    }
    let what = if args.root_key.has_shares() { "each share, and the credential," } else { "the credential" };
    session.shown_once(what);
    Ok(())
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick unseal                            asks for one share, or the passphrase
  bailiwick unseal --key-file share-1.txt
  cat share-*.txt | bailiwick unseal          one share a line, until it is unsealed")]
pub(crate) struct UnsealArgs {
    /// A file with a share or the passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    key_file: Option<PathBuf>,
    /// The share or the passphrase itself. Every process of this machine can see it, and the shell remembers it
    #[arg(long, value_name = "KEY")]
    key: Option<Hidden>,
    /// Forget the shares that were given so far
    #[arg(long, conflicts_with_all = ["key", "key_file"])]
    reset: bool,
}

pub(crate) fn unseal(session: &mut Session, args: &UnsealArgs) -> Result<(), Fail> {
    let client = session.anonymous()?;
    let send = |body: &Unseal| client.send(&routes::unseal(body)).map_err(Fail::from);
    if args.reset {
        let reply = send(&Unseal { key: None, reset: true })?;
        return session.print_with(&reply, view);
    }
    if args.key.is_some() {
        session.terminal.note("warning: a key on the command line can be seen by every process of this machine");
    }
    // Given one by one: each of them is one person's.
    let given = match (&args.key, &args.key_file) {
        (Some(key), _) => Some(Secret::new(key.expose().to_owned())),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| Fail::file(file, &error))?;
            Some(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, None) if session.terminal.is_interactive => Some(session.terminal.secret("share or passphrase")?),
        (None, None) => None,
    };
    let key = |secret: &Secret<String>| Unseal { key: Some(secret.expose().clone()), reset: false };
    if let Some(given) = given {
        let reply = send(&key(&given))?;
        return session.print_with(&reply, view);
    }
    let mut last = None;
    while let Some(line) = session.terminal.secret_line()? {
        if line.expose().is_empty() {
            continue;
        }
        let reply = send(&key(&line))?;
        let is_sealed = reply.value()?.is_sealed;
        last = Some(reply);
        if !is_sealed {
            break;
        }
    }
    match last {
        Some(reply) => session.print_with(&reply, view),
        None => Err(Fail::usage("standard input is empty").with_hint("give one share a line")),
    }
}

pub(crate) fn status(session: &mut Session) -> Result<(), Fail> {
    let reply = session.anonymous()?.send(&routes::seal_status())?;
    session.print_with(&reply, view)?;
    // So that scripts can wait for it: 0 is unsealed, 8 is not.
    if reply.value()?.is_sealed { Err(Fail::silently(ErrorClass::Sealed)) } else { Ok(()) }
}

fn view(status: SealStatus, _: Human) -> String {
    let is_shamir = status.provider.as_deref() == Some("shamir");
    let mut lines = vec![
        ("initialised", status.is_initialized.to_string()),
        ("sealed", status.is_sealed.to_string()),
        ("root key", status.provider.unwrap_or_else(|| "-".to_owned())),
    ];
    if let (true, Some(threshold), Some(shares)) = (is_shamir, status.threshold, status.shares) {
        lines.push(("shares", format!("{threshold} of {shares}")));
        if status.is_sealed {
            lines.push(("given", status.progress.to_string()));
        }
    }
    lines.push(("version", status.version));
    fields(&lines)
}
