//! Attestations: whether one is what was signed, how old it is, and what in it is no good news.
//!
//! What a verified attestation proves: the server that holds the pinned key said exactly this, of this tenant, at this
//! time. It does not prove that what the server said is true. Whoever knows the texts (the tenant its policies, everybody
//! the schema and the program of a release) can compare their hashes; the checkpoint can be compared with an export.

use std::time::Duration;

use bailiwick_ledger::attestation::{AttestationNote, read};
use bailiwick_ledger::note::VerifierKey;
use bailiwick_types::Timestamp;
use bailiwick_types::api::attestation::Attestation;
use bailiwick_types::api::isolation::IsolationState;
use bailiwick_types::api::proof::Outcome;
use bailiwick_types::time::format_duration;

use crate::error::EvidenceError;

/// How far ahead the server's clock may be.
const CLOCK_SKEW_MAX: Duration = Duration::from_secs(5 * 60);

/// How old an attestation may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The reader's time.
    pub now: Timestamp,
    /// The oldest that is taken.
    pub age_max: Duration,
}

/// What a verified attestation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationReport {
    /// What is attested.
    pub attestation: Attestation,
    /// Those of the given keys that signed it.
    pub signers: Vec<VerifierKey>,
    /// How many signatures are of other keys.
    pub unknown: usize,
}

/// Verifies an attestation with its note, `{"attestation":{…},"note":"…"}`, with keys that you trust.
///
/// # Errors
/// [`EvidenceError`] says what does not hold. That what is attested is no good news is not an error: see
/// [`AttestationReport::doubts`].
pub fn verify_attestation(
    json: &[u8],
    keys: &[VerifierKey],
    fresh: Option<Freshness>,
) -> Result<AttestationReport, EvidenceError> {
    let signed = read(json).map_err(EvidenceError::Attestation)?;
    let (note, opened) = AttestationNote::open(&signed.note, keys).map_err(EvidenceError::Attestation)?;
    let stated = AttestationNote::of(&signed.attestation).map_err(EvidenceError::Attestation)?;
    for (is_same, what) in [
        (stated.tenant == note.tenant, "tenant"),
        (stated.issued_at == note.issued_at, "time"),
        (stated.checkpoint == note.checkpoint, "checkpoint"),
        (stated == note, "hash"),
    ] {
        if !is_same {
            return Err(EvidenceError::NotAttested { what });
        }
    }
    let issued_at = note.issued_at;
    if let Some(Freshness { now, age_max }) = fresh {
        if issued_at > now.plus(CLOCK_SKEW_MAX) {
            return Err(EvidenceError::Future { issued_at });
        }
        if now.since(issued_at) > age_max {
            return Err(EvidenceError::TooOld { issued_at, age_max: format_duration(age_max) });
        }
    }
    Ok(AttestationReport { attestation: signed.attestation, signers: opened.verified, unknown: opened.unknown })
}

impl AttestationReport {
    /// What somebody who relies on it should know, in sentences. Empty: everything that is attested is good news.
    pub fn doubts(&self) -> Vec<String> {
        let Attestation { proof, guardrails, invariants, isolation, server, .. } = &self.attestation;
        let mut doubts = Vec::new();
        doubts.extend(match isolation.state {
            IsolationState::Holds => None,
            IsolationState::Off => Some("the server does not try its own isolation"),
            IsolationState::Starting => Some("the server has not yet tried its own isolation on every route"),
            IsolationState::Broken => Some("the server has found its own isolation broken"),
            IsolationState::Blind => Some("the server tried its own isolation and could not see whether it holds"),
        });
        let has_whole_round = isolation.counts.is_some_and(|counts| counts.findings == 0 && counts.probes > 0);
        if isolation.state == IsolationState::Holds && !has_whole_round {
            doubts.push("no probe stands behind what is said of isolation");
        }
        if isolation.timing.seen > 0 {
            doubts.push("on some routes time tells what belongs to others from what does not exist");
        }
        let of_rules = [
            (proof.outcome, "something is untrue of the rules in force", "the rules in force are not proved"),
            (
                proof.isolation,
                "the rules in force let somebody reach another tenant",
                "that the rules in force keep tenants apart is not proved",
            ),
        ];
        doubts.extend(of_rules.into_iter().filter_map(|(outcome, refuted, unproven)| match outcome {
            Outcome::Proved => None,
            Outcome::Refuted => Some(refuted),
            Outcome::Unproven => Some(unproven),
        }));
        if guardrails.iter().any(|guardrail| guardrail.proof != Outcome::Proved) {
            doubts.push("that the rules in force keep to every guardrail is not proved");
        }
        if server.build.is_none() {
            doubts.push("the server does not know which program it runs");
        }
        let mut doubts: Vec<String> = doubts.into_iter().map(str::to_owned).collect();
        let unproven = invariants.iter().filter(|invariant| invariant.proof != Outcome::Proved);
        doubts.extend(unproven.map(|invariant| format!("the invariant `{}` is {}", invariant.name, invariant.proof)));
        doubts
    }
}

#[cfg(test)]
#[path = "attestation_tests.rs"]
mod tests;
