//! Somebody's desk: a directory, an environment, and the binary as a command that is typed.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::process::binary;

/// Longer than any command takes that ends by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where commands are typed.
pub(crate) struct Desk {
    directory: tempfile::TempDir,
    env: BTreeMap<&'static str, String>,
}

/// What a command did.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// Fails unless it did what it was asked for.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.ends(0)
    }

    /// Fails unless it ended with this exit code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}{}", self.line, self.out, self.err);
        self
    }

    /// What was printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{}: {error}\n{}", self.line, self.out))
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().display().to_string();
        Self { directory, env: [("HOME", home)].into() }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A file that only its owner may read.
    pub(crate) fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.path(name);
        let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.unwrap().write_all(contents.as_ref()).unwrap();
        path
    }

    pub(crate) fn set(&mut self, name: &'static str, value: &str) {
        self.env.insert(name, value.to_owned());
    }

    /// From here on commands are the holder's of this credential, at this server.
    pub(crate) fn aim(&mut self, address: &str, credential: &str) {
        self.set("BAILIWICK_ADDRESS", address);
        self.set("BAILIWICK_CREDENTIAL", credential);
    }

    /// Runs a command with this on its standard input.
    pub(crate) fn run_with(&self, words: &[&str], stdin: &[u8]) -> Ran {
        let mut command = Command::new(binary());
        command.args(words).current_dir(self.directory()).env_clear().envs(&self.env);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that does not read its input closes it; that is no failure.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        let process = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let (sender, ended) = mpsc::channel();
        std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
        let Ok(output) = ended.recv_timeout(PATIENCE) else {
            // A server that should have refused to start, for one.
            let _ = kill_process(process, Signal::KILL);
            panic!("`bailiwick {}` does not end", words.join(" "));
        };
        Ran {
            line: format!("bailiwick {}", words.join(" ")),
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn run(&self, words: &[&str]) -> Ran {
        self.run_with(words, b"")
    }

    /// Runs a command line, split at its spaces.
    pub(crate) fn sh(&self, line: &str) -> Ran {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }
}
