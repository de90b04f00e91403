//! Back into the installation that the tenant is in: contents come back, rights do not.

use bailiwick_testkit::{Answer, Plane, Tenant, World, names};
use serde_json::{Value, json};

use super::{export, import_as, live};

fn base(tenant: &Tenant) -> String {
    format!("/api/v1/t/{}", tenant.slug)
}

fn own(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    world.send(&world.acme.owner, method, &format!("{}/{path}", base(&world.acme)), body)
}

fn operate(world: &World, act: &str) {
    let target = format!("/api/v1/tenants/{}/{act}", world.acme.slug);
    world.send(&world.platform.admin, "POST", &target, &Value::Null).expect(200);
}

/// Suspends, imports, resumes.
fn restore(world: &World, bundle: &[u8]) -> Value {
    operate(world, "suspend");
    let restored = import_as(world, &world.platform.admin.key.credential, bundle, "").expect(200);
    operate(world, "resume");
    restored
}

#[test]
fn what_is_gone_comes_back_and_nothing_that_is_there_is_touched() {
    let world = World::two_tenants();
    let acme = &world.acme;
    let bundle = export(&world, acme, &world, false);
    let (mount, live_path) = (names::MOUNT, names::LIVE);
    own(&world, "DELETE", &format!("secret-metadata/{mount}/{live_path}"), &Value::Null).expect(200);
    own(&world, "DELETE", &format!("mounts/{}", names::SECOND_MOUNT), &Value::Null).expect(200);
    let outside = format!("secrets/{mount}/{}", names::OUTSIDE);
    own(&world, "PUT", &outside, &json!({ "data": { "value": "later" } })).expect(200);
    own(&world, "PUT", &format!("secrets/{mount}/new"), &json!({ "data": { "value": "new" } })).expect(200);
    own(&world, "POST", &format!("secret-destroy/{mount}/{}", names::OUTSIDE), &json!({ "versions": [1] })).expect(200);
    own(&world, "GET", &format!("secrets/{mount}/{live_path}"), &Value::Null).expect_refusal(404, "not_found");
    let neighbour = world.stored(Plane::Tenant(&world.globex));
    let size = world.header(Plane::Tenant(acme)).ledger.size();

    let restored = restore(&world, &bundle);
    assert_eq!(restored["outcome"], "restored");
    assert_eq!((&restored["recovery"], &restored["credentials_revoked"]), (&Value::Null, &json!(0)));
    assert_eq!(world.get(&acme.owner, &live(acme)).expect(200)["data"], json!({ "value": "second" }));
    let second = format!("secrets/{}/{live_path}", names::SECOND_MOUNT);
    assert_eq!(own(&world, "GET", &second, &Value::Null).expect(200)["data"], json!({ "value": "first" }));
    // What was written later is as it was written, and what was destroyed stays destroyed.
    assert_eq!(own(&world, "GET", &outside, &Value::Null).expect(200)["data"], json!({ "value": "later" }));
    let first = own(&world, "GET", &format!("{outside}?version=1"), &Value::Null);
    first.expect_refusal(404, "version_not_found");
    assert_eq!(
        own(&world, "GET", &format!("secrets/{mount}/new"), &Value::Null).expect(200)["data"],
        json!({ "value": "new" })
    );
    assert!(neighbour == world.stored(Plane::Tenant(&world.globex)));
    assert!(world.header(Plane::Tenant(acme)).ledger.size() > size, "the ledger goes on");
    // A second time there is nothing left to do.
    assert_eq!(restore(&world, &bundle)["records"], 0);
}

#[test]
fn nothing_that_was_revoked_disabled_or_removed_after_the_backup_comes_back() {
    let world = World::two_tenants();
    let acme = &world.acme;
    let bundle = export(&world, acme, &world, false);
    let key = format!("accounts/{}/keys/{}", acme.reader.id, acme.reader.key.id);
    own(&world, "DELETE", &key, &Value::Null).expect(200);
    own(&world, "DELETE", &format!("members/{}", acme.auditor.id), &Value::Null).expect(200);
    own(&world, "PATCH", &format!("members/{}", acme.viewer.id), &json!({ "is_disabled": true })).expect(200);
    own(&world, "PATCH", &format!("members/{}", acme.admin.id), &json!({ "role": "viewer" })).expect(200);
    own(&world, "DELETE", &format!("accounts/{}", acme.bare.id), &Value::Null).expect(200);
    own(&world, "DELETE", &format!("bindings/{}", acme.binding), &Value::Null).expect(200);
    own(&world, "DELETE", &format!("policies/{}", names::POLICY), &Value::Null).expect(200);
    own(&world, "DELETE", &format!("invariants/{}", names::INVARIANT), &Value::Null).expect(200);
    let rights = |stored: &bailiwick_testkit::Stored| {
        use bailiwick_store::Space;
        let contents = [Space::Mount, Space::Secret, Space::SecretVersion, Space::Usage];
        let mut kept: Vec<_> = stored.records.clone();
        kept.retain(|(space, _, _)| !contents.contains(space));
        kept
    };
    let before = rights(&world.stored(Plane::Tenant(acme)));
    restore(&world, &bundle);
    assert!(before == rights(&world.stored(Plane::Tenant(acme))), "a right came back");
    world.get(&acme.reader.key.credential, &live(acme)).expect_refusal(401, "credential_revoked");
    world.get(&acme.auditor.key.credential, &base(acme)).expect_refusal(404, "route_not_found");
    let whoami = format!("{}/whoami", base(acme));
    world.get(&acme.auditor.key.credential, &whoami).expect_refusal(401, "credential_invalid");
    world.get(&acme.bare.key.credential, &whoami).expect_refusal(401, "credential_invalid");
    world.get(&acme.viewer.key.credential, &whoami).expect_refusal(401, "principal_disabled");
    own(&world, "GET", &format!("bindings/{}", acme.binding), &Value::Null).expect_refusal(404, "not_found");
}

#[test]
fn a_mount_of_the_same_name_that_was_made_anew_is_another_mount() {
    let world = World::two_tenants();
    let bundle = export(&world, &world.acme, &world, false);
    own(&world, "DELETE", &format!("mounts/{}", names::SECOND_MOUNT), &Value::Null).expect(200);
    own(&world, "POST", "mounts", &json!({ "name": names::SECOND_MOUNT })).expect(201);
    assert_eq!(restore(&world, &bundle)["records"], 0);
    let secret = format!("secrets/{}/{}", names::SECOND_MOUNT, names::LIVE);
    own(&world, "GET", &secret, &Value::Null).expect_refusal(404, "not_found");
}

#[test]
fn a_tenant_in_use_is_not_restored_and_one_that_is_being_restored_is_not_used() {
    let world = World::two_tenants();
    let bundle = export(&world, &world.acme, &world, false);
    let refused = import_as(&world, &world.platform.admin.key.credential, &bundle, "");
    refused.expect_refusal(409, "wrong_state");
    assert!(refused.text().contains("suspend it first"), "{}", refused.text());
}

#[test]
fn a_ledger_that_says_something_else_is_refused() {
    // Two worlds that begin as the same installation with the same tenant, and then go apart.
    let (one, two) = (World::two_tenants(), World::two_tenants());
    own(&one, "GET", "whoami", &Value::Null).expect(200);
    own(&two, "GET", "limits", &Value::Null).expect(200);
    let bundle = export(&two, &two.acme, &two, false);
    operate(&one, "suspend");
    let before = one.stored(Plane::Tenant(&one.acme));
    let refused = import_as(&one, &one.platform.admin.key.credential, &bundle, "");
    refused.expect_refusal(400, "bundle_refused");
    assert!(refused.text().contains("not a beginning"), "{}", refused.text());
    assert!(before == one.stored(Plane::Tenant(&one.acme)));
    // And one that is longer than the tenant's, as if the tenant had been put back.
    let ahead = World::two_tenants();
    let behind = World::two_tenants();
    let bundle = export(&ahead, &ahead.acme, &ahead, false);
    operate(&behind, "suspend");
    import_as(&behind, &behind.platform.admin.key.credential, &bundle, "").expect_refusal(400, "bundle_refused");
}
