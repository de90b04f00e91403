//! The configuration's word on where everything is kept. What a URL means is `store_url`'s.
//!
//! # Invariants
//! - INV-STORE-CONFIG-1: no password is in a file's URL, and none is ever shown.

use std::path::{Path, PathBuf};

use bailiwick_store_postgres::Way;
use serde::Deserialize;
use toml::Spanned;

use super::store_url::StoreUrl;
use crate::fail::Fail;

/// The database's file in the data directory.
const DATABASE_FILE: &str = "bailiwick.db";
/// The schemes of databases elsewhere.
const REMOTE: [&str; 2] = ["postgres://", "postgresql://"];

/// Where everything is kept, and how to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreConfig {
    /// Where.
    pub(crate) url: Place,
    /// The file with the database's password.
    pub(crate) password_file: Option<PathBuf>,
    /// How the connection to the database is protected; a URL that says something else is refused.
    pub(crate) sslmode: Option<SslMode>,
    /// The certificate, in PEM, that the database's is checked against.
    pub(crate) root_certificate: Option<PathBuf>,
}

/// Which engine, and where it has its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A database elsewhere.
    Postgres(String),
}

/// How the connection to the database is protected, in PostgreSQL's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SslMode {
    /// Not at all.
    Disable,
    /// Encrypted, to the host that the URL names.
    VerifyFull,
}

/// Who wrote a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A file, which is copied, kept and shown around.
    File,
    /// Whoever started this process.
    CommandLine,
}

/// The section as it is written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSection {
    pub(crate) url: Option<Spanned<String>>,
    password_file: Option<PathBuf>,
    sslmode: Option<SslMode>,
    root_certificate: Option<PathBuf>,
}

/// Why a URL is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlaceError {
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

impl Place {
    /// Parses a URL; a relative path is meant from `directory`.
    pub(crate) fn parse(text: &str, directory: &Path, origin: Origin) -> Result<Self, PlaceError> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(directory.join(path)));
        }
        let Some(rest) = REMOTE.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
            // Not shown: whatever it is, a password may be in it.
            return Err(PlaceError {
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
        let has_password = user.is_some_and(|user| user.contains(':')) || query.split('&').any(is_password);
        if has_password && origin == Origin::File {
            return Err(PlaceError {
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

impl StoreConfig {
    /// The database of a data directory.
    pub(crate) fn in_directory(data: &Path) -> Self {
        Self::of(Place::Sqlite(data.join(DATABASE_FILE)))
    }

    fn of(url: Place) -> Self {
        Self { url, password_file: None, sslmode: None, root_certificate: None }
    }

    /// What the section says, if it says where; relative paths are made absolute by `at`.
    pub(crate) fn from_section(section: StoreSection, url: Place, at: impl Fn(PathBuf) -> PathBuf) -> Self {
        Self {
            password_file: section.password_file.map(&at),
            sslmode: section.sslmode,
            root_certificate: section.root_certificate.map(&at),
            ..Self::of(url)
        }
    }

    /// The store's URL, complete: with how the way there is protected, and the password from its file.
    pub(crate) fn url(&self) -> Result<StoreUrl, Fail> {
        let text = match &self.url {
            Place::Sqlite(path) => return Ok(StoreUrl::Sqlite(path.clone())),
            Place::Postgres(text) => text,
        };
        let sslmode = self.sslmode.map(|mode| match mode {
            SslMode::Disable => "disable".to_owned(),
            SslMode::VerifyFull => "verify-full".to_owned(),
        });
        let way = Way { sslmode, roots: self.root_certificate.clone(), ..Way::default() };
        StoreUrl::parse_with(text, way, self.password_file.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Place, PlaceError> {
        Place::parse(text, Path::new("/etc/bailiwick"), Origin::File)
    }

    #[test]
    fn a_url_says_which_engine_and_where() {
        assert_eq!(parse("sqlite:/var/x.db").unwrap(), Place::Sqlite("/var/x.db".into()));
        assert_eq!(parse("sqlite:x.db").unwrap(), Place::Sqlite("/etc/bailiwick/x.db".into()));
        for url in ["postgres://db/b", "postgresql://u@db:5432/b?application_name=a:b@c", "postgres://u@h1:1,h2:2/b"] {
            assert_eq!(parse(url).unwrap(), Place::Postgres(url.to_owned()));
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
