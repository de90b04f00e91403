//! What the tests need of the machine's own packages, installed with apt-get where that is possible.
//!
//! # Deliberately absent
//! The services that Debian starts when it installs a server: tests start their own, in directories of their own.

use std::process::Command;

#[cfg(target_os = "linux")]
use bailiwick_pgkit::Program;

use crate::failure::{Context, Failure, Outcome};
use crate::shell;

/// A package, and how to tell that it is there.
pub(crate) struct Package {
    name: &'static str,
    what: &'static str,
    is_installed: fn() -> bool,
}

/// The solver that the prover's tests ask.
pub(crate) const SOLVER: Package = Package {
    name: "cvc5",
    what: "cvc5, the solver that proves policies",
    is_installed: || shell::succeeds(Command::new("cvc5").arg("--version")),
};

/// What counts instructions. No test needs it.
pub(crate) const VALGRIND: Package = Package {
    name: "valgrind",
    what: "valgrind, which counts instructions",
    is_installed: || shell::succeeds(Command::new("valgrind").arg("--version")),
};

/// What counts fsyncs. No test needs it.
#[cfg(target_os = "linux")]
pub(crate) const STRACE: Package = Package {
    name: "strace",
    what: "strace, which counts fsyncs",
    is_installed: || shell::succeeds(Command::new("strace").arg("--version")),
};

/// The database that the tests of many nodes run on.
#[cfg(target_os = "linux")]
pub(crate) const POSTGRES: Package = Package {
    name: Program::Postgres.package(),
    what: "PostgreSQL, the database of many nodes",
    is_installed: || Program::Postgres.locate().is_ok(),
};

/// Everything that `cargo xtask test` needs.
pub(crate) fn all() -> Vec<Package> {
    let mut packages = vec![SOLVER];
    #[cfg(target_os = "linux")]
    packages.extend([
        POSTGRES,
        Package {
            name: Program::PgBouncer.package(),
            what: "PgBouncer, a pooler in front of PostgreSQL",
            is_installed: || Program::PgBouncer.locate().is_ok(),
        },
        Package {
            name: Program::HaProxy.package(),
            what: "HAProxy, a load balancer in front of the nodes",
            is_installed: || Program::HaProxy.locate().is_ok(),
        },
        Package {
            name: Program::Faketime.package(),
            what: "faketime, which gives a node another clock",
            is_installed: || Program::Faketime.locate().is_ok(),
        },
        Package {
            name: "bsdutils",
            what: "script, which has a terminal for the tests of what a person sees",
            is_installed: || shell::succeeds(Command::new("script").arg("--version")),
        },
    ]);
    packages
}

/// Installs those that are missing.
pub(crate) fn install(packages: &[Package]) -> Outcome {
    let missing: Vec<&Package> = packages.iter().filter(|package| !(package.is_installed)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let what: Vec<&str> = missing.iter().map(|package| package.what).collect();
    apt(&names, &what.join("; "))
}

/// Installs packages of the machine, or says how.
pub(crate) fn apt(names: &[&str], what: &str) -> Outcome {
    let by_hand = format!("apt-get update && apt-get install --yes {}", names.join(" "));
    if !rustix::process::geteuid().is_root() || !shell::succeeds(Command::new("apt-get").arg("--version")) {
        return Err(Failure::new(format!(
            "needed: {what}. Install it with this system's package manager, then run `cargo xtask setup` again. On \
             Debian:\n  sudo sh -c '{by_hand}'"
        )));
    }
    println!("setup: installing with apt-get, for it is missing here: {what}");
    let offline = || format!("apt-get could not install {}; with a network, run:\n  {by_hand}", names.join(" "));
    shell::run(Command::new("apt-get").args(["update", "--quiet"])).advice(offline())?;
    let mut install = Command::new("apt-get");
    install.env("DEBIAN_FRONTEND", "noninteractive");
    shell::run(install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(names)).advice(offline())
}
