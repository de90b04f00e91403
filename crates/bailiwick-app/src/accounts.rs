//! Service accounts and agents, and their API keys.

use bailiwick_types::action::act;
use bailiwick_types::api::identity::{
    Account, AccountKind, CreateAccount, Credential, IssueCredential, IssuedKey, RotateCredential, UpdateAccount,
};
use bailiwick_types::api::{Done, Page};
use bailiwick_types::{AccountId, Code, CredentialId, Resource, ResourceKind};

use crate::app::UseCase;
use crate::error::AppError;
use crate::page::PageRequest;
use crate::records::{AccountRecord, BindingRecord, MemberRecord, Stored, principal_key};
use crate::tx::{Answer, Located, TenantTx};
use crate::validate;

fn resource(id: AccountId, record: Option<&AccountRecord>) -> Resource {
    let tags = record.map(|record| record.labels.clone().into_iter().collect()).unwrap_or_default();
    Resource { tags, ..Resource::plain(ResourceKind::Account, id.to_string()) }
}

fn show(record: AccountRecord) -> Account {
    Account {
        id: record.id,
        kind: record.kind,
        name: record.name,
        description: record.description,
        labels: record.labels,
        owner: record.owner,
        expires: record.expires,
        is_disabled: record.is_disabled,
        created: record.created,
    }
}

impl TenantTx<'_> {
    async fn locate_account(&self, id: AccountId) -> Result<Located<AccountRecord>, AppError> {
        self.locate::<AccountRecord>(id.as_bytes(), |record| resource(id, record)).await
    }

    /// Whoever answers for an account must exist.
    async fn check_owner<A: bailiwick_types::ActionType>(
        &self,
        permit: &bailiwick_authz::Permit<A>,
        owner: bailiwick_types::MemberId,
    ) -> Result<(), AppError> {
        match self.read::<A, MemberRecord>(permit, owner.as_bytes()).await? {
            Some(_) => Ok(()),
            None => Err(AppError::with_detail(Code::InvalidReference, "`owner` is not a member of this tenant")),
        }
    }
}

/// Creates an account.
pub struct Create {
    /// What to create.
    pub input: CreateAccount,
}

impl UseCase for Create {
    type Action = act::AccountCreate;
    type Reply = Account;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Account>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::AccountCreate>(&tenant).await?;
        let input = &self.input;
        validate::display_name(&input.name)?;
        validate::description(&input.description)?;
        validate::labels(&input.labels)?;
        tx.check_owner(&permit, input.owner).await?;
        let record = AccountRecord {
            id: AccountId::random(tx.app.random()),
            kind: input.kind,
            name: input.name.clone(),
            description: input.description.clone(),
            labels: input.labels.clone(),
            owner: input.owner,
            expires: validate::expiry(input.expires, None, tx.earliest())?,
            is_disabled: false,
            created: tx.now(),
        };
        tx.put(&permit, record.id.as_bytes().to_vec(), None, &record)?;
        tx.concerning(&resource(record.id, None));
        tx.etag(1);
        tx.commit(permit, show(record)).await
    }
}

/// Lists accounts.
#[derive(Debug, Default)]
pub struct List {
    /// Which page.
    pub page: PageRequest,
    /// Only of this kind.
    pub kind: Option<AccountKind>,
    /// Only with this owner.
    pub owner: Option<bailiwick_types::MemberId>,
    /// Only with this label.
    pub label: Option<(String, String)>,
}

impl UseCase for List {
    type Action = act::AccountList;
    type Reply = Page<Account>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<Account>>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::AccountList>(&tenant).await?;
        let query = format!("{:?} {:?} {:?}", self.kind, self.owner, self.label);
        let page = tx
            .page(&permit, b"", &self.page, &query, |_, record: AccountRecord| {
                let fits = self.kind.is_none_or(|kind| kind == record.kind)
                    && self.owner.is_none_or(|owner| owner == record.owner)
                    && self.label.as_ref().is_none_or(|(name, value)| record.labels.get(name) == Some(value));
                Ok(fits.then(|| show(record)))
            })
            .await?;
        tx.commit(permit, page).await
    }
}

/// Shows an account.
pub struct Show {
    /// Which.
    pub id: AccountId,
}

impl UseCase for Show {
    type Action = act::AccountShow;
    type Reply = Account;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Account>, AppError> {
        let found = tx.locate_account(self.id).await?;
        let permit = tx.authorize::<act::AccountShow>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        tx.etag(version);
        tx.commit(permit, show(record)).await
    }
}

/// Changes an account.
pub struct Update {
    /// Which.
    pub id: AccountId,
    /// What changes.
    pub input: UpdateAccount,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Update {
    type Action = act::AccountUpdate;
    type Reply = Account;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Account>, AppError> {
        let found = tx.locate_account(self.id).await?;
        let permit = tx.authorize::<act::AccountUpdate>(found.resource()).await?;
        let (version, mut record) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        let input = &self.input;
        if let Some(name) = &input.name {
            validate::display_name(name)?;
            record.name.clone_from(name);
        }
        if let Some(text) = &input.description {
            validate::description(text)?;
            record.description.clone_from(text);
        }
        if let Some(labels) = &input.labels {
            validate::labels(labels)?;
            record.labels.clone_from(labels);
        }
        if let Some(owner) = input.owner {
            tx.check_owner(&permit, owner).await?;
            record.owner = owner;
        }
        if input.expires.is_some() {
            record.expires = validate::expiry(input.expires, None, tx.earliest())?;
        }
        if let Some(is_disabled) = input.is_disabled {
            record.is_disabled = is_disabled;
            tx.note("disabled", is_disabled.to_string());
        }
        tx.put(&permit, self.id.as_bytes().to_vec(), Some(version), &record)?;
        tx.etag(version + 1);
        tx.commit(permit, show(record)).await
    }
}

/// Deletes an account with its keys and bindings.
pub struct Delete {
    /// Which.
    pub id: AccountId,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Delete {
    type Action = act::AccountDelete;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let found = tx.locate_account(self.id).await?;
        let permit = tx.authorize::<act::AccountDelete>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        let principal = record.id.to_string();
        tx.remove_credentials(&permit, &principal).await?;
        remove_bindings(tx, &permit, &principal).await?;
        tx.remove(&permit, AccountRecord::SPACE, self.id.as_bytes().to_vec(), version)?;
        tx.commit(permit, Done {}).await
    }
}

/// Removes the bindings of a principal that is being removed.
pub(crate) async fn remove_bindings<A: bailiwick_types::ActionType>(
    tx: &mut TenantTx<'_>,
    permit: &bailiwick_authz::Permit<A>,
    principal: &str,
) -> Result<(), AppError> {
    let prefix = format!("{principal}/");
    for (_, version, binding) in tx.read_all::<A, BindingRecord>(permit, prefix.as_bytes(), None, 1_000).await? {
        let key = principal_key(principal, binding.id.as_bytes());
        tx.remove(permit, BindingRecord::SPACE, key, version)?;
    }
    Ok(())
}

/// Fails if the caller has read another version than the one that is there.
pub(crate) fn check_precondition(if_match: Option<u64>, version: u64) -> Result<(), AppError> {
    if if_match.is_some_and(|wanted| wanted != version) {
        return Err(AppError::new(Code::PreconditionFailed));
    }
    Ok(())
}

/// Issues an API key to an account.
pub struct IssueKey {
    /// Whose.
    pub account: AccountId,
    /// What kind of key.
    pub input: IssueCredential,
}

impl UseCase for IssueKey {
    type Action = act::KeyIssue;
    type Reply = IssuedKey;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<IssuedKey>, AppError> {
        let found = tx.locate_account(self.account).await?;
        let permit = tx.authorize::<act::KeyIssue>(found.resource()).await?;
        tx.load(&permit, found)?;
        tx.check_covers_all_of(&self.account.to_string()).await?;
        let issued = tx.issue_credential(&permit, &self.account.to_string(), &self.input).await?;
        tx.commit(permit, issued).await
    }
}

/// Lists an account's API keys.
pub struct ListKeys {
    /// Whose.
    pub account: AccountId,
    /// Which page.
    pub page: PageRequest,
}

impl UseCase for ListKeys {
    type Action = act::KeyList;
    type Reply = Page<Credential>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<Credential>>, AppError> {
        let found = tx.locate_account(self.account).await?;
        let permit = tx.authorize::<act::KeyList>(found.resource()).await?;
        tx.load(&permit, found)?;
        let page = tx.page_of_credentials(&permit, &self.account.to_string(), &self.page).await?;
        tx.commit(permit, page).await
    }
}

/// Shows an API key.
pub struct ShowKey {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub key: CredentialId,
}

impl UseCase for ShowKey {
    type Action = act::KeyShow;
    type Reply = Credential;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Credential>, AppError> {
        let found = tx.locate_credential(&self.account.to_string(), self.key).await?;
        let permit = tx.authorize::<act::KeyShow>(found.resource()).await?;
        let (_, record) = tx.load(&permit, found)?;
        let shown = tx.show_credential(&permit, &record).await?;
        tx.commit(permit, shown).await
    }
}

/// Rotates an API key.
pub struct RotateKey {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub key: CredentialId,
    /// How.
    pub input: RotateCredential,
}

impl UseCase for RotateKey {
    type Action = act::KeyRotate;
    type Reply = IssuedKey;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<IssuedKey>, AppError> {
        let found = tx.locate_credential(&self.account.to_string(), self.key).await?;
        let permit = tx.authorize::<act::KeyRotate>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        tx.check_covers_all_of(&self.account.to_string()).await?;
        let issued = tx.rotate_credential(&permit, version, record, &self.input).await?;
        tx.commit(permit, issued).await
    }
}

/// Revokes an API key.
pub struct RevokeKey {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub key: CredentialId,
}

impl UseCase for RevokeKey {
    type Action = act::KeyRevoke;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let found = tx.locate_credential(&self.account.to_string(), self.key).await?;
        let permit = tx.authorize::<act::KeyRevoke>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        tx.revoke_credential(&permit, version, record)?;
        tx.commit(permit, Done {}).await
    }
}
