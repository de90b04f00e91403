//! Leaving out the policies whose scope does not match changes nothing: neither the decision, nor its reasons, nor its
//! errors. Random worlds with every shape of scope, asked both ways.

use std::sync::Arc;

use bailiwick_authz::{
    Authority, CompiledPolicy, Decision, Layer, PrincipalFacts, PrincipalKind, RequestContext, RoleLink,
    compile_policy, roles,
};
use bailiwick_types::{Action, Plane, Resource, ResourceKind, TenantId};

use crate::world::{ACME, ZETA, context, home, name, thing};

/// SplitMix64: a seed is a world.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())].clone()
    }
}

const PRINCIPALS: &[(PrincipalKind, &str)] = &[
    (PrincipalKind::Member, "mem_1"),
    (PrincipalKind::Member, "mem_2"),
    (PrincipalKind::Service, "acc_1"),
    (PrincipalKind::Agent, "acc_1"),
    (PrincipalKind::Agent, "acc_2"),
    (PrincipalKind::Operator, "opr_1"),
];

const RESOURCES: &[(ResourceKind, &str)] = &[
    (ResourceKind::Mount, "secret"),
    (ResourceKind::Mount, "other"),
    (ResourceKind::Folder, "secret/app"),
    (ResourceKind::Folder, "secret/app/deep"),
    (ResourceKind::Secret, "secret/app/db"),
    (ResourceKind::Secret, "secret/app/deep/db"),
    (ResourceKind::Secret, "other/db"),
    (ResourceKind::Member, "mem_1"),
    (ResourceKind::Account, "acc_1"),
    (ResourceKind::Credential, "key_1"),
    (ResourceKind::Ledger, "ledger"),
    (ResourceKind::Operator, "opr_1"),
    (ResourceKind::Platform, "platform"),
];

const ACTIONS: &[&str] = &[
    "secret:reveal",
    "secret:write",
    "secret:list",
    "mount:show",
    "member:update",
    "member:list",
    "key:revoke",
    "account:show",
    "ledger:read",
    "self:show",
    "operator:update",
    "tenant:show",
    "platform:health",
];

const GROUPS: &[&str] = &["read", "write", "reveal", "security"];

/// None of them, all of them, some of them; and some that fail.
const CONDITIONS: &[&str] = &[
    "",
    "",
    "when { principal.tenant == resource.tenant }",
    "when { principal.hasTag(\"team\") && resource.hasTag(\"team\") && principal.getTag(\"team\") == resource.getTag(\"team\") }",
    "unless { principal.hasTag(\"team\") }",
    "when { action in [Action::\"read\"] }",
    "when { resource in Tenant::\"ten_x\" || resource has tenant }",
    "when { context.door == \"vault\" }",
    "unless { context has source && context.source.isInRange(ip(\"192.0.2.0/24\")) }",
    "when { 9223372036854775807 + 1 == 0 }",
    "when { principal is Agent && 9223372036854775807 * 2 == 0 }",
];

fn entity(kind: &str, id: &str) -> String {
    format!("{kind}::\"{id}\"")
}

fn place(dice: &mut Dice, variable: &str, kinds: &[&str], entities: &[String]) -> String {
    let (kind, at) = (dice.pick(kinds), dice.pick(entities));
    match dice.roll(6) {
        0 | 1 => variable.to_owned(),
        2 => format!("{variable} == {at}"),
        3 => format!("{variable} in {at}"),
        4 => format!("{variable} is {kind}"),
        _ => format!("{variable} is {kind} in {at}"),
    }
}

fn action(dice: &mut Dice) -> String {
    let (one, other, group) = (dice.pick(ACTIONS), dice.pick(ACTIONS), dice.pick(GROUPS));
    match dice.roll(6) {
        0 | 1 => "action".to_owned(),
        2 => format!("action == Action::\"{one}\""),
        3 => format!("action in Action::\"{group}\""),
        4 => format!("action in [Action::\"{one}\", Action::\"{other}\"]"),
        _ => format!("action in [Action::\"{one}\", Action::\"{group}\"]"),
    }
}

fn statement(dice: &mut Dice, effect: &str) -> String {
    let containers = [ACME, ZETA].map(|tenant| entity("Tenant", &tenant.to_string()));
    let platform = entity("Platform", "platform");
    let mut principals: Vec<_> = PRINCIPALS.iter().map(|(kind, id)| entity(kind.cedar_type(), id)).collect();
    let mut resources: Vec<_> = RESOURCES.iter().map(|(kind, id)| entity(kind.as_str(), id)).collect();
    for list in [&mut principals, &mut resources] {
        list.extend(containers.iter().cloned());
        list.push(platform.clone());
    }
    let kinds: Vec<_> = ResourceKind::ALL.iter().map(|kind| kind.as_str()).collect();
    let principal = place(dice, "principal", &["Member", "ServiceAccount", "Agent", "Operator"], &principals);
    let resource = place(dice, "resource", &kinds, &resources);
    let (action, condition) = (action(dice), dice.pick(CONDITIONS));
    format!("{effect}({principal}, {action}, {resource}) {condition};")
}

fn documents(dice: &mut Dice, layer: Layer, count: usize) -> Vec<Arc<CompiledPolicy>> {
    let mut compiled = Vec::new();
    while compiled.len() < count {
        let statements = 1 + dice.roll(2);
        let effects: &[&str] = if layer == Layer::Guardrail { &["forbid"] } else { &["permit", "permit", "forbid"] };
        let text: String = (0..statements)
            .map(|_| {
                let effect = dice.pick(effects);
                statement(dice, effect)
            })
            .collect();
        // Some do not validate, such as `principal is Agent in Member::"…"`.
        compiled.extend(compile_policy(layer, &name(&format!("n{}", compiled.len())), &text));
    }
    compiled
}

fn somebody(dice: &mut Dice) -> PrincipalFacts {
    let (kind, id) = dice.pick(PRINCIPALS);
    let tenant = if kind == PrincipalKind::Operator { TenantId::PLATFORM } else { dice.pick(&[ACME, ACME, ZETA]) };
    let mut on: Vec<_> = RESOURCES.iter().map(|(kind, id)| (*kind, (*id).to_owned())).collect();
    on.extend([ACME, ZETA].map(|tenant| (ResourceKind::Tenant, tenant.to_string())));
    let links = (0..dice.roll(4)).map(|n| RoleLink {
        id: format!("bnd_{n}"),
        role: name(dice.pick(roles()).name),
        on: dice.pick(&on),
    });
    let links = links.collect();
    let labels = (0..dice.roll(2)).map(|_| ("team".to_owned(), dice.pick(&["a", "b"]).to_owned())).collect();
    let name = "someone".to_owned();
    PrincipalFacts { tenant, kind, id: id.to_owned(), name, is_disabled: false, expires: None, labels, roles: links }
}

fn something(dice: &mut Dice, kind: ResourceKind, tenant: TenantId) -> Resource {
    let mut resource = thing(kind, tenant);
    let same_kind: Vec<_> = RESOURCES.iter().filter(|(other, _)| *other == kind).collect();
    if !same_kind.is_empty() && dice.roll(5) > 0 {
        let (_, id) = dice.pick(&same_kind);
        resource.id = (*id).to_owned();
    }
    if matches!(kind, ResourceKind::Secret | ResourceKind::Folder) {
        let segments: Vec<&str> = resource.id.split('/').collect();
        resource.parents = vec![(ResourceKind::Mount, segments[0].to_owned())];
        resource.parents.extend((2..segments.len()).map(|n| (ResourceKind::Folder, segments[..n].join("/"))));
    }
    resource.tags = (0..dice.roll(2)).map(|_| ("team".to_owned(), dice.pick(&["a", "b"]).to_owned())).collect();
    resource
}

#[derive(Default, Debug)]
struct Seen {
    allowed: u32,
    forbidden: u32,
    failed: u32,
    unmatched: u32,
    sliced: u32,
}

impl Seen {
    fn count(&mut self, decision: &Decision, candidates: usize, total: usize) {
        let slot = match (decision.allowed, decision.errors.is_empty(), decision.determining.is_empty()) {
            (true, ..) => &mut self.allowed,
            (false, false, _) => &mut self.failed,
            (false, true, false) => &mut self.forbidden,
            (false, true, true) => &mut self.unmatched,
        };
        *slot += 1;
        self.sliced += u32::from(candidates < total);
    }
}

#[test]
fn the_sliced_decision_is_the_whole_decision() {
    let mut seen = Seen::default();
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let guardrails = dice.roll(4);
        let policies = 1 + dice.roll(25);
        let guardrails = documents(&mut dice, Layer::Guardrail, guardrails);
        let policies = documents(&mut dice, Layer::Tenant, policies);
        let authority = Authority::new(&guardrails, &policies);
        // Asked twice, in the same order: the second time from what was remembered.
        let from = dice.0;
        for _ in 0..2 {
            dice = Dice(from);
            for n in 0..60 {
                let principal = somebody(&mut dice);
                let is_operator = principal.kind == PrincipalKind::Operator;
                let plane = if is_operator { Plane::Platform } else { Plane::Tenant };
                let fitting: Vec<Action> = ACTIONS
                    .iter()
                    .map(|action| action.parse::<Action>().unwrap())
                    .filter(|action| action.plane() == plane)
                    .collect();
                let action = dice.pick(&fitting);
                let tenant = dice.pick(&[principal.tenant, principal.tenant, ACME, ZETA]);
                let tenant = if tenant.is_platform() { ACME } else { tenant };
                let resource = something(&mut dice, action.resource(), tenant);
                let tenant = home(action.resource(), tenant);
                let context = RequestContext { door: dice.pick(&["api", "vault"]), ..context() };

                let sliced = authority.decide(&principal, action, &resource, tenant, &context);
                let whole = authority.decide_full(&principal, action, &resource, tenant, &context);
                assert_eq!(sliced, whole.decision, "seed {seed}, request {n}: {principal:?} {action} {resource:?}");
                seen.count(&sliced, whole.candidates, whole.total);
            }
        }
    }
    // The worlds are only worth something if everything happens in them.
    let least = [seen.allowed, seen.forbidden, seen.failed, seen.unmatched, seen.sliced].into_iter().min().unwrap();
    assert!(least > 200, "{seen:?}");
}
