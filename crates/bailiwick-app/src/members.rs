//! Members: the tenant's people, and their credentials.
//!
//! INV-MEMBER-1: nobody takes away the last enabled owner, so that a tenant cannot lock itself out.
//! INV-MEMBER-2: nobody makes, changes or removes a member who may do more than they may, nor issues its credentials.

use bailiwick_authz::Permit;
use bailiwick_types::action::act;
use bailiwick_types::api::identity::{CreateMember, Credential, IssueCredential, IssuedKey, Member, UpdateMember};
use bailiwick_types::api::{Done, Page};
use bailiwick_types::{ActionType, Code, CredentialId, MemberId, PolicyName, Resource, ResourceKind};

use crate::accounts::{check_precondition, remove_bindings};
use crate::app::UseCase;
use crate::error::AppError;
use crate::page::PageRequest;
use crate::policies::tenant_role;
use crate::records::{AccountRecord, MemberRecord, Stored};
use crate::tx::{Answer, Located, TenantTx};
use crate::validate;

pub(crate) const OWNER: &str = "owner";

fn resource(id: MemberId) -> Resource {
    Resource::plain(ResourceKind::Member, id.to_string())
}

fn show(record: MemberRecord) -> Member {
    Member {
        id: record.id,
        name: record.name,
        email: record.email,
        role: record.role.to_string(),
        is_disabled: record.is_disabled,
        created: record.created,
    }
}

impl TenantTx<'_> {
    async fn locate_member(&self, id: MemberId) -> Result<Located<MemberRecord>, AppError> {
        self.locate::<MemberRecord>(id.as_bytes(), |_| resource(id)).await
    }

    /// Nobody touches a member who may do more than they may themselves: an admin could otherwise become an owner.
    pub(crate) fn check_may_touch(&self, role: &PolicyName) -> Result<(), AppError> {
        self.check_covers(role, &(ResourceKind::Tenant, self.snapshot.tenant.to_string()))
    }

    /// Fails if no enabled owner would be left without `leaving`.
    async fn check_not_last_owner<A: ActionType>(&self, permit: &Permit<A>, leaving: MemberId) -> Result<(), AppError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.read_all::<A, MemberRecord>(permit, b"", after.as_deref(), 1_000).await?;
            let is_last = page.len() < 1_000;
            for (key, _, member) in page {
                if member.id != leaving && !member.is_disabled && member.role.as_str() == OWNER {
                    return Ok(());
                }
                after = Some(key);
            }
            if is_last {
                return Err(AppError::with_detail(Code::StillInUse, "this is the last enabled owner of the tenant"));
            }
        }
    }
}

/// Adds a member.
pub struct Create {
    /// Whom.
    pub input: CreateMember,
}

impl UseCase for Create {
    type Action = act::MemberCreate;
    type Reply = Member;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Member>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::MemberCreate>(&tenant).await?;
        validate::display_name(&self.input.name)?;
        self.input.email.as_deref().map(validate::email).transpose()?;
        let role = tenant_role(&self.input.role)?;
        tx.check_may_touch(&role)?;
        let record = MemberRecord {
            id: MemberId::random(tx.app.random()),
            name: self.input.name.clone(),
            email: self.input.email.clone(),
            role,
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

/// Lists members.
#[derive(Debug, Default)]
pub struct List {
    /// Which page.
    pub page: PageRequest,
}

impl UseCase for List {
    type Action = act::MemberList;
    type Reply = Page<Member>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<Member>>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::MemberList>(&tenant).await?;
        let page = tx.page(&permit, b"", &self.page, "", |_, record| Ok(Some(show(record)))).await?;
        tx.commit(permit, page).await
    }
}

/// Shows a member.
pub struct Show {
    /// Whom.
    pub id: MemberId,
}

impl UseCase for Show {
    type Action = act::MemberShow;
    type Reply = Member;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Member>, AppError> {
        let found = tx.locate_member(self.id).await?;
        let permit = tx.authorize::<act::MemberShow>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        tx.etag(version);
        tx.commit(permit, show(record)).await
    }
}

/// Changes a member.
pub struct Update {
    /// Whom.
    pub id: MemberId,
    /// What changes.
    pub input: UpdateMember,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Update {
    type Action = act::MemberUpdate;
    type Reply = Member;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Member>, AppError> {
        let found = tx.locate_member(self.id).await?;
        let permit = tx.authorize::<act::MemberUpdate>(found.resource()).await?;
        let (version, mut record) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        tx.check_may_touch(&record.role)?;
        let was_owner = record.role.as_str() == OWNER && !record.is_disabled;
        if let Some(name) = &self.input.name {
            validate::display_name(name)?;
            record.name.clone_from(name);
        }
        if let Some(email) = &self.input.email {
            validate::email(email)?;
            record.email = Some(email.clone());
        }
        if let Some(role) = &self.input.role {
            record.role = tenant_role(role)?;
            tx.check_may_touch(&record.role)?;
            tx.note("role", record.role.as_str());
        }
        if let Some(is_disabled) = self.input.is_disabled {
            record.is_disabled = is_disabled;
            tx.note("disabled", is_disabled.to_string());
        }
        if was_owner && (record.role.as_str() != OWNER || record.is_disabled) {
            tx.check_not_last_owner(&permit, self.id).await?;
        }
        tx.put(&permit, self.id.as_bytes().to_vec(), Some(version), &record)?;
        tx.etag(version + 1);
        tx.commit(permit, show(record)).await
    }
}

/// Deletes a member.
pub struct Delete {
    /// Whom.
    pub id: MemberId,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Delete {
    type Action = act::MemberDelete;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let found = tx.locate_member(self.id).await?;
        let permit = tx.authorize::<act::MemberDelete>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        tx.check_may_touch(&record.role)?;
        if record.role.as_str() == OWNER && !record.is_disabled {
            tx.check_not_last_owner(&permit, self.id).await?;
        }
        check_owns_nothing(tx, &permit, self.id).await?;
        let principal = self.id.to_string();
        tx.remove_credentials(&permit, &principal).await?;
        remove_bindings(tx, &permit, &principal).await?;
        tx.remove(&permit, MemberRecord::SPACE, self.id.as_bytes().to_vec(), version)?;
        tx.commit(permit, Done {}).await
    }
}

/// Accounts must not lose the one who answers for them.
async fn check_owns_nothing<A: ActionType>(
    tx: &TenantTx<'_>,
    permit: &Permit<A>,
    member: MemberId,
) -> Result<(), AppError> {
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = tx.read_all::<A, AccountRecord>(permit, b"", after.as_deref(), 1_000).await?;
        let is_last = page.len() < 1_000;
        for (key, _, account) in page {
            if account.owner == member {
                let detail = format!("the member answers for {}; give it another owner first", account.id);
                return Err(AppError::with_detail(Code::StillInUse, detail));
            }
            after = Some(key);
        }
        if is_last {
            return Ok(());
        }
    }
}

/// Issues a credential to a member.
pub struct IssueCredentialTo {
    /// Whom.
    pub member: MemberId,
    /// What kind of credential.
    pub input: IssueCredential,
}

impl UseCase for IssueCredentialTo {
    type Action = act::MemberCredentialIssue;
    type Reply = IssuedKey;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<IssuedKey>, AppError> {
        let found = tx.locate_member(self.member).await?;
        let permit = tx.authorize::<act::MemberCredentialIssue>(found.resource()).await?;
        let (_, member) = tx.load(&permit, found)?;
        tx.check_may_touch(&member.role)?;
        tx.check_covers_all_of(&self.member.to_string()).await?;
        let issued = tx.issue_credential(&permit, &self.member.to_string(), &self.input).await?;
        tx.commit(permit, issued).await
    }
}

/// Lists a member's credentials.
pub struct ListCredentials {
    /// Whose.
    pub member: MemberId,
    /// Which page.
    pub page: PageRequest,
}

impl UseCase for ListCredentials {
    type Action = act::MemberCredentialList;
    type Reply = Page<Credential>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<Credential>>, AppError> {
        let found = tx.locate_member(self.member).await?;
        let permit = tx.authorize::<act::MemberCredentialList>(found.resource()).await?;
        tx.load(&permit, found)?;
        let page = tx.page_of_credentials(&permit, &self.member.to_string(), &self.page).await?;
        tx.commit(permit, page).await
    }
}

/// Revokes a member's credential.
pub struct RevokeCredential {
    /// Whose.
    pub member: MemberId,
    /// Which.
    pub credential: CredentialId,
}

impl UseCase for RevokeCredential {
    type Action = act::MemberCredentialRevoke;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let found = tx.locate_credential(&self.member.to_string(), self.credential).await?;
        let permit = tx.authorize::<act::MemberCredentialRevoke>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        if let Some((_, member)) = tx.read::<_, MemberRecord>(&permit, self.member.as_bytes()).await? {
            tx.check_may_touch(&member.role)?;
        }
        tx.revoke_credential(&permit, version, record)?;
        tx.commit(permit, Done {}).await
    }
}
