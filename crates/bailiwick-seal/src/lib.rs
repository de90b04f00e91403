//! Keys and envelopes: the key hierarchy, the root key's providers, and sealing bound to tenant and place.
//!
//! ```text
//! root key            from a file, a passphrase or shares; in memory only while the installation is unsealed
//!   └ tenant key      one per tenant, stored wrapped in its KeyringRecord
//!       └ data keys   versioned, one line per Purpose, stored as one sealed list in the same record
//! ```
//!
//! # Invariants
//! - INV-SEAL-1: sealed bytes open only with the right key and at their own installation, tenant, space, key, version
//!   and purpose: all of these are associated data, in an injective encoding.
//! - INV-SEAL-2: key material is never printed, never serialised unsealed, and wiped when dropped.
//! - INV-SEAL-3: what does not open is an error; nothing is ever returned unauthenticated.
//! - INV-SEAL-4: rotation never makes what is stored unreadable: old versions stay for opening.
//!
//! # Deliberately absent
//! Cryptography of our own (`aws-lc-rs` does it, and HPKE through `rustls`; `argon2` and `blahaj` do what it does not). I/O other than the root
//! key's file. Ambient time and randomness. Any way to seal without a tenant, or to get a key out of a [`Keyring`]; keys leave sealed to another installation
//! ([`KeyringRecord::seal_to`]), and only with the root key in hand.
//! Protection against somebody who puts an *older* state of the whole store back: the ledger shows that.
//!
//! # What wiping covers
//! Buffers of this crate and the key schedules inside the crypto library. Moves of a value may leave stale copies on
//! the stack that nothing can reach to wipe; encrypt swap and forbid core dumps.

mod aead;
mod base64;
mod derive;
mod envelope;
mod error;
mod keyfile;
mod keyring;
mod mac;
mod passphrase;
mod provider;
mod purpose;
mod random;
mod root;
mod shamir;
mod signer;
mod transport;
mod wrapped;

pub use envelope::{Context, SEALS_PER_KEY_MAX};
pub use error::SealError;
pub use keyring::{KeyInfo, Keyring, LedgerKey};
pub use mac::Verifier;
pub use passphrase::PassphraseParams;
pub use provider::{InstallationRecord, Provider};
pub use purpose::Purpose;
pub use random::SystemRandom;
pub use root::RootKey;
pub use shamir::{ShareLabel, SharesError};
pub use signer::LedgerSigner;
pub use transport::{SealedKeys, TransportedKeys};
pub use wrapped::KeyringRecord;
