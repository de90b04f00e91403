//! One tenant as a bundle: out of one installation, into another or back into its own.

mod at;
mod moved;
mod refused;
mod restored;
mod resumed;

use bailiwick_ledger::bundle::{FRAME_HEAD_BYTES, Kind, MAGIC};
use bailiwick_testkit::{Answer, Tenant, World, names};
use serde_json::{Value, json};

const BUNDLE: &str = "application/vnd.bailiwick.bundle";

/// Whom bundles for this world are sealed to, and the key that signs what it exports.
fn recipient(world: &World) -> (String, String) {
    let shown = world.get(&world.platform.admin, "/api/v1/platform/recipient").expect(200);
    (shown["recipient"].as_str().unwrap().to_owned(), shown["installation_key"].as_str().unwrap().to_owned())
}

fn ask_export(world: &World, tenant: &Tenant, body: &Value) -> Answer {
    world.send(&tenant.owner, "POST", &format!("/api/v1/t/{}/bundle", tenant.slug), body)
}

/// The tenant's bundle for an installation.
#[track_caller]
fn export(world: &World, tenant: &Tenant, to: &World, is_final: bool) -> Vec<u8> {
    let answer = ask_export(world, tenant, &json!({ "recipient": recipient(to).0, "is_final": is_final }));
    assert_eq!((answer.status, answer.is_broken_off), (200, false), "{}", answer.text());
    answer.body
}

fn import_as(world: &World, caller: &str, bundle: &[u8], query: &str) -> Answer {
    world
        .request("POST", &format!("/api/v1/tenants:import{query}"))
        .by(caller)
        .header("content-type", BUNDLE)
        .bytes(bundle.to_vec())
        .in_pieces(10_000)
        .send()
}

/// Imports, trusting the installation that the bundle is from.
fn import(world: &World, bundle: &[u8], from: &World) -> Answer {
    import_as(world, &world.platform.admin.key.credential, bundle, &query(from))
}

fn query(from: &World) -> String {
    format!("?key={}", percent(&recipient(from).1))
}

fn percent(text: &str) -> String {
    text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

/// Where a tenant's live secret is.
fn live(tenant: &Tenant) -> String {
    format!("/api/v1/t/{}/secrets/{}/{}", tenant.slug, names::MOUNT, names::LIVE)
}

/// Kind and place of each frame.
fn frames(bundle: &[u8]) -> Vec<(Kind, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    let mut at = MAGIC.len();
    while at < bundle.len() {
        let head: [u8; FRAME_HEAD_BYTES] = bundle[at..at + FRAME_HEAD_BYTES].try_into().unwrap();
        let (kind, length) = Kind::of_head(&head).unwrap();
        let end = at + FRAME_HEAD_BYTES + length;
        found.push((kind, at..end));
        at = end;
    }
    found
}

/// All that a world holds, as bytes: nothing may have been written, but the platform's own entries.
fn tenants(world: &World) -> Vec<Value> {
    let page = world.get(&world.platform.admin, "/api/v1/tenants").expect(200);
    page["items"].as_array().unwrap().clone()
}
