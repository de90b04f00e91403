//! The tenant about itself.

use bailiwick_app::{keyring, whoami};
use bailiwick_types::api::tenant::{Reason, RotateKey};
use serde::Deserialize;

use crate::route::Route;

#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct CapabilityPaths {
    /// Paths of the Vault door, such as `secret/data/app/db`.
    paths: Vec<String>,
}

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::tenant("GET", "/api/v1/t/{tenant}/whoami", |_| Ok(whoami::WhoAmITenant)),
        Route::tenant("POST", "/api/v1/t/{tenant}/whoami/revoke", |_| Ok(whoami::RevokeSelf)),
        Route::tenant("POST", "/api/v1/t/{tenant}/capabilities", |call| {
            Ok(whoami::ShowCapabilities { paths: call.json::<CapabilityPaths>()?.paths })
        })
        .takes::<CapabilityPaths>(),
        Route::tenant("GET", "/api/v1/t/{tenant}/limits", |_| Ok(whoami::ShowLimits)),
        Route::tenant("GET", "/api/v1/t/{tenant}/keyring", |_| Ok(keyring::Show)),
        Route::tenant("POST", "/api/v1/t/{tenant}/keyring/rotate", |call| Ok(keyring::Rotate { input: call.json()? }))
            .takes::<RotateKey>(),
        Route::tenant("POST", "/api/v1/t/{tenant}/keyring/seal", |call| {
            Ok(keyring::Seal { input: call.json_or_default()? })
        })
        .takes::<Reason>(),
    ]
}
