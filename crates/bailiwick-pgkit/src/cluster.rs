//! A PostgreSQL cluster of its own: started in a second, killed without regret.
//!
//! One may be kept in a `static` for all tests of a process: what is never dropped ends with the process (`home.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rustix::process::Signal;

use crate::database::Database;
use crate::error::{Error, Trying as _};
use crate::process::{PATIENCE, Process, children, is_alive, run, send};
use crate::{home, ports, programs};

/// The role that `initdb` makes.
pub(crate) const SUPERUSER: &str = "postgres";
/// How often another port is tried when somebody else took the free one first.
const TRIES: usize = 5;

/// What each cluster runs with unless a test says otherwise: durable as in production, small as a test.
const SETTINGS: [Setting; 9] = [
    Setting("listen_addresses", "127.0.0.1"),
    Setting("unix_socket_directories", ""),
    Setting("fsync", "on"),
    Setting("synchronous_commit", "on"),
    Setting("max_connections", "200"),
    Setting("shared_buffers", "64MB"),
    Setting("max_wal_senders", "4"),
    Setting("wal_level", "replica"),
    Setting("log_line_prefix", "%m [%p] %q%u@%d "),
];

/// A setting of `postgresql.conf` and its value.
#[derive(Debug, Clone, Copy)]
pub struct Setting(pub &'static str, pub &'static str);

/// Where a server listens: the loopback address and this port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub(crate) port: u16,
}

/// A cluster. Dropped, it is killed and its files are removed.
pub struct Cluster {
    folder: PathBuf,
    port: u16,
    password: String,
    settings: Vec<(String, String)>,
    server: Option<Process>,
}

/// What `initdb` made, once for this process; clusters are copies.
struct Template {
    data: PathBuf,
    password: String,
}

static TEMPLATE: Mutex<Option<Template>> = Mutex::new(None);

impl Cluster {
    /// A fresh cluster, durable as in production.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self, Error> {
        Self::start_with(&[])
    }

    /// A fresh cluster with these settings besides the usual ones.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start_with(settings: &[Setting]) -> Result<Self, Error> {
        let folder = home::folder("cluster")?;
        let password = copy_template(&folder.join("data"))?;
        Self::adopt(folder, password, settings)
    }

    /// A fresh cluster that speaks TLS too, with this certificate and its key in PEM.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start_with_tls(certificate: &str, key: &str) -> Result<Self, Error> {
        let folder = home::folder("cluster")?;
        let data = folder.join("data");
        let password = copy_template(&data)?;
        // The names that the server looks for by itself.
        home::private_file(&data.join("server.crt"), certificate)?;
        home::private_file(&data.join("server.key"), key)?;
        Self::adopt(folder, password, &[Setting("ssl", "on")])
    }

    /// Starts a copy of a primary, which has its passwords.
    pub(crate) fn adopt_standby(folder: PathBuf, primary: &Self, settings: &[Setting]) -> Result<Self, Error> {
        Self::adopt(folder, primary.password.clone(), settings)
    }

    /// Starts what is in a folder, on a free port.
    fn adopt(folder: PathBuf, password: String, settings: &[Setting]) -> Result<Self, Error> {
        let all = SETTINGS.iter().chain(settings).map(|Setting(name, value)| (name.to_string(), value.to_string()));
        let mut cluster = Self { folder, port: 0, password, settings: all.collect(), server: None };
        for _ in 1..TRIES {
            cluster.port = ports::free_port()?;
            match cluster.restart() {
                Err(Error::Program(text)) if text.contains("could not bind") => {}
                done => return done.map(|()| cluster),
            }
        }
        cluster.restart().map(|()| cluster)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server wrote since it was started.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Makes a database, with a role that owns it and one for the server.
    ///
    /// # Errors
    /// When there is one of that name.
    pub fn database(&self, name: &str) -> Result<Database, Error> {
        let database = Database::new(name, &self.password, &[Address { port: self.port }]);
        let sql = database.sql();
        self.sql("postgres", &sql.iter().map(String::as_str).collect::<Vec<_>>())?;
        Ok(database)
    }

    /// Runs statements as the superuser, each in a transaction of its own; answers what they printed, without headings.
    ///
    /// # Errors
    /// When one fails, with PostgreSQL's message.
    pub fn sql(&self, database: &str, statements: &[&str]) -> Result<String, Error> {
        let mut psql = self.tool("psql")?;
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--dbname", database]);
        for statement in statements {
            psql.args(["--command", statement]);
        }
        run(&mut psql)
    }

    /// One of PostgreSQL's programs, set to connect as the superuser.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn tool(&self, name: &str) -> Result<Command, Error> {
        let mut command = home::as_server_user(&programs::postgres(name)?, &self.folder)?;
        command.env("PGHOST", "127.0.0.1").env("PGPORT", self.port.to_string());
        command.env("PGUSER", SUPERUSER).env("PGPASSWORD", &self.password).env("PGDATABASE", "postgres");
        Ok(command)
    }

    /// Starts the server again after it was stopped or killed, on the same port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<(), Error> {
        let mut command = home::as_server_user(&programs::postgres("postgres")?, &self.folder)?;
        command.arg("-D").arg(self.folder.join("data")).arg("-p").arg(self.port.to_string());
        for (name, value) in &self.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let server = Process::start("postgres", &mut command)?;
        // A standby says "to accept read-only connections".
        server.wait_for_line(0, "ready to accept ")?;
        self.server = Some(server);
        Ok(())
    }

    /// Stops the server as an operator would (`pg_ctl stop -m fast`): connections are broken off, nothing is lost.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop_fast(&mut self) -> Result<(), Error> {
        if let Some(mut server) = self.server.take() {
            server.signal(Signal::INT)?;
            server.wait()?;
        }
        Ok(())
    }

    /// Kills the server and all of its processes at once, as a power failure would.
    ///
    /// # Errors
    /// When the machine does not let go of them.
    pub fn kill9(&mut self) -> Result<(), Error> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let family = freeze(&server)?;
        for pid in &family {
            // One that has ended meanwhile needs no killing.
            let _ = send(*pid, Signal::KILL);
        }
        server.kill();
        let until = Instant::now() + PATIENCE;
        while family.iter().any(|pid| is_alive(*pid)) {
            if Instant::now() > until {
                return Err(Error::program("processes of a killed cluster do not end"));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Stops time for the server: connections stay open, and nothing is answered until [`resume`](Self::resume).
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<(), Error> {
        freeze(self.running()?).map(drop)
    }

    /// Lets the server go on after [`pause`](Self::pause).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<(), Error> {
        let server = self.running()?;
        for pid in children(server.pid()) {
            let _ = send(pid, Signal::CONT);
        }
        server.signal(Signal::CONT)
    }

    pub(crate) fn running(&self) -> Result<&Process, Error> {
        self.server.as_ref().ok_or_else(|| Error::program("the cluster does not run"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What cannot be removed here the janitor removes at the end of the process.
        let _ = self.kill9();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Stops a server and its processes; answers the latter. The parent is first, so that nobody is born meanwhile.
fn freeze(server: &Process) -> Result<Vec<u32>, Error> {
    server.signal(Signal::STOP)?;
    let family = children(server.pid());
    for pid in &family {
        let _ = send(*pid, Signal::STOP);
    }
    Ok(family)
}

/// Makes a data directory; answers the superuser's password.
fn copy_template(data: &Path) -> Result<String, Error> {
    let mut template = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    let Template { data: from, password } = match template.take() {
        Some(made) => template.insert(made),
        None => template.insert(make_template()?),
    };
    run(Command::new("cp").args(["--archive", "--reflink=auto", "--"]).arg(from).arg(data))?;
    Ok(password.clone())
}

fn make_template() -> Result<Template, Error> {
    let folder = home::folder("template")?;
    let (data, secret) = (folder.join("data"), folder.join("password"));
    let password = home::random_word()?;
    home::private_file(&secret, &password)?;
    let mut initdb = home::as_server_user(&programs::postgres("initdb")?, &folder)?;
    initdb.arg("--pgdata").arg(&data).arg("--pwfile").arg(&secret);
    initdb.args(["--username", SUPERUSER, "--auth=scram-sha-256", "--locale=C", "--encoding=UTF8", "--no-sync"]);
    run(&mut initdb)?;
    fs::remove_file(&secret).trying(secret.display())?;
    Ok(Template { data, password })
}
