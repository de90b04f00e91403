//! Checkpoints, proofs and certificates: good ones hold, and every changed one does not.

use bailiwick_ledger::ProofError;
use bailiwick_ledger::certificate::{CertificateError, DeletionCertificate};
use bailiwick_ledger::checkpoint::CheckpointError;
use bailiwick_ledger::note::NoteError;
use bailiwick_types::{TenantId, Timestamp};
use data_encoding::BASE64;
use serde_json::{Value, json};

use super::*;
use crate::testing::{Export, TestSigner};

/// A ledger of `size` leaves with the hashes of its proofs: of leaf 2 in 5, and from 3 to 5.
fn ledger() -> (Export, Value, Value) {
    let export = Export::new(7, 5);
    let leaf = |n: usize| export.entries[n].0;
    let node = bailiwick_ledger::node_hash;
    let b64 = |hash: Hash| BASE64.encode(&hash);
    let note = export.checkpoint.sign(&export.signers()).unwrap();
    let inclusion = json!({
        "index": 2, "size": 5, "leaf": b64(leaf(2)),
        "proof": [b64(leaf(3)), b64(node(&leaf(0), &leaf(1))), b64(leaf(4))],
        "checkpoint": note,
    });
    let consistency = json!({
        "old": 3, "new": 5, "old_root": b64(export.at(3).root),
        "proof": [b64(leaf(2)), b64(leaf(3)), b64(node(&leaf(0), &leaf(1))), b64(leaf(4))],
        "checkpoint": note,
    });
    (export, inclusion, consistency)
}

fn keys(export: &Export) -> Vec<VerifierKey> {
    vec![export.tenant_key.key(), export.installation_key.key()]
}

#[test]
fn a_good_inclusion_proof_holds() {
    let (export, proof, _) = ledger();
    let entry = export.entries[2].1.clone().unwrap();
    let report = verify_inclusion(proof.to_string().as_bytes(), &keys(&export), Some(&entry)).unwrap();
    assert_eq!((report.index, report.leaf), (2, export.entries[2].0));
    assert_eq!(report.checkpoint.checkpoint, export.checkpoint);
    assert_eq!((report.checkpoint.signers, report.checkpoint.unknown), (keys(&export), 0));
    // One trusted key is enough, and the report says which.
    let installation = [export.installation_key.key()];
    let report = verify_inclusion(proof.to_string().as_bytes(), &installation, None).unwrap();
    assert_eq!((report.checkpoint.signers, report.checkpoint.unknown), (installation.to_vec(), 1));
}

/// The proof with one field replaced.
fn with(proof: &Value, field: &str, value: Value) -> String {
    let mut proof = proof.clone();
    proof[field] = value;
    proof.to_string()
}

#[test]
fn a_changed_inclusion_proof_does_not_hold() {
    let (export, proof, _) = ledger();
    let check = |json: &str| verify_inclusion(json.as_bytes(), &keys(&export), None).unwrap_err();
    assert_eq!(check(&with(&proof, "index", json!(1))), EvidenceError::Proof(ProofError::Root { size: 5 }));
    let error = check(&with(&proof, "index", json!(5)));
    assert_eq!(error, EvidenceError::Proof(ProofError::OutOfRange { position: 5, size: 5 }));
    assert_eq!(check(&with(&proof, "size", json!(6))), EvidenceError::Size { proof: 6, checkpoint: 5 });
    let other = BASE64.encode(&export.entries[1].0);
    assert_eq!(check(&with(&proof, "leaf", json!(other))), EvidenceError::Proof(ProofError::Root { size: 5 }));
    assert_eq!(check(&with(&proof, "leaf", json!("AA"))), EvidenceError::Hash { field: "leaf" });
    assert_eq!(check(&with(&proof, "proof", json!(["AA"]))), EvidenceError::Hash { field: "proof" });
    let error = check(&with(&proof, "proof", json!([])));
    assert_eq!(error, EvidenceError::Proof(ProofError::Length { found: 0, expected: 3 }));
    assert_eq!(check(&with(&proof, "root", json!(other))), EvidenceError::Root);
    assert_eq!(check(&with(&proof, "more", json!(1))), EvidenceError::Json { what: "an inclusion proof" });
    assert_eq!(check("{}"), EvidenceError::Json { what: "an inclusion proof" });
    assert_eq!(check(&" ".repeat(PROOF_BYTES_MAX + 1)), EvidenceError::TooLong);
    let note = export.at(4).sign(&export.signers()).unwrap();
    assert_eq!(check(&with(&proof, "checkpoint", json!(note))), EvidenceError::Size { proof: 5, checkpoint: 4 });
    // The root of the checkpoint may be stated.
    let stated = with(&proof, "root", json!(BASE64.encode(&export.checkpoint.root)));
    verify_inclusion(stated.as_bytes(), &keys(&export), None).unwrap();
    // Another entry than the one that is proved.
    let other = export.entries[1].1.clone().unwrap();
    let error = verify_inclusion(proof.to_string().as_bytes(), &keys(&export), Some(&other)).unwrap_err();
    assert_eq!(error, EvidenceError::Leaf);
    let stranger = [TestSigner::new("bailiwick.example/7", 99).key()];
    let error = verify_inclusion(proof.to_string().as_bytes(), &stranger, None).unwrap_err();
    assert_eq!(error, EvidenceError::Checkpoint(CheckpointError::Note(NoteError::NoKnownKey)));
    let error = verify_inclusion(proof.to_string().as_bytes(), &[], None).unwrap_err();
    assert_eq!(error, EvidenceError::Checkpoint(CheckpointError::Note(NoteError::NoKnownKey)));
}

#[test]
fn every_digit_of_a_proof_counts() {
    let (export, inclusion, consistency) = ledger();
    let older = export.at(3).sign(&export.signers()).unwrap();
    type Check<'a> = &'a dyn Fn(&[u8]) -> bool;
    // A changed key name makes one signature unknown; the report then names one signer less.
    let is_by_all = |report: CheckpointReport| report.signers.len() == 2;
    let by_inclusion =
        |json: &[u8]| verify_inclusion(json, &keys(&export), None).is_ok_and(|report| is_by_all(report.checkpoint));
    let by_consistency = |json: &[u8]| {
        verify_consistency(json, &keys(&export), Some(&older)).is_ok_and(|report| is_by_all(report.checkpoint))
    };
    for (json, holds) in [(inclusion, &by_inclusion as Check<'_>), (consistency, &by_consistency)] {
        let json = json.to_string().into_bytes();
        assert!(holds(&json));
        for at in 0..json.len() {
            for flip in [0x01, 0x20] {
                let mut other = json.clone();
                other[at] ^= flip;
                assert!(!holds(&other), "byte {at} of {}", String::from_utf8_lossy(&json));
            }
        }
    }
}

#[test]
fn a_good_consistency_proof_holds() {
    let (export, _, proof) = ledger();
    let older = export.at(3).sign(&[&export.installation_key]).unwrap();
    for older in [None, Some(older.as_str())] {
        let report = verify_consistency(proof.to_string().as_bytes(), &keys(&export), older).unwrap();
        assert_eq!((report.old_size, report.old_root), (3, export.at(3).root));
        assert_eq!(report.checkpoint.checkpoint, export.checkpoint);
    }
}

#[test]
fn a_changed_consistency_proof_does_not_hold() {
    let (export, _, proof) = ledger();
    let older = export.at(3).sign(&export.signers()).unwrap();
    let check = |json: &str| verify_consistency(json.as_bytes(), &keys(&export), Some(&older)).unwrap_err();
    assert_eq!(check(&with(&proof, "old", json!(2))), EvidenceError::Previous);
    let other = BASE64.encode(&export.at(2).root);
    assert_eq!(check(&with(&proof, "old_root", json!(other))), EvidenceError::Previous);
    assert_eq!(check(&with(&proof, "new", json!(4))), EvidenceError::Size { proof: 4, checkpoint: 5 });
    let error = check(&with(&proof, "proof", json!([])));
    assert_eq!(error, EvidenceError::Proof(ProofError::Length { found: 0, expected: 4 }));
    assert_eq!(check(&with(&proof, "more", json!(1))), EvidenceError::Json { what: "a consistency proof" });
    // Without the older checkpoint only the proof itself can be checked.
    let json = with(&proof, "old_root", json!(other));
    let error = verify_consistency(json.as_bytes(), &keys(&export), None).unwrap_err();
    assert_eq!(error, EvidenceError::Proof(ProofError::Root { size: 3 }));
    // The older checkpoint of another ledger with the same entries.
    let twin = Checkpoint { origin: "bailiwick.example/9".to_owned(), ..export.at(3) };
    let note = twin.sign(&export.signers()).unwrap();
    let error = verify_consistency(proof.to_string().as_bytes(), &keys(&export), Some(&note)).unwrap_err();
    assert_eq!(error, EvidenceError::Previous);
}

#[test]
fn a_checkpoint_holds_with_its_keys_only() {
    let (export, ..) = ledger();
    let note = export.checkpoint.sign(&export.signers()).unwrap();
    let report = verify_checkpoint(&note, &keys(&export)).unwrap();
    assert_eq!((report.checkpoint, report.signers), (export.checkpoint.clone(), keys(&export)));
    for at in 0..note.len() {
        let mut other = note.clone().into_bytes();
        other[at] ^= 1;
        // What is no longer the signature of a known key does not count, and with one key none is left.
        if let Ok(other) = String::from_utf8(other) {
            let signers = verify_checkpoint(&other, &keys(&export)).map_or(0, |report| report.signers.len());
            assert!(signers < 2, "byte {at}");
        }
    }
}

#[test]
fn a_certificate_holds_with_its_key_only() {
    let (export, ..) = ledger();
    let certificate = DeletionCertificate {
        tenant: TenantId::from_bytes([7; 16]),
        slug: "acme".to_owned(),
        deleted_at: Timestamp::from_unix_ms(0),
        ledger: export.checkpoint.clone(),
        keys: Vec::new(),
        platform: Checkpoint { origin: "bailiwick.example/platform".to_owned(), ..export.checkpoint.clone() },
    };
    let note = certificate.sign(&[&export.installation_key]).unwrap();
    let key = export.installation_key.key();
    let report = verify_certificate(&note, std::slice::from_ref(&key)).unwrap();
    assert_eq!(report, CertificateReport { certificate, signers: vec![key.clone()] });
    for at in 0..note.len() {
        let mut other = note.clone().into_bytes();
        other[at] ^= 1;
        if let Ok(other) = String::from_utf8(other) {
            assert!(verify_certificate(&other, std::slice::from_ref(&key)).is_err(), "byte {at}");
        }
    }
    let error = verify_certificate(&note, &[export.tenant_key.key()]).unwrap_err();
    assert_eq!(error, EvidenceError::Certificate(CertificateError::Note(NoteError::NoKnownKey)));
}
