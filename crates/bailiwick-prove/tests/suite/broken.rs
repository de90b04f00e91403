//! A solver that is missing, dies, hangs, talks nonsense or lies never makes a proof and never holds anybody up.

use std::time::{Duration, Instant};

use bailiwick_prove::{Prover, ProverConfig};
use bailiwick_types::api::proof::{Covers, Outcome, Proof};

use crate::world::{NO_AGENT_REVEALS_PROD, claim, config, is_proved, program, prover, question, set};

fn with(text: &str) -> (Proof, Duration) {
    let directory = tempfile::tempdir().unwrap();
    let config = ProverConfig {
        solver: program(&directory, text),
        time_limit: Duration::from_millis(400),
        change_limit: Duration::from_secs(4),
        pool: 2,
    };
    let prover = Prover::new(config);
    let began = Instant::now();
    let proof = prover.prove(&question(set(&[], &[]), vec![claim("p", Covers::Everything, NO_AGENT_REVEALS_PROD)]));
    (proof, began.elapsed())
}

const VERSION: &str = "#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'This is cvc5 version 9.9.9'; exit; fi\n";

#[track_caller]
fn is_unproven(script: &str, reasons: &[&str]) {
    let (proof, took) = with(&format!("{VERSION}{script}"));
    assert_eq!(proof.outcome, Outcome::Unproven, "{script}: {proof:?}");
    for verdict in &proof.verdicts {
        assert_eq!(verdict.outcome, Outcome::Unproven, "{script}: {verdict:?}");
        assert!(reasons.contains(&verdict.reason.as_deref().unwrap()), "{script}: {verdict:?}");
    }
    assert!(took < Duration::from_secs(10), "{script}: {took:?}");
}

#[test]
fn without_a_solver_nothing_is_proved() {
    let missing = Prover::new(ProverConfig { solver: "/nowhere/cvc5".into(), ..ProverConfig::default() });
    let proof = missing.prove(&question(set(&[], &[]), vec![]));
    assert_eq!(proof.status(), "unproven: no solver");
    assert_eq!((missing.check_solver().unwrap_err().as_str(), missing.solver()), ("no solver", None));
    // Another program is no solver either.
    let (proof, _) = with("#!/bin/sh\necho 'z3 version 4'\n");
    assert_eq!(proof.status(), "unproven: no solver");
}

#[test]
fn a_solver_that_dies_is_no_proof() {
    is_unproven("exit 1\n", &["the solver failed", "timed out"]);
    is_unproven("read line; exit 0\n", &["the solver failed", "timed out"]);
    is_unproven("kill -9 $$\n", &["the solver failed", "timed out"]);
}

#[test]
fn a_solver_that_hangs_is_ended_in_time() {
    is_unproven("exec sleep 1000\n", &["timed out"]);
    // It reads and says nothing.
    is_unproven("while read line; do :; done; exec sleep 1000\n", &["timed out"]);
    // Its version hangs.
    let (proof, took) = with("#!/bin/sh\nexec sleep 1000\n");
    assert_eq!(proof.outcome, Outcome::Unproven);
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_solver_that_talks_nonsense_is_no_proof() {
    is_unproven("while read line; do echo nonsense; done\n", &["the solver failed", "timed out"]);
    is_unproven("exec yes unsat\n", &["the solver failed", "timed out"]);
    is_unproven("exec head -c 100000000 /dev/zero\n", &["the solver failed", "timed out"]);
    is_unproven("while read line; do echo '(error \"no\")'; done\n", &["the solver failed", "timed out"]);
    let (proof, _) = with(&format!("{VERSION}{}", liar("unknown")));
    let invariant = proof.verdicts.iter().find(|verdict| verdict.property == "invariant:p").unwrap();
    assert_eq!(invariant.outcome, Outcome::Unproven, "{invariant:?}");
}

/// Answers marks and known questions as cvc5 does, and every other question with `answer`.
fn liar(answer: &str) -> String {
    format!(
        "known=\nwhile read line; do case \"$line\" in *'(echo'*) echo \"$line\" | tr -dc 'a-z0-9\\n-' | sed s/echo//;; \
         '(assert true)') known=sat;; '(assert false)') known=unsat;; *check-sat*) echo \"${{known:-{answer}}}\"; \
         known=;; *get-model*) echo '('; echo ')';; esac; done\n"
    )
}

#[test]
fn a_solver_that_claims_a_counterexample_that_is_none_is_caught() {
    // An empty model, which is none of the question that was asked.
    let (proof, _) = with(&format!("{VERSION}{}", liar("sat")));
    let invariant = proof.verdicts.iter().find(|verdict| verdict.property == "invariant:p").unwrap();
    assert_eq!(invariant.outcome, Outcome::Unproven, "{invariant:?}");
}

#[test]
fn a_solver_that_calls_everything_proved_is_caught_by_random_requests() {
    // Soundness rests on the solver; but a lie this coarse does not pass.
    let (proof, _) = with(&format!("{VERSION}{}", liar("unsat")));
    let invariant = proof.verdicts.iter().find(|verdict| verdict.property == "invariant:p").unwrap();
    assert_eq!(invariant.outcome, Outcome::Unproven, "{invariant:?}");
    let isolation = proof.verdicts.iter().find(|verdict| verdict.property == "isolation").unwrap();
    assert_ne!(isolation.outcome, Outcome::Refuted);
    // One that cannot answer what everybody knows is not asked at all.
    is_unproven(&liar("unsat").replace("known=sat", "known=unsat"), &["the solver failed", "timed out"]);
}

#[test]
fn a_solver_that_is_killed_is_replaced() {
    // Under a name of its own, so that no other test's solver is hit.
    prover();
    let directory = tempfile::tempdir().unwrap();
    let solver = directory.path().join("cvc5-doomed");
    let places = std::env::var_os("PATH").unwrap();
    let real = std::env::split_paths(&places).map(|place| place.join("cvc5")).find(|path| path.exists()).unwrap();
    std::os::unix::fs::symlink(real, &solver).unwrap();
    let prover = Prover::new(ProverConfig { solver, ..config() });
    let ask = |name: &str| {
        // A question of its own each time, so that what is remembered does not answer it.
        let text = format!("forbid(principal is Agent, action, resource) when {{ context.door == \"{name}\" }};");
        prover.prove(&question(set(&[("g", text.as_str())], &[]), vec![]))
    };
    is_proved(&ask("a"));
    let mut killed = 0;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if stat.contains("(cvc5-doomed)") {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            killed += usize::from(rustix::process::kill_process(pid, rustix::process::Signal::KILL).is_ok());
        }
    }
    assert!(killed > 0);
    // Unproven at worst, and then proved again.
    assert_ne!(ask("b").outcome, Outcome::Refuted);
    is_proved(&ask("c"));
}
