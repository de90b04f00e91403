//! The Vault door: what its clients depend on, and what OpenBao's judges (`tests/foreign`) cannot see from outside.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_app::{App, AppConfig};
use bailiwick_http::{HttpConfig, Server};
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_testkit::{ANONYMOUS, Answer, Plane, SeededRandom, TestClock, World, hide_request_id};
use bailiwick_types::Timestamp;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

const REFUSED: &str = "1 error occurred:\n\t* permission denied\n\n";

fn put(world: &World, path: &str, body: &Value) -> Answer {
    world.send(&world.acme.owner, "PUT", path, body)
}

fn metadata(world: &World, path: &str) -> Value {
    world.get(&world.acme.owner, &format!("/v1/secret/metadata/{path}")).expect(200)["data"].take()
}

#[test]
fn a_value_goes_out_as_it_came_in() {
    let world = World::two_tenants();
    let text = r#"{ "z": 1.50, "a":18446744073709551615,"n":1E-400 , "t":"\u00e9\/" }"#;
    let body = format!("{{\"data\":{text}}}");
    world.request("POST", "/v1/secret/data/raw").by(&world.acme.owner).bytes(body).send().expect(200);
    let answer = world.get(&world.acme.owner, "/v1/secret/data/raw");
    assert!(answer.text().contains(&format!("\"data\":{{\"data\":{text},\"metadata\":")), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.text().ends_with("}\n"));
}

#[test]
fn undeleting_starts_a_versions_lifetime_anew() {
    let world = World::two_tenants();
    put(&world, "/v1/secret/metadata/brief", &json!({ "delete_version_after": "1h" })).expect(204);
    put(&world, "/v1/secret/data/brief", &json!({ "data": { "a": 1 } })).expect(200);
    world.advance(Duration::from_secs(3_600));
    world.get(&world.acme.owner, "/v1/secret/data/brief").expect(404);
    put(&world, "/v1/secret/undelete/brief", &json!({ "versions": [1] })).expect(204);
    world.advance(Duration::from_secs(3_599));
    world.get(&world.acme.owner, "/v1/secret/data/brief").expect(200);
    world.advance(Duration::from_secs(1));
    world.get(&world.acme.owner, "/v1/secret/data/brief").expect(404);
}

#[test]
fn what_befalls_a_version_is_no_change_of_the_secret() {
    let world = World::two_tenants();
    put(&world, "/v1/secret/data/still", &json!({ "data": { "a": 1 } })).expect(200);
    let before = metadata(&world, "still")["updated_time"].clone();
    for verb in ["delete", "undelete", "destroy"] {
        world.advance(Duration::from_secs(1));
        put(&world, &format!("/v1/secret/{verb}/still"), &json!({ "versions": [1] })).expect(204);
        assert_eq!(metadata(&world, "still")["updated_time"], before, "{verb}");
    }
    assert_eq!(metadata(&world, "still")["versions"]["1"]["destroyed"], true);
    world.advance(Duration::from_secs(1));
    put(&world, "/v1/secret/metadata/still", &json!({ "max_versions": 3 })).expect(204);
    assert_ne!(metadata(&world, "still")["updated_time"], before);
}

#[test]
fn a_list_is_whole_and_one_entry() {
    let world = World::two_tenants();
    let names: Vec<String> = (0..1_003).map(|number| format!("{number:04}")).collect();
    for name in &names {
        put(&world, &format!("/v1/secret/metadata/many/{name}"), &json!({ "max_versions": 1 })).expect(204);
    }
    let list = |query: &str| {
        let target = format!("/v1/secret/metadata/many/?list=true{query}");
        let keys = world.get(&world.acme.owner, &target).expect(200)["data"]["keys"].take();
        serde_json::from_value::<Vec<String>>(keys).unwrap()
    };
    let size = world.header(Plane::Tenant(&world.acme)).ledger.size();
    assert_eq!(list(""), names);
    assert_eq!(world.header(Plane::Tenant(&world.acme)).ledger.size(), size + 1);
    assert_eq!(list("&limit=1001"), names[..1_001]);
    assert_eq!(list("&limit=0&after=0999"), names[1_000..]);
    assert_eq!(list("&limit=2&after=0000x"), names[1..3]);
}

#[test]
fn whoever_may_read_one_secret_finds_the_mount_but_not_what_it_is_for() {
    let world = World::two_tenants();
    for path in ["secret", "secret/", "secret/app/db", "acme/secret/app/db"] {
        let target = format!("/v1/sys/internal/ui/mounts/{path}");
        let mine = world.get(&world.acme.owner, &target).expect(200);
        let readers = world.get(&world.acme.reader, &target).expect(200);
        assert_eq!(readers["data"]["options"], json!({ "version": "2" }), "{path}");
        assert_eq!(readers["data"]["path"], mine["data"]["path"]);
        assert_ne!(mine["data"]["description"], "", "{path}");
        assert_eq!(readers["data"]["description"], "", "{path}");
    }
}

/// To 404 the command line answers by sending the secret to a path that nobody meant.
#[test]
fn the_preflight_of_what_is_not_there_is_a_refusal() {
    let world = World::two_tenants();
    for (actor, victim) in world.both_ways() {
        let ask = |path: &str| {
            let answer = world.get(&actor.owner, &format!("/v1/sys/internal/ui/mounts/{path}/secret/app"));
            assert_eq!(answer.status, 403, "{path}");
            let mut answer = hide_request_id(answer);
            answer.body = answer.text().replace(path, "NAME").into_bytes();
            answer.headers.retain(|(name, _)| name != "content-length");
            answer
        };
        assert_eq!(ask(&victim.slug), ask("nobody"));
        assert_eq!(ask(&victim.only), ask("nobody"));
    }
}

#[test]
fn a_namespace_that_is_not_the_callers_is_refused_before_anything_happens() {
    let world = World::two_tenants();
    for (actor, victim) in world.both_ways() {
        let before = world.stored(Plane::Tenant(victim));
        let mut answers = Vec::new();
        for name in [victim.slug.as_str(), "nobody", "team/inner", "ACME", "root"] {
            for path in ["/v1/secret/data/app/db", "/v1/sys/mounts", "/v1/auth/token/lookup-self", "/v1/none/data/x"] {
                let answer = world.request("GET", path).by(&actor.owner).header("x-vault-namespace", name).send();
                answer.expect_refusal(403, REFUSED);
                answers.push(hide_request_id(answer));
            }
        }
        for name in [victim.slug.as_str(), "nobody"] {
            for path in ["secret/data/app/db", "sys/mounts", "auth/token/lookup-self"] {
                let answer = world.get(&actor.owner, &format!("/v1/{name}/{path}"));
                answer.expect_refusal(403, REFUSED);
                answers.push(hide_request_id(answer));
            }
        }
        // Header and path must agree with the credential, and so with each other.
        let both = world.request("GET", &format!("/v1/{}/secret/data/app/db", actor.slug)).by(&actor.owner);
        answers.push(hide_request_id(both.header("x-vault-namespace", &victim.slug).send()));
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:#?}");
        assert_eq!(world.stored(Plane::Tenant(victim)), before);
        for name in [actor.slug.clone(), format!("/{}/", actor.slug)] {
            let own = world.request("GET", &format!("/v1/{}/secret/data/app/db", actor.slug)).by(&actor.owner);
            own.header("x-vault-namespace", &name).send().expect(200);
        }
    }
}

#[test]
fn what_is_not_offered_is_refused_and_nothing_happens() {
    let world = World::two_tenants();
    let before = world.get(&world.acme.owner, "/v1/secret/metadata/app/db").expect(200)["data"].clone();
    let write = || world.request("PUT", "/v1/secret/data/app/db").by(&world.acme.owner).json(&json!({ "data": {} }));
    write().header("x-vault-wrap-ttl", "60s").send().expect_refusal(400, "response wrapping is not supported");
    for body in [json!({ "metadata_cas": 0, "max_versions": 1 }), json!({ "metadata_cas_required": true })] {
        put(&world, "/v1/secret/metadata/app/db", &body).expect(400);
        put(&world, "/v1/secret/config", &body).expect(400);
    }
    assert_eq!(world.get(&world.acme.owner, "/v1/secret/metadata/app/db").expect(200)["data"], before);
    for body in
        [json!({ "type": "kv" }), json!({ "type": "kv", "options": { "version": "1" } }), json!({ "type": "pki" })]
    {
        put(&world, "/v1/sys/mounts/other", &body).expect(400);
    }
    put(&world, "/v1/sys/mounts/acme", &json!({ "type": "kv-v2" })).expect(400);
}

#[test]
fn other_methods_reveal_nothing_and_are_no_entry() {
    let world = World::two_tenants();
    let size = || world.header(Plane::Tenant(&world.acme)).ledger.size();
    let before = size();
    for method in ["HEAD", "OPTIONS", "TRACE", "COPY", "get", "SCAN"] {
        let answer = world.send(&world.acme.owner, method, "/v1/secret/data/app/db", &Value::Null);
        assert_eq!((answer.status, answer.code().as_str()), (405, ""), "{method}");
    }
    assert_eq!(size(), before);
}

#[test]
fn a_full_tenant_hears_400_and_a_fast_one_429() {
    let world = World::two_tenants();
    let quotas = |quotas: Value| {
        let target = format!("/api/v1/tenants/{}/quotas", world.acme.slug);
        world.send(&world.platform.admin, "PUT", &target, &json!({ "quotas": quotas })).expect(200);
    };
    quotas(json!({ "mounts": 3, "value_bytes": 16 }));
    let answer = put(&world, "/v1/sys/mounts/fourth", &json!({ "type": "kv-v2" }));
    assert_eq!(answer.status, 400, "{}", answer.text());
    put(&world, "/v1/secret/data/large", &json!({ "data": { "a": "0123456789abcdef" } })).expect(413);
    quotas(json!({ "requests_per_second": 1 }));
    world.advance(Duration::from_secs(10));
    world.get(&world.acme.owner, "/v1/secret/data/app/db").expect(200);
    let answer = world.get(&world.acme.owner, "/v1/secret/data/app/db");
    answer.expect(429);
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[test]
fn the_callers_own_credential_is_looked_up_on_its_own_plane() {
    let world = World::two_tenants();
    let lookup = |caller: &str| world.get(caller, "/v1/auth/token/lookup-self");
    let owner = world.acme.owner.as_ref();
    let data = lookup(owner).expect(200)["data"].take();
    assert_eq!((&data["id"], &data["namespace_path"]), (&json!(owner), &json!("acme/")));
    assert_eq!(data["policies"], json!(["owner"]));
    let data = lookup(world.platform.admin.as_ref()).expect(200)["data"].take();
    assert_eq!((&data["id"], &data["namespace_path"]), (&json!(world.platform.admin.as_ref()), &json!("")));
    for caller in [ANONYMOUS, "s.token", world.acme.revoked.as_ref(), world.acme.expired.as_ref()] {
        lookup(caller).expect_refusal(403, "permission denied");
    }
    world.get(&world.platform.admin, "/v1/secret/data/app/db").expect_refusal(403, REFUSED);
    world.send(&world.acme.owner, "PUT", "/v1/sys/seal", &Value::Null).expect_refusal(403, REFUSED);
    world.send(&world.platform.admin, "PUT", "/v1/sys/seal", &Value::Null).expect(204);
    world.get(&world.acme.owner, "/v1/secret/data/app/db").expect_refusal(503, "Vault is sealed");
    world.get(ANONYMOUS, "/v1/sys/health").expect(503);
}

/// A server that was never initialised, on a directory of its own.
struct Blank {
    server: Arc<Server>,
    runtime: tokio::runtime::Runtime,
    _directory: tempfile::TempDir,
}

impl Blank {
    fn with(init_tenant: Option<&str>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("bailiwick.db"), Options::default()).unwrap();
        let clock = Arc::new(TestClock::at(Timestamp::from_unix_ms(1_800_000_000_000)));
        let app = App::new(store, clock, Arc::new(SeededRandom::new("blank")), AppConfig::default());
        let init_tenant = init_tenant.map(|slug| slug.parse().unwrap());
        let server = Server::new(app, HttpConfig { init_tenant, ..HttpConfig::default() }).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { server, runtime, _directory: directory }
    }

    fn send(&self, token: &str, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = http::Request::builder().method(method).uri(target).header("x-vault-token", token);
        let request = request.body(Full::new(bytes::Bytes::from(body))).unwrap();
        self.runtime.block_on(async {
            let response = self.server.handle(request, None).await;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            (status, serde_json::from_slice(&body).unwrap_or_default())
        })
    }

    fn init(&self, shares: u8, threshold: u8) -> Value {
        let body = json!({ "secret_shares": shares, "secret_threshold": threshold });
        let (status, made) = self.send("", "PUT", "/v1/sys/init", &body);
        assert_eq!(status, 200, "{made}");
        assert_eq!(self.send("", "GET", "/v1/sys/health", &Value::Null).0, 503, "it is sealed afterwards");
        assert_eq!(self.send("", "PUT", "/v1/sys/init", &body).0, 400);
        made
    }

    fn unseal(&self, key: &Value) -> (u16, Value) {
        self.send("", "PUT", "/v1/sys/unseal", &json!({ "key": key }))
    }
}

#[test]
fn three_of_five_shares_unseal_in_every_form() {
    let blank = Blank::with(Some("main"));
    assert_eq!(blank.send("", "GET", "/v1/sys/health", &Value::Null).0, 501);
    assert_eq!(blank.send("", "GET", "/v1/secret/data/x", &Value::Null).0, 503);
    let made = blank.init(5, 3);
    let digits = |text: &str| {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect::<Vec<u8>>()
    };
    let text = String::from_utf8(digits(made["keys"][2].as_str().unwrap())).unwrap();
    assert!(text.starts_with("bws_"));
    let progress = |key: &Value| blank.unseal(key).1["progress"].as_u64();
    assert_eq!(progress(&made["keys"][0]), Some(1));
    assert_eq!(progress(&made["keys"][0]), Some(1), "the same share does not count twice");
    assert_eq!(progress(&made["keys_base64"][1]), Some(2));
    assert_eq!(blank.unseal(&json!("00".repeat(32))).0, 400);
    let (_, status) = blank.unseal(&json!(text));
    assert_eq!((&status["sealed"], &status["t"], &status["n"]), (&json!(false), &json!(3), &json!(5)));
    let operator = made["operator_token"].as_str().unwrap();
    assert_eq!(blank.send(operator, "GET", "/v1/auth/token/lookup-self", &Value::Null).1["data"]["namespace_path"], "");
    // The root token is the credential of the first tenant's owner.
    let token = made["root_token"].as_str().unwrap();
    assert_eq!(blank.send(token, "PUT", "/v1/secret/data/a", &json!({ "data": { "k": 1 } })).0, 200);
    assert_eq!(blank.send(token, "GET", "/v1/main/secret/data/a", &Value::Null).1["data"]["data"], json!({ "k": 1 }));
}

#[test]
fn one_share_of_one_unseals() {
    let blank = Blank::with(None);
    let made = blank.init(1, 1);
    assert_eq!(made["keys"].as_array().map(Vec::len), Some(1));
    assert_eq!(blank.unseal(&json!("00".repeat(32))).0, 400);
    assert_eq!(blank.unseal(&made["keys_base64"][0]).1["sealed"], json!(false));
    blank.server.app().seal();
    assert_eq!(blank.unseal(&made["keys"][0]).1["sealed"], json!(false));
    assert_eq!(made["operator_token"], Value::Null);
    // Without a first tenant it is the operator's, who has no secrets.
    let token = made["root_token"].as_str().unwrap();
    assert_eq!(blank.send(token, "GET", "/v1/auth/token/lookup-self", &Value::Null).0, 200);
    assert_eq!(blank.send(token, "GET", "/v1/secret/data/a", &Value::Null).0, 403);
}
