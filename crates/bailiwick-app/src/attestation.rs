//! Attestations: what this server says about itself and about one tenant's rules, signed for whoever asks that tenant.
//!
//! A tenant's auditor reads it far from here and believes it because of the keys that the tenant pinned. So everything
//! in it is either the tenant's own, or the same for all tenants, or a hash.
//!
//! # Invariants
//! - INV-ATTESTATION-5: what is attested is what decides: texts and proofs are read under the epochs that the commit
//!   names, so a change meanwhile makes the admission run again.
//! - INV-ATTESTATION-6: of guardrails there are hashes and outcomes, of the platform's invariants nothing, of canaries
//!   and findings only numbers.
//!
//! # Deliberately absent
//! No reading of files: which program this is, is asked of whoever configured the server. No storing of attestations: the
//! entry of the request has the hash.

use bailiwick_authz::compile::SHIPPED_TEXTS;
use bailiwick_authz::{Permit, roles, schema_text};
use bailiwick_ledger::attestation::AttestationNote;
use bailiwick_ledger::note::NoteSigner;
use bailiwick_ledger::sha256;
use bailiwick_store::CommitError;
use bailiwick_types::action::act;
use bailiwick_types::api::attestation::{
    ATTESTATION_VERSION, Attestation, AttestedCheckpoint, AttestedGuardrail, AttestedInvariant, AttestedIsolation,
    AttestedPolicy, AttestedProof, AttestedRoutes, AttestedServer, AttestedShipped, AttestedTenant, AttestedTiming,
    SignedAttestation,
};
use bailiwick_types::api::isolation::IsolationStatus;
use bailiwick_types::api::proof::{Outcome, Proof, ProofMark};
use bailiwick_types::{ActionType, PolicyName, TenantId};
use data_encoding::{BASE64, HEXLOWER};

use crate::app::{App, UseCase};
use crate::error::AppError;
use crate::installation::VERSION;
use crate::ledger::{ledger_resource, origin};
use crate::records::{InvariantRecord, PolicyRecord};
use crate::tx::{Answer, TenantTx};

/// How many records are read at a time.
const PAGE: usize = 1_000;

/// The texts behind two of these hashes, each with its name.
pub const SHIPPED_RULES: [(&str, &str); 2] = SHIPPED_TEXTS;

fn hexadecimal(text: &[u8]) -> String {
    HEXLOWER.encode(&sha256(text))
}

/// What the table of routes comes to, from its lines `METHOD path action` in any order.
pub fn routes_of(mut lines: Vec<String>) -> AttestedRoutes {
    lines.sort_unstable();
    let count = u64::try_from(lines.len()).unwrap_or(u64::MAX);
    lines.iter_mut().for_each(|line| line.push('\n'));
    AttestedRoutes { count, sha256: hexadecimal(lines.concat().as_bytes()) }
}

/// What ships with this version and is part of every decision.
pub fn shipped() -> AttestedShipped {
    let [(_, isolation), (_, self_service)] = SHIPPED_TEXTS;
    let roles: String = roles().iter().map(|role| format!("{}\n{}\n", role.name, role.template)).collect();
    AttestedShipped {
        schema: hexadecimal(schema_text().as_bytes()),
        isolation: hexadecimal(isolation.as_bytes()),
        self_service: hexadecimal(self_service.as_bytes()),
        roles: hexadecimal(roles.as_bytes()),
    }
}

/// What came of a property; what nobody has looked at is not proved.
fn outcome_of(proof: &Proof, property: &str) -> Outcome {
    proof.verdicts.iter().find(|verdict| verdict.property == property).map_or(Outcome::Unproven, |found| found.outcome)
}

/// The word of a mark without its reason: a reason may name what the operator wrote.
fn marked(mark: Option<&ProofMark>) -> Outcome {
    let word = mark.map(|mark| mark.status.split(':').next().unwrap_or_default());
    [Outcome::Proved, Outcome::Refuted]
        .into_iter()
        .find(|outcome| word == Some(outcome.as_str()))
        .unwrap_or(Outcome::Unproven)
}

fn summary(status: &IsolationStatus) -> AttestedIsolation {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    AttestedIsolation {
        state: status.state,
        finished: status.last.as_ref().map(|round| round.finished),
        counts: status.last.as_ref().map(|round| round.counts),
        timing: AttestedTiming {
            measured: count(status.timing.len()),
            seen: count(status.timing.iter().filter(|result| result.is_seen()).count()),
        },
    }
}

/// The hashes of a page of texts, made where no other request waits for it.
async fn hashes(app: &App, texts: Vec<String>) -> Result<Vec<String>, AppError> {
    app.aside(move || texts.iter().map(|text| hexadecimal(text.as_bytes())).collect()).await
}

impl TenantTx<'_> {
    async fn attested_policies<A: ActionType>(&self, permit: &Permit<A>) -> Result<Vec<AttestedPolicy>, AppError> {
        let mut all: Vec<AttestedPolicy> = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.read_all::<A, PolicyRecord>(permit, b"", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|(key, _, _)| key.clone());
            let (known, texts): (Vec<(PolicyName, Outcome)>, Vec<String>) = page
                .into_iter()
                .map(|(_, _, record)| ((record.name, marked(record.proof.as_ref())), record.text))
                .unzip();
            let hashes = hashes(self.app, texts).await?;
            all.extend(known.into_iter().zip(hashes).map(|((name, proof), sha256)| AttestedPolicy {
                name,
                sha256,
                proof,
            }));
            if is_last {
                all.sort_by(|one, other| one.name.cmp(&other.name));
                return Ok(all);
            }
        }
    }

    async fn attested_invariants<A: ActionType>(
        &self,
        permit: &Permit<A>,
        proof: &Proof,
    ) -> Result<Vec<AttestedInvariant>, AppError> {
        let most = usize::try_from(bailiwick_types::Limit::Invariants.ceiling()).unwrap_or(usize::MAX);
        let records = self.read_all::<A, InvariantRecord>(permit, b"", None, most).await?;
        let mut all: Vec<AttestedInvariant> = records
            .into_iter()
            .map(|(_, _, record)| AttestedInvariant {
                proof: outcome_of(proof, &format!("invariant:{}", record.name)),
                sha256: hexadecimal(record.text.as_bytes()),
                name: record.name,
                covers: record.covers,
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(all)
    }

    /// Of the operator's rules: what a tenant may know is which they are, not what they say.
    async fn attested_guardrails(&self, proof: &Proof) -> Result<Vec<AttestedGuardrail>, AppError> {
        let platform = self.app.platform_snapshot().await?;
        if platform.epoch != self.snapshot.platform_epoch {
            return Err(CommitError::Stale { tenant: TenantId::PLATFORM }.into());
        }
        let mut all: Vec<AttestedGuardrail> = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.app.read_all::<PolicyRecord>(&platform, b"", after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|(key, _, _)| key.clone());
            let (outcomes, texts): (Vec<Outcome>, Vec<String>) = page
                .into_iter()
                .map(|(_, _, record)| (outcome_of(proof, &format!("guardrail:{}", record.name)), record.text))
                .unzip();
            let hashes = hashes(self.app, texts).await?;
            all.extend(hashes.into_iter().zip(outcomes).map(|(sha256, proof)| AttestedGuardrail { sha256, proof }));
            if is_last {
                // Their names are the operator's, and so is the order of the names.
                all.sort_unstable();
                return Ok(all);
            }
        }
    }

    async fn build(&self) -> Result<Option<String>, AppError> {
        let known = self.app.build.get_or_try_init(async || self.app.aside(self.app.config.build).await);
        known.await.cloned()
    }

    /// Signed by the keys that sign checkpoints: those are the keys that somebody has pinned.
    fn sign_attestation(&self, note: &AttestationNote) -> Result<String, AppError> {
        let unsealed = self.app.unsealed()?;
        let own = self.snapshot.keyring()?.ledger_signer(&origin(&self.snapshot))?;
        let signers: [&dyn NoteSigner; 2] = [&own, &unsealed.signer];
        note.sign(&signers).map_err(AppError::internal)
    }
}

/// Attests.
pub struct Issue {
    /// What the doors answer on, which only they know.
    pub routes: AttestedRoutes,
}

impl UseCase for Issue {
    type Action = act::AttestationIssue;
    type Reply = SignedAttestation;
    async fn run(&self, tx: &mut TenantTx<'_>) -> Result<Answer<SignedAttestation>, AppError> {
        let permit = tx.authorize::<act::AttestationIssue>(&ledger_resource()).await?;
        // Asked anew: a guardrail may have come since the tenant's last change, and marks would not know of it.
        let question = tx.question().await?;
        let proof = tx.app.config.prover.prove(question).await;
        tx.note_proof(&proof);
        let guardrails = tx.attested_guardrails(&proof).await?;
        let policies = tx.attested_policies(&permit).await?;
        let invariants = tx.attested_invariants(&permit, &proof).await?;
        let build = tx.build().await?;
        let header = tx.ledger_header().await?;
        let attestation = Attestation {
            v: ATTESTATION_VERSION,
            tenant: AttestedTenant { id: tx.snapshot.tenant, slug: tx.snapshot.slug.clone() },
            installation: tx.snapshot.installation,
            issued_at: tx.now(),
            checkpoint: AttestedCheckpoint {
                origin: origin(&tx.snapshot),
                size: header.ledger.size(),
                root: BASE64.encode(&header.ledger.root()),
            },
            server: AttestedServer { version: VERSION.to_owned(), build },
            shipped: shipped(),
            proof: AttestedProof {
                outcome: proof.outcome,
                isolation: outcome_of(&proof, "isolation"),
                hash: Some(proof.hash).filter(|hash| !hash.is_empty()),
                solver: proof.solver,
            },
            guardrails,
            policies,
            invariants,
            routes: self.routes.clone(),
            isolation: summary(&tx.app.isolation().status()),
        };
        let note = AttestationNote::of(&attestation).map_err(AppError::internal)?;
        // So that whoever finds one can look up who asked for it.
        tx.note("sha256", BASE64.encode(&note.sha256));
        let note = tx.sign_attestation(&note)?;
        tx.commit(permit, SignedAttestation { attestation, note }).await
    }
}
