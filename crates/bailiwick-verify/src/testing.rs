//! What tests share: signers, entries, and exports that are right or wrong in one chosen way.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1};
use bailiwick_ledger::export::{CheckpointLine, EntryLine, ExportHeader, Seal, SealLine, Sha256, frame};
use bailiwick_ledger::note::{self, NoteSigner, VerifierKey};
use bailiwick_ledger::{Checkpoint, CompactRange, Hash, leaf_hash};
use bailiwick_types::{TenantId, Timestamp};
use data_encoding::BASE64;

use crate::export::verify_in_blocks;
use crate::{Options, Report, VerifyError, verify_export};

/// Signs with a key that is made from a number.
pub(crate) struct TestSigner {
    name: String,
    pair: Ed25519KeyPair,
}

impl TestSigner {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        Self { name: name.to_owned(), pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    pub(crate) fn key(&self) -> VerifierKey {
        VerifierKey::of(self).unwrap()
    }
}

impl NoteSigner for TestSigner {
    fn name(&self) -> &str {
        &self.name
    }
    fn public_key(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().unwrap()
    }
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.pair.sign(message).as_ref().try_into().unwrap()
    }
}

/// An export in parts. `file` puts them together and signs them, whatever they say.
pub(crate) struct Export {
    pub(crate) header: ExportHeader,
    /// Leaf hash and bytes of each entry.
    pub(crate) entries: Vec<(Hash, Option<Vec<u8>>)>,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) tenant_key: TestSigner,
    pub(crate) installation_key: TestSigner,
}

pub(crate) fn tenant(number: u8) -> String {
    TenantId::from_bytes([number; 16]).to_string()
}

pub(crate) fn entry(number: u8, index: u64) -> Entry {
    Entry {
        v: V1,
        tenant: tenant(number),
        time: Timestamp::from_unix_ms(1_769_860_800_000 + i64::try_from(index).unwrap()),
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
        detail: BTreeMap::new(),
        salt: BASE64.encode(&[number; 16]),
    }
}

impl Export {
    /// A good export of tenant `number` with `size` entries. Both tenants' entries say the same things.
    pub(crate) fn new(number: u8, size: u64) -> Self {
        let origin = format!("bailiwick.example/{number}");
        let tenant_key = TestSigner::new(&origin, number);
        let installation_key = TestSigner::new("bailiwick.example", 200);
        let header = ExportHeader {
            origin: origin.clone(),
            tenant: tenant(number),
            slug: "acme".to_owned(),
            size,
            exported_at: Timestamp::from_unix_ms(1_769_900_000_000),
            keys: vec![tenant_key.key(), installation_key.key()],
        };
        let entries = (0..size).map(|index| with_leaf(entry(number, index).canonical())).collect();
        let checkpoint = Checkpoint { origin, size: 0, root: [0; 32] };
        let mut export = Self { header, entries, checkpoint, tenant_key, installation_key };
        export.checkpoint = export.at(size);
        export
    }

    /// The checkpoint of the first `size` entries.
    pub(crate) fn at(&self, size: u64) -> Checkpoint {
        let mut tree = CompactRange::new();
        for (leaf, _) in self.entries.iter().take(usize::try_from(size).unwrap()) {
            tree.append(*leaf, |_, _, _| {});
        }
        Checkpoint { origin: self.header.origin.clone(), size: tree.size(), root: tree.root() }
    }

    /// Erases an entry: its leaf stays.
    pub(crate) fn erase(mut self, index: usize) -> Self {
        self.entries[index].1 = None;
        self
    }

    pub(crate) fn signers(&self) -> [&dyn NoteSigner; 2] {
        [&self.tenant_key, &self.installation_key]
    }

    /// The bytes before the seal, without any check.
    pub(crate) fn unsealed(&self) -> Vec<u8> {
        let note = self.checkpoint.sign(&self.signers()).unwrap();
        let mut file = self.header.line();
        for (index, (leaf, bytes)) in self.entries.iter().enumerate() {
            file.push(b'\n');
            EntryLine { index: index as u64, leaf: *leaf, entry: bytes.as_deref() }.write(&mut file);
        }
        file.push(b'\n');
        file.extend(CheckpointLine { checkpoint: note }.line());
        file.push(b'\n');
        file
    }

    /// The seal of these bytes.
    pub(crate) fn seal_of(&self, unsealed: &[u8]) -> Seal {
        let mut digest = Sha256::new();
        for line in unsealed.split_inclusive(|byte| *byte == b'\n') {
            let entry = line.strip_suffix(b"\n").and_then(|line| EntryLine::parse(line).ok()?.entry);
            for part in frame(line, entry) {
                digest.update(part);
            }
        }
        Seal { origin: self.header.origin.clone(), size: self.header.size, digest: digest.finish() }
    }

    /// These bytes with a good seal of them.
    pub(crate) fn sealed(&self, unsealed: Vec<u8>) -> Vec<u8> {
        let seal = self.seal_of(&unsealed).to_string();
        self.with_seal(unsealed, &note::sign(&seal, &self.signers()).unwrap())
    }

    /// These bytes with any seal.
    pub(crate) fn with_seal(&self, mut file: Vec<u8>, seal: &str) -> Vec<u8> {
        file.extend(SealLine { seal: seal.to_owned() }.line());
        file.push(b'\n');
        file
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        self.sealed(self.unsealed())
    }
}

pub(crate) fn with_leaf(bytes: Vec<u8>) -> (Hash, Option<Vec<u8>>) {
    (leaf_hash(&bytes), Some(bytes))
}

/// Verifies it in one thread, and also in several with blocks of a line or two, which has to come to the same.
pub(crate) fn verify(file: &[u8]) -> Result<Report, VerifyError> {
    let alone = verify_export(file, &Options::default());
    let threads = NonZeroUsize::new(3);
    let together = verify_in_blocks(file, &Options { threads, ..Options::default() }, 700);
    assert_eq!(format!("{alone:?}"), format!("{together:?}"));
    alone
}

/// The error's variant, for tables.
pub(crate) fn name_of(error: &VerifyError) -> String {
    let text = format!("{error:?}");
    text.split([' ', '{']).next().unwrap().to_owned()
}
