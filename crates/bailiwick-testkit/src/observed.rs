//! The store, watched: which planes a request touches, and how much work it makes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Header, Record, Space, Store, StoreError, StoredEntry, Totals,
};
use bailiwick_types::{TenantId, Timestamp};
use parking_lot::Mutex;

/// One call of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The planes that it is about.
    pub planes: Vec<TenantId>,
    /// Which call, and how much it was about: everything but the planes, the keys and the bytes.
    pub work: String,
}

/// Writes down every call and passes it on.
pub(crate) struct Observed {
    inner: Arc<dyn Store>,
    /// Whether the store answers as one that keeps no past.
    hides_past: AtomicBool,
    log: Mutex<Vec<Operation>>,
}

impl Observed {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, hides_past: AtomicBool::new(false), log: Mutex::new(Vec::new()) }
    }

    /// What was written down since the last time.
    pub(crate) fn take(&self) -> Vec<Operation> {
        std::mem::take(&mut self.log.lock())
    }

    /// From now on as an engine that keeps no past.
    pub(crate) fn hide_past(&self) {
        self.hides_past.store(true, Ordering::Relaxed);
    }

    fn note(&self, planes: &[TenantId], work: String) {
        self.log.lock().push(Operation { planes: planes.to_vec(), work });
    }
}

/// A commit without what differs between any two.
fn shape(commit: &Commit) -> String {
    let parts = commit.parts.iter().map(|part| {
        let writes: Vec<_> = part.writes.iter().map(|write| (write.space, write.value.is_some())).collect();
        let header = &part.header;
        format!("{} entries, {writes:?}, {header:?}", part.entries.len())
    });
    format!("commit {:?}, {} guards", parts.collect::<Vec<_>>(), commit.guards.len())
}

#[async_trait]
impl Store for Observed {
    fn engine(&self) -> &'static str {
        self.inner.engine()
    }

    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        self.note(&[tenant], "header".to_owned());
        self.inner.header(tenant).await
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        let found = self.inner.tenant_by_slug(slug).await?;
        self.note(found.as_slice(), "tenant_by_slug".to_owned());
        Ok(found)
    }

    async fn headers(&self, after: Option<&str>, limit: usize) -> Result<Vec<Header>, StoreError> {
        let found = self.inner.headers(after, limit).await?;
        let planes: Vec<TenantId> = found.iter().map(|header| header.tenant).collect();
        self.note(&planes, format!("headers {}", found.len()));
        Ok(found)
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        self.note(&[], "totals".to_owned());
        self.inner.totals().await
    }

    async fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let found = self.inner.record(tenant, space, key).await?;
        self.note(&[tenant], format!("record {space:?} {}", found.is_some()));
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
        let found = self.inner.records(tenant, space, prefix, after, limit).await?;
        self.note(&[tenant], format!("records {space:?} {limit} {}", found.len()));
        Ok(found)
    }

    async fn past_from(&self, tenant: TenantId) -> Result<Option<u64>, StoreError> {
        self.note(&[tenant], "past_from".to_owned());
        if self.hides_past.load(Ordering::Relaxed) {
            return Ok(None);
        }
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
        let found = self.inner.records_at(tenant, space, size, after, limit).await?;
        self.note(&[tenant], format!("records_at {space:?} {limit} {}", found.len()));
        Ok(found)
    }

    async fn forget_past(&self, tenant: TenantId, size: u64) -> Result<(), StoreError> {
        self.note(&[tenant], "forget_past".to_owned());
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
        let found = self.inner.children(tenant, space, prefix, after, limit).await?;
        self.note(&[tenant], format!("children {space:?} {limit} {}", found.len()));
        Ok(found)
    }

    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        let found = self.inner.entries(tenant, from, limit).await?;
        self.note(&[tenant], format!("entries {limit} {}", found.len()));
        Ok(found)
    }

    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.note(&[tenant], "leaves".to_owned());
        self.inner.leaves(tenant, from, to).await
    }

    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.note(&[tenant], "subtrees".to_owned());
        self.inner.subtrees(tenant, level, from, to).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        // A guard is a number that is compared, of the platform's plane; nothing of a tenant is touched by it.
        let planes: Vec<TenantId> = commit.parts.iter().map(|part| part.tenant).collect();
        self.note(&planes, shape(&commit));
        self.inner.commit(commit).await
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        let found = self.inner.due(now, limit).await?;
        let planes: Vec<TenantId> = found.iter().map(|(_, tenant)| *tenant).collect();
        self.note(&planes, "due".to_owned());
        Ok(found)
    }

    async fn erase(&self, tenant: TenantId) -> Result<(), StoreError> {
        self.note(&[tenant], "erase".to_owned());
        self.inner.erase(tenant).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.note(&[], "ping".to_owned());
        self.inner.ping().await
    }

    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.clock().await
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        self.note(&[], "size_bytes".to_owned());
        self.inner.size_bytes().await
    }
}
