//! The threads that translate and ask.
//!
//! A call is a list of tasks. Threads take one task of a call, then put the call back at the end of the line, so a long
//! call (a tenant with many policies) does not hold up a short one. A caller waits until its deadline and not longer,
//! whatever the threads and solvers do.
//!
//! # Invariants
//! - INV-POOL-1: waiting ends at the deadline. A task that is not done by then has no result.
//! - INV-POOL-2: a task that panics has no result, and its thread goes on.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bailiwick_types::TenantId;
use parking_lot::{Condvar, Mutex};

use crate::why::Why;
use crate::worker::{Setup, Worker};

/// Calls of one tenant at the same time.
const CALLS_PER_TENANT_MAX: usize = 4;
/// Symbolic terms are trees, and walking and dropping them recurses. Reserved, not used.
const STACK_BYTES: usize = 256 * 1_048_576;

type Task = dyn Fn(&mut Worker, usize) + Send + Sync;

/// Tasks that somebody waits for.
struct Call {
    task: Box<Task>,
    count: usize,
    next: AtomicUsize,
    is_given_up: AtomicBool,
}

#[derive(Default)]
struct Line {
    calls: VecDeque<Arc<Call>>,
    is_closed: bool,
}

#[derive(Default)]
struct Shared {
    line: Mutex<Line>,
    arrived: Condvar,
}

/// The threads. They end when this is dropped and their present task is done; their solvers with them.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    setup: Arc<Setup>,
    size: usize,
    started: Mutex<bool>,
    callers: Mutex<HashMap<TenantId, usize>>,
}

impl Pool {
    pub(crate) fn new(setup: Arc<Setup>, size: usize) -> Self {
        Self {
            shared: Arc::default(),
            setup,
            size: size.max(1),
            started: Mutex::new(false),
            callers: Mutex::new(HashMap::new()),
        }
    }

    /// Threads, and then solvers, come with the first question: a server that is never asked has none.
    fn start(&self) -> std::io::Result<()> {
        let mut started = self.started.lock();
        if *started {
            return Ok(());
        }
        for at in 0..self.size {
            let (shared, setup) = (Arc::clone(&self.shared), Arc::clone(&self.setup));
            std::thread::Builder::new()
                .name(format!("prove-{at}"))
                .stack_size(STACK_BYTES)
                .spawn(move || work(&shared, setup))?;
        }
        *started = true;
        Ok(())
    }

    /// Runs `task` for each number below `count`. `None` where it was not done by the deadline.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        tenant: TenantId,
        count: usize,
        deadline: Instant,
        task: impl Fn(&mut Worker, usize) -> T + Send + Sync + 'static,
    ) -> Result<Vec<Option<T>>, Why> {
        let _place = self.enter(tenant)?;
        self.start().map_err(|_| Why::Busy)?;
        let results: Arc<(Mutex<Results<T>>, Condvar)> =
            Arc::new((Mutex::new(Results { values: (0..count).map(|_| None).collect(), finished: 0 }), Condvar::new()));
        let there = Arc::clone(&results);
        let call = Arc::new(Call {
            task: Box::new(move |worker, at| {
                let value = catch_unwind(AssertUnwindSafe(|| task(worker, at))).ok();
                let (results, finished) = &*there;
                let mut results = results.lock();
                if let Some(place) = results.values.get_mut(at) {
                    *place = value;
                }
                results.finished += 1;
                finished.notify_all();
            }),
            count,
            next: AtomicUsize::new(0),
            is_given_up: AtomicBool::new(false),
        });
        {
            let mut line = self.shared.line.lock();
            // As many times as there are threads, so that all of them can take part.
            line.calls.extend((0..self.size.min(count)).map(|_| Arc::clone(&call)));
        }
        self.shared.arrived.notify_all();
        let (results, finished) = &*results;
        let mut results = results.lock();
        while results.finished < count {
            if finished.wait_until(&mut results, deadline).timed_out() {
                break;
            }
        }
        call.is_given_up.store(true, Ordering::Relaxed);
        Ok(results.values.iter_mut().map(Option::take).collect())
    }

    fn enter(&self, tenant: TenantId) -> Result<Place<'_>, Why> {
        let mut callers = self.callers.lock();
        let count = callers.entry(tenant).or_insert(0);
        if *count >= CALLS_PER_TENANT_MAX {
            return Err(Why::Busy);
        }
        *count += 1;
        Ok(Place { pool: self, tenant })
    }
}

struct Results<T> {
    values: Vec<Option<T>>,
    finished: usize,
}

/// One of a tenant's calls.
struct Place<'p> {
    pool: &'p Pool,
    tenant: TenantId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut callers = self.pool.callers.lock();
        if let Some(count) = callers.get_mut(&self.tenant) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                callers.remove(&self.tenant);
            }
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut line = self.shared.line.lock();
        line.is_closed = true;
        line.calls.clear();
        self.shared.arrived.notify_all();
    }
}

fn work(shared: &Shared, setup: Arc<Setup>) {
    let Ok(mut worker) = Worker::new(setup) else { return };
    while let Some(call) = next(shared) {
        let at = call.next.fetch_add(1, Ordering::Relaxed);
        if at >= call.count || call.is_given_up.load(Ordering::Relaxed) {
            continue;
        }
        (call.task)(&mut worker, at);
        let mut line = shared.line.lock();
        if !line.is_closed {
            line.calls.push_back(call);
        }
    }
}

fn next(shared: &Shared) -> Option<Arc<Call>> {
    let mut line = shared.line.lock();
    loop {
        if line.is_closed {
            return None;
        }
        if let Some(call) = line.calls.pop_front() {
            return Some(call);
        }
        shared.arrived.wait(&mut line);
    }
}
