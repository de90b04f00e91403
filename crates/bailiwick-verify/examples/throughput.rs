//! How many entries per second the verifier checks on one core: an export of as many entries as the first argument
//! says (default 1,000,000) is made in memory and verified. Run it with `--release`.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example that measures")]

use std::time::Instant;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1};
use bailiwick_ledger::export::{ExportHeader, ExportWriter};
use bailiwick_ledger::note::{NoteSigner, VerifierKey};
use bailiwick_ledger::{Checkpoint, CompactRange, leaf_hash};
use bailiwick_types::{TenantId, Timestamp};
use bailiwick_verify::{Options, verify_export};
use data_encoding::BASE64;

struct Signer(Ed25519KeyPair);

impl NoteSigner for Signer {
    fn name(&self) -> &str {
        "bailiwick.example/throughput"
    }
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key().as_ref().try_into().unwrap()
    }
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).as_ref().try_into().unwrap()
    }
}

/// An entry as reading a secret makes it.
fn entry(index: u64) -> Entry {
    let digits = format!("{index:016}");
    Entry {
        v: V1,
        tenant: TenantId::from_bytes([7; 16]).to_string(),
        time: Timestamp::from_unix_ms(1_769_860_800_000 + i64::try_from(index).unwrap()),
        request: format!("req_0w3ge1r70w{digits}"),
        actor: Actor {
            kind: ActorKind::Service,
            id: Some("acc_0w3ge1r70w3ge1r70w3ge1r70w".to_owned()),
            credential: Some("key_0w3ge1r70w3ge1r70w3ge1r70w".to_owned()),
            operator: None,
        },
        source: Some("192.0.2.17".to_owned()),
        door: "vault".to_owned(),
        action: "secret:reveal".to_owned(),
        resource: EntryResource {
            kind: "Secret".to_owned(),
            id: "kv/payments/stripe/api".to_owned(),
            version: Some(3),
        },
        decision: Decision::Allow,
        policies: vec!["role/secret-reader".to_owned()],
        outcome: "ok".to_owned(),
        code: None,
        detail: [].into(),
        salt: BASE64.encode(digits.as_bytes()),
    }
}

fn main() {
    let entries: u64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().unwrap());
    let signer = Signer(Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());
    let header = ExportHeader {
        origin: signer.name().to_owned(),
        tenant: entry(0).tenant,
        slug: "throughput".to_owned(),
        size: entries,
        exported_at: Timestamp::from_unix_ms(0),
        keys: vec![VerifierKey::of(&signer).unwrap()],
    };
    let mut tree = CompactRange::new();
    let (mut writer, mut file) = ExportWriter::new(header);
    for index in 0..entries {
        let bytes = entry(index).canonical();
        let leaf = leaf_hash(&bytes);
        tree.append(leaf, |_, _, _| {});
        file.extend(writer.entry(index, &leaf, Some(&bytes)).unwrap());
    }
    let checkpoint = Checkpoint { origin: signer.name().to_owned(), size: entries, root: tree.root() };
    file.extend(writer.finish(&checkpoint.sign(&[&signer]).unwrap(), &[&signer]).unwrap());

    let start = Instant::now();
    let report = verify_export(&file[..], &Options::default()).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (count, bytes) = (report.entries as f64, file.len() as f64);
    println!(
        "{entries} entries of {:.0} bytes in {seconds:.3} s: {:.0} entries/s, {:.0} MB/s",
        bytes / count,
        count / seconds,
        bytes / 1e6 / seconds
    );
}
