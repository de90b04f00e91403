//! Who writes when: commits of many tenants share a transaction, and no tenant is in two of them at once.
//!
//! There is no timer: while groups are being made durable the next ones gather.
//!
//! # Invariants
//! - INV-DISPATCH-1: a tenant's row is in at most one of this node's transactions. What comes for it meanwhile is parked, and
//!   comes along with the next.
//! - INV-DISPATCH-2: whoever needs a row that another node holds waits on a connection of its own kind, so that nobody else
//!   waits behind it.
//!
//! # Deliberately absent
//! No skipping of requests whose caller has gone: a refused attempt stays evidence even if the attacker hangs up.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bailiwick_types::TenantId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Shared;
use crate::lane::{self, Job, Patience};

/// The most commits of one transaction.
const GROUP_MAX: usize = 512;
/// About the most bytes of one transaction.
const GROUP_BYTES_MAX: usize = 8 << 20;

/// A lane that has done its group.
struct Done {
    tenants: Vec<TenantId>,
    held: Vec<Job>,
    patience: Patience,
}

pub(crate) struct Dispatcher {
    shared: Arc<Shared>,
    /// In order of arrival.
    waiting: VecDeque<Job>,
    /// Need a row that another node held a moment ago.
    contended: VecDeque<Job>,
    /// Need a row that one of this node's transactions has.
    parked: HashMap<TenantId, Vec<Job>>,
    in_flight: HashSet<TenantId>,
    lanes: JoinSet<Done>,
    /// Lanes that skip what others hold, and lanes that wait.
    running: [usize; 2],
    lanes_max: [usize; 2],
}

fn slot(patience: Patience) -> usize {
    match patience {
        Patience::Skip => 0,
        Patience::Wait => 1,
    }
}

impl Dispatcher {
    pub(crate) fn new(shared: Arc<Shared>, lanes: usize, waiting_lanes: usize) -> Self {
        Self {
            shared,
            waiting: VecDeque::new(),
            contended: VecDeque::new(),
            parked: HashMap::new(),
            in_flight: HashSet::new(),
            lanes: JoinSet::new(),
            running: [0, 0],
            lanes_max: [lanes.max(1), waiting_lanes.max(1)],
        }
    }

    /// Serves the queue until all senders are gone and everything is answered.
    pub(crate) async fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        let mut is_open = true;
        loop {
            tokio::select! {
                job = queue.recv(), if is_open => match job {
                    Some(job) => {
                        self.waiting.push_back(job);
                        while let Ok(job) = queue.try_recv() {
                            self.waiting.push_back(job);
                        }
                    }
                    None => is_open = false,
                },
                Some(done) = self.lanes.join_next() => match done {
                    Ok(done) => self.land(done),
                    Err(error) => {
                        // Our bug. Its callers learn it from their closed channels; its tenants must not stay blocked.
                        tracing::error!(%error, "a writer's lane ended");
                        self.lost().await;
                    }
                },
                else => {
                    if !is_open && self.waiting.is_empty() && self.contended.is_empty() {
                        return;
                    }
                }
            }
            self.start();
        }
    }

    fn land(&mut self, done: Done) {
        if let Some(running) = self.running.get_mut(slot(done.patience)) {
            *running = running.saturating_sub(1);
        }
        for tenant in done.tenants {
            self.in_flight.remove(&tenant);
            for job in self.parked.remove(&tenant).into_iter().flatten().rev() {
                self.waiting.push_front(job);
            }
        }
        self.contended.extend(done.held);
    }

    /// After a lane that ended without saying whose rows it had: the others end first, then nothing is in flight.
    async fn lost(&mut self) {
        while let Some(done) = self.lanes.join_next().await {
            if let Ok(done) = done {
                self.land(done);
            }
        }
        self.in_flight.clear();
        self.running = [0, 0];
        for job in std::mem::take(&mut self.parked).into_values().flatten() {
            self.waiting.push_back(job);
        }
    }

    fn start(&mut self) {
        while self.has_room(Patience::Wait)
            && let Some(group) = self.gather_contended()
        {
            self.spawn(group, Patience::Wait);
        }
        while self.has_room(Patience::Skip)
            && let Some(group) = self.gather()
        {
            self.spawn(group, Patience::Skip);
        }
    }

    fn has_room(&self, patience: Patience) -> bool {
        let at = slot(patience);
        self.running.get(at) < self.lanes_max.get(at)
    }

    fn spawn(&mut self, group: Vec<Job>, patience: Patience) {
        let tenants: HashSet<TenantId> = group.iter().flat_map(|job| job.tenants.iter().copied()).collect();
        self.in_flight.extend(&tenants);
        if let Some(running) = self.running.get_mut(slot(patience)) {
            *running += 1;
        }
        let shared = Arc::clone(&self.shared);
        self.lanes.spawn(async move {
            let held = lane::run(&shared, group, patience).await;
            Done { tenants: tenants.into_iter().collect(), held, patience }
        });
    }

    /// The next group of what waits; parks what has to wait for one of ours.
    fn gather(&mut self) -> Option<Vec<Job>> {
        let (mut group, mut bytes) = (Vec::new(), 0usize);
        while group.len() < GROUP_MAX
            && bytes < GROUP_BYTES_MAX
            && let Some(job) = self.waiting.pop_front()
        {
            match job.tenants.iter().find(|tenant| self.in_flight.contains(tenant)) {
                Some(tenant) => self.parked.entry(*tenant).or_default().push(job),
                None => {
                    bytes = bytes.saturating_add(job.bytes());
                    group.push(job);
                }
            }
        }
        (!group.is_empty()).then_some(group)
    }

    /// All contended commits that need the same rows as the first that may go.
    fn gather_contended(&mut self) -> Option<Vec<Job>> {
        let is_free = |job: &Job| !job.tenants.iter().any(|tenant| self.in_flight.contains(tenant));
        let first = self.contended.iter().position(is_free)?;
        let tenants = self.contended.get(first)?.tenants.clone();
        let (mut group, rest): (Vec<Job>, Vec<Job>) = self.contended.drain(..).partition(|job| job.tenants == tenants);
        self.contended = rest.into();
        let more = group.split_off(group.len().min(GROUP_MAX));
        self.contended.extend(more);
        Some(group)
    }
}
