//! Who may open which file.

use std::path::Path;
use std::sync::Arc;

use bailiwick_store::Store;
use bailiwick_store_conformance::build::{Build, create, of};
use bailiwick_store_sqlite::{OpenError, Options, SqliteStore};
use bailiwick_types::TenantId;
use rusqlite::Connection;
use tempfile::TempDir;

fn open(path: &Path) -> Result<Arc<SqliteStore>, OpenError> {
    SqliteStore::open(path, Options::default())
}

#[tokio::test]
async fn a_second_server_is_refused_and_harms_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    let store = open(&path).unwrap();
    let a = TenantId::from_bytes([1; 16]);
    store.commit(create(a, "a").commit()).await.unwrap();
    let refusal = open(&path).err().unwrap();
    assert!(matches!(refusal, OpenError::InUse { .. }), "{refusal}");
    assert!(refusal.to_string().ends_with("is in use by another server"));
    store.commit(of(a).entry("still works").commit()).await.unwrap();
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(store.entries(a, 0, 10).await.unwrap().len(), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn another_name_of_the_same_file_is_no_way_in() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    let _store = open(&path).unwrap();
    let file_link = directory.path().join("other.db");
    std::os::unix::fs::symlink(&path, &file_link).unwrap();
    let directory_link = directory.path().join("elsewhere");
    std::os::unix::fs::symlink(directory.path(), &directory_link).unwrap();
    for other in [file_link, directory_link.join("bailiwick.db"), directory.path().join("./bailiwick.db")] {
        assert!(matches!(open(&other), Err(OpenError::InUse { .. })), "{}", other.display());
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    drop(open(&path).unwrap());
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    let refusal = open(&path).err().unwrap();
    assert!(matches!(refusal, OpenError::Newer { found: 99, .. }), "{refusal}");
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("theirs.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (7)").unwrap();
    assert!(matches!(open(&path), Err(OpenError::Foreign)));
    let conn = Connection::open(&path).unwrap();
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
    assert!(matches!(open(&path), Err(OpenError::Foreign)), "the lock was let go");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("notes.txt");
    let text = "not a database at all, and long enough to have a header of sixteen bytes\n".repeat(20);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(open(&path), Err(OpenError::Engine(_))));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_made_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("new/data/bailiwick.db");
    let store = open(&path).unwrap();
    store.commit(create(TenantId::from_bytes([1; 16]), "a").commit()).await.unwrap();
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", entry.path().display());
        seen.push(entry.file_name().into_string().unwrap());
    }
    seen.sort();
    assert_eq!(seen, ["bailiwick.db", "bailiwick.db-shm", "bailiwick.db-wal", "bailiwick.db.lock"]);
    for made in ["new", "new/data"] {
        let mode = std::fs::metadata(directory.path().join(made)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
    // Closed in good order, everything is in the one file.
    drop(store);
    assert!(!directory.path().join("new/data/bailiwick.db-wal").exists());
}
