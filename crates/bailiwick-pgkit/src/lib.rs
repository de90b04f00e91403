//! Real PostgreSQL for tests: clusters, standbys, poolers, load balancers, and wires that break where a test says.
//!
//! Nothing here is a stand-in: every server is the distribution's own program, started on a free loopback port with its
//! files in a directory of its own.
//!
//! # Invariants
//! - INV-KIT-1: whatever was started ends with the value that started it, also when the test panics; and with the
//!   process, also when that is killed (`home.rs`).
//! - INV-KIT-2: nothing listens but on the loopback address, and every role has a password made for this process: who
//!   else is on the machine gets nothing from a test that runs.
//! - INV-KIT-3: what is awaited is an event (a line of the server's log, an answer), never a time.
//!
//! # Deliberately absent
//! The cluster that Debian starts by itself; use in a release; any crate of the product: the fixtures judge it from
//! outside.
#![cfg(target_os = "linux")]

mod balancer;
mod bouncer;
mod cluster;
mod database;
mod error;
mod home;
mod ports;
mod process;
mod programs;
mod standby;
mod wire;

pub use balancer::{Backend, HaProxy};
pub use bouncer::PgBouncer;
pub use cluster::{Cluster, Setting};
pub use database::Database;
pub use error::Error;
pub use home::folder;
pub use ports::free_port;
pub use process::Process;
pub use programs::{Program, is_ready};
pub use standby::Standby;
pub use wire::{Trap, Wire};

/// What a fixture answers.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;
