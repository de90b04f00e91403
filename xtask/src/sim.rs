//! `cargo xtask sim`: the simulation for longer than the tests run it.
//!
//! The histories of the tests are fixed; these are new ones, unless a seed is given.

use std::time::UNIX_EPOCH;

use crate::failure::{Failure, Outcome};
use crate::shell;

/// Flags of `sim`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// For how long, such as `90s`, `10m` or `2h`
    #[arg(long = "for", value_name = "TIME", default_value = "10m")]
    time: String,
    /// The first seed; the others follow it (default: one that was not used before)
    #[arg(long)]
    seed: Option<u64>,
    /// How many steps a history has
    #[arg(long, default_value_t = 150)]
    steps: u64,
}

/// Runs histories until the time is over or one fails.
pub(crate) fn sim(options: &Options) -> Outcome {
    let seconds = seconds(&options.time)?;
    let seed = match options.seed {
        Some(seed) => seed,
        None => UNIX_EPOCH.elapsed()?.as_secs(),
    };
    let numbers = [seconds, seed, options.steps].map(|number| number.to_string());
    shell::run(shell::cargo().args(["run", "--quiet", "--package=bailiwick-sim", "--example=long", "--"]).args(numbers))
}

fn seconds(text: &str) -> Outcome<u64> {
    let bad = || Failure::new(format!("`{text}` is no time: say `90s`, `10m` or `2h`"));
    let unit = text.chars().next_back().ok_or_else(bad)?;
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| bad())?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return Err(bad()),
    };
    number.checked_mul(factor).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let read = |text| seconds(text).ok();
        assert_eq!(["90s", "10m", "2h"].map(read), [Some(90), Some(600), Some(7_200)]);
        assert_eq!(["", "10", "m", "1d", "-1s"].map(read), [None; 5]);
    }
}
