//! `cargo xtask test`: every check there is, in parts, with a summary at the end.
//!
//! A part that cannot run because a tool is missing is *skipped* on a person's machine and *failed* under `CI=true`.
//! All parts run even when an early one fails: one run tells everything that is wrong.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Outcome};
use crate::generated;
use crate::server::{Dev, free_address};
use crate::setup::{self, Tools};
use crate::shell;

/// Flags of `test`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only the parts whose name starts with this (may be repeated)
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Run only what needs nothing but Rust: formatting, lints, tests, doc tests
    #[arg(long)]
    quick: bool,
}

/// The parts that need only Rust, in the order in which they run.
const RUST: [(&str, Check); 4] = [("format", format), ("lints", lints), ("rust", rust_tests), ("doctests", doctests)];

type Check = fn() -> Outcome;

/// Judges that start servers themselves, and take a cache directory instead of a credentials file.
const STARTS_ITS_OWN: [&str; 1] = ["foreign/hvac/run"];

enum Verdict {
    Passed,
    Failed(Failure),
    Skipped(String),
}

struct Part {
    name: String,
    took: Duration,
    verdict: Verdict,
}

/// Runs the chosen parts; fails when one of them did.
pub(crate) fn test(options: &Options) -> Outcome {
    let mut run = Run { only: &options.only, parts: Vec::new() };
    let mut judges = if options.quick { Vec::new() } else { judges()? };
    judges.retain(|judge| run.wants(&judge.name));
    // First, so that what is missing is known before the long parts begin.
    let tools = if judges.is_empty() { None } else { run.setup() };
    for (name, part) in RUST {
        if run.wants(name) {
            run.part(name, || part().into());
        }
    }
    if !options.quick && run.wants("generated") {
        run.part("generated", || generated::check().into());
    }
    if !judges.is_empty() {
        run.foreign(&judges, tools.as_ref());
    }
    run.finish()
}

/// The parts so far.
struct Run<'a> {
    only: &'a [String],
    parts: Vec<Part>,
}

impl Run<'_> {
    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.starts_with(only.as_str()))
    }

    fn part(&mut self, name: &str, body: impl FnOnce() -> Verdict) {
        println!("\n=== {name}");
        let began = Instant::now();
        let verdict = match body() {
            Verdict::Skipped(why) if shell::is_ci() => Verdict::Failed(Failure::new(why)),
            verdict => verdict,
        };
        let part = Part { name: name.to_owned(), took: began.elapsed(), verdict };
        println!("--- {}", part.line());
        self.parts.push(part);
    }

    fn setup(&mut self) -> Option<Tools> {
        let mut tools = None;
        self.part("setup", || match setup::setup() {
            Ok(installed) => {
                tools = Some(installed);
                Verdict::Passed
            }
            Err(failure) => {
                println!("{failure}");
                Verdict::Skipped(failure.to_string())
            }
        });
        tools
    }

    /// The judges that nobody here wrote: real Vault clients against a running server.
    fn foreign(&mut self, judges: &[Judge], tools: Option<&Tools>) {
        let mut server = None;
        self.part("server", || match start_server() {
            Ok(started) => {
                server = Some(started);
                Verdict::Passed
            }
            Err(failure) => Err(failure).into(),
        });
        for judge in judges {
            self.part(&judge.name, || match (tools, &server) {
                (Some(tools), Some(server)) => judge.run(tools, server).into(),
                (None, _) => Verdict::Skipped("its client is not installed: see `setup`".to_owned()),
                (_, None) => Err(Failure::new("there is nothing to judge: see `server`")).into(),
            });
        }
        if let Some((_, dev)) = server {
            // A server that does not stop when asked is a failure of its own.
            self.part("shutdown", || dev.stop().into());
        }
    }

    fn finish(self) -> Outcome {
        println!("\n=== summary");
        let (mut passed, mut failed, mut skipped) = (0, 0, 0);
        for part in &self.parts {
            println!("{}", part.line());
            match part.verdict {
                Verdict::Passed => passed += 1,
                Verdict::Failed(_) => failed += 1,
                Verdict::Skipped(_) => skipped += 1,
            }
        }
        println!();
        match skipped {
            0 => println!("{passed} passed, {failed} failed"),
            _ => println!("{passed} passed, {failed} failed, {skipped} skipped"),
        }
        match (passed, failed) {
            (0, 0) => Err(Failure::new("no part has run: `--only` takes the names that a whole run prints")),
            (_, 0) => Ok(()),
            // The line above must stay the last one: CI reads it.
            _ => Err(Failure::told()),
        }
    }
}

impl Part {
    fn line(&self) -> String {
        let (verdict, why) = match &self.verdict {
            Verdict::Passed => ("passed", String::new()),
            Verdict::Failed(failure) => ("FAILED", format!("  {}", first_line(&failure.to_string()))),
            Verdict::Skipped(why) => ("skipped", format!("  {}", first_line(why))),
        };
        format!("{:<28} {verdict:<7} {:>7.1} s{why}", self.name, self.took.as_secs_f64())
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

impl From<Outcome> for Verdict {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Ok(()) => Self::Passed,
            Err(failure) => {
                println!("{failure}");
                Self::Failed(failure)
            }
        }
    }
}

fn format() -> Outcome {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Outcome {
    shell::run(shell::cargo().args(["clippy", "--workspace", "--all-targets", "--", "--deny=warnings"]))
}

fn rust_tests() -> Outcome {
    // nextest runs the test binaries side by side; the tests are the same.
    if shell::succeeds(shell::cargo().args(["nextest", "--version"])) {
        return shell::run(shell::cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]));
    }
    shell::run(shell::cargo().args(["test", "--workspace", "--all-targets"]))
}

fn doctests() -> Outcome {
    shell::run(shell::cargo().args(["test", "--workspace", "--doc"]))
}

/// Starts a fresh development server; answers its program too.
fn start_server() -> Outcome<(PathBuf, Dev)> {
    shell::run(shell::cargo().args(["build", "--package=bailiwick-cli"]))?;
    let target = shell::target_dir()?;
    let (binary, home) = (target.join("debug/bailiwick"), target.join("xtask/foreign"));
    // What an earlier run left would make this run depend on it.
    if home.exists() {
        fs::remove_dir_all(&home).context(home.display())?;
    }
    let dev = Dev::start(&binary, &home, free_address()?)?;
    println!("bailiwick dev listens on {}, its files are in {}", dev.address, home.display());
    Ok((binary, dev))
}

/// A script that judges.
struct Judge {
    name: String,
    script: PathBuf,
}

impl Judge {
    fn run(&self, tools: &Tools, (binary, dev): &(PathBuf, Dev)) -> Outcome {
        let mut command = Command::new(tools.python());
        command.arg(&self.script).current_dir(shell::root());
        if STARTS_ITS_OWN.contains(&self.name.as_str()) {
            command.arg(&tools.cache).env("BAILIWICK_BIN", binary);
        } else {
            command.arg("--credentials-file").arg(&dev.credentials_file);
        }
        command.env("PATH", path_starting_with(&tools.bin())?).env("PYTHONDONTWRITEBYTECODE", "1");
        shell::run(&mut command)
    }
}

/// Every executable script below `tests/foreign`: what begins with `#!` is a judge, the rest are its modules.
fn judges() -> Outcome<Vec<Judge>> {
    let top = shell::root().join("tests/foreign");
    let mut judges = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).context(folder.display())? {
            let path = item?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py")
                && fs::read(&path).context(path.display())?.starts_with(b"#!")
            {
                judges.push(Judge { name: judge_name(&top, &path), script: path });
            }
        }
    }
    judges.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(judges)
}

fn judge_name(top: &Path, script: &Path) -> String {
    let inside = script.strip_prefix(top).unwrap_or(script).with_extension("");
    format!("foreign/{}", inside.display())
}

fn path_starting_with(folder: &Path) -> Outcome<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder.to_path_buf()).chain(std::env::split_paths(&path)))?)
}
