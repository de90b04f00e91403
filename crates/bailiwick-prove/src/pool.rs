//! The threads that translate and ask.
//!
//! A call is a list of tasks. Threads take one task of a call, then put the call back at the end of the line, so a long
//! call (a tenant with many policies) does not hold up a short one. A caller waits until its deadline and not longer,
//! whatever the threads and solvers do.
//!
//! A tenant has one call answered at a time, so that it gets no larger a share by asking more often, and a call has one
//! thread fewer than there are: a solver takes seconds over some questions, and no tenant waits for another one's.
//!
//! # Invariants
//! - INV-POOL-1: waiting ends at the deadline. A task that is not done by then has no result.
//! - INV-POOL-2: a task that panics has no result, and its thread goes on.
//! - INV-POOL-3: of several threads, one call never has all.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bailiwick_types::TenantId;
use parking_lot::{Condvar, Mutex};

use crate::why::Why;
use crate::worker::{Setup, Worker};

/// Calls of one tenant that wait while one of it is answered. Each holds a thread of its caller's.
const WAITING_PER_TENANT_MAX: usize = 8;
/// Symbolic terms are trees, and walking and dropping them recurses. Reserved, not used.
const STACK_BYTES: usize = 256 * 1_048_576;
/// How far proving steps back behind requests.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

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
    callers: Mutex<Callers>,
    left: Condvar,
}

type Callers = HashMap<TenantId, Standing>;

/// A tenant's callers.
#[derive(Debug, Default)]
struct Standing {
    is_answered: bool,
    waiting: usize,
}

impl Pool {
    pub(crate) fn new(setup: Arc<Setup>, size: usize) -> Self {
        Self {
            shared: Arc::default(),
            setup,
            size: size.max(1),
            started: Mutex::new(false),
            callers: Mutex::default(),
            left: Condvar::new(),
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
        let _place = self.enter(tenant, deadline)?;
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
            // As many times as threads may take part.
            let share = self.size.saturating_sub(1).max(1);
            line.calls.extend((0..share.min(count)).map(|_| Arc::clone(&call)));
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

    /// Waits until no other call of the tenant is being answered.
    fn enter(&self, tenant: TenantId, deadline: Instant) -> Result<Place<'_>, Why> {
        let mut callers = self.callers.lock();
        if callers.get(&tenant).is_some_and(|standing| standing.waiting >= WAITING_PER_TENANT_MAX) {
            return Err(Why::Busy);
        }
        callers.entry(tenant).or_default().waiting += 1;
        let mut is_late = false;
        while !is_late && callers.get(&tenant).is_some_and(|standing| standing.is_answered) {
            is_late = self.left.wait_until(&mut callers, deadline).timed_out();
        }
        let standing = callers.entry(tenant).or_default();
        standing.waiting = standing.waiting.saturating_sub(1);
        if standing.is_answered {
            return Err(Why::TimedOut);
        }
        standing.is_answered = true;
        Ok(Place { pool: self, tenant })
    }
}

struct Results<T> {
    values: Vec<Option<T>>,
    finished: usize,
}

/// A tenant's call that is being answered.
struct Place<'p> {
    pool: &'p Pool,
    tenant: TenantId,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut callers = self.pool.callers.lock();
        if let Some(standing) = callers.get_mut(&self.tenant) {
            standing.is_answered = false;
            if standing.waiting == 0 {
                callers.remove(&self.tenant);
            }
        }
        self.pool.left.notify_all();
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
    // Of this thread only, and of the solvers that it starts: requests that are served come first. It need not succeed.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICENESS);
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;

    fn pool() -> Pool {
        let setup = Setup { path: PathBuf::from("cvc5"), limit: Duration::from_secs(1), version: Mutex::new(None) };
        Pool::new(Arc::new(setup), 2)
    }

    const ACME: TenantId = TenantId::from_bytes([1; 16]);
    const ZETA: TenantId = TenantId::from_bytes([2; 16]);

    #[test]
    fn what_panics_or_is_late_has_no_result_and_the_rest_has() {
        let pool = pool();
        let soon = Instant::now() + Duration::from_secs(30);
        let found = pool.run(ACME, 5, soon, |_, at| if at == 3 { panic!("as it should") } else { at * 2 }).unwrap();
        assert_eq!(found, [Some(0), Some(2), Some(4), None, Some(8)]);
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let stuck =
            pool.run(ACME, 1, Instant::now() + Duration::from_millis(20), move |_, _| gate.lock().recv().is_ok());
        assert_eq!(stuck.unwrap(), [None]);
        // One thread is held up; the other one works.
        assert_eq!(pool.run(ACME, 2, soon, |_, at| at).unwrap(), [Some(0), Some(1)]);
        drop(open);
    }

    #[test]
    fn a_call_leaves_a_thread_for_another_tenant() {
        let pool = pool();
        let soon = Instant::now() + Duration::from_secs(30);
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let (began, begun) = std::sync::mpsc::channel();
        std::thread::scope(|threads| {
            let task = move |_: &mut Worker, _| {
                let _ = began.send(());
                gate.lock().recv().is_ok()
            };
            let held_up = threads.spawn(|| pool.run(ACME, 3, soon, task));
            begun.recv().unwrap();
            assert_eq!(pool.run(ZETA, 2, soon, |_, at| at).unwrap(), [Some(0), Some(1)]);
            // One of the three has begun, the others have not.
            assert!(begun.try_recv().is_err());
            drop(open);
            assert_eq!(held_up.join().unwrap().unwrap(), [Some(false); 3]);
        });
    }

    #[test]
    fn a_tenant_waits_for_itself_and_for_nobody_else() {
        let pool = pool();
        let soon = Instant::now() + Duration::from_secs(30);
        let place = pool.enter(ACME, soon).unwrap();
        assert_eq!(pool.enter(ACME, Instant::now()).err(), Some(Why::TimedOut));
        drop(pool.enter(ZETA, soon).unwrap());
        std::thread::scope(|threads| {
            let waiting: Vec<_> =
                (0..WAITING_PER_TENANT_MAX).map(|_| threads.spawn(|| pool.enter(ACME, soon).map(drop))).collect();
            while pool.callers.lock().get(&ACME).map(|standing| standing.waiting) != Some(WAITING_PER_TENANT_MAX) {
                std::thread::yield_now();
            }
            assert_eq!(pool.enter(ACME, soon).err(), Some(Why::Busy));
            drop(place);
            assert!(waiting.into_iter().all(|each| each.join().unwrap() == Ok(())));
        });
        assert!(pool.callers.lock().is_empty());
    }
}
