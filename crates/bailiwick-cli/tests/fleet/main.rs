//! Several `bailiwick serve` on one PostgreSQL: what one of them promised holds on all of them, whatever breaks.
//!
//! Everything is real: the built binary, a cluster of its own for each test, a standby, a pooler, a load balancer (see
//! `bailiwick-pgkit`). What is judged is what clients were told, and what the ledger says afterwards; nothing looks into a
//! node or into the database.
//!
//! Each test prints its seed; `BAILIWICK_FLEET_SEED` repeats it as far as several processes can be repeated, and
//! `BAILIWICK_FLEET_ROUNDS` says how many times as long to go on.
//!
//! # Deliberately absent
//! A time that something must not exceed, other than what is promised (an answer in bounded time): these tests run on
//! machines that are busy.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

mod ambiguous;
mod budget;
mod caller;
mod contention;
mod dice;
mod faults;
mod fleet;
mod node;
mod paused;
mod races;
mod record;
mod revocation;
mod rights;
mod rolling;
mod tenant;
mod work;
