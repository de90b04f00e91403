//! The log: what commits did, in the order of the commits.
//!
//! A group of commits writes one row here, whatever number of tenants it is of: so an audited read dirties a share of a
//! few pages, not pages of its tenant's. What is in the log is also in memory (see `tail`), until it is moved to where it
//! is kept (see `settle`).
//!
//! # The bytes of a row
//! Records, one after the other, in little endian; `bytes` are a `u32` and that many bytes:
//! `no: u64, epoch: u64, revision: u64, counts: bytes, first: u64, entries: u32 × (leaf: 32, sealed: bytes),
//! changes: u32 × (space: u8, key: bytes, what: u8, version: u64, sealed: bytes)`, the last two where there is a value.

use bailiwick_ledger::Hash;
use bailiwick_store::{Counts, Head as Row, NewEntry, Space, Write};
use bytes::{Buf, BufMut, Bytes, BytesMut, TryGetError};

/// What one commit did to one tenant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) no: i64,
    pub(crate) epoch: u64,
    pub(crate) revision: u64,
    pub(crate) counts: Counts,
    /// The index of the first entry; the ledger's size, if there is none.
    pub(crate) first: u64,
    pub(crate) entries: Vec<Logged>,
    pub(crate) changes: Vec<Change>,
}

/// A ledger entry as the log has it. All bytes are parts of the row's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) leaf: Hash,
    pub(crate) sealed: Bytes,
}

/// A record that became another one, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) space: Space,
    pub(crate) key: Bytes,
    /// Whether there was one before.
    pub(crate) replaces: bool,
    pub(crate) value: Option<Value>,
}

/// A record's version and sealed bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) version: u64,
    pub(crate) sealed: Bytes,
}

const REPLACES: u8 = 1;
const HAS_VALUE: u8 = 2;

/// Writes a record down. `row` is the tenant's after the commit.
pub(crate) fn record(out: &mut BytesMut, no: i64, row: &Row, first: u64, entries: &[NewEntry], writes: &[Write]) {
    let entries = entries.iter().map(|entry| (&entry.leaf, entry.sealed.as_slice()));
    head(out, (no, row.epoch, row.revision), &row.counts, first, entries);
    // Who insists on an absence changes nothing.
    let changes = || writes.iter().filter(|write| write.expected.is_some() || write.value.is_some());
    out.put_u32_le(u32::try_from(changes().count()).unwrap_or(u32::MAX));
    for write in changes() {
        out.put_u8(write.space.number());
        put(out, &write.key);
        let replaces = if write.expected.is_some() { REPLACES } else { 0 };
        out.put_u8(replaces | if write.value.is_some() { HAS_VALUE } else { 0 });
        if let Some((version, sealed)) = &write.value {
            out.put_u64_le(*version);
            put(out, sealed);
        }
    }
}

fn head<'a>(
    out: &mut BytesMut,
    (no, epoch, revision): (i64, u64, u64),
    counts: &Counts,
    first: u64,
    entries: impl ExactSizeIterator<Item = (&'a Hash, &'a [u8])>,
) {
    out.put_i64_le(no);
    out.put_u64_le(epoch);
    out.put_u64_le(revision);
    put(out, &counts.to_bytes());
    out.put_u64_le(first);
    out.put_u32_le(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    for (leaf, sealed) in entries {
        out.put_slice(leaf);
        put(out, sealed);
    }
}

/// No group has as many bytes as would not fit.
fn put(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32_le(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.put_slice(bytes);
}

/// The row without anything sealed of one tenant: its entries are their leaf hashes, and of changes there are none. `None` if
/// it has none of the tenant's to begin with, or is damaged.
pub(crate) fn without(row: &Bytes, no: i64) -> Option<BytesMut> {
    let (mut out, mut rest, mut is_another) = (BytesMut::with_capacity(row.len()), row.clone(), false);
    while !rest.is_empty() {
        let from = row.len() - rest.len();
        let record = next(&mut rest).ok().flatten()?;
        if record.no != no {
            out.extend_from_slice(row.get(from..row.len() - rest.len())?);
            continue;
        }
        is_another |= !record.changes.is_empty() || record.entries.iter().any(|entry| !entry.sealed.is_empty());
        let entries = record.entries.iter().map(|entry| (&entry.leaf, [].as_slice()));
        head(&mut out, (no, record.epoch, record.revision), &record.counts, record.first, entries);
        out.put_u32_le(0);
    }
    is_another.then_some(out)
}

/// The records of a row; `None` where it is damaged.
pub(crate) fn records(mut row: Bytes) -> impl Iterator<Item = Option<Record>> {
    std::iter::from_fn(move || {
        if row.is_empty() {
            return None;
        }
        let record = next(&mut row).ok().flatten();
        if record.is_none() {
            // What follows damage means nothing.
            row.clear();
        }
        Some(record)
    })
}

fn next(row: &mut Bytes) -> Result<Option<Record>, TryGetError> {
    let (no, epoch, revision) = (row.try_get_i64_le()?, row.try_get_u64_le()?, row.try_get_u64_le()?);
    let Some(counts) = get(row)?.and_then(|bytes| Counts::from_bytes(&bytes)) else { return Ok(None) };
    let (first, count) = (row.try_get_u64_le()?, row.try_get_u32_le()?);
    let mut entries = Vec::new();
    for _ in 0..count {
        let mut leaf = Hash::default();
        row.try_copy_to_slice(&mut leaf)?;
        let Some(sealed) = get(row)? else { return Ok(None) };
        entries.push(Logged { leaf, sealed });
    }
    let mut changes = Vec::new();
    for _ in 0..row.try_get_u32_le()? {
        let Some(space) = Space::from_number(row.try_get_u8()?) else { return Ok(None) };
        let Some(key) = get(row)? else { return Ok(None) };
        let what = row.try_get_u8()?;
        let value = if what & HAS_VALUE == 0 {
            None
        } else {
            let version = row.try_get_u64_le()?;
            let Some(sealed) = get(row)? else { return Ok(None) };
            Some(Value { version, sealed })
        };
        changes.push(Change { space, key, replaces: what & REPLACES != 0, value });
    }
    Ok(Some(Record { no, epoch, revision, counts, first, entries, changes }))
}

fn get(row: &mut Bytes) -> Result<Option<Bytes>, TryGetError> {
    let length = usize::try_from(row.try_get_u32_le()?).unwrap_or(usize::MAX);
    Ok((length <= row.len()).then(|| row.split_to(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> (Bytes, Vec<Record>) {
        let mut head = Row::unborn();
        (head.epoch, head.revision) = (3, 4);
        head.counts.add(Space::Secret);
        let entry = |byte: u8, length| NewEntry { leaf: [byte; 32], sealed: vec![byte; length] };
        let write = |key: &str, expected, value: Option<(u64, &str)>| {
            let value = value.map(|(version, sealed)| (version, sealed.into()));
            Write { space: Space::Secret, key: key.into(), expected, value, count_max: None }
        };
        let writes = [
            write("new", None, Some((1, "one"))),
            write("changed", Some(1), Some((2, ""))),
            write("gone", Some(2), None),
            write("never there", None, None),
        ];
        let mut bytes = BytesMut::new();
        record(&mut bytes, 7, &head, 9, &[entry(1, 5), entry(2, 0)], &writes);
        record(&mut bytes, 8, &Row::unborn(), 0, &[], &[]);
        let logged = |byte: u8, length| Logged { leaf: [byte; 32], sealed: vec![byte; length].into() };
        let change = |key: &'static str, replaces, value: Option<(u64, &'static str)>| {
            let value = value.map(|(version, sealed)| Value { version, sealed: sealed.into() });
            Change { space: Space::Secret, key: key.into(), replaces, value }
        };
        let two = Record {
            no: 7,
            epoch: 3,
            revision: 4,
            counts: head.counts.clone(),
            first: 9,
            entries: vec![logged(1, 5), logged(2, 0)],
            changes: vec![
                change("new", false, Some((1, "one"))),
                change("changed", true, Some((2, ""))),
                change("gone", true, None),
            ],
        };
        let counts = Counts::default();
        let bare = Record { no: 8, epoch: 1, revision: 0, counts, first: 0, entries: Vec::new(), changes: Vec::new() };
        (bytes.freeze(), vec![two, bare])
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (bytes, expected) = row();
        assert_eq!(records(bytes).collect::<Option<Vec<_>>>(), Some(expected));
    }

    #[test]
    fn a_tenant_can_be_taken_out() {
        let (bytes, mut expected) = row();
        assert_eq!(without(&bytes, 8), None, "there is nothing in it");
        assert_eq!(without(&bytes, 9), None);
        let taken = without(&bytes, 7).unwrap().freeze();
        assert_eq!(without(&taken, 7), None);
        expected[0].changes.clear();
        for entry in &mut expected[0].entries {
            entry.sealed.clear();
        }
        assert_eq!(records(taken).collect::<Option<Vec<_>>>(), Some(expected));
    }

    #[test]
    fn a_row_that_was_cut_off_is_damaged() {
        let (bytes, expected) = row();
        let whole = |length: usize| records(bytes.slice(..length)).collect::<Option<Vec<_>>>();
        let ends: Vec<usize> = (0..=bytes.len()).filter(|length| whole(*length).is_some()).collect();
        let second = bytes.len() - (8 * 4 + 4 * 3);
        assert_eq!(ends, [0, second, bytes.len()], "only where a record ends");
        assert_eq!(whole(second).unwrap(), expected[..1]);
    }
}
