//! Reading a database that somebody else has open.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use bailiwick_store::{Space, Store};
use bailiwick_store_conformance::build::{Build, create, of, put};
use bailiwick_store_conformance::dump;
use bailiwick_store_sqlite::{OpenError, Options, SqliteSnapshot, SqliteStore};
use bailiwick_types::TenantId;
use rusqlite::Connection;
use tempfile::TempDir;

const A: TenantId = TenantId::from_bytes([1; 16]);

fn open(path: &Path) -> Arc<SqliteStore> {
    // A checkpoint after almost every commit, so that what a snapshot holds up shows.
    SqliteStore::open(path, Options { checkpoint_pages: 1, ..Options::default() }).unwrap()
}

/// The files of the database, as bytes.
fn files(directory: &TempDir) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        // Locks and marks of readers are in shared memory; what is stored is not.
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with("-shm"))
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        // A reader makes an empty log where there is none.
        .filter(|(_, bytes)| !bytes.is_empty())
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_snapshot_is_what_was_there_when_it_was_opened() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    let store = open(&path);
    let part = create(A, "a").entry("one").write(put(Space::Secret, "p/k", "v"));
    store.commit(part.commit()).await.unwrap();
    let snapshot = SqliteSnapshot::open(&path).unwrap();
    let before = dump(store.as_ref(), A).await;
    for n in 0..200 {
        let part = of(A).entry("more").write(put(Space::Secret, format!("p/{n}"), vec![7; 5_000]));
        store.commit(part.commit()).await.unwrap();
    }
    assert_eq!(dump(snapshot.as_ref(), A).await, before);
    assert_eq!(snapshot.totals().await.unwrap().by_state, [(1, 1)]);
    assert_eq!(snapshot.children(A, Space::Secret, b"p/", None, 9).await.unwrap().len(), 1);
    assert_eq!(snapshot.tenant_by_slug("a").await.unwrap(), Some(A));
    drop(snapshot);
    let later = SqliteSnapshot::open(&path).unwrap();
    assert_eq!(dump(later.as_ref(), A).await, dump(store.as_ref(), A).await);
    // And the server goes on as if nobody had been there.
    drop(later);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_writes_nothing_and_lets_nobody_write() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    let store = open(&path);
    store.commit(create(A, "a").entry("one").commit()).await.unwrap();
    // Closed, so that what the server itself still moves in its file is not taken for the snapshot's doing.
    drop(store);
    let before = files(&directory);
    let snapshot = SqliteSnapshot::open(&path).unwrap();
    assert!(snapshot.commit(of(A).entry("two").commit()).await.is_err());
    assert!(snapshot.erase(A).await.is_err() && snapshot.ping().await.is_err());
    assert_eq!(snapshot.entries(A, 0, 9).await.unwrap().len(), 1);
    drop(snapshot);
    assert_eq!(files(&directory), before);
}

#[tokio::test]
async fn what_a_killed_server_left_in_its_log_is_read_and_left_there() {
    let directory = TempDir::new().unwrap();
    let (path, copied) = (directory.path().join("bailiwick.db"), TempDir::new().unwrap());
    let store = SqliteStore::open(&path, Options { checkpoint_pages: 10_000, ..Options::default() }).unwrap();
    store.commit(create(A, "a").entry("one").commit()).await.unwrap();
    // What a kill leaves: the files as they are now.
    for (name, bytes) in files(&directory) {
        std::fs::write(copied.path().join(name), bytes).unwrap();
    }
    let before = files(&copied);
    assert!(before.iter().any(|(name, bytes)| name.ends_with("-wal") && !bytes.is_empty()), "nothing is in the log");
    let path = copied.path().join("bailiwick.db");
    let snapshot = SqliteSnapshot::open(&path).unwrap();
    assert_eq!(snapshot.entries(A, 0, 9).await.unwrap().len(), 1);
    drop(snapshot);
    assert_eq!(files(&copied), before);
    assert_eq!(open(&path).entries(A, 0, 9).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_that_no_server_has_open_can_be_read_and_then_opened() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    let store = open(&path);
    store.commit(create(A, "a").entry("one").commit()).await.unwrap();
    drop(store);
    let snapshot = SqliteSnapshot::open(&path).unwrap();
    assert_eq!(snapshot.entries(A, 0, 9).await.unwrap().len(), 1);
    let store = open(&path);
    store.commit(of(A).entry("two").commit()).await.unwrap();
    assert_eq!(snapshot.entries(A, 0, 9).await.unwrap().len(), 1);
    assert_eq!(store.entries(A, 0, 9).await.unwrap().len(), 2);
}

#[test]
fn what_is_no_database_of_this_release_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    assert!(matches!(SqliteSnapshot::open(&path), Err(OpenError::Io { .. })));
    assert!(!path.exists(), "it was made");
    drop(open(&path));
    for (version, is_newer) in [(99, true), (2, false)] {
        Connection::open(&path).unwrap().execute_batch(&format!("PRAGMA user_version = {version}")).unwrap();
        let refusal = SqliteSnapshot::open(&path).err().unwrap();
        assert_eq!(matches!(refusal, OpenError::Newer { .. }), is_newer, "{refusal}");
        assert_eq!(matches!(refusal, OpenError::Older { .. }), !is_newer, "{refusal}");
    }
    let theirs = directory.path().join("theirs.db");
    Connection::open(&theirs).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(SqliteSnapshot::open(&theirs), Err(OpenError::Foreign)));
}
