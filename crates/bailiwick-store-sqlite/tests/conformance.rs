//! The suite of the port. `conformance.txt` lists every case that ran, and would list every one that was skipped.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_store::Store;
use bailiwick_store_conformance::{Engine, Place, run};
use bailiwick_store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;

/// With so many bytes of log.
struct Sqlite(usize);

struct Directory(TempDir, usize);

#[async_trait]
impl Engine for Sqlite {
    async fn place(&self) -> Box<dyn Place> {
        Box::new(Directory(TempDir::new().unwrap(), self.0))
    }
}

#[async_trait]
impl Place for Directory {
    async fn open(&self) -> Arc<dyn Store> {
        let path: PathBuf = self.0.path().join("bailiwick.db");
        SqliteStore::open(&path, Options { log_bytes: self.1, ..Options::default() }).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_engine_passes_the_suite() {
    let report = run(Arc::new(Sqlite(Options::default().log_bytes))).await;
    expect_test::expect_file!["conformance.txt"].assert_eq(&report.to_string());
}

/// Everything is moved to its place after each group of commits.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_engine_passes_the_suite_without_a_log() {
    let report = run(Arc::new(Sqlite(0))).await;
    expect_test::expect_file!["conformance.txt"].assert_eq(&report.to_string());
}
