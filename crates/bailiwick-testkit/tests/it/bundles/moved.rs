//! Into another installation: for good, and as a backup.

use bailiwick_ledger::bundle::BundleChecker;
use bailiwick_testkit::{Plane, World, names};
use bailiwick_verify::{Options, verify_export};
use serde_json::json;

use super::{export, frames, import, live, recipient, tenants};

#[test]
fn a_tenant_that_moves_is_the_same_tenant_with_the_same_credentials_secrets_and_ledger() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    let secret = here.get(&acme.owner, &live(acme)).expect(200)["data"].clone();
    let before = here.stored(Plane::Tenant(acme));
    let bundle = export(&here, acme, &there, true);
    let imported = import(&there, &bundle, &here).expect(200);
    assert_eq!(imported["outcome"], "created");
    assert_eq!(imported["tenant"], json!(acme.id));
    assert_eq!(imported["recovery"], json!(null));
    assert_eq!(imported["credentials_revoked"], 0);

    // The owner's credential, the reader's key, and what they read.
    assert_eq!(there.get(&acme.owner, &live(acme)).expect(200)["data"], secret);
    assert_eq!(there.get(&acme.reader.key.credential, &live(acme)).expect(200)["data"], secret);
    there.get(&acme.revoked.credential, &live(acme)).expect_refusal(401, "credential_revoked");
    // What is sealed from now on opens too, after a restart as well.
    let other = format!("/api/v1/t/{}/secrets/{}/fresh", acme.slug, names::MOUNT);
    there.send(&acme.owner, "PUT", &other, &json!({ "data": { "a": 1 } })).expect(200);
    let mut there = there;
    there.restart();
    assert_eq!(there.get(&acme.owner, &other).expect(200)["data"], json!({ "a": 1 }));
    assert_eq!(there.get(&acme.owner, &live(acme)).expect(200)["data"], secret);

    // Every record and every entry is there byte for byte.
    let after = there.stored(Plane::Tenant(acme));
    for record in &before.records {
        let is_same = after.records.contains(record) || matches!(record.0, bailiwick_store::Space::Usage);
        assert!(is_same, "{record:?}");
    }
    assert_eq!(after.entries[..before.entries.len()], before.entries);
    assert!(after.entries.len() > before.entries.len(), "the ledger goes on");

    // The ledger is the same log: the same origin, and an export that continues a checkpoint from before.
    let ledger = there.get(&acme.owner, &format!("/api/v1/t/{}/ledger/export", acme.slug));
    let report = verify_export(ledger.body.as_slice(), &Options::default()).unwrap();
    assert!(report.origin.ends_with(&acme.id), "{}", report.origin);
    let entries = there.ledger(acme, 40);
    let entry = entries.iter().find(|entry| entry["action"] == "tenant:import").unwrap();
    assert_eq!(entry["detail"]["outcome"], "created");
    assert_eq!(entry["actor"]["operator"], json!(there.platform.admin.id));
    assert!(there.platform_ledger(20).iter().any(|entry| entry["action"] == "tenant:import"
        && entry["detail"]["step"] == "done"
        && entry["resource"]["id"] == json!(acme.id)));
}

#[test]
fn what_moved_stays_closed_where_it_was_and_its_neighbour_notices_nothing() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let neighbour = here.stored(Plane::Tenant(&here.globex));
    let acme = &here.acme;
    let bundle = export(&here, acme, &there, true);
    here.get(&acme.owner, &live(acme)).expect_refusal(403, "tenant_suspended");
    let resume = format!("/api/v1/tenants/{}/resume", acme.slug);
    let refused = here.send(&here.platform.admin, "POST", &resume, &json!(null));
    refused.expect_refusal(409, "wrong_state");
    assert!(refused.text().contains("lives elsewhere"), "{}", refused.text());
    // Asked again the same way, for the first bundle may be lost; but to nobody else, and not as a backup.
    assert!(!export(&here, acme, &there, true).is_empty());
    let third = World::elsewhere("third");
    for body in [
        json!({ "recipient": recipient(&third).0, "is_final": true }),
        json!({ "recipient": recipient(&there).0, "is_final": false }),
    ] {
        super::ask_export(&here, acme, &body).expect_refusal(409, "wrong_state");
    }
    import(&there, &bundle, &here).expect(200);
    assert!(neighbour == here.stored(Plane::Tenant(&here.globex)));
    // Nor can it be brought back in here.
    let back = import(&here, &export(&there, acme, &here, false), &there);
    back.expect_refusal(409, "wrong_state");
}

#[test]
fn a_backup_comes_in_with_dead_credentials_and_one_new_one() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    let secret = here.get(&acme.owner, &live(acme)).expect(200)["data"].clone();
    let bundle = export(&here, acme, &there, false);
    here.get(&acme.owner, &live(acme)).expect(200);
    let imported = import(&there, &bundle, &here).expect(200);
    assert!(imported["credentials_revoked"].as_u64().unwrap() > 5, "{imported}");
    for credential in [&acme.owner.key, &acme.admin.key, &acme.reader.key, &acme.revoked, &acme.bare.key] {
        there.get(&credential.credential, &live(acme)).expect_refusal(401, "credential_revoked");
    }
    let recovery = imported["recovery"]["credential"].as_str().unwrap();
    assert_eq!(there.get(recovery, &live(acme)).expect(200)["data"], secret);
    let whoami = there.get(recovery, &format!("/api/v1/t/{}/whoami", acme.slug)).expect(200);
    assert_eq!(whoami["principal"]["id"], imported["recovery"]["member"], "{whoami}");
    // It begins again: a new key for the reader.
    let keys = format!("/api/v1/t/{}/accounts/{}/keys", acme.slug, acme.reader.id);
    let issued = there.send(recovery, "POST", &keys, &json!(null)).expect(201);
    let key = issued["credential"].as_str().unwrap();
    assert_eq!(there.get(key, &live(acme)).expect(200)["data"], secret);
}

#[test]
fn a_backup_is_begun_again_with_an_owner_that_was_not_disabled() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    let members = format!("/api/v1/t/{}/members", acme.slug);
    let second = here.send(&acme.owner, "POST", &members, &json!({ "name": "second", "role": "owner" })).expect(201);
    let id = second["id"].as_str().unwrap();
    let issued = here.send(&acme.owner, "POST", &format!("{members}/{id}/credentials"), &json!(null)).expect(201);
    let credential = issued["credential"].as_str().unwrap();
    let first = format!("{members}/{}", acme.owner.id);
    here.send(credential, "PATCH", &first, &json!({ "is_disabled": true })).expect(200);
    let body = json!({ "recipient": recipient(&there).0 });
    let bundle = here.send(credential, "POST", &format!("/api/v1/t/{}/bundle", acme.slug), &body);
    let imported = import(&there, &bundle.body, &here).expect(200);
    assert_eq!(imported["recovery"]["member"], json!(id));
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, true);
    let admin = there.platform.admin.key.credential.clone();
    let query = format!("{}&dry_run=true", super::query(&here));
    let told = super::import_as(&there, &admin, &bundle, &query).expect(200);
    assert_eq!((&told["is_dry_run"], &told["outcome"]), (&json!(true), &json!("created")));
    assert!(tenants(&there).is_empty());
    let done = import(&there, &bundle, &here).expect(200);
    assert_eq!((&done["records"], &done["entries"]), (&told["records"], &told["entries"]));
    let page = there.platform_ledger(20);
    assert!(page.iter().any(|entry| entry["detail"]["step"] == "dry run"), "{page:?}");
}

#[test]
fn a_stranger_without_keys_can_check_a_bundle_and_learns_no_contents() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, false);
    let mut checker = BundleChecker::new();
    for (kind, place) in frames(&bundle) {
        checker.take(kind, &bundle[place.start + 5..place.end]).unwrap();
    }
    assert!(checker.is_complete());
    let contains = |needle: &str| bundle.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(contains(&here.acme.id), "whose it is");
    for hidden in ["first", "second", names::READER, "secret-reader", "forbid(", "owner"] {
        assert!(!contains(hidden), "{hidden}");
    }
}
