//! Clients that write unique things and remember what was acknowledged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use serde_json::{Value, json};

use crate::harness::house::text;
use crate::harness::wire::Wire;
use crate::harness::{Ask, Dice, Told};

/// What a client knows of the world. Everything is unique: no two clients ever touch the same thing.
#[derive(Debug, Clone)]
pub(super) enum Fact {
    /// A secret has this version with this value.
    Wrote { tenant: usize, path: String, version: u64, value: String },
    /// A version was deleted, so that it could be undeleted.
    Deleted { tenant: usize, path: String, version: u64 },
    /// A version was destroyed.
    Destroyed { tenant: usize, path: String, version: u64 },
    /// An account with this id exists.
    Account { tenant: usize, id: String },
    /// A key was issued.
    Issued { tenant: usize, account: String, key: String, credential: String },
    /// A key was revoked.
    Revoked { credential: String },
    /// A data key was rotated.
    Rotated { tenant: usize },
    /// A tenant was created.
    Tenant { slug: String, credential: String },
    /// A tenant is being deleted, without a hold period.
    Gone { slug: String },
    /// A checkpoint was signed.
    Checkpoint { tenant: usize, note: String, size: u64 },
}

/// Something that was asked and, perhaps, done: how to ask, and what the answer would mean.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) ask: Ask,
    meaning: Meaning,
}

#[derive(Debug, Clone)]
enum Meaning {
    Write { tenant: usize, path: String, value: String },
    Delete { tenant: usize, path: String, version: u64 },
    Destroy { tenant: usize, path: String, version: u64 },
    Account { tenant: usize },
    Issue { tenant: usize, account: String },
    Revoke { credential: String },
    Rotate { tenant: usize },
    Create { slug: String },
    Remove { slug: String },
    Checkpoint { tenant: usize },
}

impl Step {
    /// What an answer says. Whatever a client asks here is right, so anything but a success is a finding.
    pub(super) fn learn(&self, told: &Told) -> Fact {
        assert!(told.is_ok(), "{:?}: {} {}", self.ask, told.status, told.text());
        let value = || told.value();
        let number = |name: &str| value().get(name).and_then(Value::as_u64).unwrap();
        match self.meaning.clone() {
            Meaning::Write { tenant, path, value } => Fact::Wrote { tenant, path, version: number("version"), value },
            Meaning::Delete { tenant, path, version } => Fact::Deleted { tenant, path, version },
            Meaning::Destroy { tenant, path, version } => Fact::Destroyed { tenant, path, version },
            Meaning::Account { tenant } => Fact::Account { tenant, id: text(&value(), "id") },
            Meaning::Issue { tenant, account } => {
                let (issued, credential) = (value(), text(&value(), "credential"));
                Fact::Issued { tenant, account, key: text(issued.get("key").unwrap(), "id"), credential }
            }
            Meaning::Revoke { credential } => Fact::Revoked { credential },
            Meaning::Rotate { tenant } => Fact::Rotated { tenant },
            Meaning::Create { slug } => {
                Fact::Tenant { slug, credential: text(value().get("admin").unwrap(), "credential") }
            }
            Meaning::Remove { slug } => Fact::Gone { slug },
            Meaning::Checkpoint { tenant } => {
                Fact::Checkpoint { tenant, note: text(&value(), "note"), size: number("size") }
            }
        }
    }

    /// Whether asking again cannot do it twice: it carries an `Idempotency-Key`, or it only reads.
    pub(super) fn is_checkpoint(&self) -> bool {
        matches!(self.meaning, Meaning::Checkpoint { .. })
    }
}

/// Where the clients work and as whom.
#[derive(Debug, Clone)]
pub(super) struct Ground {
    pub(super) address: String,
    pub(super) operator: String,
    pub(super) tenants: Vec<Plot>,
}

/// A tenant to work in.
#[derive(Debug, Clone)]
pub(super) struct Plot {
    pub(super) slug: String,
    pub(super) admin: String,
    pub(super) admin_id: String,
}

impl Plot {
    pub(super) fn at(&self, path: &str) -> String {
        format!("/api/v1/t/{}{path}", self.slug)
    }
}

/// What a client has to show when the server is gone.
#[derive(Debug, Default)]
pub(super) struct Diary {
    /// What was acknowledged, in order.
    pub(super) facts: Vec<Fact>,
    /// What was asked last and never answered.
    pub(super) torn: Option<Step>,
}

/// One client.
pub(super) struct Client {
    pub(super) name: String,
    pub(super) ground: Ground,
    pub(super) dice: Dice,
    /// Writes so far; names are made of it.
    count: u64,
    paths: Vec<(usize, String, u64)>,
    accounts: Vec<(usize, String)>,
    keys: Vec<(usize, String, String, String)>,
    slugs: Vec<String>,
}

impl Client {
    pub(super) fn new(name: String, ground: Ground, dice: Dice) -> Self {
        let (paths, accounts, keys, slugs) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { name, ground, dice, count: 0, paths, accounts, keys, slugs }
    }

    /// Works until the server is gone. `acknowledged` counts for whoever decides when that is.
    pub(super) fn work(mut self, acknowledged: &AtomicU64, news: &SyncSender<()>) -> Diary {
        let mut diary = Diary::default();
        let Ok(mut wire) = Wire::to(&self.ground.address) else { return diary };
        loop {
            let step = if self.name.ends_with("operator") { self.operate() } else { self.next() };
            match wire.ask(&step.ask) {
                Ok(told) => {
                    let fact = step.learn(&told);
                    self.remember(&fact);
                    diary.facts.push(fact);
                    acknowledged.fetch_add(1, Ordering::SeqCst);
                    let _ = news.try_send(());
                }
                Err(_) => {
                    diary.torn = Some(step);
                    return diary;
                }
            }
        }
    }

    fn once(&mut self, ask: Ask, credential: &str) -> Ask {
        self.count += 1;
        ask.by(credential).header("idempotency-key", &format!("{}-{}", self.name, self.count))
    }

    fn next(&mut self) -> Step {
        let tenant = self.dice.index(self.ground.tenants.len());
        let plot = self.ground.tenants[tenant].clone();
        match self.dice.below(100) {
            0..45 => self.write(tenant, &plot),
            45..55 => match self.pick_path() {
                None => self.write(tenant, &plot),
                Some((tenant, path, version)) => {
                    let plot = self.ground.tenants[tenant].clone();
                    let ask = Ask::post(plot.at(&format!("/secret-delete/secret/{path}")));
                    let ask = self.once(ask.json(json!({ "versions": [version] })), &plot.admin);
                    Step { ask, meaning: Meaning::Delete { tenant, path, version } }
                }
            },
            55..62 => match self.pick_path() {
                None => self.write(tenant, &plot),
                Some((tenant, path, version)) => {
                    let plot = self.ground.tenants[tenant].clone();
                    let ask = Ask::post(plot.at(&format!("/secret-destroy/secret/{path}")));
                    let ask = self.once(ask.json(json!({ "versions": [version] })), &plot.admin);
                    Step { ask, meaning: Meaning::Destroy { tenant, path, version } }
                }
            },
            62..72 => {
                let name = format!("{}-{}", self.name, self.count);
                let ask = Ask::post(plot.at("/accounts")).json(json!({ "name": name, "owner": plot.admin_id }));
                Step { ask: self.once(ask, &plot.admin), meaning: Meaning::Account { tenant } }
            }
            72..84 => match self.accounts.last().cloned() {
                None => self.write(tenant, &plot),
                Some((tenant, account)) => {
                    let plot = self.ground.tenants[tenant].clone();
                    let ask = Ask::post(plot.at(&format!("/accounts/{account}/keys"))).json(json!({}));
                    Step { ask: self.once(ask, &plot.admin), meaning: Meaning::Issue { tenant, account } }
                }
            },
            84..90 => match self.keys.pop() {
                None => self.write(tenant, &plot),
                Some((tenant, account, key, credential)) => {
                    let plot = self.ground.tenants[tenant].clone();
                    let ask = Ask::delete(plot.at(&format!("/accounts/{account}/keys/{key}")));
                    Step { ask: self.once(ask, &plot.admin), meaning: Meaning::Revoke { credential } }
                }
            },
            90..91 => {
                let purpose = ["records", "ledger", "credentials", "ledger-signing", "tenant"][self.dice.index(5)];
                let ask = Ask::post(plot.at("/keyring/rotate")).json(json!({ "purpose": purpose }));
                Step { ask: self.once(ask, &plot.admin), meaning: Meaning::Rotate { tenant } }
            }
            _ => {
                let ask = Ask::get(plot.at("/ledger/checkpoint")).by(&plot.admin);
                Step { ask, meaning: Meaning::Checkpoint { tenant } }
            }
        }
    }

    fn write(&mut self, tenant: usize, plot: &Plot) -> Step {
        // A new secret, or another version of one that has few: old versions are dropped after ten.
        let known = self.paths.iter().find(|(of, _, versions)| *of == tenant && *versions < 5);
        let path = match known {
            Some((_, path, _)) if self.dice.below(2) == 0 => path.clone(),
            _ => format!("{}/p{}", self.name, self.count),
        };
        let value = self.dice.word();
        let ask = Ask::put(plot.at(&format!("/secrets/secret/{path}"))).json(json!({ "data": { "value": value } }));
        Step { ask: self.once(ask, &plot.admin), meaning: Meaning::Write { tenant, path, value } }
    }

    fn pick_path(&mut self) -> Option<(usize, String, u64)> {
        if self.paths.is_empty() {
            return None;
        }
        let (tenant, path, versions) = self.paths[self.dice.index(self.paths.len())].clone();
        Some((tenant, path, self.dice.below(versions) + 1))
    }

    fn operate(&mut self) -> Step {
        let operator = self.ground.operator.clone();
        if self.slugs.len() > 2 && self.dice.below(3) == 0 {
            let slug = self.slugs.remove(0);
            let ask = Ask::delete(format!("/api/v1/tenants/{slug}?hold=0s"));
            return Step { ask: self.once(ask, &operator), meaning: Meaning::Remove { slug } };
        }
        let slug = format!("{}-{}", self.name, self.count);
        let ask = Ask::post("/api/v1/tenants").json(json!({ "slug": slug }));
        Step { ask: self.once(ask, &operator), meaning: Meaning::Create { slug } }
    }

    fn remember(&mut self, fact: &Fact) {
        match fact.clone() {
            Fact::Wrote { tenant, path, version, .. } => {
                match self.paths.iter_mut().find(|(of, known, _)| *of == tenant && *known == path) {
                    Some((_, _, versions)) => {
                        // Nobody else writes there.
                        assert_eq!(version, *versions + 1, "{path} skipped a version");
                        *versions = version;
                    }
                    None => {
                        assert_eq!(version, 1, "{path} was there before it was written");
                        self.paths.push((tenant, path, 1));
                    }
                }
            }
            Fact::Account { tenant, id, .. } => self.accounts.push((tenant, id)),
            Fact::Issued { tenant, account, key, credential } => self.keys.push((tenant, account, key, credential)),
            Fact::Tenant { slug, .. } => self.slugs.push(slug),
            _ => {}
        }
    }
}
