//! What the engine counts about itself: no tenant, no key, only how the way to the database fares.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the node's start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    groups: AtomicU64,
    commits: AtomicU64,
    appends: AtomicU64,
    missed: AtomicU64,
    contended: AtomicU64,
    retried: AtomicU64,
    connections: AtomicU64,
    failures: AtomicU64,
    ambiguous: AtomicU64,
    hits: AtomicU64,
    reads: AtomicU64,
}

/// A counter's name, what it counts, and how far it has come.
pub(crate) type Counter = (&'static str, &'static str, u64);

macro_rules! count {
    ($($name:ident => $field:ident;)+) => {
        $(pub(crate) fn $name(&self) {
            self.$field.fetch_add(1, Ordering::Relaxed);
        })+
    };
}

impl Metrics {
    count! {
        connected => connections;
        connection_failed => failures;
        group_missed => missed;
        row_contended => contended;
        group_retried => retried;
        commit_ambiguous => ambiguous;
        known_from_memory => hits;
        read_from_database => reads;
    }

    pub(crate) fn group(&self, commits: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.commits.fetch_add(u64::try_from(commits).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn appended(&self, commits: usize) {
        self.group(commits);
        self.appends.fetch_add(u64::try_from(commits).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// All counters.
    pub(crate) fn counters(&self) -> Vec<Counter> {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("store_transactions_total", "transactions that changed something", of(&self.groups)),
            ("store_commits_total", "commits that were carried out in them", of(&self.commits)),
            ("store_appends_total", "commits that took one round trip", of(&self.appends)),
            ("store_misses_total", "groups in which another node had been faster", of(&self.missed)),
            ("store_contended_total", "commits that waited for a row that another node held", of(&self.contended)),
            ("store_retries_total", "groups that the database asked to repeat", of(&self.retried)),
            ("store_connections_total", "connections made", of(&self.connections)),
            ("store_connection_failures_total", "attempts to connect that failed", of(&self.failures)),
            ("store_ambiguous_total", "transactions whose outcome had to be found out", of(&self.ambiguous)),
            ("store_memory_reads_total", "reads that were answered from memory", of(&self.hits)),
            ("store_database_reads_total", "reads that went to the database", of(&self.reads)),
        ]
    }
}
