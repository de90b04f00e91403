//! OpenBao's own server, as it comes: raft on this disk, one unseal key, a file audit device.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::disk::Keeps;
use super::side::{Side, expect_success, text};
use super::syncs;
use crate::failure::{Context, Failure, Outcome};
use crate::http::Client;
use crate::server::{Server, free_address};
use bailiwick_load::{Request, Tenant};

/// `bao server`: one node, raft on the same disk, no TLS, one unseal key, file audit device.
pub(crate) struct OpenBao {
    name: String,
    binary: PathBuf,
    home: PathBuf,
    address: SocketAddr,
    server: Option<Server>,
    root_token: String,
    unseal_key: String,
    /// Where its fsyncs are written down, if they are counted.
    trace: Option<PathBuf>,
}

impl OpenBao {
    /// Starts one with nothing in it.
    pub(crate) fn launch(binary: &Path, home: PathBuf, trace: Option<PathBuf>) -> Outcome<Self> {
        let data = home.join("raft");
        fs::create_dir_all(&data).context(data.display())?;
        Self::launch_on(binary, home, trace, "", json!({"raft": {"path": data, "node_id": "bench"}}))
    }

    /// As [`OpenBao::launch`], on this storage, which the name says.
    pub(crate) fn launch_on(
        binary: &Path,
        home: PathBuf,
        trace: Option<PathBuf>,
        on: &str,
        storage: Value,
    ) -> Outcome<Self> {
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
            trace,
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

    fn kill(&mut self) {
        self.server = None;
    }

    fn keeps(&self) -> Option<Keeps> {
        Some(Keeps { database: self.home.join("raft"), audit: Some(self.home.join("audit.log")) })
    }

    fn trace(&self) -> Option<&Path> {
        self.trace.as_deref()
    }

    fn start(&mut self) -> Outcome {
        let mut command = syncs::command(&self.binary, self.trace.as_deref());
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
