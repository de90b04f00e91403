//! The last rung before contents: policy said yes.
//!
//! # Invariants
//! - INV-PERMIT-1: a [`Permit<A>`] exists only because the policy allowed action `A` on exactly that resource.
//! - INV-PERMIT-2: it names the tenant of the scope that asked; whoever spends it compares.
//! - INV-PERMIT-3: it is spent by value, once.
//!
//! # Deliberately absent
//! No `Clone`, no constructor, no conversion between permits of different actions.
//!
//! ```compile_fail,E0451
//! # use bailiwick_authz::*; use bailiwick_types::*; use std::sync::Arc;
//! # fn forge(tenant: TenantId, resource: Resource, decision: Arc<Decision>) -> Permit<action::act::SecretReveal> {
//! Permit { tenant, epoch: 0, resource, decision, action: std::marker::PhantomData } // the fields are private
//! # }
//! ```
//! ```compile_fail,E0277
//! # use bailiwick_authz::*; use bailiwick_types::action::act::SecretReveal;
//! # fn spend_twice(permit: &Permit<SecretReveal>) -> Permit<SecretReveal> {
//! Clone::clone(permit)
//! # }
//! ```
//! ```compile_fail,E0308
//! # use bailiwick_authz::*; use bailiwick_types::action::act::{SecretDescribe, SecretReveal};
//! # fn stretch(permit: Permit<SecretDescribe>) -> Permit<SecretReveal> {
//! permit
//! # }
//! ```
//! ```compile_fail,E0277
//! # use bailiwick_authz::*; use bailiwick_types::action::act::SecretReveal;
//! # fn parse(text: &str) -> Permit<SecretReveal> {
//! serde_json::from_str(text).unwrap()
//! # }
//! ```
//! ```compile_fail,E0308
//! # use bailiwick_authz::*; use bailiwick_types::{Resource, action::act::SecretReveal};
//! # fn operators_do_not_reveal(authority: &Authority, scope: &OperatorScope, found: Resource, context: &RequestContext) {
//! let _ = authorize::<SecretReveal>(authority, scope, found, context);
//! # }
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bailiwick_types::{Action, ActionType, Plane, Resource, ResourceKind, TenantId};

use crate::authority::{Authority, Decision, RequestContext};
use crate::scope::{OperatorScope, TenantScope};

/// Policy said yes to this principal, this action and this resource.
#[must_use = "a permit that is never spent is a check whose answer was ignored"]
pub struct Permit<A: ActionType> {
    tenant: TenantId,
    epoch: u64,
    resource: Resource,
    decision: Arc<Decision>,
    action: PhantomData<fn() -> A>,
}

/// Policy said no. For the ledger; nothing of it is for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a refusal belongs in the ledger"]
pub struct Refusal {
    /// What was asked.
    pub action: Action,
    /// Of what.
    pub resource: Resource,
    /// Why not.
    pub decision: Arc<Decision>,
}

impl<A: ActionType> Permit<A> {
    /// On what.
    pub fn resource(&self) -> &Resource {
        &self.resource
    }
    /// Why.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
    /// In which tenant. For an operator: the tenant acted on, or [`TenantId::PLATFORM`].
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }
    /// Under which epoch of the scope it was given.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
    /// Which action.
    pub fn action(&self) -> Action {
        A::ACTION
    }
}

impl<A: ActionType> fmt::Debug for Permit<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("action", &A::ACTION)
            .field("tenant", &self.tenant)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

/// Asks the policy about an action inside the scope's own tenant.
///
/// # Errors
/// [`Refusal`] if the policy says no, or if the question does not fit the action table (which also panics where debug
/// assertions are on).
pub fn authorize<A: ActionType>(
    authority: &Authority,
    scope: &TenantScope,
    resource: Resource,
    context: &RequestContext,
) -> Result<Permit<A>, Refusal> {
    debug_assert_eq!(A::ACTION.plane(), Plane::Tenant, "{} is not an action of the tenant plane", A::ACTION);
    debug_assert_eq!(A::ACTION.resource(), resource.kind, "{} does not act on this kind of thing", A::ACTION);
    let tenant = scope.tenant();
    // "Its own credential" is a fact about this request, not about the world, so no policy could say it.
    let is_foreign_credential = A::ACTION == Action::SelfRevoke && resource.id != scope.credential().to_string();
    let decision = if is_foreign_credential {
        Arc::new(Decision::fault("self:revoke names another credential than the request's"))
    } else {
        authority.consult(scope.principal(), A::ACTION, &resource, tenant, context)
    };
    finish(tenant, scope.epoch(), resource, decision)
}

/// Asks the policy about an operator's action on the installation or on one tenant as a whole.
///
/// # Errors
/// As [`authorize`].
pub fn authorize_operator<A: ActionType>(
    authority: &Authority,
    scope: &OperatorScope,
    resource: Resource,
    context: &RequestContext,
) -> Result<Permit<A>, Refusal> {
    debug_assert_eq!(A::ACTION.plane(), Plane::Platform, "{} is not an action of the platform plane", A::ACTION);
    debug_assert_eq!(A::ACTION.resource(), resource.kind, "{} does not act on this kind of thing", A::ACTION);
    let tenant = match resource.kind {
        ResourceKind::Tenant => resource.id.parse().ok(),
        _ => Some(TenantId::PLATFORM),
    };
    let (tenant, decision) = match tenant {
        Some(tenant) => (tenant, authority.consult(scope.principal(), A::ACTION, &resource, tenant, context)),
        None => (TenantId::PLATFORM, Arc::new(Decision::fault("the resource names no tenant"))),
    };
    finish(tenant, scope.epoch(), resource, decision)
}

fn finish<A: ActionType>(
    tenant: TenantId,
    epoch: u64,
    resource: Resource,
    decision: Arc<Decision>,
) -> Result<Permit<A>, Refusal> {
    if decision.allowed {
        Ok(Permit { tenant, epoch, resource, decision, action: PhantomData })
    } else {
        Err(Refusal { action: A::ACTION, resource, decision })
    }
}
