//! Tenants' rows in the writer's hands.
//!
//! A row that a group touches is taken out of the cache into the group and changed there as often as the group likes. What
//! every commit changes of it goes into the log; the row itself is written, once and just before COMMIT, only where
//! something else has changed. It goes back into the cache only after COMMIT succeeded.
//!
//! # Invariants
//! - INV-HEADS-1: the cache holds committed rows only. A group that fails drops its rows, and the next one reads
//!   them anew.
//! - INV-HEADS-2: only the writer sees this; readers see what is on disk and in the tail.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_ledger::CompactRange;
use bailiwick_store::{CommitError, Counts, Head as Row, Part, Receipt, Space, Subtree};
use bailiwick_types::{TenantId, Timestamp};
use bytes::BytesMut;
use quick_cache::unsync::Cache;
use rusqlite::{Connection, OptionalExtension, params};

use crate::cache::{Place, place};
use crate::error::Fail;
use crate::log;
use crate::pool::Memory;
use crate::read::unsigned;

/// A tenant's row in the writer's hands.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    /// The engine's number of the tenant.
    pub(crate) no: i64,
    pub(crate) row: Row,
    /// Whether something has changed that the log does not have.
    is_changed: bool,
    /// A new meta that is not written yet.
    meta: Option<Vec<u8>>,
}

impl Head {
    /// A tenant's row before its first commit.
    pub(crate) fn unborn() -> Self {
        Self { no: 0, row: Row::unborn(), is_changed: false, meta: None }
    }

    /// Changes the row as a part says, and notes what that needs to be written.
    pub(crate) fn change(&mut self, part: &Part, subtrees: &mut Vec<Subtree>) -> Receipt {
        let wake = self.row.wake;
        let receipt = self.row.apply(part, subtrees);
        let header = &part.header;
        if let Some((_, meta)) = &header.meta {
            self.meta = Some(meta.clone());
        }
        self.is_changed |=
            header.state.is_some() || header.meta.is_some() || header.restored.is_some() || self.row.wake != wake;
        receipt
    }
}

const LOAD: &str = "SELECT no, state, wake, epoch, meta_version, counts, ledger, revision FROM tenant WHERE id = ?1";
const SLUG: &str = "SELECT 1 FROM tenant WHERE slug = ?1";
const INSERT: &str = "INSERT INTO tenant (id, slug, state, wake, epoch, meta_version, counts, ledger, meta, revision) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
// Not what the log has: the row is as far as the tables are.
const ROW: &str = "UPDATE tenant SET state = ?2, wake = ?3, meta_version = ?4, meta = coalesce(?5, meta) WHERE no = ?1";

/// The rows of the running group, what it logs, and a bounded number of idle rows.
pub(crate) struct Heads {
    memory: Arc<Memory>,
    idle: Cache<TenantId, Head>,
    group: foldhash::HashMap<TenantId, Head>,
    log: BytesMut,
    subtrees: Vec<(i64, Subtree)>,
    /// Records that the group has written, and their versions now.
    written: HashMap<Place, Option<u64>>,
    /// Tenants that were taken out of the log.
    stripped: Vec<i64>,
}

impl Heads {
    pub(crate) fn new(capacity: usize, memory: Arc<Memory>) -> Self {
        let idle = Cache::new(capacity.max(1));
        Self {
            memory,
            idle,
            group: Default::default(),
            log: BytesMut::new(),
            subtrees: Vec::new(),
            written: HashMap::new(),
            stripped: Vec::new(),
        }
    }

    /// The tenant's row as the group has left it, or `None` if there is no such tenant.
    pub(crate) fn load(&mut self, conn: &Connection, tenant: TenantId) -> Result<Option<&mut Head>, Fail> {
        if !self.group.contains_key(&tenant) {
            let found = match self.idle.remove(&tenant) {
                Some((_, head)) => Some(head),
                None => self.stored(conn, tenant)?,
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
    ) -> rusqlite::Result<()> {
        conn.prepare_cached(INSERT)?.execute(params![
            tenant.as_bytes(),
            slug,
            head.row.state,
            head.row.wake.map(Timestamp::unix_ms),
            head.row.epoch.cast_signed(),
            head.row.meta_version.cast_signed(),
            head.row.counts.to_bytes(),
            CompactRange::new().to_bytes(),
            head.meta.take().unwrap_or_default(),
            head.row.revision.cast_signed(),
        ])?;
        head.no = conn.last_insert_rowid();
        head.is_changed = false;
        self.group.insert(tenant, head);
        Ok(())
    }

    /// The version of a record that the group or one before it has written, if it is not in the tables yet.
    pub(crate) fn version(&self, no: i64, space: Space, key: &[u8]) -> Option<Option<u64>> {
        match self.written.get(&place(no, space, key)) {
            Some(version) => Some(*version),
            None => self.memory.tail.record(no, space, key).map(|value| value.map(|value| value.version)),
        }
    }

    /// Logs what a part has done, and how its tenant stands now.
    pub(crate) fn log(&mut self, part: &Part, receipt: &Receipt, subtrees: Vec<Subtree>) {
        let Some(head) = self.group.get(&part.tenant) else { return };
        log::record(&mut self.log, head.no, &head.row, receipt.first_index, &part.entries, &part.writes);
        self.subtrees.extend(subtrees.into_iter().map(|subtree| (head.no, subtree)));
        for write in &part.writes {
            let version = write.value.as_ref().map(|(version, _)| *version);
            self.written.insert(place(head.no, write.space, &write.key), version);
        }
    }

    /// Notes that a tenant was taken out of the log.
    pub(crate) fn stripped(&mut self, no: i64) {
        self.stripped.push(no);
    }

    /// Notes that a record was removed from its table.
    pub(crate) fn removed(&mut self, no: i64, space: Space, key: &[u8]) {
        self.written.entry(place(no, space, key)).or_insert(None);
    }

    /// Logs that a tenant has no records left.
    pub(crate) fn emptied(&mut self, tenant: TenantId) {
        let Some(head) = self.group.get_mut(&tenant) else { return };
        head.row.counts.clear();
        log::record(&mut self.log, head.no, &head.row, head.row.ledger.size(), &[], &[]);
    }

    /// Writes the rows that the group has changed. Returns its row of the log, if it has any.
    pub(crate) fn flush(&mut self, conn: &Connection) -> rusqlite::Result<Option<&[u8]>> {
        for head in self.group.values_mut().filter(|head| head.is_changed) {
            let (state, wake) = (head.row.state, head.row.wake.map(Timestamp::unix_ms));
            let version = head.row.meta_version.cast_signed();
            conn.prepare_cached(ROW)?.execute(params![head.no, state, wake, version, head.meta.take()])?;
            head.is_changed = false;
        }
        Ok((!self.log.is_empty()).then_some(&*self.log))
    }

    /// The group was committed.
    pub(crate) fn keep(&mut self) {
        // Handed over, not copied: what is pending are parts of it.
        let log = std::mem::take(&mut self.log).freeze();
        for no in self.stripped.drain(..) {
            for (space, key) in self.memory.tail.strip(no) {
                self.memory.records.forget(&place(no, space, &key));
            }
        }
        let stands = self.group.values().map(|head| (head.no, &head.row));
        self.memory.tail.extend(log, stands, self.subtrees.drain(..));
        for (place, _) in self.written.drain() {
            self.memory.records.forget(&place);
        }
        for (tenant, head) in self.group.drain() {
            self.idle.insert(tenant, head);
        }
    }

    /// The group was rolled back.
    pub(crate) fn forget(&mut self) {
        self.group.clear();
        self.log.clear();
        self.subtrees.clear();
        self.written.clear();
        self.stripped.clear();
    }

    /// Nothing is known about what is on disk any more.
    pub(crate) fn forget_all(&mut self) {
        self.forget();
        self.idle.clear();
        self.memory.records.forget_all();
    }

    fn stored(&self, conn: &Connection, tenant: TenantId) -> Result<Option<Head>, Fail> {
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
                is_changed: false,
                meta: None,
            }))
        });
        match head.optional()? {
            None => Ok(None),
            // A refusal, not a failure: one tenant's damaged row is no reason to roll its neighbours back.
            Some(None) => Err(CommitError::Damaged(format!("the row of {tenant} does not parse")).into()),
            Some(Some(mut head)) => {
                if let Some(progress) = self.memory.tail.progress(head.no) {
                    progress.advance(&mut head.row);
                }
                Ok(Some(head))
            }
        }
    }
}

/// Whether a slug is or was in use.
pub(crate) fn slug_is_taken(conn: &Connection, slug: &str) -> rusqlite::Result<bool> {
    conn.prepare_cached(SLUG)?.exists([slug])
}
