//! A tenant as it was.

use std::time::Duration;

use bailiwick_app::AppConfig;
use bailiwick_testkit::{Answer, Plane, Tenant, World, WorldOptions, names};
use serde_json::{Value, json};

use super::{ask_export, import, live, recipient};

fn own(world: &World, caller: &str, tenant: &Tenant, method: &str, path: &str, body: &Value) -> Answer {
    world.send(caller, method, &format!("/api/v1/t/{}/{path}", tenant.slug), body)
}

fn size(world: &World, tenant: &Tenant) -> u64 {
    world.header(Plane::Tenant(tenant)).ledger.size()
}

fn export_at(world: &World, tenant: &Tenant, to: &World, at: u64) -> Answer {
    ask_export(world, tenant, &json!({ "recipient": recipient(to).0, "at": at }))
}

#[test]
fn a_tenant_is_exported_as_it_was_when_its_ledger_had_a_size() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    let owner = acme.owner.key.credential.as_str();
    let then = size(&here, acme);
    let (mount, outside) = (names::MOUNT, names::OUTSIDE);
    let change = |method: &str, path: &str, body: &Value| own(&here, owner, acme, method, path, body);
    change("PUT", &format!("secrets/{mount}/{}", names::LIVE), &json!({ "data": { "value": "third" } })).expect(200);
    change("PUT", &format!("secrets/{mount}/new"), &json!({ "data": { "value": "new" } })).expect(200);
    change("POST", &format!("secret-destroy/{mount}/{outside}"), &json!({ "versions": [1] })).expect(200);
    change("DELETE", &format!("members/{}", acme.viewer.id), &Value::Null).expect(200);
    change("DELETE", &format!("policies/{}", names::POLICY), &Value::Null).expect(200);
    change("DELETE", &format!("accounts/{}/keys/{}", acme.reader.id, acme.reader.key.id), &Value::Null).expect(200);

    let bundle = export_at(&here, acme, &there, then);
    assert!(!bundle.is_broken_off);
    let imported = import(&there, &bundle.body, &here).expect(200);
    assert_eq!(imported["entries"], json!(then));
    let recovery = imported["recovery"]["credential"].as_str().unwrap();
    let there_it_is = |path: &str| own(&there, recovery, acme, "GET", path, &Value::Null);
    assert_eq!(there.get(recovery, &live(acme)).expect(200)["data"], json!({ "value": "second" }));
    there_it_is(&format!("secrets/{mount}/new")).expect_refusal(404, "not_found");
    there_it_is(&format!("members/{}", acme.viewer.id)).expect(200);
    there_it_is(&format!("policies/{}", names::POLICY)).expect(200);
    // What was destroyed since is gone, and is said to be.
    there_it_is(&format!("secrets/{mount}/{outside}")).expect_refusal(404, "version_not_found");
    let described = there_it_is(&format!("secret-metadata/{mount}/{outside}")).expect(200);
    assert!(described.to_string().contains("\"is_destroyed\":true"), "{described}");
    // A value of later does not lie in the way of the next one.
    let write = json!({ "data": { "value": "next" } });
    own(&there, recovery, acme, "PUT", &format!("secrets/{mount}/new"), &write).expect(200);
    own(&there, recovery, acme, "PUT", &format!("secrets/{mount}/{}", names::LIVE), &write).expect(200);
    assert_eq!(there.get(recovery, &live(acme)).expect(200)["data"], write["data"]);
    // No credential lives, those that did then neither.
    for key in [&acme.owner.key, &acme.reader.key] {
        there.get(&key.credential, &live(acme)).expect_refusal(401, "credential_revoked");
    }
    there.get(&acme.viewer.key.credential, &live(acme)).expect_refusal(401, "credential_invalid");
}

#[test]
fn what_changes_while_it_is_exported_is_not_in_it() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    let now = size(&here, acme);
    here.send(&acme.owner, "PUT", &live(acme), &json!({ "data": { "value": "third" } })).expect(200);
    let one = export_at(&here, acme, &there, now);
    here.send(&acme.owner, "PUT", &live(acme), &json!({ "data": { "value": "fourth" } })).expect(200);
    let other = export_at(&here, acme, &there, now);
    let parts = |answer: Answer| bailiwick_testkit::hide_sealed_keys(answer).body;
    assert_eq!(parts(one).len(), parts(other).len());
}

#[test]
fn a_size_that_never_was_or_is_not_known_any_more_is_refused() {
    let app = AppConfig { past_entries: 20, ..AppConfig::default() };
    let here = World::with(WorldOptions { app, ..WorldOptions::default() });
    let acme = &here.acme;
    let refuse = |at: u64, status: u16, code: &str| export_at(&here, acme, &here, at).expect_refusal(status, code);
    refuse(0, 400, "invalid_request");
    refuse(size(&here, acme) + 10, 400, "invalid_request");
    let both = json!({ "recipient": recipient(&here).0, "at": 5, "is_final": true });
    ask_export(&here, acme, &both).expect_refusal(400, "invalid_request");
    assert_eq!(export_at(&here, acme, &here, 5).status, 200);
    let known = size(&here, acme);
    for _ in 0..41 {
        here.get(&acme.owner, &live(acme)).expect(200);
    }
    let neighbour = here.stored(Plane::Tenant(&here.globex));
    here.advance(Duration::from_secs(25 * 3_600));
    while here.block_on(here.app().run_due_jobs()).unwrap() > 0 {}
    refuse(5, 409, "wrong_state");
    assert_eq!(export_at(&here, acme, &here, known + 30).status, 200);
    let after = here.stored(Plane::Tenant(&here.globex));
    assert_eq!((neighbour.entries, neighbour.header.epoch), (after.entries, after.header.epoch));
    here.hide_past();
    refuse(known + 30, 409, "wrong_state");
}
