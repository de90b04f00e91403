//! The doors: HTTP on one side, use cases on the other, and one route table between them.
//!
//! # Deliberately absent
//! No decision is made here: who may do what is `bailiwick-authz`'s, what happens is `bailiwick-app`'s. A handler turns
//! bytes into a use case and an [`bailiwick_app::Answer`] into bytes.

mod bodies;
mod call;
#[doc(hidden)]
pub mod fuzzing;
mod json;
mod native;
pub mod openapi;
mod operations;
mod places;
mod reply;
mod route;
mod serve;
mod server;
mod shares;
mod stream;
mod vault;

pub use bodies::RequestBody;
pub use reply::Body;
pub use route::{Access, DoorKind, Query, Route};
pub use serve::{Drain, serve};
pub use server::{HttpConfig, Server, attested_routes, routes};
