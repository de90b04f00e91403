//! Two tenants with the same names everywhere: what one does, has or deletes is its own. Every case runs for both.

use std::time::Duration;

use bailiwick_testkit::{Plane, Tenant, World, names};
use serde_json::{Value, json};

use crate::routes::{Kind, Sides, aims, is_open, is_write, request, routes_with_rows};

fn base(tenant: &Tenant) -> String {
    format!("/api/v1/t/{}", tenant.slug)
}

/// Runs a case for both tenants, each time in a fresh world.
fn both_ways(case: impl Fn(&World, &Tenant, &Tenant)) {
    for side in 0..2 {
        let world = World::two_tenants();
        let (one, other) = world.both_ways()[side];
        case(&world, one, other);
    }
}

#[test]
fn two_worlds_are_the_same_to_the_byte() {
    // What the other tests compare is literal only because of this.
    let (one, other) = (World::two_tenants(), World::two_tenants());
    for world in [&one, &other] {
        world.get(&world.acme.owner, "/api/v1/t/acme/whoami").expect(200);
    }
    for (tenant, _) in one.both_ways() {
        assert_eq!(one.stored(Plane::Tenant(tenant)), other.stored(Plane::Tenant(tenant)));
    }
    assert_eq!(one.stored(Plane::Platform), other.stored(Plane::Platform));
}

/// Every id and every name that only `tenant` has.
fn marks(tenant: &Tenant) -> Vec<&String> {
    let people = [&tenant.owner, &tenant.admin, &tenant.auditor, &tenant.viewer];
    let accounts = [&tenant.reader, &tenant.bare];
    let mut marks =
        vec![&tenant.id, &tenant.slug, &tenant.only, &tenant.binding, &tenant.revoked.id, &tenant.expired.id];
    marks.extend(people.iter().flat_map(|member| [&member.id, &member.key.id]));
    marks.extend(accounts.iter().flat_map(|account| [&account.id, &account.key.id]));
    marks
}

#[test]
fn no_answer_to_one_tells_of_the_other() {
    both_ways(|world, own, other| {
        let sides = Sides { own, other, platform: &world.platform };
        let mut answers = 0;
        for (route, row) in routes_with_rows(world) {
            for aim in aims(route, row, &sides).iter().filter(|aim| matches!(aim.kind, Kind::Own | Kind::Unnamed)) {
                if is_write(route) || route.path.starts_with("/api/v1/tenants") {
                    continue;
                }
                let answer = request(world, route, row, aim, own.owner.as_ref(), &sides).send();
                let told = format!("{:?} {}", answer.headers, answer.text());
                for mark in marks(other) {
                    assert!(!told.contains(mark.as_str()), "{} tells `{mark}`: {told}", route.name());
                }
                answers += usize::from(answer.status == 200);
            }
        }
        assert!(answers > 50, "{answers}");
    });
}

#[test]
fn no_act_of_one_changes_a_byte_of_the_other() {
    let count = World::two_tenants().server().routes().len();
    for side in 0..2 {
        let mut world = World::two_tenants();
        for place in 0..count {
            let (route, row) = routes_with_rows(&world).nth(place).unwrap();
            if is_open(route) || !is_write(route) {
                continue;
            }
            let (own, other) = world.both_ways()[side];
            let sides = Sides { own, other, platform: &world.platform };
            let aim = aims(route, row, &sides).remove(0);
            let before = world.stored(Plane::Tenant(other));
            let answer = request(&world, route, row, &aim, own.owner.as_ref(), &sides).send();
            assert!(before == world.stored(Plane::Tenant(other)), "{} changed the other tenant", route.name());
            if answer.status < 400 {
                world = World::two_tenants();
            }
        }
    }
}

// --- cursors -------------------------------------------------------------------------------------------------------------

#[test]
fn a_cursor_is_of_one_tenant_one_caller_and_one_query() {
    both_ways(|world, own, other| {
        let sides = Sides { own, other, platform: &world.platform };
        let paged = routes_with_rows(world).filter(|(route, _)| {
            route.path.starts_with("/api/v1/t/") && route.query.iter().any(|query| query.name == "cursor")
        });
        let mut lists = 0;
        let mut cursors = Vec::new();
        for (route, row) in paged {
            let all = aims(route, row, &sides);
            let own_target = &all[0].target;
            let page = world.get(&own.owner, &format!("{own_target}?limit=1")).expect(200);
            let Some(next) = page["next"].as_str() else { continue };
            lists += 1;
            let with = |target: &str, cursor: &str| format!("{target}?limit=1&cursor={cursor}");
            let ask = |caller: &dyn AsRef<str>, target: &str| {
                world.request("GET", target).by(caller.as_ref()).label("attempt").send()
            };
            let refused = ask(&own.owner, &with(own_target, "bm9uZQ"));
            refused.expect_refusal(400, "invalid_cursor");
            // Who has it goes on; nobody else does, and is told no more than about a cursor that is none.
            ask(&own.owner, &with(own_target, next)).expect(200);
            let theirs = own_target.replace(&own.slug, &other.slug);
            let theirs = theirs.replace(&own.viewer.id, &other.viewer.id).replace(&own.reader.id, &other.reader.id);
            assert_eq!(ask(&other.owner, &with(&theirs, next)), refused.clone(), "{}", route.name());
            assert_eq!(ask(&own.admin, &with(own_target, next)), refused, "{}", route.name());
            cursors.push((own_target.clone(), next.to_owned()));
        }
        assert!(lists >= 6, "{lists}");
        for (of, cursor) in &cursors {
            for (target, _) in
                cursors.iter().filter(|(target, _)| target.trim_end_matches('/') != of.trim_end_matches('/'))
            {
                let answer = world.get(&own.owner, &format!("{target}?limit=1&cursor={cursor}"));
                assert_eq!(answer.code(), "invalid_cursor", "the cursor of {of} at {target}");
            }
        }
        // The same list with another question.
        let entries = format!("{}/ledger/entries", base(own));
        let next = world.get(&own.owner, &format!("{entries}?limit=1&outcome=ok")).expect(200)["next"].clone();
        let next = next.as_str().unwrap();
        world.get(&own.owner, &format!("{entries}?limit=1&outcome=ok&cursor={next}")).expect(200);
        for query in ["", "&outcome=denied", "&outcome=ok&order=desc", "&outcome=ok&decision=allow"] {
            let answer = world.get(&own.owner, &format!("{entries}?limit=1{query}&cursor={next}"));
            answer.expect_refusal(400, "invalid_cursor");
        }
    });
}

#[test]
fn an_operators_cursor_is_its_own() {
    let world = World::two_tenants();
    let platform = &world.platform;
    for list in ["/api/v1/tenants", "/api/v1/operators", "/api/v1/platform/ledger/entries"] {
        let next = world.get(&platform.admin, &format!("{list}?limit=1")).expect(200)["next"].clone();
        let target = format!("{list}?limit=1&cursor={}", next.as_str().unwrap());
        world.get(&platform.admin, &target).expect(200);
        world.get(&platform.viewer, &target).expect_refusal(400, "invalid_cursor");
    }
}

#[test]
fn pages_of_both_tenants_are_whole_and_apart() {
    both_ways(|world, own, other| {
        // One more account on one side moves nothing on the other.
        let whole = |tenant: &Tenant| {
            let (mut items, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = world.get(&tenant.owner, &format!("{}/accounts?limit=1{cursor}", base(tenant))).expect(200);
                items.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
                match page["next"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => return items,
                }
            }
        };
        let before = (whole(own), whole(other));
        let body = json!({ "name": names::READER, "owner": own.admin.id });
        world.send(&own.owner, "POST", &format!("{}/accounts", base(own)), &body).expect(201);
        assert_eq!(whole(own).len(), before.0.len() + 1);
        assert_eq!(whole(other), before.1);
    });
}

// --- idempotency ---------------------------------------------------------------------------------------------------------

#[test]
fn an_idempotency_key_is_of_one_tenant_and_one_caller() {
    both_ways(|world, own, other| {
        let create = |tenant: &Tenant, caller: &dyn AsRef<str>, name: &str, key: &str| {
            let request = world.request("POST", &format!("{}/accounts", base(tenant))).by(caller.as_ref());
            let body = json!({ "name": name, "owner": tenant.admin.id });
            request.header("idempotency-key", key).json(&body).send()
        };
        let first = create(own, &own.owner, "fresh", "k").expect(201);
        // The same key and the same body on the other side: a thing of its own, and nothing is replayed.
        let theirs = create(other, &other.owner, "fresh", "k").expect(201);
        assert_ne!(first["id"], theirs["id"]);
        assert_eq!(theirs["owner"], other.admin.id);
        // Each gets its own again.
        assert_eq!(create(own, &own.owner, "fresh", "k").expect(201), first);
        assert_eq!(create(other, &other.owner, "fresh", "k").expect(201), theirs);
        // Another caller of the same tenant has keys of its own too.
        assert_ne!(create(own, &own.admin, "fresh", "k").expect(201)["id"], first["id"]);
        // A mismatch is told to whoever used the key, and to nobody else.
        create(own, &own.owner, "other", "k").expect_refusal(422, "idempotency_mismatch");
        create(other, &other.owner, "fresh", "k").expect(201);
        // The key that both were set up with is taken on both sides, by different requests.
        create(own, &own.owner, "other", names::IDEMPOTENCY_KEY).expect_refusal(422, "idempotency_mismatch");
        create(other, &other.admin, "other", names::IDEMPOTENCY_KEY).expect(201);
    });
}

// --- recycled names ------------------------------------------------------------------------------------------------------

#[test]
fn a_recycled_mount_holds_nothing_of_the_old_one() {
    both_ways(|world, own, other| {
        let mounts = format!("{}/mounts", base(own));
        let secret = |tenant: &Tenant| format!("{}/secrets/{}/{}", base(tenant), names::MOUNT, names::LIVE);
        let before = world.stored(Plane::Tenant(other));
        world.send(&own.owner, "DELETE", &format!("{mounts}/{}", names::MOUNT), &Value::Null).expect(200);
        assert!(before == world.stored(Plane::Tenant(other)));
        world.get(&own.owner, &secret(own)).expect_refusal(404, "mount_not_found");
        world.send(&own.owner, "POST", &mounts, &json!({ "name": names::MOUNT })).expect(201);
        // The reader's binding is on the folder's name, and so it holds again; there is nothing to read.
        for caller in [own.owner.as_ref(), own.reader.as_ref()] {
            world.get(caller, &secret(own)).expect_refusal(404, "not_found");
        }
        let written = world.send(&own.owner, "PUT", &secret(own), &json!({ "data": { "value": "new" } })).expect(200);
        assert_eq!(written["version"], 1);
        assert_eq!(world.get(&other.owner, &secret(other)).expect(200)["data"]["value"], "second");
    });
}

#[test]
fn a_recycled_policy_decides_as_it_says_now() {
    both_ways(|world, own, other| {
        let policies = format!("{}/policies", base(own));
        let secret = |tenant: &Tenant| format!("{}/secrets/{}/{}", base(tenant), names::MOUNT, names::LIVE);
        let text = |effect: &str| {
            let text = format!(r#"{effect}(principal, action == Action::"secret:reveal", resource);"#);
            json!({ "name": "recycled", "text": text })
        };
        let put = |effect: &str| world.send(&own.owner, "POST", &policies, &text(effect)).expect(201);
        let delete = || {
            world.send(&own.owner, "DELETE", &format!("{policies}/recycled"), &Value::Null).expect(200);
        };
        world.get(&own.viewer, &secret(own)).expect_refusal(403, "permission_denied");
        put("permit");
        world.get(&own.viewer, &secret(own)).expect(200);
        delete();
        world.get(&own.viewer, &secret(own)).expect_refusal(403, "permission_denied");
        // The same name, and again its first version.
        put("forbid");
        world.get(&own.owner, &secret(own)).expect_refusal(403, "permission_denied");
        world.get(&other.owner, &secret(other)).expect(200);
        delete();
        put("permit");
        world.get(&own.viewer, &secret(own)).expect(200);
        world.get(&other.viewer, &secret(other)).expect_refusal(403, "permission_denied");
    });
}

#[test]
fn a_recycled_guardrail_decides_as_it_says_now() {
    let world = World::two_tenants();
    let guardrails = "/api/v1/guardrails";
    let admin = &world.platform.admin;
    for (action, is_list_forbidden) in [("mount:list", true), ("mount:show", false), ("mount:list", true)] {
        let text = format!(r#"forbid(principal, action == Action::"{action}", resource);"#);
        world.send(admin, "POST", guardrails, &json!({ "name": "recycled", "text": text })).expect(201);
        for (tenant, _) in world.both_ways() {
            let status = world.get(&tenant.owner, &format!("{}/mounts", base(tenant))).status;
            assert_eq!(status, if is_list_forbidden { 403 } else { 200 });
        }
        world.send(admin, "DELETE", &format!("{guardrails}/recycled"), &Value::Null).expect(200);
    }
}

#[test]
fn a_recycled_account_has_nothing_of_the_old_one() {
    both_ways(|world, own, other| {
        let accounts = format!("{}/accounts", base(own));
        let secret = |tenant: &Tenant| format!("{}/secrets/{}/{}", base(tenant), names::MOUNT, names::LIVE);
        let before = world.stored(Plane::Tenant(other));
        world.send(&own.owner, "DELETE", &format!("{accounts}/{}", own.reader.id), &Value::Null).expect(200);
        world.get(&own.reader, &secret(own)).expect_refusal(401, "credential_invalid");
        world.get(&own.owner, &format!("{accounts}/{}", own.reader.id)).expect_refusal(404, "not_found");
        let body = json!({ "name": names::READER, "owner": own.admin.id });
        let id = world.send(&own.owner, "POST", &accounts, &body).expect(201)["id"].clone();
        let id = id.as_str().unwrap();
        assert_ne!(id, own.reader.id);
        let key = world.send(&own.owner, "POST", &format!("{accounts}/{id}/keys"), &Value::Null).expect(201);
        world.get(key["credential"].as_str().unwrap(), &secret(own)).expect_refusal(403, "permission_denied");
        world.get(&own.reader, &secret(own)).expect_refusal(401, "credential_invalid");
        assert!(before == world.stored(Plane::Tenant(other)));
        world.get(&other.reader, &secret(other)).expect(200);
    });
}

#[test]
fn a_purged_secret_starts_again_and_its_versions_are_gone() {
    both_ways(|world, own, other| {
        let at = |noun: &str, tenant: &Tenant| format!("{}/{noun}/{}/{}", base(tenant), names::MOUNT, names::LIVE);
        world.send(&own.owner, "DELETE", &at("secret-metadata", own), &Value::Null).expect(200);
        world.get(&own.owner, &at("secrets", own)).expect_refusal(404, "not_found");
        world.send(&own.owner, "PUT", &at("secrets", own), &json!({ "data": { "value": "new" } })).expect(200);
        let metadata = world.get(&own.owner, &at("secret-metadata", own)).expect(200);
        assert_eq!((&metadata["current_version"], &metadata["custom_metadata"]), (&json!(1), &json!({})));
        world.get(&own.owner, &format!("{}?version=2", at("secrets", own))).expect_refusal(404, "version_not_found");
        let theirs = world.get(&other.owner, &format!("{}?version=1", at("secrets", other))).expect(200);
        assert_eq!(theirs["data"]["value"], "first");
    });
}

#[test]
fn a_slug_and_an_id_are_never_anybody_elses() {
    both_ways(|world, own, other| {
        let admin = &world.platform.admin;
        let create = || world.send(admin, "POST", "/api/v1/tenants", &json!({ "slug": own.slug }));
        // The tenants' own background work first, so that only the deletion's is left.
        world.advance(Duration::from_secs(25 * 3_600));
        world.run_due_jobs();
        create().expect_refusal(409, "already_exists");
        let before = world.stored(Plane::Tenant(other));
        world.send(admin, "DELETE", &format!("/api/v1/tenants/{}?hold=1d", own.slug), &Value::Null).expect(200);
        create().expect_refusal(409, "already_exists");
        world.get(&own.owner, &format!("{}/whoami", base(own))).expect_refusal(403, "tenant_suspended");
        world.advance(Duration::from_secs(25 * 3_600));
        world.run_due_jobs();
        assert_eq!(world.get(admin, &format!("/api/v1/tenants/{}", own.slug)).expect(200)["state"], "deleted");
        create().expect_refusal(409, "already_exists");
        world.get(&own.owner, &format!("{}/whoami", base(own))).expect_refusal(401, "credential_invalid");
        // Nor does it matter to the other, who sees no difference between a deleted tenant and none.
        assert!(before == world.stored(Plane::Tenant(other)));
        let ask = |name: &str| {
            world.request("GET", &format!("/api/v1/t/{name}/whoami")).by(&other.owner).label("attempt").send()
        };
        assert_eq!(ask(&own.slug), ask("nobody"));
        world.get(&other.owner, &format!("{}/whoami", base(other))).expect(200);
    });
}

// --- policy --------------------------------------------------------------------------------------------------------------

const PERMIT_ALL: &str = "permit(principal, action, resource);";

#[test]
fn a_tenant_cannot_relax_a_guardrail() {
    both_ways(|world, own, other| {
        let embargoed = |tenant: &Tenant| format!("{}/secrets/{}/{}", base(tenant), names::MOUNT, names::EMBARGOED);
        let policies = format!("{}/policies", base(own));
        let refused = |tenant: &Tenant, caller: &dyn AsRef<str>| {
            world.get(caller.as_ref(), &embargoed(tenant)).expect_refusal(403, "permission_denied");
        };
        refused(own, &own.owner);
        // Not by permitting everything, not under the guardrail's own name, not by a role on that very secret.
        for name in ["everything", names::GUARDRAIL, &format!("guardrail.{}", names::GUARDRAIL)] {
            world.send(&own.owner, "POST", &policies, &json!({ "name": name, "text": PERMIT_ALL })).expect(201);
            refused(own, &own.owner);
        }
        let on = format!("secret/{}/{}", names::MOUNT, names::EMBARGOED);
        let binding = json!({ "principal": own.reader.id, "role": "owner", "on": on });
        world.send(&own.owner, "POST", &format!("{}/bindings", base(own)), &binding).expect(201);
        refused(own, &own.reader);
        assert_eq!(world.ledger(own, 1)[0]["policies"], json!([format!("guardrail:{}", names::GUARDRAIL)]));
        // Nor in a dry run that leaves it out.
        let without = json!({
            "action": "secret:reveal", "resource": on,
            "with_policies": { names::GUARDRAIL: null, "everything": PERMIT_ALL },
        });
        let checked = world.send(&own.owner, "POST", &format!("{policies}:check"), &without).expect(200);
        assert_eq!(checked["decision"], "deny", "{checked}");
        // Nor at the other door.
        let target = format!("/v1/{}/data/{}", names::MOUNT, names::EMBARGOED);
        assert_eq!(world.get(&own.owner, &target).status, 403);
        refused(other, &other.owner);
        // What the guardrail leaves alone, the tenant's own policy decides.
        world.get(&own.bare, &format!("{}/secrets/{}/{}", base(own), names::MOUNT, names::LIVE)).expect(200);
    });
}

#[test]
fn a_tenants_policies_are_about_itself_only() {
    both_ways(|world, own, other| {
        let put = |name: &str, text: &str| {
            let policies = format!("{}/policies", base(own));
            world.send(&own.owner, "POST", &policies, &json!({ "name": name, "text": text })).expect(201);
        };
        let live = |tenant: &Tenant| format!("{}/secrets/{}/{}", base(tenant), names::MOUNT, names::LIVE);
        put("everything", PERMIT_ALL);
        // All of one's own are let in, and nobody else; least of all somebody named by id.
        world.get(&own.bare, &live(own)).expect(200);
        for theirs in [other.owner.as_ref(), other.bare.as_ref()] {
            world.get(theirs, &live(own)).expect_refusal(404, "not_found");
        }
        put("named", &format!(r#"permit(principal == Member::"{}", action, resource);"#, other.owner.id));
        put("tenant", &format!(r#"permit(principal, action, resource in Tenant::"{}");"#, other.id));
        world.get(&other.owner, &live(own)).expect_refusal(404, "not_found");
        world.get(&own.owner, &live(other)).expect_refusal(404, "not_found");
        let [operator] = [&world.platform.admin];
        world.get(operator, &live(own)).expect_refusal(403, "permission_denied");
        // A tenant that forbids itself everything forbids nobody else anything.
        put("nothing", r#"forbid(principal, action, resource) unless { action == Action::"policy:delete" };"#);
        world.get(&own.owner, &live(own)).expect_refusal(403, "permission_denied");
        world.get(&other.owner, &live(other)).expect(200);
        world.get(&other.bare, &live(other)).expect_refusal(403, "permission_denied");
    });
}

#[test]
fn a_binding_gives_nothing_in_the_other_tenant() {
    both_ways(|world, own, other| {
        let binding = json!({ "principal": own.bare.id, "role": "owner" });
        world.send(&own.owner, "POST", &format!("{}/bindings", base(own)), &binding).expect(201);
        world.get(&own.bare, &format!("{}/members", base(own))).expect(200);
        world.get(&own.bare, &format!("{}/members", base(other))).expect_refusal(404, "not_found");
        world.get(&other.bare, &format!("{}/members", base(other))).expect_refusal(403, "permission_denied");
        for on in [format!("tenant/{}", other.id), format!("Tenant::\"{}\"", other.id), other.id.clone()] {
            let binding = json!({ "principal": own.bare.id, "role": "owner", "on": on });
            let answer = world.send(&own.owner, "POST", &format!("{}/bindings", base(own)), &binding);
            assert_eq!(answer.status, 400, "{on}");
        }
    });
}
