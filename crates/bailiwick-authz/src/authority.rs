//! The one evaluation: may this principal do this to that?
//!
//! Three layers are evaluated together: what ships (`isolation`, `self-service`, roles), the operator's guardrails,
//! the tenant's policies. Any `forbid` wins over any `permit`; no `permit` is a no.
//!
//! # Invariants
//! - INV-AUTHORITY-1: the shipped `isolation` rule is part of every evaluation.
//! - INV-AUTHORITY-2: what does not fit (an action of the other plane, a resource of another kind than the action's, a
//!   policy that fails to evaluate) is denied, and the decision says so.
//! - INV-AUTHORITY-3: what a tenant wrote is never evaluated for an operator.
//! - INV-AUTHORITY-4: a decision is a function of policies, principal, action, resource and context; caches only
//!   remember it, and they remember the facts that they were filled from.
//!
//! # Deliberately absent
//! No way to add a policy later: a change is a new epoch, and a new epoch is a new `Authority`. No state shared between
//! two of them.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_types::{Action, Plane, Resource, ResourceKind, TenantId, Timestamp};
use cedar_policy::{Authorizer, Entities, PolicySet, Request};

use crate::cache::Cache;
use crate::compile::{self, CompiledPolicy, Layer, Reads, Statement};
use crate::entities::{self, Subject};
use crate::principal::{PrincipalFacts, PrincipalKind};
use crate::roles::{self, LinkedRole};
use crate::shape;
use crate::slice::{Asked, Index, Scope};

/// What policies may see of a request besides who, what and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestContext {
    /// The moment of the request.
    pub now: Timestamp,
    /// Where it came from, if the door knows.
    pub source: Option<IpAddr>,
    /// The door it came through, such as `api`.
    pub door: &'static str,
}

/// What the policy said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Yes or no.
    pub allowed: bool,
    /// The ids of the policies that determined it, sorted: the permits of a yes, the forbids of a no. Empty if nothing
    /// permitted it, or if it was denied because of an error.
    pub determining: Vec<String>,
    /// What could not be evaluated, sorted. Any error makes it a no.
    pub errors: Vec<String>,
}

impl Decision {
    /// A no because the question itself is wrong.
    pub(crate) fn fault(message: &str) -> Self {
        Self { allowed: false, determining: Vec::new(), errors: vec![message.to_owned()] }
    }
}

/// A decision with how it came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What the policy said.
    pub decision: Decision,
    /// How many policies have a scope that matches the request.
    pub candidates: usize,
    /// How many policies there are.
    pub total: usize,
}

/// Everything that decides for one tenant (or for the platform) in one epoch. Cheap to build, shared by all requests.
pub struct Authority {
    /// Shipped policies and guardrails first, the tenant's after them.
    statements: Vec<Arc<Statement>>,
    /// Where the tenant's begin.
    own_from: usize,
    /// About how many bytes the tenant's take.
    own_bytes: usize,
    /// What applies to everybody: shipped policies and guardrails.
    above: Index,
    /// What the tenant wrote.
    own: Index,
    bound_to: Option<TenantId>,
    serial: AtomicU64,
    hasher: RandomState,
    principals: Cache<String, Arc<Known>>,
    slices: Cache<(u64, Candidates), Arc<Slice>>,
    decisions: Cache<u64, Arc<Remembered>>,
}

// How many are remembered at most, and about how many bytes they take: one, and all of them.
const PRINCIPALS_MAX: usize = 1_024;
const PRINCIPALS_BYTES_MAX: usize = 4 << 20;
const PRINCIPAL_BYTES: usize = 4_096;
const SLICES_MAX: usize = 512;
const SLICES_BYTES_MAX: usize = 2 << 20;
const SLICE_BYTES: usize = 1_024;
const DECISIONS_MAX: usize = 8_192;
const DECISIONS_BYTES_MAX: usize = 4 << 20;
const DECISION_BYTES: usize = 320;

/// A principal, prepared. Good for exactly the facts that it was made from.
#[derive(Debug)]
struct Known {
    /// Tells the cached work for these facts from that for others of the same id.
    serial: u64,
    facts: PrincipalFacts,
    subject: Subject,
    /// The principal's entity alone, to add the request's to: to start from nothing costs three times as much.
    entities: Entities,
    roles: Vec<LinkedRole>,
    scopes: Vec<Scope>,
}

/// The policies whose scope matches a request: of the authority, and of the principal's roles.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Candidates {
    statements: Vec<usize>,
    roles: Vec<usize>,
}

/// A policy set, ready for Cedar.
#[derive(Debug)]
struct Slice {
    policies: PolicySet,
    reads: Reads,
    depth: usize,
}

/// A decision that did not depend on the context, with all that it did depend on.
#[derive(Debug)]
struct Remembered {
    serial: u64,
    action: Action,
    tenant: TenantId,
    resource: Resource,
    decision: Arc<Decision>,
}

impl Remembered {
    /// Whether this is the very question. The hash that it was found by does not say so.
    fn answers(&self, serial: u64, action: Action, tenant: TenantId, resource: &Resource) -> bool {
        self.serial == serial && self.action == action && self.tenant == tenant && self.resource == *resource
    }
}

impl Authority {
    /// The shipped policies with these guardrails and these policies of one tenant.
    pub fn new(guardrails: &[Arc<CompiledPolicy>], policies: &[Arc<CompiledPolicy>]) -> Self {
        let mut statements = compile::shipped().to_vec();
        // By the policy's own layer, not by the list that it came in: a tenant's policy never becomes a guardrail.
        let of = |layer| {
            let documents = guardrails.iter().chain(policies).filter(move |policy| policy.layer() == layer);
            documents.flat_map(|policy| policy.statements().iter().cloned())
        };
        statements.extend(of(Layer::Guardrail));
        let own_from = statements.len();
        statements.extend(of(Layer::Tenant));

        let own_bytes = policies.iter().map(|policy| policy.bytes()).sum();

        let (mut above, mut own) = (Index::default(), Index::default());
        for (at, statement) in statements.iter().enumerate() {
            let index = if at < own_from { &mut above } else { &mut own };
            index.insert(at, &statement.scope);
        }
        Self {
            statements,
            own_from,
            own_bytes,
            above,
            own,
            bound_to: None,
            serial: AtomicU64::new(0),
            hasher: RandomState::new(),
            principals: Cache::new(PRINCIPALS_MAX, PRINCIPALS_BYTES_MAX),
            slices: Cache::new(SLICES_MAX, SLICES_BYTES_MAX),
            decisions: Cache::new(DECISIONS_MAX, DECISIONS_BYTES_MAX),
        }
    }

    /// The same, but it denies whatever a principal of another tenant asks: a second fence against asking the wrong
    /// authority.
    #[must_use]
    pub fn bound_to(self, tenant: TenantId) -> Self {
        Self { bound_to: Some(tenant), ..self }
    }

    /// About how many bytes of memory the tenant's own policies take.
    pub fn policy_bytes(&self) -> usize {
        self.own_bytes
    }

    /// About how many bytes of memory what is remembered of requests takes.
    pub fn remembered_bytes(&self) -> usize {
        self.principals.bytes() + self.slices.bytes() + self.decisions.bytes()
    }

    /// Forgets what is remembered of requests. That costs time and nothing else.
    pub fn forget(&self) {
        self.principals.clear();
        self.slices.clear();
        self.decisions.clear();
    }

    /// May `principal` do `action` to `resource` of `resource_tenant`?
    pub fn decide(
        &self,
        principal: &PrincipalFacts,
        action: Action,
        resource: &Resource,
        resource_tenant: TenantId,
        context: &RequestContext,
    ) -> Decision {
        Decision::clone(&self.consult(principal, action, resource, resource_tenant, context))
    }

    /// [`Authority::decide`] without copying the answer.
    pub(crate) fn consult(
        &self,
        principal: &PrincipalFacts,
        action: Action,
        resource: &Resource,
        tenant: TenantId,
        context: &RequestContext,
    ) -> Arc<Decision> {
        let known = match self.admit(principal, action, resource, tenant) {
            Ok(known) => known,
            Err(fault) => return Arc::new(Decision::fault(fault)),
        };
        let key = self.hasher.hash_one((
            known.serial,
            action,
            tenant,
            (resource.kind, &resource.id, &resource.parents, &resource.tags),
        ));
        let is_same = |entry: &Arc<Remembered>| entry.answers(known.serial, action, tenant, resource);
        if let Some(entry) = self.decisions.find(&key, is_same) {
            return entry.decision.clone();
        }

        let Some(subject) = entities::resource(resource, tenant, principal) else {
            return Arc::new(Decision::fault("the resource's attributes cannot be evaluated"));
        };
        let asked = Asked { principal: &known.subject, action, resource: &subject };
        let Some(slice) = self.slice(&known, &asked) else {
            return Arc::new(Decision::fault("the policy set cannot be built"));
        };
        let decision = Arc::new(evaluate(&known, &subject, action, &slice, context));
        if slice.reads == Reads::NONE {
            let resource = resource.clone();
            let bytes = DECISION_BYTES + text_bytes(&resource);
            let entry = Remembered { serial: known.serial, action, tenant, resource, decision: decision.clone() };
            self.decisions.insert(key, Arc::new(entry), bytes);
        }
        decision
    }

    /// The same decision from the whole set of policies: no slicing, no caches. Slow; for explanations, and to check
    /// the other way against.
    pub fn decide_full(
        &self,
        principal: &PrincipalFacts,
        action: Action,
        resource: &Resource,
        resource_tenant: TenantId,
        context: &RequestContext,
    ) -> Explanation {
        let known = self.check(principal, action, resource, resource_tenant).and_then(|()| self.know(principal));
        let known = match known {
            Ok(known) => known,
            Err(fault) => return Explanation { decision: Decision::fault(fault), candidates: 0, total: 0 },
        };
        let Some(subject) = entities::resource(resource, resource_tenant, principal) else {
            let decision = Decision::fault("the resource's attributes cannot be evaluated");
            return Explanation { decision, candidates: 0, total: 0 };
        };
        let asked = Asked { principal: &known.subject, action, resource: &subject };
        let candidates = self.candidates(&known, &asked);
        let all = Candidates {
            statements: (0..self.statements.len()).filter(|at| self.applies_to(principal.kind, *at)).collect(),
            roles: (0..known.roles.len()).collect(),
        };
        let decision = match self.build(&known, &all) {
            Some(slice) => evaluate(&known, &subject, action, &slice, context),
            None => Decision::fault("the policy set cannot be built"),
        };
        Explanation {
            decision,
            candidates: candidates.statements.len() + candidates.roles.len(),
            total: all.statements.len() + all.roles.len(),
        }
    }

    /// Whether the question makes sense at all. What the schema says about well-formed requests is checked here,
    /// because requests are not validated against the schema one by one.
    fn check(
        &self,
        principal: &PrincipalFacts,
        action: Action,
        resource: &Resource,
        tenant: TenantId,
    ) -> Result<(), &'static str> {
        let is_operator = principal.kind == PrincipalKind::Operator;
        if is_operator != principal.tenant.is_platform() {
            return Err("an operator is in no tenant, and everybody else is in one");
        }
        if self.bound_to.is_some_and(|bound| bound != principal.tenant) {
            return Err("the principal is not of the tenant that this authority decides for");
        }
        if is_operator != (action.plane() == Plane::Platform) {
            return Err("the action is of the other plane");
        }
        if resource.kind != action.resource() {
            return Err("the action does not act on that kind of thing");
        }
        if tenant.is_platform() != (entities::plane_of(resource.kind) == Plane::Platform) {
            return Err("things of a tenant are in a tenant, and those of the platform are not");
        }
        if resource.kind == ResourceKind::Tenant && resource.id != entities::tenant_id(tenant) {
            return Err("a tenant is in no other tenant");
        }
        if entities::is_itself(principal, resource) && principal.tenant != tenant {
            return Err("one principal cannot be in two tenants");
        }
        Ok(())
    }

    /// [`Authority::check`], then the principal prepared, remembered from earlier requests.
    fn admit(
        &self,
        principal: &PrincipalFacts,
        action: Action,
        resource: &Resource,
        tenant: TenantId,
    ) -> Result<Arc<Known>, &'static str> {
        self.check(principal, action, resource, tenant)?;
        // Never by the id alone: what is remembered must be about these very facts.
        if let Some(known) = self.principals.find(principal.id.as_str(), |known| known.facts == *principal) {
            return Ok(known);
        }
        let known = self.know(principal)?;
        let labels: usize = principal.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        let bytes = PRINCIPAL_BYTES * (1 + known.roles.len()) + 4 * labels;
        self.principals.insert(principal.id.clone(), known.clone(), bytes.min(PRINCIPALS_BYTES_MAX));
        Ok(known)
    }

    fn know(&self, facts: &PrincipalFacts) -> Result<Arc<Known>, &'static str> {
        let subject = entities::principal(facts).ok_or("the principal's attributes cannot be evaluated")?;
        let entities = Entities::from_entities([subject.entity.clone()], None);
        let entities = entities.map_err(|_| "the principal cannot be in its own containers")?;
        let roles = roles::linked(facts, &subject.uid);
        let scopes = roles.iter().map(|role| Scope::of(role.policy())).collect();
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Known { serial, facts: facts.clone(), subject, entities, roles, scopes }))
    }

    /// INV-AUTHORITY-3: an operator is judged by what is above the tenants only.
    fn applies_to(&self, kind: PrincipalKind, statement: usize) -> bool {
        kind != PrincipalKind::Operator || statement < self.own_from
    }

    fn candidates(&self, known: &Known, asked: &Asked<'_>) -> Candidates {
        let scope_of = |at: usize| self.statements.get(at).map(|statement| &statement.scope);
        let mut statements = self.above.find(asked, scope_of);
        let own = self.own.find(asked, scope_of);
        statements.extend(own.into_iter().filter(|at| self.applies_to(known.facts.kind, *at)));
        let matching = known.scopes.iter().enumerate().filter(|(_, scope)| scope.matches(asked));
        Candidates { statements, roles: matching.map(|(at, _)| at).collect() }
    }

    fn slice(&self, known: &Known, asked: &Asked<'_>) -> Option<Arc<Slice>> {
        let key = (known.serial, self.candidates(known, asked));
        if let Some(slice) = self.slices.get(&key) {
            return Some(slice);
        }
        let slice = Arc::new(self.build(known, &key.1)?);
        let bytes = SLICE_BYTES * (1 + key.1.statements.len() + key.1.roles.len());
        // Too heavy for that, it would be built again for each request.
        self.slices.insert(key, slice.clone(), bytes.min(SLICES_BYTES_MAX));
        Some(slice)
    }

    /// `None` if two policies have one id. Names are unique, so this is a bug, and then nothing is allowed.
    fn build(&self, known: &Known, candidates: &Candidates) -> Option<Slice> {
        let mut slice = Slice { policies: PolicySet::new(), reads: Reads::NONE, depth: 0 };
        for at in &candidates.statements {
            let statement = self.statements.get(*at)?;
            slice.reads = slice.reads.and(statement.reads);
            slice.depth = slice.depth.max(statement.depth);
            slice.policies.add(statement.policy.clone()).ok()?;
        }
        for at in &candidates.roles {
            // No shipped role reads the context or is deep; a test says so.
            known.roles.get(*at)?.add_to(&mut slice.policies)?;
        }
        Some(slice)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statements = self.statements.len();
        f.debug_struct("Authority")
            .field("bound_to", &self.bound_to)
            .field("statements", &statements)
            .finish_non_exhaustive()
    }
}

/// The bytes of what a resource is called.
fn text_bytes(resource: &Resource) -> usize {
    let parents = resource.parents.iter().map(|(_, id)| id.len());
    let tags = resource.tags.iter().map(|(name, value)| name.len() + value.len());
    resource.id.len() + parents.chain(tags).map(|bytes| bytes + 2 * size_of::<String>()).sum::<usize>()
}

fn evaluate(known: &Known, resource: &Subject, action: Action, slice: &Slice, context: &RequestContext) -> Decision {
    let Some((action_uid, action_entity)) = entities::action(action) else {
        return Decision::fault("the action is not in the table");
    };
    let Some(context) = entities::context(context, slice.reads) else {
        return Decision::fault("the request's context cannot be evaluated");
    };
    // A principal that acts on itself is one entity, and the resource's form of it says everything.
    let known_entities = if known.subject.uid == resource.uid { Entities::empty() } else { known.entities.clone() };
    let Ok(all) = known_entities.add_entities([resource.entity.clone(), action_entity.clone()], None) else {
        return Decision::fault("the containers of the resource form a circle");
    };
    let Ok(request) = Request::new(known.subject.uid.clone(), action_uid.clone(), resource.uid.clone(), context, None)
    else {
        return Decision::fault("the request cannot be evaluated");
    };

    let response =
        shape::with_room_for(slice.depth, || Authorizer::new().is_authorized(&request, &slice.policies, &all));
    let mut errors: Vec<String> = response.diagnostics().errors().map(ToString::to_string).collect();
    errors.sort_unstable();
    let is_allow = response.decision() == cedar_policy::Decision::Allow;
    // Cedar skips a policy that fails to evaluate. Skipping a forbid would allow what it was written against.
    let allowed = is_allow && errors.is_empty();
    let mut determining: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    determining.sort_unstable();
    if is_allow && !allowed {
        determining.clear();
    }
    Decision { allowed, determining, errors }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remembered_decision_answers_the_very_same_question_and_no_other() {
        let [one, other] = [[1; 16], [2; 16]].map(TenantId::from_bytes);
        let secret = Resource::plain(ResourceKind::Secret, "secret/app/db");
        let entry = Remembered {
            serial: 7,
            action: Action::SecretReveal,
            tenant: one,
            resource: secret.clone(),
            decision: Arc::new(Decision { allowed: true, determining: Vec::new(), errors: Vec::new() }),
        };
        // As if all of these had one hash.
        assert!(entry.answers(7, Action::SecretReveal, one, &secret));
        assert!(!entry.answers(8, Action::SecretReveal, one, &secret));
        assert!(!entry.answers(7, Action::SecretPurge, one, &secret));
        assert!(!entry.answers(7, Action::SecretReveal, other, &secret));
        assert!(!entry.answers(7, Action::SecretReveal, one, &Resource::plain(ResourceKind::Secret, "secret/app/d")));
        let tagged = Resource { tags: vec![("team".to_owned(), "a".to_owned())], ..secret };
        assert!(!entry.answers(7, Action::SecretReveal, one, &tagged));
    }
}
