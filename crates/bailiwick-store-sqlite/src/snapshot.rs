//! A database as it was at one moment, for backups: also of one that a server has open.
//!
//! # Why this is safe beside a running server
//! - It cannot write: the file is opened with `SQLITE_OPEN_READ_ONLY`, so its descriptor cannot either, and the connection is
//!   `query_only` besides. It takes no place (`<database>.lock`), as it would keep no server out and none keeps it out.
//! - It cannot move the WAL into the database: that needs a descriptor that writes; and it is told not to, even when it is
//!   the last that closes.
//! - SQLite's own locks (in `-shm`) let one process read what another writes; this is what WAL mode is for. In one process,
//!   SQLite knows of all its connections, so the trap of POSIX locks (see `connect`) is not sprung.
//!
//! # What it costs the server
//! The WAL cannot start anew before the snapshot is dropped, so it grows by what is written meanwhile (see `writer`, which
//! has bounded patience with long readers). What a tenant's erasure leaves in the WAL stays there as long. And should the
//! server's disk fail in just that time, it recovers only when the snapshot is gone.
//!
//! # Deliberately absent
//! Any write. Migrations, too: a database of another version is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Header, Record, Space, Store, StoreError, StoredEntry, Totals,
};
use bailiwick_types::{TenantId, Timestamp};
use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::error::of_read;
use crate::pool::Memory;
use crate::read::{Range, Read};
use crate::{OpenError, Options, connect, read, schema, slots, tail};

/// A database that is read at the moment when it was opened, whatever is written meanwhile.
pub struct SqliteSnapshot {
    path: PathBuf,
    conn: Mutex<Connection>,
    memory: Memory,
}

impl SqliteSnapshot {
    /// Opens a database to read it. A server may have it open, and may go on.
    ///
    /// # Errors
    /// [`OpenError`]: not there, of another release, not ours, or not to be opened at all.
    pub fn open(path: &Path) -> Result<Arc<Self>, OpenError> {
        let path = path.canonicalize().map_err(|error| OpenError::Io { path: path.to_owned(), error })?;
        let options = Options::default();
        let conn = connect::reader(&path)?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        // The first read of a transaction is what fixes the state that it sees.
        conn.execute_batch("BEGIN")?;
        schema::check(&conn)?;
        read::beat(&conn)?.map_err(|error| OpenError::Engine(error.to_string()))?;
        let memory = Memory::new(&options);
        let found = slots::load(&conn)?.ok_or_else(tail::damaged)?;
        memory.tail.load(&conn, &found.rows)?;
        Ok(Arc::new(Self { path, conn: Mutex::new(conn), memory }))
    }

    fn read<T>(&self, read: impl FnOnce(&Connection, &Memory) -> Read<T>) -> Result<T, StoreError> {
        read(&self.conn.lock(), &self.memory).map_err(|error| of_read(&error))?
    }
}

fn read_only() -> String {
    "it was opened to be read only".to_owned()
}

#[async_trait]
impl Store for SqliteSnapshot {
    fn engine(&self) -> &'static str {
        "sqlite"
    }

    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        self.read(|conn, memory| read::header(conn, memory, tenant))
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        self.read(|conn, _| read::tenant_by_slug(conn, slug))
    }

    async fn headers(&self, after: Option<&str>, limit: usize) -> Result<Vec<Header>, StoreError> {
        self.read(|conn, memory| read::headers(conn, memory, after, limit))
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.read(|conn, _| read::totals(conn))
    }

    async fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        self.read(|conn, memory| read::record(conn, memory, tenant, space, key))
    }

    async fn records(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        let range = Range { tenant, space, prefix: prefix.to_vec(), after: after.map(<[u8]>::to_vec), limit };
        self.read(|conn, memory| read::records(conn, memory, &range))
    }

    async fn children(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError> {
        let range = Range { tenant, space, prefix: prefix.to_vec(), after: after.map(<[u8]>::to_vec), limit };
        self.read(|conn, memory| read::children(conn, memory, &range))
    }

    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        self.read(|conn, memory| read::entries(conn, memory, tenant, from, limit))
    }

    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.read(|conn, memory| read::leaves(conn, memory, tenant, from, to))
    }

    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.read(|conn, memory| read::subtrees(conn, memory, tenant, level, (from, to)))
    }

    async fn commit(&self, _: Commit) -> Result<Committed, CommitError> {
        Err(CommitError::Unavailable(read_only()))
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        self.read(|conn, _| read::due(conn, now, limit))
    }

    async fn erase(&self, _: TenantId) -> Result<(), StoreError> {
        Err(StoreError::Unavailable(read_only()))
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Err(StoreError::Unavailable(read_only()))
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        std::fs::metadata(&self.path).map(|file| file.len()).map_err(|error| StoreError::Unavailable(error.to_string()))
    }
}
