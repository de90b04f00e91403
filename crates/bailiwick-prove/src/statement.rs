//! One statement with what must be known of it before it is translated.

use std::sync::Arc;

use bailiwick_authz::CompiledPolicy;
use cedar_policy::{
    ActionConstraint, Effect, EntityTypeName, EntityUid, Policy, PolicyId, PrincipalConstraint, ResourceConstraint,
};

use crate::cache::Key;
use crate::environment::Environment;

/// What a scope asks of the principal or the resource.
#[derive(Debug, Clone)]
enum Place {
    Any,
    Is(EntityTypeName),
    In(EntityTypeName),
}

impl Place {
    /// Whether something of this kind can be there. Never says no to what Cedar would match.
    fn can_hold(&self, kind: &EntityTypeName, reach: &std::collections::HashSet<EntityTypeName>) -> bool {
        match self {
            Self::Any => true,
            Self::Is(wanted) => wanted == kind,
            Self::In(container) => reach.contains(container),
        }
    }
}

/// A statement, ready to be chosen for a kind of request.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) policy: Policy,
    pub(crate) id: String,
    /// The text's hash, which stands for it in the cache.
    pub(crate) digest: Key,
    /// Whether its condition looks at the action itself; if not, it says the same for all actions that it is about.
    pub(crate) mentions_action: bool,
    /// Whether its condition looks at the request's context.
    pub(crate) mentions_context: bool,
    /// The entities that it names.
    pub(crate) names: Vec<EntityUid>,
    pub(crate) bytes: usize,
    principal: Place,
    actions: Option<Vec<EntityUid>>,
    resource: Place,
}

/// SHA-256 over parts, each with its length, so that no two lists of parts run together to the same bytes.
pub(crate) fn digest<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Key {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    key
}

impl Piece {
    pub(crate) fn new(policy: &Policy) -> Arc<Self> {
        let text = policy.to_cedar().unwrap_or_else(|| policy.to_string());
        let principal = match policy.principal_constraint() {
            PrincipalConstraint::Any => Place::Any,
            PrincipalConstraint::Is(kind) => Place::Is(kind),
            PrincipalConstraint::IsIn(kind, _) => Place::Is(kind),
            PrincipalConstraint::Eq(entity) => Place::Is(entity.type_name().clone()),
            PrincipalConstraint::In(entity) => Place::In(entity.type_name().clone()),
        };
        let resource = match policy.resource_constraint() {
            ResourceConstraint::Any => Place::Any,
            ResourceConstraint::Is(kind) => Place::Is(kind),
            ResourceConstraint::IsIn(kind, _) => Place::Is(kind),
            ResourceConstraint::Eq(entity) => Place::Is(entity.type_name().clone()),
            ResourceConstraint::In(entity) => Place::In(entity.type_name().clone()),
        };
        let actions = match policy.action_constraint() {
            ActionConstraint::Any => None,
            ActionConstraint::Eq(action) => Some(vec![action]),
            ActionConstraint::In(actions) => Some(actions),
        };
        // In Cedar's JSON the scope is apart from the conditions. What cannot be told is taken to look at the action.
        let conditions = policy.to_json().ok().and_then(|json| json.get("conditions").map(ToString::to_string));
        let mentions = |name: &str| {
            let variable = format!("\"Var\":\"{name}\"");
            conditions.as_ref().is_none_or(|conditions| conditions.contains(&variable))
        };
        let mut names = policy.entity_literals();
        names.sort();
        names.dedup();
        Arc::new(Self {
            id: policy.id().to_string(),
            digest: digest([text.as_bytes()]),
            mentions_action: mentions("action"),
            mentions_context: mentions("context"),
            names,
            bytes: text.len(),
            principal,
            actions,
            resource,
            policy: policy.clone(),
        })
    }

    /// The statements of a document.
    pub(crate) fn of(document: &CompiledPolicy) -> Vec<Arc<Self>> {
        document.cedar_statements().map(Self::new).collect()
    }

    /// A statement of our own.
    pub(crate) fn parse(id: &str, text: &str) -> Option<Arc<Self>> {
        Policy::parse(Some(PolicyId::new(id)), text).ok().map(|policy| Self::new(&policy))
    }

    pub(crate) fn is_forbid(&self) -> bool {
        self.policy.effect() == Effect::Forbid
    }

    /// Whether it leaves the resource open: any, or any of a kind.
    pub(crate) fn is_open_to_any_resource(&self) -> bool {
        matches!(self.policy.resource_constraint(), ResourceConstraint::Any | ResourceConstraint::Is(_))
    }

    /// Whether it can match any request of this kind. Never says no to what Cedar would match.
    pub(crate) fn concerns(&self, environment: &Environment) -> bool {
        self.actions.as_ref().is_none_or(|actions| actions.iter().any(|action| environment.actions.contains(action)))
            && self.principal.can_hold(environment.principal(), &environment.principals)
            && self.resource.can_hold(environment.resource(), &environment.resources)
    }
}

/// Those that can matter to a kind of request.
pub(crate) fn concerning(pieces: &[Arc<Piece>], environment: &Environment) -> Vec<Arc<Piece>> {
    pieces.iter().filter(|piece| piece.concerns(environment)).cloned().collect()
}
