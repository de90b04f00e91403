//! The reads, as functions of a connection.
//!
//! # Invariants
//! - INV-READ-1: each statement is a search of an index; none sorts or scans (the plan of each is tested).
//!
//! # Deliberately absent
//! No tenant number in any answer.

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::keys::{behind, first_segment, next, past};
use bailiwick_store::{Child, Counts, Header, Record, Space, StoreError, StoredEntry, Totals};
use bailiwick_types::{TenantId, Timestamp};
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, params};

use crate::cache::place;
use crate::log::Value;
use crate::pool::Memory;
use crate::run;
use crate::tail::Was;

/// A failed statement outside, a finding about the data inside.
pub(crate) type Read<T> = rusqlite::Result<Result<T, StoreError>>;

const NUMBER: &str = "SELECT no FROM tenant WHERE id = ?1";
const HEADER: &str =
    "SELECT id, slug, state, epoch, ledger, counts, meta, meta_version, revision, wake FROM tenant WHERE no = ?1";
const HEADERS: &str = "SELECT id, slug, state, epoch, ledger, counts, meta, meta_version, revision, wake, no FROM tenant \
    WHERE slug > ?1 AND id <> ?2 ORDER BY slug LIMIT ?3";
const BY_SLUG: &str = "SELECT id FROM tenant WHERE slug = ?1";
const TOTALS: &str = "SELECT state, count(*) FROM tenant GROUP BY state";
const STATE: &str = "SELECT state FROM tenant WHERE id = ?1";
const RECORD: &str = "SELECT version, sealed FROM record WHERE tenant_no = ?1 AND space = ?2 AND key = ?3";
const RECORDS: &str = "SELECT key, version, sealed FROM record \
    WHERE tenant_no = ?1 AND space = ?2 AND key >= ?3 AND key < ?4 ORDER BY key LIMIT ?5";
const RECORDS_TO_END: &str = "SELECT key, version, sealed FROM record \
    WHERE tenant_no = ?1 AND space = ?2 AND key >= ?3 ORDER BY key LIMIT ?4";
const PAST: &str = "SELECT key, until, version, sealed FROM past \
    WHERE tenant_no = ?1 AND space = ?2 AND key >= ?3 AND until >= ?4 ORDER BY key, until";
const PAST_FROM: &str = "SELECT past_from FROM tenant WHERE no = ?1";
const KEYS: &str = "SELECT key FROM record \
    WHERE tenant_no = ?1 AND space = ?2 AND key >= ?3 AND key < ?4 ORDER BY key LIMIT ?5";
const KEYS_TO_END: &str = "SELECT key FROM record \
    WHERE tenant_no = ?1 AND space = ?2 AND key >= ?3 ORDER BY key LIMIT ?4";
/// The run that an entry is in, if it is in any: the last one that does not begin after it.
const RUN: &str = "SELECT max(first) FROM ledger_run WHERE tenant_no = ?1 AND first <= ?2";
const ENTRIES: &str =
    "SELECT first, leaves, sealed FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 ORDER BY first";
const LEAVES: &str =
    "SELECT first, leaves FROM ledger_run WHERE tenant_no = ?1 AND first >= ?2 AND first < ?3 ORDER BY first";
const SUBTREES: &str = "SELECT n, hash FROM ledger_subtree \
    WHERE tenant_no = ?1 AND level = ?2 AND n >= ?3 AND n < ?4 ORDER BY n";
const DUE: &str = "SELECT wake, id FROM tenant WHERE wake <= ?1 ORDER BY wake LIMIT ?2";
const BEAT: &str = "SELECT beat FROM pulse WHERE one = 1";

/// What is stored cannot be what was written.
pub(crate) fn damaged<T>(what: &str) -> Result<T, StoreError> {
    Err(StoreError::Damaged(what.to_owned()))
}

/// A limit as SQLite takes it: no negative number, which would mean no limit.
fn bounded(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A number without sign. SQLite's have one; all 64 bits go through it unchanged.
pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.cast_unsigned())
}

/// The first row's first column.
fn one<T: FromSql>(conn: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Option<T>> {
    conn.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()
}

/// All rows.
fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    conn.prepare_cached(sql)?.query_map(params, row)?.collect()
}

/// A tenant's number, or `None` if there is no such tenant.
pub(crate) fn number(conn: &Connection, memory: &Memory, tenant: TenantId) -> rusqlite::Result<Option<i64>> {
    if let Some(no) = memory.numbers.get(&tenant) {
        return Ok(Some(no));
    }
    let no = one(conn, NUMBER, [tenant.as_bytes()])?;
    if let Some(no) = no {
        memory.numbers.insert(tenant, no);
    }
    Ok(no)
}

/// One state for several statements; a connection that is in a transaction already has one.
fn snapshot(conn: &Connection) -> rusqlite::Result<Option<Transaction<'_>>> {
    if conn.is_autocommit() { conn.unchecked_transaction().map(Some) } else { Ok(None) }
}

pub(crate) fn beat(conn: &Connection) -> Read<i64> {
    Ok(one(conn, BEAT, [])?.map_or_else(|| damaged("the row that shows that writes work is gone"), Ok))
}

fn header_of(row: &Row<'_>) -> Read<Header> {
    let Some(ledger) = CompactRange::from_bytes(row.get_ref(4)?.as_blob()?) else {
        return Ok(damaged("a ledger's edge does not fit its size"));
    };
    let Some(counts) = Counts::from_bytes(row.get_ref(5)?.as_blob()?) else {
        return Ok(damaged("a tenant's counts do not parse"));
    };
    Ok(Ok(Header {
        tenant: TenantId::from_bytes(row.get(0)?),
        slug: row.get(1)?,
        state: row.get(2)?,
        epoch: unsigned(row, 3)?,
        ledger,
        counts,
        meta: row.get(6)?,
        meta_version: unsigned(row, 7)?,
        revision: unsigned(row, 8)?,
        wake: row.get::<_, Option<i64>>(9)?.map(Timestamp::from_unix_ms),
    }))
}

pub(crate) fn header(conn: &Connection, memory: &Memory, tenant: TenantId) -> Read<Option<Header>> {
    let Some(no) = number(conn, memory, tenant)? else { return Ok(Ok(None)) };
    let _steady = memory.tail.steady();
    let progress = memory.tail.progress(no);
    let mut found = conn.prepare_cached(HEADER)?.query_row([no], header_of).optional()?;
    if let (Some(progress), Some(Ok(header))) = (progress, &mut found) {
        progress.advance_header(header);
    }
    Ok(found.transpose())
}

pub(crate) fn tenant_by_slug(conn: &Connection, slug: &str) -> Read<Option<TenantId>> {
    Ok(Ok(one(conn, BY_SLUG, [slug])?.map(TenantId::from_bytes)))
}

pub(crate) fn headers(conn: &Connection, memory: &Memory, after: Option<&str>, limit: usize) -> Read<Vec<Header>> {
    let _steady = memory.tail.steady();
    // Which tenants these are is not known before their rows are read, and their progress must be looked for before that.
    let tail = memory.tail.all();
    // No slug is empty, so "after nothing" is "after the empty slug".
    let params = params![after.unwrap_or(""), TenantId::PLATFORM.as_bytes(), bounded(limit)];
    let found = all(conn, HEADERS, params, |row| Ok((row.get::<_, i64>(10)?, header_of(row)?)))?;
    Ok(found
        .into_iter()
        .map(|(no, header)| {
            let mut header = header?;
            if let Some(progress) = tail.get(&no) {
                progress.advance_header(&mut header);
            }
            Ok(header)
        })
        .collect())
}

pub(crate) fn totals(conn: &Connection) -> Read<Totals> {
    // One snapshot for both, or the platform could be taken from another state than it was counted in.
    let snapshot = snapshot(conn)?;
    let platform: Option<u8> = one(conn, STATE, [TenantId::PLATFORM.as_bytes()])?;
    let mut by_state: Vec<(u8, u64)> = all(conn, TOTALS, [], |row| Ok((row.get(0)?, unsigned(row, 1)?)))?;
    for (state, tenants) in &mut by_state {
        if Some(*state) == platform {
            *tenants = tenants.saturating_sub(1);
        }
    }
    by_state.retain(|(_, tenants)| *tenants > 0);
    drop(snapshot);
    Ok(Ok(Totals { by_state }))
}

pub(crate) fn record(
    conn: &Connection,
    memory: &Memory,
    tenant: TenantId,
    space: Space,
    key: &[u8],
) -> Read<Option<Record>> {
    let Some(no) = number(conn, memory, tenant)? else { return Ok(Ok(None)) };
    memory.records.read(&place(no, space, key), || {
        let _steady = memory.tail.steady();
        if let Some(changed) = memory.tail.record(no, space, key) {
            return Ok(Ok(changed.map(|value| value.to_record())));
        }
        Ok(Ok(stored_record(conn, no, space, key)?))
    })
}

/// A record as the table has it.
fn stored_record(conn: &Connection, no: i64, space: Space, key: &[u8]) -> rusqlite::Result<Option<Record>> {
    let mut statement = conn.prepare_cached(RECORD)?;
    let record = statement.query_row(params![no, space.number(), key], |row| {
        Ok(Record { version: unsigned(row, 0)?, sealed: row.get(1)? })
    });
    record.optional()
}

/// Which part of a space a list looks at.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) tenant: TenantId,
    pub(crate) space: Space,
    pub(crate) prefix: Vec<u8>,
    pub(crate) after: Option<Vec<u8>>,
    pub(crate) limit: usize,
}

pub(crate) fn records(conn: &Connection, memory: &Memory, range: &Range) -> Read<Vec<(Vec<u8>, Record)>> {
    let Some(no) = number(conn, memory, range.tenant)? else { return Ok(Ok(Vec::new())) };
    // One lower bound, not two: SQLite would search by one of them and step through what the other excludes.
    let from = range.after.as_deref().map(next).unwrap_or_default().max(range.prefix.clone());
    let end = past(&range.prefix);
    let _steady = memory.tail.steady();
    let changed = memory.tail.records(no, range.space, &from, end.as_deref(), range.limit);
    // Some of what is in the table may be gone. What has changed is in the list itself.
    let gone = changed.iter().filter(|(_, value)| value.is_none()).count();
    let (space, limit) = (range.space.number(), bounded(range.limit.saturating_add(gone)));
    let row = |row: &Row<'_>| Ok((row.get(0)?, Record { version: unsigned(row, 1)?, sealed: row.get(2)? }));
    let stored = match end {
        Some(end) => all(conn, RECORDS, params![no, space, from, end, limit], row)?,
        None => all(conn, RECORDS_TO_END, params![no, space, from, limit], row)?,
    };
    merge(stored.into_iter().map(Ok), changes(changed)).take(range.limit).collect::<Result<_, _>>().map(Ok)
}

/// Rows, with changes of them that take their places, both in the order of their keys.
fn merge<K: Ord, V>(
    rows: impl Iterator<Item = rusqlite::Result<(K, V)>>,
    changes: impl Iterator<Item = rusqlite::Result<(K, Option<V>)>>,
) -> impl Iterator<Item = rusqlite::Result<(K, V)>> {
    let (mut rows, mut changes) = (rows.peekable(), changes.peekable());
    std::iter::from_fn(move || {
        loop {
            match (rows.peek(), changes.peek()) {
                (Some(Ok((row, _))), Some(Ok((key, _)))) if row < key => return rows.next(),
                (Some(Ok((row, _))), Some(Ok((key, _)))) if row == key => drop(rows.next()),
                (Some(_), None) | (Some(Err(_)), _) => return rows.next(),
                (None, None) => return None,
                (_, Some(_)) => {}
            }
            match changes.next()? {
                Ok((key, Some(value))) => return Some(Ok((key, value))),
                Ok((_, None)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

/// Changes as [`merge`] takes them.
fn changes(
    records: Vec<(Vec<u8>, Option<Value>)>,
) -> impl Iterator<Item = rusqlite::Result<(Vec<u8>, Option<Record>)>> {
    records.into_iter().map(|(key, value)| Ok((key, value.map(|value| value.to_record()))))
}

pub(crate) fn past_from(conn: &Connection, memory: &Memory, tenant: TenantId) -> Read<Option<u64>> {
    let Some(no) = number(conn, memory, tenant)? else { return Ok(Ok(Some(0))) };
    Ok(Ok(one::<i64>(conn, PAST_FROM, [no])?.map(i64::cast_unsigned)))
}

/// The present, with what changed since put back: two lists in the order of their keys, merged.
pub(crate) fn records_at(conn: &Connection, memory: &Memory, range: &Range, size: u64) -> Read<Vec<(Vec<u8>, Record)>> {
    let Some(no) = number(conn, memory, range.tenant)? else { return Ok(Ok(Vec::new())) };
    let _steady = memory.tail.steady();
    let snapshot = snapshot(conn)?;
    let from = range.after.as_deref().map(next).unwrap_or_default();
    let space = range.space.number();

    let changed = memory.tail.records(no, range.space, &from, None, usize::MAX);
    let mut stored = conn.prepare_cached(RECORDS_TO_END)?;
    let stored = stored.query_map(params![no, space, from, i64::MAX], |row| {
        Ok((row.get(0)?, Record { version: unsigned(row, 1)?, sealed: row.get(2)? }))
    })?;
    let present = merge(stored, changes(changed));

    let mut pending = Vec::new();
    for (key, until, was) in memory.tail.past(no, range.space, &from, size) {
        let was = match was {
            Was::Absent => None,
            Was::Value(value) => Some(value.to_record()),
            Was::InTable => stored_record(conn, no, range.space, &key)?,
        };
        pending.push(Ok(((key, until), was)));
    }
    let mut past = conn.prepare_cached(PAST)?;
    let past = past.query_map(params![no, space, from, position(size)], |row| {
        let sealed: Option<Vec<u8>> = row.get(3)?;
        let was = sealed.map(|sealed| Ok::<_, rusqlite::Error>(Record { version: unsigned(row, 2)?, sealed }));
        Ok(((row.get(0)?, unsigned(row, 1)?), Some(was.transpose()?)))
    })?;
    // The first row of a key is the earliest, and the one that counts.
    let mut last: Option<Vec<u8>> = None;
    // What is in the table was there before.
    let past = merge(pending.into_iter(), past).filter_map(move |row| match row {
        Ok(((key, _), _)) if last.as_ref() == Some(&key) => None,
        Ok(((key, _), was)) => {
            last = Some(key.clone());
            Some(Ok((key, was)))
        }
        Err(error) => Some(Err(error)),
    });
    let found = merge(present, past).take(range.limit).collect::<Result<_, _>>()?;
    drop(snapshot);
    Ok(Ok(found))
}

pub(crate) fn children(conn: &Connection, memory: &Memory, range: &Range) -> Read<Vec<Child>> {
    let Some(no) = number(conn, memory, range.tenant)? else { return Ok(Ok(Vec::new())) };
    let _steady = memory.tail.steady();
    let _snapshot = snapshot(conn)?;
    let (prefix, end) = (range.prefix.as_slice(), past(&range.prefix));
    // A key that is the prefix itself has no name below it, so even the first search starts behind one.
    let after = range.after.as_deref().map(first_segment).unwrap_or_default();
    let mut from = behind(prefix, after);
    let changed = memory.tail.records(no, range.space, from.as_deref().unwrap_or_default(), end.as_deref(), usize::MAX);
    let mut found = Vec::new();
    while let Some(start) = from.take()
        && found.len() < range.limit
    {
        let changed = changed.get(changed.partition_point(|(key, _)| *key < start)..).unwrap_or_default();
        let (space, limit) = (range.space.number(), bounded((range.limit - found.len()).saturating_add(changed.len())));
        let mut statement = conn.prepare_cached(if end.is_some() { KEYS } else { KEYS_TO_END })?;
        let rows = match &end {
            Some(end) => statement.query(params![no, space, start, end, limit])?,
            None => statement.query(params![no, space, start, limit])?,
        };
        let rows = rows.mapped(|row| Ok((row.get(0)?, ())));
        let changed = changed.iter().map(|(key, value)| Ok((key.clone(), value.as_ref().map(|_| ()))));
        for key in merge(rows, changed).take(range.limit - found.len()) {
            let (key, ()): (Vec<u8>, ()) = key?;
            let Some(rest) = key.strip_prefix(prefix) else {
                return Ok(damaged("an index is out of order"));
            };
            let name = first_segment(rest).to_vec();
            // Names are walked, folders are jumped over, however much is in them.
            let folder = name.ends_with(b"/");
            if folder {
                from = behind(prefix, &name);
            }
            found.push(Child { name });
            if folder {
                break;
            }
        }
    }
    Ok(Ok(found))
}

pub(crate) fn entries(
    conn: &Connection,
    memory: &Memory,
    tenant: TenantId,
    from: u64,
    limit: usize,
) -> Read<Vec<StoredEntry>> {
    let Some(no) = number(conn, memory, tenant)? else { return Ok(Ok(Vec::new())) };
    if i64::try_from(from).is_err() {
        return Ok(Ok(Vec::new()));
    }
    let _steady = memory.tail.steady();
    let pending = memory.tail.entries(no, from, limit);
    if pending.first().is_some_and(|first| first.index == from) {
        return Ok(Ok(pending));
    }
    let mut found: Vec<StoredEntry> = Vec::new();
    let mut statement = conn.prepare_cached(ENTRIES)?;
    let mut rows = statement.query(params![no, run_of(conn, no, from)?])?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let (first, leaves, sealed) = (unsigned(row, 0)?, row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
        match run::stored(first, leaves, sealed, from) {
            Some(entries) => found.extend(entries),
            None => return Ok(damaged("a run of ledger entries does not parse")),
        }
    }
    found.extend(pending);
    found.truncate(limit);
    // Numbered without gaps is what the ledger promises; a hole is found here rather than skipped.
    let is_whole = (from..).zip(&found).all(|(index, entry)| entry.index == index);
    Ok(if is_whole { Ok(found) } else { damaged("a ledger entry is missing") })
}

/// Where the run begins that has an entry: nothing that lies before it is read.
fn run_of(conn: &Connection, no: i64, index: u64) -> rusqlite::Result<i64> {
    let first: Option<Option<i64>> = one(conn, RUN, params![no, position(index)])?;
    Ok(first.flatten().unwrap_or_else(|| position(index)))
}

pub(crate) fn leaves(conn: &Connection, memory: &Memory, tenant: TenantId, from: u64, to: u64) -> Read<Vec<Hash>> {
    let no = number(conn, memory, tenant)?.unwrap_or_default();
    let _steady = memory.tail.steady();
    let pending = memory.tail.leaves(no, from, to);
    let mut found = Vec::new();
    let mut statement = conn.prepare_cached(LEAVES)?;
    let mut rows = statement.query(params![no, run_of(conn, no, from)?, position(to)])?;
    while let Some(row) = rows.next()? {
        let first = unsigned(row, 0)?;
        let Some(leaves) = run::leaves(row.get_ref(1)?.as_blob()?) else {
            return Ok(damaged("the leaf hashes of a run do not parse"));
        };
        found.extend((first..to).zip(leaves).filter(|(index, _)| *index >= from).map(|(index, leaf)| (index, *leaf)));
    }
    found.extend(pending);
    Ok(complete(found, from, to))
}

pub(crate) fn subtrees(
    conn: &Connection,
    memory: &Memory,
    tenant: TenantId,
    level: u8,
    (from, to): (u64, u64),
) -> Read<Vec<Hash>> {
    let no = number(conn, memory, tenant)?.unwrap_or_default();
    let _steady = memory.tail.steady();
    let pending = memory.tail.subtrees(no, level, from, to);
    let params = params![no, level, position(from), position(to)];
    let mut found: Vec<(u64, Hash)> = all(conn, SUBTREES, params, |row| Ok((unsigned(row, 0)?, row.get(1)?)))?;
    found.extend(pending);
    Ok(complete(found, from, to))
}

/// A place in a ledger as SQLite compares it. No ledger is as long as the places that this folds together.
fn position(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// The hashes, if they are those that were asked for.
fn complete(hashes: Vec<(u64, Hash)>, from: u64, to: u64) -> Result<Vec<Hash>, StoreError> {
    let is_whole = (from..to).eq(hashes.iter().map(|(index, _)| *index));
    if is_whole {
        Ok(hashes.into_iter().map(|(_, hash)| hash).collect())
    } else {
        damaged("hashes of the ledger are missing")
    }
}

pub(crate) fn due(conn: &Connection, now: Timestamp, limit: usize) -> Read<Vec<(Timestamp, TenantId)>> {
    let params = params![now.unix_ms(), bounded(limit)];
    Ok(Ok(all(conn, DUE, params, |row| Ok((Timestamp::from_unix_ms(row.get(0)?), TenantId::from_bytes(row.get(1)?))))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_statement_scans_or_sorts() {
        let conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&conn).unwrap();
        let statements = [
            NUMBER,
            HEADER,
            HEADERS,
            BY_SLUG,
            STATE,
            RECORD,
            RECORDS,
            RECORDS_TO_END,
            PAST,
            PAST_FROM,
            KEYS,
            KEYS_TO_END,
            RUN,
            ENTRIES,
            LEAVES,
            SUBTREES,
            DUE,
            BEAT,
        ];
        for sql in statements {
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let nothing = vec![rusqlite::types::Null; plan.parameter_count()];
            let steps: Vec<String> = plan
                .query_map(rusqlite::params_from_iter(nothing), |row| row.get(3))
                .unwrap()
                .collect::<Result<_, _>>()
                .unwrap();
            assert!(steps.iter().all(|step| step.starts_with("SEARCH")), "{sql}: {steps:?}");
        }
    }

    #[test]
    fn counting_tenants_reads_an_index_only() {
        let conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&conn).unwrap();
        let plan: String = conn.query_row(&format!("EXPLAIN QUERY PLAN {TOTALS}"), [], |row| row.get(3)).unwrap();
        assert_eq!(plan, "SCAN tenant USING COVERING INDEX tenant_state");
    }
}
