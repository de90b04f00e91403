//! Ed25519 signing keys, for notes.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bailiwick_ledger::note::NoteSigner;
use bailiwick_types::Secret;

use crate::error::SealError;

/// Signs checkpoints, export seals and certificates under a name.
///
/// Holds the key pair inside the crypto library; a clone shares it.
#[derive(Clone)]
pub struct LedgerSigner {
    name: Arc<str>,
    pair: Arc<Ed25519KeyPair>,
}

impl LedgerSigner {
    pub(crate) fn new(name: &str, pair: Arc<Ed25519KeyPair>) -> Self {
        Self { name: name.into(), pair }
    }
}

impl NoteSigner for LedgerSigner {
    fn name(&self) -> &str {
        &self.name
    }

    fn public_key(&self) -> [u8; 32] {
        public_key(&self.pair)
    }

    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut out = [0u8; 64];
        out.copy_from_slice(self.pair.sign(message).as_ref());
        out
    }
}

impl fmt::Debug for LedgerSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerSigner").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A signing key that is only worked out when somebody wants to sign: that costs more than all the rest of a keyring.
pub(crate) struct LazyPair {
    seed: Secret<Vec<u8>>,
    pair: OnceLock<Arc<Ed25519KeyPair>>,
}

impl LazyPair {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        Self { seed: Secret::new(seed.to_vec()), pair: OnceLock::new() }
    }

    pub(crate) fn pair(&self) -> Result<Arc<Ed25519KeyPair>, SealError> {
        if let Some(pair) = self.pair.get() {
            return Ok(Arc::clone(pair));
        }
        let pair = parse(self.seed.expose())?;
        // Two threads may both get here; both have made the same pair.
        Ok(Arc::clone(self.pair.get_or_init(|| pair)))
    }
}

pub(crate) fn parse(seed: &[u8]) -> Result<Arc<Ed25519KeyPair>, SealError> {
    Ed25519KeyPair::from_seed_unchecked(seed).map(Arc::new).map_err(|_| SealError::Crypto)
}

pub(crate) fn public_key(pair: &Ed25519KeyPair) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(pair.public_key().as_ref());
    out
}
