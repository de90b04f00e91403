//! The vocabulary of Bailiwick: ids, names, time, limits, the action table and the shapes of the native API.
//!
//! # Invariants
//! - INV-TYPES-1: every value that comes from outside is parsed into one of these types exactly once, at the door.
//! - INV-TYPES-2: [`Action`] is the only list of actions; the Cedar schema, the route table, the ledger and
//!   the isolation matrix are all generated from it.
//!
//! # Deliberately absent
//! No I/O, no async, no ambient clock, no ambient randomness.

pub mod action;
pub mod api;
mod base32;
pub mod credential;
pub mod error;
pub mod id;
pub mod limits;
pub mod name;
pub mod random;
pub mod recipient;
pub mod resource;
pub mod secret;
pub mod source;
pub mod time;

pub use action::{Action, ActionType, Plane, Sensitivity};
pub use credential::{CredentialText, CredentialTextError};
pub use error::{Code, ErrorClass};
pub use id::{
    AccountId, BindingId, CredentialId, IdError, InstallationId, MemberId, MountId, OperatorId, RequestId, TenantId,
};
pub use limits::{Limit, Limits};
pub use name::{MountName, NameError, PolicyName, SecretPath, Slug};
pub use random::Random;
pub use recipient::{Recipient, RecipientError};
pub use resource::{Resource, ResourceKind};
pub use secret::Secret;
pub use source::Source;
pub use time::{Clock, Timestamp};
