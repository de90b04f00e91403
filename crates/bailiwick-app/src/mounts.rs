//! Mounts of the KV engine.
//!
//! Secrets are kept under the mount's id, not its name. What was in an unmounted engine can therefore never be seen
//! through a new mount of the same name.

use std::sync::Arc;

use bailiwick_authz::Permit;
use bailiwick_store::Space;
use bailiwick_types::action::act;
use bailiwick_types::api::secret::{CreateMount, Mount, MountConfig, UpdateMount};
use bailiwick_types::api::{Done, Page};
use bailiwick_types::{ActionType, Code, Limit, MountId, MountName, Resource, ResourceKind};

use crate::accounts::check_precondition;
use crate::app::UseCase;
use crate::error::AppError;
use crate::page::PageRequest;
use crate::records::{MountRecord, Stored};
use crate::tx::{Answer, Located, TenantTx};
use crate::validate;

pub(crate) fn resource(name: &MountName) -> Resource {
    Resource::plain(ResourceKind::Mount, name.as_str())
}

pub(crate) fn show(record: MountRecord) -> Mount {
    Mount {
        name: record.name,
        id: record.id,
        engine: "kv".to_owned(),
        description: record.description,
        config: record.config,
        created: record.created,
    }
}

fn check_config(config: &MountConfig, most: u64) -> Result<(), AppError> {
    if u64::from(config.max_versions) > most {
        return Err(AppError::limit(Limit::VersionsPerSecret, most));
    }
    validate::lifetime(i64::try_from(config.delete_version_after_seconds).unwrap_or(i64::MAX))
}

impl TenantTx<'_> {
    /// The mount with this name, if there is one. Known to everybody in the tenant by what their own requests answer.
    pub(crate) async fn mount(&self, name: &MountName) -> Result<Option<Arc<MountRecord>>, AppError> {
        if let Some(known) = self.snapshot.known_mount(name) {
            return Ok(Some(known));
        }
        let Some((_, record)) = self.app.read::<MountRecord>(&self.snapshot, name.as_str().as_bytes()).await? else {
            return Ok(None);
        };
        let record = Arc::new(record);
        self.snapshot.remember_mount(name.clone(), Arc::clone(&record));
        Ok(Some(record))
    }

    async fn locate_mount(&self, name: &MountName) -> Result<Located<MountRecord>, AppError> {
        self.locate::<MountRecord>(name.as_str().as_bytes(), |_| resource(name)).await
    }
}

/// Mounts an engine.
pub struct Create {
    /// What to mount where.
    pub input: CreateMount,
}

impl UseCase for Create {
    type Action = act::MountCreate;
    type Reply = Mount;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Mount>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::MountCreate>(&tenant).await?;
        let input = &self.input;
        validate::description(&input.description)?;
        check_config(&input.config, tx.limit(Limit::VersionsPerSecret))?;
        tx.concerning(&resource(&input.name));
        // A mount of that name could be taken for the namespace prefix at the Vault door.
        if input.name.as_str() == tx.snapshot.slug || input.name.as_str() == tx.snapshot.tenant.to_string() {
            return Err(AppError::with_detail(Code::InvalidName, "a mount may not have the tenant's own name"));
        }
        if tx.mount(&input.name).await?.is_some() {
            return Err(AppError::with_detail(Code::AlreadyExists, "something is mounted there"));
        }
        let record = MountRecord {
            id: MountId::random(tx.app.random()),
            name: input.name.clone(),
            description: input.description.clone(),
            config: input.config.clone(),
            created: tx.now(),
        };
        tx.put(&permit, input.name.as_str().as_bytes().to_vec(), None, &record)?;
        tx.etag(1);
        tx.commit(permit, show(record)).await
    }
}

/// Lists mounts.
#[derive(Debug, Default)]
pub struct List {
    /// Which page.
    pub page: PageRequest,
}

impl UseCase for List {
    type Action = act::MountList;
    type Reply = Page<Mount>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<Mount>>, AppError> {
        let tenant = tx.tenant_resource();
        let permit = tx.authorize::<act::MountList>(&tenant).await?;
        let page = tx.page(&permit, b"", &self.page, "", |_, record| Ok(Some(show(record)))).await?;
        tx.commit(permit, page).await
    }
}

/// Shows a mount.
pub struct Show {
    /// Which.
    pub name: MountName,
}

impl UseCase for Show {
    type Action = act::MountShow;
    type Reply = Mount;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Mount>, AppError> {
        let found = tx.locate_mount(&self.name).await?;
        let permit = tx.authorize::<act::MountShow>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        tx.etag(version);
        tx.commit(permit, show(record)).await
    }
}

/// Changes a mount.
pub struct Update {
    /// Which.
    pub name: MountName,
    /// What changes.
    pub input: UpdateMount,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Update {
    type Action = act::MountUpdate;
    type Reply = Mount;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Mount>, AppError> {
        let found = tx.locate_mount(&self.name).await?;
        let permit = tx.authorize::<act::MountUpdate>(found.resource()).await?;
        let (version, mut record) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        let input = &self.input;
        if let Some(text) = &input.description {
            validate::description(text)?;
            record.description.clone_from(text);
        }
        record.config = MountConfig {
            max_versions: input.max_versions.unwrap_or(record.config.max_versions),
            cas_required: input.cas_required.unwrap_or(record.config.cas_required),
            delete_version_after_seconds: input
                .delete_version_after_seconds
                .unwrap_or(record.config.delete_version_after_seconds),
        };
        check_config(&record.config, tx.limit(Limit::VersionsPerSecret))?;
        tx.put(&permit, self.name.as_str().as_bytes().to_vec(), Some(version), &record)?;
        // Mounts are remembered with the epoch.
        tx.bump_epoch();
        tx.etag(version + 1);
        tx.commit(permit, show(record)).await
    }
}

/// Unmounts an engine and destroys what is in it.
pub struct Delete {
    /// Which.
    pub name: MountName,
    /// Only if it still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Delete {
    type Action = act::MountDelete;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let found = tx.locate_mount(&self.name).await?;
        let permit = tx.authorize::<act::MountDelete>(found.resource()).await?;
        let (version, record) = tx.load(&permit, found)?;
        check_precondition(self.if_match, version)?;
        let destroyed = destroy_all(tx, &permit, &record).await?;
        tx.remove(&permit, MountRecord::SPACE, self.name.as_str().as_bytes().to_vec(), version)?;
        tx.bump_epoch();
        tx.note("secrets_destroyed", destroyed.to_string());
        tx.commit(permit, Done {}).await
    }
}

/// The most records that one unmount removes.
const DESTROY_MAX: usize = 50_000;

/// Buffers the removal of everything below the mount's id. All of it goes with the mount or none of it does.
async fn destroy_all<A: ActionType>(
    tx: &mut TenantTx<'_>,
    permit: &Permit<A>,
    mount: &MountRecord,
) -> Result<usize, AppError> {
    let mut secrets = 0;
    let mut total = 0;
    for space in [Space::Secret, Space::SecretVersion] {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page =
                tx.app.store.records(tx.snapshot.tenant, space, mount.id.as_bytes(), after.as_deref(), 1_000).await?;
            let is_last = page.len() < 1_000;
            after = page.last().map(|(key, _)| key.clone());
            total += page.len();
            if total > DESTROY_MAX {
                return Err(AppError::with_detail(
                    Code::StillInUse,
                    format!("the mount holds more than {DESTROY_MAX} records; destroy secrets first"),
                ));
            }
            if space == Space::Secret {
                secrets += page.len();
            }
            for (key, record) in page {
                tx.remove(permit, space, key, record.version)?;
            }
            if is_last {
                break;
            }
        }
    }
    Ok(secrets)
}
