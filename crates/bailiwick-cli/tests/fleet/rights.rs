//! Everything else that takes a right away does so on all nodes at once: roles, policies, accounts, tenants, guardrails.

use bailiwick_client::routes;
use bailiwick_pgkit::{Cluster, Program, is_ready};
use bailiwick_types::api::identity::{RotateCredential, UpdateAccount};
use bailiwick_types::api::policy::PutPolicy;
use bailiwick_types::api::tenant::Reason;

use super::caller::Caller;
use super::dice::{Dice, rounds};
use super::fleet::{Fleet, migrated};
use super::races::{Race, race};
use super::record::Record;
use super::tenant::{Subject, Tenant};

const NODES: [usize; 3] = [0, 1, 2];

/// A way to take a right away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loss {
    Role,
    Permit,
    Forbid,
    Rotation,
    Disabled,
    Deleted,
}

const LOSSES: [Loss; 6] = [Loss::Role, Loss::Permit, Loss::Forbid, Loss::Rotation, Loss::Disabled, Loss::Deleted];

#[test]
fn whatever_takes_a_right_away_does_so_on_all_nodes() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let tenant = fleet.tenant("acme");
    let mut races = Vec::new();
    for round in 0..rounds(6) {
        for loss in LOSSES {
            let race = lose(&fleet, &tenant, loss, &format!("{loss:?}-{round}").to_lowercase(), &mut dice);
            race.check_answers();
            races.push(race);
        }
    }
    let record = Record::of(&fleet, &tenant, &fleet.nodes[dice.below(3)]);
    races.iter().for_each(|race| race.check_record(&record));
}

fn lose(fleet: &Fleet, tenant: &Tenant, loss: Loss, name: &str, dice: &mut Dice) -> Race {
    let (routes, by) = (tenant.routes(), dice.below(3));
    let (there, owner) = (&fleet.nodes[dice.below(3)], tenant.owner(&fleet.nodes[by]));
    let subject = tenant.subject(there, name);
    // A thing of its own, which only what is then taken away lets it read.
    let path = if matches!(loss, Loss::Role | Loss::Permit) { name } else { "shared" };
    let statement = |effect: &str| {
        let principal = format!("principal == ServiceAccount::\"{}\"", subject.account);
        format!("{effect} ({principal}, action == Action::\"secret:reveal\", resource == Secret::\"secret/{path}\");")
    };
    let mut binding = String::new();
    match loss {
        Loss::Role => {
            owner.must(&tenant.write(path, 1, None));
            binding = tenant.bind(there, &subject, path);
        }
        Loss::Permit => {
            owner.must(&tenant.write(path, 1, None));
            owner.must(&tenant.permit(name, &statement("permit")));
        }
        Loss::Forbid | Loss::Rotation | Loss::Disabled | Loss::Deleted => {}
    }
    let Subject { account, key, credential } = &subject;
    let what = format!("{loss:?} of {account} at node{by}");
    race(fleet, &NODES, (what, key, credential), &tenant.read(path), dice.below(6), || match loss {
        Loss::Role => owner.done(&routes.delete_binding(&binding)),
        Loss::Permit => owner.done(&routes.policy(name).delete()),
        Loss::Forbid => owner.done(&tenant.permit(name, &statement("forbid"))),
        Loss::Rotation => {
            let body = RotateCredential { overlap: Some("0s".to_owned()), expires: None, ttl: None };
            owner.done(&routes.rotate_key(account, key, &body))
        }
        Loss::Disabled => {
            let body = UpdateAccount { is_disabled: Some(true), ..UpdateAccount::default() };
            owner.done(&routes.update_account(account, &body))
        }
        Loss::Deleted => owner.done(&routes.delete_account(account)),
    })
}

#[test]
fn a_suspended_tenant_is_suspended_on_all_nodes() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let tenant = fleet.tenant("acme");
    let subject = tenant.subject(&fleet.nodes[0], "reader");
    let as_operator = routes::tenant_as_operator(&tenant.slug);
    let mut races = Vec::new();
    for _ in 0..rounds(12) {
        let by = dice.below(3);
        let operator = fleet.operator(by);
        let (key, credential) = (subject.key.as_str(), subject.credential.as_str());
        let what = format!("{} suspended at node{by}", tenant.slug);
        let race = race(&fleet, &NODES, (what, key, credential), &tenant.read_shared(), dice.below(6), || {
            operator.done(&as_operator.suspend(&Reason { reason: None }))
        });
        race.check_answers();
        // Back at another node, and at once everywhere.
        fleet.operator(dice.below(3)).must(&as_operator.resume(&Reason { reason: None }));
        for node in &fleet.nodes {
            node.caller(credential).must(&tenant.read_shared());
        }
        races.push(race);
    }
    let record = Record::of(&fleet, &tenant, &fleet.nodes[0]);
    for race in &races {
        race.check_acknowledged(&record);
    }
}

#[test]
fn a_guardrail_holds_in_every_tenant_on_all_nodes() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut dice = Dice::new();
    let cluster = Cluster::start().unwrap();
    let fleet = Fleet::of_three(&migrated(&cluster));
    let tenants = ["acme", "globex"].map(|slug| fleet.tenant(slug));
    let subjects: Vec<Subject> = tenants.iter().map(|tenant| tenant.subject(&fleet.nodes[0], "reader")).collect();
    let text = r#"forbid (principal is ServiceAccount, action == Action::"secret:reveal", resource);"#.to_owned();
    let guardrail = routes::guardrail("closed");
    let mut races = Vec::new();
    for round in 0..rounds(10) {
        let (by, of) = (dice.below(3), round % tenants.len());
        let operator = fleet.operator(by);
        let what = format!("a guardrail put at node{by}, of {}", tenants[of].slug);
        let (tenant, Subject { key, credential, .. }) = (&tenants[of], &subjects[of]);
        let body = PutPolicy { description: String::new(), text: text.clone(), dry_run: false };
        let race = race(&fleet, &NODES, (what, key, credential), &tenant.read_shared(), dice.below(6), || {
            operator.done(&guardrail.put(&body))
        });
        race.check_answers();
        // The tenant that nobody raced for is as closed.
        let other = 1 - of;
        let closed = fleet.nodes[dice.below(3)].caller(&subjects[other].credential).ask(&tenants[other].read_shared());
        assert!(!closed.is_done(), "a guardrail does not hold for {}: {closed:?}", tenants[other].slug);
        Caller::must(&fleet.operator(dice.below(3)), &guardrail.delete());
        for (tenant, subject) in tenants.iter().zip(&subjects) {
            fleet.nodes[dice.below(3)].caller(&subject.credential).must(&tenant.read_shared());
        }
        races.push((of, race));
    }
    for (of, tenant) in tenants.iter().enumerate() {
        let record = Record::of(&fleet, tenant, &fleet.nodes[of]);
        for (_, race) in races.iter().filter(|(at, _)| *at == of) {
            race.check_acknowledged(&record);
        }
    }
    let platform = Record::of_platform(&fleet);
    for (_, race) in &races {
        platform.of_done(&race.loss);
    }
}
