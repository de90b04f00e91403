//! The load generator: what `bailiwick bench` and `cargo xtask bench` measure with, and what they send.
//!
//! A [`Plan`] says what to send, [`drive`] sends it from one thread, and a [`Run`] is what that has shown. What a tenant
//! asks ([`Tenant`]) is written down here too, so that a user's numbers and the documented ones are of the same requests.
//!
//! # Invariants
//! - INV-LOAD-1: every answer's status is looked at, and every answer of the first cycle is searched for the text that it
//!   must hold. What was wrong is in the [`Run`]; whether that makes it worthless is the caller's decision.
//! - INV-LOAD-2: numbers are of the window after the warm-up only; what was answered wrongly counts whenever it comes.
//!
//! # Deliberately absent
//! Arrivals at a fixed rate: a closed loop waits for a slow server, so its latencies are those of as many patient clients
//! as there are connections. Repeating what failed, cookies, redirects, HTTP/2. A decision about whom to trust or where a
//! credential may go: whoever hands over a [`Transport`] has taken it.

mod drive;
mod error;
pub mod http;
mod plan;
mod ready;
pub mod respond;
mod wire;
mod work;

pub use drive::{Means, drive};
pub use error::LoadError;
pub use plan::{Plan, Request, Run, Until};
pub use wire::Transport;
pub use work::{
    FLOOD_CONNECTIONS, FLOOD_REFUSALS, FLOOD_RISE, QUIET_CONNECTIONS, QUIET_REST, SECRETS, Tenant, creation,
};
