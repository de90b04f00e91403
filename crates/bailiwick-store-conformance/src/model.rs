//! The port as a naive program: maps behind one lock. What the suite compares engines with, and what it is tried on.
//!
//! With a [`Bug`] it does one thing wrong, so that one can see the suite notice.
//!
//! # Deliberately absent
//! Speed: the ledger's edge is computed from all leaves on each commit. Durability beyond its [`ModelEngine`]'s places.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::{
    Child, Commit, CommitError, Committed, Counts, Expect, Header, Part, Receipt, Record, Space, Store, StoreError,
    StoredEntry, Totals, Wake,
};
use bailiwick_types::{TenantId, Timestamp};

use crate::{Engine, Place, naive};

/// One thing done wrong.
#[expect(missing_docs, reason = "the names say it")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    EpochIgnored,
    GuardsIgnored,
    BumpForgotten,
    VersionsIgnored,
    MetaVersionIgnored,
    CountMaxIgnored,
    CountsDrift,
    SlugReused,
    IdReused,
    PartsNotAtomic,
    RefusalLeavesGap,
    EdgeOfOneLeafLess,
    SubtreesOfLevelOneOnly,
    ByMovesWakeLater,
    AtKeepsEarlierWake,
    NeverKeepsWake,
    DueInOrderOfIds,
    AfterIsInclusive,
    PrefixEndOverflows,
    FoldersRepeat,
    FolderHidesKeysBehindIt,
    EraseKeepsRecords,
    EraseKeepsSealedBytes,
    EraseDropsLeaves,
    EraseTakesMeta,
    EraseTakesNeighbour,
    ForeignRecordFound,
    PlatformListed,
    SlugsByCreation,
    LastCommitLostOnClose,
    MalformedApplied,
    VersionMayStand,
    RevisionIgnored,
    RevisionOfEntriesToo,
    RevisionForgotten,
    WakeHidden,
    RestoredIgnored,
    RestoredMayShrink,
    PastForgotten,
    PastIsTheLatest,
    PastOutlivesErasure,
    ForgetsWhatIsWanted,
    PastIsTheNeighbours,
}

#[derive(Debug, Clone)]
struct Tenant {
    header: Header,
    wake: Option<Timestamp>,
    records: BTreeMap<(Space, Vec<u8>), Record>,
    /// What records were before the commit whose first entry has the index that comes last in the key.
    past: BTreeMap<(Space, Vec<u8>, u64), Option<Record>>,
    past_from: u64,
    entries: Vec<StoredEntry>,
    born: usize,
}

#[derive(Debug, Default)]
struct State {
    tenants: BTreeMap<TenantId, Tenant>,
    last: Option<(TenantId, Tenant)>,
}

/// A naive store.
#[derive(Default)]
pub struct Model {
    state: Arc<Mutex<State>>,
    bug: Option<Bug>,
}

/// Makes naive stores.
#[derive(Default)]
pub struct ModelEngine {
    /// What they do wrong.
    pub bug: Option<Bug>,
}

struct ModelPlace(Arc<Mutex<State>>, Option<Bug>);

#[async_trait]
impl Engine for ModelEngine {
    async fn place(&self) -> Box<dyn Place> {
        Box::new(ModelPlace(Arc::default(), self.bug))
    }
}

#[async_trait]
impl Place for ModelPlace {
    async fn open(&self) -> Arc<dyn Store> {
        let store = Model { state: Arc::clone(&self.0), bug: self.1 };
        let mut state = store.state();
        if let Some((id, before)) = state.last.take().filter(|_| store.has(Bug::LastCommitLostOnClose)) {
            state.tenants.insert(id, before);
        }
        drop(state);
        Arc::new(store)
    }
}

impl Model {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shape(commit: &Commit) -> Result<(), CommitError> {
        let (mut tenants, mut slugs, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for part in &commit.parts {
            let is_whole = part.header.state.is_some() && matches!(part.header.meta, Some((0, _)));
            let creates = matches!(part.expect, Expect::Absent { .. });
            if !tenants.insert(part.tenant) || (creates && !is_whole) {
                return Err(CommitError::Conflict { space: None });
            }
            if let Expect::Absent { slug } = &part.expect
                && !slugs.insert(slug)
            {
                return Err(CommitError::SlugTaken);
            }
            for write in &part.writes {
                if !keys.insert((part.tenant, write.space, &write.key)) {
                    return Err(CommitError::Conflict { space: Some(write.space) });
                }
            }
        }
        Ok(())
    }

    fn check_tenant(&self, state: &State, part: &Part) -> Result<(), CommitError> {
        let found = state.tenants.get(&part.tenant);
        match (&part.expect, found) {
            (Expect::Absent { .. }, Some(_)) if !self.has(Bug::IdReused) => Err(CommitError::TenantExists),
            (Expect::Absent { slug }, _) => {
                let is_taken = state.tenants.values().any(|tenant| tenant.header.slug == *slug);
                if is_taken && !self.has(Bug::SlugReused) { Err(CommitError::SlugTaken) } else { Ok(()) }
            }
            (_, None) => Err(CommitError::NoSuchTenant),
            (Expect::Epoch(epoch), Some(tenant)) if tenant.header.epoch != *epoch && !self.has(Bug::EpochIgnored) => {
                Err(CommitError::Stale { tenant: part.tenant })
            }
            (Expect::Seen { epoch, .. }, Some(tenant)) if tenant.header.epoch != *epoch => {
                Err(CommitError::Stale { tenant: part.tenant })
            }
            (Expect::Seen { revision, .. }, Some(tenant))
                if tenant.header.revision != *revision && !self.has(Bug::RevisionIgnored) =>
            {
                Err(CommitError::Outdated { tenant: part.tenant })
            }
            _ => Ok(()),
        }
    }

    fn check_records(&self, state: &State, part: &Part) -> Result<(), CommitError> {
        let found = state.tenants.get(&part.tenant);
        let meta_version = found.map_or(0, |tenant| tenant.header.meta_version);
        if part.header.meta.as_ref().is_some_and(|(expected, _)| *expected != meta_version)
            && !self.has(Bug::MetaVersionIgnored)
        {
            return Err(CommitError::Conflict { space: None });
        }
        if let Some(restored) = part.header.restored {
            let (epoch, revision) = found.map_or((1, 0), |tenant| (tenant.header.epoch, tenant.header.revision));
            let grows =
                restored.epoch >= epoch && restored.meta_version >= meta_version && restored.revision >= revision;
            if !grows && !self.has(Bug::RestoredMayShrink) {
                return Err(CommitError::Conflict { space: None });
            }
        }
        let mut counts = found.map(|tenant| tenant.header.counts.clone()).unwrap_or_default();
        for write in &part.writes {
            let record = found.and_then(|tenant| tenant.records.get(&(write.space, write.key.clone())));
            let version = record.map(|record| record.version);
            let grows = match (write.expected, &write.value) {
                (Some(old), Some((new, _))) => *new > old || self.has(Bug::VersionMayStand),
                _ => true,
            };
            if (version != write.expected && !self.has(Bug::VersionsIgnored)) || !grows {
                return Err(CommitError::Conflict { space: Some(write.space) });
            }
            match (write.expected, &write.value, write.count_max) {
                (None, Some(_), Some(max)) if counts.of(write.space) >= max && !self.has(Bug::CountMaxIgnored) => {
                    return Err(CommitError::Full { space: write.space, max });
                }
                (None, Some(_), _) => counts.add(write.space),
                (Some(_), None, _) => counts.remove(write.space),
                _ => {}
            }
        }
        Ok(())
    }

    fn check(&self, state: &State, commit: &Commit) -> Result<(), CommitError> {
        if !self.has(Bug::MalformedApplied) {
            Self::shape(commit)?;
        }
        for (tenant, epoch) in &commit.guards {
            let held = state.tenants.get(tenant).is_some_and(|tenant| tenant.header.epoch == *epoch);
            if !held && !self.has(Bug::GuardsIgnored) {
                return Err(CommitError::Stale { tenant: *tenant });
            }
        }
        for part in &commit.parts {
            self.check_tenant(state, part)?;
        }
        for part in &commit.parts {
            self.check_records(state, part)?;
        }
        Ok(())
    }

    fn apply(&self, state: &mut State, part: &Part) -> Receipt {
        let born = state.tenants.len();
        if let Expect::Absent { slug } = &part.expect {
            let header = Header {
                tenant: part.tenant,
                slug: slug.clone(),
                state: 0,
                epoch: 1,
                ledger: CompactRange::new(),
                counts: Counts::default(),
                meta: Vec::new(),
                meta_version: 0,
                revision: 0,
                wake: None,
            };
            let (records, past, entries) = Default::default();
            state
                .tenants
                .insert(part.tenant, Tenant { header, wake: None, records, past, past_from: 0, entries, born });
        }
        let Some(tenant) = state.tenants.get_mut(&part.tenant) else { unreachable!("it was checked") };
        state.last = Some((part.tenant, tenant.clone()));
        let creates = matches!(part.expect, Expect::Absent { .. });
        if part.header.bump_epoch && !creates && !self.has(Bug::BumpForgotten) {
            tenant.header.epoch += 1;
        }
        if let Some(new) = part.header.state {
            tenant.header.state = new;
        }
        if let Some((_, meta)) = &part.header.meta {
            tenant.header.meta.clone_from(meta);
            tenant.header.meta_version += 1;
        }
        tenant.wake = match (part.header.wake, tenant.wake) {
            (None, set) => set,
            (Some(Wake::By(at)), Some(set)) if !self.has(Bug::ByMovesWakeLater) => Some(set.min(at)),
            (Some(Wake::At(at)), Some(set)) if self.has(Bug::AtKeepsEarlierWake) => Some(set.min(at)),
            (Some(Wake::By(at) | Wake::At(at)), _) => Some(at),
            (Some(Wake::Never), set) => set.filter(|_| self.has(Bug::NeverKeepsWake)),
        };
        tenant.header.wake = tenant.wake.filter(|_| !self.has(Bug::WakeHidden));
        let until = tenant.header.ledger.size();
        for write in &part.writes {
            let key = (write.space, write.key.clone());
            let is_kept = write.space.keeps_past() && (write.expected.is_some() || write.value.is_some());
            if is_kept && !self.has(Bug::PastForgotten) {
                let was = tenant.records.get(&key).cloned();
                tenant.past.entry((key.0, key.1.clone(), until)).or_insert(was);
            }
            let is_new = match &write.value {
                Some((version, sealed)) => {
                    tenant.records.insert(key, Record { version: *version, sealed: sealed.clone() }).is_none()
                }
                None => {
                    if tenant.records.remove(&key).is_some() && !self.has(Bug::CountsDrift) {
                        tenant.header.counts.remove(write.space);
                    }
                    false
                }
            };
            if is_new {
                tenant.header.counts.add(write.space);
            }
        }
        let is_written = !part.writes.is_empty() && !self.has(Bug::RevisionForgotten);
        if is_written || (!part.entries.is_empty() && self.has(Bug::RevisionOfEntriesToo)) {
            tenant.header.revision += 1;
        }
        if let Some(restored) = part.header.restored.filter(|_| !self.has(Bug::RestoredIgnored)) {
            (tenant.header.epoch, tenant.header.meta_version) = (restored.epoch, restored.meta_version);
            tenant.header.revision = restored.revision;
        }
        let first_index = tenant.header.ledger.size();
        for (index, entry) in (first_index..).zip(&part.entries) {
            tenant.entries.push(StoredEntry { index, leaf: entry.leaf, sealed: entry.sealed.clone() });
        }
        let leaves: Vec<Hash> = tenant.entries.iter().map(|entry| entry.leaf).collect();
        let known = leaves.len() - usize::from(self.has(Bug::EdgeOfOneLeafLess) && leaves.len() > 2);
        tenant.header.ledger = naive::edge(&leaves[..known]);
        Receipt { first_index, size: tenant.header.ledger.size(), epoch: tenant.header.epoch }
    }

    /// Records of a tenant whose keys lie in a range, as lists see them.
    fn listed(&self, tenant: TenantId, space: Space, prefix: &[u8]) -> Vec<(Vec<u8>, Record)> {
        let state = self.state();
        let records = state.tenants.get(&tenant).map(|tenant| &tenant.records);
        let in_space = records.into_iter().flatten().filter(|((of, _), _)| *of == space);
        let broken = self.has(Bug::PrefixEndOverflows) && prefix.ends_with(b"\xff");
        in_space
            .filter(|((_, key), _)| key.starts_with(prefix) && !broken)
            .map(|((_, key), record)| (key.clone(), record.clone()))
            .collect()
    }

    fn is_after<T: PartialOrd + ?Sized>(&self, item: &T, after: Option<&T>) -> bool {
        after.is_none_or(|after| item > after || (item == after && self.has(Bug::AfterIsInclusive)))
    }
}

#[async_trait]
impl Store for Model {
    fn engine(&self) -> &'static str {
        "model"
    }

    async fn header(&self, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        Ok(self.state().tenants.get(&tenant).map(|tenant| tenant.header.clone()))
    }

    async fn tenant_by_slug(&self, slug: &str) -> Result<Option<TenantId>, StoreError> {
        let state = self.state();
        Ok(state.tenants.iter().find(|(_, tenant)| tenant.header.slug == slug).map(|(id, _)| *id))
    }

    async fn headers(&self, after: Option<&str>, limit: usize) -> Result<Vec<Header>, StoreError> {
        let state = self.state();
        let mut tenants: Vec<&Tenant> = state.tenants.values().collect();
        tenants.retain(|tenant| !tenant.header.tenant.is_platform() || self.has(Bug::PlatformListed));
        tenants.sort_by_key(|tenant| (self.has(Bug::SlugsByCreation).then_some(tenant.born), &tenant.header.slug));
        tenants.retain(|tenant| self.is_after(tenant.header.slug.as_str(), after));
        Ok(tenants.into_iter().take(limit).map(|tenant| tenant.header.clone()).collect())
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        let mut by_state = BTreeMap::new();
        for header in self.headers(None, usize::MAX).await? {
            *by_state.entry(header.state).or_insert(0) += 1;
        }
        Ok(Totals { by_state: by_state.into_iter().collect() })
    }

    async fn record(&self, tenant: TenantId, space: Space, key: &[u8]) -> Result<Option<Record>, StoreError> {
        let state = self.state();
        let found = |tenant: &Tenant| tenant.records.get(&(space, key.to_vec())).cloned();
        if self.has(Bug::ForeignRecordFound) {
            return Ok(state.tenants.values().find_map(found));
        }
        Ok(state.tenants.get(&tenant).and_then(found))
    }

    async fn records(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        let mut records = self.listed(tenant, space, prefix);
        records.retain(|(key, _)| self.is_after(key.as_slice(), after));
        records.truncate(limit);
        Ok(records)
    }

    async fn past_from(&self, tenant: TenantId) -> Result<Option<u64>, StoreError> {
        Ok(Some(self.state().tenants.get(&tenant).map_or(0, |tenant| tenant.past_from)))
    }

    async fn records_at(
        &self,
        tenant: TenantId,
        space: Space,
        size: u64,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        let mut at: BTreeMap<Vec<u8>, Record> = self.listed(tenant, space, b"").into_iter().collect();
        let state = self.state();
        let whose = |id: &TenantId| *id == tenant || self.has(Bug::PastIsTheNeighbours);
        let mut seen = BTreeSet::new();
        for (_, tenant) in state.tenants.iter().filter(|(id, _)| whose(id)) {
            for ((of, key, until), was) in &tenant.past {
                let is_first = self.has(Bug::PastIsTheLatest) || !seen.contains(key);
                if *of == space && *until >= size && is_first {
                    seen.insert(key.clone());
                    match was {
                        Some(record) => drop(at.insert(key.clone(), record.clone())),
                        None => drop(at.remove(key)),
                    }
                }
            }
        }
        Ok(at.into_iter().filter(|(key, _)| self.is_after(key.as_slice(), after)).take(limit).collect())
    }

    async fn forget_past(&self, tenant: TenantId, size: u64) -> Result<(), StoreError> {
        let size = if self.has(Bug::ForgetsWhatIsWanted) { size + 1 } else { size };
        if let Some(tenant) = self.state().tenants.get_mut(&tenant) {
            tenant.past.retain(|(_, _, until), _| *until >= size);
            tenant.past_from = tenant.past_from.max(size);
        }
        Ok(())
    }

    async fn children(
        &self,
        tenant: TenantId,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Child>, StoreError> {
        let mut names = Vec::new();
        for (key, _) in self.listed(tenant, space, prefix) {
            let rest = &key[prefix.len()..];
            let name = rest.split_inclusive(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
            let is_behind = names.last().is_some_and(|last: &Vec<u8>| last.ends_with(b"/"));
            let is_hidden = self.has(Bug::FolderHidesKeysBehindIt) && is_behind;
            if !name.is_empty() && !is_hidden {
                names.push(name);
            }
        }
        if !self.has(Bug::FoldersRepeat) {
            names.dedup();
        }
        names.retain(|name| self.is_after(name.as_slice(), after));
        Ok(names.into_iter().take(limit).map(|name| Child { name }).collect())
    }

    async fn entries(&self, tenant: TenantId, from: u64, limit: usize) -> Result<Vec<StoredEntry>, StoreError> {
        let state = self.state();
        let entries = state.tenants.get(&tenant).map(|tenant| tenant.entries.iter());
        Ok(entries.into_iter().flatten().filter(|entry| entry.index >= from).take(limit).cloned().collect())
    }

    async fn leaves(&self, tenant: TenantId, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        let entries = self.entries(tenant, 0, usize::MAX).await?;
        cut(entries.into_iter().map(|entry| entry.leaf).collect(), from, to)
    }

    async fn subtrees(&self, tenant: TenantId, level: u8, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
        let entries = self.entries(tenant, 0, usize::MAX).await?;
        let leaves: Vec<Hash> = entries.into_iter().map(|entry| entry.leaf).collect();
        let level = if self.has(Bug::SubtreesOfLevelOneOnly) { 1 } else { level };
        cut(naive::subtrees(&leaves, level), from, to)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let mut state = self.state();
        if let Err(refusal) = self.check(&state, &commit) {
            for part in &commit.parts {
                let alone = Commit { parts: vec![part.clone()], guards: Vec::new() };
                if self.has(Bug::PartsNotAtomic) && self.check(&state, &alone).is_ok() {
                    self.apply(&mut state, part);
                }
                if self.has(Bug::RefusalLeavesGap)
                    && let Some(tenant) = state.tenants.get_mut(&part.tenant)
                {
                    tenant.header.ledger.append([0; 32], |_, _, _| {});
                }
            }
            return Err(refusal);
        }
        Ok(Committed { receipts: commit.parts.iter().map(|part| self.apply(&mut state, part)).collect() })
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        let state = self.state();
        let wakes = state.tenants.iter().filter_map(|(id, tenant)| Some((tenant.wake?, *id)));
        let mut due: Vec<_> = wakes.filter(|(at, _)| *at <= now).collect();
        if !self.has(Bug::DueInOrderOfIds) {
            due.sort();
        }
        due.truncate(limit);
        Ok(due)
    }

    async fn erase(&self, tenant: TenantId) -> Result<(), StoreError> {
        let mut state = self.state();
        for (id, tenant) in
            state.tenants.iter_mut().filter(|(id, _)| **id == tenant || self.has(Bug::EraseTakesNeighbour))
        {
            if !self.has(Bug::PastOutlivesErasure) {
                tenant.past.clear();
            }
            if !self.has(Bug::EraseKeepsRecords) {
                tenant.records.clear();
                tenant.header.counts.clear();
            }
            if !self.has(Bug::EraseKeepsSealedBytes) {
                tenant.entries.iter_mut().for_each(|entry| entry.sealed.clear());
            }
            if self.has(Bug::EraseDropsLeaves) {
                tenant.entries.clear();
            }
            if self.has(Bug::EraseTakesMeta) && !id.is_platform() {
                tenant.header.meta.clear();
            }
        }
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn size_bytes(&self) -> Result<u64, StoreError> {
        Ok(1)
    }
}

/// A part of a list, which must be there.
fn cut(hashes: Vec<Hash>, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
    let (from, to) = (usize::try_from(from), usize::try_from(to));
    match (from, to) {
        (Ok(from), Ok(to)) if from <= to && to <= hashes.len() => Ok(hashes[from..to].to_vec()),
        _ => Err(StoreError::Damaged("hashes of the ledger are missing".to_owned())),
    }
}
