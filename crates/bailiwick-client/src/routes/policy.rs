//! Roles, bindings, policies; and guardrails, which are the platform's policies.

use bailiwick_types::api::policy::{
    Binding, CheckRequest, CheckResult, CreateBinding, CreatePolicy, Policy, PutPolicy, Role,
};
use bailiwick_types::api::proof::{
    CreateInvariant, Invariant, PolicyDiff, Proof, ProposeChange, PutInvariant, SubsetResult,
};
use bailiwick_types::api::{Done, Page};

use super::tenant::Tenant;
use crate::call::Call;
use crate::path::Path;

/// One policy or guardrail.
#[derive(Debug, Clone)]
pub struct PolicyRoutes {
    pub(crate) path: Path,
}

impl PolicyRoutes {
    /// Shows it.
    pub fn show(&self) -> Call<Policy> {
        Call::get(self.path.clone())
    }

    /// Creates or replaces it.
    pub fn put(&self, body: &PutPolicy) -> Call<Policy> {
        Call::put(self.path.clone()).json(body)
    }

    /// Deletes it.
    pub fn delete(&self) -> Call<Done> {
        Call::delete(self.path.clone())
    }
}

/// The invariants of a tenant, or of the platform.
#[derive(Debug, Clone)]
pub struct Invariants {
    pub(crate) path: Path,
    pub(crate) check: Path,
}

impl Invariants {
    /// All of them.
    pub fn list(&self) -> Call<Page<Invariant>> {
        Call::get(self.path.clone())
    }

    /// Creates one; refused if the name is taken.
    pub fn create(&self, body: &CreateInvariant) -> Call<Invariant> {
        Call::post(self.path.clone()).json(body)
    }

    /// Shows one.
    pub fn show(&self, name: &str) -> Call<Invariant> {
        Call::get(self.path.clone().segment(name))
    }

    /// Creates or replaces one.
    pub fn put(&self, name: &str, body: &PutInvariant) -> Call<Invariant> {
        Call::put(self.path.clone().segment(name)).json(body)
    }

    /// Deletes one.
    pub fn delete(&self, name: &str) -> Call<Done> {
        Call::delete(self.path.clone().segment(name))
    }

    /// Proves everything of the policies in force.
    pub fn check(&self) -> Call<Proof> {
        Call::post(self.check.clone())
    }
}

impl Tenant {
    /// The shipped roles, all on one page.
    pub fn roles(&self) -> Call<Page<Role>> {
        Call::get(self.at("/roles"))
    }

    /// One role.
    pub fn role(&self, role: &str) -> Call<Role> {
        Call::get(self.at("/roles").segment(role))
    }

    /// The role bindings. Filter: `principal`.
    pub fn bindings(&self) -> Call<Page<Binding>> {
        Call::get(self.at("/bindings"))
    }

    /// Gives a role to a principal.
    pub fn create_binding(&self, body: &CreateBinding) -> Call<Binding> {
        Call::post(self.at("/bindings")).json(body)
    }

    /// One binding.
    pub fn binding(&self, binding: &str) -> Call<Binding> {
        Call::get(self.at("/bindings").segment(binding))
    }

    /// Takes a role back.
    pub fn delete_binding(&self, binding: &str) -> Call<Done> {
        Call::delete(self.at("/bindings").segment(binding))
    }

    /// The tenant's policies.
    pub fn policies(&self) -> Call<Page<Policy>> {
        Call::get(self.at("/policies"))
    }

    /// Creates a policy; refused if the name is taken.
    pub fn create_policy(&self, body: &CreatePolicy) -> Call<Policy> {
        Call::post(self.at("/policies")).json(body)
    }

    /// One policy.
    pub fn policy(&self, name: &str) -> PolicyRoutes {
        PolicyRoutes { path: self.at("/policies").segment(name) }
    }

    /// Decides a hypothetical request.
    pub fn check_policy(&self, body: &CheckRequest) -> Call<CheckResult> {
        Call::post(self.at("/policies:check")).json(body)
    }

    /// What a change of policies would newly allow and deny.
    pub fn diff_policies(&self, body: &ProposeChange) -> Call<PolicyDiff> {
        Call::post(self.at("/policies:diff")).json(body)
    }

    /// Whether a change of policies only takes away.
    pub fn is_subset(&self, body: &ProposeChange) -> Call<SubsetResult> {
        Call::post(self.at("/policies:subset")).json(body)
    }

    /// The tenant's invariants.
    pub fn invariants(&self) -> Invariants {
        Invariants { path: self.at("/invariants"), check: self.at("/invariants:check") }
    }

    /// The Cedar schema, as text.
    pub fn policy_schema(&self) -> Call<String> {
        Call::get(self.at("/policies:schema"))
    }
}
