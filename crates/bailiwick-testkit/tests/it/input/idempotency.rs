//! The `Idempotency-Key`: what is none, what was used for another request, and whose it is.

use bailiwick_http::{Access, DoorKind, Route};
use bailiwick_testkit::{Answer, World};
use bailiwick_types::Sensitivity;
use bailiwick_types::limits::IDEMPOTENCY_KEY_BYTES_MAX;

use super::{Asked, on_every_route};
use crate::routes::{Sides, routes_with_rows};

#[test]
fn a_key_that_is_none_is_refused_at_every_route() {
    let long = "k".repeat(IDEMPOTENCY_KEY_BYTES_MAX + 1);
    on_every_route(
        |_| true,
        |asked, watch| {
            let with = |keys: &[&str]| {
                let mut request = asked.rightful();
                for key in keys {
                    request = request.header("idempotency-key", key);
                }
                request.send()
            };
            let cases: &[&[&str]] = &[&[""], &[&long], &["a\tb"], &["a b"], &[" a"], &["a", "a"], &["a", "b"]];
            for keys in cases {
                let answer = with(keys);
                let what = format!("{} with {keys:?}", asked.name());
                assert_eq!(answer.status, 400, "{what}: {}", answer.text());
                watch.unchanged(&answer, &what);
                if asked.route.door == DoorKind::Api {
                    assert_eq!(answer.code(), "invalid_request", "{what}");
                }
            }
        },
    );
}

/// Routes whose answers are kept for a repetition.
fn is_kept(route: &Route) -> bool {
    let is_change =
        |action: bailiwick_types::Action| matches!(action.sensitivity(), Sensitivity::Write | Sensitivity::Security);
    // What is streamed, out or in, is not kept: there a key is refused.
    let is_streamed = route.answer.is_none() || route.is_upload;
    route.door == DoorKind::Api && !is_streamed && matches!(route.access, Access::Action(action) if is_change(action))
}

/// The rightful request with a key, by somebody, with some white space behind the body that makes it another one.
fn with_key(asked: &Asked<'_>, key: &str, behind: &str) -> Answer {
    with_key_by(asked, asked.caller(), key, behind)
}

fn with_key_by(asked: &Asked<'_>, caller: &str, key: &str, behind: &str) -> Answer {
    let body = match (asked.row.body)(&asked.sides) {
        serde_json::Value::Null => String::new(),
        body => body.to_string(),
    };
    let target = asked.own_aim().target;
    let request = asked.world.request(asked.route.method, &target).by(caller).header("idempotency-key", key);
    request.header("content-type", "application/json").bytes(format!("{body}{behind}")).send()
}

#[test]
fn a_key_is_of_one_request_at_every_route_that_changes_something() {
    let count = World::two_tenants().server().routes().len();
    let mut tried = 0;
    for place in 0..count {
        let world = {
            let world = World::two_tenants();
            let (route, row) = routes_with_rows(&world).nth(place).unwrap();
            if !is_kept(route) {
                continue;
            }
            let (own, other) = world.both_ways()[place % 2];
            let sides = Sides { own, other, platform: &world.platform };
            let asked = Asked { world: &world, route, row, sides };
            let first = with_key(&asked, "once", "");
            assert_eq!(first.status, route.status, "{}: {}", asked.name(), first.text());
            tried += 1;
            // After some of these nobody is there any more to repeat them.
            let is_last_word =
                route.path.ends_with("/whoami/revoke") || route.path == "/api/v1/platform/seal" || is_sealing(route);
            if is_last_word {
                continue;
            }
            let again = with_key(&asked, "once", "");
            assert_eq!((again.status, &again.body), (first.status, &first.body), "{}", asked.name());
            // JSON means the same with a space behind it; another request it is all the same.
            let other_body = with_key(&asked, "once", " ");
            other_body.expect_refusal(422, "idempotency_mismatch");
            // Whose it is not, does not hear of it.
            for caller in [own.admin.as_ref(), own.bare.as_ref(), world.platform.viewer.as_ref()] {
                let theirs = with_key_by(&asked, caller, "once", " ");
                assert_ne!(theirs.code(), "idempotency_mismatch", "{}", asked.name());
            }
            world
        };
        let (own, other) = world.both_ways()[place % 2];
        // The other tenant has the key for itself, and for another body.
        let (route, row) = routes_with_rows(&world).nth(place).unwrap();
        if route.path.starts_with("/api/v1/t/") {
            let sides = Sides { own: other, other: own, platform: &world.platform };
            let theirs = with_key(&Asked { world: &world, route, row, sides }, "once", " ");
            let told = (theirs.status, theirs.code());
            assert!(theirs.status == route.status || told.1 == "invalid_json", "{}: {told:?}", route.name());
        }
    }
    assert!(tried > 40, "{tried}");
}

fn is_sealing(route: &Route) -> bool {
    route.path.ends_with("/keyring/seal") || route.path == "/api/v1/platform/root-key/rotate"
}

#[test]
fn a_key_as_long_as_may_be_is_one() {
    let world = World::two_tenants();
    let key: String = ('!'..='~').cycle().take(IDEMPOTENCY_KEY_BYTES_MAX).collect();
    let create = |name: &str| {
        let body = serde_json::json!({ "name": name, "owner": world.acme.admin.id });
        let request = world.request("POST", "/api/v1/t/acme/accounts").by(&world.acme.owner).json(&body);
        request.header("idempotency-key", &key).send()
    };
    let first = create("x").expect(201);
    assert_eq!(create("x").expect(201), first);
    create("y").expect_refusal(422, "idempotency_mismatch");
}
