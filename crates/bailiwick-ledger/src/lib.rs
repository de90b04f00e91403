//! The ledger: one Merkle tree per tenant, as in RFC 9162, with C2SP checkpoints and signed notes.
//!
//! # Invariants
//! - INV-LEDGER-1: pure functions. The same input gives the same bytes, on every machine and at any time.
//! - INV-LEDGER-2: whatever is hashed or signed has exactly one spelling, and parsers accept no other.
//! - INV-LEDGER-3: what these functions write, `bailiwick-verify` reads; nothing here trusts a length that it was given.
//!
//! # Deliberately absent
//! No I/O, no async, no clock, no randomness, no private keys, no storage.

pub mod attestation;
pub mod bundle;
mod canonical;
pub mod certificate;
pub mod checkpoint;
pub mod entry;
pub mod export;
mod lines;
pub mod note;
pub mod ocsf;
mod proof;
mod tree;

#[cfg(test)]
mod testing;

pub use checkpoint::Checkpoint;
pub use entry::Entry;
pub use note::{NoteSigner, VerifierKey};
pub use proof::{
    LeafRange, NodeRun, ProofError, consistency_ranges, inclusion_ranges, range_hash, stored_runs, verify_consistency,
    verify_inclusion,
};
pub use tree::{CompactRange, Hash, LeafRun, empty_root, leaf_hash, leaf_hash_in_place, node_hash, sha256};
