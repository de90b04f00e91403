//! What the kernel does with proofs: refuses, records, shows. The prover here says what the test wants; the real one has
//! tests of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bailiwick_app::{AppConfig, NoProver, Prover};
use bailiwick_authz::analysis::{EffectiveSet, Question};
use bailiwick_testkit::{Tenant, World, WorldOptions, names};
use bailiwick_types::TenantId;
use bailiwick_types::api::proof::{ExampleParty, ExampleRequest, Outcome, PolicyDiff, Proof, SubsetResult, Verdict};
use serde_json::{Value, json};

type Meanwhile = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Says that every invariant is broken by a policy or guardrail that is called `breaker`.
#[derive(Default)]
struct Scripted {
    asked: Mutex<Vec<Question>>,
    /// What happens while the next proof is made.
    meanwhile: Mutex<Option<Meanwhile>>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

#[async_trait]
impl Prover for Scripted {
    async fn prove(&self, question: Question) -> Proof {
        let meanwhile = self.meanwhile.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile.await;
        }
        let mut documents = question.set.policies.iter().chain(&question.set.guardrails);
        let is_broken = documents.any(|document| document.name().as_str() == "breaker");
        let outcome = if is_broken { Outcome::Refuted } else { Outcome::Proved };
        let verdicts: Vec<Verdict> = question
            .invariants
            .iter()
            .map(|claim| Verdict {
                property: format!("invariant:{}", claim.text.name()),
                outcome,
                reason: None,
                counterexample: is_broken.then(|| Box::new(example())),
                environments: 1,
            })
            .collect();
        let outcome = verdicts.iter().map(|verdict| verdict.outcome).max().unwrap_or(Outcome::Proved);
        let reason = (outcome == Outcome::Refuted).then(|| "an invariant".to_owned());
        self.asked.lock().unwrap().push(question);
        Proof { outcome, reason, hash: "00ff".to_owned(), solver: Some("cvc5 9".to_owned()), verdicts }
    }

    async fn diff(&self, tenant: TenantId, current: EffectiveSet, proposed: EffectiveSet) -> PolicyDiff {
        assert_ne!(current.policies.len(), proposed.policies.len());
        NoProver.diff(tenant, current, proposed).await
    }

    async fn subset(&self, tenant: TenantId, proposal: EffectiveSet, current: EffectiveSet) -> SubsetResult {
        assert_ne!(current.policies.len(), proposal.policies.len());
        NoProver.subset(tenant, proposal, current).await
    }
}

fn example() -> ExampleRequest {
    let party = |kind: &str| ExampleParty { kind: kind.to_owned(), id: "x".to_owned(), ..ExampleParty::default() };
    ExampleRequest {
        principal: party("Agent"),
        action: "secret:reveal".to_owned(),
        resource: party("Secret"),
        context: std::collections::BTreeMap::new(),
        determining: vec!["policy:breaker".to_owned()],
        sentence: "Agent \"x\" may secret:reveal Secret \"x\": allowed by policy:breaker".to_owned(),
    }
}

const FORBID: &str = r#"forbid(principal is Agent, action == Action::"secret:purge", resource);"#;

fn world() -> (World, Arc<Scripted>) {
    let scripted = Arc::new(Scripted::default());
    let prover = Arc::clone(&scripted);
    let app = AppConfig { prover, ..AppConfig::default() };
    (World::with(WorldOptions { app, ..WorldOptions::default() }), scripted)
}

fn at(tenant: &Tenant, path: &str) -> String {
    format!("/api/v1/t/{}/{path}", tenant.slug)
}

fn put(world: &World, tenant: &Tenant, path: &str) -> bailiwick_testkit::Answer {
    world.send(&tenant.owner, "PUT", &at(tenant, path), &json!({ "text": FORBID }))
}

#[test]
fn a_change_that_breaks_an_invariant_is_refused_with_the_request_that_shows_it() {
    let (world, _) = world();
    let acme = &world.acme;
    let before = world.get(&acme.owner, &at(acme, "policies")).expect(200);
    let refused = put(&world, acme, "policies/breaker").expect(409);
    assert_eq!(refused["code"], "proof_refuted");
    let broken: BTreeSet<_> =
        refused["refuted"].as_array().unwrap().iter().map(|each| each["property"].as_str().unwrap()).collect();
    assert!(broken.contains(format!("invariant:{}", names::INVARIANT).as_str()), "{refused}");
    let shown = &refused["refuted"][0]["counterexample"];
    assert_eq!((&shown["action"], &shown["determining"]), (&json!("secret:reveal"), &json!(["policy:breaker"])));
    assert_eq!(shown["sentence"], example().sentence);
    assert!(refused["detail"].as_str().unwrap().contains(names::INVARIANT), "{refused}");
    let entry = &world.ledger(acme, 1)[0];
    assert_eq!((&entry["action"], &entry["code"]), (&json!("policy:put"), &json!("proof_refuted")));
    let detail = &entry["detail"];
    assert_eq!((&detail["proof_of"], &detail["proof_solver"]), (&json!("00ff"), &json!("cvc5 9")), "{entry}");
    assert!(detail["counterexample"].as_str().unwrap().contains("policy:breaker"), "{entry}");
    assert!(detail["refuted"].as_str().unwrap().contains(names::INVARIANT), "{entry}");
    assert_eq!(world.get(&acme.owner, &at(acme, "policies")).expect(200), before);
    // Not even to look at it.
    let dry = json!({ "text": FORBID, "dry_run": true });
    let answer = world.send(&acme.owner, "PUT", &at(acme, "policies/breaker"), &dry);
    assert_eq!(answer.expect(409)["code"], "proof_refuted");
}

#[test]
fn what_was_proved_is_shown_and_written_down() {
    let (world, _) = world();
    let acme = &world.acme;
    let stored = put(&world, acme, "policies/rule").expect(200);
    assert_eq!(stored["proof"]["status"], "proved");
    let shown = world.get(&acme.owner, &at(acme, "policies/rule")).expect(200);
    assert_eq!(shown["proof"], stored["proof"]);
    assert_eq!((&shown["proof"]["hash"], &shown["proof"]["solver"]), (&json!("00ff"), &json!("cvc5 9")));
    put(&world, acme, "policies/rule").expect(200);
    let entry = &world.ledger(acme, 1)[0];
    assert_eq!((&entry["detail"]["proof"], &entry["detail"]["proof_of"]), (&json!("proved"), &json!("00ff")));
    world.send(&acme.owner, "DELETE", &at(acme, "policies/rule"), &Value::Null).expect(200);
    assert_eq!(world.ledger(acme, 1)[0]["detail"]["proof"], "proved");
    let checked = world.send(&acme.owner, "POST", &at(acme, "invariants:check"), &Value::Null).expect(200);
    assert_eq!((&checked["outcome"], &checked["verdicts"][0]["outcome"]), (&json!("proved"), &json!("proved")));
}

#[test]
fn a_proof_is_of_one_tenants_own_and_knows_nothing_of_others_or_of_the_platforms_invariants() {
    let (world, scripted) = world();
    for (own, other) in world.both_ways() {
        scripted.asked.lock().unwrap().clear();
        put(&world, own, "policies/rule").expect(200);
        let asked = scripted.asked.lock().unwrap();
        let [question] = asked.as_slice() else { panic!("{asked:?}") };
        assert_eq!(question.tenant.to_string(), own.id);
        let of = |all: Vec<String>| all.into_iter().collect::<BTreeSet<_>>();
        let invariants = of(question.invariants.iter().map(|claim| claim.text.name().to_string()).collect());
        assert_eq!(invariants, of(vec![names::INVARIANT.to_owned(), own.only.clone()]));
        let policies = of(question.set.policies.iter().map(|policy| policy.name().to_string()).collect());
        assert!(policies.contains(&own.only) && policies.contains("rule") && !policies.contains(&other.only));
        let guardrails: Vec<_> = question.set.guardrails.iter().map(|g| g.name().to_string()).collect();
        assert_eq!(guardrails, [names::GUARDRAIL]);
    }
}

#[test]
fn the_platforms_invariants_stand_between_operators_and_guardrails() {
    let (world, scripted) = world();
    let admin = &world.platform.admin;
    let refused = world.send(admin, "PUT", "/api/v1/guardrails/breaker", &json!({ "text": FORBID }));
    assert_eq!(refused.expect(409)["code"], "proof_refuted");
    assert_eq!(world.platform_ledger(1)[0]["code"], "proof_refuted");
    world.send(admin, "PUT", "/api/v1/guardrails/other", &json!({ "text": FORBID })).expect(200);
    let asked = scripted.asked.lock().unwrap();
    let question = asked.last().unwrap();
    assert!(question.tenant.is_platform() && question.set.policies.is_empty());
    assert_eq!(question.invariants.len(), 1);
}

#[test]
fn what_is_broken_already_does_not_stand_in_the_way_of_mending() {
    // A guardrail that breaks the tenants' invariants was set while nothing was proved.
    let (world, _) = world();
    let admin = &world.platform.admin;
    world.send(admin, "DELETE", &format!("/api/v1/invariants/{}", names::PLATFORM_INVARIANT), &Value::Null).expect(200);
    world.send(admin, "PUT", "/api/v1/guardrails/breaker", &json!({ "text": FORBID })).expect(200);
    let acme = &world.acme;
    let stored = put(&world, acme, "policies/rule").expect(200);
    assert_eq!(stored["proof"]["status"], "refuted: an invariant", "{stored}");
    // But a new invariant must hold.
    assert_eq!(put(&world, acme, "invariants/fresh").expect(409)["code"], "proof_refuted");
    let again = put(&world, acme, &format!("invariants/{}", names::INVARIANT));
    assert_eq!(again.expect(409)["code"], "proof_refuted", "restating what is untrue does not make it true");
    world.send(&acme.owner, "DELETE", &at(acme, &format!("invariants/{}", names::INVARIANT)), &Value::Null).expect(200);
}

#[test]
fn nothing_takes_effect_that_was_proved_of_another_set() {
    let (world, scripted) = world();
    let acme = &world.acme;
    let deleted = world.request("DELETE", &at(acme, &format!("invariants/{}", names::INVARIANT)));
    let deleted = deleted.by(&acme.owner.key.credential).ask();
    *scripted.meanwhile.lock().unwrap() = Some(Box::pin(async move {
        assert_eq!(deleted.await.status, 200);
    }));
    put(&world, acme, "policies/rule").expect(200);
    let asked: Vec<usize> = scripted.asked.lock().unwrap().iter().map(|question| question.invariants.len()).collect();
    assert_eq!(asked, [2, 1], "the change was proved again, of what was then in force");
}

#[test]
fn without_a_solver_everything_works_and_says_so_unless_proofs_are_required() {
    let plain = World::two_tenants();
    let stored = put(&plain, &plain.acme, "policies/rule").expect(200);
    assert_eq!(stored["proof"]["status"], "unproven: no solver");
    put(&plain, &plain.acme, "policies/rule").expect(200);
    assert_eq!(plain.ledger(&plain.acme, 1)[0]["detail"]["proof"], "unproven: no solver");
    for (path, body) in [
        ("invariants:check", Value::Null),
        ("policies:diff", json!({ "with_policies": { "new": FORBID } })),
        ("policies:subset", json!({ "with_policies": { "new": FORBID } })),
    ] {
        let answer = plain.send(&plain.acme.owner, "POST", &at(&plain.acme, path), &body).expect(200);
        assert_eq!((&answer["outcome"], &answer["reason"]), (&json!("unproven"), &json!("no solver")), "{path}");
    }

    let app = AppConfig { require_proof: true, ..AppConfig::default() };
    let strict = World::with(WorldOptions { app, ..WorldOptions::default() });
    let acme = &strict.acme;
    for path in ["policies/rule", "invariants/rule"] {
        let refused = put(&strict, acme, path).expect(409);
        assert_eq!((&refused["code"], &refused["detail"]), (&json!("proof_required"), &json!("unproven: no solver")));
        strict.get(&acme.owner, &at(acme, path)).expect(404);
    }
    let gone = strict.send(&acme.owner, "DELETE", &at(acme, &format!("policies/{}", names::POLICY)), &Value::Null);
    assert_eq!(gone.expect(409)["code"], "proof_required");
    let guardrail = strict.send(&strict.platform.admin, "PUT", "/api/v1/guardrails/g", &json!({ "text": FORBID }));
    assert_eq!(guardrail.expect(409)["code"], "proof_required");
}
