//! Properties that hold, and requests that show where they do not.

use bailiwick_authz::analysis::EffectiveSet;
use bailiwick_types::Plane;
use bailiwick_types::api::proof::{Covers, Outcome};

use crate::world::{ACME, NO_AGENT_REVEALS_PROD, ZETA, claim, is_proved, prover, question, set, verdict};

const EMBARGO: &str = r#"forbid(principal, action == Action::"secret:reveal", resource)
    when { resource.hasTag("embargo") && resource.getTag("embargo") == "yes" };"#;
const EVERYTHING: &str = "permit(principal, action, resource);";

#[test]
fn isolation_and_guardrails_are_proved_whatever_a_tenant_permits() {
    let prover = prover();
    let proof = prover.prove(&question(set(&[("embargo", EMBARGO)], &[("all", EVERYTHING)]), vec![]));
    is_proved(&proof);
    assert_eq!(
        proof.verdicts.iter().map(|verdict| verdict.property.as_str()).collect::<Vec<_>>(),
        ["isolation", "guardrail:embargo"]
    );
    // The whole platform: operators too, and every tenant.
    let platform = EffectiveSet { plane: Plane::Platform, ..set(&[("embargo", EMBARGO)], &[]) };
    let whole = prover.prove(&question(platform, vec![]));
    is_proved(&whole);
    assert!(verdict(&whole, "isolation").environments > verdict(&proof, "isolation").environments);
}

#[test]
fn an_invariant_that_rests_on_roles_alone_is_refuted_by_a_request_that_a_person_can_read() {
    let invariant = claim("no-prod", Covers::Everything, NO_AGENT_REVEALS_PROD);
    let proof = prover().prove(&question(set(&[], &[]), vec![invariant]));
    assert_eq!(proof.outcome, Outcome::Refuted);
    assert_eq!(proof.status(), "refuted: invariant:no-prod");
    assert_eq!(verdict(&proof, "isolation").outcome, Outcome::Proved);
    let found = verdict(&proof, "invariant:no-prod").counterexample.as_ref().unwrap();
    assert_eq!((found.principal.kind.as_str(), found.action.as_str()), ("Agent", "secret:reveal"));
    assert_eq!((found.resource.kind.as_str(), found.resource.tags["env"].as_str()), ("Secret", "prod"));
    assert_eq!(found.principal.tenant, found.resource.tenant, "{found:?}");
    assert_eq!(found.determining, ["any role"]);
    assert!(found.sentence.contains("may secret:reveal"), "{}", found.sentence);
    assert!(found.sentence.contains("[env=prod]"), "{}", found.sentence);
}

#[test]
fn an_invariant_that_a_forbid_keeps_is_proved_and_taking_the_forbid_away_is_refuted() {
    let prover = prover();
    let invariant = || vec![claim("no-prod", Covers::Everything, NO_AGENT_REVEALS_PROD)];
    // Said differently, so that it is not the same text that proves itself.
    let forbid = r#"forbid(principal, action in [Action::"reveal"], resource is Secret)
        when { principal is Agent && resource.hasTag("env") }
        unless { resource.getTag("env") != "prod" };"#;
    is_proved(&prover.prove(&question(set(&[], &[("f", forbid), ("all", EVERYTHING)]), invariant())));
    // Weakened a little.
    let weaker = forbid.replace("principal is Agent &&", "principal is Agent && resource in Mount::\"secret\" &&");
    let proof = prover.prove(&question(set(&[], &[("f", &weaker), ("all", EVERYTHING)]), invariant()));
    let found = verdict(&proof, "invariant:no-prod").counterexample.as_ref().unwrap();
    assert!(!found.resource.within.iter().any(|container| container == "Mount::\"secret\""), "{found:?}");
    assert_eq!(prover.prove(&question(set(&[], &[]), invariant())).outcome, Outcome::Refuted);
}

#[test]
fn an_invariant_over_policies_names_the_policy_that_breaks_it() {
    let prover = prover();
    let invariant = || vec![claim("no-prod", Covers::Policies, NO_AGENT_REVEALS_PROD)];
    let careful = r#"permit(principal is Agent, action == Action::"secret:reveal", resource)
        when { resource.hasTag("env") && resource.getTag("env") == "dev" };"#;
    is_proved(&prover.prove(&question(set(&[], &[("careful", careful)]), invariant())));
    let careless =
        r#"permit(principal is Agent, action == Action::"secret:reveal", resource in Folder::"secret/app");"#;
    let both = set(&[], &[("careful", careful), ("careless", careless)]);
    let proof = prover.prove(&question(both, invariant()));
    let found = verdict(&proof, "invariant:no-prod").counterexample.as_ref().unwrap();
    assert_eq!(found.determining, ["policy:careless"]);
    assert!(found.resource.within.contains(&"Folder::\"secret/app\"".to_owned()), "{found:?}");
    // A folder of a mount is in that mount: the solver is told so.
    assert!(found.resource.within.contains(&"Mount::\"secret\"".to_owned()), "{found:?}");
}

#[test]
fn an_invariant_with_permits_is_the_most_that_may_be_allowed() {
    let prover = prover();
    let ceiling = r#"permit(principal, action in [Action::"read"], resource);
        permit(principal, action == Action::"self:revoke", resource);"#;
    let invariant = || vec![claim("readers", Covers::Policies, ceiling)];
    let read = r#"permit(principal is Agent, action == Action::"secret:list", resource);"#;
    is_proved(&prover.prove(&question(set(&[], &[("read", read)]), invariant())));
    let write = r#"permit(principal is Agent, action == Action::"secret:write", resource);"#;
    let proof = prover.prove(&question(set(&[], &[("read", read), ("write", write)]), invariant()));
    let found = verdict(&proof, "invariant:readers").counterexample.as_ref().unwrap();
    assert_eq!(
        (found.action.as_str(), found.determining.as_slice()),
        ("secret:write", &["policy:write".to_owned()][..])
    );
}

#[test]
fn a_folder_is_in_its_mount_and_a_principal_in_one_tenant() {
    let prover = prover();
    // Everything in the folder is in the mount, so the forbid on the mount keeps the invariant on the folder.
    let forbid = r#"forbid(principal is Agent, action, resource in Mount::"secret");"#;
    let within = r#"forbid(principal is Agent, action, resource in Folder::"secret/deploy/prod");"#;
    is_proved(&prover.prove(&question(set(&[], &[("f", forbid)]), vec![claim("deploy", Covers::Everything, within)])));
    let elsewhere = r#"forbid(principal is Agent, action, resource in Folder::"kv/deploy/prod");"#;
    let question = question(set(&[], &[("f", forbid)]), vec![claim("deploy", Covers::Everything, elsewhere)]);
    assert_eq!(prover.prove(&question).outcome, Outcome::Refuted);
}

#[test]
fn an_invariant_that_can_fail_to_evaluate_is_not_proved() {
    let text = r#"forbid(principal is Agent, action == Action::"secret:reveal", resource)
        when { context.now.offset(duration("100000d")) > context.now };"#;
    let proof = prover().prove(&question(set(&[], &[]), vec![claim("odd", Covers::Everything, text)]));
    let found = verdict(&proof, "invariant:odd");
    assert_eq!(found.outcome, Outcome::Unproven, "{found:?}");
    assert_eq!(found.reason.as_deref(), Some("the invariant itself can fail to evaluate"));
}

#[test]
fn what_was_proved_is_named_by_its_content() {
    let prover = prover();
    let one = r#"forbid(principal is Agent, action == Action::"secret:purge", resource);"#;
    let two = r#"forbid(principal is Agent, action == Action::"secret:destroy", resource);"#;
    let hash = |policies: &[(&str, &str)]| prover.prove(&question(set(&[], policies), vec![])).hash;
    let both = hash(&[("a", one), ("b", two)]);
    assert_eq!(both, hash(&[("b", two), ("a", one)]), "the order of policies says nothing");
    assert_ne!(both, hash(&[("a", one)]));
    assert_ne!(both, hash(&[("a", two), ("b", one)]));
    let mut theirs = question(set(&[], &[("a", one), ("b", two)]), vec![]);
    theirs.tenant = ZETA;
    assert_ne!(theirs.tenant, ACME);
    assert_eq!(both, prover.prove(&theirs).hash, "the hash says what was proved, not for whom");
}

#[test]
fn the_deepest_and_longest_policies_end_in_an_answer() {
    let prover = prover();
    let deep = format!(
        "permit(principal, action == Action::\"secret:reveal\", resource) when {{ principal is Agent{} }};",
        " || context.door == \"api\"".repeat(150)
    );
    is_proved(&prover.prove(&question(set(&[], &[("deep", &deep)]), vec![])));
    let names: Vec<String> = (0..400).map(|n| format!("Secret::\"secret/s{n}\"")).collect();
    let many = format!(
        "forbid(principal, action == Action::\"secret:reveal\", resource) when {{ [{}].contains(resource) }};",
        names.join(", ")
    );
    // What has nothing to do with a question is not in it.
    is_proved(&prover.prove(&question(set(&[], &[("many", &many)]), vec![])));
    let about = r#"forbid(principal, action == Action::"secret:reveal", resource == Secret::"secret/s7");"#;
    let proof = prover.prove(&question(set(&[], &[("many", &many)]), vec![claim("s7", Covers::Everything, about)]));
    assert_eq!(proof.status(), "unproven: too many policies or names for one proof");
}

#[test]
fn the_shipped_examples_are_invariants_that_a_forbid_of_the_same_words_keeps() {
    let prover = prover();
    for (name, text) in [
        ("no-agent", include_str!("../../../../docs/guides/invariants/no-agent-reveals-prod.cedar")),
        ("deploy", include_str!("../../../../docs/guides/invariants/only-release-writes-deploy.cedar")),
        ("apart", include_str!("../../../../docs/guides/invariants/environments-apart.cedar")),
    ] {
        let invariant = || vec![claim(name, Covers::Everything, text)];
        let bare = prover.prove(&question(set(&[], &[]), invariant()));
        assert_eq!(bare.outcome, Outcome::Refuted, "{name}");
        is_proved(&prover.prove(&question(set(&[], &[(name, text), ("all", EVERYTHING)]), invariant())));
    }
}

#[test]
fn forbids_that_have_nothing_to_do_with_it_cost_nothing_and_those_that_have_are_found() {
    let prover = prover();
    let mut policies: Vec<(String, String)> = (0..120)
        .map(|n| {
            let text = format!(
                "forbid(principal is Agent, action == Action::\"secret:reveal\", resource in Folder::\"secret/f{n}\");"
            );
            (format!("p{n}"), text)
        })
        .collect();
    // Neither names what the other names, and still the one keeps the other: a folder is in its mount.
    policies.push(("mount".to_owned(), r#"forbid(principal is Agent, action, resource in Mount::"kv");"#.to_owned()));
    let policies: Vec<(&str, &str)> = policies.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let within = r#"forbid(principal is Agent, action == Action::"secret:reveal", resource in Folder::"kv/prod");"#;
    let invariant = || vec![claim("kv", Covers::Everything, within)];
    is_proved(&prover.prove(&question(set(&[], &policies), invariant())));
    let without = set(&[], policies.get(..120).unwrap());
    assert_eq!(prover.prove(&question(without, invariant())).outcome, Outcome::Refuted);
}
