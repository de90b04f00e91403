//! Worlds for tests: a whole server in this process, with two tenants that hold things of the same names, under an
//! injected clock and injected randomness.
//!
//! ```no_run
//! let world = bailiwick_testkit::World::two_tenants();
//! for (actor, victim) in world.both_ways() {
//!     let answer = world.get(&actor.owner, &format!("/api/v1/t/{}/accounts", victim.slug));
//!     assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
//! }
//! ```
//!
//! # Deliberately absent
//! Any way into the server but its doors; what else a world can do is look at what is stored ([`World::stored`]). Never
//! in a release graph.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a world that cannot be made fails the test that wants it"
)]

mod build;
mod clock;
pub mod fuzzing;
mod observed;
mod random;
mod request;
mod world;

pub use bailiwick_probe::catalogue::ANONYMOUS;
pub use bailiwick_probe::holdings::{Account, Key, Platform, Principal, Tenant, names};
pub use clock::TestClock;
pub use observed::Operation;
pub use random::SeededRandom;
pub use request::{Answer, Request, hide_request_id, hide_sealed_keys};
pub use world::{Plane, Stored, World, WorldOptions};
