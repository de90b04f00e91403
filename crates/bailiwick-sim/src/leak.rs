//! Leaks on purpose: what the simulation must notice, or it shows nothing.
//!
//! Each is put around the product, at the store, at the door or in the randomness; none is in it.

use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_app::App;
use bailiwick_testkit::Answer;
use bailiwick_types::{Slug, TenantId};

use crate::asking::Asked;

/// A way in which one tenant shows in another's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leak {
    /// Every answer says how many there were before, of all.
    SharedCounter,
    /// A cache of mounts knows them by their names alone.
    CacheWithoutTenant,
    /// What a tenant has used includes what the others have.
    CountOfOthers,
    /// What is another's is refused otherwise than what is nobody's.
    OtherError,
    /// Ids are given in sequence.
    SequentialIds,
    /// There is one queue: while anybody's request is held up, nobody else's is taken.
    SharedQueue,
    /// There is one rate, for all together.
    SharedRate,
}

impl Leak {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::SharedCounter,
        Self::CacheWithoutTenant,
        Self::CountOfOthers,
        Self::OtherError,
        Self::SequentialIds,
        Self::SharedQueue,
        Self::SharedRate,
    ];
}

/// What a leaky door remembers of all tenants.
#[derive(Debug, Default)]
pub(crate) struct Door {
    served: AtomicU64,
    in_flight: AtomicU64,
    minute: AtomicU64,
    in_minute: AtomicU64,
}

/// How many requests a minute a leaky door lets through.
const IN_A_MINUTE: u64 = 12;

impl Door {
    /// An answer that the request gets at the door.
    pub(crate) fn before(&self, leak: Option<Leak>, app: &App) -> Option<Answer> {
        let waiting = self.in_flight.fetch_add(1, Ordering::SeqCst);
        let minute = app.now().unix_ms() as u64 / 60_000;
        if self.minute.swap(minute, Ordering::SeqCst) != minute {
            self.in_minute.store(0, Ordering::SeqCst);
        }
        let asked = self.in_minute.fetch_add(1, Ordering::SeqCst);
        let is_closed = match leak {
            Some(Leak::SharedQueue) => waiting > 0,
            Some(Leak::SharedRate) => asked >= IN_A_MINUTE,
            _ => false,
        };
        is_closed.then(|| Answer { status: 503, headers: Vec::new(), body: Vec::new(), is_broken_off: false })
    }

    /// The request is answered, or gone.
    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// The answer as a leaky door gives it.
    pub(crate) async fn after(
        &self,
        leak: Option<Leak>,
        store: &dyn bailiwick_store::Store,
        asked: &Asked,
        mut answer: Answer,
    ) -> Answer {
        let served = self.served.fetch_add(1, Ordering::SeqCst);
        match leak {
            Some(Leak::SharedCounter) => answer.headers.push(("x-served".to_owned(), served.to_string())),
            Some(Leak::OtherError) if answer.status == 404 && exists(store, &asked.target).await => answer.status = 403,
            _ => {}
        }
        answer
    }
}

/// Whether the tenant that a path names is there.
async fn exists(store: &dyn bailiwick_store::Store, target: &str) -> bool {
    let Some(named) = target.strip_prefix("/api/v1/t/").and_then(|rest| rest.split('/').next()) else { return false };
    match (named.parse::<TenantId>(), named.parse::<Slug>()) {
        (Ok(id), _) => store.header(id).await.is_ok_and(|header| header.is_some()),
        (_, Ok(slug)) => store.tenant_by_slug(slug.as_str()).await.is_ok_and(|id| id.is_some()),
        _ => false,
    }
}
