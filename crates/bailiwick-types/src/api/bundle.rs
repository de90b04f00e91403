//! Bundles: one tenant, sealed and signed, on its way to an installation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secret::Unseen;
use crate::{MemberId, Recipient, Slug, TenantId};

/// What to export, and to whom.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportTenant {
    /// The installation that can open it, as `bailiwick platform recipient` printed it there.
    pub recipient: Recipient,
    /// Whether the tenant moves there for good: it is suspended here with this very export, and its credentials go on
    /// there. Otherwise the bundle is a backup: its credentials come in revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_final: bool,
    /// The tenant as it was when its ledger had so many entries; as it is now if absent. How far back that is known is said
    /// by the refusal. Not for a move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// The last bookmark of a bundle that was cut off: what follows it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
}

/// Whom bundles for this installation are sealed to.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InstallationRecipient {
    /// The recipient. Not a secret, but to be had from somebody who is trusted.
    pub recipient: Recipient,
    /// The installation's key, which signs bundles that are exported here: what another installation imports them with.
    pub installation_key: String,
}

/// What an import did, or would do.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ImportedTenant {
    /// The tenant, with the id that it has always had.
    pub tenant: TenantId,
    /// Its slug.
    pub slug: Slug,
    /// `created`, if there was no such tenant here; `restored`, if there was.
    pub outcome: ImportOutcome,
    /// Whether nothing was done but looking.
    pub is_dry_run: bool,
    /// Records that were written.
    pub records: u64,
    /// Ledger entries in the bundle. Of a tenant that was here, they were here too.
    pub entries: u64,
    /// Credentials that came in revoked, because nobody here can know what was revoked after the backup.
    pub credentials_revoked: u64,
    /// The credential to begin again with, where all others came in revoked. Shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryCredential>,
}

/// What became of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// The tenant was not here, and now is.
    Created,
    /// The tenant was here; what was gone has come back.
    Restored,
}

/// A new credential of an owner.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RecoveryCredential {
    /// Whose.
    pub member: MemberId,
    /// The credential.
    pub credential: String,
}

impl fmt::Debug for RecoveryCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryCredential").field("member", &self.member).field("credential", &Unseen).finish()
    }
}

impl fmt::Debug for ImportedTenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImportedTenant")
            .field("tenant", &self.tenant)
            .field("outcome", &self.outcome)
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}
