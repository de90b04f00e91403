//! Moves between real stores: what arrives, what is refused, and what an interruption leaves.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod backups;
mod copies;
mod hooked;
mod house;
mod killed;
mod lively;
mod shared;
