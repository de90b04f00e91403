//! kill -9 at random moments under concurrent load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::house::text;
use crate::harness::process::{Credentials, Running, Start};
use crate::harness::{Ask, Dice};

use super::judge::{Judge, Story};
use super::load::{Client, Diary, Fact, Ground, Plot};

const KILLS: u64 = 25;
/// After so many kills the data directory is a new one: checks read whole ledgers, and those grow.
const KILLS_PER_DIRECTORY: u64 = 8;
const CLIENTS: usize = 10;
/// The most acknowledgements that a round waits for before it kills.
const ACKNOWLEDGED_MAX: u64 = 250;

#[expect(clippy::disallowed_methods, reason = "how often, and which choices, is for whoever runs the test")]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn start(data: &Path) -> Running {
    Start::dev(data).arg("--log").arg("warn").run()
}

/// Who there is, as the data directory has it.
fn ground(data: &Path, server: &Running) -> Ground {
    let credentials = Credentials::read(data);
    let tenants = ["acme", "globex"].map(|slug| {
        let admin = credentials.admin(slug);
        let me = server.ask(&Ask::get(format!("/api/v1/t/{slug}/whoami")).by(&admin)).ok().value();
        let admin_id = text(me.get("principal").unwrap(), "id");
        Plot { slug: slug.to_owned(), admin, admin_id }
    });
    Ground { address: server.address.clone(), operator: credentials.operator(), tenants: tenants.to_vec() }
}

/// Lets the clients work, and kills the server once `target` of their requests are acknowledged.
fn round(server: Running, ground: &Ground, number: u64, target: u64, dice: &mut Dice) -> Vec<Diary> {
    let acknowledged = Arc::new(AtomicU64::new(0));
    let (news, heard) = mpsc::sync_channel(1);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let role = if client == 0 { "operator" } else { "c" };
            let name = format!("r{number}-{client}-{role}");
            let client = Client::new(name, ground.clone(), Dice::new(dice.next()));
            let (acknowledged, news) = (Arc::clone(&acknowledged), news.clone());
            std::thread::spawn(move || client.work(&acknowledged, &news))
        })
        .collect();
    drop(news);
    while acknowledged.load(Ordering::SeqCst) < target {
        // All clients have ended: the server is gone by itself, which the checks will say more about.
        if heard.recv().is_err() {
            break;
        }
    }
    server.kill();
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

/// Asks again what was never answered. Each request carries an `Idempotency-Key`, so now it is done once, whether or not
/// it was done before.
fn mend(server: &Running, diaries: &[Diary]) -> Vec<Fact> {
    let torn = diaries.iter().filter_map(|diary| diary.torn.as_ref());
    torn.filter(|step| !step.is_checkpoint()).map(|step| step.learn(&server.ask(&step.ask))).collect()
}

/// What was deleted without a hold period is shredded by the server, however often it was killed at that.
fn wait_for_shredding(server: &Running, ground: &Ground, story: &Story) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut wire = server.wire();
    for slug in story.gone() {
        let ask = Ask::get(format!("/api/v1/tenants/{slug}")).by(&ground.operator);
        loop {
            let shown = wire.ask(&ask).unwrap().ok().value();
            if text(&shown, "state") == "deleted" && shown.get("certificate").is_some_and(Value::is_string) {
                break;
            }
            assert!(Instant::now() < deadline, "{slug} is not shredded: {shown}");
        }
    }
}

/// Starts a server and kills it before it says that it runs.
fn stumble(data: &Path, dice: &mut Dice) {
    let mut child = Start::dev(data).spawn();
    let (_alive, never) = mpsc::channel::<()>();
    let _ = never.recv_timeout(Duration::from_micros(dice.below(60_000)));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn run(kills: u64, dice: &mut Dice) -> (usize, u64) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut story = Story::default();
    let mut server = start(&data);
    let mut stumbles = 0;
    for number in 0..kills {
        let mut ground = ground(&data, &server);
        let target = dice.below(ACKNOWLEDGED_MAX) + 1;
        let diaries = round(server, &ground, number, target, dice);
        if dice.below(4) == 0 {
            stumble(&data, dice);
            stumbles += 1;
        }
        server = start(&data);
        ground.address.clone_from(&server.address);

        let mut facts: Vec<Fact> = diaries.iter().flat_map(|diary| diary.facts.clone()).collect();
        facts.extend(mend(&server, &diaries));
        for fact in facts.clone() {
            story.add(fact);
        }
        let mut judge = Judge { wire: server.wire(), ground: &ground, story: &story };
        judge.facts(&facts);
        for tenant in 0..ground.tenants.len() {
            judge.tenant(tenant);
        }
        judge.platform();
    }
    let ground = ground(&data, &server);
    wait_for_shredding(&server, &ground, &story);
    server.kill();
    (story.secrets(), kills + stumbles)
}

#[test]
fn a_server_that_is_killed_at_any_moment_has_lost_nothing_and_half_done_nothing() {
    let kills = setting("BAILIWICK_TEST_KILLS").unwrap_or(KILLS);
    let seed = setting("BAILIWICK_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("BAILIWICK_TEST_KILLS={kills} BAILIWICK_TEST_SEED={seed}");
    let mut dice = Dice::new(seed);
    let (mut left, mut secrets, mut killed) = (kills, 0, 0);
    while left > 0 {
        let batch = left.min(KILLS_PER_DIRECTORY);
        let (written, ended) = run(batch, &mut dice);
        (left, secrets, killed) = (left - batch, secrets + written, killed + ended);
        eprintln!("killed {killed} times; {secrets} versions of secrets were acknowledged and are there");
    }
    assert!(secrets as u64 > kills, "only {secrets} versions were written");
}
