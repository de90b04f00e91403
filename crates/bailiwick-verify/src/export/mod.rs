//! Exports: the header, what signs the entries, and how the parts go together.

mod block;
mod entries;
mod lines;

use std::io::BufRead;
use std::num::NonZeroUsize;

use bailiwick_ledger::export::{CheckpointLine, ExportHeader, LineError, LineKind, Seal, SealLine, Sha256};
use bailiwick_ledger::note::{self, VerifierKey};
use bailiwick_ledger::{Checkpoint, CompactRange, Hash};
use bailiwick_types::Timestamp;
use data_encoding::BASE64;
use serde::{Serialize, Serializer};

use crate::error::{Expected, VerifyError};
use entries::Entries;
use lines::Lines;

/// How much of the file a thread checks at a time: it fits into the cache of a core.
const BLOCK_BYTES: usize = 1 << 18;

/// What an export is checked against, besides itself.
#[derive(Default, Clone)]
pub struct Options<'a> {
    /// Keys that you trust. If there are any, then at least one of them has to be a key of the export. (All keys of an
    /// export have to have signed it, in any case.)
    pub pinned: Vec<VerifierKey>,
    /// A signed checkpoint of the same ledger that you kept. The export has to extend it.
    pub previous: Option<String>,
    /// Is told now and then how many entries are checked, and how many there are.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
    /// How many threads check entries; with 1, nothing is done in any other thread. Left out, as many as there are cores
    /// and entries for.
    pub threads: Option<NonZeroUsize>,
}

/// What a verified export is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The ledger's origin.
    pub origin: String,
    /// Whose ledger: a tenant id, or `platform`.
    pub tenant: String,
    /// The tenant's slug.
    pub slug: String,
    /// When the export was made, as it says itself.
    pub exported_at: Timestamp,
    /// How many entries, the erased ones included.
    pub entries: u64,
    /// How many of them were erased: only their leaf hash is left.
    pub erased: u64,
    /// The root of the tree of all entries.
    #[serde(serialize_with = "base64")]
    pub root: Hash,
    /// The time of the first entry that was not erased.
    pub first: Option<Timestamp>,
    /// The time of the last entry that was not erased.
    pub last: Option<Timestamp>,
    /// The keys that signed checkpoint and seal.
    pub signers: Vec<Signer>,
    /// How many entries the earlier checkpoint covers, if one was given: the export extends it.
    pub previous: Option<u64>,
}

/// A key that signed an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Signer {
    /// The key.
    pub key: VerifierKey,
    /// Whether it is one of those that you trust.
    pub is_pinned: bool,
}

fn base64<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&BASE64.encode(hash))
}

/// Verifies an export. Reads it once, front to back.
///
/// # Errors
/// [`VerifyError`] says which line and which entry, and what is wrong with it: the first in the file, however many threads
/// look.
pub fn verify_export(reader: impl BufRead, options: &Options<'_>) -> Result<Report, VerifyError> {
    verify_in_blocks(reader, options, BLOCK_BYTES)
}

/// Verifies an export in blocks of about this size.
pub(crate) fn verify_in_blocks(
    reader: impl BufRead,
    options: &Options<'_>,
    block_bytes: usize,
) -> Result<Report, VerifyError> {
    let mut lines = Lines::of(reader);
    let mut digest = Sha256::new();

    lines.advance(Expected::Header)?;
    let header = ExportHeader::parse(lines.line()).map_err(|source| match source {
        LineError::UnknownFormat => VerifyError::UnknownFormat,
        source => damaged(1, lines.line(), Expected::Header, source),
    })?;
    digest.update(lines.raw());
    let signers = signers(&header, &options.pinned)?;
    let previous = previous(&header, options)?;

    let entries = Entries::read(&header, &mut lines, digest, previous.as_ref(), options, block_bytes)?;
    let Entries { tree, mut digest, erased, first, last, .. } = entries;
    checkpoint(&header, &mut lines, &tree)?;
    digest.update(lines.raw());
    seal(&header, &mut lines, digest.finish())?;
    lines.end()?;

    let ExportHeader { origin, tenant, slug, size, exported_at, .. } = header;
    Ok(Report {
        origin,
        tenant,
        slug,
        exported_at,
        entries: size,
        erased,
        root: tree.root(),
        first,
        last,
        signers,
        previous: previous.map(|checkpoint| checkpoint.size),
    })
}

/// What it means that a line is not what belongs there.
fn damaged(number: u64, line: &[u8], expected: Expected, source: LineError) -> VerifyError {
    use LineKind as Kind;
    let is_later = match expected {
        Expected::Header => false,
        Expected::Entry(_) => matches!(Kind::of(line), Some(Kind::Checkpoint | Kind::Seal)),
        Expected::Checkpoint => Kind::of(line) == Some(Kind::Seal),
        Expected::Seal => false,
    };
    match source {
        _ if is_later => VerifyError::Missing { line: number, expected },
        LineError::NotCanonical => VerifyError::NotCanonical { line: number, expected },
        source => VerifyError::Malformed { line: number, expected, source },
    }
}

fn signers(header: &ExportHeader, pinned: &[VerifierKey]) -> Result<Vec<Signer>, VerifyError> {
    let signers: Vec<Signer> =
        header.keys.iter().map(|key| Signer { key: key.clone(), is_pinned: pinned.contains(key) }).collect();
    if !pinned.is_empty() && !signers.iter().any(|signer| signer.is_pinned) {
        return Err(VerifyError::NotPinned { found: header.keys.iter().map(ToString::to_string).collect() });
    }
    Ok(signers)
}

fn previous(header: &ExportHeader, options: &Options<'_>) -> Result<Option<Checkpoint>, VerifyError> {
    let Some(note) = &options.previous else { return Ok(None) };
    // Keys change over time; the pinned ones may be those of back then.
    let mut known = header.keys.clone();
    known.extend(options.pinned.iter().filter(|key| !header.keys.contains(key)).cloned());
    let (previous, _) = Checkpoint::open(note, &known).map_err(|source| VerifyError::Previous { source })?;
    if previous.origin != header.origin {
        return Err(VerifyError::PreviousOrigin);
    }
    if previous.size > header.size {
        return Err(VerifyError::Shrunk { previous: previous.size, size: header.size });
    }
    Ok(Some(previous))
}

fn checkpoint(header: &ExportHeader, lines: &mut Lines<impl BufRead>, tree: &CompactRange) -> Result<(), VerifyError> {
    lines.advance(Expected::Checkpoint)?;
    let line = lines.number();
    let parsed = CheckpointLine::parse(lines.line());
    let CheckpointLine { checkpoint: note } = parsed.map_err(|source| match LineKind::of(lines.line()) {
        Some(LineKind::Entry) => VerifyError::Surplus { line, size: header.size },
        _ => damaged(line, lines.line(), Expected::Checkpoint, source),
    })?;
    let (checkpoint, opened) =
        Checkpoint::open(&note, &header.keys).map_err(|source| VerifyError::Checkpoint { line, source })?;
    // Witnesses may have signed as well. The seal covers their lines.
    if let Some(key) = header.keys.iter().find(|key| !opened.verified.contains(key)) {
        return Err(VerifyError::CheckpointUnsigned { line, key: key.name().to_owned() });
    }
    if checkpoint.origin != header.origin {
        return Err(VerifyError::CheckpointOrigin { line });
    }
    if checkpoint.size != tree.size() {
        return Err(VerifyError::CheckpointSize { line, found: checkpoint.size, size: tree.size() });
    }
    if checkpoint.root != tree.root() {
        return Err(VerifyError::CheckpointRoot { line, size: tree.size() });
    }
    Ok(())
}

fn seal(header: &ExportHeader, lines: &mut Lines<impl BufRead>, digest: Hash) -> Result<(), VerifyError> {
    lines.advance(Expected::Seal)?;
    let line = lines.number();
    let parsed = SealLine::parse(lines.line());
    let SealLine { seal: note } = parsed.map_err(|source| damaged(line, lines.line(), Expected::Seal, source))?;
    let opened = note::open(&note, &header.keys).map_err(|source| VerifyError::Seal { line, source })?;
    // Nothing covers this line but itself, so there must be nothing in it that could be added or left out.
    let signatures = note.get(opened.text.len()..).unwrap_or_default().trim_start_matches('\n').lines().count();
    if opened.verified != header.keys || signatures != header.keys.len() {
        return Err(VerifyError::SealSigners { line });
    }
    let seal: Seal = opened.text.parse().map_err(|_| VerifyError::SealText { line })?;
    if seal.origin != header.origin || seal.size != header.size {
        return Err(VerifyError::SealText { line });
    }
    if seal.digest != digest { Err(VerifyError::SealDigest { line }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
