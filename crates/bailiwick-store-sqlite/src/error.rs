//! What SQLite's errors mean here: whose fault a failure is decides who suffers from it.

use std::path::PathBuf;

use bailiwick_store::{CommitError, StoreError};
use rusqlite::ErrorCode;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server, or another store in this process, has it open.
    #[error("`{}` is in use by another server", .path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// It was written by a newer release.
    #[error("the database has schema version {found}, this release knows up to {known}")]
    Newer {
        /// Its version.
        found: u32,
        /// The newest that this build knows.
        known: u32,
    },
    /// It was last written by an older release, and whoever only reads it cannot bring it up to date.
    #[error(
        "the database has schema version {found}, this release reads {known}: start a server of this release on it once"
    )]
    Older {
        /// Its version.
        found: u32,
        /// The one that this build reads.
        known: u32,
    },
    /// It is a SQLite database, but not one of ours.
    #[error("the file is a database of another program")]
    Foreign,
    /// The file system refused.
    #[error("`{}`: {error}", .path.display())]
    Io {
        /// What was being opened.
        path: PathBuf,
        /// Why it was not.
        error: std::io::Error,
    },
    /// SQLite refused.
    #[error("the database cannot be opened: {0}")]
    Engine(String),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

/// Why a request to the writer had no effect.
#[derive(Debug)]
pub(crate) enum Fail {
    /// An expectation does not hold. Nothing was written for this request; the rest of its group is not concerned.
    Refused(CommitError),
    /// A statement failed. The transaction has to be rolled back.
    Statement(rusqlite::Error),
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Statement(error)
    }
}

impl From<CommitError> for Fail {
    fn from(error: CommitError) -> Self {
        Self::Refused(error)
    }
}

/// Why a group of requests had no effect.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Something in the group, or the space that it needs: smaller groups may pass.
    Data(rusqlite::Error),
    /// Some other program has the database. Nothing was done, and nothing is wrong with it.
    Busy(rusqlite::Error),
    /// The file can no longer be trusted to be what the connection believes. Nothing may be acknowledged before it
    /// was opened again and WAL recovery has decided what is in it.
    Engine(String),
}

impl Fault {
    /// The fault that a transaction is which cannot begin.
    pub(crate) fn of_begin(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => Self::Busy(error),
            _ => Self::Engine(error.to_string()),
        }
    }

    /// The fault that a failed statement is.
    pub(crate) fn of_statement(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::InternalMalfunction
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::ApiMisuse,
            ) => Self::Engine(error.to_string()),
            _ => Self::Data(error),
        }
    }

    /// The fault that a failed COMMIT is. A full disk is said before anything is written to it in part that counts;
    /// whatever else went wrong may have gone wrong in fsync.
    pub(crate) fn of_commit(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Data(error),
            _ => Self::Engine(error.to_string()),
        }
    }

    /// What the callers are told.
    pub(crate) fn answer(&self) -> CommitError {
        match self {
            Self::Data(error) | Self::Busy(error) => of_read(error).into(),
            Self::Engine(why) => CommitError::Unavailable(why.clone()),
        }
    }
}

/// A failed read.
pub(crate) fn of_read(error: &rusqlite::Error) -> StoreError {
    let is_damage = match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => true,
        // A constraint that fails although the request was checked: the rows contradict each other.
        _ => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation)
        ),
    };
    if is_damage { StoreError::Damaged(error.to_string()) } else { StoreError::Unavailable(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    fn failure(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    fn is_engine(fault: &Fault) -> bool {
        matches!(fault, Fault::Engine(_)) && matches!(fault.answer(), CommitError::Unavailable(_))
    }

    #[test]
    fn whatever_may_have_gone_wrong_in_the_file_is_the_engines_fault() {
        for code in [
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_LOCKED,
            ffi::SQLITE_PROTOCOL,
            ffi::SQLITE_INTERNAL,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_PERM,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_MISUSE,
        ] {
            assert!(is_engine(&Fault::of_statement(failure(code))), "{code}");
            assert!(is_engine(&Fault::of_commit(failure(code))), "{code}");
        }
        for code in [ffi::SQLITE_FULL, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_TOOBIG, ffi::SQLITE_CORRUPT] {
            assert!(matches!(Fault::of_statement(failure(code)), Fault::Data(_)), "{code}");
            assert_eq!(matches!(Fault::of_commit(failure(code)), Fault::Data(_)), code == ffi::SQLITE_FULL, "{code}");
        }
    }

    #[test]
    fn to_have_to_wait_for_another_program_is_no_fault_of_the_file() {
        let busy = Fault::of_begin(failure(ffi::SQLITE_BUSY));
        assert!(matches!(busy, Fault::Busy(_)) && matches!(busy.answer(), CommitError::Unavailable(_)));
        for code in [ffi::SQLITE_IOERR, ffi::SQLITE_LOCKED, ffi::SQLITE_FULL, ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB] {
            assert!(is_engine(&Fault::of_begin(failure(code))), "{code}");
        }
    }

    #[test]
    fn what_cannot_be_what_was_written_is_damage() {
        let damage = |error: &rusqlite::Error| matches!(of_read(error), StoreError::Damaged(_));
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_NOTADB, ffi::SQLITE_CONSTRAINT] {
            assert!(damage(&failure(code)), "{code}");
        }
        assert!(damage(&rusqlite::Error::IntegralValueOutOfRange(0, 7)));
        assert!(!damage(&failure(ffi::SQLITE_IOERR)) && !damage(&failure(ffi::SQLITE_FULL)));
    }
}
