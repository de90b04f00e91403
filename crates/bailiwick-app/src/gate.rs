//! How fast and how much at once: per tenant, after authentication, so that nobody can use up another's share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use bailiwick_types::{Limit, Limits, TenantId, Timestamp};
use foldhash::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::error::AppError;

/// The gates of all tenants that were here lately.
///
/// A gate goes when it is as good as new, and never because others need room: how full a tenant's bucket is must not
/// depend on how many neighbours it has.
#[derive(Default)]
pub(crate) struct Gates {
    shards: [RwLock<HashMap<TenantId, Arc<Gate>>>; SHARDS],
}

/// Tenants share a lock with one in so many.
const SHARDS: usize = 32;

impl Gates {
    /// A tenant's gate.
    pub(crate) fn of(&self, tenant: TenantId) -> Arc<Gate> {
        // Ids are random in all their bytes.
        let [.., last] = tenant.as_bytes();
        let Some(shard) = self.shards.get(usize::from(*last) % SHARDS) else { return Arc::default() };
        if let Some(gate) = shard.read().get(&tenant) {
            return Arc::clone(gate);
        }
        Arc::clone(shard.write().entry(tenant).or_default())
    }

    /// Forgets the gates that are as good as new.
    pub(crate) fn sweep(&self, now: Timestamp) {
        for shard in &self.shards {
            shard.write().retain(|_, gate| Arc::strong_count(gate) > 1 || !gate.is_as_new(now));
        }
    }
}

/// One tenant's gate on this node.
#[derive(Default)]
pub(crate) struct Gate {
    bucket: Mutex<Bucket>,
    in_flight: AtomicU64,
    /// How many requests may wait for their turn, as of the last one that was let in: turns come before anything of the
    /// tenant is read. Zero while nobody was.
    queue_max: AtomicU64,
    /// Failed logins, refusals by rate and for want of room to wait, written down at most once a window.
    pub(crate) failed_logins: Collapse,
    pub(crate) rate_refusals: Collapse,
    pub(crate) overloads: Collapse,
}

/// A token bucket of thousandths of a request, so that low rates refill evenly.
#[derive(Default)]
struct Bucket {
    milli_tokens: u64,
    filled_at: Option<Timestamp>,
}

/// One request's place in the gate; gives it back when dropped, also when the request is cancelled.
pub(crate) struct Pass(Arc<Gate>);

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pass")
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gate {
    /// Whether a new one in its place would do the same: nobody is inside, the bucket is full, and nothing is left to
    /// be written down.
    fn is_as_new(&self, now: Timestamp) -> bool {
        // A bucket holds what comes in a second.
        let is_full = self.bucket.lock().filled_at.is_none_or(|filled| now.since(filled).as_millis() >= 1_000);
        let is_empty = self.in_flight.load(Ordering::Relaxed) == 0;
        let noted = [&self.failed_logins, &self.rate_refusals, &self.overloads];
        is_full && is_empty && noted.into_iter().all(|collapse| collapse.is_as_new(now))
    }

    /// How many requests may wait for their turn, if that is known.
    pub(crate) fn queue_max(&self) -> Option<u64> {
        Some(self.queue_max.load(Ordering::Relaxed)).filter(|most| *most > 0)
    }

    pub(crate) fn enter(self: &Arc<Self>, limits: &Limits, now: Timestamp) -> Result<Pass, AppError> {
        self.queue_max.store(limits.of(Limit::QueuedRequests), Ordering::Relaxed);
        let most = limits.of(Limit::ConcurrentRequests);
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= most {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return Err(AppError::rate_limited(100));
        }
        let pass = Pass(Arc::clone(self));
        let rate = limits.of(Limit::RequestsPerSecond).max(1);
        let mut bucket = self.bucket.lock();
        let full = rate.saturating_mul(1_000);
        bucket.milli_tokens = match bucket.filled_at {
            None => full,
            Some(before) => {
                let elapsed_ms = u64::try_from(now.since(before).as_millis()).unwrap_or(u64::MAX);
                bucket.milli_tokens.saturating_add(elapsed_ms.saturating_mul(rate)).min(full)
            }
        };
        // A clock that was set back must not stop the refill for as long as it was ahead.
        bucket.filled_at = Some(now);
        match bucket.milli_tokens.checked_sub(1_000) {
            Some(rest) => {
                bucket.milli_tokens = rest;
                drop(bucket);
                Ok(pass)
            }
            None => Err(AppError::rate_limited(1_000_u64.div_ceil(rate).max(1))),
        }
    }
}

/// Lets one event of a kind through in each window and counts the others, so that a flood of failures cannot grow a
/// ledger faster than the window allows.
pub(crate) struct Collapse {
    window_end_ms: AtomicI64,
    suppressed: AtomicU64,
}

impl Default for Collapse {
    fn default() -> Self {
        Self { window_end_ms: AtomicI64::new(i64::MIN), suppressed: AtomicU64::new(0) }
    }
}

impl Collapse {
    const WINDOW_MS: i64 = 10_000;

    fn is_as_new(&self, now: Timestamp) -> bool {
        now.unix_ms() >= self.window_end_ms.load(Ordering::Relaxed) && self.suppressed.load(Ordering::Relaxed) == 0
    }

    /// `Some(n)`: write this one down, and that `n` before it were not.
    pub(crate) fn admit(&self, now: Timestamp) -> Option<u64> {
        let end = self.window_end_ms.load(Ordering::Relaxed);
        let now = now.unix_ms();
        // A window that ends too far ahead was set by a clock that has since gone back.
        let is_open = now >= end || end.saturating_sub(now) > Self::WINDOW_MS;
        let claimed = is_open
            && self
                .window_end_ms
                .compare_exchange(end, now.saturating_add(Self::WINDOW_MS), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if claimed {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    #[test]
    fn a_bucket_empties_and_refills() {
        let gate = Arc::new(Gate::default());
        let mut limits = Limits::default();
        limits.set(Limit::RequestsPerSecond, Some(10));
        for _ in 0..10 {
            assert!(gate.enter(&limits, at(0)).is_ok());
        }
        assert!(gate.enter(&limits, at(0)).is_err());
        assert!(gate.enter(&limits, at(99)).is_err());
        assert!(gate.enter(&limits, at(200)).is_ok());
    }

    #[test]
    fn places_are_given_back() {
        let gate = Arc::new(Gate::default());
        let mut limits = Limits::default();
        limits.set(Limit::ConcurrentRequests, Some(2));
        let first = gate.enter(&limits, at(0)).unwrap();
        let _second = gate.enter(&limits, at(0)).unwrap();
        assert!(gate.enter(&limits, at(0)).is_err());
        drop(first);
        assert!(gate.enter(&limits, at(0)).is_ok());
    }

    #[test]
    fn a_flood_is_one_event_per_window_with_its_count() {
        let collapse = Collapse::default();
        assert_eq!(collapse.admit(at(0)), Some(0));
        for _ in 0..5 {
            assert_eq!(collapse.admit(at(5)), None);
        }
        assert_eq!(collapse.admit(at(10_000)), Some(5));
        // The clock goes back an hour.
        assert_eq!(collapse.admit(at(-3_600_000)), Some(0));
    }

    #[test]
    fn a_gate_is_forgotten_when_it_is_as_good_as_new_and_not_before() {
        let (gates, tenant) = (Gates::default(), TenantId::from_bytes([7; 16]));
        let mut limits = Limits::default();
        limits.set(Limit::RequestsPerSecond, Some(1));
        let is_known = |gates: &Gates| gates.shards.iter().any(|shard| shard.read().contains_key(&tenant));
        let pass = gates.of(tenant).enter(&limits, at(0)).unwrap();
        gates.sweep(at(60_000));
        assert!(is_known(&gates), "somebody is inside");
        drop(pass);
        gates.sweep(at(999));
        assert!(gates.of(tenant).enter(&limits, at(999)).is_err(), "the bucket is empty still");
        assert_eq!(gates.of(tenant).failed_logins.admit(at(2_000)), Some(0));
        gates.sweep(at(11_999));
        assert!(is_known(&gates), "the window is open");
        assert_eq!(gates.of(tenant).failed_logins.admit(at(11_999)), None);
        gates.sweep(at(60_000));
        assert!(is_known(&gates), "one is to be written down");
        assert_eq!(gates.of(tenant).failed_logins.admit(at(60_000)), Some(1));
        gates.sweep(at(70_000));
        assert!(!is_known(&gates));
    }

    #[test]
    fn neighbours_however_many_do_not_fill_a_bucket() {
        let (gates, tenant) = (Gates::default(), TenantId::from_bytes([7; 16]));
        let mut limits = Limits::default();
        limits.set(Limit::RequestsPerSecond, Some(1));
        assert!(gates.of(tenant).enter(&limits, at(0)).is_ok());
        for neighbour in 0..50_000_u128 {
            let neighbour = TenantId::from_bytes((1_000 + neighbour).to_be_bytes());
            assert!(gates.of(neighbour).enter(&limits, at(0)).is_ok());
        }
        gates.sweep(at(500));
        assert!(gates.of(tenant).enter(&limits, at(500)).is_err());
    }
}
