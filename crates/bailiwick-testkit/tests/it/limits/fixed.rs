//! Limits that nobody sets: as much as may be is taken, and one more is refused, for every constant that there is.

use std::path::PathBuf;

use bailiwick_testkit::{Answer, Request, World};
use bailiwick_types::limits as fixed;
use serde_json::{Value, json};

/// Asks with so much of it.
type Ask = fn(&World, usize) -> Answer;

/// A constant, its value, and what one more is answered with.
struct Fixed {
    name: &'static str,
    most: usize,
    ask: Ask,
    refused: (u16, &'static str),
}

fn owner<'w>(world: &'w World, method: &str, path: &str) -> Request<'w> {
    world.request(method, &format!("/api/v1/t/acme/{path}")).by(&world.acme.owner)
}

fn patch(world: &World, body: &Value) -> Answer {
    owner(world, "PATCH", &format!("accounts/{}", world.acme.reader.id)).json(body).send()
}

fn custom(world: &World, name: usize, value: usize) -> Answer {
    let pairs = json!({ "n".repeat(name): "v".repeat(value) });
    owner(world, "PUT", "secret-metadata/secret/app/db").json(&json!({ "custom_metadata": pairs })).send()
}

fn many(count: usize) -> Value {
    (0..count).map(|at| (format!("name-{at}"), json!("value"))).collect::<serde_json::Map<_, _>>().into()
}

const INVALID: (u16, &str) = (400, "invalid_request");

fn all() -> Vec<Fixed> {
    let row = |name, most, refused, ask| Fixed { name, most, ask, refused };
    vec![
        row("LABELS_MAX", fixed::LABELS_MAX, INVALID, |world, n| patch(world, &json!({ "labels": many(n) }))),
        row("LABEL_NAME_BYTES_MAX", fixed::LABEL_NAME_BYTES_MAX, INVALID, |world, n| {
            patch(world, &json!({ "labels": { "n".repeat(n): "v" } }))
        }),
        row("LABEL_VALUE_BYTES_MAX", fixed::LABEL_VALUE_BYTES_MAX, INVALID, |world, n| {
            patch(world, &json!({ "labels": { "n": "v".repeat(n) } }))
        }),
        row("DISPLAY_NAME_BYTES_MAX", fixed::DISPLAY_NAME_BYTES_MAX, INVALID, |world, n| {
            patch(world, &json!({ "name": "n".repeat(n) }))
        }),
        row("DESCRIPTION_BYTES_MAX", fixed::DESCRIPTION_BYTES_MAX, INVALID, |world, n| {
            patch(world, &json!({ "description": "d".repeat(n) }))
        }),
        row("CUSTOM_METADATA_MAX", fixed::CUSTOM_METADATA_MAX, INVALID, |world, n| {
            let body = json!({ "custom_metadata": many(n) });
            owner(world, "PUT", "secret-metadata/secret/app/db").json(&body).send()
        }),
        row("CUSTOM_METADATA_NAME_BYTES_MAX", fixed::CUSTOM_METADATA_NAME_BYTES_MAX, INVALID, |world, n| {
            custom(world, n, 1)
        }),
        row("CUSTOM_METADATA_VALUE_BYTES_MAX", fixed::CUSTOM_METADATA_VALUE_BYTES_MAX, INVALID, |world, n| {
            custom(world, 1, n)
        }),
        row("SOURCE_NETWORKS_MAX", fixed::SOURCE_NETWORKS_MAX, INVALID, |world, n| {
            let networks: Vec<String> = (0..n).map(|at| format!("10.{at}.0.0/16")).collect();
            let keys = format!("accounts/{}/keys", world.acme.reader.id);
            owner(world, "POST", &keys).json(&json!({ "source_networks": networks })).send()
        }),
        row("JSON_DEPTH_MAX", fixed::JSON_DEPTH_MAX, (400, "nesting_too_deep"), |world, n| {
            // The body and its `data` are two of them.
            let body = format!("{{\"data\":{{\"deep\":{}{}}}}}", "[".repeat(n - 2), "]".repeat(n - 2));
            owner(world, "PUT", "secrets/secret/deep").bytes(body).send()
        }),
        row("URI_BYTES_MAX", fixed::URI_BYTES_MAX, (414, "uri_too_long"), |world, n| {
            let path = "ledger/entries?resource=";
            let rest = n - "/api/v1/t/acme/".len() - path.len();
            owner(world, "GET", &format!("{path}{}", "x".repeat(rest))).send()
        }),
        row("BODY_BYTES_MAX", fixed::BODY_BYTES_MAX, (413, "body_too_large"), |world, n| {
            owner(world, "PUT", "secrets/secret/large").bytes(format!("{{\"data\":{{}}{}}}", " ".repeat(n - 11))).send()
        }),
        row("IDEMPOTENCY_KEY_BYTES_MAX", fixed::IDEMPOTENCY_KEY_BYTES_MAX, INVALID, |world, n| {
            let body = json!({ "name": "renamed" });
            let request = owner(world, "PATCH", &format!("accounts/{}", world.acme.reader.id)).json(&body);
            request.header("idempotency-key", &"k".repeat(n)).send()
        }),
        row("PATH_BYTES_MAX", bailiwick_types::SecretPath::MAX_BYTES, (400, "invalid_path"), |world, n| {
            owner(world, "PUT", &format!("secrets/secret/{}", "p".repeat(n))).json(&json!({ "data": {} })).send()
        }),
    ]
}

#[test]
fn as_much_as_may_be_is_taken_and_one_more_is_refused() {
    let world = World::two_tenants();
    let theirs = world.stored(bailiwick_testkit::Plane::Tenant(&world.globex));
    for Fixed { name, most, ask, refused } in all() {
        let taken = ask(&world, most);
        assert!(matches!(taken.status, 200 | 201), "{name}: {most}: {}", taken.text());
        let before = world.stored(bailiwick_testkit::Plane::Tenant(&world.acme)).records;
        for more in [most + 1, most * 2] {
            let answer = ask(&world, more);
            assert_eq!((answer.status, answer.code().as_str()), refused, "{name}: {more}: {}", answer.text());
        }
        let after = world.stored(bailiwick_testkit::Plane::Tenant(&world.acme)).records;
        assert!(before == after, "{name}: something changed");
    }
    assert!(theirs == world.stored(bailiwick_testkit::Plane::Tenant(&world.globex)));
}

#[test]
fn a_page_without_a_size_has_the_usual_one() {
    let world = World::two_tenants();
    for n in 0..=fixed::PAGE_SIZE_DEFAULT {
        owner(&world, "PUT", &format!("secret-metadata/secret/many/{n:03}"))
            .json(&json!({ "max_versions": 1 }))
            .send()
            .expect(200);
    }
    let page = owner(&world, "GET", "secrets/secret/many/").send().expect(200);
    assert_eq!(page["items"].as_array().unwrap().len() as u64, fixed::PAGE_SIZE_DEFAULT);
    assert!(page["next"].is_string());
}

#[test]
fn every_constant_has_a_case() {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../bailiwick-types/src/limits.rs"].iter().collect();
    let source = std::fs::read_to_string(path).unwrap();
    let names = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next());
    let tested = all();
    let left: Vec<&str> =
        names.filter(|name| *name != "PAGE_SIZE_DEFAULT" && !tested.iter().any(|fixed| fixed.name == *name)).collect();
    assert!(left.is_empty(), "constants that no test runs into: {left:?}");
}
