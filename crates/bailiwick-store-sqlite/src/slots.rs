//! Where the log is kept: in slots of one page each, which are used again.
//!
//! A row of the log takes as many slots as it needs. A slot's bytes are always equally many, and as many as fit a page alone,
//! so SQLite overwrites a slot in its page: a group of commits writes the pages that its row fills, and no others. (A row
//! that came and went would also write pages of the tree, of the list of free pages, and each of its own once more, zeroed.)
//!
//! # The bytes of a slot
//! In little endian, then zeros: `place: i64` of the row, `part: u32` of the row that is here, `length: u32` of the whole
//! row, the part.
//!
//! # Invariants
//! - INV-SLOT-1: a slot is written only while it is free, which it is once the row that had it is done; but for taking a
//!   tenant out of a row, which leaves it in the first of its slots, and zeros in the others.
//! - INV-SLOT-2: a free slot may still hold what its row said. Before an erasure has ended, all that were free when the
//!   tenant was taken out of the rows have been overwritten or deleted.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rusqlite::{Connection, params};

/// What a leaf page of 4,096 bytes has room for, without the 39 that SQLite needs for itself there.
pub(crate) const SLOT_BYTES: usize = 4_048;
const HEADER: usize = 8 + 4 + 4;
const ROOM: usize = SLOT_BYTES - HEADER;

const DONE: &str = "SELECT place FROM pulse";
const SLOTS: &str = "SELECT slot, body FROM log_slot ORDER BY slot";
const OVERWRITE: &str = "UPDATE log_slot SET body = ?2 WHERE slot = ?1";
const ADD: &str = "INSERT INTO log_slot (slot, body) VALUES (?1, ?2)";
const DELETE: &str = "DELETE FROM log_slot WHERE slot = ?1";

/// A row of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) place: i64,
    pub(crate) slots: Vec<i64>,
    pub(crate) body: Bytes,
}

/// The log as it was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The rows up to this place are done.
    pub(crate) done: i64,
    /// The others, in order.
    pub(crate) rows: Vec<Row>,
    pub(crate) slots: Slots,
}

/// The slots that no row has.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// In the order in which they became free.
    free: VecDeque<i64>,
    /// So many of the first of them were free when the log was read, and may hold something that is to be erased.
    suspect: usize,
    /// The number of the next slot that is added.
    next: i64,
}

/// Slots that were written or deleted in a transaction.
#[derive(Debug, Default)]
pub(crate) struct Used {
    deleted: usize,
    /// Those of the row that was written.
    pub(crate) slots: Vec<i64>,
}

/// A slot's part of a row.
struct Part {
    slot: i64,
    part: u32,
    length: u32,
    body: Bytes,
}

/// The log of a database; `None` if it is damaged.
pub(crate) fn load(conn: &Connection) -> rusqlite::Result<Option<Found>> {
    let done: i64 = conn.query_row(DONE, [], |row| row.get(0))?;
    let mut parts: BTreeMap<i64, Vec<Part>> = BTreeMap::new();
    let (mut free, mut next) = (VecDeque::new(), 0);
    let mut statement = conn.prepare(SLOTS)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (slot, mut body): (i64, Bytes) = (row.get(0)?, row.get::<_, Vec<u8>>(1)?.into());
        next = slot.saturating_add(1);
        if body.len() != SLOT_BYTES {
            return Ok(None);
        }
        let (place, part, length) = (body.get_i64_le(), body.get_u32_le(), body.get_u32_le());
        if place > done {
            parts.entry(place).or_default().push(Part { slot, part, length, body });
        } else {
            free.push_back(slot);
        }
    }
    let rows = parts.into_iter().map(|(place, parts)| whole(place, parts)).collect::<Option<_>>();
    // It is read when a tenant was taken out of the rows, or when nothing is known of an erasure that was under way.
    let slots = Slots { suspect: free.len(), free, next };
    Ok(rows.map(|rows| Found { done, rows, slots }))
}

/// The row that these are the parts of; `None` if some are missing, or do not belong together.
fn whole(place: i64, mut parts: Vec<Part>) -> Option<Row> {
    parts.sort_unstable_by_key(|part| part.part);
    let length = parts.first()?.length;
    let mut left = usize::try_from(length).ok()?;
    let mut body = BytesMut::with_capacity(left.min(parts.len() * ROOM));
    for (expected, part) in (0..).zip(&parts) {
        let here = left.min(ROOM);
        if part.part != expected || part.length != length || here == 0 {
            return None;
        }
        body.put_slice(part.body.get(..here)?);
        left -= here;
    }
    let slots = parts.iter().map(|part| part.slot).collect();
    (left == 0).then(|| Row { place, slots, body: body.freeze() })
}

/// The bytes of all slots of a row that has so many.
fn split(place: i64, body: &[u8], slots: usize) -> impl Iterator<Item = Vec<u8>> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let parts = (0_u32..).zip(body.chunks(ROOM)).map(move |(part, here)| {
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        bytes.put_i64_le(place);
        bytes.put_u32_le(part);
        bytes.put_u32_le(length);
        bytes.put_slice(here);
        bytes.resize(SLOT_BYTES, 0);
        bytes
    });
    parts.chain(std::iter::repeat_with(|| vec![0; SLOT_BYTES])).take(slots)
}

/// Writes a row that has become shorter into the slots that it has.
pub(crate) fn shorten(conn: &Connection, row: &Row, body: &[u8]) -> rusqlite::Result<()> {
    for (slot, bytes) in row.slots.iter().zip(split(row.place, body, row.slots.len())) {
        conn.prepare_cached(OVERWRITE)?.execute(params![slot, bytes])?;
    }
    Ok(())
}

impl Slots {
    /// Writes a row into free slots, after the first of these were deleted. The caller commits, and says so.
    pub(crate) fn write(&self, conn: &Connection, place: i64, body: &[u8], deleted: Used) -> rusqlite::Result<Used> {
        let Used { deleted, .. } = deleted;
        let mut free = self.free.iter().skip(deleted);
        let mut added = self.next..;
        let mut slots = Vec::with_capacity(body.len().div_ceil(ROOM));
        for bytes in split(place, body, body.len().div_ceil(ROOM)) {
            let (sql, slot) = match free.next() {
                Some(slot) => (OVERWRITE, Some(*slot)),
                None => (ADD, added.next()),
            };
            let slot = slot.ok_or(rusqlite::Error::InvalidQuery)?;
            conn.prepare_cached(sql)?.execute(params![slot, bytes])?;
            slots.push(slot);
        }
        Ok(Used { deleted, slots })
    }

    /// Deletes the first free slots, at most so many. The caller commits, and says so.
    pub(crate) fn delete(&self, conn: &Connection, most: usize) -> rusqlite::Result<Used> {
        let doomed = self.free.iter().take(most);
        let deleted = doomed.len();
        for slot in doomed {
            conn.prepare_cached(DELETE)?.execute([slot])?;
        }
        Ok(Used { deleted, slots: Vec::new() })
    }

    /// What was done is committed.
    pub(crate) fn used(&mut self, used: &Used) {
        let added = used.slots.iter().filter(|slot| **slot >= self.next).count();
        let taken = used.deleted + used.slots.len() - added;
        self.next = used.slots.iter().fold(self.next, |next, slot| next.max(slot.saturating_add(1)));
        self.free.drain(..taken.min(self.free.len()));
        self.suspect = self.suspect.saturating_sub(taken);
    }

    /// A row is done.
    pub(crate) fn give_back(&mut self, slots: Vec<i64>) {
        self.free.extend(slots);
    }

    /// How many slots may hold something that is to be erased.
    pub(crate) fn suspects(&self) -> usize {
        self.suspect
    }

    /// How many are free.
    pub(crate) fn free(&self) -> usize {
        self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        let schema = "CREATE TABLE log_slot (slot INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
            CREATE TABLE pulse (place INTEGER NOT NULL); INSERT INTO pulse VALUES (0);";
        conn.execute_batch(schema).unwrap();
        conn
    }

    fn body(byte: u8, length: usize) -> Vec<u8> {
        (0..length).map(|at| byte.wrapping_add(u8::try_from(at / 100 % 200).unwrap())).collect()
    }

    /// Writes a row, and returns its slots.
    fn write(conn: &Connection, slots: &mut Slots, place: i64, body: &[u8]) -> Vec<i64> {
        let used = slots.write(conn, place, body, Used::default()).unwrap();
        slots.used(&used);
        used.slots
    }

    fn is_done(conn: &Connection, place: i64) {
        conn.execute("UPDATE pulse SET place = ?1", [place]).unwrap();
    }

    #[test]
    fn rows_of_any_length_are_read_as_they_were_written() {
        let (conn, mut slots) = (table(), Slots::default());
        let lengths = [1, ROOM - 1, ROOM, ROOM + 1, 3 * ROOM, 100_000];
        for (place, length) in (1..).zip(lengths) {
            assert_eq!(write(&conn, &mut slots, place, &body(7, length)).len(), length.div_ceil(ROOM));
        }
        let found = load(&conn).unwrap().unwrap();
        assert!(found.rows.iter().map(|row| row.place).eq(1..=6));
        assert!(found.rows.iter().zip(lengths).all(|(row, length)| row.body == body(7, length)));
        assert_eq!((found.slots.free(), found.slots.next), (0, slots.next));
    }

    #[test]
    fn slots_of_rows_that_are_done_are_used_again() {
        let (conn, mut slots) = (table(), Slots::default());
        let first = write(&conn, &mut slots, 1, &body(1, 3 * ROOM));
        let second = write(&conn, &mut slots, 2, &body(2, ROOM));
        is_done(&conn, 1);
        slots.give_back(first.clone());
        let third = write(&conn, &mut slots, 3, &body(3, 4 * ROOM));
        assert_eq!(third[..3], first);
        assert!(third[3] > second[0], "there were only three");
        let found = load(&conn).unwrap().unwrap();
        assert_eq!(found.rows.iter().map(|row| row.place).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((found.done, found.slots.free()), (1, 0));
    }

    #[test]
    fn a_slot_that_is_used_again_is_one_page_written() {
        let directory = tempfile::TempDir::new().unwrap();
        let conn = Connection::open(directory.path().join("slots.db")).unwrap();
        let schema = "PRAGMA journal_mode = WAL; PRAGMA secure_delete = ON; PRAGMA wal_autocheckpoint = 0;
            CREATE TABLE log_slot (slot INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;";
        conn.execute_batch(schema).unwrap();
        let mut slots = Slots::default();
        let transaction = conn.unchecked_transaction().unwrap();
        for place in 1..500 {
            let used = write(&conn, &mut slots, place, &body(1, 1));
            slots.give_back(used);
        }
        let first = write(&conn, &mut slots, 500, &body(1, 500 * ROOM));
        slots.give_back(first);
        transaction.commit().unwrap();
        let pages = || crate::checkpoint::wal(&conn, "NOOP").unwrap().pages;
        for (place, parts) in (501..).zip([1, 5, 20]) {
            let before = pages();
            let transaction = conn.unchecked_transaction().unwrap();
            write(&conn, &mut slots, place, &body(2, parts * ROOM));
            transaction.commit().unwrap();
            assert_eq!(pages() - before, i64::try_from(parts).unwrap());
        }
    }

    #[test]
    fn a_row_that_was_shortened_keeps_its_slots_and_nothing_of_what_they_held() {
        let (conn, mut slots) = (table(), Slots::default());
        write(&conn, &mut slots, 1, &vec![b'x'; 3 * ROOM]);
        let before = load(&conn).unwrap().unwrap();
        shorten(&conn, &before.rows[0], b"short").unwrap();
        let found = load(&conn).unwrap().unwrap();
        assert_eq!((found.rows[0].place, &*found.rows[0].body), (1, b"short".as_slice()));
        assert_eq!((found.rows[0].slots.len(), found.slots.free()), (1, 2));
        let left = "SELECT count(*) FROM log_slot WHERE instr(body, x'78')";
        assert_eq!(conn.query_row(left, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
    }

    #[test]
    fn what_was_free_when_a_tenant_was_taken_out_is_suspect_until_it_is_gone_or_overwritten() {
        let (conn, mut slots) = (table(), Slots::default());
        let used = write(&conn, &mut slots, 1, &body(1, 10 * ROOM));
        is_done(&conn, 1);
        slots.give_back(used);
        assert_eq!(slots.suspects(), 0);
        let mut slots = load(&conn).unwrap().unwrap().slots;
        assert_eq!(slots.suspects(), 10, "nobody knows what is in what is found free");
        let later = write(&conn, &mut slots, 2, &body(2, 3 * ROOM));
        slots.give_back(later);
        assert_eq!((slots.suspects(), slots.free()), (7, 10));
        // Deleted and written in one transaction.
        let deleted = slots.delete(&conn, 4).unwrap();
        let used = slots.write(&conn, 3, &body(3, 2 * ROOM), deleted).unwrap();
        slots.used(&used);
        assert_eq!((slots.suspects(), slots.free()), (1, 4));
        let deleted = slots.delete(&conn, slots.suspects()).unwrap();
        slots.used(&deleted);
        assert_eq!((slots.suspects(), slots.free()), (0, 3));
        let left: i64 = conn.query_row("SELECT count(*) FROM log_slot", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 5);
        assert_eq!(load(&conn).unwrap().unwrap().slots.suspects(), 0, "all that is left is of rows that are not done");
    }

    #[test]
    fn a_row_of_which_a_part_is_missing_doubled_or_another_is_damage() {
        let damages = [
            "DELETE FROM log_slot WHERE slot = 0",
            "DELETE FROM log_slot WHERE slot = 1",
            "DELETE FROM log_slot WHERE slot = 2",
            "UPDATE log_slot SET body = (SELECT body FROM log_slot WHERE slot = 0) WHERE slot = 1",
            "UPDATE log_slot SET body = substr(body, 1, 4047) WHERE slot = 1",
            "UPDATE log_slot SET body = CAST(substr(body, 1, 12) || zeroblob(4036) AS BLOB) WHERE slot = 1",
            "INSERT INTO log_slot SELECT 9, body FROM log_slot WHERE slot = 2",
        ];
        for damage in damages {
            let (conn, mut slots) = (table(), Slots::default());
            write(&conn, &mut slots, 1, &body(1, 3 * ROOM));
            assert!(load(&conn).unwrap().is_some());
            assert_eq!(conn.execute(damage, []).unwrap(), 1);
            assert_eq!(load(&conn).unwrap().map(|found| found.rows), None, "{damage}");
        }
    }
}
