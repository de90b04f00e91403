//! The suite of the port. `conformance.txt` lists every case that ran, and would list every one that was skipped.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_store::Store;
use bailiwick_store_conformance::{Engine, Place, run};
use bailiwick_store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;

struct Sqlite;

struct Directory(TempDir);

#[async_trait]
impl Engine for Sqlite {
    async fn place(&self) -> Box<dyn Place> {
        Box::new(Directory(TempDir::new().unwrap()))
    }
}

#[async_trait]
impl Place for Directory {
    async fn open(&self) -> Arc<dyn Store> {
        let path: PathBuf = self.0.path().join("bailiwick.db");
        SqliteStore::open(&path, Options::default()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_engine_passes_the_suite() {
    let report = run(Arc::new(Sqlite)).await;
    expect_test::expect_file!["conformance.txt"].assert_eq(&report.to_string());
}
