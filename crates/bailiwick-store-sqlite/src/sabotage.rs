//! Failures on order, for the tests of recovery. There is no such thing in a release build.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::ffi;

use crate::error::Fault;

/// How often each step is still to fail.
#[derive(Default)]
pub(crate) struct Sabotage {
    pub(crate) before_commit: AtomicU32,
    pub(crate) after_commit: AtomicU32,
    pub(crate) settling: AtomicU32,
    pub(crate) room: AtomicU32,
    pub(crate) reopen: AtomicU32,
    pub(crate) panic: AtomicU32,
    pub(crate) panic_later: AtomicU32,
    /// What happens once between the answers and what comes after them.
    pub(crate) tidying: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// How many milliseconds longer each COMMIT takes.
    pub(crate) slowness: AtomicU32,
    /// Who did the last one.
    pub(crate) committed_by: Mutex<Option<ThreadId>>,
}

fn strikes(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

impl Sabotage {
    /// Nothing has reached the WAL.
    pub(crate) fn before_commit(&self) -> Result<(), Fault> {
        assert!(!strikes(&self.panic), "sabotage");
        if strikes(&self.before_commit) { Err(Fault::Engine("sabotage before COMMIT".to_owned())) } else { Ok(()) }
    }

    /// Everything is in the WAL, yet fsync is said to have failed.
    pub(crate) fn after_commit(&self) -> Result<(), Fault> {
        if strikes(&self.after_commit) { Err(Fault::Engine("sabotage after COMMIT".to_owned())) } else { Ok(()) }
    }

    /// The disk takes its time.
    pub(crate) fn committing(&self) {
        std::thread::sleep(Duration::from_millis(self.slowness.load(Ordering::SeqCst).into()));
        *self.committed_by.lock() = Some(std::thread::current().id());
    }

    /// Where no panic is expected.
    pub(crate) fn before_tidying(&self) {
        assert!(!strikes(&self.panic_later), "sabotage");
        if let Some(happens) = self.tidying.lock().take() {
            happens();
        }
    }

    /// A slice was moved out of the log, and is not committed.
    pub(crate) fn before_settling(&self) -> Result<(), Fault> {
        if strikes(&self.room) {
            return Err(Fault::Data(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None)));
        }
        if strikes(&self.settling) { Err(Fault::Engine("sabotage before settling".to_owned())) } else { Ok(()) }
    }

    /// The disk is still away.
    pub(crate) fn reopen(&self) -> Result<(), String> {
        if strikes(&self.reopen) { Err("sabotage of recovery".to_owned()) } else { Ok(()) }
    }
}
