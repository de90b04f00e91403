//! Writing a bundle that was verified: frame by frame, one commit each, from wherever it was cut off.

use bailiwick_ledger::bundle::{BundleChecker, EntryItem, Piece, RecordItem};
use bailiwick_seal::Purpose;
use bailiwick_store::{Expect, HeaderChange, NewEntry, Part, Space, Write};
use bailiwick_types::api::bundle::{ImportOutcome, ImportedTenant};
use bailiwick_types::{MountId, Secret};
use data_encoding::BASE64;

use super::frames::Frames;
use super::import::{Accepted, ImportPlan, mark};
use super::verify::{open_record, parse, refused, refused_as, space_of};
use crate::app::App;
use crate::error::AppError;
use crate::records::{CredentialRecord, MountRecord, SecretRecord, TenantMeta};
use crate::snapshot::Snapshot;
use crate::state::{Phase, TenantState};
use crate::tx::Answer;

/// A tenant that is being written to.
pub(super) struct Writing<'a> {
    pub(super) app: &'a App,
    pub(super) plan: &'a ImportPlan,
    pub(super) accepted: Accepted,
    /// The row's state as of the last step.
    pub(super) meta: TenantMeta,
    pub(super) meta_version: u64,
    /// Records that were written, or would be.
    pub(super) records: u64,
    /// How many entries the tenant has.
    entries: u64,
    /// The mounts of a tenant that is here, with those that come back: a mount of the same name but another id is
    /// another mount.
    mounts: Vec<MountId>,
}

impl App {
    pub(super) async fn apply(
        &self,
        plan: &ImportPlan,
        frames: &mut Frames,
        accepted: Accepted,
    ) -> Result<Answer<ImportedTenant>, AppError> {
        let mut writing = Writing::begin(self, plan, accepted).await?;
        frames.rewind()?;
        let mut checker = BundleChecker::new();
        let mut root = None;
        while let Some(frame) = frames.next(&checker).await? {
            match checker.take(frame.kind, &frame.payload).map_err(|error| refused(&error))? {
                Piece::Records { space, records } => writing.records(space, &records).await?,
                Piece::Entries { first, entries } => writing.entries(first, &entries).await?,
                Piece::End(found) => root = Some(BASE64.encode(&found)),
                Piece::Head | Piece::Bookmark(_) | Piece::Checkpoint => {}
            }
        }
        // The file is in nobody's hands but ours; if it has changed all the same, the tenant must not open.
        if root.as_ref() != Some(&writing.accepted.verified.root) {
            return Err(AppError::internal("a bundle changed between verifying and writing"));
        }
        writing.finish().await
    }
}

impl<'a> Writing<'a> {
    /// The tenant's row: made, or marked, or as an import that was cut off left it.
    async fn begin(app: &'a App, plan: &'a ImportPlan, accepted: Accepted) -> Result<Self, AppError> {
        let unsealed = app.unsealed()?;
        let head = &accepted.unpacked.head;
        let (mut meta, meta_version, entries) = match &accepted.header {
            Some(header) => (TenantMeta::from_bytes(&header.meta)?, header.meta_version, header.ledger.size()),
            None => {
                let (version, now) = (unsealed.record.root_version(), app.now());
                let (_, wrapped) = accepted.unpacked.keys.wrap(
                    &unsealed.root,
                    version,
                    head.home,
                    head.tenant,
                    now,
                    app.random.as_ref(),
                )?;
                let note = &accepted.unpacked.note;
                let mut meta = TenantMeta::new(note.name.clone(), note.created, wrapped);
                meta.home = Some(head.home).filter(|home| *home != unsealed.record.installation());
                (meta, 0, 0)
            }
        };
        let is_begun = meta.import.is_some();
        meta.import = Some(mark(&accepted.verified));
        let mut writing = Self { app, plan, accepted, meta, meta_version, records: 0, entries, mounts: Vec::new() };
        if !writing.is_new() {
            let most = usize::try_from(bailiwick_types::Limit::Mounts.ceiling()).unwrap_or(usize::MAX);
            let found = app.read_all::<MountRecord>(&writing.snapshot(), b"", None, most).await?;
            writing.mounts = found.into_iter().map(|(_, _, record)| record.id).collect();
        }
        if !is_begun && !plan.is_dry_run {
            writing.step(Vec::new(), Vec::new()).await?;
        }
        Ok(writing)
    }

    fn is_new(&self) -> bool {
        self.accepted.outcome == ImportOutcome::Created
    }

    async fn step(&mut self, writes: Vec<Write>, entries: Vec<NewEntry>) -> Result<(), AppError> {
        let head = &self.accepted.unpacked.head;
        let is_first = self.meta_version == 0;
        let state = TenantState { phase: Phase::Importing, is_sealed: false }.number();
        let part = Part {
            tenant: head.tenant,
            expect: if is_first { Expect::Absent { slug: head.slug.to_string() } } else { Expect::Exists },
            header: HeaderChange {
                state: is_first.then_some(state),
                meta: Some((self.meta_version, self.meta.to_bytes()?)),
                ..HeaderChange::default()
            },
            writes,
            entries,
        };
        self.app.step(self.plan, part).await?;
        self.meta_version = self.meta_version.saturating_add(1);
        Ok(())
    }

    /// Entries of a tenant that is made here. Of one that is here, all were compared by the root.
    async fn entries(&mut self, first: u64, entries: &[EntryItem<'_>]) -> Result<(), AppError> {
        if !self.is_new() || self.plan.is_dry_run {
            return Ok(());
        }
        // Those that an earlier attempt wrote are there, and were compared with nothing but by their number: so compare.
        let known = self.entries.saturating_sub(first).min(u64::try_from(entries.len()).unwrap_or(u64::MAX));
        if known > 0 {
            let stored =
                self.app.store.leaves(self.accepted.unpacked.head.tenant, first, first.saturating_add(known)).await?;
            if stored.iter().zip(entries).any(|(stored, entry)| *stored != entry.leaf) {
                return Err(refused_as("its ledger is not the one whose import was begun"));
            }
        }
        let new: Vec<NewEntry> = entries
            .iter()
            .skip(usize::try_from(known).unwrap_or(usize::MAX))
            .map(|entry| NewEntry { leaf: entry.leaf, sealed: entry.sealed.to_vec() })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(new.len()).unwrap_or(u64::MAX);
        self.step(Vec::new(), new).await?;
        self.entries = self.entries.saturating_add(count);
        Ok(())
    }

    async fn records(&mut self, space: u8, records: &[RecordItem<'_>]) -> Result<(), AppError> {
        let head = &self.accepted.unpacked.head;
        let (tenant, space) = (head.tenant, space_of(space, head.is_final)?);
        let mut writes = Vec::new();
        for record in records {
            if self.app.store.record(tenant, space, record.key).await?.is_none() {
                writes.extend(if self.is_new() {
                    Some(self.as_it_was(space, record)?)
                } else {
                    self.if_gone(space, record).await?
                });
            }
        }
        self.records = self.records.saturating_add(u64::try_from(writes.len()).unwrap_or(u64::MAX));
        if writes.is_empty() || self.plan.is_dry_run { Ok(()) } else { self.step(writes, Vec::new()).await }
    }

    /// A record as it was, byte for byte. A credential of a backup comes in revoked.
    fn as_it_was(&self, space: Space, record: &RecordItem<'_>) -> Result<Write, AppError> {
        let head = &self.accepted.unpacked.head;
        let value = if space == Space::Credential && !head.is_final {
            let opened = open_record(head, &self.accepted.keyring, space, record)?;
            let mut credential: CredentialRecord = parse(space, &opened)?;
            let now = self.app.now();
            credential.is_revoked = true;
            credential.revoked = Some(credential.revoked.map_or(now, |already| already.min(now)));
            let version = record.version.saturating_add(1);
            let bytes = Secret::new(serde_json::to_vec(&credential).map_err(AppError::internal)?);
            (version, self.seal(space, record.key, version, &bytes)?)
        } else {
            (record.version, record.sealed.to_vec())
        };
        Ok(Write { space, key: record.key.to_vec(), expected: None, value: Some(value), count_max: None })
    }

    fn seal(&self, space: Space, key: &[u8], version: u64, bytes: &Secret<Vec<u8>>) -> Result<Vec<u8>, AppError> {
        let head = &self.accepted.unpacked.head;
        let context = bailiwick_seal::Context {
            installation: head.home,
            tenant: head.tenant,
            space: space.as_str(),
            key,
            version,
        };
        Ok(self.accepted.keyring.seal(self.app.random.as_ref(), Purpose::Records, &context, bytes.expose())?)
    }

    /// A record that is gone from a tenant that is here, if it may come back: contents may, rights may not.
    async fn if_gone(&mut self, space: Space, record: &RecordItem<'_>) -> Result<Option<Write>, AppError> {
        let comes_back = match space {
            Space::Mount => {
                let opened = open_record(&self.accepted.unpacked.head, &self.accepted.keyring, space, record)?;
                self.mounts.push(parse::<MountRecord>(space, &opened)?.id);
                true
            }
            Space::Secret => self.is_mounted(record.key),
            Space::SecretVersion => self.is_wanted(record.key).await?,
            _ => false,
        };
        if !comes_back {
            return Ok(None);
        }
        Ok(Some(Write {
            space,
            key: record.key.to_vec(),
            expected: None,
            value: Some((record.version, record.sealed.to_vec())),
            count_max: None,
        }))
    }

    /// Whether the mount that a secret's key begins with is there.
    fn is_mounted(&self, key: &[u8]) -> bool {
        key.first_chunk::<16>().is_some_and(|id| self.mounts.contains(&MountId::from_bytes(*id)))
    }

    /// Whether a secret that is there says that it has this version: what was destroyed stays destroyed.
    async fn is_wanted(&self, key: &[u8]) -> Result<bool, AppError> {
        let Some((path, [0, version @ ..])) = key.split_last_chunk::<9>() else { return Ok(false) };
        let version = u64::from_be_bytes(*version);
        match self.app.read::<SecretRecord>(&self.snapshot(), path).await? {
            Some((_, secret)) => Ok(secret.versions.get(&version).is_some_and(|known| !known.is_destroyed)),
            // In a dry run the secret has not come back yet.
            None => Ok(self.plan.is_dry_run && self.is_mounted(path)),
        }
    }

    /// Values that were destroyed between the state that was exported and the export itself are not in the bundle: what says
    /// that they are there has to say that they are destroyed.
    pub(super) async fn repair(&mut self) -> Result<(), AppError> {
        const STEP: usize = 256;
        let tenant = self.accepted.unpacked.head.tenant;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.app.read_all::<SecretRecord>(&self.snapshot(), b"", after.as_deref(), STEP).await?;
            let is_last = page.len() < STEP;
            let mut writes = Vec::new();
            for (key, version, mut secret) in page {
                let mut is_whole = true;
                for (number, known) in secret.versions.iter_mut().filter(|(_, known)| !known.is_destroyed) {
                    let value = [key.as_slice(), &[0], &number.to_be_bytes()].concat();
                    if self.app.store.record(tenant, Space::SecretVersion, &value).await?.is_none() {
                        known.is_destroyed = true;
                        is_whole = false;
                    }
                }
                if !is_whole {
                    let bytes = Secret::new(serde_json::to_vec(&secret).map_err(AppError::internal)?);
                    let next = version.saturating_add(1);
                    let sealed = self.seal(Space::Secret, &key, next, &bytes)?;
                    writes.push(Write {
                        space: Space::Secret,
                        key: key.clone(),
                        expected: Some(version),
                        value: Some((next, sealed)),
                        count_max: None,
                    });
                }
                after = Some(key);
            }
            if !writes.is_empty() {
                self.step(writes, Vec::new()).await?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// The tenant as its keys see it. For reading and sealing, not for deciding.
    pub(super) fn snapshot(&self) -> Snapshot {
        let head = &self.accepted.unpacked.head;
        let header = bailiwick_store::Header {
            tenant: head.tenant,
            slug: head.slug.to_string(),
            state: TenantState::ACTIVE.number(),
            epoch: 1,
            ledger: bailiwick_ledger::CompactRange::new(),
            counts: bailiwick_store::Counts::default(),
            meta: Vec::new(),
            meta_version: 0,
            revision: 0,
            wake: None,
        };
        let keyring = Some(std::sync::Arc::clone(&self.accepted.keyring));
        Snapshot::new(&header, &self.meta, keyring, head.home, self.plan.platform.epoch)
    }
}
