//! Entries, the tree and its proofs.

use std::hint::black_box;

use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1};
use bailiwick_ledger::{
    CompactRange, Hash, LeafRange, consistency_ranges, inclusion_ranges, leaf_hash, range_hash, stored_runs,
};
use bailiwick_types::{TenantId, Timestamp};
use data_encoding::BASE64;

/// The size of the tree that things are proved of, and a smaller one of the same ledger.
const SIZE: u64 = 30_011;
const EARLIER: u64 = 17_017;

/// An entry as reading a secret makes it.
pub(crate) fn entry() -> Entry {
    Entry {
        v: V1,
        tenant: TenantId::from_bytes([7; 16]).to_string(),
        time: Timestamp::from_unix_ms(1_769_860_800_000),
        request: "req_0w3ge1r70w3ge1r70w3ge1r70w".to_owned(),
        actor: Actor {
            kind: ActorKind::Service,
            id: Some("acc_0w3ge1r70w3ge1r70w3ge1r70w".to_owned()),
            credential: Some("key_0w3ge1r70w3ge1r70w3ge1r70w".to_owned()),
            operator: None,
        },
        source: Some("192.0.2.17".to_owned()),
        door: "vault".into(),
        action: "secret:reveal".into(),
        resource: EntryResource { kind: "Secret".into(), id: "kv/payments/stripe/api".to_owned(), version: Some(3) },
        decision: Decision::Allow,
        policies: vec!["role/secret-reader".to_owned()],
        outcome: "ok".into(),
        code: None,
        detail: [].into(),
        salt: BASE64.encode(&[7; 16]),
    }
}

/// Canonical bytes, leaf, tree.
pub(crate) fn append() -> Box<dyn FnMut(usize)> {
    let (entry, mut tree) = (entry(), CompactRange::new());
    Box::new(move |_| {
        tree.append(leaf_hash(&entry.canonical()), |_, _, hash| {
            black_box(hash);
        });
    })
}

/// As the verifier does.
pub(crate) fn check() -> Box<dyn FnMut(usize)> {
    let bytes = entry().canonical();
    Box::new(move |_| {
        black_box(Entry::check(&bytes).unwrap());
    })
}

/// What a store keeps of a tree: the leaves, and the roots of complete subtrees of 256.
struct Stored {
    levels: [Vec<Hash>; 2],
    tree: CompactRange,
}

impl Stored {
    fn of(size: u64) -> Self {
        let mut stored = Self { levels: Default::default(), tree: CompactRange::new() };
        let [leaves, nodes] = &mut stored.levels;
        for index in 0..size {
            let leaf = leaf_hash(&index.to_be_bytes());
            leaves.push(leaf);
            stored.tree.append(leaf, |level, _, hash| {
                if level == 1 {
                    nodes.push(hash)
                }
            });
        }
        stored
    }

    fn hashes(&self, ranges: Option<Vec<LeafRange>>) -> Vec<Hash> {
        let at = |n| usize::try_from(n).unwrap();
        let hash = |range: LeafRange| {
            let load = |run: bailiwick_ledger::NodeRun| {
                let level = self.levels.get(usize::from(run.level)).unwrap();
                (run, level.get(at(run.from)..at(run.to)).unwrap().to_vec())
            };
            range_hash(range, &stored_runs(range).into_iter().map(load).collect::<Vec<_>>()).unwrap()
        };
        ranges.unwrap().into_iter().map(hash).collect()
    }
}

/// Some index: each time another.
fn index(n: usize) -> u64 {
    u64::try_from(n).unwrap() * 149 % SIZE
}

pub(crate) fn prove_inclusion() -> Box<dyn FnMut(usize)> {
    let stored = Stored::of(SIZE);
    Box::new(move |n| drop(black_box(stored.hashes(inclusion_ranges(index(n), SIZE)))))
}

pub(crate) fn verify_inclusion() -> Box<dyn FnMut(usize)> {
    let stored = Stored::of(SIZE);
    let (proof, root) = (stored.hashes(inclusion_ranges(EARLIER, SIZE)), stored.tree.root());
    let leaf = leaf_hash(&EARLIER.to_be_bytes());
    Box::new(move |_| bailiwick_ledger::verify_inclusion(&leaf, EARLIER, SIZE, black_box(&proof), &root).unwrap())
}

pub(crate) fn prove_consistency() -> Box<dyn FnMut(usize)> {
    let stored = Stored::of(SIZE);
    Box::new(move |n| drop(black_box(stored.hashes(consistency_ranges(index(n), SIZE)))))
}

pub(crate) fn verify_consistency() -> Box<dyn FnMut(usize)> {
    let (stored, earlier) = (Stored::of(SIZE), Stored::of(EARLIER));
    let proof = stored.hashes(consistency_ranges(EARLIER, SIZE));
    let (old, new) = (earlier.tree.root(), stored.tree.root());
    Box::new(move |_| bailiwick_ledger::verify_consistency(EARLIER, SIZE, black_box(&proof), &old, &new).unwrap())
}
