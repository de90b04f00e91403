//! What the store takes on disk, and what it does when there is no more.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use bailiwick_store::{Commit, CommitError, Space, Store};
use bailiwick_store_conformance::build::{Build, create, of, put};
use bailiwick_store_conformance::naive;
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_types::TenantId;
use tempfile::TempDir;

const A: TenantId = TenantId::from_bytes([0xaa; 16]);
const B: TenantId = TenantId::from_bytes([0xbb; 16]);

async fn open(path: &Path, page_limit: Option<u32>) -> Arc<SqliteStore> {
    SqliteStore::open(path, Options { page_limit, ..Options::default() }).unwrap()
}

fn large(tenant: TenantId, n: usize) -> Commit {
    of(tenant).entry(&n.to_string()).write(put(Space::SecretVersion, n.to_string(), [7; 16_000])).commit()
}

/// Commits until the store is full. What was acknowledged, by number.
async fn fill(store: &SqliteStore, tenant: TenantId) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    for n in 0..1_000 {
        match store.commit(large(tenant, n)).await {
            Ok(_) => acknowledged.push(n),
            Err(CommitError::Unavailable(_)) => return acknowledged,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it is never full");
}

/// The tenant holds exactly what was acknowledged.
async fn holds(store: &SqliteStore, tenant: TenantId, acknowledged: &[usize]) {
    let entries = store.entries(tenant, 0, 10_000).await.unwrap();
    let texts: Vec<_> = entries.iter().map(|entry| String::from_utf8(entry.sealed.clone()).unwrap()).collect();
    assert_eq!(texts, acknowledged.iter().map(usize::to_string).collect::<Vec<_>>());
    let header = store.header(tenant).await.unwrap().unwrap();
    assert_eq!(header.ledger, naive::edge(&entries.iter().map(|entry| entry.leaf).collect::<Vec<_>>()));
    assert_eq!(header.counts.of(Space::SecretVersion), acknowledged.len() as u64);
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    let store = open(&path, Some(300)).await;
    store.commit(create(A, "a").commit()).await.unwrap();
    store.commit(create(B, "b").commit()).await.unwrap();
    let mut acknowledged = fill(&store, A).await;
    assert!(acknowledged.len() > 20, "{acknowledged:?}");
    // It stays full, and reads go on.
    assert!(matches!(store.commit(large(B, 0)).await, Err(CommitError::Unavailable(_))));
    holds(&store, A, &acknowledged).await;
    holds(&store, B, &[]).await;
    // More room, and it goes on where it was.
    drop(store);
    let store = open(&path, Some(400)).await;
    holds(&store, A, &acknowledged).await;
    store.commit(large(A, 5_000)).await.unwrap();
    acknowledged.push(5_000);
    holds(&store, A, &acknowledged).await;
}

#[tokio::test]
async fn erasing_a_tenant_makes_room_on_a_full_disk() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory.path().join("bailiwick.db"), Some(300)).await;
    store.commit(create(A, "a").commit()).await.unwrap();
    store.commit(create(B, "b").commit()).await.unwrap();
    let filled = fill(&store, A).await.len();
    store.erase(A).await.unwrap();
    assert_eq!(store.header(A).await.unwrap().unwrap().ledger.size(), filled as u64);
    let acknowledged = fill(&store, B).await;
    assert!(acknowledged.len() + 10 > filled, "{} of {filled}", acknowledged.len());
    holds(&store, B, &acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_large_commit_does_not_take_small_ones_with_it() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory.path().join("bailiwick.db"), Some(300)).await;
    store.commit(create(A, "a").commit()).await.unwrap();
    store.commit(create(B, "b").commit()).await.unwrap();
    // More than there is room for, in one commit, again and again.
    let huge = || of(A).write(put(Space::SecretVersion, "huge", vec![7; 2_000_000])).entry("huge").commit();
    let attacks: Vec<_> = (0..100)
        .map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(huge()).await.is_err() })
        })
        .collect();
    let small: Vec<_> = (0..100)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(of(B).entry(&n.to_string()).commit()).await })
        })
        .collect();
    for task in small {
        task.await.unwrap().unwrap();
    }
    for task in attacks {
        assert!(task.await.unwrap());
    }
    assert_eq!(store.header(A).await.unwrap().unwrap().ledger.size(), 0);
    assert_eq!(store.header(B).await.unwrap().unwrap().ledger.size(), 100);
}

#[tokio::test]
async fn nothing_of_an_erased_tenant_is_left_in_the_files() {
    let directory = TempDir::new().unwrap();
    let store = open(&directory.path().join("bailiwick.db"), None).await;
    for (tenant, slug, mark) in [(A, "a", "mark-of-a"), (B, "b", "mark-of-b")] {
        store.commit(create(tenant, slug).commit()).await.unwrap();
        for n in 0..200 {
            // Small ones inside of pages, large ones over several.
            let value = mark.repeat(if n % 3 == 0 { 2_000 } else { 3 });
            let part = of(tenant).entry(&format!("{mark} {n}")).write(put(Space::Secret, n.to_string(), value));
            store.commit(part.commit()).await.unwrap();
        }
    }
    let marks = |mark: &[u8]| {
        let files = std::fs::read_dir(directory.path()).unwrap();
        let bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        bytes.map(|bytes| bytes.windows(mark.len()).filter(|window| *window == mark).count()).sum::<usize>()
    };
    assert!(marks(b"mark-of-a") > 100_000);
    store.erase(A).await.unwrap();
    assert_eq!(marks(b"mark-of-a"), 0);
    assert!(marks(b"mark-of-b") > 100_000, "the neighbour's are still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_write_ahead_log_stays_short() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    let store = SqliteStore::open(&path, Options { checkpoint_pages: 1_024, ..Options::default() }).unwrap();
    store.commit(create(A, "a").commit()).await.unwrap();
    let tasks: Vec<_> = (0..32usize)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..100 {
                    store.commit(large(A, task * 100 + n)).await.unwrap();
                    store.records(A, Space::SecretVersion, b"", None, 100).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let log = std::fs::metadata(directory.path().join("bailiwick.db-wal")).unwrap().len();
    let whole = store.size_bytes().await.unwrap();
    assert!(whole > 50 << 20, "{whole} bytes were written");
    // It would have more than a hundred if it never started anew.
    assert!(log < 64 << 20, "the log has {log} bytes");
}
