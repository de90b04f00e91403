//! What policies can and cannot do: isolation, guardrails, mistakes.

use bailiwick_authz::{
    Authority, Layer, PrincipalFacts, PrincipalKind, RequestContext, compile_policy, restore_policy,
};
use bailiwick_types::{Action, Plane, Resource, ResourceKind, TenantId, Timestamp};

use crate::world::{
    ACME, NOW, ZETA, actions_of, ask, context, guardrail, home, link, name, policy, principal, thing, try_policy,
    with_role,
};

const EVERYTHING: &str = "permit(principal, action, resource);";

#[test]
fn no_permit_of_a_tenant_outvotes_isolation() {
    let zeta = ZETA.to_string();
    let texts = [
        EVERYTHING.to_owned(),
        format!("permit(principal, action, resource in Tenant::\"{zeta}\");"),
        format!("permit(principal, action, resource) when {{ resource.tenant == Tenant::\"{zeta}\" }};"),
        r#"permit(principal, action, resource == Secret::"secret/app/db");"#.to_owned(),
        r#"permit(principal, action, resource in Platform::"platform");"#.to_owned(),
    ];
    for text in texts {
        let authority = Authority::new(&[], &[policy(&text)]);
        for kind in [PrincipalKind::Member, PrincipalKind::Service, PrincipalKind::Agent] {
            let owner = with_role(ACME, kind, "owner");
            for action in actions_of(Plane::Tenant).filter(|action| action.resource() != ResourceKind::Tenant) {
                assert!(ask(&authority, &owner, action, ACME).allowed, "{action}");
                let foreign = ask(&authority, &owner, action, ZETA);
                assert!(!foreign.allowed, "{text} {action}");
                assert_eq!(foreign.determining, ["isolation"], "{text} {action}");
            }
            // The other tenant as a whole is a resource as well.
            for action in actions_of(Plane::Tenant).filter(|action| action.resource() == ResourceKind::Tenant) {
                assert!(!ask(&authority, &owner, action, ZETA).allowed, "{action}");
                // Nor by saying that it is here.
                let decision = authority.decide(&owner, action, &thing(ResourceKind::Tenant, ZETA), ACME, &context());
                assert!(!decision.allowed && !decision.errors.is_empty(), "{action}");
            }
        }
    }
}

#[test]
fn what_a_tenant_wrote_means_nothing_to_an_operator_and_nothing_on_the_platform() {
    let authority = Authority::new(
        &[],
        &[policy(EVERYTHING), policy_named("q", "forbid(principal is Operator, action, resource);")],
    );
    let bare = Authority::new(&[], &[]);
    for action in Action::ALL {
        for operator in
            [principal(ACME, PrincipalKind::Operator), with_role(ACME, PrincipalKind::Operator, "operator-admin")]
        {
            assert_eq!(ask(&authority, &operator, *action, ACME), ask(&bare, &operator, *action, ACME), "{action}");
        }
    }
    for action in actions_of(Plane::Platform) {
        assert!(!ask(&authority, &with_role(ACME, PrincipalKind::Member, "owner"), action, ACME).allowed, "{action}");
    }
    for action in actions_of(Plane::Tenant) {
        let operator = with_role(ACME, PrincipalKind::Operator, "operator-admin");
        assert!(!ask(&authority, &operator, action, ACME).allowed, "{action}");
    }
}

fn policy_named(called: &str, text: &str) -> std::sync::Arc<bailiwick_authz::CompiledPolicy> {
    compile_policy(Layer::Tenant, &name(called), text).unwrap()
}

#[test]
fn no_tenant_relaxes_a_guardrail() {
    let guardrails = [guardrail(r#"forbid(principal is Agent, action == Action::"secret:reveal", resource);"#)];
    let authority = Authority::new(&guardrails, &[policy(EVERYTHING)]);
    let agent = ask(&authority, &with_role(ACME, PrincipalKind::Agent, "owner"), Action::SecretReveal, ACME);
    assert!(!agent.allowed);
    assert_eq!(agent.determining, ["guardrail:g"]);
    assert!(ask(&authority, &with_role(ACME, PrincipalKind::Service, "owner"), Action::SecretReveal, ACME).allowed);
    // Operators are under guardrails as well.
    let guardrails = [guardrail(r#"forbid(principal, action == Action::"tenant:delete", resource);"#)];
    let authority = Authority::new(&guardrails, &[]);
    let operator = with_role(ACME, PrincipalKind::Operator, "operator-admin");
    assert_eq!(ask(&authority, &operator, Action::TenantDelete, ACME).determining, ["guardrail:g"]);
    assert!(ask(&authority, &operator, Action::TenantSuspend, ACME).allowed);
}

#[test]
fn a_tenants_policy_in_the_place_of_a_guardrail_stays_the_tenants() {
    let authority = Authority::new(&[policy(EVERYTHING)], &[]);
    assert!(ask(&authority, &principal(ACME, PrincipalKind::Agent), Action::SecretReveal, ACME).allowed);
    assert!(!ask(&authority, &principal(ACME, PrincipalKind::Operator), Action::TenantDelete, ACME).allowed);
}

#[test]
fn an_authority_that_is_bound_to_a_tenant_answers_no_other() {
    let policies = [policy(EVERYTHING)];
    let acme = Authority::new(&[], &policies).bound_to(ACME);
    assert!(ask(&acme, &principal(ACME, PrincipalKind::Agent), Action::SecretReveal, ACME).allowed);
    let decision = ask(&acme, &principal(ZETA, PrincipalKind::Agent), Action::SecretReveal, ZETA);
    assert!(!decision.allowed && !decision.errors.is_empty());
}

#[test]
fn questions_that_do_not_fit_are_denied() {
    let authority = Authority::new(&[], &[policy(EVERYTHING)]);
    let agent = principal(ACME, PrincipalKind::Agent);
    let secret = thing(ResourceKind::Secret, ACME);
    let deny = |principal: &PrincipalFacts, action, resource: &Resource, tenant| {
        let decision = authority.decide(principal, action, resource, tenant, &context());
        assert!(!decision.allowed, "{action} {resource:?}");
        assert_eq!(decision.errors.len(), 1, "{decision:?}");
        assert_eq!(authority.decide_full(principal, action, resource, tenant, &context()).decision, decision);
    };
    assert!(authority.decide(&agent, Action::SecretReveal, &secret, ACME, &context()).allowed);
    // Another kind of thing, another plane.
    deny(&agent, Action::MountDelete, &secret, ACME);
    deny(&agent, Action::TenantDelete, &thing(ResourceKind::Tenant, ACME), ACME);
    deny(&agent, Action::SecretReveal, &secret, TenantId::PLATFORM);
    // A principal on the wrong ground.
    deny(&PrincipalFacts { tenant: TenantId::PLATFORM, ..agent.clone() }, Action::SecretReveal, &secret, ACME);
    let operator = with_role(ACME, PrincipalKind::Operator, "operator-admin");
    deny(
        &PrincipalFacts { tenant: ACME, ..operator.clone() },
        Action::TenantShow,
        &thing(ResourceKind::Tenant, ACME),
        ACME,
    );
    deny(&operator, Action::PlatformHealth, &thing(ResourceKind::Platform, ACME), ACME);
    // The same member in two tenants.
    let member = principal(ACME, PrincipalKind::Member);
    deny(&member, Action::MemberShow, &Resource::plain(ResourceKind::Member, member.id.clone()), ZETA);
    // Containers in a circle.
    let mut circle = thing(ResourceKind::Folder, ACME);
    circle.parents.push((ResourceKind::Folder, circle.id.clone()));
    assert!(authority.decide(&agent, Action::SecretList, &circle, ACME, &context()).allowed, "itself is no container");
}

#[test]
fn a_policy_that_fails_to_evaluate_denies_whether_it_permits_or_forbids() {
    for effect in ["permit", "forbid"] {
        let failing = format!("{effect}(principal, action, resource) when {{ 9223372036854775807 + 1 == 0 }};");
        let authority = Authority::new(&[], &[policy(EVERYTHING), policy_named("failing", &failing)]);
        let decision = ask(&authority, &with_role(ACME, PrincipalKind::Member, "owner"), Action::SecretReveal, ACME);
        assert!(!decision.allowed, "{effect}");
        assert!(decision.determining.is_empty());
        assert_eq!(decision.errors.len(), 1);
        assert!(decision.errors[0].contains("policy:failing"), "{decision:?}");
    }
    // One that does not concern the request fails nobody.
    let elsewhere = "forbid(principal, action, resource is Ledger) when { 9223372036854775807 + 1 == 0 };";
    let authority = Authority::new(&[], &[policy(EVERYTHING), policy_named("failing", elsewhere)]);
    assert!(ask(&authority, &principal(ACME, PrincipalKind::Member), Action::SecretReveal, ACME).allowed);
}

#[test]
fn two_policies_of_one_name_allow_nothing() {
    let authority = Authority::new(&[], &[policy(EVERYTHING), policy(EVERYTHING)]);
    let decision = ask(&authority, &principal(ACME, PrincipalKind::Member), Action::SecretReveal, ACME);
    assert!(!decision.allowed && !decision.errors.is_empty());
}

#[test]
fn policies_read_labels_names_the_time_the_door_and_the_network() {
    let decide = |text: &str, facts: &PrincipalFacts, resource: &Resource, context: &RequestContext| {
        let authority = Authority::new(&[], &[policy(text)]);
        let first = authority.decide(facts, Action::SecretReveal, resource, ACME, context);
        assert!(first.errors.is_empty(), "{first:?}");
        first.allowed
    };
    let mut agent = principal(ACME, PrincipalKind::Agent);
    agent.labels = vec![("team".into(), "payments".into())];
    let mut secret = thing(ResourceKind::Secret, ACME);
    secret.tags = vec![("team".into(), "payments".into())];

    let by_team = r#"permit(principal, action, resource)
        when { principal.hasTag("team") && resource.hasTag("team") && principal.getTag("team") == resource.getTag("team") };"#;
    assert!(decide(by_team, &agent, &secret, &context()));
    assert!(!decide(by_team, &principal(ACME, PrincipalKind::Agent), &secret, &context()));
    assert!(!decide(by_team, &agent, &thing(ResourceKind::Secret, ACME), &context()));

    let by_name = r#"permit(principal is Agent, action, resource) when { principal.name like "some*" };"#;
    assert!(decide(by_name, &agent, &secret, &context()));
    assert!(!decide(by_name, &PrincipalFacts { name: "else".into(), ..agent.clone() }, &secret, &context()));

    let until = r#"permit(principal, action, resource) when { context.now < datetime("2023-11-14T22:13:20.001Z") };"#;
    assert!(decide(until, &agent, &secret, &context()));
    let later = RequestContext { now: Timestamp::from_unix_ms(NOW.unix_ms() + 1), ..context() };
    assert!(!decide(until, &agent, &secret, &later));

    let inside = r#"permit(principal, action, resource)
        when { context has source && context.source.isInRange(ip("192.0.2.0/24")) };"#;
    let from = |source: Option<&str>| RequestContext { source: source.map(|ip| ip.parse().unwrap()), ..context() };
    for (source, is_inside) in [
        (Some("192.0.2.9"), true),
        (Some("::ffff:192.0.2.9"), true),
        (Some("192.0.3.9"), false),
        (Some("::1"), false),
        (None, false),
    ] {
        assert_eq!(decide(inside, &agent, &secret, &from(source)), is_inside, "{source:?}");
    }

    let at_door = r#"permit(principal, action, resource) when { context.door == "vault" };"#;
    assert!(!decide(at_door, &agent, &secret, &context()));
    assert!(decide(at_door, &agent, &secret, &RequestContext { door: "vault", ..context() }));
}

#[test]
fn what_is_remembered_of_one_request_is_not_answered_to_another() {
    // One authority, so that its caches see all of these, and each twice.
    let text = r#"permit(principal, action == Action::"secret:reveal", resource)
        when { principal.hasTag("team") && resource.hasTag("team") && principal.getTag("team") == resource.getTag("team") };
        permit(principal, action == Action::"secret:write", resource) when { context.door == "vault" };"#;
    let authority = Authority::new(&[], &[policy(text)]);
    for _ in 0..2 {
        for mine in ["a", "b"] {
            for its in ["a", "b"] {
                for door in ["api", "vault"] {
                    let mut agent = principal(ACME, PrincipalKind::Agent);
                    agent.labels = vec![("team".into(), mine.into())];
                    let mut secret = thing(ResourceKind::Secret, ACME);
                    secret.tags = vec![("team".into(), its.into())];
                    let context = RequestContext { door, ..context() };
                    let may = |action| authority.decide(&agent, action, &secret, ACME, &context).allowed;
                    assert_eq!(may(Action::SecretReveal), mine == its);
                    assert_eq!(may(Action::SecretWrite), door == "vault");
                    assert!(!authority.decide(&agent, Action::SecretReveal, &secret, ZETA, &context).allowed);
                }
            }
        }
    }
}

#[test]
fn a_member_that_acts_on_itself_is_one_entity() {
    let text = format!(
        "permit(principal, action, resource) when {{ principal == resource }};
         permit(principal, action, resource in Tenant::\"{ACME}\") when {{ resource in principal }};"
    );
    let authority = Authority::new(&[], &[policy(&text)]);
    let mut member = principal(ACME, PrincipalKind::Member);
    member.labels = vec![("team".into(), "x".into())];
    let itself = Resource::plain(ResourceKind::Member, member.id.clone());
    assert!(authority.decide(&member, Action::MemberUpdate, &itself, ACME, &context()).allowed);
    let other = Resource::plain(ResourceKind::Member, "mem_else");
    assert!(!authority.decide(&member, Action::MemberUpdate, &other, ACME, &context()).allowed);
    // And its credentials are in it.
    let mut key = Resource::plain(ResourceKind::Credential, "key_1");
    assert!(!authority.decide(&member, Action::KeyRevoke, &key, ACME, &context()).allowed);
    key.parents = vec![(ResourceKind::Member, member.id.clone())];
    assert!(authority.decide(&member, Action::KeyRevoke, &key, ACME, &context()).allowed);
}

#[test]
fn documents_of_several_statements_number_them_in_the_order_of_the_text() {
    let text = r#"
        // the first
        forbid(principal, action == Action::"secret:purge", resource);
        permit(principal, action, resource);
        forbid(principal, action == Action::"secret:purge", resource);
        "#;
    let policy = policy(text);
    assert_eq!(policy.ids().collect::<Vec<_>>(), ["policy:p#1", "policy:p#2", "policy:p#3"]);
    let authority = Authority::new(&[], &[policy]);
    let agent = principal(ACME, PrincipalKind::Agent);
    assert_eq!(ask(&authority, &agent, Action::SecretReveal, ACME).determining, ["policy:p#2"]);
    assert_eq!(ask(&authority, &agent, Action::SecretPurge, ACME).determining, ["policy:p#1", "policy:p#3"]);
}

#[test]
fn mistakes_are_shown_where_they_are_with_a_hint() {
    #[track_caller]
    fn refused(text: &str, line: u32, column: u32, message: &str, hint: &str) {
        let problems = try_policy(text).unwrap_err();
        let found = problems.iter().any(|problem| {
            (problem.line, problem.column) == (line, column)
                && problem.message.contains(message)
                && problem.hint.as_deref().unwrap_or_default().contains(hint)
        });
        assert!(found, "{text}\n{problems:#?}");
        assert!(!problems.iter().any(|problem| problem.message.contains("policy0")), "{problems:?}");
    }
    refused("permit(principal, action, resource)", 1, 36, "unexpected end of input", "expected");
    refused("permit(\n  principal, acton, resource);", 2, 14, "invalid variable", "`action`");
    refused("allow(principal, action, resource);", 1, 1, "invalid policy effect: allow", "permit");
    refused("", 1, 1, "no statement", "permit");
    refused("// nothing\n", 1, 1, "no statement", "permit");
    refused(
        "permit(principal, action == Action::\"secret:reval\", resource);",
        1,
        29,
        "unrecognized action",
        "did you mean `Action::",
    );
    refused("permit(principal is Robot, action, resource);", 1, 21, "unrecognized entity type `Robot`", "");
    refused(
        "permit(principal, action, resource is Secret)\nwhen { \"é\" == resource.owner };",
        2,
        15,
        "attribute `owner` on entity type `Secret` not found",
        "",
    );
    refused("permit(principal is Agent, action, resource) when { principal.name };", 1, 53, "expected Bool", "");
    refused(
        "permit(principal, action, resource) when { context.source.isLoopback() };",
        1,
        44,
        "optional attribute",
        "has",
    );
    refused(
        "permit(principal, action, resource) when { resource.tenant.hasTag(\"x\") };",
        1,
        44,
        "looks further",
        "as a whole",
    );
    refused(
        "permit(principal, action, resource) when { Mount::\"a\".tenant == principal.tenant };",
        1,
        44,
        "looks further",
        "as a whole",
    );
    refused(
        "permit(principal, action, resource);\n\npermit(principal == ?principal, action, resource);",
        3,
        1,
        "templates are not allowed",
        "bind a role",
    );
    // The second statement is the wrong one.
    let text = "forbid(principal, action, resource);\n  permit(principal, action, resource);";
    let problems = compile_policy(Layer::Guardrail, &name("g"), text).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert_eq!((problems[0].line, problems[0].column), (2, 3));
    assert!(problems[0].message.contains("may only forbid") && problems[0].hint.is_some());
    // The same statement twice is two mistakes, each in its own place.
    let text = "permit(principal, action, resource);\n  permit(principal, action, resource);";
    let problems = compile_policy(Layer::Guardrail, &name("g"), text).unwrap_err();
    assert_eq!(problems.iter().map(|problem| (problem.line, problem.column)).collect::<Vec<_>>(), [(1, 1), (2, 3)]);
}

#[test]
fn a_stored_policy_comes_back_without_validation_and_under_the_rules_of_its_layer() {
    let hostile = &"(".repeat(1_000);
    let restored = |layer, text: &str| restore_policy(layer, &name("p"), text);
    let back = restored(Layer::Tenant, EVERYTHING).unwrap();
    assert!(
        ask(&Authority::new(&[], &[back]), &principal(ACME, PrincipalKind::Agent), Action::SecretReveal, ACME).allowed
    );
    // Of an older schema, say: what it says cannot be evaluated, and so nothing is allowed.
    let stale =
        restored(Layer::Tenant, "forbid(principal, action, resource) when { resource.owner == principal };").unwrap();
    let decision = ask(
        &Authority::new(&[], &[policy_named("q", EVERYTHING), stale]),
        &principal(ACME, PrincipalKind::Agent),
        Action::SecretReveal,
        ACME,
    );
    assert!(!decision.allowed && decision.errors.len() == 1, "{decision:?}");

    assert!(restored(Layer::Guardrail, EVERYTHING).is_err());
    assert!(restored(Layer::Tenant, "permit(principal == ?principal, action, resource);").is_err());
    assert!(restored(Layer::Tenant, hostile).is_err());
    assert!(restored(Layer::Tenant, "").is_err());
}

#[test]
fn problems_are_reported_up_to_a_bound() {
    let text = "permit(principal, action, resource) when { resource.nope == 1 };\n".repeat(20);
    assert_eq!(try_policy(&text).unwrap_err().len(), bailiwick_authz::compile::PROBLEMS_MAX);
}

#[test]
fn what_can_never_match_is_a_warning() {
    assert!(policy(EVERYTHING).warnings().is_empty());
    for text in [
        r#"permit(principal is Operator, action == Action::"secret:reveal", resource);"#,
        r#"permit(principal, action == Action::"secret:reveal", resource is Ledger);"#,
        r#"permit(principal, action == Action::"read", resource);"#,
    ] {
        assert!(!policy(text).warnings().is_empty(), "{text}");
    }
}

#[test]
fn explanations_count_what_was_considered() {
    let others = (0..50).map(|n| {
        policy_named(&format!("n{n}"), &format!("permit(principal, action, resource == Secret::\"secret/{n}\");"))
    });
    // Each does not fit in one thing only.
    let near = [
        r#"permit(principal is Agent, action == Action::"secret:purge", resource is Secret in Mount::"secret");"#
            .to_owned(),
        format!("permit(principal is Member in Tenant::\"{ACME}\", action, resource is Secret);"),
        format!("permit(principal is Agent in Tenant::\"{ZETA}\", action, resource is Secret);"),
        r#"permit(principal, action == Action::"secret:reveal", resource is Folder in Mount::"secret");"#.to_owned(),
        r#"permit(principal, action == Action::"secret:reveal", resource is Secret in Mount::"other");"#.to_owned(),
        r#"permit(principal, action in [Action::"read"], resource);"#.to_owned(),
    ];
    let near = near.iter().enumerate().map(|(n, text)| policy_named(&format!("near{n}"), text));
    let policies: Vec<_> = others.chain(near).chain([policy(EVERYTHING)]).collect();
    let authority = Authority::new(&[], &policies);
    let mut agent = principal(ACME, PrincipalKind::Agent);
    agent.roles =
        vec![link("viewer", ResourceKind::Mount, "other"), link("secret-reader", ResourceKind::Mount, "secret")];
    let secret = thing(ResourceKind::Secret, ACME);
    let explanation =
        authority.decide_full(&agent, Action::SecretReveal, &secret, home(ResourceKind::Secret, ACME), &context());
    assert!(explanation.decision.allowed);
    assert_eq!(explanation.candidates, 3, "isolation, the one that permits, the role that permits");
    assert_eq!(explanation.total, 2 + 50 + 6 + 1 + 2);
}
