//! The head of a bundle.

use bailiwick_types::{InstallationId, Recipient, Slug, TenantId, Timestamp};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::note::VerifierKey;

use super::BundleProblem;

const FORMAT: &str = "bailiwick-bundle/v1";

/// What a bundle says of itself, in clear.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleHead {
    format: String,
    /// Whose.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: Slug,
    /// The installation that the tenant was made in: what its seals and the origin of its ledger are bound to.
    pub home: InstallationId,
    /// The installation that the bundle was made in.
    pub exporter: InstallationId,
    /// How many entries its ledger had.
    pub size: u64,
    /// When it was made, as it says itself.
    pub exported_at: Timestamp,
    /// Whether the tenant was suspended for good where it was.
    pub is_final: bool,
    /// Who can open it.
    pub recipient: Recipient,
    /// Who signed it: the tenant's ledger key and the exporter's.
    pub keys: Vec<VerifierKey>,
    /// The key that the tenant's keys are sealed with, encapsulated, in base64.
    pub encapsulated: String,
    /// The tenant's keys, sealed to the recipient, in base64.
    pub sealed_keys: String,
}

/// A head without the tenant's keys in it.
#[derive(Debug, Clone)]
pub struct BundleFacts {
    /// As in [`BundleHead`].
    pub tenant: TenantId,
    /// As in [`BundleHead`].
    pub slug: Slug,
    /// As in [`BundleHead`].
    pub home: InstallationId,
    /// As in [`BundleHead`].
    pub exporter: InstallationId,
    /// As in [`BundleHead`].
    pub size: u64,
    /// As in [`BundleHead`].
    pub exported_at: Timestamp,
    /// As in [`BundleHead`].
    pub is_final: bool,
    /// As in [`BundleHead`].
    pub recipient: Recipient,
    /// As in [`BundleHead`].
    pub keys: Vec<VerifierKey>,
}

impl BundleHead {
    /// A head that the tenant's keys are still to be sealed for.
    pub fn new(facts: BundleFacts) -> Self {
        let BundleFacts { tenant, slug, home, exporter, size, exported_at, is_final, recipient, keys } = facts;
        Self {
            format: FORMAT.to_owned(),
            tenant,
            slug,
            home,
            exporter,
            size,
            exported_at,
            is_final,
            recipient,
            keys,
            encapsulated: String::new(),
            sealed_keys: String::new(),
        }
    }

    /// Puts the sealed keys in.
    #[must_use]
    pub fn with_keys(mut self, encapsulated: &[u8], sealed_keys: &[u8]) -> Self {
        self.encapsulated = BASE64.encode(encapsulated);
        self.sealed_keys = BASE64.encode(sealed_keys);
        self
    }

    /// The origin of the tenant's ledger.
    pub fn origin(&self) -> String {
        format!("{}/{}", self.home, self.tenant)
    }

    /// What the sealed keys are bound to: everything else in the head.
    pub fn bound(&self) -> Vec<u8> {
        let bare = Self { encapsulated: String::new(), sealed_keys: String::new(), ..self.clone() };
        bare.to_bytes()
    }

    /// The encapsulated key and the sealed keys; `None` if they are not in base64.
    pub fn sealed(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let decode = |text: &str| BASE64.decode(text.as_bytes()).ok();
        Some((decode(&self.encapsulated)?, decode(&self.sealed_keys)?))
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Writing strings, numbers and lists as JSON does not fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn parse(payload: &[u8]) -> Result<Self, BundleProblem> {
        let head: Self = serde_json::from_slice(payload).map_err(|_| BundleProblem::Payload("the head"))?;
        if head.format != FORMAT {
            return Err(BundleProblem::Format);
        }
        if head.to_bytes() != payload {
            return Err(BundleProblem::Payload("the head"));
        }
        head.check()?;
        Ok(head)
    }

    pub(super) fn check(&self) -> Result<(), BundleProblem> {
        if self.tenant.is_platform() {
            return Err(BundleProblem::Head("the platform is no tenant"));
        }
        let [tenant, installation] = self.keys.as_slice() else {
            return Err(BundleProblem::Head("want the tenant's key and the installation's"));
        };
        if tenant.name() != self.origin() || installation.name() != self.exporter.to_string() {
            return Err(BundleProblem::Head("the keys are not called as their owners"));
        }
        match self.sealed() {
            Some((encapsulated, sealed)) if !encapsulated.is_empty() && !sealed.is_empty() => Ok(()),
            _ => Err(BundleProblem::Head("it holds no keys")),
        }
    }
}
