//! What the app knows about a principal.
//!
//! These are facts, loaded from storage: data, not evidence. Anyone may build them, and nobody gets anywhere with
//! them alone; only [`authenticate`](crate::authenticate()) turns them into a [`Verified`](crate::Verified), and only
//! together with a proven secret.

use bailiwick_types::{PolicyName, ResourceKind, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

/// What sort of principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// A person of the tenant.
    Member,
    /// A program of the tenant.
    Service,
    /// A program of the tenant that decides for itself what to do next.
    Agent,
    /// A person who runs the installation; in no tenant.
    Operator,
}

impl PrincipalKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[Self::Member, Self::Service, Self::Agent, Self::Operator];

    /// The stable name, as in the API and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Service => "service",
            Self::Agent => "agent",
            Self::Operator => "operator",
        }
    }

    /// The Cedar entity type.
    pub const fn cedar_type(self) -> &'static str {
        match self {
            Self::Member => "Member",
            Self::Service => "ServiceAccount",
            Self::Agent => "Agent",
            Self::Operator => "Operator",
        }
    }
}

/// Facts about a principal as the app loaded them. Shared as an `Arc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalFacts {
    /// The tenant that it belongs to; [`TenantId::PLATFORM`] for an operator.
    pub tenant: TenantId,
    /// What sort of principal.
    pub kind: PrincipalKind,
    /// Its id: `mem_…`, `acc_…` or `opr_…`.
    pub id: String,
    /// Its name, for people and for policies.
    pub name: String,
    /// Whether somebody switched it off.
    pub is_disabled: bool,
    /// The moment from which it is dead, if it was given one.
    pub expires: Option<Timestamp>,
    /// Labels: Cedar tags.
    pub labels: Vec<(String, String)>,
    /// The roles that it was given.
    pub roles: Vec<RoleLink>,
}

/// A role given to a principal, on a thing and everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleLink {
    /// The binding's id, or `member-role` for the role on the member's own record.
    pub id: String,
    /// Which role.
    pub role: PolicyName,
    /// On what: `(Tenant, "ten_…")`, `(Mount, "secret")`, `(Folder, "secret/app")`, `(Secret, "secret/app/db")`,
    /// `(Platform, "platform")`.
    pub on: (ResourceKind, String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_wherever_it_is_written() {
        let names = PrincipalKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["member", "service", "agent", "operator"]);
        for kind in PrincipalKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
