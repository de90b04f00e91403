//! PgBouncer in transaction mode: each transaction may be on another connection than the one before.

use std::path::PathBuf;

use crate::database::Database;
use crate::error::Error;
use crate::process::Process;
use crate::programs::Program;
use crate::{home, ports};

/// A pooler in front of one database.
pub struct PgBouncer {
    port: u16,
    process: Process,
    _folder: PathBuf,
}

impl PgBouncer {
    /// Starts one that has this many connections to the server at `server_port`, and hands them out in turn: what a
    /// session leaves behind, another one finds.
    ///
    /// # Errors
    /// When PgBouncer is not installed or does not start.
    pub fn start(server_port: u16, database: &Database, connections: usize) -> Result<Self, Error> {
        let (folder, port) = (home::folder("pgbouncer")?, ports::free_port()?);
        let users: String = database.passwords().map(|(role, word)| format!("\"{role}\" \"{word}\"\n")).collect();
        home::private_file(&folder.join("users"), &users)?;
        let name = &database.name;
        let config = format!(
            "[databases]\n{name} = host=127.0.0.1 port={server_port} dbname={name}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\npool_mode = transaction\n\
             server_round_robin = 1\ndefault_pool_size = {connections}\nmax_client_conn = 1000\n\
             auth_type = scram-sha-256\nauth_file = users\nserver_login_retry = 1\n"
        );
        home::private_file(&folder.join("pgbouncer.ini"), &config)?;
        let mut command = home::as_server_user(&Program::PgBouncer.locate()?, &folder)?;
        let process = Process::start("pgbouncer", command.arg("pgbouncer.ini"))?;
        process.wait_for_line(0, "process up")?;
        Ok(Self { port, process, _folder: folder })
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it wrote.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
