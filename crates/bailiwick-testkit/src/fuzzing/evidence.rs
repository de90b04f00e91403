//! What leaves the house as evidence and comes back to be verified: entries, notes, exports, proofs, attestations.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::OnceLock;

use bailiwick_ledger::attestation::{self as attestation_of, AttestationNote};
use bailiwick_ledger::certificate::{DeletionCertificate, DestroyedKey};
use bailiwick_ledger::entry::{Actor, ActorKind, Decision, EntryResource, V1, salt};
use bailiwick_ledger::export::{CheckpointLine, EntryLine, ExportHeader, ExportWriter, Seal, SealLine};
use bailiwick_ledger::{
    Checkpoint, CompactRange, Entry, Hash, LeafRange, NoteSigner, VerifierKey, consistency_ranges, inclusion_ranges,
    leaf_hash, node_hash, note as notes_of, ocsf,
};
use bailiwick_seal::RootKey;
use bailiwick_types::api::attestation::{
    ATTESTATION_VERSION, Attestation, AttestedCheckpoint, AttestedGuardrail, AttestedIsolation, AttestedPolicy,
    AttestedProof, AttestedRoutes, AttestedServer, AttestedShipped, AttestedTenant, AttestedTiming, SignedAttestation,
};
use bailiwick_types::api::isolation::{IsolationState, ProbeCounts};
use bailiwick_types::api::proof::Outcome;
use bailiwick_types::{InstallationId, TenantId, Timestamp};
use bailiwick_verify::{Options, verify_attestation, verify_consistency, verify_export, verify_inclusion};
use data_encoding::BASE64;
use serde_json::json;

use crate::random::SeededRandom;

/// A small ledger with everything that proves it.
struct Evidence {
    keys: Vec<VerifierKey>,
    entries: Vec<Vec<u8>>,
    /// Signed texts: a checkpoint's, a certificate's, a seal's.
    notes: Vec<String>,
    export: Vec<u8>,
    inclusion: Vec<u8>,
    consistency: Vec<u8>,
    attestation: SignedAttestation,
}

const SIZE: u64 = 5;

fn evidence() -> &'static Evidence {
    static EVIDENCE: OnceLock<Evidence> = OnceLock::new();
    EVIDENCE.get_or_init(|| build().expect("a ledger that proves itself"))
}

fn sample(number: u64, tenant: TenantId, random: &SeededRandom) -> Entry {
    let some = |text: &str| (number.is_multiple_of(2)).then(|| text.to_owned());
    Entry {
        v: V1,
        tenant: tenant.to_string(),
        time: Timestamp::from_unix_ms(1_767_225_600_000 + i64::try_from(number).unwrap()),
        request: format!("req_{number}"),
        actor: Actor {
            kind: if number.is_multiple_of(2) { ActorKind::Member } else { ActorKind::Anonymous },
            id: some("mem_1"),
            credential: some("key_1"),
            operator: None,
        },
        source: some("192.0.2.1"),
        door: "vault".into(),
        action: "secret:reveal".into(),
        resource: EntryResource {
            kind: "Secret".into(), id: "secret/ä \" \\ \u{1}".to_owned(), version: Some(number)
        },
        decision: if number.is_multiple_of(2) { Decision::Allow } else { Decision::None },
        policies: vec!["role:owner@member-role".to_owned()],
        outcome: "ok".into(),
        code: None,
        detail: [("note".to_owned(), "value".to_owned())].into(),
        salt: salt(random),
    }
}

fn build() -> Result<Evidence, Box<dyn std::error::Error>> {
    let random = SeededRandom::new("evidence");
    let (tenant, installation) = (TenantId::random(&random), InstallationId::random(&random));
    let origin = format!("{installation}/{tenant}");
    let own = RootKey::generate(&random).installation_signer(installation, &origin)?;
    let other = RootKey::generate(&random).installation_signer(installation, &installation.to_string())?;
    let signers: [&dyn NoteSigner; 2] = [&own, &other];
    let keys = vec![VerifierKey::of(&own)?, VerifierKey::of(&other)?];
    let entries: Vec<Vec<u8>> = (0..SIZE).map(|number| sample(number, tenant, &random).canonical()).collect();
    let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();

    let mut tree = CompactRange::new();
    let (mut older, mut checkpoint) =
        (Checkpoint { origin: origin.clone(), size: 0, root: tree.root() }, String::new());
    for (number, leaf) in leaves.iter().enumerate() {
        tree.append(*leaf, |_, _, _| {});
        let at = Checkpoint { origin: origin.clone(), size: tree.size(), root: tree.root() };
        if number == 2 {
            older = at.clone();
        }
        checkpoint = at.sign(&signers)?;
    }
    let certificate = DeletionCertificate {
        tenant,
        slug: "acme".to_owned(),
        deleted_at: Timestamp::from_unix_ms(1_767_225_600_000),
        ledger: older.clone(),
        keys: vec![DestroyedKey { name: "keyring".to_owned(), fingerprint: [7; 32] }],
        platform: Checkpoint { origin: format!("{installation}/platform"), size: SIZE, root: [9; 32] },
    }
    .sign(&signers)?;

    let header = ExportHeader {
        origin: origin.clone(),
        tenant: tenant.to_string(),
        slug: "acme".to_owned(),
        size: SIZE,
        exported_at: Timestamp::from_unix_ms(1_767_225_600_000),
        keys: keys.clone(),
    };
    let (mut writer, mut export) = ExportWriter::new(header);
    for (number, (entry, leaf)) in entries.iter().zip(&leaves).enumerate() {
        let kept = (number != 1).then_some(entry.as_slice());
        export.extend(writer.entry(u64::try_from(number)?, leaf, kept)?);
    }
    export.extend(writer.finish(&checkpoint, &signers)?);

    // By the definitions of RFC 9162, for a tree that is small enough to write down.
    let base64 = |hash: &Hash| BASE64.encode(hash);
    let hash_of = |range: &LeafRange| subtree(&leaves, range.from, range.to);
    let proof = |ranges: Option<Vec<LeafRange>>| -> Vec<String> {
        ranges.unwrap_or_default().iter().map(|range| base64(&hash_of(range))).collect()
    };
    let inclusion = json!({
        "index": 3, "size": SIZE, "leaf": base64(&leaves[3]), "proof": proof(inclusion_ranges(3, SIZE)),
        "checkpoint": checkpoint,
    });
    let consistency = json!({
        "old": older.size, "new": SIZE, "old_root": base64(&older.root),
        "proof": proof(consistency_ranges(older.size, SIZE)), "checkpoint": checkpoint,
    });
    let attestation = attested(tenant, installation, &older);
    let note = AttestationNote::of(&attestation)?.sign(&signers)?;
    Ok(Evidence {
        attestation: SignedAttestation { attestation, note },
        keys,
        entries,
        notes: vec![checkpoint, certificate],
        export,
        inclusion: inclusion.to_string().into_bytes(),
        consistency: consistency.to_string().into_bytes(),
    })
}

fn attested(tenant: TenantId, installation: InstallationId, checkpoint: &Checkpoint) -> Attestation {
    let hash = || data_encoding::HEXLOWER.encode(&[7; 32]);
    Attestation {
        v: ATTESTATION_VERSION,
        tenant: AttestedTenant { id: tenant, slug: "acme".to_owned() },
        installation,
        issued_at: Timestamp::from_unix_ms(1_767_225_600_000),
        checkpoint: AttestedCheckpoint {
            origin: checkpoint.origin.clone(),
            size: checkpoint.size,
            root: BASE64.encode(&checkpoint.root),
        },
        server: AttestedServer { version: "1".to_owned(), build: None },
        shipped: AttestedShipped { schema: hash(), isolation: hash(), self_service: hash(), roles: hash() },
        proof: AttestedProof {
            outcome: Outcome::Proved,
            isolation: Outcome::Proved,
            hash: Some(hash()),
            solver: Some("ä \" \\ \u{1}".to_owned()),
        },
        guardrails: vec![AttestedGuardrail { sha256: hash(), proof: Outcome::Refuted }],
        policies: vec![AttestedPolicy { name: "a".parse().unwrap(), sha256: hash(), proof: Outcome::Unproven }],
        invariants: Vec::new(),
        routes: AttestedRoutes { count: 1, sha256: hash() },
        isolation: AttestedIsolation {
            state: IsolationState::Off,
            finished: None,
            counts: Some(ProbeCounts::default()),
            timing: AttestedTiming::default(),
        },
    }
}

fn subtree(leaves: &[Hash], from: u64, to: u64) -> Hash {
    match to - from {
        1 => leaves[usize::try_from(from).unwrap()],
        n => {
            let half = n.next_power_of_two() / 2;
            node_hash(&subtree(leaves, from, from + half), &subtree(leaves, from + half, to))
        }
    }
}

// --- entries ---------------------------------------------------------------------------------------------------------

pub(super) fn entry(input: &[u8]) {
    let parsed = Entry::parse(input);
    assert_eq!(parsed.is_ok(), Entry::check(input).is_ok(), "the two readers of entries disagree");
    let Ok(entry) = parsed else { return };
    assert_eq!(entry.canonical(), input, "an entry has one spelling");
    let event = ocsf::event(&entry, 3, &ocsf::Source { origin: "o", product_version: "1" });
    assert!(event.is_object());
}

pub(super) fn entries() -> Vec<Vec<u8>> {
    evidence().entries.clone()
}

// --- notes -----------------------------------------------------------------------------------------------------------

fn one_spelling<T: FromStr + Display>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string(), text);
    }
}

pub(super) fn note(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    one_spelling::<VerifierKey>(text);
    one_spelling::<Checkpoint>(text);
    one_spelling::<DeletionCertificate>(text);
    one_spelling::<AttestationNote>(text);
    one_spelling::<Seal>(text);
    let Evidence { keys, notes, attestation, .. } = evidence();
    if let Ok(opened) = notes_of::open(text, keys) {
        let mut notes = notes.iter().chain([&attestation.note]);
        let is_ours = notes.any(|note| notes_of::open(note, keys).is_ok_and(|known| known.text == opened.text));
        assert!(is_ours, "a text was accepted that nobody signed");
    }
    let _ = (Checkpoint::open(text, keys), DeletionCertificate::open(text, keys));
}

pub(super) fn notes() -> Vec<Vec<u8>> {
    let Evidence { keys, notes, attestation, .. } = evidence();
    let notes: Vec<&String> = notes.iter().chain([&attestation.note]).collect();
    let mut all: Vec<Vec<u8>> = notes.iter().map(|note| note.as_bytes().to_vec()).collect();
    all.extend(keys.iter().map(|key| key.to_string().into_bytes()));
    let text = |note: &&String| note.rsplit_once("\n\n").map(|(text, _)| format!("{text}\n").into_bytes());
    all.extend(notes.iter().filter_map(text));
    all
}

// --- exports ---------------------------------------------------------------------------------------------------------

pub(super) fn export(input: &[u8]) {
    let line = input.strip_suffix(b"\n").unwrap_or(input);
    if let Ok(header) = ExportHeader::parse(line) {
        assert_eq!(header.line(), line);
    }
    if let Ok(entry) = EntryLine::parse(line) {
        let mut out = Vec::new();
        entry.write(&mut out);
        assert_eq!(out, line);
    }
    if let Ok(checkpoint) = CheckpointLine::parse(line) {
        assert_eq!(checkpoint.line(), line);
    }
    if let Ok(seal) = SealLine::parse(line) {
        assert_eq!(seal.line(), line);
    }
    let Evidence { keys, export, notes, .. } = evidence();
    for previous in [None, notes.first().cloned()] {
        let options = Options { pinned: keys.clone(), previous, ..Options::default() };
        if verify_export(input, &options).is_ok() {
            assert!(input == export, "an export was accepted that nobody sealed");
        }
    }
}

pub(super) fn exports() -> Vec<Vec<u8>> {
    let export = &evidence().export;
    let mut all: Vec<Vec<u8>> = export.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    all.push(export.clone());
    all
}

// --- proofs ----------------------------------------------------------------------------------------------------------

pub(super) fn proof(input: &[u8]) {
    let Evidence { keys, entries, .. } = evidence();
    if let Ok(report) = verify_inclusion(input, keys, None) {
        let index = usize::try_from(report.index).unwrap();
        assert_eq!(Some(report.leaf), entries.get(index).map(|entry| leaf_hash(entry)), "a leaf that is not there");
    }
    if let Ok(report) = verify_consistency(input, keys, None) {
        let mut tree = CompactRange::new();
        for entry in entries.iter().take(usize::try_from(report.old_size).unwrap()) {
            tree.append(leaf_hash(entry), |_, _, _| {});
        }
        assert_eq!((report.old_size, report.old_root), (tree.size(), tree.root()), "a past that never was");
    }
}

pub(super) fn proofs() -> Vec<Vec<u8>> {
    let Evidence { inclusion, consistency, .. } = evidence();
    vec![inclusion.clone(), consistency.clone()]
}

// --- attestations ----------------------------------------------------------------------------------------------------

pub(super) fn attestation(input: &[u8]) {
    let Evidence { keys, attestation, .. } = evidence();
    if let Ok(read) = attestation_of::read(input) {
        let written = serde_json::to_vec(&read).unwrap();
        assert_eq!(attestation_of::read(&written).as_ref(), Ok(&read));
        assert!(input.len() >= written.len(), "what is more than white space was added");
    }
    if let Ok(report) = verify_attestation(input, keys, None) {
        assert_eq!(report.attestation, attestation.attestation, "an attestation was accepted that nobody signed");
        assert!(report.doubts().len() >= 3);
    }
}

pub(super) fn attestations() -> Vec<Vec<u8>> {
    let text = serde_json::to_string(&evidence().attestation).unwrap();
    vec![text.replace(",\"", " ,\n\"").into_bytes(), text.into_bytes()]
}
