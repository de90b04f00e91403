//! The last rung: changes and their entries become one durable fact.
//!
//! One commit has a part for the plane of the request, and where the request concerns another plane (a refused attempt,
//! an operator's act) a part with an entry there. No part changes contents of a plane that is not the scope's.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_authz::{Permit, PrincipalFacts, PrincipalKind};
use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1, salt};
use bailiwick_ledger::leaf_hash;
use bailiwick_seal::Purpose;
use bailiwick_store::{Commit, Expect, HeaderChange, NewEntry, Part, Receipt, Space, Wake, Write};
use bailiwick_types::{Action, ActionType, Code, Sensitivity, TenantId};

use super::{Answer, Reply, Scope, Target, Tx};
use crate::app::App;
use crate::error::AppError;
use crate::records::{IdempotencyRecord, Stored, UsageRecord, limit_of};
use crate::request::RequestMeta;
use crate::snapshot::Snapshot;
use crate::state::{Phase, TenantState};

/// Why nothing can be done with a tenant whose bundle is being written.
pub(crate) const IS_IMPORTED: &str = "the tenant is being imported; send its bundle again to finish that";

impl<S: Scope> Tx<'_, S> {
    /// The last rung: the change and its entry become one durable fact, and only then there is an answer.
    pub(crate) async fn commit<A: ActionType, T: Reply>(
        &mut self,
        permit: Permit<A>,
        value: T,
    ) -> Result<Answer<T>, AppError> {
        self.fence(&permit)?;
        drop(permit);
        if A::ACTION.sensitivity() == Sensitivity::Security && !(self.writes.is_empty()) {
            self.header.bump_epoch = true;
        }
        if let Some((key, request)) = self.remember.take()
            && let Some(text) = value.remembered()
        {
            let reply = serde_json::value::RawValue::from_string(text).map_err(AppError::internal)?;
            let record = IdempotencyRecord { request, created: self.now, reply };
            let bytes = bailiwick_types::Secret::new(serde_json::to_vec(&record).map_err(AppError::internal)?);
            let write = seal_write(self.app, &self.snapshot, Space::Idempotency, key, None, bytes.expose())?;
            self.writes.push(write);
            self.header.wake.get_or_insert(Wake::By(self.now.plus(crate::jobs::IDEMPOTENCY_KEPT)));
        }
        let receipt = self.append().await?;
        Ok(Answer { value, index: receipt.first_index, etag: self.etag, place: None })
    }

    /// Writes the entry of a request that failed or was refused, and none of its changes.
    pub(crate) async fn commit_failure(&mut self, error: &AppError) -> Result<(), AppError> {
        self.withdraw();
        self.code = Some(error.code());
        self.append().await.map(|_| ())
    }

    /// Forgets every change that was buffered.
    pub(super) fn withdraw(&mut self) {
        self.writes.clear();
        self.header = HeaderChange::default();
        self.is_told = false;
        if let Some(target) = &mut self.target {
            target.change = HeaderChange::default();
            if target.genesis.is_some() {
                self.target = None;
            }
        }
    }

    /// The request's entry, as it now is.
    pub(crate) fn entry(&self) -> Entry {
        let principal = self.principal();
        Entry {
            v: V1,
            tenant: tenant_name(self.snapshot.tenant),
            time: self.now,
            request: self.meta.id.to_string(),
            actor: Actor {
                kind: actor_kind(principal.kind),
                id: Some(principal.id.clone()),
                credential: Some(self.credential_id().to_string()),
                operator: None,
            },
            source: self.meta.source.map(|ip| ip.to_string()),
            door: self.meta.door.as_str().into(),
            action: self.action.as_str().into(),
            resource: self.resource.clone(),
            decision: self.decision,
            policies: self.policies.clone(),
            outcome: self.code.map_or("ok", |code| code.class().as_str()).into(),
            code: self.code.map(|code| code.as_str().into()),
            detail: self.detail.clone(),
            salt: salt(self.app.random.as_ref()),
        }
    }

    pub(super) async fn append(&mut self) -> Result<Receipt, AppError> {
        let entry = self.entry();
        self.note_last_use().await?;
        let mut parts = vec![Part {
            tenant: self.snapshot.tenant,
            expect: self.expectation(),
            header: std::mem::take(&mut self.header),
            writes: std::mem::take(&mut self.writes),
            entries: vec![seal_entry(self.app, &self.snapshot, &entry)?],
        }];
        let mut guards = Vec::new();
        if !self.snapshot.tenant.is_platform() {
            guards.push((TenantId::PLATFORM, self.snapshot.platform_epoch));
        }
        if let Some(stated) = self.isolation.take() {
            parts.push(Box::pin(self.isolation_part(&entry, stated)).await?);
        }
        if std::mem::take(&mut self.is_told) {
            parts.push(Box::pin(self.told_part(&entry)).await?);
        }
        if let Some(target) = self.target.take() {
            parts.extend(Box::pin(self.target_part(&entry, *target)).await?);
        }
        let bumped: Vec<TenantId> =
            parts.iter().filter(|part| part.header.bump_epoch).map(|part| part.tenant).collect();
        let planes: Vec<TenantId> = parts.iter().map(|part| part.tenant).collect();
        let begun = tokio::time::Instant::now();
        let committed = self.app.store.commit(Commit { parts, guards }).await?;
        self.app.counts.committed(self.snapshot.tenant, begun.elapsed());
        for (tenant, receipt) in planes.into_iter().zip(&committed.receipts) {
            self.app.note_sealed(tenant, receipt.first_index).await;
            self.app.note_segment(tenant, receipt);
        }
        // Not for soundness, but so that the next request need not find out the hard way.
        for tenant in bumped {
            self.app.forget(tenant);
        }
        committed.receipts.first().copied().ok_or_else(|| AppError::internal("a commit without a receipt"))
    }

    /// The refused attempt, as the platform's isolation stream has it.
    async fn isolation_part(&self, entry: &Entry, stated: String) -> Result<Part, AppError> {
        let platform = self.app.platform_snapshot().await?;
        let mut entry = entry.clone();
        entry.tenant = tenant_name(TenantId::PLATFORM);
        entry.detail.insert("isolation".to_owned(), "refused".to_owned());
        entry.detail.insert("actor_tenant".to_owned(), self.snapshot.tenant.to_string());
        entry.detail.insert("stated_tenant".to_owned(), stated);
        entry.salt = salt(self.app.random.as_ref());
        Ok(Part {
            tenant: TenantId::PLATFORM,
            expect: Expect::Exists,
            header: HeaderChange::default(),
            writes: Vec::new(),
            entries: vec![seal_entry(self.app, &platform, &entry)?],
        })
    }

    /// What the tenant does with itself as a whole, as the platform's ledger has it: who and what, nothing that is in it.
    async fn told_part(&self, entry: &Entry) -> Result<Part, AppError> {
        let platform = self.app.platform_snapshot().await?;
        let mut entry = entry.clone();
        entry.tenant = tenant_name(TenantId::PLATFORM);
        entry.salt = salt(self.app.random.as_ref());
        Ok(Part {
            tenant: TenantId::PLATFORM,
            expect: Expect::Exists,
            header: HeaderChange::default(),
            writes: Vec::new(),
            entries: vec![seal_entry(self.app, &platform, &entry)?],
        })
    }

    /// The operator's act, as the tenant's own ledger has it. A shredded tenant has no ledger to write to any more.
    async fn target_part(&self, entry: &Entry, target: Target) -> Result<Option<Part>, AppError> {
        match TenantState::from_number(target.header.state).phase {
            Phase::Deleted => return Ok(None),
            // Its ledger must come out as it was: nothing may get in between, and nothing is changed without an entry.
            Phase::Importing if target.change == HeaderChange::default() => return Ok(None),
            Phase::Importing => return Err(AppError::with_detail(Code::WrongState, IS_IMPORTED)),
            Phase::Active | Phase::Suspended | Phase::Deleting => {}
        }
        let tenant = target.header.tenant;
        let unsealed = self.app.unsealed()?;
        let snapshot = match &target.genesis {
            Some(genesis) => Arc::clone(&genesis.snapshot),
            None => {
                // The ledger is written to even while the tenant is sealed: an operator's act must be in it.
                let (keyring, home) = unsealed.unwrap(tenant, &target.meta)?;
                let keyring = Some(Arc::new(keyring));
                Arc::new(Snapshot::new(&target.header, &target.meta, keyring, home, self.snapshot.epoch))
            }
        };
        let mut entry = entry.clone();
        entry.tenant = tenant_name(tenant);
        entry.actor.operator = entry.actor.id.clone();
        entry.salt = salt(self.app.random.as_ref());
        let expect = match &target.genesis {
            Some(_) => Expect::Absent { slug: target.header.slug.clone() },
            // Also where nothing changes: the entry must not come after a ledger's last.
            None => Expect::Epoch(target.header.epoch),
        };
        Ok(Some(Part {
            tenant,
            expect,
            header: target.change,
            writes: target.genesis.map(|genesis| genesis.writes).unwrap_or_default(),
            entries: vec![seal_entry(self.app, &snapshot, &entry)?],
        }))
    }

    /// Once a minute a credential's request carries the news that it is in use.
    async fn note_last_use(&mut self) -> Result<(), AppError> {
        if self.snapshot.keyring.is_none() || !self.known.claims_last_use(self.now) {
            return Ok(());
        }
        let key = self.credential_id().as_bytes().to_vec();
        // The request may be the one that removes the credential itself.
        if self.writes.iter().any(|write| write.space == Space::Usage && write.key == key) {
            return Ok(());
        }
        let before = self.app.read::<UsageRecord>(&self.snapshot, &key).await?;
        if before.as_ref().is_some_and(|(_, usage)| self.now.since(usage.last_used).as_secs() < 60) {
            return Ok(());
        }
        let usage = serde_json::to_vec(&UsageRecord { last_used: self.now }).map_err(AppError::internal)?;
        let replaces = before.map(|(version, _)| version);
        let write = seal_write(self.app, &self.snapshot, Space::Usage, key, replaces, &usage)?;
        self.writes.push(write);
        Ok(())
    }
}

/// The name of a plane in entries.
pub(crate) fn tenant_name(tenant: TenantId) -> String {
    if tenant.is_platform() { bailiwick_ledger::entry::PLATFORM.to_owned() } else { tenant.to_string() }
}

fn actor_kind(kind: PrincipalKind) -> ActorKind {
    match kind {
        PrincipalKind::Member => ActorKind::Member,
        PrincipalKind::Service => ActorKind::Service,
        PrincipalKind::Agent => ActorKind::Agent,
        PrincipalKind::Operator => ActorKind::Operator,
    }
}

/// Seals a record for its place: tenant, space, key and the version that it will have.
pub(crate) fn seal_write(
    app: &App,
    snapshot: &Snapshot,
    space: Space,
    key: Vec<u8>,
    replaces: Option<u64>,
    bytes: &[u8],
) -> Result<Write, AppError> {
    let version = replaces.unwrap_or(0).saturating_add(1);
    let context = snapshot.context(space.as_str(), &key, version);
    let sealed = snapshot.keyring()?.seal(app.random.as_ref(), Purpose::Records, &context, bytes)?;
    let count_max = match replaces {
        None => limit_of(space).map(|limit| snapshot.limits.of(limit)),
        Some(_) => None,
    };
    Ok(Write { space, key, expected: replaces, value: Some((version, sealed)), count_max })
}

/// Seals a new record of the server's own making.
pub(crate) fn seal_record<R: Stored>(
    app: &App,
    snapshot: &Snapshot,
    key: Vec<u8>,
    record: &R,
) -> Result<Write, AppError> {
    let bytes = bailiwick_types::Secret::new(serde_json::to_vec(record).map_err(AppError::internal)?);
    seal_write(app, snapshot, R::SPACE, key, None, bytes.expose())
}

/// Seals an entry. Its place is given by the store and bound by the tree; its content is bound by the leaf hash.
pub(crate) fn seal_entry(app: &App, snapshot: &Snapshot, entry: &Entry) -> Result<NewEntry, AppError> {
    let canonical = entry.canonical();
    let leaf = leaf_hash(&canonical);
    let context = snapshot.context("ledger", &leaf, 0);
    let sealed = snapshot.keyring()?.seal(app.random.as_ref(), Purpose::Ledger, &context, &canonical)?;
    Ok(NewEntry { leaf, sealed })
}

/// Appends an entry for a request that never got a transaction: a failed login, or one too many.
pub(crate) async fn append_unanswered(
    app: &App,
    snapshot: &Arc<Snapshot>,
    principal: Option<&Arc<PrincipalFacts>>,
    meta: &RequestMeta,
    action: Action,
    error: &AppError,
    suppressed: u64,
) -> Result<(), AppError> {
    let mut detail = BTreeMap::new();
    if suppressed > 0 {
        detail.insert("suppressed_before".to_owned(), suppressed.to_string());
    }
    let entry = Entry {
        v: V1,
        tenant: tenant_name(snapshot.tenant),
        time: app.now(),
        request: meta.id.to_string(),
        actor: Actor {
            kind: principal.map_or(ActorKind::Anonymous, |principal| actor_kind(principal.kind)),
            id: principal.map(|principal| principal.id.clone()),
            credential: None,
            operator: None,
        },
        source: meta.source.map(|ip| ip.to_string()),
        door: meta.door.as_str().into(),
        action: action.as_str().into(),
        resource: EntryResource { kind: action.resource().as_str().into(), id: String::new(), version: None },
        decision: Decision::None,
        policies: Vec::new(),
        outcome: error.class().as_str().into(),
        code: Some(error.code().as_str().into()),
        detail,
        salt: salt(app.random.as_ref()),
    };
    // Under the epoch: what refused it must still hold, and a ledger that was closed meanwhile stays closed.
    let part = Part::append(snapshot.tenant, snapshot.epoch, vec![seal_entry(app, snapshot, &entry)?]);
    app.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
    Ok(())
}
