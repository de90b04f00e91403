//! A store whose calls can be held in mid-air, so that a test decides what happens between two steps of a request.
//!
//! A decorator over the port: it changes no answer, only when it comes.

use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Header, Record, Space, Store, StoreError, StoredEntry, Totals,
};
use bailiwick_types::{TenantId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// A step at which the next call can be held.
#[derive(Default)]
pub(crate) struct Tap(Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>);

/// A call that will be, or is, held.
pub(crate) struct Held {
    caught: Option<oneshot::Receiver<()>>,
    _go: oneshot::Sender<()>,
}

impl Tap {
    /// Holds the next call that comes by. One call, and only that one.
    pub(crate) fn hold_next(&self) -> Held {
        let (caught, is_caught) = oneshot::channel();
        let (go, may_go) = oneshot::channel();
        *self.0.lock() = Some((caught, may_go));
        Held { caught: Some(is_caught), _go: go }
    }

    async fn pass(&self) {
        let trap = self.0.lock().take();
        if let Some((caught, may_go)) = trap {
            let _ = caught.send(());
            // Resolves when the `Held` is dropped.
            let _ = may_go.await;
        }
    }
}

impl Held {
    /// Waits until a call is held.
    pub(crate) async fn caught(&mut self) {
        if let Some(caught) = self.caught.take() {
            caught.await.unwrap();
        }
    }

    /// Lets the call go on.
    pub(crate) fn release(self) {}
}

/// The store with its taps.
pub(crate) struct Tapped {
    inner: Arc<dyn Store>,
    /// Before a commit reaches the engine.
    pub(crate) before_commit: Tap,
    /// After a commit is durable, before whoever asked for it hears of it.
    pub(crate) after_commit: Tap,
    /// After ledger entries were read, before whoever asked for them gets them.
    pub(crate) after_entries: Tap,
    /// After a tenant's header was read, before whoever asked for it gets it.
    pub(crate) after_header: Tap,
}

impl Tapped {
    pub(crate) fn over(inner: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            before_commit: Tap::default(),
            after_commit: Tap::default(),
            after_entries: Tap::default(),
            after_header: Tap::default(),
        })
    }
}

#[async_trait]
impl Store for Tapped {
    fn engine(&self) -> &'static str {
        self.inner.engine()
    }

    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        let header = self.inner.header(tenant).await;
        self.after_header.pass().await;
        header
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
        self.inner.children(tenant, space, prefix, after, limit).await
    }

    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        let entries = self.inner.entries(tenant, from, limit).await;
        self.after_entries.pass().await;
        entries
    }

    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.inner.leaves(tenant, from, to).await
    }

    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        self.inner.subtrees(tenant, level, from, to).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        self.before_commit.pass().await;
        let committed = self.inner.commit(commit).await;
        self.after_commit.pass().await;
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
