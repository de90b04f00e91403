//! A database with fewer connections than its nodes would like to have.

use bailiwick_client::{Call, Path};
use bailiwick_pgkit::{Cluster, Program, Setting, is_ready};

use super::caller::Caller;
use super::dice::Dice;
use super::fleet::{Fleet, migrated};
use super::node::Node;
use super::work::{Crew, check_works, summary, wait_until_ready};

/// A gauge of a node.
fn gauge(node: &Node, name: &str) -> u64 {
    let page = Caller::new(node.operations_port, None).text(Call::<()>::get(Path::fixed("/metrics"))).unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("bailiwick_{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in\n{page}")).parse().unwrap()
}

#[test]
fn nodes_share_the_connections_that_there_are_and_all_of_them_answer() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let _dice = Dice::new();
    // Twelve for everybody but superusers, where three nodes could use 42.
    let cluster = Cluster::start_with(&[Setting("max_connections", "15")]).unwrap();
    let mut fleet = Fleet::of_three(&migrated(&cluster));
    let tenants = ["acme", "globex", "initech"].map(|slug| fleet.tenant(slug));
    // Ten callers at each node, which ask for all tenants.
    let ports: Vec<u16> = (0..30).map(|worker| fleet.nodes[worker / 10].port).collect();
    let all: Vec<usize> = (0..ports.len()).collect();
    let those_of = |nodes: &[usize]| -> Vec<usize> {
        all.iter().copied().filter(|worker| nodes.contains(&(worker / 10))).collect()
    };
    let (works, counts) = Crew::works(&ports, &tenants, |crew| {
        crew.wait_for(&all, 3);
        for _ in 0..10 {
            assert!(fleet.nodes.iter().all(Node::is_ready), "all are ready, all the time");
            crew.wait_for(&all, 1);
        }
        let counts: Vec<_> = fleet
            .nodes
            .iter()
            .map(|node| (gauge(node, "store_connections_open"), gauge(node, "store_connections_short")))
            .collect();
        // What a node leaves behind the others do not take for good: it finds its first connections again.
        fleet.nodes[2].kill9();
        crew.wait_for(&those_of(&[0, 1]), 10);
        fleet.nodes[2].restart();
        crew.wait_for(&all, 3);
        wait_until_ready(&fleet, true);
        counts
    });
    println!("connections open and short: {counts:?}; {}", summary(&works));
    for (node, (open, short)) in fleet.nodes.iter().zip(&counts) {
        assert!((3..=12).contains(open), "{counts:?}");
        assert!(*short > 0 && open + short <= 14, "{counts:?}");
        assert!(node.log().contains("fewer connections to the database than this node could use"), "{}", node.log());
    }
    // Nobody was told to try again for want of a connection; what a killed node was asked is not known, and that is all.
    for work in works.iter().filter(|work| !work.outcome.is_done()) {
        assert!(work.worker >= 20 && !work.outcome.is_temporary(), "{work:?}");
    }
    check_works(&fleet, &tenants, 0, &works);
}
