//! Whether answers, counts and ledgers tell the story that the clients know.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_ledger::entry::Entry;
use bailiwick_verify::{VerifierKey, verify_consistency};
use serde_json::Value;

use crate::harness::export::{lines, verdict};
use crate::harness::house::text;
use crate::harness::wire::Wire;
use crate::harness::{Ask, Told};

use super::load::{Fact, Ground};

/// A secret's version: of which tenant, where, which.
type At = (usize, String, u64);

/// Everything that was acknowledged, over all rounds.
#[derive(Debug, Default)]
pub(super) struct Story {
    values: BTreeMap<At, String>,
    deleted: BTreeSet<At>,
    destroyed: BTreeSet<At>,
    accounts: BTreeMap<usize, BTreeSet<String>>,
    /// Key id → its credential.
    keys: BTreeMap<usize, BTreeMap<String, String>>,
    revoked: BTreeSet<String>,
    rotations: BTreeMap<usize, u64>,
    tenants: BTreeMap<String, String>,
    gone: BTreeSet<String>,
    /// The newest checkpoint of each tenant: size and note.
    checkpoints: BTreeMap<usize, (u64, String)>,
}

impl Story {
    pub(super) fn add(&mut self, fact: Fact) {
        match fact {
            Fact::Wrote { tenant, path, version, value } => {
                let before = self.values.insert((tenant, path.clone(), version), value);
                assert!(before.is_none(), "{path} was given version {version} twice");
            }
            Fact::Deleted { tenant, path, version } => {
                self.deleted.insert((tenant, path, version));
            }
            Fact::Destroyed { tenant, path, version } => {
                self.destroyed.insert((tenant, path, version));
            }
            Fact::Account { tenant, id, .. } => {
                self.accounts.entry(tenant).or_default().insert(id);
            }
            Fact::Issued { tenant, key, credential, .. } => {
                self.keys.entry(tenant).or_default().insert(key, credential);
            }
            Fact::Revoked { credential } => {
                self.revoked.insert(credential);
            }
            Fact::Rotated { tenant } => *self.rotations.entry(tenant).or_default() += 1,
            Fact::Tenant { slug, credential } => {
                self.tenants.insert(slug, credential);
            }
            Fact::Gone { slug } => {
                self.gone.insert(slug);
            }
            Fact::Checkpoint { tenant, note, size } => {
                let newest = self.checkpoints.entry(tenant).or_default();
                if size >= newest.0 {
                    *newest = (size, note);
                }
            }
        }
    }

    pub(super) fn secrets(&self) -> usize {
        self.values.len()
    }

    pub(super) fn gone(&self) -> impl Iterator<Item = &String> {
        self.gone.iter()
    }
}

/// Asks a server that has just been started.
pub(super) struct Judge<'a> {
    pub(super) wire: Wire,
    pub(super) ground: &'a Ground,
    pub(super) story: &'a Story,
}

impl Judge<'_> {
    fn ask(&mut self, ask: &Ask) -> Told {
        self.wire.ask(ask).unwrap()
    }

    fn get(&mut self, tenant: usize, path: &str) -> Told {
        let plot = &self.ground.tenants[tenant];
        let ask = Ask::get(plot.at(path)).by(&plot.admin);
        self.ask(&ask)
    }

    /// Each thing that was acknowledged is there as it was acknowledged.
    pub(super) fn facts(&mut self, facts: &[Fact]) {
        for fact in facts {
            match fact {
                Fact::Wrote { tenant, path, version, value } => {
                    let at = (*tenant, path.clone(), *version);
                    let told = self.get(*tenant, &format!("/secrets/secret/{path}?version={version}"));
                    if self.story.deleted.contains(&at) || self.story.destroyed.contains(&at) {
                        assert_eq!(told.code(), "version_not_found", "{at:?}: {}", told.text());
                    } else {
                        let found = told.ok().value();
                        let found = found.pointer("/data/value").and_then(Value::as_str).map(str::to_owned);
                        assert_eq!(found.as_deref(), Some(value.as_str()), "{at:?}");
                    }
                }
                Fact::Issued { tenant, credential, .. } => {
                    let ask = Ask::get(self.ground.tenants[*tenant].at("/whoami")).by(credential);
                    let told = self.ask(&ask);
                    match self.story.revoked.contains(credential) {
                        true => assert_eq!(told.code(), "credential_revoked", "{fact:?}"),
                        false => assert!(told.is_ok(), "{fact:?}: {}", told.text()),
                    }
                }
                Fact::Tenant { slug, credential } => {
                    let told = self.ask(&Ask::get(format!("/api/v1/t/{slug}/whoami")).by(credential));
                    match self.story.gone.contains(slug) {
                        true => assert!(matches!(told.status, 401 | 403), "{fact:?}: {} {}", told.status, told.text()),
                        false => assert!(told.is_ok(), "{fact:?}: {}", told.text()),
                    }
                }
                _ => {}
            }
        }
    }

    /// No change without its entry and no entry without its change, in one tenant; and its tree verifies.
    pub(super) fn tenant(&mut self, tenant: usize) {
        let keyring = self.get(tenant, "/keyring").ok().value();
        let keys = keyring.get("ledger_keys").and_then(Value::as_array).unwrap();
        let keys: Vec<VerifierKey> = keys.iter().map(|key| key.as_str().unwrap().parse().unwrap()).collect();
        let previous = self.story.checkpoints.get(&tenant).cloned();

        // The tree extends the one that was signed before the kill, and the export is whole.
        if let Some((size, note)) = &previous {
            let proof = self.get(tenant, &format!("/ledger/consistency?old={size}")).ok();
            verify_consistency(&proof.body, &keys, Some(note)).unwrap_or_else(|error| panic!("{tenant}: {error}"));
        }
        let export = self.get(tenant, "/ledger/export").ok();
        let report = verdict(&export.body, &keys, previous.as_ref().map(|(_, note)| note.as_str()));
        let report = report.unwrap_or_else(|error| panic!("{tenant}: {error}"));
        assert_eq!(report.erased, 0);

        let entries = lines(&self.get(tenant, "/ledger/export?format=jsonl").ok());
        self.entries(tenant, &entries);
        self.counts(tenant, &entries);
    }

    /// The ledger says exactly what was done.
    fn entries(&mut self, tenant: usize, entries: &[Entry]) {
        let done = |action: &'static str| {
            let is_first = |entry: &&Entry| !entry.detail.contains_key("idempotent_replay");
            entries.iter().filter(move |entry| entry.action == action && entry.outcome == "ok").filter(is_first)
        };
        let mut written = BTreeMap::new();
        for entry in done("secret:write") {
            let path = entry.resource.id.strip_prefix("secret/").unwrap().to_owned();
            *written.entry((tenant, path, entry.resource.version.unwrap())).or_insert(0) += 1;
        }
        let twice: Vec<_> = written.iter().filter(|(_, count)| **count != 1).collect();
        assert!(twice.is_empty(), "written twice: {twice:?}");
        let of_tenant = |at: &&At| at.0 == tenant;
        let written: BTreeSet<At> = written.into_keys().collect();
        let known: BTreeSet<At> = self.story.values.keys().filter(of_tenant).cloned().collect();
        assert_eq!(written, known, "what is in the ledger and what was acknowledged differ");

        let created: BTreeSet<String> = done("account:create").map(|entry| entry.resource.id.clone()).collect();
        assert_eq!(created, self.story.accounts.get(&tenant).cloned().unwrap_or_default());
        let issued: BTreeSet<String> =
            done("key:issue").map(|entry| entry.detail.get("credential").unwrap().clone()).collect();
        let known = self.story.keys.get(&tenant).cloned().unwrap_or_default();
        assert_eq!(issued, known.into_keys().collect());
        let rotated = done("keyring:rotate").count() as u64;
        assert_eq!(rotated, self.story.rotations.get(&tenant).copied().unwrap_or_default());
    }

    /// What is stored is what the ledger says: the store counts with each commit.
    fn counts(&mut self, tenant: usize, entries: &[Entry]) {
        let slug = self.ground.tenants[tenant].slug.clone();
        let shown = self.ask(&Ask::get(format!("/api/v1/tenants/{slug}")).by(&self.ground.operator)).ok().value();
        let count = |name: &str| shown.pointer(&format!("/counts/{name}")).and_then(Value::as_u64).unwrap();
        let of_tenant = |at: &&At| at.0 == tenant;
        let values = self.story.values.keys().filter(of_tenant);
        let paths: BTreeSet<&String> = values.clone().map(|(_, path, _)| path).collect();
        let destroyed = self.story.destroyed.iter().filter(of_tenant).count() as u64;
        assert_eq!(count("secrets"), paths.len() as u64);
        assert_eq!(count("secret_versions"), values.count() as u64 - destroyed);
        assert_eq!(count("accounts"), self.story.accounts.get(&tenant).map_or(0, |ids| ids.len() as u64));
        // The administrator has one too.
        assert_eq!(count("credentials"), self.story.keys.get(&tenant).map_or(0, |keys| keys.len() as u64) + 1);
        assert!(count("ledger_entries") >= entries.len() as u64);
    }

    /// The same for the platform: the tenants that there are, and those that its ledger knows.
    pub(super) fn platform(&mut self) {
        let operator = self.ground.operator.clone();
        let export = self.ask(&Ask::get("/api/v1/platform/ledger/export").by(&operator)).ok();
        verdict(&export.body, &[], None).unwrap_or_else(|error| panic!("platform: {error}"));
        let entries = lines(&self.ask(&Ask::get("/api/v1/platform/ledger/export?format=jsonl").by(&operator)).ok());
        let is_first = |entry: &&Entry| !entry.detail.contains_key("idempotent_replay");
        let created = entries.iter().filter(|entry| entry.action == "tenant:create" && entry.outcome == "ok");
        let created: Vec<_> = created.filter(is_first).map(|entry| entry.detail.get("slug").unwrap().clone()).collect();
        let mut listed = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.ask(&Ask::get(format!("/api/v1/tenants?limit=1000{cursor}")).by(&operator)).ok().value();
            listed.extend(page.get("items").and_then(Value::as_array).unwrap().iter().map(|item| text(item, "slug")));
            match page.get("next").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let as_set = |slugs: &[String]| slugs.iter().cloned().collect::<BTreeSet<_>>();
        assert_eq!(as_set(&created), as_set(&listed), "tenants and the platform's ledger differ");
        assert_eq!(created.len(), listed.len(), "a tenant was created twice");
        let samples = self.ground.tenants.iter().map(|plot| plot.slug.clone());
        let known: BTreeSet<String> = self.story.tenants.keys().cloned().chain(samples).collect();
        assert_eq!(as_set(&listed), known, "tenants and what was acknowledged differ");
    }
}
