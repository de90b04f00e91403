//! Checkpoints, proofs and certificates: small things that are checked as a whole.
//!
//! Proofs are the JSON that the server answers with. Unknown fields are refused: what is not checked should not stand
//! next to what is.

use bailiwick_ledger::certificate::DeletionCertificate;
use bailiwick_ledger::checkpoint::hash_from_base64;
use bailiwick_ledger::note::VerifierKey;
use bailiwick_ledger::{Checkpoint, Hash, leaf_hash};
use serde::Deserialize;

use crate::error::EvidenceError;

/// The longest proof, in bytes: a checkpoint with many witnesses.
const PROOF_BYTES_MAX: usize = 1 << 21;

/// What a verified checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointReport {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Those of the given keys that signed it.
    pub signers: Vec<VerifierKey>,
    /// How many signatures are of other keys.
    pub unknown: usize,
}

/// What a verified certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateReport {
    /// The certificate.
    pub certificate: DeletionCertificate,
    /// Those of the given keys that signed it.
    pub signers: Vec<VerifierKey>,
}

/// What a verified inclusion proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionReport {
    /// The checkpoint that covers the entry.
    pub checkpoint: CheckpointReport,
    /// The entry's index.
    pub index: u64,
    /// Its leaf hash.
    pub leaf: Hash,
}

/// What a verified consistency proof says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyReport {
    /// The checkpoint of the newer tree.
    pub checkpoint: CheckpointReport,
    /// The size of the older tree.
    pub old_size: u64,
    /// The root of the older tree. Only as good as where it came from: compare it with one that you kept.
    pub old_root: Hash,
}

/// Verifies a signed checkpoint with keys that you trust.
///
/// # Errors
/// [`EvidenceError::Checkpoint`] if it does not hold.
pub fn verify_checkpoint(note: &str, keys: &[VerifierKey]) -> Result<CheckpointReport, EvidenceError> {
    let (checkpoint, opened) = Checkpoint::open(note, keys).map_err(EvidenceError::Checkpoint)?;
    Ok(CheckpointReport { checkpoint, signers: opened.verified, unknown: opened.unknown })
}

/// Verifies a deletion certificate with keys that you trust.
///
/// # Errors
/// [`EvidenceError::Certificate`] if it does not hold.
pub fn verify_certificate(note: &str, keys: &[VerifierKey]) -> Result<CertificateReport, EvidenceError> {
    let (certificate, opened) = DeletionCertificate::open(note, keys).map_err(EvidenceError::Certificate)?;
    Ok(CertificateReport { certificate, signers: opened.verified })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InclusionJson {
    index: u64,
    size: u64,
    leaf: String,
    root: Option<String>,
    proof: Vec<String>,
    checkpoint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConsistencyJson {
    old: u64,
    new: u64,
    old_root: String,
    root: Option<String>,
    proof: Vec<String>,
    checkpoint: String,
}

/// Verifies an inclusion proof, `{"index":…,"size":…,"leaf":…,"proof":[…],"checkpoint":…}`, with keys that you trust.
/// If the canonical bytes of the entry are given, they have to be those that the proof is about.
///
/// # Errors
/// [`EvidenceError`] says what does not hold.
pub fn verify_inclusion(
    json: &[u8],
    keys: &[VerifierKey],
    entry: Option<&[u8]>,
) -> Result<InclusionReport, EvidenceError> {
    let InclusionJson { index, size, leaf, root, proof, checkpoint } = parse(json, "an inclusion proof")?;
    let checkpoint = covering(&checkpoint, keys, size, root)?;
    let leaf = hash(&leaf, "leaf")?;
    if entry.is_some_and(|entry| leaf_hash(entry) != leaf) {
        return Err(EvidenceError::Leaf);
    }
    let root = &checkpoint.checkpoint.root;
    bailiwick_ledger::verify_inclusion(&leaf, index, size, &hashes(&proof)?, root).map_err(EvidenceError::Proof)?;
    Ok(InclusionReport { checkpoint, index, leaf })
}

/// Verifies a consistency proof, `{"old":…,"new":…,"old_root":…,"proof":[…],"checkpoint":…}`, with keys that you trust.
/// If the older checkpoint is given, it has to be the one that the proof starts from.
///
/// # Errors
/// [`EvidenceError`] says what does not hold.
pub fn verify_consistency(
    json: &[u8],
    keys: &[VerifierKey],
    older: Option<&str>,
) -> Result<ConsistencyReport, EvidenceError> {
    let ConsistencyJson { old, new, old_root, root, proof, checkpoint } = parse(json, "a consistency proof")?;
    let checkpoint = covering(&checkpoint, keys, new, root)?;
    let old_root = hash(&old_root, "old_root")?;
    if let Some(note) = older {
        let older = verify_checkpoint(note, keys)?.checkpoint;
        let started = Checkpoint { origin: checkpoint.checkpoint.origin.clone(), size: old, root: old_root };
        if older != started {
            return Err(EvidenceError::Previous);
        }
    }
    let new_root = &checkpoint.checkpoint.root;
    bailiwick_ledger::verify_consistency(old, new, &hashes(&proof)?, &old_root, new_root)
        .map_err(EvidenceError::Proof)?;
    Ok(ConsistencyReport { checkpoint, old_size: old, old_root })
}

fn parse<'de, T: Deserialize<'de>>(json: &'de [u8], what: &'static str) -> Result<T, EvidenceError> {
    if json.len() > PROOF_BYTES_MAX {
        return Err(EvidenceError::TooLong);
    }
    serde_json::from_slice(json).map_err(|_| EvidenceError::Json { what })
}

fn hash(text: &str, field: &'static str) -> Result<Hash, EvidenceError> {
    hash_from_base64(text).ok_or(EvidenceError::Hash { field })
}

fn hashes(proof: &[String]) -> Result<Vec<Hash>, EvidenceError> {
    proof.iter().map(|text| hash(text, "proof")).collect()
}

/// The checkpoint, if it is that of the tree that the proof is about.
fn covering(
    note: &str,
    keys: &[VerifierKey],
    size: u64,
    root: Option<String>,
) -> Result<CheckpointReport, EvidenceError> {
    let report = verify_checkpoint(note, keys)?;
    if report.checkpoint.size != size {
        return Err(EvidenceError::Size { proof: size, checkpoint: report.checkpoint.size });
    }
    if let Some(root) = root
        && hash(&root, "root")? != report.checkpoint.root
    {
        return Err(EvidenceError::Root);
    }
    Ok(report)
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
