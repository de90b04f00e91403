//! `bailiwick bench`: what an installation does, measured by whoever runs it.
//!
//! # Invariants
//! - INV-BENCH-1: only tenants that this run has named are ever deleted (`own.rs`), and none other is asked for anything.
//! - INV-BENCH-2: however the measurement ends, they are deleted, unless `--keep` was given.
//!
//! # Deliberately absent
//! Accounting of the server's CPU, disk and memory: it may be another machine. `cargo xtask bench` has that, side by side
//! with OpenBao, and sends the same requests (`bailiwick-load`).

mod own;
mod table;
mod work;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bailiwick_types::ErrorClass;
use clap::{Args, ValueEnum};

use self::own::Own;
use self::table::Measured;
use self::work::Bench;
use crate::fail::Fail;
use crate::output::count;
use crate::server::{Told, block_on};
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick bench
  bailiwick bench --only kv --seconds 20 --connections 64 --tenants 200
  bailiwick bench --only neighbour --output json --yes > neighbour.json

It makes tenants of its own, called bench-<random>-…, each with its own credential, asks the server as much as it answers, \
and deletes them at the end; also after Ctrl-C or an error. No other tenant is touched. Where deletions are held for some \
time, the tenants are suspended at once and vanish then; it says when.

It costs what it measures: processor, disk and connections that others then wait for; an entry in a ledger for each \
request; and for each tenant two entries in the platform's ledger, and a place in the list of deleted tenants, for ever. So \
measure a production installation when nobody needs it, or one like it.

How to read the table: each connection sends its next request when the last one is answered, so latencies include the \
network and are those of as many patient clients. The first fifth of each part is not counted. ERRORS has statuses and \
how often they came. docs/guides/measure-your-installation.md says more.")]
pub(crate) struct BenchArgs {
    /// Measure only these
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    only: Vec<Part>,
    /// Length of each part
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Connections that ask at the same time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1_024))]
    connections: u64,
    /// Tenants that reads and writes go around
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    tenants: u64,
    /// Tenants that are made to see how fast that is
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    create: u64,
    /// Leave the tenants where they are; their credentials end after a day
    #[arg(long)]
    keep: bool,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// KV v2 reads and writes, each an entry in its tenant's ledger
    Kv,
    /// KV v2 reads in a tenant with 5, 50 and 500 policies
    Policies,
    /// Tenants created per second
    Creation,
    /// The first request to a tenant that nobody has asked for anything
    Cold,
    /// A tenant's p99 alone, and beside another tenant's flood
    Neighbour,
}

impl BenchArgs {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    fn window(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    fn connections(&self) -> usize {
        usize::try_from(self.connections).unwrap_or(usize::MAX)
    }
}

/// How often the process was told to stop. Once: what is under way ends, and the tenants are deleted. Twice: nothing is.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    is_told: AtomicBool,
    times: AtomicU32,
}

impl Stop {
    fn listen() -> Result<Arc<Self>, Fail> {
        let stop = Arc::new(Self::default());
        let heard = Arc::clone(&stop);
        let (ready, is_ready) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            block_on::<()>(async {
                let told = Told::listen();
                let _ = ready.send(told.is_ok());
                let mut told = told?;
                loop {
                    told.stop().await;
                    heard.times.fetch_add(1, Ordering::Relaxed);
                    heard.is_told.store(true, Ordering::Relaxed);
                }
            })
        });
        match is_ready.recv() {
            Ok(true) => Ok(stop),
            _ => Err(Fail::new(ErrorClass::Fault, "signals", "the system does not say when this process is to stop")),
        }
    }

    fn is_impatient(&self) -> bool {
        self.times.load(Ordering::Relaxed) > 1
    }
}

pub(crate) fn run(session: &mut Session, args: &BenchArgs) -> Result<(), Fail> {
    let operator = session.operator_credential()?;
    let client = session.client()?;
    let (address, mut own) = (client.address().to_owned(), Own::new(client.random()));
    let endpoint = client.endpoint()?;
    session.confirm(&format!(
        "Measure {address}? For about {} s it gets all the load that {} connections can send; each request leaves an entry \
         in a ledger. Tenants {}… are made{}.",
        work::seconds_of(args),
        count(args.connections.max(work::flood_of(args))),
        own.prefix(),
        if args.keep { "" } else { ", and deleted afterwards" },
    ))?;
    let stop = Stop::listen()?;
    let mut measured = Measured::new(&address, own.prefix(), args);
    let outcome = Bench::new(session, args, &mut own, operator, endpoint, &stop)
        .and_then(|mut bench| bench.measure(&mut measured));
    session.terminal.progress("");
    measured.is_complete = outcome.is_ok();
    let removed = if args.keep { own.keep(session) } else { own.delete(session, &stop) };
    if measured.has_rows() {
        measured.print(session)?;
    }
    outcome?;
    removed?;
    measured.verdict()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command};

    fn parsed(words: &[&str]) -> Result<BenchArgs, String> {
        let words = ["bailiwick", "bench"].iter().chain(words);
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Bench(args) => Ok(args),
            _ => panic!("not bench"),
        }
    }

    #[test]
    fn each_number_has_a_limit_and_a_message_that_says_it() {
        for (flag, least, most) in
            [("--seconds", 1, 600), ("--connections", 1, 1_024), ("--tenants", 1, 1_000), ("--create", 1, 10_000)]
        {
            for right in [least, most] {
                assert!(parsed(&[flag, &right.to_string()]).is_ok(), "{flag} {right}");
            }
            for wrong in [least - 1, most + 1] {
                let message = parsed(&[flag, &wrong.to_string()]).unwrap_err();
                assert!(message.contains(&format!("{least}..={most}")), "{message}");
            }
        }
    }

    #[test]
    fn by_itself_it_takes_less_than_a_minute_and_only_what_is_named_takes_time() {
        assert!(work::seconds_of(&parsed(&[]).unwrap()) < 60);
        let kv = parsed(&["--only", "kv", "--seconds", "10"]).unwrap();
        assert_eq!((work::seconds_of(&kv), kv.wants(Part::Kv), kv.wants(Part::Cold)), (24, true, false));
    }
}
