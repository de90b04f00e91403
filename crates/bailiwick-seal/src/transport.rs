//! A tenant's keys on their way to another installation: sealed to its public key with HPKE (RFC 9180, base mode,
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM).
//!
//! The recipient's private key is derived from the credentials key of the platform's keyring: nothing more has to be
//! stored, it survives a rotation of the root key, and rotating it leaves the older ones for opening older bundles.
//!
//! # Invariants
//! - INV-TRANSPORT-1: keys are sealed together with what they belong to (`bound`): the same bytes have to be shown to
//!   open them, so the head of a bundle cannot be put on the keys of another one.
//! - INV-TRANSPORT-2: what is opened can be wrapped under a root key, or used; it cannot be read.
//!
//! # Deliberately absent
//! An authenticated sender: who made a bundle is shown by its signatures, which strangers can check too.

use std::fmt;

use aws_lc_rs::agreement::{PrivateKey, X25519};
use bailiwick_types::{InstallationId, Random, Recipient, TenantId, Timestamp};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use zeroize::Zeroizing;

use crate::derive::{expand, extract};
use crate::error::SealError;
use crate::keyring::Keyring;
use crate::root::RootKey;
use crate::wrapped::{Head, KeyList, KeyringRecord, Owner};

const INFO: &[u8] = b"bailiwick/v1/bundle-keys";

/// Keys that are sealed to a recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedKeys {
    /// The encapsulated key: RFC 9180's `enc`.
    pub encapsulated: Vec<u8>,
    /// The ciphertext.
    pub sealed: Vec<u8>,
}

/// The private half of a recipient.
pub(crate) struct RecipientKey(Zeroizing<[u8; 32]>);

impl RecipientKey {
    pub(crate) fn derive(owner: Owner, credentials_key: &[u8; 32]) -> Result<Self, SealError> {
        let prk = extract("bailiwick/v1/recipient", credentials_key);
        Ok(Self(expand(&prk, "bundle-recipient", [owner.installation.as_bytes(), owner.tenant.as_bytes()])?))
    }

    pub(crate) fn public_key(&self) -> Result<[u8; 32], SealError> {
        let key = PrivateKey::from_private_key(&X25519, self.0.as_slice()).map_err(|_| SealError::Crypto)?;
        let public = key.compute_public_key().map_err(|_| SealError::Crypto)?;
        public.as_ref().try_into().map_err(|_| SealError::Crypto)
    }

    pub(crate) fn open(&self, keys: &SealedKeys, bound: &[u8]) -> Result<TransportedKeys, SealError> {
        let encapsulated = EncapsulatedSecret(keys.encapsulated.clone());
        let private = HpkePrivateKey::from(self.0.to_vec());
        let opened = SUITE.open(&encapsulated, INFO, bound, &keys.sealed, &private).map_err(|_| SealError::Open)?;
        let opened = Zeroizing::new(opened);
        let damaged = SealError::Damaged("transported keys");
        let (length, rest) = opened.split_first_chunk::<4>().ok_or(damaged.clone())?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| damaged.clone())?;
        let (note, keys) = rest.split_at_checked(length).ok_or(damaged)?;
        Ok(TransportedKeys { note: note.to_vec(), keys: KeyList::from_bytes(keys)? })
    }
}

/// Keys that came with a bundle, opened.
///
/// Deliberately absent: a getter.
pub struct TransportedKeys {
    note: Vec<u8>,
    keys: KeyList,
}

impl TransportedKeys {
    /// What was sealed with the keys.
    pub fn note(&self) -> &[u8] {
        &self.note
    }

    /// The keys under a root key, with a new tenant key around them. `installation` is the one that the tenant's seals
    /// are bound to, which need not be that of the root key.
    ///
    /// # Errors
    /// [`SealError::Damaged`] if the keys make no keyring.
    pub fn wrap(
        &self,
        root: &RootKey,
        root_version: u32,
        installation: InstallationId,
        tenant: TenantId,
        now: Timestamp,
        random: &dyn Random,
    ) -> Result<(Keyring, KeyringRecord), SealError> {
        let owner = Owner { installation, tenant };
        let head = Head { root_version, tenant_key_version: 1, tenant_key_created: now };
        let record = KeyringRecord::wrap(root, owner, head, &self.keys, random)?;
        Ok((Keyring::from_list(owner, head, &self.keys)?, record))
    }
}

impl fmt::Debug for TransportedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransportedKeys")
    }
}

impl KeyringRecord {
    /// Seals the keys, and a note, to a recipient. Only who shows the same `bound` bytes can open them.
    ///
    /// # Errors
    /// [`SealError::Open`] if the record does not open with this root key and tenant, [`SealError::Crypto`] if the
    /// recipient's key is none.
    pub fn seal_to(
        &self,
        root: &RootKey,
        installation: InstallationId,
        tenant: TenantId,
        recipient: &Recipient,
        bound: &[u8],
        note: &[u8],
    ) -> Result<SealedKeys, SealError> {
        let (_, keys) = self.unwrap(root, Owner { installation, tenant })?;
        let length = u32::try_from(note.len()).map_err(|_| SealError::Damaged("note"))?;
        let mut plaintext = Zeroizing::new(Vec::with_capacity(4 + note.len() + keys.as_bytes().len()));
        plaintext.extend_from_slice(&length.to_be_bytes());
        plaintext.extend_from_slice(note);
        plaintext.extend_from_slice(keys.as_bytes());
        let public = HpkePublicKey(recipient.public_key.to_vec());
        let (encapsulated, sealed) = SUITE.seal(INFO, bound, &plaintext, &public).map_err(|_| SealError::Crypto)?;
        Ok(SealedKeys { encapsulated: encapsulated.0, sealed })
    }
}
