//! Counting a server's fsyncs from outside, so that every side's are counted by the same means.
//!
//! The server is started by `strace`, which stands aside (`-D`): the process that is signalled and looked at remains the
//! server itself. Only the calls that are counted stop it (`--seccomp-bpf`), but those take longer, so times and bytes
//! come from runs without it.
//!
//! # Deliberately absent
//! What is made durable in other ways: files opened with `O_DSYNC`, and what goes through `io_uring`. Neither side does
//! that.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Outcome};
use crate::{packages, shell};

/// Calls that return when something is on the disk, or was given to it.
const CALLS: [&str; 4] = ["fsync", "fdatasync", "sync_file_range", "msync"];

/// Whether fsyncs can be counted here; installs what counts them.
pub(crate) fn can_be_counted() -> bool {
    if let Err(failure) = packages::install(&[packages::STRACE]) {
        println!("fsyncs are not counted: {failure}");
        return false;
    }
    // A container may forbid what it needs.
    let works = shell::succeeds(command(Path::new("strace"), Some(Path::new("/dev/null"))).arg("--version"));
    if !works {
        println!("fsyncs are not counted: this system does not let one process trace another");
    }
    works
}

/// The server, whose fsyncs are written to the file if there is one.
pub(crate) fn command(server: &Path, trace: Option<&Path>) -> Command {
    let Some(trace) = trace else { return Command::new(server) };
    let mut command = Command::new("strace");
    command.args(["-D", "-f", "-A", "--seccomp-bpf", "--quiet=all", "-e", "signal=none", "-e"]);
    command.arg(format!("trace={}", CALLS.join(","))).arg("--output").arg(trace).arg(server);
    command
}

/// How many there have been.
pub(crate) fn count(trace: &Path) -> Outcome<u64> {
    let text = fs::read(trace).context(trace.display())?;
    Ok(counted(&String::from_utf8_lossy(&text)))
}

fn counted(text: &str) -> u64 {
    // `12 fsync(3) = 0`, or in two lines when another thread came between: `12 fsync(3 <unfinished ...>` and
    // `12 <... fsync resumed>) = 0`. The first of them counts.
    let call = |line: &str| {
        line.split_whitespace().nth(1).and_then(|word| word.split_once('(')).map(|(call, _)| call.to_owned())
    };
    let calls = text.lines().filter_map(call).filter(|call| CALLS.contains(&call.as_str())).count();
    u64::try_from(calls).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_interrupted_counts_once() {
        let text = "7  fsync(3)  = 0\n8 fdatasync(4 <unfinished ...>\n7 msync(0x7f, 4096, MS_SYNC) = 0\n\
                    8 <... fdatasync resumed>) = 0\n8 write(1, \"fsync(\", 6) = 6\n8 +++ exited with 0 +++\n";
        assert_eq!(counted(text), 3);
    }
}
