//! What policy costs, by the number of the tenant's policies.

use std::hint::black_box;
use std::sync::Arc;

use bailiwick_authz::{
    Authority, CompiledPolicy, Layer, PrincipalFacts, PrincipalKind, RequestContext, RoleLink, compile_policy,
};
use bailiwick_types::{Action, Resource, ResourceKind, TenantId, Timestamp};

const TENANT: TenantId = TenantId::from_bytes([7; 16]);

/// Policies as tenants write them: some about this request, most about others.
fn policies(count: usize) -> Vec<Arc<CompiledPolicy>> {
    let text = |n: usize| match n % 5 {
        0 => format!("forbid(principal, action == Action::\"secret:purge\", resource == Secret::\"secret/x/{n}\");"),
        1 => format!(
            "permit(principal == Agent::\"acc_{n}\", action in [Action::\"read\"], resource in Mount::\"secret\");"
        ),
        2 => format!(
            "permit(principal, action == Action::\"secret:write\", resource in Folder::\"secret/team{n}\") when {{ principal.hasTag(\"team\") }};"
        ),
        3 => format!("permit(principal is Agent, action, resource in Folder::\"secret/team{n}\");"),
        _ => format!("forbid(principal == Member::\"mem_{n}\", action, resource) unless {{ resource is Secret }};"),
    };
    let compile = |n| compile_policy(Layer::Tenant, &format!("n{n}").parse().unwrap(), &text(n)).unwrap();
    (0..count).map(compile).collect()
}

fn secret(n: usize) -> Resource {
    let team = n % 10;
    Resource {
        kind: ResourceKind::Secret,
        id: format!("secret/team{team}/app/{n}"),
        parents: vec![
            (ResourceKind::Folder, format!("secret/team{team}/app")),
            (ResourceKind::Folder, format!("secret/team{team}")),
            (ResourceKind::Mount, "secret".to_owned()),
        ],
        tags: Vec::new(),
    }
}

fn agent() -> PrincipalFacts {
    PrincipalFacts {
        tenant: TENANT,
        kind: PrincipalKind::Agent,
        id: "acc_0w3ge1r70w3ge1r70w3ge1r70w".to_owned(),
        name: "deployer".to_owned(),
        is_disabled: false,
        expires: None,
        labels: vec![("team".to_owned(), "payments".to_owned())],
        roles: vec![RoleLink {
            id: "bnd_1".to_owned(),
            role: "secret-reader".parse().unwrap(),
            on: (ResourceKind::Mount, "secret".to_owned()),
        }],
    }
}

/// Asks about the resource of this number.
fn asking(count: usize, number: impl Fn(usize) -> usize + 'static) -> Box<dyn FnMut(usize)> {
    let (authority, agent) = (Authority::new(&[], &policies(count)), agent());
    let context = RequestContext {
        now: Timestamp::from_unix_ms(1_769_860_800_000),
        source: Some([192, 0, 2, 7].into()),
        door: "api",
    };
    // So that making up the resources is not what is counted.
    let resources: Vec<Resource> = (0..1_000).map(secret).collect();
    Box::new(move |n| {
        let resource = resources.get(number(n)).unwrap();
        assert!(black_box(authority.decide(&agent, Action::SecretReveal, resource, TENANT, &context)).allowed);
    })
}

/// The same question each time.
pub(crate) fn again(count: usize) -> Box<dyn FnMut(usize)> {
    asking(count, |_| 0)
}

/// Another resource each time: Cedar decides.
pub(crate) fn fresh(count: usize) -> Box<dyn FnMut(usize)> {
    let asked = std::cell::Cell::new(0);
    asking(count, move |_| asked.replace(asked.get() + 1))
}
