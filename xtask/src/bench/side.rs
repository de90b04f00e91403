//! The two servers behind one face, so that every measurement asks both for exactly the same thing.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::load::Request;
use crate::failure::{Context, Failure, Outcome};
use crate::http::Client;
use crate::server::{Dev, Server, free_address};

/// Secrets of each tenant that the reads and writes go around.
const SECRETS: usize = 5;

/// A tenant and the credential with which its load is sent.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    slug: String,
    credential: String,
}

impl Tenant {
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let pairs = [("X-Vault-Token", &self.credential), ("X-Vault-Namespace", &self.slug)];
        pairs.map(|(name, value)| (name.to_owned(), value.clone())).to_vec()
    }

    fn secret(&self, number: usize) -> String {
        format!("/v1/secret/data/app/{}-{number}", self.slug)
    }

    /// What is written: no value is the same in two tenants, so a wrong answer cannot pass for a right one.
    fn value(&self, number: usize) -> String {
        format!("{}-{number}-{}", self.slug, "x".repeat(220))
    }

    pub(crate) fn slug(&self) -> &str {
        &self.slug
    }

    /// Asks our own API about the tenant.
    pub(crate) fn native(&self, client: &mut Client, path: &str) -> Outcome<Value> {
        let request = Request::new("GET", format!("/api/v1/t/{}/{path}", self.slug));
        expect_success(client, &request, ("Authorization".to_owned(), format!("Bearer {}", self.credential)))
    }

    /// Reads one of its secrets.
    pub(crate) fn read(&self, number: usize) -> Request {
        let number = number % SECRETS;
        let mut request = Request::new("GET", self.secret(number)).must_hold(self.value(number));
        request.headers = self.headers();
        request
    }

    /// Writes a new version of one of its secrets.
    pub(crate) fn write(&self, number: usize) -> Request {
        let number = number % SECRETS;
        let body = json!({"data": {"value": self.value(number)}}).to_string();
        let mut request = Request::new("POST", self.secret(number)).body(body).must_hold("\"version\":");
        request.headers = self.headers();
        request
    }

    /// Lists a folder, as large as [`Tenant::fill`] made it.
    pub(crate) fn list(&self) -> Request {
        let mut request = Request::new("GET", "/v1/secret/metadata/many?list=true").must_hold("\"keys\":");
        request.headers = self.headers();
        request
    }

    /// Reads with a credential that is dead once [`Tenant::die`] was called.
    pub(crate) fn failed_login(&self) -> Request {
        let request = self.read(0);
        Request { must_hold: String::new(), ..request }.may_be(&[401, 403])
    }

    /// Writes so many secrets into one folder.
    pub(crate) fn fill(&self, address: SocketAddr, count: usize) -> Outcome {
        let mut client = Client::connect(address)?;
        for number in 0..count {
            let path = format!("/v1/secret/data/many/a-secret-with-a-name-of-some-length-{number}");
            self.ask(&mut client, Request::new("POST", path).body(r#"{"data":{"a":"b"}}"#))?;
        }
        Ok(())
    }

    /// Revokes its credential.
    pub(crate) fn die(&self, address: SocketAddr) -> Outcome {
        self.ask(&mut Client::connect(address)?, Request::new("POST", "/v1/auth/token/revoke-self"))
    }

    /// Calls with its credential, and fails unless the status says success.
    fn ask(&self, client: &mut Client, request: Request) -> Outcome {
        let request = request.header("X-Vault-Namespace", &self.slug);
        expect_success(client, &request, ("X-Vault-Token".to_owned(), self.credential.clone())).map(drop)
    }

    /// Writes all of its secrets once.
    fn seed(&self, client: &mut Client) -> Outcome {
        for number in 0..SECRETS {
            let request = self.write(number);
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

    /// Writes so many policies, each for a thing that nobody reads here.
    pub(crate) fn govern(&self, address: SocketAddr, count: usize) -> Outcome {
        const PER_DOCUMENT: usize = 50;
        let mut client = Client::connect(address)?;
        let statement = |number: usize| {
            format!(
                "permit (principal, action == Action::\"secret:reveal\", resource in Folder::\"secret/team-{number}\");\n"
            )
        };
        for from in (0..count).step_by(PER_DOCUMENT) {
            let text: String = (from..count.min(from + PER_DOCUMENT)).map(statement).collect();
            let body = json!({"name": format!("teams-from-{from}"), "text": text}).to_string();
            let request = Request::new("POST", format!("/api/v1/t/{}/policies", self.slug)).body(body);
            let credential = ("Authorization".to_owned(), format!("Bearer {}", self.credential));
            expect_success(&mut client, &request, credential)?;
        }
        Ok(())
    }

    /// Whether its first secret can be read: what "the server answers" means after a restart.
    fn is_served(&self, address: SocketAddr) -> bool {
        let request = self.read(0);
        let answer = Client::connect(address)
            .and_then(|mut client| client.call(&request.method, &request.path, &request.headers, ""));
        answer.is_ok_and(|(status, body)| status == 200 && body.to_string().contains(&request.must_hold))
    }
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
    /// What an operator's request carries.
    fn operator(&self) -> (String, String);
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
        tenant.seed(&mut client).context(slug)?;
        Ok(tenant)
    }

    /// Stops it, starts it, and says how long it took from start to the first answer with content.
    fn restart(&mut self, probe: &Tenant) -> Outcome<Duration> {
        self.stop()?;
        let began = Instant::now();
        self.start()?;
        while !probe.is_served(self.address()) {
            if began.elapsed() > Duration::from_secs(300) {
                return Err(Failure::new(format!("{} does not serve after a restart", self.name())));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(began.elapsed())
    }
}

/// Calls, and fails unless the status says success.
fn expect_success(client: &mut Client, request: &Request, operator: (String, String)) -> Outcome<Value> {
    let mut headers = request.headers.clone();
    headers.push(operator);
    let (status, body) = client.call(&request.method, &request.path, &headers, &request.body)?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    Err(Failure::new(format!("{} {}: {status} {body}", request.method, request.path)))
}

fn text(value: &Value, pointer: &str) -> Outcome<String> {
    value.pointer(pointer).and_then(Value::as_str).map(str::to_owned).context(format!("no `{pointer}` in the answer"))
}

/// Makes a tenant at the native API.
pub(crate) fn native_creation(prefix: &str, (name, value): (String, String)) -> Vec<Request> {
    let body = json!({"slug": format!("{prefix}-{{n}}"), "name": format!("Bench {prefix} {{n}}")}).to_string();
    // One request does all of it: the answer holds the tenant's first credential, and the mount exists.
    vec![Request::new("POST", "/api/v1/tenants").header(&name, value).body(body).must_hold("\"credential\"")]
}

/// The first credential of a tenant that is made at the native API.
pub(crate) fn native_credential(client: &mut Client, slug: &str, operator: (String, String)) -> Outcome<String> {
    let body = json!({"slug": slug, "name": slug}).to_string();
    let created = expect_success(client, &Request::new("POST", "/api/v1/tenants").body(body), operator)?;
    text(&created, "/admin/credential")
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

    fn operator(&self) -> (String, String) {
        ("Authorization".to_owned(), format!("Bearer {}", self.operator))
    }

    fn creation(&self, prefix: &str) -> Vec<Request> {
        native_creation(prefix, self.operator())
    }

    fn ceiling(&self) -> Request {
        Request::new("GET", "/healthz")
    }

    fn policy_change(&self, tenant: &Tenant) -> Option<Request> {
        let text = "forbid(principal, action == Action::\"secret:purge\", resource) when { context.door == \"{n}\" };";
        let request = Request::new("PUT", format!("/api/v1/t/{}/policies/flood", tenant.slug));
        let credential = format!("Bearer {}", tenant.credential);
        Some(request.header("Authorization", credential).body(json!({"text": text}).to_string()))
    }

    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String> {
        native_credential(client, slug, self.operator())
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

    fn operator(&self) -> (String, String) {
        ("X-Vault-Token".to_owned(), self.root_token.clone())
    }

    fn creation(&self, prefix: &str) -> Vec<Request> {
        let slug = format!("{prefix}-{{n}}");
        let (name, value) = self.operator();
        let namespace = Request::new("POST", format!("/v1/sys/namespaces/{slug}")).header(&name, value.clone());
        let mount = Request::new("POST", "/v1/sys/mounts/secret")
            .header(&name, value)
            .header("X-Vault-Namespace", slug)
            .body(json!({"type": "kv", "options": {"version": "2"}}).to_string());
        vec![namespace.must_hold("\"uuid\""), mount]
    }

    fn ceiling(&self) -> Request {
        Request::new("GET", "/v1/sys/health")
    }

    fn policy_change(&self, tenant: &Tenant) -> Option<Request> {
        let policy = r#"path "secret/{n}/*" { capabilities = ["read"] }"#;
        let mut request = Request::new("PUT", "/v1/sys/policies/acl/flood").body(json!({"policy": policy}).to_string());
        request.headers = tenant.headers();
        Some(request)
    }

    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String> {
        let policy = json!({
            "policy": "path \"secret/*\" { capabilities = [\"create\", \"read\", \"update\", \"delete\", \"list\"] } \
                       path \"sys/policies/acl/flood\" { capabilities = [\"create\", \"update\"] }",
        });
        let inside = |method: &str, path: &str, body: Value| {
            Request::new(method, path).header("X-Vault-Namespace", slug).body(body.to_string())
        };
        let namespace = Request::new("POST", format!("/v1/sys/namespaces/{slug}"));
        expect_success(client, &namespace, self.operator())?;
        let mount = inside("POST", "/v1/sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}}));
        expect_success(client, &mount, self.operator())?;
        expect_success(client, &inside("PUT", "/v1/sys/policies/acl/app", policy), self.operator())?;
        let token = inside("POST", "/v1/auth/token/create", json!({"policies": ["app"], "ttl": "24h"}));
        text(&expect_success(client, &token, self.operator())?, "/auth/client_token")
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
