//! The tree against RFC 9162's definitions and the test vectors of Certificate Transparency.

use data_encoding::HEXLOWER;

use super::*;
use crate::testing::{Naive, Store, leaf};

/// Leaves and roots of the trees of 0 to 8 of them, as in the tests of `google/certificate-transparency`.
const VECTOR_LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const VECTOR_ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn the_roots_are_those_of_certificate_transparency() {
    let mut tree = CompactRange::new();
    for (size, root) in VECTOR_ROOTS.iter().enumerate() {
        assert_eq!(HEXLOWER.encode(&tree.root()), *root, "size {size}");
        if let Some(leaf) = VECTOR_LEAVES.get(size) {
            tree.append(leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).unwrap()), |_, _, _| {});
        }
    }
}

#[test]
fn entries_of_any_length_hash_the_same_way() {
    for length in [0, 1, 55, 64, ENTRY_ON_STACK - 1, ENTRY_ON_STACK, ENTRY_ON_STACK + 1, 70_000] {
        let entry = vec![0x5a; length];
        let mut prefixed = vec![0];
        prefixed.extend_from_slice(&entry);
        assert_eq!(leaf_hash(&entry), sha256(&prefixed), "length {length}");
        prefixed[0] = b'!';
        assert_eq!(leaf_hash_in_place(&mut prefixed), leaf_hash(&entry), "length {length}");
        assert_eq!((prefixed[0], &prefixed[1..]), (b'!', &entry[..]));
    }
}

#[test]
fn every_root_is_the_root_of_the_definition() {
    let mut naive = Naive::default();
    let mut store = Store::default();
    for size in 0..=300 {
        assert_eq!(store.tree.size(), size);
        assert_eq!(store.tree.root(), naive.mth(0, size), "size {size}");
        assert_eq!(store.root(size), naive.mth(0, size), "size {size}, from stored nodes");
        store.append(leaf(size));
    }
}

#[test]
fn a_tree_of_runs_is_the_tree_of_their_leaves() {
    for (first, second) in (0..=40).flat_map(|first| (first..=90).map(move |second| (first, second))) {
        let (mut tree, mut whole) = (CompactRange::new(), CompactRange::new());
        for (from, to) in [(0, first), (first, second), (second, 90)] {
            let mut run = LeafRun::at(from);
            for n in from..to {
                run.push(leaf(n));
                whole.append(leaf(n), |_, _, _| {});
            }
            assert_eq!(run.next(), to);
            // As few hashes as a stretch of a tree can be told in.
            assert!(run.subtrees.len() <= 2 * 7, "{from}..{to}: {}", run.subtrees.len());
            assert_eq!(tree.extend(&run), Some(()));
            assert_eq!(tree, whole, "{from}..{to}");
        }
    }
}

#[test]
fn a_run_goes_where_it_begins_and_nowhere_else() {
    let mut run = LeafRun::at(3);
    run.push(leaf(3));
    for size in [0, 2, 4] {
        let mut tree = CompactRange::new();
        (0..size).for_each(|n| tree.append(leaf(n), |_, _, _| {}));
        let before = tree.clone();
        assert_eq!(tree.extend(&run), None);
        assert_eq!(tree, before);
    }
}

#[test]
fn completed_subtrees_are_reported_once_in_order_and_with_their_roots() {
    let mut naive = Naive::default();
    let mut tree = CompactRange::new();
    let mut seen = Vec::new();
    for n in 0..66_000 {
        tree.append(leaf(n), |level, number, hash| seen.push((n, level, number, hash)));
    }
    let level_1: Vec<_> = seen.iter().filter(|(_, level, ..)| *level == 1).collect();
    assert_eq!(level_1.len(), 66_000 / 256);
    for (number, (at, _, found, hash)) in level_1.iter().enumerate() {
        let number = number as u64;
        assert_eq!((*found, *at), (number, number * 256 + 255));
        assert_eq!(*hash, naive.mth(number * 256, number * 256 + 256));
    }
    let level_2: Vec<_> = seen.iter().filter(|(_, level, ..)| *level > 1).collect();
    assert_eq!(level_2.len(), 1);
    assert_eq!(level_2[0], &(65_535, 2, 0, naive.mth(0, 65_536)));
}

#[test]
fn a_compact_range_survives_the_round_trip_through_bytes() {
    let mut tree = CompactRange::new();
    for n in 0..70 {
        let bytes = tree.to_bytes();
        assert_eq!(CompactRange::from_bytes(&bytes), Some(tree.clone()));
        let parts = CompactRange::from_parts(tree.size(), tree.nodes().to_vec());
        assert_eq!(parts.as_ref(), Some(&tree));
        // One byte less or more, or another size, is another number of nodes.
        assert_eq!(CompactRange::from_bytes(&bytes[..bytes.len() - 1]), None);
        assert_eq!(CompactRange::from_bytes(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(CompactRange::from_parts(tree.size() * 2 + 1, tree.nodes().to_vec()), None);
        tree.append(leaf(n), |_, _, _| {});
    }
    assert_eq!(CompactRange::from_bytes(&[]), None);
}

#[test]
fn a_tree_that_is_too_large_is_refused() {
    assert!(CompactRange::from_parts(CompactRange::SIZE_MAX, vec![[0; 32]; 63]).is_some());
    assert!(CompactRange::from_parts(CompactRange::SIZE_MAX + 1, vec![[0; 32]; 1]).is_none());
    assert!(CompactRange::from_parts(u64::MAX, vec![[0; 32]; 64]).is_none());
    // The largest tree still takes a leaf without a panic.
    let mut tree = CompactRange::from_parts(CompactRange::SIZE_MAX, vec![[0; 32]; 63]).unwrap();
    tree.append([1; 32], |_, _, _| {});
    tree.append([1; 32], |_, _, _| {});
    assert_ne!(tree.root(), empty_root());
}
