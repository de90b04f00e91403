//! Several nodes on one store: whatever one does holds at the others, from its acknowledgement on, in both directions: no
//! wrong yes, and no lasting wrong no.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_app::{AppConfig, RootSource, Turn};
use bailiwick_http::Server;
use bailiwick_store::Store;
use bailiwick_store_conformance::{Fault, FaultyStore};
use bailiwick_testkit::{Plane, Tenant, World, WorldOptions, names};
use bailiwick_types::{Limit, Limits};
use serde_json::{Value, json};

/// The world's own node, and another one that is unsealed and has everything of both tenants in its caches.
fn two_nodes() -> (World, Arc<Server>) {
    two_nodes_with(AppConfig::default())
}

fn two_nodes_with(app: AppConfig) -> (World, Arc<Server>) {
    let world = World::with(WorldOptions { app: app.clone(), ..WorldOptions::default() });
    let other = world.another_node("other", app);
    world.block_on(other.app().unseal_with_file(&world.root_key_file())).unwrap();
    for (own, _) in world.both_ways() {
        reads(&world, &other, own).expect(200);
    }
    (world, other)
}

fn secret(tenant: &Tenant) -> String {
    format!("/api/v1/t/{}/secrets/{}/{}", tenant.slug, names::MOUNT, names::LIVE)
}

fn reads(world: &World, node: &Arc<Server>, tenant: &Tenant) -> bailiwick_testkit::Answer {
    world.request("GET", &secret(tenant)).by(&tenant.reader).through(node).send()
}

fn operator(world: &World, method: &str, target: &str, body: Value) -> Value {
    world.send(&world.platform.admin, method, target, &body).expect(200)
}

#[test]
fn what_one_node_revokes_is_dead_at_the_other_and_what_it_allows_again_lives() {
    let (world, other) = two_nodes();
    let own = &world.acme;
    let account = format!("/api/v1/t/{}/accounts/{}", own.slug, own.reader.id);
    for _ in 0..3 {
        world.send(&own.owner, "PATCH", &account, &json!({ "is_disabled": true })).expect(200);
        reads(&world, &other, own).expect_refusal(401, "principal_disabled");
        // The other node has just cached that it is disabled. Nothing but the header says that it is not any more.
        world.send(&own.owner, "PATCH", &account, &json!({ "is_disabled": false })).expect(200);
        reads(&world, &other, own).expect(200);
    }
    let key = format!("{account}/keys/{}", own.reader.key.id);
    world.send(&own.owner, "DELETE", &key, &Value::Null).expect(200);
    reads(&world, &other, own).expect_refusal(401, "credential_revoked");
    reads(&world, &other, &world.globex).expect(200);
}

#[test]
fn a_tenant_that_one_node_seals_and_unseals_is_sealed_and_unsealed_at_the_other() {
    let (world, other) = two_nodes();
    let own = &world.acme;
    for _ in 0..2 {
        operator(&world, "POST", &format!("/api/v1/tenants/{}/seal", own.slug), json!({}));
        reads(&world, &other, own).expect_refusal(503, "tenant_sealed");
        operator(&world, "POST", &format!("/api/v1/tenants/{}/unseal", own.slug), json!({}));
        reads(&world, &other, own).expect(200);
        operator(&world, "POST", &format!("/api/v1/tenants/{}/suspend", own.slug), json!({}));
        let suspended = reads(&world, &other, own);
        assert_ne!(suspended.status, 200, "{}", suspended.brief());
        operator(&world, "POST", &format!("/api/v1/tenants/{}/resume", own.slug), json!({}));
        reads(&world, &other, own).expect(200);
    }
}

#[test]
fn a_quota_that_one_node_raises_lets_in_who_knocks_at_the_other() {
    let (world, other) = two_nodes();
    let own = &world.acme;
    let quotas = format!("/api/v1/tenants/{}/quotas", own.slug);
    operator(&world, "PUT", &quotas, json!({ "quotas": { "requests_per_second": 1 } }));
    let mut answers = (0..3).map(|_| reads(&world, &other, own).status);
    assert!(answers.any(|status| status == 429), "the limit holds here too");
    operator(&world, "PUT", &quotas, json!({ "quotas": { "requests_per_second": null } }));
    // What was refused a moment ago is looked at again once the window of refusals is over.
    world.advance(Duration::from_secs(11));
    for _ in 0..3 {
        reads(&world, &other, own).expect(200);
        // Room comes with time, also where there is much of it.
        world.advance(Duration::from_millis(1));
    }
}

#[test]
fn each_node_grants_a_rate_in_full_and_says_that_it_does() {
    let (world, other) = two_nodes_with(AppConfig {
        limits: {
            let mut limits = Limits::default();
            limits.set(Limit::RequestsPerSecond, Some(7));
            limits
        },
        ..AppConfig::default()
    });
    let own = &world.acme;
    // What was asked to fill the caches is forgotten.
    world.advance(Duration::from_secs(1));
    // By turns, as behind a load balancer; and then all at one, as over one connection.
    for nodes in [[&other, world.server()], [&other, &other]] {
        let answers: Vec<u16> = (0..30).map(|number| reads(&world, nodes[number % 2], own).status).collect();
        let let_in = answers.iter().filter(|status| **status == 200).count();
        let distinct = if Arc::ptr_eq(nodes[0], nodes[1]) { 1 } else { 2 };
        assert_eq!(let_in, 7 * distinct, "{answers:?}");
        assert!(answers.iter().all(|status| matches!(status, 200 | 429)));
        world.advance(Duration::from_secs(1));
    }
    reads(&world, &other, &world.globex).expect(200);
    let page = world.request("GET", "/metrics").through(&other.operations().unwrap()).send().text();
    assert!(page.contains("\nbailiwick_node_limit{limit=\"requests_per_second\"} 7\n"), "{page}");
    assert!(page.contains("\nbailiwick_node_limit{limit=\"concurrent_requests\"} 1024\n"), "{page}");
    assert!(!page.contains("bailiwick_node_limit{limit=\"secrets\"}"), "the store counts those");
    let value = |name: &str| {
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<u64>().ok()).unwrap_or_else(|| panic!("{name}: {page}"))
    };
    let of = |id: &str| value(&format!("bailiwick_tenant_remembered_bytes{{tenant=\"{id}\"}}"));
    assert_eq!(value("bailiwick_remembered_bytes_max"), 128 << 20);
    // Its keys at least, and what was decided.
    assert!(of(&own.id) > 8_192 && of(&world.globex.id) > 8_192);
    assert!((of(&own.id)..10 * of(&own.id)).contains(&value("bailiwick_remembered_bytes")), "{page}");
}

#[test]
fn keys_that_one_node_rotates_open_at_the_other() {
    let (world, other) = two_nodes();
    let own = &world.acme;
    for purpose in ["records", "ledger", "credentials", "cursors", "tenant"] {
        let rotate = format!("/api/v1/t/{}/keyring/rotate", own.slug);
        world.send(&own.owner, "POST", &rotate, &json!({ "purpose": purpose })).expect(200);
        // Written under the new key by this node, and read by the one that has the old keys in memory: a secret, and a
        // credential that it has never seen.
        let put = json!({ "data": { "purpose": purpose } });
        world.send(&own.owner, "PUT", &secret(own), &put).expect(200);
        let read = reads(&world, &other, own).expect(200);
        assert_eq!(read["data"]["purpose"], purpose, "{read}");
        let keys = format!("/api/v1/t/{}/accounts/{}/keys", own.slug, own.reader.id);
        let issued = world.send(&own.owner, "POST", &keys, &json!({})).expect(201);
        let fresh = issued["credential"].as_str().unwrap();
        world.request("GET", &secret(own)).by(fresh).through(&other).send().expect(200);
    }
}

#[test]
fn a_cursor_of_one_node_is_good_at_the_other() {
    let (world, other) = two_nodes();
    let own = &world.acme;
    let list = format!("/api/v1/t/{}/accounts?limit=1", own.slug);
    let page = world.get(&own.owner, &list).expect(200);
    let next = format!("{list}&cursor={}", page["next"].as_str().or(page["next_cursor"].as_str()).unwrap());
    let here = world.get(&own.owner, &next).expect(200);
    let there = world.request("GET", &next).by(&own.owner).through(&other).send().expect(200);
    assert_eq!(here["items"], there["items"]);
}

#[test]
fn the_installation_that_one_node_seals_is_sealed_at_all_until_each_is_unsealed() {
    let (world, other) = two_nodes();
    let ready = |node: &Arc<Server>| world.request("GET", "/readyz").through(node).send().text();
    operator(&world, "POST", "/api/v1/platform/seal", json!({ "reason": "drill" }));
    reads(&world, &other, &world.acme).expect_refusal(503, "sealed");
    assert_eq!(ready(&other), "sealed\n");
    reads(&world, world.server(), &world.acme).expect_refusal(503, "sealed");
    // Nothing unseals a node by itself that somebody has sealed on purpose; each is unsealed for itself.
    world.block_on(other.app().look()).unwrap();
    assert!(!other.app().is_unsealed());
    world.block_on(other.app().unseal_with_file(&world.root_key_file())).unwrap();
    reads(&world, &other, &world.acme).expect(200);
    reads(&world, world.server(), &world.acme).expect_refusal(503, "sealed");
}

#[test]
fn a_node_that_nobody_asks_anything_notices_a_sealing_by_itself() {
    let source = |world: &World| Some(RootSource::File(world.root_key_file()));
    let (world, _) = two_nodes();
    let idle = world.another_node("idle", AppConfig { root_source: source(&world), ..AppConfig::default() });
    world.block_on(idle.app().look()).unwrap();
    assert!(idle.app().is_unsealed(), "the configuration names the root key");
    operator(&world, "POST", "/api/v1/platform/seal", json!({}));
    world.block_on(idle.app().look()).unwrap();
    world.block_on(idle.app().look()).unwrap();
    assert!(!idle.app().is_unsealed(), "not even by its own file");
}

#[test]
fn a_node_with_the_old_root_key_fails_closed_until_it_has_the_new_one() {
    let (world, other) = two_nodes();
    let directory = world.directory().join("passphrase");
    let source = Some(RootSource::PassphraseFile(directory.clone()));
    let following = world.another_node("following", AppConfig { root_source: source, ..AppConfig::default() });
    world.block_on(following.app().unseal_with_file(&world.root_key_file())).unwrap();
    reads(&world, &following, &world.acme).expect(200);

    let phrase = "a passphrase for all nodes";
    let rotate = json!({ "provider": "passphrase", "passphrase": phrase });
    operator(&world, "POST", "/api/v1/platform/root-key/rotate", rotate);
    reads(&world, world.server(), &world.acme).expect(200);
    reads(&world, &other, &world.acme).expect_refusal(503, "sealed");
    assert_eq!(world.request("GET", "/readyz").through(&other).send().text(), "sealed\n");
    // The one whose configuration says where the new one is goes on by itself, as soon as it is there.
    std::fs::write(directory, format!("{phrase}\n")).unwrap();
    world.block_on(following.app().look()).unwrap();
    world.block_on(following.app().look()).unwrap();
    reads(&world, &following, &world.acme).expect(200);
    // The other is unsealed by people.
    let given = json!({ "key": phrase });
    world.request("POST", "/api/v1/unseal").json(&given).through(&other).send().expect(200);
    reads(&world, &other, &world.globex).expect(200);
}

#[test]
fn what_became_of_a_rotation_that_was_not_acknowledged_is_found_out() {
    let (world, other) = two_nodes();
    let faulty = FaultyStore::new(Arc::clone(world.store()) as Arc<dyn Store>);
    let node = world.another_node_over(Arc::clone(&faulty) as _, "faulty", AppConfig::default());
    world.block_on(node.app().unseal_with_file(&world.root_key_file())).unwrap();
    reads(&world, &node, &world.acme).expect(200);
    faulty.fail_next(Fault::AfterPersist);
    let rotate = json!({ "provider": "shamir" });
    let target = "/api/v1/platform/root-key/rotate";
    let lost = world.request("POST", target).by(&world.platform.admin).json(&rotate).through(&node).send();
    lost.expect_refusal(503, "storage_unavailable");
    // The shares were shown to nobody: this node's memory is the only place where the new root key is.
    reads(&world, &other, &world.acme).expect_refusal(503, "sealed");
    reads(&world, &node, &world.acme).expect(200);
}

#[test]
fn whoever_repeats_what_was_not_acknowledged_through_another_node_gets_the_one_answer() {
    let (world, other) = two_nodes();
    let faulty = FaultyStore::new(Arc::clone(world.store()) as Arc<dyn Store>);
    let node = world.another_node_over(Arc::clone(&faulty) as _, "faulty", AppConfig::default());
    world.block_on(node.app().unseal_with_file(&world.root_key_file())).unwrap();
    let own = &world.acme;
    let target = format!("/api/v1/t/{}/accounts", own.slug);
    let ask = |node: &Arc<Server>, name: &str| {
        let body = json!({ "name": name, "kind": "service", "owner": own.owner.id });
        world.request("POST", &target).by(&own.owner).header("idempotency-key", name).json(&body).through(node).send()
    };
    for (name, fault, is_applied) in
        [("lost-answer", Fault::AfterPersist, true), ("lost-request", Fault::BeforePersist, false)]
    {
        let before = world.header(Plane::Tenant(own)).ledger.size();
        faulty.fail_next(fault);
        ask(&node, name).expect_refusal(503, "storage_unavailable");
        assert_eq!(world.header(Plane::Tenant(own)).ledger.size() > before, is_applied);
        let made = ask(&other, name).expect(201);
        assert_eq!(ask(&node, name).expect(201), made);
        assert_eq!(ask(world.server(), name).expect(201), made);
        let all = world.get(&own.owner, &format!("{target}?limit=100")).expect(200);
        let count = all["items"].as_array().unwrap().iter().filter(|account| account["name"] == name).count();
        assert_eq!(count, 1, "{name}");
    }
}

#[test]
fn the_last_use_that_two_nodes_write_at_once_costs_a_retry_and_no_answer() {
    let (world, other) = two_nodes();
    let own = &world.acme;
    for _ in 0..5 {
        world.advance(Duration::from_secs(61));
        let asked = (0..8).map(|number| {
            let node = if number % 2 == 0 { &other } else { world.server() };
            world.request("GET", &secret(own)).by(&own.reader).through(node).ask()
        });
        let asked: Vec<_> = asked.collect();
        for answer in world.block_on(async {
            let asked: Vec<_> = asked.into_iter().map(tokio::spawn).collect();
            let mut answers = Vec::new();
            for answer in asked {
                answers.push(answer.await.unwrap());
            }
            answers
        }) {
            answer.expect(200);
        }
    }
    let conflicts: u64 = [&other, world.server()].iter().map(|node| node.app().metrics().total.conflicts).sum();
    assert!(conflicts <= 5, "at most one for each time that it is written down: {conflicts}");
}

#[test]
fn background_work_of_two_nodes_is_done_once_and_loses_no_wake_up() {
    let every = 16;
    let (world, other) = two_nodes_with(AppConfig { rotate_data_every: every, ..AppConfig::default() });
    let nodes = [Arc::clone(world.server()), Arc::clone(&other)];
    let all_jobs = || {
        world.block_on(async {
            let [one, two] = &nodes;
            let (one, two) = tokio::join!(one.app().run_due_jobs(), two.app().run_due_jobs());
            (one.unwrap(), two.unwrap())
        })
    };
    world.advance(Duration::from_secs(25 * 3_600));
    while all_jobs() != (0, 0) {}
    let records = |tenant: &Tenant| {
        let shown = world.get(&tenant.owner, &format!("/api/v1/t/{}/keyring", tenant.slug)).expect(200);
        let keys = shown["keys"].as_array().unwrap();
        keys.iter().filter(|key| key["purpose"] == "records").map(|key| key["version"].as_u64().unwrap()).max().unwrap()
    };
    let before = records(&world.acme);
    for number in 0..every {
        reads(&world, &nodes[usize::from(number % 2 == 0)], &world.acme).expect(200);
    }
    all_jobs();
    all_jobs();
    assert_eq!(records(&world.acme), before + 1, "rotated by one of the two");

    // A deletion: shredded by both at once, certified once, and forgotten.
    operator(&world, "DELETE", &format!("/api/v1/tenants/{}?hold=1d", world.globex.slug), Value::Null);
    world.advance(Duration::from_secs(25 * 3_600));
    for _ in 0..4 {
        all_jobs();
    }
    let stored = world.stored(Plane::Tenant(&world.globex));
    assert_eq!(stored.records, [], "erased");
    let shredded = |entry: &&Value| entry["action"] == "tenant:delete" && entry["detail"]["step"] == "shredded";
    assert_eq!(world.platform_ledger(100).iter().filter(shredded).count(), 1);
    assert_eq!(all_jobs(), (0, 0), "nothing is left to do");

    // Nobody gets an entry into a ledger that is closed, whatever a node remembers of the tenant.
    let size = world.header(Plane::Tenant(&world.globex)).ledger.size();
    reads(&world, &other, &world.globex).expect_refusal(401, "credential_invalid");
    assert_eq!(world.header(Plane::Tenant(&world.globex)).ledger.size(), size);
}

#[test]
fn one_node_probes_at_a_time_and_the_next_takes_over_when_it_is_gone() {
    let (world, other) = two_nodes();
    let (one, two) = (world.app(), other.app());
    let patience = Duration::from_secs(60);
    let take = |app: &Arc<bailiwick_app::App>| world.block_on(app.take_probing_turn(patience)).unwrap();
    assert_eq!(take(one), Turn::Own);
    let elsewhere = Turn::Elsewhere(one.node().to_owned());
    // As long as its holder goes on, however late it is by another clock, the turn stays where it is.
    for _ in 0..5 {
        assert_eq!(take(two), elsewhere);
        world.advance(Duration::from_secs(40));
        assert_eq!(take(one), Turn::Own);
    }
    assert_eq!(take(two), elsewhere);
    world.advance(patience);
    assert_eq!(take(two), Turn::Own, "its holder has stood still");
    assert!(!world.block_on(one.has_probing_turn()).unwrap());
    // Given back, it is free at once.
    world.block_on(two.release_probing_turn()).unwrap();
    assert_eq!(take(one), Turn::Own);
    // What the one finds, the other says.
    world.block_on(two.look()).unwrap();
    let reason = two.isolation().status().reason.unwrap();
    assert!(reason.starts_with(&format!("the node `{}` probes", one.node())), "{reason}");
}

#[test]
fn readiness_says_what_is_wrong_and_that_it_is_over() {
    let (world, _) = two_nodes();
    let faulty = FaultyStore::new(Arc::clone(world.store()) as Arc<dyn Store>);
    let node = world.another_node_over(Arc::clone(&faulty) as _, "faulty", AppConfig::default());
    world.block_on(node.app().unseal_with_file(&world.root_key_file())).unwrap();
    let ask = |method: &str, path: &str| {
        let answer = world.request(method, path).header("accept", "application/json").through(&node).send();
        (answer.status, answer.json())
    };
    let (status, shown) = ask("GET", "/readyz");
    assert_eq!(status, 200);
    let wanted = json!({
        "node": "faulty", "ready": true, "reason": null, "draining": false, "initialized": true, "sealed": false,
        "storage": true, "isolation": "off",
    });
    assert_eq!(shown, wanted);
    faulty.set_down(true);
    let (status, shown) = ask("GET", "/readyz");
    assert_eq!((status, &shown["reason"], &shown["initialized"]), (503, &json!("storage unavailable"), &Value::Null));
    assert_eq!(ask("HEAD", "/readyz").0, 503);
    assert_eq!(ask("GET", "/healthz").0, 200, "whether the process is alive has nothing to do with the store");
    faulty.set_down(false);
    assert_eq!(ask("HEAD", "/readyz").0, 200, "by itself");
    node.drain();
    let (status, shown) = ask("GET", "/readyz");
    assert_eq!((status, &shown["reason"], &shown["draining"]), (503, &json!("draining"), &json!(true)));
    assert_eq!(reads(&world, &node, &world.acme).status, 200, "what comes is answered still");
}

#[test]
fn the_metrics_page_says_which_node_and_counts_by_tenant() {
    let (world, other) = two_nodes();
    for _ in 0..3 {
        reads(&world, &other, &world.acme).expect(200);
    }
    let page = world.request("GET", "/metrics").through(&other.operations().unwrap()).send().text();
    let has = |line: String| assert!(page.lines().any(|other| other == line), "{line}\n{page}");
    has(format!("bailiwick_node_info{{node=\"other\",version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    has(format!("bailiwick_tenant_requests_total{{tenant=\"{}\"}} 4", world.acme.id));
    has(format!("bailiwick_tenant_requests_total{{tenant=\"{}\"}} 1", world.globex.id));
    has("bailiwick_requests_total 5".to_owned());
    has("bailiwick_commit_seconds_count 5".to_owned());
    assert!(!world.request("GET", "/metrics").through(&other).send().text().contains("bailiwick_"), "not to everybody");
}
