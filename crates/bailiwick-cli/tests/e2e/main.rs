//! The real binary, end to end: a server as a process, and commands as a person or a script would type them.
//!
//! Each test starts what it needs on a free port of this machine, in a directory of its own. Only `database` and
//! `database_tls` need a program that is not ours: PostgreSQL. What the commands send is tested elsewhere, against a server
//! that knows one answer per route; here is that the two ends fit together.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

mod answers;
mod attestation;
mod bench;
mod bundle;
#[cfg(target_os = "linux")]
mod connections;
mod credentials;
#[cfg(target_os = "linux")]
mod database;
#[cfg(target_os = "linux")]
mod database_tls;
mod failures;
mod house;
mod isolation;
mod ledger;
mod recovery;
mod serve;
#[cfg(target_os = "linux")]
mod terminal;
mod transcript;
