//! Another tenant's thing and no thing are one: the same bytes, the same headers, the same work; nothing of the victim is
//! read or written; and the attempt is written down where it belongs, and nowhere else.
//!
//! For every route of every door, both ways.

use bailiwick_http::{Access, Route};
use bailiwick_testkit::{Answer, Operation, Plane, Request, Tenant, World, names};
use bailiwick_types::TenantId;
use serde_json::{Value, json};

use crate::routes::{
    Aim, Caller, Kind, NOBODY, Row, Sides, aims, callers, echoes, forged_of, is_counterpart, is_open,
    is_refused_by_grammar, is_write, request, routes_with_rows,
};

/// One attempt on one route: by whom, on what of another's, and on what that is not there.
struct Attempt<'a> {
    world: &'a World,
    route: &'a Route,
    row: &'a Row,
    foreign: &'a Aim,
    missing: &'a Aim,
    caller: &'a Caller,
    sides: Sides<'a>,
}

impl Attempt<'_> {
    fn request(&self, aim: &Aim) -> Request<'_> {
        request(self.world, self.route, self.row, aim, &self.caller.credential, &self.sides)
    }

    /// The answer, and what the server did for it. All are sent with one stream of randomness: with the same request id,
    /// equal answers are literally equal.
    fn send(&self, aim: &Aim) -> (Answer, Vec<Operation>) {
        self.world.operations();
        let answer = self.request(aim).label("attempt").send();
        (answer, self.world.operations())
    }

    /// Whether the target states another tenant, rather than to look for its thing at home.
    fn is_elsewhere(&self) -> bool {
        self.foreign.kind == Kind::TheirTenant
    }

    fn name(&self) -> String {
        format!("{} as {}: {}, {}", self.route.name(), self.caller.name, self.foreign.label, self.missing.label)
    }
}

/// Makes every attempt that there is, both ways. `check` says whether the world may have changed by it: then the next
/// attempt gets a fresh one.
fn for_every_attempt(attackers: &[&str], mut check: impl FnMut(&Attempt<'_>) -> bool) -> usize {
    let mut world = fresh_and_warm();
    let mut attempts = 0;
    for side in 0..2 {
        for place in 0..world.server().routes().len() {
            for number in 0.. {
                let is_changed = {
                    let (own, other) = world.both_ways()[side];
                    let sides = Sides { own, other, platform: &world.platform };
                    let (route, row) = routes_with_rows(&world).nth(place).unwrap();
                    let all = aims(route, row, &sides);
                    let everybody = callers(&world, own, other);
                    let mut pairs = Vec::new();
                    for foreign in &all {
                        for missing in all.iter().filter(|missing| is_counterpart(foreign, missing)) {
                            let chosen = everybody.iter().filter(|caller| attackers.contains(&caller.name));
                            pairs.extend(chosen.map(|caller| (foreign, missing, caller)));
                        }
                    }
                    let Some((foreign, missing, caller)) = pairs.get(number) else { break };
                    attempts += 1;
                    check(&Attempt { world: &world, route, row, foreign, missing, caller, sides })
                };
                if is_changed {
                    world = fresh_and_warm();
                }
            }
        }
    }
    attempts
}

/// A world where everybody has been seen before: what is loaded for the first time is not what is compared.
fn fresh_and_warm() -> World {
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        for caller in callers(&world, own, other) {
            world.get(&caller.credential, &format!("/api/v1/t/{}/whoami", own.slug));
        }
        for mount in [names::MOUNT, names::SECOND_MOUNT] {
            world.get(&own.owner, &format!("/api/v1/t/{}/secrets/{mount}/{}", own.slug, names::LIVE)).expect(200);
        }
    }
    world
}

/// An answer without what the caller itself said: some of Vault's messages repeat the path.
fn without_echo(answer: &Answer, other: &Tenant) -> Answer {
    let mut text = answer.text();
    for word in echoes(other) {
        text = text.replace(word, "ECHO");
    }
    // `LIVE` stands below a mount that is not there as well as below one that is another's.
    Answer { body: text.into_bytes(), ..answer.clone() }
}

fn id_of(tenant: &Tenant) -> TenantId {
    tenant.id.parse().unwrap()
}

#[test]
fn foreign_and_missing_are_the_same_bytes_headers_and_work() {
    let mut compared = 0;
    let attempts = for_every_attempt(&["owner", "reader", "bare", "revoked", "anonymous"], |attempt| {
        let (one, did_for_one) = attempt.send(attempt.foreign);
        if one.status < 400 && is_write(attempt.route) && !attempt.is_elsewhere() {
            // Something of one's own was made, with a name that the other tenant uses too. There is nothing foreign in that.
            return true;
        }
        let (other, did_for_other) = attempt.send(attempt.missing);
        let victim = attempt.sides.other;
        assert_eq!(without_echo(&one, victim), without_echo(&other, victim), "{}", attempt.name());
        let work = |did: &[Operation]| did.iter().map(|did| did.work.clone()).collect::<Vec<_>>();
        assert_eq!(work(&did_for_one), work(&did_for_other), "{}", attempt.name());
        if attempt.caller.is_live {
            let touched = did_for_one.iter().find(|did| did.planes.contains(&id_of(victim)));
            assert_eq!(touched, None, "{}", attempt.name());
        }
        compared += 1;
        false
    });
    assert!(compared > 1_000 && attempts - compared < 200, "{compared} of {attempts}");
}

#[test]
fn an_attempt_leaves_the_victim_alone_and_is_written_down_at_home() {
    for_every_attempt(&["owner", "bare"], |attempt| {
        let (world, actor, victim) = (attempt.world, attempt.sides.own, attempt.sides.other);
        // The header shows that there was a commit; what it was is for whoever has to find out.
        let before = world.header(Plane::Tenant(victim));
        let sizes =
            |world: &World| [Plane::Tenant(actor), Plane::Platform].map(|plane| world.header(plane).ledger.size());
        let [of_actor, of_platform] = sizes(world);
        let answer = attempt.request(attempt.foreign).send();
        assert_eq!(before, world.header(Plane::Tenant(victim)), "{} changed the victim", attempt.name());
        if is_refused_by_grammar(attempt.route) {
            return false;
        }
        let [of_actor, of_platform] = [sizes(world)[0] - of_actor, sizes(world)[1] - of_platform];
        // Whoever has no mount where it thought that it had one is told more by a second look.
        assert!(of_actor >= 1, "{} is not in the actor's ledger", attempt.name());
        let is_platform_route = attempt.route.path.starts_with("/api/v1/tenants/");
        let is_isolation = attempt.is_elsewhere() || is_platform_route;
        assert_eq!(of_platform, u64::from(is_isolation), "{}", attempt.name());
        if is_isolation {
            check_entries(attempt, &answer);
        }
        answer.status < 400 && is_write(attempt.route)
    });
}

/// The newest entries of the actor's and the platform's ledgers are about the attempt, and say what it was.
fn check_entries(attempt: &Attempt<'_>, answer: &Answer) {
    let (world, actor, victim) = (attempt.world, attempt.sides.own, attempt.sides.other);
    let at_home = &world.ledger(actor, 1)[0];
    let stream = &world.platform_ledger(1)[0];
    let Access::Action(action) = attempt.route.access else { panic!("{} is open", attempt.route.name()) };
    for entry in [at_home, stream] {
        let name = attempt.name();
        assert_eq!(entry["request"].as_str(), answer.header("x-request-id"), "{name}");
        assert_eq!(entry["action"], action.as_str(), "{name}");
        assert_eq!(entry["decision"], "deny", "{name}");
        assert_eq!(entry["policies"], json!(["isolation"]), "{name}");
        assert_eq!(entry["detail"]["stated_tenant"], victim.slug, "{name}");
        assert!(matches!(entry["outcome"].as_str(), Some("denied" | "absent")), "{name}");
        let principal = if attempt.caller.name == "owner" { &actor.owner.id } else { &actor.bare.id };
        assert_eq!(entry["actor"]["id"], *principal, "{name}");
    }
    assert_eq!(at_home["tenant"], actor.id);
    assert_eq!(stream["tenant"], "platform");
    assert_eq!(stream["detail"]["isolation"], "refused");
    assert_eq!(stream["detail"]["actor_tenant"], actor.id);
}

#[test]
fn every_way_to_name_another_tenant_is_as_good_as_none() {
    let world = fresh_and_warm();
    let nobodys_id = "ten_0123456789abcdefghjkmnpqrg";
    for (actor, victim) in world.both_ways() {
        let secret = "secret/data/app/db";
        // Where a tenant is named, `%` is put for its name.
        let ways: &[(&str, &[&str])] = &[
            ("/api/v1/t/%/whoami", &[]),
            ("/api/v1/t/%/secrets/secret/app/db", &[]),
            ("/v1/%/secret/data/app/db", &[]),
            ("/v1/%/sys/mounts", &[]),
            ("/v1/%/auth/token/lookup-self", &[]),
            ("/v1/secret/data/app/db", &["%"]),
            ("/v1/secret/data/app/db", &["%/"]),
            ("/v1/secret/data/app/db", &["/%"]),
            ("/v1/secret/data/app/db", &["OWN", "%"]),
            ("/v1/secret/data/app/db", &["%", "OWN"]),
            ("/v1/OWN/secret/data/app/db", &["%"]),
            ("/v1/%/secret/data/app/db", &["OWN"]),
            ("/v1/%/secret/data/app/db", &["%"]),
            ("/api/v1/tenants/%", &[]),
            ("/api/v1/tenants/%/quotas", &[]),
        ];
        for (target, namespaces) in ways {
            let ask = |name: &str| {
                let said = |text: &str| text.replace('%', name).replace("OWN", &actor.slug);
                let mut request = world.request("GET", &said(target)).by(&actor.owner).label("attempt");
                for namespace in *namespaces {
                    request = request.header("x-vault-namespace", &said(namespace));
                }
                world.operations();
                let answer = request.send();
                let work: Vec<_> = world.operations().into_iter().map(|did| (did.planes, did.work)).collect();
                (answer, work)
            };
            let what = format!("{target} {namespaces:?} by {}", actor.slug);
            let foreign = ask(&victim.slug);
            assert!(matches!(foreign.0.status, 403 | 404), "{what}: {}", foreign.0.text());
            assert_eq!(foreign, ask(&victim.id), "{what}");
            assert_eq!(foreign, ask(NOBODY), "{what}");
            assert_eq!(foreign, ask(nobodys_id), "{what}");
        }
        // The header is the Vault door's; another door neither follows it nor fails by it.
        let own = world.request("GET", &format!("/api/v1/t/{}/whoami", actor.slug)).by(&actor.owner);
        own.header("x-vault-namespace", &victim.slug).send().expect(200);
        // To name one's own tenant, however often, changes nothing.
        let plain = world.request("GET", &format!("/v1/{secret}")).by(&actor.owner).label("own").send();
        for name in [&actor.slug, &actor.id] {
            let named = world.request("GET", &format!("/v1/{name}/{secret}")).by(&actor.owner).label("own");
            assert_eq!(named.header("x-vault-namespace", name).send(), plain);
        }
        assert_eq!(plain.status, 200);
    }
}

#[test]
fn a_reference_to_a_foreign_thing_is_one_to_nothing() {
    let world = fresh_and_warm();
    for (actor, victim) in world.both_ways() {
        let base = format!("/api/v1/t/{}", actor.slug);
        let nobody = |prefix: &str| format!("{prefix}0123456789abcdefghjkmnpqrg");
        let (member, account) = ((&victim.viewer.id, &nobody("mem_")), (&victim.reader.id, &nobody("acc_")));
        let key = (&victim.reader.key.id, &nobody("key_"));
        let binding = (&victim.binding, &nobody("bnd_"));
        let no_mount = "no-such-mount".to_owned();
        let mount = (&victim.only, &no_mount);
        let check = |resource: &str, action: &str| json!({ "action": action, "resource": resource, "principal": actor.owner.id });
        let folder = "folder/%/app";
        // Method, target, body, and what to put for `%`: another tenant's, or nobody's.
        let cases: &[(&str, &str, Value, (&String, &String))] = &[
            ("POST", "/accounts", json!({ "name": "x", "owner": "%" }), member),
            ("PATCH", "/accounts/OWN", json!({ "owner": "%" }), member),
            ("POST", "/bindings", json!({ "principal": "%", "role": "viewer" }), member),
            ("POST", "/bindings", json!({ "principal": "%", "role": "viewer" }), account),
            (
                "POST",
                "/policies:check",
                json!({ "action": "self:show", "resource": "tenant", "principal": "%" }),
                member,
            ),
            (
                "POST",
                "/policies:check",
                json!({ "action": "self:show", "resource": "tenant", "principal": "%" }),
                account,
            ),
            ("POST", "/policies:check", check("account/%", "account:show"), account),
            ("POST", "/policies:check", check("member/%", "member:show"), member),
            ("POST", "/policies:check", check("key/%", "key:show"), key),
            ("POST", "/policies:check", check("binding/%", "binding:show"), binding),
            ("POST", "/policies:check", check("secret/%/app/db", "secret:reveal"), mount),
            ("POST", "/policies:check", check(folder, "secret:list"), mount),
            ("POST", "/capabilities", json!({ "paths": ["%/data/app/db"] }), mount),
            ("GET", "/accounts?owner=%", Value::Null, member),
            ("GET", "/bindings?principal=%", Value::Null, account),
            ("GET", "/ledger/entries?actor=%", Value::Null, account),
            ("GET", "/ledger/entries?resource=%", Value::Null, account),
        ];
        for (method, target, body, (theirs, nothing)) in cases {
            let ask = |name: &str| {
                let target = format!("{base}{target}").replace('%', name).replace("OWN", &actor.reader.id);
                let body: Value = serde_json::from_str(&body.to_string().replace('%', name)).unwrap();
                world.operations();
                let mut answer = world.request(method, &target).by(&actor.owner).json(&body).label("attempt").send();
                answer.body = answer.text().replace(name, "ECHO").into_bytes();
                let did = world.operations();
                assert!(did.iter().all(|did| !did.planes.contains(&id_of(victim))), "{target}: {did:?}");
                // A page ends with where it ended, and a ledger has grown by the question before.
                let mut shown = answer.json();
                shown["size"].take();
                shown["next"].take();
                (
                    answer.status,
                    shown,
                    did.into_iter()
                        .map(|did| did.work.split("entries").next().unwrap_or("").to_owned())
                        .collect::<Vec<_>>(),
                )
            };
            assert_eq!(ask(theirs), ask(nothing), "{method} {target} {body}");
        }
    }
}

#[test]
fn a_forged_credential_of_a_tenant_is_one_of_no_tenant() {
    let world = fresh_and_warm();
    for (actor, victim) in world.both_ways() {
        for target in ["/api/v1/t/SELF/whoami", "/api/v1/platform/whoami", "/v1/secret/data/app/db"] {
            let target = target.replace("SELF", &actor.slug);
            let ask = |credential: &str| world.request("GET", &target).by(credential).label("attempt").send();
            let nobody = ask(&forged_of("ten_0123456789abcdefghjkmnpqrg", "key_0123456789abcdefghjkmnpqrg"));
            assert!(matches!(nobody.status, 401 | 403));
            // A tenant that exists and a key that does not; a key that exists; a key of another tenant.
            for key in ["key_0123456789abcdefghjkmnpqrg", &victim.owner.key.id, &actor.owner.key.id] {
                assert_eq!(ask(&forged_of(&victim.id, key)), nobody, "{target}");
            }
        }
    }
}

#[test]
fn an_operator_at_a_tenants_door_is_in_that_tenants_ledger() {
    let world = fresh_and_warm();
    for (tenant, bystander) in world.both_ways() {
        let sides = Sides { own: tenant, other: bystander, platform: &world.platform };
        let untouched = world.stored(Plane::Tenant(bystander));
        for (route, row) in routes_with_rows(&world) {
            let Access::Action(action) = route.access else { continue };
            let is_platform = action.plane() == bailiwick_types::Plane::Platform;
            if is_platform || is_refused_by_grammar(route) {
                continue;
            }
            let aim = aims(route, row, &sides).into_iter().find(|aim| aim.kind == Kind::Own).unwrap();
            for operator in [&world.platform.admin, &world.platform.viewer] {
                let answer = request(&world, route, row, &aim, operator.as_ref(), &sides).send();
                assert_eq!(answer.status, 403, "{}", route.name());
                for entry in [&world.ledger(tenant, 1)[0], &world.platform_ledger(1)[0]] {
                    assert_eq!(entry["request"].as_str(), answer.header("x-request-id"), "{}", route.name());
                    assert_eq!(entry["actor"]["kind"], "operator");
                    assert_eq!(entry["actor"]["id"], operator.id);
                    assert_eq!((entry["outcome"].as_str(), entry["decision"].as_str()), (Some("denied"), Some("deny")));
                    // Of itself it may ask, but not as somebody in a tenant.
                    let is_itself =
                        route.path.starts_with("/v1/auth/token/") && entry["action"] == "operator-self:show";
                    assert!(is_itself || entry["action"] == action.as_str(), "{}", route.name());
                }
                assert_eq!(world.ledger(tenant, 1)[0]["tenant"], tenant.id);
            }
        }
        assert!(untouched == world.stored(Plane::Tenant(bystander)));
    }
}

#[test]
fn an_operators_act_on_a_tenant_is_in_that_tenants_ledger() {
    for side in 0..2 {
        let count = World::two_tenants().server().routes().len();
        for place in 0..count {
            let world = World::two_tenants();
            let (route, row) = routes_with_rows(&world).nth(place).unwrap();
            if is_open(route) || !route.path.starts_with("/api/v1/tenants/{tenant}") {
                continue;
            }
            let (tenant, bystander) = world.both_ways()[side];
            let sides = Sides { own: tenant, other: bystander, platform: &world.platform };
            let aim = aims(route, row, &sides).into_iter().find(|aim| aim.kind == Kind::Own).unwrap();
            let untouched = world.stored(Plane::Tenant(bystander));
            let before = world.header(Plane::Tenant(tenant)).ledger.size();
            // Whether the operator may or not.
            for operator in [&world.platform.viewer, &world.platform.admin] {
                request(&world, route, row, &aim, operator.as_ref(), &sides).send();
            }
            assert_eq!(world.header(Plane::Tenant(tenant)).ledger.size(), before + 2, "{}", route.name());
            assert!(untouched == world.stored(Plane::Tenant(bystander)), "{}", route.name());
        }
    }
}
