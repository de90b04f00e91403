//! Compares a tenant with what a store has of it, and writes nothing.

use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::{Header, Record, Space, Store, StoredEntry};
use bailiwick_types::TenantId;

use crate::cursor::Ahead;
use crate::error::named;
use crate::{Rule, Sink, TransferError};

/// How much of it has to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// Any part that an interrupted move of just this may have left, or nothing.
    Part,
}

/// A comparison with a store.
pub(crate) struct Compare {
    store: Arc<dyn Store>,
    rule: Rule,
    extent: Extent,
    tenant: TenantId,
    slug: String,
    head: Option<Header>,
    there: Option<Ahead>,
    /// The tree of the target's own leaves, computed here.
    tree: CompactRange,
    /// Subtrees of it, by level: they are derived in the target, and are what proofs are made from there.
    subtrees: Vec<(u8, u64, Hash)>,
}

impl Compare {
    pub(crate) fn new(store: Arc<dyn Store>, rule: Rule, extent: Extent) -> Self {
        Self {
            store,
            rule,
            extent,
            tenant: TenantId::PLATFORM,
            slug: String::new(),
            head: None,
            there: None,
            tree: CompactRange::new(),
            subtrees: Vec::new(),
        }
    }

    fn differs(&self, what: impl Into<String>) -> TransferError {
        let who = named(self.tenant, &self.slug);
        match self.extent {
            Extent::Whole => TransferError::differs(who, what),
            Extent::Part => TransferError::Foreign(format!("{who}: {}", what.into())),
        }
    }

    fn is_whole(&self) -> bool {
        self.extent == Extent::Whole
    }

    /// The target's record at this place. One that lies before it is not in the source.
    async fn there(&mut self, place: Option<(Space, &[u8])>) -> Result<Option<Record>, TransferError> {
        let next = match &mut self.there {
            Some(there) => there.next_until(place).await.map_err(TransferError::Target)?,
            None => None,
        };
        match next {
            Some((space, key, record)) if place == Some((space, key.as_slice())) => Ok(Some(record)),
            None => Ok(None),
            Some((space, _, _)) => Err(self.differs(format!("the target has a {} record more", space.as_str()))),
        }
    }

    async fn check_subtrees(&self) -> Result<(), TransferError> {
        for (level, number, hash) in &self.subtrees {
            let there = self.store.subtrees(self.tenant, *level, *number, number.saturating_add(1)).await;
            if there.map_err(TransferError::Target)?.first() != Some(hash) {
                return Err(self.differs(format!("subtree {number} of level {level} is not that of its leaves")));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Sink for Compare {
    async fn begin(&mut self, tenant: TenantId, slug: &str) -> Result<(), TransferError> {
        *self = Self::new(Arc::clone(&self.store), self.rule.clone(), self.extent);
        (self.tenant, self.slug) = (tenant, slug.to_owned());
        self.head = self.store.header(tenant).await.map_err(TransferError::Target)?;
        match &self.head {
            None if self.is_whole() => return Err(self.differs("it is not in the target")),
            Some(head) if head.slug != slug => return Err(self.differs("the target has it under another slug")),
            Some(_) => self.there = Some(Ahead::new(Arc::clone(&self.store), tenant)),
            None => {
                if self.store.tenant_by_slug(slug).await.map_err(TransferError::Target)?.is_some() {
                    return Err(self.differs("the target has another tenant of this slug"));
                }
            }
        }
        Ok(())
    }

    async fn again(&mut self) -> Result<(), TransferError> {
        let (tenant, slug) = (self.tenant, std::mem::take(&mut self.slug));
        self.begin(tenant, &slug).await
    }

    async fn records(&mut self, space: Space, records: Vec<(Vec<u8>, Record)>) -> Result<(), TransferError> {
        for (key, record) in records {
            match self.there(Some((space, &key))).await? {
                Some(there) if there == record => {}
                Some(_) => return Err(self.differs(format!("a {} record is not the same", space.as_str()))),
                None if self.is_whole() => {
                    return Err(self.differs(format!("a {} record is missing in the target", space.as_str())));
                }
                None => {}
            }
        }
        Ok(())
    }

    async fn entries(&mut self, entries: Vec<StoredEntry>) -> Result<(), TransferError> {
        let (Some(first), Some(_)) = (entries.first(), &self.head) else { return Ok(()) };
        let there = self.store.entries(self.tenant, first.index, entries.len()).await.map_err(TransferError::Target)?;
        if let Some((entry, _)) = entries.iter().zip(&there).find(|(entry, there)| entry != there) {
            return Err(self.differs(format!("entry {} is not the same", entry.index)));
        }
        if there.len() < entries.len() && self.is_whole() {
            return Err(self.differs("entries of its ledger are missing in the target"));
        }
        for entry in there {
            self.tree.append(entry.leaf, |level, number, hash| self.subtrees.push((level, number, hash)));
        }
        // A bounded number at a time, however long the ledger is.
        self.check_subtrees().await?;
        self.subtrees.clear();
        Ok(())
    }

    async fn finish(&mut self, header: &Header) -> Result<(), TransferError> {
        self.there(None).await?;
        let Some(head) = &self.head else { return Ok(()) };
        if self.tree != head.ledger {
            return Err(self.differs("its ledger in the target has another root or is longer"));
        }
        let is_closed = self.extent == Extent::Part && head.state == self.rule.closed;
        match self.rule.violation(header, head) {
            Some(what) if !is_closed => Err(self.differs(format!("{what} is not as it must be"))),
            _ => Ok(()),
        }
    }
}
