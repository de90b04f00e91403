//! What records were.

use bailiwick_store::{Part, Space};
use bailiwick_types::TenantId;

use crate::World;
use crate::build::{Build, at, put, remove, replace};

/// A space as it was at a size, as text.
async fn was(world: &World, tenant: TenantId, space: Space, size: u64) -> Vec<(String, String)> {
    let found = world.store.records_at(tenant, space, size, None, usize::MAX).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    found.into_iter().map(|(key, record)| (text(key), text(record.sealed))).collect()
}

fn list(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// Four commits, of one entry each: `x` and `y` are made, `x` is changed, `x` goes and `z` comes, `x` comes back.
async fn lived(world: &World) -> TenantId {
    let a = world.a.id;
    let steps: [fn(Part) -> Part; 4] = [
        |part| part.write(put(Space::Policy, "x", "x1")).write(put(Space::Policy, "y", "y1")),
        |part| part.write(replace(Space::Policy, "x", 1, "x2")),
        |part| part.write(remove(Space::Policy, "x", 2)).write(put(Space::Policy, "z", "z1")),
        |part| part.write(put(Space::Policy, "x", "x3")),
    ];
    for (number, step) in steps.into_iter().enumerate() {
        world.ok(step(at(a, 1)).entry(&format!("entry {number}")).commit()).await;
    }
    a
}

/// What was at each size of such a life.
fn sizes() -> [Vec<(String, String)>; 5] {
    [
        list(&[]),
        list(&[("x", "x1"), ("y", "y1")]),
        list(&[("x", "x2"), ("y", "y1")]),
        list(&[("y", "y1"), ("z", "z1")]),
        list(&[("x", "x3"), ("y", "y1"), ("z", "z1")]),
    ]
}

pub(super) async fn a_record_is_known_as_it_was_at_every_size(world: World) {
    let a = lived(&world).await;
    assert_eq!(world.store.past_from(a).await.unwrap(), Some(0));
    for (size, expected) in (0..).zip(sizes()) {
        assert_eq!(was(&world, a, Space::Policy, size).await, expected, "at {size}");
    }
    // A change that is not of records changes nothing of the past, and the future is the present.
    world.ok(at(a, 1).entry("read").commit()).await;
    for (size, expected) in (0..).zip(sizes()) {
        assert_eq!(was(&world, a, Space::Policy, size).await, expected, "at {size}");
    }
    assert_eq!(was(&world, a, Space::Policy, 1_000).await, sizes()[4]);
}

pub(super) async fn every_space_that_keeps_its_past_does_and_no_other(world: World) {
    let a = world.a.id;
    for space in Space::ALL {
        world.ok(at(a, 1).write(put(*space, "k", "one")).entry(&format!("one {space:?}")).commit()).await;
    }
    let size = world.header(a).await.ledger.size();
    for space in Space::ALL {
        world.ok(at(a, 1).write(replace(*space, "k", 1, "two")).entry(&format!("two {space:?}")).commit()).await;
    }
    for space in Space::ALL {
        let expected = if space.keeps_past() { "one" } else { "two" };
        assert_eq!(was(&world, a, *space, size).await, list(&[("k", expected)]), "{space:?}");
    }
}

pub(super) async fn commits_without_entries_count_as_the_next_one(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).write(put(Space::Mount, "m", "one")).entry("one").commit()).await;
    world.ok(at(a, 1).write(replace(Space::Mount, "m", 1, "two")).commit()).await;
    world.ok(at(a, 1).write(replace(Space::Mount, "m", 2, "three")).commit()).await;
    world.ok(at(a, 1).write(replace(Space::Mount, "m", 3, "four")).entry("two").commit()).await;
    assert_eq!(was(&world, a, Space::Mount, 1).await, list(&[("m", "one")]));
    assert_eq!(was(&world, a, Space::Mount, 2).await, list(&[("m", "four")]));
}

pub(super) async fn the_past_comes_in_pages(world: World) {
    let a = world.a.id;
    let mut part = at(a, 1).entry("one");
    for n in 0..40 {
        part = part.write(put(Space::Secret, format!("{n:02}"), format!("old {n:02}")));
    }
    world.ok(part.commit()).await;
    let mut part = at(a, 1).entry("two");
    for n in 0..40 {
        let key = format!("{n:02}");
        part = match n % 4 {
            0 => part.write(replace(Space::Secret, key, 1, "new")),
            1 => part.write(remove(Space::Secret, key, 1)),
            2 => part.write(put(Space::Secret, format!("{key}+"), "new")),
            _ => part,
        };
    }
    world.ok(part.commit()).await;
    for limit in [1, 3, 7, 100] {
        let (mut after, mut found) = (None::<Vec<u8>>, Vec::new());
        loop {
            let page = world.store.records_at(a, Space::Secret, 1, after.as_deref(), limit).await.unwrap();
            let is_last = page.len() < limit;
            after = page.last().map(|(key, _)| key.clone());
            found.extend(page);
            if is_last {
                break;
            }
        }
        assert_eq!(found.len(), 40, "{limit} at a time");
        for (n, (key, record)) in found.iter().enumerate() {
            assert_eq!(*key, format!("{n:02}").into_bytes());
            assert_eq!((record.version, record.sealed.clone()), (1, format!("old {n:02}").into_bytes()));
        }
    }
}

pub(super) async fn a_refused_commit_leaves_no_past(world: World) {
    let a = lived(&world).await;
    let before = [was(&world, a, Space::Policy, 3).await, was(&world, a, Space::Policy, 4).await];
    let part = at(a, 1).write(replace(Space::Policy, "y", 1, "y2")).write(replace(Space::Policy, "z", 9, "no"));
    world.refused(part.entry("no").commit()).await;
    world.ok(at(a, 1).write(replace(Space::Policy, "y", 1, "y3")).entry("yes").commit()).await;
    assert_eq!([was(&world, a, Space::Policy, 3).await, was(&world, a, Space::Policy, 4).await], before);
}

pub(super) async fn the_past_is_forgotten_up_to_a_size(world: World) {
    let a = lived(&world).await;
    for _ in 0..2 {
        world.store.forget_past(a, 2).await.unwrap();
        assert_eq!(world.store.past_from(a).await.unwrap(), Some(2));
        for (size, expected) in (0..).zip(sizes()).skip(2) {
            assert_eq!(was(&world, a, Space::Policy, size).await, expected, "at {size}");
        }
    }
    // What was forgotten does not come back by asking for less.
    world.store.forget_past(a, 1).await.unwrap();
    assert_eq!(world.store.past_from(a).await.unwrap(), Some(2));
}

pub(super) async fn much_is_forgotten_too(world: World) {
    let a = world.a.id;
    for turn in 0..3u64 {
        let mut part = at(a, 1).entry(&format!("{turn}"));
        for n in 0..400 {
            let key = format!("{n}");
            part = part.write(match turn {
                0 => put(Space::Secret, key, "0"),
                turn => replace(Space::Secret, key, turn, format!("{turn}")),
            });
        }
        world.ok(part.commit()).await;
    }
    world.store.forget_past(a, 2).await.unwrap();
    let at_two = was(&world, a, Space::Secret, 2).await;
    assert_eq!(at_two.len(), 400);
    assert!(at_two.iter().all(|(_, value)| value == "1"));
}

pub(super) async fn an_erased_tenant_has_no_past(world: World) {
    let a = lived(&world).await;
    world.store.erase(a).await.unwrap();
    for size in 0..5 {
        assert_eq!(was(&world, a, Space::Policy, size).await, [], "at {size}");
    }
}

pub(super) async fn what_one_was_the_other_was_not(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    for (id, value) in [(a, "of a"), (b, "of b")] {
        world.ok(at(id, 1).write(put(Space::Policy, "same", value)).entry(value).commit()).await;
        let later = format!("{value}, later");
        world.ok(at(id, 1).write(replace(Space::Policy, "same", 1, &later)).entry(&later).commit()).await;
    }
    assert_eq!(was(&world, a, Space::Policy, 1).await, list(&[("same", "of a")]));
    assert_eq!(was(&world, b, Space::Policy, 1).await, list(&[("same", "of b")]));
    world.store.forget_past(a, 2).await.unwrap();
    assert_eq!(was(&world, b, Space::Policy, 1).await, list(&[("same", "of b")]));
    assert_eq!(world.store.past_from(b).await.unwrap(), Some(0));
    world.store.erase(a).await.unwrap();
    assert_eq!(was(&world, b, Space::Policy, 1).await, list(&[("same", "of b")]));
}

pub(super) async fn the_past_is_found_again(world: World) {
    let a = lived(&world).await;
    world.store.forget_past(a, 1).await.unwrap();
    let world = world.reopened().await;
    assert_eq!(world.store.past_from(a).await.unwrap(), Some(1));
    for (size, expected) in (0..).zip(sizes()).skip(1) {
        assert_eq!(was(&world, a, Space::Policy, size).await, expected, "at {size}");
    }
}
