//! An installation in this process on a real SQLite file, asked through its doors.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_app::{App, AppConfig};
use bailiwick_http::{HttpConfig, Server};
use bailiwick_seal::SystemRandom;
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_testkit::TestClock;
use bailiwick_types::Timestamp;
use bailiwick_types::api::identity::{Account, IssuedKey, Member};
use bailiwick_types::api::platform::{CreatedTenant, Initialize};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use super::tapped::Tapped;
use super::{Ask, Told};

/// An installation with one operator, who may do everything on the platform.
pub(crate) struct House {
    /// What the installation stands on. Handed from one `House` to the next at a restart.
    pub(crate) ground: Arc<Ground>,
    pub(crate) app: Arc<App>,
    pub(crate) server: Arc<Server>,
    pub(crate) store: Arc<Tapped>,
}

/// What outlives a restart.
pub(crate) struct Ground {
    directory: tempfile::TempDir,
    pub(crate) clock: Arc<TestClock>,
    operator: OnceLock<String>,
    tenants: AtomicU64,
}

/// A tenant with its first owner.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) owner: String,
    pub(crate) owner_id: String,
}

/// A principal of a tenant (or of the platform) with a credential.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    pub(crate) id: String,
    pub(crate) credential: String,
    pub(crate) credential_id: String,
}

impl Tenant {
    /// A path of this tenant's plane.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("/api/v1/t/{}{path}", self.slug)
    }
}

impl Ground {
    fn new() -> Self {
        let start = Timestamp::from_unix_ms(1_800_000_000_000);
        Self {
            directory: tempfile::tempdir().unwrap(),
            clock: Arc::new(TestClock::at(start)),
            operator: OnceLock::new(),
            tenants: AtomicU64::new(0),
        }
    }

    /// Another installation that is the same so far.
    pub(crate) fn copy(&self) -> Arc<Self> {
        let copy = Self::new();
        copy.clock.set(bailiwick_types::Clock::now(self.clock.as_ref()));
        copy.set_operator(self.operator().to_owned());
        for (from, to) in [(self.database(), copy.database()), (self.key_file(), copy.key_file())] {
            std::fs::copy(from, to).unwrap();
        }
        Arc::new(copy)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("bailiwick.db")
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.directory.path().join("root.key")
    }

    /// The first operator's credential.
    pub(crate) fn operator(&self) -> &str {
        self.operator.get().unwrap()
    }

    pub(crate) fn set_operator(&self, credential: String) {
        self.operator.set(credential).unwrap();
    }
}

impl House {
    /// Opens what is on the ground; sealed, whatever holds its root key.
    pub(crate) fn open(ground: Arc<Ground>) -> Self {
        Self::open_with(ground, Options::default())
    }

    /// As [`House::open`], with settings of the store's own.
    pub(crate) fn open_with(ground: Arc<Ground>, options: Options) -> Self {
        let store = SqliteStore::open(&ground.database(), options).unwrap();
        let store = Tapped::over(store);
        let config = AppConfig { delete_hold_min: Duration::from_secs(3_600), ..AppConfig::default() };
        let app = App::new(Arc::clone(&store) as _, Arc::clone(&ground.clock) as _, Arc::new(SystemRandom), config);
        let http = HttpConfig { root_key_file: Some(ground.key_file()), ..HttpConfig::default() };
        let server = Server::new(Arc::clone(&app), http).unwrap();
        Self { ground, app, server, store }
    }

    /// An installation that is not initialised.
    pub(crate) fn empty() -> Self {
        Self::open(Arc::new(Ground::new()))
    }

    /// An installation with its root key in a file.
    pub(crate) async fn new() -> Self {
        let request = Initialize { provider: "file".to_owned(), shares: None, threshold: None, passphrase: None };
        let house = Self::empty();
        let key_file = house.ground.key_file();
        let made = house.app.initialize(&request, Some(&key_file)).await.unwrap();
        house.ground.set_operator(made.operator.credential);
        house
    }

    /// Stops the server in good order; the file is closed when this returns.
    pub(crate) fn stop(self) -> Arc<Ground> {
        let Self { ground, app, server, store } = self;
        drop(server);
        assert_eq!(Arc::strong_count(&app), 1, "something still holds the application");
        drop(app);
        assert_eq!(Arc::strong_count(&store), 1, "something still holds the store");
        drop(store);
        ground
    }

    /// Opens and unseals with the key file.
    pub(crate) async fn start(ground: Arc<Ground>) -> Self {
        let house = Self::open(ground);
        house.unseal_with_file().await;
        house
    }

    pub(crate) async fn unseal_with_file(&self) {
        self.app.unseal_with_file(&self.ground.key_file()).await.unwrap();
    }

    pub(crate) fn advance(&self, span: Duration) {
        self.ground.clock.advance(span);
    }

    /// Asks a door.
    pub(crate) async fn ask(&self, ask: Ask) -> Told {
        let (parts, body) = self.begin(ask).await.into_parts();
        let body = match body.collect().await {
            Ok(collected) => collected.to_bytes().to_vec(),
            Err(error) => panic!("the answer was broken off: {error}"),
        };
        told(&parts, body)
    }

    /// Asks a door for an answer that is then taken piece by piece.
    pub(crate) async fn begin(&self, ask: Ask) -> http::Response<bailiwick_http::Body> {
        let mut request = http::Request::builder().method(ask.method).uri(&ask.path);
        if let Some(credential) = &ask.credential {
            request = request.header("authorization", format!("Bearer {credential}"));
        }
        if !ask.body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(ask.body))).unwrap();
        self.server.handle(request, Some(([127, 0, 0, 1], 40_000).into())).await
    }

    // --- who there is ------------------------------------------------------------------------------------------------

    /// A new tenant, with a slug that says what it is for.
    pub(crate) async fn tenant(&self, what: &str) -> Tenant {
        let slug = format!("{what}-{}", self.ground.tenants.fetch_add(1, Ordering::Relaxed));
        self.tenant_named(&slug).await
    }

    pub(crate) async fn tenant_named(&self, slug: &str) -> Tenant {
        let ask = Ask::post("/api/v1/tenants").by(self.ground.operator()).json(json!({ "slug": slug }));
        let made: CreatedTenant = self.ask(ask).await.json();
        Tenant {
            id: made.tenant.id.to_string(),
            slug: slug.to_owned(),
            owner: made.admin.credential,
            owner_id: made.admin.member.to_string(),
        }
    }

    /// A service account with a role on the whole tenant (none if empty) and a key.
    pub(crate) async fn account(&self, tenant: &Tenant, role: &str) -> Holder {
        let ask = Ask::post(tenant.at("/accounts")).json(json!({ "name": "machine", "owner": tenant.owner_id }));
        let account: Account = self.ask(ask.by(&tenant.owner)).await.json();
        let id = account.id.to_string();
        if !role.is_empty() {
            self.bind(tenant, &id, role).await;
        }
        let ask = Ask::post(tenant.at(&format!("/accounts/{id}/keys"))).by(&tenant.owner).json(json!({}));
        holder(id, self.ask(ask).await.json())
    }

    /// Gives a role on the whole tenant; the binding's id.
    pub(crate) async fn bind(&self, tenant: &Tenant, principal: &str, role: &str) -> String {
        let ask = Ask::post(tenant.at("/bindings")).by(&tenant.owner);
        let told = self.ask(ask.json(json!({ "principal": principal, "role": role }))).await.ok();
        text(&told.value(), "id")
    }

    /// A member with a role and a credential.
    pub(crate) async fn member(&self, tenant: &Tenant, role: &str) -> Holder {
        let ask = Ask::post(tenant.at("/members")).by(&tenant.owner);
        let member: Member = self.ask(ask.json(json!({ "name": "member", "role": role }))).await.json();
        let id = member.id.to_string();
        let ask = Ask::post(tenant.at(&format!("/members/{id}/credentials"))).by(&tenant.owner).json(json!({}));
        holder(id, self.ask(ask).await.json())
    }

    /// Another operator.
    pub(crate) async fn operator(&self, role: &str) -> Holder {
        let ask = Ask::post("/api/v1/operators").by(self.ground.operator());
        let told = self.ask(ask.json(json!({ "name": "second", "role": role }))).await.ok();
        let id = text(&told.value(), "id");
        let ask = Ask::post(format!("/api/v1/operators/{id}/credentials")).by(self.ground.operator()).json(json!({}));
        holder(id, self.ask(ask).await.json())
    }

    /// Writes a secret as the tenant's owner; its version.
    pub(crate) async fn write(&self, tenant: &Tenant, path: &str, value: &str) -> u64 {
        let ask = Ask::put(tenant.at(&format!("/secrets/secret/{path}"))).by(&tenant.owner);
        let told = self.ask(ask.json(json!({ "data": { "value": value } }))).await.ok();
        told.value().get("version").and_then(Value::as_u64).unwrap()
    }
}

fn holder(id: String, issued: IssuedKey) -> Holder {
    Holder { id, credential: issued.credential, credential_id: issued.key.id.to_string() }
}

/// A member of an object that is text.
#[track_caller]
pub(crate) fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("no `{name}` in {value}")).to_owned()
}

pub(crate) fn told(parts: &http::response::Parts, body: Vec<u8>) -> Told {
    let headers = parts.headers.iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
    Told { status: parts.status.as_u16(), headers: headers.collect(), body }
}
