//! The root key in shares: any `threshold` of them make the key, fewer say nothing about it.
//!
//! A share is text: `bws_` and base64url of
//! `format (1) ‖ set (8) ‖ threshold (1) ‖ index (1) ‖ share of (root key (32) ‖ check (8)) ‖ checksum (6)`.
//!
//! - The *checksum* is over the one share: it tells a typing error, and which share has it.
//! - The *set* is random for each splitting: shares of two splittings are never mixed.
//! - The *check*, a hash of the root key, is shared along with it: shares that were made up do not combine silently.
//!   Being inside what is shared, it helps nobody who has too few.
//!
//! The arithmetic is `blahaj`'s, whose coefficients are uniform over the whole field. Its table look-ups are not
//! constant-time; they only ever run where the root key is split or combined.

use std::convert::Infallible;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use bailiwick_types::{Random, Secret};
use blahaj::{Share, Sharks};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use rand_core::{TryCryptoRng, TryRng};
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::SealError;
use crate::provider::Provider;
use crate::root::RootKey;

const PREFIX: &str = "bws_";
const FORMAT: u8 = 1;
const SET_BYTES: usize = 8;
const CHECK_BYTES: usize = 8;
const CHECKSUM_BYTES: usize = 6;
const SHARED_BYTES: usize = 32 + CHECK_BYTES;
const SHARE_BYTES: usize = 1 + SET_BYTES + 2 + SHARED_BYTES + CHECKSUM_BYTES;

/// Why shares do not make a root key. Shares are counted from 1, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SharesError {
    /// One share would be the key itself; more than 255 do not exist.
    #[error("want at least 2 shares, at most 255, and a threshold of at least 2 and at most the number of shares")]
    Numbers,
    /// Not the text of a share at all.
    #[error("share {0} is not a share: want `bws_` and 76 characters")]
    Malformed(usize),
    /// The checksum does not match.
    #[error("share {0} was mistyped")]
    Damaged(usize),
    /// Shares of different splittings.
    #[error("share {0} belongs to another set than share 1")]
    MixedSets(usize),
    /// The same share twice.
    #[error("share {0} was given twice")]
    Duplicate(usize),
    /// Not enough of them.
    #[error("{given} of {threshold} shares were given")]
    TooFew {
        /// How many were given.
        given: usize,
        /// How many are needed.
        threshold: u8,
    },
    /// Each share is well-formed, but together they do not make the key that was split.
    #[error("the shares do not make the root key; at least one was forged")]
    Forged,
}

/// What a share says about itself: which set, how many are needed, which one it is. Not secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareLabel {
    /// The set, in hexadecimal digits, as in [`Provider::Shamir`].
    pub set: String,
    /// How many shares of the set are needed.
    pub threshold: u8,
    /// Which share of the set it is, from 1.
    pub index: u8,
}

impl ShareLabel {
    /// Reads the label of a share.
    ///
    /// # Errors
    /// [`SharesError::Malformed`] or [`SharesError::Damaged`], about share 1.
    pub fn of(share: &Secret<String>) -> Result<Self, SharesError> {
        let parsed = Parsed::from_text(share.expose(), 1)?;
        Ok(Self { set: HEXLOWER.encode(&parsed.set), threshold: parsed.threshold, index: parsed.index })
    }
}

impl RootKey {
    /// Splits the key into `shares` texts, any `threshold` of which make it again; with the provider to record.
    ///
    /// # Errors
    /// [`SharesError::Numbers`] unless 2 ≤ threshold ≤ shares.
    pub fn split(
        &self,
        shares: u8,
        threshold: u8,
        random: &dyn Random,
    ) -> Result<(Provider, Vec<Secret<String>>), SealError> {
        if threshold < 2 || shares < threshold {
            return Err(SharesError::Numbers.into());
        }
        let mut set = [0u8; SET_BYTES];
        random.fill(&mut set);
        let mut shared = Zeroizing::new(Vec::with_capacity(SHARED_BYTES));
        shared.extend_from_slice(self.bytes());
        shared.extend_from_slice(&check_of(self.bytes()));
        let texts = Sharks(threshold)
            .dealer_rng(&shared, &mut Dealer(random))
            .take(usize::from(shares))
            .map(|share| Parsed { set, threshold, index: share.x.0, share }.to_text())
            .collect();
        Ok((Provider::Shamir { threshold, shares, set: HEXLOWER.encode(&set) }, texts))
    }

    /// Makes the key from its shares, at least as many as the threshold, in any order.
    ///
    /// # Errors
    /// [`SealError::Shares`], which says which share is wrong and why.
    pub fn combine(shares: &[Secret<String>]) -> Result<Self, SealError> {
        let mut parsed: Vec<Parsed> = Vec::with_capacity(shares.len());
        for (number, text) in (1..).zip(shares) {
            let share = Parsed::from_text(text.expose(), number)?;
            if parsed.first().is_some_and(|first| first.set != share.set || first.threshold != share.threshold) {
                return Err(SharesError::MixedSets(number).into());
            }
            if parsed.iter().any(|other| other.index == share.index) {
                return Err(SharesError::Duplicate(number).into());
            }
            parsed.push(share);
        }
        let threshold = parsed.first().map_or(2, |first| first.threshold);
        if parsed.len() < usize::from(threshold) {
            return Err(SharesError::TooFew { given: parsed.len(), threshold }.into());
        }
        let sharks = Sharks(threshold);
        let recovered = sharks.recover(parsed.iter().map(|parsed| &parsed.share));
        let shared = Zeroizing::new(recovered.map_err(|_| SharesError::Forged)?);
        match shared.split_first_chunk::<32>() {
            Some((key, check)) if check == check_of(key) => Ok(Self::from_bytes(Secret::new(*key))),
            _ => Err(SharesError::Forged.into()),
        }
    }
}

/// A share, taken apart. The share itself wipes itself on drop.
struct Parsed {
    set: [u8; SET_BYTES],
    threshold: u8,
    index: u8,
    share: Share,
}

impl Parsed {
    fn to_text(&self) -> Secret<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(SHARE_BYTES));
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.set);
        bytes.push(self.threshold);
        let share = Zeroizing::new(Vec::from(&self.share));
        bytes.extend_from_slice(&share);
        let checksum = checksum_of(&bytes);
        bytes.extend_from_slice(&checksum);
        let mut text = String::with_capacity(PREFIX.len() + BASE64URL_NOPAD.encode_len(SHARE_BYTES));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(&bytes, &mut text);
        Secret::new(text)
    }

    fn from_text(text: &str, number: usize) -> Result<Self, SharesError> {
        let malformed = SharesError::Malformed(number);
        let body = text.trim().strip_prefix(PREFIX).ok_or(malformed.clone())?;
        let bytes = Zeroizing::new(BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_| malformed.clone())?);
        let bytes = <&[u8; SHARE_BYTES]>::try_from(bytes.as_slice()).map_err(|_| malformed.clone())?;
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(malformed.clone())?;
        if checksum_of(content) != *checksum {
            return Err(SharesError::Damaged(number));
        }
        let (format, rest) = content.split_first().ok_or(malformed.clone())?;
        let (set, rest) = rest.split_first_chunk::<SET_BYTES>().ok_or(malformed.clone())?;
        let (threshold, point) = rest.split_first().ok_or(malformed.clone())?;
        let share = Share::try_from(point).map_err(|_| malformed.clone())?;
        let index = share.x.0;
        // The share at zero would be the secret itself.
        if *format != FORMAT || *threshold < 2 || index == 0 {
            return Err(malformed);
        }
        Ok(Self { set: *set, threshold: *threshold, index, share })
    }
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("index", &self.index).finish_non_exhaustive()
    }
}

fn check_of(key: &[u8; 32]) -> [u8; CHECK_BYTES] {
    hash_of(b"bailiwick/v1/root-check\0", key)
}

fn checksum_of(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    hash_of(b"bailiwick/v1/share-checksum\0", bytes)
}

fn hash_of<const N: usize>(label: &[u8], bytes: &[u8]) -> [u8; N] {
    let mut message = Zeroizing::new(Vec::with_capacity(label.len() + bytes.len()));
    message.extend_from_slice(label);
    message.extend_from_slice(bytes);
    let mut out = [0u8; N];
    for (slot, byte) in out.iter_mut().zip(digest(&SHA256, &message).as_ref()) {
        *slot = *byte;
    }
    out
}

/// Our injected randomness, in the form that the share crate wants.
struct Dealer<'a>(&'a dyn Random);

impl TryRng for Dealer<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0u8; 4];
        self.0.fill(&mut bytes);
        let word = u32::from_le_bytes(bytes);
        bytes.zeroize();
        Ok(word)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0u8; 8];
        self.0.fill(&mut bytes);
        let word = u64::from_le_bytes(bytes);
        bytes.zeroize();
        Ok(word)
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for Dealer<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up, so that every byte of a word shows where it came from.
    struct Counting(std::sync::Mutex<u8>);

    impl Random for Counting {
        fn fill(&self, out: &mut [u8]) {
            let mut next = self.0.lock().unwrap();
            for byte in out {
                *next += 1;
                *byte = *next;
            }
        }
    }

    /// Coefficients that were not random would be shares that tell the key.
    #[test]
    fn whatever_the_dealer_deals_comes_from_the_injected_randomness() {
        let random = Counting(std::sync::Mutex::new(0));
        let mut dealer = Dealer(&random);
        assert_eq!(dealer.try_next_u32(), Ok(0x0403_0201));
        assert_eq!(dealer.try_next_u64(), Ok(0x0c0b_0a09_0807_0605));
        let mut bytes = [0; 3];
        assert_eq!(dealer.try_fill_bytes(&mut bytes), Ok(()));
        assert_eq!(bytes, [13, 14, 15]);
    }
}
