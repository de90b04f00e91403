//! A store whose commits fail on order, both ways: *failed and not applied*, and *failed but applied*.
//!
//! The second is what a lost answer looks like. Whoever retries must be prepared to find its own commit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Header, Record, Space, Store, StoreError, StoredEntry, Totals,
};
use bailiwick_types::{TenantId, Timestamp};

/// How a commit fails.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It does not reach the engine; the caller is told that storage is unavailable.
    BeforePersist,
    /// It is applied; the caller is told that storage is unavailable.
    AfterPersist,
    /// It does not reach the engine; the caller is told this.
    Instead(CommitError),
}

/// Any store, with faults.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Mutex<BTreeMap<u64, Fault>>,
    commits: AtomicU64,
    is_down: AtomicBool,
    clock: Mutex<Option<Timestamp>>,
}

impl FaultyStore {
    /// The store, without faults yet.
    pub fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        let (plan, commits, is_down) = (Mutex::default(), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self { inner, plan, commits, is_down, clock: Mutex::default() })
    }

    /// How many commits were tried so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }

    /// Has the commit with this number fail; the first is 0.
    pub fn fail(&self, number: u64, fault: Fault) {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).insert(number, fault);
    }

    /// Has the next commit fail.
    pub fn fail_next(&self, fault: Fault) {
        self.fail(self.commits(), fault);
    }

    /// While down, everything fails and nothing is applied.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Gives the store a clock of its own, which shows this until it is set again; `None`: what the engine says.
    pub fn set_clock(&self, now: Option<Timestamp>) {
        *self.clock.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn up(&self) -> Result<&dyn Store, StoreError> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("down on order".to_owned()));
        }
        Ok(&*self.inner)
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn engine(&self) -> &'static str {
        self.inner.engine()
    }

    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        self.up()?.header(tenant).await
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        self.up()?.tenant_by_slug(slug).await
    }

    async fn headers(&self, after: Option<&str>, limit: usize) -> Result<Vec<Header>, StoreError> {
        self.up()?.headers(after, limit).await
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.up()?.totals().await
    }

    async fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        self.up()?.record(tenant, space, key).await
    }

    async fn records(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        self.up()?.records(tenant, space, prefix, after, limit).await
    }

    async fn past_from(&self, tenant: TenantId) -> Result<Option<u64>, StoreError> {
        self.up()?.past_from(tenant).await
    }

    async fn records_at(
        &self,
        tenant: TenantId,
        space: Space,
        size: u64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        self.up()?.records_at(tenant, space, size, after, limit).await
    }

    async fn forget_past(&self, tenant: TenantId, size: u64) -> Result<(), StoreError> {
        self.up()?.forget_past(tenant, size).await
    }

    async fn children(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError> {
        self.up()?.children(tenant, space, prefix, after, limit).await
    }

    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        self.up()?.entries(tenant, from, limit).await
    }

    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.up()?.leaves(tenant, from, to).await
    }

    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.up()?.subtrees(tenant, level, from, to).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let fault = self.plan.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        match fault {
            None => self.up()?.commit(commit).await,
            Some(Fault::BeforePersist) => Err(CommitError::Unavailable("failed on order".to_owned())),
            Some(Fault::AfterPersist) => {
                // If the engine refuses it, it is not applied either way.
                self.up()?.commit(commit).await?;
                Err(CommitError::Unavailable("failed on order, but applied".to_owned()))
            }
            Some(Fault::Instead(error)) => Err(error),
        }
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        self.up()?.due(now, limit).await
    }

    async fn erase(&self, tenant: TenantId) -> Result<(), StoreError> {
        self.up()?.erase(tenant).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.up()?.ping().await
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        let own = *self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        match own {
            Some(now) => self.up().map(|_| Some(now)),
            None => self.up()?.clock().await,
        }
    }

    fn metrics(&self) -> Vec<(&'static str, &'static str, u64)> {
        self.inner.metrics()
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        self.up()?.size_bytes().await
    }
}
