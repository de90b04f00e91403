//! The shipped roles: Cedar templates, so that a newcomer never has to write Cedar.
//!
//! # Invariants
//! - INV-ROLE-1: a role only permits. What it permits is a golden table (`tests/golden/roles.txt`).
//! - INV-ROLE-2: a role of one plane is never linked for a principal of the other.
//!
//! # Deliberately absent
//! No role that reveals secrets without saying so in its name, besides `owner` and `admin`. No roles of a tenant's
//! own: those are policies.

use std::collections::HashMap;
use std::sync::LazyLock;

use bailiwick_types::Plane;
use cedar_policy::{EntityUid, Policy, PolicyId, PolicySet, SlotId, Template};

use crate::entities;
use crate::principal::{PrincipalFacts, PrincipalKind};

/// A role that ships with the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// The stable name.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// On whose ground it can be given.
    pub plane: Plane,
    /// The Cedar template: `?principal` is who has the role, `?resource` is on what.
    pub template: &'static str,
}

/// All of them.
pub fn roles() -> &'static [Role] {
    ROLES
}

/// The role with this name.
pub fn role(name: &str) -> Option<&'static Role> {
    ROLES.iter().find(|role| role.name == name)
}

const ROLES: &[Role] = &[
    Role {
        name: "owner",
        title: "Owner",
        description: "everything, sealing and exporting the tenant included",
        plane: Plane::Tenant,
        template: r"permit(principal == ?principal, action, resource in ?resource);",
    },
    Role {
        name: "admin",
        title: "Administrator",
        description: "everything but sealing and exporting the tenant",
        plane: Plane::Tenant,
        template: r#"permit(principal == ?principal, action, resource in ?resource)
unless { action in [Action::"keyring:seal", Action::"bundle:export"] };"#,
    },
    Role {
        name: "auditor",
        title: "Auditor",
        description: "sees all state and the whole ledger, never a secret's value",
        plane: Plane::Tenant,
        template: r#"permit(principal == ?principal, action in [Action::"read"], resource in ?resource);"#,
    },
    Role {
        name: "viewer",
        title: "Viewer",
        description: "sees all state but the ledger, never a secret's value",
        plane: Plane::Tenant,
        template: r#"permit(principal == ?principal, action in [Action::"read"], resource in ?resource)
unless { resource is Ledger };"#,
    },
    Role {
        name: "secret-reader",
        title: "Secret reader",
        description: "lists, describes and reads secrets",
        plane: Plane::Tenant,
        template: r#"permit(
  principal == ?principal,
  action in [Action::"secret:reveal", Action::"secret:describe", Action::"secret:list"],
  resource in ?resource
);"#,
    },
    Role {
        name: "secret-writer",
        title: "Secret writer",
        description: "reads secrets, writes new versions, deletes and undeletes them",
        plane: Plane::Tenant,
        template: r#"permit(
  principal == ?principal,
  action in [
    Action::"secret:reveal", Action::"secret:describe", Action::"secret:list", Action::"secret:write",
    Action::"secret:patch", Action::"secret:delete", Action::"secret:undelete"
  ],
  resource in ?resource
);"#,
    },
    Role {
        name: "secret-admin",
        title: "Secret administrator",
        description: "everything with secrets and mounts",
        plane: Plane::Tenant,
        template: r#"permit(
  principal == ?principal,
  action in [
    Action::"secret:reveal", Action::"secret:describe", Action::"secret:list", Action::"secret:write",
    Action::"secret:patch", Action::"secret:delete", Action::"secret:undelete", Action::"secret:destroy",
    Action::"secret:configure", Action::"secret:purge",
    Action::"mount:create", Action::"mount:list", Action::"mount:show", Action::"mount:update", Action::"mount:delete"
  ],
  resource in ?resource
);"#,
    },
    Role {
        name: "account-admin",
        title: "Account administrator",
        description: "manages service accounts, agents and their API keys; sees roles and bindings",
        plane: Plane::Tenant,
        template: r#"permit(
  principal == ?principal,
  action in [
    Action::"account:create", Action::"account:list", Action::"account:show", Action::"account:update",
    Action::"account:delete",
    Action::"key:issue", Action::"key:list", Action::"key:show", Action::"key:rotate", Action::"key:revoke",
    Action::"role:list", Action::"role:show", Action::"binding:list", Action::"binding:show"
  ],
  resource in ?resource
);"#,
    },
    Role {
        name: "policy-admin",
        title: "Policy administrator",
        description: "manages policies, invariants and role bindings, and so can give anything to anybody of the tenant",
        plane: Plane::Tenant,
        template: r#"permit(
  principal == ?principal,
  action in [
    Action::"policy:put", Action::"policy:list", Action::"policy:show", Action::"policy:delete", Action::"policy:check",
    Action::"policy:diff",
    Action::"invariant:put", Action::"invariant:list", Action::"invariant:show", Action::"invariant:delete",
    Action::"invariant:check",
    Action::"binding:create", Action::"binding:list", Action::"binding:show", Action::"binding:delete",
    Action::"role:list", Action::"role:show",
    Action::"member:list", Action::"member:show", Action::"account:list", Action::"account:show"
  ],
  resource in ?resource
);"#,
    },
    Role {
        name: "ledger-reader",
        title: "Ledger reader",
        description: "reads, proves and exports the ledger, and gets attestations",
        plane: Plane::Tenant,
        template: r#"permit(
  principal == ?principal,
  action in [
    Action::"ledger:read", Action::"ledger:prove", Action::"ledger:export", Action::"attestation:issue"
  ],
  resource in ?resource
);"#,
    },
    Role {
        name: "operator-admin",
        title: "Operator",
        description: "everything on the platform; nothing inside a tenant",
        plane: Plane::Platform,
        template: r"permit(principal == ?principal, action, resource in ?resource);",
    },
    Role {
        name: "operator-viewer",
        title: "Operator, read-only",
        description: "sees the state of the platform; nothing inside a tenant",
        plane: Plane::Platform,
        template: r#"permit(principal == ?principal, action in [Action::"read"], resource in ?resource);"#,
    },
];

/// A role's template with its own name as id, parsed once.
fn template(name: &str) -> Option<&'static (Template, Plane)> {
    static TEMPLATES: LazyLock<HashMap<&'static str, (Template, Plane)>> = LazyLock::new(|| {
        // A template that did not parse would be missing here and permit nothing; a test parses them all.
        let parsed = |role: &Role| {
            let id = PolicyId::new(format!("role:{}", role.name));
            Some((role.name, (Template::parse(Some(id), role.template).ok()?, role.plane)))
        };
        ROLES.iter().filter_map(parsed).collect()
    });
    TEMPLATES.get(name)
}

/// One role link of one principal, ready to be put into a policy set.
#[derive(Debug)]
pub(crate) struct LinkedRole {
    template: &'static Template,
    id: PolicyId,
    values: HashMap<SlotId, EntityUid>,
    policy: Policy,
}

impl LinkedRole {
    /// The linked policy, to read its scope.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Puts it into `set`. `None` if its id is taken there.
    pub(crate) fn add_to(&self, set: &mut PolicySet) -> Option<()> {
        if set.template(self.template.id()).is_none() {
            set.add_template(self.template.clone()).ok()?;
        }
        set.link(self.template.id().clone(), self.id.clone(), self.values.clone()).ok()
    }
}

/// The roles of a principal. A link that names no role, a role of the other plane, or for a tenant's principal a thing of
/// the platform, permits nothing.
pub(crate) fn linked(facts: &PrincipalFacts, principal: &EntityUid) -> Vec<LinkedRole> {
    let plane = match facts.kind {
        PrincipalKind::Operator => Plane::Platform,
        PrincipalKind::Member | PrincipalKind::Service | PrincipalKind::Agent => Plane::Tenant,
    };
    let mut set = PolicySet::new();
    let mut linked = Vec::with_capacity(facts.roles.len());
    for link in &facts.roles {
        let Some((template, _)) = template(link.role.as_str()).filter(|(_, of)| *of == plane) else { continue };
        let (kind, target) = &link.on;
        if plane == Plane::Tenant && entities::plane_of(*kind) == Plane::Platform {
            continue;
        }
        let values = HashMap::from([
            (SlotId::principal(), principal.clone()),
            (SlotId::resource(), entities::resource_uid(*kind, target)),
        ]);
        let id = PolicyId::new(format!("role:{}@{}", link.role, link.id));
        if set.template(template.id()).is_none() && set.add_template(template.clone()).is_err() {
            continue;
        }
        // Two links of one role and one id: the second is a repetition and is left out, which can only permit less.
        if set.link(template.id().clone(), id.clone(), values.clone()).is_ok()
            && let Some(policy) = set.policy(&id).cloned()
        {
            linked.push(LinkedRole { template, id, values, policy });
        }
    }
    linked
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Effect, ValidationMode, Validator};

    use super::*;
    use crate::compile::{ISOLATION, SELF_SERVICE};
    use crate::schema::schema;

    #[test]
    fn every_role_parses_permits_only_and_is_not_deep() {
        for role in ROLES {
            let (template, plane) = template(role.name).unwrap();
            assert_eq!((template.effect(), *plane), (Effect::Permit, role.plane), "{}", role.name);
            assert_eq!(template.slots().count(), 2, "{}", role.name);
            assert!(!role.template.contains("context"), "{}", role.name);
            assert!(crate::shape::measure(role.template).unwrap() <= 8, "{}", role.name);
            role.name.parse::<bailiwick_types::PolicyName>().unwrap();
        }
        let mut names: Vec<_> = ROLES.iter().map(|role| role.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROLES.len());
    }

    #[test]
    fn a_role_is_found_by_its_own_name_only() {
        for expected in ROLES {
            assert_eq!(role(expected.name), Some(expected));
        }
        assert_eq!(role("isolation"), None);
    }

    #[test]
    fn everything_that_ships_validates_strictly_and_without_a_warning() {
        let mut set = PolicySet::new();
        for role in ROLES {
            set.add_template(template(role.name).unwrap().0.clone()).unwrap();
        }
        for (id, text) in [("isolation", ISOLATION), ("self-service", SELF_SERVICE)] {
            set.add(Policy::parse(Some(PolicyId::new(id)), text).unwrap()).unwrap();
        }
        let result = Validator::new(schema().clone()).validate_with_level(&set, ValidationMode::Strict, 1);
        assert!(result.validation_passed_without_warnings(), "{result}");
    }
}
