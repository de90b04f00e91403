//! Who is asking, and on whose ground.
//!
//! # Invariants
//! - INV-SCOPE-1: a [`TenantScope`] exists only because this process verified a credential of that tenant.
//! - INV-SCOPE-2: it names one tenant and cannot be re-pointed.
//! - INV-SCOPE-3: an operator is in no tenant. [`OperatorScope`] is another type and has no `tenant()`.
//!
//! # Deliberately absent
//! No `From<TenantId>`, `Deserialize`, `Default`, `Clone` or setter. A tenant id is data that anyone can type; a scope
//! is evidence.
//!
//! ```compile_fail,E0451
//! # use bailiwick_authz::TenantScope;
//! # fn forge(verified: bailiwick_authz::Verified, request: bailiwick_types::RequestId) -> TenantScope {
//! TenantScope { verified, epoch: 1, request } // the fields are private
//! # }
//! ```
//! ```compile_fail,E0277
//! # fn copy(scope: &bailiwick_authz::TenantScope) -> bailiwick_authz::TenantScope {
//! Clone::clone(scope)
//! # }
//! ```
//! ```compile_fail,E0277
//! # fn parse(text: &str) -> bailiwick_authz::TenantScope {
//! serde_json::from_str(text).unwrap()
//! # }
//! ```
//! ```compile_fail,E0277
//! # fn claim(tenant: bailiwick_types::TenantId) -> bailiwick_authz::TenantScope {
//! tenant.into()
//! # }
//! ```
//! ```compile_fail,E0599
//! # fn absent() -> bailiwick_authz::TenantScope {
//! bailiwick_authz::TenantScope::default()
//! # }
//! ```
//! ```compile_fail,E0599
//! # fn operators_are_in_no_tenant(scope: &bailiwick_authz::OperatorScope) {
//! scope.tenant();
//! # }
//! ```
//! ```compile_fail,E0308
//! # fn other_ground(scope: bailiwick_authz::OperatorScope) -> bailiwick_authz::TenantScope {
//! scope
//! # }
//! ```

use std::net::IpAddr;

use bailiwick_types::{Code, CredentialId, RequestId, TenantId, Timestamp};

use crate::authenticate::Verified;
use crate::principal::{PrincipalFacts, PrincipalKind};

/// A credential of exactly one tenant was verified in this process, for this request.
#[derive(Debug)]
#[must_use = "a scope that nobody uses is an authentication whose answer was ignored"]
pub struct TenantScope {
    verified: Verified,
    epoch: u64,
    request: RequestId,
}

/// A credential of an operator was verified in this process, for this request. Names no tenant.
#[derive(Debug)]
#[must_use = "a scope that nobody uses is an authentication whose answer was ignored"]
pub struct OperatorScope {
    verified: Verified,
    epoch: u64,
    request: RequestId,
}

/// A good credential at the wrong plane: an operator's at a tenant's door, or a tenant's at the platform's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the credential belongs to the other plane")]
pub struct WrongPlane;

impl WrongPlane {
    /// The stable code.
    pub const fn code(self) -> Code {
        Code::PermissionDenied
    }
}

macro_rules! common {
    ($scope:ident) => {
        impl $scope {
            /// The epoch under which the credential and its principal were loaded. A commit under another epoch is
            /// refused, so nothing completes on evidence that was revoked meanwhile.
            pub fn epoch(&self) -> u64 {
                self.epoch
            }
            /// Who is asking.
            pub fn principal(&self) -> &PrincipalFacts {
                self.verified.principal()
            }
            /// With which credential.
            pub fn credential(&self) -> CredentialId {
                self.verified.credential()
            }
            /// In which request.
            pub fn request(&self) -> RequestId {
                self.request
            }
            /// From where, if the door knows.
            pub fn source(&self) -> Option<IpAddr> {
                self.verified.source()
            }
            /// When the credential was verified.
            pub fn authenticated_at(&self) -> Timestamp {
                self.verified.at()
            }
        }
    };
}
common!(TenantScope);
common!(OperatorScope);

impl TenantScope {
    /// The one tenant.
    pub fn tenant(&self) -> TenantId {
        self.verified.tenant()
    }

    /// The only constructor.
    pub(crate) fn after(verified: Verified, epoch: u64, request: RequestId) -> Result<Self, WrongPlane> {
        if verified.tenant().is_platform() || verified.principal().kind == PrincipalKind::Operator {
            return Err(WrongPlane);
        }
        Ok(Self { verified, epoch, request })
    }
}

impl OperatorScope {
    /// The only constructor.
    pub(crate) fn after(verified: Verified, epoch: u64, request: RequestId) -> Result<Self, WrongPlane> {
        if !verified.tenant().is_platform() || verified.principal().kind != PrincipalKind::Operator {
            return Err(WrongPlane);
        }
        Ok(Self { verified, epoch, request })
    }
}
