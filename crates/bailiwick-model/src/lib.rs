//! The revocation protocol, small enough that a machine can try every order of events.
//!
//! Several nodes with caches of their own answer clients over one store. A revocation arrives while requests are under
//! way; answers get lost, nodes crash, commits are applied late. [`Protocol`] is that world; its steps carry the names of the
//! functions that take them in the product ([`PLACES`], which a test compares with the source), and `stateright` visits every
//! state that can be reached.
//!
//! # Invariants (of the model, checked in every state)
//! - [`property::REVOKED`]: nothing decided before a revocation is durable, or answered, after it.
//! - [`property::ENTRY`]: whoever was told of a success has an entry.
//! - [`property::ONCE`]: no request has two entries, and no `Idempotency-Key` two effects.
//! - [`property::REFUSED`]: nobody is refused as revoked who was not.
//! - [`property::PROGRESS`]: the revocation is answered in the end, whatever was lost on the way.
//!
//! # Deliberately absent
//! Contents, cryptography, policy evaluation: here a decision is one bit, read from the store, cached, and possibly old. Other
//! tenants: each has an epoch of its own, and what is shared (the platform's epoch) is here. Time: revocation must not rest
//! on it. Rate limits and failed logins: their entries carry no decision. A store that loses what it has acknowledged: that
//! is what the conformance suite and the crash tests are for. Nothing of the product depends on this crate.

pub mod property;
mod protocol;
mod state;
mod step;

pub use protocol::{Mutation, Protocol, Revocation};
pub use state::{
    Commit, Durable, Entry, Epochs, Errand, Kind, Node, Outcome, Reply, Request, RequestId, Stage, State, Told, Wants,
};
pub use step::{PLACES, Step};
