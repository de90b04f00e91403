//! A program that runs, and what it says.

use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::{Error, Trying as _};

/// How long a program may take for anything, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How much of a log is shown when something is wrong.
const LAST_LINES: usize = 40;

/// A running program; killed when dropped.
pub struct Process {
    name: String,
    child: Child,
    said: Arc<Said>,
}

/// Lines as they come, from both streams.
#[derive(Default)]
struct Said {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    all: Vec<String>,
    open: usize,
}

impl Process {
    /// Starts it. Its working directory must be below the kit's [`folder`](crate::folder).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: &mut Command) -> Result<Self, Error> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().trying(name)?;
        let said = Arc::new(Said::default());
        if let Some(stdout) = child.stdout.take() {
            said.follow(stdout);
        }
        if let Some(stderr) = child.stderr.take() {
            said.follow(stderr);
        }
        Ok(Self { name: name.to_owned(), child, said })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many lines it has written so far: where to wait from.
    #[must_use]
    pub fn lines_so_far(&self) -> usize {
        self.said.lock().all.len()
    }

    /// Waits for a line with this after the first `from`, and answers it.
    ///
    /// # Errors
    /// When the program ends or is silent for too long.
    pub fn wait_for_line(&self, from: usize, wanted: &str) -> Result<String, Error> {
        let until = Instant::now() + PATIENCE;
        let mut lines = self.said.lock();
        loop {
            if let Some(line) = lines.all.iter().skip(from).find(|line| line.contains(wanted)) {
                return Ok(line.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if lines.open == 0 || left.is_zero() {
                drop(lines);
                return Err(self.failed(&format!("no line with `{wanted}`")));
            }
            let waited = self.said.more.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until somebody can connect to this port.
    ///
    /// # Errors
    /// When the program ends or takes too long.
    pub fn wait_until_it_listens(&mut self, port: u16) -> Result<(), Error> {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            if !self.is_running() || Instant::now() > until {
                return Err(self.failed(&format!("does not listen at {port}")));
            }
            // The kernel tells nobody when somebody else begins to listen.
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Everything that it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.said.lock().all.join("\n")
    }

    /// A failure of this program, with its last words.
    #[must_use]
    pub fn failed(&self, what: &str) -> Error {
        let lines = self.said.lock();
        let last = lines.all.get(lines.all.len().saturating_sub(LAST_LINES)..).unwrap_or_default().join("\n");
        Error::program(format!("{}: {what}; its last lines:\n{last}", self.name))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        send(self.pid(), signal).trying(&self.name)
    }

    /// Waits for its end and answers its exit code; a signal's is none.
    ///
    /// # Errors
    /// When it does not end.
    pub fn wait(&mut self) -> Result<Option<i32>, Error> {
        // The streams close when the last process that holds them ends: an event, while a child can only be polled.
        let until = Instant::now() + PATIENCE;
        let mut lines = self.said.lock();
        while lines.open > 0 && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            lines = self.said.more.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let closed = lines.open == 0;
        drop(lines);
        if !closed {
            return Err(self.failed("does not end"));
        }
        Ok(self.child.wait().trying(&self.name)?.code())
    }

    /// Ends it as a power failure would.
    pub fn kill(&mut self) {
        // It may have ended by itself; then there is nothing to do, and nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Said {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.lock().open += 1;
        let said = Arc::clone(self);
        std::thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!(reader.read_until(b'\n', &mut line), Ok(read) if read > 0) {
                said.lock().all.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                said.more.notify_all();
                line.clear();
            }
            said.lock().open -= 1;
            said.more.notify_all();
        });
    }
}

/// Runs a command to its end and answers what it printed.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().trying(&program)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    Err(Error::program(format!("`{program}`: {}\n{}", output.status, said.trim())))
}

/// Sends a process a signal.
pub(crate) fn send(pid: u32, signal: Signal) -> rustix::io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH)?;
    kill_process(pid, signal)
}

/// The living children of a process.
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| status(*pid).is_some_and(|(state, of)| of == parent && state != 'Z')).collect()
}

/// Whether a process lives; one that ended and was not yet waited for does not.
pub(crate) fn is_alive(pid: u32) -> bool {
    status(pid).is_some_and(|(state, _)| state != 'Z')
}

/// State and parent, from `/proc/PID/stat`; the program's name before them may hold anything.
fn status(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}
