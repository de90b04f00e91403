//! Attestations: a good one holds, and every changed one does not.

use bailiwick_ledger::attestation::AttestationError;
use bailiwick_ledger::note::NoteError;
use bailiwick_types::api::attestation::{
    ATTESTATION_VERSION, AttestedCheckpoint, AttestedGuardrail, AttestedInvariant, AttestedIsolation, AttestedPolicy,
    AttestedProof, AttestedRoutes, AttestedServer, AttestedShipped, AttestedTenant, AttestedTiming, SignedAttestation,
};
use bailiwick_types::api::isolation::ProbeCounts;
use bailiwick_types::api::proof::Covers;
use bailiwick_types::{InstallationId, TenantId};

use super::*;
use crate::testing::TestSigner;

const ISSUED: i64 = 1_769_860_800_000;

fn attestation(number: u8) -> Attestation {
    let (tenant, installation) = (TenantId::from_bytes([number; 16]), InstallationId::from_bytes([8; 16]));
    let hash = |n: u8| data_encoding::HEXLOWER.encode(&[n; 32]);
    Attestation {
        v: ATTESTATION_VERSION,
        tenant: AttestedTenant { id: tenant, slug: format!("tenant-{number}") },
        installation,
        issued_at: Timestamp::from_unix_ms(ISSUED),
        checkpoint: AttestedCheckpoint {
            origin: format!("{installation}/{tenant}"),
            size: 12,
            root: data_encoding::BASE64.encode(&[1; 32]),
        },
        server: AttestedServer { version: "0.1.0".to_owned(), build: Some(hash(2)) },
        shipped: AttestedShipped { schema: hash(3), isolation: hash(4), self_service: hash(5), roles: hash(6) },
        proof: AttestedProof {
            outcome: Outcome::Proved,
            isolation: Outcome::Proved,
            hash: Some(hash(7)),
            solver: Some("cvc5 1.0.3".to_owned()),
        },
        guardrails: vec![AttestedGuardrail { sha256: hash(8), proof: Outcome::Proved }],
        policies: vec![AttestedPolicy { name: "a".parse().unwrap(), sha256: hash(9), proof: Outcome::Unproven }],
        invariants: vec![AttestedInvariant {
            name: "b".parse().unwrap(),
            covers: Covers::Everything,
            sha256: hash(10),
            proof: Outcome::Proved,
        }],
        routes: AttestedRoutes { count: 144, sha256: hash(11) },
        isolation: AttestedIsolation {
            state: IsolationState::Holds,
            finished: Some(Timestamp::from_unix_ms(ISSUED - 1)),
            counts: Some(ProbeCounts { routes: 144, probes: 1_000, controls: 900, ..ProbeCounts::default() }),
            timing: AttestedTiming { measured: 20, seen: 0 },
        },
    }
}

fn tenant_key(number: u8) -> TestSigner {
    let tenant = TenantId::from_bytes([number; 16]);
    TestSigner::new(&format!("{}/{tenant}", InstallationId::from_bytes([8; 16])), number)
}

fn installation_key() -> TestSigner {
    TestSigner::new("bailiwick.example", 100)
}

fn note(attestation: &Attestation, number: u8) -> String {
    AttestationNote::of(attestation).unwrap().sign(&[&tenant_key(number), &installation_key()]).unwrap()
}

fn file(attestation: &Attestation, note: String) -> String {
    serde_json::to_string(&SignedAttestation { attestation: attestation.clone(), note }).unwrap()
}

fn good() -> String {
    file(&attestation(7), note(&attestation(7), 7))
}

fn check(text: &str) -> Result<AttestationReport, EvidenceError> {
    verify_attestation(text.as_bytes(), &[tenant_key(7).key()], None)
}

#[test]
fn a_good_attestation_holds_with_either_key() {
    let report = check(&good()).unwrap();
    assert_eq!(report.attestation, attestation(7));
    assert_eq!((report.signers.clone(), report.unknown), (vec![tenant_key(7).key()], 1));
    assert_eq!(report.doubts(), Vec::<String>::new());
    let both = [tenant_key(7).key(), installation_key().key()];
    let report = verify_attestation(good().as_bytes(), &both, None).unwrap();
    assert_eq!((report.signers, report.unknown), (both.to_vec(), 0));
    let stranger = verify_attestation(good().as_bytes(), &[tenant_key(9).key()], None).unwrap_err();
    assert_eq!(stranger, EvidenceError::Attestation(AttestationError::Note(NoteError::NoKnownKey)));
    assert!(verify_attestation(good().as_bytes(), &[], None).is_err());
}

#[test]
fn no_byte_of_the_attestation_can_change() {
    let text = good();
    let of_note = text.find(r#","note":"#).unwrap();
    for at in 0..of_note {
        for flip in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << flip;
            assert!(verify_attestation(&bytes, &[tenant_key(7).key()], None).is_err(), "byte {at}, bit {flip}");
        }
    }
    for at in 0..text.len() {
        assert!(verify_attestation(&text.as_bytes()[..at], &[tenant_key(7).key()], None).is_err(), "cut at {at}");
    }
}

#[test]
fn every_member_is_covered() {
    // Each is another attestation that reads well: it is the signature that refuses it.
    type Change = fn(&mut Attestation);
    let changes: &[(&str, Change)] = &[
        ("hash", |a| a.tenant.slug.push('x')),
        ("time", |a| a.issued_at = Timestamp::from_unix_ms(ISSUED + 1)),
        ("checkpoint", |a| a.checkpoint.size += 1),
        ("checkpoint", |a| a.checkpoint.root = data_encoding::BASE64.encode(&[2; 32])),
        ("hash", |a| a.server.version.push('1')),
        ("hash", |a| a.server.build = None),
        ("hash", |a| a.shipped.schema.push('0')),
        ("hash", |a| a.shipped.isolation.push('0')),
        ("hash", |a| a.shipped.self_service.push('0')),
        ("hash", |a| a.shipped.roles.push('0')),
        ("hash", |a| a.proof.outcome = Outcome::Refuted),
        ("hash", |a| a.proof.isolation = Outcome::Unproven),
        ("hash", |a| a.proof.hash = None),
        ("hash", |a| a.proof.solver = None),
        ("hash", |a| a.guardrails.clear()),
        ("hash", |a| a.guardrails[0].proof = Outcome::Unproven),
        ("hash", |a| a.policies[0].proof = Outcome::Proved),
        ("hash", |a| a.policies[0].name = "c".parse().unwrap()),
        ("hash", |a| a.policies.push(a.policies[0].clone())),
        ("hash", |a| a.invariants[0].covers = Covers::Policies),
        ("hash", |a| a.invariants[0].sha256.push('0')),
        ("hash", |a| a.routes.count += 1),
        ("hash", |a| a.routes.sha256.push('0')),
        ("hash", |a| a.isolation.state = IsolationState::Broken),
        ("hash", |a| a.isolation.finished = None),
        ("hash", |a| a.isolation.counts = None),
        ("hash", |a| a.isolation.timing.seen = 1),
        ("hash", |a| a.isolation.timing.measured = 21),
    ];
    for (what, change) in changes {
        let mut changed = attestation(7);
        change(&mut changed);
        assert_ne!(changed, attestation(7));
        let error = check(&file(&changed, note(&attestation(7), 7))).unwrap_err();
        assert_eq!(error, EvidenceError::NotAttested { what }, "{changed:?}");
    }
}

#[test]
fn the_note_of_another_tenant_does_not_fit() {
    let theirs = note(&attestation(9), 9);
    let error = check(&file(&attestation(7), theirs.clone())).unwrap_err();
    assert_eq!(error, EvidenceError::Attestation(AttestationError::Note(NoteError::NoKnownKey)));
    // Also for whoever pinned only the key of the installation, which signs for both.
    let installation = [installation_key().key()];
    let mixed = file(&attestation(7), theirs);
    let error = verify_attestation(mixed.as_bytes(), &installation, None).unwrap_err();
    assert_eq!(error, EvidenceError::NotAttested { what: "tenant" });
    // All of it is of the other tenant, whose key is not the one that was pinned.
    let other = file(&attestation(9), note(&attestation(9), 9));
    assert!(check(&other).is_err());
    assert_eq!(verify_attestation(other.as_bytes(), &installation, None).unwrap().attestation, attestation(9));
}

#[test]
fn what_reads_otherwise_elsewhere_is_refused() {
    let text = good();
    for (from, to) in [
        (r#""state":"holds""#, r#""state":"holds","state":"holds""#),
        (r#""state":"holds""#, r#""state":"broken","state":"holds""#),
        (r#""slug":"tenant-7""#, r#""slug":"tenant-7","name":"Tenant 7""#),
        (r#"{"attestation":"#, r#"{"attestation":{},"attestation":"#),
        (r#"{"attestation":"#, r#"{"comment":"all is well","attestation":"#),
        (r#","note":"#, r#","note":"","note":"#),
        (r#""measured":20"#, r#""measured":2e1"#),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        let error = check(&changed).unwrap_err();
        let is_refused =
            matches!(error, EvidenceError::Attestation(AttestationError::Json { .. } | AttestationError::NotCanonical));
        assert!(is_refused, "{to}: {error}");
    }
    // Laid out for people it is still the same.
    let laid_out = text.replace("{\"", "{\n  \"").replace(",\"", ",\n  \"");
    assert_eq!(check(&laid_out).unwrap(), check(&text).unwrap());
}

#[test]
fn an_old_one_is_refused_if_asked() {
    let at = |after: i64, age_max: u64| {
        let now = Timestamp::from_unix_ms(ISSUED + after * 1_000);
        let fresh = Freshness { now, age_max: Duration::from_secs(age_max) };
        verify_attestation(good().as_bytes(), &[tenant_key(7).key()], Some(fresh))
    };
    let issued_at = Timestamp::from_unix_ms(ISSUED);
    assert!(at(0, 0).is_ok());
    assert!(at(3_600, 3_600).is_ok());
    assert_eq!(at(3_601, 3_600).unwrap_err(), EvidenceError::TooOld { issued_at, age_max: "1h0m0s".to_owned() });
    assert!(at(-300, 3_600).is_ok());
    assert_eq!(at(-301, 3_600).unwrap_err(), EvidenceError::Future { issued_at });
}

#[test]
fn whatever_is_no_good_news_is_said() {
    let doubts = |change: fn(&mut Attestation)| {
        let mut changed = attestation(7);
        change(&mut changed);
        AttestationReport { attestation: changed, signers: Vec::new(), unknown: 0 }.doubts().join("; ")
    };
    let state = |state| {
        let mut changed = attestation(7);
        changed.isolation.state = state;
        AttestationReport { attestation: changed, signers: Vec::new(), unknown: 0 }.doubts()
    };
    for known in IsolationState::ALL {
        assert_eq!(state(*known).len(), usize::from(*known != IsolationState::Holds), "{known:?}");
    }
    assert!(state(IsolationState::Broken)[0].contains("broken"));
    assert!(doubts(|a| a.isolation.counts = None).contains("no probe"));
    assert!(doubts(|a| a.isolation.counts = Some(ProbeCounts::default())).contains("no probe"));
    assert!(doubts(|a| a.isolation.timing.seen = 1).contains("time tells"));
    assert!(doubts(|a| a.proof.outcome = Outcome::Unproven).contains("not proved"));
    assert!(doubts(|a| a.proof.outcome = Outcome::Refuted).contains("untrue"));
    assert!(doubts(|a| a.proof.isolation = Outcome::Refuted).contains("another tenant"));
    assert!(doubts(|a| a.guardrails[0].proof = Outcome::Unproven).contains("guardrail"));
    assert!(doubts(|a| a.server.build = None).contains("which program"));
    assert_eq!(doubts(|a| a.invariants[0].proof = Outcome::Unproven), "the invariant `b` is unproven");
}
