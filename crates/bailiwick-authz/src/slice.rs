//! Which policies can matter to a request, without evaluating the others.
//!
//! A policy's scope (`principal == …, action in […], resource is …`) is a conjunction that Cedar evaluates before the
//! condition and that cannot fail. A policy whose scope does not match is therefore neither satisfied nor in error:
//! leaving it out changes neither the decision nor its reasons.
//!
//! # Invariants
//! - INV-SLICE-1: every statement is found by every request that its scope matches. What this module does not
//!   understand about a scope, it takes to match.
//! - INV-SLICE-2: what is `in` what comes from the same list of ancestors that Cedar is given.
//!
//! A property test compares the sliced decision with that of the whole set.

use std::collections::HashMap;

use bailiwick_types::Action;
use cedar_policy::{ActionConstraint, EntityTypeName, EntityUid, Policy, PrincipalConstraint, ResourceConstraint};

use crate::entities::{self, Subject};

/// What a statement's scope asks of a principal or a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Any,
    Is(EntityTypeName),
    Equal(EntityUid),
    In(EntityUid),
    IsIn(EntityTypeName, EntityUid),
}

/// The scope of a statement.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    principal: Place,
    /// `None`: any action.
    actions: Option<Vec<Action>>,
    resource: Place,
}

/// A request as far as scopes can see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) principal: &'a Subject,
    pub(crate) action: Action,
    pub(crate) resource: &'a Subject,
}

impl Place {
    fn matches(&self, subject: &Subject) -> bool {
        let is_in = |entity: &EntityUid| *entity == subject.uid || subject.ancestors.contains(entity);
        match self {
            Self::Any => true,
            Self::Is(kind) => kind == subject.uid.type_name(),
            Self::Equal(entity) => *entity == subject.uid,
            Self::In(entity) => is_in(entity),
            Self::IsIn(kind, entity) => kind == subject.uid.type_name() && is_in(entity),
        }
    }

    fn entity(&self) -> Option<&EntityUid> {
        match self {
            Self::Any | Self::Is(_) => None,
            Self::Equal(entity) | Self::In(entity) | Self::IsIn(_, entity) => Some(entity),
        }
    }
}

impl Scope {
    pub(crate) fn of(policy: &Policy) -> Self {
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => Place::Any,
            PrincipalConstraint::Is(kind) => Place::Is(kind),
            PrincipalConstraint::Eq(entity) => Place::Equal(entity),
            PrincipalConstraint::In(entity) => Place::In(entity),
            PrincipalConstraint::IsIn(kind, entity) => Place::IsIn(kind, entity),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => Place::Any,
            ResourceConstraint::Is(kind) => Place::Is(kind),
            ResourceConstraint::Eq(entity) => Place::Equal(entity),
            ResourceConstraint::In(entity) => Place::In(entity),
            ResourceConstraint::IsIn(kind, entity) => Place::IsIn(kind, entity),
        };
        // `==` a group is true of no request, and counting its members in is merely too generous.
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(entity) => entities::actions_of(&entity),
            ActionConstraint::In(list) => {
                let expanded: Option<Vec<Vec<Action>>> = list.iter().map(entities::actions_of).collect();
                expanded.map(|lists| {
                    let mut actions = lists.concat();
                    actions.sort_unstable();
                    actions.dedup();
                    actions
                })
            }
        };
        Self { principal, actions, resource }
    }

    /// Whether a request is in the scope; exactly Cedar's answer, or yes.
    pub(crate) fn matches(&self, asked: &Asked<'_>) -> bool {
        self.actions.as_ref().is_none_or(|actions| actions.contains(&asked.action))
            && self.principal.matches(asked.principal)
            && self.resource.matches(asked.resource)
    }
}

/// Statements by the most telling part of their scope; each is in exactly one place (once per action, if by action).
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_principal: HashMap<EntityUid, Vec<usize>>,
    by_resource: HashMap<EntityUid, Vec<usize>>,
    by_action: HashMap<Action, Vec<usize>>,
    others: Vec<usize>,
}

impl Index {
    /// Files a statement under its scope.
    pub(crate) fn insert(&mut self, statement: usize, scope: &Scope) {
        let telling = |place: &Place| place.entity().filter(|entity| !entities::is_broad(entity)).cloned();
        if let Some(entity) = telling(&scope.principal) {
            self.by_principal.entry(entity).or_default().push(statement);
        } else if let Some(entity) = telling(&scope.resource) {
            self.by_resource.entry(entity).or_default().push(statement);
        } else if let Some(actions) = &scope.actions {
            for action in actions {
                self.by_action.entry(*action).or_default().push(statement);
            }
        } else {
            self.others.push(statement);
        }
    }

    /// The statements whose scope matches, in the order in which they were filed.
    pub(crate) fn find<'s>(&self, asked: &Asked<'_>, scope_of: impl Fn(usize) -> Option<&'s Scope>) -> Vec<usize> {
        let mut found = Vec::new();
        let mut take = |bucket: Option<&Vec<usize>>| {
            let matching = |at: &usize| scope_of(*at).is_none_or(|scope| scope.matches(asked));
            found.extend(bucket.into_iter().flatten().copied().filter(matching));
        };
        for (buckets, subject) in [(&self.by_principal, asked.principal), (&self.by_resource, asked.resource)] {
            if !buckets.is_empty() {
                take(buckets.get(&subject.uid));
                subject.ancestors.iter().for_each(|ancestor| take(buckets.get(ancestor)));
            }
        }
        take(self.by_action.get(&asked.action));
        take(Some(&self.others));
        found.sort_unstable();
        found.dedup();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::{Layer, compile_policy};

    /// Which requests find it does not depend on this; how many statements each request looks at does.
    #[test]
    fn a_statement_is_filed_under_the_most_telling_part_of_its_scope() {
        let places = |scope: &str| {
            let policy = compile_policy(Layer::Tenant, &"p".parse().unwrap(), &format!("permit({scope});")).unwrap();
            let mut index = Index::default();
            index.insert(0, &policy.statements()[0].scope);
            let Index { by_principal, by_resource, by_action, others } = index;
            [by_principal.len(), by_resource.len(), by_action.len(), others.len()]
        };
        assert_eq!(places(r#"principal == Agent::"a", action, resource == Secret::"s/a""#), [1, 0, 0, 0]);
        assert_eq!(places(r#"principal in Tenant::"t", action, resource in Folder::"s/a""#), [0, 1, 0, 0]);
        let two = r#"action in [Action::"secret:reveal", Action::"secret:write"]"#;
        assert_eq!(
            places(&format!(r#"principal in Platform::"platform", {two}, resource in Tenant::"t""#)),
            [0, 0, 2, 0]
        );
        assert_eq!(places(r#"principal is Agent, action, resource is Secret in Tenant::"t""#), [0, 0, 0, 1]);
    }
}
