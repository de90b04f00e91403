//! Inclusion and consistency proofs as in RFC 9162 sections 2.1.3 and 2.1.4: which hashes a proof needs, how to find
//! them in a store, and how to check them.
//!
//! A store keeps leaf hashes and the roots of complete subtrees of `256^level` leaves. A proof is made in three steps,
//! so that the store stays outside of this crate: which ranges of leaves does it need ([`inclusion_ranges`]), which
//! stored nodes make up each range ([`stored_runs`]), and what is the range's hash ([`range_hash`]).
//!
//! # Invariants
//! - INV-PROOF-1: checking a proof never trusts its length: too few and too many hashes are both refused.
//!
//! # Deliberately absent
//! No reading and no cache of nodes.

use crate::tree::{CompactRange, Hash, empty_root, node_hash};

/// The leaves `from..to` of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafRange {
    /// The first leaf.
    pub from: u64,
    /// One past the last leaf.
    pub to: u64,
}

/// Nodes `from..to` of one stored level: level 0 is leaves, level `n` is complete subtrees of `256^n` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeRun {
    /// The level.
    pub level: u8,
    /// The number of the first node at that level.
    pub from: u64,
    /// One past the number of the last.
    pub to: u64,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The tree has no such leaf, or the old tree is larger than the new one.
    #[error("the proof is about {position} of a tree of size {size}")]
    OutOfRange {
        /// The index of the leaf, or the size of the old tree.
        position: u64,
        /// The size of the tree.
        size: u64,
    },
    /// Not as many hashes as such a proof has.
    #[error("the proof has {found} hashes instead of {expected}")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there have to be.
        expected: usize,
    },
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root of the tree of size {size}")]
    Root {
        /// The size of the tree whose root is missed.
        size: u64,
    },
}

/// The largest power of two below `n`, for `n` ≥ 2: where RFC 9162 splits a tree of `n` leaves.
fn split(n: u64) -> u64 {
    1 << (n.saturating_sub(1).max(1).ilog2())
}

/// The nodes of the proof that leaf `index` is in the tree of `size` leaves, in the order of RFC 9162 section 2.1.3.1.
/// `None` if the tree has no such leaf.
pub fn inclusion_ranges(index: u64, size: u64) -> Option<Vec<LeafRange>> {
    if index >= size || size > CompactRange::SIZE_MAX {
        return None;
    }
    let mut proof = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(LeafRange { from: middle, to });
            to = middle;
        } else {
            proof.push(LeafRange { from, to: middle });
            from = middle;
        }
    }
    proof.reverse();
    Some(proof)
}

/// The nodes of the proof that the tree of `new` leaves extends the tree of `old` leaves, in the order of RFC 9162
/// section 2.1.4.1; none if either tree is empty or both are one. `None` if the old tree is the larger one.
pub fn consistency_ranges(old: u64, new: u64) -> Option<Vec<LeafRange>> {
    if old > new || new > CompactRange::SIZE_MAX {
        return None;
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Some(proof);
    }
    let (mut from, mut to) = (0, new);
    // Walk down to the node that ends where the old tree ends.
    while to != old {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(LeafRange { from: middle, to });
            to = middle;
        } else {
            proof.push(LeafRange { from, to: middle });
            from = middle;
        }
    }
    // If that is the whole old tree, the verifier has its root already.
    if from > 0 {
        proof.push(LeafRange { from, to });
    }
    proof.reverse();
    Some(proof)
}

/// The stored nodes that make up a range, left to right: at most one run per level and 255 nodes per run.
///
/// The range has to be a node of some tree (as all ranges of proofs are, and `0..size`): it starts at a multiple of the
/// smallest power of two that is not below its length. Of any other range the answer is empty.
pub fn stored_runs(range: LeafRange) -> Vec<NodeRun> {
    let LeafRange { mut from, to } = range;
    let mut runs = Vec::new();
    let Some(length) = to.checked_sub(from).filter(|length| *length > 0 && to <= CompactRange::SIZE_MAX) else {
        return runs;
    };
    if !from.is_multiple_of(length.next_power_of_two()) {
        return runs;
    }
    for level in (0..8u8).rev() {
        let shift = 8 * u32::from(level);
        let count = (to - from) >> shift;
        if count > 0 {
            let first = from >> shift;
            runs.push(NodeRun { level, from: first, to: first + count });
            from += count << shift;
        }
    }
    runs
}

/// The hash of a range from the hashes of its [`stored_runs`], in the same order. `None` if these are not its runs.
pub fn range_hash(range: LeafRange, runs: &[(NodeRun, Vec<Hash>)]) -> Option<Hash> {
    let expected = stored_runs(range);
    if expected.is_empty() || !expected.iter().eq(runs.iter().map(|(run, _)| run)) {
        return None;
    }
    let mut tree = CompactRange::new();
    for (run, hashes) in runs {
        if u64::try_from(hashes.len()) != Ok(run.to - run.from) {
            return None;
        }
        for hash in hashes {
            tree.push(8 * run.level, *hash, |_, _, _| {});
        }
    }
    Some(tree.root())
}

/// How many hashes the proof for leaf `index` (which is in the tree) of a tree of `size` leaves has.
fn inclusion_length(index: u64, size: u64) -> usize {
    let last = size.saturating_sub(1);
    // Below the point where the paths to the leaf and to the last leaf part, every level has a sibling; above it,
    // the path is on the right edge and only the levels where it is a right child have one.
    let below = u64::BITS - (index ^ last).leading_zeros();
    let above = index.checked_shr(below).unwrap_or(0).count_ones();
    usize::try_from(below + above).unwrap_or(usize::MAX)
}

/// Checks that `leaf` is at `index` in the tree of `size` leaves with this root (RFC 9162 section 2.1.3.2).
///
/// # Errors
/// [`ProofError`] if it is not, or the proof is not exactly what it has to be.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::OutOfRange { position: index, size });
    }
    let expected = inclusion_length(index, size);
    if proof.len() != expected {
        return Err(ProofError::Length { found: proof.len(), expected });
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // Levels at which the node is the lonely last one have no sibling.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 && hash == *root { Ok(()) } else { Err(ProofError::Root { size }) }
}

/// Checks that the tree of `new` leaves starts with the tree of `old` leaves (RFC 9162 section 2.1.4.2). Every tree
/// starts with the empty one.
///
/// # Errors
/// [`ProofError`] if it does not, or the proof is not exactly what it has to be.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::OutOfRange { position: old, size: new });
    }
    if old == 0 && *old_root != empty_root() {
        return Err(ProofError::Root { size: 0 });
    }
    if old == new && old_root != new_root {
        return Err(ProofError::Root { size: new });
    }
    if old == 0 || old == new {
        return match proof.len() {
            0 => Ok(()),
            found => Err(ProofError::Length { found, expected: 0 }),
        };
    }
    // The node that ends where the old tree ends, counted in subtrees of its own size; and the last one of these.
    let height = old.trailing_zeros();
    let (mut node, mut last) = ((old - 1) >> height, (new - 1) >> height);
    // If the old tree is one complete subtree, its root is left out of the proof.
    let expected = inclusion_length(node, last + 1) + usize::from(node != 0);
    if proof.len() != expected {
        return Err(ProofError::Length { found: proof.len(), expected });
    }
    let mut rest = proof;
    let start = match (node, proof.split_first()) {
        (0, _) => *old_root,
        (_, Some((first, others))) => {
            rest = others;
            *first
        }
        (_, None) => return Err(ProofError::Length { found: 0, expected }),
    };
    let (mut old_hash, mut new_hash) = (start, start);
    for sibling in rest {
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if old_hash != *old_root {
        return Err(ProofError::Root { size: old });
    }
    if last != 0 || new_hash != *new_root {
        return Err(ProofError::Root { size: new });
    }
    Ok(())
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
