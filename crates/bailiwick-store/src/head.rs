//! What a commit checks and changes of a tenant's row: the rule of the port, for every engine.

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_types::Timestamp;

use crate::commit::{Expect, Part, Receipt, Wake, Write};
use crate::error::CommitError;
use crate::record::Counts;

/// A tenant's row but for its names and its meta, which a commit only ever replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// As in [`crate::Header`].
    pub state: u8,
    /// When the tenant's background work is due.
    pub wake: Option<Timestamp>,
    /// As in [`crate::Header`].
    pub epoch: u64,
    /// As in [`crate::Header`].
    pub revision: u64,
    /// As in [`crate::Header`].
    pub meta_version: u64,
    /// As in [`crate::Header`].
    pub counts: Counts,
    /// As in [`crate::Header`].
    pub ledger: CompactRange,
}

/// A subtree that has become complete: its level, its number there, and its hash.
pub type Subtree = (u8, u64, Hash);

impl Head {
    /// A tenant's row before its first commit.
    pub fn unborn() -> Self {
        Self {
            state: 0,
            wake: None,
            epoch: 1,
            revision: 0,
            meta_version: 0,
            counts: Counts::default(),
            ledger: CompactRange::new(),
        }
    }

    /// What a part expects of a tenant that exists.
    ///
    /// # Errors
    /// [`CommitError::TenantExists`], [`CommitError::Stale`], [`CommitError::Outdated`].
    pub fn holds(&self, part: &Part) -> Result<(), CommitError> {
        match &part.expect {
            Expect::Absent { .. } => Err(CommitError::TenantExists),
            Expect::Epoch(epoch) | Expect::Seen { epoch, .. } if *epoch != self.epoch => {
                Err(CommitError::Stale { tenant: part.tenant })
            }
            Expect::Seen { revision, .. } if *revision != self.revision => {
                Err(CommitError::Outdated { tenant: part.tenant })
            }
            Expect::Epoch(_) | Expect::Seen { .. } | Expect::Exists => Ok(()),
        }
    }

    /// What a part expects of versions and counts. `found` is the version of each record that it writes, in order.
    ///
    /// # Errors
    /// [`CommitError::Conflict`], [`CommitError::Full`].
    pub fn allows(&self, part: &Part, found: impl IntoIterator<Item = Option<u64>>) -> Result<(), CommitError> {
        if part.header.meta.as_ref().is_some_and(|(expected, _)| *expected != self.meta_version) {
            return Err(CommitError::Conflict { space: None });
        }
        if part.header.restored.is_some_and(|restored| {
            restored.epoch < self.epoch
                || restored.meta_version < self.meta_version
                || restored.revision < self.revision
        }) {
            return Err(CommitError::Conflict { space: None });
        }
        if part.writes.is_empty() {
            return Ok(());
        }
        let mut counts = self.counts.clone();
        for (write, found) in part.writes.iter().zip(found) {
            if found != write.expected {
                return Err(CommitError::Conflict { space: Some(write.space) });
            }
            if let (None, Some(_), Some(max)) = (write.expected, &write.value, write.count_max)
                && counts.of(write.space) >= max
            {
                return Err(CommitError::Full { space: write.space, max });
            }
            count(&mut counts, write);
        }
        Ok(())
    }

    /// Changes the row as a part says whose expectations hold. Collects the subtrees that become complete.
    pub fn apply(&mut self, part: &Part, subtrees: &mut Vec<Subtree>) -> Receipt {
        let header = &part.header;
        // A new tenant has epoch 1, whatever the part says: there is nothing before it that could be void.
        if header.bump_epoch && !matches!(part.expect, Expect::Absent { .. }) {
            self.epoch += 1;
        }
        self.state = header.state.unwrap_or(self.state);
        if let Some((expected, _)) = &header.meta {
            self.meta_version = expected + 1;
        }
        self.wake = match header.wake {
            None => self.wake,
            Some(Wake::By(at)) => Some(self.wake.map_or(at, |set| set.min(at))),
            Some(Wake::At(at)) => Some(at),
            Some(Wake::Never) => None,
        };
        for write in &part.writes {
            count(&mut self.counts, write);
        }
        if !part.writes.is_empty() {
            self.revision += 1;
        }
        if let Some(restored) = header.restored {
            (self.epoch, self.meta_version) = (restored.epoch, restored.meta_version);
            self.revision = restored.revision;
        }
        let first_index = self.ledger.size();
        for entry in &part.entries {
            self.ledger.append(entry.leaf, |level, n, hash| subtrees.push((level, n, hash)));
        }
        Receipt { first_index, size: self.ledger.size(), epoch: self.epoch }
    }
}

/// Keeps the counts in step with a write.
fn count(counts: &mut Counts, write: &Write) {
    match (write.expected, &write.value) {
        (None, Some(_)) => counts.add(write.space),
        (Some(_), None) => counts.remove(write.space),
        _ => {}
    }
}
