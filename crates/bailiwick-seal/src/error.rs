//! What sealing and opening fail with.
//!
//! No variant carries key material, plaintext or anything that a tenant supplied.

use bailiwick_types::ErrorClass;

use crate::purpose::Purpose;
use crate::shamir::SharesError;

/// Why something was not sealed, opened, wrapped or unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Wrong key, tenant, space, key, version or purpose, or damaged. Deliberately does not say which.
    #[error("does not open: sealed with another key or for another place, or damaged")]
    Open,
    /// Sealed under a version of a data key that this keyring does not hold.
    #[error("sealed under key version {0}, which this keyring does not hold")]
    UnknownKeyVersion(u32),
    /// The context is of another tenant or installation than the keyring: the caller has mixed up two tenants.
    #[error("the context is of another tenant or installation than the keyring")]
    ForeignContext,
    /// Keys of this purpose sign or authenticate; they never seal.
    #[error("keys for {0} do not seal")]
    NotASealingPurpose(Purpose),
    /// Bundles are sealed to an installation.
    #[error("only the platform's keyring is a recipient")]
    NotTheInstallation,
    /// The root key does not open the installation record.
    #[error("this root key is not the installation's, or the installation record was changed")]
    WrongRootKey,
    /// Two rotations of the root key at once would leave tenants wrapped under a key that nobody keeps.
    #[error("a rotation of the root key is under way; finish it first")]
    RotationUnderWay,
    /// Shares that do not make a root key.
    #[error(transparent)]
    Shares(#[from] SharesError),
    /// A passphrase or its parameters that cannot be used.
    #[error("passphrase: {0}")]
    Passphrase(&'static str),
    /// Stored bytes that are not what they should be.
    #[error("damaged {0}")]
    Damaged(&'static str),
    /// A keyring holds as many key versions as it can.
    #[error("the keyring is full: no further key versions")]
    Full,
    /// The crypto library refused. Nothing was sealed or opened.
    #[error("the crypto library failed")]
    Crypto,
}

impl SealError {
    /// What the caller can do about it.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::WrongRootKey | Self::Shares(_) | Self::Passphrase(_) => ErrorClass::Invalid,
            Self::RotationUnderWay => ErrorClass::Conflict,
            Self::Full => ErrorClass::Limited,
            _ => ErrorClass::Fault,
        }
    }
}
