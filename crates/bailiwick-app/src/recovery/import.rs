//! Importing: an operator's act.
//!
//! The request is allowed first, and its entry is durable before the first byte of the bundle is looked at. Then the
//! bundle, which the door has put into a file that nobody else can name, is read twice: to verify all of it, and to
//! write. Every commit names the platform's epoch that the import was allowed under, so an operator who loses the right
//! stops writing at once.
//!
//! Crash argument: what is written step by step is the tenant's row first (state *importing*, or a mark on a suspended
//! tenant), then records and entries, each frame one commit, then the last commit that opens the tenant. A frame that was
//! written is recognised by what it holds; whoever sends the same bundle again goes on after the last one. The row's
//! version goes up with every step, so two imports of one bundle cannot both take one.

use std::fs::File;
use std::sync::Arc;

use bailiwick_ledger::entry::{Decision, Entry, salt};
use bailiwick_ledger::note::VerifierKey;
use bailiwick_seal::Keyring;
use bailiwick_store::{Commit, CommitError, Committed, Expect, Header, HeaderChange, Part};
use bailiwick_types::action::act;
use bailiwick_types::api::bundle::{ImportOutcome, ImportedTenant};
use bailiwick_types::{Code, ErrorClass, Resource, ResourceKind, TenantId};

use super::frames::Frames;
use super::verify::{Unpacked, Verified, refused_as};
use crate::app::{App, PlatformUseCase};
use crate::error::AppError;
use crate::gate::Pass;
use crate::records::{ImportMark, TenantMeta};
use crate::snapshot::Snapshot;
use crate::state::{Phase, TenantState};
use crate::tx::{Answer, PlatformTx, Reply, seal_entry};

/// Allows an import.
pub struct Import {
    /// Keys of installations whose bundles are taken, beside this one's.
    pub trusted: Vec<VerifierKey>,
    /// Verify, and say what would be done.
    pub is_dry_run: bool,
}

/// An import that may be made: [`App::import_bundle`] does.
pub struct ImportPlan {
    trusted: Vec<VerifierKey>,
    pub(super) is_dry_run: bool,
    pub(super) platform: Arc<Snapshot>,
    /// The request's entry, which those that follow are made from.
    entry: Entry,
    place: Option<Pass>,
}

impl Reply for ImportPlan {
    fn remembered(&self) -> Option<String> {
        None
    }
    fn recalled(_: &str) -> Option<Self> {
        None
    }
}

impl PlatformUseCase for Import {
    type Action = act::TenantImport;
    type Reply = ImportPlan;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<ImportPlan>, AppError> {
        let permit = tx.authorize::<act::TenantImport>(&crate::tenants::platform()).await?;
        tx.note("step", "asked");
        let plan = ImportPlan {
            trusted: self.trusted.clone(),
            is_dry_run: self.is_dry_run,
            platform: Arc::clone(&tx.snapshot),
            entry: tx.entry(),
            place: None,
        };
        tx.commit(permit, plan).await
    }
}

/// A bundle whose every byte was looked at, and the tenant that it will be written to.
pub(super) struct Accepted {
    pub(super) unpacked: Unpacked,
    pub(super) verified: Verified,
    pub(super) keyring: Arc<Keyring>,
    pub(super) outcome: ImportOutcome,
    /// The tenant's row as it is, if there is one.
    pub(super) header: Option<Header>,
}

impl ImportPlan {
    /// An entry that follows the request's.
    pub(super) fn entry(&self, app: &App, plane: TenantId, tenant: TenantId, step: &str) -> Entry {
        let mut entry = self.entry.clone();
        entry.tenant = crate::tx::tenant_name(plane);
        entry.time = app.now();
        entry.salt = salt(app.random.as_ref());
        let resource = Resource::plain(ResourceKind::Tenant, tenant.to_string());
        entry.resource.kind = resource.kind.as_str().into();
        entry.resource.id = resource.id;
        entry.detail.insert("step".to_owned(), step.to_owned());
        if !plane.is_platform() {
            entry.actor.operator.clone_from(&entry.actor.id);
        }
        entry
    }
}

impl App {
    /// Makes an import that was allowed: verifies the bundle in `file` and writes it.
    ///
    /// # Errors
    /// [`Code::BundleRefused`] if the bundle does not hold or is not for this installation, [`Code::WrongState`] and
    /// [`Code::AlreadyExists`] if the tenant here does not allow it. Nothing was written then.
    pub async fn import_bundle(
        &self,
        allowed: Answer<ImportPlan>,
        file: File,
    ) -> Result<Answer<ImportedTenant>, AppError> {
        let (mut plan, place) = allowed.into_parts();
        plan.place = place;
        let mut frames = Frames::of(file);
        let imported = match self.accept(&plan, &mut frames).await {
            Ok(accepted) => self.apply(&plan, &mut frames, accepted).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &imported
            && !matches!(error.class(), ErrorClass::Busy | ErrorClass::Stale)
            && let Err(failed) = self.note_refusal(&plan, error).await
        {
            tracing::warn!(%failed, "a refused import could not be written down");
        }
        imported
    }

    async fn note_refusal(&self, plan: &ImportPlan, error: &AppError) -> Result<(), AppError> {
        let mut entry = plan.entry(self, TenantId::PLATFORM, TenantId::PLATFORM, "refused");
        entry.resource.kind.clone_from(&plan.entry.resource.kind);
        entry.resource.id.clone_from(&plan.entry.resource.id);
        entry.decision = Decision::Allow;
        entry.outcome = error.class().as_str().into();
        entry.code = Some(error.code().as_str().into());
        let part = Part {
            tenant: TenantId::PLATFORM,
            expect: Expect::Exists,
            header: HeaderChange::default(),
            writes: Vec::new(),
            entries: vec![seal_entry(self, &plan.platform, &entry)?],
        };
        self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
        Ok(())
    }

    /// Looks at everything, and writes nothing.
    async fn accept(&self, plan: &ImportPlan, frames: &mut Frames) -> Result<Accepted, AppError> {
        let unpacked = self.unpack(frames).await?;
        let head = &unpacked.head;
        self.check_trust(head, &plan.trusted)?;
        let unsealed = self.unsealed()?;
        let header = self.store.header(head.tenant).await?;
        let (keyring, outcome) = match &header {
            None => {
                self.check_slug(head.tenant, head.slug.as_str()).await?;
                (self.transported(&unpacked)?, ImportOutcome::Created)
            }
            Some(header) => {
                let meta = TenantMeta::from_bytes(&header.meta)?;
                check_standing(header, &meta)?;
                if meta.home(unsealed.record.installation()) != head.home {
                    return Err(refused_as("a tenant of the same id was made in another installation"));
                }
                match TenantState::from_number(header.state).phase {
                    Phase::Importing => (self.transported(&unpacked)?, ImportOutcome::Created),
                    _ => (Arc::new(unsealed.unwrap(head.tenant, &meta)?.0), ImportOutcome::Restored),
                }
            }
        };
        let verified = self.verify_bundle(frames, &keyring).await?;
        let head = &unpacked.head;
        if let Some(header) = &header {
            let meta = TenantMeta::from_bytes(&header.meta)?;
            if meta.import.as_ref().is_some_and(|mark| mark.bundle != verified.root) {
                return Err(AppError::with_detail(
                    Code::WrongState,
                    "the import of another bundle was begun; send that one again to finish it",
                ));
            }
            let size = match outcome {
                ImportOutcome::Created => header.ledger.size(),
                ImportOutcome::Restored => head.size,
            };
            if size > header.ledger.size()
                || (outcome == ImportOutcome::Restored
                    && self.root_at(head.tenant, &header.ledger, size).await? != verified.ledger)
            {
                return Err(refused_as("its ledger is not a beginning of the tenant's ledger here"));
            }
        }
        Ok(Accepted { unpacked, verified, keyring, outcome, header })
    }

    fn transported(&self, unpacked: &Unpacked) -> Result<Arc<Keyring>, AppError> {
        let unsealed = self.unsealed()?;
        let (head, version) = (&unpacked.head, unsealed.record.root_version());
        let (keyring, _) = unpacked
            .keys
            .wrap(&unsealed.root, version, head.home, head.tenant, self.now(), self.random.as_ref())
            .map_err(|_| refused_as("the keys in it are no tenant's"))?;
        Ok(Arc::new(keyring))
    }

    async fn check_slug(&self, tenant: TenantId, slug: &str) -> Result<(), AppError> {
        match self.store.tenant_by_slug(slug).await? {
            Some(other) if other != tenant => Err(CommitError::SlugTaken.into()),
            _ => Ok(()),
        }
    }

    /// One step of an import. The row's version is what keeps two imports apart.
    pub(super) async fn step(&self, plan: &ImportPlan, part: Part) -> Result<Committed, AppError> {
        let guards = vec![(TenantId::PLATFORM, plan.platform.epoch)];
        match self.store.commit(Commit { parts: vec![part], guards }).await {
            Ok(committed) => Ok(committed),
            Err(error) => Err(step_failed(error)),
        }
    }
}

/// Why a step of an import was not taken. Nothing is tried again by itself: whoever sends the bundle again goes on.
pub(super) fn step_failed(error: CommitError) -> AppError {
    match error {
        CommitError::Stale { tenant } if tenant.is_platform() => AppError::new(Code::PermissionDenied),
        CommitError::Stale { .. } | CommitError::Conflict { .. } | CommitError::TenantExists => AppError::with_detail(
            Code::Contention,
            "the tenant was changed while it was imported; perhaps another import of it is under way",
        ),
        error => error.into(),
    }
}

/// Whether a tenant that is here may be written to by an import.
fn check_standing(header: &Header, meta: &TenantMeta) -> Result<(), AppError> {
    let wrong = |why: &str| Err(AppError::with_detail(Code::WrongState, why));
    let state = TenantState::from_number(header.state);
    match state.phase {
        Phase::Deleted => wrong("the tenant was deleted here and its keys destroyed; it is never revived"),
        Phase::Deleting => wrong("the tenant is being deleted; resume it first, while that is possible"),
        Phase::Active => {
            wrong("the tenant is here and active; suspend it first: nobody may use it while it is restored")
        }
        Phase::Suspended if meta.moved.is_some() => wrong("the tenant was exported for good and lives elsewhere"),
        Phase::Suspended | Phase::Importing if state.is_sealed => Err(AppError::new(Code::TenantSealed)),
        Phase::Suspended | Phase::Importing => Ok(()),
    }
}

/// The mark of a bundle.
pub(super) fn mark(verified: &Verified) -> ImportMark {
    ImportMark { bundle: verified.root.clone() }
}
