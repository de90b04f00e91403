//! How the root key is held, and the installation record that says so.
//!
//! The record lies in the store as JSON. Nothing in it is secret; everything in it is authenticated under the root key,
//! so that a wrong key and an edited record are both noticed before anything else is opened.

use bailiwick_types::{InstallationId, Random, Secret, Timestamp};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::SealError;
use crate::passphrase::PassphraseParams;
use crate::root::RootKey;

const FORMAT: u32 = 1;

/// How the root key is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Provider {
    /// In a file that the server reads at start.
    File,
    /// In somebody's head.
    Passphrase(PassphraseParams),
    /// In shares that several people hold.
    Shamir {
        /// How many shares make the key.
        threshold: u8,
        /// How many there are.
        shares: u8,
        /// Which splitting they are of, in hexadecimal digits.
        set: String,
    },
}

/// What is authenticated: the whole record but the proof itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Facts {
    format: u32,
    installation: InstallationId,
    created: Timestamp,
    provider: Provider,
    root_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_root_version: Option<u32>,
}

/// The installation record: which installation this is and how its root key is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstallationRecord {
    facts: Facts,
    /// The previous root key while tenants are being rewrapped, else nothing; sealed under the root key, with the facts
    /// as associated data. That it opens is the proof of both.
    check: String,
}

impl InstallationRecord {
    /// A new installation.
    ///
    /// # Errors
    /// [`SealError::Crypto`] if the crypto library refuses.
    pub fn create(
        installation: InstallationId,
        provider: Provider,
        root: &RootKey,
        created: Timestamp,
        random: &dyn Random,
    ) -> Result<Self, SealError> {
        let facts =
            Facts { format: FORMAT, installation, created, provider, root_version: 1, previous_root_version: None };
        Self::sealed(facts, root, &[], random)
    }

    /// Checks that this is the root key of this installation and that the record was not changed.
    ///
    /// # Errors
    /// [`SealError::WrongRootKey`] if not.
    pub fn verify(&self, root: &RootKey) -> Result<(), SealError> {
        self.open(root).map(|_| ())
    }

    /// The record with a new root key. Until [`InstallationRecord::finish_rotation`], it keeps the old root key, sealed
    /// under the new one, so that a server which stops half-way can go on rewrapping the tenants' keyrings.
    ///
    /// # Errors
    /// [`SealError::WrongRootKey`] if `old` is not the root key, [`SealError::RotationUnderWay`] if the last rotation is
    /// not finished.
    pub fn rotate(
        &self,
        old: &RootKey,
        new: &RootKey,
        provider: Provider,
        random: &dyn Random,
    ) -> Result<Self, SealError> {
        self.verify(old)?;
        if self.facts.previous_root_version.is_some() {
            return Err(SealError::RotationUnderWay);
        }
        let root_version = self.facts.root_version.checked_add(1).ok_or(SealError::Full)?;
        let previous_root_version = Some(self.facts.root_version);
        let facts = Facts { provider, root_version, previous_root_version, ..self.facts.clone() };
        Self::sealed(facts, new, old.bytes(), random)
    }

    /// The root key before this one, with its version, while a rotation is under way.
    ///
    /// # Errors
    /// [`SealError::WrongRootKey`] if `root` is not the root key.
    pub fn previous_root(&self, root: &RootKey) -> Result<Option<(u32, RootKey)>, SealError> {
        let kept = self.open(root)?;
        let Some(version) = self.facts.previous_root_version else {
            return Ok(None);
        };
        let mut key = Zeroizing::new([0u8; 32]);
        match <&[u8; 32]>::try_from(kept.as_slice()) {
            Ok(bytes) => *key = *bytes,
            Err(_) => return Err(SealError::Damaged("installation record")),
        }
        Ok(Some((version, RootKey::from_bytes(Secret::new(*key)))))
    }

    /// The record without the previous root key, once no keyring is wrapped under it any more.
    ///
    /// # Errors
    /// [`SealError::WrongRootKey`] if `root` is not the root key.
    pub fn finish_rotation(&self, root: &RootKey, random: &dyn Random) -> Result<Self, SealError> {
        self.verify(root)?;
        Self::sealed(Facts { previous_root_version: None, ..self.facts.clone() }, root, &[], random)
    }

    /// The installation.
    pub fn installation(&self) -> InstallationId {
        self.facts.installation
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.facts.created
    }

    /// How the root key is held.
    pub fn provider(&self) -> &Provider {
        &self.facts.provider
    }

    /// The root key's version: what new keyrings are wrapped under.
    pub fn root_version(&self) -> u32 {
        self.facts.root_version
    }

    /// The version of the root key before this one, while a rotation is under way.
    pub fn previous_root_version(&self) -> Option<u32> {
        self.facts.previous_root_version
    }

    /// For the store.
    ///
    /// # Errors
    /// [`SealError::Damaged`] if it cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SealError> {
        serde_json::to_vec(self).map_err(|_| SealError::Damaged("installation record"))
    }

    /// From the store. Not to be relied on before [`InstallationRecord::verify`].
    ///
    /// # Errors
    /// [`SealError::Damaged`] if it is no installation record, or of a later format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealError> {
        let this: Self = serde_json::from_slice(bytes).map_err(|_| SealError::Damaged("installation record"))?;
        if this.facts.format != FORMAT {
            return Err(SealError::Damaged("installation record: unknown format"));
        }
        Ok(this)
    }

    fn sealed(facts: Facts, root: &RootKey, kept: &[u8], random: &dyn Random) -> Result<Self, SealError> {
        let mut check = Vec::new();
        root.record_key(facts.installation)?.seal_onto(random, &associated_data(&facts)?, kept, &mut check)?;
        Ok(Self { facts, check: BASE64.encode(&check) })
    }

    fn open(&self, root: &RootKey) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let check = BASE64.decode(self.check.as_bytes()).map_err(|_| SealError::Damaged("installation record"))?;
        let key = root.record_key(self.facts.installation)?;
        key.open(&associated_data(&self.facts)?, &check).map_err(|_| SealError::WrongRootKey)
    }
}

/// The facts as JSON: field order is fixed, so equal facts are equal bytes.
fn associated_data(facts: &Facts) -> Result<Vec<u8>, SealError> {
    serde_json::to_vec(facts).map_err(|_| SealError::Damaged("installation record"))
}
