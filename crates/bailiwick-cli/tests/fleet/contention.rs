//! One tenant's rows, wanted by all nodes at once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use bailiwick_client::ClientError;
use bailiwick_pgkit::{Cluster, Program, is_ready};
use bailiwick_types::ErrorClass;
use bailiwick_types::api::secret::RevealedSecret;

use super::caller::{Caller, Outcome, told};
use super::dice::{Dice, rounds};
use super::fleet::{Fleet, migrated};
use super::record::Record;
use super::tenant::Tenant;
use super::work::{Crew, check_works, summary};

const COUNTER: &str = "counter";

/// Adds one to the counter; how many times it had to look again.
fn increment(caller: &Caller, tenant: &Tenant) -> usize {
    for lost in 0.. {
        let now: RevealedSecret = match caller.send(&tenant.read(COUNTER)).and_then(|reply| reply.value()) {
            Ok(now) => now,
            Err(error) if matches!(error.class(), ErrorClass::Busy | ErrorClass::Stale) => continue,
            Err(error) => panic!("{}", told(&error)),
        };
        let value = usize::try_from(now.data["value"].as_u64().unwrap()).unwrap();
        match caller.send(&tenant.write(COUNTER, value + 1, Some(now.version.version))) {
            Ok(_) => return lost,
            Err(error @ ClientError::Problem { .. })
                if matches!(error.class(), ErrorClass::Conflict | ErrorClass::Busy | ErrorClass::Stale) => {}
            Err(error) => panic!("{}", told(&error)),
        }
    }
    unreachable!()
}

#[test]
fn no_update_of_a_hammered_tenant_is_lost_and_others_get_on() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let hammered = fleet.tenant("acme");
    let others = ["globex", "initech", "hooli"].map(|slug| fleet.tenant(slug));
    hammered.owner(&fleet.nodes[0]).must(&hammered.write(COUNTER, 0, None));
    let each = rounds(12);
    let ports: Vec<u16> = fleet.nodes.iter().map(|node| node.port).collect();
    let (works, lost) = Crew::works(&ports, &others, |crew| {
        let lost: usize = std::thread::scope(|scope| {
            let (fleet, hammered) = (&fleet, &hammered);
            let adding: Vec<_> = (0..6)
                .map(|adder| {
                    let caller = hammered.owner(&fleet.nodes[adder % 3]);
                    scope.spawn(move || (0..each).map(|_| increment(&caller, hammered)).sum::<usize>())
                })
                .collect();
            crew.wait_for(&[0, 1, 2], 10);
            adding.into_iter().map(|adder| adder.join().unwrap()).sum()
        });
        lost
    });
    let total = 6 * each;
    println!("{total} increments, {lost} of which had to look again; the others: {}", summary(&works));
    for node in &fleet.nodes {
        let now = hammered.owner(node).must(&hammered.read(COUNTER));
        assert_eq!(now.data["value"].as_u64(), Some(u64::try_from(total).unwrap()));
        assert_eq!(now.version.version, u64::try_from(total).unwrap() + 1);
    }
    let record = Record::of(&fleet, &hammered, &fleet.nodes[1]);
    assert_eq!(record.writes_of(COUNTER), total + 1);
    check_works(&fleet, &others, 0, &works);
}

/// Somebody who holds a tenant's row, as a node does that was cut off in the middle of a transaction.
struct Holder {
    child: Child,
    stdin: ChildStdin,
    _stdout: BufReader<ChildStdout>,
}

impl Holder {
    fn of(cluster: &Cluster, slug: &str) -> Self {
        let mut psql = cluster.tool("psql").unwrap();
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", "bailiwick"]);
        let mut child = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let lock = format!("SELECT 'held' FROM bailiwick.tenant WHERE slug = '{slug}' FOR UPDATE;");
        writeln!(stdin, "BEGIN;\n{lock}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "held");
        Self { child, stdin, _stdout: stdout }
    }

    fn release(self) {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        child.wait().unwrap();
    }
}

#[test]
fn who_waits_for_a_held_row_keeps_nobody_else_waiting() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let held = fleet.tenant("acme");
    let others = ["globex", "initech", "hooli"].map(|slug| fleet.tenant(slug));
    let ports: Vec<u16> = fleet.nodes.iter().map(|node| node.port).collect();
    let (works, waiting) = Crew::works(&ports, &others, |crew| {
        crew.wait_for(&[0, 1, 2], 2);
        let holder = Holder::of(&cluster, &held.slug);
        std::thread::scope(|scope| {
            let (fleet, held) = (&fleet, &held);
            // More of them than a node has connections.
            let waiting: Vec<_> = (0..60_usize)
                .map(|number| {
                    let path = format!("held/{number}");
                    scope.spawn(move || held.owner(&fleet.nodes[number % 3]).ask(&held.write(&path, number, None)))
                })
                .collect();
            // If each of these waited for the row, it would take longer than is waited here.
            crew.wait_for(&[0, 1, 2], 25);
            holder.release();
            waiting.into_iter().map(|asked| asked.join().unwrap()).collect::<Vec<Outcome>>()
        })
    });
    println!("the others: {}", summary(&works));
    let record = Record::of(&fleet, &held, &fleet.nodes[0]);
    for (number, outcome) in waiting.iter().enumerate() {
        let written = record.writes_of(&format!("held/{number}"));
        let is_true = match outcome {
            Outcome::Done(_) => written == 1,
            Outcome::Busy(_) => written == 0,
            Outcome::Lost(_) => outcome.is_temporary() && written <= 1,
            Outcome::Refused(_) | Outcome::Unreachable => false,
        };
        assert!(is_true, "held/{number}: {outcome:?}, and written {written} times");
    }
    check_works(&fleet, &others, 0, &works);
}
