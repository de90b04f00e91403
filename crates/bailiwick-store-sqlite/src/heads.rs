//! Tenants' rows in the writer's hands.
//!
//! A row that a group touches is taken out of the cache into the group, changed there as often as the group likes, and
//! written once just before COMMIT. It goes back only after COMMIT succeeded.
//!
//! # Invariants
//! - INV-HEADS-1: the cache holds committed rows only. A group that fails drops its rows, and the next one reads
//!   them anew.
//! - INV-HEADS-2: only the writer's thread sees this; readers read what is on disk.

use std::collections::HashMap;

use bailiwick_ledger::CompactRange;
use bailiwick_store::{CommitError, Counts, Head as Row, Part, Receipt, Subtree};
use bailiwick_types::{TenantId, Timestamp};
use quick_cache::unsync::Cache;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Fail;
use crate::read::unsigned;

/// A tenant's row in the writer's hands.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The engine's number of the tenant.
    pub(crate) no: i64,
    pub(crate) row: Row,
    /// What has to be written before COMMIT.
    change: Change,
    /// A new meta that is not written yet.
    meta: Option<Vec<u8>>,
}

/// How much of a row has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Nothing,
    /// Epoch, counts, ledger: what almost every commit changes, and no index contains.
    Progress,
    /// Everything.
    Row,
}

impl Head {
    /// A tenant's row before its first commit.
    pub(crate) fn unborn() -> Self {
        Self { no: 0, row: Row::unborn(), change: Change::Nothing, meta: None }
    }

    /// Changes the row as a part says, and notes what that needs to be written.
    pub(crate) fn change(&mut self, part: &Part, subtrees: &mut Vec<Subtree>) -> Receipt {
        let wake = self.row.wake;
        let receipt = self.row.apply(part, subtrees);
        let header = &part.header;
        if let Some((_, meta)) = &header.meta {
            self.meta = Some(meta.clone());
        }
        if header.state.is_some() || header.meta.is_some() || header.restored.is_some() || self.row.wake != wake {
            self.touch(Change::Row);
        } else if header.bump_epoch || !part.writes.is_empty() || !part.entries.is_empty() {
            self.touch(Change::Progress);
        }
        receipt
    }

    /// Notes a change.
    pub(crate) fn touch(&mut self, change: Change) {
        self.change = self.change.max(change);
    }
}

const LOAD: &str = "SELECT no, state, wake, epoch, meta_version, counts, ledger, revision FROM tenant WHERE id = ?1";
const SLUG: &str = "SELECT 1 FROM tenant WHERE slug = ?1";
const INSERT: &str = "INSERT INTO tenant (id, slug, state, wake, epoch, meta_version, counts, ledger, meta, revision) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
const PROGRESS: &str = "UPDATE tenant SET epoch = ?2, counts = ?3, ledger = ?4, revision = ?5 WHERE no = ?1";
const ROW: &str = "UPDATE tenant SET epoch = ?2, counts = ?3, ledger = ?4, revision = ?5, state = ?6, wake = ?7, \
    meta_version = ?8, meta = coalesce(?9, meta) WHERE no = ?1";

/// The rows of the running group, and a bounded number of idle ones.
pub(crate) struct Heads {
    idle: Cache<TenantId, Head>,
    group: HashMap<TenantId, Head>,
}

impl Heads {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { idle: Cache::new(capacity.max(1)), group: HashMap::new() }
    }

    /// The tenant's row as the group has left it, or `None` if there is no such tenant.
    pub(crate) fn load(&mut self, conn: &Connection, tenant: TenantId) -> Result<Option<&mut Head>, Fail> {
        if !self.group.contains_key(&tenant) {
            let found = match self.idle.remove(&tenant) {
                Some((_, head)) => Some(head),
                None => from_disk(conn, tenant)?,
            };
            if let Some(head) = found {
                self.group.insert(tenant, head);
            }
        }
        Ok(self.group.get_mut(&tenant))
    }

    /// The row of a tenant that the group has loaded.
    pub(crate) fn loaded(&mut self, tenant: TenantId) -> Option<&mut Head> {
        self.group.get_mut(&tenant)
    }

    /// Writes a new tenant's row. Its number is now known.
    pub(crate) fn create(
        &mut self,
        conn: &Connection,
        tenant: TenantId,
        slug: &str,
        mut head: Head,
    ) -> rusqlite::Result<i64> {
        conn.prepare_cached(INSERT)?.execute(params![
            tenant.as_bytes(),
            slug,
            head.row.state,
            head.row.wake.map(Timestamp::unix_ms),
            head.row.epoch.cast_signed(),
            head.row.meta_version.cast_signed(),
            head.row.counts.to_bytes(),
            head.row.ledger.to_bytes(),
            head.meta.take().unwrap_or_default(),
            head.row.revision.cast_signed(),
        ])?;
        head.no = conn.last_insert_rowid();
        head.change = Change::Nothing;
        let no = head.no;
        self.group.insert(tenant, head);
        Ok(no)
    }

    /// Writes the rows that the group has changed.
    pub(crate) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for head in self.group.values_mut() {
            let row = &head.row;
            let (epoch, revision) = (row.epoch.cast_signed(), row.revision.cast_signed());
            let (counts, ledger) = (row.counts.to_bytes(), row.ledger.to_bytes());
            match head.change {
                Change::Nothing => continue,
                Change::Progress => {
                    conn.prepare_cached(PROGRESS)?.execute(params![head.no, epoch, counts, ledger, revision])?
                }
                Change::Row => conn.prepare_cached(ROW)?.execute(params![
                    head.no,
                    epoch,
                    counts,
                    ledger,
                    revision,
                    row.state,
                    row.wake.map(Timestamp::unix_ms),
                    row.meta_version.cast_signed(),
                    head.meta.take(),
                ])?,
            };
            head.change = Change::Nothing;
        }
        Ok(())
    }

    /// The group was committed.
    pub(crate) fn keep(&mut self) {
        for (tenant, head) in self.group.drain() {
            self.idle.insert(tenant, head);
        }
    }

    /// The group was rolled back.
    pub(crate) fn forget(&mut self) {
        self.group.clear();
    }

    /// Nothing is known about what is on disk any more.
    pub(crate) fn forget_all(&mut self) {
        self.group.clear();
        self.idle.clear();
    }
}

/// Whether a slug is or was in use.
pub(crate) fn slug_is_taken(conn: &Connection, slug: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached(SLUG)?.exists([slug])
}

fn from_disk(conn: &Connection, tenant: TenantId) -> Result<Option<Head>, Fail> {
    let mut statement = conn.prepare_cached(LOAD)?;
    let head = statement.query_row([tenant.as_bytes()], |row| {
        let counts = Counts::from_bytes(row.get_ref(5)?.as_blob()?);
        let ledger = CompactRange::from_bytes(row.get_ref(6)?.as_blob()?);
        let (Some(counts), Some(ledger)) = (counts, ledger) else { return Ok(None) };
        Ok(Some(Head {
            no: row.get(0)?,
            row: Row {
                state: row.get(1)?,
                wake: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_unix_ms),
                epoch: unsigned(row, 3)?,
                meta_version: unsigned(row, 4)?,
                counts,
                ledger,
                revision: unsigned(row, 7)?,
            },
            change: Change::Nothing,
            meta: None,
        }))
    });
    match head.optional()? {
        None => Ok(None),
        // A refusal, not a failure: one tenant's damaged row is no reason to roll its neighbours back.
        Some(None) => Err(CommitError::Damaged(format!("the row of {tenant} does not parse")).into()),
        Some(Some(head)) => Ok(Some(head)),
    }
}
