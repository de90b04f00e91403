//! Connections: a bounded number, made when they are needed and made again when they have gone.
//!
//! # Invariants
//! - INV-POOL-1: never more connections than the budget, whatever happens.
//! - INV-POOL-2: while the database is away, one attempt of a node's at a time finds out whether it is back, and no more
//!   often than the back-off says; everybody else is told at once.
//! - INV-POOL-3: who could have a connection that there is waits for it. That there are no more fails nobody.
//! - INV-POOL-4: beyond the first of each pool, a connection is made and kept only while enough are left for the first
//!   ones of another node (see `budget`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::budget::{self, RESERVE};
use crate::metrics::Metrics;
use crate::session::Session;
use crate::trouble::{OpenError, Trouble, with_source};
use crate::url::Url;

/// How long after a failed attempt the next is made: at first, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How long a node that starts waits for its first connections while others have all of them: those look every
/// [`LOOK_EVERY`] whether they have to give some back.
pub(crate) const START_WAIT: Duration = Duration::from_secs(30);
/// How often a node that starts tries.
const START_PAUSE: Duration = Duration::from_millis(250);
/// How long one of its first connections may take to be made, by a server that is busy.
const FIRST_MAX: Duration = Duration::from_secs(10);
/// How often a node looks whether it may have more connections, or must give some back.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the pools of a node have in common: where they connect to, and how that fares.
pub(crate) struct Source {
    url: Url,
    outage: Mutex<Outage>,
    /// Whether it was said that there are fewer connections than this node could use.
    is_short: AtomicBool,
    metrics: Arc<Metrics>,
}

/// How the last attempts to connect went.
#[derive(Default)]
struct Outage {
    failures: u32,
    /// No attempt before this, and what to say meanwhile.
    until: Option<(Instant, Trouble)>,
}

/// A bounded set of connections.
pub(crate) struct Pool {
    source: Arc<Source>,
    idle: Mutex<Vec<Open>>,
    /// One for each connection that may be in use. Fewer while the database has no more for this node.
    places: Arc<Semaphore>,
    room: Mutex<Room>,
    most: usize,
    /// Connections that there are, or are being made.
    open: Arc<AtomicUsize>,
}

/// How many places there are.
struct Room {
    places: usize,
    /// How many of them are to go as soon as their connections are given back.
    to_give_back: usize,
}

/// A connection, counted.
struct Open {
    session: Session,
    _one: One,
}

/// One of the connections that there are.
struct One(Arc<AtomicUsize>);

impl One {
    /// Counts one more; whether it is the first.
    fn of(count: &Arc<AtomicUsize>) -> (Self, bool) {
        let before = count.fetch_add(1, Ordering::SeqCst);
        (Self(Arc::clone(count)), before == 0)
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A connection that somebody has for now. Dropped without [`Lease::done`] it is closed: nobody knows what is under way.
pub(crate) struct Lease {
    open: Option<Open>,
    pool: Arc<Pool>,
    place: OwnedSemaphorePermit,
}

impl Source {
    pub(crate) fn new(url: Url, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { url, outage: Mutex::default(), is_short: AtomicBool::new(false), metrics })
    }

    /// Makes a connection, unless the last attempt failed a moment ago.
    async fn connect(&self) -> Result<Session, Trouble> {
        {
            let mut outage = self.outage.lock();
            let now = Instant::now();
            if let Some((until, trouble)) = &mut outage.until {
                if now < *until {
                    return Err(trouble.clone());
                }
                // Whoever else comes while this attempt is under way is told of the last one.
                *until = now + BACK_OFF.1;
            }
        }
        let made = open(&self.url).await;
        let mut outage = self.outage.lock();
        match made {
            Ok(session) => {
                if let Some((_, Trouble::Gone(_))) = outage.until {
                    tracing::info!(database = %self.url.shown(), "the database is back");
                }
                *outage = Outage::default();
                self.metrics.connected();
                Ok(session)
            }
            Err(trouble) => {
                let spell = BACK_OFF.0.saturating_mul(1 << outage.failures.min(16)).min(BACK_OFF.1);
                outage.failures = outage.failures.saturating_add(1);
                outage.until = Some((Instant::now() + spell, trouble.clone()));
                self.metrics.connection_failed();
                if !matches!(trouble, Trouble::Full(_)) {
                    let why = trouble.clone().text();
                    tracing::warn!(database = %self.url.shown(), why, "the database cannot be reached");
                }
                Err(trouble)
            }
        }
    }

    /// Says, once until it is over, that there are fewer connections than this node could use.
    fn say_short(&self, why: &str) {
        if !self.is_short.swap(true, Ordering::SeqCst) {
            tracing::warn!(
                database = %self.url.shown(),
                why,
                "fewer connections to the database than this node could use: it goes on with those that it has"
            );
        }
    }

    fn say_enough(&self) {
        if self.is_short.swap(false, Ordering::SeqCst) {
            tracing::info!(database = %self.url.shown(), "as many connections to the database as this node could use");
        }
    }
}

impl Pool {
    pub(crate) fn new(source: &Arc<Source>, connections: usize) -> Arc<Self> {
        let most = connections.max(1);
        Arc::new(Self {
            source: Arc::clone(source),
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(most)),
            room: Mutex::new(Room { places: most, to_give_back: 0 }),
            most,
            open: Arc::default(),
        })
    }

    /// A connection, within this time.
    pub(crate) async fn lease(self: &Arc<Self>, wait: Duration) -> Result<Lease, Trouble> {
        let deadline = Instant::now() + wait;
        loop {
            let place = tokio::time::timeout_at(deadline, Arc::clone(&self.places).acquire_owned());
            let place = match place.await {
                Ok(Ok(place)) => place,
                Ok(Err(_)) => return Err(Trouble::Gone("the store is closed".to_owned())),
                Err(_) => return Err(Trouble::Full("all connections to the database are in use".to_owned())),
            };
            let open = loop {
                let Some(open) = self.idle.lock().pop() else { break None };
                if !open.session.is_closed() {
                    break Some(open);
                }
            };
            let open = match open {
                Some(open) => open,
                None => match tokio::time::timeout_at(deadline, self.connect()).await {
                    Ok(Ok(open)) => open,
                    Ok(Err(Trouble::Full(why))) => {
                        self.source.say_short(&why);
                        if self.has_fewer() {
                            // In line for those that there are.
                            place.forget();
                            continue;
                        }
                        return Err(Trouble::Full(why));
                    }
                    Ok(Err(trouble)) => return Err(trouble),
                    Err(_) => return Err(Trouble::Gone("the database does not answer".to_owned())),
                },
            };
            return Ok(Lease { open: Some(open), pool: Arc::clone(self), place });
        }
    }

    /// One place less, if there is another, and each connection keeps one.
    fn has_fewer(&self) -> bool {
        let mut room = self.room.lock();
        let is_spare = room.places > self.open.load(Ordering::SeqCst).max(1);
        if is_spare {
            room.places -= 1;
        }
        is_spare
    }

    async fn connect(&self) -> Result<Open, Trouble> {
        let (one, is_first) = One::of(&self.open);
        let session = self.source.connect().await?;
        if !is_first && budget::left(&session).await.is_some_and(|left| left < RESERVE) {
            return Err(Trouble::Full("what is left is for the first connections of other nodes".to_owned()));
        }
        Ok(Open { session, _one: one })
    }

    /// Closes what is idle: the database has gone, and so have they.
    pub(crate) fn drain(&self) {
        self.idle.lock().clear();
    }

    /// How many connections there are, and how many more this pool could use and cannot have.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.open.load(Ordering::SeqCst), self.most.saturating_sub(self.room.lock().places))
    }

    /// Takes up to so many places back; answers how many.
    fn grow(&self, most: usize) -> usize {
        let mut room = self.room.lock();
        room.to_give_back = 0;
        let more = self.most.saturating_sub(room.places).min(most);
        room.places += more;
        self.places.add_permits(more);
        more
    }

    /// Gives up to so many connections back, those in use as soon as they are done with; answers how many.
    fn give_back(&self, most: usize) -> usize {
        let mut room = self.room.lock();
        let some = self.open.load(Ordering::SeqCst).min(room.places).saturating_sub(1).min(most);
        room.to_give_back = some;
        while room.to_give_back > 0
            && let Ok(place) = self.places.try_acquire()
            && let Some(open) = self.idle.lock().pop()
        {
            drop(open);
            place.forget();
            room.places -= 1;
            room.to_give_back -= 1;
        }
        some
    }
}

/// Looks whether these pools may have more connections, or must give some back for other nodes.
pub(crate) async fn look_at_budget(pools: &[&Arc<Pool>]) {
    let is_short = pools.iter().any(|pool| pool.count().1 > 0);
    let has_spare = pools.iter().any(|pool| pool.count().0 > 1);
    let Some(first) = pools.first().filter(|_| is_short || has_spare) else { return };
    let Ok(lease) = first.lease(LOOK_EVERY).await else { return };
    let left = match lease.session() {
        Ok(session) => budget::left(session).await,
        Err(_) => None,
    };
    lease.done();
    let others = left.map_or(i64::MAX, |left| left.saturating_sub(RESERVE));
    let mut wanted = usize::try_from(others.unsigned_abs()).unwrap_or(usize::MAX);
    for pool in pools {
        wanted -= if others < 0 { pool.give_back(wanted) } else { pool.grow(wanted) };
    }
    match left {
        Some(_) if others < 0 => first.source.say_short("other nodes need some of them"),
        _ if pools.iter().all(|pool| pool.count().1 == 0) => first.source.say_enough(),
        _ => {}
    }
}

/// One connection for each pool, before a node says that it is there. Waits while other nodes have all of them.
pub(crate) async fn first_of_each(pools: &[&Arc<Pool>], wait: Duration) -> Result<(), OpenError> {
    let until = Instant::now() + wait;
    for pool in pools {
        loop {
            match pool.lease(FIRST_MAX).await {
                Ok(lease) => break lease.done(),
                Err(Trouble::Full(why)) if Instant::now() + START_PAUSE >= until => {
                    return Err(OpenError::Crowded(why));
                }
                Err(Trouble::Full(_)) => tokio::time::sleep(START_PAUSE).await,
                Err(trouble) => return Err(OpenError::Unreachable { why: trouble.text(), hint: None }),
            }
        }
    }
    Ok(())
}

/// Connects, and prepares every statement.
pub(crate) async fn open(url: &Url) -> Result<Session, Trouble> {
    let (client, driver) = dial(url).await.map_err(|error| {
        let why = with_source(&error);
        match Trouble::from(error) {
            Trouble::Full(_) => Trouble::Full(why),
            // Whatever it is: another may be had later.
            _ => Trouble::Gone(why),
        }
    })?;
    Session::new(client, driver, url.statements).await
}

/// Connects to look at what there is: nothing is prepared. Waits while others have all connections.
pub(crate) async fn look(url: &Url, wait: Duration) -> Result<Session, OpenError> {
    let until = Instant::now() + wait;
    loop {
        match dial(url).await.map_err(|error| OpenError::of(&error)) {
            Ok((client, driver)) => return Ok(Session::bare(client, driver)),
            Err(OpenError::Crowded(_)) if Instant::now() + START_PAUSE < until => tokio::time::sleep(START_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

async fn dial(url: &Url) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
    Ok(match &url.tls {
        Some(tls) => {
            let (client, connection) = url.config.connect(tls.clone()).await?;
            (client, tokio::spawn(drive(connection)))
        }
        None => {
            let (client, connection) = url.config.connect(tokio_postgres::NoTls).await?;
            (client, tokio::spawn(drive(connection)))
        }
    })
}

/// Carries messages until the connection ends; whoever waits for an answer then learns of it.
async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to the database has ended");
    }
}

impl Lease {
    pub(crate) fn session(&self) -> Result<&Session, Trouble> {
        let open = self.open.as_ref().ok_or_else(|| Trouble::Gone("the connection was given back".to_owned()))?;
        Ok(&open.session)
    }

    /// Gives the connection back: no transaction is open on it.
    pub(crate) fn done(self) {
        let Self { open, pool, place } = self;
        let Some(open) = open.filter(|open| !open.session.is_closed()) else { return };
        let mut room = pool.room.lock();
        if room.to_give_back > 0 {
            room.to_give_back -= 1;
            room.places -= 1;
            place.forget();
        } else {
            pool.idle.lock().push(open);
        }
    }
}
