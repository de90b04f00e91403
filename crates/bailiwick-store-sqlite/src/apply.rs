//! One commit inside the writer's transaction: first every expectation is checked, then everything is written.
//!
//! # Invariants
//! - INV-APPLY-1: nothing is written before all parts and guards were checked, so a refusal leaves nothing to undo and
//!   the group that it came in goes on.
//! - INV-APPLY-2: a commit sees what the commits before it in its group have done.

use std::collections::HashSet;

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::{Commit, CommitError, Committed, Counts, Expect, NewEntry, Part, Receipt, Wake, Write};
use bailiwick_types::TenantId;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Fail;
use crate::heads::{Change, Head, Heads, slug_is_taken};
use crate::read::unsigned;

const VERSION: &str = "SELECT version FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
const PUT: &str = "INSERT INTO record (tenant_no, space, key, version, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
const REPLACE: &str = "UPDATE record SET version = ?4, sealed = ?5 WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
const REMOVE: &str = "DELETE FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
const APPEND: &str = "INSERT INTO ledger_entry (tenant_no, idx, leaf, sealed) VALUES (?1, ?2, ?3, ?4)";
const SUBTREE: &str = "INSERT INTO ledger_subtree (tenant_no, level, n, hash) VALUES (?1, ?2, ?3, ?4)";

const META_CONFLICT: CommitError = CommitError::Conflict { space: None };

/// Checks a commit and applies it.
pub(crate) fn commit(conn: &Connection, heads: &mut Heads, commit: &Commit) -> Result<Committed, Fail> {
    shape(commit)?;
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

/// What a caller's bug could break without any state being looked at.
fn shape(commit: &Commit) -> Result<(), CommitError> {
    let (mut tenants, mut slugs, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
    for part in &commit.parts {
        if !tenants.insert(part.tenant) {
            return Err(META_CONFLICT);
        }
        if let Expect::Absent { slug } = &part.expect {
            let is_whole = part.header.state.is_some() && matches!(part.header.meta, Some((0, _)));
            if !is_whole {
                return Err(META_CONFLICT);
            }
            if !slugs.insert(slug) {
                return Err(CommitError::SlugTaken);
            }
        }
        for write in &part.writes {
            let grows = match (write.expected, &write.value) {
                (Some(old), Some((new, _))) => *new > old,
                _ => true,
            };
            if !grows || !keys.insert((part.tenant, write.space, &write.key)) {
                return Err(CommitError::Conflict { space: Some(write.space) });
            }
        }
    }
    Ok(())
}

fn holds_epoch(conn: &Connection, heads: &mut Heads, tenant: TenantId, epoch: u64) -> Result<(), Fail> {
    match heads.load(conn, tenant)? {
        Some(head) if head.epoch == epoch => Ok(()),
        _ => Err(CommitError::Stale { tenant }.into()),
    }
}

/// What a part expects of its tenant's row.
fn holds(conn: &Connection, heads: &mut Heads, part: &Part) -> Result<(), Fail> {
    let head = heads.load(conn, part.tenant)?;
    match (&part.expect, head) {
        (Expect::Absent { .. }, Some(_)) => Err(CommitError::TenantExists.into()),
        (Expect::Absent { slug }, None) if slug_is_taken(conn, slug)? => Err(CommitError::SlugTaken.into()),
        (Expect::Absent { .. }, None) => Ok(()),
        (_, None) => Err(CommitError::NoSuchTenant.into()),
        (Expect::Epoch(epoch), Some(head)) if head.epoch != *epoch => {
            Err(CommitError::Stale { tenant: part.tenant }.into())
        }
        (_, Some(_)) => Ok(()),
    }
}

/// What a part expects of versions and counts.
fn versions(conn: &Connection, heads: &mut Heads, part: &Part) -> Result<(), Fail> {
    let head = heads.load(conn, part.tenant)?;
    let (no, mut counts) = match head {
        Some(head) => {
            if part.header.meta.as_ref().is_some_and(|(expected, _)| *expected != head.meta_version) {
                return Err(META_CONFLICT.into());
            }
            (Some(head.no), head.counts.clone())
        }
        None => (None, Counts::default()),
    };
    for write in &part.writes {
        let found = match no {
            Some(no) => version(conn, no, write)?,
            None => None,
        };
        if found != write.expected {
            return Err(CommitError::Conflict { space: Some(write.space) }.into());
        }
        let grows = write.expected.is_none() && write.value.is_some();
        if let Some(max) = write.count_max.filter(|max| grows && counts.of(write.space) >= *max) {
            return Err(CommitError::Full { space: write.space, max }.into());
        }
        count(&mut counts, write);
    }
    Ok(())
}

fn version(conn: &Connection, no: i64, write: &Write) -> rusqlite::Result<Option<u64>> {
    let mut statement = conn.prepare_cached(VERSION)?;
    let found = statement.query_row(params![no, write.space.number(), write.key], |row| unsigned(row, 0));
    found.optional()
}

/// Keeps the counts in step with a write.
fn count(counts: &mut Counts, write: &Write) {
    match (write.expected, &write.value) {
        (None, Some(_)) => counts.add(write.space),
        (Some(_), None) => counts.remove(write.space),
        _ => {}
    }
}

/// Writes a part whose expectations hold.
fn apply(conn: &Connection, heads: &mut Heads, part: &Part) -> Result<Receipt, Fail> {
    let mut subtrees = Vec::new();
    let (no, receipt) = match &part.expect {
        Expect::Absent { slug } => {
            let mut head = unborn();
            let receipt = change(&mut head, part, &mut subtrees);
            // Epoch 1, whatever the part says: there is nothing before it that could be void.
            head.epoch = 1;
            let no = heads.create(conn, part.tenant, slug, head)?;
            (no, Receipt { epoch: 1, ..receipt })
        }
        Expect::Epoch(_) | Expect::Exists => {
            let head = heads.loaded(part.tenant).ok_or(CommitError::NoSuchTenant)?;
            let receipt = change(head, part, &mut subtrees);
            (head.no, receipt)
        }
    };
    for write in &part.writes {
        apply_write(conn, no, write)?;
    }
    append(conn, no, receipt.first_index, &part.entries)?;
    for (level, n, hash) in subtrees {
        conn.prepare_cached(SUBTREE)?.execute(params![no, level, n.cast_signed(), hash])?;
    }
    Ok(receipt)
}

/// A tenant's row before its first commit.
fn unborn() -> Head {
    Head {
        no: 0,
        state: 0,
        wake: None,
        epoch: 1,
        meta_version: 0,
        counts: Counts::default(),
        ledger: CompactRange::new(),
        change: Change::Nothing,
        meta: None,
    }
}

/// Changes a tenant's row as a part says. Collects the subtrees of the ledger that become complete.
fn change(head: &mut Head, part: &Part, subtrees: &mut Vec<(u8, u64, Hash)>) -> Receipt {
    let header = &part.header;
    if header.bump_epoch {
        head.epoch += 1;
        head.touch(Change::Progress);
    }
    if let Some(state) = header.state {
        head.state = state;
        head.touch(Change::Row);
    }
    if let Some((expected, meta)) = &header.meta {
        head.meta_version = expected + 1;
        head.meta = Some(meta.clone());
        head.touch(Change::Row);
    }
    if let Some(wake) = header.wake {
        let wake = match wake {
            Wake::By(at) => Some(head.wake.map_or(at, |set| set.min(at))),
            Wake::At(at) => Some(at),
            Wake::Never => None,
        };
        if wake != head.wake {
            head.wake = wake;
            head.touch(Change::Row);
        }
    }
    for write in &part.writes {
        count(&mut head.counts, write);
    }
    let first_index = head.ledger.size();
    for entry in &part.entries {
        head.ledger.append(entry.leaf, |level, n, hash| subtrees.push((level, n, hash)));
    }
    if !part.writes.is_empty() || !part.entries.is_empty() {
        head.touch(Change::Progress);
    }
    Receipt { first_index, size: head.ledger.size(), epoch: head.epoch }
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

fn append(conn: &Connection, no: i64, first_index: u64, entries: &[NewEntry]) -> rusqlite::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut statement = conn.prepare_cached(APPEND)?;
    for (index, entry) in (first_index..).zip(entries) {
        statement.execute(params![no, index.cast_signed(), entry.leaf, entry.sealed])?;
    }
    Ok(())
}
