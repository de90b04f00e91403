//! A map bounded in entries and in bytes that forgets everything when it is full.
//!
//! Forgetting costs time and nothing else, the bounds hold whatever a tenant does, and an idle tenant's caches take no
//! memory, because nothing is allocated before the first entry. Every cache belongs to one [`Authority`], or to what else is
//! known of one tenant, so no tenant can push out what another one uses.
//!
//! [`Authority`]: crate::Authority

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::RwLock;

/// What is remembered of one tenant, bounded in entries and in bytes; full, it forgets everything.
#[derive(Debug)]
pub struct Cache<K, V> {
    /// Each with the bytes that it takes.
    entries: RwLock<HashMap<K, (V, usize)>>,
    /// Of all of them.
    bytes: AtomicUsize,
    max: usize,
    bytes_max: usize,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// One for at most so many entries, and bytes.
    pub fn new(max: usize, bytes_max: usize) -> Self {
        Self { entries: RwLock::new(HashMap::new()), bytes: AtomicUsize::new(0), max, bytes_max }
    }

    /// The value under `key`.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.find(key, |_| true)
    }

    /// The value under `key`, if `accept` takes it. `V` is an `Arc` or nearly so.
    pub(crate) fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q, accept: impl FnOnce(&V) -> bool) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.read().get(key).map(|(value, _)| value).filter(|value| accept(value)).cloned()
    }

    /// Keeps a value that takes about so many bytes. What takes more than everything may is not kept.
    pub fn insert(&self, key: K, value: V, bytes: usize) {
        if bytes > self.bytes_max {
            return;
        }
        let mut entries = self.entries.write();
        let before = entries.get(&key).map(|(_, bytes)| *bytes);
        let sum = self.bytes().saturating_sub(before.unwrap_or(0)).saturating_add(bytes);
        let is_full = sum > self.bytes_max || (before.is_none() && entries.len() >= self.max);
        if is_full {
            *entries = HashMap::new();
        }
        self.bytes.store(if is_full { bytes } else { sum }, Ordering::Relaxed);
        entries.insert(key, (value, bytes));
    }

    /// About how many bytes are kept.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        let mut entries = self.entries.write();
        *entries = HashMap::new();
        self.bytes.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_starts_over_and_never_grows_past_its_bound() {
        let cache = Cache::new(3, 1_000);
        for n in 0..10 {
            cache.insert(n, n, 1);
            assert_eq!(cache.find(&n, |_| true), Some(n));
            assert!(cache.entries.read().len() <= 3);
        }
        assert_eq!(cache.find(&0, |_| true), None);
        assert_eq!(cache.find(&9, |_| false), None);
    }

    #[test]
    fn nor_past_its_bytes() {
        let cache = Cache::new(1_000, 100);
        for n in 0..100 {
            cache.insert(n, n, 30);
            assert_eq!(cache.find(&n, |_| true), Some(n));
            assert!(cache.bytes() <= 100 && cache.entries.read().len() <= 3, "{}", cache.bytes());
        }
        cache.insert(7, 7, 101);
        assert_eq!(cache.find(&7, |_| true), None, "it alone is too much");
        assert_eq!(cache.find(&99, |_| true), Some(99), "and pushes nothing out");
        cache.insert(99, 99, 20);
        assert_eq!(cache.bytes(), 20, "one that is put in again counts once");
        cache.clear();
        assert_eq!((cache.bytes(), cache.find(&99, |_| true)), (0, None));
    }

    #[test]
    fn a_cache_forgets_nothing_before_it_is_full_nor_for_what_it_has_already() {
        let cache = Cache::new(3, 1_000);
        for n in [0, 1, 2, 1] {
            cache.insert(n, n, 1);
        }
        assert_eq!([0, 1, 2].map(|n| cache.find(&n, |_| true)), [Some(0), Some(1), Some(2)]);
    }
}
