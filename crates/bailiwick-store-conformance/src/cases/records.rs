//! Reading records, alone and in lists.

use bailiwick_store::{Part, Space};

use crate::World;
use crate::build::{Build, at, put, replace};

/// The keys of a list.
async fn keys(world: &World, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<Vec<u8>> {
    let found = world.store.records(world.a.id, Space::Secret, prefix, after, limit).await.unwrap();
    found.into_iter().map(|(key, _)| key).collect()
}

/// Gives both tenants records of these keys; the neighbour must never show.
async fn fill(world: &World, keys: &[&[u8]]) {
    let filled = |part: Part| keys.iter().fold(part, |part, key| part.write(put(Space::Secret, key, key)));
    world.ok(filled(at(world.a.id, 1)).commit()).await;
    world.ok(filled(at(world.b.id, 1)).commit()).await;
}

pub(super) async fn a_record_reads_back_as_written(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).write(put(Space::Secret, "k", "one")).commit()).await;
    let record = world.store.record(a, Space::Secret, b"k").await.unwrap().unwrap();
    assert_eq!((record.version, record.sealed.as_slice()), (1, &b"one"[..]));
    world.ok(at(a, 1).write(replace(Space::Secret, "k", 1, "two")).commit()).await;
    let record = world.store.record(a, Space::Secret, b"k").await.unwrap().unwrap();
    assert_eq!((record.version, record.sealed.as_slice()), (2, &b"two"[..]));
    let listed = world.store.records(a, Space::Secret, b"k", None, 1).await.unwrap();
    assert_eq!(listed, [(b"k".to_vec(), record)]);
    for absent in [&b"K"[..], b"k\0", b"", b"kk"] {
        assert_eq!(world.store.record(a, Space::Secret, absent).await.unwrap(), None);
    }
}

pub(super) async fn values_may_be_large_or_empty(world: World) {
    let a = world.a.id;
    let large: Vec<u8> = (0..=250).cycle().take(2_000_000).collect();
    let part = at(a, 1).write(put(Space::SecretVersion, "large", &large)).write(put(Space::SecretVersion, "empty", ""));
    let mut part = part.entry("");
    part.entries[0].sealed.clone_from(&large);
    world.ok(part.commit()).await;
    let value = async |key: &[u8]| world.store.record(a, Space::SecretVersion, key).await.unwrap().unwrap().sealed;
    assert!(value(b"large").await == large, "a large value came back changed");
    assert!(value(b"empty").await.is_empty());
    assert!(world.store.entries(a, 0, 1).await.unwrap()[0].sealed == large, "a large entry came back changed");
    world.ok(at(a, 1).write(replace(Space::SecretVersion, "large", 1, "small")).commit()).await;
    assert_eq!(value(b"large").await, b"small");
}

pub(super) async fn keys_may_hold_any_byte_and_come_in_byte_order(world: World) {
    let mut odd: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    odd.extend((0..=255).map(|byte| vec![b'k', byte]));
    odd.push(vec![0xff; 300]);
    odd.push(vec![0; 300]);
    odd.push("schlüssel/\u{1f511}".as_bytes().to_vec());
    odd.push((0..=255).cycle().take(1_200).collect());
    fill(&world, &odd.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    odd.sort();
    assert_eq!(keys(&world, b"", None, 10_000).await, odd);
    for key in &odd {
        let record = world.store.record(world.a.id, Space::Secret, key).await.unwrap().unwrap();
        assert_eq!(record.sealed, *key);
    }
}

pub(super) async fn a_list_keeps_to_its_prefix(world: World) {
    fill(&world, &[b"a", b"b", b"b\0", b"ba", b"b\xff", b"b\xff\xff", b"c", b"B"]).await;
    assert_eq!(keys(&world, b"b", None, 100).await, [&b"b"[..], b"b\0", b"ba", b"b\xff", b"b\xff\xff"]);
    assert_eq!(keys(&world, b"ba", None, 100).await, [b"ba"]);
    assert_eq!(keys(&world, b"bb", None, 100).await, [b""; 0]);
    assert_eq!(keys(&world, b"d", None, 100).await, [b""; 0]);
}

pub(super) async fn a_prefix_may_end_in_the_highest_byte(world: World) {
    fill(&world, &[b"b\xfe", b"b\xff", b"b\xff\0", b"b\xff\xff", b"c", b"\xff", b"\xff\xff", b"\xff\xff\xff"]).await;
    assert_eq!(keys(&world, b"b\xff", None, 100).await, [&b"b\xff"[..], b"b\xff\0", b"b\xff\xff"]);
    assert_eq!(keys(&world, b"\xff", None, 100).await, [&b"\xff"[..], b"\xff\xff", b"\xff\xff\xff"]);
    assert_eq!(keys(&world, b"\xff\xff", Some(b"\xff\xff"), 100).await, [b"\xff\xff\xff"]);
}

pub(super) async fn after_is_exclusive_and_need_not_exist(world: World) {
    fill(&world, &[b"a", b"p/1", b"p/2", b"p/2\0", b"p/3", b"q"]).await;
    let after = async |after: &[u8]| keys(&world, b"p/", Some(after), 100).await;
    assert_eq!(after(b"p/1").await, [&b"p/2"[..], b"p/2\0", b"p/3"]);
    assert_eq!(after(b"p/2").await, [&b"p/2\0"[..], b"p/3"]);
    assert_eq!(after(b"p/2x").await, [b"p/3"]);
    assert_eq!(after(b"p/3").await, [b""; 0]);
    // Outside of the prefix, on either side.
    assert_eq!(after(b"a").await.len(), 4);
    assert_eq!(after(b"").await.len(), 4);
    assert_eq!(after(b"q").await, [b""; 0]);
}

pub(super) async fn pages_cover_a_list_exactly_once(world: World) {
    let all: Vec<Vec<u8>> = (0..40u8).map(|n| vec![b'k', n / 7, n]).collect();
    fill(&world, &all.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    assert_eq!(keys(&world, b"k", None, 0).await, [b""; 0]);
    for limit in [1, 3, 39, 40, 41, 500] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = keys(&world, b"k", after.as_deref(), limit).await;
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            seen.extend(page);
        }
        assert_eq!(seen, all, "in pages of {limit}");
    }
}

pub(super) async fn spaces_are_apart(world: World) {
    world.furnish().await;
    for space in Space::ALL {
        let expected = format!("{space:?} of {}", world.a.slug);
        assert_eq!(world.value(world.a.id, *space, "same").await, Some(expected));
        assert_eq!(world.store.records(world.a.id, *space, b"", None, 100).await.unwrap().len(), 1);
        assert_eq!(world.header(world.a.id).await.counts.of(*space), 1);
    }
}
