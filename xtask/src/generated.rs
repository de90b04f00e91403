//! Files that are checked in but written by the product itself, so that they cannot disagree with it.
//!
//! The product prints each with a hidden `docs` command. `--check` compares instead of writing: stale is red.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::shell;

/// What `bailiwick docs` is asked for, and the file that holds the answer.
const FILES: [(&str, &str); 7] = [
    ("openapi", "docs/reference/openapi.json"),
    ("cli", "docs/reference/cli.md"),
    ("errors", "docs/reference/errors.md"),
    ("actions", "docs/reference/actions.md"),
    ("limits", "docs/reference/limits.md"),
    ("config", "docs/reference/config.md"),
    ("attestation", "docs/reference/attestation.md"),
];

/// Flags of `openapi` and `docs`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Fail when a file is stale instead of writing it
    #[arg(long)]
    check: bool,
}

/// Regenerates or checks the OpenAPI description.
pub(crate) fn openapi(options: &Options) -> Outcome {
    let first = FILES.first().map(std::slice::from_ref).unwrap_or_default();
    generate(first, options.check)
}

/// Regenerates or checks all files.
pub(crate) fn docs(options: &Options) -> Outcome {
    generate(&FILES, options.check)
}

/// Fails when any file is stale.
pub(crate) fn check() -> Outcome {
    generate(&FILES, true)
}

fn generate(files: &[(&str, &str)], check: bool) -> Outcome {
    shell::run(shell::cargo().args(["build", "--quiet", "--package=bailiwick-cli"]))?;
    let binary = shell::target_dir()?.join("debug/bailiwick");
    let mut stale = Vec::new();
    for (what, file) in files {
        let fresh = shell::capture(Command::new(&binary).args(["docs", what]))?;
        let path = shell::root().join(file);
        if fs::read_to_string(&path).is_ok_and(|old| old == fresh) {
            continue;
        }
        if check {
            stale.push(*file);
        } else {
            write(&path, &fresh)?;
            println!("wrote {file}");
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("stale, run `cargo xtask docs`: {}", stale.join(", "))))
}

fn write(path: &Path, text: &str) -> Outcome {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).context(parent.display())?;
    }
    fs::write(path, text).context(path.display())
}
