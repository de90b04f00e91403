//! What a data key is for.
//!
//! INV: one key, one purpose. A key that seals never authenticates and the reverse, so no byte string that one
//! operation makes can be taken for what another one makes.

use std::fmt;

/// What a data key is for. Token signing and webhook signing get their numbers when they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Seals records.
    Records,
    /// Seals ledger entries.
    Ledger,
    /// Authenticates credentials: the keyed hash that is stored in a credential's place.
    Credentials,
    /// Authenticates page cursors; also the keyed hash that makes lookup keys.
    Cursors,
    /// Signs checkpoints of the ledger.
    LedgerSigning,
}

impl Purpose {
    /// All purposes. Every keyring has at least one key of each.
    pub const ALL: [Self; 5] = [Self::Records, Self::Ledger, Self::Credentials, Self::Cursors, Self::LedgerSigning];

    /// The name in the API and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Ledger => "ledger",
            Self::Credentials => "credentials",
            Self::Cursors => "cursors",
            Self::LedgerSigning => "ledger-signing",
        }
    }

    /// The purpose with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.as_str() == name)
    }

    /// The number on disk and in associated data: never change or reuse one.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::Ledger => 2,
            Self::Credentials => 3,
            Self::Cursors => 4,
            Self::LedgerSigning => 5,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.number() == number)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
