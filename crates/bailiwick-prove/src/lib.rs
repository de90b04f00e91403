//! Proofs about policies: what holds for *every* request, and a request that shows it where something does not.
//!
//! The policies that decide are translated to logic (Cedar's SymCC) and a solver, cvc5, which runs as a process of its
//! own, is asked for a request that breaks a property. If there is none, the property is proved.
//!
//! # What is claimed
//! Of the requests of one tenant's principals (or, for the platform, of operators and of every tenant's principals):
//! - **isolation**: whatever is allowed is on the principal's own tenant;
//! - **each guardrail**: nothing that it forbids is allowed;
//! - **each invariant**: nothing is allowed that the invariant does not allow.
//!
//! Roles are not looked at one by one. A role is a template, and which roles are bound changes without asking here; so in
//! their place stands one policy that permits everything to everybody. Whatever a role allows, now or after the next
//! binding, that policy allows too, and what is proved with it stays true whatever is bound. An invariant that
//! [covers](bailiwick_types::api::proof::Covers) `policies` leaves roles aside, and says so.
//!
//! For the platform the same policy also stands for whatever any tenant writes.
//!
//! Requests are quantified over everything that the schema can express and [`facts`] does not rule out: that is more
//! than the product ever asks, so what is proved holds for what it asks.
//!
//! # Invariants
//! - INV-PROVE-1: `Proved` is said only if the solver answered `unsat` to the question in full, or the question fell
//!   together to `false` when it was translated and a solver was there. A solver that is missing, crashes, hangs, is
//!   killed or answers something else makes `Unproven`, with the reason, in bounded time.
//! - INV-PROVE-2: a counterexample is evaluated by Cedar's own authorizer and shown only if it comes out as claimed. If
//!   not, the answer is `Unproven`.
//! - INV-PROVE-3: what was proved for one tenant is never looked up for another.
//! - INV-PROVE-4: nothing here decides a request. Without this crate decisions are the same.
//!
//! # Deliberately absent
//! No trust in the solver's time keeping, no shared cache, no network. The soundness of cvc5 and of SymCC's encoding is
//! assumed; random requests, evaluated by Cedar's authorizer, are held against every property that is called proved.

mod cache;
mod child;
mod diff;
mod environment;
mod example;
pub mod facts;
mod pool;
mod properties;
mod prover;
mod random;
mod statement;
mod why;
mod worker;

pub use prover::{Prover, ProverConfig};
