//! `cargo xtask micro`: how many instructions the work of every request takes, counted by callgrind.
//!
//! Times differ from run to run by more than most regressions; counts hardly do, on a busy machine either. They say nothing
//! about caches or waiting, and valgrind's processor has neither AVX-512 nor SHA extensions, so hashing weighs more than it
//! does outside. The work is in `xtask/micro`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{packages, shell};

const BASELINE: &str = "xtask/micro/baseline.txt";

/// Flags of `micro`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Writes what was counted down as what to compare with
    #[arg(long)]
    save: bool,
    /// Only the work whose name begins so
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// How many percent more are let through
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    tolerance: f64,
}

/// Instructions by the name of the work.
type Counts = BTreeMap<String, u64>;

/// Counts, and compares with what was saved or saves.
pub(crate) fn micro(options: &Options) -> Outcome {
    packages::install(&[packages::VALGRIND])?;
    shell::run(shell::cargo().args(["build", "--quiet", "--release", "--package=bailiwick-micro"]))?;
    let target = shell::target_dir()?;
    let (program, out) = (target.join("release/bailiwick-micro"), target.join("xtask/callgrind.out"));
    fs::create_dir_all(target.join("xtask"))?;
    let is_wanted = |name: &str| options.only.as_ref().is_none_or(|only| name.starts_with(only));

    let mut now = Counts::new();
    for line in shell::capture(&mut Command::new(&program))?.lines() {
        let (name, times) = line.split_once(' ').context(format!("`{line}` is no name and number"))?;
        if is_wanted(name) {
            now.insert(name.to_owned(), count(&program, &out, name, times.parse()?)?);
        }
    }
    let path = shell::root().join(BASELINE);
    let mut saved = parse(&fs::read_to_string(&path).unwrap_or_default())?;
    if options.save {
        saved.retain(|name, _| !is_wanted(name));
        saved.extend(now);
        fs::write(&path, text(&machine()?, &saved)).context(path.display())?;
        println!("wrote {BASELINE}");
        return Ok(());
    }
    saved.retain(|name, _| is_wanted(name));
    let (table, worse) = compare(&saved, &now, options.tolerance);
    print!("{table}");
    if worse.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "not as saved, within {} %: {}. If that is meant to be: `cargo xtask micro --save`",
        options.tolerance,
        worse.join(", ")
    )))
}

/// Instructions for doing it once.
fn count(program: &Path, out: &Path, name: &str, times: u64) -> Outcome<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured*"]);
    valgrind.arg(format!("--callgrind-out-file={}", out.display())).arg(program).arg(name);
    shell::capture(&mut valgrind)?;
    let total = total(&fs::read_to_string(out).context(out.display())?).context("callgrind told no total")?;
    match total.checked_div(times) {
        Some(once) if once > 0 => Ok(once),
        _ => Err(Failure::new(format!("`{name}`: nothing was counted"))),
    }
}

/// The total of a callgrind file.
fn total(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
}

/// What a count depends on, besides the code.
fn machine() -> Outcome<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let valgrind = shell::capture(Command::new("valgrind").arg("--version"))?;
    let rustc = shell::capture(Command::new("rustc").arg("--version"))?;
    Ok(format!("{}, {}, {}", cpu.trim_start_matches([' ', '\t', ':']), valgrind.trim(), rustc.trim()))
}

fn text(machine: &str, counts: &Counts) -> String {
    let mut text = format!("# Instructions, by `cargo xtask micro --save`.\n# {machine}\n");
    for (name, count) in counts {
        let _ = writeln!(text, "{name} {count}");
    }
    text
}

fn parse(text: &str) -> Outcome<Counts> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, count) = line.split_once(' ').context(format!("{BASELINE}: `{line}` is no name and number"))?;
            Ok((name.to_owned(), count.parse().context(BASELINE)?))
        })
        .collect()
}

/// A table, and the names of what takes more than it may, is new or is gone.
fn compare(saved: &Counts, now: &Counts, tolerance: f64) -> (String, Vec<String>) {
    let (mut table, mut worse) = (format!("{:<22} {:>12} {:>12} {:>9}\n", "", "saved", "now", "change"), Vec::new());
    let names: std::collections::BTreeSet<&String> = saved.keys().chain(now.keys()).collect();
    for name in names {
        let (before, after) = (saved.get(name).copied(), now.get(name).copied());
        let change = before.zip(after).map(|(before, after)| percent(before, after));
        if change.is_none_or(|change| change > tolerance) {
            worse.push(name.clone());
        }
        let number = |count: Option<u64>| count.map_or_else(|| "–".to_owned(), |count| count.to_string());
        let change = change.map_or_else(|| "–".to_owned(), |change| format!("{change:+.1} %"));
        let _ = writeln!(table, "{name:<22} {:>12} {:>12} {change:>9}", number(before), number(after));
    }
    (table, worse)
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn percent(before: u64, after: u64) -> f64 {
    (after as f64 / before as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(all: &[(&str, u64)]) -> Counts {
        all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn what_is_saved_is_what_is_read() {
        let saved = counts(&[("append", 4_321), ("record/open", 99)]);
        assert_eq!(parse(&text("a machine", &saved)).unwrap(), saved);
        assert_eq!(parse("").unwrap(), counts(&[]));
        assert!(parse("append\n").is_err() && parse("append many\n").is_err());
    }

    #[test]
    fn the_total_of_a_callgrind_file_is_found() {
        assert_eq!(total("version: 1\nevents: Ir\nfn=(1) main\n12 34\n\ntotals: 5678\n"), Some(5_678));
        assert_eq!(total("summary: 5\n"), None);
    }

    #[test]
    fn more_than_the_tolerance_is_told_and_so_is_what_cannot_be_compared() {
        let saved = counts(&[("fewer", 1_000), ("gone", 5), ("just", 1_000), ("more", 1_000)]);
        let now = counts(&[("fewer", 500), ("just", 1_050), ("more", 1_051), ("new", 7)]);
        let (table, worse) = compare(&saved, &now, 5.0 + 1e-9);
        assert_eq!(worse, ["gone", "more", "new"]);
        for row in ["fewer 1000 500 -50.0 %", "gone 5 – –", "more 1000 1051 +5.1 %", "new – 7 –"] {
            let is_there = |line: &str| line.split_whitespace().eq(row.split_whitespace());
            assert!(table.lines().any(is_there), "{row}: {table}");
        }
    }
}
