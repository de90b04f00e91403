//! Pages and their cursors.
//!
//! A cursor is the position after the last item, with a MAC under the tenant's own key over position, action, caller
//! and query. One of another tenant, caller or query is just bad input; it says nothing about what it points at.

use bailiwick_types::{Code, Limit, limits::PAGE_SIZE_DEFAULT};
use data_encoding::BASE64URL_NOPAD;

use crate::error::AppError;
use crate::tx::{Scope, Tx};

/// Which page of a list is wanted.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// How many items; the default if absent.
    pub limit: Option<u64>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// Takes a cursor apart: its MAC, and the position that the MAC is over.
pub(crate) fn split(cursor: &str) -> Option<([u8; 32], Vec<u8>)> {
    let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
    let (mac, position) = bytes.split_first_chunk::<32>()?;
    Some((*mac, position.to_vec()))
}

/// The reverse of [`split`].
pub(crate) fn join(mac: &[u8; 32], position: &[u8]) -> String {
    BASE64URL_NOPAD.encode(&[mac, position].concat())
}

impl<S: Scope> Tx<'_, S> {
    /// How many items the page may have.
    pub(crate) fn page_limit(&self, page: &PageRequest) -> Result<usize, AppError> {
        let most = self.limit(Limit::PageSize);
        let wanted = page.limit.unwrap_or(PAGE_SIZE_DEFAULT.min(most));
        if wanted == 0 || wanted > most {
            return Err(AppError::invalid(format!("`limit` must be between 1 and {most}")));
        }
        usize::try_from(wanted).map_err(AppError::internal)
    }

    /// The position that the page starts after.
    pub(crate) fn page_after(&self, page: &PageRequest, query: &str) -> Result<Option<Vec<u8>>, AppError> {
        let Some(cursor) = &page.cursor else { return Ok(None) };
        let bad = || AppError::new(Code::InvalidCursor);
        let (mac, position) = split(cursor).ok_or_else(bad)?;
        if !self.snapshot.keyring()?.check_cursor(&self.cursor_message(query, &position), &mac) {
            return Err(bad());
        }
        Ok(Some(position))
    }

    /// The cursor for going on after `position`.
    pub(crate) fn cursor(&self, query: &str, position: &[u8]) -> Result<String, AppError> {
        let mac = self.snapshot.keyring()?.cursor_mac(&self.cursor_message(query, position));
        Ok(join(&mac, position))
    }

    fn cursor_message(&self, query: &str, position: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        for part in [self.resource_action().as_bytes(), self.principal().id.as_bytes(), query.as_bytes(), position] {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part);
        }
        message
    }

    /// One page of `Stored` records below `prefix` as API items.
    pub(crate) async fn page<A, R, T>(
        &self,
        permit: &bailiwick_authz::Permit<A>,
        prefix: &[u8],
        page: &PageRequest,
        query: &str,
        mut show: impl FnMut(u64, R) -> Result<Option<T>, AppError>,
    ) -> Result<bailiwick_types::api::Page<T>, AppError>
    where
        A: bailiwick_types::ActionType,
        R: crate::records::Stored,
    {
        let limit = self.page_limit(page)?;
        let mut after = self.page_after(page, query)?;
        let mut items = Vec::with_capacity(limit.min(128));
        loop {
            let wanted = limit.saturating_sub(items.len()).saturating_add(1);
            let records = self.read_all::<A, R>(permit, prefix, after.as_deref(), wanted).await?;
            let is_last = records.len() < wanted;
            for (key, version, record) in records {
                if items.len() == limit {
                    // There is one more: the page ends before it.
                    let position = after.as_deref().unwrap_or_default();
                    return Ok(bailiwick_types::api::Page { items, next: Some(self.cursor(query, position)?) });
                }
                items.extend(show(version, record)?);
                after = Some(key);
            }
            if is_last {
                return Ok(bailiwick_types::api::Page { items, next: None });
            }
        }
    }
}
