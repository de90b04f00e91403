//! The unit of change.

use std::collections::HashSet;

use bailiwick_ledger::Hash;
use bailiwick_types::{TenantId, Timestamp};

use crate::error::CommitError;
use crate::record::Space;

/// One atomic change of one tenant, or of one tenant together with the platform's plane (an operator's act, or a
/// refused cross-tenant attempt, is an entry in both).
///
/// All expectations are checked before anything is written; if one fails the whole commit is refused and leaves no
/// trace. Guards and what parts expect of their tenants come first, versions and limits after: whoever acts under an
/// epoch that is over learns that, and nothing about records. Commits of many tenants may share a transaction and an
/// fsync, but never a fate that one could observe: a refused commit does not disturb the others of its group.
///
/// A commit that no state could satisfy (two parts of one tenant, a key twice, a version that does not grow, a new
/// tenant without state or meta) is a bug of the caller's and refused as [`crate::CommitError::Conflict`].
#[derive(Debug, Clone)]
pub struct Commit {
    /// At most one part per tenant.
    pub parts: Vec<Part>,
    /// Epochs of planes that the decision also rests on (the platform's, for guardrails) and that must still hold;
    /// otherwise, also if there is no such plane, [`crate::CommitError::Stale`].
    pub guards: Vec<(TenantId, u64)>,
}

impl Commit {
    /// Refuses what no state could satisfy.
    ///
    /// # Errors
    /// [`CommitError::Conflict`], and [`CommitError::SlugTaken`] if two parts want the same slug.
    pub fn check_shape(&self) -> Result<(), CommitError> {
        const CONFLICT: CommitError = CommitError::Conflict { space: None };
        let (mut tenants, mut slugs, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
        for part in &self.parts {
            if !tenants.insert(part.tenant) {
                return Err(CONFLICT);
            }
            if let Expect::Absent { slug } = &part.expect {
                let is_whole = part.header.state.is_some() && matches!(part.header.meta, Some((0, _)));
                if !is_whole {
                    return Err(CONFLICT);
                }
                if !slugs.insert(slug) {
                    return Err(CommitError::SlugTaken);
                }
            }
            for write in &part.writes {
                let grows = match (write.expected, &write.value) {
                    (Some(old), Some((new, _))) => *new > old,
                    _ => true,
                };
                if !grows || !keys.insert((part.tenant, write.space, &write.key)) {
                    return Err(CommitError::Conflict { space: Some(write.space) });
                }
            }
        }
        Ok(())
    }
}

/// What changes in one tenant.
#[derive(Debug, Clone)]
pub struct Part {
    /// Whose.
    pub tenant: TenantId,
    /// What must be true of the tenant.
    pub expect: Expect,
    /// Changes of the tenant's row.
    pub header: HeaderChange,
    /// Changes of records, each key at most once.
    pub writes: Vec<Write>,
    /// Entries to append, in order.
    pub entries: Vec<NewEntry>,
}

impl Part {
    /// A part that only appends entries under an epoch.
    pub fn append(tenant: TenantId, epoch: u64, entries: Vec<NewEntry>) -> Self {
        Self { tenant, expect: Expect::Epoch(epoch), header: HeaderChange::default(), writes: Vec::new(), entries }
    }
}

/// What must be true of a tenant for a part to apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect {
    /// It exists and its epoch is this one; otherwise [`crate::CommitError::NoSuchTenant`] or
    /// [`crate::CommitError::Stale`].
    Epoch(u64),
    /// As [`Expect::Epoch`], and no record has changed since; otherwise [`crate::CommitError::Outdated`]. For what was decided
    /// from [`crate::Store::known`].
    Seen {
        /// The epoch.
        epoch: u64,
        /// The revision.
        revision: u64,
    },
    /// It exists; otherwise [`crate::CommitError::NoSuchTenant`]. For entries that rest on no decision of the tenant's
    /// (an operator's act on it).
    Exists,
    /// Neither the id nor the slug was ever used; the part creates the tenant with epoch 1 (whether it bumps the epoch or
    /// not, unless it is [`HeaderChange::restored`]), and must set state and meta. Otherwise [`crate::CommitError::TenantExists`], which goes first, so that
    /// whoever repeats a commit whose answer was lost finds its own tenant, or [`crate::CommitError::SlugTaken`].
    Absent {
        /// The new tenant's slug.
        slug: String,
    },
}

/// Changes of a tenant's row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChange {
    /// Adds one to the epoch: everything decided before is void.
    pub bump_epoch: bool,
    /// A new state.
    pub state: Option<u8>,
    /// (expected version, new bytes); 0 for a tenant that is being created.
    pub meta: Option<(u64, Vec<u8>)>,
    /// When the tenant's background work is due next.
    pub wake: Option<Wake>,
    /// What the tenant had reached in another store. For `bailiwick-transfer` alone: whatever else changes a tenant has
    /// earned its numbers here.
    pub restored: Option<Restored>,
}

/// The numbers of a tenant that was moved here from another store.
///
/// Each becomes this after everything else in the part was applied, and none may be less than it was before the part:
/// numbers that went back would let what was decided before pass for what was decided now. Otherwise
/// [`crate::CommitError::Conflict`] with no space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// As in [`crate::Header`].
    pub epoch: u64,
    /// As in [`crate::Header`].
    pub meta_version: u64,
    /// As in [`crate::Header`].
    pub revision: u64,
}

/// A wake-up of the tenant. A tenant has at most one; it stays due until a commit changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// Not later than this: an earlier wake-up that is already set stays.
    By(Timestamp),
    /// Exactly this, whatever was set.
    At(Timestamp),
    /// None.
    Never,
}

/// A change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The record's space.
    pub space: Space,
    /// The record's key.
    pub key: Vec<u8>,
    /// The version that it replaces; `None`: the key is absent. Otherwise [`crate::CommitError::Conflict`].
    pub expected: Option<u64>,
    /// (new version, sealed bytes), or `None` to remove it (or, if it is expected to be absent, to insist on that).
    /// The new version is greater than the one that it replaces.
    pub value: Option<(u64, Vec<u8>)>,
    /// The most records that the space may hold if this write adds one; otherwise [`crate::CommitError::Full`].
    /// Writes count in order: one that removes a record makes room for those after it.
    pub count_max: Option<u64>,
}

/// An entry to append. Its index is given by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The leaf hash over the canonical bytes.
    pub leaf: Hash,
    /// The sealed canonical bytes.
    pub sealed: Vec<u8>,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// One for each part, in order.
    pub receipts: Vec<Receipt>,
}

/// What became of one part: evidence that its entries are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Index of the first entry appended (the ledger's size before, if none was).
    pub first_index: u64,
    /// The ledger's size after.
    pub size: u64,
    /// The tenant's epoch after.
    pub epoch: u64,
}
