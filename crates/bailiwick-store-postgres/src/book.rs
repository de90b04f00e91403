//! A group of commits, worked through in memory between the locks and the writes: the same rules as anywhere
//! ([`bailiwick_store::Head`]), and at the end the rows to write.
//!
//! # Invariants
//! - INV-BOOK-1: a commit changes the book only after all of its expectations held, so a refused one leaves nothing.
//! - INV-BOOK-2: a commit sees what the commits before it in its group have done.

use std::collections::{HashMap, HashSet};

use bailiwick_store::{Commit, CommitError, Committed, Expect, Head, NewEntry, Part, Receipt, Space, Subtree, Write};
use bailiwick_types::TenantId;

/// A record's place.
pub(crate) type Place = (TenantId, Space, Vec<u8>);

/// A tenant's row in the book.
pub(crate) struct Slot {
    pub(crate) head: Head,
    /// The row as it was locked; `None`: the group makes the tenant.
    pub(crate) before: Option<Head>,
    pub(crate) slug: Option<String>,
    pub(crate) meta: Option<Vec<u8>>,
    is_touched: bool,
}

impl Slot {
    /// Whether anything of the row must be written.
    pub(crate) fn is_touched(&self) -> bool {
        self.is_touched
    }

    /// Whether more must be written than what almost every commit changes.
    pub(crate) fn row_changed(&self) -> bool {
        self.before.as_ref().is_some_and(|before| {
            self.meta.is_some()
                || before.state != self.head.state
                || before.wake != self.head.wake
                || before.meta_version != self.head.meta_version
        })
    }
}

/// What a record holds: its version and its sealed bytes.
pub(crate) type Value = (u64, Vec<u8>);

/// A record that the group changes: its version before, and what it is after.
pub(crate) struct Changed {
    pub(crate) before: Option<u64>,
    pub(crate) after: Option<Value>,
}

/// The group's view of the database, and what it is going to write.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) slots: HashMap<TenantId, Slot>,
    slugs_taken: HashSet<String>,
    versions: HashMap<Place, u64>,
    /// The platform's epoch, if its row is not in the book.
    guard: Option<u64>,
    pub(crate) records: HashMap<Place, Changed>,
    /// What records were before the group, and up to which size of the ledger.
    pub(crate) past: Vec<(Place, u64)>,
    /// What they were between two of its commits.
    pub(crate) past_between: Vec<(Place, u64, Option<Value>)>,
    pub(crate) entries: Vec<(TenantId, u64, NewEntry)>,
    pub(crate) subtrees: Vec<(TenantId, Subtree)>,
}

impl Book {
    /// A row that was locked.
    pub(crate) fn enter(&mut self, tenant: TenantId, head: Head) {
        let before = Some(head.clone());
        self.slots.insert(tenant, Slot { head, before, slug: None, meta: None, is_touched: false });
    }

    /// A slug that is in use.
    pub(crate) fn enter_slug(&mut self, slug: String) {
        self.slugs_taken.insert(slug);
    }

    /// A record's version.
    pub(crate) fn enter_version(&mut self, place: Place, version: u64) {
        self.versions.insert(place, version);
    }

    /// The platform's epoch, held.
    pub(crate) fn enter_guard(&mut self, epoch: u64) {
        self.guard = Some(epoch);
    }

    /// Carries a commit out, or refuses it.
    pub(crate) fn perform(&mut self, commit: &Commit) -> Result<Committed, CommitError> {
        commit.check_shape()?;
        for (tenant, epoch) in &commit.guards {
            let held = match self.slots.get(tenant) {
                Some(slot) => Some(slot.head.epoch),
                None if tenant.is_platform() => self.guard,
                None => None,
            };
            if held != Some(*epoch) {
                return Err(CommitError::Stale { tenant: *tenant });
            }
        }
        for part in &commit.parts {
            self.holds(part)?;
        }
        for part in &commit.parts {
            let found = part.writes.iter().map(|write| self.version(part.tenant, write));
            match self.slots.get(&part.tenant) {
                Some(slot) => slot.head.allows(part, found)?,
                None => Head::unborn().allows(part, found)?,
            }
        }
        Ok(Committed { receipts: commit.parts.iter().map(|part| self.apply(part)).collect() })
    }

    fn holds(&self, part: &Part) -> Result<(), CommitError> {
        match (self.slots.get(&part.tenant), &part.expect) {
            (Some(slot), _) => slot.head.holds(part),
            (None, Expect::Absent { slug }) if self.slugs_taken.contains(slug) => Err(CommitError::SlugTaken),
            (None, Expect::Absent { .. }) => Ok(()),
            (None, _) => Err(CommitError::NoSuchTenant),
        }
    }

    fn version(&self, tenant: TenantId, write: &Write) -> Option<u64> {
        let place = (tenant, write.space, write.key.clone());
        match self.records.get(&place) {
            Some(changed) => changed.after.as_ref().map(|(version, _)| *version),
            None => self.versions.get(&place).copied(),
        }
    }

    fn apply(&mut self, part: &Part) -> Receipt {
        let slot = self.slots.entry(part.tenant).or_insert_with(|| Slot {
            head: Head::unborn(),
            before: None,
            slug: None,
            meta: None,
            is_touched: false,
        });
        if let Expect::Absent { slug } = &part.expect {
            slot.slug = Some(slug.clone());
            self.slugs_taken.insert(slug.clone());
        }
        let before = slot.head.clone();
        let mut subtrees = Vec::new();
        let receipt = slot.head.apply(part, &mut subtrees);
        if let Some((_, meta)) = &part.header.meta {
            slot.meta = Some(meta.clone());
        }
        slot.is_touched |= slot.head != before || slot.meta.is_some() || slot.slug.is_some();
        self.subtrees.extend(subtrees.into_iter().map(|subtree| (part.tenant, subtree)));
        for (index, entry) in (receipt.first_index..).zip(&part.entries) {
            self.entries.push((part.tenant, index, entry.clone()));
        }
        for write in part.writes.iter().filter(|write| write.expected.is_some() || write.value.is_some()) {
            let place = (part.tenant, write.space, write.key.clone());
            if write.space.keeps_past() {
                match self.records.get(&place) {
                    None => self.past.push((place.clone(), receipt.first_index)),
                    Some(changed) => {
                        self.past_between.push((place.clone(), receipt.first_index, changed.after.clone()));
                    }
                }
            }
            let before = self.versions.get(&place).copied();
            self.records.entry(place).or_insert(Changed { before, after: None }).after = write.value.clone();
        }
        receipt
    }
}
