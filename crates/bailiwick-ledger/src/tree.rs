//! Merkle tree hashing as in RFC 9162 section 2.1, and the right edge of a growing tree.
//!
//! # Invariants
//! - INV-TREE-1: a [`CompactRange`] holds exactly one hash per set bit of its size, largest subtree first; there is no
//!   other state, so two ranges of the same leaves are equal.
//! - INV-TREE-2: leaves and inner nodes are hashed in different domains (0x00, 0x01), so that a node cannot be passed
//!   off as an entry.
//!
//! # Deliberately absent
//! No storage and no way to take a leaf back.

use aws_lc_rs::digest;

/// A SHA-256 hash: of an entry, of a subtree, or of a whole tree.
pub type Hash = [u8; 32];

const LEAF: u8 = 0;
const NODE: u8 = 1;

/// Entries up to this size are hashed from the stack in one call, which costs half of the incremental interface.
const ENTRY_ON_STACK: usize = 1_024;

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Hash {
    into_hash(&digest::digest(&digest::SHA256, bytes))
}

/// The output of a SHA-256 computation as an array.
pub(crate) fn into_hash(digest: &digest::Digest) -> Hash {
    let mut hash = [0; 32];
    // Both are 32 bytes; `zip` spares the panic that `copy_from_slice` would need.
    for (to, from) in hash.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    hash
}

/// The hash of an entry: SHA-256(0x00 ‖ entry), RFC 9162 section 2.1.1.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut buffer = [LEAF; 1 + ENTRY_ON_STACK];
    if let Some((_, room)) = buffer.split_first_mut()
        && let Some(room) = room.get_mut(..entry.len())
    {
        room.copy_from_slice(entry);
        return sha256(buffer.get(..=entry.len()).unwrap_or_default());
    }
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[LEAF]);
    context.update(entry);
    into_hash(&context.finish())
}

/// As [`leaf_hash`], of an entry with one byte before it, which is as it was afterwards. So nothing is copied.
pub fn leaf_hash_in_place(byte_and_entry: &mut [u8]) -> Hash {
    let Some(first) = byte_and_entry.first_mut() else { return leaf_hash(&[]) };
    let before = std::mem::replace(first, LEAF);
    let hash = sha256(byte_and_entry);
    if let Some(first) = byte_and_entry.first_mut() {
        *first = before;
    }
    hash
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right), RFC 9162 section 2.1.1.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut buffer = [NODE; 65];
    let [_, children @ ..] = &mut buffer;
    let (to_left, to_right) = children.split_at_mut(left.len());
    to_left.copy_from_slice(left);
    to_right.copy_from_slice(right);
    sha256(&buffer)
}

/// The root of the tree without leaves: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// The right edge of a tree: the roots of the complete subtrees that it consists of. All that appending needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    // INVARIANT: one hash per set bit of `size`, largest subtree first.
    nodes: Vec<Hash>,
}

impl CompactRange {
    /// The largest tree. Beyond it no arithmetic in this crate overflows yet.
    pub const SIZE_MAX: u64 = (1 << 63) - 1;

    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree of `size` leaves with these subtree roots, largest first. `None` if it takes another number of roots.
    pub fn from_parts(size: u64, nodes: Vec<Hash>) -> Option<Self> {
        let fits = size <= Self::SIZE_MAX && usize::try_from(size.count_ones()) == Ok(nodes.len());
        fits.then_some(Self { size, nodes })
    }

    /// The size as 8 bytes, big end first, then the subtree roots.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + 32 * self.nodes.len());
        bytes.extend_from_slice(&self.size.to_be_bytes());
        bytes.extend_from_slice(self.nodes.as_flattened());
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave. `None` if the length does not fit the size.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (size, rest) = bytes.split_first_chunk::<8>()?;
        let (nodes, rest) = rest.as_chunks::<32>();
        if !rest.is_empty() {
            return None;
        }
        Self::from_parts(u64::from_be_bytes(*size), nodes.to_vec())
    }

    /// How many leaves the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the complete subtrees, largest first.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// The root of the tree.
    pub fn root(&self) -> Hash {
        let mut nodes = self.nodes.iter().rev();
        match nodes.next() {
            None => empty_root(),
            Some(last) => nodes.fold(*last, |right, left| node_hash(left, &right)),
        }
    }

    /// Appends a leaf. Calls `completed(level, number, hash)` for each complete subtree of `256^level` leaves
    /// (`level` ≥ 1, smallest first) that this leaf completes; `number` counts the subtrees of that level from 0.
    pub fn append(&mut self, leaf: Hash, mut completed: impl FnMut(u8, u64, Hash)) {
        self.push(0, leaf, |height, number, hash| {
            if height.is_multiple_of(8) {
                completed(height / 8, number, hash);
            }
        });
    }

    /// Appends a complete subtree of `2^height` leaves. INVARIANT: the size is a multiple of `2^height`.
    /// Calls `merged` with height, number and root of each larger subtree that becomes complete.
    pub(crate) fn push(&mut self, mut height: u8, subtree: Hash, mut merged: impl FnMut(u8, u64, Hash)) {
        let added = 1u64.checked_shl(height.into()).unwrap_or(0);
        let mut number = self.size.checked_shr(height.into()).unwrap_or(0);
        let mut hash = subtree;
        // As in adding one to a binary number: each set bit that carries is a complete left sibling.
        while number & 1 == 1
            && let Some(left) = self.nodes.pop()
        {
            hash = node_hash(&left, &hash);
            height += 1;
            number >>= 1;
            merged(height, number, hash);
        }
        self.nodes.push(hash);
        self.size = self.size.saturating_add(added);
    }

    /// Appends a run of leaves. `None`, and nothing is done, if it does not begin where the tree ends.
    pub fn extend(&mut self, run: &LeafRun) -> Option<()> {
        if run.first != self.size {
            return None;
        }
        run.subtrees.iter().for_each(|(height, root)| self.push(*height, *root, |_, _, _| {}));
        Some(())
    }
}

/// Leaves side by side somewhere in a tree, hashed as far as that goes without those around them: who has many leaves hashes
/// runs of them at the same time, and only puts them together in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRun {
    first: u64,
    next: u64,
    // INVARIANT: heights and roots of the fewest complete subtrees that are these leaves, from left to right.
    subtrees: Vec<(u8, Hash)>,
}

impl LeafRun {
    /// A run that begins with this leaf, and has none yet.
    pub fn at(first: u64) -> Self {
        Self { first, next: first, subtrees: Vec::new() }
    }

    /// Adds the next leaf.
    pub fn push(&mut self, leaf: Hash) {
        let (mut height, mut number, mut hash) = (0, self.next, leaf);
        // What is left of a right sibling is its left one if that has the same height, and then lies in the run.
        while number & 1 == 1
            && let Some((_, left)) = self.subtrees.pop_if(|(of, _)| *of == height)
        {
            hash = node_hash(&left, &hash);
            height += 1;
            number >>= 1;
        }
        self.subtrees.push((height, hash));
        self.next = self.next.saturating_add(1);
    }

    /// The index of the leaf that would be added next.
    pub fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
