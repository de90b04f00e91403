//! Every route of the native API, written down once: what is sent, and what it answers.
//!
//! A route makes a [`Call`]; [`crate::Client::send`] sends it.

mod identity;
mod installation;
mod ledger;
mod platform;
mod policy;
mod secrets;
mod tenant;

pub use installation::{healthz, init, readyz, seal_status, unseal};
pub use ledger::{EntryFilter, ExportFormat, Ledger};
pub use platform::{
    OperatorRoutes, TenantRoutes, create_guardrail, create_operator, create_tenant, guardrail, guardrails, health,
    import_tenant, isolation, operator, operators, platform_invariants, platform_ledger, platform_seal,
    platform_whoami, probe_isolation, recipient, rotate_root_key, tenants, tenants_in_state,
};
pub use policy::{Invariants, PolicyRoutes};
pub use tenant::Tenant;

use crate::path::Path;

pub(crate) const API: &str = "/api/v1";

/// The plane of one tenant, named by id or slug. The credential decides which tenant it is; this only restates it.
pub fn tenant(id_or_slug: &str) -> Tenant {
    Tenant { base: Path::fixed("/api/v1/t").segment(id_or_slug) }
}

/// One tenant as operators see it, by id or slug.
pub fn tenant_as_operator(id_or_slug: &str) -> TenantRoutes {
    TenantRoutes::new(id_or_slug)
}

fn api(rest: &'static str) -> Path {
    Path::fixed(API).then(rest)
}
