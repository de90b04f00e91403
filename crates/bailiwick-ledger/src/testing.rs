//! What tests share: RFC 9162 word for word, a store that keeps what a real one keeps, and a signer.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use bailiwick_types::Timestamp;
use data_encoding::BASE64;

use crate::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1};
use crate::note::{NoteSigner, VerifierKey};
use crate::tree::{CompactRange, Hash, leaf_hash};
use crate::{LeafRange, consistency_ranges, empty_root, inclusion_ranges, node_hash, range_hash, stored_runs};

/// Leaf `n` of the tree that all tests grow.
pub(crate) fn leaf(n: u64) -> Hash {
    leaf_hash(&n.to_be_bytes())
}

/// The definitions of RFC 9162 section 2.1, without any cleverness but remembering results.
#[derive(Default)]
pub(crate) struct Naive(HashMap<(u64, u64), Hash>);

impl Naive {
    fn k(n: u64) -> u64 {
        let mut k = 1;
        while k * 2 < n {
            k *= 2;
        }
        k
    }

    /// MTH(D[from:to]).
    pub(crate) fn mth(&mut self, from: u64, to: u64) -> Hash {
        if let Some(known) = self.0.get(&(from, to)) {
            return *known;
        }
        let hash = match to - from {
            0 => empty_root(),
            1 => leaf(from),
            n => {
                let k = Self::k(n);
                node_hash(&self.mth(from, from + k), &self.mth(from + k, to))
            }
        };
        self.0.insert((from, to), hash);
        hash
    }

    /// PATH(m, D[from:to]), with m counted from `from`.
    pub(crate) fn path(&mut self, m: u64, from: u64, to: u64) -> Vec<Hash> {
        let n = to - from;
        if n == 1 {
            return Vec::new();
        }
        let k = Self::k(n);
        let (mut path, sibling) = if m < k {
            (self.path(m, from, from + k), self.mth(from + k, to))
        } else {
            (self.path(m - k, from + k, to), self.mth(from, from + k))
        };
        path.push(sibling);
        path
    }

    /// SUBPROOF(m, D[from:to], b).
    pub(crate) fn subproof(&mut self, m: u64, from: u64, to: u64, b: bool) -> Vec<Hash> {
        let n = to - from;
        if m == n {
            return if b { Vec::new() } else { vec![self.mth(from, to)] };
        }
        let k = Self::k(n);
        let (mut proof, sibling) = if m <= k {
            (self.subproof(m, from, from + k, b), self.mth(from + k, to))
        } else {
            (self.subproof(m - k, from + k, to, false), self.mth(from, from + k))
        };
        proof.push(sibling);
        proof
    }
}

/// Keeps leaves and complete subtrees of 256^level leaves, as a real store does.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) tree: CompactRange,
    levels: [Vec<Hash>; 4],
    /// Ranges come back in proof after proof.
    known: RefCell<HashMap<(u64, u64), Hash>>,
}

impl Store {
    pub(crate) fn of(size: u64) -> Self {
        let mut store = Self::default();
        (0..size).for_each(|n| store.append(leaf(n)));
        store
    }

    pub(crate) fn append(&mut self, leaf: Hash) {
        let Self { tree, levels, .. } = self;
        levels[0].push(leaf);
        tree.append(leaf, |level, number, hash| {
            let level = &mut levels[usize::from(level)];
            assert_eq!(number, level.len() as u64, "subtrees complete in order");
            level.push(hash);
        });
    }

    pub(crate) fn hash(&self, range: LeafRange) -> Hash {
        if let Some(known) = self.known.borrow().get(&(range.from, range.to)) {
            return *known;
        }
        let at = |number: u64| usize::try_from(number).unwrap();
        let runs: Vec<_> = stored_runs(range)
            .into_iter()
            .map(|run| {
                assert!(run.to > run.from && run.to - run.from <= 255, "{run:?}");
                (run, self.levels[usize::from(run.level)][at(run.from)..at(run.to)].to_vec())
            })
            .collect();
        let hash = range_hash(range, &runs).unwrap();
        self.known.borrow_mut().insert((range.from, range.to), hash);
        hash
    }

    pub(crate) fn root(&self, size: u64) -> Hash {
        if size == 0 { empty_root() } else { self.hash(LeafRange { from: 0, to: size }) }
    }

    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        inclusion_ranges(index, size).unwrap().into_iter().map(|range| self.hash(range)).collect()
    }

    pub(crate) fn consistency(&self, old: u64, new: u64) -> Vec<Hash> {
        consistency_ranges(old, new).unwrap().into_iter().map(|range| self.hash(range)).collect()
    }
}

/// Signs with a key that is made from a number.
pub(crate) struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        Self { name: name.to_owned(), pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
    }

    pub(crate) fn key(&self) -> VerifierKey {
        VerifierKey::of(self).unwrap()
    }
}

impl NoteSigner for Signer {
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

/// A small deterministic generator (xorshift64*), for inputs that should be many rather than chosen.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() % n as u64).unwrap()
    }
}

/// An entry with every field, and strings that JSON has to escape.
pub(crate) fn full_entry() -> Entry {
    Entry {
        v: V1,
        tenant: TENANT.to_owned(),
        time: Timestamp::from_unix_ms(1_769_860_800_123),
        request: "req_0123456789abcdefghjkmnpqrs".to_owned(),
        actor: Actor {
            kind: ActorKind::Agent,
            id: Some("acc_1".to_owned()),
            credential: Some("key_1".to_owned()),
            operator: Some("opr_1".to_owned()),
        },
        source: Some("192.0.2.7".to_owned()),
        door: "vault".into(),
        action: "secret:reveal".into(),
        resource: EntryResource { kind: "Secret".into(), id: "kv/a \"b\"\\\u{e9}".to_owned(), version: Some(3) },
        decision: Decision::Allow,
        policies: vec!["isolation".to_owned(), "p/1".to_owned()],
        outcome: "invalid".into(),
        code: Some("cas_required".into()),
        detail: [("a", "1\n2\t\u{1}\u{1f}\u{8}\u{c}\r"), ("b\"", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        salt: BASE64.encode(&[9; 16]),
    }
}

/// An entry with no field that can be left out.
pub(crate) fn bare_entry() -> Entry {
    Entry {
        actor: Actor { kind: ActorKind::Anonymous, id: None, credential: None, operator: None },
        source: None,
        resource: EntryResource { kind: "Ledger".into(), id: String::new(), version: None },
        decision: Decision::None,
        policies: Vec::new(),
        outcome: "ok".into(),
        code: None,
        detail: BTreeMap::new(),
        ..full_entry()
    }
}

/// The tenant of these entries.
pub(crate) const TENANT: &str = "ten_0w3ge1r70w3ge1r70w3ge1r70w";
