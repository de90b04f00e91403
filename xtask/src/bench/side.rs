//! The two servers behind one face, so that every measurement asks both for exactly the same thing.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::failure::{Context, Failure, Outcome};
use crate::http::Client;
use crate::server::{Dev, Server, free_address};
use bailiwick_load::{Request, Tenant};

/// A folder that [`fill`] makes.
const FOLDER: &str = "many";

/// Lists the folder, as large as [`fill`] made it.
pub(crate) fn list(tenant: &Tenant) -> Request {
    tenant.asks("GET", format!("/v1/secret/metadata/{FOLDER}?list=true")).must_hold("\"keys\":")
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
    /// Makes one tenant with a credential of its own.
    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String>;
    /// Ends the process in an orderly way.
    fn stop(&mut self) -> Outcome;
    /// Starts the process on the data that is there, and makes it serve.
    fn start(&mut self) -> Outcome;

    /// Makes one tenant with a credential and secrets.
    fn add_tenant(&self, slug: &str) -> Outcome<Tenant> {
        let mut client = Client::connect(self.address())?;
        let tenant = Tenant { slug: slug.to_owned(), credential: self.credential(&mut client, slug)? };
        seed(&tenant, &mut client).context(slug)?;
        Ok(tenant)
    }

    /// Stops it, starts it, and says how long it took from start to the first answer with content.
    fn restart(&mut self, probe: &Tenant) -> Outcome<Duration> {
        self.stop()?;
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
}

/// Calls, and fails unless the status says success.
pub(crate) fn expect_success(client: &mut Client, request: &Request) -> Outcome<Value> {
    let (status, body) = client.call(&request.method, &request.path, &request.headers, &request.body)?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    Err(Failure::new(format!("{} {}: {status} {body}", request.method, request.path)))
}

fn text(value: &Value, pointer: &str) -> Outcome<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned).context(format!("no `{pointer}` in the answer"))
}

/// The first credential of a tenant that is made at the native API.
pub(crate) fn native_credential(client: &mut Client, slug: &str, operator: &str) -> Outcome<String> {
    let body = json!({"slug": slug, "name": slug}).to_string();
    let request = Request::new("POST", "/api/v1/tenants").header("Authorization", format!("Bearer {operator}"));
    text(&expect_success(client, &request.body(body))?, "/admin/credential")
}

/// `bailiwick dev`, built with optimisation.
pub(crate) struct Bailiwick {
    binary: PathBuf,
    home: PathBuf,
    address: SocketAddr,
    dev: Option<Dev>,
    operator: String,
}

impl Bailiwick {
    /// Starts one with nothing in it but the sample tenants.
    pub(crate) fn launch(binary: &Path, home: PathBuf) -> Outcome<Self> {
        let (binary, address) = (binary.to_path_buf(), free_address()?);
        let mut side = Self { binary, home, address, dev: None, operator: String::new() };
        side.start()?;
        side.operator = side.dev.as_ref().context("not started")?.operator_credential()?;
        Ok(side)
    }
}

impl Side for Bailiwick {
    fn name(&self) -> &str {
        "Bailiwick"
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

    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String> {
        native_credential(client, slug, &self.operator)
    }

    fn stop(&mut self) -> Outcome {
        self.dev.take().map_or(Ok(()), Dev::stop)
    }

    fn start(&mut self) -> Outcome {
        self.dev = Some(Dev::start(&self.binary, &self.home, self.address)?);
        Ok(())
    }
}

/// `bao server`: one node, raft on the same disk, no TLS, one unseal key, file audit device.
pub(crate) struct OpenBao {
    name: String,
    binary: PathBuf,
    home: PathBuf,
    address: SocketAddr,
    server: Option<Server>,
    root_token: String,
    unseal_key: String,
}

impl OpenBao {
    /// Starts one with nothing in it.
    pub(crate) fn launch(binary: &Path, home: PathBuf) -> Outcome<Self> {
        let data = home.join("raft");
        fs::create_dir_all(&data).context(data.display())?;
        Self::launch_on(binary, home, "", json!({"raft": {"path": data, "node_id": "bench"}}))
    }

    /// As [`OpenBao::launch`], on this storage, which the name says.
    pub(crate) fn launch_on(binary: &Path, home: PathBuf, on: &str, storage: Value) -> Outcome<Self> {
        fs::create_dir_all(&home).context(home.display())?;
        let address = free_address()?;
        // Since 2.5 an audit device is declared here and nowhere else: the API refuses to make one.
        let config = json!({
            "storage": storage,
            "listener": [{"tcp": {"address": address.to_string(), "tls_disable": true}}],
            "api_addr": format!("http://{address}"),
            "cluster_addr": format!("http://{}", free_address()?),
            "log_level": "warn",
            "audit": [{"type": "file", "path": "file", "options": {"file_path": home.join("audit.log")}}],
        });
        fs::write(home.join("config.json"), config.to_string()).context(home.display())?;
        let version = crate::shell::capture(Command::new(binary).arg("version"))?;
        let version = version.split_whitespace().nth(1).unwrap_or_default().trim_start_matches('v').to_owned();
        let mut side = Self {
            name: format!("OpenBao {version}{on}"),
            binary: binary.to_path_buf(),
            home,
            address,
            server: None,
            root_token: String::new(),
            unseal_key: String::new(),
        };
        side.start()?;
        Ok(side)
    }

    fn as_root(&self, method: &str, path: &str) -> Request {
        Request::new(method, path).header("X-Vault-Token", &self.root_token)
    }

    fn unseal(&mut self) -> Outcome {
        let mut client = Client::connect(self.address)?;
        let mut put = |path: &str, body: Value| -> Outcome<Value> {
            let (status, answer) = client.call("PUT", path, &[], &body.to_string())?;
            if status == 200 { Ok(answer) } else { Err(Failure::new(format!("{path}: {status} {answer}"))) }
        };
        if self.unseal_key.is_empty() {
            let made = put("/v1/sys/init", json!({"secret_shares": 1, "secret_threshold": 1}))?;
            self.root_token = text(&made, "/root_token")?;
            self.unseal_key = text(&made, "/keys_base64/0")?;
        }
        put("/v1/sys/unseal", json!({"key": self.unseal_key})).map(drop)
    }
}

impl Side for OpenBao {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn pid(&self) -> Outcome<u32> {
        self.server.as_ref().map(Server::pid).context("not started")
    }

    fn creation(&self, prefix: &str) -> Vec<Request> {
        let slug = format!("{prefix}-{{n}}");
        let namespace = self.as_root("POST", &format!("/v1/sys/namespaces/{slug}"));
        let mount = self
            .as_root("POST", "/v1/sys/mounts/secret")
            .header("X-Vault-Namespace", slug)
            .body(json!({"type": "kv", "options": {"version": "2"}}).to_string());
        vec![namespace.must_hold("\"uuid\""), mount]
    }

    fn ceiling(&self) -> Request {
        Request::new("GET", "/v1/sys/health")
    }

    fn policy_change(&self, tenant: &Tenant) -> Option<Request> {
        let policy = r#"path "secret/{n}/*" { capabilities = ["read"] }"#;
        Some(tenant.asks("PUT", "/v1/sys/policies/acl/flood").body(json!({"policy": policy}).to_string()))
    }

    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String> {
        let policy = json!({
            "policy": "path \"secret/*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\"] } \
                       path \"sys/policies/acl/flood\" { capabilities = [\"create\", \"update\"] }",
        });
        let inside = |method: &str, path: &str, body: Value| {
            self.as_root(method, path).header("X-Vault-Namespace", slug).body(body.to_string())
        };
        expect_success(client, &self.as_root("POST", &format!("/v1/sys/namespaces/{slug}")))?;
        let mount = inside("POST", "/v1/sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}}));
        expect_success(client, &mount)?;
        expect_success(client, &inside("PUT", "/v1/sys/policies/acl/app", policy))?;
        let token = inside("POST", "/v1/auth/token/create", json!({"policies": ["app"], "ttl": "24h"}));
        text(&expect_success(client, &token)?, "/auth/client_token")
    }

    fn stop(&mut self) -> Outcome {
        self.server.take().map_or(Ok(()), Server::stop)
    }

    fn start(&mut self) -> Outcome {
        let mut command = Command::new(&self.binary);
        command.arg("server").arg("-config").arg(self.home.join("config.json"));
        let mut server = Server::start(&mut command, &self.home.join("server.log"))?;
        let address = self.address;
        let status_of = |path: &str, headers: &[(String, String)]| {
            Client::connect(address).and_then(|mut client| client.call("GET", path, headers, "")).map(|answer| answer.0)
        };
        server.wait_until(|| status_of("/v1/sys/seal-status", &[]).is_ok_and(|status| status == 200))?;
        self.unseal()?;
        // Unsealed is not yet active: only the active node answers this with 200.
        server.wait_until(|| status_of("/v1/sys/health", &[]).is_ok_and(|status| status == 200))?;
        self.server = Some(server);
        Ok(())
    }
}
