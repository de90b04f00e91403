//! The root key from a passphrase: Argon2id (RFC 9106).
//!
//! The parameters lie in the installation record, which somebody may have edited, so both ends of each are limited:
//! too little would make guessing cheap, too much would exhaust the machine.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use bailiwick_types::{Random, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::SealError;
use crate::root::RootKey;

/// How a passphrase becomes a root key. Not secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PassphraseParams {
    /// Makes equal passphrases different keys.
    #[serde(with = "crate::base64")]
    pub salt: [u8; 16],
    /// Memory, in KiB.
    pub m_cost_kib: u32,
    /// Passes over the memory.
    pub t_cost: u32,
    /// Lanes.
    pub p_cost: u32,
}

impl PassphraseParams {
    /// The fewest bytes of a passphrase. A floor against accidents; what counts is that it was not chosen by a person.
    pub const PASSPHRASE_BYTES_MIN: usize = 12;
    /// The least memory, in KiB: the smallest that OWASP recommends (with two passes).
    pub const M_COST_KIB_MIN: u32 = 19_456;
    /// The most memory, in KiB.
    pub const M_COST_KIB_MAX: u32 = 2 << 20;
    /// The fewest passes.
    pub const T_COST_MIN: u32 = 2;
    /// The most passes.
    pub const T_COST_MAX: u32 = 64;
    /// The most lanes.
    pub const P_COST_MAX: u32 = 16;

    /// The recommended parameters (RFC 9106, second choice: 64 MiB, three passes; one lane) and a random salt.
    pub fn recommended(random: &dyn Random) -> Self {
        let mut salt = [0u8; 16];
        random.fill(&mut salt);
        Self { salt, m_cost_kib: 65_536, t_cost: 3, p_cost: 1 }
    }

    fn checked(&self) -> Result<Params, SealError> {
        let is_sane = (Self::M_COST_KIB_MIN..=Self::M_COST_KIB_MAX).contains(&self.m_cost_kib)
            && (Self::T_COST_MIN..=Self::T_COST_MAX).contains(&self.t_cost)
            && (1..=Self::P_COST_MAX).contains(&self.p_cost);
        if !is_sane {
            return Err(SealError::Passphrase("the stored parameters are out of bounds"));
        }
        Params::new(self.m_cost_kib, self.t_cost, self.p_cost, Some(32))
            .map_err(|_| SealError::Passphrase("the stored parameters are out of bounds"))
    }
}

impl fmt::Debug for PassphraseParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PassphraseParams")
            .field("m_cost_kib", &self.m_cost_kib)
            .field("t_cost", &self.t_cost)
            .field("p_cost", &self.p_cost)
            .finish_non_exhaustive()
    }
}

impl RootKey {
    /// The root key of a passphrase. Slow on purpose. Another passphrase is another root key, which
    /// [`crate::InstallationRecord::verify`] notices.
    ///
    /// # Errors
    /// [`SealError::Passphrase`] if the passphrase is too short or the parameters are out of bounds.
    pub fn from_passphrase(passphrase: &Secret<String>, params: &PassphraseParams) -> Result<Self, SealError> {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.checked()?);
        let passphrase = passphrase.expose().as_bytes();
        if passphrase.len() < PassphraseParams::PASSPHRASE_BYTES_MIN {
            return Err(SealError::Passphrase("shorter than 12 bytes"));
        }
        let mut key = Zeroizing::new([0u8; 32]);
        argon2
            .hash_password_into(passphrase, &params.salt, key.as_mut_slice())
            .map_err(|_| SealError::Passphrase("not enough memory for its parameters"))?;
        Ok(Self::from_bytes(Secret::new(*key)))
    }
}
