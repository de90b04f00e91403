//! The kernel: snapshots, keys and the admission of requests.
//!
//! A request takes one way: [`App::run`] or [`App::run_platform`] → its turn → authenticate → restated tenant, tenant state, gate →
//! the use case climbs the ladder in its transaction → commit with the entry → answer. If the store answers `Stale` or
//! `Conflict` the whole way is walked again, from authentication.
//!
//! # Deliberately absent
//! No process-wide state, no ambient clock or randomness, no way to run a use case without a credential, no answer
//! without a receipt.

mod admission;
mod authority;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bailiwick_authz::{CompiledPolicy, OperatorScope, TenantScope, Verified};
use bailiwick_ledger::Hash;
use bailiwick_ledger::note::VerifierKey;
use bailiwick_seal::{InstallationRecord, Keyring, KeyringRecord, LedgerSigner, RootKey, SEALS_PER_KEY_MAX};
use bailiwick_store::Store;
use bailiwick_types::{
    Action, ActionType, Clock, Code, InstallationId, Limits, PolicyName, Random, TenantId, Timestamp,
};
use parking_lot::Mutex;

use crate::error::{AppError, Retry};
use crate::fleet::{Following, RootSource};
use crate::gate::{Gates, Pass};
use crate::installation::UnsealProgress;
use crate::isolation::IsolationBoard;
use crate::metrics::{Counted, Event};
use crate::probing::Probing;
use crate::prove::{NoProver, Prover};
use crate::records::{Stored, TenantMeta};
use crate::request::{Door, RequestMeta};
use crate::snapshot::{KnownCredential, Snapshot};
use crate::snapshots::{Snapshots, Weighed, weighed};
use crate::time::Apart;
use crate::turns::{Turns, TurnsConfig};
use crate::tx::{Answer, PlatformTx, Reply, TenantTx};

/// How the kernel behaves; everything here has a sensible default.
#[derive(Debug, Clone)]
pub struct AppConfig {
    /// The shortest hold period that a deletion of a tenant may ask for.
    pub delete_hold_min: Duration,
    /// The hold period unless the deletion says otherwise.
    pub delete_hold_default: Duration,
    /// What holds for tenants without quotas of their own.
    pub limits: Limits,
    /// About how many bytes of memory what is remembered of tenants may take: keys, credentials, policies, decisions.
    pub cache_bytes: u64,
    /// After how many of its ledger's entries a plane gets new data keys. Every seal is of an entry or of one of the few
    /// records that are written with it, so this keeps one key well below [`SEALS_PER_KEY_MAX`].
    pub rotate_data_every: u64,
    /// How many entries back in its ledger a tenant is known as it was, at least. What was before is forgotten in time.
    pub past_entries: u64,
    /// Who proves changes of policies.
    pub prover: Arc<dyn Prover>,
    /// Whether a change that is not proved is refused.
    pub require_proof: bool,
    /// SHA-256, in hexadecimal, of the program that this process runs, if that can be known. Asked once, and only when
    /// somebody wants an attestation; may read a file.
    pub build: fn() -> Option<String>,
    /// Where this node finds the root key without a person; absent: somebody unseals it.
    pub root_source: Option<RootSource>,
    /// What this node is called, where people must tell nodes apart.
    pub node: String,
    /// How many requests run at a time.
    pub turns: TurnsConfig,
}

/// How far back a tenant is known unless the configuration says otherwise.
const PAST_ENTRIES: u64 = 1_000_000;

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            delete_hold_min: Duration::from_secs(24 * 3_600),
            delete_hold_default: Duration::from_secs(7 * 24 * 3_600),
            limits: Limits::default(),
            cache_bytes: 192 << 20,
            rotate_data_every: SEALS_PER_KEY_MAX >> 4,
            past_entries: PAST_ENTRIES,
            prover: Arc::new(NoProver),
            require_proof: false,
            build: || None,
            root_source: None,
            node: "node".to_owned(),
            turns: TurnsConfig::default(),
        }
    }
}

/// The application: one per node. Two can live in one process, and share a store.
pub struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) config: AppConfig,
    pub(crate) unsealed: ArcSwapOption<Unsealed>,
    pub(crate) unsealing: Mutex<UnsealProgress>,
    pub(crate) following: Following,
    pub(crate) probing: Probing,
    pub(crate) apart: Apart,
    pub(crate) counts: Counted,
    pub(crate) hashing: tokio::sync::Semaphore,
    compiling: tokio::sync::Semaphore,
    pub(crate) started: Timestamp,
    pub(crate) snapshots: Snapshots,
    pub(crate) gates: Gates,
    pub(crate) turns: Turns,
    /// Whose ledgers wait for their index.
    pub(crate) indexing: Mutex<BTreeMap<TenantId, crate::ledger::Wanted>>,
    pub(crate) isolation: IsolationBoard,
    /// When the store was last asked whether it works, and whether it did.
    storage_check: tokio::sync::Mutex<Option<(tokio::time::Instant, bool)>>,
    /// What [`AppConfig::build`] said.
    pub(crate) build: tokio::sync::OnceCell<Option<String>>,
    /// By what the sealed text hashes to: a name that is used again starts again at its first version.
    compiled: Weighed<(TenantId, PolicyName, Hash), Arc<CompiledPolicy>>,
}

/// What is in memory only while the installation is unsealed.
pub(crate) struct Unsealed {
    pub(crate) record: InstallationRecord,
    pub(crate) root: Arc<RootKey>,
    /// The root key before this one, while keyrings are being rewrapped.
    pub(crate) previous: Option<(u32, RootKey)>,
    pub(crate) signer: LedgerSigner,
    /// How often the installation had been sealed when this node was unsealed.
    pub(crate) seals: u64,
    /// Since when this is in memory.
    pub(crate) since: Timestamp,
}

impl Unsealed {
    /// The root key that a keyring is wrapped under.
    pub(crate) fn root_of(&self, record: &KeyringRecord) -> Result<&RootKey, AppError> {
        if record.root_version() == self.record.root_version() {
            return Ok(&self.root);
        }
        match &self.previous {
            Some((version, root)) if *version == record.root_version() => Ok(root),
            // Another node has replaced the root key. Admission finds out what that means here.
            _ if record.root_version() > self.record.root_version() => {
                Err(bailiwick_store::CommitError::Stale { tenant: TenantId::PLATFORM }.into())
            }
            _ => Err(AppError::internal("a keyring is wrapped under an unknown root key")),
        }
    }

    /// Whether it has the root key that a keyring is wrapped under.
    pub(crate) fn has_root_of(&self, record: &KeyringRecord) -> bool {
        let version = record.root_version();
        version == self.record.root_version()
            || self.previous.as_ref().is_some_and(|(previous, _)| *previous == version)
    }

    /// A plane's keys, and the installation that what they seal is bound to. Fails if it has none (any more).
    pub(crate) fn unwrap(&self, tenant: TenantId, meta: &TenantMeta) -> Result<(Keyring, InstallationId), AppError> {
        let record = meta.keyring.as_ref().ok_or_else(|| AppError::internal("a tenant has no keys"))?;
        let home = meta.home(self.record.installation());
        Ok((Keyring::unwrap(self.root_of(record)?, home, tenant, record)?, home))
    }
}

/// A use case of the tenant plane: its input, and what it does with it.
///
/// `run` may run several times before it is answered once; what it does happens only with its commit.
pub trait UseCase: Send + Sync {
    /// The row of the action table.
    type Action: ActionType;
    /// What it answers.
    type Reply: Reply;
    /// Climbs the ladder: locate, authorize, load or change, commit.
    fn run(&self, tx: &mut TenantTx<'_>) -> impl Future<Output = Result<Answer<Self::Reply>, AppError>> + Send;
}

/// A use case of the platform plane.
pub trait PlatformUseCase: Send + Sync {
    /// The row of the action table.
    type Action: ActionType;
    /// What it answers.
    type Reply: Reply;
    /// As [`UseCase::run`].
    fn run(&self, tx: &mut PlatformTx<'_>) -> impl Future<Output = Result<Answer<Self::Reply>, AppError>> + Send;
}

/// How often an admission is repeated when state moves under it before the caller is told to try again.
const ATTEMPTS_MAX: usize = 64;

/// How many records are opened before others get the thread.
const RECORDS_AT_ONCE: usize = 64;

/// About how much memory a small policy takes.
const POLICY_BYTES: u64 = 3_072;

/// How many policy documents are compiled at a time.
const COMPILING_MAX: usize = 2;

/// A credential that was verified, and what it was verified against.
pub(crate) struct Admitted {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) known: Arc<KnownCredential>,
    pub(crate) verified: Verified,
}

impl App {
    /// A kernel over a store. It is sealed until [`App::unseal_with`] or one of its siblings.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, random: Arc<dyn Random>, config: AppConfig) -> Arc<Self> {
        let third = config.cache_bytes / 3;
        let started = clock.now();
        let probing = Probing::new(random.as_ref());
        let turns = Turns::new(&config.turns);
        Arc::new(Self {
            store,
            clock,
            random,
            config,
            unsealed: ArcSwapOption::empty(),
            unsealing: Mutex::new(UnsealProgress::default()),
            following: Following::default(),
            probing,
            apart: Apart::default(),
            counts: Counted::default(),
            hashing: tokio::sync::Semaphore::new(1),
            compiling: tokio::sync::Semaphore::new(COMPILING_MAX),
            started,
            snapshots: Snapshots::new(2 * third),
            gates: Gates::default(),
            turns,
            indexing: Mutex::default(),
            isolation: IsolationBoard::default(),
            storage_check: tokio::sync::Mutex::default(),
            build: tokio::sync::OnceCell::new(),
            compiled: weighed(third, POLICY_BYTES),
        })
    }

    /// The present moment, by the injected clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the store reads and writes durably. Everybody may ask, and each time it is a durable write: so it is done once at
    /// a time, and what began after somebody had asked is the answer for them too.
    ///
    /// # Errors
    /// [`Code::StorageUnavailable`] if it does not.
    pub async fn check_storage(&self) -> Result<(), AppError> {
        let asked = tokio::time::Instant::now();
        let mut last = self.storage_check.lock().await;
        let works = match *last {
            Some((began, works)) if began >= asked => works,
            _ => {
                let began = tokio::time::Instant::now();
                let works = self.store.ping().await.is_ok();
                *last = Some((began, works));
                works
            }
        };
        if works { Ok(()) } else { Err(AppError::new(Code::StorageUnavailable)) }
    }

    /// The injected randomness.
    pub fn random(&self) -> &dyn Random {
        self.random.as_ref()
    }

    /// Runs a use case of the tenant plane. `input` is read only once the caller is authenticated, so that bad input
    /// of a known caller is an entry like any other failure.
    ///
    /// # Errors
    /// Whatever was refused or failed; if the caller was authenticated, an entry says so.
    pub async fn run<U: UseCase>(
        &self,
        meta: &RequestMeta,
        input: impl FnOnce() -> Result<U, AppError> + Send,
    ) -> Result<Answer<U::Reply>, AppError> {
        let action = U::Action::ACTION;
        let turn = self.turn(meta, action).await?;
        let mut input = Some(input);
        let mut parsed: Option<Result<U, AppError>> = None;
        let mut pass: Option<Pass> = None;
        for _ in 0..ATTEMPTS_MAX {
            let admitted = match self.admit(meta, action).await {
                Err(error) if self.should_retry(&error) => continue,
                Err(error) => return Err(self.turns.refused(error).await),
                Ok(admitted) => admitted,
            };
            // First of all, so that nobody can fill ledgers with refusals faster than with anything else.
            let tenant = admitted.snapshot.tenant;
            if pass.is_none() {
                if turn.is_strangers() {
                    self.turns.remember(meta, tenant);
                }
                self.counts.count(tenant, Event::Request);
            }
            match self.pass_gate(&mut pass, &admitted, meta, action).await {
                Err(error) if self.should_retry(&error) => continue,
                Err(error) => {
                    self.counts.count(tenant, Event::Refusal);
                    return Err(self.turns.refused(error).await);
                }
                Ok(()) => {}
            }
            if admitted.snapshot.tenant.is_platform() {
                match Box::pin(self.refuse_operator(meta, action, admitted)).await {
                    Err(error) if self.should_retry(&error) => continue,
                    Err(error) => return Err(error),
                    Ok(never) => match never {},
                }
            }
            let mut tx = TenantTx::begin_tenant(self, meta, action, admitted)?;
            let outcome = match tx.check_standing() {
                Err(error) => Err(error),
                Ok(()) => match tx.recall().await {
                    Err(error) => Err(error),
                    Ok(()) => match Self::parsed(&mut parsed, &mut input) {
                        Err(error) => Err(error),
                        Ok(use_case) => use_case.run(&mut tx).await,
                    },
                },
            };
            let outcome = tx.or_remembered(outcome).await;
            match self.conclude(&mut tx, outcome).await {
                Err(error) if self.should_retry(&error) => self.counts.retried(tenant, &error),
                concluded => {
                    if concluded.is_err() {
                        self.counts.count(tenant, Event::Refusal);
                    }
                    return concluded.map(|answer| answer.staying(pass));
                }
            }
        }
        Err(AppError::new(Code::Contention))
    }

    /// Runs a use case of the platform plane.
    ///
    /// # Errors
    /// As [`App::run`].
    pub async fn run_platform<U: PlatformUseCase>(
        &self,
        meta: &RequestMeta,
        input: impl FnOnce() -> Result<U, AppError> + Send,
    ) -> Result<Answer<U::Reply>, AppError> {
        let action = U::Action::ACTION;
        let turn = self.turn(meta, action).await?;
        let mut input = Some(input);
        let mut parsed: Option<Result<U, AppError>> = None;
        let mut pass: Option<Pass> = None;
        for _ in 0..ATTEMPTS_MAX {
            let admitted = match self.admit(meta, action).await {
                Err(error) if self.should_retry(&error) => continue,
                Err(error) => return Err(self.turns.refused(error).await),
                Ok(admitted) => admitted,
            };
            // First of all, so that nobody can fill ledgers with refusals faster than with anything else.
            let tenant = admitted.snapshot.tenant;
            if pass.is_none() {
                if turn.is_strangers() {
                    self.turns.remember(meta, tenant);
                }
                self.counts.count(tenant, Event::Request);
            }
            match self.pass_gate(&mut pass, &admitted, meta, action).await {
                Err(error) if self.should_retry(&error) => continue,
                Err(error) => {
                    self.counts.count(tenant, Event::Refusal);
                    return Err(self.turns.refused(error).await);
                }
                Ok(()) => {}
            }
            if !admitted.snapshot.tenant.is_platform() {
                match Box::pin(self.refuse_tenant(meta, action, admitted)).await {
                    Err(error) if self.should_retry(&error) => continue,
                    Err(error) => return Err(error),
                    Ok(never) => match never {},
                }
            }
            // A namespace at the Vault door may only restate the credential's tenant, and an operator has none.
            if meta.door == Door::Vault && !meta.stated.is_empty() {
                match Box::pin(self.refuse_operator(meta, action, admitted)).await {
                    Err(error) if self.should_retry(&error) => continue,
                    Err(error) => return Err(error),
                    Ok(never) => match never {},
                }
            }
            let mut tx = PlatformTx::begin_platform(self, meta, action, admitted)?;
            let outcome = match tx.recall().await {
                Err(error) => Err(error),
                Ok(()) => match Self::parsed(&mut parsed, &mut input) {
                    Err(error) => Err(error),
                    Ok(use_case) => use_case.run(&mut tx).await,
                },
            };
            let outcome = tx.or_remembered(outcome).await;
            match self.conclude(&mut tx, outcome).await {
                Err(error) if self.should_retry(&error) => self.counts.retried(tenant, &error),
                concluded => {
                    if concluded.is_err() {
                        self.counts.count(tenant, Event::Refusal);
                    }
                    return concluded.map(|answer| answer.staying(pass));
                }
            }
        }
        Err(AppError::new(Code::Contention))
    }

    fn parsed<'p, U>(
        parsed: &'p mut Option<Result<U, AppError>>,
        input: &mut Option<impl FnOnce() -> Result<U, AppError>>,
    ) -> Result<&'p U, AppError> {
        if let (None, Some(input)) = (&parsed, input.take()) {
            *parsed = Some(input());
        }
        match parsed {
            Some(Ok(use_case)) => Ok(use_case),
            Some(Err(error)) => Err(error.clone()),
            None => Err(AppError::internal("a request's input was read twice")),
        }
    }

    /// Turns a failed use case into an entry and passes the failure on. A success has its receipt already.
    async fn conclude<S: crate::tx::Scope, T>(
        &self,
        tx: &mut crate::tx::Tx<'_, S>,
        outcome: Result<Answer<T>, AppError>,
    ) -> Result<Answer<T>, AppError> {
        match outcome {
            Ok(answer) => Ok(answer),
            Err(error) if error.retry().is_some() => Err(error),
            // Storage said no: there is nothing to write the entry to, and the caller is told that nothing happened.
            Err(error) if error.code() == Code::StorageUnavailable => Err(error),
            Err(error) => {
                Box::pin(tx.commit_failure(&error)).await?;
                Err(error)
            }
        }
    }

    /// Whether to walk the whole way again; forgets what has become stale.
    pub(crate) fn should_retry(&self, error: &AppError) -> bool {
        match error.retry() {
            Some(Retry::Stale(tenant)) => {
                self.forget(tenant);
                true
            }
            Some(Retry::Conflict) => true,
            None => false,
        }
    }

    /// Drops what is cached of a plane.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.snapshots.remove(tenant);
    }

    /// Drops everything that was cached.
    pub(crate) fn forget_all(&self) {
        self.snapshots.clear();
    }

    /// The root key and what depends on it.
    pub(crate) fn unsealed(&self) -> Result<Arc<Unsealed>, AppError> {
        self.unsealed.load_full().ok_or_else(|| AppError::new(Code::Sealed))
    }

    /// Reads and opens one record, with its version.
    pub(crate) async fn read<R: Stored>(&self, snapshot: &Snapshot, key: &[u8]) -> Result<Option<(u64, R)>, AppError> {
        match self.store.record(snapshot.tenant, R::SPACE, key).await? {
            None => Ok(None),
            Some(record) => Ok(Some((record.version, snapshot.open::<R>(key, record.version, &record.sealed)?))),
        }
    }

    /// Reads and opens records below a prefix, in key order.
    pub(crate) async fn read_all<R: Stored>(
        &self,
        snapshot: &Snapshot,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, u64, R)>, AppError> {
        let records = self.store.records(snapshot.tenant, R::SPACE, prefix, after, limit).await?;
        let mut out = Vec::with_capacity(records.len());
        for (key, record) in records {
            let opened = snapshot.open::<R>(&key, record.version, &record.sealed)?;
            out.push((key, record.version, opened));
            if out.len().is_multiple_of(RECORDS_AT_ONCE) {
                // A long list must not hold a thread that others' requests wait for.
                tokio::task::yield_now().await;
            }
        }
        Ok(out)
    }

    /// The keys that verify a plane's checkpoints: its own, then the installation's.
    pub(crate) fn ledger_keys(&self, snapshot: &Snapshot) -> Result<Vec<VerifierKey>, AppError> {
        let unsealed = self.unsealed()?;
        let own = snapshot.keyring()?.ledger_signer(&crate::ledger::origin(snapshot))?;
        [VerifierKey::of(&own), VerifierKey::of(&unsealed.signer)]
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(AppError::internal)
    }

    /// An operator at a tenant's door: refused, and written into both ledgers.
    async fn refuse_operator(
        &self,
        meta: &RequestMeta,
        action: Action,
        admitted: Admitted,
    ) -> Result<std::convert::Infallible, AppError> {
        let error = AppError::new(Code::PermissionDenied);
        let stated = meta.stated.first().map(String::as_str).unwrap_or_default();
        let target = self.resolve_tenant(stated).await?;
        let mut tx = PlatformTx::begin_platform(self, meta, action, admitted)?;
        tx.deny_by_plane();
        tx.note("stated_tenant", stated);
        if let Some(header) = target {
            tx.target(header).await?;
        }
        tx.commit_failure(&error).await?;
        Err(error)
    }

    /// A tenant's credential at the operators' door: refused, written into the actor's ledger and the platform's
    /// isolation stream. The other tenant, if the path names one, is not looked up.
    async fn refuse_tenant(
        &self,
        meta: &RequestMeta,
        action: Action,
        admitted: Admitted,
    ) -> Result<std::convert::Infallible, AppError> {
        let error = AppError::new(Code::PermissionDenied);
        let mut tx = TenantTx::begin_tenant(self, meta, action, admitted)?;
        tx.raise_isolation(meta.stated.first().map(String::as_str).unwrap_or_default());
        tx.commit_failure(&error).await?;
        Err(error)
    }

    /// The header of the tenant with this id or slug. Operators only.
    pub(crate) async fn resolve_tenant(&self, stated: &str) -> Result<Option<bailiwick_store::Header>, AppError> {
        let id = match stated.parse::<TenantId>() {
            Ok(id) => Some(id),
            Err(_) => match stated.parse::<bailiwick_types::Slug>() {
                Ok(slug) => self.store.tenant_by_slug(slug.as_str()).await?,
                Err(_) => None,
            },
        };
        match id {
            Some(id) if !id.is_platform() => Ok(self.store.header(id).await?),
            _ => Ok(None),
        }
    }

    /// The address that policies see.
    pub(crate) fn source_of(meta: &RequestMeta) -> Option<IpAddr> {
        meta.source
    }

    /// Whether this door's requests may name a tenant that is not the credential's, and how that is answered.
    pub(crate) fn foreign(door: Door) -> AppError {
        AppError::new(door.foreign())
    }
}

pub(crate) fn verified_scope(admitted: Verified, epoch: u64, meta: &RequestMeta) -> Result<TenantScope, AppError> {
    admitted.into_tenant_scope(epoch, meta.id).map_err(|_| AppError::new(Code::PermissionDenied))
}

pub(crate) fn verified_operator(admitted: Verified, epoch: u64, meta: &RequestMeta) -> Result<OperatorScope, AppError> {
    admitted.into_operator_scope(epoch, meta.id).map_err(|_| AppError::new(Code::PermissionDenied))
}
