//! The transaction: the one place where things are located, authorized, loaded, changed and committed.
//!
//! # Invariants
//! - INV-TX-1: every read and write in a transaction is of the one plane that its scope is of.
//! - INV-TX-2: contents are loaded, and changes buffered, only against a permit for that very resource.
//! - INV-TX-3: an [`Answer`] is made only here, from the receipt of a durable commit that holds the entry.
//! - INV-TX-4: the commit carries the epochs that the decision was made under, and the version of every record it
//!   replaces.

mod commit;
mod replay;

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_authz::{OperatorScope, Permit, PrincipalFacts, RequestContext, TenantScope};
use bailiwick_ledger::entry::{Decision, EntryResource};
use bailiwick_store::{CommitError, Committed, Expect, Header, HeaderChange, Record, Space, Wake, Write};
use bailiwick_types::{Action, ActionType, Code, CredentialId, Limit, Resource, ResourceKind, TenantId, Timestamp};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::{Admitted, App, verified_operator, verified_scope};
use crate::error::{AppError, isolation_fault};
use crate::gate::Pass;
use crate::records::{Stored, TenantMeta};
use crate::request::RequestMeta;
use crate::snapshot::{KnownCredential, Snapshot};
use crate::state::{Phase, TenantState};
use crate::validate;

pub(crate) use commit::{IS_IMPORTED, append_unanswered, seal_entry, seal_record, seal_write, tenant_name};
use replay::Remembered;

/// How much of a policy's evaluation errors an entry has, in bytes.
const POLICY_ERRORS_BYTES_MAX: usize = 1_024;
/// How much of a name that is not the caller's tenant an entry has, in bytes.
pub(crate) const STATED_TENANT_BYTES_MAX: usize = 128;

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

    /// What a commit that was made step by step comes to. Its last step is the evidence.
    pub(crate) fn of_commit(value: T, committed: &Committed) -> Result<Self, AppError> {
        let receipt = committed.receipts.first().ok_or_else(|| AppError::internal("a commit without a receipt"))?;
        Ok(Self { value, index: receipt.first_index, etag: None, place: None })
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
    latest: Timestamp,
    earliest: Timestamp,
    resource: EntryResource,
    decision: Decision,
    policies: Vec<String>,
    detail: BTreeMap<String, String>,
    code: Option<Code>,
    header: HeaderChange,
    writes: Vec<Write>,
    /// The revision that records were known at which the answer rests on, if any of them was not read just now.
    seen: Mutex<Option<u64>>,
    etag: Option<u64>,
    /// Where to remember the answer, if the caller asked for it.
    remember: Option<(Vec<u8>, String)>,
    /// What this very request was answered before, and whether policy has allowed it again.
    remembered: Option<Remembered>,
    /// The other tenant that a refused attempt named.
    isolation: Option<String>,
    /// Whether the platform's ledger is told of it too.
    is_told: bool,
    /// The tenant that an operator acts on. Apart: most requests have none, and it is as large as all the rest.
    target: Option<Box<Target>>,
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
    found: Option<(u64, Arc<R>)>,
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
        let (id, slug) = (self.snapshot.tenant, &self.snapshot.slug);
        let mut stated = self.meta.stated.iter();
        if let Some(other) = stated.find(|stated| *stated != slug && **stated != id.to_string()) {
            let other = other.clone();
            self.raise_isolation(&other);
            return Err(App::foreign(self.meta.door));
        }
        match self.snapshot.state.phase {
            Phase::Active => Ok(()),
            // An export for good suspends the tenant before its first byte is out: if it is cut off, it must be possible
            // to ask for it again.
            Phase::Suspended if self.snapshot.moved.is_some() && self.action == Action::BundleExport => Ok(()),
            Phase::Suspended | Phase::Deleting => Err(AppError::new(Code::TenantSuspended)),
            Phase::Deleted | Phase::Importing => Err(AppError::new(Code::CredentialInvalid)),
        }
    }

    /// Marks this as a refused attempt on another plane: it goes to the platform's isolation stream too.
    pub(crate) fn raise_isolation(&mut self, stated: &str) {
        let shown = validate::clipped(stated, STATED_TENANT_BYTES_MAX);
        self.deny_by_plane();
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
                self.decided(Decision::Allow, permit.decision());
                self.check_unanswered()?;
                Ok(permit)
            }
            Err(refusal) => {
                self.decided(Decision::Deny, &refusal.decision);
                Err(AppError::new(Code::PermissionDenied))
            }
        }
    }

    /// The platform's ledger has this request's entry too, if it comes to a commit.
    pub(crate) fn tell_platform(&mut self) {
        self.is_told = true;
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
                self.decided(Decision::Allow, permit.decision());
                self.check_unanswered()?;
                Ok(permit)
            }
            Err(refusal) => {
                self.decided(Decision::Deny, &refusal.decision);
                Err(AppError::new(Code::PermissionDenied))
            }
        }
    }

    /// Names the tenant that the operator acts on: from here on, whatever comes of it is in that tenant's ledger too.
    pub(crate) async fn target(&mut self, header: Header) -> Result<(), AppError> {
        let meta = TenantMeta::from_bytes(&header.meta)?;
        let state = TenantState::from_number(header.state);
        self.target = Some(Box::new(Target { header, meta, state, change: HeaderChange::default(), genesis: None }));
        Ok(())
    }

    /// Names a tenant that does not exist yet.
    pub(crate) fn target_new(&mut self, header: Header, meta: TenantMeta, genesis: Genesis) {
        let state = TenantState::from_number(header.state);
        self.target =
            Some(Box::new(Target { header, meta, state, change: HeaderChange::default(), genesis: Some(genesis) }));
    }

    /// The tenant that the operator acts on.
    pub(crate) fn targeted(&mut self) -> Result<&mut Target, AppError> {
        self.target.as_deref_mut().ok_or_else(AppError::not_found)
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
        let resource = EntryResource { kind: action.resource().as_str().into(), id: String::new(), version: None };
        Self {
            app,
            snapshot,
            scope,
            known,
            meta,
            action,
            now: app.now(),
            latest: app.latest(),
            earliest: app.earliest(),
            resource,
            decision: Decision::None,
            policies: Vec::new(),
            detail: BTreeMap::new(),
            code: None,
            header: HeaderChange::default(),
            writes: Vec::new(),
            seen: Mutex::new(None),
            etag: None,
            remember: None,
            remembered: None,
            isolation: None,
            is_told: false,
            target: None,
        }
    }

    /// When this attempt began.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// The same, by the clock that is ahead: whether something has ended, and what must not come early is counted from here.
    pub(crate) fn latest(&self) -> Timestamp {
        self.latest
    }

    /// The same, by the clock that is behind: what ends after a while is counted from here.
    pub(crate) fn earliest(&self) -> Timestamp {
        self.earliest
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
        self.resource.kind = resource.kind.as_str().into();
        self.resource.id.clone_from(&resource.id);
    }

    /// Refuses who is of another plane, whatever policy says.
    pub(crate) fn deny_by_plane(&mut self) {
        self.decision = Decision::Deny;
        self.policies = vec!["isolation".to_owned()];
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

    /// What policy said, for the entry: also what it could not evaluate, or nobody would know why it is a no.
    fn decided(&mut self, decision: Decision, made: &bailiwick_authz::Decision) {
        self.decision = decision;
        self.policies.clone_from(&made.determining);
        if !made.errors.is_empty() {
            self.note("policy_errors", validate::clipped(&made.errors.join("; "), POLICY_ERRORS_BYTES_MAX));
        }
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
        let found = self.see::<R>(key).await?;
        let resource = describe(found.as_ref().map(|(_, record)| &**record));
        Ok(Located { tenant: self.snapshot.tenant, resource, found })
    }

    /// Something that cannot be there, because what it would be in is not.
    pub(crate) fn absent<R>(&self, resource: Resource) -> Located<R> {
        Located { tenant: self.snapshot.tenant, resource, found: None }
    }

    /// What was located, for whoever may have it: the record and its version.
    pub(crate) fn load<A: ActionType, R: Clone>(
        &self,
        permit: &Permit<A>,
        located: Located<R>,
    ) -> Result<(u64, R), AppError> {
        self.load_if_any(permit, located)?.ok_or_else(AppError::not_found)
    }

    /// As [`Tx::load`], of what is not to be changed.
    pub(crate) fn load_as_is<A: ActionType, R>(
        &self,
        permit: &Permit<A>,
        located: Located<R>,
    ) -> Result<(u64, Arc<R>), AppError> {
        self.unlock(permit, located)?.ok_or_else(AppError::not_found)
    }

    /// As [`Tx::load`], where absence is an answer.
    pub(crate) fn load_if_any<A: ActionType, R: Clone>(
        &self,
        permit: &Permit<A>,
        located: Located<R>,
    ) -> Result<Option<(u64, R)>, AppError> {
        Ok(self.unlock(permit, located)?.map(|(version, record)| (version, Arc::unwrap_or_clone(record))))
    }

    fn unlock<A: ActionType, R>(
        &self,
        permit: &Permit<A>,
        located: Located<R>,
    ) -> Result<Option<(u64, Arc<R>)>, AppError> {
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
        let seen = self.see::<R>(key).await?;
        Ok(seen.map(|(version, record)| (version, Arc::unwrap_or_clone(record))))
    }

    /// One record as this process knows it. What is answered from it is committed under the revision that it is of.
    async fn see<R: Stored>(&self, key: &[u8]) -> Result<Option<(u64, Arc<R>)>, AppError> {
        let snapshot = &self.snapshot;
        let known = self.app.store.known(snapshot.tenant, R::SPACE, key).await?;
        if let Some(revision) = known.revision
            && *self.seen.lock().get_or_insert(revision) != revision
        {
            return Err(CommitError::Outdated { tenant: snapshot.tenant }.into());
        }
        let open = |record: Record| Ok((record.version, snapshot.open_once(key, &record)?));
        known.record.map(open).transpose()
    }

    /// What must still be true of the plane when this commits.
    fn expectation(&self) -> Expect {
        let epoch = self.snapshot.epoch;
        match *self.seen.lock() {
            Some(revision) => Expect::Seen { epoch, revision },
            None => Expect::Epoch(epoch),
        }
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
        self.put_bytes(permit, R::SPACE, key, replaces, bytes.expose())?;
        if let Some(write) = self.writes.last() {
            self.snapshot.note_written(write, record);
        }
        Ok(())
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
}
