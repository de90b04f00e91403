//! Attestations: what is signed is read again, and nothing else is.

use bailiwick_types::InstallationId;
use bailiwick_types::api::attestation::{
    AttestedCheckpoint, AttestedGuardrail, AttestedInvariant, AttestedIsolation, AttestedPolicy, AttestedProof,
    AttestedRoutes, AttestedServer, AttestedShipped, AttestedTenant, AttestedTiming,
};
use bailiwick_types::api::isolation::{IsolationState, ProbeCounts};
use bailiwick_types::api::proof::{Covers, Outcome};
use serde_json::Value;

use super::*;
use crate::testing::Signer;

fn attestation() -> Attestation {
    let (tenant, installation) = (TenantId::from_bytes([7; 16]), InstallationId::from_bytes([8; 16]));
    let hash = |n: u8| data_encoding::HEXLOWER.encode(&[n; 32]);
    Attestation {
        v: ATTESTATION_VERSION,
        tenant: AttestedTenant { id: tenant, slug: "acme".to_owned() },
        installation,
        issued_at: Timestamp::from_unix_ms(1_769_860_800_000),
        checkpoint: AttestedCheckpoint {
            origin: format!("{installation}/{tenant}"),
            size: 12,
            root: BASE64.encode(&[1; 32]),
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
            finished: Some(Timestamp::from_unix_ms(1_769_860_700_000)),
            counts: Some(ProbeCounts { routes: 144, probes: 1_000, controls: 900, ..ProbeCounts::default() }),
            timing: AttestedTiming { measured: 20, seen: 0 },
        },
    }
}

fn signed(attestation: &Attestation, signer: &Signer) -> String {
    let note = AttestationNote::of(attestation).unwrap().sign(&[signer]).unwrap();
    serde_json::to_string(&SignedAttestation { attestation: attestation.clone(), note }).unwrap()
}

#[test]
fn a_note_reads_as_it_was_written() {
    let note = AttestationNote::of(&attestation()).unwrap();
    let text = note.to_string();
    expect_test::expect![[r#"
        bailiwick-attestation/v1
        tenant ten_0w3ge1r70w3ge1r70w3ge1r70w
        issued-at 2026-01-31T12:00:00.000Z
        sha256 NLTd7U2P5avdgIjC7jge5+QRSfXGTA21Qg9GO9PDKrk=
        checkpoint ins_1040g2081040g2081040g20810/ten_0w3ge1r70w3ge1r70w3ge1r70w 12 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
    "#]].assert_eq(&text);
    assert_eq!(AttestationNote::parse(&text), Ok(note));
}

#[test]
fn the_canonical_text_is_what_it_was() {
    // Whoever checks it without this crate relies on the order and the spelling of all members.
    expect_test::expect![[r#"{"v":1,"tenant":{"id":"ten_0w3ge1r70w3ge1r70w3ge1r70w","slug":"acme"},"installation":"ins_1040g2081040g2081040g20810","issued_at":"2026-01-31T12:00:00.000Z","checkpoint":{"origin":"ins_1040g2081040g2081040g20810/ten_0w3ge1r70w3ge1r70w3ge1r70w","size":12,"root":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="},"server":{"version":"0.1.0","build":"0202020202020202020202020202020202020202020202020202020202020202"},"shipped":{"schema":"0303030303030303030303030303030303030303030303030303030303030303","isolation":"0404040404040404040404040404040404040404040404040404040404040404","self_service":"0505050505050505050505050505050505050505050505050505050505050505","roles":"0606060606060606060606060606060606060606060606060606060606060606"},"proof":{"outcome":"proved","isolation":"proved","hash":"0707070707070707070707070707070707070707070707070707070707070707","solver":"cvc5 1.0.3"},"guardrails":[{"sha256":"0808080808080808080808080808080808080808080808080808080808080808","proof":"proved"}],"policies":[{"name":"a","sha256":"0909090909090909090909090909090909090909090909090909090909090909","proof":"unproven"}],"invariants":[{"name":"b","covers":"everything","sha256":"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a","proof":"proved"}],"routes":{"count":144,"sha256":"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b"},"isolation":{"state":"holds","finished":"2026-01-31T11:58:20.000Z","counts":{"routes":144,"probes":1000,"controls":900,"without_control":0,"findings":0,"inconclusive":0},"timing":{"measured":20,"seen":0}}}"#]].assert_eq(&String::from_utf8(canonical(&attestation()).unwrap()).unwrap());
}

#[test]
fn a_note_has_one_spelling() {
    let note = AttestationNote::of(&attestation()).unwrap();
    let text = note.to_string();
    for at in 0..text.len() {
        for flip in [0x01, 0x10, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= flip;
            // It may be another note, but then it is written exactly so.
            if let Some((other, text)) =
                String::from_utf8(bytes).ok().and_then(|text| Some((AttestationNote::parse(&text).ok()?, text)))
            {
                assert_eq!(other.to_string(), text);
                assert_ne!(other, note);
            }
        }
        assert!(AttestationNote::parse(text.get(..at).unwrap()).is_err());
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let without: String = lines.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| *line).collect();
        assert!(AttestationNote::parse(&without).is_err(), "without {}", lines[at]);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        assert!(AttestationNote::parse(&doubled.concat()).is_err(), "twice {}", lines[at]);
        if at > 0 {
            let mut swapped = lines.clone();
            swapped.swap(at, at - 1);
            assert!(AttestationNote::parse(&swapped.concat()).is_err(), "swapped {}", lines[at]);
        }
    }
    assert!(AttestationNote::parse(&format!("{text}\n")).is_err());
}

#[test]
fn a_signed_note_opens_with_its_key_only_and_no_byte_of_it_can_change() {
    let (signer, stranger) = (Signer::new("bailiwick.example", 1), Signer::new("bailiwick.example", 2));
    let made = AttestationNote::of(&attestation()).unwrap();
    let note = made.sign(&[&signer]).unwrap();
    let (opened, by) = AttestationNote::open(&note, &[signer.key()]).unwrap();
    assert_eq!((opened, by.verified), (made.clone(), vec![signer.key()]));
    let error = AttestationNote::open(&note, &[stranger.key()]).unwrap_err();
    assert_eq!(error, AttestationError::Note(NoteError::NoKnownKey));
    for at in 0..note.len() {
        for flip in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << flip;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(AttestationNote::open(&changed, &[signer.key()]).is_err(), "byte {at}: {changed}");
        }
    }
}

#[test]
fn a_note_of_one_kind_is_not_taken_for_another() {
    let signer = Signer::new("bailiwick.example", 1);
    let made = AttestationNote::of(&attestation()).unwrap();
    let checkpoint = made.checkpoint.sign(&[&signer]).unwrap();
    let error = AttestationNote::open(&checkpoint, &[signer.key()]).unwrap_err();
    assert_eq!(error, AttestationError::UnknownFormat);
    let note = made.sign(&[&signer]).unwrap();
    assert!(Checkpoint::open(&note, &[signer.key()]).is_err());
    assert!(crate::certificate::DeletionCertificate::open(&note, &[signer.key()]).is_err());
}

#[test]
fn what_is_read_is_what_was_written_white_space_aside() {
    let signer = Signer::new("bailiwick.example", 1);
    let text = signed(&attestation(), &signer);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read(text.as_bytes()).unwrap().attestation, attestation());
    let spaced = text.replace(",\"", " ,\n\t\"").replace("\":", "\" :\r\n ");
    assert_ne!(spaced, text);
    assert_eq!(read(spaced.as_bytes()), read(text.as_bytes()));
    assert_eq!(serde_json::from_str::<Value>(&spaced).unwrap(), value);
    // The same to a parser, and written otherwise.
    for (from, to) in [
        (r#""v":1,"#, r#""v":1,"v":1,"#),
        (r#""v":1,"#, r#""v":1,"x":1,"#),
        (r#""v":1,"#, r#""v":1.0,"#),
        (r#""slug":"acme""#, r#""slug":"acme","slug":"acme""#),
        (r#""slug":"acme""#, r#""slug":"\u0061cme""#),
        (r#""size":12"#, r#""size":12,"comment":"none""#),
        (r#""seen":0"#, r#""seen":0,"seen":0"#),
        (r#""measured":20,"seen":0"#, r#""seen":0,"measured":20"#),
        (r#"{"measured":20,"seen":0}"#, "[20,0]"),
        (r#""name":"a""#, r#""name":"a","text":"permit(principal, action, resource);""#),
        (r#","note":"#, r#","more":1,"note":"#),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert!(read(changed.as_bytes()).is_err(), "{to}");
    }
    let (start, end) = text.split_once(r#","note":"#).unwrap();
    let note = end.strip_suffix('}').unwrap();
    let swapped = format!(r#"{{"note":{note},{}}}"#, start.strip_prefix('{').unwrap());
    assert_eq!(serde_json::from_str::<Value>(&swapped).unwrap(), value);
    assert_eq!(read(swapped.as_bytes()), Err(AttestationError::NotCanonical));
    for broken in [format!("{text}x"), format!("{text}{text}"), format!("\u{feff}{text}"), format!("{{{text}")] {
        assert!(read(broken.as_bytes()).is_err());
    }
    assert_eq!(read(&vec![b' '; ATTESTATION_BYTES_MAX + 1]), Err(AttestationError::TooLong));
}

#[test]
fn absence_is_written_too() {
    let none = Attestation {
        server: AttestedServer { version: "0.1.0".to_owned(), build: None },
        isolation: AttestedIsolation {
            state: IsolationState::Off,
            finished: None,
            counts: None,
            timing: AttestedTiming::default(),
        },
        ..attestation()
    };
    let text = signed(&none, &Signer::new("bailiwick.example", 1));
    assert_eq!(read(text.as_bytes()).unwrap().attestation, none);
    for absent in [r#","build":null"#, r#","finished":null"#, r#","counts":null"#] {
        let without = text.replacen(absent, "", 1);
        assert_ne!(without, text);
        assert_eq!(read(without.as_bytes()), Err(AttestationError::NotCanonical), "{absent}");
    }
}

#[test]
fn another_ledger_or_version_has_no_note() {
    let with = |change: &dyn Fn(&mut Attestation)| {
        let mut changed = attestation();
        change(&mut changed);
        AttestationNote::of(&changed).unwrap_err()
    };
    assert_eq!(with(&|a| a.v = 2), AttestationError::UnknownVersion(2));
    assert_eq!(with(&|a| a.tenant.id = TenantId::from_bytes([9; 16])), AttestationError::Checkpoint);
    assert_eq!(with(&|a| a.installation = InstallationId::from_bytes([9; 16])), AttestationError::Checkpoint);
    assert_eq!(with(&|a| a.checkpoint.origin.push('x')), AttestationError::Checkpoint);
    assert_eq!(with(&|a| a.checkpoint.root.push('x')), AttestationError::Checkpoint);
}
