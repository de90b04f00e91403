//! What the ladder and the policy engine promise, through their public interface.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on says so")]

mod depth;
mod ladder;
mod policy;
mod roles;
mod schema;
mod slicing;
mod world;
