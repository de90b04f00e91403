//! How long it takes to find something in the ledger of a tenant with very many entries.
//!
//! `cargo run --release -p bailiwick-testkit --example large_ledger -- [entries] [times] [questions with this in them]`
//!
//! Entries are sealed here and handed to the store, 4,096 at a time; ten million and their index take several minutes and about
//! 7 GB below `TMPDIR`. Then the first page of each question is asked for through the native door, newest first: 100 entries, if there are as many,
//! or the answer that there are none. What is asked becomes an entry too, as always. CPU is that of the whole process, and changes
//! less than times do with what others do.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a measurement, not a product")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1, salt};
use bailiwick_ledger::leaf_hash;
use bailiwick_seal::{Context, InstallationRecord, Keyring, KeyringRecord, Purpose, RootKey, SystemRandom};
use bailiwick_store::{Commit, CommitError, Committed, NewEntry, Part, Space, Store as _};
use bailiwick_store_sqlite::Options;
use bailiwick_testkit::{Plane, World, WorldOptions};
use bailiwick_types::{TenantId, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::JoinHandle;

/// Entries of a commit, and of a segment of the index.
const BATCH: u64 = 4_096;
/// Rows of a segment's index.
const ROWS: u64 = 96;
/// How far apart the entries of a rare actor are.
const RARE: u64 = 100_000;
/// The first entry's time, and that of a time before all.
const BEGIN_MS: i64 = 1_600_000_000_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let entries: u64 = args.next().map_or(10_000_000, |text| text.parse().unwrap());
    let times: usize = args.next().map_or(100, |text| text.parse().unwrap());
    let world = World::with(WorldOptions { store: Some(Options::default()), ..WorldOptions::default() });
    grow(&world, entries);
    index(&world);
    rest();
    let wanted = args.next().unwrap_or_default();
    for question in questions(entries).into_iter().filter(|question| question.contains(&wanted)) {
        ask(&world, &question, times);
    }
}

/// What happened to nobody in particular: a third of it by one actor, who is never denied and never asks for an odd secret;
/// a twentieth is denied.
fn entry(tenant: TenantId, number: u64) -> Entry {
    let is_denied = number % 20 == 7;
    let actor = match number {
        0 => "mbr_oldest".to_owned(),
        number if number % RARE == 1 => "mbr_rare".to_owned(),
        number if number.is_multiple_of(3) && !is_denied => "acc_frequent".to_owned(),
        number => format!("acc_{}", number % 47),
    };
    let secret = if actor == "acc_frequent" { number % 500 * 2 } else { number % 1_000 };
    let secret = if number % 10 == 4 && actor != "acc_frequent" { 1 } else { secret };
    Entry {
        v: V1,
        tenant: tenant.to_string(),
        time: Timestamp::from_unix_ms(BEGIN_MS.saturating_add_unsigned(number)),
        request: format!("req_{number:026}"),
        actor: Actor {
            kind: ActorKind::Service,
            id: Some(actor),
            credential: Some("crd_0123456789abcdefghijklmnop".to_owned()),
            operator: None,
        },
        source: Some("192.0.2.7".to_owned()),
        door: "vault".into(),
        action: if number.is_multiple_of(9) { "secret:write" } else { "secret:reveal" }.into(),
        resource: EntryResource {
            kind: "Secret".into(),
            id: if number == 0 { "secret/oldest".to_owned() } else { format!("secret/app-{}/{secret}", secret % 20) },
            version: Some(1),
        },
        decision: if is_denied { Decision::Deny } else { Decision::Allow },
        policies: vec!["role:secret-reader".to_owned()],
        outcome: if is_denied { "denied" } else { "ok" }.into(),
        code: is_denied.then(|| "permission_denied".into()),
        detail: BTreeMap::new(),
        salt: salt(&SystemRandom),
    }
}

fn tenant(world: &World) -> TenantId {
    world.acme.id.parse().unwrap()
}

fn part_of_meta<T: DeserializeOwned>(world: &World, plane: Plane<'_>, name: &str) -> T {
    let meta: Value = serde_json::from_slice(&world.header(plane).meta).unwrap();
    serde_json::from_value(meta[name].clone()).unwrap()
}

fn grow(world: &World, entries: u64) {
    let (tenant, plane) = (tenant(world), Plane::Tenant(&world.acme));
    let root = RootKey::read_file(world.root_key_file()).unwrap();
    let installation = part_of_meta::<InstallationRecord>(world, Plane::Platform, "installation").installation();
    let keys: KeyringRecord = part_of_meta(world, plane, "keyring");
    let keyring = Keyring::unwrap(&root, installation, tenant, &keys).unwrap();
    let sealed = |number: u64| {
        let canonical = entry(tenant, number).canonical();
        let leaf = leaf_hash(&canonical);
        let context = Context { installation, tenant, space: "ledger", key: &leaf, version: 0 };
        let sealed = keyring.seal(&SystemRandom, Purpose::Ledger, &context, &canonical).unwrap();
        NewEntry { leaf, sealed }
    };
    let (began, epoch) = (Instant::now(), world.header(plane).epoch);
    world.block_on(async {
        let mut before: Option<JoinHandle<Result<Committed, CommitError>>> = None;
        for first in (0..entries).step_by(usize::try_from(BATCH).unwrap()) {
            let batch = (first..entries.min(first + BATCH)).map(sealed).collect();
            if let Some(before) = before.take() {
                before.await.unwrap().unwrap();
            }
            let commit = Commit { parts: vec![Part::append(tenant, epoch, batch)], guards: Vec::new() };
            let store = std::sync::Arc::clone(world.store());
            before = Some(tokio::spawn(async move { store.commit(commit).await }));
            tokio::task::yield_now().await;
        }
        if let Some(before) = before {
            before.await.unwrap().unwrap();
        }
    });
    let size = world.block_on(world.store().size_bytes()).unwrap();
    println!("{entries} entries in {:.0} s; {} MB on disk", began.elapsed().as_secs_f64(), size / 1_000_000);
}

/// Has the index made, as somebody who searches does.
fn index(world: &World) {
    let began = Instant::now();
    let header = || world.header(Plane::Tenant(&world.acme));
    page(world, "actor=nobody");
    while header().counts.of(Space::LedgerIndex) / ROWS < header().ledger.size() / BATCH {
        world.run_due_jobs();
    }
    let seconds = began.elapsed().as_secs_f64();
    let (rows, bytes) = world.block_on(async {
        let (mut rows, mut bytes, mut after) = (0, 0, None::<Vec<u8>>);
        loop {
            let page = world.store().records(tenant(world), Space::LedgerIndex, &[], after.as_deref(), 10_000).await;
            let page = page.unwrap();
            let Some((last, _)) = page.last() else { return (rows, bytes) };
            after = Some(last.clone());
            rows += page.len();
            bytes += page.iter().map(|(key, record)| key.len() + record.sealed.len()).sum::<usize>();
        }
    });
    let size = header().ledger.size();
    println!("index in {seconds:.0} s: {rows} rows, {:.1} bytes for each entry", bytes as f64 / size as f64);
}

/// CPU seconds of this process, all its threads together. Linux counts them in hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = |at| stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(at)?.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

/// Waits until what was written is where it is kept.
fn rest() {
    let began = Instant::now();
    loop {
        let before = cpu_seconds();
        std::thread::sleep(Duration::from_secs(1));
        if cpu_seconds() - before < 0.05 || began.elapsed().as_secs() > 300 {
            println!("at rest after {} s", began.elapsed().as_secs());
            return;
        }
    }
}

fn questions(entries: u64) -> Vec<String> {
    let early = Timestamp::from_unix_ms(BEGIN_MS);
    let late = Timestamp::from_unix_ms(BEGIN_MS.saturating_add_unsigned(entries / 2));
    let questions = [
        "actor=acc_frequent",
        "resource=secret/app-6/46",
        "actor=mbr_rare",
        "actor=mbr_oldest",
        "resource=secret/oldest",
        "actor=mbr_nowhere",
        "resource=secret/nowhere",
        "resource=secret/nowhere/*",
        "request=req_00000000000000000000000000",
        "request=req_nowhere",
        "action=policy:",
        "actor=acc_frequent&decision=deny",
        "actor=acc_frequent&resource=secret/app-1/1",
    ];
    let times = [format!("until={early}"), format!("until={late}&actor=mbr_oldest")];
    questions.map(str::to_owned).into_iter().chain(times).collect()
}

fn page(world: &World, question: &str) -> Value {
    world.advance(Duration::from_secs(1));
    let target = format!("/api/v1/t/{}/ledger/entries?order=desc&limit=100&{question}", world.acme.slug);
    world.get(&world.acme.owner, &target).expect(200)
}

fn ask(world: &World, question: &str, times: usize) {
    let (mut spans, before) = (Vec::new(), cpu_seconds());
    let mut last = Value::Null;
    for _ in 0..times {
        let began = Instant::now();
        last = page(world, question);
        spans.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let cpu = (cpu_seconds() - before) * 1e3 / spans.len() as f64;
    spans.sort_by(f64::total_cmp);
    let at = |percent: usize| spans[(spans.len() - 1) * percent / 100];
    let items = last["items"].as_array().unwrap().len();
    // A page that is neither full nor the last would be an answer that is not one.
    assert!(items == 100 || last["is_complete"] == true, "{question}: {items} entries, and more to come");
    println!("{question:48} {items:4} found  p50 {:6.1} ms  p99 {:6.1} ms  CPU {cpu:5.1} ms", at(50), at(99));
}
