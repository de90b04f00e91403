//! Keys come, change and go while the server runs, and nobody notices but those who should.
//!
//! - `holders`: the root key in shares, behind a passphrase, in a file; each from the first start to the next.
//! - `sealed`: what a sealed installation, and a sealed tenant, answer at every door; and that others do not notice.
//! - `rotation`: every key is changed under load, and everything stays readable, also after a restart.
//! - `deletion`: a tenant is held, saved, shredded and certified, and its names are never used again.

mod deletion;
mod holders;
mod rotation;
mod sealed;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::harness::desk::Desk;
use crate::harness::process::{Running, Start};
use crate::harness::{Ask, Told};

/// `bailiwick serve` with a data directory that stays when the server is started again.
struct Serving {
    desk: Desk,
    config: PathBuf,
    server: Running,
}

impl Serving {
    /// With a `[root_key]` section of these lines.
    fn start(root_key: &str) -> Self {
        let desk = Desk::new();
        let text = format!(
            "listen = \"127.0.0.1:0\"\ndata = \"data\"\n[root_key]\n{root_key}\n[tenants]\ndelete_hold_min = \"0s\"\n"
        );
        let config = desk.file("bailiwick.toml", text);
        let server = Start::serve(&config).run();
        Self { desk, config, server }
    }

    fn stop(&mut self) {
        let (status, _) = self.server.terminate();
        assert!(status.success(), "{status}");
    }

    fn restart(&mut self) {
        self.stop();
        self.server = Start::serve(&self.config).run();
    }

    fn ask(&self, ask: &Ask) -> Told {
        self.server.ask(ask)
    }

    fn init(&self, body: Value) -> Told {
        self.ask(&Ask::post("/api/v1/init").json(body))
    }

    fn unseal(&self, key: &str) -> Told {
        self.ask(&Ask::post("/api/v1/unseal").json(json!({ "key": key })))
    }

    /// Sealed or not, and how many shares were given.
    fn status(&self) -> (bool, u64) {
        progress(&self.ask(&Ask::get("/api/v1/seal-status")))
    }

    /// What a sealed server says to whoever comes with a good credential.
    #[track_caller]
    fn is_sealed_to(&self, operator: &str) {
        let health = Ask::get("/api/v1/platform/health").by(operator);
        self.ask(&health).refused(503, "sealed");
        let vault = self.ask(&Ask::get("/v1/secret/data/app").header("x-vault-token", operator));
        assert_eq!((vault.status, vault.value()), (503, json!({ "errors": ["Vault is sealed"] })));
        assert_eq!(self.ask(&Ask::get("/v1/sys/health")).status, 503);
        let ready = self.ask(&Ask::get("/readyz"));
        assert_eq!((ready.status, ready.text().as_str()), (503, "sealed\n"));
        assert_eq!(self.ask(&Ask::get("/healthz")).status, 200);
    }

    fn is_open_to(&self, operator: &str) {
        self.ask(&Ask::get("/api/v1/platform/health").by(operator)).ok();
        assert_eq!(self.ask(&Ask::get("/readyz")).status, 200);
    }
}

#[track_caller]
fn progress(told: &Told) -> (bool, u64) {
    assert!(told.is_ok(), "{}", told.text());
    let value = told.value();
    (value["is_sealed"].as_bool().unwrap(), value["progress"].as_u64().unwrap())
}

/// The shares in an answer.
fn shares(told: &Value) -> Vec<String> {
    told["shares"].as_array().unwrap().iter().map(|share| share.as_str().unwrap().to_owned()).collect()
}

/// The first operator's credential.
fn operator(told: &Value) -> String {
    told["operator"]["credential"].as_str().unwrap().to_owned()
}
