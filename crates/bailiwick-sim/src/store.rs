//! The store, with mishaps on order, and with leaks for the tests of the simulation itself.
//!
//! A decorator over the port. Which call a mishap meets is counted over the calls that concern the request's own tenant,
//! and commits: these do not depend on what others have left in a cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Header, Record, Space, Store, StoreError, StoredEntry, Totals,
};
use bailiwick_types::{TenantId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::leak::Leak;
use crate::random::Streams;
use crate::script::Mishap;

/// What is to go wrong with a request, and how far it is.
pub(crate) struct Control {
    own: Option<TenantId>,
    mishap: Mishap,
    calls: AtomicU8,
    is_spent: AtomicBool,
    /// It has met its mishap, and waits.
    pub(crate) caught: Notify,
    /// It may go on.
    pub(crate) go: Notify,
}

tokio::task_local! {
    pub(crate) static CONTROL: Arc<Control>;
}

impl Control {
    pub(crate) fn new(own: Option<TenantId>, mishap: Mishap) -> Arc<Self> {
        let (calls, is_spent) = (AtomicU8::new(0), AtomicBool::new(false));
        Arc::new(Self { own, mishap, calls, is_spent, caught: Notify::new(), go: Notify::new() })
    }

    async fn hang(&self) {
        self.caught.notify_one();
        self.go.notified().await;
    }
}

/// What is to be done with a commit.
enum Then {
    Go,
    LoseAnswer,
    HangAfter(Arc<Control>),
}

/// The engine, with everything that can happen to it.
pub(crate) struct SimStore {
    inner: Arc<dyn Store>,
    is_full: AtomicBool,
    leak: Option<Leak>,
    /// With a leak: a cache whose key lacks the tenant.
    cache: Mutex<HashMap<(Space, Vec<u8>), Record>>,
}

fn unavailable() -> StoreError {
    StoreError::Unavailable("on order".to_owned())
}

impl SimStore {
    pub(crate) fn new(inner: Arc<dyn Store>, is_full: bool, leak: Option<Leak>) -> Arc<Self> {
        Arc::new(Self { inner, is_full: AtomicBool::new(is_full), leak, cache: Mutex::default() })
    }

    /// What is stored, past all mishaps and leaks.
    pub(crate) fn inner(&self) -> &dyn Store {
        self.inner.as_ref()
    }

    pub(crate) fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::SeqCst);
    }

    fn room(&self) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) { Err(unavailable()) } else { Ok(()) }
    }

    /// A read of a tenant's.
    async fn read(&self, of: TenantId) -> Result<(), StoreError> {
        self.read_where(of, true).await
    }

    /// A read at which a request may be held up, or not: while policies are loaded, other requests of the same tenant wait
    /// for that, and here nobody else could let them go on.
    async fn read_where(&self, of: TenantId, can_hold: bool) -> Result<(), StoreError> {
        let Ok(control) = CONTROL.try_with(Arc::clone) else { return Ok(()) };
        if control.own != Some(of) {
            return Ok(());
        }
        let call = control.calls.fetch_add(1, Ordering::SeqCst);
        match control.mishap {
            Mishap::Fail(at) if at == call => return Err(unavailable()),
            Mishap::Hold(at, _) if at == call && can_hold => control.hang().await,
            Mishap::Cancel(at, _) if at == call => control.hang().await,
            _ => {}
        }
        Ok(())
    }

    async fn before_commit(&self) -> Result<Then, StoreError> {
        let then = match CONTROL.try_with(Arc::clone) {
            Err(_) => Then::Go,
            Ok(control) => {
                let call = control.calls.fetch_add(1, Ordering::SeqCst);
                match control.mishap {
                    Mishap::Fail(at) if at == call => return Err(unavailable()),
                    Mishap::LoseCommit if !control.is_spent.swap(true, Ordering::SeqCst) => Then::LoseAnswer,
                    Mishap::Cancel(at, true) if at == call => Then::HangAfter(control),
                    Mishap::Cancel(at, _) | Mishap::Hold(at, _) if at == call => {
                        control.hang().await;
                        Then::Go
                    }
                    _ => Then::Go,
                }
            }
        };
        // Looked at last: the disk may have filled up meanwhile.
        self.room()?;
        Ok(then)
    }

    async fn with_others_counts(&self, mut header: Header) -> Result<Header, StoreError> {
        for other in self.inner.headers(None, 100).await? {
            for space in Space::ALL.iter().filter(|_| other.tenant != header.tenant) {
                (0..other.counts.of(*space)).for_each(|_| header.counts.add(*space));
            }
        }
        Ok(header)
    }
}

#[async_trait]
impl Store for SimStore {
    fn engine(&self) -> &'static str {
        self.inner.engine()
    }

    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        Streams::turn_to(tenant);
        self.read(tenant).await?;
        match self.inner.header(tenant).await? {
            Some(header) if self.leak == Some(Leak::CountOfOthers) && !tenant.is_platform() => {
                Ok(Some(self.with_others_counts(header).await?))
            }
            found => Ok(found),
        }
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        self.inner.tenant_by_slug(slug).await
    }

    async fn headers(&self, after: Option<&str>, limit: usize) -> Result<Vec<Header>, StoreError> {
        self.inner.headers(after, limit).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.inner.totals().await
    }

    async fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        self.read(tenant).await?;
        let is_cached = self.leak == Some(Leak::CacheWithoutTenant) && space == Space::Mount;
        if is_cached && let Some(hit) = self.cache.lock().get(&(space, key.to_vec())) {
            return Ok(Some(hit.clone()));
        }
        let found = self.inner.record(tenant, space, key).await?;
        if is_cached && let Some(record) = &found {
            self.cache.lock().insert((space, key.to_vec()), record.clone());
        }
        Ok(found)
    }

    async fn records(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        self.read_where(tenant, space != Space::Policy).await?;
        self.inner.records(tenant, space, prefix, after, limit).await
    }

    async fn past_from(&self, tenant: TenantId) -> Result<Option<u64>, StoreError> {
        self.inner.past_from(tenant).await
    }

    async fn records_at(
        &self,
        tenant: TenantId,
        space: Space,
        size: u64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        self.inner.records_at(tenant, space, size, after, limit).await
    }

    async fn forget_past(&self, tenant: TenantId, size: u64) -> Result<(), StoreError> {
        self.inner.forget_past(tenant, size).await
    }

    async fn children(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError> {
        self.read(tenant).await?;
        self.inner.children(tenant, space, prefix, after, limit).await
    }

    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        self.read(tenant).await?;
        self.inner.entries(tenant, from, limit).await
    }

    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.read(tenant).await?;
        self.inner.leaves(tenant, from, to).await
    }

    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.read(tenant).await?;
        self.inner.subtrees(tenant, level, from, to).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let then = self.before_commit().await?;
        for write in commit.parts.iter().flat_map(|part| &part.writes) {
            self.cache.lock().remove(&(write.space, write.key.clone()));
        }
        let committed = self.inner.commit(commit).await;
        match then {
            Then::Go => committed,
            // If it was refused, that is what is told.
            Then::LoseAnswer => committed.and_then(|_| Err(unavailable().into())),
            Then::HangAfter(control) => {
                control.hang().await;
                committed
            }
        }
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        self.inner.due(now, limit).await
    }

    async fn erase(&self, tenant: TenantId) -> Result<(), StoreError> {
        self.room()?;
        self.inner.erase(tenant).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.room()?;
        self.inner.ping().await
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        self.inner.size_bytes().await
    }
}
