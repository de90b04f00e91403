//! What this node has done, in numbers: over all tenants, and for the tenants that were here lately.
//!
//! # Invariants
//! - INV-METRICS-1: the numbers of tenants are of [`TENANTS_MAX`] at most, however many there are.
//!
//! # Deliberately absent
//! Names: a tenant is its id here. A lock at which requests wait for each other, but for the first of a tenant.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_types::{Limit, TenantId};
use foldhash::HashMap;
use parking_lot::RwLock;

use crate::app::App;
use crate::error::{AppError, Retry};
use crate::fair::Load;
use crate::turns::Work;

/// Of how many tenants there are numbers at most. Whoever was away longest makes room, and begins again at zero.
pub const TENANTS_MAX: usize = 256;
/// The upper ends of the ranges that commits are counted in by how long they took.
pub const COMMIT_MS_BOUNDS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 5_000];

/// Numbers of one tenant, or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests whose caller was authenticated.
    pub requests: u64,
    /// Those of them that ended in a refusal or failure.
    pub refusals: u64,
    /// Commits of requests.
    pub commits: u64,
    /// Attempts that were decided anew because an epoch had moved on.
    pub stale: u64,
    /// Attempts that were decided anew because a record had changed.
    pub conflicts: u64,
}

/// How long commits took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitTimes {
    /// How many took at most so many milliseconds as the bound of the same place in [`COMMIT_MS_BOUNDS`], and more than
    /// the one before.
    pub counts: [u64; COMMIT_MS_BOUNDS.len()],
    /// All together, in microseconds.
    pub sum_us: u64,
    /// How many there were.
    pub count: u64,
}

/// Everything that is counted.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Over all tenants and the platform.
    pub total: Counts,
    /// How long commits took.
    pub commit_times: CommitTimes,
    /// Of the tenants that were here lately, in order of their ids.
    pub tenants: Vec<(TenantId, Counts)>,
    /// Bytes of memory, about, in what is remembered of each of these: keys, credentials, policies, decisions.
    pub remembered: Vec<(TenantId, u64)>,
    /// The same of all tenants, and the most that it may be.
    pub remembered_total: u64,
    /// See [`Metrics::remembered_total`].
    pub remembered_max: u64,
    /// What this node grants each tenant that has no quota of its own, of the limits that each node counts for itself.
    pub node_limits: Vec<(Limit, u64)>,
    /// What runs and what waits for its turn, by kind of work.
    pub turns: Vec<(Work, Load)>,
    /// What the store counts: name, what it is, value.
    pub store: Vec<(&'static str, &'static str, u64)>,
}

/// What is counted in [`Counts`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Request,
    Refusal,
    Commit,
    Stale,
    Conflict,
}

/// [`Counts`] while they are counted.
#[derive(Default)]
struct Counting {
    counts: [AtomicU64; 5],
    /// See [`Counted::moment`].
    seen: AtomicU64,
}

impl Counting {
    fn add(&self, event: Event, moment: u64) {
        if let Some(count) = self.counts.get(event as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.seen.store(moment, Ordering::Relaxed);
    }

    fn counts(&self) -> Counts {
        let [requests, refusals, commits, stale, conflicts] =
            self.counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        Counts { requests, refusals, commits, stale, conflicts }
    }
}

/// Counts while the server runs.
#[derive(Default)]
pub(crate) struct Counted {
    total: Counting,
    bounds: [AtomicU64; COMMIT_MS_BOUNDS.len()],
    sum_us: AtomicU64,
    commits: AtomicU64,
    /// Grows with everything that is counted: who was counted last has seen the greatest.
    moment: AtomicU64,
    /// Written only for a tenant that is not here yet.
    tenants: RwLock<HashMap<TenantId, Counting>>,
}

impl Counted {
    /// Counts something of a tenant, and of all.
    pub(crate) fn count(&self, tenant: TenantId, event: Event) {
        let moment = self.moment.fetch_add(1, Ordering::Relaxed);
        self.total.add(event, moment);
        if let Some(counting) = self.tenants.read().get(&tenant) {
            return counting.add(event, moment);
        }
        let mut tenants = self.tenants.write();
        if tenants.len() >= TENANTS_MAX && !tenants.contains_key(&tenant) {
            let seen = |counting: &Counting| counting.seen.load(Ordering::Relaxed);
            let longest_away = tenants.iter().min_by_key(|(_, counting)| seen(counting)).map(|(tenant, _)| *tenant);
            longest_away.map(|tenant| tenants.remove(&tenant));
        }
        tenants.entry(tenant).or_default().add(event, moment);
    }

    /// Counts the end of an attempt that is made again.
    pub(crate) fn retried(&self, tenant: TenantId, error: &AppError) {
        match error.retry() {
            Some(Retry::Stale(_)) => self.count(tenant, Event::Stale),
            Some(Retry::Conflict) => self.count(tenant, Event::Conflict),
            None => {}
        }
    }

    /// A commit took this long.
    pub(crate) fn committed(&self, tenant: TenantId, took: Duration) {
        self.count(tenant, Event::Commit);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = COMMIT_MS_BOUNDS.iter().position(|bound| took_us <= bound.saturating_mul(1_000));
        if let Some(bound) = at.and_then(|at| self.bounds.get(at)) {
            bound.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_us.fetch_add(took_us, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }
}

impl App {
    /// What this node is called.
    pub fn node(&self) -> &str {
        &self.config.node
    }

    /// What this node has done. For whoever runs it, and for nobody else: it says how much each tenant does.
    pub fn metrics(&self) -> Metrics {
        let counted = &self.counts;
        let mut tenants: Vec<_> =
            counted.tenants.read().iter().map(|(tenant, counting)| (*tenant, counting.counts())).collect();
        tenants.sort_unstable_by_key(|(tenant, _)| *tenant.as_bytes());
        let commit_times = CommitTimes {
            counts: std::array::from_fn(|at| counted.bounds.get(at).map_or(0, |bound| bound.load(Ordering::Relaxed))),
            sum_us: counted.sum_us.load(Ordering::Relaxed),
            count: counted.commits.load(Ordering::Relaxed),
        };
        let turns = self.turns.loads().to_vec();
        let of_node = Limit::ALL.iter().copied().filter(|limit| limit.is_per_node());
        let node_limits = of_node.map(|limit| (limit, self.config.limits.of(limit))).collect();
        let remembered = tenants.iter().map(|(tenant, _)| (*tenant, self.snapshots.bytes_of(*tenant))).collect();
        Metrics {
            total: counted.total.counts(),
            commit_times,
            tenants,
            remembered,
            remembered_total: self.snapshots.bytes(),
            remembered_max: self.snapshots.bytes_max(),
            node_limits,
            turns,
            store: self.store.metrics(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_counted_apart_and_never_more_than_there_is_room_for() {
        let counted = Counted::default();
        let tenant = |number: u128| TenantId::from_bytes(number.to_be_bytes());
        for number in 1..=2 * TENANTS_MAX as u128 {
            counted.count(tenant(number), Event::Request);
            // This one is always here.
            counted.count(tenant(1), Event::Refusal);
        }
        let tenants = counted.tenants.read();
        assert_eq!(tenants.len(), TENANTS_MAX);
        let always = tenants[&tenant(1)].counts();
        assert_eq!((always.requests, always.refusals, always.commits), (1, 2 * TENANTS_MAX as u64, 0));
        let last = tenants[&tenant(2 * TENANTS_MAX as u128)].counts();
        assert_eq!((last.requests, last.refusals), (1, 0));
        assert!(!tenants.contains_key(&tenant(2)), "it was away longest");
        let total = counted.total.counts();
        assert_eq!((total.requests, total.refusals), (2 * TENANTS_MAX as u64, 2 * TENANTS_MAX as u64));
    }

    #[test]
    fn a_commit_is_counted_where_its_time_ends() {
        let counted = Counted::default();
        let tenant = TenantId::from_bytes([7; 16]);
        for took_us in [1, 1_000, 1_001, 6_000_000] {
            counted.committed(tenant, Duration::from_micros(took_us));
        }
        let bounds: Vec<u64> = counted.bounds.iter().map(|bound| bound.load(Ordering::Relaxed)).collect();
        assert_eq!(bounds, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(counted.commits.load(Ordering::Relaxed), 4);
    }
}
