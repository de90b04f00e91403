//! The simulation: random histories of several tenants and of operators over the whole action table, each run twice, with
//! a tenant and without it. Whatever the others see, and whatever operators see of them, must be the same, to the byte.
//!
//! A crate of its own, not a module of the test kit: its tenants are made within the history, so that a history without
//! one has never had it, while the kit's worlds have their two from the beginning; and its store, its clock and its
//! randomness do what the script says, while the kit's only watch.
//!
//! # Invariants
//! - INV-SIM-1: a run is determined by its script. Time, ids, randomness, failures and the order of events are in it.
//! - INV-SIM-2: what a tenant asks depends on what it has seen, and in the second run it asks the very same.
//! - INV-SIM-3: an action of the table that never succeeded, or never failed, in the fixed histories fails the build.
//!
//! # Deliberately absent
//! Threads: requests overlap at calls of the store, in an order that the script gives. How long things take. Power cuts:
//! a crash takes what is in memory, and what the file system has stays. Never in a release graph.

mod asking;
mod book;
mod check;
mod coverage;
mod dice;
mod generate;
mod leak;
mod machine;
mod random;
mod run;
mod script;
mod shrink;
mod store;
mod text;

pub use asking::Asked;
pub use check::{Failure, check, check_repeats, without};
pub use coverage::Coverage;
pub use generate::{Size, script};
pub use leak::Leak;
pub use run::{Run, Seen, Stored, run};
pub use script::{Act, Aim, Ask, Caller, Mishap, Script, Step, Whose};
pub use shrink::shrink;
