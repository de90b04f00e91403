//! The bundle file: one tenant, sealed to an installation, in frames.
//!
//! ```text
//! bailiwick-bundle/v1\n
//! frame*                              kind (1) ‖ length (u32, big-endian) ‖ payload
//!
//! head         JSON: whose, of which size, for whom, by which keys, and the tenant's keys sealed to the recipient
//! records*     space (1), then key, version and sealed bytes of each record, in ascending order of space and key
//! entries*     index of the first, then leaf hash and sealed bytes of each entry: 0, 1, 2, … without gaps
//! checkpoint   a signed note: the tree of exactly these entries
//! seal         a signed note: how many frames came before, and the root of the Merkle tree over them
//! ```
//!
//! Bookmarks may stand between: an interrupted transfer goes on after the last one. What is sealed stays as it was in
//! the store; who has no key can still check all of this, and `bailiwick verify` does.
//!
//! # Invariants
//! - INV-BUNDLE-1: every byte is covered by the seal, except the seal, which has one spelling.
//! - INV-BUNDLE-2: a bundle is complete: it holds the ledger from its beginning to the checkpoint's size.
//! - INV-BUNDLE-3: the writer and the checker keep the same books; what the writer would seal, the checker takes.
//!
//! # Deliberately absent
//! No meaning of records and no keys: what is inside is for whoever can open it. No partial bundles.

mod check;
mod frame;
mod head;
mod seal;

use std::fmt;

use crate::checkpoint::CheckpointError;
use crate::note::{NoteError, NoteSigner};
use crate::tree::Hash;

pub use check::{BundleChecker, Piece};
pub use frame::{EntryItem, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, Kind, RecordItem};
pub use head::{BundleFacts, BundleHead};
pub use seal::BundleSeal;

use check::Books;

/// The first line.
pub const MAGIC: &[u8] = b"bailiwick-bundle/v1\n";

/// Why something is not a bundle, or cannot become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleError {
    /// Which frame, counted from 0; the first is the head.
    pub frame: u64,
    /// What is wrong with it.
    pub problem: BundleProblem,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {}: {}", self.frame, self.problem)
    }
}

impl std::error::Error for BundleError {}

/// What is wrong with a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleProblem {
    /// Does not begin as a bundle does, or is of a later format.
    #[error("not a bundle of the format `bailiwick-bundle/v1`")]
    Format,
    /// It ends too early.
    #[error("the bundle is cut off")]
    CutOff,
    /// A length that no frame has.
    #[error("a frame of an impossible length")]
    Length,
    /// A kind that is not known.
    #[error("a frame of an unknown kind")]
    Kind,
    /// A frame that does not belong here.
    #[error("a frame that does not belong here: {0}")]
    Order(&'static str),
    /// The contents of a frame are not what its kind has.
    #[error("a damaged frame of {0}")]
    Payload(&'static str),
    /// The head contradicts itself.
    #[error("the head is not one: {0}")]
    Head(&'static str),
    /// Another record is next.
    #[error("records are not in ascending order, or one is there twice")]
    RecordOrder,
    /// Another entry is next.
    #[error("entry {found} stands where entry {expected} belongs")]
    EntryOrder {
        /// What stands there.
        found: u64,
        /// What belongs there.
        expected: u64,
    },
    /// A signed note does not hold.
    #[error("the checkpoint does not hold: {0}")]
    Checkpoint(CheckpointError),
    /// The checkpoint is of something else.
    #[error("the checkpoint is not that of the entries in the bundle")]
    CheckpointMismatch,
    /// A key of the head has not signed.
    #[error("key `{0}` of the head has not signed it")]
    Unsigned(String),
    /// The seal's note does not hold.
    #[error("the seal does not hold: {0}")]
    Seal(NoteError),
    /// The seal is of something else.
    #[error("the seal is not that of these frames")]
    SealMismatch,
    /// Something follows the seal.
    #[error("something follows the end of the bundle")]
    Trailing,
}

/// Writes a bundle frame by frame and keeps the books that its end needs.
#[derive(Debug)]
pub struct BundleWriter {
    books: Books,
}

impl BundleWriter {
    /// Begins a bundle. Also answers its first bytes.
    ///
    /// # Errors
    /// [`BundleError`] if the head would be refused.
    pub fn new(head: BundleHead) -> Result<(Self, Vec<u8>), BundleError> {
        let (books, payload) = Books::begin(head)?;
        let mut writer = Self { books };
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&writer.frame(Kind::Head, &payload)?);
        Ok((writer, bytes))
    }

    /// Goes on after a bookmark: `state` is what [`BundleWriter::state`] gave when it was written.
    ///
    /// # Errors
    /// [`BundleError`] if this is no state, or the head would be refused.
    pub fn resume(head: BundleHead, state: &[u8]) -> Result<Self, BundleError> {
        Ok(Self { books: Books::resume(head, state)? })
    }

    /// Where the writer is, to go on from there. Whoever gives it out has to authenticate it.
    pub fn state(&self) -> Vec<u8> {
        self.books.state()
    }

    /// The tree of the entries that were written.
    pub fn ledger(&self) -> &crate::tree::CompactRange {
        self.books.ledger()
    }

    /// The space and key of the last record that was written.
    pub fn last_record(&self) -> Option<(u8, &[u8])> {
        self.books.last_record()
    }

    /// A frame of records of one space.
    ///
    /// # Errors
    /// [`BundleError`] if they are not the next ones.
    pub fn records(&mut self, space: u8, records: &[RecordItem<'_>]) -> Result<Vec<u8>, BundleError> {
        let payload = frame::write_records(space, records);
        self.frame(Kind::Records, &payload)
    }

    /// A frame of entries.
    ///
    /// # Errors
    /// [`BundleError`] if they are not the next ones.
    pub fn entries(&mut self, first: u64, entries: &[EntryItem<'_>]) -> Result<Vec<u8>, BundleError> {
        let payload = frame::write_entries(first, entries);
        self.frame(Kind::Entries, &payload)
    }

    /// A place to go on from. What is in it is the writer's own affair; it must hold [`BundleWriter::state`].
    ///
    /// # Errors
    /// [`BundleError`] if it is too long.
    pub fn bookmark(&mut self, token: &[u8]) -> Result<Vec<u8>, BundleError> {
        self.frame(Kind::Bookmark, token)
    }

    /// The last bytes: checkpoint and seal. The signers are those of the head's keys, in the same order.
    ///
    /// # Errors
    /// [`BundleError`] if the checker would refuse the bundle.
    pub fn finish(mut self, checkpoint_note: &str, signers: &[&dyn NoteSigner]) -> Result<Vec<u8>, BundleError> {
        let mut bytes = self.frame(Kind::Checkpoint, checkpoint_note.as_bytes())?;
        let seal = self.books.seal();
        let note = crate::note::sign(&seal.to_string(), signers)
            .map_err(|error| self.books.error(BundleProblem::Seal(error)))?;
        bytes.extend_from_slice(&self.frame(Kind::Seal, note.as_bytes())?);
        Ok(bytes)
    }

    fn frame(&mut self, kind: Kind, payload: &[u8]) -> Result<Vec<u8>, BundleError> {
        let bytes = frame::write(kind, payload).ok_or_else(|| self.books.error(BundleProblem::Length))?;
        // What the checker would not take is not written.
        self.books.take(kind, payload)?;
        Ok(bytes)
    }
}

/// The root of a sealed bundle: names it among all others.
pub type BundleRoot = Hash;
