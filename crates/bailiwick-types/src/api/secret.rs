//! Mounts and secrets (KV version 2 semantics).

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::secret::Unseen;
use crate::{MountId, MountName, Timestamp};

/// A mounted secret engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mount {
    /// Its name: the first segment of every path in it.
    pub name: MountName,
    /// Its id; a new mount of an old name has a new one.
    pub id: MountId,
    /// The engine: `kv`.
    pub engine: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Settings for all secrets in it.
    pub config: MountConfig,
    /// When it was mounted.
    pub created: Timestamp,
}

/// Settings of a mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MountConfig {
    /// Versions that each secret keeps; 0: the limit's default.
    #[serde(default)]
    pub max_versions: u32,
    /// Whether every write must name the version that it replaces.
    #[serde(default)]
    pub cas_required: bool,
    /// How long a version lives, in seconds; 0: for ever.
    #[serde(default)]
    pub delete_version_after_seconds: u64,
}

/// A new mount.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMount {
    /// Its name.
    pub name: MountName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Settings.
    #[serde(default, deserialize_with = "super::object")]
    pub config: MountConfig,
}

/// Changes of a mount; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMount {
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Versions that each secret keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_versions: Option<u32>,
    /// Whether every write must name the version that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas_required: Option<bool>,
    /// How long a version lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_version_after_seconds: Option<u64>,
}

/// A version of a secret, revealed.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RevealedSecret {
    /// The value.
    pub data: Map<String, Value>,
    /// About the version.
    pub version: VersionInfo,
    /// The names and values that people gave the secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom_metadata: BTreeMap<String, String>,
}

impl fmt::Debug for RevealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevealedSecret")
            .field("version", &self.version)
            .field("custom_metadata", &self.custom_metadata)
            .field("data", &Unseen)
            .finish()
    }
}

/// About one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VersionInfo {
    /// Starts at 1.
    pub version: u64,
    /// When it was written.
    pub created: Timestamp,
    /// When it was, or will be, deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Timestamp>,
    /// Whether it is gone for good.
    pub is_destroyed: bool,
}

/// A new version.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteSecret {
    /// The value: a JSON object.
    pub data: Map<String, Value>,
    /// The version that it must replace; 0: there must be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas: Option<u64>,
}

impl fmt::Debug for WriteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteSecret").field("cas", &self.cas).field("data", &Unseen).finish()
    }
}

/// Which versions.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// Their numbers.
    pub versions: Vec<u64>,
}

/// A secret's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretMetadata {
    /// The newest version; 0 if none was written yet.
    pub current_version: u64,
    /// The oldest version kept.
    pub oldest_version: u64,
    /// When it was created.
    pub created: Timestamp,
    /// When it was changed last.
    pub updated: Timestamp,
    /// Versions to keep; 0: the mount's setting.
    pub max_versions: u32,
    /// Whether every write must name the version that it replaces.
    pub cas_required: bool,
    /// How long a version lives, in seconds; 0: the mount's setting.
    pub delete_version_after_seconds: u64,
    /// The names and values that people gave the secret. Policy sees them as tags.
    pub custom_metadata: BTreeMap<String, String>,
    /// The versions kept, oldest first.
    pub versions: Vec<VersionInfo>,
}

/// Changes of a secret's metadata; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigureSecret {
    /// Versions to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_versions: Option<u32>,
    /// Whether every write must name the version that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cas_required: Option<bool>,
    /// How long a version lives, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete_version_after_seconds: Option<u64>,
    /// With PUT replaces all; with PATCH merges, a null takes one away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_metadata: Option<BTreeMap<String, Option<String>>>,
}
