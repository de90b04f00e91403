//! What a node remembers of tenants: their rows' edges, and records, each true of one revision.
//!
//! Nothing here is ever invalidated from outside, and nothing needs to be: what is answered from memory is committed under
//! the revision that it is of, and what is appended from memory is appended only if the row still is as remembered.
//!
//! # Invariants
//! - INV-MEMORY-1: a record is remembered under a *generation* of its tenant. A generation ends when the row turns out to
//!   have been changed by another node, and with it all of its records; it outlives this node's own changes, which replace
//!   what they change.
//! - INV-MEMORY-2: bounded in bytes, whatever tenants do, and nobody's many records push out another's few (INV-KEPT-2).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_store::{Head, Kept, Look, Owner, Place, Record, Space};
use bailiwick_types::TenantId;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::time::Instant;

/// How long after another node has changed a tenant's row this node asks before it appends.
const SHARED_FOR: Duration = Duration::from_millis(500);

/// A tenant for as long as no other node has changed it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Generation {
    tenant: TenantId,
    number: u64,
}

impl Owner for Generation {
    type Tenant = TenantId;

    fn tenant(self) -> TenantId {
        self.tenant
    }
}

/// A tenant's row as this node last saw it.
struct Seen {
    generation: u64,
    head: Head,
    shared_until: Option<Instant>,
}

/// A node's memory.
pub(crate) struct Memory {
    heads: Cache<TenantId, Arc<Mutex<Seen>>>,
    records: Kept<Generation>,
    generations: AtomicU64,
}

impl Memory {
    pub(crate) fn new(tenants: usize, bytes: u64) -> Self {
        Self { heads: Cache::new(tenants.max(1)), records: Kept::new(bytes), generations: AtomicU64::new(0) }
    }

    fn next_generation(&self) -> u64 {
        self.generations.fetch_add(1, Ordering::Relaxed)
    }

    /// The row to append to without asking; `None` if it is not known, or if other nodes change it too.
    pub(crate) fn own_head(&self, tenant: TenantId) -> Option<Head> {
        let seen = self.heads.get(&tenant)?;
        let seen = seen.lock();
        let is_shared = seen.shared_until.is_some_and(|until| Instant::now() < until);
        (!is_shared).then(|| seen.head.clone())
    }

    /// A record, and the revision that it is of.
    pub(crate) fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Option<(u64, Arc<Record>)> {
        let seen = self.heads.get(&tenant)?;
        let seen = seen.lock();
        let record = self.records.get(Generation { tenant, number: seen.generation }, space, key)?;
        Some((seen.head.revision, record))
    }

    /// Remembers a record that was read at a revision, if that is the one that is remembered.
    pub(crate) fn learn_record(&self, tenant: TenantId, revision: u64, space: Space, key: &[u8], record: &Record) {
        let Some(seen) = self.heads.get(&tenant) else { return };
        let seen = seen.lock();
        if seen.head.revision == revision {
            let place = Place::new(Generation { tenant, number: seen.generation }, space, key);
            if let Look::Gap(Some(gap)) = self.records.look(&place) {
                gap.fill(Arc::new(record.clone()));
            }
        }
    }

    /// Remembers a row that this node has just committed. `before` is the revision that it had when the commit began, and
    /// `written` what became of its records.
    pub(crate) fn learn<'a>(
        &self,
        tenant: TenantId,
        head: Head,
        before: u64,
        written: impl IntoIterator<Item = (Space, &'a [u8])>,
    ) {
        let Some(seen) = self.heads.get(&tenant) else {
            let generation = self.next_generation();
            self.heads.insert(tenant, Arc::new(Mutex::new(Seen { generation, head, shared_until: None })));
            return;
        };
        let mut seen = seen.lock();
        if seen.head.revision != before {
            seen.generation = self.next_generation();
        }
        for (space, key) in written {
            self.records.remove(Generation { tenant, number: seen.generation }, space, key);
        }
        seen.head = head;
    }

    /// Another node has changed the row.
    pub(crate) fn shared(&self, tenant: TenantId) {
        if let Some(seen) = self.heads.get(&tenant) {
            seen.lock().shared_until = Some(Instant::now() + SHARED_FOR);
        }
    }

    /// What is remembered of a tenant's records is over.
    pub(crate) fn outdated(&self, tenant: TenantId) {
        if let Some(seen) = self.heads.get(&tenant) {
            seen.lock().generation = self.next_generation();
        }
    }

    /// Nothing is known of this tenant any more.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.heads.remove(&tenant);
    }
}
