//! The world's size, and what can be wrong with it.

use stateright::{Model, Property};

use crate::property;
use crate::state::{Durable, Epochs, Errand, Node, Outcome, State, Wants};
use crate::step::Step;

/// What takes the right away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// A credential is revoked: a commit in the tenant, which bumps the tenant's epoch.
    Credential,
    /// A guardrail forbids the act: a commit on the platform's plane, which bumps the platform's epoch. Commits of
    /// tenants name that epoch as a guard.
    Guardrail,
}

/// A way to be wrong. Each must make some property fail, or the model shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// The store does not compare the epoch that a part expects.
    NoEpochCheck,
    /// The store does not compare the epochs of guards.
    NoGuardCheck,
    /// Guardrails are taken from whatever snapshot of the platform is cached, not from one of the epoch that the commit
    /// will name.
    GuardrailsOfAnyEpoch,
    /// A revocation does not bump the epoch.
    NoBump,
    /// The client is answered when the commit was sent.
    AcknowledgeBeforeCommit,
    /// A commit of which nobody knows whether it was applied counts as applied.
    AcknowledgeAmbiguous,
    /// The commit does not insist that the `Idempotency-Key` has no answer yet.
    RememberBlindly,
    /// An answer that is remembered is given without asking policy again.
    ReplayUnasked,
}

impl Mutation {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::NoEpochCheck,
        Self::NoGuardCheck,
        Self::GuardrailsOfAnyEpoch,
        Self::NoBump,
        Self::AcknowledgeBeforeCommit,
        Self::AcknowledgeAmbiguous,
        Self::RememberBlindly,
        Self::ReplayUnasked,
    ];
}

/// A world to explore.
#[derive(Debug, Clone)]
pub struct Protocol {
    /// How many servers.
    pub nodes: usize,
    /// What clients want.
    pub errands: Vec<Wants>,
    /// What takes the right away.
    pub revocation: Revocation,
    /// How many things may go wrong: answers lost, connections cut, nodes crashed. A client asks once more than that.
    pub faults: u8,
    /// What is wrong on purpose.
    pub mutation: Option<Mutation>,
}

impl Protocol {
    /// Whether it is wrong in this way.
    pub(crate) fn has(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let store = Durable {
            epochs: Epochs { platform: 1, tenant: 1 },
            version: 1,
            is_revoked: false,
            remembered: Vec::new(),
            ledger: Vec::new(),
        };
        let errand = |wants: &Wants| Errand { wants: *wants, sent: 0, outcome: Outcome::Open };
        vec![State {
            store,
            queue: Vec::new(),
            nodes: vec![Node::default(); self.nodes],
            requests: Vec::new(),
            errands: self.errands.iter().map(errand).collect(),
            faults_left: self.faults,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.enabled(state, steps);
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut after = before.clone();
        self.take(&mut after, step)?;
        after.queue.sort_unstable();
        after.requests.sort_unstable();
        after.store.remembered.sort_unstable();
        Some(after)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        property::all(self)
    }
}
