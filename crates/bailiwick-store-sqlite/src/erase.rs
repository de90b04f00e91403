//! Erasing a tenant in steps, each one small enough to share a transaction with other tenants' commits.
//!
//! # Invariants
//! - INV-ERASE-1: leaf hashes, subtrees, epoch, state and meta stay: the ledger can still be proved, not read.
//! - INV-ERASE-2: each step can be repeated. A crash leaves work for the next call and nothing half done.

use bailiwick_store::{CommitError, Space};
use bailiwick_types::TenantId;
use rusqlite::{Connection, params};

use crate::error::Fail;
use crate::heads::Heads;
use crate::read::unsigned;
use crate::run::{Run, block_of};
use crate::{log, slots};

const RECORDS_MAX: u64 = 256;
const BYTES_MAX: u64 = 1 << 20;
const ENTRIES_MAX: u64 = 512;

const RECORDS: &str = "SELECT space, key, length(sealed) FROM record WHERE tenant_no = ?1 LIMIT ?2";
const REMOVE: &str = "DELETE FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
const FORGET: &str = "DELETE FROM past WHERE tenant_no = ?1 AND (space, key, until) IN \
    (SELECT space, key, until FROM past WHERE tenant_no = ?1 AND until < ?2 LIMIT ?3)";
const KNOWN_FROM: &str = "UPDATE tenant SET past_from = max(past_from, ?2) WHERE no = ?1";
const RUNS: &str = "SELECT first, length(leaves) / 32, length(sealed) FROM ledger_run \
    WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3 ORDER BY first";
const EMPTY: &str = "UPDATE ledger_run SET sealed = ?3 WHERE tenant_no = ?1 AND first = ?2";

/// Takes out of the log what is there of a tenant: what comes into the tables later is not what was to be erased.
pub(crate) fn strip(conn: &Connection, heads: &mut Heads, tenant: TenantId) -> Result<(), Fail> {
    let Some(no) = heads.load(conn, tenant)?.map(|head| head.no) else { return Ok(()) };
    let found =
        slots::load(conn)?.ok_or_else(|| CommitError::Damaged("the log of commits does not parse".to_owned()))?;
    for row in &found.rows {
        if let Some(body) = log::without(&row.body, no) {
            slots::shorten(conn, row, &body)?;
        }
    }
    heads.stripped(no);
    Ok(())
}

/// Does one step in the tables. Returns the ledger index that the next one starts from, or `None` when nothing is left.
pub(crate) fn step(conn: &Connection, heads: &mut Heads, tenant: TenantId, from: u64) -> Result<Option<u64>, Fail> {
    let Some(head) = heads.load(conn, tenant)? else { return Ok(None) };
    let mut bytes = 0u64;
    let mut doomed = Vec::new();
    let mut statement = conn.prepare_cached(RECORDS)?;
    let mut rows = statement.query(params![head.no, RECORDS_MAX.cast_signed()])?;
    while let Some(row) = rows.next()?
        && bytes < BYTES_MAX
    {
        bytes = bytes.saturating_add(unsigned(row, 2)?);
        let space = Space::from_number(row.get(0)?);
        let space = space.ok_or_else(|| CommitError::Damaged("a record is in no space".to_owned()))?;
        doomed.push((space, row.get::<_, Vec<u8>>(1)?));
    }
    drop(rows);
    let no = head.no;
    if !doomed.is_empty() {
        for (space, key) in &doomed {
            conn.prepare_cached(REMOVE)?.execute(params![no, space.number(), key])?;
            heads.removed(no, *space, key);
        }
        return Ok(Some(from));
    }
    let forgotten = conn.prepare_cached(FORGET)?.execute(params![no, i64::MAX, RECORDS_MAX.cast_signed()])?;
    if forgotten > 0 {
        return Ok(Some(from));
    }
    let size = heads.loaded(tenant).map_or(0, |head| head.row.ledger.size());
    let to = block_of(from.saturating_add(ENTRIES_MAX));
    let mut statement = conn.prepare_cached(RUNS)?;
    let mut rows = statement.query(params![no, block_of(from).cast_signed(), to.cast_signed()])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let erased = Run::erased(row.get::<_, u32>(1)?);
        if row.get::<_, u32>(2)? > u32::try_from(erased.len()).unwrap_or(u32::MAX) {
            runs.push((row.get::<_, i64>(0)?, erased));
        }
    }
    drop(rows);
    for (first, erased) in runs {
        conn.prepare_cached(EMPTY)?.execute(params![no, first, erased])?;
    }
    if to < size {
        return Ok(Some(to));
    }
    heads.emptied(tenant);
    Ok(None)
}

/// Forgets some of what records were before the ledger had `size` entries. Returns whether there may be more.
pub(crate) fn forget(conn: &Connection, heads: &mut Heads, tenant: TenantId, size: u64) -> Result<bool, Fail> {
    let Some(head) = heads.load(conn, tenant)? else { return Ok(false) };
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    // First what is said to be known: nobody must be shown a past that is half gone.
    conn.prepare_cached(KNOWN_FROM)?.execute(params![head.no, size])?;
    let forgotten = conn.prepare_cached(FORGET)?.execute(params![head.no, size, RECORDS_MAX.cast_signed()])?;
    Ok(forgotten > 0)
}
