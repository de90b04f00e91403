//! The ends of ledgers that are in the log and not yet where they are kept, in memory.
//!
//! # Invariants
//! - INV-TAIL-1: what is here is committed; and what is committed is here before anybody is answered, or in the tables.
//! - INV-TAIL-2: who reads looks here first and into the tables after. So it finds what is moved in between twice, never
//!   not at all; and what it knows of a tenant's row is never older than what it found here.
//! - INV-TAIL-3: only the writer's thread changes it. Its size is bounded by how much the writer lets the log grow.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::{Counts, Head as Row, Header, StoredEntry, Subtree};
use bytes::Bytes;
use parking_lot::{RwLock, RwLockReadGuard};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::OpenError;
use crate::log::{self, Logged, Record};
use crate::read::unsigned;

const LOG: &str = "SELECT body FROM ledger_log ORDER BY place";
const ROW: &str = "SELECT epoch, revision, counts, ledger FROM tenant WHERE no = ?1";

/// What of a tenant's row every commit may move.
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
    pub(crate) entries: Vec<Logged>,
    /// Subtrees that these entries have completed.
    pub(crate) subtrees: Vec<Subtree>,
}

/// All tenants' pending ends, by the tenants' numbers.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    tenants: RwLock<HashMap<i64, Pending>>,
}

impl Progress {
    fn of(row: &Row) -> Self {
        let Row { epoch, revision, ref counts, ref ledger, .. } = *row;
        Self { epoch, revision, counts: counts.clone(), ledger: ledger.clone() }
    }

    /// Brings what was then read from the tenant's row up to date. All numbers only grow, and the counts go with the
    /// revision; of two with one revision the row's are right, as an erasure changes them there, and no revision.
    pub(crate) fn advance(&self, row: &mut Row) {
        row.epoch = row.epoch.max(self.epoch);
        if self.revision > row.revision {
            (row.revision, row.counts) = (self.revision, self.counts.clone());
        }
        if self.ledger.size() > row.ledger.size() {
            row.ledger = self.ledger.clone();
        }
    }

    /// As [`Progress::advance`], of a row as the port shows it.
    pub(crate) fn advance_header(&self, header: &mut Header) {
        header.epoch = header.epoch.max(self.epoch);
        if self.revision > header.revision {
            (header.revision, header.counts) = (self.revision, self.counts.clone());
        }
        if self.ledger.size() > header.ledger.size() {
            header.ledger = self.ledger.clone();
        }
    }
}

impl Tail {
    /// What the log of a database holds that its tables do not.
    pub(crate) fn load(&self, conn: &Connection) -> Result<(), OpenError> {
        let damaged = || OpenError::Engine("the log of commits is damaged".to_owned());
        let mut tenants = HashMap::new();
        let mut statement = conn.prepare(LOG)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for record in log::records(Bytes::from(row.get::<_, Vec<u8>>(0)?)) {
                replay(conn, &mut tenants, record.ok_or_else(damaged)?)?.ok_or_else(damaged)?;
            }
        }
        *self.tenants.write() = tenants;
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
        for Record { no, first, entries, epoch, revision, counts } in log::records(row).flatten() {
            let pending = tenants.entry(no).or_insert_with(|| {
                let progress = Progress { epoch, revision, counts, ledger: CompactRange::new() };
                Pending { progress: Arc::new(progress), first, entries: Vec::new(), subtrees: Vec::new() }
            });
            pending.entries.extend(entries);
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

    /// What is pending, for whoever moves it.
    pub(crate) fn pending(&self) -> RwLockReadGuard<'_, HashMap<i64, Pending>> {
        self.tenants.read()
    }

    /// Forgets what is in the tables now.
    pub(crate) fn settled(&self, tenants: &[i64]) {
        let mut pending = self.tenants.write();
        for no in tenants {
            pending.remove(no);
        }
    }

    /// What to bring a tenant's row up to date with, once it is read.
    pub(crate) fn progress(&self, no: i64) -> Option<Arc<Progress>> {
        self.tenants.read().get(&no).map(|pending| Arc::clone(&pending.progress))
    }

    /// The progress of all tenants that have any.
    pub(crate) fn all(&self) -> HashMap<i64, Arc<Progress>> {
        self.tenants.read().iter().map(|(no, pending)| (*no, Arc::clone(&pending.progress))).collect()
    }

    /// Pending entries of a tenant from an index on, at most `limit`.
    pub(crate) fn entries(&self, no: i64, from: u64, limit: usize) -> Vec<StoredEntry> {
        let stored =
            |(index, entry): (u64, &Logged)| StoredEntry { index, leaf: entry.leaf, sealed: entry.sealed.to_vec() };
        let tenants = self.tenants.read();
        let Some(pending) = tenants.get(&no) else { return Vec::new() };
        (pending.first..).zip(&pending.entries).skip_while(|(index, _)| *index < from).take(limit).map(stored).collect()
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

/// Applies a record to what is known so far. `None`: it does not follow.
fn replay(conn: &Connection, tenants: &mut HashMap<i64, Pending>, record: Record) -> rusqlite::Result<Option<()>> {
    if let Entry::Vacant(entry) = tenants.entry(record.no) {
        let Some(progress) = row_of(conn, record.no)? else { return Ok(None) };
        let first = progress.ledger.size();
        entry.insert(Pending { progress: Arc::new(progress), first, entries: Vec::new(), subtrees: Vec::new() });
    }
    let Some(pending) = tenants.get_mut(&record.no) else { return Ok(None) };
    let progress = Arc::make_mut(&mut pending.progress);
    progress.epoch = progress.epoch.max(record.epoch);
    if record.revision > progress.revision {
        (progress.revision, progress.counts) = (record.revision, record.counts);
    }
    for (index, entry) in (record.first..).zip(record.entries) {
        match index.cmp(&progress.ledger.size()) {
            // It was moved before the log could be cut.
            Ordering::Less => {}
            Ordering::Equal => {
                progress.ledger.append(entry.leaf, |level, n, hash| pending.subtrees.push((level, n, hash)));
                pending.entries.push(entry);
            }
            Ordering::Greater => return Ok(None),
        }
    }
    Ok(Some(()))
}

fn row_of(conn: &Connection, no: i64) -> rusqlite::Result<Option<Progress>> {
    let mut statement = conn.prepare_cached(ROW)?;
    let found = statement.query_row(params![no], |row| {
        let counts = Counts::from_bytes(row.get_ref(2)?.as_blob()?);
        let ledger = CompactRange::from_bytes(row.get_ref(3)?.as_blob()?);
        let (Some(counts), Some(ledger)) = (counts, ledger) else { return Ok(None) };
        Ok(Some(Progress { epoch: unsigned(row, 0)?, revision: unsigned(row, 1)?, counts, ledger }))
    });
    Ok(found.optional()?.flatten())
}
