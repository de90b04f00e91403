//! What a server is wrongly asked, in every way that comes to mind, with something secret in it each time.

use serde_json::json;

use crate::harness::house::Tenant;
use crate::harness::{Ask, Told};

use super::http2;
use super::requests::{Holdings, at, with};
use super::visit::Visit;

/// Bodies that do not fit, each with a value where it cannot stay.
fn bad_bodies(visit: &mut Visit, name: &dyn Fn(&str) -> String) -> Vec<Vec<u8>> {
    let shapes: [(&str, &str); 16] = [
        ("cut off", r#"{"data":{"a":"CANARY"#),
        ("not closed", r#"{"data":{"a":"CANARY"}"#),
        ("more after it", r#"{"data":{"a":"CANARY"}} {}"#),
        ("a bad escape", r#"{"data":{"a":"CANARY\q"}}"#),
        ("a bare word", r#"{"data":{"a":CANARY}}"#),
        ("twice", r#"{"data":{"CANARY":1,"CANARY":2}}"#),
        ("twice above", r#"{"data":{"a":"CANARY"},"data":{"a":"CANARY"}}"#),
        ("a text", r#"{"data":"CANARY"}"#),
        ("a list", r#"{"data":["CANARY"]}"#),
        ("a text as number", r#"{"data":{},"cas":"CANARY","options":{"cas":"CANARY"}}"#),
        ("a text as object", r#"{"data":{},"options":"CANARY"}"#),
        ("an unknown member", r#"{"data":{"a":1},"password":"CANARY"}"#),
        ("only a text", r#""CANARY""#),
        ("no JSON", "CANARY"),
        ("as the form", "password=CANARY&data=CANARY"),
        ("in no UTF-8", "{\"data\":{\"a\":\"CANARY\u{1}\"}}"),
    ];
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for (what, shape) in shapes {
        let canary = visit.canaries.plain(&name(&format!("body: {what}")));
        bodies.push(shape.replace("CANARY", &canary).into_bytes());
    }
    let deep = visit.canaries.plain(&name("body: deep"));
    bodies.push(format!("{{\"data\":{}\"{deep}\"{}}}", "[".repeat(80), "]".repeat(80)).into_bytes());
    let large = visit.canaries.plain(&name("body: a large value"));
    bodies.push(json!({ "data": { "a": large, "b": "x".repeat(1_500_000) } }).to_string().into_bytes());
    bodies
}

/// Everything that is wrong.
pub(super) fn misbehave(visit: &mut Visit, holdings: &Holdings, other: &Tenant, operator: &str, beacon: &str) {
    let tenant = &holdings.tenant;
    let name = |what: &str| format!("{} {what}", tenant.slug);
    for body in bad_bodies(visit, &name) {
        for (method, path) in [
            ("PUT", at(tenant, &format!("/secrets/secret/{beacon}/bad"))),
            ("POST", format!("/v1/secret/data/{beacon}/bad")),
            ("PATCH", at(tenant, &format!("/secrets/secret/{beacon}/native"))),
            ("PUT", at(tenant, &format!("/secret-metadata/secret/{beacon}/bad"))),
            ("POST", format!("/v1/secret/metadata/{beacon}/bad")),
            ("POST", at(tenant, "/accounts")),
            ("POST", at(tenant, "/policies:check")),
        ] {
            visit.ask(Ask::new(method, path).by(&tenant.owner).bytes(body.clone()), &[]);
        }
        for path in ["/api/v1/tenants", "/api/v1/operators", "/api/v1/platform/root-key/rotate"] {
            visit.ask(Ask::post(path).by(operator).bytes(body.clone()), &[]);
        }
        for path in ["/api/v1/unseal", "/api/v1/init", "/v1/sys/init", "/v1/sys/unseal"] {
            visit.ask(Ask::post(path).bytes(body.clone()), &[]);
        }
    }
    // Larger than any body: refused before it is read to its end.
    let large = visit.canaries.plain(&name("body: too large"));
    let body = json!({ "data": { "a": large, "b": "x".repeat(2 * 1_048_576) } }).to_string();
    visit.shout(Ask::put(at(tenant, "/secrets/secret/large")).by(&tenant.owner).bytes(body));
    values_that_are_refused(visit, tenant, beacon, &name);
    in_the_wrong_place(visit, holdings, other, operator, &name);
    forged(visit, holdings, &name);
    hardly_http(visit, &name);
}

/// What no HTTP parser takes for a request, or only just.
fn hardly_http(visit: &mut Visit, name: &dyn Fn(&str) -> String) {
    for (number, shape) in [
        "GET /CANARY HTTP/9.9\r\nHost: a\r\n\r\n",
        "CANARY / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "CANARY\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization CANARY\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\0CANARY\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer CANARY\r\n folded\r\n\r\n",
        "POST /api/v1/unseal HTTP/1.1\r\nHost: a\r\nContent-Length: CANARY\r\n\r\n",
        "POST /api/v1/unseal HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nCANARY\r\n",
        "POST /api/v1/unseal HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\nCANARY",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nCANARYCANARYCANARY",
    ]
    .into_iter()
    .enumerate()
    {
        let canary = visit.canaries.plain(&name(&format!("no HTTP {number}")));
        visit.throw(shape.replace("CANARY", &canary).as_bytes());
    }
    for (number, (path, header)) in
        [("CANARY", "x"), ("/ CANARY", "x"), ("/whoami", "x\nCANARY")].into_iter().enumerate()
    {
        let canary = visit.canaries.plain(&name(&format!("bad HTTP/2 {number}")));
        let (path, header) = (path.replace("CANARY", &canary), header.replace("CANARY", &canary));
        let headers = [
            (":method", "GET"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", path.as_str()),
            ("x-api-key", &header),
        ];
        let (all, _) = http2::ask(&visit.server.address, &headers, &[]);
        visit.heards.add(format!("the answer to bad HTTP/2 {number}"), all, &[]);
    }
}

/// Good JSON, refused for what it says.
fn values_that_are_refused(visit: &mut Visit, tenant: &Tenant, beacon: &str, name: &dyn Fn(&str) -> String) {
    let refused = |told: Told| assert!((400..500).contains(&told.status), "{}", told.text());
    let value = visit.canaries.spiced(&name("value with a wrong cas"));
    let data = json!({ "data": { "value": value } });
    let path = at(tenant, &format!("/secrets/secret/{beacon}/native"));
    refused(visit.ask(Ask::put(&path).by(&tenant.owner).json(with(&data, "cas", json!(77))), &[]));
    let vault = Ask::post(format!("/v1/secret/data/{beacon}/vault")).header("x-vault-token", &tenant.owner);
    refused(visit.ask(vault.json(with(&data, "options", json!({ "cas": 77 }))), &[]));
    // Nobody may: a viewer's and a stranger's values.
    refused(visit.ask(Ask::put(at(tenant, "/secrets/nowhere/a")).by(&tenant.owner).json(data), &[]));
    for (what, filler) in [("long metadata", "x".repeat(600)), ("unprintable metadata", "\u{7}".to_owned())] {
        let long = format!("{}{filler}", visit.canaries.plain(&name(what)));
        let body = json!({ "custom_metadata": { "note": long } });
        let path = format!("secret/{beacon}/native");
        let native = Ask::put(at(tenant, &format!("/secret-metadata/{path}"))).by(&tenant.owner);
        refused(visit.ask(native.json(body.clone()), &[]));
        let vault = Ask::post(format!("/v1/secret/metadata/{beacon}/vault")).header("x-vault-token", &tenant.owner);
        refused(visit.ask(vault.json(body), &[]));
    }
    let fields = [
        ("/accounts", json!({ "name": "CANARY\u{7}", "owner": tenant.owner_id })),
        ("/accounts", json!({ "name": "a", "owner": "CANARY" })),
        ("/accounts", json!({ "name": "a", "owner": tenant.owner_id, "kind": "CANARY" })),
        ("/accounts", json!({ "name": "a", "owner": tenant.owner_id, "expires": "CANARY" })),
        ("/members", json!({ "name": "a", "role": "CANARY" })),
        ("/members", json!({ "name": "a", "role": "viewer", "email": "CANARY" })),
        ("/bindings", json!({ "principal": "CANARY", "role": "viewer" })),
        ("/bindings", json!({ "principal": tenant.owner_id, "role": "viewer", "on": "CANARY" })),
        ("/keyring/rotate", json!({ "purpose": "CANARY" })),
        ("/policies:check", json!({ "action": "CANARY", "resource": "tenant" })),
        ("/policies:check", json!({ "action": "secret:reveal", "resource": "CANARY" })),
        ("/policies:check", json!({ "action": "secret:reveal", "resource": "tenant", "source": "CANARY" })),
        ("/mounts", json!({ "name": "CANARY!" })),
        ("/mounts", json!({ "name": "m", "config": { "max_versions": "CANARY" } })),
    ];
    for (number, (path, body)) in fields.into_iter().enumerate() {
        let canary = visit.canaries.plain(&name(&format!("field {number} of {path}")));
        let body = body.to_string().replace("CANARY", &canary);
        refused(visit.ask(Ask::post(at(tenant, path)).by(&tenant.owner).bytes(body), &[]));
    }
}

/// Secrets in paths, queries and headers, where nobody should put them and somebody will.
fn in_the_wrong_place(
    visit: &mut Visit,
    holdings: &Holdings,
    other: &Tenant,
    operator: &str,
    name: &dyn Fn(&str) -> String,
) {
    let tenant = &holdings.tenant;
    let targets = [
        "/CANARY",
        "/api/CANARY",
        "/api/v1/CANARY",
        "/api/v1/t/acme/CANARY",
        "/api/v1/t/CANARY/whoami",
        "/api/v1/t/acme/accounts/CANARY",
        "/api/v1/t/acme/members/CANARY",
        "/api/v1/t/acme/ledger/entries/CANARY",
        "/api/v1/t/acme/whoami?token=CANARY",
        "/api/v1/t/acme/whoami?CANARY=1",
        "/api/v1/t/acme/accounts?limit=CANARY",
        "/api/v1/t/acme/accounts?cursor=CANARY",
        "/api/v1/t/acme/ledger/entries?since=CANARY",
        "/api/v1/t/acme/ledger/entries?order=CANARY",
        "/api/v1/t/acme/ledger/export?format=CANARY",
        "/api/v1/t/acme/ledger/inclusion?index=CANARY",
        "/healthz?CANARY",
        "/readyz/CANARY",
        "/metrics/CANARY",
        "/api/v1/seal-status?key=CANARY",
        "/v1/sys/health?sealedcode=CANARY",
        "/v1/sys/CANARY",
        "/api/v1/t/acme/secrets/secret/%zzCANARY",
    ];
    for (number, target) in targets.into_iter().enumerate() {
        for holder in [Some(tenant.owner.as_str()), Some(other.owner.as_str()), Some(operator), None] {
            // What a credential's holder says about a tenant is in the holder's own ledger, as it was said.
            if holder.is_some() && target.contains("/t/CANARY") {
                continue;
            }
            let canary = visit.canaries.plain(&name(&format!("target {number} {target}")));
            let mut ask = Ask::get(target.replace("CANARY", &canary));
            ask.credential = holder.map(str::to_owned);
            visit.ask(ask, &[]);
        }
    }
    for header in [
        "cookie",
        "x-api-key",
        "x-vault-wrap-ttl",
        "if-match",
        "if-none-match",
        "content-type",
        "accept",
        "user-agent",
        "referer",
        "x-forwarded-for",
        "x-request-id",
        "proxy-authorization",
        "origin",
    ] {
        for path in [at(tenant, "/accounts"), "/v1/secret/metadata/none".to_owned()] {
            let canary = visit.canaries.plain(&name(&format!("header {header} of {path}")));
            let ask = Ask::post(path).by(&tenant.owner).header(header, &canary);
            visit.ask(ask.json(json!({ "name": "a", "owner": tenant.owner_id })), &[]);
        }
    }
}

/// Credentials that are none, or not good there.
fn forged(visit: &mut Visit, holdings: &Holdings, name: &dyn Fn(&str) -> String) {
    let tenant = &holdings.tenant;
    let random = bailiwick_testkit::SeededRandom::new(&tenant.slug);
    let claimed = bailiwick_types::CredentialText::parse(&holdings.key).unwrap();
    let made = bailiwick_types::CredentialText::generate(claimed.claimed_tenant(), claimed.id(), &random);
    let forged = made.reveal().expose().clone();
    visit.canaries.adopt_credential(&name("forged credential"), &forged);
    let canary = visit.canaries.plain(&name("malformed credential"));
    let basic = visit.canaries.plain(&name("basic password"));
    let basic = data_encoding::BASE64.encode(format!("user:{basic}").as_bytes());
    let (cut, owner) = (&holdings.key[..holdings.key.len() - 1], &tenant.owner);
    for value in [
        format!("Bearer {forged}"),
        format!("Bearer {cut}"),
        format!("Bearer {canary}"),
        format!("Bearer bwk_{canary}"),
        format!("Basic {basic}"),
        format!("Token {canary}"),
        canary.clone(),
        format!("Bearer {owner} {canary}"),
    ] {
        for path in [at(tenant, "/whoami"), "/v1/auth/token/lookup-self".to_owned(), "/api/v1/tenants".to_owned()] {
            let told = visit.ask(Ask::get(path).header("authorization", &value), &[]);
            assert!(matches!(told.status, 401 | 403), "{value}: {}", told.text());
        }
        let token = value.trim_start_matches("Bearer ");
        visit.ask(Ask::get("/v1/secret/data/a").header("x-vault-token", token), &[]);
        visit.ask(Ask::get("/v1/secret/data/a").header("x-vault-token", token).header("x-vault-token", owner), &[]);
    }
    let token = json!({ "token": forged, "accessor": canary });
    for path in
        ["/v1/auth/token/lookup", "/v1/auth/token/revoke", "/v1/auth/userpass/login/a", "/v1/sys/wrapping/unwrap"]
    {
        visit.ask(Ask::post(path).by(owner).json(token.clone()), &[]);
    }
}
