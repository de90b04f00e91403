//! What every request does, each by itself, for `cargo xtask micro`, which counts the instructions.
//!
//! Without an argument it tells the names of its pieces of work and how often each is done; with a name it does that one.
//! Only what happens inside of [`measured`] is counted.
//!
//! # Deliberately absent
//! Clocks, and randomness that is not the same in every run: a count is only worth what it repeats.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for whoever develops")]

mod decide;
mod ledger;
mod seal;

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_types::Random;

/// Prepares a piece of work; what it returns does it once, and is told how often it was done before.
type Prepare = fn() -> Box<dyn FnMut(usize)>;

/// Each piece of work, and how often it is done: often enough that what it does only sometimes evens out.
const ALL: &[(&str, usize, Prepare)] = &[
    ("authenticate", 100, seal::authenticate),
    ("decide/remembered", 500, || decide::again(50)),
    ("decide/fresh-5", 500, || decide::fresh(5)),
    ("decide/fresh-50", 500, || decide::fresh(50)),
    ("decide/fresh-500", 500, || decide::fresh(500)),
    ("record/seal", 200, seal::seal_record),
    ("record/open", 200, seal::open_record),
    ("entry/seal", 200, seal::seal_entry),
    ("entry/open", 200, seal::open_entry),
    ("entry/check", 500, ledger::check),
    ("append", 512, ledger::append),
    ("inclusion/prove", 200, ledger::prove_inclusion),
    ("inclusion/verify", 200, ledger::verify_inclusion),
    ("consistency/prove", 200, ledger::prove_consistency),
    ("consistency/verify", 200, ledger::verify_consistency),
];

/// Does the work. A function of its own, which is found by its name.
#[inline(never)]
fn measured(times: usize, work: &mut dyn FnMut(usize)) {
    for n in 0..times {
        work(n);
    }
}

/// Counts: not random at all, but never the same twice.
#[derive(Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let next = self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes();
            chunk.iter_mut().zip(next).for_each(|(to, from)| *to = from);
        }
    }
}

fn main() -> ExitCode {
    let Some(name) = std::env::args().nth(1) else {
        ALL.iter().for_each(|(name, times, _)| println!("{name} {times}"));
        return ExitCode::SUCCESS;
    };
    let Some((_, times, prepare)) = ALL.iter().find(|(known, ..)| *known == name) else {
        return ExitCode::FAILURE;
    };
    let mut work = prepare();
    // What is made at the first time only.
    work(0);
    measured(*times, &mut *work);
    ExitCode::SUCCESS
}
