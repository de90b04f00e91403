//! What can go wrong in a store.

use bailiwick_types::TenantId;

use crate::record::Space;

/// A read that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine cannot answer now. The text is for the operator's log, not for callers.
    #[error("storage unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be what was written. The text is for the operator's log.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
}

/// A commit that was not applied.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// An epoch has moved on: decide again, from authentication.
    #[error("the epoch of {tenant} has moved on")]
    Stale {
        /// Whose epoch.
        tenant: TenantId,
    },
    /// Records have changed since they were seen: look again.
    #[error("records of {tenant} have changed since they were seen")]
    Outdated {
        /// Whose records.
        tenant: TenantId,
    },
    /// A record, or the tenant's meta (`space` is `None`), is not at the expected version.
    #[error("a record is not at the expected version")]
    Conflict {
        /// Where.
        space: Option<Space>,
    },
    /// A space is full.
    #[error("{space:?} already holds {max} records")]
    Full {
        /// Which.
        space: Space,
        /// The limit.
        max: u64,
    },
    /// The slug is, or was, another tenant's.
    #[error("the slug is taken")]
    SlugTaken,
    /// The id is, or was, another tenant's.
    #[error("the tenant id is taken")]
    TenantExists,
    /// The tenant does not exist.
    #[error("no such tenant")]
    NoSuchTenant,
    /// The engine could not make it durable. It is not applied, unless the engine says so later by itself: whoever
    /// retries must be prepared to find it.
    #[error("storage unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be what was written.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
}

impl From<StoreError> for CommitError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => Self::Unavailable(why),
            StoreError::Damaged(why) => Self::Damaged(why),
        }
    }
}
