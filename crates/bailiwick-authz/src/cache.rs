//! A bounded map that forgets everything when it is full.
//!
//! Forgetting costs time and nothing else, the bound holds whatever a tenant does, and an idle tenant's caches take no
//! memory, because nothing is allocated before the first entry. Every cache belongs to one [`Authority`], which belongs
//! to one tenant, so no tenant can push out what another one uses.
//!
//! [`Authority`]: crate::Authority

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use parking_lot::RwLock;

#[derive(Debug)]
pub(crate) struct Cache<K, V> {
    entries: RwLock<HashMap<K, V>>,
    max: usize,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(max: usize) -> Self {
        Self { entries: RwLock::new(HashMap::new()), max }
    }

    /// The value under `key`, if `accept` takes it. `V` is an `Arc` or nearly so.
    pub(crate) fn find<Q: Eq + Hash + ?Sized>(&self, key: &Q, accept: impl FnOnce(&V) -> bool) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.entries.read().get(key).filter(|value| accept(value)).cloned()
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        let mut entries = self.entries.write();
        if entries.len() >= self.max && !entries.contains_key(&key) {
            entries.clear();
        }
        entries.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_starts_over_and_never_grows_past_its_bound() {
        let cache = Cache::new(3);
        for n in 0..10 {
            cache.insert(n, n);
            assert_eq!(cache.find(&n, |_| true), Some(n));
            assert!(cache.entries.read().len() <= 3);
        }
        assert_eq!(cache.find(&0, |_| true), None);
        assert_eq!(cache.find(&9, |_| false), None);
    }

    #[test]
    fn a_cache_forgets_nothing_before_it_is_full_nor_for_what_it_has_already() {
        let cache = Cache::new(3);
        for n in [0, 1, 2, 1] {
            cache.insert(n, n);
        }
        assert_eq!([0, 1, 2].map(|n| cache.find(&n, |_| true)), [Some(0), Some(1), Some(2)]);
    }
}
