//! Attestations: they hold with the keys that a tenant pinned, say what decides, and say nothing of anybody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bailiwick_app::{AppConfig, NoProver, Prover};
use bailiwick_authz::analysis::{EffectiveSet, Question};
use bailiwick_ledger::sha256;
use bailiwick_testkit::{Answer, Tenant, World, WorldOptions, names};
use bailiwick_types::api::attestation::Attestation;
use bailiwick_types::api::isolation::{IsolationState, ProbeCounts, ProbeFinding, ProbeRound, TimingResult};
use bailiwick_types::api::proof::{Outcome, PolicyDiff, Proof, SubsetResult, Verdict};
use bailiwick_types::{TenantId, Timestamp};
use bailiwick_verify::{AttestationReport, EvidenceError, VerifierKey, verify_attestation, verify_checkpoint};
use data_encoding::{BASE64, HEXLOWER};
use serde_json::{Value, json};

const BUILD: &str = "b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0";
const FORBID: &str = r#"forbid(principal is Agent, action == Action::"secret:purge", resource);"#;

/// Proves everything, and says so of each property.
#[derive(Debug)]
struct Sure;

#[async_trait]
impl Prover for Sure {
    async fn prove(&self, question: Question) -> Proof {
        let guardrails = question.set.guardrails.iter().map(|known| format!("guardrail:{}", known.name()));
        let invariants = question.invariants.iter().map(|known| format!("invariant:{}", known.text.name()));
        let properties = std::iter::once("isolation".to_owned()).chain(guardrails).chain(invariants);
        let verdict = |property| Verdict {
            property,
            outcome: Outcome::Proved,
            reason: None,
            counterexample: None,
            environments: 1,
        };
        Proof {
            outcome: Outcome::Proved,
            reason: None,
            hash: "00ff".to_owned(),
            solver: Some("cvc5 9".to_owned()),
            verdicts: properties.map(verdict).collect(),
        }
    }

    async fn diff(&self, tenant: TenantId, current: EffectiveSet, proposed: EffectiveSet) -> PolicyDiff {
        NoProver.diff(tenant, current, proposed).await
    }

    async fn subset(&self, tenant: TenantId, proposal: EffectiveSet, current: EffectiveSet) -> SubsetResult {
        NoProver.subset(tenant, proposal, current).await
    }
}

fn world() -> World {
    let app = AppConfig { prover: Arc::new(Sure), build: || Some(BUILD.to_owned()), ..AppConfig::default() };
    World::with(WorldOptions { app, ..WorldOptions::default() })
}

fn at(tenant: &Tenant, path: &str) -> String {
    format!("/api/v1/t/{}/{path}", tenant.slug)
}

fn asked(world: &World, tenant: &Tenant) -> Answer {
    let answer = world.get(&tenant.auditor, &at(tenant, "attestation"));
    answer.expect(200);
    answer
}

/// The keys that a tenant has pinned: its own, and the installation's.
fn pinned(world: &World, tenant: &Tenant) -> Vec<VerifierKey> {
    let keyring = world.get(&tenant.owner, &at(tenant, "keyring")).expect(200);
    keyring["ledger_keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect()
}

fn verified(world: &World, tenant: &Tenant) -> AttestationReport {
    let answer = asked(world, tenant);
    verify_attestation(answer.text().as_bytes(), &pinned(world, tenant), None).unwrap()
}

fn attested(world: &World, tenant: &Tenant) -> Attestation {
    verified(world, tenant).attestation
}

fn hexadecimal(text: &str) -> String {
    HEXLOWER.encode(&sha256(text.as_bytes()))
}

#[test]
fn it_holds_with_each_pinned_key_and_not_with_the_others() {
    let world = world();
    for (tenant, other) in world.both_ways() {
        let answer = asked(&world, tenant);
        let keys = pinned(&world, tenant);
        assert_eq!(keys.len(), 2);
        let report = verify_attestation(answer.text().as_bytes(), &keys, None).unwrap();
        assert_eq!((&report.signers, report.unknown), (&keys, 0));
        assert_eq!(
            (&report.attestation.tenant.slug, report.attestation.tenant.id.to_string()),
            (&tenant.slug, tenant.id.clone())
        );
        for key in &keys {
            verify_attestation(answer.text().as_bytes(), std::slice::from_ref(key), None).unwrap();
        }
        let theirs = &pinned(&world, other)[..1];
        assert!(matches!(
            verify_attestation(answer.text().as_bytes(), theirs, None),
            Err(EvidenceError::Attestation(_))
        ));
    }
}

#[test]
fn it_says_what_decides() {
    let world = world();
    for (tenant, _) in world.both_ways() {
        let said = attested(&world, tenant);
        let schema = world.get(&tenant.owner, &at(tenant, "policies:schema"));
        assert_eq!(said.shipped.schema, hexadecimal(&schema.text()));
        assert_eq!(said.server.build.as_deref(), Some(BUILD));
        assert_eq!((said.proof.outcome, said.proof.isolation), (Outcome::Proved, Outcome::Proved));
        assert_eq!((said.proof.hash.as_deref(), said.proof.solver.as_deref()), (Some("00ff"), Some("cvc5 9")));

        let policies = world.get(&tenant.owner, &at(tenant, "policies")).expect(200);
        let mut known: Vec<(String, String)> = policies["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|policy| (policy["name"].as_str().unwrap().to_owned(), hexadecimal(policy["text"].as_str().unwrap())))
            .collect();
        known.sort();
        let stated: Vec<_> = said.policies.iter().map(|known| (known.name.to_string(), known.sha256.clone())).collect();
        assert_eq!(stated, known);
        assert!(known.len() >= 2);

        let guardrail = format!("/api/v1/guardrails/{}", names::GUARDRAIL);
        let text = world.get(&world.platform.admin, &guardrail).expect(200)["text"].clone();
        assert_eq!(said.guardrails.len(), 1);
        assert_eq!(said.guardrails[0].sha256, hexadecimal(text.as_str().unwrap()));
        assert_eq!(said.guardrails[0].proof, Outcome::Proved);
        let invariants: Vec<_> = said.invariants.iter().map(|known| (known.name.as_str(), known.proof)).collect();
        assert!(invariants.contains(&(names::INVARIANT, Outcome::Proved)), "{invariants:?}");

        let mut lines: Vec<String> = bailiwick_http::routes().iter().map(bailiwick_http::Route::line).collect();
        lines.sort();
        assert!(lines.contains(&"GET /api/v1/t/{tenant}/attestation attestation:issue".to_owned()));
        assert_eq!(said.routes.count, lines.len() as u64);
        assert_eq!(said.routes.sha256, hexadecimal(&lines.iter().map(|line| format!("{line}\n")).collect::<String>()));
    }
}

#[test]
fn its_checkpoint_is_of_the_ledger_before_it_and_its_entry_has_its_hash() {
    let world = world();
    for (tenant, _) in world.both_ways() {
        let note = world.get(&tenant.auditor, &at(tenant, "ledger/checkpoint")).expect(200)["note"].clone();
        let before = verify_checkpoint(note.as_str().unwrap(), &pinned(&world, tenant)).unwrap().checkpoint;
        let answer = asked(&world, tenant);
        let said = answer.json();
        let checkpoint = &said["attestation"]["checkpoint"];
        // Two more entries: that of the checkpoint, and that of the keyring.
        assert_eq!(checkpoint["size"], before.size + 2);
        let proof = world.get(
            &tenant.auditor,
            &at(tenant, &format!("ledger/consistency?old={}&new={}", before.size, before.size + 2)),
        );
        let report = bailiwick_verify::verify_consistency(proof.text().as_bytes(), &pinned(&world, tenant), None);
        assert_eq!(checkpoint["root"], BASE64.encode(&report.unwrap().checkpoint.checkpoint.root));
        let entry = world.ledger(tenant, 20).into_iter().find(|entry| entry["action"] == "attestation:issue").unwrap();
        let canonical = answer.text();
        let end = canonical.find(r#","note":"#).unwrap();
        let canonical = canonical[..end].strip_prefix(r#"{"attestation":"#).unwrap();
        assert_eq!(entry["detail"]["sha256"], BASE64.encode(&sha256(canonical.as_bytes())));
        assert_eq!((&entry["decision"], &entry["outcome"]), (&json!("allow"), &json!("ok")));
        assert_eq!(entry["detail"]["proof"], "proved");
    }
}

#[test]
fn it_changes_with_whatever_decides() {
    let world = world();
    let tenant = &world.acme;
    let beginning = attested(&world, tenant);
    assert_eq!(attested(&world, tenant).policies, beginning.policies);

    world.send(&tenant.owner, "PUT", &at(tenant, "policies/fresh"), &json!({ "text": FORBID })).expect(200);
    let with = attested(&world, tenant);
    assert_eq!(with.policies.len(), beginning.policies.len() + 1);
    let fresh = with.policies.iter().find(|policy| policy.name.as_str() == "fresh").unwrap();
    assert_eq!((fresh.sha256.as_str(), fresh.proof), (hexadecimal(FORBID).as_str(), Outcome::Proved));
    let longer = format!("{FORBID} ");
    world.send(&tenant.owner, "PUT", &at(tenant, "policies/fresh"), &json!({ "text": longer })).expect(200);
    let changed = attested(&world, tenant).policies;
    assert_eq!(changed.iter().find(|policy| policy.name.as_str() == "fresh").unwrap().sha256, hexadecimal(&longer));
    world.send(&tenant.owner, "DELETE", &at(tenant, "policies/fresh"), &Value::Null).expect(200);
    assert_eq!(attested(&world, tenant).policies, beginning.policies);

    // A guardrail of the operator's is everybody's: it comes as a hash, and nobody is told its name.
    let guardrail = json!({ "text": longer });
    world.send(&world.platform.admin, "PUT", "/api/v1/guardrails/for-a-customer", &guardrail).expect(200);
    for (tenant, _) in world.both_ways() {
        let answer = asked(&world, tenant).text();
        assert!(answer.contains(&hexadecimal(&longer)) && !answer.contains("for-a-customer"), "{answer}");
    }
    let invariant = json!({ "text": FORBID, "covers": "policies" });
    world.send(&tenant.owner, "PUT", &at(tenant, "invariants/fresh"), &invariant).expect(200);
    assert_eq!(attested(&world, tenant).invariants.len(), beginning.invariants.len() + 1);
}

#[test]
fn it_says_nothing_of_the_other_tenant_nor_of_the_operator() {
    let world = world();
    let board = world.app().isolation();
    let now = Timestamp::from_unix_ms(1_767_225_600_000);
    board.begin(None, 144);
    board.has_canaries(vec!["canary-of-somebody".parse().unwrap()]);
    let finding = ProbeFinding {
        time: now,
        kind: "allowed".to_owned(),
        route: "GET /finding-of-somebody".to_owned(),
        caller: "owner".to_owned(),
        what: "what-crossed".to_owned(),
        requests: vec!["req_of-somebody".to_owned()],
    };
    board.add(ProbeCounts { findings: 1, ..ProbeCounts::default() }, &[finding]);
    board.add_timing(TimingResult {
        route: "GET /timing-of-somebody".to_owned(),
        pairs: 100,
        median_ns: 5,
        low_ns: 1,
        high_ns: 9,
        detectable_ns: 3,
    });
    board.blind("reason-of-somebody".to_owned());
    for (tenant, other) in world.both_ways() {
        let answer = asked(&world, tenant);
        let said = format!("{:?} {}", answer.headers, answer.text());
        let people = [&other.owner, &other.admin, &other.auditor, &other.viewer];
        let mut marks = vec![&other.slug, &other.id, &other.only, &other.binding, &other.reader.id, &other.bare.id];
        marks.extend(people.map(|member| &member.id));
        for mark in marks.into_iter().map(String::as_str).chain([
            names::GUARDRAIL,
            "of-somebody",
            "what-crossed",
            world.platform.admin.id.as_str(),
            world.platform.viewer.id.as_str(),
        ]) {
            assert!(!said.contains(mark), "it tells `{mark}`: {said}");
        }
        assert!(said.contains(&tenant.slug) && said.contains(&tenant.id) && said.contains(&tenant.only));
        let isolation = attested(&world, tenant).isolation;
        assert_eq!((isolation.state, isolation.counts), (IsolationState::Broken, None));
        assert_eq!((isolation.timing.measured, isolation.timing.seen), (1, 1));
    }
}

#[test]
fn it_is_the_same_whatever_the_other_tenant_is_and_does() {
    for side in 0..2 {
        let (quiet, busy) = (world(), world());
        let (own, other) = busy.both_ways()[side];
        let text = json!({ "text": FORBID });
        busy.send(&other.owner, "PUT", &at(other, "policies/fresh"), &text).expect(200);
        busy.send(&other.owner, "PUT", &at(other, "invariants/fresh"), &text).expect(200);
        asked(&busy, other);
        busy.send(&other.owner, "POST", &at(other, "keyring/seal"), &json!({})).expect(200);
        let tenant = quiet.both_ways()[side].0;
        let (one, two) = (asked(&quiet, tenant), asked(&busy, own));
        assert_eq!(one.text(), two.text());
    }
}

#[test]
fn what_the_server_found_is_told_in_numbers() {
    let world = world();
    let board = world.app().isolation();
    assert_eq!(attested(&world, &world.acme).isolation.state, IsolationState::Off);
    assert!(verified(&world, &world.acme).doubts().iter().any(|doubt| doubt.contains("does not try")));
    let counts = ProbeCounts { routes: 144, probes: 2_000, controls: 1_500, ..ProbeCounts::default() };
    let finished = Timestamp::from_unix_ms(1_767_225_600_000);
    board.complete(ProbeRound { number: 1, started: finished, finished, counts });
    let report = verified(&world, &world.acme);
    let isolation = report.attestation.isolation.clone();
    assert_eq!(
        (isolation.state, isolation.finished, isolation.counts),
        (IsolationState::Holds, Some(finished), Some(counts))
    );
    assert_eq!(report.doubts(), Vec::<String>::new());
}

#[test]
fn who_may_not_read_the_ledger_gets_none_and_a_closed_tenant_gives_none() {
    let world = world();
    for (tenant, other) in world.both_ways() {
        let target = at(tenant, "attestation");
        for (caller, status) in [
            (tenant.owner.as_ref(), 200),
            (tenant.admin.as_ref(), 200),
            (tenant.auditor.as_ref(), 200),
            (tenant.viewer.as_ref(), 403),
            (tenant.bare.as_ref(), 403),
            (tenant.reader.as_ref(), 403),
            (world.platform.admin.as_ref(), 403),
            (other.owner.as_ref(), 404),
            ("", 401),
        ] {
            let caller: &str = caller;
            let answer = world.get(caller, &target);
            assert_eq!(answer.status, status, "{}", answer.text());
        }
    }
    let (acme, globex) = (&world.acme, &world.globex);
    world.send(&world.platform.admin, "POST", "/api/v1/tenants/acme/suspend", &json!({})).expect(200);
    world.get(&acme.auditor, &at(acme, "attestation")).expect_refusal(403, "tenant_suspended");
    world.send(&globex.owner, "POST", &at(globex, "keyring/seal"), &json!({})).expect(200);
    world.get(&globex.auditor, &at(globex, "attestation")).expect_refusal(503, "tenant_sealed");
}

#[test]
fn without_a_prover_and_without_a_digest_it_says_so() {
    let world = World::two_tenants();
    let report = verified(&world, &world.acme);
    let said = &report.attestation;
    assert_eq!((said.proof.outcome, said.proof.isolation), (Outcome::Unproven, Outcome::Unproven));
    assert_eq!((&said.proof.hash, &said.proof.solver, &said.server.build), (&None, &None, &None));
    assert!(said.guardrails.iter().all(|known| known.proof == Outcome::Unproven));
    assert!(said.invariants.iter().all(|known| known.proof == Outcome::Unproven));
    let doubts = report.doubts().join("; ");
    for doubt in ["not proved", "guardrail", "which program", names::INVARIANT] {
        assert!(doubts.contains(doubt), "{doubt}: {doubts}");
    }
}

#[test]
fn the_digest_is_made_once() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    fn build() -> Option<String> {
        MADE.fetch_add(1, Ordering::SeqCst);
        Some(BUILD.to_owned())
    }
    let world =
        World::with(WorldOptions { app: AppConfig { build, ..AppConfig::default() }, ..WorldOptions::default() });
    assert_eq!(MADE.load(Ordering::SeqCst), 0, "nobody has asked for it yet");
    for (tenant, _) in world.both_ways() {
        assert_eq!(attested(&world, tenant).server.build.as_deref(), Some(BUILD));
    }
    assert_eq!(MADE.load(Ordering::SeqCst), 1);
}

#[test]
fn a_rotated_key_signs_and_the_old_one_does_not() {
    let world = world();
    let tenant = &world.acme;
    let old = pinned(&world, tenant);
    world
        .send(&tenant.owner, "POST", &at(tenant, "keyring/rotate"), &json!({ "purpose": "ledger-signing" }))
        .expect(200);
    let new = pinned(&world, tenant);
    assert_ne!(old[0], new[0]);
    let answer = asked(&world, tenant);
    verify_attestation(answer.text().as_bytes(), &new[..1], None).unwrap();
    assert!(verify_attestation(answer.text().as_bytes(), &old[..1], None).is_err());
    // The installation's key goes on.
    verify_attestation(answer.text().as_bytes(), &old, None).unwrap();
}
