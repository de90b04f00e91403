//! `cargo xtask mutants`: small faults put into the crates that isolation rests on, to see that a test notices each.
//!
//! What is changed and how it is judged is in `.cargo/mutants.toml`. A fault that no test notices survives; it passes if
//! `docs/isolation/mutants.md` says why, and fails the task otherwise. Takes hours, so no other task and no CI runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::shell;

const VERSION: &str = "27.1.0";
const PACKAGES: [&str; 4] = ["bailiwick-authz", "bailiwick-seal", "bailiwick-store", "bailiwick-store-sqlite"];
const REASONS: &str = "docs/isolation/mutants.md";

/// Flags of `mutants`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this package; may be repeated (default: `authz`, `seal`, `store` and its adapters)
    #[arg(long, value_name = "NAME")]
    package: Vec<String>,
    /// Only files that this pattern fits, such as `authenticate.rs`; may be repeated
    #[arg(long, value_name = "GLOB")]
    file: Vec<String>,
    /// Only one part of them, such as `0/8`
    #[arg(long, value_name = "K/N")]
    shard: Option<String>,
}

/// Tries every mutant and tells which survive without a reason.
pub(crate) fn mutants(options: &Options) -> Outcome {
    let home = shell::target_dir()?.join("xtask");
    let tool = tool(&home)?;
    let packages =
        if options.package.is_empty() { PACKAGES.map(str::to_owned).to_vec() } else { options.package.clone() };

    let mut command = Command::new(tool);
    command.arg("mutants").current_dir(shell::root());
    command.args(packages.iter().flat_map(|package| ["--package", package]));
    command.args(options.file.iter().flat_map(|file| ["--file", file]));
    command.args(options.shard.iter().flat_map(|shard| ["--shard", shard]));
    command.arg("--output").arg(&home);
    // Away from what a person builds meanwhile, and kept: the dependencies are most of the first build.
    command.env("CARGO_TARGET_DIR", home.join("mutants"));
    let ran = shell::run(&mut command);

    // Survivors are an exit status other than 0, but so is a test that fails with nothing changed.
    let missed = home.join("mutants.out/missed.txt");
    let missed = fs::read_to_string(&missed).context(missed.display())?;
    if missed.is_empty() {
        return ran;
    }
    let reasons = fs::read_to_string(shell::root().join(REASONS)).context(REASONS)?;
    let (explained, bare): (Vec<_>, Vec<_>) = missed.lines().partition(|mutant| is_explained(mutant, &reasons));
    for mutant in &explained {
        println!("survives, with a reason: {mutant}");
    }
    if bare.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("no test notices these, and {REASONS} does not say why:\n{}", bare.join("\n"))))
}

/// Whether a row of the page speaks of a mutant; `FILE:LINE:COLUMN: WHAT` is told by `FILE` and `WHAT`, as lines move.
fn is_explained(mutant: &str, reasons: &str) -> bool {
    let Some((place, what)) = mutant.split_once(": ") else { return false };
    let file = place.split(':').next().unwrap_or(place).trim_start_matches("crates/bailiwick-").replace("/src/", "/");
    // In a table `|` is written with a backslash.
    let (file, what) = (format!("`{file}`"), format!("`{}`", what.replace('|', "\\|")));
    reasons.lines().any(|row| row.contains(&what) && row.contains(&file))
}

fn tool(home: &Path) -> Outcome<PathBuf> {
    let root = home.join("cargo");
    let tool = root.join("bin/cargo-mutants");
    let installed = shell::capture(Command::new(&tool).args(["mutants", "--version"]));
    if installed.is_ok_and(|version| version.trim_end().ends_with(VERSION)) {
        return Ok(tool);
    }
    println!("mutants: installing cargo-mutants {VERSION} into {}, nothing outside of it", root.display());
    let mut install = shell::cargo();
    install.args(["install", "cargo-mutants", "--locked", "--version", VERSION, "--root"]).arg(&root);
    let by_hand = format!("it could not be installed; with a network, run:\n  {}", shell::spelled(&install));
    shell::run(&mut install).advice(by_hand)?;
    Ok(tool)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_found_by_what_was_changed_wherever_the_line_is_now() {
        let page =
            "| `replace < with <= in grow` | `a/b.rs` | … |\n| `replace && with \\|\\| in both` | `a/b.rs` | … |";
        assert!(is_explained("crates/bailiwick-a/src/b.rs:7:3: replace < with <= in grow", page));
        assert!(is_explained("crates/bailiwick-a/src/b.rs:9:1: replace && with || in both", page));
        assert!(!is_explained("crates/bailiwick-a/src/c.rs:7:3: replace < with <= in grow", page));
        assert!(!is_explained("crates/bailiwick-a/src/b.rs:7:3: replace < with <= in shrink", page));
        assert!(!is_explained("crates/bailiwick-a/src/b.rs:7:3: replace < with <=", page));
    }
}
