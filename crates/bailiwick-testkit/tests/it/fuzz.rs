//! Every fuzz target, on a small corpus and what a generator makes of it: the same inputs every time.
//!
//! The hours of searching are done elsewhere (`fuzz/`); this keeps the targets true to the code, and finds what is easy.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use bailiwick_testkit::fuzzing::{Dice, TARGETS, Target};

fn holds(target: &Target) {
    let seeds = (target.seeds)();
    let mut dice = Dice::new(1);
    let inputs = seeds.clone().into_iter().chain((0..target.rounds).map(|_| dice.mutated(&seeds)));
    for input in inputs {
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
        assert!(outcome.is_ok(), "{}: {:?}", target.name, String::from_utf8_lossy(&input));
    }
}

macro_rules! targets {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name)).expect("a target of this name");
            holds(target);
        })+

        const TESTED: &[&str] = &[$(stringify!($name)),+];
    };
}

targets! {
    credential, ids, names, time, share, policy, json, path, query, cursor, merge_patch, vault_request, vault_body, entry,
    note, export, proof, attestation, bundle, import, request,
}

#[test]
fn every_target_is_tested_and_has_a_file() {
    let named: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(TESTED.iter().copied().collect::<BTreeSet<_>>(), named);
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = std::fs::read_to_string(directory.join("Cargo.toml")).unwrap();
    for name in &named {
        let file = std::fs::read_to_string(directory.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(file.contains(&format!("run(\"{name}\"")), "{name}: the file runs something else");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}: not in fuzz/Cargo.toml");
    }
    let files = std::fs::read_dir(directory.join("fuzz_targets")).unwrap().count();
    assert_eq!(files, named.len(), "a file that is no target");
}

/// Writes the seeds for libFuzzer to start from.
#[test]
#[ignore = "writes files; see fuzz/README.md"]
fn seeds() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    for target in TARGETS {
        let directory = directory.join(target.name);
        std::fs::create_dir_all(&directory).unwrap();
        for (number, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
