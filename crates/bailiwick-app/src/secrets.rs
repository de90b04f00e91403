//! Secrets, with the semantics of Vault's KV version 2.
//!
//! A secret is a metadata record (what policy may see: its tags) and a record for each version's value. To read a value
//! one needs the permit; locating reads the metadata only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_authz::Permit;
use bailiwick_store::Space;
use bailiwick_types::action::act;
use bailiwick_types::api::secret::{SecretMetadata, VersionInfo};
use bailiwick_types::api::{Done, Page};
use bailiwick_types::{ActionType, Code, Limit, MountName, Resource, ResourceKind, Secret, SecretPath, Timestamp};

use crate::app::UseCase;
use crate::error::AppError;
use crate::page::PageRequest;
use crate::records::{MountRecord, SecretRecord, Stored, VersionRecord, secret_key, version_key};
use crate::tx::{Answer, Located, Reply, TenantTx};
use crate::validate;

/// Versions kept where neither the secret nor the mount says how many (as Vault).
pub const MAX_VERSIONS_DEFAULT: u32 = 10;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretAt {
    /// The mount.
    pub mount: MountName,
    /// The path inside it.
    pub path: SecretPath,
}

/// A version as it was found: with its value, or with the news that it was deleted or destroyed.
#[derive(Debug)]
pub struct Revealed {
    /// The value as JSON text of an object; `None` if the version is deleted or destroyed.
    pub data: Option<Secret<Vec<u8>>>,
    /// About the version.
    pub version: VersionInfo,
    /// What people wrote beside it.
    pub custom_metadata: BTreeMap<String, String>,
}

impl Reply for Revealed {
    fn remembered(&self) -> Option<String> {
        None
    }
    fn recalled(_: &str) -> Option<Self> {
        None
    }
}

/// A secret or a folder as policy sees it, with the containers that it is in.
pub(crate) fn resource_of_path(mount: &str, path: &str, is_folder: bool) -> Resource {
    let kind = if is_folder { ResourceKind::Folder } else { ResourceKind::Secret };
    let mut parents = vec![(ResourceKind::Mount, mount.to_owned())];
    if path.is_empty() {
        return Resource { parents, ..Resource::plain(kind, mount) };
    }
    for (at, _) in path.match_indices('/') {
        if let Some(folder) = path.get(..at) {
            parents.push((ResourceKind::Folder, [mount, folder].join("/")));
        }
    }
    Resource { parents, ..Resource::plain(kind, [mount, path].join("/")) }
}

impl SecretRecord {
    fn new(now: Timestamp) -> Self {
        Self {
            created: now,
            updated: now,
            current: 0,
            oldest: 0,
            max_versions: 0,
            cas_required: false,
            delete_after_seconds: 0,
            custom: BTreeMap::new(),
            versions: BTreeMap::new(),
        }
    }
}

impl VersionRecord {
    fn is_gone(&self, now: Timestamp) -> bool {
        self.is_destroyed || self.is_deleted || self.deleted.is_some_and(|moment| moment <= now)
    }

    fn info(&self, version: u64) -> VersionInfo {
        VersionInfo { version, created: self.created, deleted: self.deleted, is_destroyed: self.is_destroyed }
    }
}

/// When a version written now will be deleted: the shorter of what the secret and its mount say; negative is never.
fn deletion_time(mount: &MountRecord, secret: &SecretRecord, now: Timestamp) -> Option<Timestamp> {
    let of_mount = i64::try_from(mount.config.delete_version_after_seconds).unwrap_or(i64::MAX);
    let seconds = match (of_mount, secret.delete_after_seconds) {
        (_, ..0) => return None,
        (0, own) => own,
        (mount, 0) => mount,
        (mount, own) => mount.min(own),
    };
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(|seconds| now.plus(Duration::from_secs(seconds)))
}

impl TenantTx<'_> {
    async fn locate_secret(
        &self,
        at: &SecretAt,
    ) -> Result<(Option<Arc<MountRecord>>, Located<SecretRecord>), AppError> {
        let mount = self.mount(&at.mount).await?;
        let mut resource = resource_of_path(at.mount.as_str(), at.path.as_str(), false);
        let located = match &mount {
            None => self.absent(resource),
            Some(mount) => {
                let key = secret_key(&mount.id, at.path.as_str());
                self.locate::<SecretRecord>(&key, |found| {
                    if let Some(secret) = found {
                        resource.tags = secret.custom.clone().into_iter().collect();
                    }
                    resource
                })
                .await?
            }
        };
        Ok((mount, located))
    }

    /// The tags of a secret, for hypothetical requests.
    pub(crate) async fn secret_tags(
        &self,
        mount: &MountName,
        path: &SecretPath,
    ) -> Result<Vec<(String, String)>, AppError> {
        let at = SecretAt { mount: mount.clone(), path: path.clone() };
        Ok(self.locate_secret(&at).await?.1.resource().tags.clone())
    }

    fn put_secret<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        place: &Place,
        mut record: SecretRecord,
    ) -> Result<SecretRecord, AppError> {
        record.updated = self.now();
        self.put(permit, secret_key(&place.mount.id, place.path.as_str()), place.replaces, &record)?;
        Ok(record)
    }

    /// Removes a version's value for good.
    async fn remove_value<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        place: &Place,
        version: u64,
    ) -> Result<(), AppError> {
        let key = version_key(&place.mount.id, &place.path, version);
        if let Some(record) = self.app.store.record(self.snapshot.tenant, Space::SecretVersion, &key).await? {
            self.remove(permit, Space::SecretVersion, key, record.version)?;
        }
        Ok(())
    }

    async fn value<A: ActionType>(
        &self,
        _permit: &Permit<A>,
        place: &Place,
        version: u64,
    ) -> Result<Secret<Vec<u8>>, AppError> {
        let key = version_key(&place.mount.id, &place.path, version);
        let space = Space::SecretVersion;
        let record = self.app.store.record(self.snapshot.tenant, space, &key).await?;
        // The version may have been destroyed since the metadata was read: then the metadata has changed too.
        let record =
            record.ok_or_else(|| AppError::from(bailiwick_store::CommitError::Conflict { space: Some(space) }))?;
        self.snapshot.open_bytes(space.as_str(), &key, record.version, &record.sealed)
    }

    /// At most `wanted` names right below a prefix, in order.
    async fn children(
        &self,
        prefix: &[u8],
        mut after: Option<Vec<u8>>,
        wanted: usize,
    ) -> Result<Vec<bailiwick_store::Child>, AppError> {
        const PAGE: usize = 1_000;
        let mut found = Vec::new();
        while found.len() < wanted {
            let limit = PAGE.min(wanted - found.len());
            let (store, tenant) = (&self.app.store, self.snapshot.tenant);
            let page = store.children(tenant, Space::Secret, prefix, after.as_deref(), limit).await?;
            let is_last = page.len() < limit;
            after = page.last().map(|child| child.name.clone());
            found.extend(page);
            if is_last {
                break;
            }
        }
        Ok(found)
    }

    /// Adds a version and drops those that are too old.
    async fn add_version<A: ActionType>(
        &mut self,
        permit: &Permit<A>,
        place: &Place,
        mut record: SecretRecord,
        data: &Secret<Vec<u8>>,
    ) -> Result<VersionInfo, AppError> {
        let most = self.limit(Limit::ValueBytes);
        if data.expose().len() as u64 > most {
            // Not `LimitExceeded`: there is nothing to remove and nothing to wait for, this very request is too large.
            return Err(AppError::with_detail(Code::BodyTooLarge, format!("a secret's value may have {most} bytes")));
        }
        record.current += 1;
        let number = record.current;
        let version = VersionRecord {
            created: self.now(),
            deleted: deletion_time(&place.mount, &record, self.earliest()),
            is_deleted: false,
            is_destroyed: false,
        };
        let info = version.info(number);
        record.versions.insert(number, version);
        let kept = match record.max_versions.max(place.mount.config.max_versions) {
            0 => MAX_VERSIONS_DEFAULT,
            wanted => wanted,
        };
        let kept = u64::from(kept).min(self.limit(Limit::VersionsPerSecret)).max(1);
        let first_kept = number.saturating_sub(kept) + 1;
        let dropped: Vec<u64> = record.versions.range(..first_kept).map(|(number, _)| *number).collect();
        for old in dropped {
            record.versions.remove(&old);
            self.remove_value(permit, place, old).await?;
        }
        record.oldest = record.versions.keys().next().copied().unwrap_or(0);
        let key = version_key(&place.mount.id, &place.path, number);
        self.put_bytes(permit, Space::SecretVersion, key, None, data.expose())?;
        self.put_secret(permit, place, record)?;
        self.concerning_version(number);
        Ok(info)
    }
}

/// A secret's place, with the version of its metadata record.
struct Place {
    mount: Arc<MountRecord>,
    path: SecretPath,
    replaces: Option<u64>,
}

fn mounted(mount: Option<Arc<MountRecord>>) -> Result<Arc<MountRecord>, AppError> {
    mount.ok_or_else(|| AppError::new(Code::MountNotFound))
}

fn check_cas(mount: &MountRecord, record: &SecretRecord, cas: Option<u64>) -> Result<(), AppError> {
    match cas {
        Some(cas) if cas != record.current => {
            Err(AppError::with_detail(Code::CasConflict, format!("the current version is {}", record.current)))
        }
        None if mount.config.cas_required || record.cas_required => Err(AppError::new(Code::CasRequired)),
        _ => Ok(()),
    }
}

/// Reads a version.
pub struct Reveal {
    /// Of which secret.
    pub at: SecretAt,
    /// Which version; the newest if absent or 0.
    pub version: Option<u64>,
}

impl UseCase for Reveal {
    type Action = act::SecretReveal;
    type Reply = Revealed;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Revealed>, AppError> {
        let (mount, found) = tx.locate_secret(&self.at).await?;
        let permit = tx.authorize::<act::SecretReveal>(found.resource()).await?;
        let mount = mounted(mount)?;
        let (replaces, record) = tx.load_as_is(&permit, found)?;
        let number = self.version.filter(|version| *version > 0).unwrap_or(record.current);
        tx.concerning_version(number);
        let version = record.versions.get(&number).ok_or_else(|| AppError::new(Code::VersionNotFound))?;
        let place = Place { mount, path: self.at.path.clone(), replaces: Some(replaces) };
        let data = if version.is_gone(tx.latest()) {
            tx.answer_is(Code::VersionNotFound);
            None
        } else {
            Some(tx.value(&permit, &place, number).await?)
        };
        let revealed = Revealed { data, version: version.info(number), custom_metadata: record.custom.clone() };
        tx.commit(permit, revealed).await
    }
}

/// Writes a version.
pub struct Write {
    /// Of which secret.
    pub at: SecretAt,
    /// JSON text of an object, checked at the door.
    pub data: Secret<Vec<u8>>,
    /// The version that it must replace; 0: there must be none.
    pub cas: Option<u64>,
}

impl UseCase for Write {
    type Action = act::SecretWrite;
    type Reply = VersionWritten;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<VersionWritten>, AppError> {
        let (mount, found) = tx.locate_secret(&self.at).await?;
        let permit = tx.authorize::<act::SecretWrite>(found.resource()).await?;
        let mount = mounted(mount)?;
        let before = tx.load_if_any(&permit, found)?;
        let replaces = before.as_ref().map(|(version, _)| *version);
        let record = before.map_or_else(|| SecretRecord::new(tx.now()), |(_, record)| record);
        check_cas(&mount, &record, self.cas)?;
        let custom_metadata = record.custom.clone();
        let place = Place { mount, path: self.at.path.clone(), replaces };
        let version = tx.add_version(&permit, &place, record, &self.data).await?;
        tx.commit(permit, VersionWritten { version, custom_metadata }).await
    }
}

/// A version just written.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct VersionWritten {
    /// About the version.
    pub version: VersionInfo,
    /// What people wrote beside it.
    pub custom_metadata: BTreeMap<String, String>,
}

/// Writes a version by merging into the newest (RFC 7396).
pub struct Patch {
    /// Of which secret.
    pub at: SecretAt,
    /// What to merge: JSON text of an object, checked at the door.
    pub patch: Secret<Vec<u8>>,
    /// The version that it must replace.
    pub cas: Option<u64>,
}

impl UseCase for Patch {
    type Action = act::SecretPatch;
    type Reply = VersionWritten;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<VersionWritten>, AppError> {
        let (mount, found) = tx.locate_secret(&self.at).await?;
        let permit = tx.authorize::<act::SecretPatch>(found.resource()).await?;
        let mount = mounted(mount)?;
        let (replaces, record) = tx.load(&permit, found)?;
        check_cas(&mount, &record, self.cas)?;
        let newest = record.versions.get(&record.current);
        if newest.is_none_or(|version| version.is_gone(tx.latest())) {
            return Err(AppError::new(Code::VersionNotFound));
        }
        let custom_metadata = record.custom.clone();
        let place = Place { mount, path: self.at.path.clone(), replaces: Some(replaces) };
        let current = tx.value(&permit, &place, record.current).await?;
        let merged = crate::merge::merge_patch(current.expose(), self.patch.expose())?;
        let version = tx.add_version(&permit, &place, record, &merged).await?;
        tx.commit(permit, VersionWritten { version, custom_metadata }).await
    }
}

/// Which versions an act is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest.
    Newest,
    /// These. Numbers that the secret does not have are passed over.
    These(Vec<u64>),
}

/// The most versions that one request may name.
pub const VERSIONS_MAX: usize = 1_000;

macro_rules! version_act {
    ($(#[$doc:meta])* $name:ident, $action:ident, |$tx:ident, $permit:ident, $place:ident, $number:ident, $version:ident, $renewed:ident| $change:block) => {
        $(#[$doc])*
        pub struct $name {
            /// Of which secret.
            pub at: SecretAt,
            /// Which versions.
            pub which: Which,
        }

        impl UseCase for $name {
            type Action = act::$action;
            type Reply = Done;
            async fn run(&self, $tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
                let (mount, found) = $tx.locate_secret(&self.at).await?;
                let $permit = $tx.authorize::<act::$action>(found.resource()).await?;
                let mount = mounted(mount)?;
                let (replaces, mut record) = $tx.load(&$permit, found)?;
                let $renewed = deletion_time(&mount, &record, $tx.earliest());
                let $place = Place { mount, path: self.at.path.clone(), replaces: Some(replaces) };
                let numbers = match &self.which {
                    Which::Newest => vec![record.current],
                    Which::These(numbers) if numbers.is_empty() || numbers.len() > VERSIONS_MAX => {
                        return Err(AppError::invalid(format!("name 1 to {VERSIONS_MAX} versions")));
                    }
                    Which::These(numbers) => numbers.clone(),
                };
                let mut touched = Vec::new();
                for $number in numbers {
                    if let Some($version) = record.versions.get_mut(&$number) {
                        let changed: bool = $change;
                        if changed {
                            touched.push($number.to_string());
                        }
                    }
                }
                $tx.note("versions", touched.join(","));
                if !touched.is_empty() {
                    // As with Vault, `updated` tells of writes of values and settings, not of what befell old versions.
                    let key = secret_key(&$place.mount.id, $place.path.as_str());
                    $tx.put(&$permit, key, $place.replaces, &record)?;
                }
                $tx.commit($permit, Done {}).await
            }
        }
    };
}

version_act!(
    /// Deletes versions so that they can be undeleted.
    Delete, SecretDelete, |tx, permit, place, number, version, _renewed| {
        // What has come to its end by this node's clock is deleted all the same: by another's it may be there still.
        let is_there = !version.is_destroyed && !version.is_deleted;
        if is_there {
            version.is_deleted = true;
            version.deleted = Some(version.deleted.map_or(tx.now(), |already| already.min(tx.now())));
        }
        is_there
    }
);
version_act!(
    /// Brings deleted versions back. Where versions have a lifetime, theirs begins anew.
    Undelete, SecretUndelete, |tx, permit, place, number, version, renewed| {
        let is_deleted = !version.is_destroyed && version.deleted.is_some();
        if is_deleted {
            version.is_deleted = false;
            version.deleted = renewed;
        }
        is_deleted
    }
);
version_act!(
    /// Destroys versions for good.
    Destroy, SecretDestroy, |tx, permit, place, number, version, _renewed| {
        let is_there = !version.is_destroyed;
        if is_there {
            version.is_destroyed = true;
            tx.remove_value(&permit, &place, number).await?;
        }
        is_there
    }
);

fn metadata(record: SecretRecord) -> SecretMetadata {
    SecretMetadata {
        current_version: record.current,
        oldest_version: record.oldest,
        created: record.created,
        updated: record.updated,
        max_versions: record.max_versions,
        cas_required: record.cas_required,
        delete_version_after_seconds: u64::try_from(record.delete_after_seconds).unwrap_or(0),
        custom_metadata: record.custom,
        versions: record.versions.iter().map(|(number, version)| version.info(*number)).collect(),
    }
}

/// Shows a secret's versions and metadata.
pub struct Describe {
    /// Which secret.
    pub at: SecretAt,
}

impl UseCase for Describe {
    type Action = act::SecretDescribe;
    type Reply = SecretMetadata;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<SecretMetadata>, AppError> {
        let (mount, found) = tx.locate_secret(&self.at).await?;
        let permit = tx.authorize::<act::SecretDescribe>(found.resource()).await?;
        mounted(mount)?;
        let (version, record) = tx.load(&permit, found)?;
        tx.etag(version);
        tx.commit(permit, metadata(record)).await
    }
}

/// What to change in a secret's settings; what is absent stays.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Versions to keep; 0: the mount's setting.
    pub max_versions: Option<u32>,
    /// Whether every write must name the version that it replaces.
    pub cas_required: Option<bool>,
    /// How long a version lives; 0: the mount's setting; negative: for ever.
    pub delete_after_seconds: Option<i64>,
    /// Names and values; a `None` value takes one away when merging.
    pub custom_metadata: Option<BTreeMap<String, Option<String>>>,
    /// Take all custom metadata away first, also when merging.
    pub clears_custom_metadata: bool,
}

/// Changes a secret's settings and custom metadata.
pub struct Configure {
    /// Which secret.
    pub at: SecretAt,
    /// What changes.
    pub settings: Settings,
    /// Merge into the custom metadata of a secret that must exist, instead of replacing it.
    pub is_merge: bool,
    /// Only if the metadata still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Configure {
    type Action = act::SecretConfigure;
    type Reply = SecretMetadata;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<SecretMetadata>, AppError> {
        let (mount, found) = tx.locate_secret(&self.at).await?;
        let permit = tx.authorize::<act::SecretConfigure>(found.resource()).await?;
        let mount = mounted(mount)?;
        let before = tx.load_if_any(&permit, found)?;
        let replaces = before.as_ref().map(|(version, _)| *version);
        if self.is_merge && before.is_none() {
            return Err(AppError::not_found());
        }
        crate::accounts::check_precondition(self.if_match, replaces.unwrap_or(0))?;
        let mut record = before.map_or_else(|| SecretRecord::new(tx.now()), |(_, record)| record);
        let settings = &self.settings;
        if let Some(wanted) = settings.max_versions {
            let most = tx.limit(Limit::VersionsPerSecret);
            if u64::from(wanted) > most {
                return Err(AppError::limit(Limit::VersionsPerSecret, most));
            }
            record.max_versions = wanted;
        }
        validate::lifetime(settings.delete_after_seconds.unwrap_or(0))?;
        record.cas_required = settings.cas_required.unwrap_or(record.cas_required);
        record.delete_after_seconds = settings.delete_after_seconds.unwrap_or(record.delete_after_seconds);
        if settings.clears_custom_metadata {
            record.custom.clear();
        }
        if let Some(custom) = &settings.custom_metadata {
            if !self.is_merge {
                record.custom.clear();
            }
            for (name, value) in custom {
                match value {
                    Some(value) => record.custom.insert(name.clone(), value.clone()),
                    None => record.custom.remove(name),
                };
            }
            validate::custom_metadata(record.custom.iter())?;
        }
        let place = Place { mount, path: self.at.path.clone(), replaces };
        let record = tx.put_secret(&permit, &place, record)?;
        // Custom metadata is what policies see: decisions from before must not outlive the change.
        tx.bump_epoch();
        tx.etag(replaces.unwrap_or(0) + 1);
        tx.commit(permit, metadata(record)).await
    }
}

/// Destroys a secret with everything in it.
pub struct Purge {
    /// Which secret.
    pub at: SecretAt,
    /// Only if the metadata still has this version.
    pub if_match: Option<u64>,
}

impl UseCase for Purge {
    type Action = act::SecretPurge;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let (mount, found) = tx.locate_secret(&self.at).await?;
        let permit = tx.authorize::<act::SecretPurge>(found.resource()).await?;
        let mount = mounted(mount)?;
        let (replaces, record) = tx.load(&permit, found)?;
        crate::accounts::check_precondition(self.if_match, replaces)?;
        let place = Place { mount, path: self.at.path.clone(), replaces: Some(replaces) };
        for number in record.versions.keys() {
            tx.remove_value(&permit, &place, *number).await?;
        }
        let key = secret_key(&place.mount.id, place.path.as_str());
        tx.remove(&permit, SecretRecord::SPACE, key, replaces)?;
        tx.commit(permit, Done {}).await
    }
}

/// Lists the names in a folder.
pub struct List {
    /// In which mount.
    pub mount: MountName,
    /// In which folder; the mount's top if absent.
    pub folder: Option<SecretPath>,
    /// Which part.
    pub part: ListPart,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone)]
pub enum ListPart {
    /// A page.
    Page(PageRequest),
    /// All of it in one answer, as Vault's clients want it: they do not know pages.
    Whole {
        /// Start after this name, whether or not it is there.
        after: Option<String>,
        /// At most so many names.
        most: Option<usize>,
    },
}

impl UseCase for List {
    type Action = act::SecretList;
    type Reply = Page<String>;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Page<String>>, AppError> {
        let folder = self.folder.as_ref().map_or("", SecretPath::as_str);
        let resource = resource_of_path(self.mount.as_str(), folder, true);
        let permit = tx.authorize::<act::SecretList>(&resource).await?;
        let mount = mounted(tx.mount(&self.mount).await?)?;
        let query = format!("{}/{folder}", mount.id);
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let prefix = secret_key(&mount.id, &prefix);
        let (after, limit, is_page) = match &self.part {
            ListPart::Page(page) => (tx.page_after(page, &query)?, tx.page_limit(page)?, true),
            ListPart::Whole { after, most } => {
                (after.as_ref().map(|name| name.clone().into_bytes()), most.unwrap_or(usize::MAX), false)
            }
        };
        let mut children = tx.children(&prefix, after, limit.saturating_add(usize::from(is_page))).await?;
        let has_more = is_page && children.len() > limit;
        children.truncate(limit);
        let next = match children.last() {
            Some(last) if has_more => Some(tx.cursor(&query, &last.name)?),
            _ => None,
        };
        let items = children
            .into_iter()
            .map(|child| String::from_utf8(child.name).map_err(AppError::internal))
            .collect::<Result<Vec<_>, _>>()?;
        tx.commit(permit, Page { items, next }).await
    }
}
