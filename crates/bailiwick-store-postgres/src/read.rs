//! The reads: each a transaction of its own, on the plane of its tenant.
//!
//! # Invariants
//! - INV-READ-1: a read is repeated on a new connection if its own has gone, and never answered in part.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::keys::{behind, first_segment, next, past};
use bailiwick_store::{Child, Counts, Header, Record, Space, StoreError, StoredEntry, Totals};
use bailiwick_types::{TenantId, Timestamp};
use tokio::time::Instant;
use tokio_postgres::Row;

use crate::Shared;
use crate::lane::state_of;
use crate::session::{Mode, Param, Plane, Session, tenant as id_of, uuid};
use crate::sql::Query;
use crate::trouble::Trouble;

/// How long a failed read waits before it is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// What is stored cannot be what was written.
pub(crate) fn damaged<T>(what: &str) -> Result<T, StoreError> {
    Err(StoreError::Damaged(what.to_owned()))
}

/// A limit as the database takes it.
fn bounded(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A place in a ledger as the database compares it. No ledger is as long as the places that this folds together.
fn position(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

impl Shared {
    /// Reads rows: again until it succeeds, fails for a reason in the data, or has taken too long.
    pub(crate) async fn rows(
        self: &Arc<Self>,
        plane: Plane,
        query: Query,
        params: &[Param<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        self.metrics.read_from_database();
        let deadline = Instant::now() + self.options.read_wait;
        loop {
            let attempt = async {
                let lease = self.readers.lease(deadline.saturating_duration_since(Instant::now())).await?;
                let session = lease.session()?;
                let rows = session.whole(Mode::Read, &plane, session.query(query, params)).await?;
                lease.done();
                Ok::<_, Trouble>(rows)
            };
            let trouble = match tokio::time::timeout_at(deadline, attempt).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(trouble)) => trouble,
                Err(_) => return Err(StoreError::Unavailable("the database does not answer".to_owned())),
            };
            if trouble.ends_session() {
                self.readers.drain();
            }
            match trouble {
                Trouble::Statement(_) | Trouble::Taken(_) => return Err(trouble.into()),
                other if Instant::now() + PAUSE >= deadline => return Err(other.into()),
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    pub(crate) async fn header_of(self: &Arc<Self>, tenant: TenantId) -> Result<Option<Header>, StoreError> {
        let rows = self.rows(own(tenant), Query::Header, &[&uuid(tenant)]).await?;
        rows.first().map(header).transpose()
    }

    pub(crate) async fn records_of(self: &Arc<Self>, range: &Range<'_>) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        let from = range.after.map(next).unwrap_or_default().max(range.prefix.to_vec());
        let (tenant, space, limit) = (uuid(range.tenant), i16::from(range.space.number()), bounded(range.limit));
        let plane = own(range.tenant);
        let rows = match past(range.prefix) {
            Some(end) => self.rows(plane, Query::Records, &[&tenant, &space, &from, &end, &limit]).await?,
            None => self.rows(plane, Query::RecordsToEnd, &[&tenant, &space, &from, &limit]).await?,
        };
        rows.iter().map(record_row).collect()
    }

    pub(crate) async fn records_of_past(
        self: &Arc<Self>,
        range: &Range<'_>,
        size: u64,
    ) -> Result<Vec<(Vec<u8>, Record)>, StoreError> {
        let from = range.after.map(next).unwrap_or_default();
        let (tenant, space, limit) = (uuid(range.tenant), i16::from(range.space.number()), bounded(range.limit));
        let params: [Param<'_>; 5] = [&tenant, &space, &position(size), &from, &limit];
        let rows = self.rows(own(range.tenant), Query::RecordsAt, &params).await?;
        rows.iter().map(record_row).collect()
    }

    /// Names below a prefix. One state for all of its searches: each jumps over a folder, however much is in it.
    pub(crate) async fn children_of(self: &Arc<Self>, range: &Range<'_>) -> Result<Vec<Child>, StoreError> {
        let deadline = Instant::now() + self.options.read_wait;
        let lease = self.readers.lease(self.options.read_wait).await?;
        let walked = async {
            let session = lease.session()?;
            session.begin(Mode::Read, &own(range.tenant)).await?;
            let found = walk(session, range).await?;
            session.commit().await?;
            Ok::<_, Trouble>(found)
        };
        match tokio::time::timeout_at(deadline, walked).await {
            Ok(Ok(found)) => {
                lease.done();
                found.map_or_else(|| damaged("an index is out of order"), Ok)
            }
            Ok(Err(trouble)) => Err(trouble.into()),
            Err(_) => Err(StoreError::Unavailable("the database does not answer".to_owned())),
        }
    }

    pub(crate) async fn entries_of(
        self: &Arc<Self>,
        tenant: TenantId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let Ok(from) = i64::try_from(from) else { return Ok(Vec::new()) };
        let rows = self.rows(own(tenant), Query::Entries, &[&uuid(tenant), &from, &bounded(limit)]).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for (index, row) in (from.cast_unsigned()..).zip(&rows) {
            // Numbered without gaps is what the ledger promises; a hole is found here rather than skipped.
            if unsigned(row, 0)? != index {
                return damaged("a ledger entry is missing");
            }
            entries.push(StoredEntry { index, leaf: hash(row, 1)?, sealed: get(row, 2)? });
        }
        Ok(entries)
    }

    pub(crate) async fn leaves_of(
        self: &Arc<Self>,
        tenant: TenantId,
        from: u64,
        to: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let params: [Param<'_>; 3] = [&uuid(tenant), &position(from), &position(to)];
        complete(&self.rows(own(tenant), Query::Leaves, &params).await?, from, to)
    }

    pub(crate) async fn subtrees_of(
        self: &Arc<Self>,
        tenant: TenantId,
        level: u8,
        from: u64,
        to: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let params: [Param<'_>; 4] = [&uuid(tenant), &i16::from(level), &position(from), &position(to)];
        complete(&self.rows(own(tenant), Query::Subtrees, &params).await?, from, to)
    }

    pub(crate) async fn headers_after(
        self: &Arc<Self>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Header>, StoreError> {
        // No slug is empty, so "after nothing" is "after the empty slug".
        let params: [Param<'_>; 3] = [&after.unwrap_or(""), &uuid(TenantId::PLATFORM), &bounded(limit)];
        self.rows(Plane::Platform, Query::Headers, &params).await?.iter().map(header).collect()
    }

    pub(crate) async fn slug_owner(self: &Arc<Self>, slug: &str) -> Result<Option<TenantId>, StoreError> {
        // A text of the database's holds no NUL, so no slug does.
        if slug.contains('\0') {
            return Ok(None);
        }
        let rows = self.rows(Plane::Platform, Query::TenantBySlug, &[&slug]).await?;
        rows.first().map(|row| Ok(id_of(get(row, 0)?))).transpose()
    }

    pub(crate) async fn totals_now(self: &Arc<Self>) -> Result<Totals, StoreError> {
        let rows = self.rows(Plane::Platform, Query::Totals, &[&uuid(TenantId::PLATFORM)]).await?;
        let by_state = rows.iter().map(|row| Ok((state_of(get(row, 0)?)?, unsigned(row, 1)?)));
        Ok(Totals { by_state: by_state.collect::<Result<_, StoreError>>()? })
    }

    pub(crate) async fn due_at(
        self: &Arc<Self>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Timestamp, TenantId)>, StoreError> {
        let rows = self.rows(Plane::Platform, Query::Due, &[&now.unix_ms(), &bounded(limit)]).await?;
        rows.iter().map(|row| Ok((Timestamp::from_unix_ms(get(row, 0)?), id_of(get(row, 1)?)))).collect()
    }
}

/// The plane of one tenant.
pub(crate) fn own(tenant: TenantId) -> Plane {
    Plane::Tenants(vec![tenant])
}

/// A column.
pub(crate) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// Key, version and sealed bytes.
fn record_row(row: &Row) -> Result<(Vec<u8>, Record), StoreError> {
    Ok((get(row, 0)?, Record { version: unsigned(row, 1)?, sealed: get(row, 2)? }))
}

/// A number without sign. The database's have one; all 64 bits go through it unchanged.
pub(crate) fn unsigned(row: &Row, column: usize) -> Result<u64, StoreError> {
    get::<i64>(row, column).map(i64::cast_unsigned)
}

fn hash(row: &Row, column: usize) -> Result<Hash, StoreError> {
    get::<&[u8]>(row, column)?.try_into().or_else(|_| damaged("a hash has another length"))
}

fn header(row: &Row) -> Result<Header, StoreError> {
    let Some(ledger) = CompactRange::from_bytes(get(row, 4)?) else {
        return damaged("a ledger's edge does not fit its size");
    };
    let Some(counts) = Counts::from_bytes(get(row, 5)?) else { return damaged("a tenant's counts do not parse") };
    Ok(Header {
        tenant: id_of(get(row, 0)?),
        slug: get(row, 1)?,
        state: state_of(get(row, 2)?)?,
        epoch: unsigned(row, 3)?,
        ledger,
        counts,
        meta: get(row, 6)?,
        meta_version: unsigned(row, 7)?,
        revision: unsigned(row, 8)?,
        wake: get::<Option<i64>>(row, 9)?.map(Timestamp::from_unix_ms),
    })
}

/// The hashes, if they are as many as were asked for.
fn complete(rows: &[Row], from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
    if u64::try_from(rows.len()) != Ok(to.saturating_sub(from)) {
        return damaged("hashes of the ledger are missing");
    }
    rows.iter().map(|row| hash(row, 0)).collect()
}

/// Which part of a space a list looks at.
#[derive(Debug)]
pub(crate) struct Range<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) space: Space,
    pub(crate) prefix: &'a [u8],
    pub(crate) after: Option<&'a [u8]>,
    pub(crate) limit: usize,
}

/// `None`: a key came that the search cannot have found.
async fn walk(session: &Session, range: &Range<'_>) -> Result<Option<Vec<Child>>, Trouble> {
    let (prefix, end) = (range.prefix, past(range.prefix));
    let (tenant, space) = (uuid(range.tenant), i16::from(range.space.number()));
    // A key that is the prefix itself has no name below it, so even the first search starts behind one.
    let after = range.after.map(first_segment).unwrap_or_default();
    let mut from = behind(prefix, after);
    let mut found = Vec::new();
    while let Some(start) = from.take()
        && found.len() < range.limit
    {
        let limit = bounded(range.limit.saturating_sub(found.len()).min(NAMES_PER_SEARCH));
        let rows = match &end {
            Some(end) => session.query(Query::Keys, &[&tenant, &space, &start, end, &limit]).await?,
            None => session.query(Query::KeysToEnd, &[&tenant, &space, &start, &limit]).await?,
        };
        let is_full = bounded(rows.len()) == limit;
        for row in &rows {
            let Some(rest) = row.try_get::<_, &[u8]>(0)?.strip_prefix(prefix) else { return Ok(None) };
            let name = first_segment(rest).to_vec();
            // Names are walked, folders are jumped over.
            let is_folder = name.ends_with(b"/");
            from = if is_folder || is_full { behind(prefix, &name) } else { None };
            found.push(Child { name });
            if is_folder {
                break;
            }
        }
    }
    Ok(Some(found))
}

/// How many keys one search of a folder looks at, most of which are in vain if the first is a folder's.
const NAMES_PER_SEARCH: usize = 128;
