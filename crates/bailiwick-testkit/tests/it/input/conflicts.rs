//! What has changed meanwhile: check-and-set, `If-Match` and `If-None-Match`, wrong, weak, late and missing.

use std::collections::BTreeSet;

use bailiwick_http::DoorKind;
use bailiwick_testkit::{Request, World};
use serde_json::{Value, json};

use super::{Asked, Watch, on_every_route};
use crate::routes::{STRAY, is_open, routes_with_rows};

/// Methods that change what a GET of the same path shows.
const CHANGES: &[&str] = &["PUT", "PATCH", "DELETE"];

/// The routes that change something that has an `ETag`: by their table, not by what they claim.
fn conditional(world: &World) -> BTreeSet<String> {
    let sides = crate::routes::Sides { own: &world.acme, other: &world.globex, platform: &world.platform };
    let mut names = BTreeSet::new();
    for (route, row) in routes_with_rows(world) {
        if route.door != DoorKind::Api || route.method != "GET" || is_open(route) || route.summary == STRAY {
            continue;
        }
        let asked = Asked { world, route, row, sides };
        if asked.rightful().send().header("etag").is_some() {
            names.extend(CHANGES.iter().map(|method| format!("{method} {}", route.path)));
        }
    }
    names
}

#[test]
fn no_condition_is_ignored() {
    let mut tried = 0;
    on_every_route(
        |route| route.door == DoorKind::Api && route.method != "GET" && !is_open(route) && route.summary != STRAY,
        |asked: &Asked<'_>, watch: &Watch<'_>| {
            tried += 1;
            let answer = asked.rightful().header("if-match", "\"999\"").send();
            watch.unchanged(&answer, &format!("{} if 999", asked.name()));
        },
    );
    assert!(tried >= 60, "{tried}");
}

#[test]
fn whatever_has_an_etag_is_changed_only_as_it_was_read() {
    let conditional = conditional(&World::two_tenants());
    let mut tried = 0;
    on_every_route(
        |route| conditional.contains(&route.name()),
        |asked: &Asked<'_>, watch: &Watch<'_>| {
            tried += 1;
            let with = |values: &[&str]| {
                let mut request = asked.rightful();
                for value in values {
                    request = request.header("if-match", value);
                }
                request.send()
            };
            for wrong in ["\"0\"", "\"999\"", "\"18446744073709551615\""] {
                let answer = with(&[wrong]);
                watch.refused(&answer, 412, "precondition_failed", &format!("{} if {wrong}", asked.name()));
            }
            for none in
                ["W/\"1\"", "1", "", "\"\"", "\"1", "\"x\"", "\"-1\"", "\"1\", \"2\"", "\"18446744073709551616\"", "**"]
            {
                let answer = with(&[none]);
                watch.refused(&answer, 400, "invalid_request", &format!("{} if {none}", asked.name()));
            }
            let answer = with(&["\"1\"", "\"1\""]);
            watch.refused(&answer, 400, "invalid_request", &format!("{} if twice", asked.name()));
        },
    );
    assert!(tried >= 14, "{tried} of {conditional:?}");
}

#[test]
fn an_etag_holds_until_the_next_change_and_no_longer() {
    let world = World::two_tenants();
    for (own, _) in world.both_ways() {
        let target = format!("/api/v1/t/{}/accounts/{}", own.slug, own.reader.id);
        let etag = || world.get(&own.owner, &target).header("etag").unwrap().to_owned();
        let rename = |name: &str, condition: &str| {
            let request = world.request("PATCH", &target).by(&own.owner).json(&json!({ "name": name }));
            request.header("if-match", condition).send()
        };
        let before = etag();
        let first = rename("first", &before);
        first.expect(200);
        assert_eq!(first.header("etag"), Some(etag().as_str()));
        rename("second", &before).expect_refusal(412, "precondition_failed");
        assert_eq!(world.get(&own.owner, &target).expect(200)["name"], "first");
        rename("third", &etag()).expect(200);
        rename("fourth", "*").expect(200);
        world.send(&own.owner, "PATCH", &target, &json!({ "name": "fifth" })).expect(200);
    }
}

#[test]
fn what_must_be_new_is_not_put_over_what_is_there() {
    let world = World::two_tenants();
    let text = json!({ "text": r#"permit(principal, action == Action::"mount:list", resource);"# });
    let watch = Watch::on(&world, &world.acme, &world.globex);
    for (caller, target) in [
        (world.acme.owner.as_ref(), "/api/v1/t/acme/policies/house-rules"),
        (world.platform.admin.as_ref(), "/api/v1/guardrails/no-embargoed"),
    ] {
        let request = world.request("PUT", target).by(caller).json(&text).header("if-none-match", "*");
        watch.refused(&request.send(), 409, "already_exists", target);
    }
    for (caller, target, body) in [
        (&world.acme.owner, "/api/v1/t/acme/policies", json!({ "name": "house-rules", "text": text["text"] })),
        (&world.platform.admin, "/api/v1/guardrails", json!({ "name": "no-embargoed", "text": text["text"] })),
        (&world.acme.owner, "/api/v1/t/acme/mounts", json!({ "name": "kv" })),
        (&world.platform.admin, "/api/v1/tenants", json!({ "slug": "globex" })),
        (
            &world.acme.owner,
            "/api/v1/t/acme/bindings",
            json!({ "principal": world.acme.reader.id, "role": "secret-reader", "on": "folder/secret/app" }),
        ),
    ] {
        watch.refused(&world.send(caller, "POST", target, &body), 409, "already_exists", target);
    }
    watch.end();
}

const STALE: &str = "check-and-set parameter did not match the current version";
const REQUIRED: &str = "check-and-set parameter required for this call";

#[test]
fn a_write_that_names_another_version_changes_nothing_at_either_door() {
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        let watch = Watch::on(&world, own, other);
        let base = format!("/api/v1/t/{}/secrets/secret", own.slug);
        let send = |request: Request<'_>, body: &Value| request.by(&own.owner).json(body).send();
        for method in ["PUT", "PATCH"] {
            for cas in [0, 1, 3, 999, u64::MAX] {
                let body = json!({ "data": { "value": "late" }, "cas": cas });
                let answer = send(world.request(method, &format!("{base}/app/db")), &body);
                watch.refused(&answer, 409, "cas_conflict", &format!("{method} {cas}"));
                assert_eq!(answer.json()["detail"], "the current version is 2");
            }
        }
        let answer = send(world.request("PUT", &format!("{base}/nothing")), &json!({ "data": {}, "cas": 1 }));
        watch.refused(&answer, 409, "cas_conflict", "one that is not there");
        for cas in [json!(0), json!(1), json!("3"), json!(-1), json!(i64::MAX)] {
            let body = json!({ "data": { "value": "late" }, "options": { "cas": cas } });
            let answer = send(world.request("POST", "/v1/secret/data/app/db"), &body);
            watch.refused(&answer, 400, STALE, &format!("{cas}"));
            let patch = world.request("PATCH", "/v1/secret/data/app/db").by(&own.owner);
            let patch = patch.header("content-type", "application/merge-patch+json").bytes(body.to_string());
            watch.refused(&patch.send(), 400, STALE, &format!("patch {cas}"));
        }
        watch.end();
    }
}

#[test]
fn where_a_version_must_be_named_a_write_without_one_changes_nothing() {
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        let base = format!("/api/v1/t/{}", own.slug);
        let settings = format!("{base}/secret-metadata/secret/app/db");
        world.send(&own.owner, "PATCH", &settings, &json!({ "cas_required": true })).expect(200);
        world.send(&own.owner, "PATCH", &format!("{base}/mounts/kv"), &json!({ "cas_required": true })).expect(200);
        let watch = Watch::on(&world, own, other);
        for mount in ["secret", "kv"] {
            let target = format!("{base}/secrets/{mount}/app/db");
            let answer = world.send(&own.owner, "PUT", &target, &json!({ "data": {} }));
            watch.refused(&answer, 400, "cas_required", mount);
            let answer = world.send(&own.owner, "PATCH", &target, &json!({ "data": {} }));
            watch.refused(&answer, 400, "cas_required", mount);
            let answer = world.send(&own.owner, "POST", &format!("/v1/{mount}/data/app/db"), &json!({ "data": {} }));
            watch.refused(&answer, 400, REQUIRED, mount);
        }
        watch.end();
        let named = json!({ "data": { "value": "second" }, "cas": 2 });
        world.send(&own.owner, "PUT", &format!("{base}/secrets/secret/app/db"), &named).expect(200);
    }
}

#[test]
fn what_is_in_the_wrong_state_stays_in_it() {
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        let keys = format!("/api/v1/t/{}/accounts/{}/keys", own.slug, own.reader.id);
        let owner = format!("/api/v1/t/{}/members/{}", own.slug, own.owner.id);
        let admin = format!("/api/v1/t/{}/members/{}", own.slug, own.admin.id);
        let watch = Watch::on(&world, own, other);
        for key in [&own.revoked, &own.expired] {
            let answer = world.send(&own.owner, "POST", &format!("{keys}/{}/rotate", key.id), &Value::Null);
            watch.refused(&answer, 409, "wrong_state", "a dead key");
        }
        // The last owner stays, and so does whoever answers for accounts.
        for (method, body) in
            [("DELETE", Value::Null), ("PATCH", json!({ "role": "viewer" })), ("PATCH", json!({ "is_disabled": true }))]
        {
            let answer = world.send(&own.owner, method, &owner, &body);
            watch.refused(&answer, 409, "still_in_use", method);
        }
        watch.refused(
            &world.send(&own.owner, "DELETE", &admin, &Value::Null),
            409,
            "still_in_use",
            "an owner of accounts",
        );
        let operator = format!("/api/v1/operators/{}", world.platform.admin.id);
        let answer = world.send(&world.platform.admin, "DELETE", &operator, &Value::Null);
        watch.refused(&answer, 409, "still_in_use", "the last operator");
        let again = world.send("", "POST", "/api/v1/init", &json!({ "provider": "shamir" }));
        watch.refused(&again, 409, "wrong_state", "a second initialisation");
        watch.end();
    }
}
