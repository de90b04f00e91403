//! The action table: every act that Bailiwick knows, declared once.
//!
//! The Cedar schema's actions, the route table, the OpenAPI operation ids, ledger action names, permission names in
//! the CLI and the isolation matrix all come from this table. To add an action, add a row; the build then fails until
//! a route and a matrix row exist.

use std::fmt;
use std::str::FromStr;

use crate::resource::ResourceKind;

/// On whose ground an action happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plane {
    /// Inside one tenant, by its own principals.
    Tenant,
    /// On the installation, by operators.
    Platform,
}

/// What is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sensitivity {
    /// Shows state, no secret material.
    Read,
    /// Changes state.
    Write,
    /// Shows secret material.
    Reveal,
    /// Changes who may do what; ends whatever was decided before.
    Security,
}

/// An action as a type, so that a permit for one cannot be spent on another.
pub trait ActionType: Send + Sync + 'static {
    /// The row of the table.
    const ACTION: Action;
}

macro_rules! actions {
    ($($name:ident = $text:literal, $plane:ident, $resource:ident, $sensitivity:ident, $doc:literal;)+) => {
        /// One row of the action table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $(#[doc = $doc] $name),+ }

        impl Action {
            /// The whole table, in declaration order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name, `noun:verb`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
            /// On whose ground it happens.
            pub const fn plane(self) -> Plane {
                match self { $(Self::$name => Plane::$plane),+ }
            }
            /// What it acts on.
            pub const fn resource(self) -> ResourceKind {
                match self { $(Self::$name => ResourceKind::$resource),+ }
            }
            /// What is at stake.
            pub const fn sensitivity(self) -> Sensitivity {
                match self { $(Self::$name => Sensitivity::$sensitivity),+ }
            }
            /// One line for people.
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$name => $doc),+ }
            }
        }

        /// Each action as a type.
        pub mod act {
            $(#[doc = $doc] #[derive(Debug)] pub struct $name;
            impl super::ActionType for $name { const ACTION: super::Action = super::Action::$name; })+
        }
    };
}

actions! {
    // The caller itself.
    SelfShow = "self:show", Tenant, Tenant, Read, "show who the caller is, in which tenant, and with which roles";
    SelfRevoke = "self:revoke", Tenant, Credential, Security, "revoke the credential that the request was made with";
    CapabilitiesShow = "capabilities:show", Tenant, Tenant, Read, "show what the caller may do on a path";
    LimitsShow = "limits:show", Tenant, Tenant, Read, "show the limits in force and how much of them is used";
    // People.
    MemberCreate = "member:create", Tenant, Tenant, Security, "add a member with a role";
    MemberList = "member:list", Tenant, Tenant, Read, "list the members";
    MemberShow = "member:show", Tenant, Member, Read, "show one member";
    MemberUpdate = "member:update", Tenant, Member, Security, "change a member's name or role, disable or enable it";
    MemberDelete = "member:delete", Tenant, Member, Security, "delete a member and its credentials";
    MemberCredentialIssue = "member-credential:issue", Tenant, Member, Security, "issue a credential to a member";
    MemberCredentialList = "member-credential:list", Tenant, Member, Read, "list a member's credentials";
    MemberCredentialRevoke = "member-credential:revoke", Tenant, Credential, Security, "revoke a member's credential";
    // Accounts and their keys.
    AccountCreate = "account:create", Tenant, Tenant, Write, "create a service account or an agent";
    AccountList = "account:list", Tenant, Tenant, Read, "list the accounts";
    AccountShow = "account:show", Tenant, Account, Read, "show one account";
    AccountUpdate = "account:update", Tenant, Account, Security, "change, disable or enable an account";
    AccountDelete = "account:delete", Tenant, Account, Security, "delete an account, its keys and its bindings";
    KeyIssue = "key:issue", Tenant, Account, Security, "issue an API key to an account";
    KeyList = "key:list", Tenant, Account, Read, "list an account's API keys";
    KeyShow = "key:show", Tenant, Credential, Read, "show one API key, never its secret";
    KeyRotate = "key:rotate", Tenant, Credential, Security, "issue a successor to an API key; the old one lives on for an overlap";
    KeyRevoke = "key:revoke", Tenant, Credential, Security, "revoke an API key";
    // Policy.
    RoleList = "role:list", Tenant, Tenant, Read, "list the shipped roles";
    RoleShow = "role:show", Tenant, Role, Read, "show a role and its Cedar template";
    BindingCreate = "binding:create", Tenant, Tenant, Security, "give a role to a principal, on the tenant, a mount or a folder";
    BindingList = "binding:list", Tenant, Tenant, Read, "list role bindings";
    BindingShow = "binding:show", Tenant, Binding, Read, "show one role binding";
    BindingDelete = "binding:delete", Tenant, Binding, Security, "take a role back";
    PolicyPut = "policy:put", Tenant, Policy, Security, "create or replace a policy";
    PolicyList = "policy:list", Tenant, Tenant, Read, "list the policies";
    PolicyShow = "policy:show", Tenant, Policy, Read, "show one policy";
    PolicyDelete = "policy:delete", Tenant, Policy, Security, "delete a policy";
    PolicyCheck = "policy:check", Tenant, Tenant, Read, "decide a hypothetical request and say which policies determined it";
    PolicyDiff = "policy:diff", Tenant, Tenant, Read, "show what a change of policies would newly allow and deny, and whether it only takes away";
    InvariantPut = "invariant:put", Tenant, Invariant, Security, "create or replace an invariant: a rule over all possible requests";
    InvariantList = "invariant:list", Tenant, Tenant, Read, "list the invariants";
    InvariantShow = "invariant:show", Tenant, Invariant, Read, "show one invariant";
    InvariantDelete = "invariant:delete", Tenant, Invariant, Security, "delete an invariant";
    InvariantCheck = "invariant:check", Tenant, Tenant, Read, "prove isolation, guardrails and invariants of the policies in force";
    // Secrets.
    MountCreate = "mount:create", Tenant, Tenant, Write, "mount a secret engine";
    MountList = "mount:list", Tenant, Tenant, Read, "list the mounts";
    MountShow = "mount:show", Tenant, Mount, Read, "show one mount and its configuration";
    MountUpdate = "mount:update", Tenant, Mount, Write, "change a mount's description or configuration";
    MountDelete = "mount:delete", Tenant, Mount, Write, "unmount an engine and destroy every secret in it";
    SecretReveal = "secret:reveal", Tenant, Secret, Reveal, "read a version of a secret";
    SecretWrite = "secret:write", Tenant, Secret, Write, "write a new version of a secret";
    SecretPatch = "secret:patch", Tenant, Secret, Write, "write a new version by merging into the current one";
    SecretDelete = "secret:delete", Tenant, Secret, Write, "delete versions of a secret so that they can be undeleted";
    SecretUndelete = "secret:undelete", Tenant, Secret, Write, "bring deleted versions back";
    SecretDestroy = "secret:destroy", Tenant, Secret, Write, "destroy versions for good";
    SecretList = "secret:list", Tenant, Folder, Read, "list the names in a folder";
    SecretDescribe = "secret:describe", Tenant, Secret, Read, "show a secret's versions and metadata, not its value";
    SecretConfigure = "secret:configure", Tenant, Secret, Write, "change a secret's metadata and settings";
    SecretPurge = "secret:purge", Tenant, Secret, Write, "destroy a secret with all versions and metadata";
    // Evidence.
    LedgerRead = "ledger:read", Tenant, Ledger, Read, "page, filter and follow the ledger";
    LedgerProve = "ledger:prove", Tenant, Ledger, Read, "get a signed checkpoint, an inclusion or a consistency proof";
    LedgerExport = "ledger:export", Tenant, Ledger, Read, "export the ledger for offline verification";
    AttestationIssue = "attestation:issue", Tenant, Ledger, Read, "get a signed attestation: which build, rules, proofs and probes stand behind the tenant's isolation";
    // Keys.
    KeyringShow = "keyring:show", Tenant, Keyring, Read, "show the tenant's keys and their versions, never their material";
    KeyringRotate = "keyring:rotate", Tenant, Keyring, Security, "rotate the tenant key or a data key";
    KeyringSeal = "keyring:seal", Tenant, Keyring, Security, "seal the tenant: its plane answers as sealed until an operator unseals it";
    // The tenant as a bundle.
    BundleExport = "bundle:export", Tenant, Tenant, Security, "export the whole tenant, sealed to an installation, as a backup or to move it there for good";
    // The platform.
    OperatorSelfShow = "operator-self:show", Platform, Platform, Read, "show which operator the caller is";
    PlatformHealth = "platform:health", Platform, Platform, Read, "show the installation's health and totals";
    IsolationShow = "isolation:show", Platform, Platform, Read, "show what the server found when it tried its own isolation";
    IsolationProbe = "isolation:probe", Platform, Platform, Write, "try the isolation of every route at once, on the canary tenants";
    TenantCreate = "tenant:create", Platform, Platform, Write, "create a tenant and its first member";
    TenantList = "tenant:list", Platform, Platform, Read, "list the tenants";
    TenantShow = "tenant:show", Platform, Tenant, Read, "show a tenant's state and counts, never its contents";
    TenantUpdate = "tenant:update", Platform, Tenant, Write, "change a tenant's display name";
    TenantSuspend = "tenant:suspend", Platform, Tenant, Security, "suspend a tenant: its plane refuses every request";
    TenantResume = "tenant:resume", Platform, Tenant, Security, "resume a suspended tenant or cancel its deletion";
    TenantDelete = "tenant:delete", Platform, Tenant, Security, "delete a tenant: suspended for the hold period, then crypto-shredded";
    TenantSeal = "tenant:seal", Platform, Tenant, Security, "seal one tenant";
    TenantUnseal = "tenant:unseal", Platform, Tenant, Security, "unseal one tenant";
    TenantImport = "tenant:import", Platform, Platform, Security, "bring a tenant back, or in, from a bundle that was sealed to this installation";
    RecipientShow = "recipient:show", Platform, Platform, Read, "show the key that bundles for this installation are sealed to";
    QuotaShow = "quota:show", Platform, Tenant, Read, "show a tenant's quotas";
    QuotaSet = "quota:set", Platform, Tenant, Write, "set a tenant's quotas";
    GuardrailPut = "guardrail:put", Platform, Guardrail, Security, "create or replace a guardrail";
    GuardrailList = "guardrail:list", Platform, Platform, Read, "list the guardrails";
    GuardrailShow = "guardrail:show", Platform, Guardrail, Read, "show one guardrail";
    GuardrailDelete = "guardrail:delete", Platform, Guardrail, Security, "delete a guardrail";
    PlatformInvariantPut = "platform-invariant:put", Platform, PlatformInvariant, Security, "create or replace an invariant of the platform: a rule over all requests, whatever tenants write";
    PlatformInvariantList = "platform-invariant:list", Platform, Platform, Read, "list the platform's invariants";
    PlatformInvariantShow = "platform-invariant:show", Platform, PlatformInvariant, Read, "show one invariant of the platform";
    PlatformInvariantDelete = "platform-invariant:delete", Platform, PlatformInvariant, Security, "delete an invariant of the platform";
    PlatformInvariantCheck = "platform-invariant:check", Platform, Platform, Read, "prove isolation and the platform's invariants of the guardrails in force, whatever tenants write";
    OperatorCreate = "operator:create", Platform, Platform, Security, "add an operator";
    OperatorList = "operator:list", Platform, Platform, Read, "list the operators";
    OperatorShow = "operator:show", Platform, Operator, Read, "show one operator";
    OperatorUpdate = "operator:update", Platform, Operator, Security, "change an operator's name or role, disable or enable it";
    OperatorDelete = "operator:delete", Platform, Operator, Security, "delete an operator and its credentials";
    OperatorCredentialIssue = "operator-credential:issue", Platform, Operator, Security, "issue a credential to an operator";
    OperatorCredentialList = "operator-credential:list", Platform, Operator, Read, "list an operator's credentials";
    OperatorCredentialRevoke = "operator-credential:revoke", Platform, Operator, Security, "revoke an operator's credential";
    PlatformLedgerRead = "platform-ledger:read", Platform, Platform, Read, "page, filter and follow the platform's ledger";
    PlatformLedgerProve = "platform-ledger:prove", Platform, Platform, Read, "get a checkpoint or a proof of the platform's ledger";
    PlatformLedgerExport = "platform-ledger:export", Platform, Platform, Read, "export the platform's ledger";
    RootKeyRotate = "root-key:rotate", Platform, Platform, Security, "replace the root key and rewrap every tenant key";
    InstallationSeal = "installation:seal", Platform, Platform, Security, "seal the whole installation until it is unsealed again";
}

/// A text that names no action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown action")]
pub struct UnknownAction;

impl FromStr for Action {
    type Err = UnknownAction;
    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text).ok_or(UnknownAction)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_well_formed() {
        let mut names: Vec<_> = Action::ALL.iter().map(|a| a.as_str()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for name in names {
            let (noun, verb) = name.split_once(':').unwrap();
            assert!([noun, verb].iter().all(|part| part.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
            assert_eq!(name.parse::<Action>().unwrap().as_str(), name);
        }
    }
}
