//! The tenant's keys: shown without material, rotated, sealed.

use bailiwick_seal::Purpose;
use bailiwick_types::action::act;
use bailiwick_types::api::Done;
use bailiwick_types::api::tenant::{KeyVersion, Keyring, Reason, RotateKey};
use bailiwick_types::{Resource, ResourceKind};

use crate::app::UseCase;
use crate::error::AppError;
use crate::records::TenantMeta;
use crate::tx::{Answer, TenantTx};
use crate::validate;

fn resource() -> Resource {
    Resource::plain(ResourceKind::Keyring, "keyring")
}

impl TenantTx<'_> {
    fn show_keyring(&self, keyring: &bailiwick_seal::Keyring) -> Result<Keyring, AppError> {
        let keys = keyring
            .describe()
            .into_iter()
            .map(|key| KeyVersion {
                purpose: key.purpose.to_owned(),
                version: key.version,
                created: key.created,
                is_current: key.is_current,
            })
            .collect();
        let origin = crate::ledger::origin(&self.snapshot);
        let unsealed = self.app.unsealed()?;
        let mut ledger_keys = Vec::new();
        for key in keyring.ledger_keys()?.iter().rev() {
            let key = bailiwick_ledger::note::VerifierKey::new(origin.clone(), key.public_key);
            ledger_keys.push(key.map_err(AppError::internal)?.to_string());
        }
        let installation = bailiwick_ledger::note::VerifierKey::of(&unsealed.signer).map_err(AppError::internal)?;
        ledger_keys.push(installation.to_string());
        Ok(Keyring { keys, ledger_keys })
    }
}

/// Shows the keys.
pub struct Show;

impl UseCase for Show {
    type Action = act::KeyringShow;
    type Reply = Keyring;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Keyring>, AppError> {
        let permit = tx.authorize::<act::KeyringShow>(&resource()).await?;
        let shown = tx.show_keyring(tx.snapshot.keyring()?)?;
        tx.commit(permit, shown).await
    }
}

/// Rotates a key. What was sealed with the old version still opens; what is new is sealed with the new one.
pub struct Rotate {
    /// Which.
    pub input: RotateKey,
}

impl UseCase for Rotate {
    type Action = act::KeyringRotate;
    type Reply = Keyring;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Keyring>, AppError> {
        let permit = tx.authorize::<act::KeyringRotate>(&resource()).await?;
        let unsealed = tx.app.unsealed()?;
        let (installation, tenant) = (tx.snapshot.installation, tx.snapshot.tenant);
        let header = tx.app.store.header(tenant).await?.ok_or_else(AppError::not_found)?;
        let mut meta = TenantMeta::from_bytes(&header.meta)?;
        let record = meta.keyring.as_ref().ok_or_else(|| AppError::internal("a tenant has no keys"))?;
        let (now, random, root) = (tx.now(), tx.app.random(), unsealed.root_of(record)?);
        let rotated = match self.input.purpose.as_str() {
            "tenant" => record.rotate_tenant_key(root, installation, tenant, now, random)?,
            name => {
                let purpose = Purpose::from_name(name).ok_or_else(|| {
                    let names: Vec<&str> = Purpose::ALL.iter().map(|purpose| purpose.as_str()).collect();
                    AppError::invalid(format!("`purpose` must be `tenant` or one of {}", names.join(", ")))
                })?;
                record.rotate_data(root, installation, tenant, purpose, now, random)?
            }
        };
        meta.keyring = Some(rotated);
        let (keyring, _) = unsealed.unwrap(tenant, &meta)?;
        let bytes = meta.to_bytes()?;
        tx.change_header(|change| change.meta = Some((header.meta_version, bytes)));
        tx.bump_epoch();
        tx.note("purpose", self.input.purpose.as_str());
        let shown = tx.show_keyring(&keyring)?;
        tx.commit(permit, shown).await
    }
}

/// Seals the tenant. From the acknowledgement on its plane answers as sealed, until an operator unseals it.
pub struct Seal {
    /// Why.
    pub input: Reason,
}

impl UseCase for Seal {
    type Action = act::KeyringSeal;
    type Reply = Done;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<Done>, AppError> {
        let permit = tx.authorize::<act::KeyringSeal>(&resource()).await?;
        if let Some(reason) = &self.input.reason {
            validate::description(reason)?;
            tx.note("reason", reason.as_str());
        }
        let state = tx.snapshot.state.sealed(true).number();
        tx.change_header(|change| change.state = Some(state));
        tx.bump_epoch();
        tx.commit(permit, Done {}).await
    }
}
