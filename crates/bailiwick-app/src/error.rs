//! What a use case can fail with.

use std::time::Duration;

use bailiwick_authz::AuthenticationError;
use bailiwick_seal::SealError;
use bailiwick_store::{CommitError, StoreError};
use bailiwick_types::api::policy::PolicyProblem;
use bailiwick_types::api::proof::Verdict;
use bailiwick_types::{Code, ErrorClass, Limit, NameError, TenantId};

/// A refusal or failure, ready to be shown: a stable code, and a detail where one may be told.
///
/// INV-ERROR-1: a detail never holds anything of another tenant, nor of this server's insides. What the operator must
/// know goes to the log, under the request's id.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}{}", .detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default())]
pub struct AppError {
    code: Code,
    detail: Option<String>,
    problems: Vec<PolicyProblem>,
    refuted: Vec<Verdict>,
    retry_after_ms: Option<u64>,
    retry: Option<Retry>,
}

/// Why the whole admission should run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// A plane's epoch has moved on; forget what is cached of it.
    Stale(TenantId),
    /// A record has changed between read and commit.
    Conflict,
}

impl AppError {
    /// An error that needs no detail.
    pub fn new(code: Code) -> Self {
        Self { code, detail: None, problems: Vec::new(), refuted: Vec::new(), retry_after_ms: None, retry: None }
    }

    /// An error with a detail for people.
    pub fn with_detail(code: Code, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..Self::new(code) }
    }

    /// Something that is not there, or not the caller's.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound)
    }

    /// Bad input.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::with_detail(Code::InvalidRequest, detail)
    }

    /// Our fault. `why` goes to the log, not to the caller.
    pub fn internal(why: impl std::fmt::Display) -> Self {
        tracing::error!(%why, "internal error");
        Self::new(Code::Internal)
    }

    /// Something is sealed under a key that is not known here. Our fault only if nobody has rotated keys meanwhile.
    pub(crate) fn behind(version: u32) -> Self {
        tracing::warn!(version, "sealed under a key version that is not known here (yet)");
        Self::new(Code::Internal)
    }

    /// A limit that would be exceeded.
    pub fn limit(limit: Limit, max: u64) -> Self {
        Self::with_detail(Code::LimitExceeded, format!("{limit} is limited to {max} {}", limit.unit()))
    }

    /// Too fast: try again after this long.
    pub(crate) fn rate_limited(retry_after_ms: u64) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new(Code::RateLimited) }
    }

    /// Too many wait already: try again once the refusal is there, and a while later.
    pub(crate) fn too_many_wait(most: usize, delay: Duration) -> Self {
        let detail = format!("{} is limited to {most} {}", Limit::QueuedRequests, Limit::QueuedRequests.unit());
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        Self { retry_after_ms: Some(delay_ms.max(1_000)), ..Self::overloaded(detail) }
    }

    /// There is no room for it now: try again in a second.
    pub fn overloaded(detail: impl Into<String>) -> Self {
        Self { retry_after_ms: Some(1_000), ..Self::with_detail(Code::Overloaded, detail) }
    }

    /// A policy text that is not accepted.
    pub(crate) fn invalid_policy(problems: Vec<PolicyProblem>) -> Self {
        Self { problems, ..Self::new(Code::InvalidPolicy) }
    }

    /// A change that would break something, with what.
    pub(crate) fn refuted(refuted: Vec<Verdict>) -> Self {
        let names: Vec<&str> = refuted.iter().map(|verdict| verdict.property.as_str()).collect();
        let detail = format!("it would break {}", names.join(", "));
        Self { refuted, ..Self::with_detail(Code::ProofRefuted, detail) }
    }

    pub(crate) fn retry(&self) -> Option<Retry> {
        self.retry
    }

    fn retrying(retry: Retry) -> Self {
        Self { retry: Some(retry), ..Self::new(Code::Contention) }
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The class that decides status, exit code and log level.
    pub fn class(&self) -> ErrorClass {
        self.code.class()
    }

    /// What exactly is wrong.
    pub fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Errors in a policy text.
    pub fn problems(&self) -> &[PolicyProblem] {
        &self.problems
    }

    /// What a change of policies would break.
    pub fn refutations(&self) -> &[Verdict] {
        &self.refuted
    }

    /// How long to wait before trying again.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => {
                tracing::warn!(%why, "storage unavailable");
                Self::new(Code::StorageUnavailable)
            }
            StoreError::Damaged(why) => Self::internal(format_args!("stored data is damaged: {why}")),
        }
    }
}

impl From<CommitError> for AppError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Stale { tenant } => Self::retrying(Retry::Stale(tenant)),
            CommitError::Conflict { .. } | CommitError::Outdated { .. } => Self::retrying(Retry::Conflict),
            CommitError::Full { space, max } => match crate::records::limit_of(space) {
                Some(limit) => Self::limit(limit, max),
                None => Self::internal("a space without a limit is full"),
            },
            CommitError::SlugTaken => {
                Self::with_detail(Code::AlreadyExists, "the slug is, or was, another tenant's; slugs are never reused")
            }
            CommitError::TenantExists => Self::retrying(Retry::Conflict),
            CommitError::NoSuchTenant => Self::not_found(),
            CommitError::Unavailable(why) => StoreError::Unavailable(why).into(),
            CommitError::Damaged(why) => StoreError::Damaged(why).into(),
        }
    }
}

impl From<SealError> for AppError {
    /// What was sealed here and does not open is damage, or somebody edited the database: never an answer.
    fn from(error: SealError) -> Self {
        Self::internal(error)
    }
}

impl From<AuthenticationError> for AppError {
    fn from(error: AuthenticationError) -> Self {
        Self::new(error.code())
    }
}

impl From<NameError> for AppError {
    fn from(error: NameError) -> Self {
        let code = match error {
            NameError::Segment | NameError::Control | NameError::NotNormalized => Code::InvalidPath,
            NameError::Empty { what: "path" } | NameError::TooLong { what: "path", .. } => Code::InvalidPath,
            _ => Code::InvalidName,
        };
        Self::with_detail(code, error.to_string())
    }
}

/// Two tenants have met where that must be impossible. The request fails closed; under test the process does.
macro_rules! isolation_fault {
    ($($why:tt)+) => {{
        tracing::error!(target: "bailiwick::isolation", $($why)+);
        debug_assert!(false, $($why)+);
        $crate::AppError::new(bailiwick_types::Code::Internal)
    }};
}
pub(crate) use isolation_fault;
