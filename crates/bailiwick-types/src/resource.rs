//! What an action acts on.
//!
//! A [`Resource`] is what policy sees: its kind, its name, the containers it is in and its attributes. It never
//! holds contents.

use serde::{Deserialize, Serialize};

/// The kinds of things that actions act on; each is a Cedar entity type of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ResourceKind {
    /// A tenant as a whole; the container of everything in it.
    Tenant,
    /// A person of the tenant.
    Member,
    /// A service account or an agent.
    Account,
    /// An API key or a member's credential.
    Credential,
    /// A shipped role.
    Role,
    /// A role given to somebody.
    Binding,
    /// A policy written by the tenant.
    Policy,
    /// A rule that the tenant declares over all requests.
    Invariant,
    /// A mounted secret engine.
    Mount,
    /// A folder of secrets inside a mount.
    Folder,
    /// A secret with its versions.
    Secret,
    /// The tenant's ledger.
    Ledger,
    /// The tenant's keys.
    Keyring,
    /// The installation itself; the container of everything on the platform plane.
    Platform,
    /// An operator.
    Operator,
    /// A policy of the platform that no tenant can relax.
    Guardrail,
    /// A rule that the platform declares over all requests.
    PlatformInvariant,
}

impl ResourceKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::Tenant,
        Self::Member,
        Self::Account,
        Self::Credential,
        Self::Role,
        Self::Binding,
        Self::Policy,
        Self::Invariant,
        Self::Mount,
        Self::Folder,
        Self::Secret,
        Self::Ledger,
        Self::Keyring,
        Self::Platform,
        Self::Operator,
        Self::Guardrail,
        Self::PlatformInvariant,
    ];

    /// The Cedar entity type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "Tenant",
            Self::Member => "Member",
            Self::Account => "Account",
            Self::Credential => "Credential",
            Self::Role => "Role",
            Self::Binding => "Binding",
            Self::Policy => "Policy",
            Self::Invariant => "Invariant",
            Self::Mount => "Mount",
            Self::Folder => "Folder",
            Self::Secret => "Secret",
            Self::Ledger => "Ledger",
            Self::Keyring => "Keyring",
            Self::Platform => "Platform",
            Self::Operator => "Operator",
            Self::Guardrail => "Guardrail",
            Self::PlatformInvariant => "PlatformInvariant",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}

/// A thing that policy decides about: where it is and what it is like, never what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What kind of thing.
    pub kind: ResourceKind,
    /// Its id or path, unique among its kind in the tenant.
    pub id: String,
    /// The containers that it is in, besides the tenant itself.
    pub parents: Vec<(ResourceKind, String)>,
    /// Names and values that the tenant gave it (labels, custom metadata): Cedar tags.
    pub tags: Vec<(String, String)>,
}

impl Resource {
    /// A resource with neither containers of its own nor tags.
    pub fn plain(kind: ResourceKind, id: impl Into<String>) -> Self {
        Self { kind, id: id.into(), parents: Vec::new(), tags: Vec::new() }
    }
}
