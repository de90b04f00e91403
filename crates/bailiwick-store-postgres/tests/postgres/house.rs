//! A server with migrated databases to hand out.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_pgkit::{Cluster, Database};
use bailiwick_store_postgres::{Migrator, Options, PostgresStore, Url};

/// A cluster and a migrated database in it.
pub(crate) struct House {
    pub(crate) cluster: Cluster,
    pub(crate) base: Database,
}

impl House {
    /// Starts a server and migrates a database.
    pub(crate) async fn new(partitions: u16) -> Self {
        let cluster = Cluster::start().unwrap();
        let base = cluster.database("base").unwrap();
        let migrator = Migrator::connect(&url(&base.owner_url), &base.server, partitions).await.unwrap();
        migrator.run(|_| {}).await.unwrap();
        Self { cluster, base }
    }

    /// Leaves the database as if nobody had used it.
    pub(crate) fn empty(&self) {
        let tables = ["tenant", "record", "past", "ledger_entry", "ledger_subtree", "slug", "guard"];
        // One statement to psql is one transaction, and one fsync.
        self.admin(&[&tables.map(|table| format!("DELETE FROM bailiwick.{table};")).concat()]);
    }

    /// Does what only an administrator may.
    pub(crate) fn admin(&self, statements: &[&str]) -> String {
        self.cluster.sql(&self.base.name, statements).unwrap()
    }

    /// A node.
    pub(crate) async fn node(&self) -> Arc<PostgresStore> {
        self.node_with("", patient()).await
    }

    /// A node with this at the end of its URL.
    pub(crate) async fn node_with(&self, suffix: &str, options: Options) -> Arc<PostgresStore> {
        PostgresStore::connect(&url(&format!("{}{suffix}", self.base.server_url)), options).await.unwrap()
    }
}

/// What a machine that does ten other things needs: nothing here is about how long one waits.
pub(crate) fn patient() -> Options {
    let wait = Duration::from_secs(60);
    Options { commit_wait: wait, read_wait: wait, answer_wait: wait, queue_wait: wait, ..Options::default() }
}

pub(crate) fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}
