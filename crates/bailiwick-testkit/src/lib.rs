//! Worlds for tests: a whole server in this process with two tenants that hold things of the same names, under an
//! injected clock and injected randomness.
//!
//! Never in a release graph.

mod clock;
mod random;

pub use clock::TestClock;
pub use random::SeededRandom;
