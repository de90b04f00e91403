//! Records that a process keeps in memory, and how much of that each tenant has.
//!
//! What an engine may keep, and for how long it is true, is the engine's to know; whose records make room is decided here.
//!
//! # Invariants
//! - INV-KEPT-1: all together they weigh no more than they may.
//! - INV-KEPT-2: a tenant that has its [`SHARE`]th pushes out nobody who has less: what it reads further competes for another
//!   [`SHARE`]th with that of others who have theirs.
//! - INV-KEPT-3: what was being read when it was removed is not kept.
//!
//! # Deliberately absent
//! That a record is absent: who asks for what is not there would push out what is.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use equivalent::Equivalent;
use parking_lot::Mutex;
use quick_cache::sync::{Cache, GuardResult, PlaceholderGuard};
use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter};

use crate::Record;

/// Of the whole, what a tenant may have without making room itself.
const SHARE: u64 = 8;
/// Of the whole, what one record may be: it must not push out a thousand small ones.
const LARGEST: u64 = 64;
/// What a record takes beside its bytes, about.
const OVERHEAD: usize = 200;

/// Where a record is, with whose it is.
pub trait Place: Clone + Eq + Hash {
    /// A tenant, as the engine calls it.
    type Owner: Copy + Eq + Hash;
    /// Whose the record is.
    fn owner(&self) -> Self::Owner;
    /// How many bytes its key has.
    fn key_len(&self) -> usize;
}

/// The records.
pub struct Kept<P: Place> {
    /// Those of tenants that have less than their share.
    common: Part<P>,
    /// Further ones of tenants that have it.
    crowd: Part<P>,
    shares: Arc<Shares<P::Owner>>,
    largest: u64,
}

/// What is known of a place.
pub enum Look<'a, P: Place> {
    /// The record in it.
    Record(Arc<Record>),
    /// Nothing. Whoever reads the record now may put it there, unless somebody else is about to.
    Gap(Option<Gap<'a, P>>),
}

/// The right to put a record into its place. It is void once the place was removed.
pub struct Gap<'a, P: Place> {
    kept: &'a Kept<P>,
    place: P,
    guard: Guard<'a, P>,
    is_common: bool,
}

type Part<P> = Cache<P, Arc<Record>, ByBytes, DefaultHashBuilder, Leaving<<P as Place>::Owner>>;
type Guard<'a, P> = PlaceholderGuard<'a, P, Arc<Record>, ByBytes, DefaultHashBuilder, Leaving<<P as Place>::Owner>>;

#[derive(Clone)]
struct ByBytes;

impl<P: Place> Weighter<P, Arc<Record>> for ByBytes {
    fn weight(&self, place: &P, record: &Arc<Record>) -> u64 {
        let bytes = place.key_len().saturating_add(record.sealed.len()).saturating_add(OVERHEAD);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Sees what is pushed out, if anybody counts it.
#[derive(Clone)]
struct Leaving<O>(Option<Arc<Shares<O>>>);

impl<P: Place> Lifecycle<P, Arc<Record>> for Leaving<P::Owner> {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), place: P, record: Arc<Record>) {
        if let Some(shares) = &self.0 {
            shares.less(place.owner(), ByBytes.weight(&place, &record));
        }
    }
}

/// How many bytes each has in the common part.
struct Shares<O> {
    of: Mutex<HashMap<O, u64>>,
    most: u64,
}

impl<O: Eq + Hash> Shares<O> {
    fn has_all(&self, owner: &O) -> bool {
        self.of.lock().get(owner).is_some_and(|bytes| *bytes >= self.most)
    }

    fn more(&self, owner: O, bytes: u64) {
        let mut of = self.of.lock();
        let has = of.entry(owner).or_default();
        *has = has.saturating_add(bytes);
    }

    fn less(&self, owner: O, bytes: u64) {
        let mut of = self.of.lock();
        if let Some(has) = of.get_mut(&owner) {
            *has = has.saturating_sub(bytes);
            if *has == 0 {
                of.remove(&owner);
            }
        }
    }
}

impl<P: Place> Kept<P> {
    /// Room for so many bytes.
    pub fn new(bytes: u64) -> Self {
        /// A guess at the size of a record; it sizes the table of keys.
        const TYPICAL: u64 = 1_024;
        let share = bytes / SHARE;
        let shares = Arc::new(Shares { of: Mutex::default(), most: share });
        let part = |bytes: u64, leaving| {
            let items = usize::try_from(bytes / TYPICAL).unwrap_or(usize::MAX).max(16);
            Cache::with(items, bytes, ByBytes, DefaultHashBuilder::default(), leaving)
        };
        let common = part(bytes - share, Leaving(Some(Arc::clone(&shares))));
        Self { common, crowd: part(share, Leaving(None)), shares, largest: bytes / LARGEST }
    }

    /// The record in a place, if it is here.
    pub fn get<Q: Hash + Equivalent<P> + ?Sized>(&self, place: &Q) -> Option<Arc<Record>> {
        self.common.get(place).or_else(|| self.crowd.get(place))
    }

    /// The record in a place, or the right to put it there. To be asked for before the record is read.
    pub fn look(&self, place: &P) -> Look<'_, P> {
        let is_common = !self.shares.has_all(&place.owner());
        let part = if is_common { &self.common } else { &self.crowd };
        match part.get_value_or_guard(place, Some(Duration::ZERO)) {
            GuardResult::Value(record) => Look::Record(record),
            GuardResult::Guard(guard) => Look::Gap(Some(Gap { kept: self, place: place.clone(), guard, is_common })),
            GuardResult::Timeout => Look::Gap(None),
        }
    }

    /// There is something else in the place now, or nothing.
    pub fn remove<Q: Hash + Equivalent<P> + ?Sized>(&self, place: &Q) {
        if let Some((place, record)) = self.common.remove(place) {
            self.shares.less(place.owner(), ByBytes.weight(&place, &record));
        }
        self.crowd.remove(place);
    }

    /// Nothing is known any more.
    pub fn clear(&self) {
        // Not `drain`: that would leave the rights to put something in.
        self.common.clear();
        self.crowd.clear();
        self.shares.of.lock().clear();
    }

    /// About how many bytes all of them take.
    pub fn bytes(&self) -> u64 {
        self.common.weight().saturating_add(self.crowd.weight())
    }
}

impl<P: Place> Gap<'_, P> {
    /// Puts the record there, if nobody has said meanwhile that it is another one.
    pub fn fill(self, record: Arc<Record>) {
        let (owner, bytes) = (self.place.owner(), ByBytes.weight(&self.place, &record));
        if bytes > self.kept.largest {
            return;
        }
        // Before it is there: it may be pushed out at once.
        let shares = self.is_common.then_some(&self.kept.shares);
        shares.inspect(|shares| shares.more(owner, bytes));
        if self.guard.insert(record).is_err() {
            shares.inspect(|shares| shares.less(owner, bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type At = (u8, u32);

    impl Place for At {
        type Owner = u8;
        fn owner(&self) -> u8 {
            self.0
        }
        fn key_len(&self) -> usize {
            4
        }
    }

    const BYTES: u64 = 1 << 20;
    /// More than all of it.
    const MANY: u32 = 10_000;

    fn record(version: u64) -> Arc<Record> {
        Arc::new(Record { version, sealed: vec![7; 100] })
    }

    /// Reads, as often as makes a record one that is read often.
    fn read(kept: &Kept<At>, place: At) {
        for _ in 0..3 {
            if kept.get(&place).is_none()
                && let Look::Gap(Some(gap)) = kept.look(&place)
            {
                gap.fill(record(1));
            }
        }
    }

    fn counted(kept: &Kept<At>) -> u64 {
        kept.shares.of.lock().values().sum()
    }

    #[test]
    fn who_reads_a_lot_pushes_out_nobody_who_reads_little() {
        let kept = Kept::new(BYTES);
        let little = || (0..100).map(|n| (1, n));
        little().for_each(|place| read(&kept, place));
        for n in 0..MANY {
            read(&kept, (2, n));
        }
        assert!(little().all(|place| kept.get(&place).is_some()));
        let has = |owner| kept.shares.of.lock().get(&owner).copied().unwrap_or_default();
        assert!(has(2) >= BYTES / SHARE && has(2) < BYTES / SHARE + 1_000, "{}", has(2));
        assert!(kept.bytes() <= BYTES);
        // It keeps what it has read last all the same.
        assert!((MANY - 100..MANY).filter(|n| kept.get(&(2, *n)).is_some()).count() > 90);
    }

    #[test]
    fn it_is_bounded_and_counted_whatever_leaves() {
        let kept = Kept::new(BYTES);
        for n in 0..MANY {
            read(&kept, (u8::try_from(n % 200).unwrap(), n));
        }
        assert!(kept.bytes() <= BYTES && kept.bytes() > BYTES / 2);
        assert_eq!(counted(&kept), kept.common.weight(), "what is pushed out is not counted");
        for n in MANY - 500..MANY {
            kept.remove(&(u8::try_from(n % 200).unwrap(), n));
        }
        assert_eq!(counted(&kept), kept.common.weight(), "nor what is removed");
        kept.clear();
        assert!(kept.bytes() == 0 && kept.shares.of.lock().is_empty(), "nor what is cleared");
    }

    #[test]
    fn what_was_read_before_a_removal_is_not_kept_after_it() {
        let removals: [fn(&Kept<At>); 2] = [|kept| kept.remove(&(1, 1)), Kept::clear];
        for owner_has_its_share in [false, true] {
            for remove in removals {
                let kept = Kept::new(BYTES);
                for n in 2..if owner_has_its_share { MANY } else { 2 } {
                    read(&kept, (1, n));
                }
                let before = counted(&kept);
                let Look::Gap(Some(gap)) = kept.look(&(1, 1)) else { panic!("it was never read") };
                assert!(matches!(kept.look(&(1, 1)), Look::Gap(None)), "somebody else is reading it");
                remove(&kept);
                gap.fill(record(1));
                assert!(kept.get(&(1, 1)).is_none());
                assert!(counted(&kept) <= before);
                read(&kept, (1, 1));
                assert_eq!(kept.get(&(1, 1)), Some(record(1)));
                kept.remove(&(1, 1));
                assert!(kept.get(&(1, 1)).is_none());
            }
        }
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let kept = Kept::new(BYTES);
        for (len, is_kept) in [(BYTES / LARGEST - 1_000, true), (BYTES / LARGEST, false)] {
            let Look::Gap(Some(gap)) = kept.look(&(1, 1)) else { panic!("it was never read") };
            gap.fill(Arc::new(Record { version: 1, sealed: vec![7; usize::try_from(len).unwrap()] }));
            assert_eq!(kept.get(&(1, 1)).is_some(), is_kept);
            kept.remove(&(1, 1));
        }
        assert_eq!(counted(&kept), 0);
    }
}
