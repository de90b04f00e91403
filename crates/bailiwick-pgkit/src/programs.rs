//! Where the programs are, and what to do when they are not there.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// Debian keeps each major version's programs apart and links only some of them.
const POSTGRES_HOME: &str = "/usr/lib/postgresql";
/// Where daemons are; not everyone's `PATH` says so.
const SYSTEM: [&str; 3] = ["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// A program that fixtures are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// PostgreSQL's server and what belongs to it.
    Postgres,
    /// The connection pooler.
    PgBouncer,
    /// The load balancer.
    HaProxy,
    /// The library that gives a program another clock. It is loaded as it is: the command of that name would stand
    /// between a test and the process that it wants to stop.
    Faketime,
}

impl Program {
    /// Debian's package.
    #[must_use]
    pub const fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::PgBouncer => "pgbouncer",
            Self::HaProxy => "haproxy",
            Self::Faketime => "faketime",
        }
    }

    fn file(self) -> Option<PathBuf> {
        match self {
            Self::Postgres => postgres_bin().map(|bin| bin.join("postgres")),
            Self::PgBouncer => in_path("pgbouncer"),
            Self::HaProxy => in_path("haproxy"),
            Self::Faketime => faketime_library(),
        }
    }

    /// Where the program is, or how to install it.
    ///
    /// # Errors
    /// When it is not installed.
    pub fn locate(self) -> Result<PathBuf, Error> {
        self.file().ok_or_else(|| Error::Missing(advice(&[self])))
    }
}

/// Whether all of these are installed. Where they are not, a test has nothing to do: on a person's machine it says how
/// to install them and ends; under `CI=true` it fails.
///
/// # Panics
/// Under `CI=true` when one is missing.
#[must_use]
pub fn is_ready(programs: &[Program]) -> bool {
    let missing: Vec<Program> = programs.iter().copied().filter(|program| program.file().is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let is_ci = std::env::var_os("CI").is_some_and(|value| value == "true" || value == "1");
    assert!(!is_ci, "{}", advice(&missing));
    eprintln!("skipped: {}", advice(&missing));
    false
}

fn advice(missing: &[Program]) -> String {
    let packages: Vec<&str> = missing.iter().map(|program| program.package()).collect();
    let packages = packages.join(" ");
    format!("{packages} missing: run `cargo xtask setup`, or on Debian `apt-get update && apt-get install {packages}`")
}

/// One of PostgreSQL's own programs.
pub(crate) fn postgres(name: &str) -> Result<PathBuf, Error> {
    let bin = postgres_bin().ok_or_else(|| Error::Missing(advice(&[Program::Postgres])))?;
    Ok(bin.join(name))
}

/// The programs of the newest PostgreSQL here.
fn postgres_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir(POSTGRES_HOME).into_iter().flatten().flatten();
    let numbered = versions.filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path())));
    let debian = numbered.map(|(version, path)| (version, path.join("bin"))).filter(|(_, bin)| has_server(bin));
    let newest = debian.max_by_key(|(version, _)| *version).map(|(_, bin)| bin);
    newest.or_else(|| in_path("postgres").and_then(|file| file.parent().map(Path::to_path_buf)))
}

/// Below the machine's multiarch folder.
fn faketime_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|file| file.is_file())
}

fn has_server(bin: &Path) -> bool {
    bin.join("postgres").exists() && bin.join("initdb").exists()
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(SYSTEM.map(PathBuf::from)).collect();
    folders.into_iter().map(|folder| folder.join(name)).find(|file| file.is_file())
}
