//! A tenant's plane: the caller, limits, keys. Its other nouns are in the files next to this one.

use bailiwick_types::api::Done;
use bailiwick_types::api::attestation::SignedAttestation;
use bailiwick_types::api::bundle::ExportTenant;
use bailiwick_types::api::tenant::{Capabilities, Keyring, LimitsInForce, Reason, RotateKey, WhoAmI};
use serde::Serialize;

use super::ledger::Ledger;
use crate::call::Call;
use crate::path::Path;

/// The routes below `/api/v1/t/{tenant}`.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub(crate) base: Path,
}

#[derive(Serialize)]
struct Paths<'a> {
    paths: &'a [String],
}

impl Tenant {
    pub(crate) fn at(&self, rest: &'static str) -> Path {
        self.base.clone().then(rest)
    }

    /// Who the caller is.
    pub fn whoami(&self) -> Call<WhoAmI> {
        Call::get(self.at("/whoami"))
    }

    /// Revokes the credential that asks.
    pub fn revoke_self(&self) -> Call<Done> {
        // Repeated after it worked it would be refused as revoked, so it is not repeated.
        Call::post(self.at("/whoami/revoke")).at_most_once()
    }

    /// What the caller may do on paths.
    pub fn capabilities(&self, paths: &[String]) -> Call<Capabilities> {
        Call::post(self.at("/capabilities")).json(&Paths { paths })
    }

    /// The limits in force.
    pub fn limits(&self) -> Call<LimitsInForce> {
        Call::get(self.at("/limits"))
    }

    /// The tenant's keys.
    pub fn keyring(&self) -> Call<Keyring> {
        Call::get(self.at("/keyring"))
    }

    /// Rotates one of them.
    pub fn rotate_key_of(&self, body: &RotateKey) -> Call<Keyring> {
        Call::post(self.at("/keyring/rotate")).json(body)
    }

    /// Seals the tenant.
    pub fn seal(&self, body: &Reason) -> Call<Done> {
        Call::post(self.at("/keyring/seal")).json(body)
    }

    /// What the server attests to the tenant.
    pub fn attestation(&self) -> Call<SignedAttestation> {
        Call::get(self.at("/attestation"))
    }

    /// The whole tenant as a bundle; for [`crate::Client::download`].
    pub fn export(&self, body: &ExportTenant) -> Call<()> {
        Call::post(self.at("/bundle")).json(body).at_most_once()
    }

    /// The tenant's ledger.
    pub fn ledger(&self) -> Ledger {
        Ledger { base: self.at("/ledger") }
    }
}
