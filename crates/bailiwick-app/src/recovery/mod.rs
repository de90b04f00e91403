//! One tenant as a bundle: exported, imported, restored.
//!
//! A bundle holds what the store holds, as it is sealed there, and the tenant's keys sealed to one installation. See
//! `bailiwick_ledger::bundle` for the file.
//!
//! # Invariants
//! - INV-RECOVERY-1: only the tenant itself can have itself exported, for what is exported can be read by the recipient's
//!   operators; only an operator can import.
//! - INV-RECOVERY-2: nothing is written before the whole bundle was verified: its seal, both signatures, the ledger's
//!   root, every entry against its leaf, every record under its own key and place.
//! - INV-RECOVERY-3: nothing is revived. Who may do what is never taken from a bundle where the tenant is known; where
//!   it is not, credentials come in revoked, unless the bundle is final and so nothing can have been revoked later.
//! - INV-RECOVERY-4: a tenant keeps its id, its slug and its ledger, and is refused where another has them, where it was
//!   deleted, or where its ledger says something else.
//! - INV-RECOVERY-5: memory does not grow with the tenant, in either direction.
//!
//! # Deliberately absent
//! Merging two states of a tenant. Overwriting anything that is there. A way to import into another id.

mod apply;
mod at;
mod export;
mod finish;
mod frames;
mod import;
mod verify;

use bailiwick_ledger::note::VerifierKey;
use bailiwick_store::Space;
use bailiwick_types::Timestamp;
use bailiwick_types::action::act;
use bailiwick_types::api::bundle::InstallationRecipient;
use serde::{Deserialize, Serialize};

use crate::app::PlatformUseCase;
use crate::error::AppError;
use crate::tx::{Answer, PlatformTx};

pub use export::{BundleExport, BundlePlan, BundleStream};
pub use import::{Import, ImportPlan};

/// What the tenant's keys are sealed together with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TenantNote {
    name: String,
    created: Timestamp,
}

/// The spaces that a bundle holds, in the order of their numbers. What was answered before travels only with a tenant
/// that moves: elsewhere it would be of another time.
fn spaces(is_final: bool) -> impl Iterator<Item = Space> {
    Space::ALL.iter().copied().filter(move |space| match space {
        // The index is made of the ledger, which is in the bundle.
        Space::Operator | Space::LedgerIndex => false,
        Space::Idempotency => is_final,
        _ => true,
    })
}

/// Shows whom bundles for this installation are sealed to.
pub struct ShowRecipient;

impl PlatformUseCase for ShowRecipient {
    type Action = act::RecipientShow;
    type Reply = InstallationRecipient;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<InstallationRecipient>, AppError> {
        let permit = tx.authorize::<act::RecipientShow>(&crate::tenants::platform()).await?;
        let unsealed = tx.app.unsealed()?;
        let shown = InstallationRecipient {
            recipient: tx.snapshot.keyring()?.recipient()?,
            installation_key: VerifierKey::of(&unsealed.signer).map_err(AppError::internal)?.to_string(),
        };
        tx.commit(permit, shown).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_exported_in_the_order_that_a_bundle_wants() {
        for is_final in [false, true] {
            let numbers: Vec<u8> = spaces(is_final).map(Space::number).collect();
            assert!(numbers.is_sorted(), "{numbers:?}");
            assert_eq!(numbers.contains(&Space::Idempotency.number()), is_final);
            assert!(!numbers.contains(&Space::Operator.number()));
            assert!(!numbers.contains(&Space::LedgerIndex.number()));
        }
    }
}
