//! The tenant as it sees itself: who am I, limits, keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Slug, TenantId, Timestamp};

/// Who the caller is.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WhoAmI {
    /// The caller's tenant; absent for operators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantRef>,
    /// The caller.
    pub principal: PrincipalRef,
    /// The credential that the request was made with.
    pub credential: CredentialRef,
    /// Roles and what they are on.
    pub roles: Vec<RoleHeld>,
}

/// A tenant, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TenantRef {
    /// Its id.
    pub id: TenantId,
    /// Its slug.
    pub slug: Slug,
}

/// A principal, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PrincipalRef {
    /// `member`, `service`, `agent` or `operator`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Its display name.
    pub name: String,
}

/// A credential, named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CredentialRef {
    /// Its id.
    pub id: String,
    /// When it was issued.
    pub created: Timestamp,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// A role that a principal holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RoleHeld {
    /// The role.
    pub role: String,
    /// What it is on, as in [`crate::api::policy::BindingTarget`].
    pub on: String,
}

/// One limit in force.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LimitInForce {
    /// What is counted.
    pub name: String,
    /// The highest value allowed.
    pub limit: u64,
    /// The unit.
    pub unit: String,
    /// How much is used, where it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<u64>,
    /// Whether the operator set a quota that replaces the default.
    pub is_quota: bool,
    /// One line for people.
    pub summary: String,
}

/// The limits in force.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LimitsInForce {
    /// All of them.
    pub limits: Vec<LimitInForce>,
}

/// The tenant's keys, without their material.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Keyring {
    /// Every key and version that can still open something.
    pub keys: Vec<KeyVersion>,
    /// The public keys that verify this tenant's checkpoints, as C2SP verifier keys: the tenant's, then the
    /// installation's.
    pub ledger_keys: Vec<String>,
}

/// One version of one key.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct KeyVersion {
    /// `tenant`, or the purpose of a data key.
    pub purpose: String,
    /// Starts at 1.
    pub version: u32,
    /// When it was made.
    pub created: Timestamp,
    /// Whether new things are sealed with it.
    pub is_current: bool,
}

/// Which key to rotate.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// `tenant`, `records`, `ledger`, `credentials`, `cursors` or `ledger-signing`.
    pub purpose: String,
}

/// Why a tenant is sealed.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// For the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the caller may do on paths: path → capabilities, in Vault's words.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Capabilities(pub BTreeMap<String, Vec<String>>);
