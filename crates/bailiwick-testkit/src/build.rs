//! How the template of all worlds is made: once in a process, through the doors.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use bailiwick_types::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{World, WorldOptions};
use bailiwick_probe::catalogue::ANONYMOUS;
use bailiwick_probe::holdings::{Account, Key, Platform, Principal, Tenant, names};

/// A finished installation, to be copied.
pub(crate) struct Template {
    directory: TempDir,
    pub(crate) now: Timestamp,
    pub(crate) acme: Tenant,
    pub(crate) globex: Tenant,
    pub(crate) platform: Platform,
}

impl Template {
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// When the template was made: 2026-01-01T00:00:00Z.
const BEGINNING_MS: i64 = 1_767_225_600_000;
/// By how much the key that has expired has done so.
const OLDER_THAN_AN_HOUR: Duration = Duration::from_secs(2 * 3_600);

pub(crate) fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(build)
}

fn build() -> Template {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // The seed is not that of any world: a world's first request must not draw what the template's first one drew.
    let options = WorldOptions { seed: "template".to_owned(), ..WorldOptions::default() };
    let mut world = World::unopened(directory, options, Timestamp::from_unix_ms(BEGINNING_MS));
    world.start();
    let made = world.send(ANONYMOUS, "POST", "/api/v1/init", &json!({ "provider": "file" })).expect(200);
    let operator = &made["operator"];
    let admin = Principal {
        id: text(&operator["id"]),
        key: Key { id: String::new(), credential: text(&operator["credential"]) },
    };
    let platform = with_platform(&world, admin);
    let acme = with_tenant(&world, &platform, "acme");
    let globex = with_tenant(&world, &platform, "globex");
    world.advance(OLDER_THAN_AN_HOUR);
    let now = bailiwick_types::Clock::now(world.clock.as_ref());
    Template { now, acme, globex, platform, directory: world.into_directory() }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

fn issued(answer: &Value) -> Key {
    Key { id: text(&answer["key"]["id"]), credential: text(&answer["credential"]) }
}

fn with_platform(world: &World, mut admin: Principal) -> Platform {
    let base = "/api/v1/operators";
    let credentials = world.get(&admin, &format!("{base}/{}/credentials", admin.id)).expect(200);
    admin.key.id = text(&credentials["items"][0]["id"]);
    let viewer = json!({ "name": "viewer", "role": "operator-viewer" });
    let id = text(&world.send(&admin, "POST", base, &viewer).expect(201)["id"]);
    let key = world.send(&admin, "POST", &format!("{base}/{id}/credentials"), &Value::Null).expect(201);
    let guardrail = json!({
        "name": names::GUARDRAIL,
        "text": r#"forbid(principal, action == Action::"secret:reveal", resource)
                   when { resource.hasTag("embargo") && resource.getTag("embargo") == "yes" };"#,
    });
    world.send(&admin, "POST", "/api/v1/guardrails", &guardrail).expect(201);
    let invariant = json!({ "name": names::PLATFORM_INVARIANT, "text": guardrail["text"] });
    world.send(&admin, "POST", "/api/v1/invariants", &invariant).expect(201);
    Platform { admin, viewer: Principal { id, key: issued(&key) } }
}

/// Makes a tenant and fills it. Every call makes the same things.
fn with_tenant(world: &World, platform: &Platform, slug: &str) -> Tenant {
    let created = world.send(&platform.admin, "POST", "/api/v1/tenants", &json!({ "slug": slug })).expect(201);
    let mut tenant = Tenant {
        slug: slug.to_owned(),
        id: text(&created["tenant"]["id"]),
        only: format!("only-{slug}"),
        ..Tenant::default()
    };
    tenant.owner.id = text(&created["admin"]["member"]);
    tenant.owner.key.credential = text(&created["admin"]["credential"]);
    let builder = Builder { world, owner: tenant.owner.key.credential.clone(), base: format!("/api/v1/t/{slug}") };
    let credentials = builder.get(&format!("members/{}/credentials", tenant.owner.id));
    tenant.owner.key.id = text(&credentials["items"][0]["id"]);
    tenant.admin = builder.member("admin");
    tenant.auditor = builder.member("auditor");
    tenant.viewer = builder.member("viewer");
    builder.accounts(&mut tenant);
    builder.rules(&tenant);
    builder.secrets(&tenant);
    tenant
}

struct Builder<'w> {
    world: &'w World,
    owner: String,
    base: String,
}

impl Builder<'_> {
    fn get(&self, path: &str) -> Value {
        self.world.get(&self.owner, &format!("{}/{path}", self.base)).expect(200)
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        self.world.send(&self.owner, "POST", &format!("{}/{path}", self.base), body).expect(201)
    }

    #[track_caller]
    fn change(&self, method: &str, path: &str, body: &Value) {
        self.world.send(&self.owner, method, &format!("{}/{path}", self.base), body).expect(200);
    }

    /// A member who is called as its role.
    fn member(&self, role: &str) -> Principal {
        let id = text(&self.post("members", &json!({ "name": role, "role": role }))["id"]);
        let key = issued(&self.post(&format!("members/{id}/credentials"), &Value::Null));
        Principal { id, key }
    }

    fn account(&self, kind: &str, name: &str, owner: &Principal) -> Account {
        let body = json!({ "kind": kind, "name": name, "owner": owner.id, "labels": { "team": "payments" } });
        let request = self.world.request("POST", &format!("{}/accounts", self.base));
        let request =
            if name == names::READER { request.header("idempotency-key", names::IDEMPOTENCY_KEY) } else { request };
        let id = text(&request.by(&self.owner).json(&body).send().expect(201)["id"]);
        let key = self.key(&id, &Value::Null);
        Account { id, key }
    }

    fn key(&self, account: &str, body: &Value) -> Key {
        issued(&self.post(&format!("accounts/{account}/keys"), body))
    }

    fn accounts(&self, tenant: &mut Tenant) {
        tenant.reader = self.account("service", names::READER, &tenant.admin);
        tenant.bare = self.account("agent", "bare", &tenant.admin);
        tenant.revoked = self.key(&tenant.reader.id, &Value::Null);
        self.change("DELETE", &format!("accounts/{}/keys/{}", tenant.reader.id, tenant.revoked.id), &Value::Null);
        tenant.expired = self.key(&tenant.reader.id, &json!({ "ttl": "1h" }));
        let folder = format!("folder/{}/{}", names::MOUNT, names::FOLDER);
        let binding = json!({ "principal": tenant.reader.id, "role": "secret-reader", "on": folder });
        tenant.binding = text(&self.post("bindings", &binding)["id"]);
    }

    fn rules(&self, tenant: &Tenant) {
        let policy = r#"forbid(principal is Agent, action == Action::"secret:destroy", resource);"#;
        for name in [names::POLICY, &tenant.only] {
            self.post("policies", &json!({ "name": name, "text": policy }));
        }
        let invariant = r#"forbid(principal is Agent, action == Action::"secret:destroy", resource);"#;
        for name in [names::INVARIANT, &tenant.only] {
            self.post("invariants", &json!({ "name": name, "text": invariant }));
        }
        for name in [names::SECOND_MOUNT, &tenant.only] {
            self.post("mounts", &json!({ "name": name }));
        }
    }

    fn secrets(&self, tenant: &Tenant) {
        let write = |mount: &str, path: &str, value: &str| {
            self.change("PUT", &format!("secrets/{mount}/{path}"), &json!({ "data": { "value": value } }));
        };
        let mount = names::MOUNT;
        // Not even the values differ: what tells the tenants apart must never be the contents.
        for path in [names::LIVE, names::DELETED, names::DESTROYED, names::OUTSIDE, names::EMBARGOED, &tenant.only] {
            write(mount, path, "first");
        }
        write(mount, names::LIVE, "second");
        write(names::SECOND_MOUNT, names::LIVE, "first");
        write(&tenant.only, &tenant.only, "first");
        let tag = |path: &str, tags: Value| {
            self.change("PUT", &format!("secret-metadata/{mount}/{path}"), &json!({ "custom_metadata": tags }));
        };
        tag(names::LIVE, json!({ "env": "prod" }));
        tag(names::EMBARGOED, json!({ "embargo": "yes" }));
        self.change("POST", &format!("secret-delete/{mount}/{}", names::DELETED), &json!({ "versions": [1] }));
        self.change("POST", &format!("secret-destroy/{mount}/{}", names::DESTROYED), &json!({ "versions": [1] }));
    }
}
