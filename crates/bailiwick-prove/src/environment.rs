//! The kinds of request: every combination of a principal's type, an action and a resource's type that the schema has.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use bailiwick_authz::analysis::cedar_schema;
use bailiwick_types::{Action, Plane};
use cedar_policy::{EntityTypeName, EntityUid, RequestEnv};

/// One kind of request.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) env: RequestEnv,
    pub(crate) action: Action,
    pub(crate) principal_name: String,
    pub(crate) resource_name: String,
    /// The action and the groups that it is in.
    pub(crate) actions: HashSet<EntityUid>,
    /// What a principal of this kind can be, or be in.
    pub(crate) principals: HashSet<EntityTypeName>,
    /// The same for the resource.
    pub(crate) resources: HashSet<EntityTypeName>,
}

impl Environment {
    pub(crate) fn principal(&self) -> &EntityTypeName {
        self.env.principal()
    }

    pub(crate) fn resource(&self) -> &EntityTypeName {
        self.env.resource()
    }
}

/// All of them, in a stable order.
pub(crate) fn environments() -> &'static [Environment] {
    static ALL: LazyLock<Vec<Environment>> = LazyLock::new(|| {
        let schema = cedar_schema();
        let mut reach: HashMap<EntityTypeName, HashSet<EntityTypeName>> = HashMap::new();
        let mut reach_of = |kind: &EntityTypeName| {
            let reach = reach.entry(kind.clone()).or_insert_with(|| {
                let containers = schema.ancestors(kind).into_iter().flatten().cloned();
                containers.chain([kind.clone()]).collect()
            });
            reach.clone()
        };
        let groups = schema.action_entities().ok();
        let mut all: Vec<Environment> = schema
            .request_envs()
            .filter_map(|env| {
                let action = env.action().id().unescaped().parse().ok()?;
                let groups = groups.as_ref().and_then(|groups| groups.ancestors(env.action())).into_iter().flatten();
                Some(Environment {
                    action,
                    actions: groups.cloned().chain([env.action().clone()]).collect(),
                    principals: reach_of(env.principal()),
                    resources: reach_of(env.resource()),
                    principal_name: env.principal().to_string(),
                    resource_name: env.resource().to_string(),
                    env,
                })
            })
            .collect();
        all.sort_by_cached_key(|each| (each.action, each.principal_name.clone(), each.resource_name.clone()));
        all
    });
    &ALL
}

/// Those that a set of this plane decides.
pub(crate) fn environments_of(plane: Plane) -> Vec<&'static Environment> {
    environments().iter().filter(|each| plane == Plane::Platform || each.action.plane() == Plane::Tenant).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_its_kinds_of_request() {
        let of = |plane| environments_of(plane).len();
        let tenants = Action::ALL.iter().filter(|action| action.plane() == Plane::Tenant).count();
        let platforms = Action::ALL.len() - tenants;
        assert_eq!(of(Plane::Tenant), tenants * 3);
        assert_eq!(of(Plane::Platform), tenants * 3 + platforms);
        for each in environments() {
            assert_eq!(each.actions.len(), 2, "{}", each.action);
            assert!(each.resources.contains(each.resource()));
        }
    }
}
