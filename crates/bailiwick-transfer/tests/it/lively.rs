//! Sources that are in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bailiwick_store::{Commit, Expect, HeaderChange, Part, Space, Store};
use bailiwick_store_conformance::build::{Build, at, create, of, put};
use bailiwick_store_sqlite::SqliteSnapshot;
use bailiwick_transfer::TransferError;
use bailiwick_types::TenantId;

use crate::house::{BIG, SMALL, back_up, count, exact, model, ok, restore, sqlite};

/// How many entries a tenant has that say `n`, and the counter that each of them came with.
async fn compare_counter(store: &Arc<dyn Store>, tenant: TenantId) -> u64 {
    let entries = store.header(tenant).await.unwrap().unwrap().ledger.size();
    let counter = store.record(tenant, Space::Usage, b"a").await.unwrap().map_or(0, |record| record.version);
    let other = store.record(tenant, Space::Usage, b"z").await.unwrap().map_or(0, |record| record.version);
    // One commit writes both counters and the entry: a state in which they disagree never was.
    assert_eq!((counter, other), (entries, entries));
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_in_use_has_one_state_of_each_tenant() {
    let (from, place) = sqlite();
    for (tenant, slug) in [(BIG, "big"), (SMALL, "small"), (TenantId::PLATFORM, "platform")] {
        ok(&from, create(tenant, slug)).await;
    }
    // Many pages between the two counters, so that there is time to go on in between.
    let mut filler = at(BIG, 1);
    for n in 0..1_000 {
        filler = filler.write(put(Space::Usage, format!("m{n}"), "x"));
    }
    ok(&from, filler).await;
    let (is_over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (store, over, progress) = (Arc::clone(&from), Arc::clone(&is_over), Arc::clone(&written));
    let writer = tokio::spawn(async move {
        for n in 1.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            for tenant in [BIG, SMALL] {
                ok(&store, of(tenant).write(count("a", n)).write(count("z", n)).entry("both")).await;
            }
            progress.store(n, Ordering::Relaxed);
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let snapshot = SqliteSnapshot::open(&place.path().join("bailiwick.db")).unwrap();
        let snapshot: Arc<dyn Store> = snapshot;
        let bytes = back_up(&snapshot).await;
        let to = model().await;
        restore(&bytes, &to, &exact()).await.unwrap();
        seen.push((compare_counter(&to, BIG).await, compare_counter(&to, SMALL).await));
    }
    is_over.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    println!("{seen:?} of {}", written.load(Ordering::Relaxed));
    assert!(seen.first() < seen.last(), "nothing was written meanwhile: {seen:?}");
}

mod changing {
    //! A store that changes while it is read.
    use super::*;
    use async_trait::async_trait;
    use bailiwick_ledger::Hash;
    use bailiwick_store::{Child, CommitError, Committed, Header, Record, StoreError, StoredEntry, Totals, Write};
    use bailiwick_types::Timestamp;

    /// Replaces a record after each of the first reads of a space.
    pub(super) struct Changing {
        pub(super) inner: Arc<dyn Store>,
        pub(super) tenant: TenantId,
        pub(super) left: AtomicU64,
        pub(super) change: fn(u64) -> (HeaderChange, Vec<Write>),
    }

    #[async_trait]
    impl Store for Changing {
        fn engine(&self) -> &'static str {
            "changing"
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
            let left = self.left.load(Ordering::SeqCst);
            if space == Space::Usage && left > 0 {
                self.left.store(left - 1, Ordering::SeqCst);
                let (header, writes) = (self.change)(left);
                let part = Part { tenant: self.tenant, expect: Expect::Exists, header, writes, entries: Vec::new() };
                self.inner.commit(Commit { parts: vec![part], guards: Vec::new() }).await.unwrap();
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
            self.inner.commit(commit).await
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
        async fn size_bytes(&self) -> Result<u64, StoreError> {
            self.inner.size_bytes().await
        }
    }
}

use changing::Changing;

/// A store that will change so many times while it is read.
async fn changing(
    times: u64,
    tenant: TenantId,
    change: fn(u64) -> (HeaderChange, Vec<bailiwick_store::Write>),
) -> Arc<dyn Store> {
    let inner = model().await;
    ok(&inner, create(SMALL, "small").entry("e").write(put(Space::Member, "m", "v"))).await;
    ok(&inner, create(TenantId::PLATFORM, "platform").entry("e")).await;
    Arc::new(Changing { inner, tenant, left: AtomicU64::new(times), change })
}

#[tokio::test]
async fn records_that_changed_while_they_were_read_are_read_again() {
    // A member is added behind the place that was read already: the counts alone would not show a replacement.
    let add = |left| (HeaderChange::default(), vec![put(Space::Member, format!("m{left}"), "more")]);
    let from = changing(5, SMALL, add).await;
    let bytes = back_up(&from).await;
    let to = model().await;
    restore(&bytes, &to, &exact()).await.unwrap();
    assert_eq!(to.header(SMALL).await.unwrap().unwrap().counts.of(Space::Member), 6);
    // A copy writes what it read first and corrects it.
    let from = changing(5, SMALL, add).await;
    let to = model().await;
    crate::house::copy(&from, &to).await.unwrap();
    assert_eq!(to.header(SMALL).await.unwrap().unwrap().counts.of(Space::Member), 6);
}

#[tokio::test]
async fn a_tenant_that_never_rests_is_not_backed_up_wrong_but_refused() {
    let add = |left| (HeaderChange::default(), vec![put(Space::Member, format!("m{left}"), "more")]);
    let (from, to) = (changing(u64::MAX, SMALL, add).await, model().await);
    let error = crate::house::copy(&from, &to).await.unwrap_err();
    assert!(matches!(&error, TransferError::Moving(who) if who == "tenant `small`"), "{error}");
    assert!(to.header(TenantId::PLATFORM).await.unwrap().is_none());
}

#[tokio::test]
async fn a_root_key_that_is_rotated_meanwhile_is_noticed() {
    let rotate =
        |_| (HeaderChange { meta: Some((1, b"under another key".to_vec())), ..HeaderChange::default() }, Vec::new());
    let (from, to) = (changing(1, TenantId::PLATFORM, rotate).await, model().await);
    let error = crate::house::copy(&from, &to).await.unwrap_err();
    assert!(matches!(error, TransferError::KeysMoved), "{error}");
    // The next one finds it at rest.
    crate::house::copy(&from, &to).await.unwrap();
}
