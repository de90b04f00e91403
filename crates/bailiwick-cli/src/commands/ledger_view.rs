//! How a ledger entry looks to people. Read leniently: what an entry says may grow, and what does not fit is left out
//! here and still in `-o json`.

use std::collections::BTreeMap;

use bailiwick_types::Timestamp;
use bailiwick_types::api::ledger::LedgerEntry;
use serde::Deserialize;

use crate::output::{Human, clean, to_second};

/// The head of a list.
pub(crate) const HEAD: &[&str] = &["INDEX", "TIME", "ACTOR", "ACTION", "RESOURCE", "DECISION", "OUTCOME"];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EntryView {
    time: Option<Timestamp>,
    request: String,
    actor: Actor,
    source: Option<String>,
    door: String,
    action: String,
    resource: EntryResource,
    decision: String,
    policies: Vec<String>,
    outcome: String,
    code: Option<String>,
    detail: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Actor {
    kind: String,
    id: Option<String>,
    credential: Option<String>,
    operator: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EntryResource {
    kind: String,
    id: String,
    version: Option<u64>,
}

impl EntryView {
    pub(crate) fn of(entry: &LedgerEntry) -> Self {
        serde_json::from_value(entry.entry.clone()).unwrap_or_default()
    }

    fn time(&self, entry: &LedgerEntry) -> String {
        match self.time {
            Some(time) => to_second(time),
            None if entry.entry.is_null() => "erased".to_owned(),
            None => "-".to_owned(),
        }
    }

    fn actor(&self) -> String {
        match (&self.actor.operator, &self.actor.id) {
            (Some(operator), _) => operator.clone(),
            (None, Some(id)) => id.clone(),
            (None, None) => self.actor.kind.clone(),
        }
    }

    fn resource(&self) -> String {
        if self.resource.kind.is_empty() {
            return String::new();
        }
        let version = self.resource.version.map_or_else(String::new, |version| format!("@{version}"));
        format!("{}/{}{version}", self.resource.kind, self.resource.id)
    }

    fn outcome(&self) -> String {
        match &self.code {
            Some(code) if *code != self.outcome => format!("{} ({code})", self.outcome),
            _ => self.outcome.clone(),
        }
    }

    /// Its line in a list.
    pub(crate) fn row(&self, entry: &LedgerEntry) -> Vec<String> {
        vec![
            entry.index.to_string(),
            self.time(entry),
            self.actor(),
            self.action.clone(),
            self.resource(),
            self.decision.clone(),
            self.outcome(),
        ]
    }

    /// Its line in a stream, where the width of columns is not known in advance.
    pub(crate) fn line(&self, entry: &LedgerEntry) -> String {
        clean(&self.row(entry).join("  "))
    }

    /// Everything about it.
    pub(crate) fn fields(&self, entry: &LedgerEntry, human: Human) -> Vec<(&'static str, String)> {
        let mut fields = vec![("index", entry.index.to_string()), ("leaf", entry.leaf.clone())];
        if entry.entry.is_null() {
            fields.push(("entry", "erased with the tenant's keys; its leaf still counts".to_owned()));
            return fields;
        }
        fields.push(("time", human.moment_opt(self.time)));
        fields.push(("request", self.request.clone()));
        fields.push(("actor", format!("{} ({})", self.actor(), self.actor.kind)));
        fields.extend(self.actor.credential.iter().map(|id| ("credential", id.clone())));
        fields.extend(self.source.iter().map(|source| ("source", source.clone())));
        fields.push(("door", self.door.clone()));
        fields.push(("action", self.action.clone()));
        fields.push(("resource", self.resource()));
        fields.push(("decision", self.decision.clone()));
        if !self.policies.is_empty() {
            fields.push(("because of", self.policies.join("\n")));
        }
        fields.push(("outcome", self.outcome()));
        let detail: Vec<_> = self.detail.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !detail.is_empty() {
            fields.push(("detail", detail.join("\n")));
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{fields, table};

    fn entry(text: &str) -> LedgerEntry {
        LedgerEntry { index: 7, leaf: "bGVhZg==".into(), entry: serde_json::from_str(text).unwrap() }
    }

    const REFUSED: &str = r#"{"v":1,"tenant":"ten_x","time":"2026-01-01T12:00:00.123Z","request":"req_1",
        "actor":{"kind":"service","id":"acc_1","credential":"key_1"},"source":"10.0.0.1","door":"vault",
        "action":"secret:reveal","resource":{"kind":"secret","id":"secret/app/db","version":3},"decision":"deny",
        "policies":["guardrail:none"],"outcome":"denied","code":"permission_denied","from_the_future":1,"salt":"x"}"#;

    #[test]
    fn an_entry_reads_like_this() {
        let human = Human { now: "2026-01-01T13:00:00Z".parse().unwrap() };
        let (refused, erased) = (entry(REFUSED), entry("null"));
        expect_test::expect![[r#"
            INDEX  TIME                  ACTOR  ACTION         RESOURCE                DECISION  OUTCOME
            7      2026-01-01 12:00:00Z  acc_1  secret:reveal  secret/secret/app/db@3  deny      denied (permission_denied)
            7      erased
        "#]]
        .assert_eq(&table(HEAD, &[EntryView::of(&refused).row(&refused), EntryView::of(&erased).row(&erased)]));
        expect_test::expect![[r#"
            index       7
            leaf        bGVhZg==
            time        2026-01-01 12:00:00Z (60m ago)
            request     req_1
            actor       acc_1 (service)
            credential  key_1
            source      10.0.0.1
            door        vault
            action      secret:reveal
            resource    secret/secret/app/db@3
            decision    deny
            because of  guardrail:none
            outcome     denied (permission_denied)
        "#]]
        .assert_eq(&fields(&EntryView::of(&refused).fields(&refused, human)));
    }
}
