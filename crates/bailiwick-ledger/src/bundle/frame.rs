//! Frames: how records and entries are laid out in bytes.

use crate::tree::Hash;

use super::BundleProblem;

/// The longest payload of a frame. One record with the largest value fits, with room.
pub const FRAME_BYTES_MAX: usize = 4 << 20;
/// What stands before a payload: its kind and its length.
pub const FRAME_HEAD_BYTES: usize = 5;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The head.
    Head,
    /// Records of one space.
    Records,
    /// Entries of the ledger.
    Entries,
    /// A place to go on from.
    Bookmark,
    /// The signed checkpoint.
    Checkpoint,
    /// The signed seal.
    Seal,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Head, Self::Records, Self::Entries, Self::Bookmark, Self::Checkpoint, Self::Seal];

    /// The number in the file.
    pub const fn number(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Records => 2,
            Self::Entries => 3,
            Self::Bookmark => 4,
            Self::Checkpoint => 5,
            Self::Seal => 6,
        }
    }

    /// Kind and payload length of a frame, from its first bytes.
    ///
    /// # Errors
    /// [`BundleProblem`] if no frame begins so.
    pub fn of_head(head: &[u8; FRAME_HEAD_BYTES]) -> Result<(Self, usize), BundleProblem> {
        let [number, length @ ..] = head;
        let kind = Self::ALL.into_iter().find(|kind| kind.number() == *number).ok_or(BundleProblem::Kind)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| BundleProblem::Length)?;
        if length > FRAME_BYTES_MAX { Err(BundleProblem::Length) } else { Ok((kind, length)) }
    }
}

/// A record, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordItem<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its version.
    pub version: u64,
    /// Its sealed bytes.
    pub sealed: &'a [u8],
}

/// An entry, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryItem<'a> {
    /// Its leaf hash.
    pub leaf: Hash,
    /// Its sealed bytes.
    pub sealed: &'a [u8],
}

/// The whole frame; `None` if the payload is too long for one.
pub(super) fn write(kind: Kind, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= FRAME_BYTES_MAX)?;
    let mut bytes = Vec::with_capacity(FRAME_HEAD_BYTES + payload.len());
    bytes.push(kind.number());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(payload);
    Some(bytes)
}

fn push_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    // A length that does not fit makes a frame that is too long, which is refused.
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

pub(super) fn write_records(space: u8, records: &[RecordItem<'_>]) -> Vec<u8> {
    let bytes: usize = records.iter().map(|record| 16 + record.key.len() + record.sealed.len()).sum();
    let mut out = Vec::with_capacity(1 + bytes);
    out.push(space);
    for record in records {
        push_sized(&mut out, record.key);
        out.extend_from_slice(&record.version.to_be_bytes());
        push_sized(&mut out, record.sealed);
    }
    out
}

pub(super) fn write_entries(first: u64, entries: &[EntryItem<'_>]) -> Vec<u8> {
    let bytes: usize = entries.iter().map(|entry| 36 + entry.sealed.len()).sum();
    let mut out = Vec::with_capacity(8 + bytes);
    out.extend_from_slice(&first.to_be_bytes());
    for entry in entries {
        out.extend_from_slice(&entry.leaf);
        push_sized(&mut out, entry.sealed);
    }
    out
}

fn sized<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    Some(bytes)
}

/// Space and records of a frame; there is at least one, and none is empty.
pub(super) fn read_records(payload: &[u8]) -> Option<(u8, Vec<RecordItem<'_>>)> {
    let (space, mut rest) = payload.split_first()?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let key = sized(&mut rest)?;
        let (version, after) = rest.split_first_chunk::<8>()?;
        rest = after;
        let sealed = sized(&mut rest)?;
        if sealed.is_empty() {
            return None;
        }
        records.push(RecordItem { key, version: u64::from_be_bytes(*version), sealed });
    }
    (!records.is_empty()).then_some((*space, records))
}

/// First index and entries of a frame; there is at least one, and none is empty.
pub(super) fn read_entries(payload: &[u8]) -> Option<(u64, Vec<EntryItem<'_>>)> {
    let (first, mut rest) = payload.split_first_chunk::<8>()?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (leaf, after) = rest.split_first_chunk::<32>()?;
        rest = after;
        let sealed = sized(&mut rest)?;
        if sealed.is_empty() {
            return None;
        }
        entries.push(EntryItem { leaf: *leaf, sealed });
    }
    (!entries.is_empty()).then_some((u64::from_be_bytes(*first), entries))
}
