//! Running other programs, and finding where things are.
//!
//! Every command is printed before it runs, so that a person can repeat by hand what a task did.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Outcome};

/// The top of the work tree.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The Cargo that started this task.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where Cargo puts what it builds; asked of Cargo because three places can set it.
pub(crate) fn target_dir() -> Outcome<PathBuf> {
    let text = capture(cargo().args(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value = serde_json::from_str(&text).context("`cargo metadata`")?;
    let path = metadata.get("target_directory").and_then(|path| path.as_str());
    Ok(PathBuf::from(path.context("`cargo metadata` names no target directory")?))
}

/// Whether this is a CI run, where nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1")
}

/// The command as a person would type it.
pub(crate) fn spelled(command: &Command) -> String {
    let program = command.get_program();
    // Cargo tells its tasks its whole path; nobody types that.
    let program = if is_cargo(program) { OsStr::new("cargo") } else { program };
    let words = std::iter::once(program).chain(command.get_args());
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

fn is_cargo(program: &OsStr) -> bool {
    std::env::var_os("CARGO").is_some_and(|cargo| cargo == program)
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs a command with this terminal's output; anything but exit status 0 is a failure.
pub(crate) fn run(command: &mut Command) -> Outcome {
    println!("$ {}", spelled(command));
    let status = command.stdin(Stdio::null()).status().context(spelled(command))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{}`: {status}", spelled(command)))) }
}

/// Runs a command quietly and returns what it wrote to standard output.
pub(crate) fn capture(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().context(spelled(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("`{}`: {}\n{}", spelled(command), output.status, said.trim_end())));
    }
    String::from_utf8(output.stdout).context(spelled(command))
}

/// Whether a command can be run at all and answers with status 0; its output is dropped.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cargo run` at the root, which the README begins with, knows which program is meant only if there is one.
    #[test]
    fn the_workspace_has_one_program_to_run() {
        let text = capture(cargo().args(["metadata", "--no-deps", "--format-version=1"])).unwrap();
        let metadata: serde_json::Value = serde_json::from_str(&text).unwrap();
        let members = metadata["workspace_default_members"].as_array().unwrap();
        let packages =
            metadata["packages"].as_array().unwrap().iter().filter(|package| members.contains(&package["id"]));
        let targets = packages.flat_map(|package| package["targets"].as_array().unwrap());
        let programs = targets.filter(|target| target["kind"].as_array().unwrap().iter().any(|kind| kind == "bin"));
        assert_eq!(programs.map(|target| target["name"].as_str().unwrap()).collect::<Vec<_>>(), ["bailiwick"]);
    }
}
