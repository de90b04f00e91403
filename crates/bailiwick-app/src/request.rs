//! What a door knows about a request before anybody has looked at it.

use std::net::IpAddr;

use bailiwick_types::{Code, RequestId, Secret};

/// A request as it arrived at a door. Data, not evidence.
pub struct RequestMeta {
    /// Its id, for the answer, the ledger and the log.
    pub id: RequestId,
    /// The client's address.
    pub source: Option<IpAddr>,
    /// Which door.
    pub door: Door,
    /// The credential that was presented.
    pub credential: Option<Secret<String>>,
    /// Every place that restates the tenant (path, header, namespace prefix), as sent.
    pub stated: Vec<String>,
    /// The `Idempotency-Key`, with what binds it to this very request (method, path and body).
    pub idempotency: Option<Idempotency>,
}

/// A door: which protocol the request speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The native API.
    Api,
    /// The Vault protocol.
    Vault,
}

impl Door {
    /// The name in the ledger and in policies' `context.door`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Vault => "vault",
        }
    }

    /// What a request for another tenant is answered with, whether or not that tenant exists.
    pub(crate) const fn foreign(self) -> Code {
        match self {
            Self::Api => Code::NotFound,
            Self::Vault => Code::PermissionDenied,
        }
    }
}

/// An `Idempotency-Key` and the request that it is for.
pub struct Idempotency {
    /// The key, as sent.
    pub key: String,
    /// Method, path, query and body, unambiguously joined.
    pub request: Secret<Vec<u8>>,
}
