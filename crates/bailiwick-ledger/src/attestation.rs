//! The note of an attestation: a short signed text over the hash of what is attested.
//!
//! ```text
//! bailiwick-attestation/v1
//! tenant ten_…
//! issued-at 2026-01-31T12:00:00.000Z
//! sha256 <base64>
//! checkpoint <origin> <size> <root>
//! ```
//!
//! `sha256` is of the [canonical text](canonical) of the attestation. Tenant, time and checkpoint stand in both, so that
//! the note says by itself of whom and when it is, and so that it cannot be put next to another attestation.
//!
//! # Invariants
//! - INV-ATTESTATION-3: a note has one spelling, and so has the JSON around it (white space between tokens aside):
//!   [`read`] takes no member that it does not know, none twice, none in another order or spelling.
//! - INV-ATTESTATION-4: whoever has the note and the attestation has it from [`AttestationNote::of`] the attestation that
//!   the two belong together; there is no other comparison.
//!
//! # Deliberately absent
//! No opinion about what is attested: whether it is good news is for `bailiwick-verify` and its reader to say.

use std::fmt;
use std::str::FromStr;

use bailiwick_types::api::attestation::{ATTESTATION_VERSION, Attestation, SignedAttestation};
use bailiwick_types::{TenantId, Timestamp};
use data_encoding::BASE64;

use crate::checkpoint::{Checkpoint, hash_from_base64};
use crate::lines::{BadLine, Lines, checkpoint, spelled};
use crate::note::{self, NoteError, NoteSigner, Opened, VerifierKey};
use crate::tree::{Hash, sha256};

/// The first line.
pub const FORMAT: &str = "bailiwick-attestation/v1";
/// The longest attestation with its note, in bytes: as many policies and guardrails as anybody may have.
pub const ATTESTATION_BYTES_MAX: usize = 8 << 20;

/// What the note of an attestation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationNote {
    /// Of whom.
    pub tenant: TenantId,
    /// When.
    pub issued_at: Timestamp,
    /// The hash of the canonical text of the attestation.
    pub sha256: Hash,
    /// The tenant's ledger at that time.
    pub checkpoint: Checkpoint,
}

/// Why something is not an attestation, or not the note of one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// Longer than any attestation.
    #[error("longer than any attestation")]
    TooLong,
    /// Not the JSON of an attestation. What it is instead is not repeated: a file can say anything.
    #[error("not the JSON of an attestation, from line {line}, column {column}")]
    Json {
        /// Where it stops being one, counted from 1.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// The JSON of an attestation, and more or otherwise than it is written.
    #[error("the JSON is not as an attestation is written: a member is unknown, twice, or spelled or placed otherwise")]
    NotCanonical,
    /// Another version of the shape.
    #[error("version {0} of the attestation is unknown")]
    UnknownVersion(u32),
    /// The checkpoint in the attestation is none, or of another ledger than its tenant's.
    #[error("the checkpoint in the attestation is not one of the tenant's ledger")]
    Checkpoint,
    /// Another format of note, or another version of it.
    #[error("the note is not in the format `{FORMAT}`")]
    UnknownFormat,
    /// A line that is missing, or not what belongs there.
    #[error("line {line} of the note is not `{expected}`")]
    Line {
        /// Which, counted from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// The note around it does not hold.
    #[error(transparent)]
    Note(NoteError),
}

impl From<serde_json::Error> for AttestationError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json { line: error.line(), column: error.column() }
    }
}

impl From<BadLine> for AttestationError {
    fn from(BadLine { line, expected }: BadLine) -> Self {
        Self::Line { line, expected }
    }
}

/// The one text that is hashed: JSON without white space between tokens, all members, in the order of their declaration.
///
/// # Errors
/// [`AttestationError::Json`] if it cannot be written, which no attestation brings about.
pub fn canonical(attestation: &Attestation) -> Result<Vec<u8>, AttestationError> {
    Ok(serde_json::to_vec(attestation)?)
}

/// Reads an attestation with its note. Checks no signature.
///
/// # Errors
/// [`AttestationError`] if it is not written as [`SignedAttestation`] is, white space between tokens aside.
pub fn read(json: &[u8]) -> Result<SignedAttestation, AttestationError> {
    if json.len() > ATTESTATION_BYTES_MAX {
        return Err(AttestationError::TooLong);
    }
    let signed: SignedAttestation = serde_json::from_slice(json)?;
    let written = serde_json::to_vec(&signed)?;
    if without_white_space(json) != written {
        return Err(AttestationError::NotCanonical);
    }
    Ok(signed)
}

/// JSON without the white space between its tokens.
fn without_white_space(json: &[u8]) -> Vec<u8> {
    let (mut is_in_string, mut is_escaped) = (false, false);
    let mut kept = Vec::with_capacity(json.len());
    for &byte in json {
        if is_in_string || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            kept.push(byte);
        }
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            _ => {}
        }
    }
    kept
}

impl fmt::Display for AttestationNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, issued_at, sha256, checkpoint } = self;
        writeln!(f, "{FORMAT}\ntenant {tenant}\nissued-at {issued_at}\nsha256 {}", BASE64.encode(sha256))?;
        writeln!(f, "checkpoint {} {} {}", checkpoint.origin, checkpoint.size, BASE64.encode(&checkpoint.root))
    }
}

impl FromStr for AttestationNote {
    type Err = AttestationError;
    fn from_str(text: &str) -> Result<Self, AttestationError> {
        let mut lines = Lines::of(text);
        if lines.next() != Some(FORMAT) {
            return Err(AttestationError::UnknownFormat);
        }
        let tenant = lines.field("tenant <tenant id>", spelled)?;
        let issued_at = lines.field("issued-at <time>", spelled)?;
        let sha256 = lines.field("sha256 <hash>", |value| hash_from_base64(value))?;
        let checkpoint = lines.field("checkpoint <origin> <size> <root>", checkpoint)?;
        lines.end()?;
        Ok(Self { tenant, issued_at, sha256, checkpoint })
    }
}

impl AttestationNote {
    /// The note that belongs to an attestation.
    ///
    /// # Errors
    /// [`AttestationError`] if the attestation is of another version, or its checkpoint is not one of its own ledger.
    pub fn of(attestation: &Attestation) -> Result<Self, AttestationError> {
        if attestation.v != ATTESTATION_VERSION {
            return Err(AttestationError::UnknownVersion(attestation.v));
        }
        let (tenant, stated) = (attestation.tenant.id, &attestation.checkpoint);
        if stated.origin != format!("{}/{tenant}", attestation.installation) {
            return Err(AttestationError::Checkpoint);
        }
        let root = hash_from_base64(&stated.root).ok_or(AttestationError::Checkpoint)?;
        let checkpoint = Checkpoint { origin: stated.origin.clone(), size: stated.size, root };
        let sha256 = sha256(&canonical(attestation)?);
        Ok(Self { tenant, issued_at: attestation.issued_at, sha256, checkpoint })
    }

    /// Parses the text of a note.
    ///
    /// # Errors
    /// [`AttestationError`] if it is not the one spelling of a note.
    pub fn parse(text: &str) -> Result<Self, AttestationError> {
        text.parse()
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`AttestationError`] if it would not be read again, or a signer cannot be used.
    pub fn sign(&self, signers: &[&dyn NoteSigner]) -> Result<String, AttestationError> {
        let text = self.to_string();
        Self::parse(&text)?;
        note::sign(&text, signers).map_err(AttestationError::Note)
    }

    /// Checks a signed note and parses it.
    ///
    /// # Errors
    /// [`AttestationError`] if the note does not hold or its text is not that of an attestation.
    pub fn open(note: &str, known: &[VerifierKey]) -> Result<(Self, Opened), AttestationError> {
        let opened = note::open(note, known).map_err(AttestationError::Note)?;
        let text = opened.text.parse()?;
        Ok((text, opened))
    }
}

#[cfg(test)]
#[path = "attestation_tests.rs"]
mod tests;
