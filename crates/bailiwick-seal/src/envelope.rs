//! The envelope: what sealed bytes look like and what they are bound to.
//!
//! Layout: `format (1) ‖ key version (u32, big-endian) ‖ nonce (12) ‖ ciphertext ‖ tag (16)`.
//!
//! INV: the associated data is injective. Fixed fields come first, each variable one behind its length; two different
//! contexts, purposes or key versions can never encode to the same bytes.

use bailiwick_types::{InstallationId, TenantId};

use crate::aead::OVERHEAD_BYTES;
use crate::error::SealError;
use crate::purpose::Purpose;

const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 5;

/// How often one version of a data key may seal. Nonces are random and 96 bits long: up to here two of them meet with
/// a probability of at most 2⁻³² (NIST SP 800-38D, 8.3). Whoever counts (a ledger's size, for one) rotates well before.
pub const SEALS_PER_KEY_MAX: u64 = 1 << 32;

/// Where sealed bytes belong. They do not open anywhere else.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The installation.
    pub installation: InstallationId,
    /// The tenant, or [`TenantId::PLATFORM`].
    pub tenant: TenantId,
    /// The space.
    pub space: &'a str,
    /// The key within the space.
    pub key: &'a [u8],
    /// The record's version.
    pub version: u64,
}

impl Context<'_> {
    /// The associated data.
    pub(crate) fn associated_data(&self, purpose: Purpose, key_version: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(62 + self.space.len() + self.key.len());
        out.push(FORMAT);
        out.push(purpose.number());
        out.extend_from_slice(&key_version.to_be_bytes());
        out.extend_from_slice(self.installation.as_bytes());
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&(self.space.len() as u64).to_be_bytes());
        out.extend_from_slice(self.space.as_bytes());
        out.extend_from_slice(&(self.key.len() as u64).to_be_bytes());
        out.extend_from_slice(self.key);
        out
    }
}

/// The start of an envelope, with room for the rest.
pub(crate) fn begin(key_version: u32, plaintext_bytes: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES.saturating_add(OVERHEAD_BYTES).saturating_add(plaintext_bytes));
    out.push(FORMAT);
    out.extend_from_slice(&key_version.to_be_bytes());
    out
}

/// The key version and what is sealed under it.
pub(crate) fn split(sealed: &[u8]) -> Result<(u32, &[u8]), SealError> {
    match sealed.split_first_chunk::<HEAD_BYTES>() {
        Some(([FORMAT, a, b, c, d], rest)) => Ok((u32::from_be_bytes([*a, *b, *c, *d]), rest)),
        _ => Err(SealError::Open),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn associated_data_differs_whenever_anything_does() {
        let base = Context {
            installation: InstallationId::from_bytes([1; 16]),
            tenant: TenantId::from_bytes([2; 16]),
            space: "secret",
            key: b"key",
            version: 1,
        };
        let mut all = vec![
            base.associated_data(Purpose::Records, 1),
            base.associated_data(Purpose::Ledger, 1),
            base.associated_data(Purpose::Records, 2),
            Context { installation: InstallationId::from_bytes([3; 16]), ..base }.associated_data(Purpose::Records, 1),
            Context { tenant: TenantId::from_bytes([1; 16]), ..base }.associated_data(Purpose::Records, 1),
            Context { tenant: TenantId::PLATFORM, ..base }.associated_data(Purpose::Records, 1),
            Context { version: 256, ..base }.associated_data(Purpose::Records, 1),
            // The same letters, split in other places.
            Context { space: "secretkey", key: b"", ..base }.associated_data(Purpose::Records, 1),
            Context { space: "", key: b"secretkey", ..base }.associated_data(Purpose::Records, 1),
            Context { space: "secre", key: b"tkey", ..base }.associated_data(Purpose::Records, 1),
            Context { space: "secretk", key: b"ey", ..base }.associated_data(Purpose::Records, 1),
            // A longer key is not the shorter one with something behind it.
            Context { key: b"key2", ..base }.associated_data(Purpose::Records, 1),
            // A space that reads like the length of a key, before a key that holds the length of the other.
            Context { space: "\0\0\0\0\0\0\0\x0b", key: b"key", ..base }.associated_data(Purpose::Records, 1),
            Context { space: "", key: b"\0\0\0\0\0\0\0\x03key", ..base }.associated_data(Purpose::Records, 1),
            // A key that contains what the encoding of another one looks like.
            Context { space: "secret", key: b"\0\0\0\0\0\0\0\x03key", ..base }.associated_data(Purpose::Records, 1),
        ];
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        // None is a beginning of another, so nothing can be cut off or appended either.
        assert!(all.windows(2).all(|pair| !pair[1].starts_with(&pair[0])));
    }
}
