//! Moving what is in the log to where it is kept: a tenant's entries side by side, complete blocks as one run, how far the
//! tenant has come into its row.
//!
//! It is done in slices between groups of commits, each as large as keeps up with them, so that nobody waits long for it.
//! A slice needs no fsync: if it is lost, the log still has what it moved, and loading the log leaves out what the tables
//! have (see `tail`).
//!
//! # Invariants
//! - INV-SETTLE-1: a row of the log goes only once all that is in it is in the tables, in the same transaction or a later one.
//! - INV-SETTLE-2: a tenant is moved as a whole: entries, subtrees and row in one transaction.

use rusqlite::{Connection, params};

use crate::run::{self, BLOCK, Run, block_of};
use crate::tail::{Pending, Tail};

const PROGRESS: &str = "UPDATE tenant SET epoch = ?2, revision = ?3, counts = ?4, ledger = ?5 WHERE no = ?1";
const RUNS: &str =
    "SELECT first, leaves, sealed FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3 ORDER BY first";
const FORGET: &str = "DELETE FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3";
// REPLACE: were there anything in its place, it would be damage, and must not keep the log from being cut.
const PUT: &str = "INSERT OR REPLACE INTO ledger_run (tenant_no, first, leaves, sealed) VALUES (?1, ?2, ?3, ?4)";
const SUBTREE: &str = "INSERT OR REPLACE INTO ledger_subtree (tenant_no, level, n, hash) VALUES (?1, ?2, ?3, ?4)";
const CUT: &str = "DELETE FROM ledger_log WHERE place <= ?1";
const SIZE: &str = "SELECT max(place), total(length(body)) FROM ledger_log";

/// A complete block of more runs than this becomes one: to write its entries again is worth it only where there are many
/// small ones.
const RUNS_MAX: usize = 4;
/// How many entries a slice moves at least, if there are as many.
const SLICE_MIN: usize = 256;

/// The log's length, and how far moving it has come.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// Bytes in the log.
    bytes: usize,
    /// The last row of the log.
    place: i64,
    /// What is being moved, if anything is.
    round: Option<Round>,
}

/// Everything that was pending when the log had become too long.
#[derive(Debug)]
struct Round {
    tenants: Vec<i64>,
    /// The last row of the log then, and the bytes up to there.
    place: i64,
    bytes: usize,
}

/// What a slice has moved.
#[derive(Debug)]
pub(crate) struct Slice {
    tenants: Vec<i64>,
    is_last: bool,
}

impl Settling {
    /// That of a log that was found.
    pub(crate) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        conn.query_row(SIZE, [], |row| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "SQLite's sum of lengths")]
            let bytes = row.get::<_, f64>(1)? as usize;
            Ok(Self { bytes, place: row.get::<_, Option<i64>>(0)?.unwrap_or_default(), round: None })
        })
    }

    /// A row was added to the log.
    pub(crate) fn grown(&mut self, place: i64, bytes: usize) {
        self.place = place;
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Whether anything is not in the tables.
    pub(crate) fn holds(&self, tail: &Tail) -> bool {
        self.bytes > 0 || !tail.pending().is_empty()
    }

    /// Whether there is something to move, with the log allowed to have so many bytes.
    pub(crate) fn is_due(&self, bytes_max: usize) -> bool {
        self.round.is_some() || self.bytes > bytes_max
    }

    /// Moves a slice of about `entries`. The caller commits, and says so.
    pub(crate) fn slice(&mut self, conn: &Connection, tail: &Tail, entries: usize) -> rusqlite::Result<Slice> {
        let pending = tail.pending();
        let round = self.round.get_or_insert_with(|| {
            let mut tenants: Vec<i64> = pending.keys().copied().collect();
            // In the order of the tables, and taken from the end.
            tenants.sort_unstable_by(|a, b| b.cmp(a));
            Round { tenants, place: self.place, bytes: self.bytes }
        });
        let (mut moved, mut tenants) = (0, Vec::new());
        for no in round.tenants.iter().rev() {
            if moved >= entries.max(SLICE_MIN) {
                break;
            }
            // It may have been moved since, by itself.
            if let Some(pending) = pending.get(no) {
                moved += pending.entries.len() + 1;
                tenant(conn, *no, pending)?;
            }
            tenants.push(*no);
        }
        let is_last = tenants.len() == round.tenants.len();
        if is_last {
            conn.prepare_cached(CUT)?.execute([round.place])?;
        }
        Ok(Slice { tenants, is_last })
    }

    /// A slice was committed.
    pub(crate) fn done(&mut self, tail: &Tail, slice: &Slice) {
        tail.settled(&slice.tenants);
        if let Some(round) = &mut self.round {
            round.tenants.truncate(round.tenants.len().saturating_sub(slice.tenants.len()));
            if slice.is_last {
                self.bytes = self.bytes.saturating_sub(round.bytes);
                self.round = None;
            }
        }
    }
}

/// Moves what is pending of a tenant.
pub(crate) fn tenant(conn: &Connection, no: i64, pending: &Pending) -> rusqlite::Result<()> {
    let mut first = pending.first;
    let mut entries = pending.entries.as_slice();
    while !entries.is_empty() {
        let room = usize::try_from(BLOCK - first % BLOCK).unwrap_or(usize::MAX);
        let (block, rest) = entries.split_at(room.min(entries.len()));
        let is_complete = block.len() == room;
        let earlier = if is_complete { earlier(conn, no, block_of(first), first)? } else { None };
        let (from, mut run) = earlier.unwrap_or_else(|| (first, Run::default()));
        for entry in block {
            run.push(&entry.leaf, &entry.sealed);
        }
        conn.prepare_cached(PUT)?.execute(params![no, from.cast_signed(), run.leaves, run.sealed()])?;
        first += u64::try_from(block.len()).unwrap_or_default();
        entries = rest;
    }
    for (level, n, hash) in &pending.subtrees {
        conn.prepare_cached(SUBTREE)?.execute(params![no, level, n.cast_signed(), hash])?;
    }
    let progress = &pending.progress;
    let (epoch, revision) = (progress.epoch.cast_signed(), progress.revision.cast_signed());
    let (counts, ledger) = (progress.counts.to_bytes(), progress.ledger.to_bytes());
    conn.prepare_cached(PROGRESS)?.execute(params![no, epoch, revision, counts, ledger])?;
    Ok(())
}

/// Takes the runs `from..to` out of the tables, as one, and says where it begins. `None` where there are few, or where one
/// is damaged: that is for the readers to find.
fn earlier(conn: &Connection, no: i64, from: u64, to: u64) -> rusqlite::Result<Option<(u64, Run)>> {
    let mut run = Run::default();
    let range = params![no, from.cast_signed(), to.cast_signed()];
    let mut statement = conn.prepare_cached(RUNS)?;
    let mut rows = statement.query(range)?;
    let (mut next, mut count) = (from, 0);
    while let Some(row) = rows.next()? {
        let (leaves, sealed) = (row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
        let first = row.get::<_, i64>(0)?.cast_unsigned();
        let Some(entries) = run::entries(first, leaves, sealed).filter(|_| first == next) else { return Ok(None) };
        next += u64::try_from(entries.len()).unwrap_or_default();
        count += 1;
        for (_, leaf, sealed) in entries {
            run.push(leaf, sealed);
        }
    }
    if next != to || count < RUNS_MAX {
        return Ok(None);
    }
    drop(rows);
    conn.prepare_cached(FORGET)?.execute(range)?;
    Ok(Some((from, run)))
}
