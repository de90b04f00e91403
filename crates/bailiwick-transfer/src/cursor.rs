//! All records of a tenant in a store, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use bailiwick_store::{Record, Space, Store, StoreError};
use bailiwick_types::TenantId;

/// Records that are read at a time: few, as each may be large.
pub(crate) const RECORDS_PAGE: usize = 64;
/// Entries that are read at a time.
pub(crate) const ENTRIES_PAGE: usize = 512;

/// A record with its place.
pub(crate) type Placed = (Space, Vec<u8>, Record);

/// Where a walk over a tenant's records is.
pub(crate) struct Cursor {
    store: Arc<dyn Store>,
    tenant: TenantId,
    spaces: std::slice::Iter<'static, Space>,
    space: Option<Space>,
    after: Option<Vec<u8>>,
}

impl Cursor {
    /// At the beginning.
    pub(crate) fn new(store: Arc<dyn Store>, tenant: TenantId) -> Self {
        let mut spaces = Space::ALL.iter();
        let space = spaces.next().copied();
        Self { store, tenant, spaces, space, after: None }
    }

    /// The next page of one space, not empty; none at the end.
    pub(crate) async fn page(&mut self) -> Result<Option<(Space, Vec<(Vec<u8>, Record)>)>, StoreError> {
        while let Some(space) = self.space {
            let page = self.store.records(self.tenant, space, b"", self.after.as_deref(), RECORDS_PAGE).await?;
            if page.len() < RECORDS_PAGE {
                (self.space, self.after) = (self.spaces.next().copied(), None);
            } else {
                self.after = page.last().map(|(key, _)| key.clone());
            }
            if !page.is_empty() {
                return Ok(Some((space, page)));
            }
        }
        Ok(None)
    }
}

/// A walk that looks one record ahead.
pub(crate) struct Ahead {
    cursor: Cursor,
    space: Option<Space>,
    page: VecDeque<(Vec<u8>, Record)>,
}

impl Ahead {
    pub(crate) fn new(store: Arc<dyn Store>, tenant: TenantId) -> Self {
        Self { cursor: Cursor::new(store, tenant), space: None, page: VecDeque::new() }
    }

    /// The next record, if it lies before this place or at it; without a place, whatever is next.
    pub(crate) async fn next_until(&mut self, place: Option<(Space, &[u8])>) -> Result<Option<Placed>, StoreError> {
        if self.page.is_empty() {
            match self.cursor.page().await? {
                None => return Ok(None),
                Some((space, page)) => {
                    self.space = Some(space);
                    self.page = page.into();
                }
            }
        }
        let (Some(space), Some((key, _))) = (self.space, self.page.front()) else { return Ok(None) };
        if place.is_some_and(|(wanted, until)| (space, key.as_slice()) > (wanted, until)) {
            return Ok(None);
        }
        Ok(self.page.pop_front().map(|(key, record)| (space, key, record)))
    }
}
