//! The storage port: tenants, spaces, keys, versions and sealed bytes, and nothing about what they mean.
//!
//! Everything durable goes through [`Store::commit`]: one atomic unit of record writes, tenant-header changes and
//! ledger entries. The doc comments here *are* the contract; `bailiwick-store-conformance` checks it on every adapter.
//!
//! # Invariants
//! - INV-STORE-1: a commit is applied as a whole and is durable before it is answered, or it is not applied.
//! - INV-STORE-2: a part is applied only while its tenant's epoch is the one that the decision was made under.
//! - INV-STORE-3: within a tenant, ledger entries are numbered 0, 1, 2, … in commit order, without gaps, and the
//!   header's frontier is that of exactly these leaves.
//! - INV-STORE-4: a read of one tenant never returns bytes of another; a tenant is in every key.
//! - INV-STORE-5: after a failed fsync nothing is acknowledged until the store has recovered from what is on disk.
//!
//! # Deliberately absent
//! No SQL, no plaintext, no query by content, no cross-tenant read but the operator's list of headers, no way to
//! write a record without saying which version it replaces.

mod commit;
mod error;
mod head;
mod kept;
pub mod keys;
mod record;

use async_trait::async_trait;
use bailiwick_ledger::Hash;
use bailiwick_types::{TenantId, Timestamp};

pub use commit::{Commit, Committed, Expect, HeaderChange, NewEntry, Part, Receipt, Restored, Wake, Write};
pub use error::{CommitError, StoreError};
pub use head::{Head, Subtree};
pub use kept::{Gap, Kept, Look, Owner, Place};
pub use record::{Child, Counts, Header, Known, Record, Space, StoredEntry, Totals};

/// A storage engine. Cheap to share (`Arc<dyn Store>`), safe for concurrent use.
///
/// Reads see every commit that was acknowledged before the read began. Two reads of one request may see different
/// states; what keeps a decision sound is that [`Store::commit`] checks epoch and versions.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The engine, for people: `sqlite`, `postgres`.
    fn engine(&self) -> &'static str;

    /// A tenant's header.
    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError>;

    /// The id of the tenant that has, or ever had, this slug.
    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, StoreError>;

    /// The operator's list: headers in byte order of their slugs, after `after` (exclusive), at most `limit`. Never the
    /// platform's.
    async fn headers(&self, after: Option<&str>, limit: usize) -> Result<Vec<Header>, StoreError>;

    /// How many tenants there are in each state that any is in, in order of states, the platform not counted. May read
    /// an index to the end; not for the hot path.
    async fn totals(&self) -> Result<Totals, StoreError>;

    /// One record.
    async fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError>;

    /// One record, perhaps as this process last knew it: an engine that is far away answers from memory where it can, and
    /// says which revision of the tenant that was. An answer from memory is as good as the commit that names the revision,
    /// which is where it is found out if another process has changed anything.
    async fn known(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Known, StoreError> {
        Ok(Known { record: self.record(tenant, space, key).await?, revision: None })
    }

    /// Records whose key starts with `prefix`, in byte order of their keys, after `after` (exclusive, a whole key),
    /// at most `limit`.
    async fn records(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError>;

    /// From which size of its ledger on the store knows what a tenant's records were; `None`: it keeps no past. A tenant
    /// that the store has kept from its creation is known from 0 on.
    async fn past_from(&self, _tenant: TenantId) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// The records of a space as they were when the tenant's ledger had `size` entries: with what every commit wrote whose
    /// entries are below `size`, and without what any later one wrote (one without entries counts as if it had the next).
    /// In byte order of their keys, after `after` (exclusive), at most `limit`. Of a space that keeps no past
    /// ([`Space::keeps_past`]) as they are; of a size before [`Store::past_from`] it is not said what comes.
    async fn records_at(
        &self,
        tenant: TenantId,
        space: Space,
        size: u64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        let _ = (tenant, space, size, after, limit);
        Err(StoreError::Unavailable("this engine keeps no past".to_owned()))
    }

    /// Forgets what records were before the ledger had `size` entries. Idempotent; runs in bounded steps.
    async fn forget_past(&self, _tenant: TenantId, _size: u64) -> Result<(), StoreError> {
        Ok(())
    }

    /// The names directly below `prefix` when keys are read as paths with `/`: for keys `p/a`, `p/b/c`, `p/b/d` and
    /// prefix `p/`, these are `a` and `b/`. In byte order, after `after` (exclusive, a name as returned), at most
    /// `limit`. The cost does not depend on how many keys lie below one name. Names are returned as the bytes in the
    /// key; a folder's name ends in `/`. A key that equals `prefix` has no name below it.
    async fn children(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError>;

    /// Ledger entries from index `from`, ascending, at most `limit`. None beyond the end.
    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError>;

    /// Leaf hashes of the entries `from..to`, which must exist; otherwise [`StoreError::Damaged`].
    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError>;

    /// Hashes of complete subtrees of `256^level` leaves (`level` ≥ 1), numbers `from..to`, which must exist; otherwise
    /// [`StoreError::Damaged`]. They are derived data: written by the commit that completes them.
    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError>;

    /// Applies a commit, or does not. See [`Commit`].
    ///
    /// If the caller goes away while it waits, the commit may still be applied.
    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError>;

    /// Tenants (the platform too) whose wake-up time is at or before `now`, earliest first, at most `limit`.
    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError>;

    /// Removes everything of a tenant but its header, its ledger's leaf hashes and its place in the tree: all records, and
    /// what they were, and the sealed bytes of the entries that it has when the call begins. The header keeps everything but the counts,
    /// which become zero; the wake-up stays too, as it may be what finishes an erasure. Idempotent, and nothing to do
    /// for a tenant that does not exist; runs in bounded steps, so a crash leaves some for the next call.
    async fn erase(&self, tenant: TenantId) -> Result<(), StoreError>;

    /// A cheap end-to-end check that reads and durable writes work, for readiness.
    async fn ping(&self) -> Result<(), StoreError>;

    /// What time it is by a clock that all processes which share the store can ask. `None`: there is none but this machine's.
    async fn clock(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    /// What the engine counts, for monitoring: a name that fits Prometheus (`postgres_reconnects_total`; what ends in
    /// `_total` only grows), what it is, and its value. Nothing of one tenant.
    fn metrics(&self) -> Vec<(&'static str, &'static str, u64)> {
        Vec::new()
    }

    /// Bytes on disk.
    async fn size_bytes(&self) -> Result<u64, StoreError>;
}
