//! What other nodes do to the installation, as this one finds out: the root key was replaced, everything was sealed.
//!
//! Nodes share a store and nothing else. Whatever one does to all is in the platform's header, and the commit that put it
//! there has bumped the platform's epoch: no other node completes a request before it has read that header again.
//!
//! # Invariants
//! - INV-FLEET-1: a node never unwraps keys for a request unless the platform's header, as it last read it, names the root
//!   key and the count of sealings that the node was unsealed under. Behind it, a node is sealed: it fails closed.
//! - INV-FLEET-2: what somebody sealed on purpose no node unseals by itself while it runs.
//!
//! # Deliberately absent
//! Nodes do not speak with each other, do not know of each other, and hand each other no keys.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bailiwick_seal::{InstallationRecord, RootKey};
use bailiwick_store::CommitError;
use bailiwick_types::api::platform::Unseal;
use bailiwick_types::{Code, Secret, TenantId};
use parking_lot::Mutex;

use crate::app::{App, Unsealed};
use crate::error::AppError;
use crate::installation::installation_signer;
use crate::records::TenantMeta;

/// For how long whoever replaces the root key is left to rewrap every keyring before another node helps.
const REWRAPPING_ALONE: Duration = Duration::from_secs(30);

/// Where a node finds the root key without a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSource {
    /// In a file.
    File(PathBuf),
    /// Behind a passphrase that is in a file.
    PassphraseFile(PathBuf),
}

impl RootSource {
    fn path(&self) -> &PathBuf {
        match self {
            Self::File(path) | Self::PassphraseFile(path) => path,
        }
    }
}

/// What a node remembers about following the others.
#[derive(Default)]
pub(crate) struct Following {
    /// Held while the root key in memory is changed: by whoever replaces the installation's, until the new one is in
    /// memory, and by whoever finds that another node did.
    pub(crate) turning: tokio::sync::Mutex<()>,
    /// Somebody sealed on purpose.
    is_sealed_on_purpose: AtomicBool,
    /// What did not unseal the installation: for which root key it was tried, and the file's moment and size.
    tried: Mutex<Option<(u32, Option<SystemTime>, u64)>>,
    /// A root key that was made here, while nobody knows whether the installation took it: its version, and itself.
    pub(crate) made: Mutex<Option<(u32, RootKey)>>,
}

impl App {
    /// Notices what other nodes did, so that this one is in step although nobody asks it anything, and what the store's clock
    /// says; unseals with what the configuration names once that fits; writes down that the installation was restored. Once
    /// a second is right.
    ///
    /// # Errors
    /// [`Code::StorageUnavailable`] if the store does not answer.
    pub async fn look(&self) -> Result<(), AppError> {
        self.compare_clocks().await?;
        let Some(header) = self.store.header(TenantId::PLATFORM).await? else { return Ok(()) };
        let meta = TenantMeta::from_bytes(&header.meta)?;
        let Some(record) = &meta.installation else { return Ok(()) };
        self.see_probing(&meta);
        if !self.is_unsealed() {
            let _turn = self.following.turning.lock().await;
            return self.unseal_by_itself(record).await;
        }
        match self.in_step(record, meta.seals).await {
            Ok(unsealed) => {
                self.finish_for_others(unsealed, record).await?;
                self.note_restored(&header, meta).await
            }
            // What it has become says readiness.
            Err(error) if error.code() == Code::Sealed || error.retry().is_some() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What was read of the installation, compared with what is in memory. A node that is behind is sealed, unless it finds
    /// the new root key by itself.
    pub(crate) async fn in_step(&self, record: &InstallationRecord, seals: u64) -> Result<Arc<Unsealed>, AppError> {
        let unsealed = self.unsealed()?;
        if unsealed.is_in_step(record, seals) {
            return Ok(unsealed);
        }
        // Whoever replaces the root key on this node is nearly done.
        let _turn = self.following.turning.lock().await;
        let unsealed = self.unsealed()?;
        if unsealed.is_in_step(record, seals) {
            return Ok(unsealed);
        }
        let (own, stored) = (unsealed.record.root_version(), record.root_version());
        if stored < own || seals < unsealed.seals {
            // What was read is older than what is in memory: read again.
            return Err(CommitError::Stale { tenant: TenantId::PLATFORM }.into());
        }
        let is_on_purpose = seals > unsealed.seals;
        self.unsealed.compare_and_swap(&Some(unsealed), None);
        self.forget_all();
        if is_on_purpose {
            self.following.is_sealed_on_purpose.store(true, Ordering::SeqCst);
            tracing::warn!("the installation was sealed: unseal this node when it may go on");
        } else {
            tracing::warn!(version = stored, "the root key was replaced through another node");
            self.unseal_by_itself(record).await?;
        }
        self.unsealed()
    }

    /// A keyring is wrapped under a root key that is not in `unsealed`: says what to do about that.
    pub(crate) async fn out_of_step(&self, unsealed: &Arc<Unsealed>) -> AppError {
        match self.compared(unsealed).await {
            Ok(true) => AppError::internal("a keyring is wrapped under an unknown root key"),
            Ok(false) => CommitError::Stale { tenant: TenantId::PLATFORM }.into(),
            Err(error) => error,
        }
    }

    /// Whether `unsealed` is what the installation has now.
    async fn compared(&self, unsealed: &Arc<Unsealed>) -> Result<bool, AppError> {
        let header = self.store.header(TenantId::PLATFORM).await?.ok_or_else(AppError::not_found)?;
        let meta = TenantMeta::from_bytes(&header.meta)?;
        let record = meta.installation.as_ref().ok_or_else(|| AppError::new(Code::NotInitialized))?;
        Ok(Arc::ptr_eq(&self.in_step(record, meta.seals).await?, unsealed))
    }

    /// Unseals with what was made here or what the configuration names, unless somebody sealed on purpose. What did not fit
    /// is tried again only when the file or the installation has changed: a passphrase takes a second to try.
    async fn unseal_by_itself(&self, record: &InstallationRecord) -> Result<(), AppError> {
        if self.following.is_sealed_on_purpose.load(Ordering::SeqCst) || self.is_unsealed() {
            return Ok(());
        }
        let made = self.following.made.lock().take();
        if let Some((version, root)) = made
            && version == record.root_version()
            && record.verify(&root).is_ok()
        {
            tracing::warn!("the root key was replaced although that could not be acknowledged: replace it once more");
            return self.put_root(root).await.map(|_| ());
        }
        let Some(source) = &self.config.root_source else { return Ok(()) };
        let found = std::fs::metadata(source.path()).ok();
        let stamp = found.map(|found| (record.root_version(), found.modified().ok(), found.len()));
        if stamp.is_none() || *self.following.tried.lock() == stamp {
            return Ok(());
        }
        let tried = match source {
            RootSource::File(path) => match RootKey::read_file(path) {
                Ok(root) if record.verify(&root).is_ok() => self.put_root(root).await.map(|_| ()),
                Ok(_) => Err(AppError::invalid("the root key in the file is not the installation's")),
                Err(error) => Err(AppError::invalid(error.to_string())),
            },
            RootSource::PassphraseFile(path) => match std::fs::read_to_string(path) {
                Ok(text) => {
                    let text = Secret::new(text);
                    let key = Some(text.expose().trim_end_matches(['\r', '\n']).to_owned());
                    self.unseal(&Unseal { key, reset: false }).await.map(|_| ())
                }
                Err(error) => Err(AppError::invalid(error.to_string())),
            },
        };
        match tried {
            Ok(()) => tracing::info!("unsealed"),
            Err(error) if error.code() == Code::InvalidRequest => {
                tracing::warn!(file = %source.path().display(), %error, "what the configuration names does not unseal");
                *self.following.tried.lock() = stamp;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Puts a root key in memory that is the installation's now.
    pub(crate) async fn put_root(&self, root: RootKey) -> Result<Arc<Unsealed>, AppError> {
        let header = self.store.header(TenantId::PLATFORM).await?;
        let header = header.ok_or_else(|| AppError::new(Code::NotInitialized))?;
        let meta = TenantMeta::from_bytes(&header.meta)?;
        let record = meta.installation.ok_or_else(|| AppError::new(Code::NotInitialized))?;
        record.verify(&root).map_err(|error| AppError::invalid(error.to_string()))?;
        self.put_unsealed(root, record, meta.seals)
    }

    /// Puts a root key in memory, with the record that it belongs to.
    pub(crate) fn put_unsealed(
        &self,
        root: RootKey,
        record: InstallationRecord,
        seals: u64,
    ) -> Result<Arc<Unsealed>, AppError> {
        let previous = record.previous_root(&root)?;
        let signer = installation_signer(&root, &record)?;
        let (root, since) = (Arc::new(root), self.now());
        let unsealed = Arc::new(Unsealed { record, root, previous, signer, seals, since });
        self.forget_all();
        self.following.is_sealed_on_purpose.store(false, Ordering::SeqCst);
        self.unsealed.store(Some(Arc::clone(&unsealed)));
        Ok(unsealed)
    }

    /// Forgets the root key, and does not look for it again until somebody unseals this node.
    pub(crate) fn seal_on_purpose(&self) {
        self.following.is_sealed_on_purpose.store(true, Ordering::SeqCst);
        self.unsealed.store(None);
        self.forget_all();
    }

    /// Nothing was sealed after all. Unless somebody else has put a root key there meanwhile.
    pub(crate) fn unseal_again(&self, unsealed: Arc<Unsealed>) {
        self.following.is_sealed_on_purpose.store(false, Ordering::SeqCst);
        self.unsealed.compare_and_swap(&None::<Arc<Unsealed>>, Some(unsealed));
    }

    /// Every keyring is rewrapped by now, or whoever was rewrapping them is taking long: the old root key goes.
    async fn finish_for_others(&self, unsealed: Arc<Unsealed>, record: &InstallationRecord) -> Result<(), AppError> {
        if unsealed.previous.is_none() {
            return Ok(());
        }
        if record.previous_root_version().is_none() {
            return self.forget_previous(unsealed, record.clone());
        }
        if self.now().since(unsealed.since) < REWRAPPING_ALONE {
            return Ok(());
        }
        self.finish_rotation().await
    }

    /// The old root key leaves memory with the last request that has it in hand.
    pub(crate) fn forget_previous(
        &self,
        unsealed: Arc<Unsealed>,
        finished: InstallationRecord,
    ) -> Result<(), AppError> {
        let signer = installation_signer(&unsealed.root, &finished)?;
        let root = Arc::clone(&unsealed.root);
        let (seals, since) = (unsealed.seals, unsealed.since);
        let alone = Unsealed { record: finished, root, previous: None, signer, seals, since };
        self.unsealed.compare_and_swap(&Some(unsealed), Some(Arc::new(alone)));
        Ok(())
    }
}

impl Unsealed {
    fn is_in_step(&self, record: &InstallationRecord, seals: u64) -> bool {
        record.root_version() == self.record.root_version() && seals == self.seals
    }
}
