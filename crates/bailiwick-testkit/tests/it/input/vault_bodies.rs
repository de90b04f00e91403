//! Bodies of the Vault door: lenient about types as Vault is, strict about JSON, and what fits nowhere is told.

use bailiwick_http::{DoorKind, Route};
use bailiwick_testkit::Answer;
use bailiwick_types::limits::JSON_DEPTH_MAX;

use super::{Asked, on_every_route};

fn takes_body(asked: &Asked<'_>) -> bool {
    !(asked.row.body)(&asked.sides).is_null()
}

fn is_vault(route: &Route) -> bool {
    route.door == DoorKind::Vault
}

fn send(asked: &Asked<'_>, body: &[u8]) -> Answer {
    let content_type = asked.row.content_type.unwrap_or("application/json");
    asked.at(&asked.own_aim().target).header("content-type", content_type).bytes(body.to_vec()).send()
}

/// Fails unless it is refused as JSON that does not decode, in Vault's words.
#[track_caller]
fn check_undecodable(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    assert!(answer.code().starts_with("failed to decode JSON input: "), "{what}: {}", answer.text());
}

#[test]
fn what_is_no_json_is_refused_at_the_vault_door() {
    let mut routes = 0;
    on_every_route(is_vault, |asked, watch| {
        if !takes_body(asked) {
            return;
        }
        routes += 1;
        let bad: &[&[u8]] = &[
            b"{",
            b"nope",
            b"{} {}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":01}",
            b"{\"a\":1e999}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\xff\"}",
            b"[]",
            b"7",
            b"\"x\"",
            b"{\"a\":1,\"a\":2}",
            b"{\"a\":{\"b\":1,\"\\u0062\":2}}",
        ];
        for body in bad {
            let what = format!("{} with {:?}", asked.name(), String::from_utf8_lossy(body));
            let answer = send(asked, body);
            check_undecodable(&answer, &what);
            watch.unchanged(&answer, &what);
        }
        for depth in [JSON_DEPTH_MAX + 1, 100_000] {
            let body = format!("{{\"data\":{}1{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
            let answer = send(asked, body.as_bytes());
            watch.refused(&answer, 400, "failed to decode JSON input: exceeded max depth", &asked.name());
        }
    });
    assert!(routes > 12, "{routes}");
}

/// Members of a body that a route reads, and values that they cannot have.
fn wrong_members(route: &Route) -> &'static [(&'static str, &'static [&'static str])] {
    const NO_LIST: &[&str] =
        &["{}", "\"x\"", "\"1,x\"", "[\"x\"]", "[[1]]", "[1.5]", "[{}]", "[]", "\"\"", "null", "[1e3]"];
    const NO_SETTINGS: &[(&str, &[&str])] = &[
        ("max_versions", &["\"x\"", "1.5", "-1", "4294967296", "[]", "{}", "18446744073709551616", "\"1 \""]),
        ("cas_required", &["\"yes\"", "2", "[]", "{}", "\"TrUe\""]),
        (
            "delete_version_after",
            &["\"abc\"", "\"-5s\"", "-1", "\"9999999h\"", "[]", "{}", "true", "\"1w\"", "99999999999999", "30.5"],
        ),
        ("metadata_cas_required", &["true"]),
    ];
    const NO_METADATA: &[(&str, &[&str])] = &[
        NO_SETTINGS[0],
        NO_SETTINGS[1],
        NO_SETTINGS[2],
        NO_SETTINGS[3],
        (
            "custom_metadata",
            &[
                "\"x\"",
                "7",
                "true",
                "[1]",
                "{\"a\":{}}",
                "{\"a\":[]}",
                "{\"a\":\"\"}",
                "{\"\":\"a\"}",
                "{\"a\":\"\\u0007\"}",
            ],
        ),
    ];
    const NO_DATA: &[(&str, &[&str])] = &[
        ("data", &["null", "\"x\"", "7", "[]", "true"]),
        ("options", &["\"x\"", "7", "true", "{\"cas\":\"x\"}", "{\"cas\":1.5}", "{\"cas\":[]}", "{\"cas\":{}}"]),
        (
            "options",
            &["{\"cas\":99}", "{\"cas\":-1}", "{\"cas\":9223372036854775808}", "{\"cas\":\"3\"}", "{\"cas\":0}"],
        ),
    ];
    match route.path {
        "/v1/{mount}/data/{*path}" => NO_DATA,
        "/v1/{mount}/delete/{*path}" | "/v1/{mount}/undelete/{*path}" | "/v1/{mount}/destroy/{*path}" => {
            &[("versions", NO_LIST)]
        }
        "/v1/{mount}/config" => NO_SETTINGS,
        "/v1/{mount}/metadata/{*path}" => NO_METADATA,
        "/v1/sys/mounts/{mount}" => &[
            ("type", &["null", "\"\"", "{}", "[]", "\"pki\"", "\"KV-V2\"", "7"]),
            (
                "options",
                &["\"x\"", "7", "{\"version\":\"1\"}", "{\"version\":1}", "{\"version\":{}}", "{\"version\":\"\"}"],
            ),
            ("description", &["{}", "[]"]),
        ],
        "/v1/sys/mounts/{mount}/tune" => {
            &[("description", &["{}", "[]", "\"\\u0007\""]), ("options", &["\"x\"", "7", "{\"version\":\"1\"}"])]
        }
        "/v1/sys/capabilities-self" => &[("paths", &["{}", "[]", "null", "\"\"", "[[1]]", "[{}]"])],
        "/v1/sys/init" => &[
            ("secret_shares", &["0", "-1", "256", "\"x\"", "1.5", "{}", "null"]),
            ("secret_threshold", &["0", "-1", "2", "\"x\"", "[]", "null"]),
            ("pgp_keys", &["[\"x\"]"]),
            ("recovery_shares", &["1"]),
        ],
        "/v1/sys/unseal" => &[("key", &["{}", "[]"])],
        _ => &[],
    }
}

#[test]
fn a_member_that_cannot_be_what_it_is_is_told_at_the_vault_door() {
    let mut cases = 0;
    on_every_route(is_vault, |asked, watch| {
        if !takes_body(asked) {
            return;
        }
        let members = wrong_members(asked.route);
        assert!(!members.is_empty(), "{}: which members can be wrong?", asked.name());
        let body = (asked.row.body)(&asked.sides);
        for (name, values) in members {
            for value in *values {
                let mut body = body.clone();
                body.as_object_mut().unwrap().remove(*name);
                let rest = body.to_string();
                let comma = if rest == "{}" { "" } else { "," };
                let bad = format!("{{\"{name}\":{value}{comma}{}", &rest[1..]);
                let answer = send(asked, bad.as_bytes());
                let what = format!("{} with {bad}", asked.name());
                assert_eq!(answer.status, 400, "{what}: {}", answer.text());
                watch.unchanged(&answer, &what);
                cases += 1;
            }
        }
    });
    assert!(cases > 120, "{cases}");
}

#[test]
fn a_patch_says_that_it_is_one() {
    let mut patches = 0;
    on_every_route(is_vault, |asked, watch| {
        if asked.route.method != "PATCH" || !takes_body(asked) {
            return;
        }
        patches += 1;
        let body = (asked.row.body)(&asked.sides).to_string();
        let target = asked.own_aim().target;
        for kind in ["application/json", "text/plain", "application/merge-patch", "application/json-patch+json", "x"] {
            let answer = asked.at(&target).header("content-type", kind).bytes(body.clone()).send();
            let wanted = format!("PATCH requires Content-Type of application/merge-patch+json, provided {kind}");
            watch.refused(&answer, 415, &wanted, &asked.name());
        }
        let answer = asked.at(&target).bytes(body).send();
        watch.refused(&answer, 400, "mime: no media type", &asked.name());
    });
    assert_eq!(patches, 2);
}
