//! The root key in memory: everything else is wrapped under keys that are derived from it.
//!
//! # Deliberately absent
//! `Clone`, `Serialize`, `PartialEq`, and any getter: a root key leaves memory only as a key file or as shares.

use std::fmt;

use aws_lc_rs::hkdf::Prk;
use bailiwick_types::{InstallationId, Random, Secret, TenantId};
use zeroize::{Zeroize as _, Zeroizing};

use crate::aead::AeadKey;
use crate::derive::{expand, extract};
use crate::error::SealError;
use crate::signer::{self, LedgerSigner};

/// The root key, unwrapped. Wiped on drop.
pub struct RootKey {
    bytes: Secret<[u8; 32]>,
    prk: Prk,
}

impl RootKey {
    /// A new random root key.
    pub fn generate(random: &dyn Random) -> Self {
        let mut bytes = [0u8; 32];
        random.fill(&mut bytes);
        let this = Self::from_bytes(Secret::new(bytes));
        bytes.zeroize();
        this
    }

    /// The root key with these bytes, which must be uniformly random.
    pub fn from_bytes(bytes: Secret<[u8; 32]>) -> Self {
        let prk = extract("bailiwick/v1/root", bytes.expose());
        Self { bytes, prk }
    }

    /// The installation's own signer under `name`: signs next to a tenant's key, and certificates of deletion.
    ///
    /// Derived from the root key, so it needs no storage, and another root key means another public key. Works the
    /// key pair out anew: keep the signer.
    ///
    /// # Errors
    /// [`SealError::Crypto`] if the crypto library refuses.
    pub fn installation_signer(&self, installation: InstallationId, name: &str) -> Result<LedgerSigner, SealError> {
        let seed = self.derive("installation-signing", [installation.as_bytes(), &[]])?;
        Ok(LedgerSigner::new(name, signer::parse(seed.as_slice())?))
    }

    /// Wraps one tenant's key.
    pub(crate) fn tenant_wrap(&self, installation: InstallationId, tenant: TenantId) -> Result<AeadKey, SealError> {
        AeadKey::new(&*self.derive("tenant-key", [installation.as_bytes(), tenant.as_bytes()])?)
    }

    /// Seals what the installation record holds.
    pub(crate) fn record_key(&self, installation: InstallationId) -> Result<AeadKey, SealError> {
        AeadKey::new(&*self.derive("installation-record", [installation.as_bytes(), &[]])?)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        self.bytes.expose()
    }

    fn derive(&self, label: &'static str, fields: [&[u8]; 2]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        expand(&self.prk, label, fields)
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey")
    }
}
