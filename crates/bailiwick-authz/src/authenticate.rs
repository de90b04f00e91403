//! From a claim to evidence: the first rung.
//!
//! # Invariants
//! - INV-AUTHN-1: the credential's text, its stored facts and its principal's facts name the same tenant, or nothing
//!   comes out.
//! - INV-AUTHN-2: every check runs, whatever the earlier ones said, so the work done does not tell which one failed.
//! - INV-AUTHN-3: the state of a credential is told only to whoever proved its secret. Everyone else hears that it is
//!   not valid, which is what a credential that never existed gets as well.
//!
//! # Deliberately absent
//! No lookup: the app loads the facts. No clock: the caller brings `now`. No way to get a [`Verified`] but this one.
//!
//! ```compile_fail,E0451
//! # use bailiwick_authz::*;
//! # fn forge(principal: std::sync::Arc<PrincipalFacts>, credential: bailiwick_types::CredentialId,
//! #          at: bailiwick_types::Timestamp) -> Verified {
//! Verified { principal, credential, at, source: None } // the fields are private
//! # }
//! ```
//! ```compile_fail,E0277
//! # fn copy(verified: &bailiwick_authz::Verified) -> bailiwick_authz::Verified {
//! Clone::clone(verified)
//! # }
//! ```
//! ```compile_fail,E0277
//! # fn parse(text: &str) -> bailiwick_authz::Verified {
//! serde_json::from_str(text).unwrap()
//! # }
//! ```

use std::net::IpAddr;
use std::sync::Arc;

use bailiwick_types::{Code, CredentialId, CredentialText, RequestId, TenantId, Timestamp};
use ipnet::IpNet;

use crate::principal::{PrincipalFacts, PrincipalKind};
use crate::scope::{OperatorScope, TenantScope, WrongPlane};

/// Facts about a credential as the app loaded them: data, not evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFacts {
    /// The tenant that it belongs to; [`TenantId::PLATFORM`] for an operator's.
    pub tenant: TenantId,
    /// Its id.
    pub id: CredentialId,
    /// The id of the principal that it stands for.
    pub principal: String,
    /// The moment from which it is dead, if it was given one.
    pub expires: Option<Timestamp>,
    /// The moment from which it is revoked. May be in the future: after a rotation the old key lives on for an
    /// overlap.
    pub revoked: Option<Timestamp>,
    /// The networks that it may be used from; empty means anywhere.
    pub networks: Vec<IpNet>,
}

/// Compares a presented secret with what is stored of it.
pub trait SecretVerifier {
    /// Whether `secret` is the secret of credential `id`. Must take the same time whatever the answer.
    fn verify(&self, id: CredentialId, secret: &[u8; 32]) -> bool;
}

/// Why a credential was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthenticationError {
    /// It is not one of ours, or its secret is not the right one.
    #[error("the credential is not valid")]
    Invalid,
    /// It was revoked.
    #[error("the credential was revoked")]
    Revoked,
    /// It has expired.
    #[error("the credential has expired")]
    Expired,
    /// Its principal is disabled or has expired.
    #[error("the credential's owner is disabled or has expired")]
    PrincipalDisabled,
    /// It may not be used from there.
    #[error("the credential may not be used from this network")]
    SourceNotAllowed,
}

impl AuthenticationError {
    /// The stable code.
    pub const fn code(self) -> Code {
        match self {
            Self::Invalid => Code::CredentialInvalid,
            Self::Revoked => Code::CredentialRevoked,
            Self::Expired => Code::CredentialExpired,
            Self::PrincipalDisabled => Code::PrincipalDisabled,
            Self::SourceNotAllowed => Code::SourceNotAllowed,
        }
    }
}

/// A credential was verified in this process. Becomes a scope by [`Verified::into_tenant_scope`] or
/// [`Verified::into_operator_scope`].
#[derive(Debug)]
#[must_use = "evidence that nobody uses is an authentication whose answer was ignored"]
pub struct Verified {
    principal: Arc<PrincipalFacts>,
    credential: CredentialId,
    at: Timestamp,
    source: Option<IpAddr>,
}

/// Verifies a presented credential against what is stored of it and of its principal.
///
/// `source` is the address that the request came from, if the door knows it; a credential that is bound to networks
/// is refused without it.
///
/// # Errors
/// [`AuthenticationError`]; anything but [`Invalid`](AuthenticationError::Invalid) only if the secret was proven.
pub fn authenticate(
    presented: &CredentialText,
    credential: &CredentialFacts,
    principal: Arc<PrincipalFacts>,
    verifier: &dyn SecretVerifier,
    now: Timestamp,
    source: Option<IpAddr>,
) -> Result<Verified, AuthenticationError> {
    let is_same_tenant = credential.tenant == presented.claimed_tenant() && principal.tenant == credential.tenant;
    let is_same_credential = credential.id == presented.id();
    let is_same_principal = credential.principal == principal.id;
    let is_on_its_plane = credential.tenant.is_platform() == (principal.kind == PrincipalKind::Operator);
    let is_secret_right = verifier.verify(presented.id(), presented.secret().expose());

    let has_come = |moment: Option<Timestamp>| moment.is_some_and(|moment| moment <= now);
    let is_revoked = has_come(credential.revoked);
    let is_expired = has_come(credential.expires);
    let is_principal_dead = principal.is_disabled | has_come(principal.expires);
    let is_source_allowed = is_allowed_from(&credential.networks, source);

    // `&` and `|`, not `&&` and `||`: nothing above is skipped and nothing here leaves early.
    let is_proven = is_same_tenant & is_same_credential & is_same_principal & is_on_its_plane & is_secret_right;
    match (is_proven, is_revoked, is_expired, is_principal_dead, is_source_allowed) {
        (false, ..) => Err(AuthenticationError::Invalid),
        (_, true, ..) => Err(AuthenticationError::Revoked),
        (_, _, true, ..) => Err(AuthenticationError::Expired),
        (_, _, _, true, _) => Err(AuthenticationError::PrincipalDisabled),
        (.., false) => Err(AuthenticationError::SourceNotAllowed),
        (true, false, false, false, true) => Ok(Verified { principal, credential: credential.id, at: now, source }),
    }
}

/// Whether `source` is in one of the networks. No networks: anywhere. Networks but no source: nowhere.
fn is_allowed_from(networks: &[IpNet], source: Option<IpAddr>) -> bool {
    if networks.is_empty() {
        return true;
    }
    // A dual-stack listener sees an IPv4 client as `::ffff:a.b.c.d`, and a network can be written that way as well. Both
    // spellings name the same hosts, so neither may decide; and `::/0` is not every IPv4 host.
    let Some(source) = source.map(|source| source.to_canonical()) else { return false };
    networks.iter().any(|network| match (network, source) {
        (IpNet::V6(mapped), IpAddr::V4(source)) if mapped.prefix_len() >= 96 => {
            mapped.contains(&source.to_ipv6_mapped())
        }
        _ => network.contains(&source),
    })
}

impl Verified {
    /// The tenant whose credential it was; [`TenantId::PLATFORM`] for an operator's.
    pub fn tenant(&self) -> TenantId {
        self.principal.tenant
    }
    /// Whose credential it was.
    pub fn principal(&self) -> &PrincipalFacts {
        &self.principal
    }
    /// Which credential it was.
    pub fn credential(&self) -> CredentialId {
        self.credential
    }
    /// When it was verified.
    pub fn at(&self) -> Timestamp {
        self.at
    }
    /// Where it came from, if the door knows.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// The scope of the credential's tenant. `epoch` is the tenant's epoch that the facts were loaded under.
    ///
    /// # Errors
    /// [`WrongPlane`] for an operator's credential.
    pub fn into_tenant_scope(self, epoch: u64, request: RequestId) -> Result<TenantScope, WrongPlane> {
        TenantScope::after(self, epoch, request)
    }

    /// The scope of the operator. `epoch` is the platform's epoch that the facts were loaded under.
    ///
    /// # Errors
    /// [`WrongPlane`] for a tenant's credential.
    pub fn into_operator_scope(self, epoch: u64, request: RequestId) -> Result<OperatorScope, WrongPlane> {
        OperatorScope::after(self, epoch, request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`authenticate`] never makes: scopes are a fence of their own.
    #[test]
    fn neither_scope_takes_a_principal_that_is_half_of_its_plane() {
        let request = RequestId::from_bytes([9; 16]);
        let tenant = TenantId::from_bytes([7; 16]);
        let verified = |tenant, kind| Verified {
            principal: Arc::new(PrincipalFacts {
                tenant,
                kind,
                id: "someone".to_owned(),
                name: "someone".to_owned(),
                is_disabled: false,
                expires: None,
                labels: Vec::new(),
                roles: Vec::new(),
            }),
            credential: CredentialId::from_bytes([7; 16]),
            at: Timestamp::from_unix_ms(0),
            source: None,
        };
        for (tenant, kind) in [(tenant, PrincipalKind::Operator), (TenantId::PLATFORM, PrincipalKind::Member)] {
            assert_eq!(verified(tenant, kind).into_tenant_scope(1, request).unwrap_err(), WrongPlane);
            assert_eq!(verified(tenant, kind).into_operator_scope(1, request).unwrap_err(), WrongPlane);
        }
    }
}
