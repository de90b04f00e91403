//! The log: what commits append to ledgers, and how far that moved their tenants, in the order of the commits.
//!
//! A group of commits writes one row here, whatever number of tenants it is of: so an audited read dirties a share of a
//! few pages, not pages of its tenant's. What is in the log is also in memory (see `tail`), until it is moved to where it
//! is kept (see `settle`).
//!
//! # The bytes of a row
//! Records, one after the other, in little endian:
//! `no: u64, epoch: u64, revision: u64, counts: u16 + bytes, first: u64, entries: u32 × (leaf: 32, sealed: u32 + bytes)`.

use bailiwick_ledger::Hash;
use bailiwick_store::{Counts, Head as Row, NewEntry};
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
}

/// A ledger entry as the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) leaf: Hash,
    /// A part of the row's bytes.
    pub(crate) sealed: Bytes,
}

/// Writes a record down. `row` is the tenant's after the commit.
pub(crate) fn record(out: &mut BytesMut, no: i64, row: &Row, first: u64, entries: &[NewEntry]) {
    let counts = row.counts.to_bytes();
    out.put_i64_le(no);
    out.put_u64_le(row.epoch);
    out.put_u64_le(row.revision);
    out.put_u16_le(u16::try_from(counts.len()).unwrap_or(u16::MAX));
    out.put_slice(&counts);
    out.put_u64_le(first);
    out.put_u32_le(u32::try_from(entries.len()).unwrap_or(u32::MAX));
    for entry in entries {
        out.put_slice(&entry.leaf);
        out.put_u32_le(u32::try_from(entry.sealed.len()).unwrap_or(u32::MAX));
        out.put_slice(&entry.sealed);
    }
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
    let length = usize::from(row.try_get_u16_le()?);
    let Some(counts) = take(row, length) else { return Ok(None) };
    let Some(counts) = Counts::from_bytes(&counts) else { return Ok(None) };
    let (first, count) = (row.try_get_u64_le()?, row.try_get_u32_le()?);
    let mut entries = Vec::new();
    for _ in 0..count {
        let mut leaf = Hash::default();
        row.try_copy_to_slice(&mut leaf)?;
        let length = usize::try_from(row.try_get_u32_le()?).unwrap_or(usize::MAX);
        let Some(sealed) = take(row, length) else { return Ok(None) };
        entries.push(Logged { leaf, sealed });
    }
    Ok(Some(Record { no, epoch, revision, counts, first, entries }))
}

fn take(row: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= row.len()).then(|| row.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> (Bytes, Vec<Record>) {
        let mut head = Row::unborn();
        (head.epoch, head.revision) = (3, 4);
        head.counts.add(bailiwick_store::Space::Secret);
        let entry = |byte: u8, length| NewEntry { leaf: [byte; 32], sealed: vec![byte; length] };
        let mut bytes = BytesMut::new();
        record(&mut bytes, 7, &head, 9, &[entry(1, 5), entry(2, 0)]);
        record(&mut bytes, 8, &Row::unborn(), 0, &[]);
        let logged = |byte: u8, length| Logged { leaf: [byte; 32], sealed: vec![byte; length].into() };
        let (counts, none) = (head.counts.clone(), Counts::default());
        let two = Record { no: 7, epoch: 3, revision: 4, counts, first: 9, entries: vec![logged(1, 5), logged(2, 0)] };
        let bare = Record { no: 8, epoch: 1, revision: 0, counts: none, first: 0, entries: Vec::new() };
        (bytes.freeze(), vec![two, bare])
    }

    #[test]
    fn records_are_read_as_they_were_written() {
        let (bytes, expected) = row();
        assert_eq!(records(bytes).collect::<Option<Vec<_>>>(), Some(expected));
    }

    #[test]
    fn a_row_that_was_cut_off_is_damaged() {
        let (bytes, expected) = row();
        let whole = |length: usize| records(bytes.slice(..length)).collect::<Option<Vec<_>>>();
        let ends: Vec<usize> = (0..=bytes.len()).filter(|length| whole(*length).is_some()).collect();
        let second = bytes.len() - (8 * 4 + 2 + 4);
        assert_eq!(ends, [0, second, bytes.len()], "only where a record ends");
        assert_eq!(whole(second).unwrap(), expected[..1]);
    }
}
