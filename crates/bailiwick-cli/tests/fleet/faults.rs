//! What breaks under load, and what must be true afterwards.

use std::time::{Duration, Instant};

use bailiwick_pgkit::{Cluster, Program, Standby, Wire, is_ready};

use super::dice::{Dice, rounds};
use super::fleet::{Fleet, migrated};
use super::work::{Crew, check_works, summary, wait_until_ready};

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
    // At most after 50, 100, 200 ms and so on, and then every two seconds.
    let seconds = usize::try_from(away.as_secs()).unwrap();
    assert!(attempts <= 8 + seconds, "{attempts} attempts in {away:?}");
    check_works(&fleet, &tenants, 0, &works);
}

#[test]
fn more_requests_than_connections_are_answered_all_the_same() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let database = migrated(&cluster);
    let wire = Wire::to(cluster.port()).unwrap();
    let fleet = Fleet::start(&[database.through(&[wire.port()]).server_url]);
    let tenants = ["acme", "globex", "initech", "hooli"].map(|slug| fleet.tenant(slug));
    let ports = [fleet.nodes[0].port; 40];
    let all: Vec<usize> = (0..ports.len()).collect();
    let (works, most) = Crew::works(&ports, &tenants, |crew| {
        crew.wait_for(&all, 1);
        // Each round trip takes long enough for all of them to want a connection at the same time.
        wire.delay(Duration::from_millis(20));
        crew.wait_for(&all, 2);
        wire.mend();
        wire.connections()
    });
    println!("{most} connections; {}", summary(&works));
    // What is documented as the budget of one node, and one to look at the schema with.
    assert!(most <= 15, "{most} connections");
    check_works(&fleet, &tenants, 0, &works);
}

#[test]
fn connections_that_are_not_to_be_had_are_found_again_when_they_are() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let database = migrated(&cluster);
    let fleet = Fleet::start(std::slice::from_ref(&database.server_url));
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let ports = [fleet.nodes[0].port; 8];
    let all: Vec<usize> = (0..ports.len()).collect();
    let role = &database.server;
    let limit = |count: i32| format!("ALTER ROLE {role} CONNECTION LIMIT {count}");
    let taken = format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}'");
    let (works, ()) = Crew::works(&ports, &tenants, |crew| {
        crew.wait_for(&all, 1);
        // Refused with the code for too many connections, as when others have them all.
        cluster.sql("bailiwick", &[&limit(0), &taken]).unwrap();
        wait_until_ready(&fleet, false);
        // A few at first, fewer than the node would like to have: it gets on with those.
        cluster.sql("bailiwick", &[&limit(3)]).unwrap();
        crew.wait_for(&all, 1);
        cluster.sql("bailiwick", &[&limit(-1)]).unwrap();
        wait_until_ready(&fleet, true);
        crew.wait_for(&all, 2);
    });
    println!("{}", summary(&works));
    check_works(&fleet, &tenants, 0, &works);
}
