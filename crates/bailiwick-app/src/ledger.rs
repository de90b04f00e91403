//! The ledger, read: pages, checkpoints, proofs, exports. Of a tenant by the tenant, of the platform by operators.

mod filter;
mod index;
mod indexing;
mod places;
mod search;

use bailiwick_authz::Permit;
use bailiwick_ledger::checkpoint::Checkpoint;
use bailiwick_ledger::entry::Entry;
use bailiwick_ledger::note::NoteSigner;
use bailiwick_ledger::{
    CompactRange, Hash, LeafRange, consistency_ranges, inclusion_ranges, range_hash, stored_runs, verify_consistency,
    verify_inclusion,
};
use bailiwick_seal::Purpose;
use bailiwick_store::{Header, StoredEntry};
use bailiwick_types::action::act;
use bailiwick_types::api::ledger::{ConsistencyProof, InclusionProof, LedgerEntry, LedgerPage, SignedCheckpoint};
use bailiwick_types::{Resource, ResourceKind, TenantId};
use data_encoding::BASE64;

pub use filter::Filter;
pub(crate) use indexing::Wanted;

use crate::app::{App, PlatformUseCase, UseCase};
use crate::error::AppError;
use crate::page::PageRequest;
use crate::snapshot::Snapshot;
use crate::tx::{Answer, PlatformTx, Reply, Scope, TenantTx, Tx};

/// The log's origin: opaque, one per plane.
pub(crate) fn origin(snapshot: &Snapshot) -> String {
    format!("{}/{}", snapshot.installation, crate::tx::tenant_name(snapshot.tenant))
}

/// The question that [`List`] and [`PlatformList`] ask.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Which page.
    pub page: PageRequest,
    /// Which entries.
    pub filter: Filter,
    /// Start at this index (newest first: at and below it).
    pub from: Option<u64>,
    /// Newest first.
    pub is_descending: bool,
}

pub(crate) fn ledger_resource() -> Resource {
    Resource::plain(ResourceKind::Ledger, "ledger")
}

impl App {
    /// Opens an entry; `None` where the tenant was erased.
    pub(crate) fn open_entry(snapshot: &Snapshot, stored: &StoredEntry) -> Result<Option<Vec<u8>>, AppError> {
        if stored.sealed.is_empty() {
            return Ok(None);
        }
        let context = snapshot.context("ledger", &stored.leaf, 0);
        let opened = snapshot.keyring()?.open(Purpose::Ledger, &context, &stored.sealed)?;
        Ok(Some(opened.expose().clone()))
    }

    /// Parses what was opened. That these are the entry's only bytes was made sure when they were sealed.
    fn parse_entry(canonical: &[u8]) -> Result<Entry, AppError> {
        serde_json::from_slice(canonical).map_err(AppError::internal)
    }

    fn show_entry(stored: &StoredEntry, canonical: Option<&[u8]>) -> Result<LedgerEntry, AppError> {
        let entry = match canonical {
            Some(bytes) => serde_json::from_slice(bytes).map_err(AppError::internal)?,
            None => serde_json::Value::Null,
        };
        Ok(LedgerEntry { index: stored.index, leaf: BASE64.encode(&stored.leaf), entry })
    }
}

impl<S: Scope> Tx<'_, S> {
    pub(crate) async fn ledger_header(&self) -> Result<Header, AppError> {
        self.app.store.header(self.snapshot.tenant).await?.ok_or_else(AppError::not_found)
    }

    async fn ledger_entry(&self, index: u64) -> Result<LedgerEntry, AppError> {
        let entries = self.app.store.entries(self.snapshot.tenant, index, 1).await?;
        let stored = entries.first().filter(|stored| stored.index == index).ok_or_else(AppError::not_found)?;
        let canonical = App::open_entry(&self.snapshot, stored)?;
        App::show_entry(stored, canonical.as_deref())
    }

    /// Signs the tree as it is. What is signed is read back from what is durable, so no two checkpoints can disagree.
    fn sign_checkpoint(&self, ledger: &CompactRange) -> Result<SignedCheckpoint, AppError> {
        self.sign_root(ledger.size(), ledger.root())
    }

    fn sign_root(&self, size: u64, root: Hash) -> Result<SignedCheckpoint, AppError> {
        let origin = origin(&self.snapshot);
        let unsealed = self.app.unsealed()?;
        let own = self.snapshot.keyring()?.ledger_signer(&origin)?;
        let checkpoint = Checkpoint { origin: origin.clone(), size, root };
        let signers: [&dyn NoteSigner; 2] = [&own, &unsealed.signer];
        let note = checkpoint.sign(&signers).map_err(AppError::internal)?;
        let keys = self.app.ledger_keys(&self.snapshot)?.iter().map(ToString::to_string).collect();
        Ok(SignedCheckpoint { origin, size, root: BASE64.encode(&root), note, keys })
    }

    async fn ledger_checkpoint(&self) -> Result<SignedCheckpoint, AppError> {
        let header = self.ledger_header().await?;
        self.sign_checkpoint(&header.ledger)
    }

    async fn hashes_of(&self, ranges: Vec<LeafRange>) -> Result<Vec<Hash>, AppError> {
        self.app.hashes_of(self.snapshot.tenant, ranges).await
    }

    async fn root_at(&self, edge: &CompactRange, size: u64) -> Result<Hash, AppError> {
        self.app.root_at(self.snapshot.tenant, edge, size).await
    }

    async fn ledger_inclusion(&self, index: u64, size: Option<u64>) -> Result<InclusionProof, AppError> {
        let edge = self.ledger_header().await?.ledger;
        let size = known_size(&edge, size)?;
        let ranges = inclusion_ranges(index, size)
            .ok_or_else(|| AppError::invalid(format!("`index` must be below the size, {size}")))?;
        let leaf = self.app.store.leaves(self.snapshot.tenant, index, index + 1).await?;
        let leaf = leaf.first().ok_or_else(AppError::not_found)?;
        let proof = self.hashes_of(ranges).await?;
        let root = self.root_at(&edge, size).await?;
        verify_inclusion(leaf, index, size, &proof, &root).map_err(tampered)?;
        let checkpoint = self.sign_root(size, root)?;
        Ok(InclusionProof { index, size, leaf: BASE64.encode(leaf), proof: texts(&proof), checkpoint: checkpoint.note })
    }

    async fn ledger_consistency(&self, old: u64, new: Option<u64>) -> Result<ConsistencyProof, AppError> {
        let edge = self.ledger_header().await?.ledger;
        let new = known_size(&edge, new)?;
        let ranges = consistency_ranges(old, new)
            .ok_or_else(|| AppError::invalid(format!("`old` must be between 1 and the newer size, {new}")))?;
        let proof = self.hashes_of(ranges).await?;
        let (old_root, root) = (self.root_at(&edge, old).await?, self.root_at(&edge, new).await?);
        verify_consistency(old, new, &proof, &old_root, &root).map_err(tampered)?;
        let checkpoint = self.sign_root(new, root)?;
        Ok(ConsistencyProof {
            old,
            new,
            old_root: BASE64.encode(&old_root),
            proof: texts(&proof),
            checkpoint: checkpoint.note,
        })
    }

    /// What an export needs from here on; its own entry is committed first, and is in it.
    fn export(&self, format: ExportFormat) -> ExportPlan {
        ExportPlan { snapshot: std::sync::Arc::clone(&self.snapshot), format }
    }
}

fn texts(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(|hash| BASE64.encode(hash)).collect()
}

/// Leaves or subtrees are not those that the ledger's edge was made of.
pub(crate) fn tampered(why: impl std::fmt::Display) -> AppError {
    AppError::internal(format_args!("the stored tree contradicts the ledger's edge: {why}"))
}

fn known_size(edge: &CompactRange, wanted: Option<u64>) -> Result<u64, AppError> {
    let size = edge.size();
    match wanted {
        Some(wanted) if wanted > size => Err(AppError::invalid(format!("the ledger has {size} entries"))),
        Some(wanted) => Ok(wanted),
        None => Ok(size),
    }
}

/// What an export is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// Bailiwick's own, for `bailiwick verify`: every byte is covered by a signature.
    Bailiwick,
    /// One entry a line.
    JsonLines,
    /// One OCSF event a line.
    Ocsf,
}

/// An export that may be made: [`App::export`] does.
pub struct ExportPlan {
    pub(crate) snapshot: std::sync::Arc<Snapshot>,
    pub(crate) format: ExportFormat,
}

impl Reply for ExportPlan {
    fn remembered(&self) -> Option<String> {
        None
    }
    fn recalled(_: &str) -> Option<Self> {
        None
    }
}

/// Twin use cases: the tenant's ledger for the tenant, the platform's for operators.
macro_rules! ledger_cases {
    ($($(#[$doc:meta])* $tenant:ident / $platform:ident { $($field:ident: $type:ty = $field_doc:literal),* },
       $action:ident / $platform_action:ident, $reply:ty, |$tx:ident, $this:ident, $permit:ident| $body:block;)+) => {
        $(
            $(#[$doc])* #[doc = " Of the tenant."]
            pub struct $tenant { $(#[doc = $field_doc] pub $field: $type),* }
            impl UseCase for $tenant {
                type Action = act::$action;
                type Reply = $reply;
                async fn run(&self, $tx: &mut TenantTx<'_>) -> Result<Answer<$reply>, AppError> {
                    let $this = self;
                    let $permit: Permit<act::$action> = $tx.authorize(&ledger_resource()).await?;
                    let reply = $body;
                    $tx.commit($permit, reply).await
                }
            }
            $(#[$doc])* #[doc = " Of the platform."]
            pub struct $platform { $(#[doc = $field_doc] pub $field: $type),* }
            impl PlatformUseCase for $platform {
                type Action = act::$platform_action;
                type Reply = $reply;
                async fn run(&self, $tx: &mut PlatformTx<'_>) -> Result<Answer<$reply>, AppError> {
                    let $this = self;
                    let $permit: Permit<act::$platform_action> = $tx.authorize(&crate::tenants::platform()).await?;
                    let reply = $body;
                    $tx.commit($permit, reply).await
                }
            }
        )+
    };
}

ledger_cases! {
    /// Pages through entries.
    List / PlatformList { query: Query = "What is wanted." }, LedgerRead / PlatformLedgerRead, LedgerPage,
        |tx, this, permit| { tx.ledger_page(&this.query).await? };
    /// Shows one entry.
    ShowEntry / PlatformShowEntry { index: u64 = "Which." }, LedgerRead / PlatformLedgerRead, LedgerEntry,
        |tx, this, permit| { tx.ledger_entry(this.index).await? };
    /// Signs a checkpoint.
    SignCheckpoint / PlatformSignCheckpoint {}, LedgerProve / PlatformLedgerProve, SignedCheckpoint,
        |tx, _this, permit| { tx.ledger_checkpoint().await? };
    /// Proves that an entry is in the tree of a size.
    ProveInclusion / PlatformProveInclusion {
        index: u64 = "Which entry.", size: Option<u64> = "In the tree of this size; the present one if absent."
    }, LedgerProve / PlatformLedgerProve, InclusionProof,
        |tx, this, permit| { tx.ledger_inclusion(this.index, this.size).await? };
    /// Proves that an older tree is a beginning of a newer one.
    ProveConsistency / PlatformProveConsistency {
        old: u64 = "The older size.", new: Option<u64> = "The newer size; the present one if absent."
    }, LedgerProve / PlatformLedgerProve, ConsistencyProof,
        |tx, this, permit| { tx.ledger_consistency(this.old, this.new).await? };
    /// Allows an export.
    Export / PlatformExport { format: ExportFormat = "As what." }, LedgerExport / PlatformLedgerExport, ExportPlan,
        |tx, this, permit| { tx.export(this.format) };
}

impl App {
    /// The hash over a range of leaves, from what the store keeps.
    async fn hash_of(&self, tenant: TenantId, range: LeafRange) -> Result<Hash, AppError> {
        let mut runs = Vec::new();
        for run in stored_runs(range) {
            let hashes = match run.level {
                0 => self.store.leaves(tenant, run.from, run.to).await?,
                level => self.store.subtrees(tenant, level, run.from, run.to).await?,
            };
            runs.push((run, hashes));
        }
        range_hash(range, &runs).ok_or_else(|| AppError::internal("the tree is incomplete"))
    }

    async fn hashes_of(&self, tenant: TenantId, ranges: Vec<LeafRange>) -> Result<Vec<Hash>, AppError> {
        let mut proof = Vec::with_capacity(ranges.len());
        for range in ranges {
            proof.push(self.hash_of(tenant, range).await?);
        }
        Ok(proof)
    }

    /// The root of the tree as it was at `size`, if what is stored agrees with the ledger's edge.
    ///
    /// The edge moves with every commit; leaves and subtrees lie about for years. If somebody has changed one of them, a
    /// root that is made of them must not be signed: it would contradict a checkpoint that somebody else has kept.
    pub(crate) async fn root_at(&self, tenant: TenantId, edge: &CompactRange, size: u64) -> Result<Hash, AppError> {
        if size == edge.size() {
            return Ok(edge.root());
        }
        let root = match size {
            0 => bailiwick_ledger::empty_root(),
            size => self.hash_of(tenant, LeafRange { from: 0, to: size }).await?,
        };
        let ranges = consistency_ranges(size, edge.size()).ok_or_else(|| AppError::internal("an edge that shrank"))?;
        verify_consistency(size, edge.size(), &self.hashes_of(tenant, ranges).await?, &root, &edge.root())
            .map_err(tampered)?;
        Ok(root)
    }

    /// Waits until the ledger that `answer` came from has grown beyond `size`, or until `span` is over. For following.
    ///
    /// # Errors
    /// [`Code::StorageUnavailable`] if the store does not answer.
    pub async fn wait_for_growth(
        &self,
        snapshot_of: &LedgerWatch,
        size: u64,
        span: std::time::Duration,
    ) -> Result<bool, AppError> {
        const POLL: std::time::Duration = std::time::Duration::from_millis(200);
        let mut left = span;
        loop {
            let header = self.store.header(snapshot_of.0).await?;
            if header.is_none_or(|header| header.ledger.size() > size) {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
            let nap = POLL.min(left);
            tokio::time::sleep(nap).await;
            left = left.saturating_sub(nap);
        }
    }

    /// Names the ledger that a credential's plane has, for [`App::wait_for_growth`]. Tells nothing by itself.
    pub fn ledger_watch(&self, credential: &str) -> Option<LedgerWatch> {
        bailiwick_types::CredentialText::parse(credential).ok().map(|text| LedgerWatch(text.claimed_tenant()))
    }
}

/// Which ledger to watch. See [`App::wait_for_growth`].
pub struct LedgerWatch(bailiwick_types::TenantId);
