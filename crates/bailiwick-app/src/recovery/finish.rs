//! The last step of an import: the tenant opens, and both ledgers say so.

use bailiwick_seal::Purpose;
use bailiwick_store::{Commit, Expect, HeaderChange, Part, Space, Wake, Write};
use bailiwick_types::api::bundle::{ImportOutcome, ImportedTenant, RecoveryCredential};
use bailiwick_types::{MemberId, TenantId};

use super::apply::Writing;
use super::import::step_failed;
use crate::credentials::OwnCredential;
use crate::error::AppError;
use crate::members::OWNER;
use crate::records::MemberRecord;
use crate::state::{Phase, TenantState};
use crate::tx::{Answer, seal_entry, seal_record};

impl Writing<'_> {
    pub(super) async fn finish(mut self) -> Result<Answer<ImportedTenant>, AppError> {
        let head = self.accepted.unpacked.head.clone();
        let is_new = self.accepted.outcome == ImportOutcome::Created;
        let revives = is_new && !head.is_final;
        let mut imported = ImportedTenant {
            tenant: head.tenant,
            slug: head.slug.clone(),
            outcome: self.accepted.outcome,
            is_dry_run: self.plan.is_dry_run,
            records: self.records,
            entries: head.size,
            credentials_revoked: if revives { self.accepted.verified.credentials } else { 0 },
            recovery: None,
        };
        if self.plan.is_dry_run {
            return self.told(imported).await;
        }
        if !head.is_final {
            self.repair().await?;
        }
        let mut writes = Vec::new();
        if revives {
            let (recovery, made) = self.recovery()?;
            imported.recovery = Some(recovery);
            writes = made;
        }
        let app = self.app;
        let mut entry = self.plan.entry(app, head.tenant, head.tenant, "done");
        entry.detail.insert("outcome".to_owned(), word(self.accepted.outcome).to_owned());
        entry.detail.insert("records".to_owned(), self.records.to_string());
        entry.detail.insert("bundle".to_owned(), self.accepted.verified.root.clone());
        entry.detail.insert("bundle_size".to_owned(), head.size.to_string());
        entry.detail.insert("exporter".to_owned(), head.exporter.to_string());
        entry.detail.insert("final".to_owned(), head.is_final.to_string());
        let sealed = seal_entry(app, &self.snapshot(), &entry)?;
        let mut of_platform = entry.clone();
        of_platform.tenant = crate::tx::tenant_name(TenantId::PLATFORM);
        of_platform.actor.operator = None;
        of_platform.salt = bailiwick_ledger::entry::salt(app.random.as_ref());

        self.meta.import = None;
        if is_new {
            self.rotate(head.size)?;
        }
        let opened = TenantState { phase: Phase::Active, is_sealed: false }.number();
        let wake = (is_new && head.is_final).then(|| Wake::By(app.now().plus(crate::jobs::IDEMPOTENCY_KEPT)));
        let parts = vec![
            Part {
                tenant: head.tenant,
                expect: Expect::Exists,
                header: HeaderChange {
                    bump_epoch: true,
                    // One that was here stays suspended, as it was: opening it again is an act of its own.
                    state: is_new.then_some(opened),
                    meta: Some((self.meta_version, self.meta.to_bytes()?)),
                    wake,
                    ..HeaderChange::default()
                },
                writes,
                entries: vec![sealed],
            },
            Part {
                tenant: TenantId::PLATFORM,
                expect: Expect::Epoch(self.plan.platform.epoch),
                header: HeaderChange::default(),
                writes: Vec::new(),
                entries: vec![seal_entry(app, &self.plan.platform, &of_platform)?],
            },
        ];
        let committed = app.store.commit(Commit { parts, guards: Vec::new() }).await.map_err(step_failed)?;
        app.forget(head.tenant);
        Answer::of_commit(imported, &committed)
    }

    /// What would have been done, in the platform's ledger alone.
    async fn told(&self, imported: ImportedTenant) -> Result<Answer<ImportedTenant>, AppError> {
        let entry = self.plan.entry(self.app, TenantId::PLATFORM, imported.tenant, "dry run");
        let part = Part {
            tenant: TenantId::PLATFORM,
            expect: Expect::Epoch(self.plan.platform.epoch),
            header: HeaderChange::default(),
            writes: Vec::new(),
            entries: vec![seal_entry(self.app, &self.plan.platform, &entry)?],
        };
        let committed =
            self.app.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await.map_err(step_failed)?;
        Answer::of_commit(imported, &committed)
    }

    /// A credential to begin again with: of an owner that was not disabled, or else of a new one.
    fn recovery(&self) -> Result<(RecoveryCredential, Vec<Write>), AppError> {
        let (app, snapshot) = (self.app, self.snapshot());
        let now = app.now();
        let mut writes = Vec::new();
        let member = match self.accepted.verified.owner {
            Some(member) => member,
            None => {
                let record = MemberRecord {
                    id: MemberId::random(app.random.as_ref()),
                    name: "recovery".to_owned(),
                    email: None,
                    role: OWNER.parse()?,
                    is_disabled: false,
                    created: now,
                };
                writes.push(seal_record(app, &snapshot, record.id.as_bytes().to_vec(), &record)?);
                record.id
            }
        };
        let made = OwnCredential::make(app, &snapshot, &member.to_string(), "recovery after import", None, now)?;
        writes.extend(made.writes);
        // A tenant at its limit must be recoverable all the same.
        for write in &mut writes {
            write.count_max = None;
        }
        debug_assert!(writes.iter().all(|write| write.space != Space::Secret), "rights, and nothing else");
        Ok((RecoveryCredential { member, credential: made.text.expose().clone() }, writes))
    }

    /// New data keys for what is sealed from here on: the old ones are known where the tenant came from.
    fn rotate(&mut self, size: u64) -> Result<(), AppError> {
        let app = self.app;
        let unsealed = app.unsealed()?;
        let head = &self.accepted.unpacked.head;
        let mut record = self.meta.keyring.take().ok_or_else(|| AppError::internal("a tenant has no keys"))?;
        for purpose in [Purpose::Records, Purpose::Ledger] {
            let root = unsealed.root_of(&record)?;
            let random = app.random.as_ref();
            record = record.rotate_data(root, head.home, head.tenant, purpose, app.now(), random)?;
        }
        self.meta.keyring = Some(record);
        self.meta.rotated_at = size;
        Ok(())
    }
}

fn word(outcome: ImportOutcome) -> &'static str {
    match outcome {
        ImportOutcome::Created => "created",
        ImportOutcome::Restored => "restored",
    }
}
