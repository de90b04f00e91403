//! Cut off and gone on with, both ways.

use bailiwick_ledger::bundle::Kind;
use bailiwick_store::Store as _;
use bailiwick_testkit::{Answer, Plane, Tenant, World, names};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use super::{ask_export, export, frames, import, import_as, live, query, recipient};

/// Enough secrets that a bundle has bookmarks.
fn furnish(world: &World, tenant: &Tenant) {
    let value = "x".repeat(400_000);
    for number in 0..40 {
        let target = format!("/api/v1/t/{}/secrets/{}/large/{number}", tenant.slug, names::MOUNT);
        world.send(&tenant.owner, "PUT", &target, &json!({ "data": { "value": value } })).expect(200);
    }
}

/// The last bookmark before a place, and where the bundle ends without it.
fn bookmark(bundle: &[u8], before: usize) -> (String, usize) {
    let found = frames(bundle);
    let (_, place) = found.iter().rfind(|(kind, place)| *kind == Kind::Bookmark && place.end <= before).unwrap();
    (BASE64URL_NOPAD.encode(&bundle[place.start + 5..place.end]), place.start)
}

fn resume(world: &World, tenant: &Tenant, to: &World, bookmark: &str) -> Answer {
    let body = json!({ "recipient": recipient(to).0, "is_final": false, "resume": bookmark });
    ask_export(world, tenant, &body)
}

#[test]
fn an_export_that_was_cut_off_goes_on_after_its_last_bookmark() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    furnish(&here, acme);
    let bundle = export(&here, acme, &there, false);
    // Others read meanwhile; that changes nothing.
    here.get(&acme.owner, &live(acme)).expect(200);
    let (token, end) = bookmark(&bundle, bundle.len());
    let rest = resume(&here, acme, &there, &token);
    assert_eq!((rest.status, rest.is_broken_off), (200, false), "{}", rest.text());
    let joined = [&bundle[..end], &rest.body].concat();
    assert!(joined.len() + 10_000 > bundle.len());
    import(&there, &joined, &here).expect(200);
}

#[test]
fn an_export_goes_on_for_nobody_else_and_after_a_change_only_where_the_past_is_known() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    furnish(&here, acme);
    furnish(&here, &here.globex);
    let bundle = export(&here, acme, &there, false);
    let (token, _) = bookmark(&bundle, bundle.len() / 2);
    resume(&here, &here.globex, &there, &token).expect_refusal(400, "invalid_request");
    resume(&here, acme, &here, &token).expect_refusal(400, "invalid_request");
    let mut forged = BASE64URL_NOPAD.decode(token.as_bytes()).unwrap();
    let last = forged.len() - 3;
    forged[last] ^= 1;
    resume(&here, acme, &there, &BASE64URL_NOPAD.encode(&forged)).expect_refusal(400, "invalid_request");
    here.send(&acme.owner, "PUT", &live(acme), &json!({ "data": { "value": "third" } })).expect(200);
    // What the change was made to is known, so the bundle is of one state all the same.
    let (token, end) = bookmark(&bundle, bundle.len() / 2);
    let rest = resume(&here, acme, &there, &token);
    assert!(!rest.is_broken_off, "{}", rest.text());
    let joined = [&bundle[..end], &rest.body].concat();
    let imported = import(&there, &joined, &here).expect(200);
    let recovery = imported["recovery"]["credential"].as_str().unwrap();
    assert_eq!(there.get(recovery, &live(acme)).expect(200)["data"], json!({ "value": "second" }));
    here.hide_past();
    let rest = resume(&here, acme, &there, &token);
    assert!(rest.is_broken_off, "records of two states");
}

#[test]
fn without_a_past_an_export_breaks_off_when_a_record_changes_under_it_and_not_when_somebody_reads() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    here.hide_past();
    let begin = || {
        let input = bailiwick_app::recovery::BundleExport {
            input: bailiwick_types::api::bundle::ExportTenant {
                recipient: recipient(&there).0.parse().unwrap(),
                is_final: false,
                at: None,
                resume: None,
            },
        };
        let meta = bailiwick_app::RequestMeta {
            id: bailiwick_types::RequestId::random(here.app().random()),
            source: None,
            door: bailiwick_app::Door::Api,
            credential: Some(bailiwick_types::Secret::new(acme.owner.key.credential.clone())),
            stated: Vec::new(),
            idempotency: None,
        };
        here.block_on(async {
            let allowed = here.app().run(&meta, || Ok(input)).await.unwrap();
            here.app().export_bundle(allowed).await.unwrap()
        })
    };
    let rest = |mut stream: bailiwick_app::recovery::BundleStream| {
        here.block_on(async move {
            while stream.next_piece().await?.is_some() {}
            Ok::<_, bailiwick_app::AppError>(())
        })
    };
    let mut stream = begin();
    here.block_on(stream.next_piece()).unwrap();
    here.get(&acme.owner, &live(acme)).expect(200);
    rest(stream).unwrap();

    let mut stream = begin();
    here.block_on(stream.next_piece()).unwrap();
    here.send(&acme.owner, "PUT", &live(acme), &json!({ "data": { "value": "third" } })).expect(200);
    assert_eq!(rest(stream).unwrap_err().code().as_str(), "contention");

    // A revocation ends it at once.
    let mut stream = begin();
    here.block_on(stream.next_piece()).unwrap();
    let key = format!("/api/v1/t/{}/accounts/{}/keys/{}", acme.slug, acme.reader.id, acme.reader.key.id);
    here.send(&acme.owner, "DELETE", &key, &Value::Null).expect(200);
    assert_eq!(rest(stream).unwrap_err().code().as_str(), "permission_denied");
}

/// Lets an import run until it has taken so many steps, and then kills it.
fn import_until(world: &World, bundle: &[u8], from: &World, tenant: &Tenant, steps: u64) {
    let id = tenant.id.parse().unwrap();
    let asked = world
        .request("POST", &format!("/api/v1/tenants:import{}", query(from)))
        .by(&world.platform.admin.key.credential)
        .header("content-type", super::BUNDLE)
        .bytes(bundle.to_vec())
        .ask();
    let store = world.store().clone();
    world.block_on(async {
        tokio::select! {
            answer = asked => panic!("it was finished before it was cut off: {}", answer.text()),
            () = async {
                loop {
                    let header = store.header(id).await.unwrap();
                    if header.is_some_and(|header| header.meta_version >= steps) {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            } => {}
        }
    });
}

#[test]
fn an_import_that_was_killed_leaves_a_tenant_that_nobody_can_use_and_goes_on() {
    let here = World::two_tenants();
    let acme = &here.acme;
    furnish(&here, acme);
    let there = World::elsewhere("cell");
    let bundle = export(&here, acme, &there, true);
    let admin = there.platform.admin.key.credential.clone();
    let shown = |there: &World| there.get(&admin, &format!("/api/v1/tenants/{}", acme.slug)).expect(200);
    let mut there = there;
    for steps in [1, 3, 9, 20] {
        import_until(&there, &bundle, &here, acme, steps);
        assert_eq!(shown(&there)["state"], "importing");
        // Nobody gets in, nobody changes its state, and nothing is added to its ledger by trying.
        let before = there.stored(Plane::Tenant(acme));
        there.get(&acme.owner, &live(acme)).expect_refusal(401, "credential_invalid");
        for act in ["suspend", "resume", "seal"] {
            let target = format!("/api/v1/tenants/{}/{act}", acme.slug);
            let refused = there.send(&admin, "POST", &target, &Value::Null);
            refused.expect_refusal(409, "wrong_state");
        }
        there
            .send(&admin, "DELETE", &format!("/api/v1/tenants/{}", acme.slug), &Value::Null)
            .expect_refusal(409, "wrong_state");
        assert!(before == there.stored(Plane::Tenant(acme)));
        there.restart();
    }
    // Another bundle of the same tenant does not go on where this one was cut off.
    let second = export(&here, acme, &there, true);
    import(&there, &second, &here).expect_refusal(409, "wrong_state");
    import(&there, &bundle, &here).expect(200);
    assert_eq!(shown(&there)["state"], "active");
    assert_eq!(there.get(&acme.owner, &live(acme)).expect(200)["data"], json!({ "value": "second" }));
    let source = here.stored(Plane::Tenant(acme));
    let target = there.stored(Plane::Tenant(acme));
    let size = usize::try_from(frames_size(&bundle)).unwrap();
    assert_eq!(source.entries[..size], target.entries[..size]);
    let again = import_as(&there, &admin, &bundle, &query(&here));
    again.expect_refusal(409, "wrong_state");
}

/// How many entries a bundle says that it has.
fn frames_size(bundle: &[u8]) -> u64 {
    let (_, place) = frames(bundle).first().cloned().unwrap();
    let head: Value = serde_json::from_slice(&bundle[place.start + 5..place.end]).unwrap();
    head["size"].as_u64().unwrap()
}
