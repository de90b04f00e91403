//! Paths and namespaces of the Vault door: as at the native API, in Vault's words.

use bailiwick_http::{DoorKind, Route};
use bailiwick_testkit::World;
use bailiwick_types::Plane;

use super::paths::{NO_NAMES, ONLY_PATHS, UNREADABLE, with};
use super::{Asked, on_every_route, parameters};
use crate::routes::STRAY;

const REFUSED: &str = "1 error occurred:\n\t* permission denied\n\n";

fn is_vault(route: &Route) -> bool {
    route.door == DoorKind::Vault && route.summary != STRAY
}

/// What a text that is no name is answered with.
fn expected(route: &Route, parameter: &str, is_dots: bool) -> u16 {
    let manages_mounts = route.path.starts_with("/v1/sys/mounts/");
    match parameter {
        // `.` and `..` are refused wherever they stand.
        _ if is_dots => 400,
        "path" if route.path.contains("/internal/ui/") => 403,
        "path" => 400,
        // To unmount what is not mounted is to have done it.
        "mount" if manages_mounts && route.method == "DELETE" => 204,
        "mount" if manages_mounts => 400,
        "mount" => 404,
        other => panic!("{}: what is `{other}`?", route.name()),
    }
}

#[test]
fn a_text_that_is_no_name_names_nothing_at_the_vault_door() {
    let mut cases = 0;
    on_every_route(is_vault, |asked, watch| {
        for parameter in parameters(asked.route.path) {
            let mut check = |text: &str, status: u16, what: &str| {
                cases += 1;
                let target = with(asked, parameter, text);
                let content_type = asked.row.content_type.unwrap_or("application/json");
                let body = (asked.row.body)(&asked.sides);
                let request = asked.at(&target).json(&body).replace_header("content-type", content_type);
                let answer = request.send();
                let what = format!("{} {target} ({what})", asked.name());
                assert_eq!(answer.status, status, "{what}: {}", answer.text());
                watch.untouched(&what);
            };
            for (what, text) in UNREADABLE {
                check(text, 400, what);
            }
            for (what, text) in NO_NAMES {
                let is_dots = what.starts_with("the folder");
                check(text, expected(asked.route, parameter, is_dots), what);
            }
            let long = "a".repeat(2_000);
            check(&long, expected(asked.route, parameter, false), "long");
            if parameter == "mount" {
                for (what, text) in ONLY_PATHS {
                    check(text, expected(asked.route, parameter, false), what);
                }
            }
        }
    });
    assert!(cases > 800, "{cases}");
}

#[test]
fn a_path_of_the_vault_door_has_one_reading() {
    on_every_route(is_vault, |asked, watch| {
        let own = asked.own_aim().target;
        let segments: Vec<&str> = own.split('/').collect();
        for at in 2..segments.len() {
            for inserted in ["", ".", "..", "%2e%2E", "x/.."] {
                if inserted.is_empty() && segments[at].is_empty() {
                    continue;
                }
                let mut changed = segments.clone();
                changed.insert(at, inserted);
                let target = changed.join("/");
                let answer = asked.at(&target).send();
                assert_eq!(answer.status, 400, "{target}: {}", answer.text());
                watch.unchanged(&answer, &target);
            }
        }
        // A double slash before the door leads to no door.
        for prefix in ["/", "/.", "/api/..", "/%76%31/.."] {
            let answer = asked.at(&format!("{prefix}{own}")).send();
            watch.unchanged(&answer, &format!("{prefix}{own}"));
        }
    });
}

#[test]
fn a_namespace_has_one_spelling() {
    let is_tenants = |route: &Route| route.door == DoorKind::Vault && route.plane() == Some(Plane::Tenant);
    let is_refused_by_grammar =
        |asked: &Asked<'_>| matches!(asked.route.method, "POST" | "PATCH") && asked.route.path.ends_with('/');
    let asked = on_every_route(is_tenants, |asked, watch| {
        let (own, other) = (asked.sides.own.slug.as_str(), asked.sides.other.slug.as_str());
        let target = asked.own_aim().target;
        let spellings = [
            other.to_owned(),
            own.to_uppercase(),
            format!("{own}/{other}"),
            format!("{own}/team"),
            format!("../{own}"),
            format!("{own}%2f"),
            format!("{own},{other}"),
            format!("{own};"),
            format!("{own}."),
            "root".to_owned(),
            "*".to_owned(),
            asked.sides.own.id.to_uppercase(),
        ];
        for spelling in &spellings {
            let send = |values: &[&str]| {
                let mut request = asked.world.request(asked.route.method, &target).by(asked.caller());
                for value in values {
                    request = request.header("x-vault-namespace", value);
                }
                request.send()
            };
            for values in [&[spelling.as_str()][..], &[own, spelling], &[spelling, own]] {
                let answer = send(values);
                let what = format!("{} in {values:?}", asked.name());
                if is_refused_by_grammar(asked) {
                    watch.unchanged(&answer, &what);
                } else if asked.route.path.contains("/internal/ui/mounts/{") {
                    assert_eq!(answer.status, 403, "{what}");
                    watch.unchanged(&answer, &what);
                } else {
                    watch.refused(&answer, 403, REFUSED, &what);
                }
            }
        }
    });
    assert!(asked > 80, "{asked}");
}

#[test]
fn a_namespace_is_looked_at_before_the_input() {
    // What is wrong with a request for another tenant is nobody's business but that tenant's.
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        for (method, target, body) in [
            ("POST", "/v1/secret/data/app/db", "{"),
            ("POST", "/v1/secret/delete/app/db", r#"{"versions":"x"}"#),
            ("POST", "/v1/sys/mounts/x", r#"{"type":7}"#),
            ("GET", "/v1/secret/data/app/db?version=x", ""),
        ] {
            let request = world.request(method, target).by(&own.owner).header("x-vault-namespace", &other.slug);
            request.bytes(body).send().expect_refusal(403, REFUSED);
        }
        for (method, path, body) in [
            ("POST", "accounts", "{"),
            ("PUT", "secrets/-/%00", "[]"),
            ("GET", "accounts?surplus=1", ""),
            ("GET", "ledger/entries?cursor=x", ""),
        ] {
            let target = format!("/api/v1/t/{}/{path}", other.slug);
            world.request(method, &target).by(&own.owner).bytes(body).send().expect_refusal(404, "not_found");
        }
    }
}
