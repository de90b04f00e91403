//! Limits: every one of them reached by one tenant, refused with its number, made room in again, and invisible to the
//! other.
//!
//! A limit without a case fails. Each case runs twice, with the tenants swapped: before and after it the neighbour lives a
//! fixed day, and so it does in a world in which the case never happened. Its answers, and everything that is stored of it,
//! must be the same bytes.

mod counted;
mod fixed;
mod rates;
mod sizes;

use std::time::Duration;

use bailiwick_testkit::{Answer, Plane, Stored, Tenant, World};
use bailiwick_types::Limit;
use serde_json::{Value, json};

/// One limit, run into.
pub(crate) struct Case {
    /// Which.
    limit: &'static str,
    /// What the tenant does to reach it, with what it must be answered.
    run: fn(&Full<'_>),
    /// What passes meanwhile, for everybody and in every world.
    passes: Passes,
}

/// How time goes on between filling and going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    Nothing,
    /// So long that a rate is there again.
    ASecond,
    /// So long that remembered answers are forgotten, and they are.
    ADay,
}

impl Passes {
    fn pass(self, world: &World) {
        match self {
            Self::Nothing => {}
            Self::ASecond => world.advance(Duration::from_secs(1)),
            Self::ADay => {
                world.advance(Duration::from_secs(25 * 3_600));
                world.run_due_jobs();
            }
        }
    }
}

/// A tenant that will be full.
pub(crate) struct Full<'w> {
    world: &'w World,
    own: &'w Tenant,
    limit: Limit,
    passes: Passes,
}

impl Full<'_> {
    /// Sets the tenant's quota, or takes it back.
    fn quota(&self, quota: Option<u64>) {
        let answer = self.try_quota(json!(quota));
        let wanted = quota.map_or(Value::Null, |quota| json!(quota));
        assert_eq!(answer.expect(200)["quotas"][self.limit.as_str()], wanted);
    }

    fn try_quota(&self, quota: Value) -> Answer {
        let target = format!("/api/v1/tenants/{}/quotas", self.own.slug);
        let body = json!({ "quotas": { self.limit.as_str(): quota } });
        self.world.send(&self.world.platform.admin, "PUT", &target, &body)
    }

    fn own(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.world.send(&self.own.owner, method, &format!("/api/v1/t/{}/{path}", self.own.slug), body)
    }

    /// The row of the tenant's own table of limits.
    fn shown(&self) -> Value {
        let all = self.own("GET", "limits", &Value::Null).expect(200);
        let rows = all["limits"].as_array().unwrap();
        rows.iter().find(|row| row["name"] == self.limit.as_str()).unwrap().clone()
    }

    fn used(&self) -> u64 {
        self.shown()["used"].as_u64().unwrap()
    }

    /// The answer says that this limit is reached, where it is, and what to do.
    #[track_caller]
    fn refused(&self, answer: &Answer, most: u64) {
        answer.expect_refusal(429, "limit_exceeded");
        let body = answer.json();
        assert_eq!(body["detail"], format!("{} is limited to {most} {}", self.limit, self.limit.unit()));
        assert_eq!(body["hint"], "remove something, or ask the operator for a higher quota");
    }

    /// Time goes on, as it does in the world where this does not happen.
    fn pass(&self) {
        self.passes.pass(self.world);
    }
}

fn cases() -> Vec<Case> {
    [counted::cases(), sizes::cases(), rates::cases()].into_iter().flatten().collect()
}

#[test]
fn every_limit_has_a_case() {
    let cases = cases();
    let left: Vec<&Limit> =
        Limit::ALL.iter().filter(|limit| !cases.iter().any(|case| case.limit == limit.as_str())).collect();
    assert!(left.is_empty(), "limits that no test runs into: {left:?}");
    let mut names: Vec<&str> = cases.iter().map(|case| case.limit).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "a limit with two cases");
}

/// A day of the neighbour's: it makes one more of everything, and looks at whatever shows counts, ids, orders and proofs.
fn a_day(world: &World, tenant: &Tenant, day: usize) -> Vec<Answer> {
    let base = format!("/api/v1/t/{}", tenant.slug);
    let mut answers = Vec::new();
    let mut ask = |method: &str, target: &str, body: Value| {
        let request = world.request(method, target).by(&tenant.owner).json(&body);
        let request = if method == "GET" {
            request
        } else {
            request.header("idempotency-key", &format!("{day} {target}").replace(' ', "-"))
        };
        answers.push(request.send());
        answers.last().unwrap().expect(if matches!(method, "POST") { 201 } else { 200 })
    };
    let name = format!("day-{day}");
    let text = r#"forbid(principal, action == Action::"secret:purge", resource);"#;
    let account = ask("POST", &format!("{base}/accounts"), json!({ "name": name, "owner": tenant.admin.id }));
    let account = account["id"].as_str().unwrap().to_owned();
    ask("POST", &format!("{base}/accounts/{account}/keys"), json!({}));
    ask("POST", &format!("{base}/members"), json!({ "name": name, "role": "viewer" }));
    ask("POST", &format!("{base}/bindings"), json!({ "principal": account, "role": "viewer" }));
    ask("POST", &format!("{base}/policies"), json!({ "name": name, "text": text }));
    ask("POST", &format!("{base}/mounts"), json!({ "name": name }));
    ask("PUT", &format!("{base}/secrets/{name}/a"), json!({ "data": { "value": "x".repeat(1_000) } }));
    ask("PUT", &format!("{base}/secrets/secret/app/db"), json!({ "data": { "value": "more" } }));
    ask("PUT", &format!("{base}/secret-metadata/secret/app/db"), json!({ "max_versions": 50 }));
    for path in [
        "limits",
        "accounts?limit=1000",
        "members?limit=2",
        "ledger/entries?order=desc&limit=40",
        "ledger/checkpoint",
        "ledger/consistency?old=5",
        "secrets/secret/app/",
    ] {
        ask("GET", &format!("{base}/{path}"), Value::Null);
    }
    ask("GET", "/v1/secret/data/app/db", Value::Null);
    ask("GET", "/readyz", Value::Null);
    answers
}

/// What the neighbour saw of two days, and what is stored of it.
#[derive(PartialEq, Eq)]
struct Seen {
    before: Vec<Answer>,
    after: Vec<Answer>,
    stored: Stored,
}

fn lived(side: usize, case: Option<&Case>, passes: Passes) -> Seen {
    let world = World::two_tenants();
    let (own, neighbour) = world.both_ways()[side];
    let before = a_day(&world, neighbour, 1);
    match case {
        None => passes.pass(&world),
        Some(case) => {
            let untouched = world.header(Plane::Tenant(neighbour)).ledger.size();
            (case.run)(&Full { world: &world, own, limit: case.limit.parse().unwrap(), passes });
            let moved = world.header(Plane::Tenant(neighbour)).ledger.size();
            assert_eq!(moved, untouched, "{}: the neighbour's ledger moved", case.limit);
        }
    }
    let after = a_day(&world, neighbour, 2);
    Seen { before, after, stored: world.stored(Plane::Tenant(neighbour)) }
}

/// Runs into each limit, both ways, and compares the neighbour with one whose neighbour did not.
fn run(cases: &[Case]) {
    for side in 0..2 {
        let mut alone: Vec<(Passes, Seen)> = Vec::new();
        for case in cases {
            let seen = lived(side, Some(case), case.passes);
            if !alone.iter().any(|(passes, _)| *passes == case.passes) {
                alone.push((case.passes, lived(side, None, case.passes)));
            }
            let (_, usual) = alone.iter().find(|(passes, _)| *passes == case.passes).unwrap();
            for (one, other) in seen.before.iter().chain(&seen.after).zip(usual.before.iter().chain(&usual.after)) {
                assert_eq!(one, other, "{}: the neighbour sees a difference", case.limit);
            }
            assert!(seen == *usual, "{}: what is stored of the neighbour differs", case.limit);
        }
    }
}
