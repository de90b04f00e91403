//! What is not imported: refused before the first write.

use bailiwick_ledger::bundle::{Kind, MAGIC};
use bailiwick_testkit::{Answer, Plane, World};
use serde_json::json;

use super::{export, frames, import, import_as, query, recipient, tenants};

#[track_caller]
fn nothing_came_of(answer: &Answer, there: &World, status: u16, code: &str) {
    answer.expect_refusal(status, code);
    assert!(tenants(there).is_empty(), "something was written");
}

#[test]
fn a_bundle_that_was_changed_anywhere_is_refused_before_the_first_write() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, true);
    let mut places: Vec<usize> = (0..MAGIC.len()).collect();
    for (_, place) in frames(&bundle) {
        // The frame's own bytes, its beginning, its middle and its end.
        places.extend(place.start..(place.start + 9).min(place.end));
        places.extend([place.start + place.len() / 2, place.start + place.len() / 3, place.end - 1]);
    }
    for at in places {
        let mut changed = bundle.clone();
        changed[at] ^= 0x04;
        nothing_came_of(&import(&there, &changed, &here), &there, 400, "bundle_refused");
    }
    import(&there, &bundle, &here).expect(200);
}

#[test]
fn a_bundle_that_is_cut_off_or_put_together_otherwise_is_refused() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, true);
    let frames = frames(&bundle);
    let refuse = |changed: &[u8]| nothing_came_of(&import(&there, changed, &here), &there, 400, "bundle_refused");
    refuse(b"");
    for (_, place) in &frames {
        refuse(&bundle[..place.start]);
        refuse(&bundle[..place.start + 3]);
        refuse(&bundle[..place.end - 1]);
    }
    for pair in frames.windows(2) {
        // Two frames in the other order, one twice, one left out.
        let (first, second) = (&pair[0].1, &pair[1].1);
        let (head, rest) = (&bundle[..first.start], &bundle[second.end..]);
        refuse(&[head, &bundle[second.clone()], &bundle[first.clone()], rest].concat());
        refuse(&[head, &bundle[first.clone()], &bundle[first.clone()], &bundle[second.clone()], rest].concat());
        refuse(&[head, &bundle[second.clone()], rest].concat());
    }
    refuse(&[bundle.as_slice(), b"\n"].concat());
    refuse(&[bundle.as_slice(), bundle.as_slice()].concat());
}

#[test]
fn frames_of_two_tenants_do_not_mix() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let own = export(&here, &here.acme, &there, true);
    let other = export(&here, &here.globex, &there, true);
    let (own_frames, other_frames) = (frames(&own), frames(&other));
    for (at, (kind, place)) in own_frames.iter().enumerate() {
        let Some((_, foreign)) = other_frames
            .iter()
            .filter(|(other, _)| other == kind)
            .nth(own_frames[..at].iter().filter(|(earlier, _)| earlier == kind).count())
        else {
            continue;
        };
        let mixed = [&own[..place.start], &other[foreign.clone()], &own[place.end..]].concat();
        nothing_came_of(&import(&there, &mixed, &here), &there, 400, "bundle_refused");
    }
}

#[test]
fn a_head_that_names_another_tenant_or_slug_is_refused() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, true);
    let text = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let mut changed = bundle.clone();
        let at = changed.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        changed[at..at + from.len()].copy_from_slice(to.as_bytes());
        changed
    };
    for changed in [text(&here.acme.id, &here.globex.id), text("\"acme\"", "\"acmf\""), text("true", "fals")] {
        nothing_came_of(&import(&there, &changed, &here), &there, 400, "bundle_refused");
    }
}

#[test]
fn a_bundle_for_another_installation_opens_nowhere_else() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &World::elsewhere("third"), true);
    nothing_came_of(&import(&there, &bundle, &here), &there, 400, "bundle_refused");
}

#[test]
fn a_bundle_from_an_installation_that_nobody_named_is_refused() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, true);
    let admin = &there.platform.admin.key.credential;
    let refused = import_as(&there, admin, &bundle, "");
    nothing_came_of(&refused, &there, 400, "bundle_refused");
    assert!(refused.text().contains("whose key you did not give"), "{}", refused.text());
    let third = World::elsewhere("third");
    nothing_came_of(&import_as(&there, admin, &bundle, &query(&third)), &there, 400, "bundle_refused");
}

#[test]
fn a_refused_import_is_in_the_platforms_ledger() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, true);
    import(&there, &bundle[..bundle.len() - 1], &here).expect_refusal(400, "bundle_refused");
    let entries = there.platform_ledger(5);
    let refused = entries.iter().find(|entry| entry["detail"]["step"] == "refused").unwrap();
    assert_eq!((&refused["code"], &refused["outcome"]), (&json!("bundle_refused"), &json!("invalid")));
}

#[test]
fn a_slug_that_is_taken_and_a_tenant_that_was_deleted_are_refused() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, false);
    there.send(&there.platform.admin, "POST", "/api/v1/tenants", &json!({ "slug": "acme" })).expect(201);
    import(&there, &bundle, &here).expect_refusal(409, "already_exists");
    assert_eq!(tenants(&there).len(), 1);

    let own = export(&here, &here.acme, &here, false);
    let target = format!("/api/v1/tenants/{}", here.acme.slug);
    here.send(&here.platform.admin, "DELETE", &format!("{target}?hold=1d"), &json!(null)).expect(200);
    import_as(&here, &here.platform.admin.key.credential, &own, "").expect_refusal(409, "wrong_state");
    here.advance(std::time::Duration::from_secs(25 * 3_600));
    while here.block_on(here.app().run_due_jobs()).unwrap() > 0 {}
    assert_eq!(here.get(&here.platform.admin, &target).expect(200)["state"], "deleted");
    let refused = import_as(&here, &here.platform.admin.key.credential, &own, "");
    refused.expect_refusal(409, "wrong_state");
    assert!(refused.text().contains("never revived"), "{}", refused.text());
}

#[test]
fn only_an_owner_exports_and_only_an_operator_who_may_imports() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let acme = &here.acme;
    let body = json!({ "recipient": recipient(&there).0 });
    let target = format!("/api/v1/t/{}/bundle", acme.slug);
    for caller in [&acme.admin.key, &acme.auditor.key, &acme.viewer.key, &acme.reader.key, &here.platform.admin.key] {
        here.send(&caller.credential, "POST", &target, &body).expect_refusal(403, "permission_denied");
    }
    here.send(&here.globex.owner, "POST", &target, &body).expect_refusal(404, "not_found");
    let bundle = export(&here, acme, &here, false);
    for caller in [&acme.owner.key, &here.platform.viewer.key] {
        import_as(&here, &caller.credential, &bundle, "").expect_refusal(403, "permission_denied");
    }
    import_as(&here, "", &bundle, "").expect_refusal(401, "unauthenticated");
    let entry = here.platform_ledger(30).into_iter().find(|entry| entry["action"] == "bundle:export").unwrap();
    assert_eq!(entry["actor"]["id"], json!(acme.owner.id));
}

#[test]
fn a_body_that_breaks_off_or_is_too_large_is_refused() {
    let (here, there) = (World::two_tenants(), World::elsewhere("cell"));
    let bundle = export(&here, &here.acme, &there, true);
    let cut = there
        .request("POST", &format!("/api/v1/tenants:import{}", query(&here)))
        .by(&there.platform.admin.key.credential)
        .header("content-type", super::BUNDLE)
        .bytes(bundle.clone())
        .in_pieces(10_000)
        .cut_off()
        .send();
    nothing_came_of(&cut, &there, 400, "invalid_request");
    let mut options = bailiwick_testkit::WorldOptions::default();
    options.http.bundle_bytes_max = 10_000;
    let small = World::with(options);
    let own = export(&small, &small.acme, &small, false);
    let before = small.stored(Plane::Tenant(&small.acme));
    import_as(&small, &small.platform.admin.key.credential, &own, "").expect_refusal(413, "body_too_large");
    assert!(before == small.stored(Plane::Tenant(&small.acme)));
    assert_eq!(frames(&own).iter().filter(|(kind, _)| *kind == Kind::Head).count(), 1);
}
