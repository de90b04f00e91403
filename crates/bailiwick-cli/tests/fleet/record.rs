//! What the ledger says afterwards: exported, verified by a process that has neither server nor credential, and read.

use std::collections::HashMap;
use std::process::Command;

use bailiwick_client::routes;
use bailiwick_client::routes::ExportFormat;
use bailiwick_types::Timestamp;
use serde_json::Value;

use super::fleet::Fleet;
use super::node::{BINARY, Node};
use super::tenant::{MOUNT, Tenant};

/// An entry, as far as these tests look at it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) index: u64,
    pub(crate) request: String,
    pub(crate) credential: String,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) outcome: String,
    pub(crate) is_replay: bool,
    seconds: i64,
}

impl Entry {
    pub(crate) fn of(index: u64, request: &str, credential: &str, outcome: &str) -> Self {
        Self {
            index,
            request: request.to_owned(),
            credential: credential.to_owned(),
            action: String::new(),
            resource: String::new(),
            outcome: outcome.to_owned(),
            is_replay: false,
            seconds: 0,
        }
    }
}

/// A tenant's ledger.
pub(crate) struct Record {
    pub(crate) entries: Vec<Entry>,
    by_request: HashMap<String, Vec<usize>>,
}

impl Record {
    /// Exports a tenant's ledger through a node and verifies it.
    pub(crate) fn of(fleet: &Fleet, tenant: &Tenant, node: &Node) -> Self {
        let ledger = tenant.routes().ledger();
        let text = tenant.owner(node).download(&ledger.export(ExportFormat::Bailiwick));
        Self::verified(fleet, &tenant.slug, &text)
    }

    /// The same of the platform's own ledger.
    pub(crate) fn of_platform(fleet: &Fleet) -> Self {
        let text = fleet.operator(0).download(&routes::platform_ledger().export(ExportFormat::Bailiwick));
        Self::verified(fleet, "platform", &text)
    }

    fn verified(fleet: &Fleet, name: &str, text: &str) -> Self {
        let file = fleet.folder().join(format!("{name}.ledger"));
        std::fs::write(&file, text).unwrap();
        let ran = Command::new(BINARY).arg("verify").arg(&file).env_clear().output().unwrap();
        assert!(ran.status.success(), "the ledger of {name} does not verify: {}", String::from_utf8_lossy(&ran.stderr));
        Self::from(text.lines().filter_map(entry).collect())
    }

    pub(crate) fn from(entries: Vec<Entry>) -> Self {
        assert!(entries.iter().zip(0..).all(|(entry, index)| entry.index == index));
        let mut by_request: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            by_request.entry(entry.request.clone()).or_default().push(at);
        }
        Self { entries, by_request }
    }

    /// The earliest and the latest time of an entry, in seconds.
    pub(crate) fn span(&self) -> (i64, i64) {
        let times = self.entries.iter().map(|entry| entry.seconds);
        (times.clone().min().unwrap(), times.max().unwrap())
    }

    /// How often something was written, other than by repeating an answer.
    pub(crate) fn writes_of(&self, path: &str) -> usize {
        let resource = format!("{MOUNT}/{path}");
        let is_write = |entry: &&Entry| entry.action == "secret:write" && entry.outcome == "ok" && !entry.is_replay;
        self.entries.iter().filter(is_write).filter(|entry| entry.resource == resource).count()
    }

    /// The entries of a request.
    fn all_of(&self, request: &str) -> impl Iterator<Item = &Entry> {
        self.by_request.get(request).into_iter().flatten().map(|at| &self.entries[*at])
    }

    /// The one entry of a request that was carried out.
    #[track_caller]
    pub(crate) fn of_done(&self, request: &str) -> &Entry {
        let all: Vec<&Entry> = self.all_of(request).collect();
        let [entry] = all[..] else { panic!("{request} was acknowledged and has {} entries", all.len()) };
        assert_eq!(entry.outcome, "ok", "{request} was acknowledged: {entry:?}");
        entry
    }
}

fn entry(line: &str) -> Option<Entry> {
    let line: Value = serde_json::from_str(line).unwrap();
    let (index, entry) = (line.get("index")?.as_u64()?, line.get("entry")?);
    let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Entry {
        action: text("/action"),
        resource: text("/resource/id"),
        seconds: text("/time").parse::<Timestamp>().ok()?.unix_ms() / 1_000,
        is_replay: text("/detail/idempotent_replay") == "true",
        ..Entry::of(index, &text("/request"), &text("/actor/credential"), &text("/outcome"))
    })
}
