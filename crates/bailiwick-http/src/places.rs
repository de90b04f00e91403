//! Who has a connection: there are so many places, and they are shared by where connections come from.
//!
//! While there is a place, everybody gets one. When there is none, the source that has most of them loses one to whoever has
//! fewer: nobody keeps others out by opening many connections, or by holding them open.
//!
//! # Invariants
//! - INV-PLACES-1: no more connections have a place than there are.
//! - INV-PLACES-2: whoever has fewer connections than some source that has one to spare gets a place: one on which nothing is
//!   being answered, or any where the difference is two or more.
//! - INV-PLACES-3: a connection on which something is being answered ends only for a source that has at least two fewer.
//!
//! # Deliberately absent
//! A share of each source: behind a load balancer all connections have one source, and may have all places. Nothing here
//! decides what a request may do, or when its turn is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bailiwick_types::Source;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::reply::Body;

/// So many of a source's connections are looked at for one on which nothing is being answered.
const LOOK_MAX: usize = 64;

/// The places of one listener.
pub(crate) struct Places {
    max: usize,
    taken: Mutex<Taken>,
    /// How many connections had to end for another one.
    pub(crate) given_up: AtomicU64,
    /// How many got no place.
    pub(crate) refused: AtomicU64,
}

#[derive(Default)]
struct Taken {
    by_source: HashMap<Source, Connections>,
    /// How many connections each source has, so that who has most is the last.
    by_count: BTreeSet<(usize, Source)>,
    total: usize,
    next: u64,
}

/// Those of one source, by their numbers.
#[derive(Default)]
struct Connections {
    all: BTreeMap<u64, Arc<Connection>>,
    /// The first that is looked at next.
    look_from: u64,
}

#[derive(Default)]
struct Connection {
    /// How many requests are being answered on it.
    answering: AtomicUsize,
    /// Told when somebody else gets its place.
    given_up: Notify,
}

/// A place. It is free again once this is dropped.
pub(crate) struct Place {
    places: Arc<Places>,
    source: Source,
    number: u64,
    connection: Arc<Connection>,
}

/// A request that is being answered.
pub(crate) struct Answering(Arc<Connection>);

impl Places {
    pub(crate) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { max, taken: Mutex::default(), given_up: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }

    /// How many there are.
    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// How many connections have one.
    pub(crate) fn count(&self) -> usize {
        self.taken.lock().total
    }

    /// A place for a connection, if need be that of another one.
    pub(crate) fn take(self: &Arc<Self>, source: Source) -> Option<Place> {
        let mut taken = self.taken.lock();
        if taken.total >= self.max {
            let Some((of, number)) = taken.to_give_up(source) else {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return None;
            };
            if let Some(connection) = taken.remove(of, number) {
                connection.given_up.notify_one();
            }
            self.given_up.fetch_add(1, Ordering::Relaxed);
        }
        let connection = Arc::new(Connection::default());
        let number = taken.add(source, Arc::clone(&connection));
        Some(Place { places: Arc::clone(self), source, number, connection })
    }
}

impl Taken {
    fn add(&mut self, source: Source, connection: Arc<Connection>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.total += 1;
        let of = self.by_source.entry(source).or_default();
        self.by_count.remove(&(of.all.len(), source));
        of.all.insert(number, connection);
        self.by_count.insert((of.all.len(), source));
        number
    }

    /// Nothing, if it was given up before.
    fn remove(&mut self, source: Source, number: u64) -> Option<Arc<Connection>> {
        let of = self.by_source.get_mut(&source)?;
        let connection = of.all.remove(&number)?;
        let left = of.all.len();
        self.total -= 1;
        self.by_count.remove(&(left + 1, source));
        if left == 0 {
            self.by_source.remove(&source);
        } else {
            self.by_count.insert((left, source));
        }
        Some(connection)
    }

    /// Which connection is to end for one of `newcomer`: of who has most, or one of its own.
    fn to_give_up(&mut self, newcomer: Source) -> Option<(Source, u64)> {
        let has = self.by_source.get(&newcomer).map_or(0, |of| of.all.len());
        let (most, source) = *self.by_count.last()?;
        if most > has {
            let of = self.by_source.get_mut(&source)?;
            let eldest = of.all.keys().next().copied().filter(|_| most > has + 1);
            if let Some(number) = of.idle().or(eldest) {
                return Some((source, number));
            }
        }
        let number = self.by_source.get_mut(&newcomer)?.idle()?;
        Some((newcomer, number))
    }
}

impl Connections {
    /// One on which nothing is being answered. Each time others are looked at, so that none is found twice as often.
    fn idle(&mut self) -> Option<u64> {
        let (before, after) = (self.all.range(..self.look_from), self.all.range(self.look_from..));
        for (number, connection) in after.chain(before).take(LOOK_MAX) {
            self.look_from = number + 1;
            if connection.answering.load(Ordering::Relaxed) == 0 {
                return Some(*number);
            }
        }
        None
    }
}

impl Place {
    /// Until somebody else has it.
    pub(crate) async fn given_up(&self) {
        self.connection.given_up.notified().await;
    }

    /// Says that a request is being answered, until what is returned is dropped.
    pub(crate) fn answering(&self) -> Answering {
        self.connection.answering.fetch_add(1, Ordering::Relaxed);
        Answering(Arc::clone(&self.connection))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().remove(self.source, self.number);
    }
}

impl Answering {
    /// A body that is not answered before all of it was taken.
    pub(crate) fn with(self, body: Body) -> Answer {
        Answer { body, _answering: self }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What goes out on a connection that has a place.
pub(crate) struct Answer {
    body: Body,
    _answering: Answering,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::mem;
    use std::net::IpAddr;

    use super::*;

    fn source(number: u8) -> Source {
        IpAddr::from([192, 0, 2, number]).into()
    }

    fn is_given_up(place: &Place) -> bool {
        !place.places.taken.lock().by_source.get(&place.source).is_some_and(|of| of.all.contains_key(&place.number))
    }

    fn taken(places: &Arc<Places>, number: u8, count: usize) -> Vec<Place> {
        (0..count).map(|_| places.take(source(number)).unwrap()).collect()
    }

    #[test]
    fn who_has_most_loses_one_to_who_has_fewer() {
        let places = Places::new(6);
        let (many, few) = (taken(&places, 1, 4), taken(&places, 2, 2));
        let newcomers = taken(&places, 3, 2);
        assert_eq!(many.iter().filter(|place| is_given_up(place)).count(), 2);
        assert!(!few.iter().chain(&newcomers).any(is_given_up));
        assert_eq!((places.count(), places.given_up.load(Ordering::Relaxed)), (6, 2));
    }

    #[test]
    fn who_has_most_loses_one_of_its_own() {
        let places = Places::new(4);
        let (many, few) = (taken(&places, 1, 3), taken(&places, 2, 1));
        let more = taken(&places, 1, 5);
        assert!(many.iter().all(is_given_up) && !few.iter().any(is_given_up));
        assert_eq!(more.iter().filter(|place| !is_given_up(place)).count(), 3);
    }

    #[test]
    fn a_source_may_have_all_places() {
        let places = Places::new(3);
        let _all = taken(&places, 1, 3);
        assert_eq!((places.count(), places.given_up.load(Ordering::Relaxed)), (3, 0));
    }

    #[test]
    fn what_is_being_answered_goes_on_while_something_else_can_end() {
        let places = Places::new(3);
        let many = taken(&places, 1, 3);
        let _answering = (many[0].answering(), many[2].answering());
        let _newcomer = places.take(source(2)).unwrap();
        assert_eq!(many.iter().map(is_given_up).collect::<Vec<_>>(), [false, true, false]);
        // Two of one and one of the other: that is fair, and nothing is cut off for what is no fairer.
        let _others = taken(&places, 2, 1);
        assert_eq!(many.iter().map(is_given_up).collect::<Vec<_>>(), [false, true, false]);
    }

    #[test]
    fn what_is_being_answered_ends_for_who_has_two_fewer() {
        let places = Places::new(3);
        let many = taken(&places, 1, 3);
        let _answering: Vec<_> = many.iter().map(Place::answering).collect();
        assert!(places.take(source(1)).is_none(), "it would end for another one of the same source");
        let newcomer = places.take(source(2)).unwrap();
        let _busy = newcomer.answering();
        assert_eq!(many.iter().filter(|place| is_given_up(place)).count(), 1);
        assert!(places.take(source(2)).is_none(), "two of one and one of the other is fair");
        assert_eq!((places.count(), places.refused.load(Ordering::Relaxed)), (3, 2));
    }

    #[test]
    fn an_answer_is_under_way_until_its_body_is_dropped() {
        let places = Places::new(1);
        let place = places.take(source(1)).unwrap();
        let answer = place.answering().with(crate::reply::full("x"));
        assert!(places.take(source(1)).is_none());
        drop(answer);
        assert!(places.take(source(1)).is_some());
    }

    #[test]
    fn no_more_than_a_few_are_looked_at_for_one_that_can_end_and_others_each_time() {
        let places = Places::new(3 * LOOK_MAX);
        let many = taken(&places, 1, 3 * LOOK_MAX);
        let last = many.len() - 1;
        let _answering: Vec<_> = many[..last].iter().map(Place::answering).collect();
        let tries: Vec<_> =
            (0..4).map(|_| places.take(source(1)).inspect(|place| mem::forget(place.answering()))).collect();
        assert_eq!(tries.iter().map(Option::is_some).collect::<Vec<_>>(), [false, false, true, false]);
        assert!(is_given_up(&many[last]));
    }

    #[test]
    fn a_place_is_free_once_and_nobody_is_remembered_who_has_none() {
        let places = Places::new(2);
        let first = taken(&places, 1, 2);
        let second = taken(&places, 2, 1);
        drop((first, second));
        let taken = places.taken.lock();
        assert_eq!((taken.total, taken.by_source.len(), taken.by_count.len()), (0, 0, 0));
    }
}
