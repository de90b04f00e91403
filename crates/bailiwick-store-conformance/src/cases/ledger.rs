//! Entries, and the tree over them.

use bailiwick_ledger::{Hash, leaf_hash};
use bailiwick_store::{NewEntry, Part, StoreError};
use bailiwick_types::TenantId;

use crate::build::{Build, at, entry};
use crate::{World, naive};

/// A part that appends entries `from..to`.
fn run(tenant: TenantId, from: u64, to: u64) -> Part {
    let mut part = at(tenant, 1);
    part.entries = (from..to).map(|n| entry(&format!("entry {n}"))).collect();
    part
}

fn leaves(to: u64) -> Vec<Hash> {
    (0..to).map(|n| leaf_hash(format!("entry {n}").as_bytes())).collect()
}

pub(super) async fn entries_are_numbered_in_order_without_gaps(world: World) {
    let mut size = 0;
    for (turn, more) in [1, 3, 0, 2, 10].into_iter().enumerate() {
        let receipt = world.ok(run(world.a.id, size, size + more).commit()).await.receipts[0];
        assert_eq!((receipt.first_index, receipt.size), (size, size + more), "turn {turn}");
        size += more;
        // The neighbour's entries are numbered by themselves.
        world.ok(run(world.b.id, turn as u64, turn as u64 + 1).commit()).await;
    }
    let entries = world.store.entries(world.a.id, 0, 100).await.unwrap();
    assert_eq!(entries.len() as u64, size);
    for (n, found) in (0..).zip(entries) {
        let written = entry(&format!("entry {n}"));
        assert_eq!((found.index, found.leaf, found.sealed), (n, written.leaf, written.sealed));
    }
    assert_eq!(world.store.leaves(world.a.id, 0, size).await.unwrap(), leaves(size));
}

pub(super) async fn entries_come_in_pages(world: World) {
    world.ok(run(world.a.id, 0, 30).commit()).await;
    world.ok(run(world.b.id, 0, 50).commit()).await;
    let page = async |from, limit| {
        let entries = world.store.entries(world.a.id, from, limit).await.unwrap();
        entries.into_iter().map(|entry| entry.index).collect::<Vec<_>>()
    };
    assert_eq!(page(0, 7).await, (0..7).collect::<Vec<_>>());
    assert_eq!(page(28, 7).await, [28, 29]);
    for (from, limit) in [(30, 7), (1_000, 7), (u64::MAX, 7), (0, 0)] {
        assert_eq!(page(from, limit).await, [0; 0], "{from}, {limit}");
    }
    assert_eq!(world.store.leaves(world.a.id, 3, 9).await.unwrap(), leaves(9)[3..]);
    assert_eq!(world.store.leaves(world.a.id, 9, 9).await.unwrap(), [[0; 32]; 0]);
}

pub(super) async fn the_edge_is_that_of_a_naive_tree(world: World) {
    let mut size = 0;
    for more in (1..=18).chain([1, 1, 1, 64, 2, 128]) {
        world.ok(run(world.a.id, size, size + more).commit()).await;
        size += more;
        let header = world.header(world.a.id).await;
        assert_eq!(header.ledger, naive::edge(&leaves(size)), "at {size}");
        assert_eq!(header.ledger.root(), naive::root(&leaves(size)), "at {size}");
    }
}

pub(super) async fn a_subtree_is_there_with_the_commit_that_completes_it(world: World) {
    let a = world.a.id;
    let missing = async |level, n| {
        let found = world.store.subtrees(a, level, n, n + 1).await;
        assert!(matches!(found, Err(StoreError::Damaged(_))), "{found:?}");
    };
    world.ok(run(a, 0, 255).commit()).await;
    missing(1, 0).await;
    world.ok(run(a, 255, 256).commit()).await;
    assert_eq!(world.store.subtrees(a, 1, 0, 1).await.unwrap(), naive::subtrees(&leaves(256), 1));
    missing(1, 1).await;
    missing(2, 0).await;
    // One commit may complete several.
    world.ok(run(a, 256, 1_100).commit()).await;
    let all = naive::subtrees(&leaves(1_100), 1);
    assert_eq!(world.store.subtrees(a, 1, 0, 4).await.unwrap(), all);
    assert_eq!(world.store.subtrees(a, 1, 2, 3).await.unwrap(), all[2..3]);
    assert_eq!(world.store.subtrees(a, 1, 4, 4).await.unwrap(), [[0; 32]; 0]);
    missing(1, 4).await;
    let other = world.store.subtrees(world.b.id, 1, 0, 1).await;
    assert!(matches!(other, Err(StoreError::Damaged(_))), "{other:?}");
}

pub(super) async fn large_subtrees_are_there_too(world: World) {
    let a = world.a.id;
    let step = 8_192;
    for from in (0..65_536).step_by(step) {
        let found = world.store.subtrees(a, 2, 0, 1).await;
        assert!(matches!(found, Err(StoreError::Damaged(_))), "{found:?}");
        let from = from as u64;
        world.ok(run(a, from, from + step as u64).commit()).await;
    }
    let leaves = leaves(65_536);
    assert_eq!(world.store.subtrees(a, 2, 0, 1).await.unwrap(), [naive::root(&leaves)]);
    assert_eq!(world.store.subtrees(a, 1, 0, 256).await.unwrap(), naive::subtrees(&leaves, 1));
    assert_eq!(world.header(a).await.ledger, naive::edge(&leaves));
    world.ok(run(a, 65_536, 65_537).commit()).await;
    assert_eq!(world.store.subtrees(a, 2, 0, 1).await.unwrap(), [naive::root(&leaves)]);
}

pub(super) async fn leaves_that_do_not_exist_are_damage(world: World) {
    world.ok(run(world.a.id, 0, 5).commit()).await;
    world.ok(run(world.b.id, 0, 9).commit()).await;
    for (from, to) in [(0, 6), (5, 6), (4, 9), (7, 8), (0, u64::MAX)] {
        let found = world.store.leaves(world.a.id, from, to).await;
        assert!(matches!(found, Err(StoreError::Damaged(_))), "{from}..{to}: {found:?}");
    }
}

pub(super) async fn a_commit_without_entries_leaves_the_ledger(world: World) {
    world.ok(run(world.a.id, 0, 5).commit()).await;
    let before = world.header(world.a.id).await.ledger;
    let receipt = world.ok(at(world.a.id, 1).bump().state(4).commit()).await.receipts[0];
    assert_eq!((receipt.first_index, receipt.size), (5, 5));
    assert_eq!(world.header(world.a.id).await.ledger, before);
}

pub(super) async fn a_refused_commit_leaves_no_gap(world: World) {
    let a = world.a.id;
    for n in 0..10 {
        world.refused(at(a, 99).entry("refused").entry("refused").commit()).await;
        let receipt = world.ok(run(a, n, n + 1).commit()).await.receipts[0];
        assert_eq!(receipt.first_index, n);
    }
    assert_eq!(world.header(a).await.ledger, naive::edge(&leaves(10)));
}

pub(super) async fn an_entry_may_come_without_its_sealed_bytes(world: World) {
    let a = world.a.id;
    let bare = NewEntry { sealed: Vec::new(), ..entry("its tenant was erased before it came here") };
    let mut part = at(a, 1).entry("before");
    part.entries.extend([bare.clone(), entry("after")]);
    world.ok(part.commit()).await;
    let stored = world.store.entries(a, 0, 10).await.unwrap();
    assert_eq!((stored.len(), stored[1].leaf, stored[1].sealed.as_slice()), (3, bare.leaf, b"".as_slice()));
}
