//! The ladder (a credential becomes a scope, a scope and a decision become a permit) and the policy engine.
//!
//! This crate is what a reader must believe in order to believe the isolation claim, so it is small: no storage, no
//! network, no clock, no randomness of its own. Besides the prover it is the only crate that names Cedar.
//!
//! ```text
//! CredentialText ── authenticate ──► Verified ──► TenantScope   ── authorize::<A> ──► Permit<A>
//!   (a claim)         (evidence)            └───► OperatorScope ── authorize_operator::<A> ──►┘
//! ```
//!
//! # Invariants
//! - INV-AUTHZ-1: a [`TenantScope`] exists only because a credential of that tenant was verified in this process.
//! - INV-AUTHZ-2: a [`Permit`] exists only because [`Authority::decide`] said yes to this principal, this action and
//!   this resource.
//! - INV-AUTHZ-3: no policy of any tenant or operator outvotes the shipped `isolation` rule.
//! - INV-AUTHZ-4: what cannot be evaluated is denied.
//!
//! # Deliberately absent
//! No way to make a scope or a permit from data: no `Clone`, `Default`, `Deserialize`, `From` and no public field. No
//! "system" principal. No switch that turns a check off.

pub mod analysis;
pub mod authenticate;
pub mod authority;
mod cache;
pub mod compile;
mod entities;
pub mod permit;
pub mod principal;
pub mod roles;
pub mod schema;
pub mod scope;
mod shape;
mod slice;

pub use authenticate::{AuthenticationError, CredentialFacts, SecretVerifier, Verified, authenticate};
pub use authority::{Authority, Decision, Explanation, RequestContext};
pub use cache::Cache;
pub use compile::{CompiledPolicy, Layer, PolicyProblem, compile_policy, restore_policy};
pub use permit::{Permit, Refusal, authorize, authorize_operator};
pub use principal::{PrincipalFacts, PrincipalKind, RoleLink};
pub use roles::{Role, roles};
pub use schema::schema_text;
pub use scope::{OperatorScope, TenantScope, WrongPlane};
