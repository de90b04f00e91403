//! Keys read as paths.

use bailiwick_store::Space;

use crate::World;
use crate::build::{Build, at, put};

/// Gives both tenants records of these keys; the neighbour must never show.
async fn fill(world: &World, keys: &[&[u8]]) {
    for party in [world.a, world.b] {
        let part = keys.iter().fold(at(party.id, 1), |part, key| part.write(put(Space::Secret, key, "v")));
        world.ok(part.commit()).await;
    }
}

/// The names below a prefix, as text.
async fn names(world: &World, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Vec<String> {
    let children = world.store.children(world.a.id, Space::Secret, prefix, after, limit).await.unwrap();
    children.into_iter().map(|child| String::from_utf8(child.name).unwrap()).collect()
}

pub(super) async fn the_example_of_the_contract_holds(world: World) {
    fill(&world, &[b"p/a", b"p/b/c", b"p/b/d", b"o/x", b"q"]).await;
    assert_eq!(names(&world, b"p/", None, 100).await, ["a", "b/"]);
    assert_eq!(names(&world, b"p/b/", None, 100).await, ["c", "d"]);
    assert_eq!(names(&world, b"", None, 100).await, ["o/", "p/", "q"]);
    assert_eq!(names(&world, b"p/c/", None, 100).await, [""; 0]);
    assert_eq!(names(&world, b"p/a/", None, 100).await, [""; 0]);
    // A prefix need not end in a slash.
    assert_eq!(names(&world, b"p", None, 100).await, ["/"]);
}

pub(super) async fn names_come_in_byte_order_around_the_slash(world: World) {
    fill(&world, &[b"d/a", b"d/a!", b"d/a!b/c", b"d/a-b", b"d/a/b", b"d/a0", b"d/A/x", b"d/\xc3\xa9"]).await;
    let all = ["A/", "a", "a!", "a!b/", "a-b", "a/", "a0", "é"];
    assert_eq!(names(&world, b"d/", None, 100).await, all);
}

pub(super) async fn a_name_may_be_both_a_key_and_a_folder(world: World) {
    fill(&world, &[b"a", b"a/b", b"a/b/c", b"a//d"]).await;
    assert_eq!(names(&world, b"", None, 100).await, ["a", "a/"]);
    assert_eq!(names(&world, b"a/", None, 100).await, ["/", "b", "b/"]);
    assert_eq!(names(&world, b"a//", None, 100).await, ["d"]);
}

pub(super) async fn after_is_exclusive_and_need_not_exist(world: World) {
    fill(&world, &[b"p/a", b"p/a/x", b"p/b/y", b"p/b/z", b"p/c"]).await;
    let after = async |after: &[u8]| names(&world, b"p/", Some(after), 100).await;
    assert_eq!(after(b"").await, ["a", "a/", "b/", "c"]);
    assert_eq!(after(b"a").await, ["a/", "b/", "c"]);
    assert_eq!(after(b"a/").await, ["b/", "c"]);
    assert_eq!(after(b"aa").await, ["b/", "c"]);
    assert_eq!(after(b"b").await, ["b/", "c"]);
    assert_eq!(after(b"b/").await, ["c"]);
    assert_eq!(after(b"c").await, [""; 0]);
    assert_eq!(after(b"zzz/").await, [""; 0]);
}

pub(super) async fn pages_cover_a_folder_exactly_once(world: World) {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    for n in 0..12 {
        keys.push(format!("f/{n:02}").into_bytes());
        keys.extend((0..n % 4).map(|m| format!("f/{n:02}/{m}").into_bytes()));
        keys.extend((0..n % 3).map(|m| format!("f/{n:02}x/{m}/deep").into_bytes()));
    }
    fill(&world, &keys.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    let all = names(&world, b"f/", None, 1_000).await;
    assert_eq!(all.len(), 12 + 9 + 8);
    assert!(all.is_sorted_by(|a, b| a < b));
    assert_eq!(names(&world, b"f/", None, 0).await, [""; 0]);
    for limit in [1, 2, 3, 5, all.len(), all.len() + 1, 500] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = names(&world, b"f/", after.as_deref().map(str::as_bytes), limit).await;
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            seen.extend(page);
        }
        assert_eq!(seen, all, "in pages of {limit}");
    }
}

pub(super) async fn a_prefix_may_hold_any_byte(world: World) {
    // Ids are bytes like any other: a slash in the prefix ends no segment, and 0xff has no byte after it.
    fill(
        &world,
        &[b"\x2f\xff/\xff\xffa/b", b"\x2f\xff/\xff\xffc", b"\x2f\xff/\xff\xfed", b"\xff\xffe/f", b"\xff\xffg"],
    )
    .await;
    assert_eq!(names(&world, b"\x2f\xff/\xff\xff", None, 100).await, ["a/", "c"]);
    assert_eq!(names(&world, b"\xff\xff", None, 100).await, ["e/", "g"]);
    assert_eq!(names(&world, b"\xff\xff", Some(b"e/"), 100).await, ["g"]);
}

pub(super) async fn a_key_that_is_the_prefix_has_no_name(world: World) {
    fill(&world, &[b"p/", b"p/a", b"p"]).await;
    assert_eq!(names(&world, b"p/", None, 100).await, ["a"]);
    assert_eq!(names(&world, b"p/a", None, 100).await, [""; 0]);
}

pub(super) async fn a_large_folder_is_one_name(world: World) {
    let keys: Vec<Vec<u8>> = (0..3_000).map(|n| format!("f/large/{n:04}").into_bytes()).collect();
    for chunk in keys.chunks(1_000) {
        fill(&world, &chunk.iter().map(Vec::as_slice).collect::<Vec<_>>()).await;
    }
    fill(&world, &[b"f/a", b"f/z"]).await;
    assert_eq!(names(&world, b"f/", None, 100).await, ["a", "large/", "z"]);
    assert_eq!(names(&world, b"f/large/", None, 5_000).await.len(), 3_000);
}
