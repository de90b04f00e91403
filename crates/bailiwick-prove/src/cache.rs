//! What was proved before, by content.
//!
//! Only what holds is remembered: anything else is asked again. A tenant has a part of its own, so that the time that its
//! proofs take says nothing about the policies of others.

use std::collections::{HashMap, HashSet};

use bailiwick_types::TenantId;
use parking_lot::Mutex;

/// The hash of a question: the set, the property and the kind of request.
pub(crate) type Key = [u8; 32];

/// Proved questions of one tenant.
const KEYS_MAX: usize = 4_096;
/// Tenants.
const TENANTS_MAX: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct Cache {
    proved: Mutex<HashMap<TenantId, HashSet<Key>>>,
}

impl Cache {
    pub(crate) fn is_proved(&self, tenant: TenantId, key: &Key) -> bool {
        self.proved.lock().get(&tenant).is_some_and(|keys| keys.contains(key))
    }

    /// What is full starts over: that costs time and nothing else.
    pub(crate) fn remember(&self, tenant: TenantId, key: Key) {
        let mut proved = self.proved.lock();
        if proved.len() >= TENANTS_MAX && !proved.contains_key(&tenant) {
            proved.clear();
        }
        let keys = proved.entry(tenant).or_default();
        if keys.len() >= KEYS_MAX {
            keys.clear();
        }
        keys.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proved_for_one_tenant_is_unknown_for_another_and_the_bounds_hold() {
        let cache = Cache::default();
        let (acme, globex) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
        cache.remember(acme, [7; 32]);
        assert!(cache.is_proved(acme, &[7; 32]));
        assert!(!cache.is_proved(acme, &[8; 32]));
        assert!(!cache.is_proved(globex, &[7; 32]));
        for n in 0..10_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            cache.remember(acme, key);
            let mut tenant = [3; 16];
            tenant[..4].copy_from_slice(&n.to_be_bytes());
            cache.remember(TenantId::from_bytes(tenant), key);
        }
        let proved = cache.proved.lock();
        assert!(proved.len() <= TENANTS_MAX);
        assert!(proved.values().all(|keys| keys.len() <= KEYS_MAX));
    }
}
