//! A store that something happens in while it is used.

use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Header, Record, Space, Store, StoreError, StoredEntry, Totals,
};
use bailiwick_types::{TenantId, Timestamp};

/// A store, and what happens when its records were read, or a commit was made.
pub(crate) struct Hooked {
    pub(crate) inner: Arc<dyn Store>,
    /// After records of this space were read: a commit of somebody else's.
    pub(crate) on_records: Box<dyn Fn(Space) -> Option<Commit> + Send + Sync>,
    pub(crate) on_commit: fn(),
}

#[async_trait]
impl Store for Hooked {
    fn engine(&self) -> &'static str {
        "hooked"
    }
    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        self.inner.header(tenant).await
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
        self.inner.record(tenant, space, key).await
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
        if let Some(commit) = (self.on_records)(space) {
            self.inner.commit(commit).await.unwrap();
        }
        Ok(found)
    }
    async fn children(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError> {
        self.inner.children(tenant, space, prefix, after, limit).await
    }
    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        self.inner.entries(tenant, from, limit).await
    }
    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.inner.leaves(tenant, from, to).await
    }
    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.inner.subtrees(tenant, level, from, to).await
    }
    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let committed = self.inner.commit(commit).await;
        (self.on_commit)();
        committed
    }
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        self.inner.due(now, limit).await
    }
    async fn erase(&self, tenant: TenantId) -> Result<(), StoreError> {
        self.inner.erase(tenant).await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }
    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.clock().await
    }
    async fn size_bytes(&self) -> Result<u64, StoreError> {
        self.inner.size_bytes().await
    }
}
