//! The snapshots that are kept in memory, bounded in bytes, and how much of that each tenant has.
//!
//! # Invariants
//! - INV-SNAPSHOTS-1: all together they weigh no more than they may, as they weighed when last used.
//! - INV-SNAPSHOTS-2: what is remembered of a tenant's requests is at most a [`SHARE`]th of that: a tenant that fills its
//!   share forgets its own and pushes out nobody else's. (Its policies it keeps; how many there may be is a quota, and they
//!   weigh no more here than a share.)
//!
//! # Deliberately absent
//! A count of bytes by the allocator: the weights are estimates. Those of policies were measured, the others are guesses.

use std::sync::Arc;

use bailiwick_types::TenantId;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::snapshot::{SNAPSHOT_BYTES, Snapshot};

/// Of the whole, what may be remembered of one tenant's requests.
const SHARE: u64 = 8;
/// The map is in parts that are locked, and full, by themselves. A share must fit into one.
const PARTS: usize = 4;

/// A map of which each value takes the bytes that are said when it is put in.
pub(crate) type Weighed<K, V> = Cache<K, (V, u64), Bytes>;

/// One for so many bytes, with values of at least so many each.
pub(crate) fn weighed<K: Eq + std::hash::Hash, V: Clone>(bytes: u64, least: u64) -> Weighed<K, V> {
    let mut options = OptionsBuilder::new();
    options.shards(PARTS).weight_capacity(bytes);
    options.estimated_items_capacity(usize::try_from(bytes / least).unwrap_or(usize::MAX));
    // It is built from all that it needs.
    let options = options.build().unwrap_or_else(|error| unreachable!("{error}"));
    Cache::with_options(options, Bytes, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

#[derive(Clone)]
pub(crate) struct Bytes;

impl<K, V> Weighter<K, (V, u64)> for Bytes {
    fn weight(&self, _: &K, (_, bytes): &(V, u64)) -> u64 {
        *bytes
    }
}

pub(crate) struct Snapshots {
    /// Each with what it weighed when that was looked at.
    kept: Weighed<TenantId, Arc<Snapshot>>,
    most: u64,
}

impl Snapshots {
    /// Room for so many bytes.
    pub(crate) fn new(most: u64) -> Self {
        Self { kept: weighed(most, SNAPSHOT_BYTES), most }
    }

    pub(crate) fn get(&self, tenant: TenantId) -> Option<Arc<Snapshot>> {
        let (snapshot, noted) = self.kept.get(&tenant)?;
        if snapshot.remembered_bytes() > self.share() {
            snapshot.forget();
        }
        let bytes = self.weight(&snapshot);
        if bytes.abs_diff(noted) > noted / 4 {
            // Only in its own place: what was removed meanwhile stays removed.
            let _ = self.kept.replace(tenant, (Arc::clone(&snapshot), bytes), true);
        }
        Some(snapshot)
    }

    pub(crate) fn insert(&self, tenant: TenantId, snapshot: Arc<Snapshot>) {
        let bytes = self.weight(&snapshot);
        self.kept.insert(tenant, (snapshot, bytes));
    }

    pub(crate) fn remove(&self, tenant: TenantId) {
        self.kept.remove(&tenant);
    }

    pub(crate) fn clear(&self) {
        self.kept.clear();
    }

    /// About how many bytes all of them take.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.weight()
    }

    /// How many they may take.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.most
    }

    /// About how many bytes a tenant takes; 0 if nothing is known of it.
    pub(crate) fn bytes_of(&self, tenant: TenantId) -> u64 {
        self.kept.peek(&tenant).map_or(0, |(snapshot, _)| snapshot.bytes())
    }

    fn share(&self) -> u64 {
        self.most / SHARE
    }

    fn weight(&self, snapshot: &Snapshot) -> u64 {
        // What is heavier than its part of the map would not be kept at all, and all its policies read for every request.
        snapshot.bytes().min(self.share())
    }
}

#[cfg(test)]
#[path = "snapshots_tests.rs"]
mod tests;
