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

use crate::{Record, Space};

/// Of the whole, what a tenant may have without making room itself.
const SHARE: u64 = 8;
/// Of the whole, what one record may be: it must not push out a thousand small ones.
const LARGEST: u64 = 64;
/// What a record takes beside its bytes, about.
const OVERHEAD: usize = 200;

/// Whose a record is, as the engine calls that.
pub trait Owner: Copy + Eq + Hash {
    /// What counts as one tenant.
    type Tenant: Copy + Eq + Hash;
    /// Which tenant that is.
    fn tenant(self) -> Self::Tenant;
}

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place<O> {
    /// Whose it is.
    pub owner: O,
    /// Its space.
    pub space: Space,
    /// Its key.
    pub key: Box<[u8]>,
}

impl<O> Place<O> {
    /// This place.
    pub fn new(owner: O, space: Space, key: &[u8]) -> Self {
        Self { owner, space, key: key.into() }
    }
}

/// The same, borrowed: alike in its hash.
#[derive(Hash)]
struct At<'a, O> {
    owner: O,
    space: Space,
    key: &'a [u8],
}

impl<O: Eq> Equivalent<Place<O>> for At<'_, O> {
    fn equivalent(&self, place: &Place<O>) -> bool {
        self.owner == place.owner && self.space == place.space && *self.key == *place.key
    }
}

/// The records.
pub struct Kept<O: Owner> {
    /// Those of tenants that have less than their share.
    common: Part<O>,
    /// Further ones of tenants that have it.
    crowd: Part<O>,
    shares: Arc<Shares<O::Tenant>>,
    largest: u64,
}

/// What is known of a place.
pub enum Look<'a, O: Owner> {
    /// The record in it.
    Record(Arc<Record>),
    /// Nothing. Whoever reads the record now may put it there, unless somebody else is about to.
    Gap(Option<Gap<'a, O>>),
}

/// The right to put a record into its place. It is void once the place was removed.
pub struct Gap<'a, O: Owner> {
    kept: &'a Kept<O>,
    place: Place<O>,
    guard: Guard<'a, O>,
    is_common: bool,
}

type Part<O> = Cache<Place<O>, Arc<Record>, ByBytes, DefaultHashBuilder, Leaving<<O as Owner>::Tenant>>;
type Guard<'a, O> =
    PlaceholderGuard<'a, Place<O>, Arc<Record>, ByBytes, DefaultHashBuilder, Leaving<<O as Owner>::Tenant>>;

#[derive(Clone)]
struct ByBytes;

impl<O: Owner> Weighter<Place<O>, Arc<Record>> for ByBytes {
    fn weight(&self, place: &Place<O>, record: &Arc<Record>) -> u64 {
        let bytes = place.key.len().saturating_add(record.sealed.len()).saturating_add(OVERHEAD);
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Sees what is pushed out, if anybody counts it.
#[derive(Clone)]
struct Leaving<T>(Option<Arc<Shares<T>>>);

impl<O: Owner> Lifecycle<Place<O>, Arc<Record>> for Leaving<O::Tenant> {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), place: Place<O>, record: Arc<Record>) {
        if let Some(shares) = &self.0 {
            shares.less(place.owner.tenant(), ByBytes.weight(&place, &record));
        }
    }
}

/// How many bytes each has in the common part.
struct Shares<T> {
    of: Mutex<HashMap<T, u64>>,
    most: u64,
}

impl<T: Eq + Hash> Shares<T> {
    fn has_all(&self, tenant: &T) -> bool {
        self.of.lock().get(tenant).is_some_and(|bytes| *bytes >= self.most)
    }

    fn more(&self, tenant: T, bytes: u64) {
        let mut of = self.of.lock();
        let has = of.entry(tenant).or_default();
        *has = has.saturating_add(bytes);
    }

    fn less(&self, tenant: T, bytes: u64) {
        let mut of = self.of.lock();
        if let Some(has) = of.get_mut(&tenant) {
            *has = has.saturating_sub(bytes);
            if *has == 0 {
                of.remove(&tenant);
            }
        }
    }
}

impl<O: Owner> Kept<O> {
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
    pub fn get(&self, owner: O, space: Space, key: &[u8]) -> Option<Arc<Record>> {
        let at = At { owner, space, key };
        self.common.get(&at).or_else(|| self.crowd.get(&at))
    }

    /// The record in a place, or the right to put it there. To be asked for before the record is read.
    pub fn look(&self, place: &Place<O>) -> Look<'_, O> {
        let is_common = !self.shares.has_all(&place.owner.tenant());
        let part = if is_common { &self.common } else { &self.crowd };
        match part.get_value_or_guard(place, Some(Duration::ZERO)) {
            GuardResult::Value(record) => Look::Record(record),
            GuardResult::Guard(guard) => Look::Gap(Some(Gap { kept: self, place: place.clone(), guard, is_common })),
            GuardResult::Timeout => Look::Gap(None),
        }
    }

    /// There is something else in the place now, or nothing.
    pub fn remove(&self, owner: O, space: Space, key: &[u8]) {
        let at = At { owner, space, key };
        if let Some((place, record)) = self.common.remove(&at) {
            self.shares.less(place.owner.tenant(), ByBytes.weight(&place, &record));
        }
        self.crowd.remove(&at);
    }

    /// Nothing is known any more.
    pub fn clear(&self) {
        // Not `drain`: that would leave the rights to put something in.
        self.common.clear();
        self.crowd.clear();
        self.shares.of.lock().clear();
    }

    #[cfg(test)]
    fn bytes(&self) -> u64 {
        self.common.weight().saturating_add(self.crowd.weight())
    }
}

impl<O: Owner> Gap<'_, O> {
    /// Puts the record there, if nobody has said meanwhile that it is another one.
    pub fn fill(self, record: Arc<Record>) {
        let (tenant, bytes) = (self.place.owner.tenant(), ByBytes.weight(&self.place, &record));
        if bytes > self.kept.largest {
            return;
        }
        // Before it is there: it may be pushed out at once.
        let shares = self.is_common.then_some(&self.kept.shares);
        shares.inspect(|shares| shares.more(tenant, bytes));
        if self.guard.insert(record).is_err() {
            shares.inspect(|shares| shares.less(tenant, bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Owner for u8 {
        type Tenant = Self;
        fn tenant(self) -> Self {
            self
        }
    }

    fn at((owner, n): (u8, u32)) -> Place<u8> {
        Place::new(owner, Space::Secret, &n.to_be_bytes())
    }

    fn get(kept: &Kept<u8>, (owner, n): (u8, u32)) -> Option<Arc<Record>> {
        kept.get(owner, Space::Secret, &n.to_be_bytes())
    }

    fn remove(kept: &Kept<u8>, (owner, n): (u8, u32)) {
        kept.remove(owner, Space::Secret, &n.to_be_bytes());
    }

    const BYTES: u64 = 1 << 20;
    /// More than all of it.
    const MANY: u32 = 10_000;

    fn record(version: u64) -> Arc<Record> {
        Arc::new(Record { version, sealed: vec![7; 100] })
    }

    /// Reads, as often as makes a record one that is read often.
    fn read(kept: &Kept<u8>, place: (u8, u32)) {
        for _ in 0..3 {
            if get(kept, place).is_none()
                && let Look::Gap(Some(gap)) = kept.look(&at(place))
            {
                gap.fill(record(1));
            }
        }
    }

    fn counted(kept: &Kept<u8>) -> u64 {
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
        assert!(little().all(|place| get(&kept, place).is_some()));
        let has = |owner| kept.shares.of.lock().get(&owner).copied().unwrap_or_default();
        assert!(has(2) >= BYTES / SHARE && has(2) < BYTES / SHARE + 1_000, "{}", has(2));
        assert!(kept.bytes() <= BYTES);
        // It keeps what it has read last all the same.
        assert!((MANY - 100..MANY).filter(|n| get(&kept, (2, *n)).is_some()).count() > 90);
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
            remove(&kept, (u8::try_from(n % 200).unwrap(), n));
        }
        assert_eq!(counted(&kept), kept.common.weight(), "nor what is removed");
        kept.clear();
        assert!(kept.bytes() == 0 && kept.shares.of.lock().is_empty(), "nor what is cleared");
    }

    #[test]
    fn what_was_read_before_a_removal_is_not_kept_after_it() {
        let removals: [fn(&Kept<u8>); 2] = [|kept| remove(kept, (1, 1)), Kept::clear];
        for owner_has_its_share in [false, true] {
            for take_out in removals {
                let kept = Kept::new(BYTES);
                for n in 2..if owner_has_its_share { MANY } else { 2 } {
                    read(&kept, (1, n));
                }
                let before = counted(&kept);
                let Look::Gap(Some(gap)) = kept.look(&at((1, 1))) else { panic!("it was never read") };
                assert!(matches!(kept.look(&at((1, 1))), Look::Gap(None)), "somebody else is reading it");
                take_out(&kept);
                gap.fill(record(1));
                assert!(get(&kept, (1, 1)).is_none());
                assert!(counted(&kept) <= before);
                read(&kept, (1, 1));
                assert_eq!(get(&kept, (1, 1)), Some(record(1)));
                remove(&kept, (1, 1));
                assert!(get(&kept, (1, 1)).is_none());
            }
        }
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let kept = Kept::new(BYTES);
        for (len, is_kept) in [(BYTES / LARGEST - 1_000, true), (BYTES / LARGEST, false)] {
            let Look::Gap(Some(gap)) = kept.look(&at((1, 1))) else { panic!("it was never read") };
            gap.fill(Arc::new(Record { version: 1, sealed: vec![7; usize::try_from(len).unwrap()] }));
            assert_eq!(get(&kept, (1, 1)).is_some(), is_kept);
            remove(&kept, (1, 1));
        }
        assert_eq!(counted(&kept), 0);
    }
}
