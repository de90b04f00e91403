//! The text of a checkpoint: <https://c2sp.org/tlog-checkpoint>.
//!
//! Three lines: the origin, the size in decimal, the root in base64. It travels as a signed note.
//!
//! # Invariants
//! - INV-CHECKPOINT-1: a checkpoint has one spelling, and parsing accepts no other.
//!
//! # Deliberately absent
//! No extension lines: the specification discourages them, and we would not know what they say.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64;

use crate::note::{self, NoteError, NoteSigner, Opened, VerifierKey};
use crate::tree::Hash;

/// The state of a log: how many leaves it has and the root of the tree of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name: opaque, unique to it, without white space or `+`.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
}

/// Why a text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not three lines, each ending in a newline.
    #[error("a checkpoint is three lines: origin, size and root")]
    Lines,
    /// The first line cannot be an origin.
    #[error("the checkpoint's origin is empty or holds white space, control characters or `+`")]
    Origin,
    /// The second line is not a size.
    #[error("the checkpoint's size is not a decimal number without leading zeros")]
    Size,
    /// The third line is not a root.
    #[error("the checkpoint's root is not a SHA-256 hash in base64")]
    Root,
    /// The note around it does not hold.
    #[error(transparent)]
    Note(NoteError),
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, BASE64.encode(&self.root))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Lines)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Lines);
        };
        note::check_name(origin).map_err(|_| CheckpointError::Origin)?;
        let size = decimal(size).ok_or(CheckpointError::Size)?;
        let root = hash_from_base64(root).ok_or(CheckpointError::Root)?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

impl Checkpoint {
    /// Parses the text of a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError`] if it is not the one spelling of a checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        text.parse()
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`CheckpointError`] if the origin or a signer cannot be used.
    pub fn sign(&self, signers: &[&dyn NoteSigner]) -> Result<String, CheckpointError> {
        note::check_name(&self.origin).map_err(|_| CheckpointError::Origin)?;
        note::sign(&self.to_string(), signers).map_err(CheckpointError::Note)
    }

    /// Checks a signed checkpoint and parses it.
    ///
    /// # Errors
    /// [`CheckpointError`] if the note does not hold or its text is not a checkpoint.
    pub fn open(note: &str, known: &[VerifierKey]) -> Result<(Self, Opened), CheckpointError> {
        let opened = note::open(note, known).map_err(CheckpointError::Note)?;
        let checkpoint = opened.text.parse()?;
        Ok((checkpoint, opened))
    }
}

/// A number in its one decimal spelling.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}

/// A hash in its one base64 spelling.
pub fn hash_from_base64(text: impl AsRef<[u8]>) -> Option<Hash> {
    let text = text.as_ref();
    // 33 is what 44 characters could hold; the padding makes it 32.
    let mut bytes = [0; 33];
    if text.len() != 44 || BASE64.decode_mut(text, &mut bytes) != Ok(32) {
        return None;
    }
    bytes.first_chunk().copied()
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
