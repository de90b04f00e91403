//! Searching a ledger: the index finds what reading everything finds, and reads little for it.

use std::time::Duration;

use bailiwick_app::AppConfig;
use bailiwick_store::{Commit, Part, Space, Store as _, Write};
use bailiwick_testkit::{Plane, Tenant, World, names};
use bailiwick_types::{TenantId, Timestamp};
use serde_json::Value;

use crate::flood::at_once;

/// Entries of a segment, and its rows.
const SEGMENT: u64 = 4_096;
const ROWS: u64 = 96;
/// The number of the first row.
const FIRST_ROW: u8 = 16;

/// Lets a tenant do things, refused ones too, until its ledger has this many entries.
fn grow(world: &World, tenant: &Tenant, size: u64) {
    let paths = ["whoami", "policies", "accounts", &format!("secrets/{}/{}", names::MOUNT, names::LIVE)];
    let callers = [tenant.owner.as_ref(), tenant.viewer.as_ref(), tenant.reader.as_ref(), tenant.bare.as_ref()];
    let mut number = 0;
    loop {
        let now = world.header(Plane::Tenant(tenant)).ledger.size();
        if now >= size {
            return;
        }
        world.advance(Duration::from_secs(2));
        let asked = (0..(size - now).min(64)).map(|_| {
            number += 1;
            let path = paths[number / 7 % paths.len()];
            let target = format!("/api/v1/t/{}/{path}", tenant.slug);
            world.request("GET", &target).by(callers[number % callers.len()])
        });
        at_once(world, asked.collect());
    }
}

/// All that a search finds, by its pages: each entry's index. Also how many pages there were.
fn search(world: &World, tenant: &Tenant, question: &str) -> (Vec<u64>, usize) {
    let (mut found, mut pages, mut next) = (Vec::new(), 0, None::<String>);
    loop {
        let after = next.as_ref().map(|next| format!("&cursor={next}")).unwrap_or_default();
        let target = format!("/api/v1/t/{}/ledger/entries?{question}{after}", tenant.slug);
        let page = world.get(&tenant.owner, &target).expect(200);
        pages += 1;
        found.extend(page["items"].as_array().unwrap().iter().map(|item| item["index"].as_u64().unwrap()));
        if page["is_complete"] == true {
            return (found, pages);
        }
        next = Some(page["next"].as_str().expect("there is more").to_owned());
    }
}

/// All entries, in order.
fn everything(world: &World, tenant: &Tenant) -> Vec<Value> {
    let mut all = Vec::new();
    let mut next = String::new();
    loop {
        let target = format!("/api/v1/t/{}/ledger/entries?limit=1000{next}", tenant.slug);
        let page = world.get(&tenant.owner, &target).expect(200);
        all.extend(page["items"].as_array().unwrap().iter().map(|item| item["entry"].clone()));
        if page["is_complete"] == true {
            return all;
        }
        next = format!("&cursor={}", page["next"].as_str().unwrap());
    }
}

fn indexed(world: &World, tenant: &Tenant) -> u64 {
    world.header(Plane::Tenant(tenant)).counts.of(Space::LedgerIndex)
}

/// How many entries the store was asked for since the last call.
fn entries_read(world: &World) -> u64 {
    let read = world.operations().into_iter().filter_map(|operation| {
        let words: Vec<String> = operation.work.split(' ').map(str::to_owned).collect();
        (words[0] == "entries").then(|| words[2].parse::<u64>().unwrap())
    });
    read.sum()
}

#[test]
fn the_index_finds_what_reading_everything_finds() {
    let world = World::two_tenants();
    let (own, other) = (&world.acme, &world.globex);
    grow(&world, own, 2 * SEGMENT + 100);
    let theirs = world.stored(Plane::Tenant(other));
    world.run_due_jobs();
    assert_eq!(indexed(&world, own), 2 * ROWS);
    let all = everything(&world, own);
    let top = all.len() as u64 - 1;
    let some = &all[5_000];
    let word = |entry: &Value, path: &str| entry.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let time = |entry: &Value| word(entry, "/time").parse::<Timestamp>().unwrap();
    let (viewer, reader, request) = (&own.viewer.id, &own.reader.id, word(some, "/request"));
    let (secret, folder, then) =
        (format!("{}/{}", names::MOUNT, names::LIVE), format!("{}/", names::MOUNT), time(some));
    type Fits<'a> = Box<dyn Fn(&Value) -> bool + 'a>;
    let is = |path: &'static str, wanted: &str| {
        let wanted = wanted.to_owned();
        Box::new(move |entry: &Value| word(entry, path) == wanted) as Fits<'_>
    };
    let both =
        |one: Fits<'static>, two: Fits<'static>| Box::new(move |entry: &Value| one(entry) && two(entry)) as Fits<'_>;
    let of_secrets = || Box::new(move |entry: &Value| word(entry, "/action").starts_with("secret:")) as Fits<'_>;
    let questions: [(String, Fits<'_>); 11] = [
        (format!("actor={viewer}"), is("/actor/id", viewer)),
        (format!("actor={reader}&action=secret:"), both(is("/actor/id", reader), of_secrets())),
        (format!("resource={secret}&decision=deny"), both(is("/resource/id", &secret), is("/decision", "deny"))),
        (format!("resource={folder}*"), Box::new(|entry| word(entry, "/resource/id").starts_with(&folder))),
        ("action=policy:list".to_owned(), is("/action", "policy:list")),
        ("decision=deny&outcome=denied".to_owned(), both(is("/decision", "deny"), is("/outcome", "denied"))),
        ("actor=mbr_nobody".to_owned(), is("/actor/id", "mbr_nobody")),
        (format!("request={request}"), is("/request", &request)),
        (format!("since={then}&action=secret:"), Box::new(|entry| time(entry) >= then && of_secrets()(entry))),
        (format!("until={then}"), Box::new(|entry| time(entry) < then)),
        (format!("since={then}&until={then}"), Box::new(|_| false)),
    ];
    for (question, fits) in questions {
        let wanted: Vec<u64> = (0..=top).filter(|index| fits(&all[*index as usize])).collect();
        assert_eq!(wanted.is_empty(), question.contains("nobody") || question.ends_with(&format!("&until={then}")));
        // What is asked is in the ledger too, so it is held against what was there before.
        let up = search(&world, own, &format!("{question}&limit=1000")).0;
        assert_eq!(up.into_iter().filter(|index| *index <= top).collect::<Vec<_>>(), wanted, "{question}");
        let down = search(&world, own, &format!("{question}&order=desc&limit=137&from={top}")).0;
        assert_eq!(down.into_iter().rev().collect::<Vec<_>>(), wanted, "{question}");
        let from = search(&world, own, &format!("{question}&limit=1000&from=4090")).0;
        let later = wanted.into_iter().filter(|index| *index >= 4_090).collect::<Vec<_>>();
        assert_eq!(from.into_iter().filter(|index| *index <= top).collect::<Vec<_>>(), later, "{question}");
    }
    assert_eq!(indexed(&world, other), 0);
    assert_eq!(world.stored(Plane::Tenant(other)), theirs, "an index is made of one ledger, and touches no other");
}

#[test]
fn what_is_rare_is_found_without_reading_what_is_not_also_where_the_index_was_forgotten() {
    let mut world = World::two_tenants();
    let own = world.globex.clone();
    let question = format!("actor={}&limit=100", own.admin.id);
    world.get(&own.admin, &format!("/api/v1/t/{}/whoami", own.slug)).expect(200);
    let (rare, _) = search(&world, &own, &question);
    assert!(!rare.is_empty(), "the admin has asked who it is");
    grow(&world, &own, SEGMENT + 10);
    // What was on the list is gone with the process, until somebody searches.
    world.restart();
    world.run_due_jobs();
    assert_eq!(indexed(&world, &own), 0);
    assert_eq!(search(&world, &own, &question).0, rare);
    world.run_due_jobs();
    assert_eq!(indexed(&world, &own), ROWS);
    world.operations();
    assert_eq!(search(&world, &own, &question), (rare, 1));
    let read = entries_read(&world);
    let tail = world.header(Plane::Tenant(&own)).ledger.size() - SEGMENT;
    assert!(read < tail + 200, "{read} entries were read");
}

/// The key of a segment's row.
fn row(number: u8, segment: u64) -> Vec<u8> {
    [&[number][..], &segment.to_be_bytes()].concat()
}

/// The keys of all rows of an index.
fn rows(world: &World, tenant: &Tenant) -> Vec<Vec<u8>> {
    let stored = world.stored(Plane::Tenant(tenant)).records;
    stored.into_iter().filter(|(space, ..)| *space == Space::LedgerIndex).map(|(_, key, _)| key).collect()
}

/// Puts other bytes in the place of rows of an index, or nothing, behind the server's back.
fn tamper(world: &World, tenant: &Tenant, changes: Vec<(Vec<u8>, Option<&[u8]>)>) {
    let (id, space): (TenantId, _) = (tenant.id.parse().unwrap(), Space::LedgerIndex);
    let mut part = Part::append(id, world.header(Plane::Tenant(tenant)).epoch, Vec::new());
    for (key, bytes) in changes {
        let expected = world.block_on(world.store().record(id, space, &key)).unwrap().map(|record| record.version);
        let value = bytes.map(|bytes| (expected.unwrap_or(0) + 1, bytes.to_vec()));
        part.writes.push(Write { space, key, expected, value, count_max: None });
    }
    world.block_on(world.store().commit(Commit { parts: vec![part], guards: Vec::new() })).unwrap();
}

#[test]
fn an_index_that_is_damaged_or_of_an_older_version_hides_nothing_and_is_made_anew() {
    type Damage = fn(&World, &Tenant) -> Vec<(Vec<u8>, Option<&'static [u8]>)>;
    let damages: [(&str, Damage); 6] = [
        ("bytes that nobody sealed, in the newer segment", |world, own| {
            let newer = rows(world, own).into_iter().filter(|key| key.ends_with(&1_u64.to_be_bytes()));
            newer.map(|key| (key, Some(&b"junk"[..]))).collect()
        }),
        ("and in all rows", |world, own| rows(world, own).into_iter().map(|key| (key, Some(&b""[..]))).collect()),
        ("a segment without its rows, and others in their stead", |world, own| {
            let older = rows(world, own).into_iter().filter(|key| key.ends_with(&0_u64.to_be_bytes()));
            let gone: Vec<_> = older.filter(|key| key[0] != FIRST_ROW).collect();
            let others = (0..gone.len() as u64).map(|number| (row(FIRST_ROW, 7 + number), Some(&b"junk"[..])));
            gone.iter().map(|key| (key.clone(), None)).chain(others).collect()
        }),
        ("a row too few", |_, _| vec![(row(FIRST_ROW + 40, 1), None)]),
        ("another row than the first", |_, _| vec![(row(FIRST_ROW, 0), None), (row(200, 0), Some(&b"junk"[..]))]),
        ("an older version's", |world, own| {
            let gone = rows(world, own).into_iter().map(|key| (key, None));
            let old = (0..12 * ROWS).map(|number| (row((number % 16) as u8, number / 16), Some(&b"older"[..])));
            gone.chain(old).collect()
        }),
    ];
    let world = World::two_tenants();
    let own = &world.acme;
    grow(&world, own, 2 * SEGMENT + 50);
    let questions = [
        format!("actor={}&limit=1000", own.viewer.id),
        "decision=deny&limit=1000".to_owned(),
        "action=policy:list&order=desc&limit=1000".to_owned(),
        "actor=mbr_nobody&order=desc&limit=1000".to_owned(),
    ];
    let ask = || questions.iter().map(|question| search(&world, own, question).0).collect::<Vec<_>>();
    let wanted = ask();
    assert!(wanted[..3].iter().all(|found| found.len() > 500) && wanted[3].is_empty());
    world.run_due_jobs();
    for (what, damage) in damages {
        assert_eq!(indexed(&world, own), 2 * ROWS, "before {what}");
        tamper(&world, own, damage(&world, own));
        assert_eq!(ask(), wanted, "{what}");
        // Whoever searched had it made anew.
        (0..4).for_each(|_| world.run_due_jobs());
        assert_eq!(indexed(&world, own), 2 * ROWS, "after {what}");
        world.operations();
        assert_eq!(search(&world, own, &questions[3]), (vec![], 1));
        let read = entries_read(&world);
        assert!(read < SEGMENT, "{what}: {read} entries were read");
    }
}

#[test]
fn two_nodes_make_one_index_and_new_keys_open_an_old_one() {
    let app = AppConfig { rotate_data_every: SEGMENT, ..AppConfig::default() };
    let world = World::with(bailiwick_testkit::WorldOptions { app: app.clone(), ..Default::default() });
    let other = world.another_node("other", app);
    world.block_on(other.app().unseal_with_file(&world.root_key_file())).unwrap();
    let own = &world.acme;
    grow(&world, own, SEGMENT + 1);
    // Both know that it is missing.
    let target = format!("/api/v1/t/{}/ledger/entries?decision=deny", own.slug);
    world.block_on(world.request("GET", &target).by(&own.owner).through(&other).ask()).expect(200);
    world.block_on(async {
        let (one, two) = tokio::join!(world.app().run_due_jobs(), other.app().run_due_jobs());
        (one.unwrap(), two.unwrap())
    });
    world.run_due_jobs();
    assert_eq!(indexed(&world, own), ROWS);
    let rotated = world.get(&own.owner, &format!("/api/v1/t/{}/ledger/entries?action=keyring:rotate", own.slug));
    assert_eq!(rotated.expect(200)["items"].as_array().map(Vec::len), Some(1), "keys are new");
    let denied = |item: &Value| item["entry"]["decision"] == "deny";
    let page = world.get(&own.owner, &target).expect(200);
    let items = page["items"].as_array().unwrap();
    assert!(!items.is_empty() && items.iter().all(denied));
}

#[test]
fn an_index_made_while_a_canary_is_tried_is_no_change_of_the_canary() {
    let world = World::two_tenants();
    let [canary, _] = world.block_on(world.app().canaries()).unwrap().tenants;
    let header = || world.block_on(world.store().header(canary.tenant)).unwrap().unwrap();
    let state = || world.block_on(world.app().canary_state(&canary)).unwrap();
    while header().ledger.size() < SEGMENT {
        world.advance(Duration::from_secs(2));
        let target = format!("/api/v1/t/{}/whoami", canary.slug);
        at_once(&world, (0..64).map(|_| world.request("GET", &target).by(canary.credential.expose())).collect());
    }
    let before = state();
    world.run_due_jobs();
    assert_eq!(header().counts.of(Space::LedgerIndex), ROWS);
    assert_eq!(state(), before);
}
