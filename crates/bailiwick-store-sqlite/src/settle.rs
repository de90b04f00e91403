//! Moving what is in the log into the tables: a tenant's entries side by side, complete blocks as few runs, records and
//! what they were to their places, how far the tenant has come into its row.
//!
//! It is done in slices between groups of commits, each as large as keeps up with them, so that nobody waits long for it.
//! A slice needs no fsync: if it is lost, the log still has what it moved.
//!
//! # Invariants
//! - INV-SETTLE-1: a row of the log is done, and its slots are used again, only once all that is in it is in the tables, in a
//!   later transaction.
//! - INV-SETTLE-2: when all of a tenant is moved, its row says up to which place of the log that was, and what loads the log
//!   leaves that out. Of what was moved in part it finds entries by their numbers, and records are put where they are.
//! - INV-SETTLE-3: no place of the log is ever used again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::{Space, Subtree};
use bytes::Bytes;
use rusqlite::{Connection, params};

use crate::log::{Logged, Value};
use crate::run::{self, BLOCK, LONGEST, Run, block_of};
use crate::slots::{Found, SLOT_BYTES, Slots, Used};
use crate::tail::{Pending, Tail, Was, weight_of};

const PROGRESS: &str =
    "UPDATE tenant SET epoch = ?2, revision = ?3, counts = ?4, ledger = ?5, settled = ?6 WHERE no = ?1";
const RUNS: &str =
    "SELECT first, leaves, sealed FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3 ORDER BY first";
const COUNT: &str = "SELECT count(*) FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3";
const FORGET: &str = "DELETE FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3";
// REPLACE: were there anything in its place, it would be damage, and must not keep its row of the log from being done.
const RUN: &str = "INSERT OR REPLACE INTO ledger_run (tenant_no, first, leaves, sealed) VALUES (?1, ?2, ?3, ?4)";
const SUBTREE: &str = "INSERT OR REPLACE INTO ledger_subtree (tenant_no, level, n, hash) VALUES (?1, ?2, ?3, ?4)";
const PUT: &str = "INSERT INTO record (tenant_no, space, key, version, sealed) VALUES (?1, ?2, ?3, ?4, ?5) \
    ON CONFLICT DO UPDATE SET version = excluded.version, sealed = excluded.sealed";
const REMOVE: &str = "DELETE FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
// Of several changes at one size, what was before the first is what was at that size. What was forgotten while it was in the
// log is not kept.
const KEEP: &str = "INSERT OR IGNORE INTO past (tenant_no, space, key, until, version, sealed) \
    SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE ?4 >= (SELECT past_from FROM tenant WHERE no = ?1)";
const KEEP_PRESENT: &str = "INSERT OR IGNORE INTO past (tenant_no, space, key, until, version, sealed) \
    SELECT ?1, ?2, ?3, ?4, version, sealed FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3 \
    AND ?4 >= (SELECT past_from FROM tenant WHERE no = ?1)";
const LEDGER: &str = "SELECT ledger FROM tenant WHERE no = ?1";
const MOVED: &str = "UPDATE tenant SET ledger = ?2 WHERE no = ?1";
const DONE: &str = "UPDATE pulse SET place = ?1";

/// A complete block of more runs than this becomes few: to write its entries again is worth it only where there are many
/// small ones.
const RUNS_MAX: i64 = 32;

/// The most slots that are deleted at a time.
const DELETE_MAX: usize = 64;
/// So many times [`crate::Options::log_bytes`] may be free.
const FREE_MAX: usize = 2;

/// How long it is before what could not be moved is tried again.
const REST: Duration = Duration::from_secs(10);
/// And where there was no room for it. Until then the log grows by what is committed, once there is room again.
const REST_WHEN_FULL: Duration = Duration::from_millis(500);

/// The rows of the log, and how far moving them has come.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    slots: Slots,
    /// The rows that are not done: their places, and their slots.
    rows: VecDeque<(i64, Vec<i64>)>,
    /// How many slots these have.
    taken: usize,
    /// The last place of the log that was used.
    place: i64,
    /// Whether it is to be moved however little it is.
    is_wanted: bool,
    /// What is being moved, if anything is.
    round: Option<Round>,
    /// When to try again, if something could not be moved.
    rests_until: Option<Instant>,
}

/// Everything that was pending when the log had become too long.
#[derive(Debug)]
struct Round {
    /// In the order of the tables, from the end.
    tenants: Vec<i64>,
    /// The last place of the log then.
    place: i64,
    /// Whether a slice could not be carried out: from then on one tenant at a time, and all of it.
    is_careful: bool,
    /// Whether some tenant could not be moved. Then no row is done.
    is_partial: bool,
}

/// What a slice has moved.
#[derive(Debug)]
pub(crate) struct Slice {
    deleted: Used,
    moved: Vec<Moved>,
    is_last: bool,
}

/// What was moved of a tenant.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) no: i64,
    pub(crate) what: Portion,
}

/// How much of it.
#[derive(Debug)]
pub(crate) enum Portion {
    Everything,
    /// So many of the first entries, the subtrees that these complete, what records were until the ledger had a size, and
    /// records with all that they were.
    Some {
        entries: usize,
        subtrees: usize,
        past: Vec<(Space, Bytes, u64)>,
        records: Vec<(Space, Bytes)>,
    },
}

impl Settling {
    /// That of a log that was found.
    pub(crate) fn new(found: Found) -> Self {
        let place = found.rows.last().map_or(found.done, |row| row.place);
        let mut settling = Self { place, ..Self::default() };
        settling.hold(found);
        settling
    }

    /// A tenant was taken out of the rows, and this is what is left: of each row one slot, which is soon to be free.
    pub(crate) fn stripped(&mut self, found: Found) {
        self.hold(found);
        self.is_wanted = true;
    }

    fn hold(&mut self, found: Found) {
        self.rows = found.rows.into_iter().map(|row| (row.place, row.slots)).collect();
        self.taken = self.rows.iter().map(|(_, slots)| slots.len()).sum();
        self.slots = found.slots;
    }

    /// Adds a row to the log, after slots were deleted in the same transaction. The caller commits, and says so.
    pub(crate) fn append(&self, conn: &Connection, body: &[u8], deleted: Used) -> rusqlite::Result<Used> {
        self.slots.write(conn, self.next(), body, deleted)
    }

    /// The row is committed.
    pub(crate) fn grown(&mut self, used: Used) {
        self.slots.used(&used);
        if !used.slots.is_empty() {
            self.place = self.next();
            self.taken = self.taken.saturating_add(used.slots.len());
            self.rows.push_back((self.place, used.slots));
        }
    }

    /// The place of the next row of the log.
    fn next(&self) -> i64 {
        self.place.saturating_add(1)
    }

    /// Deletes a few of the slots that may hold something that is to be erased, and says whether there are more. The caller
    /// commits, and says so.
    pub(crate) fn clear(&self, conn: &Connection) -> rusqlite::Result<(Used, bool)> {
        let suspects = self.slots.suspects();
        Ok((self.slots.delete(conn, suspects.min(DELETE_MAX))?, suspects > DELETE_MAX))
    }

    /// About how many bytes are in the log that are not done.
    pub(crate) fn bytes(&self) -> usize {
        self.taken.saturating_mul(SLOT_BYTES)
    }

    /// Whether anything is being moved.
    pub(crate) fn is_under_way(&self) -> bool {
        self.round.is_some()
    }

    /// Whether a round is to begin, if the log may have so many bytes.
    pub(crate) fn is_due(&self, log_bytes: usize) -> bool {
        (self.bytes() > log_bytes || self.is_wanted) && self.rests_until.is_none_or(|until| Instant::now() >= until)
    }

    /// Moves a slice of about `weight`. If many slots are free, some are deleted: more than about `keep` bytes are of no use.
    /// The caller commits, and says so.
    pub(crate) fn slice(
        &mut self,
        conn: &Connection,
        tail: &Tail,
        weight: usize,
        keep: usize,
    ) -> rusqlite::Result<Slice> {
        let excess = self.slots.free().saturating_sub((keep / SLOT_BYTES).saturating_mul(FREE_MAX));
        let deleted = self.slots.delete(conn, excess.min(DELETE_MAX))?;
        let pending = tail.pending();
        let place = self.place;
        self.is_wanted &= self.round.is_some();
        let round = self.round.get_or_insert_with(|| {
            let mut tenants: Vec<i64> = pending.keys().copied().collect();
            tenants.sort_unstable_by(|a, b| b.cmp(a));
            Round { tenants, place, is_careful: false, is_partial: false }
        });
        let mut left = if round.is_careful { usize::MAX } else { weight };
        let mut moved = Vec::new();
        for no in round.tenants.iter().rev() {
            let Some(pending) = pending.get(no) else {
                moved.push(Moved { no: *no, what: Portion::Everything });
                continue;
            };
            let Some(weight) = pending.weight(left) else {
                moved.push(Moved { no: *no, what: part(conn, *no, pending, left)? });
                break;
            };
            everything(conn, *no, pending, place)?;
            moved.push(Moved { no: *no, what: Portion::Everything });
            left -= weight;
            if left == 0 || round.is_careful {
                break;
            }
        }
        let is_last = moved.len() == round.tenants.len()
            && moved.last().is_none_or(|moved| matches!(moved.what, Portion::Everything));
        if is_last && !round.is_partial {
            conn.prepare_cached(DONE)?.execute([round.place])?;
        }
        Ok(Slice { deleted, moved, is_last })
    }

    /// A slice was committed.
    pub(crate) fn done(&mut self, tail: &Tail, slice: &Slice) {
        tail.settled(&slice.moved);
        self.slots.used(&slice.deleted);
        let Some(round) = &mut self.round else { return };
        let whole = slice.moved.iter().filter(|moved| matches!(moved.what, Portion::Everything)).count();
        round.tenants.truncate(round.tenants.len().saturating_sub(whole));
        if !slice.is_last {
            return;
        }
        let (done, is_partial) = (round.place, round.is_partial);
        self.round = None;
        let count = if is_partial { 0 } else { self.rows.iter().take_while(|(place, _)| *place <= done).count() };
        for (_, slots) in self.rows.drain(..count) {
            self.taken = self.taken.saturating_sub(slots.len());
            self.slots.give_back(slots);
        }
    }

    /// A slice could not be carried out. If it was of one tenant, the round goes on without that; where there is no room, there
    /// is none for anybody.
    pub(crate) fn stumbled(&mut self, is_full: bool) {
        let Some(round) = &mut self.round else { return };
        if is_full {
            (self.round, self.is_wanted) = (None, true);
            self.rests_until = Instant::now().checked_add(REST_WHEN_FULL);
            return;
        }
        if round.is_careful {
            round.tenants.pop();
            round.is_partial = true;
            self.rests_until = Instant::now().checked_add(REST);
        }
        round.is_careful = true;
        if round.tenants.is_empty() {
            self.round = None;
        }
    }
}

/// Moves what is pending of a tenant, which is all that the log has of it up to a place.
fn everything(conn: &Connection, no: i64, pending: &Pending, place: i64) -> rusqlite::Result<()> {
    entries(conn, no, pending.first, pending.entries.iter())?;
    subtrees(conn, no, &pending.subtrees)?;
    for (space, key) in pending.records.keys() {
        for (until, was) in pending.past_of(*space, key) {
            keep(conn, no, *space, key, until, was)?;
        }
        put(conn, no, pending, *space, key)?;
    }
    let progress = &pending.progress;
    let (epoch, revision) = (progress.epoch.cast_signed(), progress.revision.cast_signed());
    let (counts, ledger) = (progress.counts.to_bytes(), progress.ledger.to_bytes());
    conn.prepare_cached(PROGRESS)?.execute(params![no, epoch, revision, counts, ledger, place]).map(drop)
}

/// Moves so much of it: what does not fit any more is the last.
fn part(conn: &Connection, no: i64, pending: &Pending, weight: usize) -> rusqlite::Result<Portion> {
    let mut left = weight;
    let mut fits = |weight: usize| {
        let is_some_left = left > 0;
        left = left.saturating_sub(weight);
        is_some_left
    };
    let count = pending.entries.iter().take_while(|entry| fits(weight_of(entry.sealed.len()))).count();
    let moved = || pending.entries.iter().take(count);
    entries(conn, no, pending.first, moved())?;
    let mut completed = Vec::new();
    if count > 0 {
        let stored = conn
            .prepare_cached(LEDGER)?
            .query_row([no], |row| Ok(CompactRange::from_bytes(row.get_ref(0)?.as_blob()?)));
        let mut ledger = stored?.ok_or(rusqlite::Error::InvalidQuery)?;
        for entry in moved() {
            ledger.append(entry.leaf, |level, n, hash| completed.push((level, n, hash)));
        }
        subtrees(conn, no, &completed)?;
        conn.prepare_cached(MOVED)?.execute(params![no, ledger.to_bytes()])?;
    }
    let (mut past, mut records) = (Vec::new(), Vec::new());
    'all: for ((space, key), value) in &pending.records {
        // From the earliest on: the first of it is still in its place.
        for (until, was) in pending.past_of(*space, key) {
            if !fits(was.weight()) {
                break 'all;
            }
            keep(conn, no, *space, key, until, was)?;
            past.push((*space, key.clone(), until));
        }
        if !fits(Value::weight(value.as_ref())) {
            break;
        }
        put(conn, no, pending, *space, key)?;
        records.push((*space, key.clone()));
    }
    Ok(Portion::Some { entries: count, subtrees: completed.len(), past, records })
}

fn subtrees(conn: &Connection, no: i64, subtrees: &[Subtree]) -> rusqlite::Result<()> {
    for (level, n, hash) in subtrees {
        conn.prepare_cached(SUBTREE)?.execute(params![no, level, n.cast_signed(), hash])?;
    }
    Ok(())
}

/// Moves a record. What it was must have been moved before: some of that is still in its place.
fn put(conn: &Connection, no: i64, pending: &Pending, space: Space, key: &Bytes) -> rusqlite::Result<()> {
    let (number, bytes) = (space.number(), &**key);
    match pending.records.get(&(space, key.clone())) {
        Some(Some(Value { version, sealed })) => {
            conn.prepare_cached(PUT)?.execute(params![no, number, bytes, version.cast_signed(), &**sealed])?;
        }
        Some(None) => {
            conn.prepare_cached(REMOVE)?.execute(params![no, number, bytes])?;
        }
        None => {}
    }
    Ok(())
}

fn keep(conn: &Connection, no: i64, space: Space, key: &Bytes, until: u64, was: &Was) -> rusqlite::Result<()> {
    let (space, key, until) = (space.number(), &**key, until.cast_signed());
    let nothing = (None::<i64>, None::<&[u8]>);
    let (version, sealed) = match was {
        Was::InTable => return conn.prepare_cached(KEEP_PRESENT)?.execute(params![no, space, key, until]).map(drop),
        Was::Absent => nothing,
        Was::Value(value) => (Some(value.version.cast_signed()), Some(&*value.sealed)),
    };
    conn.prepare_cached(KEEP)?.execute(params![no, space, key, until, version, sealed]).map(drop)
}

fn entries<'a>(
    conn: &Connection,
    no: i64,
    mut first: u64,
    entries: impl Iterator<Item = &'a Logged>,
) -> rusqlite::Result<()> {
    let mut entries = entries.peekable();
    while entries.peek().is_some() {
        let room = usize::try_from(BLOCK - first % BLOCK).unwrap_or(usize::MAX);
        let block: Vec<&Logged> = entries.by_ref().take(room).collect();
        let is_complete = block.len() == room;
        let earlier = if is_complete { earlier(conn, no, block_of(first), first)? } else { None };
        let (mut from, earlier) = earlier.map_or((first, Vec::new()), |earlier| (block_of(first), earlier));
        let mut run = Run::default();
        let all = earlier.iter().map(|(leaf, sealed)| (leaf, sealed.as_slice()));
        for (index, (leaf, sealed)) in (from..).zip(all.chain(block.iter().map(|entry| (&entry.leaf, &*entry.sealed))))
        {
            run.push(leaf, sealed);
            if (index + 1).is_multiple_of(LONGEST) {
                put_run(conn, no, from, &std::mem::take(&mut run))?;
                from = index + 1;
            }
        }
        if !run.leaves.is_empty() {
            put_run(conn, no, from, &run)?;
        }
        first += u64::try_from(block.len()).unwrap_or_default();
    }
    Ok(())
}

fn put_run(conn: &Connection, no: i64, first: u64, run: &Run) -> rusqlite::Result<()> {
    conn.prepare_cached(RUN)?.execute(params![no, first.cast_signed(), run.leaves, run.sealed()]).map(drop)
}

/// Leaf hashes and sealed entries that were taken out of the tables.
type Taken = Vec<(Hash, Vec<u8>)>;

/// Takes the runs `from..to` out of the tables, and says what was in them. `None` where there are few, or where one is
/// damaged: that is for the readers to find.
fn earlier(conn: &Connection, no: i64, from: u64, to: u64) -> rusqlite::Result<Option<Taken>> {
    let range = params![no, from.cast_signed(), to.cast_signed()];
    if conn.prepare_cached(COUNT)?.query_row(range, |row| row.get::<_, i64>(0))? < RUNS_MAX {
        return Ok(None);
    }
    let mut all = Vec::new();
    let mut statement = conn.prepare_cached(RUNS)?;
    let mut rows = statement.query(range)?;
    let mut next = from;
    while let Some(row) = rows.next()? {
        let (leaves, sealed) = (row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
        let first = row.get::<_, i64>(0)?.cast_unsigned();
        let Some(entries) = run::entries(first, leaves, sealed).filter(|_| first == next) else { return Ok(None) };
        next += u64::try_from(entries.len()).unwrap_or_default();
        all.extend(entries.into_iter().map(|(_, leaf, sealed)| (*leaf, sealed.to_vec())));
    }
    if next != to {
        return Ok(None);
    }
    drop(rows);
    conn.prepare_cached(FORGET)?.execute(range)?;
    Ok(Some(all))
}
