//! Limits: everything that a tenant can grow has one, with a default, a quota to change it, and an error.
//!
//! Counted limits are enforced by the store in the transaction that would exceed them, per tenant; nothing that one
//! tenant uses counts against another.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! limits {
    ($($name:ident = $text:literal, $default:literal, $max:literal, $unit:literal, $doc:literal;)+) => {
        /// Something that a tenant can grow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Limit { $(#[doc = $doc] $name),+ }

        impl Limit {
            /// All limits.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// The stable name.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),+ } }
            /// What holds unless a quota says otherwise.
            pub const fn default_value(self) -> u64 { match self { $(Self::$name => $default),+ } }
            /// The highest quota that can be set.
            pub const fn ceiling(self) -> u64 { match self { $(Self::$name => $max),+ } }
            /// What is counted.
            pub const fn unit(self) -> &'static str { match self { $(Self::$name => $unit),+ } }
            /// One line for people.
            pub const fn summary(self) -> &'static str { match self { $(Self::$name => $doc),+ } }
        }
    };
}

limits! {
    Members = "members", 1_000, 100_000, "members", "members of the tenant";
    Accounts = "accounts", 10_000, 1_000_000, "accounts", "service accounts and agents";
    Credentials = "credentials", 50_000, 5_000_000, "credentials", "credentials of all members and accounts, the revoked ones too until they are swept";
    CredentialsPerPrincipal = "credentials_per_principal", 32, 1_000, "credentials", "live credentials of one member or account";
    Bindings = "bindings", 20_000, 1_000_000, "bindings", "role bindings";
    BindingsPerPrincipal = "bindings_per_principal", 64, 1_000, "bindings", "role bindings of one principal";
    Policies = "policies", 10_000, 10_000, "policies", "policies written by the tenant";
    PolicyBytes = "policy_bytes", 65_536, 262_144, "bytes", "size of one policy's text";
    Invariants = "invariants", 100, 1_000, "invariants", "invariants declared by the tenant";
    Mounts = "mounts", 64, 1_000, "mounts", "mounted secret engines";
    Secrets = "secrets", 100_000, 10_000_000, "secrets", "secrets in all mounts";
    SecretVersions = "secret_versions", 1_000_000, 100_000_000, "versions", "stored versions of all secrets";
    VersionsPerSecret = "versions_per_secret", 100, 1_000, "versions", "versions that one secret keeps at most";
    ValueBytes = "value_bytes", 524_288, 1_048_576, "bytes", "size of one secret version as JSON";
    RequestsPerSecond = "requests_per_second", 20_000, 1_000_000, "requests/s", "request rate of the tenant on one node, with a burst of one second";
    ConcurrentRequests = "concurrent_requests", 1_024, 65_536, "requests", "requests of the tenant in flight on one node";
    QueuedRequests = "queued_requests", 256, 8_192, "requests", "requests of the tenant that wait for their turn on one node, of each kind of work";
    PageSize = "page_size", 1_000, 1_000, "items", "items on one page";
    IdempotencyKeys = "idempotency_keys", 100_000, 1_000_000, "keys", "remembered Idempotency-Keys of the last 24 hours";
}

impl Limit {
    /// Whether each node counts for itself and grants all of it: nodes do not know how many they are. Of any other limit the
    /// store counts, for all nodes together.
    pub const fn is_per_node(self) -> bool {
        matches!(self, Self::RequestsPerSecond | Self::ConcurrentRequests | Self::QueuedRequests)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown limit")]
pub struct UnknownLimit;

impl FromStr for Limit {
    type Err = UnknownLimit;
    fn from_str(text: &str) -> Result<Self, UnknownLimit> {
        Self::ALL.iter().copied().find(|limit| limit.as_str() == text).ok_or(UnknownLimit)
    }
}

/// The limits in force for one tenant: the defaults, where no quota changes them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Limits(BTreeMap<String, u64>);

impl Limits {
    /// The value in force.
    pub fn of(&self, limit: Limit) -> u64 {
        self.0.get(limit.as_str()).copied().unwrap_or(limit.default_value()).min(limit.ceiling())
    }

    /// Sets a quota, or takes it back.
    pub fn set(&mut self, limit: Limit, quota: Option<u64>) {
        match quota {
            Some(value) => self.0.insert(limit.as_str().to_owned(), value),
            None => self.0.remove(limit.as_str()),
        };
    }

    /// These, and where they say nothing, `defaults`.
    pub fn over(&self, defaults: &Self) -> Self {
        let mut merged = defaults.clone();
        merged.0.extend(self.0.iter().map(|(name, value)| (name.clone(), *value)));
        merged
    }

    /// Whether a quota replaces the default.
    pub fn is_quota(&self, limit: Limit) -> bool {
        self.0.contains_key(limit.as_str())
    }
}

/// The longest list of labels on an account.
pub const LABELS_MAX: usize = 32;
/// The longest label name, in bytes.
pub const LABEL_NAME_BYTES_MAX: usize = 64;
/// The longest label value, in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 256;
/// The longest display name, in bytes.
pub const DISPLAY_NAME_BYTES_MAX: usize = 128;
/// The longest description, in bytes.
pub const DESCRIPTION_BYTES_MAX: usize = 1_024;
/// The most custom-metadata pairs of a secret (as Vault).
pub const CUSTOM_METADATA_MAX: usize = 64;
/// The longest custom-metadata name, in bytes (as Vault).
pub const CUSTOM_METADATA_NAME_BYTES_MAX: usize = 128;
/// The longest custom-metadata value, in bytes (as Vault).
pub const CUSTOM_METADATA_VALUE_BYTES_MAX: usize = 512;
/// The most source networks of one credential.
pub const SOURCE_NETWORKS_MAX: usize = 32;
/// The deepest JSON that any door takes.
pub const JSON_DEPTH_MAX: usize = 64;
/// The longest request target, in bytes.
pub const URI_BYTES_MAX: usize = 8_192;
/// The largest request body at any door, in bytes; routes may take less.
pub const BODY_BYTES_MAX: usize = 2 * 1_048_576;
/// The longest `Idempotency-Key`, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Items on a page unless the caller asks otherwise.
pub const PAGE_SIZE_DEFAULT: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_node_grants_for_itself_is_said_to_be_so() {
        for limit in Limit::ALL {
            assert_eq!(limit.is_per_node(), limit.summary().contains("on one node"), "{limit}");
        }
    }
}
