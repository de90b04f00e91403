//! The text form of a bundle's recipient: whose installation can open it.
//!
//! `bwr_`, then base32 of `installation id (16) ‖ key version (4) ‖ X25519 public key (32) ‖ CRC-32 of what precedes (4)`.
//!
//! Nothing in it is secret. The checksum tells a typing error before a tenant is sealed to a key that nobody has; it
//! authenticates nothing: whoever is told a recipient has to know whose it is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base32;
use crate::id::InstallationId;

const PREFIX: &str = "bwr_";

/// A text that names no recipient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a recipient: want `bwr_` and what follows, as `bailiwick platform recipient` prints it")]
pub struct RecipientError;

/// An installation's public key for bundles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Whose.
    pub installation: InstallationId,
    /// Which of its keys.
    pub key_version: u32,
    /// The X25519 public key.
    pub public_key: [u8; 32],
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(56);
        bytes.extend_from_slice(self.installation.as_bytes());
        bytes.extend_from_slice(&self.key_version.to_be_bytes());
        bytes.extend_from_slice(&self.public_key);
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        write!(f, "{PREFIX}{}", base32::encode(&bytes))
    }
}

impl FromStr for Recipient {
    type Err = RecipientError;
    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let bytes = text.strip_prefix(PREFIX).and_then(base32::decode).ok_or(RecipientError)?;
        let (payload, checksum) = bytes.split_last_chunk::<4>().ok_or(RecipientError)?;
        if crc32fast::hash(payload).to_be_bytes() != *checksum {
            return Err(RecipientError);
        }
        let (installation, rest) = payload.split_first_chunk::<16>().ok_or(RecipientError)?;
        let (key_version, public_key) = rest.split_first_chunk::<4>().ok_or(RecipientError)?;
        Ok(Self {
            installation: InstallationId::from_bytes(*installation),
            key_version: u32::from_be_bytes(*key_version),
            public_key: public_key.try_into().map_err(|_| RecipientError)?,
        })
    }
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Recipient {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Recipient".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^bwr_[0-9a-hjkmnp-tv-z]{90}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_has_one_spelling_and_a_typing_error_is_noticed() {
        let recipient =
            Recipient { installation: InstallationId::from_bytes([7; 16]), key_version: 3, public_key: [9; 32] };
        let text = recipient.to_string();
        assert_eq!(text.parse(), Ok(recipient));
        assert_eq!(text.len(), 94);
        assert_eq!(text.to_uppercase().parse::<Recipient>(), Err(RecipientError));
        for at in 0..text.len() {
            let mut typo = text.clone().into_bytes();
            typo[at] = if typo[at] == b'2' { b'3' } else { b'2' };
            assert_eq!(String::from_utf8(typo).unwrap().parse::<Recipient>(), Err(RecipientError), "{at}");
            assert_eq!(text.get(..at).unwrap().parse::<Recipient>(), Err(RecipientError), "{at}");
        }
    }
}
