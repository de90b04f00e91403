//! A tenant as one state of it, and all tenants one after the other.
//!
//! Why it is one state: `revision` grows with every change of a record, so records that were read between two looks at the
//! same revision are those of the second look. Entries never change and are only appended, so those below the second look's
//! size are its entries; that they are is checked against its tree. Everything else is in the header itself. (An erasure
//! changes records and leaves the revision: it shows in the counts. It empties the sealed bytes of entries without a
//! trace, which is a step of the erasure that the wake-up finishes wherever the tenant is.)

use std::sync::Arc;

use bailiwick_ledger::CompactRange;
use bailiwick_store::{Counts, Header, Store};
use bailiwick_types::TenantId;

use crate::cursor::{Cursor, ENTRIES_PAGE};
use crate::error::named;
use crate::progress::length;
use crate::{Progress, Sink, Totals, TransferError};

/// How often a tenant's records are read again because they changed meanwhile.
const ATTEMPTS_MAX: usize = 16;
/// Headers that are listed at a time.
const HEADERS_PAGE: usize = 256;

/// Reads a tenant to its end. Answers with the header that it had then.
pub(crate) async fn tenant(
    store: &Arc<dyn Store>,
    tenant: TenantId,
    sink: &mut dyn Sink,
    progress: &Progress,
) -> Result<Header, TransferError> {
    let gone = || TransferError::differs(tenant.to_string(), "it is gone from the source");
    let load = async || store.header(tenant).await.map_err(TransferError::Source)?.ok_or_else(gone);
    let mut before = load().await?;
    sink.begin(tenant, &before.slug).await?;
    let mut attempts = 1;
    let header = loop {
        let (counts, done) = records(store, tenant, sink).await?;
        let after = load().await?;
        if after.revision == before.revision && after.counts == counts {
            progress.add(done);
            break after;
        }
        if after.revision == before.revision && after.counts == before.counts {
            return Err(TransferError::differs(named(tenant, &after.slug), "its records are not as many as it says"));
        }
        if attempts == ATTEMPTS_MAX {
            return Err(TransferError::Moving(named(tenant, &after.slug)));
        }
        attempts += 1;
        before = after;
        sink.again().await?;
    };
    entries(store, &header, sink, progress).await?;
    sink.finish(&header).await?;
    progress.add(Totals { tenants: 1, ..Totals::default() });
    Ok(header)
}

async fn records(
    store: &Arc<dyn Store>,
    tenant: TenantId,
    sink: &mut dyn Sink,
) -> Result<(Counts, Totals), TransferError> {
    let (mut counts, mut done) = (Counts::default(), Totals::default());
    let mut cursor = Cursor::new(Arc::clone(store), tenant);
    while let Some((space, page)) = cursor.page().await.map_err(TransferError::Source)? {
        for (_, record) in &page {
            counts.add(space);
            done.records += 1;
            done.bytes += length(record.sealed.len());
        }
        sink.records(space, page).await?;
        // So that whoever shows the progress gets a turn: an engine in this process never waits.
        tokio::task::yield_now().await;
    }
    Ok((counts, done))
}

/// The entries that a header has, which must be the leaves of its tree.
async fn entries(
    store: &Arc<dyn Store>,
    header: &Header,
    sink: &mut dyn Sink,
    progress: &Progress,
) -> Result<(), TransferError> {
    let size = header.ledger.size();
    let mut tree = CompactRange::new();
    while tree.size() < size {
        let limit = usize::try_from(size - tree.size()).unwrap_or(usize::MAX).min(ENTRIES_PAGE);
        let page = store.entries(header.tenant, tree.size(), limit).await.map_err(TransferError::Source)?;
        if page.is_empty() || page.len() > limit {
            break;
        }
        let mut done = Totals::default();
        for entry in &page {
            tree.append(entry.leaf, |_, _, _| {});
            done.entries += 1;
            done.bytes += length(entry.sealed.len());
        }
        sink.entries(page).await?;
        progress.add(done);
        tokio::task::yield_now().await;
    }
    if tree != header.ledger {
        let who = named(header.tenant, &header.slug);
        return Err(TransferError::differs(who, "its entries are not the leaves of its ledger's tree"));
    }
    Ok(())
}

/// The headers of all tenants in the order of their slugs, a page at a time.
pub(crate) struct Tenants<'a> {
    store: &'a dyn Store,
    after: Option<String>,
    is_done: bool,
}

impl<'a> Tenants<'a> {
    pub(crate) fn of(store: &'a dyn Store) -> Self {
        Self { store, after: None, is_done: false }
    }

    /// The next page; empty at the end. The platform is never in it.
    pub(crate) async fn page(&mut self) -> Result<Vec<Header>, bailiwick_store::StoreError> {
        if self.is_done {
            return Ok(Vec::new());
        }
        let page = self.store.headers(self.after.as_deref(), HEADERS_PAGE).await?;
        self.is_done = page.len() < HEADERS_PAGE;
        self.after = page.last().map(|header| header.slug.clone());
        Ok(page)
    }
}

/// How many tenants there are, with the platform.
pub(crate) async fn count(store: &dyn Store) -> Result<u64, bailiwick_store::StoreError> {
    let tenants: u64 = store.totals().await?.by_state.iter().map(|(_, tenants)| tenants).sum();
    Ok(tenants.saturating_add(1))
}

/// The platform's header: the installation itself.
pub(crate) async fn platform(store: &dyn Store) -> Result<Header, TransferError> {
    store.header(TenantId::PLATFORM).await.map_err(TransferError::Source)?.ok_or(TransferError::Empty)
}
