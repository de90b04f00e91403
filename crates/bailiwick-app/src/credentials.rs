//! Credentials: issued once, verified by keyed hash, rotated with an overlap, revoked for good.
//!
//! One module serves API keys of accounts, credentials of members and credentials of operators; what differs is who
//! may, and that is said by the use cases in `accounts`, `members` and `operators`.

use bailiwick_authz::Permit;
use bailiwick_store::{Space, Write};
use bailiwick_types::api::Page;
use bailiwick_types::api::identity::{Credential, IssueCredential, IssuedKey, RotateCredential};
use bailiwick_types::{
    ActionType, Code, CredentialId, CredentialText, Limit, Resource, ResourceKind, Secret, Timestamp,
};

use crate::app::App;
use crate::error::AppError;
use crate::page::PageRequest;
use crate::records::{CredentialOfRecord, CredentialRecord, UsageRecord, principal_key};
use crate::snapshot::Snapshot;
use crate::tx::{Located, Scope, Tx, seal_record};
use crate::validate;

/// How long an old key lives on after a rotation, unless the caller says otherwise.
pub(crate) const ROTATION_OVERLAP_DEFAULT: std::time::Duration = std::time::Duration::from_secs(24 * 3_600);
/// How long an old key may live on after a rotation at most.
pub(crate) const ROTATION_OVERLAP_MAX: std::time::Duration = std::time::Duration::from_secs(90 * 24 * 3_600);

pub(crate) fn show(record: &CredentialRecord, last_used: Option<Timestamp>) -> Credential {
    Credential {
        id: record.id,
        principal: record.principal.clone(),
        description: record.description.clone(),
        created: record.created,
        expires: record.expires,
        revoked: record.revoked,
        source_networks: record.networks.iter().map(ToString::to_string).collect(),
        rotated_from: record.rotated_from,
        last_used,
    }
}

/// A credential that nobody asks for: an installation's first, a tenant's first, a canary's.
pub(crate) struct OwnCredential {
    pub(crate) id: CredentialId,
    /// What its holder shows.
    pub(crate) text: Secret<String>,
    /// What is to be stored.
    pub(crate) writes: Vec<Write>,
}

impl OwnCredential {
    pub(crate) fn make(
        app: &App,
        snapshot: &Snapshot,
        principal: &str,
        description: &str,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Self, AppError> {
        let id = CredentialId::random(app.random());
        let text = CredentialText::generate(snapshot.tenant, id, app.random());
        let record = CredentialRecord {
            id,
            principal: principal.to_owned(),
            verifier: snapshot.keyring()?.credential_verifier(id, text.secret().expose()),
            description: description.to_owned(),
            created: now,
            expires,
            revoked: None,
            is_revoked: false,
            networks: Vec::new(),
            rotated_from: None,
        };
        let writes = vec![
            seal_record(app, snapshot, id.as_bytes().to_vec(), &record)?,
            seal_record(app, snapshot, principal_key(principal, id.as_bytes()), &CredentialOfRecord {})?,
        ];
        Ok(Self { id, text: text.reveal(), writes })
    }
}

impl<S: Scope> Tx<'_, S> {
    /// A credential of `principal`; one of somebody else's reads as absent.
    pub(crate) async fn locate_credential(
        &self,
        principal: &str,
        id: CredentialId,
    ) -> Result<Located<CredentialRecord>, AppError> {
        let resource = match principal_kind(principal) {
            // Credentials are things of a tenant; on the platform's plane policy knows the operators alone.
            ResourceKind::Operator => Resource::plain(ResourceKind::Operator, principal),
            kind => Resource {
                parents: vec![(kind, principal.to_owned())],
                ..Resource::plain(ResourceKind::Credential, id.to_string())
            },
        };
        let located = self.locate::<CredentialRecord>(id.as_bytes(), |_| resource).await?;
        Ok(located.only_if(|record| record.principal == principal))
    }

    /// Makes a credential for `principal` and buffers it. The caller has checked that the principal exists.
    pub(crate) async fn issue_credential<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        principal: &str,
        input: &IssueCredential,
    ) -> Result<IssuedKey, AppError> {
        let expires = validate::expiry(input.expires, input.ttl.as_deref(), self.earliest())?;
        validate::description(&input.description)?;
        let record = NewCredential {
            principal,
            description: &input.description,
            expires,
            networks: validate::networks(&input.source_networks)?,
            rotated_from: None,
        };
        self.put_new_credential(permit, record).await
    }

    pub(crate) async fn put_new_credential<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        new: NewCredential<'_>,
    ) -> Result<IssuedKey, AppError> {
        self.check_room_for_credential(permit, new.principal).await?;
        let id = CredentialId::random(self.app.random.as_ref());
        let text = CredentialText::generate(self.snapshot.tenant, id, self.app.random.as_ref());
        let record = CredentialRecord {
            id,
            principal: new.principal.to_owned(),
            verifier: self.snapshot.keyring()?.credential_verifier(id, text.secret().expose()),
            description: new.description.to_owned(),
            created: self.now(),
            expires: new.expires,
            revoked: None,
            is_revoked: false,
            networks: new.networks,
            rotated_from: new.rotated_from,
        };
        self.put(permit, id.as_bytes().to_vec(), None, &record)?;
        self.put(permit, principal_key(new.principal, id.as_bytes()), None, &CredentialOfRecord {})?;
        self.note("credential", id.to_string());
        Ok(IssuedKey { key: show(&record, None), credential: text.reveal().expose().clone() })
    }

    /// Counts the principal's live credentials. Those that are dead make room.
    async fn check_room_for_credential<A: ActionType>(
        &self,
        permit: &Permit<A>,
        principal: &str,
    ) -> Result<(), AppError> {
        let most = self.limit(Limit::CredentialsPerPrincipal);
        let mut live = 0;
        for id in self.credential_ids(permit, principal).await? {
            if let Some((_, record)) = self.read::<A, CredentialRecord>(permit, id.as_bytes()).await?
                && is_live(&record, self.latest())
            {
                live += 1;
            }
        }
        if live >= most { Err(AppError::limit(Limit::CredentialsPerPrincipal, most)) } else { Ok(()) }
    }

    pub(crate) async fn credential_ids<A: ActionType>(
        &self,
        permit: &Permit<A>,
        principal: &str,
    ) -> Result<Vec<CredentialId>, AppError> {
        let prefix = format!("{principal}/");
        let mut ids = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page =
                self.read_all::<A, CredentialOfRecord>(permit, prefix.as_bytes(), after.as_deref(), 1_000).await?;
            let is_last = page.len() < 1_000;
            for (key, _, _) in page {
                if let Some(id) = key.last_chunk::<16>() {
                    ids.push(CredentialId::from_bytes(*id));
                }
                after = Some(key);
            }
            if is_last {
                return Ok(ids);
            }
        }
    }

    /// One page of a principal's credentials.
    pub(crate) async fn page_of_credentials<A: ActionType>(
        &self,
        permit: &Permit<A>,
        principal: &str,
        page: &PageRequest,
    ) -> Result<Page<Credential>, AppError> {
        let limit = self.page_limit(page)?;
        let after = self.page_after(page, principal)?;
        let prefix = format!("{principal}/");
        let mut keys =
            self.read_all::<A, CredentialOfRecord>(permit, prefix.as_bytes(), after.as_deref(), limit + 1).await?;
        let has_more = keys.len() > limit;
        keys.truncate(limit);
        let mut items = Vec::with_capacity(keys.len());
        for (key, _, _) in &keys {
            let Some(id) = key.last_chunk::<16>() else { continue };
            if let Some((_, record)) = self.read::<A, CredentialRecord>(permit, id).await? {
                let usage = self.read::<A, UsageRecord>(permit, id).await?;
                items.push(show(&record, usage.map(|(_, usage)| usage.last_used)));
            }
        }
        let next = match keys.last() {
            Some((key, _, _)) if has_more => Some(self.cursor(principal, key)?),
            _ => None,
        };
        Ok(Page { items, next })
    }

    /// Shows a credential with its last use.
    pub(crate) async fn show_credential<A: ActionType>(
        &self,
        permit: &Permit<A>,
        record: &CredentialRecord,
    ) -> Result<Credential, AppError> {
        let usage = self.read::<A, UsageRecord>(permit, record.id.as_bytes()).await?;
        Ok(show(record, usage.map(|(_, usage)| usage.last_used)))
    }

    /// Ends a credential now. Doing so twice changes nothing.
    pub(crate) fn revoke_credential<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        version: u64,
        mut record: CredentialRecord,
    ) -> Result<(), AppError> {
        if record.is_revoked {
            return Ok(());
        }
        record.is_revoked = true;
        record.revoked = Some(record.revoked.map_or(self.now(), |already| already.min(self.now())));
        self.put(permit, record.id.as_bytes().to_vec(), Some(version), &record)
    }

    /// Removes every credential of a principal that is being removed.
    pub(crate) async fn remove_credentials<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        principal: &str,
    ) -> Result<(), AppError> {
        for id in self.credential_ids(permit, principal).await? {
            if let Some((version, _)) = self.read::<A, CredentialRecord>(permit, id.as_bytes()).await? {
                self.remove(permit, Space::Credential, id.as_bytes().to_vec(), version)?;
            }
            let key = principal_key(principal, id.as_bytes());
            if let Some((version, _)) = self.read::<A, CredentialOfRecord>(permit, &key).await? {
                self.remove(permit, Space::CredentialOf, key, version)?;
            }
            if let Some((version, _)) = self.read::<A, UsageRecord>(permit, id.as_bytes()).await? {
                self.remove(permit, Space::Usage, id.as_bytes().to_vec(), version)?;
            }
        }
        Ok(())
    }

    /// Issues a successor and sets the old one's end.
    pub(crate) async fn rotate_credential<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        version: u64,
        mut old: CredentialRecord,
        input: &RotateCredential,
    ) -> Result<IssuedKey, AppError> {
        if !is_live(&old, self.latest()) {
            return Err(AppError::with_detail(Code::WrongState, "the key is revoked or has expired"));
        }
        let overlap = match &input.overlap {
            Some(text) => validate::duration("overlap", text)?,
            None => ROTATION_OVERLAP_DEFAULT,
        };
        if overlap > ROTATION_OVERLAP_MAX {
            return Err(AppError::invalid("`overlap` may be 90 days at most"));
        }
        let expires = match (input.expires, &input.ttl) {
            // The successor lives as long as the old one was meant to.
            (None, None) => old.expires.map(|end| self.earliest().plus(end.since(old.created))),
            (expires, ttl) => validate::expiry(expires, ttl.as_deref(), self.earliest())?,
        };
        let issued = self
            .put_new_credential(
                permit,
                NewCredential {
                    principal: &old.principal,
                    description: &old.description,
                    expires,
                    networks: old.networks.clone(),
                    rotated_from: Some(old.id),
                },
            )
            .await?;
        let end = self.earliest().plus(overlap);
        old.is_revoked = overlap.is_zero();
        old.revoked = Some(old.revoked.map_or(end, |already| already.min(end)));
        self.put(permit, old.id.as_bytes().to_vec(), Some(version), &old)?;
        Ok(issued)
    }
}

/// What a new credential is made of.
pub(crate) struct NewCredential<'a> {
    pub(crate) principal: &'a str,
    pub(crate) description: &'a str,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) networks: Vec<ipnet::IpNet>,
    pub(crate) rotated_from: Option<CredentialId>,
}

fn is_live(record: &CredentialRecord, now: Timestamp) -> bool {
    record.revoked_from().is_none_or(|moment| moment > now) && record.expires.is_none_or(|moment| moment > now)
}

/// The kind of resource that a principal's id names.
pub(crate) fn principal_kind(id: &str) -> ResourceKind {
    if id.starts_with(bailiwick_types::MemberId::PREFIX) {
        ResourceKind::Member
    } else if id.starts_with(bailiwick_types::OperatorId::PREFIX) {
        ResourceKind::Operator
    } else {
        ResourceKind::Account
    }
}
