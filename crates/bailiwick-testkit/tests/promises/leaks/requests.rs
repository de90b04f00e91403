//! What a server is rightly asked while somebody looks for leaks.

use serde_json::{Value, json};

use crate::harness::Ask;
use crate::harness::house::{Tenant, text};

use super::http2;
use super::visit::Visit;

/// A tenant and what in it is secret.
pub(super) struct Holdings {
    pub(super) tenant: Tenant,
    /// An account's id and its key.
    pub(super) account: String,
    pub(super) key: String,
}

/// Where the secrets are: a name that is not sealed, and so the positive control of every search.
pub(super) const BEACON: &str = "beacon";

pub(super) fn at(tenant: &Tenant, path: &str) -> String {
    tenant.at(path)
}

/// A tenant with accounts, credentials, secrets, metadata and policies; all of it asked for in the right way.
pub(super) fn furnish(visit: &mut Visit, operator: &str, slug: &'static str, beacon: &str) -> Holdings {
    let name = |what: &str| format!("{slug} {what}");
    let ask = Ask::post("/api/v1/tenants").by(operator).json(json!({ "slug": slug }));
    let made = visit.ask(ask, &[&name("owner")]).ok().value();
    let owner = text(made.get("admin").unwrap(), "credential");
    visit.canaries.adopt_credential(&name("owner"), &owner);
    let id = text(made.get("tenant").unwrap(), "id");
    let owner_id = text(made.get("admin").unwrap(), "member");
    let tenant = Tenant { id, slug: slug.to_owned(), owner: owner.clone(), owner_id };
    let (account, key) = people(visit, &tenant, &name);
    secrets(visit, &tenant, beacon, &name);
    policies(visit, &tenant, &name);
    Holdings { tenant, account, key }
}

/// Members and accounts, what is private about them, and their credentials.
fn people(visit: &mut Visit, tenant: &Tenant, name: &dyn Fn(&str) -> String) -> (String, String) {
    let (label, about, mail) = (name("label"), name("description"), name("address"));
    let labels = json!({ "of": visit.canaries.plain(&label) });
    let body = json!({
        "name": "machine", "owner": tenant.owner_id, "labels": labels, "description": visit.canaries.plain(&about),
    });
    let ask = Ask::post(at(tenant, "/accounts")).by(&tenant.owner).json(body);
    let account = text(&visit.ask(ask, &[&label, &about]).ok().value(), "id");
    let address = format!("{}@example.com", visit.canaries.plain(&mail));
    let body = json!({ "name": "person", "role": "viewer", "email": address });
    let ask = Ask::post(at(tenant, "/members")).by(&tenant.owner).json(body);
    let member = text(&visit.ask(ask, &[&mail]).ok().value(), "id");

    let mut issued = |what: &str, ask: Ask| {
        let name = name(what);
        let made = visit.ask(ask.by(&tenant.owner), &[&name]).ok().value();
        let credential = text(&made, "credential");
        visit.canaries.adopt_credential(&name, &credential);
        (text(made.get("key").unwrap(), "id"), credential)
    };
    let keys = at(tenant, &format!("/accounts/{account}/keys"));
    let (key_id, key) = issued("key", Ask::post(&keys).json(json!({})));
    issued("rotated key", Ask::post(format!("{keys}/{key_id}/rotate")).json(json!({ "overlap": "1h" })));
    issued("member's credential", Ask::post(at(tenant, &format!("/members/{member}/credentials"))).json(json!({})));
    // An answer that is kept, sealed, to be repeated; under a name that is the client's own.
    let once = visit_once(visit, &keys, tenant, name);
    assert_eq!(once.0, once.1, "the same answer twice");
    let body = json!({ "principal": account, "role": "secret-writer" });
    visit.ask(Ask::post(at(tenant, "/bindings")).by(&tenant.owner).json(body), &[]).ok();
    for path in ["/accounts", "/members"] {
        visit.ask(Ask::get(at(tenant, path)).by(&tenant.owner), &[&label, &about, &mail]).ok();
    }
    (account, key)
}

fn visit_once(visit: &mut Visit, keys: &str, tenant: &Tenant, name: &dyn Fn(&str) -> String) -> (Vec<u8>, Vec<u8>) {
    let (kept, word) = (name("kept answer"), name("idempotency key"));
    let word = visit.canaries.plain(&word);
    let ask = Ask::post(keys).by(&tenant.owner).json(json!({})).header("idempotency-key", &word);
    let first = visit.ask(ask.clone(), &[&kept]).ok();
    visit.canaries.adopt_credential(&kept, &text(&first.value(), "credential"));
    (first.body, visit.ask(ask, &[&kept]).ok().body)
}

/// Values and metadata, written and read at both doors.
fn secrets(visit: &mut Visit, tenant: &Tenant, beacon: &str, name: &dyn Fn(&str) -> String) {
    let (value, member, patched) = (name("value"), name("member of a value"), name("patched value"));
    let data = json!({ "data": { "value": visit.canaries.spiced(&value), visit.canaries.plain(&member): 1 } });
    let path = at(tenant, &format!("/secrets/secret/{beacon}/native"));
    visit.ask(Ask::put(&path).by(&tenant.owner).json(data), &[]).ok();
    let data = json!({ "data": { "patched": visit.canaries.spiced(&patched) } });
    visit.ask(Ask::patch(&path).by(&tenant.owner).json(data), &[]).ok();
    let custom = name("metadata");
    let body = json!({ "custom_metadata": { "note": visit.canaries.spiced(&custom) } });
    let metadata = at(tenant, &format!("/secret-metadata/secret/{beacon}/native"));
    visit.ask(Ask::put(&metadata).by(&tenant.owner).json(body), &[&custom]).ok();
    visit.ask(Ask::get(&path).by(&tenant.owner), &[&value, &member, &patched, &custom]).ok();
    visit.ask(Ask::get(&metadata).by(&tenant.owner), &[&custom]).ok();
    visit.ask(Ask::get(at(tenant, "/secrets/secret")).by(&tenant.owner), &[BEACON]).ok();

    let (value, patched, custom) = (name("Vault value"), name("Vault patch"), name("Vault metadata"));
    let vault = |method, verb: &str| {
        Ask::new(method, format!("/v1/secret/{verb}/{beacon}/vault")).header("x-vault-token", &tenant.owner)
    };
    let body = json!({ "custom_metadata": { "note": visit.canaries.spiced(&custom) } });
    visit.ask(vault("POST", "metadata").json(body), &[]).ok();
    let data = json!({ "data": { "value": visit.canaries.spiced(&value) } });
    visit.ask(vault("POST", "data").json(data), &[&custom]).ok();
    let data = json!({ "data": { "more": visit.canaries.spiced(&patched) } });
    let merge = vault("PATCH", "data").header("content-type", "application/merge-patch+json").json(data);
    visit.ask(merge, &[&custom]).ok();
    visit.ask(vault("GET", "data"), &[&value, &patched, &custom]).ok();
    visit.ask(vault("GET", "metadata"), &[&custom]).ok();
    visit.ask(vault("GET", "subkeys"), &[&custom]).ok();
    // Another parser on the way.
    let (bearer, cookie) = (format!("Bearer {}", tenant.owner), visit.canaries.plain(&name("cookie")));
    let headers = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "test"),
        (":path", path.as_str()),
        ("authorization", bearer.as_str()),
        ("cookie", cookie.as_str()),
    ];
    let (all, answer) = http2::ask(&visit.server.address, &headers, &[]);
    assert!(serde_json::from_slice::<Value>(&answer).unwrap().get("data").is_some());
    let may = [name("value"), name("member of a value"), name("patched value"), name("metadata")];
    visit.heards.add("the answer over HTTP/2", all, &may.each_ref().map(String::as_str));
    visit.ask(Ask::delete(at(tenant, &format!("/secrets/secret/{beacon}/native"))).by(&tenant.owner), &[]).ok();
}

/// Policies that name what must not be told, right ones and wrong ones.
fn policies(visit: &mut Visit, tenant: &Tenant, name: &dyn Fn(&str) -> String) {
    let stored = name("policy");
    let literal = visit.canaries.plain(&stored);
    let text = format!(
        "permit(principal, action == Action::\"secret:reveal\", resource) when {{ resource.hasTag(\"note\") && \
         resource.getTag(\"note\") == \"{literal}\" }};"
    );
    let path = at(tenant, "/policies/canary");
    visit.ask(Ask::put(&path).by(&tenant.owner).json(json!({ "text": text })), &[&stored]).ok();
    visit.ask(Ask::get(&path).by(&tenant.owner), &[&stored]).ok();
    let tried = visit.canaries.plain(&name("policy that was tried"));
    let body = json!({
        "action": "secret:reveal", "resource": "secret/secret/app", "tags": { "note": tried },
        "with_policies": { "canary": format!("forbid(principal, action, resource) when {{ \"{tried}\" == \"\" }};") },
    });
    visit.ask(Ask::post(at(tenant, "/policies:check")).by(&tenant.owner).json(body), &[]).ok();
    for (number, bad) in [
        "permit(principal, action, resource) when { \"CANARY\" < 5 };",
        "permit(principal, action, resource) when { ip(\"CANARY\").isLoopback() };",
        "permit(principal, action, resource) when { context.now < datetime(\"CANARY\") };",
        "permit(principal, action == Action::\"CANARY\", resource);",
        "permit(principal, action, resource) when { \"CANARY\" };",
        "permit(principal, action, resource) when { resource.getTag(\"CANARY\") == 1 };",
        "permit(principal, action, resource) when { \"CANARY };",
        "permit(principal, action, resource) \"CANARY\";",
        "@note(\"CANARY\") permit(principal, action, resource) when { 1 };",
        "forbid(principal, action, resource) when { principal.nothing == \"CANARY\" };",
    ]
    .into_iter()
    .enumerate()
    {
        // A compiler quotes what it does not understand, to whoever wrote it. It must go nowhere else.
        let literal = name(&format!("literal of bad policy {number}"));
        let canary = visit.canaries.plain(&literal);
        let body = json!({ "text": bad.replace("CANARY", &canary) });
        for ask in [
            Ask::put(at(tenant, "/policies/bad")).json(body.clone()),
            Ask::put(at(tenant, "/policies/bad")).json(with(&body, "dry_run", json!(true))),
            Ask::post(at(tenant, "/policies:check")).json(json!({
                "action": "secret:reveal", "resource": "secret/secret/app", "with_policies": { "bad": body["text"] },
            })),
        ] {
            let told = visit.ask(ask.by(&tenant.owner), &[&literal]);
            assert_eq!(told.status, 400, "{bad}: {}", told.text());
        }
    }
}

/// An object with one more member.
pub(super) fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().insert(name.to_owned(), value);
    object
}
