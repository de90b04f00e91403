//! The caller about itself: who am I, what may I do, how much may I use.

use std::collections::BTreeMap;

use bailiwick_authz::PrincipalFacts;
use bailiwick_store::{Counts, Space};
use bailiwick_types::action::act;
use bailiwick_types::api::Done;
use bailiwick_types::api::secret::Mount;
use bailiwick_types::api::tenant::{
    Capabilities, CredentialRef, LimitInForce, LimitsInForce, PrincipalRef, RoleHeld, TenantRef, WhoAmI,
};
use bailiwick_types::{Action, CredentialId, Limit, MountName, Resource, ResourceKind, SecretPath};

use crate::app::{PlatformUseCase, UseCase};
use crate::error::AppError;
use crate::records::CredentialRecord;
use crate::secrets::resource_of_path;
use crate::tx::{Answer, PlatformTx, Scope, TenantTx, Tx};

fn show<S: Scope>(tx: &Tx<'_, S>, tenant: Option<TenantRef>) -> WhoAmI {
    let principal: &PrincipalFacts = tx.principal();
    WhoAmI {
        tenant,
        principal: PrincipalRef {
            kind: principal.kind.as_str().to_owned(),
            id: principal.id.clone(),
            name: principal.name.clone(),
        },
        credential: CredentialRef {
            id: tx.credential_id().to_string(),
            created: tx.credential().created,
            expires: tx.credential().facts.expires,
        },
        roles: principal
            .roles
            .iter()
            .map(|link| RoleHeld {
                role: link.role.to_string(),
                on: match link.on.0 {
                    ResourceKind::Tenant => "tenant".to_owned(),
                    ResourceKind::Platform => "platform".to_owned(),
                    kind => format!("{}/{}", kind.as_str().to_lowercase(), link.on.1),
                },
            })
            .collect(),
    }
}

/// Who is the caller?
pub struct WhoAmITenant;

impl UseCase for WhoAmITenant {
    type Action = act::SelfShow;
    type Reply = WhoAmI;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<WhoAmI>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::SelfShow>(&tenant).await?;
        let slug = tx.snapshot.slug.parse().map_err(AppError::internal)?;
        let shown = show(tx, Some(TenantRef { id: tx.snapshot.tenant, slug }));
        tx.commit(permit, shown).await
    }
}

/// Which operator is the caller?
pub struct WhoAmIOperator;

impl PlatformUseCase for WhoAmIOperator {
    type Action = act::OperatorSelfShow;
    type Reply = WhoAmI;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<WhoAmI>, AppError> {
        let permit = tx.authorize::<act::OperatorSelfShow>(&crate::tenants::platform()).await?;
        let shown = show(tx, None);
        tx.commit(permit, shown).await
    }
}

/// Revokes the credential that the request is made with.
pub struct RevokeSelf;

impl UseCase for RevokeSelf {
    type Action = act::SelfRevoke;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let principal = tx.principal().id.clone();
        let id: CredentialId = tx.credential_id();
        let found = tx.locate_credential(&principal, id).await?;
        let permit = tx.authorize::<act::SelfRevoke>(found.resource()).await?;
        let (version, record): (u64, CredentialRecord) = tx.load(&permit, found)?;
        tx.revoke_credential(&permit, version, record)?;
        tx.commit(permit, Done {}).await
    }
}

/// The limits in force.
pub struct ShowLimits;

impl UseCase for ShowLimits {
    type Action = act::LimitsShow;
    type Reply = LimitsInForce;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<LimitsInForce>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::LimitsShow>(&tenant).await?;
        let header = tx.app.store.header(tx.snapshot.tenant).await?.ok_or_else(AppError::not_found)?;
        let limits = Limit::ALL
            .iter()
            .map(|limit| LimitInForce {
                name: limit.as_str().to_owned(),
                limit: tx.limit(*limit),
                unit: limit.unit().to_owned(),
                used: used(*limit, &header.counts),
                is_quota: tx.snapshot.quotas.is_quota(*limit),
                summary: limit.summary().to_owned(),
            })
            .collect();
        tx.commit(permit, LimitsInForce { limits }).await
    }
}

fn used(limit: Limit, counts: &Counts) -> Option<u64> {
    let space = match limit {
        Limit::Members => Space::Member,
        Limit::Accounts => Space::Account,
        Limit::Credentials => Space::Credential,
        Limit::Bindings => Space::Binding,
        Limit::Policies => Space::Policy,
        Limit::Invariants => Space::Invariant,
        Limit::Mounts => Space::Mount,
        Limit::Secrets => Space::Secret,
        Limit::SecretVersions => Space::SecretVersion,
        Limit::IdempotencyKeys => Space::Idempotency,
        _ => return None,
    };
    Some(counts.of(space))
}

/// The most paths that one question about capabilities may name.
pub const CAPABILITY_PATHS_MAX: usize = 128;

/// What the caller may do on paths of the Vault door, in Vault's words.
pub struct ShowCapabilities {
    /// Paths such as `secret/data/app/db`.
    pub paths: Vec<String>,
}

impl UseCase for ShowCapabilities {
    type Action = act::CapabilitiesShow;
    type Reply = Capabilities;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Capabilities>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::CapabilitiesShow>(&tenant).await?;
        if self.paths.is_empty() || self.paths.len() > CAPABILITY_PATHS_MAX {
            return Err(AppError::invalid(format!("name 1 to {CAPABILITY_PATHS_MAX} paths")));
        }
        let mut capabilities = BTreeMap::new();
        for path in &self.paths {
            capabilities.insert(path.clone(), capabilities_on(tx, path).await?);
            // Many questions in one: others may go in between.
            tokio::task::yield_now().await;
        }
        tx.commit(permit, Capabilities(capabilities)).await
    }
}

/// Finds the mount that a path of the Vault door is in: what Vault's clients ask before anything else.
///
/// That something is mounted there is known to everybody in the tenant, so that whoever may read one secret deep inside
/// can find the way to it. What it is for is told only to those who may see the mount.
pub struct FindMount {
    /// A path such as `secret/app/db`, or one that begins with the tenant's own slug.
    pub path: String,
}

/// The mount that a path is in.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct FoundMount {
    /// The mount.
    pub mount: Mount,
    /// Whether the path begins with the tenant's own slug.
    pub is_namespaced: bool,
}

impl UseCase for FindMount {
    type Action = act::CapabilitiesShow;
    type Reply = FoundMount;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<FoundMount>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::CapabilitiesShow>(&tenant).await?;
        let mut segments = self.path.split('/').filter(|segment| !segment.is_empty());
        let first = segments.next().unwrap_or_default();
        // Nothing can be mounted under the tenant's own name, so there is one way only to read a path.
        let is_namespaced = first == tx.snapshot.slug;
        let name = if is_namespaced { segments.next().unwrap_or_default() } else { first };
        // A text that is no mount's name is a mount that is not there.
        let name: MountName = name.parse().map_err(|_| AppError::not_found())?;
        let resource = crate::mounts::resource(&name);
        tx.concerning(&resource);
        let found = tx.mount(&name).await?.ok_or_else(AppError::not_found)?;
        let mut mount = crate::mounts::show((*found).clone());
        if !tx.would_allow(Action::MountShow, &resource).await? {
            mount.description.clear();
        }
        tx.commit(permit, FoundMount { mount, is_namespaced }).await
    }
}

async fn capabilities_on(tx: &TenantTx<'_>, path: &str) -> Result<Vec<String>, AppError> {
    let mut held: Vec<&str> = Vec::new();
    for (resource, actions) in candidates(path) {
        for (capability, action) in actions {
            if !held.contains(capability) && tx.would_allow(*action, &resource).await? {
                held.push(capability);
            }
        }
    }
    if held.is_empty() {
        held.push("deny");
    }
    held.sort_unstable();
    Ok(held.into_iter().map(str::to_owned).collect())
}

type Question = (Resource, &'static [(&'static str, Action)]);

/// Which actions a Vault path stands for. A path that no secret can have stands for none; it also could have any number
/// of folders, all of which would be told to policy.
fn candidates(path: &str) -> Vec<Question> {
    use Action as A;
    let path = path.trim_start_matches('/');
    if matches!(path, "sys/mounts" | "sys/mounts/") || path.starts_with("sys/mounts/") {
        let tenant = Resource::plain(ResourceKind::Tenant, "");
        return vec![(tenant, &[("create", A::MountCreate), ("update", A::MountCreate), ("read", A::MountList)])];
    }
    let mut segments = path.splitn(3, '/');
    let (Some(mount), Some(kind)) = (segments.next(), segments.next()) else { return Vec::new() };
    let rest = segments.next().unwrap_or_default();
    let trimmed = rest.strip_suffix('/').unwrap_or(rest);
    let is_name = mount.parse::<MountName>().is_ok() && (trimmed.is_empty() || trimmed.parse::<SecretPath>().is_ok());
    if !is_name {
        return Vec::new();
    }
    let secret = || resource_of_path(mount, trimmed, false);
    let folder = || resource_of_path(mount, trimmed, true);
    match kind {
        "data" if !trimmed.is_empty() => vec![(
            secret(),
            &[
                ("create", A::SecretWrite),
                ("update", A::SecretWrite),
                ("read", A::SecretReveal),
                ("patch", A::SecretPatch),
                ("delete", A::SecretDelete),
            ],
        )],
        "metadata" => {
            let mut questions: Vec<Question> = vec![(folder(), &[("list", A::SecretList)])];
            if !trimmed.is_empty() {
                questions.push((
                    secret(),
                    &[
                        ("create", A::SecretConfigure),
                        ("update", A::SecretConfigure),
                        ("patch", A::SecretConfigure),
                        ("read", A::SecretDescribe),
                        ("delete", A::SecretPurge),
                    ],
                ));
            }
            questions
        }
        "delete" if !trimmed.is_empty() => {
            vec![(secret(), &[("create", A::SecretDelete), ("update", A::SecretDelete)])]
        }
        "undelete" if !trimmed.is_empty() => {
            vec![(secret(), &[("create", A::SecretUndelete), ("update", A::SecretUndelete)])]
        }
        "destroy" if !trimmed.is_empty() => {
            vec![(secret(), &[("create", A::SecretDestroy), ("update", A::SecretDestroy)])]
        }
        "subkeys" if !trimmed.is_empty() => vec![(secret(), &[("read", A::SecretReveal)])],
        "config" if trimmed.is_empty() => {
            let mount = Resource::plain(ResourceKind::Mount, mount);
            vec![(mount, &[("create", A::MountUpdate), ("update", A::MountUpdate), ("read", A::MountShow)])]
        }
        _ => Vec::new(),
    }
}

impl TenantTx<'_> {
    /// What policy would say, without asking for a permit. Shown to the caller about itself only.
    pub(crate) async fn would_allow(&self, action: Action, resource: &Resource) -> Result<bool, AppError> {
        let authority = self.app.authority(&self.snapshot).await?;
        let resource = match resource.kind {
            ResourceKind::Tenant => self.tenant_resource(),
            _ => resource.clone(),
        };
        let decision = authority.decide(self.principal(), action, &resource, self.snapshot.tenant, &self.context());
        Ok(decision.allowed)
    }
}
