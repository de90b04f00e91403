//! The real binary, started as a process on a data directory of its own.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::wire::Wire;
use super::{Ask, Told};

/// The binary of the profile and target directory that this test was built in; built if it is not up to date.
pub(crate) fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = std::env::current_exe().unwrap();
        // target/PROFILE/deps/promises-…
        let profile = test.ancestors().nth(2).unwrap();
        let target = profile.parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "bailiwick-cli", "--target-dir"]).arg(target);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success(), "bailiwick does not build");
        profile.join("bailiwick")
    })
}

/// A running server.
pub(crate) struct Running {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) address: String,
    output: Vec<JoinHandle<()>>,
    said: Said,
}

/// Everything that a process wrote to its standard output and error.
#[derive(Clone, Default)]
pub(crate) struct Said {
    pub(crate) out: Arc<Mutex<Vec<u8>>>,
    pub(crate) err: Arc<Mutex<Vec<u8>>>,
}

/// How to start a server.
pub(crate) struct Start {
    command: Command,
    said: Said,
}

impl Start {
    /// `bailiwick dev` on a data directory.
    pub(crate) fn dev(data: &Path) -> Self {
        let mut command = Command::new(binary());
        command.args(["dev", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        Self::of(command)
    }

    /// `bailiwick serve` with a configuration that logs at least `info`.
    pub(crate) fn serve(config: &Path) -> Self {
        let mut command = Command::new(binary());
        command.args(["serve", "--config"]).arg(config);
        Self::of(command)
    }

    /// A command line of one's own, whose standard output, or log, says where it listens.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command, said: Said::default() }
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts it and waits until it says where it listens.
    pub(crate) fn run(mut self) -> Running {
        let mut child = self.command.spawn().unwrap();
        let (found, address) = mpsc::channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (kept_out, kept_err) = (Arc::clone(&self.said.out), Arc::clone(&self.said.err));
        let logged = found.clone();
        let reads_out = std::thread::spawn(move || {
            let mut lines = BufReader::new(out);
            let mut line = String::new();
            while matches!(lines.read_line(&mut line), Ok(1..)) {
                kept_out.lock().extend_from_slice(line.as_bytes());
                if line.contains("http://127.0.0.1:") {
                    let _ = found.send(address_in(&line).unwrap());
                }
                line.clear();
            }
        });
        let reads_err = std::thread::spawn(move || {
            let mut lines = BufReader::new(err);
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
                kept_err.lock().extend_from_slice(&line);
                let text = String::from_utf8_lossy(&line);
                if text.contains("listening")
                    && let Some(address) = address_in(&text)
                {
                    let _ = logged.send(address);
                }
                line.clear();
            }
        });
        let address = address.recv();
        let said = self.said;
        let failed = || -> String { panic!("it did not start: {}", String::from_utf8_lossy(&said.err.lock())) };
        let address = address.unwrap_or_else(|_| failed());
        Running { child, address, output: vec![reads_out, reads_err], said }
    }
}

/// The address of this machine that a line names.
fn address_in(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("127.0.0.1:")?;
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some(format!("http://127.0.0.1:{port}"))
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn wire(&self) -> Wire {
        Wire::to(&self.address).unwrap()
    }

    /// One question on a connection of its own.
    pub(crate) fn ask(&self, ask: &Ask) -> Told {
        self.wire().ask(ask).unwrap()
    }

    /// kill -9.
    pub(crate) fn kill(mut self) -> Said {
        let _ = self.child.kill();
        self.end();
        self.said.clone()
    }

    /// Asks it to end, as `kill` does, and waits until it has.
    pub(crate) fn terminate(&mut self) -> (ExitStatus, Said) {
        self.signal(Signal::TERM);
        let status = self.end();
        (status, self.said.clone())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let process = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
        kill_process(process, signal).unwrap();
    }

    /// Where its operations listener is, if it has one: that is logged before where it listens.
    pub(crate) fn operations(&self) -> String {
        let log = String::from_utf8_lossy(&self.said.err.lock()).into_owned();
        let line = log.lines().find(|line| line.contains("health and metrics")).unwrap_or_else(|| panic!("{log}"));
        address_in(line).unwrap()
    }

    /// Waits for it to end by itself.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        for reader in self.output.drain(..) {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", String::from_utf8_lossy(&self.said.err.lock()));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The credentials that `bailiwick dev` keeps in its data directory.
pub(crate) struct Credentials(Value);

impl Credentials {
    pub(crate) fn read(data: &Path) -> Self {
        Self(serde_json::from_slice(&std::fs::read(data.join("credentials.json")).unwrap()).unwrap())
    }

    pub(crate) fn operator(&self) -> String {
        self.text("/operator/credential")
    }

    pub(crate) fn admin(&self, slug: &str) -> String {
        self.text(&format!("/tenants/{slug}/admin/credential"))
    }

    fn text(&self, pointer: &str) -> String {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()
    }
}
