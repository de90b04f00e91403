//! The transaction: the one place where things are located, authorized, loaded, changed and committed.
//!
//! # Invariants
//! - INV-TX-1: every read and write in a transaction is of the one plane that its scope is of.
//! - INV-TX-2: contents are loaded, and changes buffered, only against a permit for that very resource.
//! - INV-TX-3: an [`Answer`] is made only here, from the receipt of a durable commit that holds the entry.
//! - INV-TX-4: the commit carries the epochs that the decision was made under, and the version of every record it
//!   replaces.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_authz::{OperatorScope, Permit, PrincipalFacts, PrincipalKind, RequestContext, TenantScope};
use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1, salt};
use bailiwick_ledger::leaf_hash;
use bailiwick_seal::Purpose;
use bailiwick_store::{Commit, Expect, Header, HeaderChange, NewEntry, Part, Receipt, Space, Wake, Write};
use bailiwick_types::{
    Action, ActionType, Code, CredentialId, Limit, Resource, ResourceKind, Sensitivity, TenantId, Timestamp,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::{Admitted, App, verified_operator, verified_scope};
use crate::error::{AppError, isolation_fault};
use crate::gate::Pass;
use crate::records::{IdempotencyRecord, Stored, TenantMeta, UsageRecord, limit_of};
use crate::request::RequestMeta;
use crate::snapshot::{KnownCredential, Snapshot};
use crate::state::{Phase, TenantState};

/// An answer whose entry is durable.
///
/// Deliberately absent: any constructor but the commit.
#[derive(Debug)]
pub struct Answer<T> {
    value: T,
    index: u64,
    etag: Option<u64>,
    /// The request's place in its tenant's gate: it is in flight until its answer is made.
    place: Option<Pass>,
}

impl<T> Answer<T> {
    /// The answer itself.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The same answer, which keeps its place.
    pub(crate) fn staying(self, place: Option<Pass>) -> Self {
        Self { place, ..self }
    }

    /// The answer itself, and the place, for answers that take long to make.
    pub(crate) fn into_parts(self) -> (T, Option<Pass>) {
        (self.value, self.place)
    }

    /// The answer itself, taken out.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The index of the request's entry in its plane's ledger.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The version of what is answered, for the `ETag` header.
    pub fn etag(&self) -> Option<u64> {
        self.etag
    }
}

/// Something that can be answered, and perhaps answered again for the same `Idempotency-Key`.
pub trait Reply: Send + Sync + Sized {
    /// The bytes to remember; `None` for answers that are never repeated (reads).
    fn remembered(&self) -> Option<String>;
    /// The reverse.
    fn recalled(text: &str) -> Option<Self>;
}

impl<T: Serialize + DeserializeOwned + Send + Sync> Reply for T {
    fn remembered(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
    fn recalled(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// What the two kinds of scope have in common.
pub trait Scope: Send + Sync {
    fn principal(&self) -> &PrincipalFacts;
    fn credential(&self) -> CredentialId;
}

impl Scope for TenantScope {
    fn principal(&self) -> &PrincipalFacts {
        TenantScope::principal(self)
    }
    fn credential(&self) -> CredentialId {
        TenantScope::credential(self)
    }
}

impl Scope for OperatorScope {
    fn principal(&self) -> &PrincipalFacts {
        OperatorScope::principal(self)
    }
    fn credential(&self) -> CredentialId {
        OperatorScope::credential(self)
    }
}

/// A transaction of the tenant plane.
pub type TenantTx<'a> = Tx<'a, TenantScope>;
/// A transaction of the platform plane.
pub type PlatformTx<'a> = Tx<'a, OperatorScope>;

/// A transaction in the plane of its scope.
pub struct Tx<'a, S> {
    pub(crate) app: &'a App,
    pub(crate) snapshot: Arc<Snapshot>,
    scope: S,
    known: Arc<KnownCredential>,
    meta: &'a RequestMeta,
    action: Action,
    now: Timestamp,
    resource: EntryResource,
    decision: Decision,
    policies: Vec<String>,
    detail: BTreeMap<String, String>,
    code: Option<Code>,
    header: HeaderChange,
    writes: Vec<Write>,
    etag: Option<u64>,
    /// Where to remember the answer, if the caller asked for it.
    remember: Option<(Vec<u8>, String)>,
    /// What this very request was answered before, and whether policy has allowed it again.
    remembered: Option<Remembered>,
    /// The other tenant that a refused attempt named.
    isolation: Option<String>,
    /// The tenant that an operator acts on.
    target: Option<Target>,
}

/// An answer that an `Idempotency-Key` got before.
struct Remembered {
    text: Box<serde_json::value::RawValue>,
    is_allowed: bool,
}

/// A tenant that an operator acts on: its header, and what changes in it. No contents.
pub(crate) struct Target {
    pub(crate) header: Header,
    pub(crate) meta: TenantMeta,
    pub(crate) state: TenantState,
    pub(crate) change: HeaderChange,
    /// What a new tenant starts with.
    genesis: Option<Genesis>,
}

/// A tenant that is being made: its first keys and records.
pub(crate) struct Genesis {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) writes: Vec<Write>,
}

/// A thing that was looked for: what policy needs to know of it, and, for whoever has the permit, what is in it.
///
/// Deliberately absent: a way to the record without a permit.
pub(crate) struct Located<R> {
    tenant: TenantId,
    resource: Resource,
    found: Option<(u64, R)>,
}

impl<R> Located<R> {
    pub(crate) fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Reads as absent unless `belongs` says that it is what the path says it is.
    pub(crate) fn only_if(mut self, belongs: impl FnOnce(&R) -> bool) -> Self {
        self.found = self.found.filter(|(_, record)| belongs(record));
        self
    }
}

impl<'a> TenantTx<'a> {
    pub(crate) fn begin_tenant(
        app: &'a App,
        meta: &'a RequestMeta,
        action: Action,
        admitted: Admitted,
    ) -> Result<Self, AppError> {
        let scope = verified_scope(admitted.verified, admitted.snapshot.epoch, meta)?;
        if scope.tenant() != admitted.snapshot.tenant {
            return Err(isolation_fault!("a scope and its snapshot are of two tenants"));
        }
        Ok(Self::begin(app, meta, action, scope, admitted.snapshot, admitted.known))
    }

    /// Everything that may only restate the tenant does, and the tenant is open for business.
    pub(crate) fn check_standing(&mut self) -> Result<(), AppError> {
        let (id, slug) = (self.snapshot.tenant.to_string(), self.snapshot.slug.clone());
        if let Some(other) = self.meta.stated.iter().find(|stated| **stated != id && **stated != slug) {
            let other = other.clone();
            self.raise_isolation(&other);
            return Err(App::foreign(self.meta.door));
        }
        match self.snapshot.state.phase {
            Phase::Active => Ok(()),
            Phase::Suspended | Phase::Deleting => Err(AppError::new(Code::TenantSuspended)),
            Phase::Deleted => Err(AppError::new(Code::CredentialInvalid)),
        }
    }

    /// Marks this as a refused attempt on another plane: it goes to the platform's isolation stream too.
    pub(crate) fn raise_isolation(&mut self, stated: &str) {
        let mut shown: String = stated.chars().take(128).collect();
        if shown.len() < stated.len() {
            shown.push('…');
        }
        self.decision = Decision::Deny;
        self.policies = vec!["isolation".to_owned()];
        self.detail.insert("stated_tenant".to_owned(), shown.clone());
        self.isolation = Some(shown);
    }

    /// Asks policy. A refusal ends the use case and becomes an entry.
    pub(crate) async fn authorize<A: ActionType>(&mut self, resource: &Resource) -> Result<Permit<A>, AppError> {
        self.concerning(resource);
        let authority = self.app.authority(&self.snapshot).await?;
        let context = self.context();
        match bailiwick_authz::authorize::<A>(&authority, &self.scope, resource.clone(), &context) {
            Ok(permit) => {
                self.decided(Decision::Allow, &permit.decision().determining);
                self.check_unanswered()?;
                Ok(permit)
            }
            Err(refusal) => {
                self.decided(Decision::Deny, &refusal.decision.determining);
                Err(AppError::new(Code::PermissionDenied))
            }
        }
    }

    /// The tenant itself as a resource.
    pub(crate) fn tenant_resource(&self) -> Resource {
        Resource::plain(ResourceKind::Tenant, self.snapshot.tenant.to_string())
    }
}

impl<'a> PlatformTx<'a> {
    pub(crate) fn begin_platform(
        app: &'a App,
        meta: &'a RequestMeta,
        action: Action,
        admitted: Admitted,
    ) -> Result<Self, AppError> {
        let scope = verified_operator(admitted.verified, admitted.snapshot.epoch, meta)?;
        Ok(Self::begin(app, meta, action, scope, admitted.snapshot, admitted.known))
    }

    /// Asks policy, as [`TenantTx::authorize`].
    pub(crate) async fn authorize<A: ActionType>(&mut self, resource: &Resource) -> Result<Permit<A>, AppError> {
        self.concerning(resource);
        let authority = self.app.authority(&self.snapshot).await?;
        let context = self.context();
        match bailiwick_authz::authorize_operator::<A>(&authority, &self.scope, resource.clone(), &context) {
            Ok(permit) => {
                self.decided(Decision::Allow, &permit.decision().determining);
                self.check_unanswered()?;
                Ok(permit)
            }
            Err(refusal) => {
                self.decided(Decision::Deny, &refusal.decision.determining);
                Err(AppError::new(Code::PermissionDenied))
            }
        }
    }

    /// Names the tenant that the operator acts on: from here on, whatever comes of it is in that tenant's ledger too.
    pub(crate) async fn target(&mut self, header: Header) -> Result<(), AppError> {
        let meta = TenantMeta::from_bytes(&header.meta)?;
        let state = TenantState::from_number(header.state);
        self.target = Some(Target { header, meta, state, change: HeaderChange::default(), genesis: None });
        Ok(())
    }

    /// Names a tenant that does not exist yet.
    pub(crate) fn target_new(&mut self, header: Header, meta: TenantMeta, genesis: Genesis) {
        let state = TenantState::from_number(header.state);
        self.target = Some(Target { header, meta, state, change: HeaderChange::default(), genesis: Some(genesis) });
    }

    /// The tenant that the operator acts on.
    pub(crate) fn targeted(&mut self) -> Result<&mut Target, AppError> {
        self.target.as_mut().ok_or_else(AppError::not_found)
    }
}

impl Target {
    /// Changes the tenant's state; what was decided before is void.
    pub(crate) fn set_state(&mut self, state: TenantState) {
        self.state = state;
        self.change.state = Some(state.number());
        self.change.bump_epoch = true;
    }

    /// Stores `meta` as it now is.
    pub(crate) fn put_meta(&mut self) -> Result<(), AppError> {
        let bytes = self.meta.to_bytes()?;
        self.change.meta = Some((self.header.meta_version, bytes));
        Ok(())
    }

    pub(crate) fn wake(&mut self, wake: Wake) {
        self.change.wake = Some(wake);
    }
}

impl<'a, S: Scope> Tx<'a, S> {
    fn begin(
        app: &'a App,
        meta: &'a RequestMeta,
        action: Action,
        scope: S,
        snapshot: Arc<Snapshot>,
        known: Arc<KnownCredential>,
    ) -> Self {
        let resource = EntryResource { kind: action.resource().as_str().to_owned(), id: String::new(), version: None };
        Self {
            app,
            snapshot,
            scope,
            known,
            meta,
            action,
            now: app.now(),
            resource,
            decision: Decision::None,
            policies: Vec::new(),
            detail: BTreeMap::new(),
            code: None,
            header: HeaderChange::default(),
            writes: Vec::new(),
            etag: None,
            remember: None,
            remembered: None,
            isolation: None,
            target: None,
        }
    }

    /// When this attempt began.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The action's name, which cursors are bound to.
    pub(crate) fn resource_action(&self) -> &'static str {
        self.action.as_str()
    }

    /// The caller.
    pub(crate) fn principal(&self) -> &PrincipalFacts {
        self.scope.principal()
    }

    /// The credential that the request was made with.
    pub(crate) fn credential(&self) -> &KnownCredential {
        &self.known
    }

    pub(crate) fn credential_id(&self) -> CredentialId {
        self.scope.credential()
    }

    pub(crate) fn context(&self) -> RequestContext {
        RequestContext { now: self.now, source: App::source_of(self.meta), door: self.meta.door.as_str() }
    }

    /// Says what the request is about, for the entry.
    pub(crate) fn concerning(&mut self, resource: &Resource) {
        self.resource.kind = resource.kind.as_str().to_owned();
        self.resource.id.clone_from(&resource.id);
    }

    /// Says which version the request is about, for the entry.
    pub(crate) fn concerning_version(&mut self, version: u64) {
        self.resource.version = Some(version);
    }

    /// Adds a fact to the entry. Never secret material.
    pub(crate) fn note(&mut self, name: &str, value: impl Into<String>) {
        self.detail.insert(name.to_owned(), value.into());
    }

    /// Says that the answer, though given, is a failure of this kind (a deleted version is shown as absent).
    pub(crate) fn answer_is(&mut self, code: Code) {
        self.code = Some(code);
    }

    fn decided(&mut self, decision: Decision, policies: &[String]) {
        self.decision = decision;
        self.policies = policies.to_vec();
    }

    /// The limit in force.
    pub(crate) fn limit(&self, limit: Limit) -> u64 {
        self.snapshot.limits.of(limit)
    }

    // --- locate and load ---------------------------------------------------------------------------------------------

    /// Looks for a record. `describe` says what policy may know of it, found or not.
    pub(crate) async fn locate<R: Stored>(
        &self,
        key: &[u8],
        describe: impl FnOnce(Option<&R>) -> Resource,
    ) -> Result<Located<R>, AppError> {
        let found = self.app.read::<R>(&self.snapshot, key).await?;
        let resource = describe(found.as_ref().map(|(_, record)| record));
        Ok(Located { tenant: self.snapshot.tenant, resource, found })
    }

    /// Something that cannot be there, because what it would be in is not.
    pub(crate) fn absent<R>(&self, resource: Resource) -> Located<R> {
        Located { tenant: self.snapshot.tenant, resource, found: None }
    }

    /// What was located, for whoever may have it: the record and its version.
    pub(crate) fn load<A: ActionType, R>(&self, permit: &Permit<A>, located: Located<R>) -> Result<(u64, R), AppError> {
        self.load_if_any(permit, located)?.ok_or_else(AppError::not_found)
    }

    /// As [`Tx::load`], where absence is an answer.
    pub(crate) fn load_if_any<A: ActionType, R>(
        &self,
        permit: &Permit<A>,
        located: Located<R>,
    ) -> Result<Option<(u64, R)>, AppError> {
        self.fence(permit)?;
        if located.tenant != self.snapshot.tenant || located.resource.id != permit.resource().id {
            return Err(isolation_fault!("a permit was spent on something else"));
        }
        Ok(located.found)
    }

    /// Reads a record that belongs to what the permit is for.
    pub(crate) async fn read<A: ActionType, R: Stored>(
        &self,
        permit: &Permit<A>,
        key: &[u8],
    ) -> Result<Option<(u64, R)>, AppError> {
        self.fence(permit)?;
        self.app.read::<R>(&self.snapshot, key).await
    }

    /// Reads records that belong to what the permit is for, in key order.
    pub(crate) async fn read_all<A: ActionType, R: Stored>(
        &self,
        permit: &Permit<A>,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, u64, R)>, AppError> {
        self.fence(permit)?;
        self.app.read_all::<R>(&self.snapshot, prefix, after, limit).await
    }

    /// The second fence: whatever the types say, the permit is of this plane, or of the tenant that an operator acts on.
    fn fence<A: ActionType>(&self, permit: &Permit<A>) -> Result<(), AppError> {
        let is_own = permit.tenant() == self.snapshot.tenant;
        let is_target = self.target.as_ref().is_some_and(|target| target.header.tenant == permit.tenant());
        if (is_own || is_target) && A::ACTION == self.action {
            Ok(())
        } else {
            Err(isolation_fault!("a permit of another plane or action was spent"))
        }
    }

    // --- change ------------------------------------------------------------------------------------------------------

    /// Buffers the write of a record; `replaces` is the version that was read, `None` if it was absent.
    pub(crate) fn put<A: ActionType, R: Stored>(
        &mut self,
        permit: &Permit<A>,
        key: Vec<u8>,
        replaces: Option<u64>,
        record: &R,
    ) -> Result<(), AppError> {
        let bytes = bailiwick_types::Secret::new(serde_json::to_vec(record).map_err(AppError::internal)?);
        self.put_bytes(permit, R::SPACE, key, replaces, bytes.expose())
    }

    /// As [`Tx::put`], for contents that are not one of our records.
    pub(crate) fn put_bytes<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        space: Space,
        key: Vec<u8>,
        replaces: Option<u64>,
        bytes: &[u8],
    ) -> Result<(), AppError> {
        self.fence(permit)?;
        let write = seal_write(self.app, &self.snapshot, space, key, replaces, bytes)?;
        self.writes.push(write);
        Ok(())
    }

    /// Buffers the removal of a record.
    pub(crate) fn remove<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        space: Space,
        key: Vec<u8>,
        replaces: u64,
    ) -> Result<(), AppError> {
        self.fence(permit)?;
        self.writes.push(Write { space, key, expected: Some(replaces), value: None, count_max: None });
        Ok(())
    }

    /// Makes everything that was decided before void once this commits. Changes by security-sensitive actions do so
    /// by themselves.
    pub(crate) fn bump_epoch(&mut self) {
        self.header.bump_epoch = true;
    }

    /// Buffers a change of the plane's own row.
    pub(crate) fn change_header(&mut self, change: impl FnOnce(&mut HeaderChange)) {
        change(&mut self.header);
    }

    /// Says which version the answer shows, for the `ETag`.
    pub(crate) fn etag(&mut self, version: u64) {
        self.etag = Some(version);
    }

    // --- answer ------------------------------------------------------------------------------------------------------

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
    fn withdraw(&mut self) {
        self.writes.clear();
        self.header = HeaderChange::default();
        if let Some(target) = &mut self.target {
            target.change = HeaderChange::default();
            if target.genesis.is_some() {
                self.target = None;
            }
        }
    }

    /// Looks for the answer that this `Idempotency-Key` got before. It is not given yet: what is repeated is an answer,
    /// not a right, so policy is asked as if it were the first time.
    pub(crate) async fn recall(&mut self) -> Result<(), AppError> {
        let Some(idempotency) = &self.meta.idempotency else { return Ok(()) };
        if matches!(self.action.sensitivity(), Sensitivity::Read | Sensitivity::Reveal) {
            return Ok(());
        }
        let keyring = self.snapshot.keyring()?;
        let caller = format!("{}\0{}\0{}", self.principal().id, self.action, idempotency.key);
        let key = keyring.fingerprint(caller.as_bytes()).to_vec();
        let request = data_encoding::BASE64.encode(&keyring.fingerprint(idempotency.request.expose()));
        match self.app.read::<IdempotencyRecord>(&self.snapshot, &key).await? {
            None => self.remember = Some((key, request)),
            Some((_, record)) if record.request != request => return Err(AppError::new(Code::IdempotencyMismatch)),
            Some((_, record)) => self.remembered = Some(Remembered { text: record.reply, is_allowed: false }),
        }
        Ok(())
    }

    /// Ends a use case that has its answer already, now that policy has allowed it. Nobody sees this error:
    /// [`Tx::or_remembered`] puts the answer in its place.
    fn check_unanswered(&mut self) -> Result<(), AppError> {
        match &mut self.remembered {
            None => Ok(()),
            Some(remembered) => {
                remembered.is_allowed = true;
                Err(AppError::new(Code::IdempotencyMismatch))
            }
        }
    }

    /// The remembered answer, if there is one and policy has allowed the request again; otherwise what came of it.
    pub(crate) async fn or_remembered<T: Reply>(
        &mut self,
        outcome: Result<Answer<T>, AppError>,
    ) -> Result<Answer<T>, AppError> {
        let Some(remembered) = self.remembered.take().filter(|remembered| remembered.is_allowed) else {
            return outcome;
        };
        self.withdraw();
        let value = T::recalled(remembered.text.get()).ok_or_else(|| AppError::internal("a remembered answer"))?;
        self.note("idempotent_replay", "true");
        let receipt = self.append().await?;
        Ok(Answer { value, index: receipt.first_index, etag: None, place: None })
    }

    fn entry(&self) -> Entry {
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
            door: self.meta.door.as_str().to_owned(),
            action: self.action.as_str().to_owned(),
            resource: self.resource.clone(),
            decision: self.decision,
            policies: self.policies.clone(),
            outcome: self.code.map_or("ok", |code| code.class().as_str()).to_owned(),
            code: self.code.map(|code| code.as_str().to_owned()),
            detail: self.detail.clone(),
            salt: salt(self.app.random.as_ref()),
        }
    }

    async fn append(&mut self) -> Result<Receipt, AppError> {
        let entry = self.entry();
        self.note_last_use().await?;
        let mut parts = vec![Part {
            tenant: self.snapshot.tenant,
            expect: Expect::Epoch(self.snapshot.epoch),
            header: std::mem::take(&mut self.header),
            writes: std::mem::take(&mut self.writes),
            entries: vec![seal_entry(self.app, &self.snapshot, &entry)?],
        }];
        let mut guards = Vec::new();
        if !self.snapshot.tenant.is_platform() {
            guards.push((TenantId::PLATFORM, self.snapshot.platform_epoch));
        }
        if let Some(stated) = self.isolation.take() {
            parts.push(self.isolation_part(&entry, stated).await?);
        }
        if let Some(target) = self.target.take() {
            parts.extend(self.target_part(&entry, target).await?);
        }
        let bumped: Vec<TenantId> =
            parts.iter().filter(|part| part.header.bump_epoch).map(|part| part.tenant).collect();
        let committed = self.app.store.commit(Commit { parts, guards }).await?;
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

    /// The operator's act, as the tenant's own ledger has it. A shredded tenant has no ledger to write to any more.
    async fn target_part(&self, entry: &Entry, target: Target) -> Result<Option<Part>, AppError> {
        if target.header.state == (TenantState { phase: Phase::Deleted, is_sealed: false }).number() {
            return Ok(None);
        }
        let tenant = target.header.tenant;
        let unsealed = self.app.unsealed()?;
        let snapshot = match &target.genesis {
            Some(genesis) => Arc::clone(&genesis.snapshot),
            None => {
                // The ledger is written to even while the tenant is sealed: an operator's act must be in it.
                let record = target.meta.keyring.as_ref().ok_or_else(|| AppError::internal("a tenant has no keys"))?;
                let keyring = unsealed.unwrap(tenant, record)?;
                let installation = unsealed.record.installation();
                let keyring = Some(Arc::new(keyring));
                Arc::new(Snapshot::new(&target.header, &target.meta, keyring, installation, self.snapshot.epoch))
            }
        };
        let mut entry = entry.clone();
        entry.tenant = tenant_name(tenant);
        entry.actor.operator = entry.actor.id.clone();
        entry.salt = salt(self.app.random.as_ref());
        let is_change = target.change != HeaderChange::default();
        let expect = match &target.genesis {
            Some(_) => Expect::Absent { slug: target.header.slug.clone() },
            None if is_change => Expect::Epoch(target.header.epoch),
            None => Expect::Exists,
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
        door: meta.door.as_str().to_owned(),
        action: action.as_str().to_owned(),
        resource: EntryResource { kind: action.resource().as_str().to_owned(), id: String::new(), version: None },
        decision: Decision::None,
        policies: Vec::new(),
        outcome: error.class().as_str().to_owned(),
        code: Some(error.code().as_str().to_owned()),
        detail,
        salt: salt(app.random.as_ref()),
    };
    let sealed = seal_entry(app, snapshot, &entry)?;
    let part = Part {
        tenant: snapshot.tenant,
        expect: Expect::Exists,
        header: HeaderChange::default(),
        writes: Vec::new(),
        entries: vec![sealed],
    };
    app.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
    Ok(())
}
