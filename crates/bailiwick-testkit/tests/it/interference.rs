//! Non-interference: what a tenant sees is the same, to the byte, whatever the other does or suffers.
//!
//! A history of both tenants and of operators runs twice: once whole, once without everything that is the one tenant's. The
//! other's answers, and everything that is stored of it, must be equal.
//!
//! # Deliberately absent
//! Concurrency: here one request ends before the next begins.

use std::time::Duration;

use bailiwick_http::Route;
use bailiwick_testkit::{Answer, Plane as PlaneOf, SeededRandom, Stored, Tenant, World, hide_sealed_keys};
use bailiwick_types::{Clock, Plane, Random, Timestamp};
use serde_json::{Value, json};

use crate::routes::{Kind, STRAY, Sides, aims, callers, request, routes_with_rows};

/// Which tenant a step is of; an operator's step is of the tenant that it acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Acme,
    Globex,
}

/// One step of a history: a request of a side's own, or an operator's about it.
#[derive(Debug, Clone, Copy)]
struct Step {
    side: Side,
    /// Milliseconds after the beginning.
    at_ms: u32,
    route: usize,
    aim: usize,
    caller: usize,
}

/// Numbers from a seed.
struct Dice(SeededRandom);

impl Dice {
    fn below(&self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % end as u64).unwrap()
    }
}

/// Who takes part: the side's own people, and those who are nobody with its dead credentials. Strangers and operators act by
/// steps of their own.
const ACTORS: &[&str] = &[
    "owner", "owner", "owner", "owner", "owner", "admin", "admin", "auditor", "viewer", "reader", "bare", "revoked",
    "forged",
];

/// The routes that steps take: what is of a tenant, or about one.
fn places(world: &World) -> Vec<usize> {
    let routes = world.server().routes().iter().enumerate();
    let of_tenants = routes.filter(|(_, route)| {
        is_about_tenant(route) || (route.plane() == Some(Plane::Tenant) && route.summary != STRAY)
    });
    of_tenants.map(|(place, _)| place).collect()
}

fn is_about_tenant(route: &Route) -> bool {
    route.path.starts_with("/api/v1/tenants/{tenant}")
}

fn history(seed: u64, steps: usize, routes: &[usize]) -> Vec<Step> {
    let dice = Dice(SeededRandom::new(&format!("history {seed}")));
    (0..steps)
        .map(|number| Step {
            side: if dice.below(2) == 0 { Side::Acme } else { Side::Globex },
            at_ms: u32::try_from(number).unwrap() * 977,
            route: routes[dice.below(routes.len())],
            // Half of them aim at what is there.
            aim: dice.below(2) * dice.below(64),
            caller: dice.below(ACTORS.len()),
        })
        .collect()
}

/// Steps after which a side can do little more. They come towards the end, so that there is something to see before.
fn is_lethal(route: &Route) -> bool {
    let path = route.path;
    let ends = ["/suspend", "/seal", "/revoke", "/revoke-self"];
    ends.iter().any(|end| path.ends_with(end)) || (route.method == "DELETE" && path == "/api/v1/tenants/{tenant}")
}

fn tenants(world: &World, side: Side) -> (&Tenant, &Tenant) {
    match side {
        Side::Acme => (&world.acme, &world.globex),
        Side::Globex => (&world.globex, &world.acme),
    }
}

/// Two operators, each for one side: what is written down of the operators themselves (when they were last seen) is
/// written by whichever request comes first, and must not move from one side's request to the other's.
struct Operators {
    of_acme: String,
    of_globex: String,
}

impl Operators {
    fn of(&self, side: Side) -> &str {
        match side {
            Side::Acme => &self.of_acme,
            Side::Globex => &self.of_globex,
        }
    }

    fn appointed(world: &World) -> Self {
        let admin = &world.platform.admin;
        let body = json!({ "name": "second", "role": "operator-admin" });
        let second = world.send(admin, "POST", "/api/v1/operators", &body).expect(201);
        let credentials = format!("/api/v1/operators/{}/credentials", second["id"].as_str().unwrap());
        let issued = world.send(admin, "POST", &credentials, &Value::Null).expect(201);
        Self { of_acme: admin.key.credential.clone(), of_globex: issued["credential"].as_str().unwrap().to_owned() }
    }
}

/// Takes a step. `None` if it is no request of the side's.
fn take(world: &World, operators: &Operators, number: usize, step: Step) -> Option<Answer> {
    let (own, other) = tenants(world, step.side);
    let sides = Sides { own, other, platform: &world.platform };
    let (route, row) = routes_with_rows(world).nth(step.route).unwrap();
    let is_about_tenant = is_about_tenant(route);
    if is_lethal(route) && number < STEPS / 4 * 3 {
        return None;
    }
    let mut all = aims(route, row, &sides);
    // An operator's step is about the side itself; a tenant's may aim at anything.
    all.retain(|aim| !is_about_tenant || aim.kind == Kind::Own);
    let aim = &all[step.aim % all.len()];
    let everybody = callers(world, own, other);
    let caller = match is_about_tenant {
        true => operators.of(step.side),
        false => everybody.iter().find(|caller| caller.name == ACTORS[step.caller]).unwrap().credential.as_str(),
    };
    // By its number in the whole history, so that what a step draws does not depend on which others there are.
    let answer = request(world, route, row, aim, caller, &sides).label(&format!("step {number}")).send();
    (!is_about_tenant).then_some(hide_sealed_keys(answer))
}

/// What one side sees of a history.
#[derive(Debug, PartialEq, Eq)]
struct View {
    answers: Vec<(usize, Answer)>,
    stored: Stored,
}

fn view(history: &[Step], whose: Side, is_alone: bool) -> View {
    let world = World::two_tenants();
    let beginning = world.clock.now().unix_ms();
    let operators = Operators::appointed(&world);
    let mut answers = Vec::new();
    for (number, step) in history.iter().enumerate() {
        world.clock.set(Timestamp::from_unix_ms(beginning + i64::from(step.at_ms)));
        if step.side == whose {
            answers.extend(take(&world, &operators, number, *step).map(|answer| (number, answer)));
        } else if !is_alone {
            take(&world, &operators, number, *step);
        }
    }
    View { answers, stored: world.stored(PlaneOf::Tenant(tenants(&world, whose).0)) }
}

/// Every seed that ever failed stays here.
const SEEDS: &[u64] = &[1, 2, 3];
const STEPS: usize = 280;

#[test]
fn without_the_other_tenant_everything_is_the_same() {
    let routes = places(&World::two_tenants());
    for seed in SEEDS {
        let history = history(*seed, STEPS, &routes);
        for whose in [Side::Acme, Side::Globex] {
            let (together, alone) = (view(&history, whose, false), view(&history, whose, true));
            for (one, other) in together.answers.iter().zip(&alone.answers) {
                assert_eq!(one, other, "seed {seed}: {:?} sees a difference at {:?}", whose, history[one.0]);
            }
            assert_eq!(together.stored.header, alone.stored.header, "seed {seed}: {whose:?}");
            for (one, other) in together.stored.records.iter().zip(&alone.stored.records) {
                assert_eq!(one, other, "seed {seed}: {whose:?}");
            }
            for (one, other) in together.stored.entries.iter().zip(&alone.stored.entries) {
                assert_eq!(one, other, "seed {seed}: {whose:?}");
            }
            assert!(together == alone, "seed {seed}: {whose:?} has more or less than alone");
            let successes = alone.answers.iter().filter(|(_, answer)| answer.status < 300).count();
            assert!(successes >= 25, "seed {seed} shows nothing: {successes} successes");
        }
    }
}

/// A fixed day in a tenant's life, with everything that shows numbers, ids, orders and proofs.
fn a_day(world: &World, tenant: &Tenant) -> Vec<Answer> {
    let base = format!("/api/v1/t/{}", tenant.slug);
    let mut answers = Vec::new();
    let mut ask = |caller: &dyn AsRef<str>, method: &str, target: &str, body: Value| {
        let answer = world.request(method, target).by(caller.as_ref()).json(&body).send();
        answers.push(answer.clone());
        answer
    };
    let api = |path: &str| format!("{base}/{path}");
    ask(&tenant.owner, "POST", &api("accounts"), json!({ "name": "fresh", "owner": tenant.admin.id })).expect(201);
    ask(&tenant.owner, "POST", &api("mounts"), json!({ "name": "fresh" })).expect(201);
    ask(&tenant.owner, "PUT", &api("secrets/fresh/a"), json!({ "data": { "a": 1 } })).expect(200);
    ask(&tenant.reader, "GET", "/v1/secret/data/app/db", Value::Null).expect(200);
    ask(&tenant.bare, "GET", "/v1/secret/data/app/db", Value::Null);
    ask(&tenant.forgotten(), "GET", &api("whoami"), Value::Null).expect(401);
    for list in ["accounts?limit=2", "members?limit=1", "mounts", "policies", "limits", "keyring", "bindings"] {
        ask(&tenant.owner, "GET", &api(list), Value::Null).expect(200);
    }
    ask(&tenant.auditor, "GET", &api("ledger/checkpoint"), Value::Null).expect(200);
    ask(&tenant.auditor, "GET", &api("ledger/inclusion?index=3"), Value::Null).expect(200);
    ask(&tenant.auditor, "GET", &api("ledger/consistency?old=5"), Value::Null).expect(200);
    ask(&tenant.auditor, "GET", &api("ledger/entries?order=desc&limit=50"), Value::Null).expect(200);
    ask(&tenant.auditor, "GET", &api("ledger/export"), Value::Null).expect(200);
    for open in ["/readyz", "/healthz", "/api/v1/seal-status", "/v1/sys/health", "/v1/sys/seal-status"] {
        ask(&"", "GET", open, Value::Null).expect(200);
    }
    answers
}

trait Forgotten {
    fn forgotten(&self) -> String;
}

impl Forgotten for Tenant {
    /// A credential that was revoked.
    fn forgotten(&self) -> String {
        self.revoked.credential.clone()
    }
}

/// What befell a tenant, and the operator's requests that made it so: method, last part of the path.
type Fate = (&'static str, &'static [(&'static str, &'static str)]);

#[test]
fn what_an_operator_does_to_one_leaves_the_other_as_it_was() {
    let fates: &[Fate] = &[
        ("suspended", &[("POST", "suspend")]),
        ("sealed", &[("POST", "seal")]),
        ("sealed and unsealed", &[("POST", "seal"), ("POST", "unseal")]),
        ("suspended and resumed", &[("POST", "suspend"), ("POST", "resume")]),
        ("deleted", &[("DELETE", "")]),
    ];
    for side in 0..2 {
        let day_of = |prepare: &dyn Fn(&World, &Tenant)| {
            let world = World::two_tenants();
            let (victim, bystander) = world.both_ways()[side];
            prepare(&world, victim);
            let answers = a_day(&world, bystander);
            (answers, world.stored(PlaneOf::Tenant(bystander)))
        };
        let usual = day_of(&|_, _| {});
        for (what, steps) in fates {
            let day = day_of(&|world, victim| {
                for (method, act) in *steps {
                    let target = format!("/api/v1/tenants/{}/{act}", victim.slug);
                    let target = target.trim_end_matches('/');
                    world.send(&world.platform.admin, method, target, &Value::Null).expect(200);
                }
                let is_closed = steps.len() == 1;
                let shut = world.get(&victim.owner, &format!("/api/v1/t/{}/whoami", victim.slug));
                assert_eq!(shut.status != 200, is_closed, "{what}: {}", shut.text());
            });
            assert!(day == usual, "the other tenant was {what}, and that shows");
        }
        let quotas = json!({ "quotas": { "accounts": 2, "requests_per_second": 1, "concurrent_requests": 1 } });
        let day = day_of(&|world, victim| {
            let target = format!("/api/v1/tenants/{}/quotas", victim.slug);
            world.send(&world.platform.admin, "PUT", &target, &quotas).expect(200);
            // It uses up what it has.
            let statuses: Vec<u16> =
                (0..3).map(|_| world.get(&victim.owner, &format!("/api/v1/t/{}/whoami", victim.slug)).status).collect();
            assert_eq!(statuses, [200, 429, 429]);
        });
        assert!(day == usual, "the other tenant has run into its limits, and that shows");
    }
}

#[test]
fn a_shredded_neighbour_leaves_no_gap() {
    for side in 0..2 {
        let run = |is_shredded: bool| {
            let world = World::two_tenants();
            let (victim, bystander) = world.both_ways()[side];
            if is_shredded {
                let target = format!("/api/v1/tenants/{}?hold=1d", victim.slug);
                world.send(&world.platform.admin, "DELETE", &target, &Value::Null).expect(200);
            }
            world.advance(Duration::from_secs(25 * 3_600));
            // Both tenants have work to do by now.
            world.run_due_jobs();
            if is_shredded {
                let shown = world.get(&world.platform.admin, &format!("/api/v1/tenants/{}", victim.slug)).expect(200);
                assert_eq!(shown["state"], "deleted");
            }
            (a_day(&world, bystander), world.stored(PlaneOf::Tenant(bystander)))
        };
        assert!(run(true) == run(false));
    }
}
