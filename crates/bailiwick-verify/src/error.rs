//! What can be wrong, and where.
//!
//! Messages name lines (counted from 1, as editors do) and entries (counted from 0, as the ledger does). They repeat
//! nothing of what an entry says: a damaged file can say anything.

use std::fmt;
use std::io;

use bailiwick_ledger::ProofError;
use bailiwick_ledger::attestation::AttestationError;
use bailiwick_ledger::certificate::CertificateError;
use bailiwick_ledger::checkpoint::CheckpointError;
use bailiwick_ledger::entry::EntryError;
use bailiwick_ledger::export::LineError;
use bailiwick_ledger::note::NoteError;
use bailiwick_types::Timestamp;

/// What belongs on a line of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The first line.
    Header,
    /// The entry with this index.
    Entry(u64),
    /// The checkpoint.
    Checkpoint,
    /// The seal.
    Seal,
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::Entry(index) => write!(f, "entry {index}"),
            Self::Checkpoint => f.write_str("the checkpoint"),
            Self::Seal => f.write_str("the seal"),
        }
    }
}

/// Why an export does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file cannot be read.
    #[error("the export cannot be read after line {line}: {source}")]
    Read {
        /// The last line that was read.
        line: u64,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing there.
    #[error("the export is empty")]
    Empty,
    /// The first line is not that of an export, or of a later version.
    #[error("line 1: this is not a Bailiwick export of a known format")]
    UnknownFormat,
    /// The file ends, or the line does, before it is complete.
    #[error("line {line}: the export is cut off where {expected} should be")]
    Truncated {
        /// The line that is missing or incomplete.
        line: u64,
        /// What belongs there.
        expected: Expected,
    },
    /// Longer than any line of an export.
    #[error("line {line}: the line is longer than any line of an export")]
    LineTooLong {
        /// The line.
        line: u64,
    },
    /// A line that is something else than what belongs there.
    #[error("line {line}: {expected} is damaged: {source}")]
    Malformed {
        /// The line.
        line: u64,
        /// What belongs there.
        expected: Expected,
        /// What is wrong with it.
        source: LineError,
    },
    /// A line with the right content in other bytes: white space, order, escapes.
    #[error("line {line}: {expected} is not byte for byte as it was written")]
    NotCanonical {
        /// The line.
        line: u64,
        /// What belongs there.
        expected: Expected,
    },
    /// A line is not where it belongs and nowhere after that.
    #[error("line {line}: {expected} is missing")]
    Missing {
        /// Where it belongs.
        line: u64,
        /// What is missing; of several entries, the first.
        expected: Expected,
    },
    /// An entry comes later than where it belongs.
    #[error("line {line}: entry {found} stands where entry {index} belongs, which is on line {later}")]
    OutOfOrder {
        /// Where it belongs.
        line: u64,
        /// The entry that belongs there.
        index: u64,
        /// The entry that is there.
        found: u64,
        /// Where the entry is.
        later: u64,
    },
    /// An entry that was there already.
    #[error("line {line}: entry {found} is there again, where entry {index} belongs")]
    Repeated {
        /// The line.
        line: u64,
        /// The entry that belongs there.
        index: u64,
        /// The entry that is there.
        found: u64,
    },
    /// An entry that is not what its leaf hash was made of.
    #[error("line {line}: entry {index} was altered: it does not have its leaf hash")]
    Altered {
        /// The line.
        line: u64,
        /// The entry.
        index: u64,
    },
    /// Bytes that have their leaf hash but are no entry.
    #[error("line {line}: entry {index} is not an entry: {source}")]
    Entry {
        /// The line.
        line: u64,
        /// The entry.
        index: u64,
        /// What is wrong with it.
        source: EntryError,
    },
    /// An entry of another ledger.
    #[error("line {line}: entry {index} belongs to another tenant")]
    Foreign {
        /// The line.
        line: u64,
        /// The entry.
        index: u64,
    },
    /// An entry more than the header says.
    #[error("line {line}: there are more entries than the {size} that the header states")]
    Surplus {
        /// The line.
        line: u64,
        /// How many there should be.
        size: u64,
    },
    /// The checkpoint's note or text does not hold.
    #[error("line {line}: the checkpoint does not hold: {source}")]
    Checkpoint {
        /// The line.
        line: u64,
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// The checkpoint is of another log.
    #[error("line {line}: the checkpoint is of another ledger than the header")]
    CheckpointOrigin {
        /// The line.
        line: u64,
    },
    /// The checkpoint covers another number of entries.
    #[error("line {line}: the checkpoint is of {found} entries, and the export holds {size}")]
    CheckpointSize {
        /// The line.
        line: u64,
        /// How many it covers.
        found: u64,
        /// How many there are.
        size: u64,
    },
    /// The entries are not those of the checkpoint.
    #[error("line {line}: the {size} entries do not have the root of the checkpoint: at least one is not the original")]
    CheckpointRoot {
        /// The line.
        line: u64,
        /// How many there are.
        size: u64,
    },
    /// A key of the header did not sign the checkpoint.
    #[error("line {line}: key `{key}` did not sign the checkpoint")]
    CheckpointUnsigned {
        /// The line.
        line: u64,
        /// The name of the key.
        key: String,
    },
    /// The seal's note does not hold.
    #[error("line {line}: the seal does not hold: {source}")]
    Seal {
        /// The line.
        line: u64,
        /// What is wrong with it.
        source: NoteError,
    },
    /// The seal is signed, but by others than the header's keys, or not once by each.
    #[error("line {line}: the seal is not signed exactly once by each key of the header")]
    SealSigners {
        /// The line.
        line: u64,
    },
    /// The seal is signed, but is that of another export.
    #[error("line {line}: the seal is that of another export")]
    SealText {
        /// The line.
        line: u64,
    },
    /// The bytes before the seal are not those that were sealed.
    #[error(
        "line {line}: the seal does not fit: something outside of the entries was altered after the export was sealed"
    )]
    SealDigest {
        /// The line.
        line: u64,
    },
    /// Something after the end.
    #[error("line {line}: there is something after the end of the export")]
    TrailingData {
        /// The line.
        line: u64,
    },
    /// None of the keys is one that you trust.
    #[error("none of the export's keys is pinned: {}", .found.join(", "))]
    NotPinned {
        /// The export's keys, as C2SP verifier keys.
        found: Vec<String>,
    },
    /// The earlier checkpoint cannot be used: no key of the export, and no pinned one, signed it as it is.
    #[error("the earlier checkpoint does not hold: {source}")]
    Previous {
        /// What is wrong with it.
        source: CheckpointError,
    },
    /// The earlier checkpoint is of another log.
    #[error("the earlier checkpoint is of another ledger")]
    PreviousOrigin,
    /// The export ends before the earlier checkpoint.
    #[error("the ledger shrank: the earlier checkpoint covers {previous} entries, and the export states {size}")]
    Shrunk {
        /// How many the earlier checkpoint covers.
        previous: u64,
        /// How many the export states.
        size: u64,
    },
    /// The first entries are not those of the earlier checkpoint.
    #[error("line {line}: history was rewritten: the first {previous} entries are not those of the earlier checkpoint")]
    Rewritten {
        /// The line of the last of these entries.
        line: u64,
        /// How many the earlier checkpoint covers.
        previous: u64,
    },
}

impl VerifyError {
    /// The line where it was noticed, counted from 1; `None` if it is not about a line.
    pub fn line(&self) -> Option<u64> {
        match *self {
            Self::UnknownFormat => Some(1),
            Self::Truncated { line, .. }
            | Self::LineTooLong { line }
            | Self::Malformed { line, .. }
            | Self::NotCanonical { line, .. }
            | Self::Missing { line, .. }
            | Self::OutOfOrder { line, .. }
            | Self::Repeated { line, .. }
            | Self::Altered { line, .. }
            | Self::Entry { line, .. }
            | Self::Foreign { line, .. }
            | Self::Surplus { line, .. }
            | Self::Checkpoint { line, .. }
            | Self::CheckpointOrigin { line }
            | Self::CheckpointSize { line, .. }
            | Self::CheckpointRoot { line, .. }
            | Self::CheckpointUnsigned { line, .. }
            | Self::Seal { line, .. }
            | Self::SealSigners { line }
            | Self::SealText { line }
            | Self::SealDigest { line }
            | Self::TrailingData { line }
            | Self::Rewritten { line, .. } => Some(line),
            Self::Read { .. }
            | Self::Empty
            | Self::NotPinned { .. }
            | Self::Previous { .. }
            | Self::PreviousOrigin
            | Self::Shrunk { .. } => None,
        }
    }
}

/// Why a checkpoint, a proof, a certificate or an attestation does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Longer than any proof.
    #[error("the proof is longer than any proof")]
    TooLong,
    /// Not the JSON of such a proof.
    #[error("not the JSON of {what}")]
    Json {
        /// Which kind of proof.
        what: &'static str,
    },
    /// A field is not a hash.
    #[error("the field `{field}` does not hold a SHA-256 hash in base64")]
    Hash {
        /// The field's name.
        field: &'static str,
    },
    /// The checkpoint does not hold.
    #[error("the checkpoint does not hold: {0}")]
    Checkpoint(CheckpointError),
    /// The certificate does not hold.
    #[error("the deletion certificate does not hold: {0}")]
    Certificate(CertificateError),
    /// It is no attestation, or its note does not hold.
    #[error("the attestation does not hold: {0}")]
    Attestation(AttestationError),
    /// The attestation is not the one that the note was signed for.
    #[error("the attestation is not the one that was signed: it has another {what}")]
    NotAttested {
        /// In what they differ.
        what: &'static str,
    },
    /// The attestation is older than the reader takes.
    #[error("the attestation was issued {issued_at}, which is more than {age_max} ago")]
    TooOld {
        /// When it was issued.
        issued_at: Timestamp,
        /// The oldest that is taken.
        age_max: String,
    },
    /// The attestation is of a time that has not come.
    #[error("the attestation was issued {issued_at}, which is in the future")]
    Future {
        /// When it was issued.
        issued_at: Timestamp,
    },
    /// The proof is about another tree than the checkpoint.
    #[error("the proof is for a tree of {proof} entries, and the checkpoint covers {checkpoint}")]
    Size {
        /// The size in the proof.
        proof: u64,
        /// The size in the checkpoint.
        checkpoint: u64,
    },
    /// The proof states another root than the checkpoint.
    #[error("the proof states another root than the checkpoint")]
    Root,
    /// The hashes do not lead there.
    #[error(transparent)]
    Proof(ProofError),
    /// The entry is not the one that the proof is about.
    #[error("the entry does not have the leaf hash that the proof is about")]
    Leaf,
    /// The older checkpoint is not the one that the proof is about.
    #[error("the older checkpoint is of another ledger, size or root than the proof starts from")]
    Previous,
}
