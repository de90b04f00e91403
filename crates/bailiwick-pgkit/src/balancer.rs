//! HAProxy as the plainest load balancer there is: it passes bytes on to whoever says that it is ready.

use std::path::PathBuf;

use crate::error::Error;
use crate::process::Process;
use crate::programs::Program;
use crate::{home, ports};

/// Where a node listens.
#[derive(Debug, Clone, Copy)]
pub struct Backend {
    /// For clients.
    pub port: u16,
    /// For `GET /readyz`.
    pub operations_port: u16,
}

/// A TCP load balancer, which asks each node twenty times a second whether it is ready.
pub struct HaProxy {
    port: u16,
    process: Process,
    _folder: PathBuf,
}

impl HaProxy {
    /// Starts one in front of these nodes, named `node0`, `node1` and so on.
    ///
    /// # Errors
    /// When HAProxy is not installed or does not start.
    pub fn start(nodes: &[Backend]) -> Result<Self, Error> {
        let (folder, port) = (home::folder("haproxy")?, ports::free_port()?);
        let mut config = format!(
            "global\n  maxconn 2000\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server \
             60s\n  timeout check 10s\n  retries 3\n  option redispatch 1\nfrontend clients\n  bind 127.0.0.1:{port}\n  default_backend nodes\n\
             backend nodes\n  balance roundrobin\n  option httpchk GET /readyz\n  default-server check inter 50ms fall 1 \
             rise 1\n"
        );
        for (index, Backend { port, operations_port }) in nodes.iter().enumerate() {
            config += &format!("  server node{index} 127.0.0.1:{port} port {operations_port}\n");
        }
        home::private_file(&folder.join("haproxy.cfg"), &config)?;
        let mut command = home::as_server_user(&Program::HaProxy.locate()?, &folder)?;
        let mut process = Process::start("haproxy", command.args(["-db", "-f", "haproxy.cfg"]))?;
        // It says nothing while all is well.
        process.wait_until_it_listens(port)?;
        Ok(Self { port, process, _folder: folder })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many lines it has written so far: where to wait from.
    #[must_use]
    pub fn lines_so_far(&self) -> usize {
        self.process.lines_so_far()
    }

    /// Waits until it has noticed, after its first `from` lines, that a node is ready or no longer is.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_until(&self, from: usize, node: usize, is_ready: bool) -> Result<(), Error> {
        let state = if is_ready { "UP" } else { "DOWN" };
        self.process.wait_for_line(from, &format!("Server nodes/node{node} is {state}")).map(drop)
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
