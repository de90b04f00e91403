//! Opening: the file, the lock that keeps a second server out, and the settings of each connection.
//!
//! # Why the lock is a file of its own
//! SQLite locks with POSIX record locks, which a process loses as soon as it closes *any* descriptor of the database.
//! So nothing here ever opens the database but SQLite; the advisory lock is on a neighbour, `<database>.lock`, which
//! stays when the server is gone and means nothing then.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::Options;
use crate::error::OpenError;

/// How long SQLite waits for a lock that some other program holds.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The WAL file is cut back to this when it starts anew.
const WAL_BYTES_KEPT: u64 = 64 << 20;
/// Page cache of the writer, in KiB. A group's dirty pages fit, so nothing is spilled before COMMIT. No larger: when pages were
/// put in another order SQLite looks at all that are cached, for half a millisecond if these are 64 MiB.
const WRITER_CACHE_KIB: u64 = 16 << 10;
/// Page cache of one reader, in KiB. It is as good as empty after each commit.
const READER_CACHE_KIB: u64 = 4 << 10;

/// Every COMMIT ends in an fsync of the WAL; NORMAL would acknowledge what a power cut takes away.
pub(crate) const DURABLE: &str = "PRAGMA synchronous = FULL";

/// A database file that this process alone may open.
#[derive(Debug)]
pub(crate) struct Place {
    /// The file, by its one true name: two spellings of a path must not be two locks.
    pub(crate) path: PathBuf,
    /// Held until the store is gone.
    _lock: File,
}

impl Place {
    /// Makes the file (and its directory) if it is not there, readable by its owner only, and locks it.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        let io = |error| OpenError::Io { path: path.to_owned(), error };
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            private_directory(directory).map_err(io)?;
        }
        match private(OpenOptions::new().write(true).create_new(true)).open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io(error)),
        }
        let path = path.canonicalize().map_err(io)?;
        let neighbour = beside(&path, ".lock");
        let io = |error| OpenError::Io { path: neighbour.clone(), error };
        let lock = private(OpenOptions::new().write(true).create(true).truncate(false)).open(&neighbour).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path }),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

/// The path with something after its last letter.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The connection that writes.
pub(crate) fn writer(path: &Path, options: &Options) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    common(&conn, WRITER_CACHE_KIB)?;
    // secure_delete: what is erased is overwritten. Shredding the tenant's key is what makes erasure final; this keeps
    // even the ciphertext out of the file, and costs only when records are removed or shrink. FAST would leave freed
    // overflow pages, that is, every value of more than a page.
    // wal_autocheckpoint is off because the writer moves the WAL into the file after it has answered, not before.
    conn.execute_batch(DURABLE)?;
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA secure_delete = ON;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = {WAL_BYTES_KEPT};
         PRAGMA max_page_count = {};",
        options.page_limit.unwrap_or(u32::MAX - 1)
    ))?;
    Ok(conn)
}

/// A connection that reads.
pub(crate) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    common(&conn, READER_CACHE_KIB)?;
    // Not mapped into memory: SQLite unmaps the file whenever somebody has committed, and that costs each read more than
    // it saves. And a disk that fails to read a mapped page would end the process.
    conn.execute_batch("PRAGMA query_only = ON; PRAGMA mmap_size = 0;")?;
    Ok(conn)
}

fn common(conn: &Connection, cache_kib: u64) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.execute_batch(&format!(
        "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{cache_kib};"
    ))
}

/// Makes a directory, its missing parents too, and makes sure that they outlive a power cut.
fn private_directory(directory: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> = directory.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(directory)?;
    for made in missing {
        if let Some(parent) = made.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// Files that only their owner may read.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_syncs_every_commit_and_overwrites_what_it_frees() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("bailiwick.db");
        let conn = Connection::open(&path).and_then(|_| writer(&path, &Options::default())).unwrap();
        let pragma = |name: &str| -> String {
            conn.query_row(&format!("PRAGMA {name}"), [], |row| Ok(format!("{:?}", row.get_ref(0)?))).unwrap()
        };
        assert_eq!(pragma("journal_mode"), format!("{:?}", rusqlite::types::ValueRef::Text(b"wal")));
        assert_eq!(pragma("synchronous"), "Integer(2)");
        assert_eq!(pragma("secure_delete"), "Integer(1)");
    }

    #[test]
    fn every_connection_waits_for_its_turn_and_distrusts_the_file() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("bailiwick.db");
        let _place = Place::take(&path).unwrap();
        for conn in [writer(&path, &Options::default()), reader(&path)] {
            let conn = conn.unwrap();
            let pragma =
                |name: &str| -> i64 { conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0)).unwrap() };
            assert_eq!(pragma("busy_timeout"), 5_000);
            assert_eq!(pragma("cell_size_check"), 1);
            assert_eq!(pragma("trusted_schema"), 0);
            assert_eq!(pragma("temp_store"), 2, "in memory: nothing is spilled into files elsewhere");
            assert!(conn.db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE).unwrap());
        }
    }

    #[test]
    fn a_reader_cannot_write() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("bailiwick.db");
        let _place = Place::take(&path).unwrap();
        let _writer = writer(&path, &Options::default()).unwrap();
        let reader = reader(&path).unwrap();
        assert!(reader.execute_batch("CREATE TABLE x (y)").is_err());
    }
}
