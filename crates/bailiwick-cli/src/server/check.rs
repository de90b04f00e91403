//! Whether the files that a configuration names are there and as they must be.

use std::path::Path;

use bailiwick_prove::Prover;

use super::config::{Config, RootKey};
use super::store_config::{Place, SslMode};
use super::tls;
use crate::fail::Fail;
use crate::files;

/// Checks everything that can be checked without starting. Answers with what is worth knowing and no error.
pub(crate) fn run(config: &Config) -> Result<Vec<String>, Fail> {
    let mut notes = Vec::new();
    match &config.tls {
        Some(tls) => {
            tls::load(tls)?;
            // No error: what is at stake is the server's name, not what it keeps; and certificate tools often leave
            // their files like this.
            if files::is_exposed(&tls.key).map_err(|error| Fail::file(&tls.key, &error))? {
                notes.push(format!("others may read the private key `{}`", tls.key.display()));
            }
        }
        None if !config.listen.ip().is_loopback() => {
            notes.push("plain HTTP on a network: something in front of it must speak TLS".to_owned());
        }
        None => {}
    }
    match &config.root_key {
        RootKey::File { file } => private(file, "the root key", &mut notes)?,
        RootKey::Passphrase { passphrase_file: Some(file) } => private(file, "the passphrase", &mut notes)?,
        RootKey::Passphrase { passphrase_file: None } => {
            notes.push("after each start somebody gives the passphrase: `bailiwick unseal`".to_owned());
        }
        RootKey::Shamir => notes.push("after each start shares are given: `bailiwick unseal`".to_owned()),
    }
    if let Some(file) = &config.store.password_file {
        private(file, "the database's password", &mut notes)?;
    }
    if let Place::Sqlite(file) = &config.store.url {
        let data = file.parent().unwrap_or(Path::new(""));
        if data.exists() && !data.is_dir() {
            return Err(Fail::usage(format!("`{}` is not a directory", data.display())));
        }
        if !data.exists() {
            notes.push(format!("`{}` will be made", data.display()));
        }
    } else {
        config.store.url()?;
        if config.store.sslmode == Some(SslMode::Disable) {
            notes.push("what goes to the database and back is not encrypted: `sslmode = \"verify-full\"`".to_owned());
        }
    }
    Ok(notes)
}

/// Whether changes of policies can be proved. Starts the solver, which the server does only when it is asked.
pub(crate) fn solver(config: &Config) -> Option<String> {
    let why = Prover::new(config.prove.clone()).check_solver().err()?;
    let what = if config.require_proof { "every change of policies will be refused" } else { "nothing will be proved" };
    Some(format!("{what}: `{}`: {why}", config.prove.solver.display()))
}

fn private(file: &std::path::Path, what: &str, notes: &mut Vec<String>) -> Result<(), Fail> {
    match files::is_exposed(file) {
        Ok(false) => Ok(()),
        Ok(true) => Err(Fail::usage(format!("`{}` holds {what} and others may read it", file.display()))
            .with_hint(format!("chmod 600 {}", file.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            notes.push(format!("`{}` is not there yet: {what} goes there", file.display()));
            Ok(())
        }
        Err(error) => Err(Fail::file(file, &error)),
    }
}
