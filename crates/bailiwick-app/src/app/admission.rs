//! The first rung: who is it, of which plane, and is there room for one more of its requests.

use std::sync::Arc;

use bailiwick_authz::{CredentialFacts, PrincipalFacts, PrincipalKind, RoleLink, authenticate};
use bailiwick_store::Space;
use bailiwick_types::api::identity::AccountKind;
use bailiwick_types::{Action, Code, CredentialId, CredentialText, CredentialTextError, ErrorClass, TenantId};

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
                if let Some(suppressed) = self.gates.of(snapshot.tenant).failed_logins.admit(now) {
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
        if matches!(state.phase, Phase::Deleted | Phase::Importing) {
            return Ok(None);
        }
        let keyring = match (&meta.keyring, state.is_sealed) {
            // The root key was replaced between these two looks: look again.
            (Some(record), false) if !unsealed.has_root_of(record) && !Arc::ptr_eq(&unsealed, &self.unsealed()?) => {
                return Err(bailiwick_store::CommitError::Stale { tenant }.into());
            }
            (Some(_), false) => Some(Arc::new(unsealed.unwrap(tenant, &meta)?.0)),
            (Some(_), true) => None,
            (None, _) => return Err(AppError::internal("a tenant has no keys")),
        };
        let home = meta.home(unsealed.record.installation());
        let mut snapshot = Snapshot::new(&header, &meta, keyring, home, platform_epoch);
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
}
