//! Continuous verification: a server that keeps its tenants apart is found to, and one that does not is found out.
//!
//! The leaks are put between the prober and the doors, so that no code of the product has a switch for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bailiwick_app::{CANARY_SLUGS, Canary};
use bailiwick_http::{Route, Server};
use bailiwick_probe::{Ask, Doors, Prober, ProberConfig, Seen, catalogue};
use bailiwick_testkit::{Plane, TestClock, World};
use bailiwick_types::CredentialText;
use bailiwick_types::api::isolation::{IsolationState, IsolationStatus};
use parking_lot::Mutex;
use serde_json::Value;

/// The doors of a world, on a clock that goes on with each request; with leaks, if wanted.
struct Watched {
    server: Arc<Server>,
    clock: Arc<TestClock>,
    is_leaky: bool,
    /// The canaries' first credentials, by slug: their owners are the first who come, for their own things.
    owners: Mutex<BTreeMap<&'static str, String>>,
}

/// The canary that a request names.
fn named(ask: &Ask) -> Option<&'static str> {
    let is_named = |slug: &str| {
        ask.target.split('/').any(|segment| segment == slug) || ask.headers.iter().any(|(_, value)| value == slug)
    };
    CANARY_SLUGS.into_iter().find(|slug| is_named(slug))
}

impl Watched {
    /// The canary that a request names, if it comes from the other one.
    fn victim(&self, ask: &Ask) -> Option<&'static str> {
        let tenant_of = |text: &str| CredentialText::parse(text).ok().map(|text| text.claimed_tenant());
        let (slug, tenant) = (named(ask)?, tenant_of(&ask.credential)?);
        let mut owners = self.owners.lock();
        let owner = owners.entry(slug).or_insert_with(|| ask.credential.clone());
        (!tenant.is_platform() && tenant_of(owner) != Some(tenant)).then_some(slug)
    }
}

#[async_trait]
impl Doors for Watched {
    async fn answer(&self, ask: Ask) -> Seen {
        self.clock.advance(Duration::from_millis(1));
        let victim = self.victim(&ask);
        let is_at = |end: &str| ask.method == "GET" && ask.target.ends_with(end);
        if !self.is_leaky {
            return self.server.answer(ask).await;
        }
        // A cache that answers for everybody, and so writes nothing down.
        let is_of_a_tenant = CredentialText::parse(&ask.credential).is_ok();
        let is_of_nobody = ask.target.contains(catalogue::NOBODY) && is_of_a_tenant;
        if is_at("/policies:schema") && (victim.is_some() || is_of_nobody) {
            let headers = vec![("x-request-id".to_owned(), "req_0123456789abcdefghjkmnpqrs".to_owned())];
            return Seen { status: 404, headers, body: Vec::new() };
        }
        // A read that makes an entry in the ledger of whose thing it would be.
        if let Some(slug) = victim
            && is_at("/roles")
        {
            let owner = self.owners.lock()[slug].clone();
            self.server.answer(Ask::plain("GET", format!("/api/v1/t/{slug}/whoami"), &owner, Value::Null)).await;
        }
        let mut seen = self.server.answer(ask.clone()).await;
        match victim {
            Some(_) if is_at("/limits") => (seen.status, seen.body) = (200, b"{}".to_vec()),
            Some(_) if is_at("/keyring") => seen.headers.push(("x-cache".to_owned(), "hit".to_owned())),
            Some(_) if is_at("/sys/mounts") => seen.body.push(b' '),
            None if is_at("/ledger/checkpoint") && is_of_a_tenant && named(&ask).is_some() => seen.status = 404,
            _ => {}
        }
        seen
    }

    fn routes(&self) -> &[Route] {
        self.server.routes()
    }
}

/// A whole round, and what an operator sees of it.
fn a_round(world: &World, is_leaky: bool, timed_pairs: usize) -> IsolationStatus {
    let (server, clock) = (Arc::clone(world.server()), Arc::clone(&world.clock));
    let doors = Arc::new(Watched { server, clock, is_leaky, owners: Mutex::default() });
    let prober = Prober::new(Arc::clone(world.app()), doors, ProberConfig { every: None, timed_pairs }).unwrap();
    world.block_on(prober.round_now());
    let shown = world.get(&world.platform.admin, "/api/v1/platform/isolation").expect(200);
    serde_json::from_value(shown).unwrap()
}

#[test]
fn a_server_that_keeps_tenants_apart_is_found_to() {
    let world = World::two_tenants();
    let of_acme = world.stored(Plane::Tenant(&world.acme));
    assert_eq!(world.get(&world.platform.admin, "/api/v1/platform/isolation").expect(200)["state"], "off");
    let status = a_round(&world, false, 40);
    assert_eq!(status.findings, []);
    assert_eq!(status.state, IsolationState::Holds, "{status:?}");
    let counts = status.last.unwrap().counts;
    let closed = world.server().routes().iter().filter(|route| !catalogue::is_open(route)).count() as u64;
    assert_eq!((counts.routes, status.routes), (closed, closed));
    assert!(counts.probes > 5_000, "{counts:?}");
    assert!(counts.controls > 150, "{counts:?}");
    assert_eq!(status.timing.len(), 4);
    // Nobody else has noticed.
    assert_eq!(of_acme, world.stored(Plane::Tenant(&world.acme)));
    let entry = &world.platform_ledger(5)[1];
    assert_eq!((entry["action"].as_str(), entry["detail"]["findings"].as_str()), (Some("isolation:probe"), Some("0")));
    assert_eq!(entry["actor"]["kind"], "system");
}

#[test]
fn a_server_that_leaks_is_found_out_until_it_leaks_no_more() {
    let world = World::two_tenants();
    let operations = world.server().operations().unwrap();
    let ask = |target: &'static str| {
        let operations = Arc::clone(&operations);
        let request = http::Request::get(target).body(String::new()).unwrap();
        let answer = world.block_on(async move { operations.handle(request, None).await });
        let (parts, body) = answer.into_parts();
        let body = world.block_on(http_body_util::BodyExt::collect(body)).unwrap().to_bytes();
        (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
    };
    assert_eq!(ask("/readyz"), (200, "ready\n".to_owned()));

    let status = a_round(&world, true, 0);
    assert_eq!(status.state, IsolationState::Broken);
    assert_eq!(status.findings.len(), 20);
    let query = "/api/v1/platform/ledger/entries?action=isolation:probe&outcome=fault&limit=1000";
    let page = world.get(&world.platform.admin, query).expect(200);
    let found: BTreeSet<(String, String)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["entry"]["detail"])
        .filter(|detail| !detail["finding"].is_null())
        .map(|detail| (detail["finding"].as_str().unwrap().to_owned(), detail["route"].as_str().unwrap().to_owned()))
        .collect();
    let of = |kind: &str, route: &str| (kind.to_owned(), format!("GET {route}"));
    let wanted = BTreeSet::from([
        of("allowed", "/api/v1/t/{tenant}/limits"),
        of("distinguishable", "/api/v1/t/{tenant}/keyring"),
        of("distinguishable", "/v1/sys/mounts"),
        of("victim-changed", "/api/v1/t/{tenant}/roles"),
        of("unrecorded", "/api/v1/t/{tenant}/policies:schema"),
        of("control-failed", "/api/v1/t/{tenant}/ledger/checkpoint"),
    ]);
    assert_eq!(found, wanted);
    assert_eq!(ask("/readyz"), (503, "isolation broken\n".to_owned()));
    let (_, metrics) = ask("/metrics");
    assert!(metrics.contains("bailiwick_isolation_state{state=\"broken\"} 1\n"), "{metrics}");

    let status = a_round(&world, false, 0);
    assert_eq!((status.state, status.last.unwrap().counts.findings), (IsolationState::Holds, 0));
    assert_eq!(ask("/readyz"), (200, "ready\n".to_owned()));
}

#[test]
fn canaries_are_the_servers_own_and_no_other_tenant_becomes_one() {
    let world = World::two_tenants();
    let operate = |method: &str, target: &str| {
        world.send(&world.platform.admin, method, &format!("/api/v1/tenants/{target}"), &Value::Null).expect(200);
    };
    let canaries = || world.block_on(world.app().canaries());
    let why_not = || canaries().err().and_then(|error| error.detail().map(str::to_owned)).unwrap();
    let [one, other] = canaries().unwrap().tenants;
    assert_eq!([one.slug.as_str(), other.slug.as_str()], CANARY_SLUGS);
    let whoami =
        |canary: &Canary| world.get(canary.credential.expose(), &format!("/api/v1/t/{}/whoami", canary.slug)).status;
    assert_eq!(whoami(&one), 200);

    // Each time fresh credentials: the others are gone. A day later those are, too.
    let again = canaries().unwrap();
    assert_eq!((whoami(&one), whoami(&again.tenants[0])), (401, 200));
    assert_eq!((one.tenant, &one.principal), (again.tenants[0].tenant, &again.tenants[0].principal));
    let list = |target: &str, by: &str| world.get(by, target).expect(200)["items"].as_array().unwrap().len();
    assert_eq!(list(&format!("/api/v1/t/{}/members", one.slug), again.tenants[0].credential.expose()), 1);
    world.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(whoami(&again.tenants[0]), 401);

    // What an operator does to a canary stands.
    operate("POST", &format!("{}/suspend", one.slug));
    assert_eq!(why_not(), format!("the canary tenant `{}` is suspended", one.slug));
    let error = world.block_on(world.app().canary_state(&one)).unwrap_err();
    assert_eq!(error.detail(), Some(why_not().as_str()));
    operate("POST", &format!("{}/resume", one.slug));
    operate("POST", &format!("{}/seal", one.slug));
    assert_eq!(why_not(), format!("the canary tenant `{}` is sealed", one.slug));
    operate("POST", &format!("{}/unseal", one.slug));
    operate("DELETE", &one.slug);
    let next = canaries().unwrap().tenants;
    assert_eq!([next[0].slug.as_str(), next[1].slug.as_str()], ["bailiwick-canary-1-2", CANARY_SLUGS[1]]);

    // And it never looks at who is none.
    let acme = Canary { tenant: world.acme.id.parse().unwrap(), slug: "acme".to_owned(), ..one };
    assert!(world.block_on(world.app().canary_state(&acme)).is_err());
    let elsewhere = World::two_tenants();
    let taken = serde_json::json!({ "slug": CANARY_SLUGS[0] });
    elsewhere.send(&elsewhere.platform.admin, "POST", "/api/v1/tenants", &taken).expect(201);
    let before = elsewhere.header(Plane::Platform);
    let error = elsewhere.block_on(elsewhere.app().canaries()).err().unwrap();
    assert_eq!(error.detail(), Some("the tenant `bailiwick-canary-1` was not made by this server as a canary"));
    assert_eq!(before, elsewhere.header(Plane::Platform));
}
