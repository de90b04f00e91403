//! The one place that knows which engines there are: a store's URL in, a store out.
//!
//! `sqlite:PATH` is the embedded engine; `postgres://…` many nodes on one database. The password of a database is not part
//! of its URL, which is seen in process lists and in files: it comes from a file of its own, or from where PostgreSQL's own
//! clients find it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_store::Store;
use bailiwick_store_postgres::{OpenError, PostgresStore, Url, Way};
use bailiwick_store_sqlite::{SqliteSnapshot, SqliteStore};
use bailiwick_types::{ErrorClass, Secret};

use super::passfile;
use crate::env;
use crate::fail::Fail;
use crate::files;

/// Where a store is.
#[derive(Debug, Clone)]
pub(crate) enum StoreUrl {
    /// A file of this machine, used by one process.
    Sqlite(PathBuf),
    /// A database, used by any number of nodes.
    Postgres(Box<Url>),
}

impl StoreUrl {
    /// Reads a URL, and the password of a database from its file.
    pub(crate) fn parse(text: &str, password_file: Option<&Path>) -> Result<Self, Fail> {
        Self::parse_with(text, Way::default(), password_file)
    }

    /// The same, with what else is said about the way to a database.
    pub(crate) fn parse_with(text: &str, way: Way, password_file: Option<&Path>) -> Result<Self, Fail> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            if path.is_empty() || path == "//" {
                return Err(
                    Fail::usage("`sqlite:` needs the path of a file").with_hint("sqlite:bailiwick-data/bailiwick.db")
                );
            }
            return Ok(Self::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path))));
        }
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Err(Fail::usage("a store's URL begins with `sqlite:` or `postgres://`"));
        }
        let way = Way { system_roots: bailiwick_client::system_authorities(), ..way };
        let url = Url::parse_with(text, way).map_err(|error| not_opened(&error))?;
        Ok(Self::Postgres(Box::new(match password_of(&url, password_file)? {
            Some(password) => url.with_password(password.expose()),
            None => url,
        })))
    }

    /// Opens it. For PostgreSQL this needs a runtime, which the store's tasks then live in.
    pub(crate) async fn open(&self) -> Result<Arc<dyn Store>, Fail> {
        match self {
            Self::Sqlite(path) => {
                if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                    files::create_private_dir(folder).map_err(|error| Fail::file(folder, &error))?;
                }
                let store = SqliteStore::open(path, bailiwick_store_sqlite::Options::default())
                    .map_err(|error| Fail::new(ErrorClass::Busy, "store_not_opened", error.to_string()))?;
                Ok(store)
            }
            Self::Postgres(url) => {
                let options = bailiwick_store_postgres::Options::default();
                let store = PostgresStore::connect(url, options).await.map_err(|error| not_opened(&error))?;
                Ok(store)
            }
        }
    }

    /// Opens what is there, to be read and nothing else: an embedded store at one moment, also while a server has it open.
    pub(crate) async fn open_to_read(&self) -> Result<Arc<dyn Store>, Fail> {
        match self {
            Self::Sqlite(path) => {
                let store = SqliteSnapshot::open(path)
                    .map_err(|error| Fail::new(ErrorClass::Busy, "store_not_opened", error.to_string()))?;
                Ok(store)
            }
            Self::Postgres(_) => self.open().await,
        }
    }

    /// Whether there is anything to open. A database always is.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Sqlite(path) => path.exists(),
            Self::Postgres(_) => true,
        }
    }

    /// Whether both are the same place, as far as their names tell.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sqlite(one), Self::Sqlite(two)) => {
                one == two || matches!((one.canonicalize(), two.canonicalize()), (Ok(one), Ok(two)) if one == two)
            }
            _ => self.shown() == other.shown(),
        }
    }

    /// For people: without a password.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}", path.display()),
            Self::Postgres(url) => url.shown(),
        }
    }
}

/// The password of a database: from its own file, else as its URL has it, else from `PGPASSWORD`, else from the password
/// file of PostgreSQL's clients. The nearest to this program goes first; what is not reached is not read.
fn password_of(url: &Url, own_file: Option<&Path>) -> Result<Option<Secret<Vec<u8>>>, Fail> {
    if let Some(file) = own_file {
        let text = std::fs::read(file).map(Secret::new).map_err(|error| Fail::file(file, &error))?;
        let end = text.expose().iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        return Ok(text.expose().get(..end).map(|password| Secret::new(password.to_vec())));
    }
    if url.has_password() {
        return Ok(None);
    }
    if let Some(password) = env::database_password() {
        return Ok(Some(Secret::new(password.expose().as_bytes().to_vec())));
    }
    let Some(file) = env::database_password_file() else { return Ok(None) };
    let Some(contents) = passfile::read(&file)? else { return Ok(None) };
    url.password_in(contents.expose()).map_err(|error| not_opened(&error))
}

/// A database that cannot be opened, as the command line says it.
pub(crate) fn not_opened(error: &OpenError) -> Fail {
    let (class, code) = match error {
        OpenError::Url(_) | OpenError::Password(_) => (ErrorClass::Invalid, "invalid_store_url"),
        OpenError::Unreachable { .. } | OpenError::Crowded(_) => (ErrorClass::Busy, "store_not_opened"),
        OpenError::Unsafe { .. } => (ErrorClass::Denied, "unsafe_way_to_database"),
        OpenError::Schema(_) => (ErrorClass::Conflict, "unknown_schema"),
        OpenError::Weak(_) => (ErrorClass::Denied, "weak_database"),
    };
    let fail = Fail::new(class, code, error.to_string());
    match error.hint() {
        Some(hint) => fail.with_hint(hint),
        None => fail,
    }
}
