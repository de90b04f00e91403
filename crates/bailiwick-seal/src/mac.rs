//! Keyed hashes: HMAC-SHA256, each use under a label of its own and bound to installation and tenant.

use std::fmt;

use aws_lc_rs::hmac;
use bailiwick_types::{CredentialId, InstallationId, TenantId};
use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq as _};

const CREDENTIAL: &[u8] = b"bailiwick/v1/credential\0";
const CURSOR: &[u8] = b"bailiwick/v1/cursor\0";
const FINGERPRINT: &[u8] = b"bailiwick/v1/fingerprint\0";

/// What is stored instead of a credential's secret.
///
/// Deliberately absent: `PartialEq`, which would compare in variable time.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifier {
    /// The version of the credentials key.
    pub key_version: u32,
    /// The keyed hash over the credential's id and secret.
    #[serde(with = "crate::base64")]
    pub mac: [u8; 32],
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("key_version", &self.key_version).finish_non_exhaustive()
    }
}

/// A keyed hash's key, with its pads hashed once, and whose it is.
pub(crate) struct MacKey {
    key: hmac::Key,
    owner: [[u8; 16]; 2],
}

impl MacKey {
    pub(crate) fn new(installation: InstallationId, tenant: TenantId, key: &[u8; 32]) -> Self {
        let owner = [*installation.as_bytes(), *tenant.as_bytes()];
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), owner }
    }

    pub(crate) fn credential(&self, id: CredentialId, secret: &[u8; 32]) -> [u8; 32] {
        // Both parts have fixed lengths: no two pairs read the same.
        self.mac(CREDENTIAL, [id.as_bytes(), secret])
    }

    pub(crate) fn cursor(&self, message: &[u8]) -> [u8; 32] {
        self.mac(CURSOR, [message, &[]])
    }

    pub(crate) fn fingerprint(&self, message: &[u8]) -> [u8; 32] {
        self.mac(FINGERPRINT, [message, &[]])
    }

    fn mac(&self, label: &[u8], parts: [&[u8]; 2]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        let [installation, tenant] = &self.owner;
        let [first, second] = parts;
        for part in [label, installation, tenant, first, second] {
            context.update(part);
        }
        let mut out = [0u8; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

/// Whether two hashes are the same, in constant time.
pub(crate) fn equal(a: &[u8; 32], b: &[u8; 32]) -> Choice {
    a.ct_eq(b)
}
