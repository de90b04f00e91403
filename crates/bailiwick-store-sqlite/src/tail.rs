//! What is in the log and not yet in the tables, in memory.
//!
//! # Invariants
//! - INV-TAIL-1: what is here is committed, and what is committed is here before anybody is answered.
//! - INV-TAIL-2: things move from here into the tables only while [`Tail::exclude`] is held. Who reads both does so under
//!   [`Tail::steady`], looks here first, and sees one state. (Beside that, what is erased or forgotten leaves the tables.)
//! - INV-TAIL-3: only the writer changes it. Its size is bounded by how much the writer lets the log grow.

use std::cmp::Ordering;
use std::collections::btree_map::Entry as At;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::{Counts, Head as Row, Header, Record, Space, StoredEntry, Subtree};
use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use rusqlite::{Connection, OptionalExtension};

use crate::error::OpenError;
use crate::log::{self, Logged, Value};
use crate::settle::{Moved, Portion};
use crate::slots;

const ROW: &str = "SELECT settled, ledger FROM tenant WHERE no = ?1";

/// What of a tenant's row almost every commit moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) epoch: u64,
    pub(crate) revision: u64,
    pub(crate) counts: Counts,
    pub(crate) ledger: CompactRange,
}

/// What of one tenant is in the log only.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) progress: Arc<Progress>,
    /// The index of the first entry.
    pub(crate) first: u64,
    /// Moved from the front, a slice at a time.
    pub(crate) entries: VecDeque<Logged>,
    /// Subtrees that these entries have completed.
    pub(crate) subtrees: Vec<Subtree>,
    /// Records as they are now; `None`: there is none any more.
    pub(crate) records: BTreeMap<(Space, Bytes), Option<Value>>,
    /// What records were until the ledger had a size.
    pub(crate) past: BTreeMap<(Space, Bytes, u64), Was>,
}

/// What a record was before a change.
#[derive(Debug, Clone)]
pub(crate) enum Was {
    /// Not there.
    Absent,
    /// As the table has it.
    InTable,
    /// This.
    Value(Value),
}

/// All tenants' pending changes, by the tenants' numbers.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    /// Held to read by who reads tables and tail together, to write by who moves between them.
    steady: RwLock<()>,
    tenants: RwLock<foldhash::HashMap<i64, Pending>>,
}

/// So many bytes weigh one: an entry has fewer.
const WEIGHT_BYTES: usize = 2_048;

/// How much there is to do about an entry or a record of so many bytes: to move a large one takes as long as many small ones.
pub(crate) const fn weight_of(bytes: usize) -> usize {
    1 + bytes / WEIGHT_BYTES
}

impl Was {
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Absent | Self::InTable => weight_of(0),
            Self::Value(value) => weight_of(value.sealed.len()),
        }
    }
}

impl Value {
    pub(crate) fn weight(value: Option<&Self>) -> usize {
        weight_of(value.map_or(0, |value| value.sealed.len()))
    }

    pub(crate) fn to_record(&self) -> Record {
        Record { version: self.version, sealed: self.sealed.to_vec() }
    }
}

impl Progress {
    fn of(row: &Row) -> Self {
        let Row { epoch, revision, ref counts, ref ledger, .. } = *row;
        Self { epoch, revision, counts: counts.clone(), ledger: ledger.clone() }
    }

    /// Brings what was read from the tenant's row up to date.
    pub(crate) fn advance(&self, row: &mut Row) {
        (row.epoch, row.revision) = (self.epoch, self.revision);
        row.counts.clone_from(&self.counts);
        row.ledger.clone_from(&self.ledger);
    }

    /// As [`Progress::advance`], of a row as the port shows it.
    pub(crate) fn advance_header(&self, header: &mut Header) {
        (header.epoch, header.revision) = (self.epoch, self.revision);
        header.counts.clone_from(&self.counts);
        header.ledger.clone_from(&self.ledger);
    }
}

impl Pending {
    fn new(progress: Progress, first: u64) -> Self {
        let (entries, subtrees) = (VecDeque::new(), Vec::new());
        let (records, past) = (BTreeMap::new(), BTreeMap::new());
        Self { progress: Arc::new(progress), first, entries, subtrees, records, past }
    }

    /// How much there is to move, if it is no more than `most`.
    pub(crate) fn weight(&self, most: usize) -> Option<usize> {
        let entries = self.entries.iter().map(|entry| weight_of(entry.sealed.len()));
        let records = self.records.values().map(|value| Value::weight(value.as_ref()));
        let mut all = entries.chain(records).chain(self.past.values().map(Was::weight));
        all.try_fold(1, |sum: usize, weight| sum.checked_add(weight).filter(|sum| *sum <= most))
    }

    /// What a record was, with the size of the ledger that each was until.
    pub(crate) fn past_of(&self, space: Space, key: &Bytes) -> impl Iterator<Item = (u64, &Was)> {
        let range = (space, key.clone(), 0)..=(space, key.clone(), u64::MAX);
        self.past.range(range).map(|((_, _, until), was)| (*until, was))
    }

    /// Forgets what of it is in the tables now.
    fn forget(&mut self, entries: usize, subtrees: usize, past: &[(Space, Bytes, u64)], records: &[(Space, Bytes)]) {
        self.first = self.first.saturating_add(u64::try_from(entries).unwrap_or_default());
        self.entries.drain(..entries.min(self.entries.len()));
        self.subtrees.drain(..subtrees.min(self.subtrees.len()));
        for was in past {
            self.past.remove(was);
        }
        for place in records {
            self.records.remove(place);
        }
    }

    fn change(&mut self, changes: Vec<log::Change>, until: u64) {
        for log::Change { space, key, replaces, value } in changes {
            let before = self.records.insert((space, key.clone()), value);
            if !space.keeps_past() {
                continue;
            }
            // Of several changes at one size, what was before the first is what was at that size.
            if let At::Vacant(entry) = self.past.entry((space, key, until)) {
                entry.insert(match before {
                    _ if !replaces => Was::Absent,
                    None => Was::InTable,
                    Some(value) => value.map_or(Was::Absent, Was::Value),
                });
            }
        }
    }
}

impl Tail {
    /// What the rows of a database's log hold that its tables do not.
    pub(crate) fn load(&self, conn: &Connection, rows: &[slots::Row]) -> Result<(), OpenError> {
        // The tenants with the last place of the log that their rows in the tables have.
        let mut tenants: HashMap<i64, (i64, Pending)> = HashMap::new();
        for slots::Row { place, body, .. } in rows {
            for record in log::records(body.clone()) {
                let record = record.ok_or_else(damaged)?;
                let (settled, pending) = match tenants.entry(record.no) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => entry.insert(row_of(conn, record.no)?.ok_or_else(damaged)?),
                };
                if place > settled {
                    replay(pending, record).ok_or_else(damaged)?;
                }
            }
        }
        let pending = tenants.into_iter().filter(|(_, (_, pending))| pending.progress.epoch > 0);
        *self.tenants.write() = pending.map(|(no, (_, pending))| (no, pending)).collect();
        Ok(())
    }

    /// Adds what a group has committed: its row of the log, and how its tenants stand.
    pub(crate) fn extend<'a>(
        &self,
        row: Bytes,
        stands: impl Iterator<Item = (i64, &'a Row)>,
        subtrees: impl Iterator<Item = (i64, Subtree)>,
    ) {
        let mut tenants = self.tenants.write();
        // The records are those that were just written: none of them is damaged.
        for log::Record { no, first, entries, changes, epoch, revision, counts } in log::records(row).flatten() {
            let pending = tenants.entry(no).or_insert_with(|| {
                Pending::new(Progress { epoch, revision, counts, ledger: CompactRange::new() }, first)
            });
            pending.entries.extend(entries);
            pending.change(changes, first);
        }
        for (no, row) in stands {
            if let Some(pending) = tenants.get_mut(&no) {
                pending.progress = Arc::new(Progress::of(row));
            }
        }
        for (no, subtree) in subtrees {
            if let Some(pending) = tenants.get_mut(&no) {
                pending.subtrees.push(subtree);
            }
        }
    }

    /// Keeps everything where it is for as long as the guard lives. Not to be asked for by who has one.
    pub(crate) fn steady(&self) -> RwLockReadGuard<'_, ()> {
        self.steady.read()
    }

    /// Waits until nobody reads, at most so long.
    pub(crate) fn exclude(&self, patience: Duration) -> Option<RwLockWriteGuard<'_, ()>> {
        self.steady.try_write_for(patience)
    }

    /// What is pending, for whoever moves it.
    pub(crate) fn pending(&self) -> RwLockReadGuard<'_, foldhash::HashMap<i64, Pending>> {
        self.tenants.read()
    }

    /// Forgets what is in the tables now.
    pub(crate) fn settled(&self, moved: &[Moved]) {
        let mut tenants = self.tenants.write();
        for Moved { no, what } in moved {
            match (what, tenants.get_mut(no)) {
                (Portion::Everything, _) => drop(tenants.remove(no)),
                (Portion::Some { entries, subtrees, past, records }, Some(pending)) => {
                    pending.forget(*entries, *subtrees, past, records)
                }
                (Portion::Some { .. }, None) => {}
            }
        }
    }

    /// Takes a tenant's records and sealed entries out, as they were taken out of the log. Returns which records.
    pub(crate) fn strip(&self, no: i64) -> Vec<(Space, Bytes)> {
        let mut tenants = self.tenants.write();
        let Some(pending) = tenants.get_mut(&no) else { return Vec::new() };
        pending.entries.iter_mut().for_each(|entry| entry.sealed.clear());
        pending.past.clear();
        std::mem::take(&mut pending.records).into_keys().collect()
    }

    /// What to bring a tenant's row up to date with, once it is read.
    pub(crate) fn progress(&self, no: i64) -> Option<Arc<Progress>> {
        self.tenants.read().get(&no).map(|pending| Arc::clone(&pending.progress))
    }

    /// The progress of all tenants that have any.
    pub(crate) fn all(&self) -> HashMap<i64, Arc<Progress>> {
        self.tenants.read().iter().map(|(no, pending)| (*no, Arc::clone(&pending.progress))).collect()
    }

    /// A record, if it has changed.
    pub(crate) fn record(&self, no: i64, space: Space, key: &[u8]) -> Option<Option<Value>> {
        let tenants = self.tenants.read();
        let records = &tenants.get(&no)?.records;
        if records.is_empty() { None } else { records.get(&(space, Bytes::copy_from_slice(key))).cloned() }
    }

    /// Records that have changed, from a key (inclusive) to another (exclusive, if there is one): as many as it takes to have
    /// `limit` that are there. Who wants a list of that length needs none of those after them.
    pub(crate) fn records(
        &self,
        no: i64,
        space: Space,
        from: &[u8],
        end: Option<&[u8]>,
        limit: usize,
    ) -> Vec<(Vec<u8>, Option<Value>)> {
        let tenants = self.tenants.read();
        let Some(pending) = tenants.get(&no) else { return Vec::new() };
        let changed = pending.records.range((space, Bytes::copy_from_slice(from))..);
        let wanted = changed.take_while(|((of, key), _)| *of == space && end.is_none_or(|end| &**key < end));
        let mut left = limit;
        let needed = wanted.take_while(|(_, value)| {
            let is_needed = left > 0;
            left -= usize::from(is_needed && value.is_some());
            is_needed
        });
        needed.map(|((_, key), value)| (key.to_vec(), value.clone())).collect()
    }

    /// What records have been since the ledger had a size, from a key (inclusive) on, with the size that each was until.
    pub(crate) fn past(&self, no: i64, space: Space, from: &[u8], size: u64) -> Vec<(Vec<u8>, u64, Was)> {
        let tenants = self.tenants.read();
        let Some(pending) = tenants.get(&no) else { return Vec::new() };
        let known = pending.past.range((space, Bytes::copy_from_slice(from), 0)..);
        let wanted = known.take_while(|((of, ..), _)| *of == space).filter(|((_, _, until), _)| *until >= size);
        wanted.map(|((_, key, until), was)| (key.to_vec(), *until, was.clone())).collect()
    }

    /// Pending entries of a tenant from an index on, at most `limit`.
    pub(crate) fn entries(&self, no: i64, from: u64, limit: usize) -> Vec<StoredEntry> {
        let tenants = self.tenants.read();
        let Some(pending) = tenants.get(&no) else { return Vec::new() };
        let first = from.max(pending.first);
        let before = usize::try_from(first - pending.first).unwrap_or(usize::MAX).min(pending.entries.len());
        let stored =
            |(index, entry): (u64, &Logged)| StoredEntry { index, leaf: entry.leaf, sealed: entry.sealed.to_vec() };
        (first..).zip(pending.entries.range(before..)).take(limit).map(stored).collect()
    }

    /// Pending leaf hashes of a tenant's entries `from..to`.
    pub(crate) fn leaves(&self, no: i64, from: u64, to: u64) -> Vec<(u64, Hash)> {
        let tenants = self.tenants.read();
        let Some(pending) = tenants.get(&no) else { return Vec::new() };
        let found = (pending.first..to).zip(&pending.entries).filter(|(index, _)| *index >= from);
        found.map(|(index, entry)| (index, entry.leaf)).collect()
    }

    /// Pending subtrees of a level with the numbers `from..to`, in order.
    pub(crate) fn subtrees(&self, no: i64, level: u8, from: u64, to: u64) -> Vec<(u64, Hash)> {
        let tenants = self.tenants.read();
        let subtrees = tenants.get(&no).map(|pending| pending.subtrees.as_slice()).unwrap_or_default();
        let wanted = subtrees.iter().filter(|(at, n, _)| *at == level && (from..to).contains(n));
        wanted.map(|(_, n, hash)| (*n, *hash)).collect()
    }
}

/// What is said of a log that does not parse.
pub(crate) fn damaged() -> OpenError {
    OpenError::Engine("the log of commits is damaged".to_owned())
}

/// Applies a record to what is known so far. `None`: it does not follow.
fn replay(pending: &mut Pending, record: log::Record) -> Option<()> {
    let progress = Arc::make_mut(&mut pending.progress);
    (progress.epoch, progress.revision, progress.counts) = (record.epoch, record.revision, record.counts);
    for (index, entry) in (record.first..).zip(record.entries) {
        match index.cmp(&progress.ledger.size()) {
            // It was moved already, if not everything was.
            Ordering::Less => {}
            Ordering::Equal => {
                progress.ledger.append(entry.leaf, |level, n, hash| pending.subtrees.push((level, n, hash)));
                pending.entries.push_back(entry);
            }
            Ordering::Greater => return None,
        }
    }
    pending.change(record.changes, record.first);
    Some(())
}

/// Up to which place of the log a tenant is in the tables, and nothing pending beyond that yet.
fn row_of(conn: &Connection, no: i64) -> rusqlite::Result<Option<(i64, Pending)>> {
    let mut statement = conn.prepare_cached(ROW)?;
    let found = statement.query_row([no], |row| {
        let ledger = CompactRange::from_bytes(row.get_ref(1)?.as_blob()?);
        let settled: i64 = row.get(0)?;
        Ok(ledger.map(|ledger| {
            let first = ledger.size();
            // No epoch is 0: nothing is known yet that is not in the row.
            (settled, Pending::new(Progress { epoch: 0, revision: 0, counts: Counts::default(), ledger }, first))
        }))
    });
    Ok(found.optional()?.flatten())
}
