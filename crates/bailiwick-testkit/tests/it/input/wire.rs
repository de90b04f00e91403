//! Bodies as the wire has them: too large, without an end that is known before, or with two.

use bailiwick_http::{DoorKind, Route};
use bailiwick_testkit::World;
use bailiwick_types::limits::BODY_BYTES_MAX;
use serde_json::json;

use super::on_every_route;

/// The Vault door refuses to write to folders before it reads anything.
fn is_refused_by_grammar(route: &Route) -> bool {
    route.door == DoorKind::Vault && matches!(route.method, "POST" | "PATCH") && route.path.ends_with('/')
}

#[test]
fn a_body_over_the_limit_is_refused_declared_or_not() {
    let large = bytes::Bytes::from(vec![b' '; BODY_BYTES_MAX + 1]);
    on_every_route(
        // A stream has a limit of its own: `a_body_that_breaks_off_or_is_too_large_is_refused`.
        |route| !route.is_upload,
        |asked, watch| {
            let length = large.len().to_string();
            let request = || asked.at(&asked.own_aim().target).header("content-type", "application/json");
            let declared = request().header("content-length", &length).bytes(large.clone()).send();
            let chunked =
                request().header("transfer-encoding", "chunked").bytes(large.clone()).in_pieces(65_536).send();
            for answer in [declared, chunked] {
                if is_refused_by_grammar(asked.route) {
                    watch.unchanged(&answer, &asked.name());
                    continue;
                }
                assert_eq!(answer.status, 413, "{}: {}", asked.name(), answer.text());
                watch.unchanged(&answer, &asked.name());
                if asked.route.door == DoorKind::Api {
                    answer.expect_refusal(413, "body_too_large");
                }
            }
        },
    );
}

#[test]
fn a_body_of_two_lengths_is_refused_before_it_is_read() {
    on_every_route(
        |_| true,
        |asked, watch| {
            let request = asked.rightful().header("transfer-encoding", "chunked").header("content-length", "2");
            let answer = request.send();
            assert_eq!(answer.status, 400, "{}: {}", asked.name(), answer.text());
            watch.unchanged(&answer, &asked.name());
        },
    );
}

#[test]
fn a_body_without_a_length_is_read_to_its_end() {
    let world = World::two_tenants();
    for (own, _) in world.both_ways() {
        let body = json!({ "data": { "value": "x".repeat(200_000) } }).to_string();
        for (method, target, member) in [
            ("PUT", format!("/api/v1/t/{}/secrets/secret/pieces", own.slug), "version"),
            ("POST", "/v1/secret/data/pieces".to_owned(), "data"),
        ] {
            let request = world.request(method, &target).by(&own.owner).header("transfer-encoding", "chunked");
            let written = request.bytes(body.clone()).in_pieces(1_000).send().expect(200);
            assert!(!written[member].is_null(), "{written}");
        }
        let read = world.get(&own.owner, &format!("/api/v1/t/{}/secrets/secret/pieces", own.slug)).expect(200);
        assert_eq!((&read["version"]["version"], read["data"]["value"].as_str().unwrap().len()), (&json!(2), 200_000));
    }
}

#[test]
fn a_body_that_is_cut_off_is_not_taken_for_a_whole() {
    let world = World::two_tenants();
    let target = "/api/v1/t/acme/secrets/secret/app/db";
    let watch = super::Watch::on(&world, &world.acme, &world.globex);
    for target in [target, "/v1/secret/data/app/db"] {
        let method = if target.starts_with("/v1") { "POST" } else { "PUT" };
        // The piece that arrived is a whole document.
        let request = world.request(method, target).by(&world.acme.owner).header("content-type", "application/json");
        let answer = request.bytes(r#"{"data":{}}"#).cut_off().send();
        assert_eq!(answer.status, 400, "{}", answer.text());
        watch.unchanged(&answer, target);
    }
    watch.end();
}
