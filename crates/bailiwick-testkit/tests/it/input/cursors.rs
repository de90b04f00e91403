//! Page cursors that are no cursor of this list, this caller, this question and this key: bad input, all alike.

use std::collections::BTreeSet;

use bailiwick_http::DoorKind;
use bailiwick_testkit::{Answer, Tenant, World};
use serde_json::json;

use super::{Asked, Watch, on_every_route_after};
use crate::routes::{Sides, aims, routes_with_rows};

/// Enough of everything that each list of a tenant has a second page.
fn fill(world: &World, own: &Tenant) {
    let base = format!("/api/v1/t/{}", own.slug);
    let make = |path: &str, body| world.send(&own.owner, "POST", &format!("{base}/{path}"), &body).expect(201);
    make("bindings", json!({ "principal": own.reader.id, "role": "viewer" }));
    make(&format!("members/{}/credentials", own.viewer.id), json!({}));
    world.send(&own.owner, "PUT", &format!("{base}/secrets/secret/app/x/y"), &json!({ "data": {} })).expect(200);
}

/// And that of the platform.
fn fill_all(world: &World, own: &Tenant) {
    fill(world, own);
    let admin = &world.platform.admin;
    let text = r#"forbid(principal, action == Action::"secret:purge", resource);"#;
    world.send(admin, "POST", "/api/v1/guardrails", &json!({ "name": "second", "text": text })).expect(201);
    let credentials = format!("/api/v1/operators/{}/credentials", world.platform.viewer.id);
    world.send(admin, "POST", &credentials, &json!({})).expect(201);
}

fn with(asked: &Asked<'_>, cursor: &str, more: &str) -> Answer {
    let own = asked.own_aim().target;
    asked.at(&format!("{own}?limit=1{more}&cursor={cursor}")).send()
}

/// Everything that is nearly the cursor.
fn spoiled(cursor: &str) -> Vec<String> {
    let mut all = vec![
        cursor[1..].to_owned(),
        format!("{cursor}A"),
        format!("{cursor}AAAA"),
        format!("{cursor}="),
        format!("{cursor}%00"),
        format!("%20{cursor}"),
        format!("{cursor}{cursor}"),
        cursor.chars().rev().collect(),
    ];
    all.extend([1, 4, 10, cursor.len() / 2, cursor.len() - 1].map(|cut| cursor[..cursor.len() - cut].to_owned()));
    for at in (0..cursor.len()).step_by(cursor.len() / 6) {
        let other = if cursor.as_bytes()[at] == b'A' { "B" } else { "A" };
        all.push(format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]));
    }
    all
}

#[test]
fn a_cursor_that_was_changed_in_any_way_is_none() {
    let mut lists = BTreeSet::new();
    let is_paged = |route: &bailiwick_http::Route| {
        route.door == DoorKind::Api && route.query.iter().any(|query| query.name == "cursor")
    };
    on_every_route_after(fill_all, is_paged, |asked: &Asked<'_>, watch: &Watch<'_>, ()| {
        let page = asked.at(&format!("{}?limit=1", asked.own_aim().target)).send().expect(200);
        let Some(next) = page["next"].as_str().map(str::to_owned) else { return };
        for bad in spoiled(&next) {
            watch.refused(&with(asked, &bad, ""), 400, "invalid_cursor", &format!("{} {bad}", asked.name()));
        }
        with(asked, &next, "").expect(200);
        // Another question: other items would be left out than the reader thinks.
        for query in asked.route.query.iter().map(|query| query.name) {
            let more = match query {
                "kind" => "&kind=agent".to_owned(),
                "label" => "&label=team=payments".to_owned(),
                "owner" => format!("&owner={}", asked.sides.own.admin.id),
                "principal" => format!("&principal={}", asked.sides.own.reader.id),
                "state" => "&state=active".to_owned(),
                "order" => "&order=desc".to_owned(),
                "outcome" => "&outcome=ok".to_owned(),
                "decision" => "&decision=allow".to_owned(),
                "action" => "&action=secret:".to_owned(),
                "actor" | "resource" | "request" => format!("&{query}=x"),
                "since" | "until" => format!("&{query}=2026-01-01T00:00:00Z"),
                "wait" => "&wait=0".to_owned(),
                _ => continue,
            };
            watch.refused(&with(asked, &next, &more), 400, "invalid_cursor", &format!("{}{more}", asked.name()));
        }
        lists.insert(asked.name());
    });
    assert!(lists.len() >= 14, "{lists:?}");
}

#[test]
fn a_cursor_ends_with_the_key_that_made_it() {
    for side in 0..2 {
        let world = World::two_tenants();
        let (own, other) = world.both_ways()[side];
        let base = |tenant: &Tenant| format!("/api/v1/t/{}", tenant.slug);
        let next = |tenant: &Tenant, list: &str| {
            let page = world.get(&tenant.owner, &format!("{}/{list}?limit=1", base(tenant))).expect(200);
            page["next"].as_str().unwrap().to_owned()
        };
        let lists = ["accounts", "members", "mounts", "policies", "secrets/secret", "ledger/entries"];
        let cursors: Vec<(String, String)> = lists.iter().map(|list| (next(own, list), next(other, list))).collect();
        let rotate = |purpose: &str| {
            let body = json!({ "purpose": purpose });
            world.send(&own.owner, "POST", &format!("{}/keyring/rotate", base(own)), &body).expect(200);
        };
        let go_on = |tenant: &Tenant, list: &str, cursor: &str| {
            world.get(&tenant.owner, &format!("{}/{list}?limit=1&cursor={cursor}", base(tenant)))
        };
        // Other keys are not what it was made with.
        rotate("records");
        for (list, (own_cursor, _)) in lists.iter().zip(&cursors) {
            go_on(own, list, own_cursor).expect(200);
        }
        rotate("cursors");
        for (list, (own_cursor, other_cursor)) in lists.iter().zip(&cursors) {
            go_on(own, list, own_cursor).expect_refusal(400, "invalid_cursor");
            go_on(own, list, &next(own, list)).expect(200);
            // The other tenant's go on.
            go_on(other, list, other_cursor).expect(200);
            go_on(own, list, other_cursor).expect_refusal(400, "invalid_cursor");
        }
    }
}

#[test]
fn a_cursor_of_somebody_else_is_none_whoever_may_read_the_list() {
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        fill(&world, own);
        let sides = Sides { own, other, platform: &world.platform };
        for (route, row) in routes_with_rows(&world) {
            let is_list =
                route.path.starts_with("/api/v1/t/") && route.query.iter().any(|query| query.name == "cursor");
            if !is_list {
                continue;
            }
            let target = aims(route, row, &sides).remove(0).target;
            let page = world.get(&own.owner, &format!("{target}?limit=1")).expect(200);
            let Some(next) = page["next"].as_str() else { continue };
            let next = format!("{target}?limit=1&cursor={next}");
            let answer = world.get(&own.admin, &next);
            answer.expect_refusal(400, "invalid_cursor");
            world.get(&own.owner, &next).expect(200);
        }
    }
}
