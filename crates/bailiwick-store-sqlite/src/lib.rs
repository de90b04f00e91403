//! The embedded storage engine: one SQLite file, one server.
//!
//! One at a time writes (see `writer` and `turn`), a few connections read (see `pool`). Commits of many tenants share a transaction and
//! an fsync; nobody is answered before it. What they did is one row of the log (see `log` and `slots`) and in memory (see
//! `tail`), and is moved to the tables in slices between the groups (see `settle`).
//!
//! # Invariants
//! - The port's, INV-STORE-1 to 5; how each is kept is said where it is kept.
//! - INV-SQLITE-3: one process has the file open to write. A second one is refused by an advisory lock on
//!   `<database>.lock`. Who only reads, for a backup, needs no lock (see `snapshot`).
//!
//! # Deliberately absent
//! No network file systems (SQLite's WAL needs shared memory). No second writer, so no lock to wait for and no deadlock.
//! No background work but moving the log into the tables and the WAL into the file. The file does not shrink; freed pages
//! are used again.

mod apply;
mod cache;
mod checkpoint;
mod connect;
mod erase;
mod error;
#[cfg(test)]
mod failure_tests;
mod heads;
mod log;
mod pool;
mod read;
mod run;
#[cfg(test)]
mod sabotage;
mod schema;
mod settle;
mod slots;
mod snapshot;
mod tail;
mod turn;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Header, Record, Space, Store, StoreError, StoredEntry, Totals,
};
use bailiwick_types::{TenantId, Timestamp};
use rusqlite::Connection;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, oneshot};

use crate::connect::Place;
pub use crate::error::OpenError;
use crate::pool::{Memory, Pool};
use crate::read::{Range, Read};
pub use crate::snapshot::SqliteSnapshot;
use crate::turn::Desk;
use crate::writer::{Answer, Job, Request, Writer};

/// Rows that are read where they are asked for; a longer read moves to a blocking thread.
const ROWS_INLINE_MAX: usize = 128;

/// What can be tuned.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections that read. Each can serve one read at a time.
    pub read_connections: usize,
    /// Requests that may wait for the writer.
    pub queue: usize,
    /// How long a request waits for a place in the queue before it is told that the store is busy.
    pub queue_wait: Duration,
    /// Tenants whose rows the writer keeps in memory, and whose numbers the readers keep. About 1 KiB each.
    pub cache_tenants: usize,
    /// Pages of the write-ahead log from which on it starts anew. They are moved into the database in small pieces,
    /// beside the commits. More make for fewer writes of the same page, and a longer file.
    pub checkpoint_pages: u32,
    /// Bytes of the log of commits from which on it is moved into the tables, beside the commits. It is in memory too, and
    /// read when the database is opened. It grows beyond that while it is moved, and the longer it is the more is moved at
    /// a time.
    pub log_bytes: usize,
    /// The most pages of 4 KiB that the database may have. Beyond it commits are refused as if the disk were full.
    pub page_limit: Option<u32>,
    /// Bytes of records that were read lately and are kept in memory.
    pub cache_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            read_connections: cores.saturating_mul(2).clamp(2, 8),
            queue: 8_192,
            queue_wait: Duration::from_millis(250),
            cache_tenants: 16_384,
            checkpoint_pages: 4_096,
            log_bytes: 16 << 20,
            page_limit: None,
            cache_bytes: 64 << 20,
        }
    }
}

/// A store in a SQLite file.
///
/// Dropping it carries out what waits in the queue, then closes the file.
pub struct SqliteStore {
    pool: Arc<Pool>,
    queue: mpsc::Sender<Job>,
    queue_wait: Duration,
    desk: Arc<Desk>,
    #[cfg(test)]
    sabotage: Arc<sabotage::Sabotage>,
    /// Last, so that nobody can open the file before it is closed.
    place: Place,
}

impl SqliteStore {
    /// Opens a database, or makes a new one.
    ///
    /// # Errors
    /// [`OpenError`]: in use, of a newer release, not ours, or not to be opened at all.
    pub fn open(path: &Path, options: Options) -> Result<Arc<Self>, OpenError> {
        let place = Place::take(path)?;
        let conn = connect::writer(&place.path, &options)?;
        schema::migrate(&conn)?;
        let pool = Arc::new(Pool::new(place.path.clone(), &options));
        pool.open()?;
        let (queue, jobs) = mpsc::channel(options.queue.max(1));
        let writer = Writer::new(place.path.clone(), &options, conn, Arc::clone(&pool), jobs)?;
        #[cfg(test)]
        let sabotage = Arc::clone(&writer.sabotage);
        Ok(Arc::new(Self {
            pool,
            queue,
            queue_wait: options.queue_wait,
            desk: Arc::new(Desk::new(writer)),
            #[cfg(test)]
            sabotage,
            place,
        }))
    }

    /// Has the writer do something, and waits until it is durable.
    async fn ask(&self, request: Request) -> Result<Answer, CommitError> {
        let gone = || CommitError::Unavailable("the writer has stopped".to_owned());
        let (reply, answer) = oneshot::channel();
        match self.queue.send_timeout(Job { request, reply }, self.queue_wait).await {
            Ok(()) => self.desk.call(),
            Err(SendTimeoutError::Timeout(_)) => {
                return Err(CommitError::Unavailable("too many commits are waiting".to_owned()));
            }
            Err(SendTimeoutError::Closed(_)) => return Err(gone()),
        }
        answer.await.map_err(|_| gone())?
    }

    /// A read of at most `rows` rows: here if they are few, else on a blocking thread.
    async fn scan<T: Send + 'static>(
        &self,
        rows: usize,
        read: impl FnOnce(&Connection, &Memory) -> Read<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if rows <= ROWS_INLINE_MAX {
            return self.pool.read(read);
        }
        let pool = Arc::clone(&self.pool);
        tokio::task::spawn_blocking(move || pool.read(read))
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.desk.close();
    }
}

/// The order of the commits whose entries are still in the log of a database: a tenant and the index of one of its entries
/// for each. For tests, which have no other witness of what was durable before what that needs no clock.
///
/// # Errors
/// [`OpenError`]: not to be read.
#[doc(hidden)]
pub fn logged(path: &Path) -> Result<Vec<(TenantId, u64)>, OpenError> {
    let conn = connect::reader(path)?;
    let mut order = Vec::new();
    let found = slots::load(&conn)?.ok_or_else(tail::damaged)?;
    for row in found.rows {
        for record in log::records(row.body).flatten() {
            let id = conn.query_row("SELECT id FROM tenant WHERE no = ?1", [record.no], |row| row.get(0))?;
            let indexes = (record.first..).take(record.entries.len());
            order.extend(indexes.map(|index| (TenantId::from_bytes(id), index)));
        }
    }
    Ok(order)
}

/// The error of a request that reads no expectation and so cannot be refused.
fn unexpected(error: CommitError) -> StoreError {
    match error {
        CommitError::Damaged(why) => StoreError::Damaged(why),
        CommitError::Unavailable(why) => StoreError::Unavailable(why),
        other => StoreError::Unavailable(other.to_string()),
    }
}

/// How many rows lie between two places.
fn span(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

#[async_trait]
impl Store for SqliteStore {
    fn engine(&self) -> &'static str {
        "sqlite"
    }

    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        self.pool.read(|conn, memory| read::header(conn, memory, tenant))
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        self.pool.read(|conn, _| read::tenant_by_slug(conn, slug))
    }

    async fn headers(&self, after: Option<&str>, limit: usize) -> Result<Vec<Header>, StoreError> {
        let after = after.map(str::to_owned);
        self.scan(limit, move |conn, memory| read::headers(conn, memory, after.as_deref(), limit)).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.scan(usize::MAX, |conn, _| read::totals(conn)).await
    }

    async fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let Memory { numbers, records, .. } = &*self.pool.memory;
        if let Some(record) = numbers.get(&tenant).and_then(|no| records.get(no, space, key)) {
            return Ok(Some(record));
        }
        self.pool.read(|conn, memory| read::record(conn, memory, tenant, space, key))
    }

    async fn records(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        let range = Range { tenant, space, prefix, after, limit };
        self.scan(limit, move |conn, memory| read::records(conn, memory, &range)).await
    }

    async fn past_from(&self, tenant: TenantId) -> Result<Option<u64>, StoreError> {
        self.pool.read(|conn, memory| read::past_from(conn, memory, tenant))
    }

    async fn records_at(
        &self,
        tenant: TenantId,
        space: Space,
        size: u64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        let range = Range { tenant, space, prefix: Vec::new(), after: after.map(<[u8]>::to_vec), limit };
        // However few are wanted, what has changed since may be much.
        self.scan(usize::MAX, move |conn, memory| read::records_at(conn, memory, &range, size)).await
    }

    async fn forget_past(&self, tenant: TenantId, size: u64) -> Result<(), StoreError> {
        while let Answer::Forgotten { is_more: true } =
            self.ask(Request::Forget { tenant, size }).await.map_err(unexpected)?
        {}
        Ok(())
    }

    async fn children(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError> {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        let range = Range { tenant, space, prefix, after, limit };
        self.scan(limit, move |conn, memory| read::children(conn, memory, &range)).await
    }

    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        self.scan(limit, move |conn, memory| read::entries(conn, memory, tenant, from, limit)).await
    }

    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.scan(span(from, to), move |conn, memory| read::leaves(conn, memory, tenant, from, to)).await
    }

    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.scan(span(from, to), move |conn, memory| read::subtrees(conn, memory, tenant, level, (from, to))).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        match self.ask(Request::Commit(commit)).await? {
            Answer::Committed(committed) => Ok(committed),
            other => Err(CommitError::Unavailable(format!("the writer answered {other:?} to a commit"))),
        }
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        self.scan(limit, move |conn, _| read::due(conn, now, limit)).await
    }

    async fn erase(&self, tenant: TenantId) -> Result<(), StoreError> {
        let mut step = Request::Strip { tenant };
        while let Answer::Stripped { is_more: true } = self.ask(step).await.map_err(unexpected)? {
            step = Request::Clear;
        }
        let mut from = 0;
        loop {
            match self.ask(Request::Erase { tenant, from }).await.map_err(unexpected)? {
                Answer::Erased { next: Some(next) } => from = next,
                _ => return Ok(()),
            }
        }
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let Answer::Beat(written) = self.ask(Request::Beat).await.map_err(unexpected)? else {
            return Err(StoreError::Unavailable("the writer did not answer a beat".to_owned()));
        };
        let read = self.pool.read(|conn, _| read::beat(conn))?;
        if read >= written { Ok(()) } else { read::damaged("a write that was acknowledged cannot be read") }
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        let files: [PathBuf; 2] = [self.place.path.clone(), connect::beside(&self.place.path, "-wal")];
        let sizes = files.iter().map(|file| match std::fs::metadata(file) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        });
        sizes.sum()
    }
}
