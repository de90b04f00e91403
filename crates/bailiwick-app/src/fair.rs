//! Whose turn it is: a bounded number of requests runs at a time, the others wait, and tenants take turns.
//!
//! Deficit round robin, charged afterwards ("surplus" round robin): what a request costs is how long it held its place,
//! which nobody knows before. Whoever held places for long owes, and is passed over until that is paid. Parties form a
//! tree: tenants stand beside each other and beside all strangers together, who take turns among themselves by where they
//! come from, and there by whom they claim to be.
//!
//! # Invariants
//! - INV-FAIR-1: no party at the top begins anything while it holds its share of the places, so there is always one for
//!   another. The share is smaller while others are there: what a party runs is what its neighbours wait behind.
//! - INV-FAIR-2: while a place is free, nobody waits whose party is below its share.
//! - INV-FAIR-3: requests of one party begin in the order in which they came.
//! - INV-FAIR-4: a party that neither runs nor waits is not in memory; its debt is forgiven.
//!
//! # Deliberately absent
//! Priorities: a place is a place. Preemption: what has begun holds its place until it is dropped.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_types::{Source, TenantId};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Who waits with others, and takes turns with those beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Party {
    Tenant(TenantId),
    Strangers,
    From(Option<Source>),
    Claiming(Option<TenantId>),
}

/// Whose request it is, as far as turns are concerned. Decides nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Of a tenant, or of the platform: its credential was good lately.
    Tenant(TenantId),
    /// Of somebody of whom nothing is known but what they say.
    Stranger {
        /// Where they come from.
        source: Option<Source>,
        /// Whom they claim to be of.
        claimed: Option<TenantId>,
    },
}

impl Flow {
    fn parties(self) -> impl Iterator<Item = Party> {
        let path = match self {
            Self::Tenant(tenant) => [Some(Party::Tenant(tenant)), None, None],
            Self::Stranger { source, claimed } => {
                [Some(Party::Strangers), Some(Party::From(source)), Some(Party::Claiming(claimed))]
            }
        };
        path.into_iter().flatten()
    }
}

/// How many run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Of all together.
    pub total: usize,
    /// Of one tenant while nobody else is there.
    pub share: usize,
    /// Of one tenant while others are there.
    pub contested: usize,
    /// What is paid off a debt each time that it is passed over.
    pub quantum: Duration,
}

/// How long after a request of another one a tenant still counts as not alone.
const CONTESTED_FOR: Duration = Duration::from_millis(100);

/// More than this is never owed: after so many quanta, whoever asked for too much is served like others again.
const DEBT_QUANTA_MAX: u64 = 256;

/// There is neither a place nor room to wait for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    /// How many may wait.
    pub(crate) most: usize,
}

/// Hands out turns.
pub(crate) struct Scheduler {
    turns: Mutex<Turns<oneshot::Sender<()>>>,
    refused: AtomicU64,
}

/// What a scheduler is about at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests that run.
    pub running: u64,
    /// Requests that wait for their turn.
    pub waiting: u64,
    /// Requests that were refused because too many waited, since the start.
    pub refused: u64,
}

impl Scheduler {
    pub(crate) fn new(places: Places) -> Arc<Self> {
        Arc::new(Self { turns: Mutex::new(Turns::new(places)), refused: AtomicU64::new(0) })
    }

    /// Waits for a turn, unless `most` of the same party wait already. Whoever stops waiting leaves the queue.
    pub(crate) async fn enter(self: &Arc<Self>, flow: Flow, most: impl FnOnce() -> usize) -> Result<Turn, Full> {
        let mut granted = None;
        let now = Instant::now();
        let entered = self.turns.lock().enter(flow, now, most, || {
            let (grant, receiver) = oneshot::channel();
            granted = Some(receiver);
            grant
        });
        let mut turn = match entered {
            Entered::Full { most } => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return Err(Full { most });
            }
            Entered::Runs => Turn { of: Arc::clone(self), flow, ticket: None, began: now },
            Entered::Waits { ticket } => Turn { of: Arc::clone(self), flow, ticket: Some(ticket), began: now },
        };
        if let Some(granted) = granted {
            // The sender is dropped by nobody but `start`, after it has sent.
            let _ = granted.await;
            (turn.ticket, turn.began) = (None, Instant::now());
        }
        Ok(turn)
    }

    /// Whether somebody else was there a moment ago than who was there before.
    pub(crate) fn is_contested(&self) -> bool {
        self.turns.lock().is_contested(Instant::now())
    }

    pub(crate) fn load(&self) -> Load {
        let turns = self.turns.lock();
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        Load {
            running: count(turns.running),
            waiting: count(turns.root.children.values().map(|party| party.waiting).sum()),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}

/// A place that is held, or waited for, until this is dropped.
#[must_use = "a turn that is dropped is over"]
pub(crate) struct Turn {
    of: Arc<Scheduler>,
    flow: Flow,
    /// While it is waited for.
    ticket: Option<u64>,
    began: Instant,
}

impl Turn {
    /// Whether it is that of somebody of whom nothing was known.
    pub(crate) fn is_strangers(&self) -> bool {
        matches!(self.flow, Flow::Stranger { .. })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut turns = self.of.turns.lock();
        let held = match self.ticket {
            Some(ticket) if turns.give_up(self.flow, ticket) => return,
            // It was granted in the very moment in which the client hung up.
            Some(_) => Duration::ZERO,
            None => now.duration_since(self.began),
        };
        turns.leave(self.flow, held);
        // Several, when a tenant is alone again.
        let next: Vec<_> = std::iter::from_fn(|| turns.start(now)).collect();
        drop(turns);
        for grant in next {
            // Nobody to receive it: then that one's own drop gives the place back.
            let _ = grant.send(());
        }
    }
}

/// The order among those who wait, as a value: `W` is who waits.
struct Turns<W> {
    places: Places,
    running: usize,
    next_ticket: u64,
    /// Who came last, and when last somebody else came than the time before.
    latest: Option<Party>,
    contested: Option<Instant>,
    root: Node<W>,
}

struct Node<W> {
    running: usize,
    /// In it and below.
    waiting: usize,
    debt_us: u64,
    /// Oldest first, by ticket. Only of those that have nobody below.
    queue: VecDeque<(u64, W)>,
    /// Those of the children with somebody who waits: the first has the next turn.
    ring: VecDeque<Party>,
    children: HashMap<Party, Node<W>>,
}

impl<W> Default for Node<W> {
    fn default() -> Self {
        let (queue, ring, children) = Default::default();
        Self { running: 0, waiting: 0, debt_us: 0, queue, ring, children }
    }
}

enum Entered {
    Runs,
    Waits { ticket: u64 },
    Full { most: usize },
}

impl<W> Turns<W> {
    fn new(places: Places) -> Self {
        Self { places, running: 0, next_ticket: 0, latest: None, contested: None, root: Node::default() }
    }

    /// Takes a place if there is one, else waits where fewer than `most` do.
    fn enter(&mut self, flow: Flow, now: Instant, most: impl FnOnce() -> usize, waiter: impl FnOnce() -> W) -> Entered {
        let is_free = self.running < self.places.total;
        let party = flow.parties().next();
        if self.latest.is_some() && self.latest != party {
            self.contested = Some(now);
        }
        self.latest = party;
        let share = self.share(now);
        let top = party.and_then(|top| self.root.children.get(&top));
        if is_free && top.is_none_or(|top| top.waiting == 0 && top.running < share) {
            self.running += 1;
            let mut node = &mut self.root;
            for party in flow.parties() {
                node = node.children.entry(party).or_default();
                node.running += 1;
            }
            return Entered::Runs;
        }
        let leaf = flow.parties().try_fold(&self.root, |node, party| node.children.get(&party));
        let most = most();
        if leaf.map_or(0, |leaf| leaf.waiting) >= most {
            return Entered::Full { most };
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        let mut node = &mut self.root;
        for party in flow.parties() {
            let child = node.children.entry(party).or_default();
            if child.waiting == 0 {
                node.ring.push_back(party);
            }
            child.waiting += 1;
            node = child;
        }
        node.queue.push_back((ticket, waiter()));
        Entered::Waits { ticket }
    }

    /// Gives a place back after this time.
    fn leave(&mut self, flow: Flow, held: Duration) {
        self.running -= 1;
        let quantum_us = self.quantum_us();
        let held_us = u64::try_from(held.as_micros()).unwrap_or(u64::MAX);
        // The turn itself was worth a quantum.
        let owed_us = held_us.saturating_sub(quantum_us);
        self.root.leave(&mut flow.parties(), owed_us, quantum_us.saturating_mul(DEBT_QUANTA_MAX));
    }

    /// No longer waits. Whether it did: if not, the place is its own.
    fn give_up(&mut self, flow: Flow, ticket: u64) -> bool {
        self.root.give_up(&mut flow.parties(), ticket)
    }

    /// Gives the next place that is free to whoever has the next turn.
    fn start(&mut self, now: Instant) -> Option<W> {
        if self.running >= self.places.total {
            return None;
        }
        let next = self.root.start(self.share(now), self.quantum_us());
        self.running += usize::from(next.is_some());
        next
    }

    fn is_contested(&self, now: Instant) -> bool {
        self.contested.is_some_and(|at| now.duration_since(at) < CONTESTED_FOR)
    }

    fn share(&self, now: Instant) -> usize {
        if self.is_contested(now) { self.places.contested } else { self.places.share }
    }

    fn quantum_us(&self) -> u64 {
        u64::try_from(self.places.quantum.as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

impl<W> Node<W> {
    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting == 0
    }

    fn leave(&mut self, path: &mut dyn Iterator<Item = Party>, owed_us: u64, debt_us_max: u64) {
        let Some(party) = path.next() else { return };
        let Some(child) = self.children.get_mut(&party) else { return };
        child.running -= 1;
        child.debt_us = child.debt_us.saturating_add(owed_us).min(debt_us_max);
        child.leave(path, owed_us, debt_us_max);
        if child.is_idle() {
            self.children.remove(&party);
        }
    }

    fn give_up(&mut self, path: &mut dyn Iterator<Item = Party>, ticket: u64) -> bool {
        let Some(party) = path.next() else {
            let at = self.queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket);
            return at.ok().and_then(|at| self.queue.remove(at)).is_some();
        };
        let Some(child) = self.children.get_mut(&party) else { return false };
        if !child.give_up(path, ticket) {
            return false;
        }
        child.waiting -= 1;
        if child.waiting == 0 {
            // Takes longer the more parties wait; but only the last one of a party to hang up does this.
            self.ring.retain(|other| *other != party);
        }
        if child.is_idle() {
            self.children.remove(&party);
        }
        true
    }

    fn start(&mut self, share: usize, quantum_us: u64) -> Option<W> {
        if let Some((_, waiter)) = self.queue.pop_front() {
            return Some(waiter);
        }
        let mut passed_over = 0;
        while passed_over < self.ring.len() {
            let party = self.ring.pop_front()?;
            let child = self.children.get_mut(&party)?;
            if child.running >= share {
                passed_over += 1;
            } else if child.debt_us >= quantum_us {
                child.debt_us -= quantum_us;
                passed_over = 0;
            } else {
                let waiter = child.start(usize::MAX, quantum_us);
                child.running += 1;
                child.waiting -= 1;
                if child.waiting > 0 {
                    self.ring.push_back(party);
                }
                return waiter;
            }
            self.ring.push_back(party);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places = Places { total: 4, share: 2, contested: 2, quantum: Duration::from_millis(1) };
    const MS: Duration = Duration::from_millis(1);

    fn tenant(number: u8) -> Flow {
        Flow::Tenant(TenantId::from_bytes([number; 16]))
    }

    fn stranger(source: u8, claimed: u8) -> Flow {
        let source = Some(std::net::IpAddr::from([10, 0, 0, source]).into());
        Flow::Stranger { source, claimed: Some(TenantId::from_bytes([claimed; 16])) }
    }

    /// Turns of which it is known who runs.
    struct Watched {
        now: Instant,
        turns: Turns<(Flow, usize)>,
        running: Vec<(Flow, usize)>,
        began: Vec<(Flow, usize)>,
        tickets: Vec<(Flow, u64, usize)>,
        entered: usize,
    }

    impl Watched {
        fn new(places: Places) -> Self {
            let (running, began, tickets) = Default::default();
            Self { now: Instant::now(), turns: Turns::new(places), running, began, tickets, entered: 0 }
        }

        fn enter(&mut self, flow: Flow, most: usize) -> bool {
            let me = (flow, self.entered);
            self.entered += 1;
            match self.turns.enter(flow, self.now, || most, || me) {
                Entered::Runs => self.begin(me),
                Entered::Waits { ticket } => self.tickets.push((flow, ticket, me.1)),
                Entered::Full { .. } => return false,
            }
            true
        }

        fn begin(&mut self, me: (Flow, usize)) {
            self.running.push(me);
            self.began.push(me);
            self.tickets.retain(|(_, _, waiting)| *waiting != me.1);
        }

        fn leave(&mut self, at: usize, held: Duration) {
            let (flow, _) = self.running.remove(at);
            self.turns.leave(flow, held);
            while let Some(next) = self.turns.start(self.now) {
                self.begin(next);
            }
        }

        fn give_up(&mut self, at: usize) {
            let (flow, ticket, _) = self.tickets.remove(at);
            assert!(self.turns.give_up(flow, ticket));
            assert!(!self.turns.give_up(flow, ticket), "once");
        }

        /// How many of a party at the top run.
        fn of(&self, flow: Flow) -> usize {
            let top = flow.parties().next();
            self.running.iter().filter(|(other, _)| other.parties().next() == top).count()
        }
    }

    #[test]
    fn a_flood_takes_its_share_and_leaves_room_for_the_next_at_once() {
        let mut watched = Watched::new(PLACES);
        for _ in 0..10 {
            assert!(watched.enter(tenant(1), 8));
        }
        assert!(!watched.enter(tenant(1), 8), "no room to wait");
        assert_eq!(watched.of(tenant(1)), 2);
        assert!(watched.enter(tenant(2), 0), "does not have to wait at all");
        assert!(watched.enter(stranger(1, 1), 0), "not even a stranger has to");
    }

    #[test]
    fn who_is_alone_has_more_places_until_another_comes_and_soon_after_it_has_gone() {
        let mut watched = Watched::new(Places { total: 8, share: 6, contested: 2, ..PLACES });
        for _ in 0..20 {
            watched.enter(tenant(1), 99);
        }
        assert_eq!(watched.of(tenant(1)), 6);
        watched.enter(tenant(2), 0);
        for _ in 0..4 {
            watched.leave(0, MS);
        }
        assert_eq!((watched.of(tenant(1)), watched.of(tenant(2))), (2, 1), "what runs comes to its end");
        watched.now += CONTESTED_FOR;
        watched.leave(0, MS);
        assert_eq!(watched.of(tenant(1)), 6);
    }

    #[test]
    fn tenants_take_turns_and_each_keeps_its_order() {
        let mut watched = Watched::new(Places { share: 4, contested: 4, ..PLACES });
        for _ in 0..8 {
            watched.enter(tenant(1), 99);
        }
        for _ in 0..3 {
            watched.enter(tenant(2), 99);
        }
        for _ in 0..7 {
            watched.leave(0, Duration::ZERO);
        }
        let order: Vec<usize> = watched.began.iter().map(|(_, number)| *number).collect();
        assert_eq!(order, [0, 1, 2, 3, 4, 8, 5, 9, 6, 10, 7]);
    }

    #[test]
    fn who_holds_places_for_long_is_passed_over_until_that_is_paid() {
        let mut watched = Watched::new(Places { total: 1, share: 1, contested: 1, ..PLACES });
        for _ in 0..20 {
            watched.enter(tenant(1), 99);
            watched.enter(tenant(2), 99);
        }
        let mut held = [0, 0];
        for _ in 0..22 {
            let is_long = watched.running[0].0 == tenant(1);
            held[usize::from(!is_long)] += if is_long { 10 } else { 1 };
            watched.leave(0, if is_long { 10 * MS } else { MS });
        }
        assert_eq!(held, [20, 20], "the same time, whatever one request takes");
    }

    #[test]
    fn a_debt_ends() {
        let mut watched = Watched::new(Places { total: 1, share: 1, contested: 1, ..PLACES });
        watched.enter(tenant(1), 99);
        watched.enter(tenant(1), 99);
        for _ in 0..300 {
            watched.enter(tenant(2), 999);
        }
        watched.leave(0, Duration::from_secs(3_600));
        while watched.running[0].0 == tenant(2) {
            watched.leave(0, Duration::ZERO);
        }
        assert_eq!(watched.began.len(), 2 + usize::try_from(DEBT_QUANTA_MAX).unwrap());
    }

    #[test]
    fn strangers_are_one_party_and_take_turns_by_source_and_claim() {
        let mut watched = Watched::new(Places { total: 1, share: 1, contested: 1, ..PLACES });
        watched.enter(tenant(1), 99);
        // One source names many tenants, another one has a single request, and the tenant goes on.
        for claimed in 0..50 {
            watched.enter(stranger(1, claimed), 99);
        }
        watched.enter(stranger(2, 7), 99);
        for _ in 0..3 {
            watched.enter(tenant(1), 99);
        }
        for _ in 0..6 {
            watched.leave(0, Duration::ZERO);
        }
        let order: Vec<usize> = watched.began.iter().map(|(_, number)| *number).collect();
        assert_eq!(order, [0, 1, 52, 51, 53, 2, 54]);
    }

    #[test]
    fn nobody_is_remembered_who_neither_runs_nor_waits() {
        let mut watched = Watched::new(PLACES);
        for number in 0..100 {
            watched.enter(tenant(number), 9);
            watched.enter(stranger(number, number), 9);
        }
        while !watched.tickets.is_empty() {
            watched.give_up(watched.tickets.len() / 2);
        }
        while !watched.running.is_empty() {
            watched.leave(0, MS);
        }
        assert!(watched.turns.root.children.is_empty() && watched.turns.root.ring.is_empty());
        assert_eq!(watched.turns.running, 0);
    }

    /// Numbers that look random, from a seed.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % end
        }
    }

    fn flow(number: u8) -> Flow {
        if number < 3 { tenant(number) } else { stranger(number / 5, number) }
    }

    #[test]
    fn whatever_happens_places_are_kept_and_nobody_waits_in_vain() {
        for seed in 0..300 {
            let mut dice = Dice(seed);
            let (total, share, most) = (1 + dice.below(5), 1 + dice.below(5), dice.below(5));
            let mut watched = Watched::new(Places { total, share, contested: share, ..PLACES });
            for _ in 0..300 {
                match dice.below(8) {
                    0..4 => {
                        let flow = flow(u8::try_from(dice.below(6)).unwrap());
                        let before = watched.tickets.iter().filter(|(other, ..)| *other == flow).count();
                        assert!(watched.enter(flow, most) || before == most, "{seed}: refused with room to wait");
                        assert!(before <= most, "{seed}");
                    }
                    4..7 if !watched.running.is_empty() => {
                        let (at, held) = (dice.below(watched.running.len()), dice.below(5_000));
                        watched.leave(at, Duration::from_micros(u64::try_from(held).unwrap()));
                    }
                    7 if !watched.tickets.is_empty() => watched.give_up(dice.below(watched.tickets.len())),
                    _ => {}
                }
                assert_eq!(watched.turns.running, watched.running.len(), "{seed}");
                assert!(watched.running.len() <= total, "{seed}");
                let waiting: usize = watched.turns.root.children.values().map(|party| party.waiting).sum();
                assert_eq!(waiting, watched.tickets.len(), "{seed}");
                for number in 0..6 {
                    assert!(watched.of(flow(number)) <= share, "{seed}: INV-FAIR-1");
                }
                for (waiting, ..) in &watched.tickets {
                    let is_at_share = watched.of(*waiting) == share;
                    assert!(is_at_share || watched.running.len() == total, "{seed}: INV-FAIR-2");
                }
            }
            for number in 0..6 {
                let began: Vec<_> = watched.began.iter().filter(|(other, _)| *other == flow(number)).collect();
                assert!(began.is_sorted_by_key(|(_, number)| *number), "{seed}: INV-FAIR-3");
            }
        }
    }

    #[test]
    fn among_those_who_always_wait_time_is_shared_evenly() {
        for seed in 0..100 {
            let mut dice = Dice(seed);
            let parties = 2 + dice.below(3);
            // From one quantum on: who asks for less has one turn in a round like all others.
            let cost_us: Vec<usize> = (0..parties).map(|_| 1_000 + dice.below(20_000)).collect();
            let total = 1 + dice.below(3);
            let mut watched = Watched::new(Places { total, share: total, contested: total, ..PLACES });
            let flows: Vec<Flow> = (0..parties).map(|number| tenant(u8::try_from(number).unwrap())).collect();
            for _ in 0..2 * total {
                flows.iter().for_each(|flow| assert!(watched.enter(*flow, usize::MAX)));
            }
            // Every request ends when its time is over: the clock is what all of them have held so far.
            let (mut now, mut ends, mut held) = (0, vec![0; total], vec![0; parties]);
            for _ in 0..4_000 {
                let at = (0..watched.running.len()).min_by_key(|at| ends[*at]).unwrap();
                let (flow, _) = watched.running[at];
                let party = flows.iter().position(|other| *other == flow).unwrap();
                watched.enter(flow, usize::MAX);
                held[party] += cost_us[party];
                now = now.max(ends[at]);
                ends.remove(at);
                watched.leave(at, Duration::from_micros(u64::try_from(cost_us[party]).unwrap()));
                let next = watched.running.last().unwrap().0;
                let next = flows.iter().position(|other| *other == next).unwrap();
                ends.push(now + cost_us[next]);
            }
            let (least, most) = (held.iter().min().unwrap(), held.iter().max().unwrap());
            // Of a round, and of what runs when we stop counting.
            let slack = 4 * total * 21_000;
            assert!(*most <= least + least / 20 + slack, "{seed}: {held:?} of {cost_us:?} on {total}");
        }
    }

    #[tokio::test]
    async fn who_hangs_up_leaves_the_queue_and_gives_back_what_was_just_granted() {
        let scheduler = Scheduler::new(Places { total: 1, share: 1, contested: 1, ..PLACES });
        let first = scheduler.enter(tenant(1), || 9).await.ok().unwrap();
        let room = || 9;
        let mut gone = Box::pin(scheduler.enter(tenant(1), room));
        let mut granted = Box::pin(scheduler.enter(tenant(2), room));
        let mut last = Box::pin(scheduler.enter(tenant(1), room));
        for waiting in [&mut gone, &mut granted, &mut last] {
            assert!(poll(waiting).is_pending());
        }
        drop(gone);
        assert_eq!(scheduler.load(), Load { running: 1, waiting: 2, refused: 0 });
        drop(first);
        // Its turn has come, and nobody is there to take it.
        drop(granted);
        assert_eq!(scheduler.load(), Load { running: 1, waiting: 0, refused: 0 });
        drop(last.await.ok().unwrap());
        assert_eq!(scheduler.load(), Load::default());
        let _turn = scheduler.enter(tenant(1), || 0).await.ok().unwrap();
        assert_eq!(scheduler.enter(tenant(2), || 0).await.err(), Some(Full { most: 0 }));
        assert_eq!(scheduler.load(), Load { running: 1, waiting: 0, refused: 1 });
    }

    fn poll<F: Future + Unpin>(future: &mut F) -> std::task::Poll<F::Output> {
        std::pin::Pin::new(future).poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
