//! The protocol holds in every state of several worlds; each way to be wrong is found; and the steps are the product's.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test; what it found is worth reading")]

use std::path::Path;
use std::time::Instant;

use bailiwick_model::property::{ENTRY, ONCE, REVOKED};
use bailiwick_model::{Mutation, PLACES, Protocol, Revocation, Wants};
use stateright::{Checker, HasDiscoveries, Model};

fn world(nodes: usize, errands: &[Wants], revocation: Revocation, faults: u8) -> Protocol {
    Protocol { nodes, errands: errands.to_vec(), revocation, faults, mutation: None }
}

/// Visits every state; fails unless everything holds that must, and happens that must. Their number is on record, so that
/// nobody makes the world smaller without noticing.
fn holds(world: Protocol, states: usize) {
    let began = Instant::now();
    let checker = world.clone().checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    println!("{} states in {:?}: {world:?}", checker.unique_state_count(), began.elapsed());
    assert_eq!(checker.unique_state_count(), states, "{world:?}");
}

const TWO: &[Wants] = &[Wants::Change, Wants::Revoke];
const THREE: &[Wants] = &[Wants::Change, Wants::Read, Wants::Revoke];

#[test]
fn a_revoked_credential_is_dead_on_every_node_whatever_goes_wrong() {
    holds(world(3, TWO, Revocation::Credential, 1), 112_804);
    holds(world(3, THREE, Revocation::Credential, 0), 33_490);
}

#[test]
fn a_guardrail_holds_on_every_node_whatever_goes_wrong() {
    holds(world(3, TWO, Revocation::Guardrail, 1), 323_148);
    holds(world(2, THREE, Revocation::Guardrail, 0), 88_129);
}

#[test]
#[ignore = "two minutes and several gigabytes: run it after the protocol has changed"]
fn more_may_go_wrong_and_more_may_ask() {
    holds(world(2, TWO, Revocation::Credential, 2), 11_834_472);
    holds(world(2, THREE, Revocation::Credential, 1), 11_230_049);
}

/// Which property fails, in which world.
fn fails(mutation: Mutation) -> (&'static str, Protocol) {
    let (property, revocation) = match mutation {
        Mutation::NoEpochCheck | Mutation::NoBump => (REVOKED, Revocation::Credential),
        Mutation::NoGuardCheck | Mutation::GuardrailsOfAnyEpoch | Mutation::ReplayUnasked => {
            (REVOKED, Revocation::Guardrail)
        }
        Mutation::AcknowledgeBeforeCommit | Mutation::AcknowledgeAmbiguous => (ENTRY, Revocation::Credential),
        Mutation::RememberBlindly => (ONCE, Revocation::Credential),
    };
    let world = world(2, &[Wants::Change, Wants::Revoke], revocation, 1);
    (property, Protocol { mutation: Some(mutation), ..world })
}

#[test]
fn every_way_to_be_wrong_is_found() {
    for mutation in Mutation::ALL {
        let (property, world) = fails(*mutation);
        let enough = HasDiscoveries::AnyOf([property].into());
        let checker = world.checker().finish_when(enough).spawn_bfs().join();
        let path = checker.discovery(property).unwrap_or_else(|| panic!("{mutation:?} harms nobody"));
        println!("{mutation:?}: not \"{property}\"");
        for step in path.into_actions() {
            println!("    {step:?}");
        }
    }
}

/// What is modelled is what is built: each step of the product has the name of a function that exists there.
#[test]
fn the_steps_are_functions_of_the_product() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (step, of, function) in PLACES {
        let mut sources = Vec::new();
        read(&crates.join(of).join("src"), &mut sources);
        let signature = [format!("fn {function}("), format!("fn {function}<")];
        let is_there = sources.iter().any(|source| signature.iter().any(|text| source.contains(text)));
        assert!(is_there, "`{step}` is `{function}` of `{of}`, which is not there any more");
    }
}

fn read(folder: &Path, sources: &mut Vec<String>) {
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            read(&path, sources);
        } else {
            sources.push(std::fs::read_to_string(path).unwrap());
        }
    }
}
