//! The platform plane: tenants as operators see them, operators, guardrails, the installation.

use bailiwick_types::api::bundle::{ImportedTenant, InstallationRecipient};
use bailiwick_types::api::identity::{Credential, IssueCredential, IssuedKey};
use bailiwick_types::api::isolation::IsolationStatus;
use bailiwick_types::api::platform::{
    CreateOperator, CreateTenant, CreatedTenant, Operator, PlatformHealth, Quotas, RotateRootKey, RotatedRootKey,
    SetQuotas, Tenant, UpdateOperator, UpdateTenant,
};
use bailiwick_types::api::policy::{CreatePolicy, Policy};
use bailiwick_types::api::tenant::{Reason, WhoAmI};
use bailiwick_types::api::{Done, Page};

use super::api;
use super::ledger::Ledger;
use super::policy::{Invariants, PolicyRoutes};
use crate::call::Call;
use crate::path::Path;

/// Which operator the caller is.
pub fn platform_whoami() -> Call<WhoAmI> {
    Call::get(api("/platform/whoami"))
}

/// The installation's health and totals.
pub fn health() -> Call<PlatformHealth> {
    Call::get(api("/platform/health"))
}

/// What the server found when it tried its own isolation.
pub fn isolation() -> Call<IsolationStatus> {
    Call::get(api("/platform/isolation"))
}

/// Asks for a whole round of probes at once; answers with what is known before it.
pub fn probe_isolation() -> Call<IsolationStatus> {
    Call::post(api("/platform/isolation:probe"))
}

/// Replaces the root key. Its answer may hold shares that are shown once.
pub fn rotate_root_key(body: &RotateRootKey) -> Call<RotatedRootKey> {
    Call::post(api("/platform/root-key/rotate")).json(body).at_most_once()
}

/// Seals the whole installation.
pub fn platform_seal(body: &Reason) -> Call<Done> {
    Call::post(api("/platform/seal")).json(body).at_most_once()
}

/// The platform's own ledger.
pub fn platform_ledger() -> Ledger {
    Ledger { base: api("/platform/ledger") }
}

/// All tenants.
pub fn tenants() -> Call<Page<Tenant>> {
    Call::get(api("/tenants"))
}

/// The tenants in one state.
pub fn tenants_in_state(state: &str) -> Call<Page<Tenant>> {
    tenants().query("state", state)
}

/// Creates a tenant and its first member.
pub fn create_tenant(body: &CreateTenant) -> Call<CreatedTenant> {
    Call::post(api("/tenants")).json(body)
}

/// Whom bundles for this installation are sealed to.
pub fn recipient() -> Call<InstallationRecipient> {
    Call::get(api("/platform/recipient"))
}

/// Imports a bundle, which is sent with [`crate::Client::upload`]. `key` is that of the installation that made it, if that
/// is another one.
pub fn import_tenant(key: Option<&str>, dry_run: bool) -> Call<ImportedTenant> {
    Call::post(api("/tenants:import"))
        .query_opt("key", key)
        .query_opt("dry_run", dry_run.then_some(true))
        .at_most_once()
}

/// One tenant as operators see it.
#[derive(Debug, Clone)]
pub struct TenantRoutes {
    path: Path,
}

impl TenantRoutes {
    pub(crate) fn new(id_or_slug: &str) -> Self {
        Self { path: api("/tenants").segment(id_or_slug) }
    }

    fn at(&self, rest: &'static str) -> Path {
        self.path.clone().then(rest)
    }

    /// Shows it.
    pub fn show(&self) -> Call<Tenant> {
        Call::get(self.path.clone())
    }

    /// Changes its display name.
    pub fn update(&self, body: &UpdateTenant) -> Call<Tenant> {
        Call::patch(self.path.clone()).json(body)
    }

    /// Deletes it after a hold period such as `7d`; the configured one if none is named.
    pub fn delete(&self, hold: Option<&str>) -> Call<Tenant> {
        Call::delete(self.path.clone()).query_opt("hold", hold)
    }

    /// Suspends it.
    pub fn suspend(&self, body: &Reason) -> Call<Tenant> {
        Call::post(self.at("/suspend")).json(body)
    }

    /// Resumes it, or cancels its deletion.
    pub fn resume(&self, body: &Reason) -> Call<Tenant> {
        Call::post(self.at("/resume")).json(body)
    }

    /// Seals it.
    pub fn seal(&self, body: &Reason) -> Call<Tenant> {
        Call::post(self.at("/seal")).json(body)
    }

    /// Unseals it.
    pub fn unseal(&self, body: &Reason) -> Call<Tenant> {
        Call::post(self.at("/unseal")).json(body)
    }

    /// Its quotas.
    pub fn quotas(&self) -> Call<Quotas> {
        Call::get(self.at("/quotas"))
    }

    /// Sets quotas; what is absent stays.
    pub fn set_quotas(&self, body: &SetQuotas) -> Call<Quotas> {
        Call::put(self.at("/quotas")).json(body)
    }
}

/// All guardrails.
pub fn guardrails() -> Call<Page<Policy>> {
    Call::get(api("/guardrails"))
}

/// Creates a guardrail; refused if the name is taken.
pub fn create_guardrail(body: &CreatePolicy) -> Call<Policy> {
    Call::post(api("/guardrails")).json(body)
}

/// The platform's invariants.
pub fn platform_invariants() -> Invariants {
    Invariants { path: api("/invariants"), check: api("/invariants:check") }
}

/// One guardrail.
pub fn guardrail(name: &str) -> PolicyRoutes {
    PolicyRoutes { path: api("/guardrails").segment(name) }
}

/// All operators.
pub fn operators() -> Call<Page<Operator>> {
    Call::get(api("/operators"))
}

/// Adds an operator.
pub fn create_operator(body: &CreateOperator) -> Call<Operator> {
    Call::post(api("/operators")).json(body)
}

/// One operator.
pub fn operator(id: &str) -> OperatorRoutes {
    OperatorRoutes { path: api("/operators").segment(id) }
}

/// The routes of one operator.
#[derive(Debug, Clone)]
pub struct OperatorRoutes {
    path: Path,
}

impl OperatorRoutes {
    /// Shows it.
    pub fn show(&self) -> Call<Operator> {
        Call::get(self.path.clone())
    }

    /// Changes its name or role, disables or enables it.
    pub fn update(&self, body: &UpdateOperator) -> Call<Operator> {
        Call::patch(self.path.clone()).json(body)
    }

    /// Deletes it and its credentials.
    pub fn delete(&self) -> Call<Done> {
        Call::delete(self.path.clone())
    }

    /// Its credentials.
    pub fn credentials(&self) -> Call<Page<Credential>> {
        Call::get(self.path.clone().then("/credentials"))
    }

    /// Issues one.
    pub fn issue_credential(&self, body: &IssueCredential) -> Call<IssuedKey> {
        Call::post(self.path.clone().then("/credentials")).json(body)
    }

    /// Revokes one.
    pub fn revoke_credential(&self, credential: &str) -> Call<Done> {
        Call::delete(self.path.clone().then("/credentials").segment(credential))
    }
}
