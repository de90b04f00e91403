//! What the server does by itself, one tenant at a time: shredding what was deleted, new data keys before the old ones
//! have sealed too much, forgetting old answers, and the index of ledgers.
//!
//! The store's wake-up list says which tenants have something to do; what that is, and whether it may be done, is
//! decided from the tenant's own state when it is done.
//!
//! Crash argument for shredding: its three steps are (1) the keys leave the header, (2) the certificate enters it,
//! (3) the records are erased and the wake-up ends. The wake-up stays until the last, so whichever step was cut off is
//! found again; each step looks at what is there before it acts.
//!
//! Several nodes do this at once, on the same tenants. Each change is made under the epoch and the version of the header
//! that it was decided from, so of two that do the same one is refused, which is no error: it is done, or will be found
//! again.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_ledger::certificate::{DeletionCertificate, DestroyedKey};
use bailiwick_ledger::checkpoint::Checkpoint;
use bailiwick_ledger::note::NoteSigner;
use bailiwick_seal::Purpose;
use bailiwick_store::{Commit, CommitError, Expect, Header, HeaderChange, Part, Space, Wake, Write};
use bailiwick_types::action::act;
use bailiwick_types::{ActionType, InstallationId, TenantId, Timestamp};
use data_encoding::HEXLOWER;

use crate::app::App;
use crate::error::AppError;
use crate::records::{IdempotencyRecord, TenantMeta};
use crate::snapshot::Snapshot;
use crate::state::{Phase, TenantState};
use crate::tx::seal_entry;

/// How long an answer is remembered for its `Idempotency-Key`.
pub(crate) const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 3_600);

/// The kinds of work that exist. There is no other identity that acts without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobKind {
    ShredTenant,
    RotateDataKeys,
    ForgetAnswers,
}

/// Evidence that the work is due: one kind, one tenant. Made only by [`App::run_due_jobs`] from the tenant's own state.
struct JobScope {
    kind: JobKind,
    tenant: TenantId,
}

impl App {
    /// Does what is due. Returns how many tenants it was done for.
    ///
    /// # Errors
    /// `storage_unavailable` if the store does not answer. One tenant's failure is logged and does not stop the
    /// others.
    pub async fn run_due_jobs(&self) -> Result<usize, AppError> {
        self.gates.sweep(self.now());
        // All of it destroys or forgets something.
        let now = self.earliest();
        if !self.is_unsealed() {
            return Ok(0);
        }
        let mut due = self.store.due(now, 256).await?;
        // Nodes that all begin with the same tenant would all do the same.
        let first = self.probing.place().checked_rem(due.len()).unwrap_or_default();
        due.rotate_left(first);
        for (_, tenant) in &due {
            match self.run_jobs_of(*tenant, now).await {
                Err(error) if self.should_retry(&error) => {
                    tracing::debug!(%tenant, "another node was faster, or state moved on; it will be looked at again");
                }
                Err(error) => tracing::warn!(%tenant, %error, "background work failed; it will be tried again"),
                Ok(()) => {}
            }
        }
        Ok(due.len() + self.index_wanted().await)
    }

    async fn run_jobs_of(&self, tenant: TenantId, now: Timestamp) -> Result<(), AppError> {
        let Some(header) = self.store.header(tenant).await? else { return Ok(()) };
        let meta = TenantMeta::from_bytes(&header.meta)?;
        let state = TenantState::from_number(header.state);
        // What this version does not know (a plane that is being moved here) it has nothing to do with.
        if state.number() != header.state {
            return Ok(());
        }
        self.forget_past(tenant, header.ledger.size()).await?;
        let is_due = meta.shred_at.is_some_and(|moment| moment <= now);
        let kind = match state.phase {
            Phase::Deleted => JobKind::ShredTenant,
            Phase::Deleting if is_due => JobKind::ShredTenant,
            _ if !state.is_sealed && self.wants_new_keys(header.ledger.size(), meta.rotated_at) => {
                JobKind::RotateDataKeys
            }
            _ => JobKind::ForgetAnswers,
        };
        let scope = JobScope { kind, tenant };
        match scope.kind {
            JobKind::ShredTenant => self.shred(&scope).await,
            JobKind::RotateDataKeys => self.rotate_data_keys(&scope, &header, meta).await,
            JobKind::ForgetAnswers => self.forget_answers(&scope, &header, &meta, now).await,
        }
    }

    /// Forgets what the tenant's records were further back than is promised. Whatever the tenant was woken for: there is
    /// mostly nothing to do, and no harm in looking.
    async fn forget_past(&self, tenant: TenantId, size: u64) -> Result<(), AppError> {
        let from = size.saturating_sub(self.config.past_entries);
        if from > 0 && self.store.past_from(tenant).await?.is_some_and(|known| known < from) {
            self.store.forget_past(tenant, from).await?;
        }
        Ok(())
    }

    /// Destroys a tenant's keys, certifies it, and erases what they sealed.
    async fn shred(&self, scope: &JobScope) -> Result<(), AppError> {
        let unsealed = self.unsealed()?;
        let platform = self.platform_snapshot().await?;
        let reload = async || self.store.header(scope.tenant).await?.ok_or_else(AppError::not_found);
        let mut header = reload().await?;
        let mut meta = TenantMeta::from_bytes(&header.meta)?;

        if meta.keyring.is_some() {
            // The last entry of the tenant's ledger, sealed with keys that are gone with this very commit.
            let (keys, installation) = unsealed.unwrap(scope.tenant, &meta)?;
            let keyring = meta.keyring.take().ok_or_else(|| AppError::internal("a tenant has no keys"))?;
            let snapshot = Snapshot::new(&header, &meta, Some(Arc::new(keys)), installation, platform.epoch);
            let id = scope.tenant.to_string();
            let mut entry = self.system_entry(scope.tenant, act::TenantDelete::ACTION.as_str(), "Tenant", &id);
            entry.detail.insert("step".to_owned(), "shredded".to_owned());
            let mut of_platform =
                self.system_entry(TenantId::PLATFORM, act::TenantDelete::ACTION.as_str(), "Tenant", &id);
            of_platform.detail.insert("step".to_owned(), "shredded".to_owned());
            of_platform.detail.insert("keyring".to_owned(), keyring.fingerprint());
            meta.destroyed = Some(keyring.fingerprint());
            let parts = vec![
                Part {
                    tenant: scope.tenant,
                    expect: Expect::Epoch(header.epoch),
                    header: HeaderChange {
                        bump_epoch: true,
                        state: Some(TenantState { phase: Phase::Deleted, is_sealed: false }.number()),
                        meta: Some((header.meta_version, meta.to_bytes()?)),
                        ..HeaderChange::default()
                    },
                    writes: Vec::new(),
                    entries: vec![seal_entry(self, &snapshot, &entry)?],
                },
                Part {
                    tenant: TenantId::PLATFORM,
                    expect: Expect::Exists,
                    header: HeaderChange::default(),
                    writes: Vec::new(),
                    entries: vec![seal_entry(self, &platform, &of_platform)?],
                },
            ];
            self.store.commit(Commit { parts, guards: Vec::new() }).await?;
            self.forget(scope.tenant);
            header = reload().await?;
            meta = TenantMeta::from_bytes(&header.meta)?;
        }

        if meta.certificate.is_none() {
            meta.certificate = Some(self.certify(&header, &meta, &platform).await?);
            let change =
                HeaderChange { meta: Some((header.meta_version, meta.to_bytes()?)), ..HeaderChange::default() };
            // Signed with a root key that is the installation's still.
            let guards = vec![(TenantId::PLATFORM, platform.epoch)];
            self.change_header(scope.tenant, Expect::Epoch(header.epoch), change, guards).await?;
        }

        self.store.erase(scope.tenant).await?;
        let change = HeaderChange { wake: Some(Wake::Never), ..HeaderChange::default() };
        self.change_header(scope.tenant, Expect::Epoch(header.epoch), change, Vec::new()).await
    }

    async fn certify(&self, header: &Header, meta: &TenantMeta, platform: &Snapshot) -> Result<String, AppError> {
        let unsealed = self.unsealed()?;
        let installation = unsealed.record.installation();
        let platform_header = self.store.header(TenantId::PLATFORM).await?.ok_or_else(AppError::not_found)?;
        let of = |header: &Header, home: InstallationId, name: String| Checkpoint {
            origin: format!("{home}/{name}"),
            size: header.ledger.size(),
            root: header.ledger.root(),
        };
        let fingerprint = meta.destroyed.as_deref().unwrap_or_default();
        let fingerprint = HEXLOWER.decode(fingerprint.as_bytes()).map_err(AppError::internal)?;
        let certificate = DeletionCertificate {
            tenant: header.tenant,
            slug: header.slug.clone(),
            deleted_at: self.now(),
            ledger: of(header, meta.home(installation), header.tenant.to_string()),
            keys: vec![DestroyedKey {
                name: "keyring".to_owned(),
                fingerprint: fingerprint.try_into().map_err(|_| AppError::internal("a fingerprint's length"))?,
            }],
            platform: of(&platform_header, installation, crate::tx::tenant_name(TenantId::PLATFORM)),
        };
        let own = platform.keyring()?.ledger_signer(&crate::ledger::origin(platform))?;
        let signers: [&dyn NoteSigner; 2] = [&own, &unsealed.signer];
        certificate.sign(&signers).map_err(AppError::internal)
    }

    fn wants_new_keys(&self, size: u64, rotated_at: u64) -> bool {
        size.saturating_sub(rotated_at) >= self.config.rotate_data_every
    }

    /// Asks for new data keys when an entry at `index` was the last that the old ones should have sealed, and for the past
    /// to be forgotten when there is enough of it. Best effort:
    /// the limit leaves room for many such chances.
    pub(crate) async fn note_sealed(&self, tenant: TenantId, index: u64) {
        let is_due = |every: u64| index.checked_rem(every) == Some(0);
        if index == 0 || !(is_due(self.config.rotate_data_every) || is_due(self.config.past_entries)) {
            return;
        }
        let change = HeaderChange { wake: Some(Wake::By(self.now())), ..HeaderChange::default() };
        if let Err(error) = self.change_header(tenant, Expect::Exists, change, Vec::new()).await {
            tracing::warn!(%tenant, %error, "new data keys could not be asked for");
        }
    }

    /// Gives a plane new data keys. What the old ones sealed still opens. The wake-up stays, for what else is due.
    async fn rotate_data_keys(&self, scope: &JobScope, header: &Header, mut meta: TenantMeta) -> Result<(), AppError> {
        let unsealed = self.unsealed()?;
        let Some(snapshot) = self.snapshot_of(header).await? else { return Ok(()) };
        let mut record = meta.keyring.take().ok_or_else(|| AppError::internal("a tenant has no keys"))?;
        let (root, installation) = (unsealed.root_of(&record)?, snapshot.installation);
        for purpose in [Purpose::Records, Purpose::Ledger] {
            let random = self.random.as_ref();
            record = record.rotate_data(root, installation, scope.tenant, purpose, self.now(), random)?;
        }
        meta.keyring = Some(record);
        meta.rotated_at = header.ledger.size();
        let mut entry = self.system_entry(scope.tenant, act::KeyringRotate::ACTION.as_str(), "Keyring", "keyring");
        entry.detail.insert("purpose".to_owned(), "records, ledger".to_owned());
        entry.detail.insert("reason".to_owned(), "the ledger has grown".to_owned());
        let part = Part {
            tenant: scope.tenant,
            expect: Expect::Epoch(header.epoch),
            header: HeaderChange {
                bump_epoch: true,
                meta: Some((header.meta_version, meta.to_bytes()?)),
                ..HeaderChange::default()
            },
            writes: Vec::new(),
            entries: vec![seal_entry(self, &snapshot, &entry)?],
        };
        self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
        self.forget(scope.tenant);
        Ok(())
    }

    async fn change_header(
        &self,
        tenant: TenantId,
        expect: Expect,
        header: HeaderChange,
        guards: Vec<(TenantId, u64)>,
    ) -> Result<(), AppError> {
        let part = Part { tenant, expect, header, writes: Vec::new(), entries: Vec::new() };
        self.store.commit(Commit { parts: vec![part], guards }).await?;
        Ok(())
    }

    /// The tenant at the epoch of this header: what is cached may be older, if another node has changed something.
    pub(crate) async fn snapshot_of(&self, header: &Header) -> Result<Option<Arc<Snapshot>>, AppError> {
        match self.snapshot(header.tenant).await? {
            Some(snapshot) if snapshot.epoch != header.epoch => {
                Err(CommitError::Stale { tenant: header.tenant }.into())
            }
            found => Ok(found),
        }
    }

    /// Forgets answers that are older than promised, and sets the next wake-up.
    ///
    /// Why no wake-up is lost: whoever wants one while the answers are looked through either bumps the epoch (a deletion), and
    /// then the wake-up that is set here is refused; or remembers an answer, later than all that were seen, and then the
    /// wake-up that is set for those is early enough. Only if none were seen is there no such wake-up, so it is looked again
    /// after that was written.
    async fn forget_answers(
        &self,
        scope: &JobScope,
        header: &Header,
        meta: &TenantMeta,
        now: Timestamp,
    ) -> Result<(), AppError> {
        const STEP: usize = 500;
        let Some(snapshot) = self.snapshot_of(header).await? else { return Ok(()) };
        let mut earliest: Option<Timestamp> = None;
        let mut after: Option<Vec<u8>> = None;
        // A sealed tenant's answers wait until it is unsealed: try again in a while.
        let mut is_last = snapshot.keyring.is_none();
        if is_last {
            earliest = Some(now);
        }
        while !is_last {
            let page = self.read_all::<IdempotencyRecord>(&snapshot, b"", after.as_deref(), STEP).await?;
            is_last = page.len() < STEP;
            let mut writes = Vec::new();
            for (key, version, record) in page {
                after = Some(key.clone());
                if now.since(record.created) >= IDEMPOTENCY_KEPT {
                    writes.push(Write {
                        space: Space::Idempotency,
                        key,
                        expected: Some(version),
                        value: None,
                        count_max: None,
                    });
                } else {
                    earliest = Some(earliest.map_or(record.created, |seen| seen.min(record.created)));
                }
            }
            if !writes.is_empty() {
                let part = Part {
                    tenant: scope.tenant,
                    expect: Expect::Exists,
                    header: HeaderChange::default(),
                    writes,
                    entries: Vec::new(),
                };
                match self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await {
                    Ok(_) | Err(CommitError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        // The tenant has one wake-up; a pending deletion keeps its own.
        let next = [earliest.map(|moment| moment.plus(IDEMPOTENCY_KEPT)), meta.shred_at].into_iter().flatten().min();
        let expect = Expect::Epoch(header.epoch);
        let set = async |wake, expect| {
            let change = HeaderChange { wake: Some(wake), ..HeaderChange::default() };
            self.change_header(scope.tenant, expect, change, Vec::new()).await
        };
        set(next.map_or(Wake::Never, Wake::At), expect).await?;
        let Some(after) = self.store.header(scope.tenant).await? else { return Ok(()) };
        let is_rotation_due = self.wants_new_keys(after.ledger.size(), meta.rotated_at);
        if is_rotation_due && snapshot.keyring.is_some() {
            return set(Wake::By(now), Expect::Exists).await;
        }
        let has_answers =
            next.is_none() && !self.store.records(scope.tenant, Space::Idempotency, b"", None, 1).await?.is_empty();
        // None was there a moment ago, so it is fresh.
        if has_answers { set(Wake::By(self.now().plus(IDEMPOTENCY_KEPT)), Expect::Exists).await } else { Ok(()) }
    }
}
