//! Where an installation is kept, as one word: the one place that knows which engines there are.
//!
//! `sqlite:PATH` is the embedded engine; `postgres://…` many nodes on one database. The password of a database should not be
//! part of its URL, which is seen in lists of processes and in files: it comes from a file of its own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bailiwick_store::Store;
use bailiwick_store_postgres::{OpenError as DatabaseError, PostgresStore, Url};
use bailiwick_store_sqlite::{OpenError, Options, SqliteSnapshot, SqliteStore};
use bailiwick_types::ErrorClass;

use crate::fail::Fail;

/// The address of a store. It is never printed with what may be secret in it.
#[derive(Debug, Clone)]
pub(crate) enum StoreUrl {
    /// `sqlite:PATH`: the embedded engine's file.
    Sqlite(PathBuf),
    /// `postgres://…`: a database, used by any number of nodes.
    Postgres(Url),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            Some(("postgres" | "postgresql", _)) => {
                Url::parse(text).map(Self::Postgres).map_err(|error| error.to_string())
            }
            _ => Err("a store is named by its engine and its place, such as `sqlite:data/bailiwick.db` or \
                      `postgres://role@host/database`"
                .to_owned()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&url.shown()),
        }
    }
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everything. No other process may have an embedded store open; one that is not there is made.
    Write,
    /// To be read, and nothing else; also one that a server has open. It must be there.
    Read,
}

impl StoreUrl {
    /// With the password of a database's role from its file.
    pub(crate) fn with_password_of(self, file: Option<&Path>) -> Result<Self, Fail> {
        match (self, file) {
            (Self::Postgres(url), Some(file)) => {
                let password = std::fs::read_to_string(file).map_err(|error| Fail::file(file, &error))?;
                Ok(Self::Postgres(url.with_password(password.trim_end_matches(['\r', '\n']))))
            }
            (this, _) => Ok(this),
        }
    }

    /// Whether there is anything to open, as far as this can be told without asking a server.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Sqlite(path) => path.exists(),
            Self::Postgres(_) => true,
        }
    }

    /// Opens it. The tasks of a database's store live in the runtime that this is called in.
    pub(crate) async fn open(&self, access: Access) -> Result<Arc<dyn Store>, Fail> {
        let refused = |error: OpenError| {
            let is_in_use = matches!(error, OpenError::InUse { .. });
            let fail = Fail::new(ErrorClass::Busy, "store_not_opened", format!("{self}: {error}"));
            if is_in_use { fail.with_hint("stop that server first") } else { fail }
        };
        match (self, access) {
            (Self::Sqlite(path), Access::Write) => {
                let store = SqliteStore::open(path, Options::default()).map_err(refused)?;
                Ok(store)
            }
            (Self::Sqlite(path), Access::Read) => {
                let store = SqliteSnapshot::open(path).map_err(refused)?;
                Ok(store)
            }
            (Self::Postgres(url), _) => {
                let options = bailiwick_store_postgres::Options::default();
                let store = PostgresStore::connect(url, options).await.map_err(|error| not_opened(&error))?;
                Ok(store)
            }
        }
    }

    /// Whether both are the same place, as far as their names tell.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(two)) => {
                one == two || matches!((one.canonicalize(), two.canonicalize()), (Ok(one), Ok(two)) if one == two)
            }
            (Self::Postgres(one), Self::Postgres(two)) => one.shown() == two.shown(),
            _ => false,
        }
    }
}

/// A database that cannot be opened, as the command line says it.
pub(crate) fn not_opened(error: &DatabaseError) -> Fail {
    let (class, code) = match error {
        DatabaseError::Url(_) => (ErrorClass::Invalid, "invalid_store_url"),
        DatabaseError::Unreachable(_) => (ErrorClass::Busy, "store_not_opened"),
        DatabaseError::Schema(_) => (ErrorClass::Conflict, "unknown_schema"),
        DatabaseError::Weak(_) => (ErrorClass::Denied, "weak_database"),
    };
    let fail = Fail::new(class, code, error.to_string());
    match error.hint() {
        Some(hint) => fail.with_hint(hint),
        None => fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_must_be_named() {
        let url: StoreUrl = "sqlite:data/bailiwick.db".parse().unwrap();
        assert!(matches!(&url, StoreUrl::Sqlite(path) if path == Path::new("data/bailiwick.db")));
        assert_eq!(url.to_string(), "sqlite:data/bailiwick.db");
        for text in ["", "sqlite:", "data/bailiwick.db", "oracle:x", "SQLITE:x", "postgres://", "postgres://host/base"]
        {
            assert!(text.parse::<StoreUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url: StoreUrl = "postgres://role:s3cret@localhost:5432/base".parse().unwrap();
        assert_eq!(url.to_string(), "postgres://role@localhost:5432/base");
        assert!(!format!("{url:?}").contains("s3cret"));
    }
}
