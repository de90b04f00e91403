//! Who carries out what waits for the writer.
//!
//! No thread of its own. Whoever asks for a commit has a turn begun, and that is taken by a thread of the runtime as soon as
//! it has gone once around what else is ready: what those tasks ask for joins the group. A thread of its own would have to be
//! woken for each group, and while the processors are busy the kernel lets it wait for longer than the commit takes. Only
//! what may keep a thread waiting, a slow disk above all, is left to a blocking one.
//!
//! # Invariants
//! - INV-TURN-1: there is one turn at a time, and while anything waits there is one.
//! - INV-TURN-2: what was accepted is carried out, even if the runtime that had the turn ends before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use parking_lot::Mutex;

use crate::writer::Writer;

/// The writer, and whether anybody sees to it.
pub(crate) struct Desk {
    writer: Mutex<Writer>,
    is_seen_to: AtomicBool,
}

impl Desk {
    pub(crate) fn new(writer: Writer) -> Self {
        Self { writer: Mutex::new(writer), is_seen_to: AtomicBool::new(false) }
    }

    /// Has what waits carried out. To be called once it does, by a task of a runtime.
    pub(crate) fn call(self: &Arc<Self>) {
        // Acquire and release: who finds that somebody sees to it has that one see what waits.
        if !self.is_seen_to.swap(true, Ordering::AcqRel) {
            tokio::spawn(Turn { desk: Arc::clone(self) }.take());
        }
    }

    /// Carries out what waits, and closes the database. Nothing can be asked for any more.
    pub(crate) fn close(&self) {
        self.writer.lock().close();
    }
}

/// The right, and the duty, to see to the writer.
struct Turn {
    desk: Arc<Desk>,
}

impl Turn {
    async fn take(self) {
        while self.desk.writer.lock().is_busy() {
            step_back().await;
            let is_long = self.desk.writer.lock().begin();
            if is_long {
                let desk = Arc::clone(&self.desk);
                let done = tokio::task::spawn_blocking(move || desk.writer.lock().go_on()).await;
                // If the runtime has ended before it ran, it is done below.
                if let Some(panic) = done.err().and_then(|error| error.try_into_panic().ok()) {
                    std::panic::resume_unwind(panic);
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // A bug. Who knows what the writer has done: nobody is to wait for it, now or later.
            return self.desk.writer.lock().stop();
        }
        loop {
            // Nothing, unless the runtime has ended.
            self.desk.writer.lock().finish();
            self.desk.is_seen_to.swap(false, Ordering::AcqRel);
            // Who asked in between took this one to be there.
            if !self.desk.writer.lock().is_waited_for() || self.desk.is_seen_to.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}

/// Lets whatever is ready have its turn first. So also who was answered last: the runtime keeps that one for the thread that
/// answered, and no other can take it over while a group is made durable.
///
/// Not `tokio::task::yield_now`: what that puts off, only the thread that did so takes up again, and it may be busy for long
/// while others have nothing to do.
async fn step_back() {
    let mut has_stepped = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut has_stepped, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
