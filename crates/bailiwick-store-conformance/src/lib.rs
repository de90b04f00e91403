//! The suite that every storage engine must pass: the port's doc comments, sentence by sentence.
//!
//! An adapter brings an [`Engine`]; [`run`] gives each case a store of its own and reports by name. Cases about tenancy
//! run twice, with the two tenants swapped, and both hold things of the same names. The suite runs on [`Model`], a
//! deliberately naive store, and on models with one bug each, of which every one must be noticed.
//!
//! # Invariants
//! - INV-CONF-1: a skip is visible: it is in the report, which adapters compare with a golden file.
//! - INV-CONF-2: no case sleeps, and none takes time or randomness from its surroundings.
//!
//! # Deliberately absent
//! No knowledge of any engine. Crashes, full disks and second processes are tested where the engine is.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test suite: a panic is its verdict"
)]

pub mod build;
mod cases;
mod faulty;
mod model;
pub mod naive;
mod world;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_store::Store;

pub use cases::{Case, Run, cases};
pub use faulty::{Fault, FaultyStore};
pub use model::{Bug, Model, ModelEngine};
pub use world::{Dump, Party, THIRD, World, dump};

/// What an adapter brings.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// A place that holds nothing yet and that no other case knows of.
    async fn place(&self) -> Box<dyn Place>;

    /// Cases that this engine cannot pass, by name, each with the reason.
    fn skips(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }
}

/// Where a store lives while no process has it open.
#[async_trait]
pub trait Place: Send + Sync {
    /// Opens the store. The suite never has it open twice.
    async fn open(&self) -> Arc<dyn Store>;
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It held.
    Passed,
    /// It did not; the panic is on the console.
    Failed,
    /// The engine declared that it cannot, for this reason.
    Skipped(&'static str),
}

/// What became of all cases. Prints as the golden file: one line each.
#[derive(Debug, Clone)]
pub struct Report(pub Vec<(String, Outcome)>);

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.0 {
            match outcome {
                Outcome::Passed => writeln!(f, "{name}")?,
                Outcome::Failed => writeln!(f, "{name}: FAILED")?,
                Outcome::Skipped(why) => writeln!(f, "{name}: skipped, {why}")?,
            }
        }
        Ok(())
    }
}

/// Runs all cases, one after the other.
///
/// # Panics
/// If the engine wants to skip a case that does not exist.
pub async fn run(engine: Arc<dyn Engine>) -> Report {
    let cases = cases();
    let skips = engine.skips();
    for (name, _) in &skips {
        assert!(cases.iter().any(|case| case.name == *name), "no case is named `{name}`");
    }
    let mut report = Vec::new();
    for case in cases {
        let skip = skips.iter().find(|(name, _)| *name == case.name);
        for swapped in case.orders() {
            let name = if *swapped { format!("{} (swapped)", case.name) } else { case.name.to_owned() };
            let outcome = match skip {
                Some((_, why)) => Outcome::Skipped(why),
                None => run_one(Arc::clone(&engine), case.run, *swapped).await,
            };
            println!("{name}: {outcome:?}");
            report.push((name, outcome));
        }
    }
    Report(report)
}

/// Runs one case on a fresh store.
pub async fn run_one(engine: Arc<dyn Engine>, case: Run, swapped: bool) -> Outcome {
    let task = tokio::spawn(async move {
        let world = World::new(engine.place().await, swapped).await;
        case(world).await;
    });
    match task.await {
        Ok(()) => Outcome::Passed,
        Err(_) => Outcome::Failed,
    }
}
