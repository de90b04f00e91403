//! What this node has done, in numbers: over all tenants, and for the tenants that were here lately.
//!
//! # Invariants
//! - INV-METRICS-1: the numbers of tenants are of [`TENANTS_MAX`] at most, however many there are.
//!
//! # Deliberately absent
//! Names: a tenant is its id here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_types::{Limit, TenantId};
use parking_lot::Mutex;

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
    /// What this node grants each tenant that has no quota of its own, of the limits that each node counts for itself.
    pub node_limits: Vec<(Limit, u64)>,
    /// What runs and what waits for its turn, by kind of work.
    pub turns: Vec<(Work, Load)>,
    /// What the store counts: name, what it is, value.
    pub store: Vec<(&'static str, &'static str, u64)>,
}

/// Counts while the server runs.
#[derive(Default)]
pub(crate) struct Counted {
    total: Mutex<Counts>,
    bounds: [AtomicU64; COMMIT_MS_BOUNDS.len()],
    sum_us: AtomicU64,
    commits: AtomicU64,
    tenants: Mutex<Tenants>,
}

#[derive(Default)]
struct Tenants {
    /// Grows with everything that is counted: who was counted last has the greatest.
    moment: u64,
    counts: HashMap<TenantId, (u64, Counts)>,
}

impl Counted {
    /// Counts something of a tenant, and of all.
    pub(crate) fn count(&self, tenant: TenantId, add: impl Fn(&mut Counts)) {
        add(&mut self.total.lock());
        let mut tenants = self.tenants.lock();
        tenants.moment = tenants.moment.saturating_add(1);
        let moment = tenants.moment;
        if let Some((seen, counts)) = tenants.counts.get_mut(&tenant) {
            *seen = moment;
            add(counts);
            return;
        }
        if tenants.counts.len() >= TENANTS_MAX {
            let longest_away = tenants.counts.iter().min_by_key(|(_, (seen, _))| *seen).map(|(tenant, _)| *tenant);
            longest_away.map(|tenant| tenants.counts.remove(&tenant));
        }
        let mut counts = Counts::default();
        add(&mut counts);
        tenants.counts.insert(tenant, (moment, counts));
    }

    /// Counts the end of an attempt that is made again.
    pub(crate) fn retried(&self, tenant: TenantId, error: &AppError) {
        match error.retry() {
            Some(Retry::Stale(_)) => self.count(tenant, |counts| counts.stale += 1),
            Some(Retry::Conflict) => self.count(tenant, |counts| counts.conflicts += 1),
            None => {}
        }
    }

    /// A commit took this long.
    pub(crate) fn committed(&self, tenant: TenantId, took: Duration) {
        self.count(tenant, |counts| counts.commits += 1);
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
            counted.tenants.lock().counts.iter().map(|(tenant, (_, counts))| (*tenant, *counts)).collect();
        tenants.sort_unstable_by_key(|(tenant, _)| *tenant.as_bytes());
        let commit_times = CommitTimes {
            counts: std::array::from_fn(|at| counted.bounds.get(at).map_or(0, |bound| bound.load(Ordering::Relaxed))),
            sum_us: counted.sum_us.load(Ordering::Relaxed),
            count: counted.commits.load(Ordering::Relaxed),
        };
        let turns = self.turns.loads().to_vec();
        let of_node = Limit::ALL.iter().copied().filter(|limit| limit.is_per_node());
        let node_limits = of_node.map(|limit| (limit, self.config.limits.of(limit))).collect();
        Metrics { total: *counted.total.lock(), commit_times, tenants, node_limits, turns, store: self.store.metrics() }
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
            counted.count(tenant(number), |counts| counts.requests += 1);
            // This one is always here.
            counted.count(tenant(1), |counts| counts.requests += 1);
        }
        let tenants = counted.tenants.lock();
        assert_eq!(tenants.counts.len(), TENANTS_MAX);
        assert_eq!(tenants.counts[&tenant(1)].1.requests, 1 + 2 * TENANTS_MAX as u64);
        assert_eq!(tenants.counts[&tenant(2 * TENANTS_MAX as u128)].1.requests, 1);
        assert!(!tenants.counts.contains_key(&tenant(2)), "it was away longest");
        assert_eq!(counted.total.lock().requests, 4 * TENANTS_MAX as u64);
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
