//! Where an installation is kept, as one word: the one place that knows which engines there are.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bailiwick_store::Store;
use bailiwick_store_sqlite::{OpenError, Options, SqliteSnapshot, SqliteStore};
use bailiwick_types::ErrorClass;

use crate::fail::Fail;

/// The address of a store. It is never printed with what may be secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreUrl {
    /// `sqlite:PATH`: the embedded engine's file.
    Sqlite(PathBuf),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            _ => Err("a store is named by its engine and its place, such as `sqlite:data/bailiwick.db`".to_owned()),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
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
    /// Whether there is anything to open.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Sqlite(path) => path.exists(),
        }
    }

    /// Opens it.
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
        }
    }

    /// Whether both are the same place, as far as their names tell.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(two)) => {
                one == two || matches!((one.canonicalize(), two.canonicalize()), (Ok(one), Ok(two)) if one == two)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_must_be_named() {
        let url: StoreUrl = "sqlite:data/bailiwick.db".parse().unwrap();
        assert_eq!(url, StoreUrl::Sqlite("data/bailiwick.db".into()));
        assert_eq!(url.to_string(), "sqlite:data/bailiwick.db");
        for text in ["", "sqlite:", "data/bailiwick.db", "oracle:x", "SQLITE:x"] {
            assert!(text.parse::<StoreUrl>().is_err(), "{text}");
        }
    }
}
