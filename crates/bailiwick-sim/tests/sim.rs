//! The fixed histories, those that ever failed, and the leaks that must be noticed.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_sim::{Coverage, Failure, Leak, Script, Size, check, check_repeats, script, shrink};

/// Histories of CI: these seeds, from 1 on.
const SEEDS: u64 = 40;
/// Histories of which some must show a leak.
const SEEDS_WITH_LEAK: u64 = 30;
/// How many are run side by side.
const THREADS: usize = 2;

/// Calls `each` with 1, 2, 3, … until it says that it is enough, or `count`.
fn seeds(count: u64, each: impl Fn(u64) -> bool + Sync) {
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed > count {
                        return;
                    }
                    if !each(seed) {
                        next.store(count + 1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
}

/// The tenant that a seed is run without.
fn absent(seed: u64, tenants: usize) -> usize {
    usize::try_from(seed).unwrap() % tenants
}

#[test]
fn without_a_tenant_everything_of_the_others_is_the_same() {
    let coverage = Mutex::new(Coverage::default());
    let failed: Mutex<Option<Failure>> = Mutex::new(None);
    seeds(SEEDS, |seed| {
        let script = script(seed, Size::default());
        match check(&script, absent(seed, script.tenants), None) {
            Ok(run) => coverage.lock().unwrap().add(&run.coverage),
            Err(failure) => *failed.lock().unwrap() = Some(*failure),
        }
        failed.lock().unwrap().is_none()
    });
    if let Some(failure) = failed.into_inner().unwrap() {
        let failure = shrink(failure, None);
        panic!("{failure}\nkeep this in `regressions/`:\n{}", failure.kept());
    }
    let coverage = coverage.into_inner().unwrap();
    println!("{} requests in {SEEDS} histories\n{coverage}", coverage.requests());
    let missing = coverage.missing();
    assert!(missing.is_empty(), "{missing:#?}\n{coverage}");
}

/// Histories that failed once, as small as they could be made: `regressions/*.txt`.
#[test]
fn what_ever_failed_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let script: Script = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        for without in 0..script.tenants {
            if let Err(failure) = check(&script, without, None) {
                panic!("{}: {failure}", path.display());
            }
        }
        count += 1;
    }
    assert!(count >= 4, "only {count} histories are kept");
}

#[test]
fn a_seed_is_a_run() {
    seeds(6, |seed| {
        if let Err(failure) = check_repeats(&script(seed, Size::default())) {
            panic!("{failure}");
        }
        true
    });
}

/// What a leak is caught by: a history, made small enough to read.
fn caught(leak: Leak) {
    let size = Size { tenants_max: 3, steps: 100 };
    let first = (1..=SEEDS_WITH_LEAK).find_map(|seed| {
        let script = script(seed, size);
        check(&script, absent(seed, script.tenants), Some(leak)).err()
    });
    let Some(failure) = first else { panic!("nobody notices {leak:?}") };
    let found = failure.script.steps.len();
    let shrunk = shrink(*failure, Some(leak));
    println!("{leak:?}, from {found} steps to {}:\n{shrunk}", shrunk.script.steps.len());
    assert!(shrunk.script.steps.len() <= 20, "too long to read:\n{shrunk}");
    // And it is the leak that does it.
    assert!(check(&shrunk.script, shrunk.without, None).is_ok());
}

#[test]
fn a_shared_counter_is_noticed() {
    caught(Leak::SharedCounter);
}

#[test]
fn a_cache_whose_key_lacks_the_tenant_is_noticed() {
    caught(Leak::CacheWithoutTenant);
}

#[test]
fn a_count_that_includes_others_is_noticed() {
    caught(Leak::CountOfOthers);
}

#[test]
fn an_error_that_tells_foreign_from_missing_is_noticed() {
    caught(Leak::OtherError);
}

#[test]
fn ids_in_sequence_are_noticed() {
    caught(Leak::SequentialIds);
}

#[test]
fn a_shared_queue_is_noticed() {
    caught(Leak::SharedQueue);
}

#[test]
fn a_shared_rate_is_noticed() {
    caught(Leak::SharedRate);
}

#[test]
fn every_leak_has_its_test() {
    let source = include_str!("sim.rs");
    for leak in Leak::ALL {
        assert!(source.contains(&format!("caught(Leak::{leak:?})")), "{leak:?}");
    }
}
