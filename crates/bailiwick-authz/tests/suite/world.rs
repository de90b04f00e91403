//! Two tenants that hold things of the same names, and the questions to ask about them.

use std::path::Path;
use std::sync::Arc;

use bailiwick_authz::{
    Authority, CompiledPolicy, Decision, Layer, PolicyProblem, PrincipalFacts, PrincipalKind, RequestContext, RoleLink,
    compile_policy,
};
use bailiwick_types::{Action, Plane, PolicyName, Resource, ResourceKind, TenantId, Timestamp};

/// 2023-11-14T22:13:20Z.
pub(crate) const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

/// The one tenant.
pub(crate) const ACME: TenantId = TenantId::from_bytes([0xac; 16]);
/// The other.
pub(crate) const ZETA: TenantId = TenantId::from_bytes([0x2e; 16]);

pub(crate) fn name(text: &str) -> PolicyName {
    text.parse().unwrap()
}

pub(crate) fn principal(tenant: TenantId, kind: PrincipalKind) -> PrincipalFacts {
    let (tenant, id) = match kind {
        PrincipalKind::Member => (tenant, format!("mem_of_{tenant}")),
        PrincipalKind::Service => (tenant, format!("acc_service_of_{tenant}")),
        PrincipalKind::Agent => (tenant, format!("acc_agent_of_{tenant}")),
        PrincipalKind::Operator => (TenantId::PLATFORM, "opr_one".to_owned()),
    };
    PrincipalFacts {
        tenant,
        kind,
        id,
        name: "someone".to_owned(),
        is_disabled: false,
        expires: None,
        labels: Vec::new(),
        roles: Vec::new(),
    }
}

pub(crate) fn link(role: &str, kind: ResourceKind, id: impl Into<String>) -> RoleLink {
    let id = id.into();
    RoleLink { id: format!("bnd_{role}_{id}"), role: name(role), on: (kind, id) }
}

/// A principal with one role on the whole tenant (or on the platform).
pub(crate) fn with_role(tenant: TenantId, kind: PrincipalKind, role: &str) -> PrincipalFacts {
    let on = match kind {
        PrincipalKind::Operator => link(role, ResourceKind::Platform, "platform"),
        _ => link(role, ResourceKind::Tenant, tenant.to_string()),
    };
    PrincipalFacts { roles: vec![on], ..principal(tenant, kind) }
}

/// A typical thing of the kind, by the same name in every tenant.
pub(crate) fn thing(kind: ResourceKind, tenant: TenantId) -> Resource {
    let (id, parents): (String, Vec<(ResourceKind, &str)>) = match kind {
        ResourceKind::Tenant => (tenant.to_string(), vec![]),
        ResourceKind::Member => ("mem_other".into(), vec![]),
        ResourceKind::Account => ("acc_other".into(), vec![]),
        ResourceKind::Credential => ("key_other".into(), vec![(ResourceKind::Account, "acc_other")]),
        ResourceKind::Role => ("viewer".into(), vec![]),
        ResourceKind::Binding => ("bnd_other".into(), vec![]),
        ResourceKind::Policy => ("deploy".into(), vec![]),
        ResourceKind::Invariant | ResourceKind::PlatformInvariant => ("never".into(), vec![]),
        ResourceKind::Mount => ("secret".into(), vec![]),
        ResourceKind::Folder => ("secret/app".into(), vec![(ResourceKind::Mount, "secret")]),
        ResourceKind::Secret => {
            ("secret/app/db".into(), vec![(ResourceKind::Folder, "secret/app"), (ResourceKind::Mount, "secret")])
        }
        ResourceKind::Ledger => ("ledger".into(), vec![]),
        ResourceKind::Keyring => ("keyring".into(), vec![]),
        ResourceKind::Platform => ("platform".into(), vec![]),
        ResourceKind::Operator => ("opr_other".into(), vec![]),
        ResourceKind::Guardrail => ("no-agents".into(), vec![]),
    };
    let parents = parents.into_iter().map(|(kind, id)| (kind, id.to_owned())).collect();
    Resource { kind, id, parents, tags: Vec::new() }
}

/// In which tenant that thing is.
pub(crate) fn home(kind: ResourceKind, tenant: TenantId) -> TenantId {
    match kind {
        ResourceKind::Platform | ResourceKind::Operator | ResourceKind::Guardrail | ResourceKind::PlatformInvariant => {
            TenantId::PLATFORM
        }
        _ => tenant,
    }
}

pub(crate) fn context() -> RequestContext {
    RequestContext { now: NOW, source: Some([192, 0, 2, 7].into()), door: "api" }
}

/// Asks for an action on the typical thing of `tenant`.
pub(crate) fn ask(authority: &Authority, principal: &PrincipalFacts, action: Action, tenant: TenantId) -> Decision {
    let kind = action.resource();
    authority.decide(principal, action, &thing(kind, tenant), home(kind, tenant), &context())
}

pub(crate) fn try_policy(text: &str) -> Result<Arc<CompiledPolicy>, Vec<PolicyProblem>> {
    compile_policy(Layer::Tenant, &name("p"), text)
}

pub(crate) fn policy(text: &str) -> Arc<CompiledPolicy> {
    try_policy(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

pub(crate) fn guardrail(text: &str) -> Arc<CompiledPolicy> {
    compile_policy(Layer::Guardrail, &name("g"), text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

pub(crate) fn actions_of(plane: Plane) -> impl Iterator<Item = Action> {
    Action::ALL.iter().copied().filter(move |action| action.plane() == plane)
}

/// Compares with a file of `tests/golden`. Guarded: there is no switch that rewrites it, because a change of what it
/// says is a change of who may do what, and a person has to make it.
pub(crate) fn golden(file: &str, actual: &str) {
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file);
    if std::fs::read_to_string(&expected).unwrap_or_default() != actual {
        let found = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        std::fs::write(&found, actual).unwrap();
        panic!("{file} is not what it was. If that is meant: diff -u {} {}", expected.display(), found.display());
    }
}
