//! The way in: a question, and what came of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_authz::analysis::{EffectiveSet, Question};
use bailiwick_types::TenantId;
use bailiwick_types::api::proof::{Outcome, PolicyDiff, Proof, SubsetResult, Verdict};
use data_encoding::HEXLOWER;
use parking_lot::Mutex;

use crate::cache::Cache;
use crate::diff;
use crate::environment::environments_of;
use crate::pool::Pool;
use crate::properties::{Answer, Prepared, answer};
use crate::why::Why;
use crate::worker::Setup;

/// How proofs are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProverConfig {
    /// The solver's program: cvc5.
    pub solver: PathBuf,
    /// For one question to the solver.
    pub time_limit: Duration,
    /// For one change of policies: all questions together, waiting included.
    pub change_limit: Duration,
    /// Solver processes at the same time. Of several, a question has one fewer.
    pub pool: usize,
}

impl Default for ProverConfig {
    fn default() -> Self {
        Self {
            solver: PathBuf::from("cvc5"),
            time_limit: Duration::from_secs(2),
            change_limit: Duration::from_secs(10),
            pool: 2,
        }
    }
}

/// Proves things about policies. Blocks whoever asks, for the configured time at most; solver processes end with it.
pub struct Prover {
    config: ProverConfig,
    setup: Arc<Setup>,
    cache: Arc<Cache>,
    pool: Pool,
}

impl std::fmt::Debug for Prover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prover").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Prover {
    /// A prover. Starts nothing before it is asked something.
    pub fn new(config: ProverConfig) -> Self {
        let setup =
            Arc::new(Setup { path: config.solver.clone(), limit: config.time_limit, version: Mutex::new(None) });
        let pool = Pool::new(Arc::clone(&setup), config.pool);
        Self { config, setup, cache: Arc::default(), pool }
    }

    /// The solver and its version, if it has been asked and is there.
    pub fn solver(&self) -> Option<String> {
        self.setup.version.lock().clone()
    }

    /// Starts the solver and asks it what it is.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn check_solver(&self) -> Result<String, String> {
        let deadline = Instant::now() + self.config.change_limit;
        let found = self.pool.run(TenantId::PLATFORM, 1, deadline, |worker, _| worker.version());
        let found = found.and_then(|found| found.into_iter().next().flatten().unwrap_or(Err(Why::TimedOut)));
        found.map_err(|why| why.to_string())
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.config.change_limit
    }

    /// Whether the set implies isolation, every guardrail and every invariant, for every request.
    pub fn prove(&self, question: &Question) -> Proof {
        with_room(|| self.prove_here(question))
    }

    fn prove_here(&self, question: &Question) -> Proof {
        match Prepared::new(question) {
            Ok(prepared) => self.prove_prepared(question, prepared),
            Err(why) => Proof {
                outcome: Outcome::Unproven,
                reason: Some(why.to_string()),
                hash: String::new(),
                solver: self.solver(),
                verdicts: Vec::new(),
            },
        }
    }

    fn prove_prepared(&self, question: &Question, prepared: Prepared) -> Proof {
        let deadline = self.deadline();
        let environments = environments_of(question.set.plane);
        let count = environments.len();
        let prepared = Arc::new(prepared);
        let (task, cache) = (Arc::clone(&prepared), Arc::clone(&self.cache));
        let found = self.pool.run(question.tenant, count, deadline, move |worker, at| match environments.get(at) {
            Some(environment) => answer(&task, environment, worker, &cache, deadline),
            None => Vec::new(),
        });
        let found = found.unwrap_or_else(|why| vec![Some(vec![Answer::Unproven(why); prepared.properties.len()])]);
        let mut verdicts: Vec<Verdict> = prepared
            .properties
            .iter()
            .map(|property| Verdict {
                property: property.name.clone(),
                outcome: Outcome::Proved,
                reason: None,
                counterexample: None,
                environments: count,
            })
            .collect();
        for answers in &found {
            for (at, verdict) in verdicts.iter_mut().enumerate() {
                // A task that panicked or did not finish has no answers.
                let answer = answers.as_ref().and_then(|answers| answers.get(at)).cloned();
                merge(verdict, answer.unwrap_or(Answer::Unproven(Why::TimedOut)));
            }
        }
        let outcome = verdicts.iter().map(|verdict| verdict.outcome).max().unwrap_or(Outcome::Unproven);
        Proof {
            outcome,
            reason: reason_of(&verdicts, outcome),
            hash: HEXLOWER.encode(&prepared.hash),
            solver: self.solver(),
            verdicts,
        }
    }

    /// What `proposed` allows and denies that `current` does not.
    pub fn diff(&self, tenant: TenantId, current: &EffectiveSet, proposed: &EffectiveSet) -> PolicyDiff {
        with_room(|| diff::diff(&self.pool, tenant, current, proposed, self.deadline(), || self.solver()))
    }

    /// Whether `proposal` allows nothing that `current` does not.
    pub fn subset(&self, tenant: TenantId, proposal: &EffectiveSet, current: &EffectiveSet) -> SubsetResult {
        with_room(|| diff::subset(&self.pool, tenant, proposal, current, self.deadline(), || self.solver()))
    }
}

/// On a stack that the deepest policy fits on, whatever is left of the caller's: to look through an expression recurses.
fn with_room<T>(work: impl FnOnce() -> T) -> T {
    stacker::grow(64 * 1_048_576, work)
}

/// The worst counts: a counterexample before not knowing, not knowing before a proof.
fn merge(verdict: &mut Verdict, answer: Answer) {
    match answer {
        Answer::Proved => {}
        Answer::Refuted(example) => {
            if verdict.outcome != Outcome::Refuted {
                verdict.outcome = Outcome::Refuted;
                verdict.reason = None;
                verdict.counterexample = Some(example);
            }
        }
        Answer::Unproven(why) => {
            if verdict.outcome == Outcome::Proved {
                verdict.outcome = Outcome::Unproven;
                verdict.reason = Some(why.to_string());
            }
        }
    }
}

fn reason_of(verdicts: &[Verdict], outcome: Outcome) -> Option<String> {
    if outcome == Outcome::Proved {
        return None;
    }
    let of = verdicts.iter().filter(|verdict| verdict.outcome == outcome);
    let reasons: BTreeSet<String> =
        of.map(|verdict| verdict.reason.clone().unwrap_or_else(|| verdict.property.clone())).collect();
    Some(reasons.into_iter().collect::<Vec<_>>().join(", "))
}
