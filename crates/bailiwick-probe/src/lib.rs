//! Continuous verification: the server tries its own isolation, through its own doors, on two tenants of its own.
//!
//! ```text
//! catalogue   every route, and the requests that can be made of it      (the tests' matrix is made from it too)
//! furnish     two canary tenants are filled, and mended after each try
//! trial       one route: foreign and missing compared, the victim looked at, the rightful request as control
//! timing      whether time tells foreign from missing
//! prober      all routes, one after the other, at a configured pace; what was found goes to the board and the ledger
//! ```
//!
//! # Deliberately absent
//! Any way in but the doors: a probe is a request like any other, with a credential. Any tenant but the canaries: the
//! prober has credentials of no other.
#![expect(clippy::indexing_slicing, reason = "JSON at a member that is not there is `null`")]

pub mod catalogue;
mod doors;
mod furnish;
pub mod holdings;
mod prober;
pub mod timing;
mod trial;

pub use doors::{Ask, Doors, Seen};
pub use prober::{Prober, ProberConfig};
