//! `sys`: whether the installation is initialised and unsealed, and the way there.
//!
//! # Deliberately absent
//! The installation's id, size, storage engine or state of any tenant: these rows are open to everybody.

use bailiwick_app::{AppError, installation};
use bailiwick_types::api::platform::SealStatus;
use bailiwick_types::api::tenant::Reason;
use http::StatusCode;
use serde::Serialize;

use super::{PRODUCT_VERSION, envelope, init};
use crate::call::Call;
use crate::reply::Reply;
use crate::route::{Access, Route};

pub(super) fn routes() -> Vec<Route> {
    let open = |method, path, why, summary, handler: super::Handler| {
        Route::new(method, path, Access::Open(why), summary, move |call| handler(call))
    };
    let status = "tells only whether the installation is sealed, as readiness does";
    let share = "the share or passphrase is the credential";
    let first = "works once, before there is anybody who could be asked for a credential";
    vec![
        open("GET", "/v1/sys/health", status, "health by status code", |call| Box::pin(health(call))),
        open("HEAD", "/v1/sys/health", status, "health by status code", |call| Box::pin(health(call))),
        open("GET", "/v1/sys/seal-status", status, "whether it is sealed", |call| Box::pin(seal_status(call))),
        open("GET", "/v1/sys/leader", status, "whether there are several nodes", |call| Box::pin(leader(call))),
        open("GET", "/v1/sys/init", status, "whether it is initialised", |call| Box::pin(init::show(call))),
        open("POST", "/v1/sys/init", first, "initialise", |call| Box::pin(init::initialize(call))),
        open("POST", "/v1/sys/unseal", share, "give a share", |call| Box::pin(init::unseal(call))),
        Route::new(
            "POST",
            "/v1/sys/seal",
            Access::Action(<<installation::SealInstallation as bailiwick_app::PlatformUseCase>::Action as bailiwick_types::ActionType>::ACTION),
            "seal the installation",
            |call| Box::pin(seal(call)),
        ),
    ]
}

#[derive(Serialize)]
struct Health {
    initialized: bool,
    sealed: bool,
    standby: bool,
    replication_performance_mode: &'static str,
    replication_dr_mode: &'static str,
    server_time_utc: i64,
    version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<&'static str>,
}

/// Every installation has the same: who it really is, is nobody's business who has no credential.
const CLUSTER_NAME: &str = "bailiwick";
const CLUSTER_ID: &str = "00000000-0000-0000-0000-000000000000";

async fn health(call: Call) -> Result<Reply, AppError> {
    let status = call.app().seal_status().await?;
    let code = |name: &str, usual: u16| match call.query(name) {
        None => Ok(usual),
        // Vault's answer to a code that is none has no text.
        Some(text) => text.parse().ok().filter(|code| (200..600).contains(code)).ok_or_else(|| AppError::invalid("")),
    };
    let active = code("activecode", 200)?;
    code("standbycode", 429)?;
    let (sealed, uninitialized) = (code("sealedcode", 503)?, code("uninitcode", 501)?);
    let chosen = match (status.is_initialized, status.is_sealed) {
        (false, _) => uninitialized,
        (true, true) => sealed,
        (true, false) => active,
    };
    let mode = if status.is_sealed { "unknown" } else { "disabled" };
    let body = envelope::plain(&Health {
        initialized: status.is_initialized,
        sealed: status.is_sealed,
        standby: status.is_sealed,
        replication_performance_mode: mode,
        replication_dr_mode: mode,
        server_time_utc: call.app().now().unix_seconds(),
        version: PRODUCT_VERSION,
        cluster_name: (!status.is_sealed).then_some(CLUSTER_NAME),
        cluster_id: (!status.is_sealed).then_some(CLUSTER_ID),
    })?;
    Ok(body.status(StatusCode::from_u16(chosen).map_err(AppError::internal)?))
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    initialized: bool,
    sealed: bool,
    t: u8,
    n: u8,
    progress: u8,
    nonce: &'static str,
    recovery_seal: bool,
    version: &'static str,
    commit_date: &'static str,
    migration: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_name: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster_id: Option<&'static str>,
    storage_type: &'static str,
}

/// The seal's state, as unsealing answers it, too.
pub(super) fn show(status: &SealStatus) -> Result<Reply, AppError> {
    envelope::plain(&Shown {
        // To Vault's clients a passphrase is one share of one.
        kind: match status.provider.as_deref() {
            None | Some("passphrase") => "shamir",
            Some(other) => other,
        },
        initialized: status.is_initialized,
        sealed: status.is_sealed,
        t: status.threshold.unwrap_or(u8::from(status.is_initialized)),
        n: status.shares.unwrap_or(u8::from(status.is_initialized)),
        progress: status.progress,
        nonce: "",
        recovery_seal: false,
        version: PRODUCT_VERSION,
        commit_date: "",
        migration: false,
        cluster_name: (!status.is_sealed).then_some(CLUSTER_NAME),
        cluster_id: (!status.is_sealed).then_some(CLUSTER_ID),
        storage_type: "bailiwick",
    })
}

async fn seal_status(call: Call) -> Result<Reply, AppError> {
    show(&call.app().seal_status().await?)
}

async fn leader(_: Call) -> Result<Reply, AppError> {
    #[derive(Serialize)]
    struct Leader {
        ha_enabled: bool,
    }
    envelope::plain(&Leader { ha_enabled: false })
}

/// Operators only: no tenant may shut the door for the others.
async fn seal(call: Call) -> Result<Reply, AppError> {
    let input = || Ok(installation::SealInstallation { input: Reason::default() });
    call.app().run_platform(call.meta(), input).await?;
    Ok(envelope::done())
}
