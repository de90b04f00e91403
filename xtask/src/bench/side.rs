//! The two servers behind one face, so that every measurement asks both for exactly the same thing.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::disk::Keeps;
use super::syncs;
use crate::failure::{Context, Failure, Outcome};
use crate::http::Client;
use crate::server::{Dev, free_address};
use bailiwick_load::{Request, Tenant};

/// A folder that [`fill`] makes.
const FOLDER: &str = "many";

/// Lists the folder, as large as [`fill`] made it.
pub(crate) fn list(tenant: &Tenant) -> Request {
    tenant.asks("GET", format!("/v1/secret/metadata/{FOLDER}?list=true")).must_hold("\"keys\":")
}

/// How long a large value is. One on each connection of a flood is less than what bodies of one tenant may fill.
const LARGE: usize = 48 << 10;

/// Writes large secrets.
pub(crate) fn large_writes(tenant: &Tenant) -> Vec<Request> {
    let body = serde_json::json!({"data": {"value": "x".repeat(LARGE)}}).to_string();
    let write = |number| tenant.asks("POST", format!("/v1/secret/data/large-{number}")).body(body.as_str());
    (0..5).map(|number| write(number).must_hold("\"version\":")).collect()
}

/// Reads with a credential that is dead once [`revoke`] was called.
pub(crate) fn failed_login(tenant: &Tenant) -> Request {
    Request { must_hold: String::new(), ..tenant.read(0) }.may_be(&[401, 403])
}

/// Writes so many secrets into one folder.
pub(crate) fn fill(tenant: &Tenant, address: SocketAddr, count: usize) -> Outcome {
    let mut client = Client::connect(address)?;
    for number in 0..count {
        let path = format!("/v1/secret/data/{FOLDER}/a-secret-with-a-name-of-some-length-{number}");
        expect_success(&mut client, &tenant.asks("POST", path).body(r#"{"data":{"a":"b"}}"#))?;
    }
    Ok(())
}

/// Revokes the tenant's credential.
pub(crate) fn revoke(tenant: &Tenant, address: SocketAddr) -> Outcome {
    expect_success(&mut Client::connect(address)?, &tenant.asks("POST", "/v1/auth/token/revoke-self")).map(drop)
}

/// Writes so many policies.
pub(crate) fn govern(tenant: &Tenant, address: SocketAddr, count: usize) -> Outcome {
    let mut client = Client::connect(address)?;
    tenant.policies(count).iter().try_for_each(|policy| expect_success(&mut client, policy).map(drop))
}

/// Writes all of the tenant's secrets once.
fn seed(tenant: &Tenant, client: &mut Client) -> Outcome {
    for request in tenant.writes() {
        let began = Instant::now();
        loop {
            let (status, body) = client.call(&request.method, &request.path, &request.headers, &request.body)?;
            if (200..300).contains(&status) {
                break;
            }
            // OpenBao prepares a new KV v2 mount in the background and refuses writes until that is done.
            if !body.to_string().contains("Upgrading from non-versioned") || began.elapsed().as_secs() > 30 {
                return Err(Failure::new(format!("{}: {status} {body}", request.path)));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// Whether the tenant's first secret can be read: what "the server answers" means after a restart.
fn is_served(tenant: &Tenant, address: SocketAddr) -> bool {
    let request = tenant.read(0);
    let answer = Client::connect(address)
        .and_then(|mut client| client.call(&request.method, &request.path, &request.headers, ""));
    answer.is_ok_and(|(status, body)| status == 200 && body.to_string().contains(&request.must_hold))
}

/// A server under measurement.
pub(crate) trait Side {
    /// The name for the report.
    fn name(&self) -> &str;
    /// Where it listens.
    fn address(&self) -> SocketAddr;
    /// Where it listens, everywhere.
    fn addresses(&self) -> Vec<SocketAddr> {
        vec![self.address()]
    }
    /// Its process.
    fn pid(&self) -> Outcome<u32>;
    /// All of its processes.
    fn pids(&self) -> Outcome<Vec<u32>> {
        Ok(vec![self.pid()?])
    }
    /// Makes a tenant with the name and its number that can store secrets: the requests of one unit of load.
    fn creation(&self, prefix: &str) -> Vec<Request>;
    /// The cheapest request that it answers.
    fn ceiling(&self) -> Request;
    /// Replaces one of the tenant's policies, by another one each time.
    fn policy_change(&self, _tenant: &Tenant) -> Option<Request> {
        None
    }
    /// Proposes a change of the tenant's policies, another one each time, that is checked and not made.
    fn dry_run(&self, _tenant: &Tenant) -> Option<Request> {
        None
    }
    /// Lets one tenant send as much as the server can answer: more than a tenant usually may.
    fn widen(&self, _tenant: &Tenant) -> Outcome {
        Ok(())
    }
    /// Asks for proofs about the tenant's ledger.
    fn proofs(&self, _tenant: &Tenant) -> Vec<Request> {
        Vec::new()
    }
    /// Makes one tenant with a credential of its own.
    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String>;
    /// Ends the process in an orderly way.
    fn stop(&mut self) -> Outcome;
    /// Ends the process as `kill -9` does.
    fn kill(&mut self);
    /// Where everything is that it keeps, if that is on this disk.
    fn keeps(&self) -> Option<Keeps> {
        None
    }
    /// Where its fsyncs are written down, if they are counted.
    fn trace(&self) -> Option<&Path> {
        None
    }
    /// Starts the process on the data that is there, and makes it serve.
    fn start(&mut self) -> Outcome;

    /// Makes one tenant with a credential and secrets.
    fn add_tenant(&self, slug: &str) -> Outcome<Tenant> {
        let mut client = Client::connect(self.address())?;
        let tenant = Tenant { slug: slug.to_owned(), credential: self.credential(&mut client, slug)? };
        seed(&tenant, &mut client).context(slug)?;
        Ok(tenant)
    }

    /// Starts it, and says how long it took from start to the first answer with content.
    fn awaken(&mut self, probe: &Tenant) -> Outcome<Duration> {
        let began = Instant::now();
        self.start()?;
        while !is_served(probe, self.address()) {
            if began.elapsed() > Duration::from_secs(300) {
                return Err(Failure::new(format!("{} does not serve after a restart", self.name())));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(began.elapsed())
    }

    /// Stops it and awakens it.
    fn restart(&mut self, probe: &Tenant) -> Outcome<Duration> {
        self.stop()?;
        self.awaken(probe)
    }
}

/// Calls, and fails unless the status says success.
pub(crate) fn expect_success(client: &mut Client, request: &Request) -> Outcome<Value> {
    let (status, body) = client.call(&request.method, &request.path, &request.headers, &request.body)?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    Err(Failure::new(format!("{} {}: {status} {body}", request.method, request.path)))
}

pub(super) fn text(value: &Value, pointer: &str) -> Outcome<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned).context(format!("no `{pointer}` in the answer"))
}

/// The first credential of a tenant that is made at the native API.
pub(crate) fn native_credential(client: &mut Client, slug: &str, operator: &str) -> Outcome<String> {
    let body = json!({"slug": slug, "name": slug}).to_string();
    let request = Request::new("POST", "/api/v1/tenants").header("Authorization", format!("Bearer {operator}"));
    text(&expect_success(client, &request.body(body))?, "/admin/credential")
}

/// The name of the side that is ours, alone on the embedded store.
pub(super) const OURS: &str = "Bailiwick";

/// `bailiwick dev`, built with optimisation.
pub(crate) struct Bailiwick {
    binary: PathBuf,
    home: PathBuf,
    address: SocketAddr,
    dev: Option<Dev>,
    operator: String,
    /// Where its fsyncs are written down, if they are counted.
    trace: Option<PathBuf>,
}

impl Bailiwick {
    /// Starts one with nothing in it but the sample tenants.
    pub(crate) fn launch(binary: &Path, home: PathBuf, trace: Option<PathBuf>) -> Outcome<Self> {
        let (binary, address) = (binary.to_path_buf(), free_address()?);
        let mut side = Self { binary, home, address, dev: None, operator: String::new(), trace };
        side.start()?;
        side.operator = side.dev.as_ref().context("not started")?.operator_credential()?;
        Ok(side)
    }
}

impl Side for Bailiwick {
    fn name(&self) -> &str {
        OURS
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> Outcome<u32> {
        self.dev.as_ref().map(Dev::pid).context("not started")
    }

    fn creation(&self, prefix: &str) -> Vec<Request> {
        vec![bailiwick_load::creation(prefix, &self.operator)]
    }

    fn ceiling(&self) -> Request {
        Request::new("GET", "/healthz")
    }

    fn policy_change(&self, tenant: &Tenant) -> Option<Request> {
        let text = "forbid(principal, action == Action::\"secret:purge\", resource) when { context.door == \"{n}\" };";
        Some(tenant.native("PUT", "/policies/flood").body(json!({"text": text}).to_string()))
    }

    fn widen(&self, tenant: &Tenant) -> Outcome {
        let quotas = Request::new("PUT", format!("/api/v1/tenants/{}/quotas", tenant.slug))
            .header("Authorization", format!("Bearer {}", self.operator))
            .body(json!({"quotas": {"requests_per_second": 1_000_000}}).to_string());
        expect_success(&mut Client::connect(self.address)?, &quotas).map(drop)
    }

    fn dry_run(&self, tenant: &Tenant) -> Option<Request> {
        let text = "permit (principal, action == Action::\"secret:reveal\", resource in Folder::\"secret/team-{n}\");";
        let body = json!({"text": text, "dry_run": true}).to_string();
        Some(tenant.native("PUT", "/policies/proposed").body(body))
    }

    fn proofs(&self, tenant: &Tenant) -> Vec<Request> {
        // Its ledger has more entries than that: one for each secret of the folder.
        let inclusion = (0..40).map(|at| format!("/ledger/inclusion?index={}", at * 100));
        let consistency = (1..10).map(|at| format!("/ledger/consistency?old={}", at * 400));
        let proof = |path: String| tenant.native("GET", &path).must_hold("\"proof\"");
        inclusion.chain(consistency).map(proof).collect()
    }

    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String> {
        native_credential(client, slug, &self.operator)
    }

    fn stop(&mut self) -> Outcome {
        self.dev.take().map_or(Ok(()), Dev::stop)
    }

    fn kill(&mut self) {
        self.dev = None;
    }

    fn keeps(&self) -> Option<Keeps> {
        Some(Keeps { database: self.home.join("data"), audit: None })
    }

    fn trace(&self) -> Option<&Path> {
        self.trace.as_deref()
    }

    fn start(&mut self) -> Outcome {
        let command = syncs::command(&self.binary, self.trace.as_deref());
        self.dev = Some(Dev::start_by(command, &self.home, self.address)?);
        Ok(())
    }
}
