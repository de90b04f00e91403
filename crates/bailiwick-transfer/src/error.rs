//! What can go wrong on the way.

use bailiwick_store::{CommitError, StoreError};
use bailiwick_types::{ErrorClass, TenantId};

/// A move that did not happen, or not to its end. What is in the target is closed or complete either way, and the same move
/// goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The source cannot be read.
    #[error("cannot read the source: {0}")]
    Source(StoreError),
    /// The target cannot be read.
    #[error("cannot read the target: {0}")]
    Target(StoreError),
    /// The target did not take a commit.
    #[error("the target refused {what}: {error}")]
    Commit {
        /// Of what.
        what: String,
        /// Why.
        error: CommitError,
    },
    /// There is nothing to move.
    #[error("the source holds no installation")]
    Empty,
    /// The target is not empty, and not a part of what is being moved.
    #[error("the target holds something else: {0}")]
    Foreign(String),
    /// A tenant is written to faster than it can be read.
    #[error("{0} kept changing while it was read")]
    Moving(String),
    /// The installation's own record changed while tenants were read.
    #[error("the installation's own record changed meanwhile")]
    KeysMoved,
    /// What was read twice, or on two sides, is not the same.
    #[error("{who}: {what}")]
    Differs {
        /// Whose.
        who: String,
        /// What.
        what: String,
    },
    /// A backup file is not whole, was changed, or is none.
    #[error("{0}")]
    File(String),
    /// The file system refused.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A part of the work ended without saying how.
    #[error("a task of the move stopped: {0}")]
    Stopped(String),
}

impl TransferError {
    /// How grave it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Source(error) | Self::Target(error) => match error {
                StoreError::Unavailable(_) => ErrorClass::Busy,
                StoreError::Damaged(_) => ErrorClass::Fault,
            },
            Self::Commit { error, .. } => match error {
                CommitError::Unavailable(_) => ErrorClass::Busy,
                CommitError::Damaged(_) => ErrorClass::Fault,
                _ => ErrorClass::Conflict,
            },
            Self::Moving(_) | Self::KeysMoved => ErrorClass::Busy,
            Self::Empty => ErrorClass::Absent,
            Self::Foreign(_) | Self::Differs { .. } => ErrorClass::Conflict,
            Self::File(_) | Self::Io(_) => ErrorClass::Invalid,
            Self::Stopped(_) => ErrorClass::Fault,
        }
    }

    /// A stable word for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(_) => "source_unreadable",
            Self::Target(_) => "target_unreadable",
            Self::Commit { .. } => "target_refused",
            Self::Empty => "source_empty",
            Self::Foreign(_) => "target_foreign",
            Self::Moving(_) | Self::KeysMoved => "source_moving",
            Self::Differs { .. } => "not_equal",
            Self::File(_) => "backup_invalid",
            Self::Io(_) => "file",
            Self::Stopped(_) => "stopped",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Commit { .. } | Self::Stopped(_) => "run the same command again: it goes on from what is there",
            Self::Foreign(_) => "give an empty target",
            Self::Moving(_) => "try at a quieter time, or stop the servers",
            Self::KeysMoved => "a root key was being rotated: run the same command again",
            Self::File(_) => "take another copy of the backup; nothing was written",
            Self::Source(_) | Self::Target(_) | Self::Empty | Self::Differs { .. } | Self::Io(_) => return None,
        })
    }

    pub(crate) fn differs(who: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Differs { who: who.into(), what: what.into() }
    }
}

/// A tenant for people.
pub(crate) fn named(tenant: TenantId, slug: &str) -> String {
    if tenant.is_platform() { "the platform".to_owned() } else { format!("tenant `{slug}`") }
}
