//! Servers that a task starts, waits for and stops.
//!
//! A server that is dropped is killed, so a task that fails leaves none behind.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use serde_json::Value;

use crate::failure::{Context, Failure, Outcome};
use crate::http::Client;
use crate::shell;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// A loopback address whose port was free a moment ago.
pub(crate) fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A running server process.
pub(crate) struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts the command with its output going to the end of `log`.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Outcome<Self> {
        let file = File::options().create(true).append(true).open(log).context(log.display())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().context(shell::spelled(command))?;
        Ok(Self { child, log: log.to_path_buf() })
    }

    /// The process id.
    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks again and again until `ready` says yes.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Outcome {
        let began = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                return Err(Failure::new(format!("the server ended ({status}):\n{}", self.last_words())));
            }
            if began.elapsed() > PATIENCE {
                return Err(Failure::new(format!("the server is not ready:\n{}", self.last_words())));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Stops the server as an operator would, and waits for its end.
    pub(crate) fn stop(mut self) -> Outcome {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("no process id")?, rustix::process::Signal::TERM)?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                return Err(Failure::new(format!("the server does not stop:\n{}", self.last_words())));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already; then there is nothing to do, and nobody to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `bailiwick dev` with its own data directory and credentials file.
pub(crate) struct Dev {
    server: Server,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The file with the operator's and the sample tenants' credentials.
    pub(crate) credentials_file: PathBuf,
}

impl Dev {
    /// Starts it on what is in `home`, and waits until it answers.
    pub(crate) fn start(binary: &Path, home: &Path, address: SocketAddr) -> Outcome<Self> {
        Self::start_by(Command::new(binary), home, address)
    }

    /// As [`Dev::start`], by a command that becomes the server once it has these arguments.
    pub(crate) fn start_by(mut command: Command, home: &Path, address: SocketAddr) -> Outcome<Self> {
        fs::create_dir_all(home).context(home.display())?;
        let credentials_file = home.join("credentials.json");
        command.arg("dev").arg("--listen").arg(address.to_string()).arg("--data").arg(home.join("data"));
        command.arg("--credentials-file").arg(&credentials_file);
        let mut server = Server::start(&mut command, &home.join("server.log"))?;
        server.wait_until(|| answers(address, "/readyz") && credentials_file.exists())?;
        Ok(Self { server, address, credentials_file })
    }

    /// The process id.
    #[cfg(target_os = "linux")]
    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The operator's credential.
    #[cfg(target_os = "linux")]
    pub(crate) fn operator_credential(&self) -> Outcome<String> {
        let file = &self.credentials_file;
        let written: Value = serde_json::from_str(&fs::read_to_string(file).context(file.display())?)?;
        let credential = written.pointer("/operator/credential").and_then(Value::as_str).map(str::to_owned);
        credential.context(format!("{} has no `/operator/credential`", file.display()))
    }

    /// Stops it and waits for its end.
    pub(crate) fn stop(self) -> Outcome {
        self.server.stop()
    }
}

fn answers(address: SocketAddr, path: &str) -> bool {
    Client::connect(address)
        .and_then(|mut client| client.call("GET", path, &[], ""))
        .is_ok_and(|(status, _)| status == 200)
}
