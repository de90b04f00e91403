//! What is taken for a fact is true of the requests that the product makes.

use std::collections::BTreeSet;

use bailiwick_authz::{Authority, Layer, PrincipalFacts, PrincipalKind, RequestContext, RoleLink};
use bailiwick_prove::facts;
use bailiwick_types::{Action, Plane, Resource, ResourceKind, TenantId, Timestamp};

use crate::world::{ACME, ZETA, document};

fn principal(kind: PrincipalKind, tenant: TenantId) -> PrincipalFacts {
    let (tenant, role, on) = match kind {
        PrincipalKind::Operator => {
            (TenantId::PLATFORM, "operator-admin", (ResourceKind::Platform, "platform".to_owned()))
        }
        _ => (tenant, "owner", (ResourceKind::Tenant, tenant.to_string())),
    };
    PrincipalFacts {
        tenant,
        kind,
        id: "someone".to_owned(),
        name: "someone".to_owned(),
        is_disabled: false,
        expires: None,
        labels: vec![("team".to_owned(), "a".to_owned())],
        roles: vec![RoleLink { id: "r".to_owned(), role: role.parse().unwrap(), on }],
    }
}

/// As the application describes paths: the mount, and every folder on the way.
fn at_path(kind: ResourceKind, path: &str) -> Resource {
    let mount = path.split('/').next().unwrap();
    let folders = path
        .match_indices('/')
        .filter_map(|(at, _)| path.get(..at))
        .map(str::to_owned)
        .filter(|folder| folder != mount);
    let mut parents = vec![(ResourceKind::Mount, mount.to_owned())];
    parents.extend(folders.map(|folder| (ResourceKind::Folder, folder)));
    Resource { kind, id: path.to_owned(), parents, tags: Vec::new() }
}

fn things(kind: ResourceKind, tenant: TenantId) -> Vec<Resource> {
    let paths = ["secret", "secret/app", "secret/app/web", "secret/app/web/db", "secret/application", "kv", "kv/app"];
    match kind {
        ResourceKind::Tenant => vec![Resource::plain(kind, tenant.to_string())],
        ResourceKind::Folder | ResourceKind::Secret => paths.iter().map(|path| at_path(kind, path)).collect(),
        ResourceKind::Mount => ["secret", "kv"].iter().map(|name| Resource::plain(kind, *name)).collect(),
        ResourceKind::Credential => vec![Resource {
            parents: vec![(ResourceKind::Account, "acc_x".to_owned())],
            ..Resource::plain(kind, "key_x")
        }],
        ResourceKind::Platform => vec![Resource::plain(kind, "platform")],
        _ => vec![Resource::plain(kind, "someone"), Resource::plain(kind, "other")],
    }
}

#[test]
fn no_fact_denies_a_request_that_the_product_makes() {
    let (acme, zeta) = (ACME.to_string(), ZETA.to_string());
    let names: BTreeSet<_> = [
        format!("Tenant::\"{acme}\""),
        format!("Tenant::\"{zeta}\""),
        "Platform::\"platform\"".to_owned(),
        "Mount::\"secret\"".to_owned(),
        "Mount::\"kv\"".to_owned(),
        "Folder::\"secret\"".to_owned(),
        "Folder::\"secret/app\"".to_owned(),
        "Folder::\"secret/app/web\"".to_owned(),
        "Folder::\"kv/app\"".to_owned(),
        "Secret::\"secret/app/web/db\"".to_owned(),
    ]
    .iter()
    .map(|name| name.parse().unwrap())
    .collect();
    let statements = facts::statements(&names);
    assert!(statements.len() > 20);
    let guardrails: Vec<_> = statements
        .iter()
        .enumerate()
        .map(|(at, text)| document(Layer::Guardrail, &format!("fact-{at}"), text))
        .collect();
    let authority = Authority::new(&guardrails, &[]);
    let mut asked = 0;
    for kind in PrincipalKind::ALL.iter().copied() {
        let principal = principal(kind, ACME);
        for action in Action::ALL {
            if (kind == PrincipalKind::Operator) != (action.plane() == Plane::Platform) {
                continue;
            }
            for tenant in [ACME, ZETA] {
                for thing in things(action.resource(), tenant) {
                    let is_of_platform = thing.kind == ResourceKind::Platform
                        || [ResourceKind::Operator, ResourceKind::Guardrail, ResourceKind::PlatformInvariant]
                            .contains(&thing.kind);
                    let home = if is_of_platform { TenantId::PLATFORM } else { tenant };
                    let context = RequestContext { now: Timestamp::from_unix_ms(0), source: None, door: "api" };
                    let decision = authority.decide_full(&principal, *action, &thing, home, &context).decision;
                    let facts: Vec<_> =
                        decision.determining.iter().filter(|id| id.starts_with("guardrail:fact-")).collect();
                    assert!(facts.is_empty(), "{action} {thing:?}: {facts:?}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 400, "{asked}");
}
