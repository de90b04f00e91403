//! Puts a tenant into a store: one that is not there, one that was put in part, or an earlier state of the same one.
//!
//! Crash argument. A tenant that fits into one batch appears with it, complete. A larger one is begun in the state
//! [`Rule::closed`], without meta and without a wake-up, so nothing is answered for it, nobody can be authenticated in it
//! and no background work finds it; its records and entries follow in bounded batches; and the batch that completes it sets
//! state, meta, epoch, version and wake-up together. One that is there and open is closed by the first batch that changes
//! it. Cut off anywhere, it is closed, and the next run compares what is there with the source and goes on.
//!
//! The platform is put last. Until it is complete there is no installation record in the target, or none that anything is
//! answered under, so the tenants that are complete already answer nothing either.
//!
//! Every batch but the first names the epoch that the one before left, so whoever else changes the tenant is found out.

use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_store::{
    Commit, Counts, Expect, Header, HeaderChange, NewEntry, Part, Record, Restored, Space, Store, StoredEntry, Wake,
    Write,
};
use bailiwick_types::TenantId;

use crate::cursor::Ahead;
use crate::error::named;
use crate::{Rule, Sink, TransferError};

/// The most records and entries of one batch.
const BATCH_ITEMS_MAX: usize = 512;
/// About the most bytes of one batch.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// A tenant on its way into a store.
pub(crate) struct Put {
    store: Arc<dyn Store>,
    rule: Rule,
    tenant: TenantId,
    slug: String,
    /// The tenant as the target has it.
    head: Option<Header>,
    /// What the target has, beside what comes.
    there: Option<Ahead>,
    /// How many entries are in the target, those that wait for their batch among them.
    size: u64,
    /// Whether the target keeps sealed bytes of entries that are erased in the source.
    keeps_erased: bool,
    writes: Vec<Write>,
    entries: Vec<NewEntry>,
    bytes: usize,
}

impl Put {
    pub(crate) fn new(store: Arc<dyn Store>, rule: Rule) -> Self {
        Self {
            store,
            rule,
            tenant: TenantId::PLATFORM,
            slug: String::new(),
            head: None,
            there: None,
            size: 0,
            keeps_erased: false,
            writes: Vec::new(),
            entries: Vec::new(),
            bytes: 0,
        }
    }

    fn name(&self) -> String {
        named(self.tenant, &self.slug)
    }

    async fn load(&self) -> Result<Option<Header>, TransferError> {
        self.store.header(self.tenant).await.map_err(TransferError::Target)
    }

    async fn write(&mut self, write: Write) -> Result<(), TransferError> {
        self.bytes += write.key.len() + write.value.as_ref().map_or(0, |(_, sealed)| sealed.len());
        self.writes.push(write);
        self.flush_if_full().await
    }

    async fn flush_if_full(&mut self) -> Result<(), TransferError> {
        if self.bytes >= BATCH_BYTES_MAX || self.writes.len() + self.entries.len() >= BATCH_ITEMS_MAX {
            return self.flush().await;
        }
        Ok(())
    }

    /// Commits a batch after which the tenant is not complete yet.
    async fn flush(&mut self) -> Result<(), TransferError> {
        let header = match &self.head {
            None => {
                HeaderChange { state: Some(self.rule.closed), meta: Some((0, Vec::new())), ..HeaderChange::default() }
            }
            Some(head) if head.state != self.rule.closed || head.wake.is_some() => {
                HeaderChange { state: Some(self.rule.closed), wake: Some(Wake::Never), ..HeaderChange::default() }
            }
            Some(_) => HeaderChange::default(),
        };
        self.commit(header).await?;
        self.head = self.load().await?;
        Ok(())
    }

    async fn commit(&mut self, header: HeaderChange) -> Result<(), TransferError> {
        let expect = match &self.head {
            None => Expect::Absent { slug: self.slug.clone() },
            Some(head) => Expect::Epoch(head.epoch),
        };
        let (writes, entries) = (std::mem::take(&mut self.writes), std::mem::take(&mut self.entries));
        self.bytes = 0;
        let part = Part { tenant: self.tenant, expect, header, writes, entries };
        let committed = self.store.commit(Commit { parts: vec![part], guards: Vec::new() }).await;
        committed.map(drop).map_err(|error| TransferError::Commit { what: format!("a part of {}", self.name()), error })
    }

    /// Removes what lies before this place in the target and is not in the source.
    async fn remove_until(&mut self, place: Option<(Space, &[u8])>) -> Result<Option<Record>, TransferError> {
        loop {
            let next = match &mut self.there {
                Some(there) => there.next_until(place).await.map_err(TransferError::Target)?,
                None => None,
            };
            match next {
                None => return Ok(None),
                Some((space, key, record)) if place == Some((space, key.as_slice())) => return Ok(Some(record)),
                Some((space, key, record)) => {
                    let expected = Some(record.version);
                    self.write(Write { space, key, expected, value: None, count_max: None }).await?;
                }
            }
        }
    }

    async fn put(&mut self, space: Space, key: Vec<u8>, record: Record) -> Result<(), TransferError> {
        let found = self.remove_until(Some((space, &key))).await?;
        if found.as_ref() == Some(&record) {
            return Ok(());
        }
        let mut expected = found.map(|found| found.version);
        if expected.is_some_and(|version| record.version <= version) {
            // It was removed and made anew in the source, where versions then start again. A batch writes a key once.
            self.write(Write { space, key: key.clone(), expected, value: None, count_max: None }).await?;
            self.flush().await?;
            expected = None;
        }
        let value = Some((record.version, record.sealed));
        self.write(Write { space, key, expected, value, count_max: None }).await
    }

    /// Compares entries that the target has already with those of the source.
    async fn check_entries(&mut self, entries: &[StoredEntry]) -> Result<(), TransferError> {
        let Some(first) = entries.first() else { return Ok(()) };
        let there = self.store.entries(self.tenant, first.index, entries.len()).await.map_err(TransferError::Target)?;
        for (source, target) in entries.iter().zip(&there) {
            let is_erased_since = source.sealed.is_empty() && !target.sealed.is_empty();
            self.keeps_erased |= is_erased_since;
            let is_same = source.index == target.index
                && source.leaf == target.leaf
                && (source.sealed == target.sealed || is_erased_since);
            if !is_same {
                return Err(TransferError::Foreign(format!("{} has another entry {}", self.name(), source.index)));
            }
        }
        if there.len() < entries.len() {
            return Err(TransferError::differs(self.name(), "entries of its ledger are missing in the target"));
        }
        Ok(())
    }

    /// What makes the tenant complete; nothing, if it is.
    fn completion(&self, source: &Header) -> Option<HeaderChange> {
        let wanted = self.rule.of(source);
        let is_pending = !self.writes.is_empty() || !self.entries.is_empty();
        if let Some(head) = &self.head
            && !is_pending
            && self.rule.violation(source, head).is_none()
        {
            return None;
        }
        let (meta_version, is_meta_there, revision) = match &self.head {
            None => (0, false, 0),
            Some(head) => (head.meta_version, head.meta == wanted.meta, head.revision),
        };
        Some(HeaderChange {
            bump_epoch: false,
            state: Some(wanted.state),
            meta: (!is_meta_there).then(|| (meta_version, wanted.meta.clone())),
            wake: Some(wanted.wake.map_or(Wake::Never, Wake::At)),
            restored: Some(Restored {
                // An epoch that was put before, under an earlier clock, stays.
                epoch: self.head.as_ref().map_or(wanted.epoch, |head| match self.rule.is_anew() {
                    true => wanted.epoch.max(head.epoch),
                    false => wanted.epoch,
                }),
                meta_version: wanted.meta_version,
                // Numbers of the target's own, which must grow with what is written now.
                revision: wanted.revision.max(revision.saturating_add(1)),
            }),
        })
    }
}

#[async_trait]
impl Sink for Put {
    async fn begin(&mut self, tenant: TenantId, slug: &str) -> Result<(), TransferError> {
        *self = Self::new(Arc::clone(&self.store), self.rule.clone());
        (self.tenant, self.slug) = (tenant, slug.to_owned());
        self.head = self.load().await?;
        if let Some(head) = &self.head {
            self.size = head.ledger.size();
            self.there = Some(Ahead::new(Arc::clone(&self.store), tenant));
        }
        Ok(())
    }

    async fn again(&mut self) -> Result<(), TransferError> {
        let (tenant, slug) = (self.tenant, std::mem::take(&mut self.slug));
        self.begin(tenant, &slug).await
    }

    async fn records(&mut self, space: Space, records: Vec<(Vec<u8>, Record)>) -> Result<(), TransferError> {
        for (key, record) in records {
            self.put(space, key, record).await?;
        }
        Ok(())
    }

    async fn entries(&mut self, mut entries: Vec<StoredEntry>) -> Result<(), TransferError> {
        self.remove_until(None).await?;
        let known = entries.iter().take_while(|entry| entry.index < self.size).count();
        let new = entries.split_off(known);
        self.check_entries(&entries).await?;
        for entry in new {
            if entry.index != self.size {
                return Err(TransferError::differs(self.name(), "an entry of its ledger is missing"));
            }
            self.size += 1;
            self.bytes += entry.sealed.len();
            self.entries.push(NewEntry { leaf: entry.leaf, sealed: entry.sealed });
            self.flush_if_full().await?;
        }
        Ok(())
    }

    async fn finish(&mut self, header: &Header) -> Result<(), TransferError> {
        self.remove_until(None).await?;
        if self.size > header.ledger.size() {
            let more = self.size - header.ledger.size();
            return Err(TransferError::Foreign(format!("{} has {more} entries more than the source", self.name())));
        }
        if self.keeps_erased {
            if header.counts != Counts::default() {
                return Err(TransferError::differs(self.name(), "it has records, but its entries are erased"));
            }
            // What was to be removed goes with the rest.
            self.writes.clear();
            self.store.erase(self.tenant).await.map_err(TransferError::Target)?;
        }
        if let Some(change) = self.completion(header) {
            self.commit(change).await?;
            self.head = self.load().await?;
        }
        let violation = match &self.head {
            None => Some("the tenant"),
            Some(head) => self.rule.violation(header, head),
        };
        match violation {
            None => Ok(()),
            Some(what) => {
                Err(TransferError::differs(self.name(), format!("{what} is not as it must be after the move")))
            }
        }
    }
}
