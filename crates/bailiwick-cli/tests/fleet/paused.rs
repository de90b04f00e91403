//! A node that sleeps through a revocation wakes up without the right; and so do nodes whose clocks disagree, which end what
//! has an end by the database's clock.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use bailiwick_pgkit::{Cluster, Program, is_ready};
use bailiwick_types::api::identity::{IssueCredential, IssuedKey};

use super::caller::Outcome;
use super::dice::{Dice, rounds};
use super::fleet::{Fleet, migrated};
use super::node::{Node, Settings};
use super::races::race_and;
use super::record::Record;
use super::revocation::{check_records, revoke_keys};
use super::tenant::{Subject, Tenant};

/// How long a revocation may take that meets rows which the sleeping node has locked: the database gives them back.
const PATIENCE: Duration = Duration::from_secs(60);
/// The node that sleeps.
const SLEEPER: usize = 2;

/// Sends a request to a node and leaves its answer for later.
fn send(node: &Node, tenant: &Tenant, credential: &str) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, node.port)).unwrap();
    let target = format!("/api/v1/t/{}/secrets/secret/shared", tenant.slug);
    let head = format!("Host: 127.0.0.1\r\nAuthorization: Bearer {credential}\r\nConnection: close");
    stream.write_all(format!("GET {target} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes()).unwrap();
    stream
}

/// The status of the answer.
fn status(stream: TcpStream) -> u16 {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {line:?}"))
}

#[test]
fn a_node_that_slept_through_a_revocation_allows_nothing_that_it_took_away() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let tenant = fleet.tenant("acme");
    let mut subject = tenant.subject(&fleet.nodes[0], "reader");
    let mut races = Vec::new();
    for _ in 0..rounds(10) {
        let by = dice.below(SLEEPER);
        let owner = tenant.owner(&fleet.nodes[by]);
        let Subject { account, key, credential } = &subject;
        let what = format!("{key} revoked at node{by} while node{SLEEPER} slept");
        let revoke = tenant.routes().revoke_key(account, key).idempotency_key(key);
        let mut late = Vec::new();
        let sleeper = &fleet.nodes[SLEEPER];
        let take = || {
            sleeper.pause();
            // Rows that the sleeper has locked are not waited for for ever, on either side: the same again.
            let until = Instant::now() + PATIENCE;
            loop {
                match owner.ask(&revoke) {
                    Outcome::Done(request) => return request,
                    other if other.is_temporary() && Instant::now() < until => {}
                    other => panic!("{what}: it is not acknowledged: {other:?}"),
                }
            }
        };
        let race = race_and(
            &fleet,
            &[0, 1, 2],
            (what.clone(), key, credential),
            &tenant.read_shared(),
            dice.below(6),
            take,
            || {
                // These wait in the sleeper's queue, and are the first that it sees.
                late = (0..4).map(|_| send(sleeper, &tenant, credential)).collect();
                sleeper.resume();
            },
        );
        race.check_answers();
        for answer in late {
            let status = status(answer);
            assert!(matches!(status, 401 | 503), "{what}: asked after it, answered {status}");
        }
        races.push(race);
        tenant.issue(&fleet.nodes[dice.below(3)], &mut subject);
    }
    let record = Record::of(&fleet, &tenant, &fleet.nodes[SLEEPER]);
    races.iter().for_each(|race| race.check_record(&record));
}

#[test]
fn clocks_that_disagree_by_minutes_revive_nothing() {
    if !is_ready(&[Program::Postgres, Program::Faketime]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let database = migrated(&cluster);
    let store = database.server_url;
    let fleet = Fleet::start_with([0, 420, -300].map(|skew| Settings { store: store.clone(), skew }));
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let races = revoke_keys(&fleet, &tenants, &mut dice, rounds(60), 4);
    check_records(&fleet, &tenants, &races);
    // They do disagree: each node writes its own time into the ledger.
    let record = Record::of(&fleet, &tenants[0], &fleet.nodes[1]);
    let (first, last) = record.span();
    assert!(last - first > 600, "the clocks agree within {} s", last - first);
}

/// A key that is good for so long, issued through a node.
fn issue_for(tenant: &Tenant, node: &Node, account: &str, ttl: &str) -> IssuedKey {
    let (description, source_networks) = (String::new(), Vec::new());
    let body = IssueCredential { description, expires: None, ttl: Some(ttl.to_owned()), source_networks };
    tenant.owner(node).must(&tenant.routes().issue_key(account, &body))
}

#[test]
fn what_ends_does_so_by_the_databases_clock_on_a_node_that_is_behind() {
    if !is_ready(&[Program::Postgres, Program::Faketime]) {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let store = migrated(&cluster).server_url;
    let fleet = Fleet::start_with([0, 420, -300].map(|skew| Settings { store: store.clone(), skew }));
    let tenant = fleet.tenant("acme");
    let account = tenant.subject(&fleet.nodes[0], "reader").account;
    let [right, ahead, behind] = [&fleet.nodes[0], &fleet.nodes[1], &fleet.nodes[2]];

    // By its own clock the node that is behind would take it for five minutes more.
    let long = issue_for(&tenant, right, &account, "1d");
    behind.caller(&long.credential).done(&tenant.read_shared());
    let key = issue_for(&tenant, right, &account, "3s");
    let ask = |node: &Node| node.caller(&key.credential).ask(&tenant.read_shared());
    let until = Instant::now() + PATIENCE;
    for node in [right, behind] {
        while ask(node).is_done() {
            assert!(Instant::now() < until, "the key has not ended");
        }
    }
    // And the one that is ahead gives nobody seven minutes more.
    let spans = [right, ahead, behind].map(|node| issue_for(&tenant, node, &account, "1h").key.expires.unwrap());
    let first = spans[0].unix_ms();
    for end in spans {
        assert!(end.unix_ms() - first < 60_000, "an hour ends at {end}, and at {} elsewhere", spans[0]);
    }
}
