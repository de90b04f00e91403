//! After a revocation is acknowledged by one node, no request is decided without it on any.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bailiwick_pgkit::{Cluster, Program, is_ready};

use super::dice::{Dice, rounds};
use super::fleet::{Fleet, migrated};
use super::races::{Race, race};
use super::record::Record;
use super::tenant::{Subject, Tenant};

/// Three readers at each node.
const READERS: [usize; 9] = [0, 1, 2, 0, 1, 2, 0, 1, 2];

/// Revokes keys, several at a time and of the same tenants, while they are used at all nodes; answers the races.
pub(crate) fn revoke_keys(
    fleet: &Fleet,
    tenants: &[Tenant],
    dice: &mut Dice,
    races: usize,
    at_once: usize,
) -> Vec<(usize, Race)> {
    let (begun, ended) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for lane in 0..at_once {
            let mut dice = dice.another();
            let (begun, ended) = (&begun, &ended);
            scope.spawn(move || {
                let of = lane % tenants.len();
                let tenant = &tenants[of];
                let mut subject = tenant.subject(&fleet.nodes[lane % 3], &format!("lane-{lane}"));
                while begun.fetch_add(1, Ordering::Relaxed) < races {
                    let race = revoke_key(fleet, tenant, &subject, &mut dice);
                    race.check_answers();
                    ended.lock().unwrap().push((of, race));
                    tenant.issue(&fleet.nodes[dice.below(3)], &mut subject);
                }
            });
        }
    });
    ended.into_inner().unwrap()
}

fn revoke_key(fleet: &Fleet, tenant: &Tenant, subject: &Subject, dice: &mut Dice) -> Race {
    let (by, more) = (dice.below(3), dice.below(6));
    let owner = tenant.owner(&fleet.nodes[by]);
    let what = format!("{} of {} revoked at node{by}", subject.key, tenant.slug);
    race(fleet, &READERS, (what, &subject.key, &subject.credential), &tenant.read_shared(), more, || {
        let revoked = owner.send(&tenant.routes().revoke_key(&subject.account, &subject.key)).unwrap();
        revoked.request_id().unwrap().to_owned()
    })
}

/// Checks every race against the ledgers.
pub(crate) fn check_records(fleet: &Fleet, tenants: &[Tenant], races: &[(usize, Race)]) {
    for (of, tenant) in tenants.iter().enumerate() {
        let record = Record::of(fleet, tenant, &fleet.nodes[of % 3]);
        for (_, race) in races.iter().filter(|(at, _)| *at == of) {
            race.check_record(&record);
        }
    }
}

#[test]
fn a_revoked_key_is_dead_on_all_nodes_in_thousands_of_races() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let tenants = ["acme", "globex", "initech"].map(|slug| fleet.tenant(slug));
    let races = revoke_keys(&fleet, &tenants, &mut dice, rounds(225), 6);
    check_records(&fleet, &tenants, &races);
    let overlapping: usize = races.iter().map(|(_, race)| race.overlapping()).sum();
    println!("{} revocations, {overlapping} requests under way across them", races.len());
    assert!(overlapping > 4 * races.len(), "nobody raced: {overlapping}");
}
