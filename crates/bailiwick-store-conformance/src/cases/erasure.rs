//! Erasing a tenant.

use bailiwick_store::{CommitError, Counts, Header, Space, Wake};

use crate::World;
use crate::build::{Build, at, create, put, time};
use crate::world::THIRD;

/// A tenant with some of everything.
async fn furnished(world: &World) -> Header {
    world.furnish().await;
    let a = world.a.id;
    world.ok(at(a, 1).bump().state(3).meta(1, "kept").entry("two").wake(Wake::At(time(7))).commit()).await;
    world.header(a).await
}

pub(super) async fn only_header_and_tree_remain(world: World) {
    let before = furnished(&world).await;
    let a = world.a.id;
    let leaves = world.store.leaves(a, 0, 2).await.unwrap();
    world.store.erase(a).await.unwrap();
    assert_eq!(world.header(a).await, Header { counts: Counts::default(), ..before });
    for space in Space::ALL {
        assert_eq!(world.store.records(a, *space, b"", None, 10).await.unwrap(), []);
        assert_eq!(world.store.record(a, *space, b"same").await.unwrap(), None);
    }
    let entries = world.store.entries(a, 0, 10).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [0, 1]);
    assert!(entries.iter().all(|entry| entry.sealed.is_empty()));
    assert_eq!(world.store.leaves(a, 0, 2).await.unwrap(), leaves);
    assert_eq!(world.store.due(time(7), 10).await.unwrap(), [(time(7), a)]);
}

pub(super) async fn it_can_be_repeated(world: World) {
    furnished(&world).await;
    world.store.erase(world.a.id).await.unwrap();
    let once = world.dump(world.a.id).await;
    world.store.erase(world.a.id).await.unwrap();
    assert_eq!(world.dump(world.a.id).await, once);
}

pub(super) async fn an_unknown_tenant_is_nothing_to_erase(world: World) {
    furnished(&world).await;
    let before = world.dump(world.a.id).await;
    world.store.erase(THIRD.id).await.unwrap();
    assert_eq!(world.dump(world.a.id).await, before);
    assert_eq!(world.store.header(THIRD.id).await.unwrap(), None);
}

pub(super) async fn much_is_erased_too(world: World) {
    let a = world.a.id;
    for turn in 0..4 {
        let mut part = at(a, 1);
        for n in 0..400 {
            part =
                part.write(put(Space::SecretVersion, format!("{turn}/{n}"), [7; 3_000])).entry(&format!("{turn} {n}"));
        }
        world.ok(part.commit()).await;
    }
    let (edge, leaves) = (world.header(a).await.ledger, world.store.leaves(a, 0, 1_600).await.unwrap());
    let subtrees = world.store.subtrees(a, 1, 0, 6).await.unwrap();
    world.store.erase(a).await.unwrap();
    assert_eq!(world.store.records(a, Space::SecretVersion, b"", None, 10).await.unwrap(), []);
    assert_eq!(world.header(a).await.counts, Counts::default());
    let entries = world.store.entries(a, 0, 2_000).await.unwrap();
    assert_eq!(entries.len(), 1_600);
    assert!(entries.iter().all(|entry| entry.sealed.is_empty()));
    assert_eq!(world.header(a).await.ledger, edge);
    assert_eq!(world.store.leaves(a, 0, 1_600).await.unwrap(), leaves);
    assert_eq!(world.store.subtrees(a, 1, 0, 6).await.unwrap(), subtrees);
}

pub(super) async fn the_tenant_goes_on_afterwards(world: World) {
    furnished(&world).await;
    let a = world.a.id;
    world.store.erase(a).await.unwrap();
    let part = at(a, 2).entry("after").write(put(Space::Secret, "same", "new"));
    let receipt = world.ok(part.commit()).await.receipts[0];
    assert_eq!((receipt.first_index, receipt.size), (2, 3));
    assert_eq!(world.value(a, Space::Secret, "same").await.as_deref(), Some("new"));
    assert_eq!(world.store.entries(a, 2, 1).await.unwrap()[0].sealed, b"after");
    assert_eq!(world.header(a).await.counts.of(Space::Secret), 1);
}

pub(super) async fn slug_and_id_stay_taken(world: World) {
    furnished(&world).await;
    world.store.erase(world.a.id).await.unwrap();
    let refusal = world.refused(create(THIRD.id, world.a.slug).commit()).await;
    assert!(matches!(refusal, CommitError::SlugTaken), "{refusal:?}");
    let refusal = world.refused(create(world.a.id, THIRD.slug).commit()).await;
    assert!(matches!(refusal, CommitError::TenantExists), "{refusal:?}");
}
