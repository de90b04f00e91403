//! Exports as a reader gets them: entries in order, and the verdict of the offline verifier.

use std::collections::BTreeMap;

use bailiwick_ledger::entry::Entry;
use bailiwick_types::TenantId;
use bailiwick_verify::{Options, Report, VerifierKey, VerifyError, verify_export};
use rusqlite::{Connection, OpenFlags};

use super::house::{House, Tenant};
use super::{Ask, Told};

/// The entries of a tenant's ledger, in order.
pub(crate) async fn entries(house: &House, tenant: &Tenant) -> Vec<Entry> {
    let ask = Ask::get(tenant.at("/ledger/export?format=jsonl")).by(&tenant.owner);
    lines(&house.ask(ask).await.ok())
}

/// The entries of the platform's ledger, in order.
pub(crate) async fn platform_entries(house: &House) -> Vec<Entry> {
    let ask = Ask::get("/api/v1/platform/ledger/export?format=jsonl").by(house.ground.operator());
    lines(&house.ask(ask).await.ok())
}

/// The entries of an export as JSON lines.
pub(crate) fn lines(told: &Told) -> Vec<Entry> {
    told.body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| Entry::parse(line).unwrap())
        .collect()
}

/// What `bailiwick verify` says with these keys pinned and this checkpoint kept.
pub(crate) fn verdict(export: &[u8], pinned: &[VerifierKey], previous: Option<&str>) -> Result<Report, VerifyError> {
    let options = Options { pinned: pinned.to_vec(), previous: previous.map(str::to_owned), progress: None };
    verify_export(export, &options)
}

/// Where each entry of each ledger stands in the one order in which the engine has committed: (tenant, index) → place.
///
/// The engine appends to one table, in commit order; its row number is the one witness of what was durable before what
/// that needs no clock.
pub(crate) fn places(house: &House) -> BTreeMap<(String, u64), i64> {
    let file = house.ground.database();
    let conn = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let sql = "SELECT t.id, e.idx, e.place FROM ledger_entry e JOIN tenant t ON t.no = e.tenant_no";
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let tenant = TenantId::from_bytes(row.get::<_, [u8; 16]>(0)?);
        let index = u64::try_from(row.get::<_, i64>(1)?).unwrap();
        Ok(((tenant.to_string(), index), row.get(2)?))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}
