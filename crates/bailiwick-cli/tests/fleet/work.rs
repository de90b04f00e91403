//! Clients that write and read while something breaks, and whether all that they were told is true afterwards.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::caller::Outcome;
use super::fleet::Fleet;
use super::record::Record;
use super::tenant::Tenant;

/// The longest that any request may take, whatever is broken.
pub(crate) const ANSWERED_WITHIN: Duration = Duration::from_secs(30);
/// How long to wait for something to get better by itself.
const PATIENCE: Duration = Duration::from_secs(90);

/// A write of a path that nothing else writes.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    pub(crate) worker: usize,
    pub(crate) path: String,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// Who works, and how far they are.
pub(crate) struct Crew {
    done: Vec<AtomicUsize>,
    stops: AtomicBool,
    works: Mutex<Vec<Work>>,
}

/// The folder of what the workers write.
const FOLDER: &str = "work";

impl Crew {
    /// Lets one worker at each of these ports write and read until `meanwhile` is over.
    pub(crate) fn works<T>(ports: &[u16], tenants: &[Tenant], meanwhile: impl FnOnce(&Self) -> T) -> (Vec<Work>, T) {
        let crew = Self {
            done: ports.iter().map(|_| AtomicUsize::new(0)).collect(),
            stops: AtomicBool::new(false),
            works: Mutex::default(),
        };
        let value = std::thread::scope(|scope| {
            for (worker, port) in ports.iter().enumerate() {
                let crew = &crew;
                let tenant = &tenants[worker % tenants.len()];
                scope.spawn(move || crew.work(worker, *port, tenant));
            }
            // Also when what happens meanwhile fails: the others must not work for ever.
            let _stopping = Stopping(&crew.stops);
            meanwhile(&crew)
        });
        (crew.works.into_inner().unwrap(), value)
    }

    fn work(&self, worker: usize, port: u16, tenant: &Tenant) {
        let owner = super::caller::Caller::new(port, Some(&tenant.owner)).within(ANSWERED_WITHIN * 2);
        for number in 0.. {
            if self.stops.load(Ordering::SeqCst) {
                return;
            }
            let path = format!("{FOLDER}/{worker}-{number}");
            let began = Instant::now();
            let outcome = owner.ask(&tenant.write(&path, number, None));
            let took = began.elapsed();
            if outcome == Outcome::Unreachable {
                // Its node is down; knocking faster helps nobody.
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
            let is_done = outcome.is_done();
            self.works.lock().unwrap().push(Work { worker, path, outcome, took });
            if is_done {
                self.done[worker].fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// Waits until each of these workers has done this many more.
    #[track_caller]
    pub(crate) fn wait_for(&self, workers: &[usize], more: usize) {
        let count = |worker: &usize| self.done[*worker].load(Ordering::SeqCst);
        let goals: Vec<usize> = workers.iter().map(|worker| count(worker) + more).collect();
        let until = Instant::now() + PATIENCE;
        while workers.iter().zip(&goals).any(|(worker, goal)| count(worker) < *goal) {
            if Instant::now() > until {
                let works = self.works.lock().unwrap();
                let last: Vec<&Work> = works.iter().rev().take(5).collect();
                panic!("workers {workers:?} do not get on: {:?} done; the last: {last:#?}", self.done);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Fails unless everything that the workers were told is so: what was acknowledged is there, what was refused is not, and
/// of what nobody knows there is both the change and its entry, or neither.
#[track_caller]
pub(crate) fn check_works(fleet: &Fleet, tenants: &[Tenant], node: usize, works: &[Work]) {
    for (of, tenant) in tenants.iter().enumerate() {
        let record = Record::of(fleet, tenant, &fleet.nodes[node]);
        let names = tenant.names(&fleet.nodes[node], FOLDER);
        for work in works.iter().filter(|work| work.worker % tenants.len() == of) {
            let is_there = names.contains(work.path.rsplit('/').next().unwrap());
            let entries = record.writes_of(&work.path);
            let is_true = match &work.outcome {
                Outcome::Done(request) => {
                    record.of_done(request);
                    is_there && entries == 1
                }
                Outcome::Busy(_) => !is_there && entries == 0,
                Outcome::Lost(_) => entries == usize::from(is_there),
                Outcome::Refused(_) | Outcome::Unreachable => false,
            };
            assert!(is_true, "{work:?}: there: {is_there}, entries: {entries}");
            assert!(work.took < ANSWERED_WITHIN, "{work:?}");
        }
    }
}

/// How many of them came to what, for people.
pub(crate) fn summary(works: &[Work]) -> String {
    let count = |of: fn(&Outcome) -> bool| works.iter().filter(|work| of(&work.outcome)).count();
    format!(
        "{} done, {} told to try again, {} not known; the slowest took {:?}",
        count(Outcome::is_done),
        count(|outcome| matches!(outcome, Outcome::Busy(_))),
        count(|outcome| matches!(outcome, Outcome::Lost(_))),
        works.iter().map(|work| work.took).max().unwrap_or_default()
    )
}

/// Waits until all nodes say that they are ready, or that they are not.
#[track_caller]
pub(crate) fn wait_until_ready(fleet: &Fleet, is_ready: bool) {
    let until = Instant::now() + PATIENCE;
    for node in &fleet.nodes {
        while node.is_ready() != is_ready {
            assert!(Instant::now() < until, "a node does not become {is_ready:?} about being ready:\n{}", node.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
