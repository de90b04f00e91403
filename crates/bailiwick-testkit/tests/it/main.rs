//! The isolation tests of the whole product: one binary, one file for each subject.
//!
//! All of them go through the doors, in process; none opens a socket, sleeps, or needs anything installed.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on says so"
)]

mod attestations;
mod bundles;
mod clocks;
mod fleet;
mod flood;
mod foreign;
mod fuzz;
mod input;
mod interference;
mod limits;
mod matrix;
mod probe;
mod proofs;
mod relocation;
mod rotation;
mod routes;
mod search;
mod tenancy;
mod unread;
mod vault;
