//! The memory of a process that ends badly is left nowhere, and other processes of its user cannot look into it.
#![cfg(target_os = "linux")]

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::harness::process::{Running, Start, binary};

/// A user without rights, whom a process is run as where this test has more.
const NOBODY: u32 = 65_534;

/// A shell that allows core files of any size, and then becomes something else.
fn with_cores(program: &Path) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).arg(program);
    shell
}

fn dev(mut command: Command, directory: &Path) -> Running {
    command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(directory.join("data"));
    Start::of(command).directory(directory).run()
}

/// Whether anything there could be a core file.
fn has_core(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().any(|entry| entry.unwrap().file_name().to_string_lossy().contains("core"))
}

#[test]
fn a_server_that_aborts_leaves_no_core_file_though_the_system_would_write_one() {
    let directory = tempfile::tempdir().unwrap();
    // What the system does with others.
    let mut other = with_cores(Path::new("sh"));
    other.args(["-c", "kill -ABRT $$"]).current_dir(directory.path()).stderr(Stdio::null());
    let is_shown = other.status().unwrap().core_dumped();
    if !is_shown {
        // Not silently: the limits below say the same, without seeing it happen.
        eprintln!("this system writes no core files of anybody");
    }
    let directory = tempfile::tempdir().unwrap();
    for signal in [Signal::ABORT, Signal::QUIT] {
        let mut server = dev(with_cores(binary()), directory.path());
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let words: Vec<&str> = cores.split_whitespace().collect();
        assert_eq!(words[4..6], ["0", "0"], "{cores}");
        server.signal(signal);
        let status = server.end();
        assert_eq!(status.signal(), Some(signal.as_raw()), "{status}");
        assert!(!status.core_dumped(), "{signal:?}: {status}");
        assert!(!has_core(directory.path()) && !has_core(&directory.path().join("data")), "{signal:?}");
    }
}

/// The kernel gives what is in `/proc` of a process that may not be dumped to root, so that its own user, too, cannot read
/// its memory, or trace it.
#[test]
fn other_processes_of_its_user_cannot_look_into_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let is_root = rustix::process::getuid().is_root();
    let user = if is_root { NOBODY } else { rustix::process::getuid().as_raw() };
    let program = directory.path().join("bailiwick");
    std::fs::copy(binary(), &program).unwrap();
    let as_user = |mut command: Command| {
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    if is_root {
        chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let owner = |process: u32| std::fs::metadata(format!("/proc/{process}/environ")).unwrap().uid();
    let mut other = as_user(Command::new("cat")).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let server = dev(as_user(Command::new(&program)), directory.path());
    assert_eq!(owner(other.id()), user, "the search does not tell one from the other");
    assert_eq!(owner(server.id()), 0);
    drop(other.stdin.take());
    other.wait().unwrap();
}
