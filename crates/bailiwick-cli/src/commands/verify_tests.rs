//! `verify` as it is typed: which files it takes, what it says, how it ends.

use std::path::PathBuf;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bailiwick_ledger::attestation::AttestationNote;
use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1};
use bailiwick_ledger::export::{ExportHeader, ExportWriter};
use bailiwick_ledger::note::{NoteSigner, VerifierKey};
use bailiwick_ledger::{Checkpoint, CompactRange, leaf_hash};
use bailiwick_types::api::attestation::SignedAttestation;
use bailiwick_types::{TenantId, Timestamp};

use crate::env::Environment;
use crate::testing::{Ran, run};

struct Signer {
    name: &'static str,
    pair: Ed25519KeyPair,
}

impl Signer {
    fn new(name: &'static str, seed: u8) -> Self {
        Self { name, pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    fn key(&self) -> VerifierKey {
        VerifierKey::of(self).unwrap()
    }
}

impl NoteSigner for Signer {
    fn name(&self) -> &str {
        self.name
    }
    fn public_key(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().unwrap()
    }
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().unwrap()
    }
}

const ORIGIN: &str = "bailiwick.example/1";

fn entry(index: u64) -> Vec<u8> {
    Entry {
        v: V1,
        tenant: TenantId::from_bytes([1; 16]).to_string(),
        time: Timestamp::from_unix_ms(1_767_225_600_000 + i64::try_from(index).unwrap() * 1_000),
        request: format!("req_{index}"),
        actor: Actor { kind: ActorKind::Service, id: Some("acc_1".to_owned()), credential: None, operator: None },
        source: None,
        door: "api".into(),
        action: "secret:reveal".into(),
        resource: EntryResource { kind: "Secret".into(), id: "kv/a".to_owned(), version: Some(1) },
        decision: Decision::Allow,
        policies: Vec::new(),
        outcome: "ok".into(),
        code: None,
        detail: Default::default(),
        salt: data_encoding::BASE64.encode(&[1; 16]),
    }
    .canonical()
}

/// The signed checkpoint of the first `size` entries.
fn checkpoint(size: u64) -> String {
    let mut tree = CompactRange::new();
    for index in 0..size {
        tree.append(leaf_hash(&entry(index)), |_, _, _| {});
    }
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: tree.root() };
    checkpoint.sign(&[&Signer::new(ORIGIN, 1), &Signer::new("bailiwick.example", 2)]).unwrap()
}

fn export(size: u64) -> Vec<u8> {
    let (tenant, installation) = (Signer::new(ORIGIN, 1), Signer::new("bailiwick.example", 2));
    let (mut writer, mut file) = ExportWriter::new(ExportHeader {
        origin: ORIGIN.to_owned(),
        tenant: TenantId::from_bytes([1; 16]).to_string(),
        slug: "acme".to_owned(),
        size,
        exported_at: "2026-01-09T00:00:00Z".parse().unwrap(),
        keys: vec![tenant.key(), installation.key()],
    });
    for index in 0..size {
        let bytes = entry(index);
        file.extend(writer.entry(index, &leaf_hash(&bytes), Some(&bytes)).unwrap());
    }
    file.extend(writer.finish(&checkpoint(size), &[&tenant, &installation]).unwrap());
    file
}

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn verify(words: &[&str]) -> Ran {
    let line: Vec<_> = std::iter::once("verify").chain(words.iter().copied()).collect();
    run(&line, Environment::default(), "")
}

#[test]
fn a_good_export_reads_like_this() {
    let desk = Desk::new();
    let file = desk.put("acme.ledger", export(3));
    let ran = verify(&[&file]);
    assert_eq!((ran.code, ran.err.lines().count()), (0, 1), "{}", ran.err);
    expect_test::expect![[r#"
        an export that holds

        tenant     acme (ten_040g2081040g2081040g208104)
        origin     bailiwick.example/1
        entries    3: complete, in order, unchanged
        first      2026-01-01 00:00:00Z (9d ago)
        last       2026-01-01 00:00:02Z (9d ago)
        exported   2026-01-09 00:00:00Z (24h ago)
        root       0wFcPECTJA4/P2qzoSTomPIUZST0n3Rc06Z3Y+V+Y+g=
        signed by  bailiwick.example/1+ddc518d5+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c
                   bailiwick.example+0c7e085f+AYE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU
    "#]]
    .assert_eq(&ran.out);
    let key = Signer::new(ORIGIN, 1).key().to_string();
    let ran = verify(&[&file, "--key", &key]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains(&format!("{key} (trusted)")), "{}", ran.out);
    let ran = verify(&[&file, "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((report["entries"].as_u64(), report["slug"].as_str()), (Some(3), Some("acme")));
}

#[test]
fn what_does_not_hold_ends_with_6_and_says_where() {
    let desk = Desk::new();
    let good = String::from_utf8(export(3)).unwrap();
    let lines: Vec<_> = good.lines().collect();
    let without = |line: usize| {
        let kept: Vec<_> = lines.iter().enumerate().filter(|(at, _)| *at != line).map(|(_, line)| *line).collect();
        kept.join("\n") + "\n"
    };
    for (name, text, says) in [
        ("changed", good.replacen("req_1", "req_9", 1), "line 3"),
        ("dropped", without(2), "line 3"),
        ("cut", good.chars().take(good.len() - 40).collect(), "cut off"),
        ("other", "hello\n".to_owned(), "not a Bailiwick export"),
        ("empty", String::new(), "the export is empty"),
    ] {
        let ran = verify(&[&desk.put(name, text)]);
        assert_eq!(ran.code, 6, "{name}: {}", ran.err);
        assert!(ran.err.starts_with("error: it does not hold: ") && ran.err.contains(says), "{name}: {}", ran.err);
        assert_eq!(ran.out, "", "{name}");
    }
    let stranger = Signer::new(ORIGIN, 9).key().to_string();
    assert_eq!(verify(&[&desk.put("good", &good), "--key", &stranger]).code, 6);
}

#[test]
fn what_cannot_be_checked_ends_with_2() {
    let desk = Desk::new();
    let file = desk.put("good", export(1));
    assert_eq!(verify(&["/nonexistent"]).code, 2);
    assert_eq!(verify(&[&file, "--key", "no key"]).code, 2);
    assert_eq!(verify(&[&file, "--previous", &desk.put("text", "nothing\n")]).code, 2);
    assert_eq!(verify(&[&desk.put("checkpoint", checkpoint(1))]).code, 2, "a checkpoint proves nothing without a key");
}

#[test]
fn an_export_continues_what_was_kept_in_any_form() {
    let desk = Desk::new();
    let file = desk.put("new.ledger", export(3));
    let answer = serde_json::json!({"origin": ORIGIN, "size": 2, "root": "", "note": checkpoint(2), "keys": []});
    for (name, bytes) in [
        ("note", checkpoint(2).into_bytes()),
        ("answer.json", crate::output::pretty(&answer.to_string()).into_bytes()),
        ("old.ledger", export(2)),
    ] {
        let ran = verify(&[&file, "--previous", &desk.put(name, bytes)]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        assert!(ran.out.contains("the earlier 2 entries"), "{name}: {}", ran.out);
    }
    let ran = verify(&[&desk.put("short.ledger", export(1)), "--previous", &desk.put("longer", checkpoint(2))]);
    assert_eq!(ran.code, 6, "{}", ran.err);
}

#[test]
fn checkpoints_and_proofs_are_told_apart() {
    let desk = Desk::new();
    let key = Signer::new(ORIGIN, 1).key().to_string();
    let ran = verify(&[&desk.put("checkpoint", checkpoint(2)), "--key", &key]);
    assert!(ran.code == 0 && ran.out.starts_with("a checkpoint that holds"), "{} {}", ran.out, ran.err);

    let base64 = |hash: &[u8]| data_encoding::BASE64.encode(hash);
    let (first, second) = (leaf_hash(&entry(0)), leaf_hash(&entry(1)));
    let proof = |leaf: &[u8]| {
        let proof = [base64(&first)];
        serde_json::json!({"index": 1, "size": 2, "leaf": base64(leaf), "proof": proof, "checkpoint": checkpoint(2)})
    };
    let ran = verify(&[&desk.put("proof", proof(&second).to_string()), "--key", &key, "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((report["index"].as_u64(), report["signed_by"][0].as_str()), (Some(1), Some(key.as_str())));
    let ran = verify(&[&desk.put("wrong", proof(&first).to_string()), "--key", &key]);
    assert_eq!(ran.code, 6, "{}", ran.err);

    let consistency = serde_json::json!({
        "old": 1, "new": 2, "old_root": base64(&first), "proof": [base64(&second)], "checkpoint": checkpoint(2)
    });
    let ran = verify(&[&desk.put("consistency", consistency.to_string()), "--key", &key]);
    assert!(ran.code == 0 && ran.out.starts_with("a consistency proof that holds"), "{} {}", ran.out, ran.err);
}

/// What the server of the transcript attests, signed; changed before that if `change` finds something.
fn attested(change: (&str, &str)) -> String {
    let tenant = TenantId::from_bytes([1; 16]);
    let root = data_encoding::BASE64.encode(&[1; 32]);
    let text = r#"{"v":1,"tenant":{"id":"TENANT","slug":"acme"},"installation":"ins_04106101040g20g4081040g208","issued_at":"2026-01-09T23:00:00.000Z","checkpoint":{"origin":"ins_04106101040g20g4081040g208/TENANT","size":3,"root":"ROOT"},"server":{"version":"0.1.0","build":"01ab"},"shipped":{"schema":"02ab","isolation":"03ab","self_service":"04ab","roles":"05ab"},"proof":{"outcome":"proved","isolation":"proved","hash":"06ab","solver":"cvc5 1.0.3"},"guardrails":[],"policies":[],"invariants":[],"routes":{"count":144,"sha256":"0aab"},"isolation":{"state":"holds","finished":"2026-01-09T22:00:00.000Z","counts":{"routes":144,"probes":2000,"controls":1800,"without_control":7,"findings":0,"inconclusive":0},"timing":{"measured":20,"seen":0}}}"#;
    let text = text.replace("TENANT", &tenant.to_string()).replace("ROOT", &root).replace(change.0, change.1);
    let attestation = serde_json::from_str(&text).unwrap();
    let note = AttestationNote::of(&attestation).unwrap().sign(&[&Signer::new(ORIGIN, 1)]).unwrap();
    serde_json::to_string(&SignedAttestation { attestation, note }).unwrap()
}

#[test]
fn an_attestation_is_told_and_warned_about() {
    let desk = Desk::new();
    let key = Signer::new(ORIGIN, 1).key().to_string();
    let good = attested(("", ""));
    let ran = verify(&[&desk.put("good", &good), "--key", &key]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for said in
        ["an attestation that holds", "acme (ten_", "holds: 144 routes, 2,000 probes", "guardrails      none", &key]
    {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    let laid_out = verify(&[&desk.put("laid-out", crate::output::pretty(&good)), "--key", &key]);
    assert_eq!((laid_out.code, &laid_out.out), (0, &ran.out), "{}", laid_out.err);
    for (change, warning) in [
        ((r#""state":"holds""#, r#""state":"broken""#), "warning: the server has found its own isolation broken\n"),
        ((r#""outcome":"proved""#, r#""outcome":"unproven""#), "warning: the rules in force are not proved\n"),
        ((r#""build":"01ab""#, r#""build":null"#), "warning: the server does not know which program it runs\n"),
    ] {
        let file = desk.put("bad-news", attested(change));
        let ran = verify(&[&file, "--key", &key]);
        assert_eq!((ran.code, ran.err.as_str()), (0, warning));
        let ran = verify(&[&file, "--key", &key, "-o", "json"]);
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let doubts: Vec<_> = report["doubts"].as_array().unwrap().iter().filter_map(|doubt| doubt.as_str()).collect();
        assert_eq!(format!("warning: {}\n", doubts.join("; ")), warning);
        assert_eq!(report["signed_by"][0], key);
    }
}

#[test]
fn an_attestation_that_does_not_hold_or_is_too_old_ends_with_6() {
    let desk = Desk::new();
    let (key, stranger) = (Signer::new(ORIGIN, 1).key().to_string(), Signer::new(ORIGIN, 9).key().to_string());
    let good = attested(("", ""));
    let file = desk.put("good", &good);
    assert_eq!(verify(&[&file]).code, 2, "it proves nothing without a key");
    assert_eq!(verify(&[&file, "--key", &stranger]).code, 6);
    assert_eq!(verify(&[&file, "--key", &key, "--previous", &file]).code, 2);
    assert_eq!(verify(&[&file, "--key", &key, "--max-age", "soon"]).code, 2);
    assert_eq!(verify(&[&file, "--key", &key, "--max-age", "1h"]).code, 0);
    let ran = verify(&[&file, "--key", &key, "--max-age", "59m"]);
    assert!(ran.code == 6 && ran.err.contains("more than 59m"), "{}", ran.err);
    let ran = verify(&[&desk.put("checkpoint", checkpoint(2)), "--key", &key, "--max-age", "1h"]);
    assert!(ran.code == 2 && ran.err.contains("a checkpoint"), "{}", ran.err);
    for (name, changed) in [
        ("state", good.replace("proved", "refuted")),
        ("twice", good.replace(r#""v":1"#, r#""v":1,"v":1"#)),
        ("unknown", good.replace(r#""v":1"#, r#""v":1,"w":1"#)),
        ("cut", good.chars().take(good.len() - 9).collect()),
        ("more", format!("{good}{good}")),
        ("long", format!("{good}{}", " ".repeat(9 << 20))),
    ] {
        assert_ne!(changed, good);
        let ran = verify(&[&desk.put(name, changed), "--key", &key]);
        assert_eq!((ran.code, ran.out.as_str()), (6, ""), "{name}: {}", ran.err);
        assert!(ran.err.starts_with("error: it does not hold: the attestation "), "{name}: {}", ran.err);
    }
}
