//! The tables, and how a database file gets from one version of them to the next.
//!
//! # Invariants
//! - INV-SQLITE-1: the tenant leads every key. Its number is the engine's own (dense, so that keys stay short) and never
//!   leaves this crate; rows of `tenant` are never deleted, so a number, an id and a slug are never used twice.
//! - INV-SQLITE-2: migrations only go forward and are only ever appended to; a file of a newer version is refused.
//!
//! # Why these shapes
//! - `log_slot` takes what commits do in commit order, for each group together whatever tenants it is of, so a group dirties
//!   few pages (see `slots`); up to the place in `pulse` it is done. From there it is moved to where it is kept (see
//!   `settle`): `record`, `past`, and `ledger_run`, where a tenant's entries are side by side.
//! - `ledger_run` has rowids and an index beside it, unlike the other tables: its rows are large, and a lookup in a table
//!   without rowids reads all of each row that it compares with.
//! - `past` says what a record was before the commit whose first entry has the index `until`: the state at a size is the
//!   present one with the earliest of each key's rows from that size on put back.
//! - `due` is an index on the tenant's row, not a table: it cannot disagree with it.
//! - `room` is always empty: a beat fills and clears it, so that readiness needs the room that a request needs.
//! - Epoch, revision, counts and the ledger's edge are in the tenant's row as they were at the place of the log that is
//!   `settled`; the log has how they changed since. State, wake-up and meta are in the row at once: indexes are of them.
//!
//! # Deliberately absent
//! No foreign keys (every write goes through one thread that has just read the tenant's row), no triggers, no views.

use std::cmp::Ordering;

use rusqlite::{Connection, params};

use crate::error::OpenError;
use crate::read::unsigned;
use crate::run::{Run, block_of};
use crate::slots::{Slots, Used};

/// Marks a file as ours: "BWK1".
const APPLICATION_ID: i32 = 0x4257_4b31;

/// How a file gets from one version to the next.
enum Step {
    Sql(&'static str),
    /// As [`Step::Sql`], then what SQL cannot say, then this.
    Code(&'static str, fn(&Connection) -> rusqlite::Result<()>, &'static str),
}

/// One step for each version. The number of steps that a file has seen is its `user_version`.
const MIGRATIONS: &[Step] = &[
    Step::Sql(
        "
CREATE TABLE installation (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    record BLOB,
    beat INTEGER NOT NULL
) STRICT;
INSERT INTO installation (one, record, beat) VALUES (1, NULL, 0);

CREATE TABLE tenant (
    no INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    slug TEXT NOT NULL UNIQUE,
    state INTEGER NOT NULL,
    wake INTEGER,
    epoch INTEGER NOT NULL,
    meta_version INTEGER NOT NULL,
    counts BLOB NOT NULL,
    ledger BLOB NOT NULL,
    meta BLOB NOT NULL
) STRICT;
CREATE INDEX tenant_state ON tenant (state);
CREATE INDEX due ON tenant (wake) WHERE wake IS NOT NULL;

CREATE TABLE record (
    tenant_no INTEGER NOT NULL,
    space INTEGER NOT NULL,
    key BLOB NOT NULL,
    version INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant_no, space, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_entry (
    place INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    leaf BLOB NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (tenant_no, idx)
) STRICT;

CREATE TABLE ledger_subtree (
    tenant_no INTEGER NOT NULL,
    level INTEGER NOT NULL,
    n INTEGER NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (tenant_no, level, n)
) STRICT, WITHOUT ROWID;
",
    ),
    Step::Sql(
        "
CREATE TABLE room (bytes BLOB NOT NULL) STRICT;
",
    ),
    Step::Sql(
        "
ALTER TABLE installation DROP COLUMN record;
ALTER TABLE installation RENAME TO pulse;
",
    ),
    Step::Sql(
        "
ALTER TABLE tenant ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
",
    ),
    Step::Sql(
        "
CREATE TABLE past (
    tenant_no INTEGER NOT NULL,
    space INTEGER NOT NULL,
    key BLOB NOT NULL,
    until INTEGER NOT NULL,
    version INTEGER,
    sealed BLOB,
    PRIMARY KEY (tenant_no, space, key, until)
) STRICT, WITHOUT ROWID;
CREATE INDEX past_until ON past (tenant_no, until);
ALTER TABLE tenant ADD COLUMN past_from INTEGER NOT NULL DEFAULT 0;
UPDATE tenant SET past_from = coalesce((SELECT max(idx) + 1 FROM ledger_entry WHERE tenant_no = tenant.no), 0);
",
    ),
    Step::Code(
        "
CREATE TABLE log (place INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
ALTER TABLE pulse ADD COLUMN place INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tenant ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;
CREATE TABLE ledger_run (
    tenant_no INTEGER NOT NULL,
    first INTEGER NOT NULL,
    leaves BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (tenant_no, first)
) STRICT, WITHOUT ROWID;
",
        entries_into_runs,
        "
DROP TABLE ledger_entry;
",
    ),
    Step::Code(
        "
CREATE TABLE log_slot (slot INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
",
        rows_into_slots,
        "
DROP TABLE log;
",
    ),
    Step::Sql(
        "
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    tenant_no INTEGER NOT NULL,
    first INTEGER NOT NULL,
    leaves BLOB NOT NULL,
    sealed BLOB NOT NULL
) STRICT;
INSERT INTO run (tenant_no, first, leaves, sealed)
    SELECT tenant_no, first, leaves, sealed FROM ledger_run ORDER BY tenant_no, first;
DROP TABLE ledger_run;
ALTER TABLE run RENAME TO ledger_run;
CREATE UNIQUE INDEX ledger_run_of ON ledger_run (tenant_no, first);
",
    ),
];

/// The newest version that this build knows.
pub(crate) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Refuses a database that is not ours, or not of this version.
pub(crate) fn check(conn: &Connection) -> Result<(), OpenError> {
    let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match (application, found.cmp(&newest())) {
        (APPLICATION_ID, Ordering::Equal) => Ok(()),
        (APPLICATION_ID, Ordering::Greater) => Err(OpenError::Newer { found, known: newest() }),
        (APPLICATION_ID, Ordering::Less) => Err(OpenError::Older { found, known: newest() }),
        _ => Err(OpenError::Foreign),
    }
}

/// Brings a database to the newest version, one transaction per step.
pub(crate) fn migrate(conn: &Connection) -> Result<(), OpenError> {
    let found: u32 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let objects: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_empty = application == 0 && found == 0 && objects == 0;
    if application != APPLICATION_ID && !is_empty {
        return Err(OpenError::Foreign);
    }
    if found > newest() {
        return Err(OpenError::Newer { found, known: newest() });
    }
    for (version, step) in (1u32..).zip(MIGRATIONS) {
        if version <= found {
            continue;
        }
        // The version is set in the transaction of the step: a crash leaves both or neither.
        let transaction = conn.unchecked_transaction()?;
        match step {
            Step::Sql(script) => transaction.execute_batch(script)?,
            Step::Code(before, code, after) => {
                transaction.execute_batch(before)?;
                code(&transaction)?;
                transaction.execute_batch(after)?;
            }
        }
        transaction
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version};"))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Entries had a row each.
fn entries_into_runs(conn: &Connection) -> rusqlite::Result<()> {
    const ENTRIES: &str = "SELECT tenant_no, idx, leaf, sealed FROM ledger_entry ORDER BY tenant_no, idx";
    const PUT: &str = "INSERT INTO ledger_run (tenant_no, first, leaves, sealed) VALUES (?1, ?2, ?3, ?4)";
    let mut put = conn.prepare(PUT)?;
    let mut write =
        |no: i64, first: u64, run: Run| put.execute(params![no, first.cast_signed(), run.leaves, run.sealed()]);
    let mut statement = conn.prepare(ENTRIES)?;
    let mut rows = statement.query([])?;
    let mut open: Option<(i64, u64, Run)> = None;
    while let Some(row) = rows.next()? {
        let (no, index) = (row.get::<_, i64>(0)?, unsigned(row, 1)?);
        if let Some((of, first, run)) = open.take_if(|(of, first, _)| *of != no || block_of(*first) != block_of(index))
        {
            write(of, first, run)?;
        }
        let (_, _, run) = open.get_or_insert_with(|| (no, index, Run::default()));
        run.push(&row.get(2)?, row.get_ref(3)?.as_blob()?);
    }
    if let Some((no, first, run)) = open {
        write(no, first, run)?;
    }
    Ok(())
}

/// The log had a row for each group, and those that were done went.
fn rows_into_slots(conn: &Connection) -> rusqlite::Result<()> {
    const FIRST: &str = "UPDATE pulse SET place = min(place, (SELECT min(place) - 1 FROM log)) \
        WHERE EXISTS (SELECT 1 FROM log)";
    conn.execute(FIRST, [])?;
    let mut slots = Slots::default();
    let mut statement = conn.prepare("SELECT place, body FROM log ORDER BY place")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let used = slots.write(conn, row.get(0)?, row.get_ref(1)?.as_blob()?, Used::default())?;
        slots.used(&used);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_log_come_into_slots_whether_they_were_done_or_not() {
        // In use are the places up to 9; what was before 7 has gone, and up to 8 all may be in the tables.
        let conn = Connection::open_in_memory().unwrap();
        let schema = "CREATE TABLE log (place INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
            CREATE TABLE log_slot (slot INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
            CREATE TABLE pulse (place INTEGER NOT NULL); INSERT INTO pulse VALUES (8);";
        conn.execute_batch(schema).unwrap();
        rows_into_slots(&conn).unwrap();
        let found = crate::slots::load(&conn).unwrap().unwrap();
        assert_eq!((found.done, found.rows.len()), (8, 0), "nothing is left, and no place is used again");
        for (place, length) in [(7, 10), (8, 20_000), (9, 1)] {
            conn.execute("INSERT INTO log VALUES (?1, zeroblob(?2))", [place, length]).unwrap();
        }
        rows_into_slots(&conn).unwrap();
        let found = crate::slots::load(&conn).unwrap().unwrap();
        let rows: Vec<_> = found.rows.iter().map(|row| (row.place, row.body.len())).collect();
        assert_eq!((found.done, rows), (6, vec![(7, 10), (8, 20_000), (9, 1)]));
    }

    #[test]
    fn entries_that_had_a_row_each_become_runs() {
        let conn = Connection::open_in_memory().unwrap();
        for step in &MIGRATIONS[..5] {
            let Step::Sql(script) = step else { panic!("the first steps are scripts") };
            conn.execute_batch(script).unwrap();
        }
        conn.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 5")).unwrap();
        let mut put =
            conn.prepare("INSERT INTO ledger_entry (tenant_no, idx, leaf, sealed) VALUES (?1, ?2, ?3, ?4)").unwrap();
        for index in 0..300_i64 {
            for no in [1, 2] {
                put.execute(params![no, index, [7_u8; 32], format!("{no} {index}").as_bytes()]).unwrap();
            }
        }
        drop(put);
        migrate(&conn).unwrap();
        check(&conn).unwrap();
        let mut runs = conn.prepare("SELECT tenant_no, first, leaves, sealed FROM ledger_run").unwrap();
        let mut rows = runs.query([]).unwrap();
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let (no, first): (i64, i64) = (row.get(0).unwrap(), row.get(1).unwrap());
            let (leaves, sealed): (Vec<u8>, Vec<u8>) = (row.get(2).unwrap(), row.get(3).unwrap());
            for (index, _, sealed) in crate::run::entries(first.cast_unsigned(), &leaves, &sealed).unwrap() {
                assert_eq!(sealed, format!("{no} {index}").as_bytes());
                found.push((no, index));
            }
        }
        let all: Vec<(i64, u64)> = [1, 2].into_iter().flat_map(|no| (0..300).map(move |index| (no, index))).collect();
        assert_eq!(found, all);
    }
}
