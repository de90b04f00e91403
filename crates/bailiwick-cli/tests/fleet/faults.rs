//! What breaks under load, and what must be true afterwards.

use bailiwick_pgkit::{Cluster, Program, Setting, Standby, Wire, is_ready};
use std::time::{Duration, Instant};

use super::dice::{Dice, rounds};
use super::fleet::{Fleet, migrated};
use super::work::{ANSWERED_WITHIN, Crew, check_works, summary, wait_until_ready};

#[test]
fn a_killed_node_takes_nothing_along_that_it_acknowledged() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let mut fleet = Fleet::of_three(&migrated(&cluster));
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let ports: Vec<u16> = (0..6).map(|worker| fleet.nodes[worker % 3].port).collect();
    let (works, ()) = Crew::works(&ports, &tenants, |crew| {
        for _ in 0..rounds(4) {
            let victim = dice.below(3);
            crew.wait_for(&[0, 1, 2, 3, 4, 5], 2 + dice.below(6));
            fleet.nodes[victim].kill9();
            // The others do not need it, and it needs nothing of its own to come back.
            let others: Vec<usize> = (0..6).filter(|worker| worker % 3 != victim).collect();
            crew.wait_for(&others, 4);
            fleet.nodes[victim].restart();
            crew.wait_for(&[victim, victim + 3], 2);
        }
    });
    println!("{}", summary(&works));
    check_works(&fleet, &tenants, 0, &works);
}

#[test]
fn a_promoted_standby_has_everything_that_was_acknowledged() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    let mut primary = Cluster::start().unwrap();
    let database = migrated(&primary);
    let standby = Standby::of(&primary, &[]).unwrap();
    let both = database.through(&[primary.port(), standby.port()]).server_url;
    let fleet = Fleet::start(&vec![both; 3]);
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let ports: Vec<u16> = (0..6).map(|worker| fleet.nodes[worker % 3].port).collect();
    let all = [0, 1, 2, 3, 4, 5];
    let (works, promoted) = Crew::works(&ports, &tenants, |crew| {
        crew.wait_for(&all, 10);
        primary.kill9().unwrap();
        wait_until_ready(&fleet, false);
        let promoted = standby.promote().unwrap();
        // Nobody tells the nodes.
        crew.wait_for(&all, 10);
        wait_until_ready(&fleet, true);
        promoted
    });
    println!("{}", summary(&works));
    check_works(&fleet, &tenants, 1, &works);
    drop(promoted);
}

#[test]
fn a_primary_that_is_killed_and_comes_back_has_everything_too() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut dice = Dice::new();
    let mut cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let ports: Vec<u16> = fleet.nodes.iter().map(|node| node.port).collect();
    let (works, ()) = Crew::works(&ports, &tenants, |crew| {
        for round in 0..rounds(4) {
            crew.wait_for(&[0, 1, 2], 2 + dice.below(8));
            if round % 2 == 0 {
                cluster.kill9().unwrap()
            } else {
                cluster.stop_fast().unwrap()
            }
            cluster.restart().unwrap();
            crew.wait_for(&[0, 1, 2], 4);
        }
    });
    println!("{}", summary(&works));
    check_works(&fleet, &tenants, 2, &works);
}

#[test]
fn a_database_that_stalls_is_answered_for_in_time_and_told_about() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let ports: Vec<u16> = (0..6).map(|worker| fleet.nodes[worker % 3].port).collect();
    let all = [0, 1, 2, 3, 4, 5];
    let (works, ()) = Crew::works(&ports, &tenants, |crew| {
        crew.wait_for(&all, 4);
        cluster.pause().unwrap();
        wait_until_ready(&fleet, false);
        cluster.resume().unwrap();
        wait_until_ready(&fleet, true);
        crew.wait_for(&all, 4);
    });
    println!("{}", summary(&works));
    check_works(&fleet, &tenants, 0, &works);
}

#[test]
fn a_database_that_is_away_is_not_hammered_and_is_found_again() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let database = migrated(&cluster);
    let wire = Wire::to(cluster.port()).unwrap();
    let fleet = Fleet::start(&[database.through(&[wire.port()]).server_url]);
    let tenants = [fleet.tenant("acme")];
    let ports = [fleet.nodes[0].port; 8];
    let all = [0, 1, 2, 3, 4, 5, 6, 7];
    let (works, (away, attempts)) = Crew::works(&ports, &tenants, |crew| {
        crew.wait_for(&all, 4);
        let before = wire.connections();
        wire.refuse();
        let began = Instant::now();
        wait_until_ready(&fleet, false);
        // What is counted takes time: it is a rate.
        std::thread::sleep(Duration::from_secs(4));
        let counted = (began.elapsed(), wire.connections() - before);
        wire.mend();
        crew.wait_for(&all, 4);
        wait_until_ready(&fleet, true);
        counted
    });
    println!("{attempts} attempts to connect in {away:?}; {}", summary(&works));
    // Two pools, each at most after 50, 100, 200 ms and so on, and then every two seconds.
    let seconds = usize::try_from(away.as_secs()).unwrap();
    assert!(attempts <= 2 * (8 + seconds), "{attempts} attempts in {away:?}");
    check_works(&fleet, &tenants, 0, &works);
}

#[test]
fn more_requests_than_connections_are_answered_all_the_same() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    // Fewer than three nodes would like to have.
    let cluster = Cluster::start_with(&[Setting("max_connections", "16")]).unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let tenants = ["acme", "globex", "initech", "hooli"].map(|slug| fleet.tenant(slug));
    let ports: Vec<u16> = (0..24).map(|worker| fleet.nodes[worker % 3].port).collect();
    let all: Vec<usize> = (0..24).collect();
    let (works, ()) = Crew::works(&ports, &tenants, |crew| crew.wait_for(&all, 3));
    println!("{}", summary(&works));
    let slowest = works.iter().map(|work| work.took).max().unwrap();
    assert!(slowest < ANSWERED_WITHIN, "{slowest:?}");
    check_works(&fleet, &tenants, 2, &works);
}
