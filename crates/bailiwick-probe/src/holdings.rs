//! What two tenants hold who are tried against each other, and the platform.
//!
//! Whatever has a name has the same name on both sides ([`names`]); what has an id has different ones. Besides, each
//! tenant has a mount, a policy and secrets whose name only it has.

use bailiwick_types::Timestamp;

/// The names that both tenants use.
pub mod names {
    /// The mount that every tenant starts with.
    pub const MOUNT: &str = "secret";
    /// A second mount.
    pub const SECOND_MOUNT: &str = "kv";
    /// A folder in [`MOUNT`].
    pub const FOLDER: &str = "app";
    /// Two versions and custom metadata.
    pub const LIVE: &str = "app/db";
    /// Its one version is deleted and can be undeleted.
    pub const DELETED: &str = "app/deleted";
    /// Its one version is destroyed.
    pub const DESTROYED: &str = "app/destroyed";
    /// Outside of the folder.
    pub const OUTSIDE: &str = "outside";
    /// Carries the metadata that the guardrail forbids to reveal.
    pub const EMBARGOED: &str = "embargoed";
    /// A policy.
    pub const POLICY: &str = "house-rules";
    /// The platform's guardrail: nobody reveals what is tagged `embargo=yes`.
    pub const GUARDRAIL: &str = "no-embargoed";
    /// An invariant.
    pub const INVARIANT: &str = "no-agent-destroys";
    /// The platform's invariant.
    pub const PLATFORM_INVARIANT: &str = "no-embargoed";
    /// The service account's name.
    pub const READER: &str = "reader";
    /// The `Idempotency-Key` that the service account was created with.
    pub const IDEMPOTENCY_KEY: &str = "setup";
    /// The address that requests come from unless they say otherwise.
    pub const PEER: &str = "192.0.2.1:40000";
}

/// A credential.
#[derive(Clone, Default)]
pub struct Key {
    /// Its id.
    pub id: String,
    /// Its text.
    pub credential: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A member or an operator with a credential.
#[derive(Debug, Clone, Default)]
pub struct Principal {
    /// Its id.
    pub id: String,
    /// Its credential.
    pub key: Key,
}

/// A service account or an agent with an API key.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// Its API key.
    pub key: Key,
}

/// One of the two tenants.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    /// Its slug.
    pub slug: String,
    /// Its id.
    pub id: String,
    /// The member that the tenant was created with.
    pub owner: Principal,
    /// A member with role `admin`.
    pub admin: Principal,
    /// A member with role `auditor`.
    pub auditor: Principal,
    /// A member with role `viewer`. Owns no account, so it can be deleted.
    pub viewer: Principal,
    /// A service account with role `secret-reader` on the folder. Its owner is `admin`.
    pub reader: Account,
    /// An agent without any role.
    pub bare: Account,
    /// A key of `reader` that is revoked.
    pub revoked: Key,
    /// A key of `reader` that has expired,
    pub expired: Key,
    /// or will have from this moment on.
    pub expired_from: Option<Timestamp>,
    /// The binding of `reader`.
    pub binding: String,
    /// The name of the mount, the policy, the invariant and the secrets (one in [`names::MOUNT`], one in that mount) that
    /// only this tenant has.
    pub only: String,
}

/// The platform.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    /// The operator that the installation was made with, role `operator-admin`.
    pub admin: Principal,
    /// An operator with role `operator-viewer`.
    pub viewer: Principal,
}

macro_rules! credentialed {
    ($($kind:ty: |$this:ident| $text:expr;)+) => {
        $(impl AsRef<str> for $kind {
            fn as_ref(&self) -> &str {
                let $this = self;
                $text
            }
        })+
    };
}

// Whoever has a credential can be given as the caller.
credentialed! {
    Key: |this| &this.credential;
    Principal: |this| &this.key.credential;
    Account: |this| &this.key.credential;
}
