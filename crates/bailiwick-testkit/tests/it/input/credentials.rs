//! Credentials that are none, or not good, or two: what every route of both doors says to them.

use bailiwick_http::{DoorKind, Route};
use bailiwick_testkit::{Answer, Tenant, World};
use bailiwick_types::Clock;
use serde_json::{Value, json};

use super::{Asked, on_every_route, on_every_route_after};
use crate::routes::{forged_of, is_open, is_write};

const NO_KEY: &str = "key_0123456789abcdefghjkmnpqrg";
const NO_TENANT: &str = "ten_0123456789abcdefghjkmnpqrg";

/// Good keys that may not be used: of an account that is disabled, of one that has expired, and from another network.
struct Unusable {
    disabled: String,
    expired: String,
    elsewhere: String,
}

fn unusable(world: &World, own: &Tenant) -> Unusable {
    let accounts = format!("/api/v1/t/{}/accounts", own.slug);
    let account = |more: &Value| {
        let mut body = json!({ "name": "unusable", "owner": own.admin.id });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.send(&own.owner, "POST", &accounts, &body).expect(201)["id"].as_str().unwrap().to_owned()
    };
    let key = |account: &str, body: &Value| {
        let issued = world.send(&own.owner, "POST", &format!("{accounts}/{account}/keys"), body).expect(201);
        issued["credential"].as_str().unwrap().to_owned()
    };
    let disabled = account(&json!({}));
    let soon = world.clock.now().plus(std::time::Duration::from_secs(1));
    let expiring = account(&json!({ "expires": soon.to_string() }));
    let made = Unusable {
        disabled: key(&disabled, &Value::Null),
        expired: key(&expiring, &Value::Null),
        elsewhere: key(&own.bare.id, &json!({ "source_networks": ["10.0.0.0/8", "2001:db8::/32"] })),
    };
    let body = json!({ "is_disabled": true });
    world.send(&own.owner, "PATCH", &format!("{accounts}/{disabled}"), &body).expect(200);
    world.advance(std::time::Duration::from_secs(3_600));
    made
}

/// Whether the Vault door refuses before it looks at anything.
fn is_refused_by_grammar(route: &Route) -> bool {
    route.door == DoorKind::Vault && matches!(route.method, "POST" | "PATCH") && route.path.ends_with('/')
}

/// A credential with its last character, or another, replaced.
fn mistyped(text: &str, at: usize) -> String {
    let wrong = if text.as_bytes()[at] == b'0' { "1" } else { "0" };
    format!("{}{wrong}{}", &text[..at], &text[at + 1..])
}

fn is_credentialed(route: &Route) -> bool {
    !is_open(route) && !is_refused_by_grammar(route)
}

#[test]
fn every_route_refuses_every_credential_that_is_not_good() {
    let routes = on_every_route_after(unusable, is_credentialed, |asked, watch, unusable| {
        let (own, other) = (asked.sides.own, asked.sides.other);
        let good = asked.caller();
        let bearer = |text: &str| format!("Bearer {text}");
        let cases: Vec<(String, u16, &str)> = vec![
            ("Basic dXNlcjpwYXNz".to_owned(), 401, "unauthenticated"),
            (good.to_owned(), 401, "credential_malformed"),
            ("Bearer".to_owned(), 401, "credential_malformed"),
            (bearer(""), 401, "credential_malformed"),
            (bearer("bwk_"), 401, "credential_malformed"),
            (bearer("hvs.CAESIJ"), 401, "credential_malformed"),
            (bearer(&good.to_uppercase()), 401, "credential_malformed"),
            (bearer(&good[..good.len() - 1]), 401, "credential_malformed"),
            (bearer(&format!("{good}0")), 401, "credential_malformed"),
            (bearer(&format!("{good} {good}")), 401, "credential_malformed"),
            (bearer(&good.replacen("bw", "ww", 1)), 401, "credential_malformed"),
            (bearer(&own.owner.key.credential.replacen("bwk_", "bwo_", 1)), 401, "credential_malformed"),
            (
                bearer(&asked.world.platform.admin.key.credential.replacen("bwo_", "bwk_", 1)),
                401,
                "credential_malformed",
            ),
            (bearer(&mistyped(good, 12)), 401, "credential_checksum"),
            (bearer(&mistyped(good, good.len() - 3)), 401, "credential_checksum"),
            (bearer(&forged_of(NO_TENANT, NO_KEY)), 401, "credential_invalid"),
            (bearer(&forged_of(&own.id, NO_KEY)), 401, "credential_invalid"),
            (bearer(&forged_of(&own.id, &own.owner.key.id)), 401, "credential_invalid"),
            (bearer(&forged_of(&own.id, &other.owner.key.id)), 401, "credential_invalid"),
            (bearer(&own.revoked.credential), 401, "credential_revoked"),
            (bearer(&own.expired.credential), 401, "credential_expired"),
            (bearer(&unusable.disabled), 401, "principal_disabled"),
            (bearer(&unusable.expired), 401, "principal_disabled"),
            (bearer(&unusable.elsewhere), 401, "source_not_allowed"),
        ];
        for (value, status, code) in &cases {
            let answer = bare(asked).header("authorization", value).send();
            let what = format!("{} with `{}…`", asked.name(), value.chars().take(12).collect::<String>());
            check(asked, &answer, *status, code, &what);
            watch.unchanged(&answer, &what);
        }
        let two = |one: &str, other: &str| {
            bare(asked).header("authorization", &bearer(one)).header("authorization", &bearer(other)).send()
        };
        for answer in [two(good, good), two(good, "bwk_x"), two("bwk_x", good), two(good, other.owner.as_ref())] {
            check(asked, &answer, 401, "credential_malformed", &format!("{} with two", asked.name()));
            watch.unchanged(&answer, &asked.name());
        }
        check(asked, &bare(asked).send(), 401, "unauthenticated", &asked.name());
        watch.untouched(&asked.name());
    });
    assert!(routes > 150, "{routes}");
}

/// The rightful request without a credential.
fn bare<'w>(asked: &Asked<'w>) -> bailiwick_testkit::Request<'w> {
    let aim = asked.own_aim();
    let request = asked.world.request(asked.route.method, &aim.target).json(&(asked.row.body)(&asked.sides));
    match &aim.namespace {
        Some(namespace) => request.header("x-vault-namespace", namespace),
        None => request,
    }
}

/// Each door in its own words; the Vault door has one for all of them.
#[track_caller]
fn check(asked: &Asked<'_>, answer: &Answer, status: u16, code: &str, what: &str) {
    if asked.route.door == DoorKind::Vault {
        assert_eq!((answer.status, answer.code().as_str()), (403, "permission denied"), "{what}: {}", answer.text());
        return;
    }
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{what}: {}", answer.text());
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
}

#[test]
fn of_two_credentials_that_differ_one_counts_always_the_same_one() {
    let is_read = |route: &Route| is_credentialed(route) && !is_write(route) && route.method == "GET";
    let routes = on_every_route(is_read, |asked, watch| {
        let good = asked.caller();
        let other = asked.sides.other.owner.as_ref();
        let send = |bearer: Option<&str>, token: Option<&str>| {
            let mut request = bare(asked);
            if let Some(text) = bearer {
                request = request.header("authorization", &format!("Bearer {text}"));
            }
            if let Some(text) = token {
                request = request.header("x-vault-token", text);
            }
            let answer = request.send();
            watch.untouched(&asked.name());
            (answer.status, answer.code())
        };
        match asked.route.door {
            // The native API knows no other header.
            DoorKind::Api => {
                let alone = send(Some(good), None);
                for token in [other, "bwk_x", ""] {
                    assert_eq!(send(Some(good), Some(token)), alone, "{}", asked.name());
                }
                assert_eq!(send(None, Some(good)).1, "unauthenticated", "{}", asked.name());
                assert_eq!(send(Some("bwk_x"), Some(good)).1, "credential_malformed", "{}", asked.name());
            }
            // The Vault door takes its own header, whatever the other says, and never falls back from a bad one.
            _ => {
                let alone = send(None, Some(good));
                for bearer in [other, "bwk_x"] {
                    assert_eq!(send(Some(bearer), Some(good)), alone, "{}", asked.name());
                }
                assert_eq!(send(Some(good), Some("")), alone, "{}", asked.name());
                assert_eq!(send(Some(good), Some("bwk_x")), (403, "permission denied".to_owned()), "{}", asked.name());
            }
        }
    });
    assert!(routes > 40, "{routes}");
}

#[test]
fn a_key_that_was_refused_from_elsewhere_works_from_where_it_may() {
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        let key = unusable(&world, own).elsewhere;
        let theirs = world.header(bailiwick_testkit::Plane::Tenant(other));
        let ask =
            |peer: &str| world.request("GET", &format!("/api/v1/t/{}/whoami", own.slug)).by(&key).from(peer).send();
        for peer in ["10.1.2.3:1", "[::ffff:10.1.2.3]:1", "[2001:db8::1]:1"] {
            ask(peer).expect(200);
        }
        for peer in ["11.0.0.1:1", "[::ffff:11.0.0.1]:1", "[2001:db9::1]:1", "[::10.1.2.3]:1", "127.0.0.1:1"] {
            ask(peer).expect_refusal(401, "source_not_allowed");
        }
        // What a proxy says that nobody vouches for is nothing.
        let request = world.request("GET", &format!("/api/v1/t/{}/whoami", own.slug)).by(&key).from("11.0.0.1:1");
        let claims = request.header("x-forwarded-for", "10.1.2.3").header("forwarded", "for=10.1.2.3").send();
        claims.expect_refusal(401, "source_not_allowed");
        assert_eq!(world.header(bailiwick_testkit::Plane::Tenant(other)), theirs);
    }
}
