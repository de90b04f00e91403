//! The use cases of Bailiwick, one module per noun, on one kernel.
//!
//! A request enters through [`App::run`] (tenant plane) or [`App::run_platform`] (operators) with a use case as its
//! value, and leaves as an [`Answer`], which only a durable commit makes. See `tx` for the ladder.
//!
//! # Deliberately absent
//! No HTTP, no SQL, no Cedar; no method that returns a tenant's contents to an operator.

pub mod accounts;
mod app;
pub mod attestation;
mod canary;
mod credentials;
mod error;
mod export;
mod fair;
mod fleet;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
pub mod installation;
pub mod invariants;
pub mod isolation;
mod jobs;
pub mod keyring;
pub mod ledger;
pub mod members;
mod merge;
pub mod metrics;
pub mod mounts;
pub mod operators;
mod page;
pub mod policies;
mod probing;
mod prove;
mod records;
pub mod recovery;
pub mod relocation;
mod request;
pub mod secrets;
mod snapshot;
mod snapshots;
mod state;
pub mod tenants;
mod time;
mod turns;
mod tx;
mod validate;
pub mod whoami;

pub use app::{App, AppConfig, PlatformUseCase, UseCase};
pub use canary::{CANARY_SLUGS, Canaries, Canary, CanaryState};
pub use error::AppError;
pub use export::Export;
pub use fair::{Load, Places};
pub use fleet::RootSource;
pub use page::PageRequest;
pub use probing::Turn;
pub use prove::{NoProver, Prover};
pub use request::{Door, Idempotency, RequestMeta};
pub use turns::{Payer, TurnsConfig, Work};
pub use tx::{Answer, PlatformTx, Reply, TenantTx};
