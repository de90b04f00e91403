//! Error classes and stable error codes: one table from which status, exit code and log level follow.

use std::fmt;

/// What sort of failure it is. Each class has one meaning for the caller: what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The request must change.
    Invalid,
    /// No valid credential.
    Unauthenticated,
    /// The credential is good and the answer is no.
    Denied,
    /// It is not there, or not the caller's: the two are one.
    Absent,
    /// It is there already, or has changed meanwhile.
    Conflict,
    /// A limit of the caller's tenant was hit.
    Limited,
    /// The tenant or the installation is sealed.
    Sealed,
    /// State kept changing while the request was decided; try again.
    Stale,
    /// The server cannot do it now, or not for this tenant; try again.
    Busy,
    /// Our fault. Shows a request id and nothing else.
    Fault,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: &'static [Self] = &[
        Self::Invalid,
        Self::Unauthenticated,
        Self::Denied,
        Self::Absent,
        Self::Conflict,
        Self::Limited,
        Self::Sealed,
        Self::Stale,
        Self::Busy,
        Self::Fault,
    ];

    /// The CLI's exit code. 0 is success, 1 is left to panics and the shell, 2 is a usage error.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Invalid => 2,
            Self::Unauthenticated => 3,
            Self::Denied => 4,
            Self::Absent => 5,
            Self::Conflict => 6,
            Self::Limited => 7,
            Self::Sealed => 8,
            Self::Stale | Self::Busy => 9,
            Self::Fault => 10,
        }
    }

    /// The name in the ledger's `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Unauthenticated => "unauthenticated",
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Conflict => "conflict",
            Self::Limited => "limited",
            Self::Sealed => "sealed",
            Self::Stale => "stale",
            Self::Busy => "busy",
            Self::Fault => "fault",
        }
    }
}

macro_rules! codes {
    ($($name:ident = $text:literal, $class:ident, $status:literal, $title:literal, $hint:literal;)+) => {
        /// A stable error code: what scripts may match on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $title] $name),+ }

        impl Code {
            /// The whole table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];
            /// The stable text.
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $text),+ } }
            /// The class.
            pub const fn class(self) -> ErrorClass { match self { $(Self::$name => ErrorClass::$class),+ } }
            /// The HTTP status of the native API.
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status),+ } }
            /// One line for people (RFC 9457 `title`).
            pub const fn title(self) -> &'static str { match self { $(Self::$name => $title),+ } }
            /// What to do about it.
            pub const fn hint(self) -> &'static str { match self { $(Self::$name => $hint),+ } }
            /// The code with this text.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }
        }
    };
}

codes! {
    InvalidRequest = "invalid_request", Invalid, 400, "the request is not valid", "the detail says which part";
    InvalidJson = "invalid_json", Invalid, 400, "the body is not the JSON that this route takes", "see the route's schema in /api/v1/openapi.json";
    DuplicateMember = "duplicate_member", Invalid, 400, "a JSON object names a member twice", "send each member once";
    UnknownField = "unknown_field", Invalid, 400, "the body has a member that this route does not know", "see the route's schema in /api/v1/openapi.json";
    NestingTooDeep = "nesting_too_deep", Invalid, 400, "the JSON is nested too deeply", "at most 64 levels";
    UnknownParameter = "unknown_parameter", Invalid, 400, "the query has a parameter that this route does not know", "see the route's parameters in /api/v1/openapi.json";
    InvalidPath = "invalid_path", Invalid, 400, "the path is not valid", "no empty segments, `.`, `..`, encoded slashes, control characters; at most 1,024 bytes; Unicode NFC";
    InvalidName = "invalid_name", Invalid, 400, "the name is not valid", "the detail says what is allowed";
    InvalidCursor = "invalid_cursor", Invalid, 400, "the page cursor is not one of this query", "cursors hold for one tenant, caller and query; start again without one";
    InvalidPolicy = "invalid_policy", Invalid, 400, "the policy does not parse or does not fit the schema", "the errors say where; `bailiwick policy schema` prints the schema";
    InvalidReference = "invalid_reference", Invalid, 400, "the request refers to something that does not exist in this tenant", "the detail says which";
    BodyTooLarge = "body_too_large", Invalid, 413, "the body is larger than the limit", "see `bailiwick limits`";
    UriTooLong = "uri_too_long", Invalid, 414, "the request target is longer than the limit", "at most 8 KiB";
    BundleRefused = "bundle_refused", Invalid, 400, "the bundle does not hold, or is not for this installation", "the detail says what; `bailiwick verify` checks a bundle offline";
    UnsupportedMediaType = "unsupported_media_type", Invalid, 415, "the content type is not one that this route takes", "send application/json";
    MethodNotAllowed = "method_not_allowed", Invalid, 405, "this path does not take that method", "the Allow header lists those that it takes";
    Unauthenticated = "unauthenticated", Unauthenticated, 401, "no credential was presented", "send `Authorization: Bearer <credential>`";
    CredentialMalformed = "credential_malformed", Unauthenticated, 401, "the credential is malformed", "a credential starts with `bwk_` or `bwo_`";
    CredentialChecksum = "credential_checksum", Unauthenticated, 401, "the credential's checksum does not match", "it was cut off or mistyped";
    CredentialInvalid = "credential_invalid", Unauthenticated, 401, "the credential is not valid", "it was never issued here, or is gone";
    CredentialExpired = "credential_expired", Unauthenticated, 401, "the credential has expired", "ask for a new one";
    CredentialRevoked = "credential_revoked", Unauthenticated, 401, "the credential was revoked", "ask for a new one";
    PrincipalDisabled = "principal_disabled", Unauthenticated, 401, "the credential's owner is disabled or has expired", "ask your tenant's administrators";
    SourceNotAllowed = "source_not_allowed", Unauthenticated, 401, "the credential may not be used from this network", "ask your tenant's administrators";
    PermissionDenied = "permission_denied", Denied, 403, "permission denied", "`bailiwick policy check` explains decisions to those who may ask";
    TenantSuspended = "tenant_suspended", Denied, 403, "the tenant is suspended", "ask the operator of this installation";
    NotFound = "not_found", Absent, 404, "not found", "";
    MountNotFound = "mount_not_found", Absent, 404, "nothing is mounted there", "`bailiwick mount list` shows what is";
    VersionNotFound = "version_not_found", Absent, 404, "the secret has no such version, or it was deleted or destroyed", "`bailiwick secret metadata get` shows the versions";
    RouteNotFound = "route_not_found", Absent, 404, "no such route", "see /api/v1/openapi.json";
    AlreadyExists = "already_exists", Conflict, 409, "that name is taken", "names are never reused where the detail says so";
    CasConflict = "cas_conflict", Conflict, 409, "the check-and-set parameter did not match the current version", "read the current version and try again";
    CasRequired = "cas_required", Invalid, 400, "check-and-set parameter required for this call", "send `cas` with the current version";
    StillInUse = "still_in_use", Conflict, 409, "something still depends on it", "the detail says what";
    WrongState = "wrong_state", Conflict, 409, "the thing is in a state that does not allow this", "the detail says which";
    ProofRefuted = "proof_refuted", Conflict, 409, "the change would break what must hold for every request", "`refuted` shows such a request; `bailiwick policy diff` shows what a change does";
    ProofRequired = "proof_required", Conflict, 409, "the change is not proved, and this installation takes none that is not", "the detail says why; the operator can look at [prove] in the configuration";
    PreconditionFailed = "precondition_failed", Conflict, 412, "it has changed since you read it", "read it again and repeat with the new ETag";
    IdempotencyMismatch = "idempotency_mismatch", Conflict, 422, "this Idempotency-Key was used for another request", "use a new key for a new request";
    LimitExceeded = "limit_exceeded", Limited, 429, "the tenant has reached a limit", "remove something, or ask the operator for a higher quota";
    RateLimited = "rate_limited", Limited, 429, "too many requests", "wait as long as Retry-After says";
    TenantSealed = "tenant_sealed", Sealed, 503, "the tenant is sealed", "an operator can unseal it: `bailiwick tenant unseal`";
    Sealed = "sealed", Sealed, 503, "the installation is sealed", "unseal it: `bailiwick unseal`";
    NotInitialized = "not_initialized", Sealed, 503, "the installation is not initialised", "initialise it: `bailiwick init`";
    Contention = "contention", Stale, 503, "the state kept changing while the request was decided", "try again";
    StorageUnavailable = "storage_unavailable", Busy, 503, "the storage did not confirm the request: it was not carried out, or perhaps just now", "try again with the same Idempotency-Key; the operator should look at the storage";
    Overloaded = "overloaded", Busy, 429, "too many requests wait for their turn", "wait as long as Retry-After says; send fewer at a time";
    Internal = "internal", Fault, 500, "internal error", "tell the operator the request id";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_statuses_fit_classes() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()));
            assert_eq!(Code::from_text(code.as_str()), Some(*code));
            let is_server =
                matches!(code.class(), ErrorClass::Sealed | ErrorClass::Stale | ErrorClass::Busy | ErrorClass::Fault);
            // The one that is both: the server cannot do it now, because of what the caller's own tenant asks for.
            assert_eq!(code.status() >= 500, is_server && *code != Code::Overloaded, "{code}");
        }
    }
}
