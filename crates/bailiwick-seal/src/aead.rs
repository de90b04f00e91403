//! AES-256-GCM with a random nonce in front: `nonce (12) ‖ ciphertext ‖ tag (16)`.
//!
//! Neither way copies plaintext into a buffer that would have to be wiped afterwards.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bailiwick_types::Random;
use zeroize::Zeroizing;

use crate::error::SealError;

pub(crate) const TAG_BYTES: usize = 16;
/// How much longer the sealed form is.
pub(crate) const OVERHEAD_BYTES: usize = NONCE_LEN + TAG_BYTES;

/// A key with its schedule worked out once. The schedule lives in the crypto library's memory and is wiped there.
pub(crate) struct AeadKey(LessSafeKey);

impl AeadKey {
    pub(crate) fn new(key: &[u8; 32]) -> Result<Self, SealError> {
        UnboundKey::new(&AES_256_GCM, key).map(|key| Self(LessSafeKey::new(key))).map_err(|_| SealError::Crypto)
    }

    /// Appends the sealed form of `plaintext` to `out`.
    pub(crate) fn seal_onto(
        &self,
        random: &dyn Random,
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let mut nonce = [0u8; NONCE_LEN];
        random.fill(&mut nonce);
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.resize(start.saturating_add(plaintext.len()).saturating_add(TAG_BYTES), 0);
        let (ciphertext, tag) = out
            .get_mut(start..)
            .and_then(|rest| rest.split_at_mut_checked(plaintext.len()))
            .ok_or(SealError::Crypto)?;
        self.0
            .seal_out_of_place_scatter(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                plaintext,
                ciphertext,
                &[],
                tag,
            )
            .map_err(|_| SealError::Crypto)
    }

    /// Opens what [`AeadKey::seal_onto`] appended.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Open)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(SealError::Open)?;
        let mut plaintext = Zeroizing::new(vec![0u8; ciphertext.len()]);
        self.0
            .open_separate_gather(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), ciphertext, tag, &mut plaintext)
            .map_err(|_| SealError::Open)?;
        Ok(plaintext)
    }
}
