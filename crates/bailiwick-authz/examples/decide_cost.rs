//! What one decision costs, by the number of policies: `cargo run --release -p bailiwick-authz --example decide_cost`.
//!
//! `first`: a resource that was never asked about, so the policies are sliced and Cedar evaluates. `again`: the same
//! question once more. `context`: a policy that reads the time, so that nothing can be remembered but the slice.
//! `full`: the whole set, without slicing. `compile` and `restore` are per policy, `build` per authority.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bailiwick_authz::{
    Authority, CompiledPolicy, Layer, PrincipalFacts, PrincipalKind, RequestContext, RoleLink, compile_policy,
    restore_policy,
};
use bailiwick_types::{Action, Resource, ResourceKind, TenantId, Timestamp};

const TENANT: TenantId = TenantId::from_bytes([7; 16]);

fn compile(name: &str, text: &str) -> Arc<CompiledPolicy> {
    compile_policy(Layer::Tenant, &name.parse().unwrap(), text).unwrap()
}

fn secret(n: usize) -> Resource {
    Resource {
        kind: ResourceKind::Secret,
        id: format!("secret/team{}/app/{n}", n % 10),
        parents: vec![
            (ResourceKind::Folder, format!("secret/team{}/app", n % 10)),
            (ResourceKind::Folder, format!("secret/team{}", n % 10)),
            (ResourceKind::Mount, "secret".to_owned()),
        ],
        tags: Vec::new(),
    }
}

/// Microseconds per call.
fn cost<T>(times: usize, mut call: impl FnMut(usize) -> T) -> f64 {
    let start = Instant::now();
    for n in 0..times {
        black_box(call(n));
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(times).unwrap())
}

fn main() {
    let link = |n: usize, role: &str, kind, on: &str| RoleLink {
        id: format!("bnd_{n}"),
        role: role.parse().unwrap(),
        on: (kind, on.to_owned()),
    };
    let agent = PrincipalFacts {
        tenant: TENANT,
        kind: PrincipalKind::Agent,
        id: "acc_0123456789abcdefghjkmnpqrs".to_owned(),
        name: "deployer".to_owned(),
        is_disabled: false,
        expires: None,
        labels: vec![("team".to_owned(), "payments".to_owned())],
        roles: vec![
            link(1, "secret-reader", ResourceKind::Mount, "secret"),
            link(2, "viewer", ResourceKind::Tenant, &TENANT.to_string()),
        ],
    };
    let context = RequestContext {
        now: Timestamp::from_unix_ms(1_700_000_000_000),
        source: Some([192, 0, 2, 7].into()),
        door: "api",
    };
    let ask = |authority: &Authority, n: usize| {
        let decision = authority.decide(&agent, Action::SecretReveal, &secret(n), TENANT, &context);
        assert!(decision.allowed, "{decision:?}");
    };

    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  µs",
        "policies", "first", "again", "context", "full", "compile", "restore", "build"
    );
    for count in [5, 50, 500, 5_000] {
        let (mut policies, mut texts) = (Vec::new(), Vec::new());
        let compiled = cost(count, |n| {
            let text = match n % 5 {
                0 => format!(
                    "forbid(principal, action == Action::\"secret:purge\", resource == Secret::\"secret/x/{n}\");"
                ),
                1 => format!(
                    "permit(principal == Agent::\"acc_{n}\", action in [Action::\"read\"], resource in Mount::\"secret\");"
                ),
                2 => format!(
                    "permit(principal, action == Action::\"secret:write\", resource in Folder::\"secret/team{n}\") when {{ principal.hasTag(\"team\") }};"
                ),
                3 => format!("permit(principal is Agent, action, resource in Folder::\"secret/team{n}\");"),
                _ => format!(
                    "forbid(principal == Member::\"mem_{n}\", action, resource) unless {{ resource is Secret }};"
                ),
            };
            policies.push(compile(&format!("n{n}"), &text));
            texts.push(text);
        });
        let stored = "stored".parse().unwrap();
        let restored = cost(count, |n| texts.get(n).map(|text| restore_policy(Layer::Tenant, &stored, text).unwrap()));
        let build = cost(10, |_| Authority::new(&[], &policies));
        let authority = Authority::new(&[], &policies);
        ask(&authority, 0);
        let first = cost(5_000, |n| ask(&authority, n + 1));
        let again = cost(100_000, |_| ask(&authority, 1));
        let full = cost(20, |n| authority.decide_full(&agent, Action::SecretReveal, &secret(n), TENANT, &context));
        let night = "forbid(principal, action, resource) when { context.now < datetime(\"2020-01-01\") };";
        policies.push(compile("night", night));
        let authority = Authority::new(&[], &policies);
        ask(&authority, 0);
        let in_context = cost(5_000, |_| ask(&authority, 1));
        println!(
            "{count:>8} {first:>9.2} {again:>9.2} {in_context:>9.2} {full:>9.0} {compiled:>9.0} {restored:>9.0} {build:>9.0}"
        );
    }
}
