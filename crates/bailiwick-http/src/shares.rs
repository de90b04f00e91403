//! What there is so much of, for parties that would each take all: when nothing is left, who has most loses some to who has
//! less.
//!
//! While there is some, everybody gets what they ask for. So nobody keeps others out by taking much, or by keeping it.
//!
//! # Invariants
//! - INV-SHARES-1: no more is held than there is, and by no party more than its share.
//! - INV-SHARES-2: who would have no more than whoever has most gets it, as long as that one holds anything at rest; and
//!   where something new counts for more, also what is in use, if they would still have less.
//! - INV-SHARES-3: what is in use never ends for its own party.
//!
//! # Deliberately absent
//! What a request may do, and whose turn it is. Nothing here decides that.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// So many of a party's holdings are looked at for one at rest.
const LOOK_MAX: usize = 64;
/// So many holdings end at most for one.
const GIVEN_UP_MAX: usize = 64;

/// How much there is, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Of all together.
    pub(crate) max: u64,
    /// Of one party.
    pub(crate) share: u64,
    /// Whether something new counts for more than what is there: then what is at rest ends for its own party too, and what is in
    /// use for who has much less.
    pub(crate) prefers_new: bool,
}

/// What there is so much of.
pub(crate) struct Shares<P> {
    rules: Rules,
    taken: Mutex<Taken<P>>,
    given_up: AtomicU64,
    refused: AtomicU64,
}

struct Taken<P> {
    by_party: HashMap<P, Holdings>,
    /// How much each party has, so that who has most is the last.
    by_weight: BTreeSet<(u64, P)>,
    total: u64,
    next: u64,
}

/// Those of one party, by their numbers.
#[derive(Default)]
struct Holdings {
    all: BTreeMap<u64, Holding>,
    weight: u64,
    /// The first that is looked at next.
    look_from: u64,
}

struct Holding {
    weight: u64,
    what: Arc<Thing>,
}

/// What holds some of it.
#[derive(Default)]
pub(crate) struct Thing {
    /// How often it is in use.
    in_use: AtomicUsize,
    /// Told when it has to end.
    ends: Notify,
}

/// Some of it. It is there for others again once this is dropped.
pub(crate) struct Held<P: Copy + Eq + Hash + Ord> {
    shares: Arc<Shares<P>>,
    party: P,
    number: u64,
    what: Arc<Thing>,
}

/// That a thing is in use.
pub(crate) struct InUse(Arc<Thing>);

impl<P: Copy + Eq + Hash + Ord> Shares<P> {
    pub(crate) fn new(rules: Rules) -> Arc<Self> {
        let taken = Taken { by_party: HashMap::new(), by_weight: BTreeSet::new(), total: 0, next: 0 };
        let (given_up, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { rules, taken: Mutex::new(taken), given_up, refused })
    }

    /// How much there is.
    pub(crate) fn max(&self) -> u64 {
        self.rules.max
    }

    /// How much of it is held.
    pub(crate) fn held(&self) -> u64 {
        self.taken.lock().total
    }

    /// How many things had to end for others.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed)
    }

    /// How often there was nothing for who asked.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// So much of it for something new, if need be from others.
    pub(crate) fn take(self: &Arc<Self>, party: P, weight: u64) -> Option<Held<P>> {
        self.take_for(party, weight, Arc::default())
    }

    fn take_for(self: &Arc<Self>, party: P, weight: u64, what: Arc<Thing>) -> Option<Held<P>> {
        let mut taken = self.taken.lock();
        if !self.make_room(&mut taken, party, weight) {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        taken.change(party, |holdings| {
            holdings.all.insert(number, Holding { weight, what: Arc::clone(&what) });
            holdings.weight += weight;
        });
        taken.total += weight;
        Some(Held { shares: Arc::clone(self), party, number, what })
    }

    /// Ends things until so much is left. Returns whether that went.
    fn make_room(&self, taken: &mut Taken<P>, party: P, weight: u64) -> bool {
        for _ in 0..=GIVEN_UP_MAX {
            let has = taken.by_party.get(&party).map_or(0, |holdings| holdings.weight);
            let would_have = has.saturating_add(weight);
            if would_have <= self.rules.share && taken.total.saturating_add(weight) <= self.rules.max {
                return true;
            }
            let Some((of, number)) = taken.next_to_end(party, would_have, self.rules) else { break };
            if let Some(holding) = taken.remove(of, number) {
                holding.what.ends.notify_one();
                self.given_up.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        false
    }
}

impl<P: Copy + Eq + Hash + Ord> Taken<P> {
    /// Changes what a party has, and with it where it stands.
    fn change<T>(&mut self, party: P, change: impl FnOnce(&mut Holdings) -> T) -> T {
        let holdings = self.by_party.entry(party).or_default();
        self.by_weight.remove(&(holdings.weight, party));
        let result = change(holdings);
        if holdings.all.is_empty() {
            self.by_party.remove(&party);
        } else {
            self.by_weight.insert((holdings.weight, party));
        }
        result
    }

    /// Nothing, if it has ended before.
    fn remove(&mut self, party: P, number: u64) -> Option<Holding> {
        let removed = self.change(party, |holdings| {
            let holding = holdings.all.remove(&number)?;
            holdings.weight -= holding.weight;
            Some(holding)
        })?;
        self.total -= removed.weight;
        Some(removed)
    }

    /// What is to end for somebody who would have so much: of who has most, or something of their own.
    fn next_to_end(&mut self, party: P, would_have: u64, rules: Rules) -> Option<(P, u64)> {
        let (most, who) = *self.by_weight.last()?;
        if who != party && most >= would_have && would_have <= rules.share {
            let holdings = self.by_party.get_mut(&who)?;
            let may_be_any = rules.prefers_new && most > would_have;
            let eldest = holdings.all.keys().next().copied().filter(|_| may_be_any);
            if let Some(number) = holdings.at_rest().or(eldest) {
                return Some((who, number));
            }
        }
        let own = self.by_party.get_mut(&party).filter(|_| rules.prefers_new)?;
        Some((party, own.at_rest()?))
    }
}

impl Holdings {
    /// Something that is not in use. Each time others are looked at, so that none is found twice as often.
    fn at_rest(&mut self) -> Option<u64> {
        let (before, after) = (self.all.range(..self.look_from), self.all.range(self.look_from..));
        for (number, holding) in after.chain(before).take(LOOK_MAX) {
            self.look_from = number + 1;
            if holding.what.in_use.load(Ordering::Relaxed) == 0 {
                return Some(*number);
            }
        }
        None
    }
}

impl<P: Copy + Eq + Hash + Ord> Held<P> {
    /// Until it has to end.
    pub(crate) async fn ends(&self) {
        self.what.ends.notified().await;
    }

    /// Says that it is in use, until what is returned is dropped.
    pub(crate) fn used(&self) -> InUse {
        self.what.in_use.fetch_add(1, Ordering::Relaxed);
        InUse(Arc::clone(&self.what))
    }

    /// So much more for the same thing, to be given back by itself.
    pub(crate) fn beside(&self, weight: u64) -> Option<Self> {
        self.shares.take_for(self.party, weight, Arc::clone(&self.what))
    }

    /// So much more of it. Returns whether there is as much, and it has not ended meanwhile.
    pub(crate) fn grow(&self, by: u64) -> bool {
        let mut taken = self.shares.taken.lock();
        // It does not end for itself.
        let _used = self.used();
        if !self.shares.make_room(&mut taken, self.party, by) {
            return false;
        }
        let has_grown = taken.change(self.party, |holdings| {
            let Some(holding) = holdings.all.get_mut(&self.number) else { return false };
            holding.weight += by;
            holdings.weight += by;
            true
        });
        if has_grown {
            taken.total += by;
        }
        has_grown
    }
}

impl<P: Copy + Eq + Hash + Ord> Drop for Held<P> {
    fn drop(&mut self) {
        self.shares.taken.lock().remove(self.party, self.number);
    }
}

impl InUse {
    /// Whether it is the only use.
    pub(crate) fn is_only(&self) -> bool {
        self.0.in_use.load(Ordering::Relaxed) == 1
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.in_use.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    /// As connections: each counts one, and any may have to end.
    fn places(max: u64) -> Arc<Shares<u8>> {
        Shares::new(Rules { max, share: max, prefers_new: true })
    }

    /// As bodies: by their bytes, and what is complete stays.
    fn bytes(max: u64, share: u64) -> Arc<Shares<u8>> {
        Shares::new(Rules { max, share, prefers_new: false })
    }

    fn has_ended(held: &Held<u8>) -> bool {
        !held.shares.taken.lock().by_party.get(&held.party).is_some_and(|all| all.all.contains_key(&held.number))
    }

    fn taken(shares: &Arc<Shares<u8>>, party: u8, count: usize) -> Vec<Held<u8>> {
        (0..count).map(|_| shares.take(party, 1).unwrap()).collect()
    }

    #[test]
    fn who_has_most_loses_one_to_who_has_fewer() {
        let shares = places(6);
        let (many, few) = (taken(&shares, 1, 4), taken(&shares, 2, 2));
        let newcomers = taken(&shares, 3, 2);
        assert_eq!(many.iter().filter(|held| has_ended(held)).count(), 2);
        assert!(!few.iter().chain(&newcomers).any(has_ended));
        assert_eq!((shares.held(), shares.given_up(), shares.refused()), (6, 2, 0));
    }

    #[test]
    fn who_has_most_loses_one_of_its_own() {
        let shares = places(4);
        let (many, few) = (taken(&shares, 1, 3), taken(&shares, 2, 1));
        let more = taken(&shares, 1, 5);
        assert!(many.iter().all(has_ended) && !few.iter().any(has_ended));
        assert_eq!(more.iter().filter(|held| !has_ended(held)).count(), 3);
    }

    #[test]
    fn a_party_may_have_all_there_is_unless_it_has_a_share() {
        let _all = taken(&places(3), 1, 3);
        let shares = bytes(8, 2);
        let _share = taken(&shares, 1, 2);
        assert!(shares.take(1, 1).is_none());
        assert!(shares.take(2, 3).is_none(), "it would be more than the share at once");
        assert_eq!((shares.held(), shares.given_up(), shares.refused()), (2, 0, 2));
    }

    #[test]
    fn what_is_in_use_goes_on_while_something_else_can_end() {
        let shares = places(3);
        let many = taken(&shares, 1, 3);
        let _used = (many[0].used(), many[2].used());
        let _newcomer = shares.take(2, 1).unwrap();
        assert_eq!(many.iter().map(has_ended).collect::<Vec<_>>(), [false, true, false]);
        // Two of one and one of the other: that is fair, and nothing in use ends for what is no fairer.
        let _others = taken(&shares, 2, 1);
        assert_eq!(many.iter().map(has_ended).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn what_is_in_use_ends_for_who_has_two_fewer() {
        let shares = places(3);
        let many = taken(&shares, 1, 3);
        let _used: Vec<_> = many.iter().map(Held::used).collect();
        assert!(shares.take(1, 1).is_none(), "it would end for its own party");
        let newcomer = shares.take(2, 1).unwrap();
        let _busy = newcomer.used();
        assert_eq!(many.iter().filter(|held| has_ended(held)).count(), 1);
        assert!(shares.take(2, 1).is_none(), "two of one and one of the other is fair");
        assert_eq!((shares.held(), shares.refused()), (3, 2));
    }

    #[test]
    fn what_is_in_use_stays_where_it_cannot_end() {
        let shares = bytes(3, 3);
        let many = taken(&shares, 1, 3);
        let _used: Vec<_> = many.iter().map(Held::used).collect();
        assert!(shares.take(2, 1).is_none());
        assert!(!many.iter().any(has_ended));
    }

    #[test]
    fn as_much_ends_as_is_needed_and_what_grows_does_not_end_for_itself() {
        let shares = bytes(10, 10);
        let many = taken(&shares, 1, 8);
        let other = shares.take(2, 2).unwrap();
        assert!(other.grow(3));
        assert_eq!(many.iter().filter(|held| has_ended(held)).count(), 3);
        assert_eq!(shares.held(), 10);
        // Both have five: more would be no fairer, and it has nothing else that could end.
        assert!(!other.grow(1));
        assert!(!has_ended(&other));
    }

    #[test]
    fn what_has_ended_does_not_grow() {
        let shares = bytes(4, 4);
        let many = taken(&shares, 1, 1);
        assert!(many[0].grow(3));
        let _other = shares.take(2, 2).unwrap();
        assert!(has_ended(&many[0]) && !many[0].grow(1));
        assert_eq!(shares.held(), 2);
    }

    #[test]
    fn what_is_beside_something_ends_with_it() {
        let shares = places(3);
        let first = shares.take(1, 1).unwrap();
        let (_used, _beside) = (first.used(), [first.beside(1).unwrap(), first.beside(1).unwrap()]);
        assert!(first.beside(1).is_none());
        let _newcomer = shares.take(2, 1).unwrap();
        futures_done(first.ends());
        assert_eq!(shares.held(), 3);
    }

    fn futures_done(future: impl Future<Output = ()>) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::pin::pin!(future).poll(&mut context).is_ready());
    }

    #[test]
    fn no_more_than_a_few_are_looked_at_for_one_at_rest_and_others_each_time() {
        let shares = places(3 * 64);
        let many = taken(&shares, 1, 3 * LOOK_MAX);
        let last = many.len() - 1;
        let _used: Vec<_> = many[..last].iter().map(Held::used).collect();
        let tries: Vec<_> = (0..4).map(|_| shares.take(1, 1).inspect(|held| mem::forget(held.used()))).collect();
        assert_eq!(tries.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, false]);
        assert!(has_ended(&many[last]));
    }

    #[test]
    fn nobody_is_remembered_who_has_nothing() {
        let shares = places(2);
        let first = taken(&shares, 1, 2);
        let second = taken(&shares, 2, 1);
        drop((first, second));
        let taken = shares.taken.lock();
        assert_eq!((taken.total, taken.by_party.len(), taken.by_weight.len()), (0, 0, 0));
    }
}
