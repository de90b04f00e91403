//! The kernel: snapshots, keys and the admission of requests.
//!
//! A request takes one way: [`App::run`] or [`App::run_platform`] → authenticate → restated tenant, tenant state, gate →
//! the use case climbs the ladder in its transaction → commit with the entry → answer. If the store answers `Stale` or
//! `Conflict` the whole way is walked again, from authentication.
//!
//! # Deliberately absent
//! No process-wide state, no ambient clock or randomness, no way to run a use case without a credential, no answer
//! without a receipt.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bailiwick_authz::{
    Authority, CompiledPolicy, CredentialFacts, Layer, OperatorScope, PrincipalFacts, PrincipalKind, RoleLink,
    TenantScope, Verified, authenticate, restore_policy,
};
use bailiwick_ledger::Hash;
use bailiwick_ledger::note::VerifierKey;
use bailiwick_seal::{InstallationRecord, Keyring, KeyringRecord, LedgerSigner, RootKey};
use bailiwick_store::{Space, Store};
use bailiwick_types::api::identity::AccountKind;
use bailiwick_types::{
    Action, ActionType, Clock, Code, CredentialId, CredentialText, CredentialTextError, ErrorClass, Limits, PolicyName,
    Random, TenantId, Timestamp,
};
use parking_lot::Mutex;
use quick_cache::sync::Cache;

use crate::error::{AppError, Retry};
use crate::gate::{Gate, Pass};
use crate::installation::UnsealProgress;
use crate::policies::parse_target;
use crate::prove::{NoProver, Prover};
use crate::records::{
    AccountRecord, BindingRecord, CredentialRecord, MemberRecord, OperatorRecord, PolicyRecord, Stored, TenantMeta,
};
use crate::request::{Door, RequestMeta};
use crate::snapshot::{KnownCredential, Snapshot, StoredVerifier};
use crate::state::Phase;
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
    /// How many tenants' keys and policies are kept in memory at most.
    pub tenants_cached_max: usize,
    /// After how many of its ledger's entries a plane gets new data keys. Every seal is of an entry or of one of the few
    /// records that are written with it, so this bounds the seals of one key: random nonces of 96 bits are good for 2^32
    /// of them (NIST SP 800-38D, 8.3).
    pub rotate_data_every: u64,
    /// Who proves changes of policies.
    pub prover: Arc<dyn Prover>,
    /// Whether a change that is not proved is refused.
    pub require_proof: bool,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            delete_hold_min: Duration::from_secs(24 * 3_600),
            delete_hold_default: Duration::from_secs(7 * 24 * 3_600),
            limits: Limits::default(),
            tenants_cached_max: 20_000,
            rotate_data_every: 1 << 28,
            prover: Arc::new(NoProver),
            require_proof: false,
        }
    }
}

/// The application: one per server. Two can live in one process.
pub struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) config: AppConfig,
    pub(crate) unsealed: ArcSwapOption<Unsealed>,
    pub(crate) unsealing: Mutex<UnsealProgress>,
    pub(crate) hashing: tokio::sync::Semaphore,
    compiling: tokio::sync::Semaphore,
    pub(crate) started: Timestamp,
    snapshots: Cache<TenantId, Arc<Snapshot>>,
    gates: Cache<TenantId, Arc<Gate>>,
    /// By what the sealed text hashes to: a name that is used again starts again at its first version.
    compiled: Cache<(TenantId, PolicyName, Hash), Arc<CompiledPolicy>>,
}

/// What is in memory only while the installation is unsealed.
pub(crate) struct Unsealed {
    pub(crate) record: InstallationRecord,
    pub(crate) root: RootKey,
    /// The root key before this one, while keyrings are being rewrapped.
    pub(crate) previous: Option<(u32, RootKey)>,
    pub(crate) signer: LedgerSigner,
}

impl Unsealed {
    /// The root key that a keyring is wrapped under.
    pub(crate) fn root_of(&self, record: &KeyringRecord) -> Result<&RootKey, AppError> {
        if record.root_version() == self.record.root_version() {
            return Ok(&self.root);
        }
        match &self.previous {
            Some((version, root)) if *version == record.root_version() => Ok(root),
            _ => Err(AppError::internal("a keyring is wrapped under an unknown root key")),
        }
    }

    /// Whether it has the root key that a keyring is wrapped under.
    fn has_root_of(&self, record: &KeyringRecord) -> bool {
        let version = record.root_version();
        version == self.record.root_version() || self.previous.as_ref().is_some_and(|(previous, _)| *previous == version)
    }

    /// A tenant's keys.
    pub(crate) fn unwrap(&self, tenant: TenantId, record: &KeyringRecord) -> Result<Keyring, AppError> {
        Ok(Keyring::unwrap(self.root_of(record)?, self.record.installation(), tenant, record)?)
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
        let cached = config.tenants_cached_max;
        let started = clock.now();
        Arc::new(Self {
            store,
            clock,
            random,
            config,
            unsealed: ArcSwapOption::empty(),
            unsealing: Mutex::new(UnsealProgress::default()),
            hashing: tokio::sync::Semaphore::new(1),
            compiling: tokio::sync::Semaphore::new(COMPILING_MAX),
            started,
            snapshots: Cache::new(cached),
            gates: Cache::new(cached),
            compiled: Cache::new(50_000),
        })
    }

    /// The present moment, by the injected clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether the store reads and writes durably.
    ///
    /// # Errors
    /// [`Code::StorageUnavailable`] if it does not.
    pub async fn check_storage(&self) -> Result<(), AppError> {
        Ok(self.store.ping().await?)
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
        let mut input = Some(input);
        let mut parsed: Option<Result<U, AppError>> = None;
        let mut pass: Option<Pass> = None;
        for _ in 0..ATTEMPTS_MAX {
            let admitted = match self.admit(meta, action).await {
                Err(error) if self.should_retry(&error) => continue,
                admitted => admitted?,
            };
            // First of all, so that nobody can fill ledgers with refusals faster than with anything else.
            self.pass_gate(&mut pass, &admitted, meta, action).await?;
            if admitted.snapshot.tenant.is_platform() {
                match self.refuse_operator(meta, action, admitted).await {
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
                Err(error) if self.should_retry(&error) => {}
                concluded => return concluded.map(|answer| answer.staying(pass)),
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
        let mut input = Some(input);
        let mut parsed: Option<Result<U, AppError>> = None;
        let mut pass: Option<Pass> = None;
        for _ in 0..ATTEMPTS_MAX {
            let admitted = match self.admit(meta, action).await {
                Err(error) if self.should_retry(&error) => continue,
                admitted => admitted?,
            };
            // First of all, so that nobody can fill ledgers with refusals faster than with anything else.
            self.pass_gate(&mut pass, &admitted, meta, action).await?;
            if !admitted.snapshot.tenant.is_platform() {
                match self.refuse_tenant(meta, action, admitted).await {
                    Err(error) if self.should_retry(&error) => continue,
                    Err(error) => return Err(error),
                    Ok(never) => match never {},
                }
            }
            // A namespace at the Vault door may only restate the credential's tenant, and an operator has none.
            if meta.door == Door::Vault && !meta.stated.is_empty() {
                match self.refuse_operator(meta, action, admitted).await {
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
                Err(error) if self.should_retry(&error) => {}
                concluded => return concluded.map(|answer| answer.staying(pass)),
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
                tx.commit_failure(&error).await?;
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
        self.snapshots.remove(&tenant);
    }

    /// Drops everything that was cached.
    pub(crate) fn forget_all(&self) {
        self.snapshots.clear();
    }

    async fn pass_gate(
        &self,
        pass: &mut Option<Pass>,
        admitted: &Admitted,
        meta: &RequestMeta,
        action: Action,
    ) -> Result<(), AppError> {
        if pass.is_some() {
            return Ok(());
        }
        let gate = self.gate(admitted.snapshot.tenant);
        let now = self.now();
        match gate.enter(&admitted.snapshot.limits, now) {
            Ok(entered) => {
                *pass = Some(entered);
                Ok(())
            }
            Err(error) => {
                if let Some(suppressed) = gate.rate_refusals.admit(now) {
                    self.note_unanswered(
                        &admitted.snapshot,
                        Some(&admitted.known.principal),
                        meta,
                        action,
                        &error,
                        suppressed,
                    )
                    .await;
                }
                Err(error)
            }
        }
    }

    pub(crate) fn gate(&self, tenant: TenantId) -> Arc<Gate> {
        match self.gates.get_or_insert_with(&tenant, || Ok::<_, std::convert::Infallible>(Arc::default())) {
            Ok(gate) => gate,
            Err(never) => match never {},
        }
    }

    /// The first rung: who is it, of which plane.
    pub(crate) async fn admit(&self, meta: &RequestMeta, action: Action) -> Result<Admitted, AppError> {
        self.unsealed()?;
        let text = meta.credential.as_ref().ok_or_else(|| AppError::new(Code::Unauthenticated))?;
        let presented = CredentialText::parse(text.expose()).map_err(|error| match error {
            CredentialTextError::Malformed => AppError::new(Code::CredentialMalformed),
            CredentialTextError::Checksum => AppError::new(Code::CredentialChecksum),
        })?;
        let dead = || AppError::new(Code::CredentialInvalid);
        let snapshot = self.snapshot(presented.claimed_tenant()).await?.ok_or_else(dead)?;
        let Some(keyring) = &snapshot.keyring else {
            // Without its keys nobody can be authenticated. Only the holder of a credential id learns that it is sealed.
            let known = self.store.record(snapshot.tenant, Space::Credential, presented.id().as_bytes()).await?;
            return Err(known.map_or_else(dead, |_| AppError::new(Code::TenantSealed)));
        };
        let now = self.now();
        let outcome = match self.known_credential(&snapshot, presented.id()).await? {
            None => Err(dead()),
            Some(known) => {
                let verifier = StoredVerifier { keyring, verifier: &known.verifier };
                let principal = Arc::clone(&known.principal);
                authenticate(&presented, &known.facts, principal, &verifier, now, meta.source)
                    .map(|verified| (known, verified))
                    .map_err(AppError::from)
            }
        };
        match outcome {
            Ok((known, verified)) => Ok(Admitted { snapshot, known, verified }),
            Err(error) => {
                if let Some(suppressed) = self.gate(snapshot.tenant).failed_logins.admit(now) {
                    self.note_unanswered(&snapshot, None, meta, action, &error, suppressed).await;
                }
                Err(error)
            }
        }
    }

    /// A tenant as it is now, or as it was when it was last looked at; `None` if there is no such tenant (any more).
    pub(crate) async fn snapshot(&self, tenant: TenantId) -> Result<Option<Arc<Snapshot>>, AppError> {
        let platform_epoch = if tenant.is_platform() { 0 } else { self.platform_snapshot().await?.epoch };
        if let Some(snapshot) = self.snapshots.get(&tenant)
            && snapshot.platform_epoch == platform_epoch
        {
            return Ok(Some(snapshot));
        }
        let unsealed = self.unsealed()?;
        let Some(header) = self.store.header(tenant).await? else { return Ok(None) };
        let meta = TenantMeta::from_bytes(&header.meta)?;
        if let Some(record) = &meta.installation
            && record.root_version() != unsealed.record.root_version()
        {
            // The root key is being replaced right now: what is in memory will follow in a moment.
            tokio::task::yield_now().await;
            return Err(bailiwick_store::CommitError::Stale { tenant }.into());
        }
        let state = crate::state::TenantState::from_number(header.state);
        if state.phase == Phase::Deleted {
            return Ok(None);
        }
        let keyring = match (&meta.keyring, state.is_sealed) {
            // The root key was replaced between these two looks: look again.
            (Some(record), false) if !unsealed.has_root_of(record) && !Arc::ptr_eq(&unsealed, &self.unsealed()?) => {
                return Err(bailiwick_store::CommitError::Stale { tenant }.into());
            }
            (Some(record), false) => Some(Arc::new(unsealed.unwrap(tenant, record)?)),
            (Some(_), true) => None,
            (None, _) => return Err(AppError::internal("a tenant has no keys")),
        };
        let mut snapshot = Snapshot::new(&header, &meta, keyring, unsealed.record.installation(), platform_epoch);
        snapshot.limits = meta.quotas.over(&self.config.limits);
        let snapshot = Arc::new(snapshot);
        self.snapshots.insert(tenant, Arc::clone(&snapshot));
        Ok(Some(snapshot))
    }

    pub(crate) async fn platform_snapshot(&self) -> Result<Arc<Snapshot>, AppError> {
        match Box::pin(self.snapshot(TenantId::PLATFORM)).await? {
            Some(snapshot) => Ok(snapshot),
            None => Err(AppError::new(Code::NotInitialized)),
        }
    }

    /// The root key and what depends on it.
    pub(crate) fn unsealed(&self) -> Result<Arc<Unsealed>, AppError> {
        self.unsealed.load_full().ok_or_else(|| AppError::new(Code::Sealed))
    }

    async fn known_credential(
        &self,
        snapshot: &Snapshot,
        id: CredentialId,
    ) -> Result<Option<Arc<KnownCredential>>, AppError> {
        if let Some(known) = snapshot.credentials.get(&id) {
            return Ok(Some(known));
        }
        let Some(record) = self.read::<CredentialRecord>(snapshot, id.as_bytes()).await? else { return Ok(None) };
        let Some(principal) = self.principal(snapshot, &record.1.principal).await? else { return Ok(None) };
        let record = record.1;
        let revoked = record.revoked_from();
        let facts = CredentialFacts {
            tenant: snapshot.tenant,
            id: record.id,
            principal: record.principal,
            expires: record.expires,
            revoked,
            networks: record.networks,
        };
        let known = Arc::new(KnownCredential::new(facts, record.created, record.verifier, principal));
        snapshot.credentials.insert(id, Arc::clone(&known));
        Ok(Some(known))
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
        }
        Ok(out)
    }

    /// What policy knows about a principal.
    pub(crate) async fn principal(
        &self,
        snapshot: &Snapshot,
        id: &str,
    ) -> Result<Option<Arc<PrincipalFacts>>, AppError> {
        let mut roles = Vec::new();
        let tenant = snapshot.tenant;
        let (kind, name, is_disabled, expires, labels) = if let Ok(member) = id.parse::<bailiwick_types::MemberId>() {
            let Some((_, record)) = self.read::<MemberRecord>(snapshot, member.as_bytes()).await? else {
                return Ok(None);
            };
            let on = (bailiwick_types::ResourceKind::Tenant, tenant.to_string());
            roles.push(RoleLink { id: "member-role".to_owned(), role: record.role, on });
            (PrincipalKind::Member, record.name, record.is_disabled, None, Vec::new())
        } else if let Ok(account) = id.parse::<bailiwick_types::AccountId>() {
            let Some((_, record)) = self.read::<AccountRecord>(snapshot, account.as_bytes()).await? else {
                return Ok(None);
            };
            let kind = match record.kind {
                AccountKind::Service => PrincipalKind::Service,
                AccountKind::Agent => PrincipalKind::Agent,
            };
            (kind, record.name, record.is_disabled, record.expires, record.labels.into_iter().collect())
        } else if let Ok(operator) = id.parse::<bailiwick_types::OperatorId>() {
            let Some((_, record)) = self.read::<OperatorRecord>(snapshot, operator.as_bytes()).await? else {
                return Ok(None);
            };
            let on = (bailiwick_types::ResourceKind::Platform, "platform".to_owned());
            roles.push(RoleLink { id: "operator-role".to_owned(), role: record.role, on });
            (PrincipalKind::Operator, record.name, record.is_disabled, None, Vec::new())
        } else {
            return Ok(None);
        };
        if !tenant.is_platform() {
            let most = usize::try_from(bailiwick_types::Limit::BindingsPerPrincipal.ceiling()).unwrap_or(usize::MAX);
            let prefix = format!("{id}/");
            for (_, _, binding) in self.read_all::<BindingRecord>(snapshot, prefix.as_bytes(), None, most).await? {
                if let Ok(on) = parse_target(&binding.on, tenant) {
                    roles.push(RoleLink { id: binding.id.to_string(), role: binding.role, on });
                }
            }
        }
        Ok(Some(Arc::new(PrincipalFacts {
            tenant,
            kind,
            id: id.to_owned(),
            name,
            is_disabled,
            expires,
            labels,
            roles,
        })))
    }

    /// The compiled policies of a plane: guardrails, and the tenant's own.
    pub(crate) async fn authority(&self, snapshot: &Snapshot) -> Result<Arc<Authority>, AppError> {
        let built = snapshot.authority.get_or_try_init(async || {
            let platform = self.platform_snapshot().await?;
            // Who read the platform's header earlier may put it into the cache later. Guardrails must be of the epoch that
            // the commit will name; of what else there is in the cache nobody should have to think.
            let named = if snapshot.tenant.is_platform() { snapshot.epoch } else { snapshot.platform_epoch };
            if platform.epoch != named {
                return Err(bailiwick_store::CommitError::Stale { tenant: TenantId::PLATFORM }.into());
            }
            let guardrails = self.guardrails(&platform).await?;
            let policies = if snapshot.tenant.is_platform() {
                Vec::new()
            } else {
                self.compiled_policies(snapshot, Layer::Tenant).await?
            };
            Ok::<_, AppError>(Arc::new(Authority::new(&guardrails, &policies).bound_to(snapshot.tenant)))
        });
        Ok(Arc::clone(built.await?))
    }

    async fn guardrails(&self, platform: &Snapshot) -> Result<Arc<[Arc<CompiledPolicy>]>, AppError> {
        let built = platform.guardrails.get_or_try_init(async || {
            Ok::<_, AppError>(Arc::from(self.compiled_policies(platform, Layer::Guardrail).await?))
        });
        Ok(Arc::clone(built.await?))
    }

    /// Compiles a plane's policies; what was compiled before, from the same stored bytes, is used again.
    pub(crate) async fn compiled_policies(
        &self,
        snapshot: &Snapshot,
        layer: Layer,
    ) -> Result<Vec<Arc<CompiledPolicy>>, AppError> {
        const PAGE: usize = 1_000;
        let mut compiled = Vec::new();
        let mut missing = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.store.records(snapshot.tenant, Space::Policy, b"", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|(key, _)| key.clone());
            for (key, record) in page {
                let name: Option<PolicyName> = std::str::from_utf8(&key).ok().and_then(|text| text.parse().ok());
                let name = name.ok_or_else(|| AppError::internal("a policy's key is no name"))?;
                let cache_key = (snapshot.tenant, name, bailiwick_ledger::leaf_hash(&record.sealed));
                if let Some(hit) = self.compiled.get(&cache_key) {
                    compiled.push(hit);
                    continue;
                }
                let stored = snapshot.open::<PolicyRecord>(&key, record.version, &record.sealed)?;
                missing.push((cache_key, stored));
            }
            if is_last {
                break;
            }
        }
        if missing.is_empty() {
            return Ok(compiled);
        }
        let restored = self.aside(move || {
            let restore = |(cache_key, stored): (_, PolicyRecord)| {
                // What does not compile (a schema change) must not be left out: a forbid could be in it.
                restore_policy(layer, &stored.name, &stored.text)
                    .map(|policy| (cache_key, policy))
                    .map_err(|_| AppError::internal(format_args!("stored policy `{}` does not compile", stored.name)))
            };
            missing.into_iter().map(restore).collect::<Result<Vec<_>, _>>()
        });
        for (cache_key, policy) in restored.await?? {
            self.compiled.insert(cache_key, Arc::clone(&policy));
            compiled.push(policy);
        }
        Ok(compiled)
    }

    /// Does what takes the CPU for milliseconds where no request waits for it but those that asked, a few at a time.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let _turn = self.compiling.acquire().await.map_err(AppError::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(AppError::internal)
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

    /// Writes an entry for something that was refused before there was a scope. Best effort by nature: the answer is
    /// a refusal either way.
    async fn note_unanswered(
        &self,
        snapshot: &Arc<Snapshot>,
        principal: Option<&Arc<PrincipalFacts>>,
        meta: &RequestMeta,
        action: Action,
        error: &AppError,
        suppressed: u64,
    ) {
        if let Err(failed) =
            crate::tx::append_unanswered(self, snapshot, principal, meta, action, error, suppressed).await
            && failed.class() != ErrorClass::Stale
        {
            tracing::warn!(%failed, "a refusal could not be written down");
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
