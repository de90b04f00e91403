//! The export file: a whole ledger as JSON lines, so that anyone can check it offline.
//!
//! ```text
//! {"format":"bailiwick-export/v1","origin":…,"tenant":…,"slug":…,"from":0,"size":N,"exported_at":…,"keys":[…]}
//! {"index":0,"leaf":"…","entry":{…}}                       N of these; an erased entry is null
//! {"checkpoint":"…"}                                       the signed checkpoint of these N leaves
//! {"seal":"…"}                                             a signed SHA-256 of all lines before this one
//! ```
//!
//! In the seal's hash a line with an entry is without the entry's bytes: they are what its leaf hash, which is in the line,
//! was made of. So each byte is hashed once, an entry's on any core, and only what is around them in the file's order.
//!
//! # Invariants
//! - INV-EXPORT-1: a line has one spelling, and the parsers here accept no other.
//! - INV-EXPORT-2: the writer does not seal a file that the verifier would refuse.
//! - INV-EXPORT-3: an export is complete: it starts at entry 0 and ends at the checkpoint's size.
//!
//! # Deliberately absent
//! No partial exports: a part that is missing on purpose looks like a part that somebody took away.

mod line;

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use data_encoding::BASE64;

use crate::checkpoint::{Checkpoint, CheckpointError, decimal, hash_from_base64};
use crate::entry::{Entry, EntryError};
use crate::note::{self, NoteError, NoteSigner, VerifierKey};
use crate::tree::{CompactRange, Hash, into_hash, leaf_hash};

pub use line::{
    CheckpointLine, EntryLine, ExportHeader, FORMAT, KEYS_MAX, LINE_BYTES_MAX, LineError, LineKind, SealLine, frame,
};

/// The first line of a seal's text.
pub const SEAL_FORMAT: &str = "bailiwick-export-seal/v2";

/// The text that seals a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The log's origin.
    pub origin: String,
    /// How many entries the file holds.
    pub size: u64,
    /// SHA-256 of all lines before that of the seal, newlines included; of a line with an entry, its [`frame`].
    pub digest: Hash,
}

/// A text that is not that of a seal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the text of a seal: want `{SEAL_FORMAT}`, origin, size and SHA-256, a line each")]
pub struct SealTextError;

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{SEAL_FORMAT}\n{}\n{}\n{}", self.origin, self.size, BASE64.encode(&self.digest))
    }
}

impl FromStr for Seal {
    type Err = SealTextError;
    fn from_str(text: &str) -> Result<Self, SealTextError> {
        let mut lines = text.strip_suffix('\n').ok_or(SealTextError)?.split('\n');
        let (Some(SEAL_FORMAT), Some(origin), Some(size), Some(digest), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(SealTextError);
        };
        note::check_name(origin).map_err(|_| SealTextError)?;
        let size = decimal(size).ok_or(SealTextError)?;
        let digest = hash_from_base64(digest).ok_or(SealTextError)?;
        Ok(Self { origin: origin.to_owned(), size, digest })
    }
}

/// Why an export cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The header would be refused.
    #[error("the header cannot be exported: {0}")]
    Header(LineError),
    /// Another entry is next.
    #[error("entry {found} was given where entry {expected} is next")]
    Index {
        /// Which was given.
        found: u64,
        /// Which is next.
        expected: u64,
    },
    /// The bytes are not those of the leaf.
    #[error("entry {index} does not have its leaf hash")]
    Leaf {
        /// Which entry.
        index: u64,
    },
    /// The bytes are not an entry.
    #[error("entry {index} cannot be exported: {source}")]
    Entry {
        /// Which entry.
        index: u64,
        /// What is wrong with it.
        source: EntryError,
    },
    /// An entry of another ledger.
    #[error("entry {index} belongs to another tenant")]
    Foreign {
        /// Which entry.
        index: u64,
    },
    /// The checkpoint does not hold.
    #[error("the checkpoint cannot be exported: {0}")]
    Checkpoint(CheckpointError),
    /// One of the header's keys did not sign the checkpoint.
    #[error("key `{key}` did not sign the checkpoint")]
    Unsigned {
        /// The name of the key.
        key: String,
    },
    /// The checkpoint is of another log, or not of the entries that were written.
    #[error("the checkpoint is not that of the entries that were written")]
    Mismatch,
    /// The signers are not those that the header names.
    #[error("the signers are not the keys that the header names")]
    Signers,
    /// The seal cannot be signed.
    #[error("the export cannot be sealed: {0}")]
    Seal(NoteError),
}

/// Writes an export line by line and keeps the hashes that its end needs.
#[derive(Debug)]
pub struct ExportWriter {
    header: ExportHeader,
    tree: CompactRange,
    digest: Sha256,
}

impl ExportWriter {
    /// Begins an export. Also answers its first bytes.
    pub fn new(header: ExportHeader) -> (Self, Vec<u8>) {
        let mut writer = Self { header, tree: CompactRange::new(), digest: Sha256::new() };
        let line = writer.header.line();
        let bytes = writer.end_line(line, None);
        (writer, bytes)
    }

    /// The bytes of the next entry. `canonical` is `None` if the entry was erased.
    ///
    /// # Errors
    /// [`ExportError`] if it is not the next entry of this ledger.
    pub fn entry(&mut self, index: u64, leaf: &Hash, canonical: Option<&[u8]>) -> Result<Vec<u8>, ExportError> {
        if index != self.tree.size() {
            return Err(ExportError::Index { found: index, expected: self.tree.size() });
        }
        if let Some(bytes) = canonical {
            if leaf_hash(bytes) != *leaf {
                return Err(ExportError::Leaf { index });
            }
            let checked = Entry::check(bytes).map_err(|source| ExportError::Entry { index, source })?;
            if checked.tenant != self.header.tenant {
                return Err(ExportError::Foreign { index });
            }
        }
        self.tree.append(*leaf, |_, _, _| {});
        let mut line = Vec::with_capacity(128 + canonical.map_or(0, <[u8]>::len));
        EntryLine { index, leaf: *leaf, entry: canonical }.write(&mut line);
        Ok(self.end_line(line, canonical))
    }

    /// The last bytes: checkpoint and seal. The signers are those of the header's keys, in the same order.
    ///
    /// # Errors
    /// [`ExportError`] if the verifier would refuse the file.
    pub fn finish(mut self, checkpoint_note: &str, signers: &[&dyn NoteSigner]) -> Result<Vec<u8>, ExportError> {
        self.header.check().map_err(ExportError::Header)?;
        let keys: Result<Vec<_>, _> = signers.iter().map(|signer| VerifierKey::of(*signer)).collect();
        if keys.map_err(ExportError::Seal)? != self.header.keys {
            return Err(ExportError::Signers);
        }
        let (checkpoint, opened) =
            Checkpoint::open(checkpoint_note, &self.header.keys).map_err(ExportError::Checkpoint)?;
        if let Some(key) = self.header.keys.iter().find(|key| !opened.verified.contains(key)) {
            return Err(ExportError::Unsigned { key: key.name().to_owned() });
        }
        let (origin, size) = (self.header.origin.clone(), self.header.size);
        let written = Checkpoint { origin: origin.clone(), size: self.tree.size(), root: self.tree.root() };
        if checkpoint != written || size != written.size {
            return Err(ExportError::Mismatch);
        }
        let line = CheckpointLine { checkpoint: checkpoint_note.to_owned() }.line();
        let mut bytes = self.end_line(line, None);
        let seal = Seal { origin, size, digest: self.digest.finish() };
        let seal = note::sign(&seal.to_string(), signers).map_err(ExportError::Seal)?;
        bytes.extend_from_slice(&SealLine { seal }.line());
        bytes.push(b'\n');
        Ok(bytes)
    }

    fn end_line(&mut self, mut line: Vec<u8>, entry: Option<&[u8]>) -> Vec<u8> {
        line.push(b'\n');
        for part in frame(&line, entry) {
            self.digest.update(part);
        }
        line
    }
}

/// SHA-256 of bytes that come in pieces.
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Of nothing so far.
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Takes the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all pieces.
    pub fn finish(self) -> Hash {
        into_hash(&self.0.finish())
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

#[cfg(test)]
mod tests;
