//! A prover, and short ways to write questions.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_authz::analysis::{Claim, EffectiveSet, Question};
use bailiwick_authz::{CompiledPolicy, Layer, compile_policy};
use bailiwick_prove::{Prover, ProverConfig};
use bailiwick_types::api::proof::{Covers, Outcome, Proof, Verdict};
use bailiwick_types::{Plane, TenantId};

pub(crate) const ACME: TenantId = TenantId::from_bytes([0xac; 16]);
pub(crate) const ZETA: TenantId = TenantId::from_bytes([0x2e; 16]);

/// No agent reveals a secret that is labelled `env=prod`.
pub(crate) const NO_AGENT_REVEALS_PROD: &str = r#"forbid(principal is Agent, action == Action::"secret:reveal", resource)
    when { resource.hasTag("env") && resource.getTag("env") == "prod" };"#;

/// With the time that an unoptimised build on a busy machine takes.
pub(crate) fn config() -> ProverConfig {
    ProverConfig {
        time_limit: Duration::from_secs(30),
        change_limit: Duration::from_secs(300),
        ..ProverConfig::default()
    }
}

pub(crate) fn prover() -> Prover {
    let prover = Prover::new(config());
    if let Err(why) = prover.check_solver() {
        panic!("{why}: install cvc5 with `apt-get install cvc5` or `cargo xtask setup`");
    }
    prover
}

pub(crate) fn document(layer: Layer, name: &str, text: &str) -> Arc<CompiledPolicy> {
    compile_policy(layer, &name.parse().unwrap(), text).unwrap_or_else(|problems| panic!("{name}: {problems:?}"))
}

/// A tenant's set: guardrails and policies as pairs of name and text.
pub(crate) fn set(guardrails: &[(&str, &str)], policies: &[(&str, &str)]) -> EffectiveSet {
    let of = |layer, all: &[(&str, &str)]| all.iter().map(|(name, text)| document(layer, name, text)).collect();
    EffectiveSet {
        plane: Plane::Tenant,
        guardrails: of(Layer::Guardrail, guardrails),
        policies: of(Layer::Tenant, policies),
    }
}

pub(crate) fn claim(name: &str, covers: Covers, text: &str) -> Claim {
    Claim { text: document(Layer::Invariant, name, text), covers }
}

pub(crate) fn question(set: EffectiveSet, invariants: Vec<Claim>) -> Question {
    Question { tenant: ACME, set, invariants }
}

#[track_caller]
pub(crate) fn verdict<'p>(proof: &'p Proof, property: &str) -> &'p Verdict {
    proof.verdicts.iter().find(|verdict| verdict.property == property).unwrap_or_else(|| panic!("{proof:?}"))
}

#[track_caller]
pub(crate) fn is_proved(proof: &Proof) {
    assert_eq!(proof.outcome, Outcome::Proved, "{proof:#?}");
    assert!(proof.verdicts.iter().all(|verdict| verdict.outcome == Outcome::Proved), "{proof:#?}");
    assert!(proof.solver.as_ref().is_some_and(|solver| solver.starts_with("cvc5 ")), "{proof:?}");
    assert_eq!(proof.hash.len(), 64);
}

/// A program that a test makes.
pub(crate) fn program(directory: &tempfile::TempDir, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.path().join("cvc5");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}
