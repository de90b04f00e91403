//! All automation of Bailiwick: `cargo xtask TASK`.
//!
//! CI runs `cargo xtask test` and nothing else, so whatever is checked there can be checked here, the same way.
//!
//! # Deliberately absent
//! Shell scripts, a Makefile, and any check that exists in CI only. No dependency on the product's crates either:
//! tasks drive the built binary from outside, as a user would, and stay quick to compile.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a task talks to the person who started it")]

#[cfg(target_os = "linux")]
mod bench;
#[cfg(test)]
mod documents;
mod failure;
mod generated;
mod http;
mod micro;
mod mutants;
mod packages;
mod server;
mod setup;
mod shell;
mod sim;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use failure::Outcome;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "All automation of Bailiwick", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what the tests need, into the target directory; says what and why
    Setup,
    /// Runs every test: formatting, lints, Rust tests, generated files, foreign clients
    Test(test::Options),
    /// Runs random histories with and without one of their tenants, for as long as you like
    Sim(sim::Options),
    /// Puts small faults into the crates that isolation rests on, and tells which of them no test notices
    Mutants(mutants::Options),
    /// Counts the instructions of what every request does, and compares them with what was saved
    Micro(micro::Options),
    /// Measures Bailiwick and a real OpenBao side by side
    #[cfg(target_os = "linux")]
    Bench(bench::Options),
    /// Regenerates the checked-in OpenAPI description
    Openapi(generated::Options),
    /// Regenerates every checked-in generated file, the OpenAPI description included
    Docs(generated::Options),
    /// Sends the load that a plan file describes (used by `bench`)
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Load { plan: std::path::PathBuf },
    /// Answers every request with the same bytes (used by `bench` to find its own ceiling)
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Respond { port: u16 },
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().task {
        Task::Setup => setup::setup().map(drop),
        Task::Test(options) => test::test(&options),
        Task::Sim(options) => sim::sim(&options),
        Task::Mutants(options) => mutants::mutants(&options),
        Task::Micro(options) => micro::micro(&options),
        #[cfg(target_os = "linux")]
        Task::Bench(options) => bench::bench(&options),
        Task::Openapi(options) => generated::openapi(&options),
        Task::Docs(options) => generated::docs(&options),
        #[cfg(target_os = "linux")]
        Task::Load { plan } => bench::load::main(&plan),
        #[cfg(target_os = "linux")]
        Task::Respond { port } => bailiwick_load::respond::main(port).map_err(Into::into),
    };
    finish(outcome)
}

fn finish(outcome: Outcome) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_told() => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
