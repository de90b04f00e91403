//! Paths of the native API: every parameter of every route with every kind of name that is none, and every way to write a
//! path that could be read as another.

use bailiwick_http::{DoorKind, Route};
use bailiwick_testkit::{Answer, World};
use bailiwick_types::limits::URI_BYTES_MAX;

use super::{Asked, Watch, on_every_route, parameters};

/// How a route reads a parameter, which decides what a text is called that is no such thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// An id or name of what must exist: what is none cannot exist.
    Thing,
    /// A name that may be made by this: what is none is a mistake.
    Name,
    /// A secret's path.
    Path,
    /// The tenant, which may only be restated.
    Tenant,
}

fn reading(route: &Route, name: &str) -> Reading {
    let is_secret = route.path.contains("/secrets/") || route.path.contains("/secret-");
    match name {
        "tenant" => Reading::Tenant,
        "path" => Reading::Path,
        "mount" if is_secret => Reading::Name,
        _ if route.method == "PUT" && route.path.ends_with(&format!("{{{name}}}")) => Reading::Name,
        _ => Reading::Thing,
    }
}

/// What somebody is told whose text cannot be read as a segment at all, whatever it stands for.
pub(super) const UNREADABLE: &[(&str, &str)] = &[
    ("an encoded slash", "a%2Fb"),
    ("an encoded slash in small letters", "a%2fb"),
    ("an encoded way up", "..%2F.."),
    ("overlong UTF-8 of a dot", "%c0%ae%c0%ae"),
    ("overlong UTF-8 of a slash", "a%c0%afb"),
    ("an overlong NUL", "a%c0%80"),
    ("half a character", "%c3"),
    ("no UTF-8", "%ff%fe"),
    ("half of a surrogate pair", "%ed%a0%80"),
    ("a percent sign", "%"),
    ("half an escape", "a%2"),
    ("no escape", "%zz"),
    ("an escape with a sign", "%+f"),
];

/// Texts that are no name of anything, and no path either.
pub(super) const NO_NAMES: &[(&str, &str)] = &[
    ("the folder itself", "."),
    ("the folder above", ".."),
    ("the folder above, escaped", "%2e%2e"),
    ("the folder above, half escaped", ".%2E"),
    ("NUL", "a%00b"),
    ("a line break", "a%0Ab"),
    ("a carriage return", "a%0d"),
    ("an escape sequence", "%1b%5b31m"),
    ("delete", "a%7f"),
    ("a control character beyond ASCII", "a%c2%85"),
    ("a letter and its accent apart", "e%cc%81"),
    ("nothing that is seen", "a%e2%80%8bb"),
    ("right to left", "a%e2%80%aeb"),
    ("a mark of byte order", "%ef%bb%bfa"),
    ("a soft hyphen", "a%c2%adb"),
];

/// Texts that may stand in a secret's path, and are no name of anything else.
pub(super) const ONLY_PATHS: &[(&str, &str)] = &[
    ("escaped twice", "%252e%252e"),
    ("a slash escaped twice", "a%252Fb"),
    ("full width", "%ef%bd%81%ef%bd%83%ef%bd%8d%ef%bd%85"),
    ("a letter that looks like another", "%d0%b0cme"),
    ("a backslash", "..%5c.."),
    ("a space before", "%20acme"),
    ("a space behind", "acme%20"),
    ("a question mark", "a%3Fb"),
    ("a hash", "a%23b"),
    ("a semicolon", "a;b=c"),
    ("a quotation mark", "%22"),
    ("SQL", "'%20OR%20''='"),
    ("Cedar", "%22)%20||%20true"),
];

fn expected(reading: Reading) -> (u16, &'static str) {
    match reading {
        Reading::Thing | Reading::Tenant => (404, "not_found"),
        Reading::Name => (400, "invalid_name"),
        Reading::Path => (400, "invalid_path"),
    }
}

/// The route's path with this text for one parameter, and its own things for the others.
pub(super) fn with(asked: &Asked<'_>, parameter: &str, text: &str) -> String {
    let target = asked.own_aim().target;
    let own: Vec<&str> = target.split('?').next().unwrap().trim_end_matches('/').split('/').collect();
    let mut out = Vec::new();
    for (at, segment) in asked.route.path.trim_end_matches('/').split('/').enumerate() {
        match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
            Some(name) if name.trim_start_matches('*') == parameter => out.push(text),
            // The rest, which may be several segments.
            Some(name) if name.starts_with('*') => out.extend(&own[at..]),
            _ => out.push(own[at]),
        }
    }
    let slash = if asked.route.path.ends_with('/') { "/" } else { "" };
    format!("{}{slash}{}", out.join("/"), asked.row.query)
}

/// The rightful request with another target.
fn send(asked: &Asked<'_>, target: &str) -> Answer {
    let body = (asked.row.body)(&asked.sides);
    asked.at(target).json(&body).send()
}

fn is_native(route: &Route) -> bool {
    route.door == DoorKind::Api
}

#[test]
fn a_text_that_is_no_name_names_nothing_at_any_route() {
    let mut cases = 0;
    let routes = on_every_route(is_native, |asked, watch| {
        for parameter in parameters(asked.route.path) {
            let reading = reading(asked.route, parameter);
            let mut check = |text: &str, expected: (u16, &str), what: &str| {
                cases += 1;
                let target = with(asked, parameter, text);
                let answer = send(asked, &target);
                watch.refused(&answer, expected.0, expected.1, &format!("{} {target} ({what})", asked.name()));
            };
            for (what, text) in UNREADABLE {
                check(text, (400, "invalid_path"), what);
            }
            for (what, text) in NO_NAMES {
                check(text, expected(reading), what);
            }
            let long = "a".repeat(2_000);
            check(&long, expected(reading), "long");
            if reading == Reading::Path {
                for text in ["app/../db", "app/./db", "app//db", "/app", "app/%2e%2e/db", "app/e%cc%81/db"] {
                    check(text, (400, "invalid_path"), "a segment of a path");
                }
            } else {
                for (what, text) in ONLY_PATHS {
                    check(text, expected(reading), what);
                }
            }
        }
    });
    assert!(routes > 60 && cases > 3_000, "{cases} cases of {routes} routes");
}

#[test]
fn names_that_only_look_alike_are_others() {
    // Valid as names, so on routes that make nothing: what is there by another spelling is not found by this one.
    on_every_route(is_native, |asked, watch| {
        let makes = asked.route.method == "PUT";
        for parameter in parameters(asked.route.path).into_iter().filter(|_| !makes) {
            let own = asked.own_aim().target;
            let parts: Vec<&str> = asked.route.path.split('/').collect();
            let at = parts.iter().position(|part| part.trim_matches(['{', '}', '*']) == parameter).unwrap();
            let name = match parameter {
                "path" => own.split('/').skip(at).collect::<Vec<_>>().join("/"),
                _ => own.split('/').nth(at).unwrap().to_owned(),
            };
            let name = name.split('?').next().unwrap().trim_end_matches('/');
            let upper = name.to_uppercase();
            if upper == name {
                continue;
            }
            let folder = asked.route.method == "GET" && asked.route.path.ends_with("{*path}/");
            if folder && parameter == "path" {
                // A folder is what has something in it: there is no way to ask for one that is not there.
                continue;
            }
            let answer = send(asked, &with(asked, parameter, &upper));
            let what = format!("{} with {upper}", asked.name());
            let is_mount_of_secrets = parameter == "mount" && asked.route.path.contains("/secret");
            let code = if is_mount_of_secrets { "mount_not_found" } else { "not_found" };
            watch.refused(&answer, 404, code, &what);
        }
    });
}

#[test]
fn a_secret_of_a_name_that_looks_alike_is_a_secret_of_its_own() {
    let world = World::two_tenants();
    let owner = &world.acme.owner;
    let base = "/api/v1/t/acme/secrets/secret";
    let alike =
        ["App/Db", "app/DB", "%61pp/db2", "app/%ef%bd%84%ef%bd%82", "app%5cdb", "app/db%20", "app/%252e%252e/db"];
    for (at, path) in alike.iter().enumerate() {
        let body = serde_json::json!({ "data": { "value": at }, "cas": 0 });
        world.send(owner, "PUT", &format!("{base}/{path}"), &body).expect(200);
    }
    for (at, path) in alike.iter().enumerate() {
        assert_eq!(world.get(owner, &format!("{base}/{path}")).expect(200)["data"]["value"], at, "{path}");
    }
    assert_eq!(world.get(owner, &format!("{base}/app/db")).expect(200)["data"]["value"], "second");
    // One spelling is one secret, however much of it is escaped; and at the other door it is the same.
    for path in ["%61%70%70/%64b", "app/d%62"] {
        assert_eq!(world.get(owner, &format!("{base}/{path}")).expect(200)["data"]["value"], "second");
        assert_eq!(world.get(owner, &format!("/v1/secret/data/{path}")).expect(200)["data"]["data"]["value"], "second");
    }
    world.get(owner, "/v1/secret/data/App/Db").expect(200);
}

#[test]
fn a_path_has_one_reading() {
    let mut cases = 0;
    on_every_route(is_native, |asked, watch| {
        let own = asked.own_aim().target;
        let (path, query) = own.split_once('?').unwrap_or((&own, ""));
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        let segments: Vec<&str> = path.split('/').collect();
        let rest = asked.route.path.split('/').position(|segment| segment.starts_with("{*")).unwrap_or(usize::MAX);
        for at in 1..segments.len() {
            for inserted in ["", ".", "..", "%2e", "x/.."] {
                let mut changed = segments.clone();
                changed.insert(at, inserted);
                let target = format!("{}{query}", changed.join("/"));
                if inserted.is_empty() && at + 1 == segments.len() && segments[at].is_empty() {
                    continue;
                }
                let answer = send(asked, &target);
                let what = format!("{} at {target}", asked.name());
                cases += 1;
                if at >= rest {
                    // The path of a secret: it is read, and found to be none.
                    watch.refused(&answer, 400, "invalid_path", &what);
                    continue;
                }
                watch.unchanged(&answer, &what);
                let told = (answer.status, answer.code());
                let known = ["route_not_found", "method_not_allowed", "not_found", "invalid_name", "invalid_path"];
                assert!(known.contains(&told.1.as_str()), "{what}: {told:?}");
            }
        }
        // A slash at the end names a folder, and is not simply dropped.
        if !path.ends_with('/') && !asked.route.path.contains("/secrets/{mount}") {
            let answer = send(asked, &format!("{path}/{query}"));
            watch.refused(&answer, 404, "route_not_found", &format!("{} with a slash behind", asked.name()));
        }
        // Only parameters are anybody's to choose.
        let fixed = asked.route.path.split('/').rfind(|part| !part.starts_with('{') && !part.is_empty()).unwrap();
        let target = own.replacen(&format!("/{fixed}"), &format!("/{}", fixed.to_uppercase()), 1);
        if asked.route.path.matches(&format!("/{fixed}")).count() == 1 && !path.contains("/secret") {
            let answer = send(asked, &target);
            watch.unchanged(&answer, &target);
            assert!(matches!(answer.status, 404 | 405), "{target}: {}", answer.text());
        }
    });
    assert!(cases > 1_500, "{cases}");
}

#[test]
fn a_target_that_is_too_long_is_refused_before_it_is_read() {
    on_every_route(
        |_| true,
        |asked: &Asked<'_>, watch: &Watch<'_>| {
            let own = asked.own_aim().target;
            let joint = if own.contains('?') { '&' } else { '?' };
            let filled = |length: usize| format!("{own}{joint}{}", "x".repeat(length - own.len() - 1));
            for length in [URI_BYTES_MAX + 1, 65_000] {
                let answer = asked.at(&filled(length)).send();
                assert_eq!(answer.status, 414, "{}", asked.name());
                watch.unchanged(&answer, &asked.name());
                if is_native(asked.route) {
                    assert_eq!(answer.code(), "uri_too_long");
                }
            }
            let long_path = format!("{}/{}", own.split('?').next().unwrap(), "a".repeat(64_000));
            let answer = asked.at(&long_path).send();
            assert_eq!(answer.status, 414, "{}", asked.name());
            // As long as may be, it is read, and the parameter that nobody knows is found.
            if is_native(asked.route) {
                asked.at(&filled(URI_BYTES_MAX)).send().expect_refusal(400, "unknown_parameter");
            }
        },
    );
}
