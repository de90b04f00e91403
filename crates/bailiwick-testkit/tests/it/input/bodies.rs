//! Bodies of the native API: what is no JSON, what two parsers could read differently, and what does not fit the shape that
//! the route documents.

use bailiwick_http::{DoorKind, Route};
use bailiwick_testkit::{Answer, World};
use bailiwick_types::limits::JSON_DEPTH_MAX;
use serde_json::Value;

use super::schema::Document;
use super::{Asked, Watch, on_every_route};
use crate::routes::{Sides, is_write, routes_with_rows};

fn takes_body(route: &Route) -> bool {
    route.door == DoorKind::Api && route.body.is_some()
}

/// The rightful body, which may be no body at all.
fn rightful(asked: &Asked<'_>) -> Value {
    match (asked.row.body)(&asked.sides) {
        Value::Null => serde_json::json!({}),
        body => body,
    }
}

fn send(asked: &Asked<'_>, body: impl Into<Vec<u8>>) -> Answer {
    let request = asked.at(&asked.own_aim().target).header("content-type", "application/json");
    request.bytes(body.into()).send()
}

/// The rightful body with one more member, or another value for one that it has.
fn with_member(body: &Value, name: &str, value: &str) -> String {
    let members = body.as_object().unwrap().iter().filter(|(known, _)| *known != name);
    let mut parts: Vec<String> =
        members.map(|(name, value)| format!("{}:{value}", Value::from(name.as_str()))).collect();
    parts.push(format!("{}:{value}", Value::from(name)));
    format!("{{{}}}", parts.join(","))
}

#[test]
fn what_is_no_json_is_refused_at_every_route() {
    let routes = on_every_route(takes_body, |asked, watch| {
        let is_optional = (asked.row.body)(&asked.sides).is_null();
        let no_json: &[&[u8]] = &[
            b"{",
            b"}",
            b"nope",
            b"{} {}",
            b"{}\0",
            b"\xef\xbb\xbf{}",
            b"{'name':1}",
            b"{\"a\":1,}",
            b"{\"a\":01}",
            b"{\"a\":+1}",
            b"{\"a\":NaN}",
            b"{\"a\":1e999}",
            b"{\"a\":\"\n\"}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\xff\"}",
            b"{\"a\":\"\xc0\xaf\"}",
            b"{//\n}",
            b"name=x&role=viewer",
            b"<name>x</name>",
            b"[]",
            b"null",
            b"true",
            b"7",
            b"\"x\"",
            b" ",
        ];
        for bad in no_json {
            let what = format!("{} with {:?}", asked.name(), String::from_utf8_lossy(bad));
            watch.refused(&send(asked, *bad), 400, "invalid_json", &what);
        }
        if !is_optional {
            watch.refused(&send(asked, ""), 400, "invalid_json", &format!("{} without a body", asked.name()));
        }
    });
    assert!(routes > 35, "{routes}");
}

#[test]
fn what_two_parsers_could_read_differently_is_refused_at_every_route() {
    on_every_route(takes_body, |asked, watch| {
        let body = rightful(asked);
        let twice = match body.as_object().unwrap().iter().next() {
            Some((name, value)) => format!("{{{}:{value},{}", Value::from(name.as_str()), &body.to_string()[1..]),
            None => r#"{"x":1,"x":1}"#.to_owned(),
        };
        for bad in [twice.as_str(), r#"{"a":{"b":1,"b":1}}"#, r#"{"a":[{"b":1,"b":2}]}"#, r#"{"a":1,"\u0061":1}"#] {
            let what = format!("{} with {bad}", asked.name());
            watch.refused(&send(asked, bad), 400, "duplicate_member", &what);
        }
        let deep = |open: &str, close: &str, depth: usize| {
            format!("{{\"deep\":{}1{}}}", open.repeat(depth - 1), close.repeat(depth - 1))
        };
        for depth in [JSON_DEPTH_MAX + 1, 1_000, 100_000] {
            let what = format!("{} at depth {depth}", asked.name());
            watch.refused(&send(asked, deep("[", "]", depth)), 400, "nesting_too_deep", &what);
            watch.refused(&send(asked, deep("{\"a\":", "}", depth)), 400, "nesting_too_deep", &what);
        }
        // As deep as may be, it is looked into.
        let answer = send(asked, deep("[", "]", JSON_DEPTH_MAX));
        watch.refused(&answer, 400, "unknown_field", &asked.name());
        let surplus =
            ["surplus", "Name", "Data", "__proto__", "constructor", "", "\u{0}", "tenant", "id", "na\u{301}me"];
        for name in surplus {
            let bad = with_member(&body, name, "1");
            let what = format!("{} with {bad}", asked.name());
            watch.refused(&send(asked, bad), 400, "unknown_field", &what);
        }
    });
}

#[test]
fn every_documented_member_has_its_type_and_no_other() {
    let document = Document::of(&World::two_tenants());
    let mut cases = 0;
    on_every_route(takes_body, |asked, watch| {
        let body = rightful(asked);
        for member in document.members(asked.route).unwrap() {
            for value in &member.wrong {
                let bad = with_member(&body, &member.name, value);
                let answer = send(asked, bad.clone());
                let what = format!("{} with {bad}", asked.name());
                // What is inside may be called by its own name.
                let code = if value.contains(r#"{"surplus":"#) { "unknown_field" } else { "invalid_json" };
                watch.refused(&answer, 400, code, &what);
                assert!(!answer.text().contains("hunter2"), "{what} repeats a value: {}", answer.text());
                cases += 1;
            }
            if member.is_required {
                let mut without = body.clone();
                without.as_object_mut().unwrap().remove(&member.name);
                let what = format!("{} without {}", asked.name(), member.name);
                watch.refused(&send(asked, without.to_string()), 400, "invalid_json", &what);
            }
        }
    });
    assert!(cases > 1_500, "{cases}");
}

#[test]
fn a_content_type_is_json_or_not_said() {
    on_every_route(takes_body, |asked, watch| {
        let body = rightful(asked).to_string();
        let with = |kinds: &[&str]| {
            let mut request = asked.at(&asked.own_aim().target);
            for kind in kinds {
                request = request.header("content-type", kind);
            }
            request.bytes(body.clone()).send()
        };
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonx",
            "application/json-patch+json",
            "application/merge-patch+json",
            "text/json",
            "application/xml",
            "application/*",
            "json",
            "",
        ] {
            let what = format!("{} as {kind:?}", asked.name());
            watch.refused(&with(&[kind]), 415, "unsupported_media_type", &what);
        }
        let what = format!("{} as two", asked.name());
        watch.refused(&with(&["application/json", "application/json"]), 400, "invalid_request", &what);
        watch.refused(&with(&["application/json", "text/plain"]), 400, "invalid_request", &what);
    });
}

#[test]
fn after_everything_bad_the_rightful_request_is_done() {
    let count = World::two_tenants().server().routes().len();
    let mut world = World::two_tenants();
    let mut done = 0;
    for place in 0..count {
        let is_changed = {
            let (route, row) = routes_with_rows(&world).nth(place).unwrap();
            let (own, other) = world.both_ways()[place % 2];
            let sides = Sides { own, other, platform: &world.platform };
            let asked = Asked { world: &world, route, row, sides };
            if !takes_body(route) || asked.is_open() {
                continue;
            }
            let watch = Watch::on(&world, own, other);
            for bad in ["{", "[]", r#"{"x":1,"x":1}"#, r#"{"surplus":1}"#, r#"{"name":7}"#] {
                watch.unchanged(&send(&asked, bad), &asked.name());
            }
            watch.end();
            let kinds = ["application/json", "Application/JSON; charset=utf-8"];
            let body = rightful(&asked).to_string();
            let request = asked.at(&asked.own_aim().target).header("content-type", kinds[place / 2 % 2]);
            let answer = request.bytes(body).send();
            assert_eq!(answer.status, route.status, "{}: {}", asked.name(), answer.text());
            done += 1;
            is_write(route)
        };
        if is_changed {
            world = World::two_tenants();
        }
    }
    assert!(done > 35, "{done}");
}
