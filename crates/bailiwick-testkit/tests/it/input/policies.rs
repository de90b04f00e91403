//! Policy texts that do not parse, do not fit the schema or break the rules of their layer: refused with the place and,
//! where there is one, what to try instead; and what would relax a guardrail.

use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use super::Watch;

/// A text, where it is wrong (line and column), and a part of what is told.
type Case = (&'static str, (u64, u64), &'static str);

const DOES_NOT_PARSE: &[Case] = &[
    ("", (1, 1), "the policy has no statement"),
    ("// nothing", (1, 1), "the policy has no statement"),
    ("permit", (1, 7), "unexpected end of input"),
    ("permit(principal, action, resource)", (1, 36), "unexpected end of input"),
    ("permit(principal, action);", (1, 25), "missing the `resource` variable"),
    ("allow(principal, action, resource);", (1, 1), "invalid policy effect: allow"),
    ("permit(principal, action, resource) when { };", (1, 37), "condition clause cannot be empty"),
    ("permit(principal, action, resource) when { (true };", (1, 50), "this bracket closes nothing"),
    ("permit(principal, action, resource);\n}", (2, 1), "this bracket closes nothing"),
    ("permit(principal == ?principal, action, resource);", (1, 1), "templates are not allowed here"),
    ("permit(principal, action, resource) when { 9223372036854775808 > 0 };", (1, 44), "integer literal"),
    ("permit(principal, action, resource) when { \"\\q\" == \"\" };", (1, 44), "escape"),
];

const DOES_NOT_FIT: &[Case] = &[
    (
        "permit(principal, action == Action::\"secret:steal\", resource);",
        (1, 29),
        "unrecognized action `Action::\"secret:steal\"`",
    ),
    ("permit(principal is Robot, action, resource);", (1, 21), "unrecognized entity type `Robot`"),
    (
        "\n\npermit(principal, action == Action::\"secret:reveal\", resource)\nwhen { resource.colour == 1 };",
        (4, 8),
        "attribute `colour`",
    ),
    (
        "permit(principal, action == Action::\"secret:reveal\", resource) when { context.door == 1 };",
        (1, 71),
        "are not compatible",
    ),
    ("permit(principal, action, resource) when { 1 };", (1, 44), "unexpected type"),
];

/// What differs from what was expected of an answer, if anything.
fn refused(watch: &Watch<'_>, answer: &Answer, case: &Case, what: &str) -> Option<String> {
    let (text, at, message) = case;
    watch.refused(answer, 400, "invalid_policy", &format!("{what}: {text}"));
    let body = answer.json();
    let errors = body["errors"].as_array().unwrap_or_else(|| panic!("{what}: {text}: {body}"));
    let first = &errors[0];
    let place = (first["line"].as_u64().unwrap(), first["column"].as_u64().unwrap());
    assert!(body["hint"].as_str().unwrap().contains("bailiwick policy schema"));
    let is_told = first["message"].as_str().unwrap().contains(message);
    (!is_told || place != *at).then(|| format!("{what}: {text:?}: {errors:?}"))
}

/// Every way to send a text: new, in place of another, as a trial, in a question.
fn ways(world: &World, text: &str) -> Vec<(&'static str, Answer)> {
    let send = |method: &str, target: &str, body: &Value| world.send(&world.acme.owner, method, target, body);
    let base = "/api/v1/t/acme/policies";
    let question = json!({
        "action": "self:show", "resource": "tenant", "principal": world.acme.owner.id, "with_policies": { "x": text },
    });
    vec![
        ("a new one", send("POST", base, &json!({ "name": "x", "text": text }))),
        ("another text", send("PUT", &format!("{base}/house-rules"), &json!({ "text": text }))),
        ("a trial", send("PUT", &format!("{base}/house-rules"), &json!({ "text": text, "dry_run": true }))),
        ("a question", send("POST", &format!("{base}:check"), &question)),
    ]
}

#[test]
fn a_policy_that_is_none_is_refused_with_its_place() {
    let world = World::two_tenants();
    let watch = Watch::on(&world, &world.acme, &world.globex);
    let admin = &world.platform.admin;
    let mut wrong = Vec::new();
    for case in DOES_NOT_PARSE.iter().chain(DOES_NOT_FIT) {
        for (what, answer) in ways(&world, case.0) {
            wrong.extend(refused(&watch, &answer, case, what));
        }
        // As a guardrail it is told the same, unless it fails as a guardrail first.
        let guardrail = case.0.replace("permit", "forbid");
        let answer = world.send(admin, "POST", "/api/v1/guardrails", &json!({ "name": "x", "text": guardrail }));
        watch.refused(&answer, 400, "invalid_policy", &format!("a guardrail: {guardrail}"));
        assert!(!answer.json()["errors"].as_array().unwrap().is_empty());
    }
    watch.end();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_can_be_done_about_it_is_told_too() {
    let world = World::two_tenants();
    for (text, hint) in [
        ("", "start with `permit (principal, action, resource);`"),
        ("permit(principal == ?principal, action, resource);", "name the principal or resource instead"),
        ("permit(principal, action, resource) when { (true };", "remove it, or open it before"),
        ("permit(principal, action, resource) when { (true", "close it"),
        ("permit(principal, action == Action::\"secret:reveel\", resource);", "did you mean"),
        ("permit(principal is Memberr, action, resource);", "Member"),
    ] {
        let body = json!({ "name": "x", "text": text });
        let answer = world.send(&world.acme.owner, "POST", "/api/v1/t/acme/policies", &body).expect(400);
        let told = answer["errors"][0]["hint"].as_str().unwrap_or_default().to_owned();
        assert!(told.contains(hint), "{text}: {answer}");
    }
}

#[test]
fn a_text_that_is_too_much_is_refused_and_harms_nobody() {
    let world = World::two_tenants();
    let watch = Watch::on(&world, &world.acme, &world.globex);
    let when = |condition: &str| format!("permit(principal, action, resource) when {{ {condition} }};");
    for text in [
        when(&format!("{}true{}", "(".repeat(20_000), ")".repeat(20_000))),
        when(&"!".repeat(20_000)),
        when(&"if true then true else ".repeat(500)),
        when(&format!("true{}", " && true".repeat(7_000))),
        "permit(principal, action, resource);".repeat(1_000),
        when(&format!("{}1{} == []", "[".repeat(10_000), "]".repeat(10_000))),
    ] {
        for (what, answer) in ways(&world, &text) {
            watch.refused(&answer, 400, "invalid_policy", what);
            assert!(answer.body.len() < 20_000, "{what} is answered with {} bytes", answer.body.len());
        }
    }
    watch.end();
}

#[test]
fn a_guardrail_only_forbids_and_only_operators_write_one() {
    let world = World::two_tenants();
    let admin = &world.platform.admin;
    let permit = json!({ "name": "x", "text": "permit(principal, action, resource);" });
    for (own, other) in world.both_ways() {
        let watch = Watch::on(&world, own, other);
        let answer = world.send(admin, "POST", "/api/v1/guardrails", &permit);
        watch.refused(&answer, 400, "invalid_policy", "a guardrail that permits");
        let errors = &answer.json()["errors"][0];
        assert!(errors["hint"].as_str().unwrap().contains("write `forbid (…) unless { … };`"), "{errors}");
        // Whoever is of a tenant is no operator there, whatever it wants of it.
        for caller in [&own.owner, &own.admin] {
            for (method, target, body) in [
                ("GET", "/api/v1/guardrails", Value::Null),
                ("GET", "/api/v1/guardrails/no-embargoed", Value::Null),
                ("POST", "/api/v1/guardrails", permit.clone()),
                ("PUT", "/api/v1/guardrails/no-embargoed", json!({ "text": "forbid(principal, action, resource);" })),
                ("DELETE", "/api/v1/guardrails/no-embargoed", Value::Null),
                ("PUT", "/api/v1/guardrails/no-embargoed", json!({ "text": "no policy" })),
            ] {
                let answer = world.send(caller, method, target, &body);
                watch.refused(&answer, 403, "permission_denied", &format!("{method} {target}"));
                let noted = &world.platform_ledger(1)[0];
                assert_eq!(noted["detail"]["isolation"], "refused", "{method} {target}: {noted}");
                assert_eq!(noted["actor"]["id"], caller.id);
            }
        }
        // Nor is there anything of the kind inside a tenant.
        for target in ["guardrails", "guardrails/no-embargoed", "policies/guardrail:no-embargoed"] {
            let target = format!("/api/v1/t/{}/{target}", own.slug);
            let answer = world.send(&own.owner, "DELETE", &target, &Value::Null);
            assert_eq!(answer.status, 404, "{target}");
            watch.unchanged(&answer, &target);
        }
        watch.end();
    }
}
