//! The port of the prover, and what use cases do with it.
//!
//! A change of policies is proved against the set that it would become part of, before it is committed. The commit names
//! the epochs that the set was read under, so what was proved is what takes effect: if a policy, a guardrail or an
//! invariant changes meanwhile, the whole admission runs again, the proof included.
//!
//! # Invariants
//! - INV-PROOF-1: a change that makes something untrue which was not untrue before is refused, whoever asks.
//! - INV-PROOF-2: what came of a proof is in the entry of the change, or of its refusal.
//! - INV-PROOF-3: a prover decides no request; without one only proofs are missing.
//!
//! # Deliberately absent
//! No solver, no logic: see `bailiwick-prove`, which only the server's binary knows.

use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_authz::analysis::{Claim, EffectiveSet, Question};
use bailiwick_authz::{CompiledPolicy, Layer, restore_policy};
use bailiwick_types::api::proof::{Outcome, PolicyDiff, Proof, ProofMark, SubsetResult, Verdict};
use bailiwick_types::{Code, Plane, PolicyName, TenantId};

use crate::app::App;
use crate::error::AppError;
use crate::records::{InvariantRecord, Stored as _};
use crate::snapshot::Snapshot;
use crate::tx::{PlatformTx, Scope, TenantTx, Tx};

/// Proves things about policies. Answers in bounded time, and never holds up an async worker.
#[async_trait]
pub trait Prover: Send + Sync + std::fmt::Debug {
    /// Whether a set implies isolation, its guardrails and some invariants.
    async fn prove(&self, question: Question) -> Proof;
    /// What `proposed` allows and denies that `current` does not.
    async fn diff(&self, tenant: TenantId, current: EffectiveSet, proposed: EffectiveSet) -> PolicyDiff;
    /// Whether `proposal` allows nothing that `current` does not.
    async fn subset(&self, tenant: TenantId, proposal: EffectiveSet, current: EffectiveSet) -> SubsetResult;
}

/// There is no prover: nothing is proved, and everything says so.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProver;

const NO_SOLVER: &str = "no solver";

#[async_trait]
impl Prover for NoProver {
    async fn prove(&self, _: Question) -> Proof {
        Proof {
            outcome: Outcome::Unproven,
            reason: Some(NO_SOLVER.to_owned()),
            hash: String::new(),
            solver: None,
            verdicts: Vec::new(),
        }
    }

    async fn diff(&self, _: TenantId, _: EffectiveSet, _: EffectiveSet) -> PolicyDiff {
        PolicyDiff {
            outcome: Outcome::Unproven,
            reason: Some(NO_SOLVER.to_owned()),
            allowed: Vec::new(),
            denied: Vec::new(),
            warnings: Vec::new(),
            solver: None,
        }
    }

    async fn subset(&self, _: TenantId, _: EffectiveSet, _: EffectiveSet) -> SubsetResult {
        let verdict = Verdict {
            property: "subset".to_owned(),
            outcome: Outcome::Unproven,
            reason: Some(NO_SOLVER.to_owned()),
            counterexample: None,
            environments: 0,
        };
        SubsetResult { verdict, solver: None }
    }
}

/// The same list with one document replaced, added or left out.
pub(crate) fn with(
    documents: &[Arc<CompiledPolicy>],
    name: &PolicyName,
    document: Option<Arc<CompiledPolicy>>,
) -> Vec<Arc<CompiledPolicy>> {
    documents.iter().filter(|known| known.name() != name).cloned().chain(document).collect()
}

impl App {
    /// The policies that decide on a plane, as they are stored.
    pub(crate) async fn effective_set(&self, snapshot: &Snapshot) -> Result<EffectiveSet, AppError> {
        let platform = self.platform_snapshot().await?;
        let guardrails = self.compiled_policies(&platform, Layer::Guardrail).await?;
        if snapshot.tenant.is_platform() {
            return Ok(EffectiveSet { plane: Plane::Platform, guardrails, policies: Vec::new() });
        }
        let policies = self.compiled_policies(snapshot, Layer::Tenant).await?;
        Ok(EffectiveSet { plane: Plane::Tenant, guardrails, policies })
    }

    /// The invariants of a plane.
    pub(crate) async fn claims(&self, snapshot: &Snapshot) -> Result<Vec<Claim>, AppError> {
        let most = usize::try_from(bailiwick_types::Limit::Invariants.ceiling()).unwrap_or(usize::MAX);
        let records = self.read_all::<InvariantRecord>(snapshot, b"", None, most).await?;
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let restore = move || {
            let one = |(_, _, record): (Vec<u8>, u64, InvariantRecord)| {
                restore_policy(Layer::Invariant, &record.name, &record.text)
                    .map(|text| Claim { text, covers: record.covers })
                    .map_err(|_| AppError::internal(format_args!("stored invariant `{}`", record.name)))
            };
            records.into_iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        self.aside(restore).await?
    }
}

impl<S: Scope> Tx<'_, S> {
    /// Everything that must hold of this plane's policies as they are.
    pub(crate) async fn question(&self) -> Result<Question, AppError> {
        Ok(Question {
            tenant: self.snapshot.tenant,
            set: self.app.effective_set(&self.snapshot).await?,
            invariants: self.app.claims(&self.snapshot).await?,
        })
    }

    /// Proves what would be, and refuses what would break something. `before` is the question as it stands now: what is
    /// untrue already is not this change's doing, and must not stand in the way of mending it bit by bit.
    pub(crate) async fn prove_change(&mut self, before: Question, after: Question) -> Result<ProofMark, AppError> {
        let prover = Arc::clone(&self.app.config.prover);
        let proof = prover.prove(after).await;
        self.note_proof(&proof);
        if let Some(first) = proof.refuted() {
            let already = prover.prove(before).await;
            let is_new = |verdict: &&Verdict| {
                let was = already.verdicts.iter().find(|known| known.property == verdict.property);
                verdict.outcome == Outcome::Refuted && was.is_none_or(|was| was.outcome != Outcome::Refuted)
            };
            let broken: Vec<Verdict> = proof.verdicts.iter().filter(is_new).cloned().collect();
            let shown = broken.first().unwrap_or(first);
            if let Some(example) = &shown.counterexample {
                let sentence: String = example.sentence.chars().take(1_000).collect();
                self.note("counterexample", sentence);
            }
            if !broken.is_empty() {
                self.note("refuted", broken.iter().map(|v| v.property.as_str()).collect::<Vec<_>>().join(" "));
                return Err(AppError::refuted(broken));
            }
        }
        if self.app.config.require_proof && proof.outcome != Outcome::Proved {
            return Err(AppError::with_detail(Code::ProofRequired, proof.status()));
        }
        Ok(ProofMark { status: proof.status(), hash: proof.hash, solver: proof.solver, checked: self.now() })
    }

    /// INV-PROOF-2.
    pub(crate) fn note_proof(&mut self, proof: &Proof) {
        self.note("proof", proof.status());
        if !proof.hash.is_empty() {
            self.note("proof_of", proof.hash.as_str());
        }
        if let Some(solver) = &proof.solver {
            self.note("proof_solver", solver.as_str());
        }
    }
}

impl TenantTx<'_> {
    /// Proves the tenant's set with one policy replaced, added or left out.
    pub(crate) async fn prove_policy(
        &mut self,
        name: &PolicyName,
        policy: Option<Arc<CompiledPolicy>>,
    ) -> Result<ProofMark, AppError> {
        let before = self.question().await?;
        let mut after = before.clone();
        after.set.policies = with(&after.set.policies, name, policy);
        self.prove_change(before, after).await
    }
}

impl PlatformTx<'_> {
    /// Proves the guardrails with one replaced, added or left out.
    pub(crate) async fn prove_guardrail(
        &mut self,
        name: &PolicyName,
        guardrail: Option<Arc<CompiledPolicy>>,
    ) -> Result<ProofMark, AppError> {
        let before = self.question().await?;
        let mut after = before.clone();
        after.set.guardrails = with(&after.set.guardrails, name, guardrail);
        self.prove_change(before, after).await
    }
}

/// The key of an invariant's record.
pub(crate) fn key(name: &PolicyName) -> Vec<u8> {
    name.as_str().as_bytes().to_vec()
}

/// Where invariants are kept.
pub(crate) const SPACE: bailiwick_store::Space = InvariantRecord::SPACE;
