//! The deletion certificate: the signed statement that a tenant's keys were destroyed, and what remains of it.
//!
//! ```text
//! bailiwick-deletion/v1
//! tenant ten_…
//! slug acme
//! deleted-at 2026-01-31T12:00:00.000Z
//! ledger <origin> <size> <root>
//! key <name> <fingerprint>              one line per destroyed key, in ascending order of names
//! platform <origin> <size> <root>
//! ```
//!
//! `ledger` is the tenant's last checkpoint. `platform` is a checkpoint of the platform's ledger that covers the entry
//! of the deletion, so that the certificate has a place in a log that others watch. Hashes are in base64.
//!
//! # Invariants
//! - INV-CERTIFICATE-1: a certificate has one spelling, and parsing accepts no other.
//!
//! # Deliberately absent
//! No key material: a fingerprint is a hash.

use std::fmt;
use std::str::FromStr;

use bailiwick_types::{TenantId, Timestamp};
use data_encoding::BASE64;

use crate::checkpoint::{Checkpoint, hash_from_base64};
use crate::lines::{BadLine, Lines, checkpoint, spelled, word};
use crate::note::{self, NoteError, NoteSigner, Opened, VerifierKey};
use crate::tree::Hash;

/// The first line.
pub const FORMAT: &str = "bailiwick-deletion/v1";
/// The most keys that one certificate lists.
pub const KEYS_MAX: usize = 1_000;

/// What a deletion certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletionCertificate {
    /// The tenant.
    pub tenant: TenantId,
    /// Its slug, which is never used again.
    pub slug: String,
    /// When its keys were destroyed.
    pub deleted_at: Timestamp,
    /// The last state of its ledger.
    pub ledger: Checkpoint,
    /// The destroyed keys, in ascending order of their names.
    pub keys: Vec<DestroyedKey>,
    /// A state of the platform's ledger that covers the entry of the deletion.
    pub platform: Checkpoint,
}

/// A key that no longer exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestroyedKey {
    /// Its purpose and version, such as `records/3`: without white space, unique in the certificate.
    pub name: String,
    /// A hash that tells it from other keys.
    pub fingerprint: Hash,
}

/// Why a text is not a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Another format, or another version of it.
    #[error("not in the format `{FORMAT}`")]
    UnknownFormat,
    /// A line that is missing, or not what belongs there.
    #[error("line {line} of the certificate is not `{expected}`")]
    Line {
        /// Which, counted from 1.
        line: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// More keys than a certificate lists.
    #[error("the certificate lists more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// Keys that are not in ascending order of their names.
    #[error("the keys of the certificate are not in ascending order of their names")]
    KeyOrder,
    /// The note around it does not hold.
    #[error(transparent)]
    Note(NoteError),
}

impl From<BadLine> for CertificateError {
    fn from(BadLine { line, expected }: BadLine) -> Self {
        Self::Line { line, expected }
    }
}

impl fmt::Display for DeletionCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, slug, deleted_at, ledger, keys, platform } = self;
        writeln!(f, "{FORMAT}\ntenant {tenant}\nslug {slug}\ndeleted-at {deleted_at}")?;
        writeln!(f, "ledger {} {} {}", ledger.origin, ledger.size, BASE64.encode(&ledger.root))?;
        for key in keys {
            writeln!(f, "key {} {}", key.name, BASE64.encode(&key.fingerprint))?;
        }
        writeln!(f, "platform {} {} {}", platform.origin, platform.size, BASE64.encode(&platform.root))
    }
}

impl FromStr for DeletionCertificate {
    type Err = CertificateError;
    fn from_str(text: &str) -> Result<Self, CertificateError> {
        let mut lines = Lines::of(text);
        if lines.next() != Some(FORMAT) {
            return Err(CertificateError::UnknownFormat);
        }
        let tenant = lines.field("tenant <tenant id>", |value| value.parse().ok())?;
        let slug = lines.field("slug <slug>", word)?;
        let deleted_at = lines.field("deleted-at <time>", spelled)?;
        let ledger = lines.field("ledger <origin> <size> <root>", checkpoint)?;
        let mut keys: Vec<DestroyedKey> = Vec::new();
        while lines.begins_with("key ") {
            let key = lines.field("key <name> <fingerprint>", |value| {
                let (name, fingerprint) = value.split_once(' ')?;
                Some(DestroyedKey { name: word(name)?, fingerprint: hash_from_base64(fingerprint)? })
            })?;
            if keys.last().is_some_and(|last| last.name >= key.name) {
                return Err(CertificateError::KeyOrder);
            }
            if keys.len() == KEYS_MAX {
                return Err(CertificateError::TooManyKeys);
            }
            keys.push(key);
        }
        let platform = lines.field("platform <origin> <size> <root>", checkpoint)?;
        lines.end()?;
        Ok(Self { tenant, slug, deleted_at, ledger, keys, platform })
    }
}

impl DeletionCertificate {
    /// Parses the text of a certificate.
    ///
    /// # Errors
    /// [`CertificateError`] if it is not the one spelling of a certificate.
    pub fn parse(text: &str) -> Result<Self, CertificateError> {
        text.parse()
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`CertificateError`] if it would not be read again, or a signer cannot be used.
    pub fn sign(&self, signers: &[&dyn NoteSigner]) -> Result<String, CertificateError> {
        let text = self.to_string();
        // A name with a space or a newline in it would be read as something else.
        Self::parse(&text)?;
        note::sign(&text, signers).map_err(CertificateError::Note)
    }

    /// Checks a signed certificate and parses it.
    ///
    /// # Errors
    /// [`CertificateError`] if the note does not hold or its text is not a certificate.
    pub fn open(note: &str, known: &[VerifierKey]) -> Result<(Self, Opened), CertificateError> {
        let opened = note::open(note, known).map_err(CertificateError::Note)?;
        let certificate = opened.text.parse()?;
        Ok((certificate, opened))
    }
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
