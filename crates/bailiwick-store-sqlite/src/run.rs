//! Where entries are kept: runs of consecutive entries of one tenant, the leaf hashes by themselves. (A run that an older
//! version wrote may have a block of 256.)
//!
//! # Invariants
//! - INV-RUN-1: a run lies within one block. A block that is complete has few.
//! - INV-RUN-2: the runs of a tenant are those of the entries that the ledger in its row has; what is beyond is in the log.

use bailiwick_ledger::Hash;
use bailiwick_store::StoredEntry;

/// Entries of a block, as many as a tile of the tree has leaves.
pub(crate) const BLOCK: u64 = 256;

/// Entries of the longest run that is written. Who reads one entry reads the run that it is in, from as many pages.
pub(crate) const LONGEST: u64 = 64;

/// The first index of the block that an index lies in.
pub(crate) const fn block_of(index: u64) -> u64 {
    index - index % BLOCK
}

/// A run as a row has it: the leaf hashes one after the other, and the lengths of the sealed entries (`u32`, little endian)
/// before their bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) leaves: Vec<u8>,
    lengths: Vec<u8>,
    bytes: Vec<u8>,
}

impl Run {
    /// Adds an entry.
    pub(crate) fn push(&mut self, leaf: &Hash, sealed: &[u8]) {
        self.leaves.extend_from_slice(leaf);
        self.lengths.extend_from_slice(&u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(sealed);
    }

    /// The sealed entries as a row has them.
    pub(crate) fn sealed(&self) -> Vec<u8> {
        [self.lengths.as_slice(), self.bytes.as_slice()].concat()
    }

    /// What is left of `count` entries that were erased.
    pub(crate) fn erased(count: u32) -> Vec<u8> {
        std::iter::repeat_n([0; 4], usize::try_from(count).unwrap_or_default()).flatten().collect()
    }
}

/// The leaf hashes of a row; `None` if it is damaged.
pub(crate) fn leaves(row: &[u8]) -> Option<&[Hash]> {
    let (hashes, rest) = row.as_chunks();
    rest.is_empty().then_some(hashes)
}

/// The entries of a row whose first one has this index; `None` if it is damaged.
pub(crate) fn entries<'a>(first: u64, leaves: &'a [u8], sealed: &'a [u8]) -> Option<Vec<(u64, &'a Hash, &'a [u8])>> {
    let leaves = self::leaves(leaves)?;
    let (lengths, mut bytes) = sealed.split_at_checked(leaves.len().checked_mul(4)?)?;
    let (lengths, _) = lengths.as_chunks();
    let mut entries = Vec::with_capacity(leaves.len());
    for ((index, leaf), length) in (first..).zip(leaves).zip(lengths) {
        let (sealed, rest) = bytes.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        entries.push((index, leaf, sealed));
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

/// The same as the port wants them, those below `from` left out.
pub(crate) fn stored(first: u64, leaves: &[u8], sealed: &[u8], from: u64) -> Option<Vec<StoredEntry>> {
    let wanted = entries(first, leaves, sealed)?.into_iter().filter(|(index, ..)| *index >= from);
    Some(wanted.map(|(index, leaf, sealed)| StoredEntry { index, leaf: *leaf, sealed: sealed.to_vec() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_as_it_was_written_and_not_otherwise() {
        let mut run = Run::default();
        for (leaf, sealed) in [([1; 32], b"one".as_slice()), ([2; 32], b""), ([3; 32], b"three")] {
            run.push(&leaf, sealed);
        }
        let (leaves, sealed) = (&run.leaves, run.sealed());
        let read = entries(7, leaves, &sealed).unwrap();
        assert_eq!(
            read,
            [(7, &[1; 32], b"one".as_slice()), (8, &[2; 32], b"".as_slice()), (9, &[3; 32], b"three".as_slice())]
        );
        assert_eq!(stored(7, leaves, &sealed, 9).unwrap().len(), 1);
        assert_eq!(entries(7, &leaves[1..], &sealed), None);
        for length in 0..sealed.len() {
            assert_eq!(entries(7, leaves, &sealed[..length]), None, "{length}");
        }
        assert_eq!(entries(7, leaves, &[sealed.as_slice(), b"!"].concat()), None);
        let erased = Run::erased(3);
        assert!(entries(7, leaves, &erased).unwrap().iter().all(|(.., sealed)| sealed.is_empty()));
    }
}
