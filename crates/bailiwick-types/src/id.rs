//! Ids: 128 random bits, typed, with a printed prefix.
//!
//! Ids are never reused and carry no order, so an id tells nothing about how many others there are or when they
//! were made. `FromStr` checks prefix and alphabet; one value has one spelling.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base32;
use crate::random::Random;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {kind} id: want `{prefix}` and 26 characters of 0-9 a-z without i, l, o, u")]
pub struct IdError {
    kind: &'static str,
    prefix: &'static str,
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The printed prefix, with its underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new random id.
            pub fn random(random: &dyn Random) -> Self {
                let mut bytes = [0u8; 16];
                random.fill(&mut bytes);
                // All zeroes is reserved for the platform's own plane.
                if bytes == [0u8; 16] {
                    bytes = [0xff; 16];
                }
                Self(bytes)
            }

            /// The id with these bytes, as the store keeps them.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes, as the store keeps them.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // In one piece: what it is written to grows once.
                const PREFIX: &[u8] = $prefix.as_bytes();
                let mut text = [0; PREFIX.len() + base32::ID_CHARS];
                let (prefix, chars) = text.split_at_mut(PREFIX.len());
                prefix.copy_from_slice(PREFIX);
                base32::encode_id(&self.0, chars.try_into().map_err(|_| fmt::Error)?);
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let error = IdError { kind: $kind, prefix: $prefix };
                let bytes = text.strip_prefix($prefix).and_then(base32::decode).ok_or(error.clone())?;
                match <[u8; 16]>::try_from(bytes) {
                    Ok(bytes) if bytes != [0u8; 16] => Ok(Self(bytes)),
                    _ => Err(error),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": concat!("^", $prefix, "[0-9a-hjkmnp-tv-z]{26}$")
                })
            }
        }
    };
}

typed_id!(
    /// A tenant: the boundary itself.
    TenantId, "tenant", "ten_"
);
typed_id!(
    /// A member: a person of the tenant.
    MemberId, "member", "mem_"
);
typed_id!(
    /// An account: a service account or an agent.
    AccountId, "account", "acc_"
);
typed_id!(
    /// A credential: an account's API key, a member's or an operator's credential.
    CredentialId, "credential", "key_"
);
typed_id!(
    /// An operator of the installation.
    OperatorId, "operator", "opr_"
);
typed_id!(
    /// A role binding.
    BindingId, "binding", "bnd_"
);
typed_id!(
    /// A mount of a secret engine. A new mount of an old name has a new id.
    MountId, "mount", "mnt_"
);
typed_id!(
    /// One request. Shown to the caller, in the ledger and in logs.
    RequestId, "request", "req_"
);
typed_id!(
    /// One installation of Bailiwick.
    InstallationId, "installation", "ins_"
);

impl TenantId {
    /// The platform's own plane. Not a tenant: no credential of a tenant names it and it does not parse.
    pub const PLATFORM: Self = Self([0; 16]);

    /// Whether this is the platform's plane rather than a tenant.
    pub fn is_platform(&self) -> bool {
        *self == Self::PLATFORM
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::testing::Counting;

    #[test]
    fn an_id_has_one_spelling() {
        let id = TenantId::random(&Counting::default());
        let text = id.to_string();
        assert_eq!(text.parse::<TenantId>().unwrap(), id);
        assert!(text.to_uppercase().parse::<TenantId>().is_err());
        assert!(text.replace("ten_", "acc_").parse::<TenantId>().is_err());
        assert!(format!("{text}0").parse::<TenantId>().is_err());
        // 26 characters carry 130 bits; the last two must be zero.
        let mut alias = text.clone();
        alias.pop();
        alias.push('z');
        assert!(alias.parse::<TenantId>().is_err());
    }

    #[test]
    fn the_platform_cannot_be_named() {
        assert!(TenantId::PLATFORM.to_string().parse::<TenantId>().is_err());
    }
}
