//! Nodes whose clocks disagree: what one ended is over at the other, whatever any clock says; and what ends at a moment does
//! so by the clock that is ahead.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_app::AppConfig;
use bailiwick_http::Server;
use bailiwick_store::Store;
use bailiwick_store_conformance::FaultyStore;
use bailiwick_testkit::{Answer, Plane, Tenant, TestClock, World, names};
use bailiwick_types::{Clock as _, Timestamp};
use serde_json::{Value, json};

const HOUR_MS: i64 = 3_600_000;

fn by(moment: Timestamp, ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(moment.unix_ms() + ms)
}

/// A world, and another node whose clock is off by so much. Between it and the store stands what can give the store a clock.
struct Apart {
    world: World,
    other: Arc<Server>,
    clock: Arc<TestClock>,
    store: Arc<FaultyStore>,
}

impl Apart {
    fn of(ms: i64) -> Self {
        let world = World::two_tenants();
        let clock = Arc::new(TestClock::at(by(world.clock.now(), ms)));
        let store = FaultyStore::new(Arc::clone(world.store()) as Arc<dyn Store>);
        let other = world.another_node_by(Arc::clone(&clock), Arc::clone(&store) as _, "other", AppConfig::default());
        world.block_on(other.app().unseal_with_file(&world.root_key_file())).unwrap();
        Self { world, other, clock, store }
    }

    /// Both nodes and whether it is the one whose clock is off.
    fn nodes(&self) -> [Arc<Server>; 2] {
        [Arc::clone(self.world.server()), Arc::clone(&self.other)]
    }

    fn ask(&self, node: &Arc<Server>, caller: impl AsRef<str>, method: &str, path: &str, body: &Value) -> Answer {
        self.world.request(method, path).by(caller).json(body).through(node).send()
    }

    fn reads(&self, node: &Arc<Server>, tenant: &Tenant, version: u64) -> Answer {
        let path = format!("/api/v1/t/{}/secrets/{}/{}?version={version}", tenant.slug, names::MOUNT, names::LIVE);
        self.ask(node, &tenant.reader, "GET", &path, &Value::Null)
    }

    /// The store's clock shows this, and the node has looked at it.
    fn store_says(&self, now: Timestamp) {
        self.store.set_clock(Some(now));
        self.world.block_on(self.other.app().look()).unwrap();
    }
}

/// What ends somebody's right at once, how it is undone, and how it is refused then.
struct End {
    what: &'static str,
    act: fn(&Apart, &Arc<Server>),
    undo: fn(&Apart, &Arc<Server>),
    refusal: (u16, &'static str),
}

fn own(apart: &Apart, node: &Arc<Server>, method: &str, path: &str, body: &Value) {
    let tenant = &apart.world.acme;
    let answer = apart.ask(node, &tenant.owner, method, &format!("/api/v1/t/{}/{path}", tenant.slug), body);
    assert!(answer.status < 300, "{method} {path}: {}", answer.text());
}

fn operate(apart: &Apart, node: &Arc<Server>, path: &str) {
    let path = format!("/api/v1/tenants/acme/{path}");
    apart.ask(node, &apart.world.platform.admin, "POST", &path, &json!({ "reason": "drill" })).expect(200);
}

fn disable(apart: &Apart, node: &Arc<Server>, is_disabled: bool) {
    let account = format!("accounts/{}", apart.world.acme.reader.id);
    own(apart, node, "PATCH", &account, &json!({ "is_disabled": is_disabled }));
}

fn secret(apart: &Apart, node: &Arc<Server>, act: &str) {
    own(apart, node, "POST", &format!("secret-{act}/{}/{}", names::MOUNT, names::LIVE), &json!({ "versions": [1] }));
}

const ENDS: &[End] = &[
    End {
        what: "the account is disabled",
        act: |apart, node| disable(apart, node, true),
        undo: |apart, node| disable(apart, node, false),
        refusal: (401, "principal_disabled"),
    },
    End {
        what: "the tenant is suspended",
        act: |apart, node| operate(apart, node, "suspend"),
        undo: |apart, node| operate(apart, node, "resume"),
        refusal: (403, "tenant_suspended"),
    },
    End {
        what: "the tenant is sealed",
        act: |apart, node| operate(apart, node, "seal"),
        undo: |apart, node| operate(apart, node, "unseal"),
        refusal: (503, "tenant_sealed"),
    },
    End {
        what: "the version is deleted",
        act: |apart, node| secret(apart, node, "delete"),
        undo: |apart, node| secret(apart, node, "undelete"),
        refusal: (404, "version_not_found"),
    },
    End {
        what: "the version is destroyed",
        act: |apart, node| secret(apart, node, "destroy"),
        undo: |_, _| {},
        refusal: (404, "version_not_found"),
    },
    End {
        what: "the key is revoked",
        act: |apart, node| {
            let reader = &apart.world.acme.reader;
            own(apart, node, "DELETE", &format!("accounts/{}/keys/{}", reader.id, reader.key.id), &Value::Null);
        },
        undo: |_, _| {},
        refusal: (401, "credential_revoked"),
    },
];

#[test]
fn what_somebody_ended_is_over_on_every_node_whatever_its_clock_says() {
    // By far ahead and far behind; and the store's clock is of no help, as with an embedded one.
    for ms in [-HOUR_MS, HOUR_MS, -400 * 24 * HOUR_MS, 400 * 24 * HOUR_MS] {
        let apart = Apart::of(ms);
        let nodes = apart.nodes();
        for End { what, act, undo, refusal: (status, code) } in ENDS {
            let version = if what.starts_with("the version") { 1 } else { 2 };
            for (here, there) in [(0, 1), (1, 0)] {
                if here == 1 && matches!(*what, "the version is destroyed" | "the key is revoked") {
                    continue;
                }
                apart.reads(&nodes[there], &apart.world.acme, version).expect(200);
                act(&apart, &nodes[here]);
                for node in &nodes {
                    let refused = apart.reads(node, &apart.world.acme, version);
                    let found = (refused.status, refused.code());
                    assert_eq!(found, (*status, (*code).to_owned()), "{what}, {ms} ms apart: {}", refused.text());
                }
                undo(&apart, &nodes[there]);
                if !what.ends_with("revoked") && !what.ends_with("destroyed") {
                    apart.reads(&nodes[here], &apart.world.acme, version).expect(200);
                }
            }
        }
        apart.reads(&nodes[1], &apart.world.globex, 1).expect(200);
    }
}

#[test]
fn what_ends_at_a_moment_does_so_by_the_clock_that_is_ahead() {
    let apart = Apart::of(-HOUR_MS);
    let tenant = &apart.world.acme;
    let keys = format!("/api/v1/t/{}/accounts/{}/keys", tenant.slug, tenant.reader.id);
    let issued = apart.ask(apart.world.server(), &tenant.owner, "POST", &keys, &json!({ "ttl": "10m" })).expect(201);
    let path = format!("/api/v1/t/{}/secrets/{}/{}", tenant.slug, names::MOUNT, names::LIVE);
    let read = |node: &Arc<Server>| {
        let key = issued["credential"].as_str().unwrap();
        apart.ask(node, key, "GET", &path, &Value::Null)
    };
    read(&apart.other).expect(200);

    // Ten minutes later, as the store says. The slow node has an hour to go by its own clock.
    apart.world.advance(Duration::from_secs(600));
    apart.clock.advance(Duration::from_secs(600));
    read(apart.world.server()).expect_refusal(401, "credential_expired");
    apart.store_says(apart.world.clock.now());
    read(&apart.other).expect_refusal(401, "credential_expired");
    assert_eq!(apart.other.app().clocks_apart(), Duration::from_secs(3_600));
    let page = apart.world.request("GET", "/metrics").through(&apart.other.operations().unwrap()).send().text();
    assert!(page.contains("\nbailiwick_clocks_apart_milliseconds 3600000\n"), "{page}");

    // A store whose clock is behind gives nobody more time than the node's own clock.
    apart.clock.set(apart.world.clock.now());
    apart.store_says(by(apart.world.clock.now(), -HOUR_MS));
    read(&apart.other).expect_refusal(401, "credential_expired");

    // A version that has a lifetime.
    let metadata = format!("/api/v1/t/{}/secret-metadata/{}/{}", tenant.slug, names::MOUNT, names::LIVE);
    let lifetime = json!({ "delete_version_after_seconds": 60 });
    apart.ask(apart.world.server(), &tenant.owner, "PUT", &metadata, &lifetime).expect(200);
    apart.ask(apart.world.server(), &tenant.owner, "PUT", &path, &json!({ "data": { "a": 1 } })).expect(200);
    apart.reads(&apart.other, tenant, 3).expect(200);
    apart.store_says(by(apart.world.clock.now(), 60_000));
    apart.reads(&apart.other, tenant, 3).expect_refusal(404, "version_not_found");
}

#[test]
fn a_tenant_is_not_shredded_before_both_clocks_say_so() {
    let day_ms = 24 * HOUR_MS;
    // This node is two days ahead.
    let apart = Apart::of(2 * day_ms);
    let globex = &apart.world.globex;
    apart.store_says(apart.world.clock.now());
    let delete = format!("/api/v1/tenants/{}?hold=1d", globex.slug);
    apart.ask(apart.world.server(), &apart.world.platform.admin, "DELETE", &delete, &Value::Null).expect(200);
    let work = |app: &Arc<bailiwick_app::App>| while apart.world.block_on(app.run_due_jobs()).unwrap() > 0 {};
    work(apart.other.app());
    assert_ne!(apart.world.stored(Plane::Tenant(globex)).records, [], "its hold is not over");
    operate_on(&apart, &globex.slug, "resume");

    apart.ask(apart.world.server(), &apart.world.platform.admin, "DELETE", &delete, &Value::Null).expect(200);
    // By the store's clock it is over, by the node's it is not; and then by both.
    apart.clock.set(apart.world.clock.now());
    apart.store_says(by(apart.world.clock.now(), 2 * day_ms));
    work(apart.other.app());
    assert_ne!(apart.world.stored(Plane::Tenant(globex)).records, [], "its hold is not over");
    apart.clock.set(by(apart.world.clock.now(), 2 * day_ms));
    apart.store_says(apart.clock.now());
    work(apart.other.app());
    assert_eq!(apart.world.stored(Plane::Tenant(globex)).records, [], "erased");
}

fn operate_on(apart: &Apart, slug: &str, act: &str) {
    let path = format!("/api/v1/tenants/{slug}/{act}");
    apart.ask(apart.world.server(), &apart.world.platform.admin, "POST", &path, &json!({})).expect(200);
}
