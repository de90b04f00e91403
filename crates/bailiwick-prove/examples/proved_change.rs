//! How long a proved change of policies takes: 20 policies, 5 invariants, one policy changed again and again.
//!
//! `cargo run --release -p bailiwick-prove --example proved_change`
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints what it measures, and ends where it cannot")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_authz::analysis::{Claim, EffectiveSet, Question};
use bailiwick_authz::{CompiledPolicy, Layer, compile_policy};
use bailiwick_prove::{Prover, ProverConfig};
use bailiwick_types::api::proof::{Covers, Outcome};
use bailiwick_types::{Plane, TenantId};

const CHANGES: usize = 41;

fn document(layer: Layer, name: &str, text: &str) -> Arc<CompiledPolicy> {
    compile_policy(layer, &name.parse().unwrap(), text).unwrap()
}

/// One team's folder, in three shapes.
fn policy(team: usize) -> String {
    match team % 3 {
        0 => format!(
            "permit(principal is ServiceAccount, action in [Action::\"secret:reveal\", Action::\"secret:list\"], \
             resource in Folder::\"secret/team{team}\");"
        ),
        1 => format!(
            "permit(principal is Agent, action == Action::\"secret:describe\", resource in Folder::\"secret/team{team}\") \
             when {{ principal.hasTag(\"team\") && principal.getTag(\"team\") == \"team{team}\" }};"
        ),
        _ => format!(
            "forbid(principal, action in [Action::\"secret:purge\", Action::\"secret:destroy\"], \
             resource in Folder::\"secret/team{team}\") unless {{ principal is Member }};"
        ),
    }
}

fn main() {
    let mut policies: Vec<_> =
        (0..19).map(|team| document(Layer::Tenant, &format!("team{team}"), &policy(team))).collect();
    policies.push(document(
        Layer::Tenant,
        "prod",
        "forbid(principal is Agent, action == Action::\"secret:reveal\", resource) when { resource.hasTag(\"env\") && \
         resource.getTag(\"env\") == \"prod\" };",
    ));
    let invariant = |name: &str, covers, text: &str| Claim { text: document(Layer::Invariant, name, text), covers };
    let invariants = vec![
        invariant(
            "no-agent-reveals-prod",
            Covers::Everything,
            "forbid(principal is Agent, action == Action::\"secret:reveal\", resource) when { resource.hasTag(\"env\") \
             && resource.getTag(\"env\") == \"prod\" };",
        ),
        invariant(
            "members-purge-team2",
            Covers::Everything,
            "forbid(principal is Agent, action == Action::\"secret:purge\", resource in Folder::\"secret/team2\");",
        ),
        invariant(
            "policies-issue-no-keys",
            Covers::Policies,
            "forbid(principal, action in [Action::\"key:issue\", Action::\"key:rotate\"], resource);",
        ),
        invariant(
            "policies-write-nothing",
            Covers::Policies,
            "forbid(principal, action in [Action::\"write\"], resource);",
        ),
        invariant(
            "agents-describe-their-team",
            Covers::Policies,
            "forbid(principal is Agent, action == Action::\"secret:describe\", resource) unless { \
             principal.hasTag(\"team\") };",
        ),
    ];
    let config = ProverConfig {
        time_limit: Duration::from_secs(30),
        change_limit: Duration::from_secs(300),
        ..ProverConfig::default()
    };
    let prover = Prover::new(config);
    println!("solver: {}", prover.check_solver().unwrap());
    let mut ask = |text: String| {
        policies.retain(|policy| policy.name().as_str() != "changing");
        policies.push(document(Layer::Tenant, "changing", &text));
        let set = EffectiveSet { plane: Plane::Tenant, guardrails: Vec::new(), policies: policies.clone() };
        let question = Question { tenant: TenantId::from_bytes([1; 16]), set, invariants: invariants.clone() };
        let began = Instant::now();
        let proof = prover.prove(&question);
        assert_eq!(proof.outcome, Outcome::Proved, "{proof:#?}");
        began.elapsed()
    };
    println!("first, nothing remembered: {:?}", ask("forbid(principal, action, resource) when { false };".to_owned()));
    for (what, text) in [
        ("nothing new", "forbid(principal, action, resource) when { false };"),
        (
            "a permit on one folder",
            "permit(principal is Agent, action == Action::\"secret:describe\", resource in Folder::\"secret/NEW\") when \
             { principal.hasTag(\"team\") && principal.getTag(\"team\") == \"NEW\" };",
        ),
        ("a forbid for agents, whatever they do", "forbid(principal is Agent, action, resource in Mount::\"NEW\");"),
    ] {
        let mut times: Vec<_> = (0..CHANGES).map(|n| ask(text.replace("NEW", &format!("new{n}")))).collect();
        times.sort_unstable();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        println!("{what}: median {:?}, p90 {:?}, of {CHANGES}", at(50), at(90));
    }
}
