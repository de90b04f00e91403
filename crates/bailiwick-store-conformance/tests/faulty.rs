//! The decorator that fails on order.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use bailiwick_store::{CommitError, Space, Store, StoreError};
use bailiwick_store_conformance::build::{Build, create, of, put};
use bailiwick_store_conformance::{Fault, FaultyStore, Model};
use bailiwick_types::TenantId;

const A: TenantId = TenantId::from_bytes([1; 16]);

async fn size(store: &FaultyStore) -> u64 {
    store.header(A).await.unwrap().unwrap().ledger.size()
}

#[tokio::test]
async fn a_commit_fails_before_or_after_it_is_applied() {
    let store = FaultyStore::new(Arc::new(Model::default()));
    store.commit(create(A, "a").commit()).await.unwrap();
    let commit = || of(A).entry("e").write(put(Space::Secret, "k", "v")).commit();

    store.fail_next(Fault::BeforePersist);
    assert!(matches!(store.commit(commit()).await, Err(CommitError::Unavailable(_))));
    assert_eq!(size(&store).await, 0);

    store.fail(store.commits(), Fault::AfterPersist);
    assert!(matches!(store.commit(commit()).await, Err(CommitError::Unavailable(_))));
    assert_eq!(size(&store).await, 1);

    // Whoever retries finds its own commit.
    assert!(matches!(store.commit(commit()).await, Err(CommitError::Conflict { .. })));
    assert_eq!(store.commits(), 4);
}

#[tokio::test]
async fn a_refusal_can_be_ordered() {
    let store = FaultyStore::new(Arc::new(Model::default()));
    store.commit(create(A, "a").commit()).await.unwrap();
    store.fail(2, Fault::Instead(CommitError::Stale { tenant: A }));
    store.commit(of(A).entry("one").commit()).await.unwrap();
    assert!(matches!(store.commit(of(A).entry("two").commit()).await, Err(CommitError::Stale { tenant: A })));
    store.commit(of(A).entry("two").commit()).await.unwrap();
    assert_eq!(size(&store).await, 2);
}

#[tokio::test]
async fn nothing_works_while_it_is_down() {
    let store = FaultyStore::new(Arc::new(Model::default()));
    store.commit(create(A, "a").commit()).await.unwrap();
    store.set_down(true);
    assert!(matches!(store.commit(of(A).entry("e").commit()).await, Err(CommitError::Unavailable(_))));
    assert!(matches!(store.header(A).await, Err(StoreError::Unavailable(_))));
    assert!(store.ping().await.is_err());
    store.set_down(false);
    assert_eq!(size(&store).await, 0);
}
