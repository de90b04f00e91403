//! The prover, as the application knows it: asked on a thread where waiting holds up nobody.

use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_app::NoProver;
use bailiwick_authz::analysis::{EffectiveSet, Question};
use bailiwick_prove::{Prover, ProverConfig};
use bailiwick_types::TenantId;
use bailiwick_types::api::proof::{PolicyDiff, Proof, SubsetResult};

/// A prover with its solver.
#[derive(Debug)]
pub(crate) struct Solving(Arc<Prover>);

impl Solving {
    pub(crate) fn shared(config: ProverConfig) -> Arc<dyn bailiwick_app::Prover> {
        Arc::new(Self(Arc::new(Prover::new(config))))
    }

    /// `None` if the work panicked, or the server is ending.
    async fn aside<T: Send + 'static>(&self, work: impl FnOnce(&Prover) -> T + Send + 'static) -> Option<T> {
        let prover = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || work(&prover)).await.ok()
    }
}

#[async_trait]
impl bailiwick_app::Prover for Solving {
    async fn prove(&self, question: Question) -> Proof {
        let unproven = NoProver.prove(question.clone()).await;
        self.aside(move |prover| prover.prove(&question)).await.unwrap_or(unproven)
    }

    async fn diff(&self, tenant: TenantId, current: EffectiveSet, proposed: EffectiveSet) -> PolicyDiff {
        let unproven = NoProver.diff(tenant, current.clone(), proposed.clone()).await;
        self.aside(move |prover| prover.diff(tenant, &current, &proposed)).await.unwrap_or(unproven)
    }

    async fn subset(&self, tenant: TenantId, proposal: EffectiveSet, current: EffectiveSet) -> SubsetResult {
        let unproven = NoProver.subset(tenant, proposal.clone(), current.clone()).await;
        self.aside(move |prover| prover.subset(tenant, &proposal, &current)).await.unwrap_or(unproven)
    }
}
