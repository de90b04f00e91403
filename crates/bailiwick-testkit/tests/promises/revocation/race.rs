//! Thousands of requests from many tasks meet each revocation at random moments.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::harness::house::House;
use crate::harness::{Ask, Dice};

use super::acts::{Act, Scene};

/// Who asks at once.
const TASKS: u64 = 12;
/// How often each revocation is tried.
const ROUNDS: u64 = 4;
/// How many requests each task still makes once the acknowledgement is there.
const AFTER: u64 = 4;

/// One request as its sender saw it, on the test's one logical clock.
#[derive(Debug)]
struct Seen {
    begun: u64,
    ended: u64,
    is_ok: bool,
    refusal: (u16, String),
    request: String,
}

/// The logical clock, and what the tasks wait for.
#[derive(Default)]
struct Signals {
    clock: AtomicU64,
    successes: AtomicU64,
    progress: Notify,
    is_acknowledged: AtomicBool,
}

impl Signals {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    async fn successes(&self, wanted: u64) {
        while self.successes.load(Ordering::SeqCst) < wanted {
            self.progress.notified().await;
        }
    }
}

/// One task: asks until it has asked often enough after the acknowledgement.
async fn hammer(house: Arc<House>, probes: impl Fn(u64) -> Ask, signals: Arc<Signals>) -> Vec<Seen> {
    let (mut seen, mut after, mut number) = (Vec::new(), 0, 0);
    while after < AFTER {
        after += u64::from(signals.is_acknowledged.load(Ordering::SeqCst));
        let begun = signals.tick();
        let told = house.ask(probes(number)).await;
        let ended = signals.tick();
        if told.is_ok() {
            signals.successes.fetch_add(1, Ordering::SeqCst);
            signals.progress.notify_one();
        }
        let refusal = (told.status, told.code());
        seen.push(Seen { begun, ended, is_ok: told.is_ok(), refusal, request: told.request_id() });
        number += 1;
    }
    seen
}

/// Returns how many requests were made, and how many durable successes arrived after the acknowledgement did.
async fn round(house: &Arc<House>, act: Act, successes_before: u64) -> (usize, usize) {
    let scene = Arc::new(Scene::set(house, act).await);
    let signals = Arc::new(Signals::default());
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (scene, signals) = (Arc::clone(&scene), Arc::clone(&signals));
            let probes = move |number| scene.probe(task + number * (TASKS + 1));
            tokio::spawn(hammer(Arc::clone(house), probes, signals))
        })
        .collect();
    signals.successes(successes_before).await;
    scene.perform(house).await;
    let acknowledged = signals.tick();
    signals.is_acknowledged.store(true, Ordering::SeqCst);
    let mut seen = Vec::new();
    for task in tasks {
        seen.extend(task.await.unwrap());
    }

    // By the clock: whoever asks after the acknowledgement is refused, and told why.
    let (status, code) = act.refusal();
    for seen in seen.iter().filter(|seen| seen.begun > acknowledged) {
        assert_eq!(seen.refusal, (status, code.to_owned()), "{act:?} at {acknowledged}: {seen:?}");
    }
    let after = seen.iter().filter(|seen| seen.begun > acknowledged).count() as u64;
    assert!(after >= TASKS * (AFTER - 1), "{act:?}: only {after} requests came after the acknowledgement");

    // By what is durable: no success stands after the revocation, and each success that was told has its entry, and
    // the reverse.
    scene.reopen(house).await;
    let evidence = scene.evidence(house).await;
    evidence.holds(act);
    let told: BTreeSet<_> = seen.iter().filter(|seen| seen.is_ok).map(|seen| &seen.request).collect();
    let written: BTreeSet<_> = evidence.successes.iter().map(|success| &success.request).collect();
    assert_eq!(told, written, "{act:?}");
    assert_eq!(written.len(), evidence.successes.len(), "{act:?}: a success has several entries");
    assert!(told.len() as u64 >= successes_before, "{act:?}: no progress before the revocation");
    let late = seen.iter().filter(|seen| seen.is_ok && seen.ended > acknowledged).count();
    (seen.len(), late)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_request_of_thousands_completes_under_the_old_state() {
    let seed = 20_260_131;
    eprintln!("seed {seed}");
    let mut dice = Dice::new(seed);
    let house = Arc::new(House::new().await);
    let (mut requests, mut late) = (0, 0);
    for act in Act::ALL {
        for _ in 0..ROUNDS {
            let (made, arrived_late) = round(&house, act, dice.below(100) + 1).await;
            requests += made;
            late += arrived_late;
            // Rate limits count by the clock, which stands still otherwise.
            house.advance(std::time::Duration::from_secs(1));
        }
    }
    eprintln!("{requests} requests; {late} answers that were durable before the revocation arrived after it");
    assert!(requests > 5_000, "only {requests} requests");
}
