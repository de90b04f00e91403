//! A synchronous standby: what the primary acknowledged, it has.

use crate::cluster::{Cluster, Setting};
use crate::error::Error;
use crate::home;
use crate::process::run;

const NAME: &str = "standby";

/// A streaming standby of a [`Cluster`]; the primary acknowledges nothing that it has not got.
pub struct Standby {
    cluster: Cluster,
}

impl Standby {
    /// Copies the primary, follows it, and makes it wait for the copy from now on.
    ///
    /// # Errors
    /// When the copy is not made, or does not catch up.
    pub fn of(primary: &Cluster, settings: &[Setting]) -> Result<Self, Error> {
        let folder = home::folder(NAME)?;
        let mut backup = primary.tool("pg_basebackup")?;
        backup.arg("--pgdata").arg(folder.join("data")).arg("--dbname").arg(format!("application_name={NAME}"));
        backup.args(["--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"]);
        run(&mut backup)?;
        // Only now: the copy must not have the setting, or after its promotion it would wait for a standby of its own.
        let from = primary.running()?.lines_so_far();
        primary.sql(
            "postgres",
            &[&format!("ALTER SYSTEM SET synchronous_standby_names = '{NAME}'"), "SELECT pg_reload_conf()"],
        )?;
        let cluster = Cluster::adopt_standby(folder, primary, settings)?;
        primary.running()?.wait_for_line(from, "is now a synchronous standby")?;
        Ok(Self { cluster })
    }

    /// The port that it listens on: read-only until it is promoted.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.cluster.port()
    }

    /// The standby as a cluster, which answers what reads.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Makes it the primary. The old one must be dead.
    ///
    /// # Errors
    /// When it does not become one.
    pub fn promote(self) -> Result<Cluster, Error> {
        self.cluster.sql("postgres", &["SELECT pg_promote(true, 60)"])?;
        Ok(self.cluster)
    }
}
