//! The storage engine for many nodes: one PostgreSQL database, any number of servers that keep nothing of their own.
//!
//! Commits of many tenants share a round trip and a transaction (see `dispatch` and `lane`). The epoch in the tenant's row is
//! what makes a revocation hold on all nodes at once: a commit is applied only while the row has the epoch that it was
//! decided under, whatever a node remembers (see `memory`).
//!
//! # Invariants
//! - The port's, INV-STORE-1 to 5; how each is kept is said where it is kept.
//! - INV-PG-1: the tenant leads every key and index of `tenant`, `record`, `ledger_entry` and `ledger_subtree`; the two lists
//!   that are about all tenants (slugs, wake-ups) hold nothing else.
//! - INV-PG-2: the server's role owns nothing and cannot bypass row-level security; a store does not open otherwise
//!   (see `fence`).
//! - INV-PG-3: no state of a node's is needed by another node, or by itself after a restart.
//!
//! # Deliberately absent
//! No leader, no advisory lock, no notification, no session state: what holds between nodes holds because of rows.

mod book;
mod budget;
mod dispatch;
mod fence;
mod lane;
mod memory;
mod metrics;
mod passfile;
mod pool;
mod read;
mod roles;
mod rows;
mod schema;
mod session;
mod sql;
mod trouble;
mod url;

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Counts, Header, Known, Record, Space, Store, StoreError, StoredEntry, Totals,
};
use bailiwick_types::{TenantId, Timestamp};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use crate::dispatch::Dispatcher;
use crate::lane::{Job, STRIPES};
use crate::memory::Memory;
use crate::metrics::{Counter, Metrics};
use crate::pool::{Pool, Source};
use crate::read::{Range, own};
pub use crate::roles::{Roles, roles};
pub use crate::schema::{Applied, Migration, Migrator, Step, Target, newest};
use crate::session::{Mode, Plane, Session, uuid};
use crate::sql::Query;
pub use crate::trouble::OpenError;
use crate::trouble::Trouble;
pub use crate::url::{Url, Way};

/// What can be tuned. A node has at most `readers + writers + waiting_writers` connections.
#[derive(Debug, Clone)]
pub struct Options {
    /// Connections that read.
    pub readers: usize,
    /// Connections that write, each one transaction of many tenants at a time.
    pub writers: usize,
    /// Connections on which commits wait for rows that another node holds.
    pub waiting_writers: usize,
    /// Commits that may wait for a place in a transaction.
    pub queue: usize,
    /// How long a commit waits for a place in the queue before it is told that the store is busy.
    pub queue_wait: Duration,
    /// How long a commit may wait for the database to begin with it.
    pub commit_wait: Duration,
    /// How long a commit may take from then on before its caller is told that nobody knows.
    pub answer_wait: Duration,
    /// How long a read may take.
    pub read_wait: Duration,
    /// How long a node that starts waits for its first connections while other nodes have all of them.
    pub start_wait: Duration,
    /// Tenants whose rows are remembered. About 1 KiB each.
    pub memory_tenants: usize,
    /// Bytes of records that are remembered.
    pub memory_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: 8,
            writers: 2,
            waiting_writers: 4,
            queue: 8_192,
            queue_wait: Duration::from_millis(250),
            commit_wait: Duration::from_secs(5),
            answer_wait: Duration::from_secs(10),
            read_wait: Duration::from_secs(5),
            start_wait: pool::START_WAIT,
            memory_tenants: 16_384,
            memory_bytes: 64 << 20,
        }
    }
}

/// What the parts of a store have in common.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) readers: Arc<Pool>,
    pub(crate) writers: Arc<Pool>,
    /// For what may wait long: rows that another node holds, and work that nobody waits for.
    pub(crate) waiting_writers: Arc<Pool>,
    pub(crate) memory: Memory,
    pub(crate) metrics: Arc<Metrics>,
    stripes: AtomicU16,
}

impl Shared {
    fn pools(&self) -> [&Arc<Pool>; 3] {
        [&self.readers, &self.writers, &self.waiting_writers]
    }

    /// Where to look for a free stripe first: another one each time, so that groups rarely look at the same.
    pub(crate) fn stripe(&self) -> i16 {
        // Half of them, so that there is always one behind.
        let half = STRIPES.cast_unsigned() / 2;
        (self.stripes.fetch_add(7, Ordering::Relaxed) % half).cast_signed()
    }
}

/// A store in a PostgreSQL database.
///
/// Dropping it carries out what waits in the queue as long as the runtime lives.
pub struct PostgresStore {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Job>,
    /// The slot of the pulse that this store beats in.
    slot: i16,
}

/// Slots of the pulse: so many nodes can beat without waiting for each other.
pub(crate) const SLOTS: i16 = 64;

impl PostgresStore {
    /// Connects to a database whose schema `bailiwick store migrate` has made.
    ///
    /// # Errors
    /// [`OpenError`]: unreachable, without connections to give, of an unknown schema, or weaker than it must be.
    pub async fn connect(url: &Url, options: Options) -> Result<Arc<Self>, OpenError> {
        fence::check(url, options.start_wait).await?;
        let metrics = Arc::new(Metrics::default());
        let source = Source::new(url.clone(), Arc::clone(&metrics));
        let readers = Pool::new(&source, options.readers);
        let writers = Pool::new(&source, options.writers);
        let waiting_writers = Pool::new(&source, options.waiting_writers);
        pool::first_of_each(&[&readers, &writers, &waiting_writers], options.start_wait).await?;
        let memory = Memory::new(options.memory_tenants, options.memory_bytes);
        // Any number does: it only spreads nodes over rows.
        let seed = u16::try_from(std::process::id() % 0xffff).unwrap_or_default();
        let (queue, jobs) = mpsc::channel(options.queue.max(1));
        let (lanes, waiting) = (options.writers, options.waiting_writers);
        let stripes = AtomicU16::new(seed);
        let shared = Arc::new(Shared { options, readers, writers, waiting_writers, memory, metrics, stripes });
        tokio::spawn(share_connections(Arc::downgrade(&shared)));
        tokio::spawn(Dispatcher::new(Arc::clone(&shared), lanes, waiting).run(jobs));
        let slot = (seed % SLOTS.cast_unsigned()).cast_signed();
        Ok(Arc::new(Self { shared, queue, slot }))
    }

    /// One step of an erasure. Returns the ledger index that the next one starts from, or `None` when nothing is left.
    async fn erase_step(&self, tenant: TenantId, from: u64) -> Result<Option<u64>, StoreError> {
        const RECORDS_MAX: i64 = 256;
        const ENTRIES_MAX: u64 = 512;
        let lease = self.shared.waiting_writers.lease(self.shared.options.commit_wait).await?;
        let step = async {
            let session = lease.session()?;
            let (id, ids) = (uuid(tenant), vec![uuid(tenant)]);
            session.begin(Mode::Write, &own(tenant)).await?;
            let Some(row) = session.query(Query::LockAll, &[&ids]).await?.into_iter().next() else {
                session.rollback().await?;
                return Ok(None);
            };
            let doomed = session.query(Query::SomeRecords, &[&id, &RECORDS_MAX]).await?;
            let (_, mut head) = lane::head_of(&row)?;
            if doomed.is_empty() {
                let rows = session.query(Query::ForgetPast, &[&id, &i64::MAX, &RECORDS_MAX]).await?;
                if count_of(&rows)? > 0 {
                    session.commit().await?;
                    return Ok(Some(from));
                }
                let (size, to) = (head.ledger.size(), from.saturating_add(ENTRIES_MAX));
                session.query(Query::Empty, &[&id, &from.cast_signed(), &to.cast_signed()]).await?;
                session.commit().await?;
                return Ok((to < size).then_some(to));
            }
            let (mut spaces, mut keys) = (Vec::new(), Vec::new());
            for row in &doomed {
                let number: i16 = row.try_get(0)?;
                spaces.push(number);
                keys.push(row.try_get::<_, &[u8]>(1)?);
                if let Some(space) = u8::try_from(number).ok().and_then(Space::from_number) {
                    head.counts.remove(space);
                }
            }
            let of: Vec<Uuid> = keys.iter().map(|_| id).collect();
            let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
            session.query(Query::RemoveRecords, &[&of, &spaces, &keys, &count]).await?;
            put_counts(session, &ids, &head.counts).await?;
            session.commit().await?;
            Ok::<_, Trouble>(Some(from))
        };
        let done = step.await?;
        lease.done();
        self.shared.memory.forget(tenant);
        Ok(done)
    }
}

/// Takes and gives back connections for as long as the store is there.
async fn share_connections(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(pool::LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        pool::look_at_budget(&shared.pools()).await;
    }
}

/// The one number of a statement that answers one.
fn count_of(rows: &[tokio_postgres::Row]) -> Result<i64, Trouble> {
    rows.first().map_or(Ok(0), |row| Ok(row.try_get(0)?))
}

async fn put_counts(session: &Session, ids: &Vec<Uuid>, counts: &Counts) -> Result<(), Trouble> {
    session.query(Query::PutCounts, &[ids, &vec![counts.to_bytes()]]).await.map(drop)
}

#[async_trait]
impl Store for PostgresStore {
    fn engine(&self) -> &'static str {
        "postgres"
    }

    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        self.shared.header_of(tenant).await
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        self.shared.slug_owner(slug).await
    }

    async fn headers(&self, after: Option<&str>, limit: usize) -> Result<Vec<Header>, StoreError> {
        self.shared.headers_after(after, limit).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.shared.totals_now().await
    }

    async fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let params: [session::Param<'_>; 3] = [&uuid(tenant), &i16::from(space.number()), &key];
        let rows = self.shared.rows(own(tenant), Query::Record, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Some(version) = read::get::<Option<i64>>(row, 1)? else { return Ok(None) };
        let record = Record { version: version.cast_unsigned(), sealed: read::get(row, 2)? };
        self.shared.memory.learn_record(tenant, read::unsigned(row, 0)?, space, key, &record);
        Ok(Some(record))
    }

    async fn known(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Known, StoreError> {
        if let Some((revision, record)) = self.shared.memory.record(tenant, space, key) {
            self.shared.metrics.known_from_memory();
            return Ok(Known { record: Some(Record::clone(&record)), revision: Some(revision) });
        }
        Ok(Known { record: self.record(tenant, space, key).await?, revision: None })
    }

    async fn records(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        self.shared.records_of(&Range { tenant, space, prefix, after, limit }).await
    }

    async fn children(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError> {
        self.shared.children_of(&Range { tenant, space, prefix, after, limit }).await
    }

    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        self.shared.entries_of(tenant, from, limit).await
    }

    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.shared.leaves_of(tenant, from, to).await
    }

    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.shared.subtrees_of(tenant, level, from, to).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let gone = || CommitError::Unavailable("the writer has stopped".to_owned());
        // Before it can share anything with others: what no state could satisfy, and what no text of the database's holds.
        commit.check_shape()?;
        let options = &self.shared.options;
        let (reply, answer) = oneshot::channel();
        let mut tenants: Vec<TenantId> = commit.parts.iter().map(|part| part.tenant).collect();
        tenants.extend(commit.guards.iter().map(|(tenant, _)| *tenant).filter(|tenant| !tenant.is_platform()));
        tenants.sort_unstable();
        tenants.dedup();
        let job = Job { commit, reply, deadline: Instant::now() + options.commit_wait, tenants };
        match self.queue.send_timeout(job, options.queue_wait).await {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => {
                return Err(CommitError::Unavailable("too many commits are waiting".to_owned()));
            }
            Err(SendTimeoutError::Closed(_)) => return Err(gone()),
        }
        // Whoever is told so may find it done later: that is what an `Idempotency-Key` is for.
        match tokio::time::timeout(options.commit_wait.saturating_add(options.answer_wait), answer).await {
            Ok(answer) => answer.map_err(|_| gone())?,
            Err(_) => Err(CommitError::Unavailable("the database did not answer in time".to_owned())),
        }
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        self.shared.due_at(now, limit).await
    }

    async fn past_from(&self, tenant: TenantId) -> Result<Option<u64>, StoreError> {
        let rows = self.shared.rows(own(tenant), Query::PastFrom, &[&uuid(tenant)]).await?;
        rows.first().map_or(Ok(Some(0)), |row| read::unsigned(row, 0).map(Some))
    }

    async fn records_at(
        &self,
        tenant: TenantId,
        space: Space,
        size: u64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        self.shared.records_of_past(&Range { tenant, space, prefix: b"", after, limit }, size).await
    }

    async fn forget_past(&self, tenant: TenantId, size: u64) -> Result<(), StoreError> {
        const STEP: i64 = 512;
        let (id, size) = (uuid(tenant), i64::try_from(size).unwrap_or(i64::MAX));
        loop {
            let lease = self.shared.waiting_writers.lease(self.shared.options.commit_wait).await?;
            let step = async {
                let session = lease.session()?;
                session.begin(Mode::Write, &own(tenant)).await?;
                // First what is said to be known: nobody must be shown a past that is half gone.
                session.query(Query::KnownFrom, &[&id, &size]).await?;
                let forgotten = count_of(&session.query(Query::ForgetPast, &[&id, &size, &STEP]).await?)?;
                session.commit().await?;
                Ok::<_, Trouble>(forgotten)
            };
            let forgotten = step.await?;
            lease.done();
            if forgotten == 0 {
                return Ok(());
            }
        }
    }

    async fn erase(&self, tenant: TenantId) -> Result<(), StoreError> {
        let mut from = 0;
        while let Some(next) = self.erase_step(tenant, from).await? {
            from = next;
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let (platform, wait) = (uuid(TenantId::PLATFORM), self.shared.options.read_wait);
        let beat = async {
            let lease = self.shared.writers.lease(wait).await?;
            let session = lease.session()?;
            let params: [session::Param<'_>; 2] = [&platform, &self.slot];
            let beat = session.query(Query::Beat, &params);
            let rows = session.whole(Mode::Write, &own(TenantId::PLATFORM), beat).await?;
            lease.done();
            Ok::<_, Trouble>(rows)
        };
        let Ok(rows) = tokio::time::timeout(wait, beat).await else {
            return Err(StoreError::Unavailable("the database does not answer".to_owned()));
        };
        let written: Option<i64> = rows?.first().map(|row| read::get(row, 0)).transpose()?;
        let rows = self.shared.rows(own(TenantId::PLATFORM), Query::Pulse, &[&platform, &self.slot]).await?;
        let found: Option<i64> = rows.first().map(|row| read::get(row, 0)).transpose()?;
        if written.is_some() && found >= written {
            Ok(())
        } else {
            read::damaged("a write that was acknowledged cannot be read")
        }
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.shared.rows(Plane::Platform, Query::Clock, &[]).await?;
        rows.first().map(|row| read::get(row, 0).map(Timestamp::from_unix_ms)).transpose()
    }

    fn metrics(&self) -> Vec<Counter> {
        let mut counters = self.shared.metrics.counters();
        let (open, short) = self.shared.pools().iter().fold((0, 0), |(open, short), pool| {
            let (is_open, is_short) = pool.count();
            (open + is_open, short + is_short)
        });
        let of = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        counters.push(("store_connections_open", "connections to the database that there are", of(open)));
        counters.push((
            "store_connections_short",
            "connections that this node could use, and the database has none left for",
            of(short),
        ));
        counters
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        let rows = self.shared.rows(Plane::Platform, Query::Size, &[]).await?;
        rows.first().map_or_else(|| read::damaged("the database does not know its size"), |row| read::unsigned(row, 0))
    }
}
