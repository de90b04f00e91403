//! What whoever moves whole installations has to know of what the kernel keeps in a store, and how a restored one is
//! accepted. None of it opens anything: no keys are needed, and none are here, until a restored installation is open again
//! and writes into its ledger that it was restored.
//!
//! # Why a restored installation comes up shut
//! A backup knows nothing of what was revoked after it was made. Restored as it is, it would accept credentials, members and
//! operators that had been cut off, and nobody would have decided that. So, unless whoever restores it vouches for it:
//! - every tenant comes up suspended, and an operator resumes each one after asking what was revoked in it since;
//! - the platform comes up sealed, so that no operator gets in either, until somebody with access to the store has named the
//!   operators' credentials that are good today ([`accept`]). All others are removed, not asked;
//! - credentials of tenants that are known to be revoked since (from a later ledger) can be removed before any of it is
//!   opened ([`remove_credentials`]), as nobody of a suspended tenant can do that.
//!
//! A restore has no keys to write an entry with. It leaves a mark in the platform's header, and the first node that has the
//! platform's keys again turns it into one ([`App::note_restored`]).
//!
//! The canaries go on: their credentials were in the memory of the server that was, and nowhere else.

use std::collections::BTreeSet;

use bailiwick_store::{Commit, Expect, Header, HeaderChange, Part, Space, Store, Write};
use bailiwick_types::{Code, CredentialId, InstallationId, TenantId};

use crate::app::App;
use crate::error::AppError;
use crate::records::{RestoredMark, TenantMeta};
use crate::snapshot::Snapshot;
use crate::state::{Phase, TenantState};
use crate::tx::seal_entry;

/// What the entry of a restore says. Not in the action table: no request does it, so no policy allows it.
pub const RESTORE: &str = "installation:restore";

/// The state of a plane that is being moved: an unknown one, which reads as deleted. Nothing is answered in it, and no
/// background work is done.
pub const CLOSED: u8 = 0;

/// How many records are looked at a time.
const PAGE: usize = 1_000;

/// Which installation a platform's header is of, if it parses.
pub fn installation_of(platform: &Header) -> Option<InstallationId> {
    let meta = TenantMeta::from_bytes(&platform.meta).ok()?;
    meta.installation.map(|record| record.installation())
}

/// The state that a plane has in a restored installation which nobody vouches for.
pub fn restored_state(header: &Header) -> u8 {
    let state = TenantState::from_number(header.state);
    // What this release does not know stays what it is, and closed.
    if state.number() != header.state {
        return header.state;
    }
    if header.tenant.is_platform() {
        return state.sealed(true).number();
    }
    let is_canary = TenantMeta::from_bytes(&header.meta).is_ok_and(|meta| meta.prober.is_some());
    match state.phase {
        Phase::Active if !is_canary => state.in_phase(Phase::Suspended).number(),
        _ => header.state,
    }
}

/// The contents that a plane's header has in a restored installation: the platform's say that it was.
pub fn restored_meta(header: &Header, is_trusted: bool) -> Vec<u8> {
    let marked = || {
        let mut meta = TenantMeta::from_bytes(&header.meta).ok()?;
        meta.restored = Some(RestoredMark { is_trusted, kept: 0, removed: 0 });
        meta.to_bytes().ok()
    };
    // What does not parse stays what it is, and opens nothing.
    header.tenant.is_platform().then(marked).flatten().unwrap_or_else(|| header.meta.clone())
}

/// Whether a plane in this state waits for its keys to be destroyed: if the hold is over, that is done as soon as the
/// installation is open again, also to a tenant that was saved after the backup.
pub fn is_being_deleted(state: u8) -> bool {
    TenantState::from_number(state).phase == Phase::Deleting
}

/// The answer where a plane has no keys in memory, to whoever holds a credential of it.
pub(crate) fn sealed(snapshot: &Snapshot) -> AppError {
    if snapshot.tenant.is_platform() {
        let why =
            "the installation was restored from a backup, and nobody has accepted that: `bailiwick restore accept`";
        return AppError::with_detail(Code::TenantSealed, why);
    }
    AppError::new(Code::TenantSealed)
}

/// Which credentials of operators are good today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// These, and no other.
    Only(BTreeSet<CredentialId>),
    /// All that the backup had: somebody knows that none was revoked since.
    All,
}

/// What an acceptance did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Operators' credentials that are good.
    pub kept: usize,
    /// Operators' credentials that were removed.
    pub removed: usize,
}

/// Opens the platform of a restored installation to the operators' credentials that are named, and removes all others. One
/// commit: the platform is open only without them.
///
/// # Errors
/// [`Code::WrongState`] if it does not wait for this; [`Code::InvalidRequest`] if a credential is named that it does not
/// have; whatever the store says.
pub async fn accept(store: &dyn Store, keep: &Keep) -> Result<Accepted, AppError> {
    let header = store.header(TenantId::PLATFORM).await?.ok_or_else(|| AppError::new(Code::NotInitialized))?;
    let state = TenantState::from_number(header.state);
    if state.number() != header.state || !state.is_sealed {
        return Err(AppError::with_detail(Code::WrongState, "the installation does not wait to be accepted"));
    }
    let (mut kept, mut gone) = (BTreeSet::new(), BTreeSet::new());
    let mut writes = Vec::new();
    for (key, version) in keys(store, TenantId::PLATFORM, Space::Credential).await? {
        let id = <[u8; 16]>::try_from(key.as_slice()).map(CredentialId::from_bytes);
        let id = id.map_err(|_| AppError::internal("a credential's key is no id"))?;
        let is_kept = match keep {
            Keep::All => true,
            Keep::Only(ids) => ids.contains(&id),
        };
        if is_kept {
            kept.insert(id);
        } else {
            gone.insert(id);
            writes.push(removal(Space::Credential, key, version));
        }
    }
    if let Keep::Only(ids) = keep
        && let Some(unknown) = ids.difference(&kept).next()
    {
        return Err(AppError::invalid(format!("the backup has no operator's credential `{unknown}`")));
    }
    if kept.is_empty() {
        return Err(AppError::invalid("with no credential kept, no operator could get in"));
    }
    writes.extend(traces(store, TenantId::PLATFORM, &gone).await?);
    let mut meta = TenantMeta::from_bytes(&header.meta)?;
    // Also for one that was restored before there was a mark.
    meta.restored = Some(RestoredMark { is_trusted: false, kept: kept.len(), removed: gone.len() });
    let part = Part {
        tenant: TenantId::PLATFORM,
        expect: Expect::Epoch(header.epoch),
        header: HeaderChange {
            bump_epoch: true,
            state: Some(state.sealed(false).number()),
            meta: Some((header.meta_version, meta.to_bytes()?)),
            ..HeaderChange::default()
        },
        writes,
        entries: Vec::new(),
    };
    store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
    Ok(Accepted { kept: kept.len(), removed: gone.len() })
}

impl App {
    /// Writes into the platform's ledger that the installation was restored, if that is so and the platform is open. The mark
    /// goes with the commit that has the entry: of several nodes one writes it, and a node that is cut off leaves it to the
    /// next.
    pub(crate) async fn note_restored(&self, header: &Header, mut meta: TenantMeta) -> Result<(), AppError> {
        let Some(mark) = meta.restored.take() else { return Ok(()) };
        let written = async {
            let Some(snapshot) = self.snapshot_of(header).await?.filter(|snapshot| snapshot.keyring.is_some()) else {
                return Ok(());
            };
            let mut entry = self.system_entry(TenantId::PLATFORM, RESTORE, "Platform", "platform");
            let details = match mark.is_trusted {
                true => vec![("trusted", "true".to_owned())],
                false => vec![
                    ("operator_credentials_kept", mark.kept.to_string()),
                    ("operator_credentials_removed", mark.removed.to_string()),
                ],
            };
            entry.detail.extend(details.into_iter().map(|(name, text)| (name.to_owned(), text)));
            let part = Part {
                tenant: TenantId::PLATFORM,
                expect: Expect::Epoch(snapshot.epoch),
                header: HeaderChange { meta: Some((header.meta_version, meta.to_bytes()?)), ..HeaderChange::default() },
                writes: Vec::new(),
                entries: vec![seal_entry(self, &snapshot, &entry)?],
            };
            self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
            tracing::info!("the installation was restored: its ledger says so now");
            Ok(())
        };
        match written.await {
            // Another node was faster, or the header has moved on: the next look tells.
            Err(error) if self.should_retry(&error) => Ok(()),
            written => written,
        }
    }
}

/// Removes credentials, whichever plane they are of: what is known to have been revoked after a backup. Answers with those
/// that were there. Each plane's are one commit, which bumps its epoch; cut off, the same call does the rest.
///
/// # Errors
/// Whatever the store says.
pub async fn remove_credentials(
    store: &dyn Store,
    ids: &BTreeSet<CredentialId>,
) -> Result<BTreeSet<CredentialId>, AppError> {
    let mut removed = remove_in(store, TenantId::PLATFORM, ids).await?;
    let mut after: Option<String> = None;
    loop {
        let page = store.headers(after.as_deref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|header| header.slug.clone());
        for header in page {
            removed.extend(remove_in(store, header.tenant, ids).await?);
        }
        if is_last {
            return Ok(removed);
        }
    }
}

async fn remove_in(
    store: &dyn Store,
    tenant: TenantId,
    ids: &BTreeSet<CredentialId>,
) -> Result<BTreeSet<CredentialId>, AppError> {
    let Some(header) = store.header(tenant).await? else { return Ok(BTreeSet::new()) };
    let (mut gone, mut writes) = (BTreeSet::new(), Vec::new());
    for id in ids {
        if let Some(record) = store.record(tenant, Space::Credential, id.as_bytes()).await? {
            gone.insert(*id);
            writes.push(removal(Space::Credential, id.as_bytes().to_vec(), record.version));
        }
    }
    if gone.is_empty() {
        return Ok(gone);
    }
    writes.extend(traces(store, tenant, &gone).await?);
    let part = Part {
        tenant,
        expect: Expect::Epoch(header.epoch),
        header: HeaderChange { bump_epoch: true, ..HeaderChange::default() },
        writes,
        entries: Vec::new(),
    };
    store.commit(Commit { parts: vec![part], guards: Vec::new() }).await?;
    Ok(gone)
}

/// What else there is of credentials that go: their places in the index, and when they were last used. In both the id is at
/// the end of the key.
async fn traces(store: &dyn Store, tenant: TenantId, gone: &BTreeSet<CredentialId>) -> Result<Vec<Write>, AppError> {
    let mut writes = Vec::new();
    for space in [Space::CredentialOf, Space::Usage] {
        for (key, version) in keys(store, tenant, space).await? {
            if key.last_chunk::<16>().is_some_and(|id| gone.contains(&CredentialId::from_bytes(*id))) {
                writes.push(removal(space, key, version));
            }
        }
    }
    Ok(writes)
}

fn removal(space: Space, key: Vec<u8>, version: u64) -> Write {
    Write { space, key, expected: Some(version), value: None, count_max: None }
}

/// The keys of a plane's records in a space, with their versions.
async fn keys(store: &dyn Store, tenant: TenantId, space: Space) -> Result<Vec<(Vec<u8>, u64)>, AppError> {
    let mut keys = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = store.records(tenant, space, b"", after.as_deref(), PAGE).await?;
        let is_last = page.len() < PAGE;
        after = page.last().map(|(key, _)| key.clone());
        keys.extend(page.into_iter().map(|(key, record)| (key, record.version)));
        if is_last {
            return Ok(keys);
        }
    }
}
