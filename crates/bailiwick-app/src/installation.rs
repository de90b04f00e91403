//! The installation's life: initialised once, sealed at every start, unsealed by whoever holds the root key.
//!
//! The root key is held by a file (development), a passphrase, or Shamir shares. While it is absent from memory nothing
//! opens, and every door says so.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bailiwick_ledger::CompactRange;
use bailiwick_ledger::entry::{Actor, ActorKind, Decision, Entry, EntryResource, V1, salt};
use bailiwick_ledger::note::VerifierKey;
use bailiwick_seal::{
    InstallationRecord, Keyring, LedgerSigner, PassphraseParams, Provider, RootKey, SealError, ShareLabel,
};
use bailiwick_store::{Commit, CommitError, Counts, Expect, Header, HeaderChange, Part};
use bailiwick_types::action::act;
use bailiwick_types::api::Done;
use bailiwick_types::api::platform::{
    CreatedOperator, Initialize, Initialized, RotateRootKey, RotatedRootKey, SealStatus, Unseal,
};
use bailiwick_types::api::tenant::Reason;
use bailiwick_types::{ActionType, Code, InstallationId, OperatorId, RequestId, Secret, TenantId};

use crate::app::{App, PlatformUseCase};
use crate::credentials::OwnCredential;
use crate::error::AppError;
use crate::operators::OPERATOR_ADMIN;
use crate::records::{OperatorRecord, TenantMeta};
use crate::snapshot::Snapshot;
use crate::state::TenantState;
use crate::tenants::platform;
use crate::tx::{Answer, PlatformTx, seal_entry, seal_record, tenant_name};
use crate::validate;

/// Shares given so far.
#[derive(Default)]
pub(crate) struct UnsealProgress {
    shares: Vec<Secret<String>>,
}

/// The version that this server says it is.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A new root key with how it is held, and the shares to hand out.
struct NewRoot {
    root: RootKey,
    provider: Provider,
    shares: Vec<Secret<String>>,
}

/// What is asked of a new root key.
struct RootRequest<'a> {
    provider: &'a str,
    shares: Option<u8>,
    threshold: Option<u8>,
    passphrase: Option<&'a str>,
}

/// The most shares that a root key is split into.
const SHARES_MAX: u8 = 64;
/// The shortest passphrase, in bytes.
const PASSPHRASE_BYTES_MIN: usize = 12;

impl App {
    fn new_root(&self, request: &RootRequest<'_>, key_file: Option<&Path>) -> Result<NewRoot, AppError> {
        let invalid = |error: SealError| AppError::invalid(error.to_string());
        match request.provider {
            "shamir" => {
                let (shares, threshold) = (request.shares.unwrap_or(5), request.threshold.unwrap_or(3));
                if shares > SHARES_MAX {
                    return Err(AppError::invalid(format!("at most {SHARES_MAX} shares")));
                }
                let root = RootKey::generate(self.random.as_ref());
                let (provider, shares) = root.split(shares, threshold, self.random.as_ref()).map_err(invalid)?;
                Ok(NewRoot { root, provider, shares })
            }
            "passphrase" => {
                let text = request.passphrase.unwrap_or_default();
                if text.len() < PASSPHRASE_BYTES_MIN {
                    return Err(AppError::invalid(format!(
                        "`passphrase` must have at least {PASSPHRASE_BYTES_MIN} bytes"
                    )));
                }
                let params = PassphraseParams::recommended(self.random.as_ref());
                let root = RootKey::from_passphrase(&Secret::new(text.to_owned()), &params).map_err(invalid)?;
                Ok(NewRoot { root, provider: Provider::Passphrase(params), shares: Vec::new() })
            }
            "file" => {
                let path = key_file.ok_or_else(|| {
                    AppError::invalid("this server's configuration names no root key file (`[root_key] file`)")
                })?;
                let root = match RootKey::read_file(path) {
                    Ok(root) => root,
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        let root = RootKey::generate(self.random.as_ref());
                        root.write_file(path).map_err(AppError::internal)?;
                        root
                    }
                    Err(error) => return Err(AppError::internal(error)),
                };
                Ok(NewRoot { root, provider: Provider::File, shares: Vec::new() })
            }
            _ => Err(AppError::invalid("`provider` must be `shamir`, `passphrase` or `file`")),
        }
    }

    /// Makes the installation: root key, platform plane, first operator. Leaves it sealed, unless the key is in a file.
    ///
    /// # Errors
    /// [`Code::WrongState`] if it was made before.
    pub async fn initialize(&self, input: &Initialize, key_file: Option<&Path>) -> Result<Initialized, AppError> {
        if self.store.header(TenantId::PLATFORM).await?.is_some() {
            return Err(already_initialized());
        }
        let request = RootRequest {
            provider: &input.provider,
            shares: input.shares,
            threshold: input.threshold,
            passphrase: input.passphrase.as_deref(),
        };
        let new = self.new_root(&request, key_file)?;
        let (now, random) = (self.now(), self.random.as_ref());
        let installation = InstallationId::random(random);
        let record = InstallationRecord::create(installation, new.provider, &new.root, now, random)?;
        let created = self.create_platform(&new.root, &record).await?;
        if matches!(record.provider(), Provider::File) {
            self.install(new.root).await?;
        }
        let shares = new.shares.iter().map(|share| share.expose().clone()).collect();
        Ok(Initialized { shares, operator: created })
    }

    async fn create_platform(&self, root: &RootKey, record: &InstallationRecord) -> Result<CreatedOperator, AppError> {
        let (now, random) = (self.now(), self.random.as_ref());
        let (installation, tenant) = (record.installation(), TenantId::PLATFORM);
        let (keyring, wrapped) = Keyring::create(root, record.root_version(), installation, tenant, now, random)?;
        let mut meta = TenantMeta::new("platform".to_owned(), now, wrapped);
        meta.installation = Some(record.clone());
        let header = Header {
            tenant,
            slug: "platform".to_owned(),
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
        let operator = OperatorRecord {
            id: OperatorId::random(random),
            name: "operator".to_owned(),
            role: OPERATOR_ADMIN.parse()?,
            is_disabled: false,
            created: now,
        };
        let principal = operator.id.to_string();
        let credential = OwnCredential::make(self, &snapshot, &principal, "first credential", None, now)?;
        let mut writes = vec![seal_record(self, &snapshot, operator.id.as_bytes().to_vec(), &operator)?];
        writes.extend(credential.writes);
        let entry = self.system_entry(tenant, act::OperatorCreate::ACTION.as_str(), "Operator", &principal);
        let part = Part {
            tenant,
            expect: Expect::Absent { slug: header.slug.clone() },
            header: HeaderChange {
                state: Some(header.state),
                meta: Some((0, meta.to_bytes()?)),
                ..HeaderChange::default()
            },
            writes,
            entries: vec![seal_entry(self, &snapshot, &entry)?],
        };
        match self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await {
            Ok(_) => {}
            Err(CommitError::TenantExists | CommitError::SlugTaken) => return Err(already_initialized()),
            Err(error) => return Err(error.into()),
        }
        Ok(CreatedOperator { id: operator.id, credential: credential.text.expose().clone() })
    }

    /// An entry for what the server does by itself.
    pub(crate) fn system_entry(&self, tenant: TenantId, action: &'static str, kind: &'static str, id: &str) -> Entry {
        Entry {
            v: V1,
            tenant: tenant_name(tenant),
            time: self.now(),
            request: RequestId::random(self.random.as_ref()).to_string(),
            actor: Actor { kind: ActorKind::System, id: None, credential: None, operator: None },
            source: None,
            door: "system".into(),
            action: action.into(),
            resource: EntryResource { kind: kind.into(), id: id.to_owned(), version: None },
            decision: Decision::None,
            policies: Vec::new(),
            outcome: "ok".into(),
            code: None,
            detail: BTreeMap::new(),
            salt: salt(self.random.as_ref()),
        }
    }

    async fn installation_record(&self) -> Result<InstallationRecord, AppError> {
        let missing = || AppError::new(Code::NotInitialized);
        let header = self.store.header(TenantId::PLATFORM).await?.ok_or_else(missing)?;
        TenantMeta::from_bytes(&header.meta)?.installation.ok_or_else(missing)
    }

    /// Whether the installation is initialised and unsealed. Open to everybody.
    ///
    /// # Errors
    /// [`Code::StorageUnavailable`] if the store does not answer.
    pub async fn seal_status(&self) -> Result<SealStatus, AppError> {
        let record = match self.installation_record().await {
            Ok(record) => Some(record),
            Err(error) if error.code() == Code::NotInitialized => None,
            Err(error) => return Err(error),
        };
        let (provider, threshold, shares) = match record.as_ref().map(InstallationRecord::provider) {
            None => (None, None, None),
            Some(Provider::File) => (Some("file"), None, None),
            Some(Provider::Passphrase(_)) => (Some("passphrase"), Some(1), Some(1)),
            Some(Provider::Shamir { threshold, shares, .. }) => (Some("shamir"), Some(*threshold), Some(*shares)),
        };
        let progress = u8::try_from(self.unsealing.lock().shares.len()).unwrap_or(u8::MAX);
        Ok(SealStatus {
            is_initialized: record.is_some(),
            is_sealed: self.unsealed.load().is_none(),
            provider: provider.map(str::to_owned),
            threshold,
            shares,
            progress,
            version: VERSION.to_owned(),
        })
    }

    /// Whether requests can be answered.
    pub fn is_unsealed(&self) -> bool {
        self.unsealed.load().is_some()
    }

    /// Takes a share or a passphrase. The installation is unsealed by the last share needed.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`] for a share or passphrase that is not this installation's.
    pub async fn unseal(&self, input: &Unseal) -> Result<SealStatus, AppError> {
        let record = self.installation_record().await?;
        if input.reset {
            self.unsealing.lock().shares.clear();
        }
        let Some(key) = &input.key else { return self.seal_status().await };
        if self.is_unsealed() {
            return self.seal_status().await;
        }
        let invalid = |error: SealError| AppError::invalid(error.to_string());
        let root = match record.provider() {
            Provider::File => return Err(AppError::invalid("this installation's root key is in a file on the server")),
            Provider::Passphrase(params) => {
                // Slow on purpose, and open to everybody: one at a time, and not where requests are answered.
                let _turn = self.hashing.acquire().await.map_err(AppError::internal)?;
                let (passphrase, params) = (Secret::new(key.clone()), params.clone());
                tokio::task::spawn_blocking(move || RootKey::from_passphrase(&passphrase, &params))
                    .await
                    .map_err(AppError::internal)?
                    .map_err(invalid)?
            }
            Provider::Shamir { threshold, set, .. } => {
                let share = Secret::new(key.trim().to_owned());
                let label = ShareLabel::of(&share).map_err(|error| invalid(error.into()))?;
                if label.set != *set {
                    return Err(AppError::invalid("the share belongs to another key"));
                }
                match self.add_share(share, &label, *threshold).map_err(invalid)? {
                    Some(root) => root,
                    None => return self.seal_status().await,
                }
            }
        };
        record.verify(&root).map_err(invalid)?;
        self.install(root).await?;
        self.seal_status().await
    }

    /// Keeps a share; makes the root key once there are enough. Shares that do not fit together are all forgotten.
    fn add_share(
        &self,
        share: Secret<String>,
        label: &ShareLabel,
        threshold: u8,
    ) -> Result<Option<RootKey>, SealError> {
        let mut progress = self.unsealing.lock();
        let is_known =
            progress.shares.iter().any(|known| ShareLabel::of(known).is_ok_and(|known| known.index == label.index));
        if !is_known {
            progress.shares.push(share);
        }
        if progress.shares.len() < usize::from(threshold) {
            return Ok(None);
        }
        let shares = std::mem::take(&mut progress.shares);
        RootKey::combine(&shares).map(Some)
    }

    /// Unseals with the root key in a file, at start.
    ///
    /// # Errors
    /// [`Code::InvalidRequest`] if the file is not to be read, or not this installation's.
    pub async fn unseal_with_file(&self, path: &Path) -> Result<(), AppError> {
        let record = self.installation_record().await?;
        let root = RootKey::read_file(path).map_err(|error| AppError::invalid(error.to_string()))?;
        record.verify(&root).map_err(|error| AppError::invalid(error.to_string()))?;
        self.install(root).await
    }

    /// Puts the root key in memory, and finishes a rotation that was cut off.
    async fn install(&self, root: RootKey) -> Result<(), AppError> {
        if self.put_root(root).await?.previous.is_some() {
            self.finish_rotation().await?;
        }
        Ok(())
    }

    /// Rewraps what is still under the previous root key, and forgets that key. Can be cut off and begun again.
    pub(crate) async fn finish_rotation(&self) -> Result<(), AppError> {
        let unsealed = self.unsealed()?;
        let mut tenants = vec![TenantId::PLATFORM];
        let mut after: Option<String> = None;
        while !tenants.is_empty() {
            for tenant in &tenants {
                self.change_meta(*tenant, |meta| {
                    let Some(keyring) = &meta.keyring else { return Ok(false) };
                    // Another node may have finished, and even have begun the next rotation.
                    if keyring.root_version() >= unsealed.record.root_version() {
                        return Ok(false);
                    }
                    let (old, version) = (unsealed.root_of(keyring)?, unsealed.record.root_version());
                    let (installation, random) = (meta.home(unsealed.record.installation()), self.random.as_ref());
                    meta.keyring = Some(keyring.rewrap(old, &unsealed.root, version, installation, *tenant, random)?);
                    Ok(true)
                })
                .await?;
            }
            let headers = self.store.headers(after.as_deref(), 1_000).await?;
            after = headers.last().map(|header| header.slug.clone());
            tenants = headers.into_iter().map(|header| header.tenant).collect();
        }
        let finished = unsealed.record.finish_rotation(&unsealed.root, self.random.as_ref())?;
        self.change_meta(TenantId::PLATFORM, |meta| {
            // Of two nodes that finish, the later must not put back what has gone on meanwhile.
            let is_unfinished = meta.installation.as_ref().is_some_and(|stored| {
                stored.root_version() == finished.root_version() && stored.previous_root_version().is_some()
            });
            if is_unfinished {
                meta.installation = Some(finished.clone());
            }
            Ok(is_unfinished)
        })
        .await?;
        self.forget_previous(unsealed, finished)
    }

    /// Changes what stands in a tenant's header, where that changes nothing for the tenant itself.
    pub(crate) async fn change_meta(
        &self,
        tenant: TenantId,
        change: impl Fn(&mut TenantMeta) -> Result<bool, AppError>,
    ) -> Result<(), AppError> {
        loop {
            let Some(header) = self.store.header(tenant).await? else { return Ok(()) };
            let mut meta = TenantMeta::from_bytes(&header.meta)?;
            if !change(&mut meta)? {
                return Ok(());
            }
            let part = Part {
                tenant,
                expect: Expect::Exists,
                header: HeaderChange { meta: Some((header.meta_version, meta.to_bytes()?)), ..HeaderChange::default() },
                writes: Vec::new(),
                entries: Vec::new(),
            };
            match self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Forgets the root key and everything that it opened, on this node alone.
    pub fn seal(&self) {
        self.seal_on_purpose();
        self.unsealing.lock().shares.clear();
    }
}

/// What signs for the installation. Its name is the installation's id.
pub(crate) fn installation_signer(root: &RootKey, record: &InstallationRecord) -> Result<LedgerSigner, AppError> {
    Ok(root.installation_signer(record.installation(), &record.installation().to_string())?)
}

/// The key that verifies a signer's signatures, in C2SP's `signed-note` form.
fn verifier_key(signer: &LedgerSigner) -> Result<String, AppError> {
    Ok(VerifierKey::of(signer).map_err(AppError::internal)?.to_string())
}

fn already_initialized() -> AppError {
    AppError::with_detail(Code::WrongState, "the installation is initialised already")
}

/// Replaces the root key. Every tenant key is wrapped anew, and none of what they seal is touched.
pub struct RotateRoot {
    /// How the new one is held.
    pub input: RotateRootKey,
    /// Where the server's configuration says that a root key file is.
    pub key_file: Option<std::path::PathBuf>,
}

impl PlatformUseCase for RotateRoot {
    type Action = act::RootKeyRotate;
    type Reply = RotatedRootKey;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<RotatedRootKey>, AppError> {
        let permit = tx.authorize::<act::RootKeyRotate>(&platform()).await?;
        let app = tx.app;
        let unsealed = app.unsealed()?;
        let input = &self.input;
        if input.provider == "file" {
            return Err(AppError::invalid(
                "rotate to `shamir` or `passphrase`; a root key file is for development and is not replaced in place",
            ));
        }
        let request = RootRequest {
            provider: &input.provider,
            shares: input.shares,
            threshold: input.threshold,
            passphrase: input.passphrase.as_deref(),
        };
        let new = app.new_root(&request, self.key_file.as_deref())?;
        // Until the new root key is in memory, whoever finds that the installation has it waits here.
        let turn = app.following.turning.lock().await;
        // The stored record: the one in memory may be older.
        let header = app.store.header(TenantId::PLATFORM).await?.ok_or_else(AppError::not_found)?;
        let mut meta = TenantMeta::from_bytes(&header.meta)?;
        let record = meta.installation.as_ref().ok_or_else(|| AppError::new(Code::NotInitialized))?;
        if record.root_version() != unsealed.record.root_version() {
            // Another rotation was committed just now: admission finds out what that means here.
            return Err(CommitError::Stale { tenant: TenantId::PLATFORM }.into());
        }
        let rotating = record.rotate(&unsealed.root, &new.root, new.provider, app.random.as_ref()).map_err(
            |error| match error {
                SealError::RotationUnderWay => AppError::with_detail(Code::WrongState, error.to_string()),
                error => error.into(),
            },
        )?;
        let shares = new.shares.iter().map(|share| share.expose().clone()).collect();
        let version = rotating.root_version();
        tx.note("provider", input.provider.as_str());
        tx.note("version", version.to_string());
        let installation_key = verifier_key(&installation_signer(&new.root, &rotating)?)?;
        tx.note("installation_key", installation_key.as_str());
        meta.installation = Some(rotating.clone());
        let bytes = meta.to_bytes()?;
        tx.change_header(|change| change.meta = Some((header.meta_version, bytes)));
        // With this epoch no tenant can be made under the old root key any more.
        tx.bump_epoch();
        let tenants = app.store.totals().await?.by_state.iter().map(|(_, count)| count).sum();
        let seals = meta.seals;
        let committed = tx.commit(permit, RotatedRootKey { version, tenants, installation_key, shares }).await;
        let answer = match committed {
            Ok(answer) => answer,
            Err(error) => {
                if error.code() == Code::StorageUnavailable {
                    // Perhaps it was applied. Then this is the only place where the new root key is.
                    *app.following.made.lock() = Some((version, new.root));
                }
                return Err(error);
            }
        };
        // From here on the new root key opens the installation, and its record keeps the old one sealed under it until
        // every keyring is rewrapped: what is cut off now is finished by this node or another. The answer must go out
        // whatever happens, since it alone holds the shares.
        let installed = app.put_unsealed(new.root, rotating, seals);
        drop(turn);
        let finished = match installed {
            Ok(_) => app.finish_rotation().await,
            Err(error) => Err(error),
        };
        if let Err(error) = finished {
            tracing::error!(%error, "the rewrapping of tenant keys was cut off; it will be finished later");
        }
        Ok(answer)
    }
}

/// Seals the installation: every node, from the acknowledgement on. Each is unsealed by itself.
pub struct SealInstallation {
    /// Why.
    pub input: Reason,
}

impl PlatformUseCase for SealInstallation {
    type Action = act::InstallationSeal;
    type Reply = Done;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<Done>, AppError> {
        let permit = tx.authorize::<act::InstallationSeal>(&platform()).await?;
        if let Some(reason) = &self.input.reason {
            validate::description(reason)?;
            tx.note("reason", reason.as_str());
        }
        // Two things end what is in flight. What was admitted, here or on another node, carries the platform's epoch, and
        // commits no more once this has: whoever reads the new epoch reads the count of sealings with it. And nothing is
        // admitted here from now on: sealed only after the commit, a request could be admitted under the new epoch in
        // between, and complete after the seal was acknowledged.
        let (app, unsealed) = (tx.app, tx.app.unsealed()?);
        let header = app.store.header(TenantId::PLATFORM).await?.ok_or_else(AppError::not_found)?;
        let mut meta = TenantMeta::from_bytes(&header.meta)?;
        meta.seals = meta.seals.saturating_add(1);
        let bytes = meta.to_bytes()?;
        tx.change_header(|change| change.meta = Some((header.meta_version, bytes)));
        tx.bump_epoch();
        app.seal();
        let sealed = tx.commit(permit, Done {}).await;
        if sealed.is_err() {
            // Nothing was sealed, so everything is as before. If it was sealed all the same, the count says so.
            app.unseal_again(unsealed);
        }
        sealed
    }
}
