//! The suite of the port. `conformance.txt` lists every case that ran, and would list every one that was skipped: it is that
//! of the embedded engine.

use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_store::Store;
use bailiwick_store_conformance::{Engine, Place, run};

use crate::house::{House, patient};

struct Postgres {
    house: Arc<House>,
    suffix: &'static str,
}

struct Base(Arc<House>, &'static str);

#[async_trait]
impl Engine for Postgres {
    async fn place(&self) -> Box<dyn Place> {
        self.house.empty();
        Box::new(Base(Arc::clone(&self.house), self.suffix))
    }
}

#[async_trait]
impl Place for Base {
    async fn open(&self) -> Arc<dyn Store> {
        self.0.node_with(self.1, patient()).await
    }
}

async fn suite(partitions: u16, suffix: &'static str) {
    let house = Arc::new(House::new(partitions).await);
    let report = run(Arc::new(Postgres { house, suffix })).await;
    expect_test::expect_file!["../../../bailiwick-store-sqlite/tests/conformance.txt"].assert_eq(&report.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_passes_the_suite() {
    suite(2, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_passes_the_suite_without_partitions_and_prepared_statements() {
    suite(0, "?statements=text").await;
}
