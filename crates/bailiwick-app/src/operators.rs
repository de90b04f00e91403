//! Operators of the installation, their credentials, and the guardrails that they set.
//!
//! INV-OPERATOR-1: the last enabled `operator-admin` cannot be taken away.

use std::sync::Arc;

use bailiwick_authz::{Layer, Permit};
use bailiwick_types::action::act;
use bailiwick_types::api::identity::{Credential, IssueCredential, IssuedKey};
use bailiwick_types::api::platform::{CreateOperator, Operator, UpdateOperator};
use bailiwick_types::api::policy::{Policy, PutPolicy};
use bailiwick_types::api::{Done, Page};
use bailiwick_types::{ActionType, Code, CredentialId, Limit, OperatorId, PolicyName, Resource, ResourceKind};

use crate::accounts::check_precondition;
use crate::app::PlatformUseCase;
use crate::error::AppError;
use crate::page::PageRequest;
use crate::policies::{PutChecked, compile, operator_role, policy_resource, show_policy};
use crate::records::{OperatorRecord, PolicyRecord, Stored};
use crate::tenants::platform;
use crate::tx::{Answer, Located, PlatformTx};
use crate::validate;

pub(crate) const OPERATOR_ADMIN: &str = "operator-admin";

fn resource(id: OperatorId) -> Resource {
    Resource::plain(ResourceKind::Operator, id.to_string())
}

fn show(record: OperatorRecord) -> Operator {
    Operator {
        id: record.id,
        name: record.name,
        role: record.role.to_string(),
        is_disabled: record.is_disabled,
        created: record.created,
    }
}

impl PlatformTx<'_> {
    async fn locate_operator(&self, id: OperatorId) -> Result<Located<OperatorRecord>, AppError> {
        self.locate::<OperatorRecord>(id.as_bytes(), |_| resource(id)).await
    }

    async fn check_not_last_admin<A: ActionType>(
        &self,
        permit: &Permit<A>,
        leaving: OperatorId,
    ) -> Result<(), AppError> {
        for (_, _, other) in self.read_all::<A, OperatorRecord>(permit, b"", None, 10_000).await? {
            if other.id != leaving && !other.is_disabled && other.role.as_str() == OPERATOR_ADMIN {
                return Ok(());
            }
        }
        Err(AppError::with_detail(Code::StillInUse, "this is the last enabled operator-admin"))
    }
}

/// Adds an operator.
pub struct Create {
    /// Whom.
    pub input: CreateOperator,
}

impl PlatformUseCase for Create {
    type Action = act::OperatorCreate;
    type Reply = Operator;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Operator>, AppError> {
        let permit = tx.authorize::<act::OperatorCreate>(&platform()).await?;
        validate::display_name(&self.input.name)?;
        let record = OperatorRecord {
            id: OperatorId::random(tx.app.random()),
            name: self.input.name.clone(),
            role: operator_role(&self.input.role)?,
            is_disabled: false,
            created: tx.now(),
        };
        tx.put(&permit, record.id.as_bytes().to_vec(), None, &record)?;
        tx.concerning(&resource(record.id));
        tx.note("role", record.role.as_str());
        tx.etag(1);
        tx.commit(permit, show(record)).await
    }
}

/// Lists operators.
#[derive(Debug, Default)]
pub struct List {
    /// Which page.
    pub page: PageRequest,
}

impl PlatformUseCase for List {
    type Action = act::OperatorList;
    type Reply = Page<Operator>;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Page<Operator>>, AppError> {
        let permit = tx.authorize::<act::OperatorList>(&platform()).await?;
        let page = tx.page(&permit, b"", &self.page, "", |_, record| Ok(Some(show(record)))).await?;
        tx.commit(permit, page).await
    }
}

/// Shows an operator.
pub struct Show {
    /// Whom.
    pub id: OperatorId,
}

impl PlatformUseCase for Show {
    type Action = act::OperatorShow;
    type Reply = Operator;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Operator>, AppError> {
        let found = tx.locate_operator(self.id).await?;
        let permit = tx.authorize::<act::OperatorShow>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        tx.etag(version);
        tx.commit(permit, show(record)).await
    }
}

/// Changes an operator.
pub struct Update {
    /// Whom.
    pub id: OperatorId,
    /// What changes.
    pub input: UpdateOperator,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl PlatformUseCase for Update {
    type Action = act::OperatorUpdate;
    type Reply = Operator;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Operator>, AppError> {
        let found = tx.locate_operator(self.id).await?;
        let permit = tx.authorize::<act::OperatorUpdate>(found.resource()).await?;
        let (version, mut record) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        let was_admin = record.role.as_str() == OPERATOR_ADMIN && !record.is_disabled;
        if let Some(name) = &self.input.name {
            validate::display_name(name)?;
            record.name.clone_from(name);
        }
        if let Some(role) = &self.input.role {
            record.role = operator_role(role)?;
            tx.note("role", record.role.as_str());
        }
        if let Some(is_disabled) = self.input.is_disabled {
            record.is_disabled = is_disabled;
            tx.note("disabled", is_disabled.to_string());
        }
        if was_admin && (record.role.as_str() != OPERATOR_ADMIN || record.is_disabled) {
            tx.check_not_last_admin(&permit, self.id).await?;
        }
        tx.put(&permit, self.id.as_bytes().to_vec(), Some(version), &record)?;
        tx.etag(version + 1);
        tx.commit(permit, show(record)).await
    }
}

/// Deletes an operator.
pub struct Delete {
    /// Whom.
    pub id: OperatorId,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl PlatformUseCase for Delete {
    type Action = act::OperatorDelete;
    type Reply = Done;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Done>, AppError> {
        let found = tx.locate_operator(self.id).await?;
        let permit = tx.authorize::<act::OperatorDelete>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        if record.role.as_str() == OPERATOR_ADMIN && !record.is_disabled {
            tx.check_not_last_admin(&permit, self.id).await?;
        }
        tx.remove_credentials(&permit, &self.id.to_string()).await?;
        tx.remove(&permit, OperatorRecord::SPACE, self.id.as_bytes().to_vec(), version)?;
        tx.commit(permit, Done {}).await
    }
}

/// Issues a credential to an operator.
pub struct IssueCredentialTo {
    /// Whom.
    pub operator: OperatorId,
    /// What kind of credential.
    pub input: IssueCredential,
}

impl PlatformUseCase for IssueCredentialTo {
    type Action = act::OperatorCredentialIssue;
    type Reply = IssuedKey;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<IssuedKey>, AppError> {
        let found = tx.locate_operator(self.operator).await?;
        let permit = tx.authorize::<act::OperatorCredentialIssue>(found.resource()).await?;
        tx.load(&permit, found)?;
        let issued = tx.issue_credential(&permit, &self.operator.to_string(), &self.input).await?;
        tx.commit(permit, issued).await
    }
}

/// Lists an operator's credentials.
pub struct ListCredentials {
    /// Whose.
    pub operator: OperatorId,
    /// Which page.
    pub page: PageRequest,
}

impl PlatformUseCase for ListCredentials {
    type Action = act::OperatorCredentialList;
    type Reply = Page<Credential>;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Page<Credential>>, AppError> {
        let found = tx.locate_operator(self.operator).await?;
        let permit = tx.authorize::<act::OperatorCredentialList>(found.resource()).await?;
        tx.load(&permit, found)?;
        let page = tx.page_of_credentials(&permit, &self.operator.to_string(), &self.page).await?;
        tx.commit(permit, page).await
    }
}

/// Revokes an operator's credential.
pub struct RevokeCredential {
    /// Whose.
    pub operator: OperatorId,
    /// Which.
    pub credential: CredentialId,
}

impl PlatformUseCase for RevokeCredential {
    type Action = act::OperatorCredentialRevoke;
    type Reply = Done;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Done>, AppError> {
        let found = tx.locate_credential(&self.operator.to_string(), self.credential).await?;
        tx.note("credential", self.credential.to_string());
        let permit = tx.authorize::<act::OperatorCredentialRevoke>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        tx.revoke_credential(&permit, version, record)?;
        tx.commit(permit, Done {}).await
    }
}

// --- guardrails ------------------------------------------------------------------------------------------------------

/// Creates or replaces a guardrail.
pub struct PutGuardrail {
    /// Its name.
    pub name: PolicyName,
    /// Its text.
    pub input: PutPolicy,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
    /// Only if there is none yet.
    pub must_be_new: bool,
}

impl PlatformUseCase for PutGuardrail {
    type Action = act::GuardrailPut;
    type Reply = Policy;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Policy>, AppError> {
        let resource = policy_resource(ResourceKind::Guardrail, &self.name);
        let found = tx.locate::<PolicyRecord>(self.name.as_str().as_bytes(), |_| resource).await?;
        let permit = tx.authorize::<act::GuardrailPut>(found.resource()).await?;
        let before = tx.load_if_any(&permit, found)?.map(|(version, _)| version);
        let (most, now) = (tx.limit(Limit::PolicyBytes), tx.now());
        let put = PutChecked { layer: Layer::Guardrail, most, now, before, name: &self.name, input: &self.input };
        let (mut record, compiled) = put.check(tx.app, self.if_match, self.must_be_new).await?;
        record.proof = Some(tx.prove_guardrail(&self.name, Some(Arc::clone(&compiled))).await?);
        let version = before.unwrap_or(0) + 1;
        if self.input.dry_run {
            tx.note("dry_run", "true");
        } else {
            tx.put(&permit, self.name.as_str().as_bytes().to_vec(), before, &record)?;
            tx.concerning_version(version);
        }
        tx.etag(version);
        tx.commit(permit, show_policy(version, record, Some(&compiled))).await
    }
}

/// Lists guardrails.
#[derive(Debug, Default)]
pub struct ListGuardrails {
    /// Which page.
    pub page: PageRequest,
}

impl PlatformUseCase for ListGuardrails {
    type Action = act::GuardrailList;
    type Reply = Page<Policy>;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Page<Policy>>, AppError> {
        let permit = tx.authorize::<act::GuardrailList>(&platform()).await?;
        let show = |version, record| Ok(Some(show_policy(version, record, None)));
        let page = tx.page(&permit, b"", &self.page, "", show).await?;
        tx.commit(permit, page).await
    }
}

/// Shows a guardrail.
pub struct ShowGuardrail {
    /// Which.
    pub name: PolicyName,
}

impl PlatformUseCase for ShowGuardrail {
    type Action = act::GuardrailShow;
    type Reply = Policy;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Policy>, AppError> {
        let resource = policy_resource(ResourceKind::Guardrail, &self.name);
        let found = tx.locate::<PolicyRecord>(self.name.as_str().as_bytes(), |_| resource).await?;
        let permit = tx.authorize::<act::GuardrailShow>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        let compiled = compile(tx.app, Layer::Guardrail, &record.name, &record.text, u64::MAX).await.ok();
        tx.etag(version);
        tx.commit(permit, show_policy(version, record, compiled.as_deref())).await
    }
}

/// Deletes a guardrail.
pub struct DeleteGuardrail {
    /// Which.
    pub name: PolicyName,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl PlatformUseCase for DeleteGuardrail {
    type Action = act::GuardrailDelete;
    type Reply = Done;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Done>, AppError> {
        let resource = policy_resource(ResourceKind::Guardrail, &self.name);
        let key = self.name.as_str().as_bytes();
        let found = tx.locate::<PolicyRecord>(key, |_| resource).await?;
        let permit = tx.authorize::<act::GuardrailDelete>(found.resource()).await?;
        let (version, _) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        tx.prove_guardrail(&self.name, None).await?;
        tx.remove(&permit, PolicyRecord::SPACE, key.to_vec(), version)?;
        tx.commit(permit, Done {}).await
    }
}
