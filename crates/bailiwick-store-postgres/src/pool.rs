//! Connections: a bounded number, made when they are needed and made again when they have gone.
//!
//! # Invariants
//! - INV-POOL-1: never more connections than the budget, whatever happens.
//! - INV-POOL-2: while the database is away, one attempt at a time finds out whether it is back, and no more often than
//!   the back-off says; everybody else is told at once.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::Client;

use crate::metrics::Metrics;
use crate::session::Session;
use crate::trouble::{OpenError, Trouble};
use crate::url::Url;

/// How long after a failed attempt the next is made: at first, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A bounded set of connections.
pub(crate) struct Pool {
    url: Url,
    idle: Mutex<Vec<Session>>,
    places: Arc<Semaphore>,
    outage: Mutex<Outage>,
    metrics: Arc<Metrics>,
}

/// How the last attempts to connect went.
#[derive(Default)]
struct Outage {
    failures: u32,
    /// No attempt before this.
    until: Option<Instant>,
    why: String,
}

/// A connection that somebody has for now. Dropped without [`Lease::done`] it is closed: nobody knows what is under way.
pub(crate) struct Lease {
    session: Option<Session>,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    pub(crate) fn new(url: Url, connections: usize, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            url,
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(connections.max(1))),
            outage: Mutex::default(),
            metrics,
        })
    }

    /// A connection, within this time.
    pub(crate) async fn lease(self: &Arc<Self>, wait: Duration) -> Result<Lease, Trouble> {
        let deadline = Instant::now() + wait;
        let place = tokio::time::timeout_at(deadline, Arc::clone(&self.places).acquire_owned());
        let place = match place.await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(Trouble::Gone("the store is closed".to_owned())),
            Err(_) => return Err(Trouble::Full("all connections to the database are in use".to_owned())),
        };
        let session = loop {
            let Some(session) = self.idle.lock().pop() else { break None };
            if !session.is_closed() {
                break Some(session);
            }
        };
        let session = match session {
            Some(session) => session,
            None => match tokio::time::timeout_at(deadline, self.connect()).await {
                Ok(connected) => connected?,
                Err(_) => return Err(Trouble::Gone("the database does not answer".to_owned())),
            },
        };
        Ok(Lease { session: Some(session), pool: Arc::clone(self), _place: place })
    }

    /// Makes a connection, unless the last attempt failed a moment ago.
    async fn connect(&self) -> Result<Session, Trouble> {
        {
            let mut outage = self.outage.lock();
            let now = Instant::now();
            if outage.until.is_some_and(|until| now < until) {
                return Err(Trouble::Gone(outage.why.clone()));
            }
            if outage.failures > 0 {
                // Whoever else comes while this attempt is under way is told of the last one.
                outage.until = Some(now + BACK_OFF.1);
            }
        }
        let made = open(&self.url).await;
        let mut outage = self.outage.lock();
        match made {
            Ok(session) => {
                if outage.failures > 0 {
                    tracing::info!(database = %self.url.shown(), "the database is back");
                }
                *outage = Outage::default();
                self.metrics.connected();
                Ok(session)
            }
            Err(trouble) => {
                let spell = BACK_OFF.0.saturating_mul(1 << outage.failures.min(16)).min(BACK_OFF.1);
                outage.failures = outage.failures.saturating_add(1);
                outage.until = Some(Instant::now() + spell);
                outage.why = trouble.clone().text();
                self.metrics.connection_failed();
                tracing::warn!(database = %self.url.shown(), why = outage.why, "the database cannot be reached");
                Err(trouble)
            }
        }
    }

    /// Closes what is idle: the database has gone, and so have they.
    pub(crate) fn drain(&self) {
        self.idle.lock().clear();
    }
}

/// Connects, and prepares every statement.
pub(crate) async fn open(url: &Url) -> Result<Session, Trouble> {
    let (client, driver) = dial(url).await?;
    Session::new(client, driver, url.statements).await
}

/// Connects to look at what there is: nothing is prepared.
pub(crate) async fn look(url: &Url) -> Result<Session, OpenError> {
    let (client, driver) = dial(url).await.map_err(|error| OpenError::of(&error))?;
    Ok(Session::bare(client, driver))
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
        self.session.as_ref().ok_or_else(|| Trouble::Gone("the connection was given back".to_owned()))
    }

    /// Gives the connection back: no transaction is open on it.
    pub(crate) fn done(mut self) {
        if let Some(session) = self.session.take().filter(|session| !session.is_closed()) {
            self.pool.idle.lock().push(session);
        }
    }
}
