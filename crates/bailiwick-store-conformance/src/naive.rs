//! The Merkle tree as its definition says (RFC 9162 section 2.1.1), with nothing clever in it, to compare with.

use bailiwick_ledger::{CompactRange, Hash, empty_root, node_hash};

/// The root of the tree of these leaves.
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(largest_power_below(leaves.len()));
            node_hash(&root(left), &root(right))
        }
    }
}

/// The roots of the complete subtrees that the tree consists of, largest first.
pub fn edge(leaves: &[Hash]) -> CompactRange {
    let mut nodes = Vec::new();
    let mut rest = leaves;
    while !rest.is_empty() {
        let (subtree, more) = rest.split_at(1 << rest.len().ilog2());
        nodes.push(root(subtree));
        rest = more;
    }
    CompactRange::from_parts(leaves.len().try_into().unwrap(), nodes).unwrap()
}

/// The roots of all complete subtrees of `256^level` leaves.
pub fn subtrees(leaves: &[Hash], level: u8) -> Vec<Hash> {
    leaves.chunks_exact(256usize.pow(level.into())).map(root).collect()
}

fn largest_power_below(n: usize) -> usize {
    1 << (n - 1).ilog2()
}
