//! What needs no credential: health, and bringing an installation up.

use bailiwick_types::api::platform::{Initialize, Initialized, SealStatus, Unseal};
use serde_json::Value;

use super::api;
use crate::call::Call;
use crate::path::Path;

/// Whether the process lives.
pub fn healthz() -> Call<Value> {
    Call::get(Path::fixed("/healthz"))
}

/// Whether it can serve.
pub fn readyz() -> Call<Value> {
    Call::get(Path::fixed("/readyz"))
}

/// Whether it is initialised and unsealed.
pub fn seal_status() -> Call<SealStatus> {
    Call::get(api("/seal-status"))
}

/// Initialises the installation. Nothing remembers an `Idempotency-Key` before there is an installation, and the
/// answer is shown once: it is never sent twice.
pub fn init(body: &Initialize) -> Call<Initialized> {
    Call::post(api("/init")).json(body).at_most_once()
}

/// Gives one share or the passphrase.
pub fn unseal(body: &Unseal) -> Call<SealStatus> {
    Call::post(api("/unseal")).json(body).at_most_once()
}
