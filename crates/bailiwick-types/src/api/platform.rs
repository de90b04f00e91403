//! The platform plane: tenants as the operator sees them, operators, the installation.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secret::Unseen;
use crate::{MemberId, OperatorId, Slug, TenantId, Timestamp};

/// A tenant as the operator sees it: state and counts, no contents.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its slug: its name in URLs, and its Vault namespace.
    pub slug: Slug,
    /// Display name.
    pub name: String,
    /// `active`, `suspended`, `deleting` or `deleted`.
    pub state: String,
    /// Whether its plane answers as sealed.
    pub is_sealed: bool,
    /// When it was created.
    pub created: Timestamp,
    /// When it will be shredded, while it is being deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shred_at: Option<Timestamp>,
    /// How much there is of each kind. Absent once deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<TenantCounts>,
    /// The signed deletion certificate, once deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}

/// How much a tenant has of each kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TenantCounts {
    /// Members.
    pub members: u64,
    /// Accounts.
    pub accounts: u64,
    /// Credentials.
    pub credentials: u64,
    /// Bindings.
    pub bindings: u64,
    /// Policies.
    pub policies: u64,
    /// Mounts.
    pub mounts: u64,
    /// Secrets.
    pub secrets: u64,
    /// Versions of secrets.
    pub secret_versions: u64,
    /// Ledger entries.
    pub ledger_entries: u64,
}

/// A new tenant.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTenant {
    /// Its slug. Never reused, not even after deletion.
    pub slug: Slug,
    /// Display name; the slug if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Display name of the first member, who gets the role `owner`; `admin` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_name: Option<String>,
    /// E-mail address of the first member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_email: Option<String>,
    /// How long the first credential works, such as `90d`; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_ttl: Option<String>,
}

/// A tenant just created, with its first member's credential, shown this once.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreatedTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// Its first member.
    pub admin: CreatedAdmin,
}

/// The first member of a tenant.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreatedAdmin {
    /// The member.
    pub member: MemberId,
    /// Its credential, shown this once; see [`crate::api::identity::IssuedKey`].
    pub credential: String,
}

impl fmt::Debug for CreatedAdmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedAdmin").field("member", &self.member).field("credential", &Unseen).finish()
    }
}

/// Changes of a tenant; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateTenant {
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A tenant's quotas.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Quotas {
    /// Limit name → value, for the limits that are not at their default.
    pub quotas: BTreeMap<String, u64>,
}

/// New quotas.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetQuotas {
    /// Limit name → new value; null returns to the default; what is absent stays.
    pub quotas: BTreeMap<String, Option<u64>>,
}

/// An operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Operator {
    /// Its id.
    pub id: OperatorId,
    /// Display name.
    pub name: String,
    /// `operator-admin` or `operator-viewer`.
    pub role: String,
    /// Whether it may do nothing for now.
    pub is_disabled: bool,
    /// When it was added.
    pub created: Timestamp,
}

/// A new operator.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOperator {
    /// Display name.
    pub name: String,
    /// `operator-admin` or `operator-viewer`.
    pub role: String,
}

/// Changes of an operator; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateOperator {
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Disable or enable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
}

/// The installation's health, for operators.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PlatformHealth {
    /// The server's version.
    pub version: String,
    /// The storage engine.
    pub engine: String,
    /// Whether durable writes work.
    pub storage: String,
    /// Tenants by state.
    pub tenants: BTreeMap<String, u64>,
    /// Bytes on disk.
    pub size_bytes: u64,
    /// Entries in the platform's ledger.
    pub ledger_entries: u64,
    /// Milliseconds since the server started.
    pub uptime_ms: u64,
}

/// Whether the installation is initialised and unsealed.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SealStatus {
    /// Whether `init` was run.
    pub is_initialized: bool,
    /// Whether the root key is absent from memory.
    pub is_sealed: bool,
    /// How the root key is held: `file`, `passphrase` or `shamir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Shares needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u8>,
    /// Shares that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<u8>,
    /// Shares given so far.
    pub progress: u8,
    /// The server's version.
    pub version: String,
}

/// Initialise the installation.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Initialize {
    /// `shamir`, `passphrase` or `file` (the file named in the server's configuration).
    pub provider: String,
    /// Shares to make, with `shamir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<u8>,
    /// Shares needed, with `shamir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u8>,
    /// The passphrase, with `passphrase`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
}

impl fmt::Debug for Initialize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initialize")
            .field("provider", &self.provider)
            .field("shares", &self.shares)
            .field("threshold", &self.threshold)
            .field("passphrase", &self.passphrase.as_ref().map(|_| Unseen))
            .finish()
    }
}

/// What initialisation made. Shown this once and kept nowhere.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Initialized {
    /// The Shamir shares.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<String>,
    /// The first operator.
    pub operator: CreatedOperator,
}

impl fmt::Debug for Initialized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Initialized").field("operator", &self.operator).field("shares", &Unseen).finish()
    }
}

/// An operator just created.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CreatedOperator {
    /// The operator.
    pub id: OperatorId,
    /// Its credential, shown this once and kept nowhere.
    pub credential: String,
}

impl fmt::Debug for CreatedOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreatedOperator").field("id", &self.id).field("credential", &Unseen).finish()
    }
}

/// One step of unsealing.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unseal {
    /// A Shamir share or the passphrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Forget the shares given so far.
    #[serde(default)]
    pub reset: bool,
}

impl fmt::Debug for Unseal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unseal").field("reset", &self.reset).field("key", &self.key.as_ref().map(|_| Unseen)).finish()
    }
}

/// Replace the root key.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRootKey {
    /// `shamir`, `passphrase` or `file`.
    pub provider: String,
    /// Shares to make, with `shamir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<u8>,
    /// Shares needed, with `shamir`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u8>,
    /// The passphrase, with `passphrase`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<String>,
}

impl fmt::Debug for RotateRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotateRootKey")
            .field("provider", &self.provider)
            .field("shares", &self.shares)
            .field("threshold", &self.threshold)
            .field("passphrase", &self.passphrase.as_ref().map(|_| Unseen))
            .finish()
    }
}

/// What a root key rotation made.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RotatedRootKey {
    /// The new version.
    pub version: u32,
    /// Tenants rewrapped.
    pub tenants: u64,
    /// The key that verifies the installation's signatures from now on, in C2SP's `signed-note` form: it is derived from
    /// the root key. The entry of this rotation in the platform's ledger says the same.
    pub installation_key: String,
    /// The new Shamir shares. Shown this once and kept nowhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<String>,
}

impl fmt::Debug for RotatedRootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatedRootKey")
            .field("version", &self.version)
            .field("tenants", &self.tenants)
            .field("installation_key", &self.installation_key)
            .field("shares", &Unseen)
            .finish()
    }
}
