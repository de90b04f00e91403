//! One commit inside the writer's transaction: first every expectation is checked, then everything is written.
//!
//! # Invariants
//! - INV-APPLY-1: nothing is written before all parts and guards were checked, so a refusal leaves nothing to undo and
//!   the group that it came in goes on.
//! - INV-APPLY-2: a commit sees what the commits before it in its group have done.

use bailiwick_store::{Commit, CommitError, Committed, Expect, Part, Receipt, Write};
use bailiwick_types::TenantId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Fail;
use crate::heads::{Head, Heads, slug_is_taken};
use crate::read::unsigned;

const VERSION: &str = "SELECT version FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
const PUT: &str = "INSERT INTO record (tenant_no, space, key, version, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
const REPLACE: &str = "UPDATE record SET version = ?4, sealed = ?5 WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
const REMOVE: &str = "DELETE FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
// Of several commits without entries at one size, what was before the first is what was at that size.
const KEEP: &str = "INSERT OR IGNORE INTO past (tenant_no, space, key, until, version, sealed) \
    SELECT ?1, ?2, ?3, ?4, version, sealed FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
const KEEP_ABSENCE: &str = "INSERT OR IGNORE INTO past (tenant_no, space, key, until) VALUES (?1, ?2, ?3, ?4)";

/// Checks a commit and applies it.
pub(crate) fn commit(conn: &Connection, heads: &mut Heads, commit: &Commit) -> Result<Committed, Fail> {
    commit.check_shape()?;
    // Epochs first: whoever was revoked learns only that, not whether a version would have matched.
    for (tenant, epoch) in &commit.guards {
        holds_epoch(conn, heads, *tenant, *epoch)?;
    }
    for part in &commit.parts {
        holds(conn, heads, part)?;
    }
    for part in &commit.parts {
        versions(conn, heads, part)?;
    }
    let receipts = commit.parts.iter().map(|part| apply(conn, heads, part)).collect::<Result<_, _>>()?;
    Ok(Committed { receipts })
}

fn holds_epoch(conn: &Connection, heads: &mut Heads, tenant: TenantId, epoch: u64) -> Result<(), Fail> {
    match heads.load(conn, tenant)? {
        Some(head) if head.row.epoch == epoch => Ok(()),
        _ => Err(CommitError::Stale { tenant }.into()),
    }
}

/// What a part expects of its tenant's row.
fn holds(conn: &Connection, heads: &mut Heads, part: &Part) -> Result<(), Fail> {
    match (heads.load(conn, part.tenant)?, &part.expect) {
        (Some(head), _) => Ok(head.row.holds(part)?),
        (None, Expect::Absent { slug }) if slug_is_taken(conn, slug)? => Err(CommitError::SlugTaken.into()),
        (None, Expect::Absent { .. }) => Ok(()),
        (None, _) => Err(CommitError::NoSuchTenant.into()),
    }
}

/// What a part expects of versions and counts.
fn versions(conn: &Connection, heads: &mut Heads, part: &Part) -> Result<(), Fail> {
    let Some(head) = heads.load(conn, part.tenant)? else {
        return Ok(Head::unborn().row.allows(part, part.writes.iter().map(|_| None))?);
    };
    let found = part.writes.iter().map(|write| version(conn, head.no, write)).collect::<Result<Vec<_>, _>>()?;
    Ok(head.row.allows(part, found)?)
}

fn version(conn: &Connection, no: i64, write: &Write) -> rusqlite::Result<Option<u64>> {
    let mut statement = conn.prepare_cached(VERSION)?;
    let found = statement.query_row(params![no, write.space.number(), write.key], |row| unsigned(row, 0));
    found.optional()
}

/// Writes a part whose expectations hold.
fn apply(conn: &Connection, heads: &mut Heads, part: &Part) -> Result<Receipt, Fail> {
    let mut subtrees = Vec::new();
    let (no, receipt) = match &part.expect {
        Expect::Absent { slug } => {
            let mut head = Head::unborn();
            let receipt = head.change(part, &mut subtrees);
            (heads.create(conn, part.tenant, slug, head)?, receipt)
        }
        Expect::Epoch(_) | Expect::Seen { .. } | Expect::Exists => {
            let head = heads.loaded(part.tenant).ok_or(CommitError::NoSuchTenant)?;
            (head.no, head.change(part, &mut subtrees))
        }
    };
    for write in &part.writes {
        keep(conn, no, receipt.first_index, write)?;
        apply_write(conn, no, write)?;
        heads.wrote(no, write.space, &write.key);
    }
    heads.log(part.tenant, receipt.first_index, &part.entries, subtrees);
    Ok(receipt)
}

/// Keeps what a record is before a write, where that is kept.
fn keep(conn: &Connection, no: i64, until: u64, write: &Write) -> rusqlite::Result<()> {
    let (space, key) = (write.space.number(), &write.key);
    let sql = match (write.expected, &write.value) {
        _ if !write.space.keeps_past() => return Ok(()),
        (None, None) => return Ok(()),
        (None, Some(_)) => KEEP_ABSENCE,
        (Some(_), _) => KEEP,
    };
    conn.prepare_cached(sql)?.execute(params![no, space, key, until.cast_signed()])?;
    Ok(())
}

fn apply_write(conn: &Connection, no: i64, write: &Write) -> rusqlite::Result<()> {
    let (space, key) = (write.space.number(), &write.key);
    match (write.expected, &write.value) {
        (None, None) => 0,
        (None, Some((version, sealed))) => {
            conn.prepare_cached(PUT)?.execute(params![no, space, key, version.cast_signed(), sealed])?
        }
        (Some(_), Some((version, sealed))) => {
            conn.prepare_cached(REPLACE)?.execute(params![no, space, key, version.cast_signed(), sealed])?
        }
        (Some(_), None) => conn.prepare_cached(REMOVE)?.execute(params![no, space, key])?,
    };
    Ok(())
}
