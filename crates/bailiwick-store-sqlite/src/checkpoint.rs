//! Moving the WAL into the database, by a thread of its own: it takes two fsyncs and many writes, for which no commit should
//! have to wait.
//!
//! The thread moves what there is when it begins. Meanwhile the writer goes on, so a little is left; that little the writer
//! moves itself, and then the WAL starts anew.
//!
//! # Invariants
//! - INV-CHECKPOINT-1: what was acknowledged is durable with or without. A checkpoint that fails has moved nothing that
//!   counts: SQLite notes how far it came only after the fsync.
//! - INV-CHECKPOINT-2: the thread has a connection only while the store is well; whoever recovers it takes that away first.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::error::Fault;
use crate::{Options, connect};

/// The state of the WAL, in pages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wal {
    pub(crate) is_busy: bool,
    pub(crate) pages: i64,
    /// How many of these are in the database already.
    pub(crate) moved: i64,
}

/// Runs a checkpoint, or with `NOOP` only looks.
pub(crate) fn wal(conn: &Connection, mode: &str) -> rusqlite::Result<Wal> {
    let mut statement = conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
    statement.query_row([], |row| Ok(Wal { is_busy: row.get(0)?, pages: row.get(1)?, moved: row.get(2)? }))
}

/// The thread, as the writer knows it.
pub(crate) struct Checkpointer {
    shared: Arc<Shared>,
    /// `None` once it is told to end.
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    conn: Mutex<Option<Connection>>,
    has_failed: AtomicBool,
}

impl Checkpointer {
    /// Starts the thread, without a connection.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (wake, woken) = sync_channel(1);
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("store-mover".to_owned()).spawn(move || run(&theirs, &woken))?;
        Ok(Self { shared, wake: Some(wake), thread: Some(thread) })
    }

    /// Gives it a connection.
    pub(crate) fn open(&self, path: &Path, options: &Options) -> rusqlite::Result<()> {
        *self.shared.conn.lock() = Some(connect::writer(path, options)?);
        self.shared.has_failed.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Takes the connection away, as soon as a checkpoint that is under way has ended.
    pub(crate) fn close(&self) {
        if let Some(conn) = self.shared.conn.lock().take() {
            // It must not checkpoint on its way out: the writer does, if it can.
            let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }

    /// Has it move what is in the WAL, if it is not at that already.
    pub(crate) fn wake(&self) {
        if let Some(wake) = &self.wake {
            let _ = wake.try_send(());
        }
    }

    /// Keeps it still for as long as the guard lives.
    pub(crate) fn pause(&self) -> MutexGuard<'_, impl Sized> {
        self.shared.conn.lock()
    }

    /// Whether it has found that the database can no longer be trusted.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.has_failed.load(Ordering::SeqCst)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.close();
    }
}

fn run(shared: &Shared, woken: &Receiver<()>) {
    while woken.recv().is_ok() {
        let guard = shared.conn.lock();
        let Some(conn) = guard.as_ref() else { continue };
        if let Err(error) = wal(conn, "PASSIVE") {
            match Fault::of_commit(error) {
                // There is no room yet. The WAL keeps what it has, and commits fail once it cannot grow either.
                Fault::Data(error) | Fault::Busy(error) => {
                    tracing::warn!(%error, "the write-ahead log cannot be moved into the database")
                }
                Fault::Engine(why) => {
                    tracing::error!(why, "the write-ahead log cannot be moved into the database");
                    shared.has_failed.store(true, Ordering::SeqCst);
                }
            }
        }
    }
}
