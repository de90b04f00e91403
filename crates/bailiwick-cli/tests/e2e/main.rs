//! The real binary, end to end: a server as a process, and commands as a person or a script would type them.
//!
//! Each test starts what it needs on a free port of this machine, in a directory of its own; nothing else is installed or
//! running. What the commands send is tested elsewhere, against a server that knows one answer per route; here is that the
//! two ends fit together.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice, reason = "tests")]

mod answers;
mod attestation;
mod bundle;
mod credentials;
mod failures;
mod house;
mod isolation;
mod ledger;
mod recovery;
mod serve;
mod transcript;
