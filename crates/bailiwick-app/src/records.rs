//! What is sealed in each space: serde structs with short names, and their keys.
//!
//! A record's key is not secret (the store orders by it); everything else is. To add a thing, add a space in the
//! store port and a struct here.

use std::collections::BTreeMap;

use bailiwick_seal::{InstallationRecord, KeyringRecord, Verifier};
use bailiwick_store::Space;
use bailiwick_types::api::identity::{AccountKind, Labels};
use bailiwick_types::api::isolation::{IsolationState, ProbeRound};
use bailiwick_types::api::proof::{Covers, ProofMark};
use bailiwick_types::api::secret::MountConfig;
use bailiwick_types::{
    AccountId, BindingId, CredentialId, InstallationId, Limit, Limits, MemberId, MountId, MountName, OperatorId,
    PolicyName, Recipient, SecretPath, Timestamp,
};
use ipnet::IpNet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::AppError;
use crate::snapshot::{Opened, Snapshot};

/// The limit that a space's count falls under.
pub(crate) fn limit_of(space: Space) -> Option<Limit> {
    Some(match space {
        Space::Member | Space::Operator => Limit::Members,
        Space::Account => Limit::Accounts,
        Space::Credential | Space::CredentialOf => Limit::Credentials,
        Space::Binding => Limit::Bindings,
        Space::Policy => Limit::Policies,
        Space::Invariant => Limit::Invariants,
        Space::Mount => Limit::Mounts,
        Space::Secret => Limit::Secrets,
        Space::SecretVersion => Limit::SecretVersions,
        Space::Idempotency => Limit::IdempotencyKeys,
        Space::Usage | Space::LedgerIndex => return None,
    })
}

/// A kind of record.
pub(crate) trait Stored: Serialize + DeserializeOwned + Clone + Send + Sync {
    /// Where it lives.
    const SPACE: Space;

    /// Where what it was opened to is remembered, if it is.
    fn opened(_: &Snapshot) -> Option<&Opened<Self>> {
        None
    }
}

macro_rules! stored {
    ($($record:ident => $space:ident),+ $(,)?) => {
        $(impl Stored for $record { const SPACE: Space = Space::$space; })+
    };
}
stored! {
    MemberRecord => Member, AccountRecord => Account, CredentialRecord => Credential,
    CredentialOfRecord => CredentialOf, BindingRecord => Binding, PolicyRecord => Policy, MountRecord => Mount,
    IdempotencyRecord => Idempotency, OperatorRecord => Operator, UsageRecord => Usage,
    InvariantRecord => Invariant,
}

impl Stored for SecretRecord {
    const SPACE: Space = Space::Secret;

    // Every read of a value begins with it.
    fn opened(snapshot: &Snapshot) -> Option<&Opened<Self>> {
        Some(&snapshot.secrets)
    }
}

/// What stands in a tenant's header beside state and epoch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TenantMeta {
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    /// The wrapped keys; gone once shredded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keyring: Option<KeyringRecord>,
    /// The size of the ledger when the data keys were last rotated by the server itself.
    #[serde(default)]
    pub(crate) rotated_at: u64,
    #[serde(default)]
    pub(crate) quotas: Limits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) shred_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<String>,
    /// Fingerprint of the wrapped keys that a shredding destroyed, kept for its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) destroyed: Option<String>,
    /// Which installation this is and who holds its root key. Only on the platform's plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) installation: Option<InstallationRecord>,
    /// The installation that the tenant was made in, if it came from elsewhere: what its seals, its credentials and its
    /// ledger's origin are bound to, for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) home: Option<InstallationId>,
    /// The import that is under way. Until it is complete, nobody may use the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) import: Option<ImportMark>,
    /// The tenant was exported for good, and lives elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moved: Option<MovedMark>,
    /// The principal that tries the server's own isolation here. A tenant that has one is a canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prober: Option<String>,
    /// How often the installation was sealed: whoever was unsealed before the last time is not any more. Only on the
    /// platform's plane.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) seals: u64,
    /// Which node tries the installation's isolation. Only on the platform's plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) probing: Option<ProbingTurn>,
    /// The installation was restored from a backup, and its ledger does not say so yet. Only on the platform's plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restored: Option<RestoredMark>,
}

/// How an installation was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestoredMark {
    /// Somebody vouched for it that the backup was the latest state: nobody was asked again.
    pub(crate) is_trusted: bool,
    /// Operators' credentials that were named as good today.
    #[serde(default)]
    pub(crate) kept: usize,
    /// Operators' credentials that were removed.
    #[serde(default)]
    pub(crate) removed: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde asks for")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Whose turn it is to try the installation's isolation, and what was found so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProbingTurn {
    /// The run of a node that has the turn.
    pub(crate) holder: String,
    /// What that node is called.
    pub(crate) node: String,
    /// Grows while the holder goes on: if it stands still, the holder is gone.
    pub(crate) turn: u64,
    /// Somebody wants a whole round at once.
    #[serde(default)]
    pub(crate) is_wanted: bool,
    /// What the holder has found.
    #[serde(default)]
    pub(crate) state: IsolationState,
    /// The holder's last whole round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) last: Option<ProbeRound>,
}

impl TenantMeta {
    pub(crate) fn new(name: String, created: Timestamp, keyring: KeyringRecord) -> Self {
        Self {
            name,
            created,
            keyring: Some(keyring),
            rotated_at: 0,
            quotas: Limits::default(),
            shred_at: None,
            certificate: None,
            destroyed: None,
            installation: None,
            home: None,
            import: None,
            moved: None,
            prober: None,
            seals: 0,
            probing: None,
            restored: None,
        }
    }

    /// The installation that the tenant's seals are bound to.
    pub(crate) fn home(&self, this: InstallationId) -> InstallationId {
        self.home.unwrap_or(this)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, AppError> {
        serde_json::from_slice(bytes).map_err(|_| AppError::internal("a tenant's header does not parse"))
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, AppError> {
        serde_json::to_vec(self).map_err(AppError::internal)
    }
}

/// Which bundle is being imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportMark {
    /// The root in the bundle's seal, in base64.
    pub(crate) bundle: String,
}

/// Where a tenant went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MovedMark {
    pub(crate) to: Recipient,
    pub(crate) at: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MemberRecord {
    pub(crate) id: MemberId,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    pub(crate) role: PolicyName,
    #[serde(default)]
    pub(crate) is_disabled: bool,
    pub(crate) created: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct OperatorRecord {
    pub(crate) id: OperatorId,
    pub(crate) name: String,
    pub(crate) role: PolicyName,
    #[serde(default)]
    pub(crate) is_disabled: bool,
    pub(crate) created: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    pub(crate) id: AccountId,
    pub(crate) kind: AccountKind,
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: Labels,
    pub(crate) owner: MemberId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    #[serde(default)]
    pub(crate) is_disabled: bool,
    pub(crate) created: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CredentialRecord {
    pub(crate) id: CredentialId,
    pub(crate) principal: String,
    pub(crate) verifier: Verifier,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    pub(crate) created: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) revoked: Option<Timestamp>,
    /// Revoked outright: whatever the clock says, also one that is set back, or that of another node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_revoked: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) networks: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rotated_from: Option<CredentialId>,
}

impl CredentialRecord {
    /// The moment from which it is revoked, as authentication compares it with the clock.
    pub(crate) fn revoked_from(&self) -> Option<Timestamp> {
        if self.is_revoked { Some(Timestamp::from_unix_ms(i64::MIN)) } else { self.revoked }
    }
}

/// The index from a principal to its credentials. Nothing but the key matters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CredentialOfRecord {}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BindingRecord {
    pub(crate) id: BindingId,
    pub(crate) principal: String,
    pub(crate) role: PolicyName,
    /// As in the API: `tenant`, `mount/NAME`, `folder/MOUNT/PATH`, `secret/MOUNT/PATH`.
    pub(crate) on: String,
    pub(crate) created: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PolicyRecord {
    pub(crate) name: PolicyName,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    pub(crate) text: String,
    pub(crate) updated: Timestamp,
    /// What was proved when it was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<ProofMark>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct InvariantRecord {
    pub(crate) name: PolicyName,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    pub(crate) text: String,
    #[serde(default)]
    pub(crate) covers: Covers,
    pub(crate) updated: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<ProofMark>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MountRecord {
    pub(crate) id: MountId,
    pub(crate) name: MountName,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
    #[serde(default)]
    pub(crate) config: MountConfig,
    pub(crate) created: Timestamp,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SecretRecord {
    #[serde(rename = "c")]
    pub(crate) created: Timestamp,
    #[serde(rename = "u")]
    pub(crate) updated: Timestamp,
    /// The newest version's number; 0: none yet.
    #[serde(rename = "n")]
    pub(crate) current: u64,
    #[serde(rename = "o", default)]
    pub(crate) oldest: u64,
    #[serde(rename = "m", default)]
    pub(crate) max_versions: u32,
    #[serde(rename = "x", default)]
    pub(crate) cas_required: bool,
    /// Seconds; 0: the mount's; negative: never, whatever the mount says.
    #[serde(rename = "d", default)]
    pub(crate) delete_after_seconds: i64,
    #[serde(rename = "t", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) custom: BTreeMap<String, String>,
    #[serde(rename = "v")]
    pub(crate) versions: BTreeMap<u64, VersionRecord>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct VersionRecord {
    #[serde(rename = "c")]
    pub(crate) created: Timestamp,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    pub(crate) deleted: Option<Timestamp>,
    /// Deleted outright: whatever the clock says, also one that is set back, or that of another node.
    #[serde(rename = "g", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_deleted: bool,
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_destroyed: bool,
}

/// No `Debug`: an answer may hold a credential.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct IdempotencyRecord {
    /// What was asked: a keyed hash over the route and the body.
    pub(crate) request: String,
    pub(crate) created: Timestamp,
    pub(crate) reply: Box<serde_json::value::RawValue>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UsageRecord {
    pub(crate) last_used: Timestamp,
}

/// The bytes of an id's text: keys of principals are their printed ids, so that members and accounts share a space.
pub(crate) fn principal_key(principal: &str, item: &[u8; 16]) -> Vec<u8> {
    let mut key = Vec::with_capacity(principal.len() + 17);
    key.extend_from_slice(principal.as_bytes());
    key.push(b'/');
    key.extend_from_slice(item);
    key
}

pub(crate) fn secret_key(mount: &MountId, path: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(16 + path.len());
    key.extend_from_slice(mount.as_bytes());
    key.extend_from_slice(path.as_bytes());
    key
}

pub(crate) fn version_key(mount: &MountId, path: &SecretPath, version: u64) -> Vec<u8> {
    let mut key = secret_key(mount, path.as_str());
    // NUL cannot occur in a path, so no path is a beginning of another's versions.
    key.push(0);
    key.extend_from_slice(&version.to_be_bytes());
    key
}
