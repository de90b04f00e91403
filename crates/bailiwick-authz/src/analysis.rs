//! What a prover may see of the policies: the same statements that decide, and the schema that they were checked
//! against.
//!
//! # Deliberately absent
//! No way to decide anything with what is here, and no way back into an [`Authority`](crate::Authority).

use std::sync::Arc;

use bailiwick_types::api::proof::Covers;
use bailiwick_types::{Plane, TenantId};
use cedar_policy::{Policy, Schema};

use crate::compile::{self, CompiledPolicy};
use crate::schema;

/// The policies that decide together, besides those that ship and besides roles.
#[derive(Debug, Clone)]
pub struct EffectiveSet {
    /// [`Plane::Tenant`]: the policies of one tenant. [`Plane::Platform`]: operators, and every tenant whatever it
    /// writes; then there are no policies.
    pub plane: Plane,
    /// The operator's.
    pub guardrails: Vec<Arc<CompiledPolicy>>,
    /// The tenant's.
    pub policies: Vec<Arc<CompiledPolicy>>,
}

/// An invariant to be proved.
#[derive(Debug, Clone)]
pub struct Claim {
    /// What it says: the most that may be allowed.
    pub text: Arc<CompiledPolicy>,
    /// Of what.
    pub covers: Covers,
}

/// Everything about one proof.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks. Nothing that is remembered for one is used for another.
    pub tenant: TenantId,
    /// What decides.
    pub set: EffectiveSet,
    /// What must hold, besides isolation and every guardrail.
    pub invariants: Vec<Claim>,
}

/// The schema that every policy was validated against.
pub fn cedar_schema() -> &'static Schema {
    schema::schema()
}

/// The statements that ship: `isolation` and `self-service`.
pub fn shipped_statements() -> impl Iterator<Item = &'static Policy> {
    compile::shipped().iter().map(|statement| &statement.policy)
}

impl CompiledPolicy {
    /// Its statements, for a prover.
    pub fn cedar_statements(&self) -> impl Iterator<Item = &Policy> {
        self.statements().iter().map(|statement| &statement.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Layer, compile_policy};

    #[test]
    fn a_prover_sees_every_statement_that_decides() {
        let shipped: Vec<_> = shipped_statements().map(|policy| policy.id().to_string()).collect();
        assert_eq!(shipped, ["isolation", "self-service"]);
        let text = "permit(principal, action, resource); forbid(principal is Agent, action, resource);";
        let policy = compile_policy(Layer::Tenant, &"p".parse().unwrap(), text).unwrap();
        let seen: Vec<_> = policy.cedar_statements().map(|policy| policy.id().to_string()).collect();
        assert_eq!(seen, ["policy:p#1", "policy:p#2"]);
        let actions = cedar_schema().actions().count();
        assert_eq!(actions, bailiwick_types::Action::ALL.len() + 4, "the actions and their four groups");
    }
}
