//! What was acknowledged is there when the store is opened again.

use bailiwick_store::{CommitError, Space, Wake};
use bailiwick_types::TenantId;

use crate::World;
use crate::build::{Build, at, create, put, remove, replace, time, together};
use crate::world::THIRD;

pub(super) async fn everything_is_found_again(world: World) {
    world.furnish().await;
    let (a, b) = (world.a.id, world.b.id);
    world.ok(create(TenantId::PLATFORM, "platform").entry("born").commit()).await;
    world.ok(create(THIRD.id, THIRD.slug).state(4).wake(Wake::At(time(9))).commit()).await;
    for n in 0..=255u8 {
        let theirs = at(b, 1).write(put(Space::Usage, [n, 1], "v"));
        world.ok(together([at(a, 1).entry(&n.to_string()), theirs])).await;
        if n % 100 == 99 {
            world.ok(at(b, 1).write(replace(Space::Usage, [n, 1], 1, "w")).entry("changed").commit()).await;
        }
    }
    world.store.erase(THIRD.id).await.unwrap();
    let tenants = [a, b, THIRD.id, TenantId::PLATFORM];
    let mut before = Vec::new();
    for tenant in tenants {
        before.push(world.dump(tenant).await);
    }
    let subtree = world.store.subtrees(a, 1, 0, 1).await.unwrap();
    let (due, totals) = (world.store.due(time(9), 10).await.unwrap(), world.store.totals().await.unwrap());
    let world = world.reopened().await;
    for (tenant, before) in tenants.into_iter().zip(before) {
        assert_eq!(world.dump(tenant).await, before);
    }
    assert_eq!(world.store.subtrees(a, 1, 0, 1).await.unwrap(), subtree);
    assert_eq!(world.store.due(time(9), 10).await.unwrap(), due);
    assert_eq!(world.store.totals().await.unwrap(), totals);
}

pub(super) async fn versions_and_epochs_go_on(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).bump().meta(1, "m").write(put(Space::Secret, "k", "v")).entry("one").commit()).await;
    let mut world = world.reopened().await;
    let stale = world.refused(at(a, 1).commit()).await;
    assert!(matches!(stale, CommitError::Stale { .. }), "{stale:?}");
    let conflict = world.refused(at(a, 2).meta(1, "m").commit()).await;
    assert!(matches!(conflict, CommitError::Conflict { space: None }), "{conflict:?}");
    let taken = world.refused(create(THIRD.id, world.a.slug).commit()).await;
    assert!(matches!(taken, CommitError::SlugTaken), "{taken:?}");
    for n in 1..5 {
        let part = at(a, n + 1).bump().write(replace(Space::Secret, "k", n, "v")).entry("more");
        let receipt = world.ok(part.commit()).await.receipts[0];
        assert_eq!((receipt.first_index, receipt.epoch), (n, n + 2));
        world = world.reopened().await;
    }
    world.ok(at(a, 6).write(remove(Space::Secret, "k", 5)).commit()).await;
    let world = world.reopened().await;
    assert_eq!(world.store.record(a, Space::Secret, b"k").await.unwrap(), None);
    assert_eq!(world.header(a).await.counts.of(Space::Secret), 0);
}
