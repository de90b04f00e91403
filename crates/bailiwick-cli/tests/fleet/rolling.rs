//! Nodes are replaced one after the other while clients ask through a load balancer; none of them notices.

use bailiwick_pgkit::{Backend, Cluster, HaProxy, PgBouncer, Program, is_ready};

use super::dice::{Dice, rounds};
use super::fleet::{Fleet, migrated};
use super::revocation::{check_records, revoke_keys};
use super::work::{Crew, check_works, summary};

#[test]
fn a_rolling_restart_fails_no_request() {
    if !is_ready(&[Program::Postgres, Program::HaProxy]) {
        return;
    }
    let _dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let mut fleet = Fleet::of_three(&migrated(&cluster));
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let backends: Vec<Backend> =
        fleet.nodes.iter().map(|node| Backend { port: node.port, operations_port: node.operations_port }).collect();
    let balancer = HaProxy::start(&backends).unwrap();
    let ports = [balancer.port(); 6];
    let all = [0, 1, 2, 3, 4, 5];
    let (works, ()) = Crew::works(&ports, &tenants, |crew| {
        crew.wait_for(&all, 3);
        for _ in 0..rounds(1) {
            for node in 0..3 {
                let from = balancer.lines_so_far();
                assert_eq!(fleet.nodes[node].terminate(), Some(0), "node{node} does not end as it should");
                crew.wait_for(&all, 2);
                fleet.nodes[node].restart();
                balancer.wait_until(from, node, true).unwrap();
                crew.wait_for(&all, 2);
            }
        }
    });
    println!("{}", summary(&works));
    let failed: Vec<_> = works.iter().filter(|work| !work.outcome.is_done()).collect();
    assert!(failed.is_empty(), "{} of {} requests failed: {failed:#?}\n{}", failed.len(), works.len(), balancer.log());
    check_works(&fleet, &tenants, 0, &works);
}

#[test]
fn everything_holds_behind_a_pooler_in_transaction_mode() {
    if !is_ready(&[Program::Postgres, Program::PgBouncer]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let database = migrated(&cluster);
    // Fewer connections than three nodes use at a time, handed out in turn.
    let pooler = PgBouncer::start(cluster.port(), &database, 8).unwrap();
    let pooled = format!("{}?statements=text", database.through(&[pooler.port()]).server_url);
    let fleet = Fleet::start(&vec![pooled; 3]);
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let ports: Vec<u16> = (0..6).map(|worker| fleet.nodes[worker % 3].port).collect();
    let all = [0, 1, 2, 3, 4, 5];
    let (works, races) = Crew::works(&ports, &tenants, |crew| {
        crew.wait_for(&all, 2);
        let races = revoke_keys(&fleet, &tenants, &mut dice, rounds(24), 4);
        crew.wait_for(&all, 2);
        races
    });
    println!("{}", summary(&works));
    check_records(&fleet, &tenants, &races);
    check_works(&fleet, &tenants, 1, &works);
}
