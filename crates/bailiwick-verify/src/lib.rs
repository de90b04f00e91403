//! The offline verifier: whether an export, a bundle, a checkpoint, a proof, a deletion certificate or an attestation
//! holds.
//!
//! It reads what `bailiwick-ledger` writes, one line at a time, and needs nothing else: no server, no network, no
//! clock. Small on purpose: whoever relies on an export should be able to read what checks it.
//!
//! What a verified export proves: its entries are complete and in order up to a checkpoint that its keys signed, none
//! was changed, none is of another tenant, and the file is byte for byte the one that was sealed. What it proves only
//! with a pinned key: that these keys are the ones that you trust. What it proves only with an earlier checkpoint: that
//! nothing before that was rewritten, by whomever.
//!
//! # Invariants
//! - INV-VERIFY-1: an export is accepted only byte for byte as it was sealed: any change of any byte is an error.
//! - INV-VERIFY-2: memory does not grow with the export.
//! - INV-VERIFY-3: keys that a file brings along are never trusted by themselves; the report says which were pinned.
//!
//! # Deliberately absent
//! No tokio, no SQL, no Cedar, no network, no key store, no way to repair anything.

mod attestation;
mod bundle;
mod error;
mod evidence;
mod export;

#[cfg(test)]
mod arbitrary_tests;
#[cfg(test)]
mod bundle_tests;
#[cfg(test)]
mod tamper_tests;
#[cfg(test)]
mod testing;

pub use attestation::{AttestationReport, Freshness, verify_attestation};
pub use bundle::{BundleReport, BundleVerifyError, Unfinished, unfinished, verify_bundle};
pub use error::{EvidenceError, Expected, VerifyError};
pub use evidence::{
    CertificateReport, CheckpointReport, ConsistencyReport, InclusionReport, verify_certificate, verify_checkpoint,
    verify_consistency, verify_inclusion,
};
pub use export::{Options, Report, Signer, verify_export};

pub use bailiwick_ledger::VerifierKey;
