//! When a tenant's background work is due.

use bailiwick_store::Wake;
use bailiwick_types::TenantId;

use crate::World;
use crate::build::{Build, at, create, time};
use crate::world::THIRD;

/// Who is due at a time, and since when.
async fn due(world: &World, now: i64) -> Vec<(i64, TenantId)> {
    let due = world.store.due(time(now), 100).await.unwrap();
    due.into_iter().map(|(at, who)| (at.unix_ms(), who)).collect()
}

async fn wake(world: &World, wake: Wake) {
    world.ok(at(world.a.id, 1).wake(wake).commit()).await;
}

pub(super) async fn a_tenant_is_due_at_its_time(world: World) {
    let a = world.a.id;
    assert_eq!(due(&world, i64::MAX).await, []);
    wake(&world, Wake::By(time(100))).await;
    assert_eq!(due(&world, 99).await, []);
    assert_eq!(due(&world, 100).await, [(100, a)]);
    // It stays due until a commit changes it, also one that says nothing of it.
    world.ok(at(a, 1).entry("e").bump().commit()).await;
    assert_eq!(due(&world, 101).await, [(100, a)]);
    let far = -1_000_000;
    world.ok(at(a, 2).wake(Wake::At(time(far))).commit()).await;
    assert_eq!(due(&world, 0).await, [(far, a)]);
}

pub(super) async fn by_keeps_an_earlier_time(world: World) {
    wake(&world, Wake::By(time(100))).await;
    wake(&world, Wake::By(time(200))).await;
    assert_eq!(due(&world, 1_000).await, [(100, world.a.id)]);
    wake(&world, Wake::By(time(50))).await;
    assert_eq!(due(&world, 1_000).await, [(50, world.a.id)]);
    assert_eq!(due(&world, 49).await, []);
}

pub(super) async fn at_replaces_any_time(world: World) {
    for ms in [100, 200, 50] {
        wake(&world, Wake::At(time(ms))).await;
        assert_eq!(due(&world, 1_000).await, [(ms, world.a.id)]);
        assert_eq!(due(&world, ms - 1).await, []);
    }
}

pub(super) async fn never_removes_it(world: World) {
    wake(&world, Wake::At(time(100))).await;
    wake(&world, Wake::Never).await;
    assert_eq!(due(&world, 1_000).await, []);
    wake(&world, Wake::Never).await;
    wake(&world, Wake::By(time(300))).await;
    assert_eq!(due(&world, 1_000).await, [(300, world.a.id)]);
}

pub(super) async fn the_earliest_come_first(world: World) {
    world.ok(create(THIRD.id, THIRD.slug).wake(Wake::By(time(20))).commit()).await;
    world.ok(at(world.b.id, 1).wake(Wake::At(time(10))).commit()).await;
    world.ok(at(world.a.id, 1).wake(Wake::At(time(30))).commit()).await;
    let all = [(10, world.b.id), (20, THIRD.id), (30, world.a.id)];
    assert_eq!(due(&world, 1_000).await, all);
    assert_eq!(due(&world, 29).await, all[..2]);
    let first = world.store.due(time(1_000), 1).await.unwrap();
    assert_eq!(first, [(time(10), world.b.id)]);
    assert_eq!(world.store.due(time(1_000), 0).await.unwrap(), []);
}

pub(super) async fn the_platform_can_be_due(world: World) {
    world.ok(create(TenantId::PLATFORM, "platform").wake(Wake::At(time(5))).commit()).await;
    assert_eq!(due(&world, 5).await, [(5, TenantId::PLATFORM)]);
}

pub(super) async fn the_header_says_when(world: World) {
    let said = async || world.header(world.a.id).await.wake.map(bailiwick_types::Timestamp::unix_ms);
    assert_eq!(said().await, None);
    wake(&world, Wake::By(time(100))).await;
    assert_eq!(said().await, Some(100));
    wake(&world, Wake::At(time(-7))).await;
    assert_eq!(said().await, Some(-7));
    let listed = world.store.headers(None, 10).await.unwrap();
    assert_eq!(listed.iter().filter_map(|header| header.wake).collect::<Vec<_>>(), [time(-7)]);
    wake(&world, Wake::Never).await;
    assert_eq!(said().await, None);
}
