//! Proofs against RFC 9162's definitions, the vectors of Certificate Transparency, and tampering.

use data_encoding::HEXLOWER;

use super::*;
use crate::testing::{Dice, Naive, Store, leaf};
use crate::tree::leaf_hash;

#[test]
fn every_inclusion_proof_to_300_is_that_of_the_definition_and_holds() {
    let mut naive = Naive::default();
    let store = Store::of(300);
    for size in 1..=300 {
        let root = naive.mth(0, size);
        for index in 0..size {
            let proof = store.inclusion(index, size);
            assert_eq!(proof, naive.path(index, 0, size), "leaf {index} of {size}");
            assert_eq!(verify_inclusion(&leaf(index), index, size, &proof, &root), Ok(()), "leaf {index} of {size}");
        }
        assert_eq!(inclusion_ranges(size, size), None);
    }
}

#[test]
fn every_consistency_proof_to_80_is_that_of_the_definition_and_holds() {
    let mut naive = Naive::default();
    let store = Store::of(80);
    for new in 0..=80 {
        for old in 0..=new {
            let proof = store.consistency(old, new);
            if old > 0 {
                assert_eq!(proof, naive.subproof(old, 0, new, true), "{old} to {new}");
            }
            let (old_root, new_root) = (naive.mth(0, old), naive.mth(0, new));
            assert_eq!(verify_consistency(old, new, &proof, &old_root, &new_root), Ok(()), "{old} to {new}");
        }
        assert_eq!(consistency_ranges(new + 1, new), None);
    }
}

#[test]
fn proofs_of_large_trees_are_made_of_few_stored_nodes() {
    let size_max = 70_321;
    let mut store = Store::default();
    let mut roots = vec![store.tree.root()];
    for n in 0..size_max {
        store.append(leaf(n));
        roots.push(store.tree.root());
    }
    let mut dice = Dice::new(7);
    let edges = [1, 2, 255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_792, 65_793, size_max - 1, size_max];
    let mut sizes = edges.to_vec();
    sizes.extend((0..60).map(|_| 1 + dice.next() % size_max));
    for &size in &sizes {
        let root = roots[usize::try_from(size).unwrap()];
        assert_eq!(store.root(size), root, "size {size}");
        let mut indexes: Vec<u64> = edges.iter().map(|n| n - 1).collect();
        indexes.extend((0..10).map(|_| dice.next() % size));
        for index in indexes.into_iter().filter(|index| *index < size) {
            let proof = store.inclusion(index, size);
            assert_eq!(verify_inclusion(&leaf(index), index, size, &proof, &root), Ok(()), "leaf {index} of {size}");
        }
        for &old in sizes.iter().filter(|old| **old <= size).take(30) {
            let proof = store.consistency(old, size);
            let old_root = roots[usize::try_from(old).unwrap()];
            assert_eq!(verify_consistency(old, size, &proof, &old_root, &root), Ok(()), "{old} to {size}");
        }
    }
}

#[test]
fn the_proofs_are_those_of_certificate_transparency() {
    let hex = |text: &str| -> Hash { HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap() };
    let mut store = Store::default();
    for entry in ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"] {
        store.append(leaf_hash(&HEXLOWER.decode(entry.as_bytes()).unwrap()));
    }
    let left = [
        hex("96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"),
        hex("5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"),
        hex("6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"),
    ];
    assert_eq!(store.inclusion(0, 8), left);
    assert_eq!(store.consistency(1, 8), left);
    let fifth = [
        hex("bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"),
        hex("ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"),
        hex("d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ];
    assert_eq!(store.inclusion(5, 8), fifth);
    let six = hex("0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a");
    assert_eq!(store.consistency(6, 8), [six, fifth[1], fifth[2]]);
}

/// The proof with one thing wrong, in every way that a single hash can be.
fn damaged(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = Vec::new();
    for at in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[at][at % 32] ^= 1;
        all.push(flipped);
        let mut shorter = proof.to_vec();
        shorter.remove(at);
        all.push(shorter);
        let mut doubled = proof.to_vec();
        doubled.insert(at, proof[at]);
        all.push(doubled);
        if at > 0 {
            let mut swapped = proof.to_vec();
            swapped.swap(at - 1, at);
            all.push(swapped);
        }
    }
    let mut longer = proof.to_vec();
    longer.push([7; 32]);
    all.push(longer);
    all
}

#[test]
fn an_inclusion_proof_holds_for_nothing_else() {
    let mut naive = Naive::default();
    for size in 1..=40 {
        let root = naive.mth(0, size);
        for index in 0..size {
            let proof = naive.path(index, 0, size);
            for bad in damaged(&proof) {
                assert!(verify_inclusion(&leaf(index), index, size, &bad, &root).is_err(), "leaf {index} of {size}");
            }
            assert!(verify_inclusion(&leaf(index + 1), index, size, &proof, &root).is_err());
            assert!(verify_inclusion(&leaf(index), index, size, &proof, &naive.mth(0, size + 1)).is_err());
            for other in (0..size + 2).filter(|other| *other != index) {
                assert!(verify_inclusion(&leaf(index), other, size, &proof, &root).is_err(), "{index} as {other}");
            }
        }
    }
    assert_eq!(verify_inclusion(&leaf(0), 3, 3, &[], &[0; 32]), Err(ProofError::OutOfRange { position: 3, size: 3 }));
    assert!(verify_inclusion(&leaf(0), 0, 0, &[], &empty_root()).is_err());
    let last = u64::MAX - 1;
    assert!(verify_inclusion(&leaf(0), last, u64::MAX, &[[0; 32]; 64], &[0; 32]).is_err());
}

#[test]
fn a_consistency_proof_holds_for_nothing_else() {
    let mut naive = Naive::default();
    for new in 1..=30 {
        let new_root = naive.mth(0, new);
        for old in 0..=new {
            let old_root = naive.mth(0, old);
            let proof = if old == 0 { Vec::new() } else { naive.subproof(old, 0, new, true) };
            for bad in damaged(&proof) {
                assert!(verify_consistency(old, new, &bad, &old_root, &new_root).is_err(), "{old} to {new}");
            }
            let mut other = old_root;
            other[3] ^= 1;
            assert!(verify_consistency(old, new, &proof, &other, &new_root).is_err(), "{old} to {new}");
            if old > 0 {
                let mut other = new_root;
                other[3] ^= 1;
                assert!(verify_consistency(old, new, &proof, &old_root, &other).is_err(), "{old} to {new}");
            }
            assert!(verify_consistency(new + 1, new, &proof, &old_root, &new_root).is_err());
        }
    }
    assert!(verify_consistency(u64::MAX - 1, u64::MAX, &[[0; 32]; 65], &[0; 32], &[0; 32]).is_err());
}

#[test]
fn a_range_that_is_no_node_of_a_tree_has_no_runs() {
    for (from, to) in [(0, 0), (5, 5), (5, 4), (1, 3), (2, 5), (128, 128 + 129), (0, u64::MAX)] {
        assert_eq!(stored_runs(LeafRange { from, to }), [], "{from}..{to}");
        assert_eq!(range_hash(LeafRange { from, to }, &[]), None);
    }
    let range = LeafRange { from: 65_536, to: 65_536 + 256 + 3 };
    let runs = [NodeRun { level: 1, from: 256, to: 257 }, NodeRun { level: 0, from: 65_792, to: 65_795 }];
    assert_eq!(stored_runs(range), runs);
}

#[test]
fn a_range_is_not_hashed_from_other_runs_than_its_own() {
    let range = LeafRange { from: 0, to: 3 };
    let run = NodeRun { level: 0, from: 0, to: 3 };
    let leaves: Vec<Hash> = (0..3).map(leaf).collect();
    assert_eq!(range_hash(range, &[(run, leaves.clone())]), Some(Naive::default().mth(0, 3)));
    assert_eq!(range_hash(range, &[(run, leaves[..2].to_vec())]), None);
    assert_eq!(range_hash(range, &[]), None);
    let shifted = NodeRun { from: 1, to: 4, ..run };
    assert_eq!(range_hash(range, &[(shifted, leaves.clone())]), None);
    assert_eq!(range_hash(range, &[(run, leaves.clone()), (run, leaves)]), None);
}
