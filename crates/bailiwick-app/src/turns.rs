//! Before everything else a request waits for its turn, so that a flood of one tenant is felt by that tenant.
//!
//! Whose turn it is must be known before anything that costs is done, authentication included. So it goes by what was
//! authenticated lately: a credential that was good is its tenant's, whatever has happened to it since; all others are
//! strangers' until they have been good once. This decides who waits for whom, and nothing else.
//!
//! # Invariants
//! - INV-TURN-1: who has no credential of a tenant takes none of its turns, whatever tenant they name.
//! - INV-TURN-2: what is answered without anybody's turn takes one of a stranger's.
//! - INV-TURN-3: a request that runs waits for no turn. What needs the processor for long has places of its own, so that
//!   it never holds all of those that others wait for.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use bailiwick_types::{Action, CredentialText, ErrorClass, Limit, Source, TenantId};
use quick_cache::sync::Cache;

use crate::app::App;
use crate::error::AppError;
use crate::fair::{Flow, Full, Load, Places, Scheduler, Turn};
use crate::metrics::Event;
use crate::request::RequestMeta;

/// What a request needs a place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A moment of the processor, and the wait for a commit.
    Short,
    /// Something that grows with what the tenant has: lists, exports.
    Long,
    /// A compiler's work, and a solver's.
    Proof,
}

impl Work {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Short, Self::Long, Self::Proof];

    /// The name in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Long => "long",
            Self::Proof => "proof",
        }
    }

    fn of(action: Action) -> Self {
        match action {
            Action::PolicyPut
            | Action::PolicyDelete
            | Action::PolicyCheck
            | Action::PolicyDiff
            | Action::InvariantPut
            | Action::InvariantDelete
            | Action::InvariantCheck
            | Action::GuardrailPut
            | Action::GuardrailDelete
            | Action::PlatformInvariantPut
            | Action::PlatformInvariantDelete
            | Action::PlatformInvariantCheck => Self::Proof,
            Action::LedgerRead
            | Action::LedgerProve
            | Action::LedgerExport
            | Action::AttestationIssue
            | Action::BundleExport
            | Action::PlatformLedgerRead
            | Action::PlatformLedgerProve
            | Action::PlatformLedgerExport => Self::Long,
            list if list.as_str().ends_with(":list") => Self::Long,
            _ => Self::Short,
        }
    }
}

/// Whose share is smaller by what a request takes before it has its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Payer {
    /// A tenant, or the platform: its credential was good lately.
    Tenant(TenantId),
    /// Whoever is there, whomever they claim to be.
    Source(Option<Source>),
}

/// How many requests run at a time, and what becomes of those for which there is not even room to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnsConfig {
    /// For [`Work::Short`]. Most of these wait for a commit, many in one group.
    pub short: Places,
    /// For [`Work::Long`].
    pub long: Places,
    /// For [`Work::Proof`].
    pub proof: Places,
    /// How long a refusal is held back, so that who sends the next request when the last one is answered cannot keep the
    /// server busy with refusing.
    pub refusal_delay: Duration,
    /// How much longer a place is held that was needed for a moment only: for a failed login, a refusal by rate, and, while
    /// others are there, for what is answered without a credential. These cost little and wait for nothing, so it is this
    /// that bounds how many there are in a second.
    pub brief_hold: Duration,
}

impl Default for TurnsConfig {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, std::num::NonZero::get).max(2);
        let places = |total, share, contested, quantum_ms| {
            let quantum = Duration::from_millis(quantum_ms);
            Places { total, share, contested, quantum }
        };
        Self {
            short: places(64 * cores, 32 * cores, 4 * cores, 1),
            long: places(2 * cores, cores / 2, cores / 2, 10),
            proof: places(cores, cores / 2, cores / 2, 100),
            refusal_delay: Duration::from_millis(500),
            brief_hold: Duration::from_millis(5),
        }
    }
}

/// Of how many credentials it is remembered that they were good.
const FAMILIAR_MAX: usize = 65_536;

/// Everything about turns on this node.
pub(crate) struct Turns {
    short: Arc<Scheduler>,
    long: Arc<Scheduler>,
    proof: Arc<Scheduler>,
    refusal_delay: Duration,
    brief_hold: Duration,
    /// Which tenant a credential was of when it was good, by a keyed hash of its text.
    familiar: Cache<u64, TenantId>,
    keyed: RandomState,
}

impl Turns {
    pub(crate) fn new(config: &TurnsConfig) -> Self {
        Self {
            short: Scheduler::new(config.short),
            long: Scheduler::new(config.long),
            proof: Scheduler::new(config.proof),
            refusal_delay: config.refusal_delay,
            brief_hold: config.brief_hold,
            familiar: Cache::new(FAMILIAR_MAX),
            keyed: RandomState::new(),
        }
    }

    /// The credential of a stranger was good: its requests are the tenant's from now on.
    pub(crate) fn remember(&self, meta: &RequestMeta, tenant: TenantId) {
        if let Some(text) = &meta.credential {
            self.familiar.insert(self.keyed.hash_one(text.expose()), tenant);
        }
    }

    /// An admission that failed, or a request that is one too many, after as long as it is to hold its turn.
    pub(crate) async fn refused(&self, error: AppError) -> AppError {
        if matches!(error.class(), ErrorClass::Unauthenticated | ErrorClass::Limited) {
            tokio::time::sleep(self.brief_hold).await;
        }
        error
    }

    /// From a half of the delay to one and a half: those who were refused together must not come back together.
    fn refusal_delay_of(&self, meta: &RequestMeta) -> Duration {
        let thousandths = u32::try_from(self.keyed.hash_one(meta.id.as_bytes()) % 1_000).unwrap_or_default();
        self.refusal_delay / 2 + self.refusal_delay * thousandths / 1_000
    }

    fn flow(&self, meta: &RequestMeta) -> Flow {
        let text = meta.credential.as_ref().map(|text| text.expose().as_str());
        if let Some(tenant) = text.and_then(|text| self.familiar.get(&self.keyed.hash_one(text))) {
            return Flow::Tenant(tenant);
        }
        let claimed = text.and_then(|text| CredentialText::parse(text).ok()).map(|text| text.claimed_tenant());
        Flow::Stranger { source: meta.source.map(Into::into), claimed }
    }

    fn scheduler(&self, work: Work) -> &Arc<Scheduler> {
        match work {
            Work::Short => &self.short,
            Work::Long => &self.long,
            Work::Proof => &self.proof,
        }
    }

    /// What each kind of work is about.
    pub(crate) fn loads(&self) -> [(Work, Load); 3] {
        Work::ALL.map(|work| (work, self.scheduler(work).load()))
    }
}

impl App {
    /// Waits until it is this request's turn.
    ///
    /// # Errors
    /// [`bailiwick_types::Code::Overloaded`] if too many of the same tenant wait already.
    pub(crate) async fn turn(&self, meta: &RequestMeta, action: Action) -> Result<Turn, AppError> {
        let flow = self.turns.flow(meta);
        let scheduler = self.turns.scheduler(Work::of(action));
        let Full { most } = match scheduler.enter(flow, || self.queue_max(flow)).await {
            Ok(turn) => {
                if matches!(flow, Flow::Stranger { .. }) {
                    // A failed login waits for nothing, so however many come at once, none would find another there.
                    // Behind whoever is ready now, they do.
                    tokio::task::yield_now().await;
                }
                return Ok(turn);
            }
            Err(full) => full,
        };
        let error = AppError::too_many_wait(most, self.turns.refusal_delay);
        if let Flow::Tenant(tenant) = flow {
            self.counts.count(tenant, Event::Refusal);
            Box::pin(self.note_overload(tenant, meta, action, &error)).await;
        }
        tokio::time::sleep(self.turns.refusal_delay_of(meta)).await;
        Err(error)
    }

    /// Does something for somebody of whom only is known where they come from, when it is their turn: what comes before a
    /// request has one of its own, or is answered without. It is the caller who sees that not too many wait.
    pub async fn in_turn_of_stranger<T>(&self, source: Option<Source>, work: impl Future<Output = T>) -> T {
        let scheduler = &self.turns.short;
        let turn = scheduler.enter(Flow::Stranger { source, claimed: None }, || usize::MAX).await;
        // As for a request: whoever is ready now comes first.
        tokio::task::yield_now().await;
        let done = work.await;
        let hold = self.turns.brief_hold;
        if !hold.is_zero() && scheduler.is_contested() {
            tokio::spawn(async move {
                tokio::time::sleep(hold).await;
                drop(turn);
            });
        }
        done
    }

    /// Who pays for what a request takes before it has its turn.
    pub fn payer(&self, meta: &RequestMeta) -> Payer {
        match self.turns.flow(meta) {
            Flow::Tenant(tenant) => Payer::Tenant(tenant),
            Flow::Stranger { source, .. } => Payer::Source(source),
        }
    }

    /// Waits until the next piece of something that is streamed may be made. Streams are requests in flight, of which a
    /// tenant may have only so many; so there is always room to wait.
    pub(crate) async fn turn_for_piece(&self, tenant: TenantId) -> Result<Turn, AppError> {
        let scheduler = self.turns.scheduler(Work::Long);
        scheduler
            .enter(Flow::Tenant(tenant), || usize::MAX)
            .await
            .map_err(|full| AppError::too_many_wait(full.most, Duration::ZERO))
    }

    /// How many requests of a flow may wait.
    fn queue_max(&self, flow: Flow) -> usize {
        let most = match flow {
            Flow::Tenant(tenant) => self.gates.of(tenant).queue_max(),
            Flow::Stranger { .. } => None,
        };
        let most = most.unwrap_or_else(|| self.config.limits.of(Limit::QueuedRequests));
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// Writes an entry for a flood that was refused, once in a while. Best effort: it is refused either way.
    async fn note_overload(&self, tenant: TenantId, meta: &RequestMeta, action: Action, error: &AppError) {
        let Some(suppressed) = self.gates.of(tenant).overloads.admit(self.now()) else { return };
        for _ in 0..NOTE_ATTEMPTS_MAX {
            let noted = match self.admit(meta, action).await {
                Ok(admitted) => {
                    let (snapshot, principal) = (&admitted.snapshot, &admitted.known.principal);
                    crate::tx::append_unanswered(self, snapshot, Some(principal), meta, action, error, suppressed).await
                }
                Err(error) => Err(error),
            };
            match noted {
                Err(stale) if self.should_retry(&stale) => {}
                Err(failed) => {
                    tracing::warn!(%failed, "an overload could not be written down");
                    return;
                }
                Ok(()) => return,
            }
        }
    }
}

const NOTE_ATTEMPTS_MAX: usize = 3;
