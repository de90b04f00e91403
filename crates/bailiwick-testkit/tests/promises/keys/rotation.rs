//! Every key changes while readers and writers run, and everything stays readable: before, after, and after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use bailiwick_verify::VerifierKey;
use serde_json::{Value, json};

use crate::harness::Ask;
use crate::harness::export::{keys_of, verdict};
use crate::harness::house::{Tenant, text};
use crate::harness::process::Running;

use super::{Serving, operator, progress, shares};

/// What a tenant can rotate by itself.
const PURPOSES: [&str; 6] = ["tenant", "records", "ledger", "credentials", "cursors", "ledger-signing"];

/// A tenant with credentials and values of different ages.
struct Home {
    tenant: Tenant,
    /// Every credential that must go on working.
    credentials: Vec<String>,
    /// Everything that was written: the path's versions.
    written: BTreeMap<String, Vec<String>>,
    /// The tenant's keys, of all times, and a checkpoint of each time.
    keys: Vec<VerifierKey>,
    kept: Vec<String>,
}

impl Home {
    fn new(serving: &Serving, operator: &str, slug: &str) -> Self {
        let ask = Ask::post("/api/v1/tenants").by(operator).json(json!({ "slug": slug }));
        let made = serving.ask(&ask).ok().value();
        let owner = text(&made["admin"], "credential");
        let tenant = Tenant {
            id: text(&made["tenant"], "id"),
            slug: slug.to_owned(),
            owner: owner.clone(),
            owner_id: text(&made["admin"], "member"),
        };
        Self { tenant, credentials: vec![owner], written: BTreeMap::new(), keys: Vec::new(), kept: Vec::new() }
    }

    fn get(&self, path: &str) -> Ask {
        Ask::get(self.tenant.at(path)).by(&self.tenant.owner)
    }

    /// One more of everything.
    fn grow(&mut self, serving: &Serving, number: usize) {
        let value = format!("{}-{number}", self.tenant.slug);
        for path in ["app/old", &format!("app/of-{number}")] {
            let ask = Ask::put(self.tenant.at(&format!("/secrets/secret/{path}"))).by(&self.tenant.owner);
            serving.ask(&ask.json(json!({ "data": { "value": value } }))).ok();
            self.written.entry(path.to_owned()).or_default().push(value.clone());
        }
        let ask = Ask::post(self.tenant.at(&format!("/members/{}/credentials", self.tenant.owner_id)));
        let issued = serving.ask(&ask.by(&self.tenant.owner).json(json!({}))).ok().value();
        self.credentials.push(text(&issued, "credential"));
        let checkpoint = serving.ask(&self.get("/ledger/checkpoint")).ok();
        self.kept.push(text(&checkpoint.value(), "note"));
        for key in keys_of(&serving.ask(&self.get("/keyring")).ok()) {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }

    /// Everything of every age is there, for every credential.
    fn is_whole(&self, serving: &Serving) {
        let mut wire = serving.server.wire();
        for (number, (path, versions)) in self.written.iter().enumerate() {
            // Ten versions are kept.
            let dropped = versions.len().saturating_sub(10);
            for (at, value) in versions.iter().enumerate().skip(dropped) {
                let path = self.tenant.at(&format!("/secrets/secret/{path}?version={}", at + 1));
                let credential = &self.credentials[(number + at) % self.credentials.len()];
                let told = wire.ask(&Ask::get(path).by(credential)).unwrap().ok();
                assert_eq!(told.value()["data"]["value"], json!(value));
            }
        }
        for credential in &self.credentials {
            wire.ask(&Ask::get(self.tenant.at("/whoami")).by(credential)).unwrap().ok();
        }
        // The ledger is one, over all its keys, and extends whatever was signed before.
        let export = wire.ask(&self.get("/ledger/export")).unwrap().ok();
        for kept in self.kept.iter().step_by(9).chain(self.kept.last()) {
            let report = verdict(&export.body, &self.keys, Some(kept)).unwrap();
            assert_eq!(report.erased, 0);
        }
    }

    /// The current version of each key.
    fn versions(&self, serving: &Serving) -> BTreeMap<String, u64> {
        let shown = serving.ask(&self.get("/keyring")).ok().value();
        let keys = shown["keys"].as_array().unwrap().iter().filter(|key| key["is_current"] == true);
        keys.map(|key| (text(key, "purpose"), key["version"].as_u64().unwrap())).collect()
    }
}

/// Readers and writers that expect nothing but success.
struct Crowd {
    is_over: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    threads: Vec<JoinHandle<(String, String, Vec<String>)>>,
}

impl Crowd {
    fn start(server: &Running, homes: &[Home]) -> Self {
        let (is_over, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut threads = Vec::new();
        for home in homes {
            for worker in 0..2 {
                let (mut wire, is_over, done) = (server.wire(), Arc::clone(&is_over), Arc::clone(&done));
                let (tenant, old) = (home.tenant.clone(), home.written["app/of-0"][0].clone());
                threads.push(std::thread::spawn(move || {
                    let (path, mut written) = (format!("crowd/{worker}"), Vec::new());
                    while !is_over.load(Ordering::SeqCst) {
                        let value = format!("{}-{worker}-{}", tenant.slug, written.len());
                        let at = tenant.at(&format!("/secrets/secret/{path}"));
                        let ask = Ask::put(&at).by(&tenant.owner).json(json!({ "data": { "value": value } }));
                        wire.ask(&ask).unwrap().ok();
                        written.push(value);
                        let told = wire.ask(&Ask::get(&at).by(&tenant.owner)).unwrap().ok();
                        assert_eq!(told.value()["data"]["value"], json!(written.last()));
                        let first = tenant.at("/secrets/secret/app/of-0");
                        let told = wire.ask(&Ask::get(first).by(&tenant.owner)).unwrap().ok();
                        assert_eq!(told.value()["data"]["value"], json!(old));
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                    (tenant.slug, path, written)
                }));
            }
        }
        Self { is_over, done, threads }
    }

    /// Lets everybody get on.
    fn wait(&self) {
        let until = self.done.load(Ordering::SeqCst) + 4;
        while self.done.load(Ordering::SeqCst) < until {
            assert!(self.threads.iter().all(|thread| !thread.is_finished()), "somebody was refused");
            std::thread::yield_now();
        }
    }

    fn end(self, homes: &mut [Home]) {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            let (slug, path, written) = thread.join().unwrap();
            let home = homes.iter_mut().find(|home| home.tenant.slug == slug).unwrap();
            home.written.insert(path, written);
        }
    }
}

fn rotate_root(serving: &Serving, operator: &str, body: Value) -> Value {
    serving.ask(&Ask::post("/api/v1/platform/root-key/rotate").by(operator).json(body)).ok().value()
}

#[test]
fn every_key_is_rotated_under_load_and_everything_stays_readable_also_after_a_restart() {
    let mut serving = Serving::start("provider = \"shamir\"");
    let made = serving.init(json!({ "provider": "shamir", "shares": 3, "threshold": 2 })).ok().value();
    let (first, operator) = (shares(&made), operator(&made));
    serving.unseal(&first[0]).ok();
    assert_eq!(progress(&serving.unseal(&first[1])), (false, 0));
    let mut homes = ["acme", "globex"].map(|slug| Home::new(&serving, &operator, slug));
    for home in &mut homes {
        home.grow(&serving, 0);
    }
    let crowd = Crowd::start(&serving.server, &homes);
    crowd.wait();
    for round in 1..=2 {
        for (number, purpose) in PURPOSES.into_iter().enumerate() {
            let before = homes.each_ref().map(|home| home.versions(&serving));
            let ask = Ask::post(homes[0].tenant.at("/keyring/rotate")).by(&homes[0].tenant.owner);
            serving.ask(&ask.json(json!({ "purpose": purpose }))).ok();
            let after = homes.each_ref().map(|home| home.versions(&serving));
            // That key and no other, of that tenant and no other.
            let mut expected = before.clone();
            *expected[0].get_mut(purpose).unwrap() += 1;
            assert_eq!(after, expected, "{purpose}");
            homes[0].grow(&serving, round * 10 + number);
            crowd.wait();
        }
    }
    assert_eq!(homes[0].keys.len(), 4, "three of its own, one of the installation");
    // The root key, under the same load: to a passphrase, and to shares again.
    let phrase = "a passphrase for a while";
    let told = rotate_root(&serving, &operator, json!({ "provider": "passphrase", "passphrase": phrase }));
    assert_eq!((&told["version"], &told["tenants"]), (&json!(2), &json!(2)));
    crowd.wait();
    for home in &mut homes {
        home.grow(&serving, 90);
    }
    let told = rotate_root(&serving, &operator, json!({ "provider": "shamir", "shares": 4, "threshold": 3 }));
    assert_eq!(told["version"], 3);
    let last = shares(&told);
    crowd.wait();
    for home in &mut homes {
        home.grow(&serving, 91);
    }
    crowd.end(&mut homes);
    for home in &homes {
        home.is_whole(&serving);
    }

    serving.restart();
    serving.is_sealed_to(&operator);
    // What opened it once does no more.
    for old in [&first[0], &first[1], phrase] {
        serving.unseal(old).refused(400, "invalid_request");
    }
    assert_eq!(serving.status(), (true, 0));
    for share in &last[1..] {
        serving.unseal(share).ok();
    }
    serving.is_open_to(&operator);
    for home in &homes {
        home.is_whole(&serving);
    }
    // And it goes on.
    for home in &mut homes {
        home.grow(&serving, 99);
    }
}
