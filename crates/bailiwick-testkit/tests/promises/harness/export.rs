//! Exports as a reader gets them: entries in order, and the verdict of the offline verifier.

use std::collections::BTreeMap;

use bailiwick_ledger::entry::Entry;
use bailiwick_ledger::export::EntryLine;
use bailiwick_verify::{Options, Report, VerifierKey, VerifyError, verify_export};

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
    let options = Options { pinned: pinned.to_vec(), previous: previous.map(str::to_owned), ..Options::default() };
    verify_export(export, &options)
}

/// Where each entry of each ledger stands in the one order in which the engine has committed: (tenant, index) → place.
///
/// The engine appends to one log, in commit order; the place in it is the one witness of what was durable before what
/// that needs no clock.
pub(crate) fn places(house: &House) -> BTreeMap<(String, u64), usize> {
    let order = bailiwick_store_sqlite::logged(&house.ground.database()).unwrap();
    let places = order.into_iter().enumerate();
    places.map(|(place, (tenant, index))| ((tenant.to_string(), index), place)).collect()
}

/// The keys that verify a tenant's ledger: its own, then the installation's.
pub(crate) fn keys_of(told: &Told) -> Vec<VerifierKey> {
    let value = told.value();
    let keys = value.get("ledger_keys").or_else(|| value.get("keys")).and_then(serde_json::Value::as_array);
    keys.unwrap().iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect()
}

/// An export of the form `bailiwick`, to be tampered with line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lines(pub(crate) Vec<Vec<u8>>);

impl Lines {
    pub(crate) fn of(export: &[u8]) -> Self {
        Self(export.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// How many entries there are: header, checkpoint and seal are none.
    pub(crate) fn entries(&self) -> usize {
        self.0.len() - 3
    }

    /// The canonical bytes of an entry, which is on line `index + 2`.
    pub(crate) fn entry(&self, index: usize) -> Vec<u8> {
        let line = self.0[index + 1].strip_suffix(b"\n").unwrap();
        EntryLine::parse(line).unwrap().entry.unwrap().to_vec()
    }

    /// The same with a change.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Self {
        let mut changed = self.clone();
        change(&mut changed.0);
        assert_ne!(changed, *self, "nothing was changed");
        changed
    }
}
