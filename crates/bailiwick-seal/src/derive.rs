//! Deriving keys: HKDF-SHA256 (RFC 5869), one label per use.

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use zeroize::Zeroizing;

use crate::error::SealError;

/// A key from which others are derived, extracted once.
///
/// `level` is the salt: a root key and a tenant key of the same bytes would still derive different keys.
pub(crate) fn extract(level: &'static str, key: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, level.as_bytes()).extract(key)
}

/// The key for one use. `fields` must each have a fixed length for the label, so that no two uses read the same.
pub(crate) fn expand(prk: &Prk, label: &'static str, fields: [&[u8]; 2]) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let [first, second] = fields;
    let info = [label.as_bytes(), b"\0".as_slice(), first, second];
    let mut out = Zeroizing::new([0u8; 32]);
    let okm = prk.expand(&info, HKDF_SHA256).map_err(|_| SealError::Crypto)?;
    okm.fill(out.as_mut_slice()).map_err(|_| SealError::Crypto)?;
    Ok(out)
}
