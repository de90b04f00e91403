//! What is known of one plane at one epoch: keys, limits, policies, credentials.
//!
//! A snapshot never expires and is never invalidated. It may be as old as it likes, because nothing decided from it is
//! answered unless the store still has the same epoch when the decision's entry is appended; if not, the snapshot is
//! dropped and the admission runs again on a new one. What is loaded into it late (a credential, a mount) is sound for
//! the same reason: a change that matters moves the epoch.
//!
//! # Invariants
//! - INV-SNAPSHOT-1: everything that a decision rests on is either read under the snapshot's epoch or its change
//!   bumps the epoch.
//! - INV-SNAPSHOT-2: absence is not cached: a credential that was issued a moment ago is found.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bailiwick_authz::{Authority, Cache, CompiledPolicy, CredentialFacts, PrincipalFacts, SecretVerifier};
use bailiwick_seal::{Context, Keyring, Purpose, SealError, Verifier};
use bailiwick_store::{Header, Record, Write};
use bailiwick_types::{CredentialId, InstallationId, Limits, MountName, Secret, TenantId, Timestamp};
use tokio::sync::OnceCell;

use crate::error::AppError;
use crate::records::{MountRecord, MovedMark, SecretRecord, Stored, TenantMeta};
use crate::state::TenantState;

/// About how many bytes of memory a snapshot takes when nothing has been remembered, most of them for keys: a guess, below
/// what a million tenants showed together with what else is kept of them.
pub(crate) const SNAPSHOT_BYTES: u64 = 6_144;
// How many of each are remembered at most, and how many bytes one takes: guesses, too.
const CREDENTIALS_MAX: usize = 4_096;
const CREDENTIAL_BYTES: usize = 2_048;
const MOUNTS_MAX: usize = 256;
const MOUNT_BYTES: usize = 512;
const OPENED_MAX: usize = 4_096;
/// Beside the sealed bytes, which are kept, and what they hold, which takes about twice as much again.
const OPENED_BYTES: usize = 1_024;

/// One plane at one epoch.
pub(crate) struct Snapshot {
    pub(crate) tenant: TenantId,
    pub(crate) slug: String,
    pub(crate) epoch: u64,
    pub(crate) state: TenantState,
    /// What the operator set for this tenant.
    pub(crate) quotas: Limits,
    /// What is in force.
    pub(crate) limits: Limits,
    /// Absent while the tenant is sealed, and for ever once it is shredded.
    pub(crate) keyring: Option<Arc<Keyring>>,
    /// What its seals are bound to: the installation that it was made in.
    pub(crate) installation: InstallationId,
    /// Where the tenant was exported to, for good.
    pub(crate) moved: Option<MovedMark>,
    /// The platform's epoch that the guardrails are of.
    pub(crate) platform_epoch: u64,
    pub(crate) authority: OnceCell<Arc<Authority>>,
    /// Only credentials and mounts that are there.
    credentials: Cache<CredentialId, Arc<KnownCredential>>,
    mounts: Cache<MountName, Arc<MountRecord>>,
    pub(crate) secrets: Opened<SecretRecord>,
    /// The platform's guardrails, compiled. Only in the platform's own snapshot.
    pub(crate) guardrails: OnceCell<Arc<[Arc<CompiledPolicy>]>>,
}

impl Snapshot {
    pub(crate) fn new(
        header: &Header,
        meta: &TenantMeta,
        keyring: Option<Arc<Keyring>>,
        installation: InstallationId,
        platform_epoch: u64,
    ) -> Self {
        Self {
            tenant: header.tenant,
            slug: header.slug.clone(),
            epoch: header.epoch,
            state: TenantState::from_number(header.state),
            quotas: meta.quotas.clone(),
            limits: meta.quotas.clone(),
            keyring,
            installation,
            moved: meta.moved.clone(),
            platform_epoch,
            authority: OnceCell::new(),
            credentials: Cache::new(CREDENTIALS_MAX, CREDENTIALS_MAX * CREDENTIAL_BYTES),
            mounts: Cache::new(MOUNTS_MAX, MOUNTS_MAX * MOUNT_BYTES),
            secrets: Opened::default(),
            guardrails: OnceCell::new(),
        }
    }

    /// About how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> u64 {
        let policies = self.authority.get().map_or(0, |authority| authority.policy_bytes());
        SNAPSHOT_BYTES + policies as u64 + self.remembered_bytes()
    }

    /// How many of these are of what [`Snapshot::forget`] forgets.
    pub(crate) fn remembered_bytes(&self) -> u64 {
        let decisions = self.authority.get().map_or(0, |authority| authority.remembered_bytes());
        (self.credentials.bytes() + self.mounts.bytes() + self.secrets.bytes() + decisions) as u64
    }

    pub(crate) fn known_credential(&self, id: CredentialId) -> Option<Arc<KnownCredential>> {
        self.credentials.get(&id)
    }

    pub(crate) fn remember_credential(&self, id: CredentialId, known: Arc<KnownCredential>) {
        self.credentials.insert(id, known, CREDENTIAL_BYTES);
    }

    pub(crate) fn known_mount(&self, name: &MountName) -> Option<Arc<MountRecord>> {
        self.mounts.get(name)
    }

    pub(crate) fn remember_mount(&self, name: MountName, record: Arc<MountRecord>) {
        self.mounts.insert(name, record, MOUNT_BYTES);
    }

    /// Forgets what requests have brought along and can be found out again.
    pub(crate) fn forget(&self) {
        self.credentials.clear();
        self.mounts.clear();
        self.secrets.clear();
        if let Some(authority) = self.authority.get() {
            authority.forget();
        }
    }

    /// The keys, or the answer that the tenant is sealed.
    pub(crate) fn keyring(&self) -> Result<&Arc<Keyring>, AppError> {
        self.keyring.as_ref().ok_or_else(|| AppError::new(bailiwick_types::Code::TenantSealed))
    }

    pub(crate) fn context<'a>(&self, space: &'a str, key: &'a [u8], version: u64) -> Context<'a> {
        Context { installation: self.installation, tenant: self.tenant, space, key, version }
    }

    /// Opens a stored record.
    pub(crate) fn open<R: Stored>(&self, key: &[u8], version: u64, sealed: &[u8]) -> Result<R, AppError> {
        let bytes = self.open_bytes(R::SPACE.as_str(), key, version, sealed)?;
        serde_json::from_slice(bytes.expose())
            .map_err(|_| AppError::internal(format_args!("a {} record does not parse", R::SPACE.as_str())))
    }

    /// As [`Snapshot::open`], of a record that may be asked for again: of a kind that is remembered it is opened once for as
    /// long as it stays as it is.
    pub(crate) fn open_once<R: Stored>(&self, key: &[u8], stored: &Record) -> Result<Arc<R>, AppError> {
        let open = || self.open(key, stored.version, &stored.sealed).map(Arc::new);
        let Some(opened) = R::opened(self) else { return open() };
        if let Some(record) = opened.find(key, stored) {
            return Ok(record);
        }
        let record = open()?;
        opened.remember(key, stored.clone(), Arc::clone(&record));
        Ok(record)
    }

    /// Notes what a write would be opened to. Should it never come to be stored, nothing asks for it.
    pub(crate) fn note_written<R: Stored>(&self, write: &Write, record: &R) {
        if let (Some(opened), Some((version, sealed))) = (R::opened(self), &write.value) {
            let stored = Record { version: *version, sealed: sealed.clone() };
            opened.remember(&write.key, stored, Arc::new(record.clone()));
        }
    }

    pub(crate) fn open_bytes(
        &self,
        space: &str,
        key: &[u8],
        version: u64,
        sealed: &[u8],
    ) -> Result<Secret<Vec<u8>>, AppError> {
        match self.keyring()?.open(Purpose::Records, &self.context(space, key, version), sealed) {
            Ok(bytes) => Ok(bytes),
            // Another node has rotated keys since: the commit of this very failure finds that out, and it is decided anew.
            Err(SealError::UnknownKeyVersion(version)) => Err(AppError::behind(version)),
            Err(error) => Err(error.into()),
        }
    }
}

/// Records as they were opened, by their keys, each with what it was opened from.
pub(crate) struct Opened<R>(Cache<Vec<u8>, Arc<(Record, Arc<R>)>>);

impl<R> Default for Opened<R> {
    fn default() -> Self {
        Self(Cache::new(OPENED_MAX, OPENED_MAX * OPENED_BYTES))
    }
}

impl<R> Opened<R> {
    /// What this was opened to, and nothing else that was ever stored there.
    fn find(&self, key: &[u8], stored: &Record) -> Option<Arc<R>> {
        let known = self.0.get(key)?;
        let (was, record) = &*known;
        (was == stored).then(|| Arc::clone(record))
    }

    pub(crate) fn remember(&self, key: &[u8], stored: Record, record: Arc<R>) {
        let bytes = OPENED_BYTES + 3 * stored.sealed.len() + key.len();
        self.0.insert(key.to_vec(), Arc::new((stored, record)), bytes);
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    fn clear(&self) {
        self.0.clear();
    }
}

/// A credential and its principal, as loaded under the snapshot's epoch.
pub(crate) struct KnownCredential {
    pub(crate) facts: CredentialFacts,
    pub(crate) created: Timestamp,
    pub(crate) verifier: Verifier,
    pub(crate) principal: Arc<PrincipalFacts>,
    /// The minute of its last use that was written down, or is being written down.
    last_used_minute: AtomicI64,
}

impl KnownCredential {
    pub(crate) fn new(
        facts: CredentialFacts,
        created: Timestamp,
        verifier: Verifier,
        principal: Arc<PrincipalFacts>,
    ) -> Self {
        Self { facts, created, verifier, principal, last_used_minute: AtomicI64::new(i64::MIN) }
    }

    /// Whether the caller should write down that the credential is used now: once a minute, by one request.
    pub(crate) fn claims_last_use(&self, now: Timestamp) -> bool {
        let minute = now.unix_ms().div_euclid(60_000);
        let seen = self.last_used_minute.load(Ordering::Relaxed);
        minute > seen
            && self.last_used_minute.compare_exchange(seen, minute, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Compares a presented secret with a stored verifier, under the tenant's key.
pub(crate) struct StoredVerifier<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) verifier: &'a Verifier,
}

impl SecretVerifier for StoredVerifier<'_> {
    fn verify(&self, id: CredentialId, secret: &[u8; 32]) -> bool {
        self.keyring.check_credential(id, secret, self.verifier)
    }
}
