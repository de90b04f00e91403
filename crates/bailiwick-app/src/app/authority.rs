//! The policies that decide on a plane, compiled, and kept for the epoch that they are of.

use std::sync::Arc;

use bailiwick_authz::{Authority, CompiledPolicy, Layer, restore_policy};
use bailiwick_store::Space;
use bailiwick_types::{PolicyName, TenantId};

use super::App;
use crate::error::AppError;
use crate::records::PolicyRecord;
use crate::snapshot::Snapshot;

/// How far work that nobody's access waits for steps back behind requests; what they need themselves does not.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

impl App {
    /// The compiled policies of a plane: guardrails, and the tenant's own.
    pub(crate) async fn authority(&self, snapshot: &Snapshot) -> Result<Arc<Authority>, AppError> {
        if let Some(known) = snapshot.authority.get() {
            return Ok(Arc::clone(known));
        }
        let built = snapshot.authority.get_or_try_init(async || {
            let platform = self.platform_snapshot().await?;
            // Who read the platform's header earlier may put it into the cache later. Guardrails must be of the epoch that
            // the commit will name; of what else there is in the cache nobody should have to think.
            let named = if snapshot.tenant.is_platform() { snapshot.epoch } else { snapshot.platform_epoch };
            if platform.epoch != named {
                return Err(bailiwick_store::CommitError::Stale { tenant: TenantId::PLATFORM }.into());
            }
            let guardrails = self.guardrails(&platform).await?;
            let policies = if snapshot.tenant.is_platform() {
                Vec::new()
            } else {
                self.compiled_policies(snapshot, Layer::Tenant).await?
            };
            Ok::<_, AppError>(Arc::new(Authority::new(&guardrails, &policies).bound_to(snapshot.tenant)))
        });
        Ok(Arc::clone(Box::pin(built).await?))
    }

    async fn guardrails(&self, platform: &Snapshot) -> Result<Arc<[Arc<CompiledPolicy>]>, AppError> {
        let built = platform.guardrails.get_or_try_init(async || {
            Ok::<_, AppError>(Arc::from(self.compiled_policies(platform, Layer::Guardrail).await?))
        });
        Ok(Arc::clone(built.await?))
    }

    /// Compiles a plane's policies; what was compiled before, from the same stored bytes, is used again.
    pub(crate) async fn compiled_policies(
        &self,
        snapshot: &Snapshot,
        layer: Layer,
    ) -> Result<Vec<Arc<CompiledPolicy>>, AppError> {
        const PAGE: usize = 1_000;
        let mut compiled = Vec::new();
        let mut missing = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.store.records(snapshot.tenant, Space::Policy, b"", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|(key, _)| key.clone());
            for (key, record) in page {
                let name: Option<PolicyName> = std::str::from_utf8(&key).ok().and_then(|text| text.parse().ok());
                let name = name.ok_or_else(|| AppError::internal("a policy's key is no name"))?;
                let cache_key = (snapshot.tenant, name, bailiwick_ledger::leaf_hash(&record.sealed));
                if let Some((hit, _)) = self.compiled.get(&cache_key) {
                    compiled.push(hit);
                    continue;
                }
                let stored = snapshot.open::<PolicyRecord>(&key, record.version, &record.sealed)?;
                missing.push((cache_key, stored));
            }
            if is_last {
                break;
            }
        }
        if missing.is_empty() {
            return Ok(compiled);
        }
        let restored = self.aside(move || {
            let restore = |(cache_key, stored): (_, PolicyRecord)| {
                // What does not compile (a schema change) must not be left out: a forbid could be in it.
                restore_policy(layer, &stored.name, &stored.text)
                    .map(|policy| (cache_key, policy))
                    .map_err(|_| AppError::internal(format_args!("stored policy `{}` does not compile", stored.name)))
            };
            missing.into_iter().map(restore).collect::<Result<Vec<_>, _>>()
        });
        for (cache_key, policy) in restored.await?? {
            self.compiled.insert(cache_key, (Arc::clone(&policy), policy.bytes() as u64));
            compiled.push(policy);
        }
        Ok(compiled)
    }

    /// Does what takes the CPU for milliseconds where no request waits for it but those that asked, a few at a time.
    pub(crate) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let _turn = self.compiling.acquire().await.map_err(AppError::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(AppError::internal)
    }

    /// As [`App::aside`], for what others might ask for again and again: as patiently as what nobody waits for.
    pub(crate) async fn aside_patiently<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let _turn = self.compiling.acquire().await.map_err(AppError::internal)?;
        self.patiently(work).await
    }

    /// Does something on a thread that the system runs when no request needs the processor at once.
    pub(crate) async fn patiently<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AppError> {
        let (reply, done) = tokio::sync::oneshot::channel();
        let run = move || {
            // Of this thread only. It need not succeed.
            #[cfg(target_os = "linux")]
            let _ = rustix::process::nice(NICENESS);
            // Whoever has gone away does not need the answer.
            let _ = reply.send(work());
        };
        std::thread::Builder::new().name("aside".to_owned()).spawn(run).map_err(AppError::internal)?;
        done.await.map_err(AppError::internal)
    }
}
