//! The binary `bailiwick`: the server, and every verb of its native API from a terminal.
//!
//! # Invariants
//! - INV-CLI-1: a secret or credential is printed only where it is the answer to what was asked; never in an error, a
//!   log line, `Debug` or a core file.
//! - INV-CLI-2: the environment is read in `env.rs` and the time in `clock.rs`, nowhere else.
//! - INV-CLI-3: what tenants wrote is escaped before a terminal sees it (`output/table.rs`).
//!
//! # Deliberately absent
//! No logic of the product: commands send a request and print its answer, or have a store moved. No interactive mode, no
//! colours, no telemetry, no update check.

mod args;
mod clock;
mod commands;
mod env;
mod fail;
mod files;
mod harden;
mod input;
mod output;
mod profiles;
mod server;
mod session;
mod target;
mod terminal;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod transcript;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::session::Session;

/// Group commit and many small sealed records make short-lived allocations on several threads; the system's allocator
/// is the slower one at that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let hardened = harden::process();
    // Ends here for `--help` (0) and for a command line that makes no sense (2).
    let cli = Cli::parse();
    let mut session = Session::of_this_process(cli.globals);
    let result = match hardened {
        Ok(()) => commands::run(&mut session, cli.command),
        Err(error) => Err(fail::Fail::new(
            bailiwick_types::ErrorClass::Fault,
            "hardening",
            format!("the system does not let this process protect its memory: {error}"),
        )),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fail) => {
            let output = session.globals.output;
            fail.report(&mut session.terminal, output);
            ExitCode::from(fail.exit_code())
        }
    }
}
