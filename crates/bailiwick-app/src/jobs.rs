//! What the server does by itself, one tenant at a time: shredding what was deleted, new data keys before the old ones
//! have sealed too much, and forgetting old answers.
//!
//! The store's wake-up list says which tenants have something to do; what that is, and whether it may be done, is
//! decided from the tenant's own state when it is done.
//!
//! Crash argument for shredding: its three steps are (1) the keys leave the header, (2) the certificate enters it,
//! (3) the records are erased and the wake-up ends. The wake-up stays until the last, so whichever step was cut off is
//! found again; each step looks at what is there before it acts.

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
        let now = self.now();
        self.gates.sweep(now);
        if !self.is_unsealed() {
            return Ok(0);
        }
        let due = self.store.due(now, 256).await?;
        for (_, tenant) in &due {
            if let Err(error) = self.run_jobs_of(*tenant, now).await {
                tracing::warn!(%tenant, %error, "background work failed; it will be tried again");
            }
        }
        Ok(due.len())
    }

    async fn run_jobs_of(&self, tenant: TenantId, now: Timestamp) -> Result<(), AppError> {
        let Some(header) = self.store.header(tenant).await? else { return Ok(()) };
        let meta = TenantMeta::from_bytes(&header.meta)?;
        let state = TenantState::from_number(header.state);
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
            JobKind::ForgetAnswers => self.forget_answers(&scope, &meta, now).await,
        }
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
            let snapshot = crate::snapshot::Snapshot::new(
                &header,
                &meta,
                Some(std::sync::Arc::new(keys)),
                installation,
                platform.epoch,
            );
            let id = scope.tenant.to_string();
            let mut entry = self.system_entry(scope.tenant, act::TenantDelete::ACTION, "Tenant", &id);
            entry.detail.insert("step".to_owned(), "shredded".to_owned());
            let mut of_platform = self.system_entry(TenantId::PLATFORM, act::TenantDelete::ACTION, "Tenant", &id);
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
                        wake: None,
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
            meta.certificate = Some(self.certify(&header, &meta).await?);
            let change =
                HeaderChange { meta: Some((header.meta_version, meta.to_bytes()?)), ..HeaderChange::default() };
            self.change_header(scope.tenant, change).await?;
        }

        self.store.erase(scope.tenant).await?;
        let change = HeaderChange { wake: Some(Wake::Never), ..HeaderChange::default() };
        self.change_header(scope.tenant, change).await
    }

    async fn certify(&self, header: &Header, meta: &TenantMeta) -> Result<String, AppError> {
        let unsealed = self.unsealed()?;
        let installation = unsealed.record.installation();
        let platform = self.platform_snapshot().await?;
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
        let own = platform.keyring()?.ledger_signer(&crate::ledger::origin(&platform))?;
        let signers: [&dyn NoteSigner; 2] = [&own, &unsealed.signer];
        certificate.sign(&signers).map_err(AppError::internal)
    }

    fn wants_new_keys(&self, size: u64, rotated_at: u64) -> bool {
        size.saturating_sub(rotated_at) >= self.config.rotate_data_every
    }

    /// Asks for new data keys when an entry at `index` was the last that the old ones should have sealed. Best effort:
    /// the limit leaves room for many such chances.
    pub(crate) async fn note_sealed(&self, tenant: TenantId, index: u64) {
        if index == 0 || index.checked_rem(self.config.rotate_data_every) != Some(0) {
            return;
        }
        let change = HeaderChange { wake: Some(Wake::By(self.now())), ..HeaderChange::default() };
        if let Err(error) = self.change_header(tenant, change).await {
            tracing::warn!(%tenant, %error, "new data keys could not be asked for");
        }
    }

    /// Gives a plane new data keys. What the old ones sealed still opens. The wake-up stays, for what else is due.
    async fn rotate_data_keys(&self, scope: &JobScope, header: &Header, mut meta: TenantMeta) -> Result<(), AppError> {
        let unsealed = self.unsealed()?;
        let Some(snapshot) = self.snapshot(scope.tenant).await? else { return Ok(()) };
        let mut record = meta.keyring.take().ok_or_else(|| AppError::internal("a tenant has no keys"))?;
        let (root, installation) = (unsealed.root_of(&record)?, snapshot.installation);
        for purpose in [Purpose::Records, Purpose::Ledger] {
            let random = self.random.as_ref();
            record = record.rotate_data(root, installation, scope.tenant, purpose, self.now(), random)?;
        }
        meta.keyring = Some(record);
        meta.rotated_at = header.ledger.size();
        let mut entry = self.system_entry(scope.tenant, act::KeyringRotate::ACTION, "Keyring", "keyring");
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

    async fn change_header(&self, tenant: TenantId, change: HeaderChange) -> Result<(), AppError> {
        let part = Part { tenant, expect: Expect::Exists, header: change, writes: Vec::new(), entries: Vec::new() };
        self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
        Ok(())
    }

    /// Forgets answers that are older than promised, and sets the next wake-up.
    async fn forget_answers(&self, scope: &JobScope, meta: &TenantMeta, now: Timestamp) -> Result<(), AppError> {
        const STEP: usize = 500;
        let Some(snapshot) = self.snapshot(scope.tenant).await? else { return Ok(()) };
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
        let wake = next.map_or(Wake::Never, Wake::At);
        self.change_header(scope.tenant, HeaderChange { wake: Some(wake), ..HeaderChange::default() }).await
    }
}
