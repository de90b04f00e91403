//! The environment variables that the CLI knows; no other file reads any.

use std::path::PathBuf;

use bailiwick_types::Secret;

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// `BAILIWICK_ADDRESS`
    pub(crate) address: Option<String>,
    /// `BAILIWICK_CREDENTIAL`
    pub(crate) credential: Option<Secret<String>>,
    /// `BAILIWICK_PROFILE`
    pub(crate) profile: Option<String>,
    /// `BAILIWICK_CA_FILE`
    pub(crate) ca_file: Option<PathBuf>,
    /// Where profiles are kept: `$XDG_CONFIG_HOME/bailiwick`, or `~/.config/bailiwick`.
    pub(crate) config_dir: Option<PathBuf>,
    /// `PATH`
    pub(crate) path: Vec<PathBuf>,
    /// `VISUAL`, or `EDITOR`
    pub(crate) editor: Option<String>,
}

impl Environment {
    /// Of this process.
    pub(crate) fn of_this_process() -> Self {
        let config_home = text("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let home = || text("HOME").map(|home| PathBuf::from(home).join(".config"));
        Self {
            address: text("BAILIWICK_ADDRESS"),
            credential: text("BAILIWICK_CREDENTIAL").map(Secret::new),
            profile: text("BAILIWICK_PROFILE"),
            ca_file: text("BAILIWICK_CA_FILE").map(PathBuf::from),
            config_dir: config_home.or_else(home).map(|path| path.join("bailiwick")),
            path: std::env::split_paths(&text("PATH").unwrap_or_default()).collect(),
            editor: text("VISUAL").or_else(|| text("EDITOR")),
        }
    }
}

/// `PGPASSWORD`, as every client of PostgreSQL has it: for where secrets are handed out in variables. Not a member above,
/// so that it is in memory only where a database is opened.
pub(crate) fn database_password() -> Option<Secret<String>> {
    text("PGPASSWORD").map(Secret::new)
}

/// Where the password file of PostgreSQL's clients is.
#[derive(Debug)]
pub(crate) enum PasswordFile {
    /// Where `PGPASSFILE` says.
    Named(PathBuf),
    /// In the home directory, if it is there.
    Usual(PathBuf),
}

/// The file that `PGPASSFILE` names, or else `~/.pgpass`.
pub(crate) fn database_password_file() -> Option<PasswordFile> {
    let usual = || text("HOME").map(|home| PasswordFile::Usual(PathBuf::from(home).join(".pgpass")));
    text("PGPASSFILE").map(|path| PasswordFile::Named(PathBuf::from(path))).or_else(usual)
}

/// An empty variable is one that is not set.
#[expect(clippy::disallowed_methods, reason = "this is where the environment enters")]
fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
