//! What the prover promises, with the real cvc5, and with solvers that are not what they should be.
//!
//! These tests need cvc5. Install it with `apt-get install cvc5`, or with `cargo xtask setup`. Without it they fail: a
//! proof that nobody made must not look like one that was.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on says so")]

mod broken;
mod changes;
mod facts;
mod proofs;
mod world;
