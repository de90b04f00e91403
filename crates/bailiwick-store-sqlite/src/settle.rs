//! Moving what is in the log into the tables: a tenant's entries side by side, complete blocks as few runs, records and
//! what they were to their places, how far the tenant has come into its row.
//!
//! It is done in slices between groups of commits, each as large as keeps up with them, so that nobody waits long for it.
//! A slice needs no fsync: if it is lost, the log still has what it moved.
//!
//! Rows that are done go with the groups that come, about as many bytes as these bring. So a page that is given back is
//! overwritten in the same transaction: to zero it, for the sake of what was erased, costs no write.
//!
//! # Invariants
//! - INV-SETTLE-1: a row of the log goes only once all that is in it is in the tables, in a later transaction.
//! - INV-SETTLE-2: when all of a tenant is moved, its row says up to which place of the log that was, and what loads the log
//!   leaves that out. Of what was moved in part it finds entries by their numbers, and records are put where they are.
//! - INV-SETTLE-3: no place of the log is ever used again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bailiwick_ledger::CompactRange;
use bailiwick_store::{Space, Subtree};
use bytes::Bytes;
use rusqlite::{Connection, params};

use crate::log::{Logged, Value};
use crate::run::{self, BLOCK, Run, block_of};
use crate::tail::{Pending, Tail, Was};

const PROGRESS: &str =
    "UPDATE tenant SET epoch = ?2, revision = ?3, counts = ?4, ledger = ?5, settled = ?6 WHERE no = ?1";
const RUNS: &str =
    "SELECT first, leaves, sealed FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3 ORDER BY first";
const FORGET: &str = "DELETE FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3";
// REPLACE: were there anything in its place, it would be damage, and must not keep the log from being cut.
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
const CUT: &str = "DELETE FROM log WHERE place <= ?1";
const USED: &str = "UPDATE pulse SET place = ?1";
const PLACE: &str = "SELECT place FROM pulse";
const ROWS: &str = "SELECT place, length(body) FROM log ORDER BY place";
const APPEND: &str = "INSERT INTO log (place, body) VALUES (?1, ?2)";

/// A complete block of more runs than this becomes one: to write its entries again is worth it only where there are many
/// small ones.
const RUNS_MAX: usize = 32;
/// How much a slice moves at least, in entries, records and what these were, if there is as much. It takes about a millisecond.
const SLICE_MIN: usize = 256;

/// The most rows that go with one that comes,
const GOING_MAX: usize = 64;
/// and how many more bytes than twice its own these may have: whoever brings little must not need room for much.
const GOING_BYTES: usize = 16 << 10;
/// About as many bytes of rows go with a slice, if too much is done and has not gone.
const SHED_BYTES: usize = 1 << 20;

/// How long it is before what could not be moved is tried again.
const REST: Duration = Duration::from_secs(10);

/// The log's length, and how far moving it has come.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    /// Bytes in the log that are not done.
    bytes: usize,
    /// The last place of the log that was used.
    place: i64,
    /// The rows of the log, with their bytes.
    rows: VecDeque<(i64, usize)>,
    /// The rows up to this place are done,
    done: i64,
    /// which are so many bytes.
    done_bytes: usize,
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
    /// Whether some tenant could not be moved. Then the log is not cut.
    is_partial: bool,
}

/// A row that was added to the log, and those that went with it.
#[derive(Debug)]
pub(crate) struct Appended {
    bytes: usize,
    gone: usize,
}

/// What a slice has moved.
#[derive(Debug)]
pub(crate) struct Slice {
    /// So many rows of the log have gone.
    gone: usize,
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
    pub(crate) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let used: i64 = conn.query_row(PLACE, [], |row| row.get(0))?;
        let mut statement = conn.prepare(ROWS)?;
        let length = |bytes: u32| usize::try_from(bytes).unwrap_or(usize::MAX);
        let rows = statement.query_map([], |row| Ok((row.get(0)?, length(row.get(1)?))));
        let rows = rows?.collect::<rusqlite::Result<VecDeque<_>>>()?;
        let place = rows.back().map_or(used, |(last, _)| used.max(*last));
        Ok(Self { bytes: rows.iter().map(|(_, bytes)| bytes).sum(), place, rows, ..Self::default() })
    }

    /// Adds a row to the log. The caller commits, and says so.
    pub(crate) fn append(&self, conn: &Connection, body: &[u8]) -> rusqlite::Result<Appended> {
        let (mut left, mut room) = (body.len(), body.len().saturating_mul(2).saturating_add(GOING_BYTES));
        let fits = self.done_rows().take(GOING_MAX).take_while(|bytes| {
            let (is_wanted, rest) = (left > 0, room.checked_sub(*bytes));
            (left, room) = (left.saturating_sub(*bytes), rest.unwrap_or_default());
            is_wanted && rest.is_some()
        });
        let gone = fits.count();
        self.take(conn, gone)?;
        conn.prepare_cached(APPEND)?.execute(params![self.next(), body])?;
        Ok(Appended { bytes: body.len(), gone })
    }

    /// The row is committed.
    pub(crate) fn grown(&mut self, Appended { bytes, gone }: &Appended) {
        self.gone(*gone);
        self.place = self.next();
        self.bytes = self.bytes.saturating_add(*bytes);
        self.rows.push_back((self.place, *bytes));
    }

    /// The bytes of the rows that are done, from the first on.
    fn done_rows(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().take_while(|(place, _)| *place <= self.done).map(|(_, bytes)| *bytes)
    }

    /// Takes the first rows out of the log.
    fn take(&self, conn: &Connection, count: usize) -> rusqlite::Result<()> {
        match count.checked_sub(1).and_then(|last| self.rows.get(last)) {
            Some((last, _)) => conn.prepare_cached(CUT)?.execute([last]).map(drop),
            None => Ok(()),
        }
    }

    /// They have gone.
    fn gone(&mut self, count: usize) {
        let bytes: usize = self.rows.drain(..count.min(self.rows.len())).map(|(_, bytes)| bytes).sum();
        self.done_bytes = self.done_bytes.saturating_sub(bytes);
    }

    /// The place of the next row of the log.
    fn next(&self) -> i64 {
        self.place.saturating_add(1)
    }

    /// Takes away all rows that are done.
    pub(crate) fn cut(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        let count = self.done_rows().count();
        self.take(conn, count)?;
        self.gone(count);
        Ok(())
    }

    /// Bytes in the log that are not done.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether anything is being moved.
    pub(crate) fn is_under_way(&self) -> bool {
        self.round.is_some()
    }

    /// Moves a slice of about `weight`. Of the rows that are done some go too, if they are more than `keep` bytes: those that
    /// are too large to go with the groups that come. The caller commits, and says so.
    pub(crate) fn slice(
        &mut self,
        conn: &Connection,
        tail: &Tail,
        weight: usize,
        keep: usize,
    ) -> rusqlite::Result<Slice> {
        let mut too_much = self.done_bytes.saturating_sub(keep).min(SHED_BYTES);
        let sheds = |bytes: &usize| {
            let before = too_much;
            too_much = too_much.saturating_sub(*bytes);
            before > 0
        };
        let gone = self.done_rows().take_while(sheds).count();
        self.take(conn, gone)?;
        let pending = tail.pending();
        let place = self.place;
        let round = self.round.get_or_insert_with(|| {
            let mut tenants: Vec<i64> = pending.keys().copied().collect();
            tenants.sort_unstable_by(|a, b| b.cmp(a));
            Round { tenants, place, is_careful: false, is_partial: false }
        });
        let mut left = if round.is_careful { usize::MAX } else { weight.max(SLICE_MIN) };
        let mut moved = Vec::new();
        for no in round.tenants.iter().rev() {
            let Some(pending) = pending.get(no) else {
                moved.push(Moved { no: *no, what: Portion::Everything });
                continue;
            };
            let what = tenant(conn, *no, pending, place, left)?;
            let is_everything = matches!(what, Portion::Everything);
            moved.push(Moved { no: *no, what });
            left = left.saturating_sub(pending.weight());
            if left == 0 || !is_everything || round.is_careful {
                break;
            }
        }
        let is_last = moved.len() == round.tenants.len()
            && moved.last().is_none_or(|moved| matches!(moved.what, Portion::Everything));
        if is_last && !round.is_partial {
            conn.prepare_cached(USED)?.execute([place])?;
        }
        Ok(Slice { gone, moved, is_last })
    }

    /// A slice was committed.
    pub(crate) fn done(&mut self, tail: &Tail, slice: &Slice) {
        tail.settled(&slice.moved);
        self.gone(slice.gone);
        let Some(round) = &mut self.round else { return };
        let whole = slice.moved.iter().filter(|moved| matches!(moved.what, Portion::Everything)).count();
        round.tenants.truncate(round.tenants.len().saturating_sub(whole));
        if slice.is_last {
            let (place, is_partial) = (round.place, round.is_partial);
            self.round = None;
            if !is_partial {
                let before = self.done_bytes;
                self.done = place;
                self.done_bytes = self.done_rows().sum();
                self.bytes = self.bytes.saturating_sub(self.done_bytes - before);
            }
        }
    }

    /// A slice could not be carried out. If it was of one tenant, the round goes on without that.
    pub(crate) fn stumbled(&mut self) {
        let Some(round) = &mut self.round else { return };
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

    /// Whether it is time to try again what could not be moved.
    pub(crate) fn is_rested(&self) -> bool {
        self.rests_until.is_none_or(|until| Instant::now() >= until)
    }
}

/// Moves what is pending of a tenant, which is all that the log has of it up to a place; only a part where it is more than
/// so much.
fn tenant(conn: &Connection, no: i64, pending: &Pending, place: i64, weight: usize) -> rusqlite::Result<Portion> {
    if pending.weight() > weight {
        return part(conn, no, pending, weight.max(1));
    }
    entries(conn, no, pending.first, &pending.entries)?;
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
    conn.prepare_cached(PROGRESS)?.execute(params![no, epoch, revision, counts, ledger, place])?;
    Ok(Portion::Everything)
}

fn part(conn: &Connection, no: i64, pending: &Pending, weight: usize) -> rusqlite::Result<Portion> {
    let (moved, _) = pending.entries.split_at(weight.min(pending.entries.len()));
    entries(conn, no, pending.first, moved)?;
    let mut completed = Vec::new();
    if !moved.is_empty() {
        let stored = conn
            .prepare_cached(LEDGER)?
            .query_row([no], |row| Ok(CompactRange::from_bytes(row.get_ref(0)?.as_blob()?)));
        let mut ledger = stored?.ok_or(rusqlite::Error::InvalidQuery)?;
        for entry in moved {
            ledger.append(entry.leaf, |level, n, hash| completed.push((level, n, hash)));
        }
        subtrees(conn, no, &completed)?;
        conn.prepare_cached(MOVED)?.execute(params![no, ledger.to_bytes()])?;
    }
    let mut left = weight - moved.len();
    let (mut past, mut records) = (Vec::new(), Vec::new());
    for (space, key) in pending.records.keys() {
        // From the earliest on: the first of it is still in its place.
        for (until, was) in pending.past_of(*space, key).take(left) {
            keep(conn, no, *space, key, until, was)?;
            past.push((*space, key.clone(), until));
        }
        left = weight.saturating_sub(moved.len() + past.len() + records.len());
        if left == 0 {
            break;
        }
        put(conn, no, pending, *space, key)?;
        records.push((*space, key.clone()));
        left -= 1;
    }
    Ok(Portion::Some { entries: moved.len(), subtrees: completed.len(), past, records })
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

fn entries(conn: &Connection, no: i64, mut first: u64, mut entries: &[Logged]) -> rusqlite::Result<()> {
    while !entries.is_empty() {
        let room = usize::try_from(BLOCK - first % BLOCK).unwrap_or(usize::MAX);
        let (block, rest) = entries.split_at(room.min(entries.len()));
        let is_complete = block.len() == room;
        let earlier = if is_complete { earlier(conn, no, block_of(first), first)? } else { None };
        let (from, mut run) = earlier.unwrap_or_else(|| (first, Run::default()));
        for entry in block {
            run.push(&entry.leaf, &entry.sealed);
        }
        conn.prepare_cached(RUN)?.execute(params![no, from.cast_signed(), run.leaves, run.sealed()])?;
        first += u64::try_from(block.len()).unwrap_or_default();
        entries = rest;
    }
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
