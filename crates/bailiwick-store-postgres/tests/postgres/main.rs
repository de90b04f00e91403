//! The engine against a real server: the port's suite, the crimes that row-level security must stop, migrations, what makes
//! a database too weak, two nodes at once, and broken wires.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod conformance;
mod crimes;
mod fence;
mod house;
mod migrations;
mod nodes;
