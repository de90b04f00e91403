//! Two tenants that hold things of the same names. Each case runs twice, with the tenants swapped.

use std::sync::Arc;

use bailiwick_store::{CommitError, Space, Wake, Write};

use crate::World;
use crate::build::{Build, at, create, guarded, put, remove, replace, time, together};
use crate::world::{THIRD, dump};

pub(super) async fn the_same_names_hold_different_things(world: World) {
    world.furnish().await;
    for party in [world.a, world.b] {
        for space in Space::ALL {
            let own = format!("{space:?} of {}", party.slug);
            assert_eq!(world.value(party.id, *space, "same").await.as_ref(), Some(&own));
            let listed = world.store.records(party.id, *space, b"", None, 10).await.unwrap();
            assert_eq!(listed.iter().map(|(_, record)| record.sealed.as_slice()).collect::<Vec<_>>(), [own.as_bytes()]);
        }
        let entries = world.store.entries(party.id, 0, 10).await.unwrap();
        let own = format!("entry of {}", party.slug);
        assert_eq!(entries.iter().map(|entry| entry.sealed.as_slice()).collect::<Vec<_>>(), [own.as_bytes()]);
        assert_eq!(world.store.leaves(party.id, 0, 1).await.unwrap(), [entries[0].leaf]);
    }
}

pub(super) async fn what_one_has_the_other_lacks(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    world
        .ok(at(b, 1).write(put(Space::Secret, "theirs/x", "v")).entry("theirs").wake(Wake::At(time(1))).commit())
        .await;
    // To `a`, what `b` has and what nobody has are the same.
    for key in [&b"theirs/x"[..], b"nobodys/x"] {
        assert_eq!(world.store.record(a, Space::Secret, key).await.unwrap(), None);
        let refusal = world.refused(at(a, 1).write(replace(Space::Secret, key, 1, "mine")).commit()).await;
        assert!(matches!(refusal, CommitError::Conflict { space: Some(Space::Secret) }), "{refusal:?}");
    }
    for prefix in [&b""[..], b"theirs/", b"nobodys/"] {
        assert_eq!(world.store.records(a, Space::Secret, prefix, None, 10).await.unwrap(), []);
        assert_eq!(world.store.children(a, Space::Secret, prefix, None, 10).await.unwrap(), []);
    }
    assert_eq!(world.store.entries(a, 0, 10).await.unwrap(), []);
    world.ok(at(a, 1).write(put(Space::Secret, "theirs/x", "mine")).commit()).await;
    assert_eq!(world.value(b, Space::Secret, "theirs/x").await.as_deref(), Some("v"));
}

pub(super) async fn nothing_that_one_does_shows_in_the_other(world: World) {
    world.furnish().await;
    let (a, b) = (world.a.id, world.b.id);
    let before = world.dump(b).await;
    let mut part = at(a, 1).entry("one").entry("two").bump().state(9).meta(1, "new").wake(Wake::By(time(1)));
    for space in Space::ALL {
        part = part.write(replace(*space, "same", 1, "changed")).write(put(*space, "new", "new"));
    }
    world.ok(part.commit()).await;
    for n in 0..20 {
        world.ok(at(a, 2).write(remove(Space::Secret, "same", 2)).entry("gone").commit()).await;
        world.ok(at(a, 2).write(Write { value: Some((2, vec![n])), ..put(Space::Secret, "same", "") }).commit()).await;
        world.refused(at(a, 1).entry("stale").commit()).await;
        world.refused(guarded(at(a, 2).entry("guarded").commit(), &[(b, 2)])).await;
        world.ok(guarded(at(a, 2).entry("guarded").commit(), &[(b, 1)])).await;
    }
    world.store.erase(a).await.unwrap();
    assert_eq!(world.dump(b).await, before);
}

pub(super) async fn epochs_are_apart(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    for epoch in 1..10 {
        world.ok(at(a, epoch).bump().commit()).await;
        world.ok(at(b, 1).entry("undisturbed").commit()).await;
    }
    let refusal = world.refused(at(b, 10).entry("their epoch").commit()).await;
    assert!(matches!(refusal, CommitError::Stale { tenant } if tenant == b), "{refusal:?}");
}

pub(super) async fn versions_are_apart(world: World) {
    world.furnish().await;
    let (a, b) = (world.a.id, world.b.id);
    world.ok(at(a, 1).write(replace(Space::Secret, "same", 1, "2")).meta(1, "m").commit()).await;
    let refusal = world.refused(at(b, 1).write(replace(Space::Secret, "same", 2, "3")).commit()).await;
    assert!(matches!(refusal, CommitError::Conflict { space: Some(Space::Secret) }), "{refusal:?}");
    let refusal = world.refused(at(b, 1).meta(2, "m").commit()).await;
    assert!(matches!(refusal, CommitError::Conflict { space: None }), "{refusal:?}");
    world.ok(at(b, 1).write(replace(Space::Secret, "same", 1, "2")).meta(1, "m").commit()).await;
}

pub(super) async fn counts_are_apart(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    let limited = |key: &str| Write { count_max: Some(3), ..put(Space::Account, key, "v") };
    for key in ["1", "2", "3"] {
        world.ok(at(a, 1).write(limited(key)).commit()).await;
    }
    let refusal = world.refused(at(a, 1).write(limited("4")).commit()).await;
    assert!(matches!(refusal, CommitError::Full { space: Space::Account, max: 3 }), "{refusal:?}");
    for key in ["1", "2", "3"] {
        world.ok(at(b, 1).write(limited(key)).commit()).await;
    }
    assert_eq!(world.header(b).await.counts.of(Space::Account), 3);
}

pub(super) async fn erasing_one_leaves_the_other(world: World) {
    world.furnish().await;
    let before = world.dump(world.b.id).await;
    world.store.erase(world.a.id).await.unwrap();
    assert_eq!(world.dump(world.b.id).await, before);
}

pub(super) async fn pages_end_where_the_tenant_ends(world: World) {
    // A third tenant, so that each of the two has a neighbour on both sides of its keys.
    world.ok(create(THIRD.id, THIRD.slug).commit()).await;
    for tenant in [world.a.id, world.b.id, THIRD.id] {
        let fill = |part, space| {
            [&b"\0"[..], b"a/b", b"\xff", b"\xff\xff/\xff"]
                .iter()
                .fold(part, |part: bailiwick_store::Part, key| part.write(put(space, key, "v")))
        };
        let part = Space::ALL.iter().fold(at(tenant, 1).entry("1").entry("2"), |part, space| fill(part, *space));
        world.ok(part.commit()).await;
    }
    for space in Space::ALL {
        for after in [None, Some(&b"\0"[..])] {
            let left = if after.is_some() { 3 } else { 4 };
            assert_eq!(world.store.records(world.a.id, *space, b"", after, 100).await.unwrap().len(), left);
            assert_eq!(world.store.children(world.a.id, *space, b"", after, 100).await.unwrap().len(), left);
        }
        assert_eq!(world.store.records(world.a.id, *space, b"\xff", None, 100).await.unwrap().len(), 2);
        assert_eq!(world.store.children(world.a.id, *space, b"\xff", None, 100).await.unwrap().len(), 1);
    }
    assert_eq!(world.store.entries(world.a.id, 1, 100).await.unwrap().len(), 1);
}

pub(super) async fn a_refused_neighbour_disturbs_nobody(world: World) {
    world.furnish().await;
    let (a, b) = (world.a.id, world.b.id);
    let before = world.dump(a).await;
    let refused: Vec<_> = (0..200)
        .map(|n| {
            let store = Arc::clone(&world.store);
            let commit = match n % 4 {
                0 => at(a, 7).entry("stale").commit(),
                1 => at(a, 1).entry("conflict").write(put(Space::Secret, "same", "x")).commit(),
                2 => together([at(a, 1).entry("first").bump(), at(THIRD.id, 1)]),
                _ => create(a, "new").commit(),
            };
            tokio::spawn(async move { store.commit(commit).await.is_err() })
        })
        .collect();
    let passed: Vec<_> = (0..200)
        .map(|n| {
            let store = Arc::clone(&world.store);
            let commit = at(b, 1).entry("fine").write(put(Space::Usage, format!("{n}"), "v")).commit();
            tokio::spawn(async move { store.commit(commit).await.is_ok() })
        })
        .collect();
    for task in refused.into_iter().chain(passed) {
        assert!(task.await.unwrap());
    }
    assert_eq!(dump(&*world.store, a).await, before);
    assert_eq!(world.header(b).await.ledger.size(), 201);
    assert_eq!(world.header(b).await.counts.of(Space::Usage), 201);
}
