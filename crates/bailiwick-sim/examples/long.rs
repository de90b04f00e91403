//! `cargo xtask sim --for 10m`: histories until the time is over, or one fails. A failure is made small,
//! printed, and kept in `regressions/`, which the tests read.
//!
//! Arguments: seconds, first seed, steps.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bailiwick_sim::{Coverage, Failure, Size, check, check_repeats, script, shrink};

/// How often the progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(10);
/// One history of so many is run twice to see that it repeats.
const REPEATED_EVERY: u64 = 10;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let seconds = Duration::from_secs(arguments.next().unwrap_or(60));
    let first = arguments.next().unwrap_or(1_000_000);
    let steps = arguments.next().map_or(Size::default().steps, |steps| steps as usize);
    let size = Size { steps, ..Size::default() };
    let (began, mut told, mut coverage) = (Instant::now(), Instant::now(), Coverage::default());
    let mut seed = first;
    while began.elapsed() < seconds {
        let script = script(seed, size);
        let without = seed as usize % script.tenants;
        let checked = check(&script, without, None).map(|run| coverage.add(&run.coverage));
        let repeated = if seed.is_multiple_of(REPEATED_EVERY) { check_repeats(&script) } else { Ok(()) };
        if let Err(failure) = repeated {
            println!("{failure}");
            return ExitCode::FAILURE;
        }
        if let Err(failure) = checked {
            println!("seed {seed} fails; making it smaller");
            let failure = shrink(*failure, None);
            println!("{failure}");
            keep(seed, &failure);
            return ExitCode::FAILURE;
        }
        seed += 1;
        if told.elapsed() >= TOLD_EVERY {
            told = Instant::now();
            println!(
                "{:>5} s, {} histories, {} requests",
                began.elapsed().as_secs(),
                seed - first,
                coverage.requests()
            );
        }
    }
    println!(
        "{coverage}\n{} histories from seed {first} on, {} requests: nothing shows",
        seed - first,
        coverage.requests()
    );
    ExitCode::SUCCESS
}

fn keep(seed: u64, failure: &Failure) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("regressions/seed-{seed}.txt"));
    match std::fs::write(&file, failure.kept()) {
        Ok(()) => println!("kept in {}", file.display()),
        Err(error) => println!("not kept in {}: {error}", file.display()),
    }
}
