//! How a ledger comes to its index: in the background, a full segment at a time, in order.
//!
//! Whoever commits the last entry of a segment, and whoever searches in segments without an index, puts the tenant on a
//! list in memory; the next round of background work makes what is missing, of all segments before too. So nothing is
//! durable but the index itself, and a node that stops forgets nothing that the next one would not notice.
//!
//! # Invariants
//! - INV-INDEXING-1: the segments that have an index are the first ones, without a gap, and of each all rows are there:
//!   they are written by one commit. How many there are is the count of the records, which the store keeps.
//!   Where that does not add up, where the first row is missing, and where a search came upon damage, what is there is
//!   removed, the first row first, and made anew; so is what an older version of this server made.
//! - INV-INDEXING-2: rows are written under the epoch that their keys are of, so none is written for a tenant that was
//!   shredded, or sealed with keys that are no longer current.
//!
//! # Deliberately absent
//! An entry for it: an index is made of entries, and says nothing that they do not.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use bailiwick_store::{Commit, CommitError, Expect, Header, HeaderChange, Part, Receipt, Space, Write};
use bailiwick_types::TenantId;

use super::index::{FIRST_ROW, ROWS, SEGMENT, Segment};
use crate::app::App;
use crate::error::AppError;
use crate::snapshot::Snapshot;
use crate::state::{Phase, TenantState};
use crate::tx::seal_write;

/// Segments that are made of one tenant before others get theirs.
const SEGMENTS_AT_ONCE: u64 = 16;
/// Tenants on the list, at most. Whoever does not get on it does with the next segment, or search.
const WANTED_MAX: usize = 10_000;
/// Entries that are read before others get the thread.
const ENTRIES_AT_ONCE: usize = 64;
/// Entries that are put into the index before others get the core: about a twentieth of a millisecond.
const ENTRIES_BEFORE_YIELD: usize = 16;
/// Rows that are removed by one commit,
const REMOVED_AT_ONCE: usize = 512;
/// and such commits for one tenant before others get theirs.
const REMOVALS_AT_ONCE: u64 = 16;

/// What is wanted of a ledger's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wanted {
    /// What is missing.
    Rest,
    /// All of it, anew: something in it is damaged.
    Anew,
}

/// How many of a ledger's segments have an index, if it is sound.
pub(super) fn segments_indexed(header: &Header) -> u64 {
    header.counts.of(Space::LedgerIndex) / u64::from(ROWS)
}

/// Whether a full segment has no index yet.
pub(super) fn is_behind(header: &Header) -> bool {
    segments_indexed(header) < header.ledger.size() / SEGMENT
}

/// The key of a segment's row: rows of one number lie side by side.
pub(super) fn row_key(row: u8, segment: u64) -> Vec<u8> {
    let mut key = vec![row];
    key.extend_from_slice(&segment.to_be_bytes());
    key
}

impl App {
    /// Puts a ledger on the list if this commit has filled a segment.
    pub(crate) fn note_segment(&self, tenant: TenantId, receipt: &Receipt) {
        if receipt.size / SEGMENT > receipt.first_index / SEGMENT {
            self.want_index(tenant, Wanted::Rest);
        }
    }

    pub(super) fn want_index(&self, tenant: TenantId, what: Wanted) {
        let mut wanted = self.indexing.lock();
        let is_full = wanted.len() >= WANTED_MAX;
        match wanted.entry(tenant) {
            Entry::Occupied(mut before) => *before.get_mut() = what.max(*before.get()),
            Entry::Vacant(place) if !is_full => drop(place.insert(what)),
            Entry::Vacant(_) => {}
        }
    }

    /// Makes what is missing of the indexes on the list. Of how many ledgers.
    pub(crate) async fn index_wanted(&self) -> usize {
        let wanted = std::mem::take(&mut *self.indexing.lock());
        let count = wanted.len();
        for (tenant, what) in wanted {
            match self.index_ledger(tenant, what).await {
                Ok(false) => {}
                Ok(true) => self.want_index(tenant, Wanted::Rest),
                Err(error) if self.should_retry(&error) => self.want_index(tenant, what),
                Err(error) => {
                    tracing::warn!(%tenant, %error, "a ledger could not be indexed; searching it takes longer")
                }
            }
        }
        count
    }

    /// Makes the next few segments' index. Whether there are more.
    async fn index_ledger(&self, tenant: TenantId, what: Wanted) -> Result<bool, AppError> {
        let Some(header) = self.store.header(tenant).await? else { return Ok(false) };
        let state = TenantState::from_number(header.state);
        // A plane that is being moved here is nobody's business until it is whole.
        let is_settled = matches!(state.phase, Phase::Active | Phase::Suspended | Phase::Deleting);
        if state.number() != header.state || !is_settled {
            return Ok(false);
        }
        let Some(snapshot) = self.snapshot_of(&header).await?.filter(|snapshot| snapshot.keyring.is_some()) else {
            return Ok(false);
        };
        if what == Wanted::Anew || !self.is_sound(&header).await? {
            self.remove_index(&snapshot).await?;
            return Ok(true);
        }
        let (first, full) = (segments_indexed(&header), header.ledger.size() / SEGMENT);
        let last = full.min(first + SEGMENTS_AT_ONCE);
        for segment in first..last {
            self.index_segment(&snapshot, segment).await?;
        }
        Ok(last < full)
    }

    /// Whether what there is of an index is as this version of the server makes it.
    pub(super) async fn is_sound(&self, header: &Header) -> Result<bool, AppError> {
        let rows = header.counts.of(Space::LedgerIndex);
        if rows == 0 {
            return Ok(true);
        }
        let first = self.store.record(header.tenant, Space::LedgerIndex, &row_key(FIRST_ROW, 0)).await?;
        Ok(first.is_some() && rows.is_multiple_of(u64::from(ROWS)))
    }

    /// Removes the next rows of an index, whatever they are. The first row goes first: what is left is not taken for whole.
    async fn remove_index(&self, snapshot: &Snapshot) -> Result<(), AppError> {
        let (tenant, space) = (snapshot.tenant, Space::LedgerIndex);
        let first = row_key(FIRST_ROW, 0);
        if let Some(record) = self.store.record(tenant, space, &first).await? {
            self.remove_rows(snapshot, vec![(first, record.version)]).await?;
        }
        for _ in 0..REMOVALS_AT_ONCE {
            let rows = self.store.records(tenant, space, &[], None, REMOVED_AT_ONCE).await?;
            if rows.is_empty() {
                break;
            }
            self.remove_rows(snapshot, rows.into_iter().map(|(key, record)| (key, record.version)).collect()).await?;
        }
        Ok(())
    }

    async fn remove_rows(&self, snapshot: &Snapshot, rows: Vec<(Vec<u8>, u64)>) -> Result<(), AppError> {
        let remove = |(key, version)| Write {
            space: Space::LedgerIndex,
            key,
            expected: Some(version),
            value: None,
            count_max: None,
        };
        self.write_index(snapshot, rows.into_iter().map(remove).collect()).await
    }

    async fn index_segment(&self, snapshot: &Arc<Snapshot>, segment: u64) -> Result<(), AppError> {
        let begin = segment * SEGMENT;
        let mut entries = Vec::new();
        for first in (begin..begin + SEGMENT).step_by(ENTRIES_AT_ONCE) {
            entries.extend(self.store.entries(snapshot.tenant, first, ENTRIES_AT_ONCE).await?);
            tokio::task::yield_now().await;
        }
        let keys = Arc::clone(snapshot);
        let rows = self.patiently(move || {
            let mut index = Segment::new();
            for (count, stored) in entries.iter().enumerate() {
                if count.is_multiple_of(ENTRIES_BEFORE_YIELD) {
                    // Whoever waits for this core gets it: the kernel lets even a nice thread finish its slice of milliseconds.
                    std::thread::yield_now();
                }
                let Some(bytes) = Self::open_entry(&keys, stored)? else { continue };
                let place = u16::try_from(stored.index - begin).map_err(AppError::internal)?;
                index.add(place, &Self::parse_entry(&bytes)?);
            }
            Ok::<_, AppError>(index.rows().collect::<Vec<_>>())
        });
        let seal = |(row, bytes): (u8, Vec<u8>)| {
            seal_write(self, snapshot, Space::LedgerIndex, row_key(row, segment), None, &bytes)
        };
        let writes = rows.await??.into_iter().map(seal).collect::<Result<_, _>>()?;
        self.write_index(snapshot, writes).await
    }

    async fn write_index(&self, snapshot: &Snapshot, writes: Vec<Write>) -> Result<(), AppError> {
        let part = Part {
            tenant: snapshot.tenant,
            expect: Expect::Epoch(snapshot.epoch),
            header: HeaderChange::default(),
            writes,
            entries: Vec::new(),
        };
        match self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await {
            // Another node was faster, with the same.
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
