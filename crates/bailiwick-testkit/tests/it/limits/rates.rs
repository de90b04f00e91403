//! How fast and how much at once: 429 with a time to wait, before anything is looked at, for one tenant.

use bailiwick_testkit::{Answer, Plane, World};
use serde_json::{Value, json};

use super::{Case, Full, Passes, run};

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case { limit: "requests_per_second", run: requests_per_second, passes: Passes::ASecond },
        Case { limit: "concurrent_requests", run: concurrent_requests, passes: Passes::Nothing },
        Case { limit: "queued_requests", run: queued_requests, passes: Passes::Nothing },
    ]
}

#[track_caller]
fn too_many(answer: &Answer) {
    answer.expect_refusal(429, "rate_limited");
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.json()["hint"], "wait as long as Retry-After says");
}

fn requests_per_second(full: &Full<'_>) {
    full.quota(Some(3));
    let whoami = || full.own("GET", "whoami", &Value::Null);
    for _ in 0..3 {
        whoami().expect(200);
    }
    let before = full.world.header(Plane::Tenant(full.own));
    // Whoever of the tenant asks, whatever they ask, at whichever door; and nothing of it is done.
    for _ in 0..20 {
        too_many(&whoami());
    }
    too_many(&full.own("PUT", "secrets/secret/app/db", &json!({ "data": {} })));
    too_many(&full.own("PUT", "secrets/secret/../x", &json!([])));
    too_many(&full.world.get(&full.own.reader, &format!("/api/v1/t/{}/whoami", full.own.slug)));
    let vault = full.world.get(&full.own.owner, "/v1/secret/data/app/db");
    assert_eq!((vault.status, vault.header("retry-after")), (429, Some("1")));
    // A flood of refusals is one entry, and changes nothing.
    let after = full.world.header(Plane::Tenant(full.own));
    assert_eq!(after.ledger.size(), before.ledger.size() + 1);
    assert_eq!((after.counts, after.epoch), (before.counts, before.epoch));
    // The operator is not the tenant.
    full.world.get(&full.world.platform.admin, &format!("/api/v1/tenants/{}", full.own.slug)).expect(200);
    full.pass();
    for _ in 0..3 {
        whoami().expect(200);
    }
    too_many(&whoami());
    full.quota(None);
}

fn concurrent_requests(full: &Full<'_>) {
    full.quota(Some(2));
    let target = |path: &str| format!("/api/v1/t/{}/{path}", full.own.slug);
    let export = || full.world.request("GET", &target("ledger/export")).by(&full.own.owner).hold();
    let whoami = || full.own("GET", "whoami", &Value::Null);
    let first = export();
    whoami().expect(200);
    // Two answers that are still being given are two requests in flight.
    let second = export();
    too_many(&whoami());
    too_many(&full.own("PUT", "secrets/secret/app/db", &json!({ "data": {} })));
    too_many(&full.world.get(&full.own.reader, &target("whoami")));
    let vault = full.world.get(&full.own.owner, "/v1/secret/data/app/db");
    assert_eq!((vault.status, vault.header("retry-after")), (429, Some("1")));
    drop(first);
    whoami().expect(200);
    drop(second);
    // A quota below what is in flight ends nothing.
    let (first, second) = (export(), export());
    full.quota(Some(1));
    too_many(&whoami());
    drop(first);
    too_many(&whoami());
    drop(second);
    whoami().expect(200);
    full.quota(None);
}

fn queued_requests(full: &Full<'_>) {
    // A quota is known once somebody was let in under it.
    full.quota(Some(1));
    full.own("GET", "whoami", &Value::Null).expect(200);
    // More than run at a time on the largest of machines.
    let list = format!("/api/v1/t/{}/accounts", full.own.slug);
    let ask = |count| (0..count).map(|_| full.world.request("GET", &list).by(&full.own.owner)).collect();
    let answers = crate::flood::at_once(full.world, ask(300));
    let (answered, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|(answer, _)| answer.status == 200);
    assert!(answered.len() > 1 && refused.len() > 1);
    for (answer, _) in refused {
        answer.expect_refusal(429, "overloaded");
        assert_eq!(answer.header("retry-after"), Some("1"));
        let body = answer.json();
        assert_eq!(body["detail"], "queued_requests is limited to 1 requests");
        assert_eq!(body["hint"], "wait as long as Retry-After says; send fewer at a time");
    }
    full.quota(Some(300));
    full.own("GET", "whoami", &Value::Null).expect(200);
    for (answer, _) in crate::flood::at_once(full.world, ask(300)) {
        answer.expect(200);
    }
    full.quota(None);
}

#[test]
fn rates_are_each_tenants_own_and_come_back() {
    run(&cases());
}

#[test]
fn a_tenant_that_is_out_of_turns_takes_none_of_the_others() {
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        let target = format!("/api/v1/tenants/{}/quotas", own.slug);
        let quotas = json!({ "quotas": { "requests_per_second": 1, "concurrent_requests": 1 } });
        world.send(&world.platform.admin, "PUT", &target, &quotas).expect(200);
        let own_target = format!("/api/v1/t/{}/whoami", own.slug);
        let held = world.request("GET", &format!("/api/v1/t/{}/ledger/export", own.slug)).by(&own.owner).hold();
        for _ in 0..50 {
            world.get(&own.owner, &own_target).expect(429);
            world.get(&other.owner, &format!("/api/v1/t/{}/whoami", other.slug)).expect(200);
        }
        // Nor does who knocks with a credential that is none take a turn of anybody's.
        for _ in 0..50 {
            world.get("bwk_x", &own_target).expect(401);
            world.get(&own.revoked, &own_target).expect(401);
        }
        drop(held);
        world.advance(std::time::Duration::from_secs(1));
        world.get(&own.owner, &own_target).expect(200);
        let none = json!({ "quotas": { "requests_per_second": null, "concurrent_requests": null } });
        world.send(&world.platform.admin, "PUT", &target, &none).expect(200);
        // A higher quota fills from here on.
        world.advance(std::time::Duration::from_secs(1));
    }
}
