//! The first rung: who is it, of which plane, and is there room for one more of its requests.
//!
//! What happens seldom is boxed: a request's future has room for the largest of all that it may wait for, and every request
//! allocates, moves and fills the caches with that.

use std::sync::Arc;

use bailiwick_authz::{CredentialFacts, PrincipalFacts, PrincipalKind, RoleLink, Verified, authenticate};
use bailiwick_store::Space;
use bailiwick_types::api::identity::AccountKind;
use bailiwick_types::{Action, Code, CredentialId, CredentialText, CredentialTextError, TenantId};

use super::{Admitted, App};
use crate::error::AppError;
use crate::gate::Pass;
use crate::policies::parse_target;
use crate::records::{AccountRecord, BindingRecord, CredentialRecord, MemberRecord, OperatorRecord, TenantMeta};
use crate::request::RequestMeta;
use crate::snapshot::{KnownCredential, Snapshot, StoredVerifier};
use crate::state::Phase;

impl App {
    pub(super) async fn pass_gate(
        &self,
        pass: &mut Option<Pass>,
        admitted: &Admitted,
        meta: &RequestMeta,
        action: Action,
    ) -> Result<(), AppError> {
        if pass.is_some() {
            return Ok(());
        }
        let gate = self.gates.of(admitted.snapshot.tenant);
        let now = self.now();
        match gate.enter(&admitted.snapshot.limits, now) {
            Ok(entered) => {
                *pass = Some(entered);
                Ok(())
            }
            Err(error) => {
                // A quota that was raised through another node lets in who knocks. Looked at no more often than written
                // down: refusing a flood must stay cheap.
                if let Some(suppressed) = gate.rate_refusals.admit(now) {
                    let (snapshot, principal) = (&admitted.snapshot, Some(&admitted.known.principal));
                    Box::pin(async {
                        self.check_current(snapshot).await?;
                        self.note_unanswered(snapshot, principal, meta, action, &error, suppressed).await
                    })
                    .await?;
                }
                Err(error)
            }
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
        match self.authenticated(&snapshot, &presented, meta).await {
            Ok((known, verified)) => Ok(Admitted { snapshot, known, verified }),
            Err(error) => Err(Box::pin(self.refused(&snapshot, meta, action, error)).await),
        }
    }

    async fn authenticated(
        &self,
        snapshot: &Snapshot,
        presented: &CredentialText,
        meta: &RequestMeta,
    ) -> Result<(Arc<KnownCredential>, Verified), AppError> {
        let dead = || AppError::new(Code::CredentialInvalid);
        let Some(keyring) = &snapshot.keyring else {
            // Without its keys nobody can be authenticated. Only the holder of a credential id learns that it is sealed.
            let known = self.store.record(snapshot.tenant, Space::Credential, presented.id().as_bytes()).await?;
            return Err(known.map_or_else(dead, |_| crate::relocation::sealed(snapshot)));
        };
        let known = match snapshot.known_credential(presented.id()) {
            Some(known) => known,
            None => Box::pin(self.load_credential(snapshot, presented.id())).await?.ok_or_else(dead)?,
        };
        let verifier = StoredVerifier { keyring, verifier: &known.verifier };
        let principal = Arc::clone(&known.principal);
        let verified = authenticate(presented, &known.facts, principal, &verifier, self.latest(), meta.source)?;
        Ok((known, verified))
    }

    /// A refusal before there is a scope. No commit compares epochs for it, so that is done here: what was known of the
    /// tenant may be older than what another node has done to it, and then the answer is to admit again.
    async fn refused(&self, snapshot: &Arc<Snapshot>, meta: &RequestMeta, action: Action, error: AppError) -> AppError {
        if error.retry().is_some() || error.code() == Code::StorageUnavailable {
            return error;
        }
        if let Err(stale) = self.check_current(snapshot).await {
            return stale;
        }
        if snapshot.keyring.is_some()
            && let Some(suppressed) = self.gates.of(snapshot.tenant).failed_logins.admit(self.now())
            && let Err(stale) = self.note_unanswered(snapshot, None, meta, action, &error, suppressed).await
        {
            return stale;
        }
        error
    }

    /// Whether the store still has the epochs that a snapshot is of.
    pub(crate) async fn check_current(&self, snapshot: &Snapshot) -> Result<(), AppError> {
        let check = async |tenant: TenantId, epoch: u64| match self.store.header(tenant).await? {
            Some(header) if header.epoch == epoch => Ok(()),
            _ => Err(AppError::from(bailiwick_store::CommitError::Stale { tenant })),
        };
        if !snapshot.tenant.is_platform() {
            check(TenantId::PLATFORM, snapshot.platform_epoch).await?;
        }
        check(snapshot.tenant, snapshot.epoch).await
    }

    /// A tenant as it is now, or as it was when it was last looked at; `None` if there is no such tenant (any more).
    pub(crate) async fn snapshot(&self, tenant: TenantId) -> Result<Option<Arc<Snapshot>>, AppError> {
        let platform_epoch = if tenant.is_platform() { 0 } else { self.platform_snapshot().await?.epoch };
        match self.snapshots.get(tenant) {
            Some(snapshot) if snapshot.platform_epoch == platform_epoch => Ok(Some(snapshot)),
            _ => Box::pin(self.load_snapshot(tenant, platform_epoch)).await,
        }
    }

    pub(crate) async fn platform_snapshot(&self) -> Result<Arc<Snapshot>, AppError> {
        match self.snapshots.get(TenantId::PLATFORM) {
            Some(snapshot) => Ok(snapshot),
            None => {
                let loaded = Box::pin(self.load_snapshot(TenantId::PLATFORM, 0)).await?;
                loaded.ok_or_else(|| AppError::new(Code::NotInitialized))
            }
        }
    }

    async fn load_snapshot(&self, tenant: TenantId, platform_epoch: u64) -> Result<Option<Arc<Snapshot>>, AppError> {
        let mut unsealed = self.unsealed()?;
        let Some(header) = self.store.header(tenant).await? else { return Ok(None) };
        let meta = TenantMeta::from_bytes(&header.meta)?;
        if let Some(record) = &meta.installation {
            // Another node may have replaced the root key, or sealed everything.
            unsealed = self.in_step(record, meta.seals).await?;
        }
        let state = crate::state::TenantState::from_number(header.state);
        if matches!(state.phase, Phase::Deleted | Phase::Importing) {
            return Ok(None);
        }
        let keyring = match (&meta.keyring, state.is_sealed) {
            (Some(record), false) if !unsealed.has_root_of(record) => {
                self.forget(TenantId::PLATFORM);
                return Err(self.out_of_step(&unsealed).await);
            }
            (Some(_), false) => Some(Arc::new(unsealed.unwrap(tenant, &meta)?.0)),
            (Some(_), true) => None,
            (None, _) => return Err(AppError::internal("a tenant has no keys")),
        };
        let home = meta.home(unsealed.record.installation());
        let mut snapshot = Snapshot::new(&header, &meta, keyring, home, platform_epoch);
        snapshot.limits = meta.quotas.over(&self.config.limits);
        let snapshot = Arc::new(snapshot);
        // Without its keys nothing commits in a plane, so nothing would find out that another process has opened it.
        if snapshot.keyring.is_some() {
            self.snapshots.insert(tenant, Arc::clone(&snapshot));
        }
        Ok(Some(snapshot))
    }

    async fn load_credential(
        &self,
        snapshot: &Snapshot,
        id: CredentialId,
    ) -> Result<Option<Arc<KnownCredential>>, AppError> {
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
        snapshot.remember_credential(id, Arc::clone(&known));
        Ok(Some(known))
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

    /// Writes an entry for something that was refused before there was a scope, under the epoch that it was refused
    /// under. Best effort but for that: the answer is a refusal either way.
    async fn note_unanswered(
        &self,
        snapshot: &Arc<Snapshot>,
        principal: Option<&Arc<PrincipalFacts>>,
        meta: &RequestMeta,
        action: Action,
        error: &AppError,
        suppressed: u64,
    ) -> Result<(), AppError> {
        match crate::tx::append_unanswered(self, snapshot, principal, meta, action, error, suppressed).await {
            Err(stale) if stale.retry().is_some() => Err(stale),
            Err(failed) => {
                tracing::warn!(%failed, "a refusal could not be written down");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}
