//! Tenants as operators handle them: created, listed, suspended, deleted. State and counts, never contents.

use std::sync::Arc;

use bailiwick_authz::Permit;
use bailiwick_ledger::CompactRange;
use bailiwick_seal::Keyring;
use bailiwick_store::{Counts, Header, Space, Wake};
use bailiwick_types::action::act;
use bailiwick_types::api::Page;
use bailiwick_types::api::platform::{
    CreateTenant, CreatedAdmin, CreatedTenant, PlatformHealth, Quotas, SetQuotas, Tenant, TenantCounts, UpdateTenant,
};
use bailiwick_types::api::secret::MountConfig;
use bailiwick_types::api::tenant::Reason;
use bailiwick_types::{
    ActionType, Code, CredentialId, Limit, MemberId, MountId, Resource, ResourceKind, Secret, TenantId, Timestamp,
};

use crate::app::{App, PlatformUseCase};
use crate::credentials::OwnCredential;
use crate::error::AppError;
use crate::members::OWNER;
use crate::page::PageRequest;
use crate::records::{MemberRecord, MountRecord, TenantMeta};
use crate::snapshot::Snapshot;
use crate::state::{Phase, TenantState};
use crate::tx::{Answer, Genesis, IS_IMPORTED, PlatformTx, STATED_TENANT_BYTES_MAX, Target, seal_record};
use crate::validate;

/// The installation as a resource.
pub(crate) fn platform() -> Resource {
    Resource::plain(ResourceKind::Platform, "platform")
}

fn show(header: &Header, meta: &TenantMeta, state: TenantState) -> Result<Tenant, AppError> {
    let is_deleted = state.phase == Phase::Deleted;
    let count = |space| header.counts.of(space);
    Ok(Tenant {
        id: header.tenant,
        slug: header.slug.parse().map_err(AppError::internal)?,
        name: meta.name.clone(),
        state: state.phase.as_str().to_owned(),
        is_sealed: state.is_sealed,
        created: meta.created,
        shred_at: if state.phase == Phase::Deleting { meta.shred_at } else { None },
        counts: (!is_deleted).then(|| TenantCounts {
            members: count(Space::Member),
            accounts: count(Space::Account),
            credentials: count(Space::Credential),
            bindings: count(Space::Binding),
            policies: count(Space::Policy),
            mounts: count(Space::Mount),
            secrets: count(Space::Secret),
            secret_versions: count(Space::SecretVersion),
            ledger_entries: header.ledger.size(),
        }),
        certificate: meta.certificate.clone(),
    })
}

fn show_target(target: &Target) -> Result<Tenant, AppError> {
    show(&target.header, &target.meta, target.state)
}

/// Makes a tenant: keys, first member with its credential, and the mount `secret`.
pub struct Create {
    /// What to create.
    pub input: CreateTenant,
}

impl PlatformUseCase for Create {
    type Action = act::TenantCreate;
    type Reply = CreatedTenant;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<CreatedTenant>, AppError> {
        let permit = tx.authorize::<act::TenantCreate>(&platform()).await?;
        let input = &self.input;
        let name = input.name.clone().unwrap_or_else(|| input.slug.to_string());
        let admin_name = input.admin_name.clone().unwrap_or_else(|| "admin".to_owned());
        validate::display_name(&name)?;
        validate::display_name(&admin_name)?;
        input.admin_email.as_deref().map(validate::email).transpose()?;
        let expires = validate::expiry(None, input.admin_ttl.as_deref(), tx.earliest())?;

        let first = FirstMember { name: admin_name, email: input.admin_email.clone(), expires };
        let new = NewTenant::make(tx.app, input.slug.as_str(), name, first, tx.now())?;
        let tenant = new.header.tenant;
        let shown = show(&new.header, &new.meta, TenantState::ACTIVE)?;
        tx.target_new(new.header, new.meta, new.genesis);
        let target = tx.targeted()?;
        target.set_state(TenantState::ACTIVE);
        // A new tenant starts at epoch 1; there is nothing to void.
        target.change.bump_epoch = false;
        target.put_meta()?;
        tx.concerning(&Resource::plain(ResourceKind::Tenant, tenant.to_string()));
        tx.note("slug", input.slug.as_str());
        let admin = CreatedAdmin { member: new.member, credential: new.credential.expose().clone() };
        tx.commit(permit, CreatedTenant { tenant: shown, admin }).await
    }
}

/// Who owns a new tenant.
pub(crate) struct FirstMember {
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    /// When its first credential expires.
    pub(crate) expires: Option<Timestamp>,
}

/// A tenant that is not stored yet: keys, first member with its credential, and the mount `secret`.
pub(crate) struct NewTenant {
    pub(crate) header: Header,
    pub(crate) meta: TenantMeta,
    pub(crate) genesis: Genesis,
    pub(crate) member: MemberId,
    pub(crate) key: CredentialId,
    pub(crate) credential: Secret<String>,
}

impl NewTenant {
    pub(crate) fn make(
        app: &App,
        slug: &str,
        name: String,
        first: FirstMember,
        now: Timestamp,
    ) -> Result<Self, AppError> {
        let unsealed = app.unsealed()?;
        let tenant = TenantId::random(app.random());
        let installation = unsealed.record.installation();
        let root_version = unsealed.record.root_version();
        let (keyring, wrapped) =
            Keyring::create(&unsealed.root, root_version, installation, tenant, now, app.random())?;
        let meta = TenantMeta::new(name, now, wrapped);
        let mut header = Header {
            tenant,
            slug: slug.to_owned(),
            state: TenantState::ACTIVE.number(),
            epoch: 1,
            ledger: CompactRange::new(),
            counts: Counts::default(),
            meta: Vec::new(),
            meta_version: 0,
            revision: 0,
            wake: None,
        };
        let snapshot = Snapshot::new(&header, &meta, Some(Arc::new(keyring)), installation, 0);
        let member = MemberRecord {
            id: MemberId::random(app.random()),
            name: first.name,
            email: first.email,
            role: OWNER.parse()?,
            is_disabled: false,
            created: now,
        };
        let principal = member.id.to_string();
        let credential = OwnCredential::make(app, &snapshot, &principal, "first credential", first.expires, now)?;
        let mount = MountRecord {
            id: MountId::random(app.random()),
            name: "secret".parse()?,
            description: "key/value secrets".to_owned(),
            config: MountConfig::default(),
            created: now,
        };
        let mut writes = vec![seal_record(app, &snapshot, member.id.as_bytes().to_vec(), &member)?];
        writes.extend(credential.writes);
        writes.push(seal_record(app, &snapshot, mount.name.as_str().as_bytes().to_vec(), &mount)?);
        for write in &writes {
            header.counts.add(write.space);
        }
        let genesis = Genesis { snapshot: Arc::new(snapshot), writes };
        Ok(Self { header, meta, genesis, member: member.id, key: credential.id, credential: credential.text })
    }
}

/// Lists tenants in the order of their slugs.
#[derive(Debug, Default)]
pub struct List {
    /// Which page.
    pub page: PageRequest,
    /// Only in this state.
    pub state: Option<String>,
}

impl PlatformUseCase for List {
    type Action = act::TenantList;
    type Reply = Page<Tenant>;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Page<Tenant>>, AppError> {
        let permit = tx.authorize::<act::TenantList>(&platform()).await?;
        if self.state.as_ref().is_some_and(|state| !Phase::ALL.iter().any(|phase| phase.as_str() == state)) {
            let names: Vec<&str> = Phase::ALL.iter().map(|phase| phase.as_str()).collect();
            return Err(AppError::invalid(format!("`state` must be one of {}", names.join(", "))));
        }
        let limit = tx.page_limit(&self.page)?;
        let query = format!("{:?}", self.state);
        let after = tx.page_after(&self.page, &query)?;
        let mut after = after.map(|bytes| String::from_utf8(bytes).map_err(AppError::internal)).transpose()?;
        let mut items = Vec::new();
        let mut next = None;
        'pages: loop {
            let wanted = limit.saturating_sub(items.len()) + 1;
            let headers = tx.app.store.headers(after.as_deref(), wanted).await?;
            let is_last = headers.len() < wanted;
            for header in headers {
                if items.len() == limit {
                    next = Some(tx.cursor(&query, after.as_deref().unwrap_or_default().as_bytes())?);
                    break 'pages;
                }
                let meta = TenantMeta::from_bytes(&header.meta)?;
                let shown = show(&header, &meta, TenantState::from_number(header.state))?;
                if self.state.as_ref().is_none_or(|state| *state == shown.state) {
                    items.push(shown);
                }
                after = Some(header.slug);
            }
            if is_last {
                break;
            }
        }
        tx.commit(permit, Page { items, next }).await
    }
}

/// Why a tenant that was exported for good stays suspended.
const HAS_MOVED: &str = "the tenant was exported for good and lives elsewhere; two of it would contradict each other";

/// Stands for the tenant that a path names where there is none.
const NOBODY: TenantId = TenantId::from_bytes([0xff; 16]);

impl PlatformTx<'_> {
    /// Authorizes an act on the tenant that the path names, and makes it the target.
    async fn authorize_on<A: ActionType>(&mut self, stated: &str) -> Result<Permit<A>, AppError> {
        let header = self.app.resolve_tenant(stated).await?;
        // Policy is asked about a tenant that cannot exist where there is none, so that absence is not a permission.
        let id = header.as_ref().map_or(NOBODY, |header| header.tenant);
        if let Some(header) = header {
            self.target(header).await?;
        }
        let permit = self.authorize::<A>(&Resource::plain(ResourceKind::Tenant, id.to_string())).await?;
        if id == NOBODY {
            let shown = validate::clipped(stated, STATED_TENANT_BYTES_MAX);
            self.concerning(&Resource::plain(ResourceKind::Tenant, shown));
        }
        self.targeted()?;
        Ok(permit)
    }

    fn note_reason(&mut self, reason: &Reason) -> Result<(), AppError> {
        if let Some(reason) = &reason.reason {
            validate::description(reason)?;
            self.note("reason", reason.as_str());
        }
        Ok(())
    }
}

/// Shows a tenant.
pub struct Show {
    /// Its id or slug.
    pub tenant: String,
}

impl PlatformUseCase for Show {
    type Action = act::TenantShow;
    type Reply = Tenant;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Tenant>, AppError> {
        let permit = tx.authorize_on::<act::TenantShow>(&self.tenant).await?;
        let shown = show_target(tx.targeted()?)?;
        let version = tx_version(tx)?;
        tx.etag(version);
        tx.commit(permit, shown).await
    }
}

fn tx_version(tx: &mut PlatformTx<'_>) -> Result<u64, AppError> {
    Ok(tx.targeted()?.header.meta_version)
}

/// Changes a tenant's display name.
pub struct Update {
    /// Its id or slug.
    pub tenant: String,
    /// What changes.
    pub input: UpdateTenant,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl PlatformUseCase for Update {
    type Action = act::TenantUpdate;
    type Reply = Tenant;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Tenant>, AppError> {
        let permit = tx.authorize_on::<act::TenantUpdate>(&self.tenant).await?;
        let version = tx_version(tx)?;
        crate::accounts::check_precondition(self.if_match, version)?;
        let target = tx.targeted()?;
        if target.state.phase == Phase::Deleted {
            return Err(AppError::with_detail(Code::WrongState, "the tenant is deleted"));
        }
        if let Some(name) = &self.input.name {
            validate::display_name(name)?;
            target.meta.name.clone_from(name);
        }
        target.put_meta()?;
        let shown = show_target(target)?;
        tx.etag(version + 1);
        tx.commit(permit, shown).await
    }
}

/// Acts that only change a tenant's state.
macro_rules! state_cases {
    ($($(#[$doc:meta])* $name:ident, $action:ident, |$target:ident| $change:expr;)+) => {
        $(
            $(#[$doc])*
            pub struct $name {
                /// Its id or slug.
                pub tenant: String,
                /// Why.
                pub input: Reason,
            }
            impl PlatformUseCase for $name {
                type Action = act::$action;
                type Reply = Tenant;
                async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Tenant>, AppError> {
                    let permit = tx.authorize_on::<act::$action>(&self.tenant).await?;
                    tx.note_reason(&self.input)?;
                    let $target = tx.targeted()?;
                    let changed: Result<(), &str> = $change;
                    changed.map_err(|why| AppError::with_detail(Code::WrongState, why))?;
                    let shown = show_target($target)?;
                    tx.commit(permit, shown).await
                }
            }
        )+
    };
}

state_cases! {
    /// Suspends a tenant: from the acknowledgement on its plane refuses every request.
    Suspend, TenantSuspend, |target| match target.state.phase {
        Phase::Active => {
            target.set_state(target.state.in_phase(Phase::Suspended));
            Ok(())
        }
        Phase::Suspended => Ok(()),
        Phase::Deleting => Err("the tenant is being deleted"),
        Phase::Deleted => Err("the tenant is deleted"),
        Phase::Importing => Err(IS_IMPORTED),
    };
    /// Resumes a suspended tenant. One that is being deleted is saved, and stays suspended until resumed again.
    Resume, TenantResume, |target| match target.state.phase {
        Phase::Suspended if target.meta.moved.is_some() => Err(HAS_MOVED),
        Phase::Suspended if target.meta.import.is_some() => Err(IS_IMPORTED),
        Phase::Suspended => {
            target.set_state(target.state.in_phase(Phase::Active));
            Ok(())
        }
        Phase::Deleting => {
            target.set_state(target.state.in_phase(Phase::Suspended));
            target.meta.shred_at = None;
            target.put_meta()?;
            target.wake(Wake::Never);
            Ok(())
        }
        Phase::Active => Ok(()),
        Phase::Deleted => Err("the tenant is deleted; its keys are gone"),
        Phase::Importing => Err(IS_IMPORTED),
    };
    /// Seals a tenant: from the acknowledgement on its plane answers as sealed.
    Seal, TenantSeal, |target| match target.state.phase {
        Phase::Deleted => Err("the tenant is deleted"),
        _ => {
            if !target.state.is_sealed {
                target.set_state(target.state.sealed(true));
            }
            Ok(())
        }
    };
    /// Unseals a tenant.
    Unseal, TenantUnseal, |target| match target.state.phase {
        Phase::Deleted => Err("the tenant is deleted"),
        _ => {
            if target.state.is_sealed {
                target.set_state(target.state.sealed(false));
            }
            Ok(())
        }
    };
}

/// Deletes a tenant: suspended at once, shredded when the hold period is over.
pub struct Delete {
    /// Its id or slug.
    pub tenant: String,
    /// The hold period, such as `7d`; the configured one if absent.
    pub hold: Option<String>,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl PlatformUseCase for Delete {
    type Action = act::TenantDelete;
    type Reply = Tenant;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Tenant>, AppError> {
        let permit = tx.authorize_on::<act::TenantDelete>(&self.tenant).await?;
        crate::accounts::check_precondition(self.if_match, tx_version(tx)?)?;
        let config = &tx.app.config;
        let hold = match &self.hold {
            Some(text) => validate::duration("hold", text)?,
            None => config.delete_hold_default.max(config.delete_hold_min),
        };
        if hold < config.delete_hold_min {
            let min = bailiwick_types::time::format_duration(config.delete_hold_min);
            return Err(AppError::invalid(format!("`hold` may not be shorter than {min} on this installation")));
        }
        let shred_at = tx.latest().plus(hold);
        let target = tx.targeted()?;
        match target.state.phase {
            Phase::Deleted => return Err(AppError::with_detail(Code::WrongState, "the tenant is deleted")),
            Phase::Deleting => return Err(AppError::with_detail(Code::WrongState, "the tenant is being deleted")),
            Phase::Importing => return Err(AppError::with_detail(Code::WrongState, IS_IMPORTED)),
            Phase::Active | Phase::Suspended => {}
        }
        target.set_state(target.state.in_phase(Phase::Deleting));
        target.meta.shred_at = Some(shred_at);
        target.put_meta()?;
        target.wake(Wake::At(shred_at));
        let shown = show_target(target)?;
        tx.note("shred_at", shred_at.to_string());
        tx.commit(permit, shown).await
    }
}

fn show_quotas(meta: &TenantMeta) -> Quotas {
    let quotas = Limit::ALL
        .iter()
        .filter(|limit| meta.quotas.is_quota(**limit))
        .map(|limit| (limit.as_str().to_owned(), meta.quotas.of(*limit)))
        .collect();
    Quotas { quotas }
}

/// Shows a tenant's quotas.
pub struct ShowQuotas {
    /// Its id or slug.
    pub tenant: String,
}

impl PlatformUseCase for ShowQuotas {
    type Action = act::QuotaShow;
    type Reply = Quotas;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Quotas>, AppError> {
        let permit = tx.authorize_on::<act::QuotaShow>(&self.tenant).await?;
        let shown = show_quotas(&tx.targeted()?.meta);
        tx.commit(permit, shown).await
    }
}

/// Sets a tenant's quotas.
pub struct PutQuotas {
    /// Its id or slug.
    pub tenant: String,
    /// What changes.
    pub input: SetQuotas,
}

impl PlatformUseCase for PutQuotas {
    type Action = act::QuotaSet;
    type Reply = Quotas;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Quotas>, AppError> {
        let permit = tx.authorize_on::<act::QuotaSet>(&self.tenant).await?;
        let mut changes = Vec::new();
        for (name, value) in &self.input.quotas {
            let limit: Limit = name.parse().map_err(|_| {
                let names: Vec<&str> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
                AppError::invalid(format!("unknown limit; there are {}", names.join(", ")))
            })?;
            if value.is_some_and(|value| value > limit.ceiling() || value == 0) {
                return Err(AppError::invalid(format!("`{limit}` must be between 1 and {}", limit.ceiling())));
            }
            changes.push((limit, *value));
        }
        let target = tx.targeted()?;
        if target.state.phase == Phase::Deleted {
            return Err(AppError::with_detail(Code::WrongState, "the tenant is deleted"));
        }
        for (limit, value) in &changes {
            target.meta.quotas.set(*limit, *value);
        }
        target.put_meta()?;
        // Limits are part of what requests are decided with.
        target.change.bump_epoch = true;
        let shown = show_quotas(&target.meta);
        for (limit, value) in changes {
            tx.note(limit.as_str(), value.map_or("default".to_owned(), |value| value.to_string()));
        }
        tx.commit(permit, shown).await
    }
}

/// The installation's health, for operators.
pub struct Health {
    /// The server's version.
    pub version: &'static str,
}

impl PlatformUseCase for Health {
    type Action = act::PlatformHealth;
    type Reply = PlatformHealth;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<PlatformHealth>, AppError> {
        let permit = tx.authorize::<act::PlatformHealth>(&platform()).await?;
        let store = &tx.app.store;
        let storage = match store.ping().await {
            Ok(()) => "ok",
            Err(_) => "unavailable",
        };
        let mut tenants = std::collections::BTreeMap::new();
        for (state, count) in store.totals().await?.by_state {
            let state = TenantState::from_number(state);
            let name = if state.is_sealed { "sealed" } else { state.phase.as_str() };
            *tenants.entry(name.to_owned()).or_insert(0) += count;
        }
        let header = store.header(TenantId::PLATFORM).await?.ok_or_else(AppError::not_found)?;
        let health = PlatformHealth {
            version: self.version.to_owned(),
            engine: store.engine().to_owned(),
            storage: storage.to_owned(),
            tenants,
            size_bytes: store.size_bytes().await?,
            ledger_entries: header.ledger.size(),
            uptime_ms: u64::try_from(tx.now().since(tx.app.started).as_millis()).unwrap_or(u64::MAX),
        };
        tx.commit(permit, health).await
    }
}
