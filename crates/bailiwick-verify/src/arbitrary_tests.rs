//! Arbitrary bytes: no parser panics, and nothing that was not signed is accepted.
//!
//! The bytes come from a small generator with fixed seeds: pieces of real files, cut, repeated, mixed and changed.
//! A failure prints the seed of its round.

use bailiwick_ledger::attestation::AttestationNote;
use bailiwick_ledger::certificate::DeletionCertificate;
use bailiwick_ledger::export::{CheckpointLine, EntryLine, ExportHeader, Seal, SealLine};
use bailiwick_ledger::{Checkpoint, CompactRange, Entry, note};
use serde_json::json;

use crate::testing::{Export, TestSigner, entry, verify};
use crate::{
    Options, VerifierKey, verify_attestation, verify_certificate, verify_consistency, verify_export, verify_inclusion,
};

/// xorshift64*: small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(n.max(1)).unwrap()).unwrap()
    }

    fn slice<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let from = self.below(bytes.len());
        let length = self.below(bytes.len() - from + 1);
        &bytes[from..from + length]
    }

    /// One of the samples, or pieces of several, with some changes.
    fn bytes(&mut self, samples: &[Vec<u8>]) -> Vec<u8> {
        let pick = self.below(samples.len());
        let mut bytes = samples[pick].clone();
        for _ in 0..self.below(4) {
            let sample = self.below(samples.len());
            let piece = self.slice(&samples[sample]).to_vec();
            let at = self.below(bytes.len() + 1);
            let gone = self.below(bytes.len() - at + 1);
            bytes.splice(at..at + gone, piece);
        }
        for _ in 0..self.below(6) {
            if !bytes.is_empty() {
                let at = self.below(bytes.len());
                let structural = b"{}[]\",:\\0-9+e\n\x00\xff\xe2";
                let other = structural.get(self.below(2 * structural.len())).copied();
                bytes[at] = other.unwrap_or(self.next().to_be_bytes()[0]);
            }
        }
        bytes
    }
}

#[test]
fn arbitrary_bytes_never_panic_and_are_never_accepted() {
    let export = Export::new(7, 3).erase(1);
    let keys: Vec<VerifierKey> = export.header.keys.clone();
    let file = export.file();
    let checkpoint = export.checkpoint.sign(&export.signers()).unwrap();
    let proof = json!({ "index": 0, "size": 3, "leaf": "", "proof": ["", ""], "checkpoint": &checkpoint });
    let mut samples: Vec<Vec<u8>> = file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    samples.extend([
        file.clone(),
        checkpoint.clone().into_bytes(),
        proof.to_string().into_bytes(),
        entry(7, 0).canonical(),
        export.checkpoint.to_string().into_bytes(),
        export.seal_of(b"").to_string().into_bytes(),
        keys[0].to_string().into_bytes(),
        r#"{"attestation":{"v":1,"tenant":{"id":"ten_0w3ge1r70w3ge1r70w3ge1r70w","slug":"a"}},"note":"a\n\n"}"#.into(),
        "bailiwick-attestation/v1\ntenant ten_0w3ge1r70w3ge1r70w3ge1r70w\nissued-at 2026-01-31T12:00:00.000Z\n".into(),
        "bailiwick-deletion/v1\ntenant ten_0w3ge1r70w3ge1r70w3ge1r70w\nslug a\nkey a b\n".into(),
        Vec::new(),
    ]);
    for seed in 1..=20_000 {
        let bytes = Dice(seed).bytes(&samples);
        let accepted = std::panic::catch_unwind(|| {
            let mut accepted = verify(&bytes).is_ok() && bytes != file;
            let _ = (Entry::parse(&bytes), Entry::check(&bytes));
            let _ = (ExportHeader::parse(&bytes), EntryLine::parse(&bytes));
            let _ = (CheckpointLine::parse(&bytes), SealLine::parse(&bytes));
            let _ = CompactRange::from_bytes(&bytes).map(|mut tree| tree.append([0; 32], |_, _, _| {}));
            accepted |= verify_inclusion(&bytes, &keys, None).is_ok();
            accepted |= verify_consistency(&bytes, &keys, None).is_ok();
            let text = String::from_utf8_lossy(&bytes);
            let _ = (text.parse::<VerifierKey>(), text.parse::<Checkpoint>(), text.parse::<Seal>());
            let _ = text.parse::<DeletionCertificate>();
            accepted |= note::open(&text, &keys).is_ok_and(|opened| !checkpoint.starts_with(&opened.text));
            accepted |= verify_certificate(&text, &keys).is_ok();
            let _ = text.parse::<AttestationNote>();
            accepted |= verify_attestation(&bytes, &keys, None).is_ok();
            accepted
        });
        assert!(matches!(accepted, Ok(false)), "seed {seed}: {accepted:?}");
    }
}

#[test]
fn arbitrary_earlier_checkpoints_never_panic() {
    let export = Export::new(7, 3);
    let stranger = TestSigner::new("a", 1);
    let good = export.at(2).sign(&export.signers()).unwrap();
    let samples = [good.clone().into_bytes(), export.at(2).sign(&[&stranger]).unwrap().into_bytes()];
    let file = export.file();
    for seed in 1..=2_000 {
        let note = String::from_utf8_lossy(&Dice(seed).bytes(&samples)).into_owned();
        let options = Options { previous: Some(note.clone()), ..Options::default() };
        if let Ok(report) = verify_export(&file[..], &options) {
            assert!(report.previous == Some(2) && note.starts_with(&export.at(2).to_string()), "seed {seed}");
        }
    }
}
