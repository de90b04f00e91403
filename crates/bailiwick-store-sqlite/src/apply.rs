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
    let Some(no) = heads.load(conn, part.tenant)?.map(|head| head.no) else {
        return Ok(Head::unborn().row.allows(part, part.writes.iter().map(|_| None))?);
    };
    let found = part.writes.iter().map(|write| version(conn, heads, no, write)).collect::<Result<Vec<_>, _>>()?;
    match heads.loaded(part.tenant) {
        Some(head) => Ok(head.row.allows(part, found)?),
        None => Err(CommitError::NoSuchTenant.into()),
    }
}

/// The version of what a write replaces: as the group has left it, as the log has it, or as it is in the table.
fn version(conn: &Connection, heads: &Heads, no: i64, write: &Write) -> rusqlite::Result<Option<u64>> {
    if let Some(version) = heads.version(no, write.space, &write.key) {
        return Ok(version);
    }
    let mut statement = conn.prepare_cached(VERSION)?;
    let found = statement.query_row(params![no, write.space.number(), write.key], |row| unsigned(row, 0));
    found.optional()
}

/// Writes a part whose expectations hold.
fn apply(conn: &Connection, heads: &mut Heads, part: &Part) -> Result<Receipt, Fail> {
    let mut subtrees = Vec::new();
    let receipt = match &part.expect {
        Expect::Absent { slug } => {
            let mut head = Head::unborn();
            let receipt = head.change(part, &mut subtrees);
            heads.create(conn, part.tenant, slug, head)?;
            receipt
        }
        Expect::Epoch(_) | Expect::Seen { .. } | Expect::Exists => {
            heads.loaded(part.tenant).ok_or(CommitError::NoSuchTenant)?.change(part, &mut subtrees)
        }
    };
    heads.log(part, &receipt, subtrees);
    Ok(receipt)
}
