//! Inclusion and consistency over HTTP, checked offline; and a proof of one tenant is none of another.

use bailiwick_verify::{EvidenceError, verify_checkpoint, verify_consistency, verify_inclusion};
use serde_json::{Value, json};

use crate::harness::Ask;
use crate::harness::desk::Desk;
use crate::harness::house::{House, text};

use super::Kept;

/// So many that the tree is not of one subtree (of 256 leaves).
const ENTRIES: usize = 280;

async fn value(house: &House, ask: Ask) -> Value {
    house.ask(ask).await.ok().value()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// The proof with another value in a place.
fn with(proof: &Value, name: &str, value: Value) -> Vec<u8> {
    let mut changed = proof.clone();
    changed[name] = value;
    assert_ne!(changed, *proof);
    bytes(&changed)
}

#[tokio::test]
async fn every_entry_is_proved_to_be_in_the_ledger_and_nothing_else_is() {
    let house = House::new().await;
    let [acme, globex] = Kept::two(&house, ENTRIES).await;
    let (ours, theirs) = (acme.export(&house).await, globex.export(&house).await);
    let size = ours.entries();
    assert!(size > 256);
    for at in [0, 1, 2, 100, 127, 128, 200, 254, 255, 256, 257, size - 1] {
        for in_tree in [at + 1, at + 2, 257, size] {
            if in_tree <= at || in_tree > size {
                continue;
            }
            let proof = value(&house, acme.get(&format!("/ledger/inclusion?index={at}&size={in_tree}"))).await;
            let report = verify_inclusion(&bytes(&proof), &acme.keys, Some(&ours.entry(at))).unwrap();
            assert_eq!((report.index, report.checkpoint.checkpoint.size), (at as u64, in_tree as u64));
            assert_eq!(report.checkpoint.signers, acme.keys);
            // Another entry, of this tenant or of the other one; another place; another tree.
            let other = ours.entry(if at == 0 { 1 } else { 0 });
            for entry in [&other, &theirs.entry(at)] {
                let error = verify_inclusion(&bytes(&proof), &acme.keys, Some(entry)).unwrap_err();
                assert_eq!(error, EvidenceError::Leaf);
            }
            for forged in [
                with(&proof, "index", json!(at + 1)),
                with(&proof, "size", json!(in_tree + 1)),
                with(&proof, "leaf", json!(data_encoding::BASE64.encode(&bailiwick_ledger::leaf_hash(&other)))),
            ] {
                verify_inclusion(&forged, &acme.keys, None).unwrap_err();
            }
        }
    }
    let past = house.ask(acme.get(&format!("/ledger/inclusion?index={}", size + 1_000))).await;
    past.refused(400, "invalid_request");
}

#[tokio::test]
async fn checkpoints_that_were_kept_are_proved_to_be_beginnings_of_later_ones() {
    let house = House::new().await;
    let [acme, globex] = Kept::two(&house, 20).await;
    let mut kept: Vec<(String, u64)> = Vec::new();
    for round in 0..12 {
        for _ in 0..round * 3 {
            acme.grow(&house).await;
        }
        let checkpoint = value(&house, acme.get("/ledger/checkpoint")).await;
        let (note, size) = (text(&checkpoint, "note"), checkpoint["size"].as_u64().unwrap());
        let report = verify_checkpoint(&note, &acme.keys).unwrap();
        assert_eq!((report.checkpoint.size, report.signers.len()), (size, 2));
        verify_checkpoint(&note, &globex.keys[..1]).unwrap_err();
        kept.push((note, size));
    }
    for (older_note, old) in &kept {
        for (newer_note, new) in kept.iter().filter(|(_, new)| new >= old) {
            let proof = value(&house, acme.get(&format!("/ledger/consistency?old={old}&new={new}"))).await;
            let report = verify_consistency(&bytes(&proof), &acme.keys, Some(older_note)).unwrap();
            assert_eq!((report.old_size, report.checkpoint.checkpoint.size), (*old, *new));
            // It is the very tree that was signed back then.
            let newer = verify_checkpoint(newer_note, &acme.keys).unwrap().checkpoint;
            assert_eq!(report.checkpoint.checkpoint, newer);
            if old < new {
                let error = verify_consistency(&bytes(&proof), &acme.keys, Some(newer_note)).unwrap_err();
                assert_eq!(error, EvidenceError::Previous);
                let root = json!(data_encoding::BASE64.encode(&newer.root));
                verify_consistency(&with(&proof, "old_root", root), &acme.keys, None).unwrap_err();
                verify_consistency(&with(&proof, "proof", json!([])), &acme.keys, None).unwrap_err();
            }
        }
    }
}

#[tokio::test]
async fn a_proof_of_one_tenant_is_none_of_another() {
    let house = House::new().await;
    let both = Kept::two(&house, 40).await;
    let desk = Desk::new();
    for (own, other) in [(&both[0], &both[1]), (&both[1], &both[0])] {
        let mut sizes = Vec::new();
        for kept in [own, other] {
            let checkpoint = value(&house, kept.get("/ledger/checkpoint")).await;
            sizes.push((text(&checkpoint, "note"), text(&checkpoint, "origin")));
        }
        let inclusion = value(&house, own.get("/ledger/inclusion?index=5&size=30")).await;
        let consistency = value(&house, own.get("/ledger/consistency?old=20&new=30")).await;
        let theirs = value(&house, other.get("/ledger/inclusion?index=5&size=30")).await;
        let their_consistency = value(&house, other.get("/ledger/consistency?old=20&new=30")).await;
        let stranger = &other.keys[..1];
        verify_inclusion(&bytes(&inclusion), &own.keys[..1], None).unwrap();
        verify_inclusion(&bytes(&inclusion), stranger, None).unwrap_err();
        verify_consistency(&bytes(&consistency), stranger, None).unwrap_err();
        // One's entry under the other's checkpoint, which is truly signed; and under the installation's key, which signs for
        // both, a proof still says whose it is.
        for keys in [&other.keys[..], &own.keys[1..]] {
            let swapped = with(&inclusion, "checkpoint", theirs["checkpoint"].clone());
            let error = verify_inclusion(&swapped, keys, None).unwrap_err();
            assert!(matches!(error, EvidenceError::Proof(_)), "{error}");
            let swapped = with(&consistency, "checkpoint", their_consistency["checkpoint"].clone());
            let error = verify_consistency(&swapped, keys, None).unwrap_err();
            assert!(matches!(error, EvidenceError::Proof(_)), "{error}");
        }
        let report = verify_inclusion(&bytes(&inclusion), &own.keys[1..], None).unwrap();
        assert_eq!(report.checkpoint.checkpoint.origin, sizes[0].1);
        assert_ne!(sizes[0].1, sizes[1].1);
        // The other's kept checkpoint is not where this proof begins, also where the sizes are the same.
        let at_20 = value(&house, other.get("/ledger/consistency?old=10&new=20")).await;
        let at_20 = text(&at_20, "checkpoint");
        let error = verify_consistency(&bytes(&consistency), &own.keys[1..], Some(&at_20)).unwrap_err();
        assert_eq!(error, EvidenceError::Previous);

        // And on the command line.
        let (ours, strange) = (own.own_key().to_string(), other.own_key().to_string());
        for (name, proof, forged) in [
            ("inclusion", &inclusion, with(&inclusion, "checkpoint", theirs["checkpoint"].clone())),
            ("consistency", &consistency, with(&consistency, "checkpoint", their_consistency["checkpoint"].clone())),
        ] {
            let file = format!("{name}.json");
            desk.file(&file, bytes(proof));
            desk.run(&["verify", &file, "--key", &ours]).ok();
            desk.run(&["verify", &file, "--key", &strange]).ends(6);
            // Without a key it is worth nothing, and is not said to hold.
            desk.run(&["verify", &file]).ends(2);
            desk.file(&file, forged);
            desk.run(&["verify", &file, "--key", &ours]).ends(6);
            desk.run(&["verify", &file, "--key", &strange]).ends(6);
        }
    }
}
