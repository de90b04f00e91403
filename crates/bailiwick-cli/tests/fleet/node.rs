//! One `bailiwick serve` as a process.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bailiwick_client::{ClientError, routes};
use bailiwick_pgkit::{Process, Program, free_port};
use rustix::process::Signal;

use super::caller::Caller;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_bailiwick");

/// What a node is started with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The database, as this node reaches it.
    pub(crate) store: String,
    /// How far its clock is off, in seconds.
    pub(crate) skew: i64,
}

/// A node. Dropped, it is killed.
pub(crate) struct Node {
    pub(crate) port: u16,
    pub(crate) operations_port: u16,
    name: String,
    folder: PathBuf,
    settings: Settings,
    process: Option<Process>,
}

impl Node {
    /// Starts one in this folder, where the root key is too, and waits until it listens.
    pub(crate) fn start(name: &str, folder: &Path, settings: Settings) -> Self {
        let (port, operations_port) = (free_port().unwrap(), free_port().unwrap());
        let folder = folder.to_owned();
        let mut node = Self { port, operations_port, name: name.to_owned(), folder, settings, process: None };
        node.restart();
        node
    }

    /// Starts it again after it has ended, on the same ports.
    pub(crate) fn restart(&mut self) {
        let Self { port, operations_port, name, folder, settings, .. } = self;
        // Proofs are tested elsewhere, and take the time of the races. So do probes.
        let config = format!(
            "listen = \"127.0.0.1:{port}\"\ndata = \"{name}\"\n[root_key]\nprovider = \"file\"\nfile = \"root.key\"\n\
             [operations]\nlisten = \"127.0.0.1:{operations_port}\"\n[prove]\nsolver = \"{}/no-solver\"\n\
             [tenants]\ndelete_hold_min = \"0s\"\n",
            folder.display()
        );
        let file = folder.join(format!("{name}.toml"));
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new(BINARY);
        command.arg("serve").arg("--config").arg(&file);
        name_store(&mut command, folder, &settings.store);
        command.current_dir(folder).env_clear();
        if settings.skew != 0 {
            command.env("LD_PRELOAD", Program::Faketime.locate().unwrap());
            command.env("FAKETIME", format!("{:+}s", settings.skew)).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        }
        let process = Process::start(name, &mut command).unwrap();
        // The address of the doors, not of the operations listener before it.
        process.wait_for_line(0, &format!("127.0.0.1:{port}")).unwrap();
        self.process = Some(process);
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }

    /// Somebody with this credential who asks this node.
    pub(crate) fn caller(&self, credential: &str) -> Caller {
        Caller::new(self.port, Some(credential))
    }

    /// Somebody without one.
    pub(crate) fn stranger(&self) -> Caller {
        Caller::new(self.port, None)
    }

    /// Kills it.
    pub(crate) fn kill9(&mut self) {
        self.process.take().unwrap().kill();
    }

    /// Asks it to end, as a rolling restart does; answers its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        process.signal(Signal::TERM).unwrap();
        process.wait().unwrap()
    }

    /// Stops its time.
    pub(crate) fn pause(&self) {
        self.process().signal(Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.process().signal(Signal::CONT).unwrap();
    }

    /// Whether it says that it is ready, at its operations listener.
    pub(crate) fn is_ready(&self) -> bool {
        let asked = Caller::new(self.operations_port, None).within(Duration::from_secs(10)).text(routes::readyz());
        match asked {
            Ok(_) => true,
            Err(ClientError::Problem { .. } | ClientError::Unexpected { .. }) => false,
            Err(error) => panic!("{} does not say whether it is ready: {error}\n{}", self.name, self.log()),
        }
    }

    /// What it wrote.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }
}

/// Names a store on a command line: its password in a file, where a person would put it.
pub(crate) fn name_store(command: &mut Command, folder: &Path, url: &str) {
    let (role, rest) = url.strip_prefix("postgres://").and_then(|rest| rest.split_once(':')).unwrap();
    let (password, place) = rest.split_once('@').unwrap();
    let file = folder.join(format!("{role}.password"));
    std::fs::write(&file, password).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    command.arg("--store").arg(format!("postgres://{role}@{place}")).arg("--store-password-file").arg(file);
}

impl Drop for Node {
    fn drop(&mut self) {
        // A failure is about one request; what its node had to say belongs to it.
        if std::thread::panicking() && self.process.is_some() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the last lines of {}:\n{}", self.name, lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}
