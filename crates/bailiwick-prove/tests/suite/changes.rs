//! What a change newly allows and denies, and what is worth a warning.

use bailiwick_types::api::proof::Outcome;

use crate::world::{ACME, NO_AGENT_REVEALS_PROD, prover, set};

const READ_APP: &str =
    r#"permit(principal is Agent, action == Action::"secret:reveal", resource in Folder::"secret/app");"#;

#[test]
fn a_new_permit_is_shown_as_what_it_newly_allows() {
    let diff = prover().diff(ACME, &set(&[], &[]), &set(&[], &[("app", READ_APP)]));
    assert_eq!(diff.outcome, Outcome::Proved, "{diff:?}");
    assert!(diff.denied.is_empty(), "{diff:?}");
    let [allowed] = diff.allowed.as_slice() else { panic!("{diff:?}") };
    assert_eq!(allowed.actions, ["secret:reveal"]);
    assert_eq!(allowed.example.determining, ["policy:app"]);
    assert!(allowed.example.resource.within.contains(&"Folder::\"secret/app\"".to_owned()), "{allowed:?}");
    assert!(diff.warnings.is_empty(), "{diff:?}");
}

#[test]
fn a_new_forbid_is_shown_as_what_it_newly_denies_even_to_roles() {
    let prover = prover();
    let with = set(&[], &[("no-prod", NO_AGENT_REVEALS_PROD)]);
    let diff = prover.diff(ACME, &set(&[], &[]), &with);
    assert!(diff.allowed.is_empty(), "{diff:?}");
    let [denied] = diff.denied.as_slice() else { panic!("{diff:?}") };
    assert_eq!(denied.example.determining, ["any role"]);
    assert_eq!(denied.example.resource.tags["env"], "prod");
    // And the other way round.
    let back = prover.diff(ACME, &with, &set(&[], &[]));
    assert_eq!((back.allowed.len(), back.denied.len()), (1, 0), "{back:?}");
    // The same set is no change, and so is a policy that says the same in other words.
    let again =
        set(&[], &[("no-prod", NO_AGENT_REVEALS_PROD), ("again", &NO_AGENT_REVEALS_PROD.replace(" is ", "  is "))]);
    let same = prover.diff(ACME, &with, &again);
    assert!(same.allowed.is_empty() && same.denied.is_empty(), "{same:?}");
}

#[test]
fn warnings_say_what_never_matches_is_shadowed_unscoped_or_closes_everything() {
    let prover = prover();
    let current = set(&[], &[("no-prod", NO_AGENT_REVEALS_PROD)]);
    let warned = |name: &str, text: &str| {
        let diff = prover.diff(ACME, &current, &set(&[], &[("no-prod", NO_AGENT_REVEALS_PROD), (name, text)]));
        assert_eq!(diff.outcome, Outcome::Proved, "{diff:?}");
        diff.warnings
    };
    let never = r#"permit(principal is Agent, action == Action::"secret:reveal", resource in Folder::"secret/app")
        when { resource.hasTag("env") && resource.getTag("env") == "a" && resource.getTag("env") == "b" };"#;
    assert_eq!(warned("never", never), ["policy:never: never matches: no request can satisfy it"]);
    let shadowed = r#"permit(principal is Agent, action == Action::"secret:reveal", resource in Folder::"secret/app")
        when { resource.hasTag("env") && resource.getTag("env") == "prod" };"#;
    assert_eq!(
        warned("shadowed", shadowed),
        ["policy:shadowed: shadowed by a forbid: wherever it would allow, policy:no-prod forbids"]
    );
    let unscoped = r#"permit(principal is Agent, action == Action::"secret:list", resource);"#;
    assert_eq!(
        warned("unscoped", unscoped),
        ["policy:unscoped: unscoped: only the isolation rule keeps it inside the tenant"]
    );
    let scoped = r#"permit(principal is Agent, action == Action::"secret:list", resource)
        when { principal.tenant == resource.tenant };"#;
    assert!(warned("scoped", scoped).is_empty());
    let closing = r#"forbid(principal is Agent, action == Action::"secret:list", resource);"#;
    assert_eq!(
        warned("closing", closing),
        ["always denies: no role and no policy can allow `secret:list` to Agent any more"]
    );
}

#[test]
fn a_subset_takes_away_and_what_adds_is_shown() {
    let prover = prover();
    let current = set(&[], &[("app", READ_APP)]);
    let narrower = READ_APP.replace("secret/app", "secret/app/web");
    let fits = prover.subset(ACME, &set(&[], &[("app", &narrower)]), &current);
    assert_eq!(fits.verdict.outcome, Outcome::Proved, "{fits:?}");
    let wider = READ_APP.replace("in Folder::\"secret/app\"", "in Mount::\"secret\"");
    let exceeds = prover.subset(ACME, &set(&[], &[("app", &wider)]), &current);
    assert_eq!(exceeds.verdict.outcome, Outcome::Refuted, "{exceeds:?}");
    let example = exceeds.verdict.counterexample.unwrap();
    assert!(!example.resource.within.contains(&"Folder::\"secret/app\"".to_owned()), "{example:?}");
    // Taking a forbid away allows more, even if no policy permits anything: somebody may have a role.
    let forbid = set(&[], &[("no-prod", NO_AGENT_REVEALS_PROD)]);
    assert_eq!(prover.subset(ACME, &set(&[], &[]), &forbid).verdict.outcome, Outcome::Refuted);
    assert_eq!(prover.subset(ACME, &forbid, &set(&[], &[])).verdict.outcome, Outcome::Proved);
}
