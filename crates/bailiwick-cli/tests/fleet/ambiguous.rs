//! Connections that break at COMMIT: what the client asked for happens exactly once, whether the answer came or not.

use bailiwick_pgkit::{Cluster, Program, Trap, Wire, is_ready};

use super::caller::Outcome;
use super::dice::{Dice, rounds};
use super::fleet::{Fleet, migrated};
use super::record::Record;

/// What only a transaction that writes begins with.
const WRITES: &str = "READ COMMITTED";
/// How often a client repeats a request that was not answered.
const REPEATS: usize = 40;

#[test]
fn a_commit_whose_answer_is_lost_happens_exactly_once() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let database = migrated(&cluster);
    let wires = [0, 1].map(|_| Wire::to(cluster.port()).unwrap());
    let through = wires.each_ref().map(|wire| database.through(&[wire.port()]).server_url);
    let fleet = Fleet::start(&[through[0].clone(), through[1].clone(), database.server_url.clone()]);
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let mut told = [0; 3];
    let rounds = rounds(40);
    for round in 0..rounds {
        let at = dice.below(wires.len());
        let trap = match dice.below(4) {
            0 => Trap::BeforeCommit(WRITES),
            1 => Trap::ServerBytes(1 + dice.below(2_000)),
            2 => Trap::ClientBytes(1 + dice.below(2_000)),
            _ => Trap::AfterCommit(WRITES),
        };
        wires[at].set(trap);
        // Several at once, of two tenants: their commits share a transaction, or one breaks and the next does not.
        let outcomes = std::thread::scope(|scope| {
            let (fleet, tenants) = (&fleet, &tenants);
            let asking: Vec<_> =
                (0..4_usize).map(|number| scope.spawn(move || write(fleet, tenants, at, round, number))).collect();
            asking.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<_>>()
        });
        wires[at].mend();
        for (number, first) in outcomes.iter().enumerate() {
            told[match first {
                Outcome::Done(_) => 0,
                Outcome::Busy(_) => 1,
                Outcome::Lost(_) => 2,
                Outcome::Refused(_) | Outcome::Unreachable => panic!("{trap:?}: {first:?}"),
            }] += 1;
            settle(
                &fleet,
                &tenants,
                round,
                number,
                first,
                &format!("round {round}, {trap:?} at node{at}"),
                dice.below(3),
            );
        }
    }
    let sprung: usize = wires.iter().map(Wire::sprung).sum();
    println!("{sprung} of {rounds} traps have sprung; first answers: done, try again, none: {told:?}");
    assert!(sprung * 2 > rounds, "the traps do not spring: {sprung} of {rounds}");
    for (of, tenant) in tenants.iter().enumerate() {
        let record = Record::of(&fleet, tenant, &fleet.nodes[2]);
        for (round, number) in (0..rounds).flat_map(|round| (0..4).map(move |number| (round, number))) {
            if number % 2 == of {
                let path = path(round, number);
                assert_eq!(record.writes_of(&path), 1, "{path} of {} was written once", tenant.slug);
            }
        }
    }
}

fn path(round: usize, number: usize) -> String {
    format!("once/{round}-{number}")
}

fn write(fleet: &Fleet, tenants: &[super::tenant::Tenant], node: usize, round: usize, number: usize) -> Outcome {
    let tenant = &tenants[number % 2];
    let path = path(round, number);
    tenant.owner(&fleet.nodes[node]).ask(&tenant.write(&path, round, None).idempotency_key(&path))
}

/// Repeats a request at another node until it is answered; what it says must be the first and only version.
fn settle(
    fleet: &Fleet,
    tenants: &[super::tenant::Tenant],
    round: usize,
    number: usize,
    first: &Outcome,
    what: &str,
    node: usize,
) {
    let tenant = &tenants[number % 2];
    let path = path(round, number);
    let call = tenant.write(&path, round, None).idempotency_key(&path);
    let owner = tenant.owner(&fleet.nodes[node]);
    let mut answers = Vec::new();
    for _ in 0..REPEATS {
        match owner.send(&call) {
            Ok(reply) => answers.push(reply.text().to_owned()),
            Err(error) => {
                let outcome = Outcome::of::<()>(Err(error));
                assert!(outcome.is_temporary(), "{what}: first {first:?}, then at node{node} {outcome:?}");
            }
        }
        if answers.len() == 2 {
            break;
        }
    }
    let [one, two] = &answers[..] else { panic!("{what}: {path} is not answered at node{node}: {answers:?}") };
    assert_eq!(one, two, "{what}: the same key has two answers");
    let version = serde_json::from_str::<serde_json::Value>(one).unwrap()["version"].as_u64();
    assert_eq!(version, Some(1), "{what}: first {first:?}, then {one}");
}
