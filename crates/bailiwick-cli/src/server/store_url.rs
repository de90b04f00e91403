//! Where everything is kept: a URL, and the one place that makes a store of it.
//!
//! # Invariants
//! - INV-STORE-URL-1: no password is in a URL: it would be in the configuration, in a list of processes, and in the log.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_store::Store;
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_types::ErrorClass;
use serde::Deserialize;
use toml::Spanned;

use crate::fail::Fail;
use crate::files;

/// The database's file in the data directory.
const DATABASE_FILE: &str = "bailiwick.db";
/// The schemes of databases elsewhere.
const REMOTE: [&str; 2] = ["postgres://", "postgresql://"];

/// Where everything is kept, and how to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreConfig {
    /// Where.
    pub(crate) url: StoreUrl,
    /// The file with the database's password.
    pub(crate) password_file: Option<PathBuf>,
    /// How the connection to the database is protected.
    pub(crate) sslmode: SslMode,
    /// The certificate, in PEM, that the database's is checked against; absent: the system's.
    pub(crate) root_certificate: Option<PathBuf>,
}

/// Which engine, and where it has its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A database elsewhere; the URL has no password.
    Postgres(String),
}

/// How the connection to the database is protected, in PostgreSQL's own words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SslMode {
    /// Not at all.
    Disable,
    /// Encrypted; who answers is not checked.
    Require,
    /// Encrypted, to somebody with a certificate that checks.
    VerifyCa,
    /// Encrypted, to the host that the URL names.
    #[default]
    VerifyFull,
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSection {
    pub(crate) url: Option<Spanned<String>>,
    password_file: Option<PathBuf>,
    #[serde(default)]
    sslmode: SslMode,
    root_certificate: Option<PathBuf>,
}

/// Why a URL is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreUrlError {
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

impl StoreUrl {
    /// Parses a URL; a relative path is meant from `directory`.
    pub(crate) fn parse(text: &str, directory: &Path) -> Result<Self, StoreUrlError> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(directory.join(path)));
        }
        let Some(rest) = REMOTE.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
            // Not shown: whatever it is, a password may be in it.
            return Err(StoreUrlError {
                message: "the store's URL is neither `sqlite:PATH` nor `postgres://…`".to_owned(),
                hint: "for example `postgres://bailiwick@db.example:5432/bailiwick`",
            });
        };
        let (authority, query) = match rest.split_once(['/', '?']) {
            Some((authority, rest)) => (authority, rest.split_once('?').map_or(rest, |(_, query)| query)),
            None => (rest, ""),
        };
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        let is_password = |pair: &str| pair.split('=').next().is_some_and(|name| name.eq_ignore_ascii_case("password"));
        if user.is_some_and(|user| user.contains(':')) || query.split('&').any(is_password) {
            return Err(StoreUrlError {
                message: "the store's URL holds a password".to_owned(),
                hint: "put it in a file of its own and name that: `[store] password_file = \"…\"`",
            });
        }
        Ok(Self::Postgres(text.to_owned()))
    }

    /// Whether everything is kept elsewhere, and nothing on this machine.
    pub(crate) const fn is_remote(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(url),
        }
    }
}

impl StoreConfig {
    /// The database of a data directory.
    pub(crate) fn in_directory(data: &Path) -> Self {
        Self::of(StoreUrl::Sqlite(data.join(DATABASE_FILE)))
    }

    fn of(url: StoreUrl) -> Self {
        Self { url, password_file: None, sslmode: SslMode::default(), root_certificate: None }
    }

    /// What the section says, if it says where; relative paths are made absolute by `at`.
    pub(crate) fn from_section(section: StoreSection, url: StoreUrl, at: impl Fn(PathBuf) -> PathBuf) -> Self {
        Self {
            password_file: section.password_file.map(&at),
            sslmode: section.sslmode,
            root_certificate: section.root_certificate.map(&at),
            ..Self::of(url)
        }
    }

    /// Opens it. The only place that knows which engine is behind which URL.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Store>, Fail> {
        let unopened = |error: &dyn fmt::Display| Fail::new(ErrorClass::Busy, "store_not_opened", error.to_string());
        match &self.url {
            StoreUrl::Sqlite(path) => {
                if let Some(directory) = path.parent() {
                    files::create_private_dir(directory).map_err(|error| Fail::file(directory, &error))?;
                }
                Ok(SqliteStore::open(path, Options::default()).map_err(|error| unopened(&error))?)
            }
            // PostgreSQL: `bailiwick-store-postgres` goes here, with url, password_file, sslmode and root_certificate.
            StoreUrl::Postgres(_) => Err(unopened(&"this program was built without PostgreSQL")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StoreUrl, StoreUrlError> {
        StoreUrl::parse(text, Path::new("/etc/bailiwick"))
    }

    #[test]
    fn a_url_says_which_engine_and_where() {
        assert_eq!(parse("sqlite:/var/x.db").unwrap(), StoreUrl::Sqlite("/var/x.db".into()));
        assert_eq!(parse("sqlite:x.db").unwrap(), StoreUrl::Sqlite("/etc/bailiwick/x.db".into()));
        for url in ["postgres://db/b", "postgresql://u@db:5432/b?application_name=a:b@c", "postgres://u@h1:1,h2:2/b"] {
            assert_eq!(parse(url).unwrap(), StoreUrl::Postgres(url.to_owned()));
        }
        for bad in ["", "sqlite:", "mysql://db/b", "/var/x.db", "hunter2"] {
            assert_eq!(
                parse(bad).unwrap_err().message,
                "the store's URL is neither `sqlite:PATH` nor `postgres://…`",
                "{bad}"
            );
        }
    }

    #[test]
    fn a_url_with_a_password_is_refused_and_not_repeated() {
        for url in [
            "postgres://u:hunter2@db/b",
            "postgres://u:hunter2@db?x=1",
            "postgresql://u:@db/b",
            "postgres://u@db/b?password=hunter2",
            "postgres://db?sslmode=require&PASSWORD=hunter2",
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.message, "the store's URL holds a password", "{url}");
            assert!(error.hint.contains("password_file"));
        }
    }
}
