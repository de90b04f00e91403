//! Attestations: what a server says about itself and about one tenant's rules, signed with the keys that the tenant
//! pinned.
//!
//! Every hash is SHA-256 in hexadecimal, unless it says otherwise.
//!
//! # Invariants
//! - INV-ATTESTATION-1: nothing in it is of another tenant, nor counted over tenants. What the operator wrote is there as
//!   a hash only: neither names nor texts of guardrails, no reasons, no examples, nothing of the platform's invariants.
//! - INV-ATTESTATION-2: no member is a map and none is left out, so that what serde writes is the one canonical text.

use serde::{Deserialize, Serialize};

use super::isolation::{IsolationState, ProbeCounts};
use super::proof::{Covers, Outcome};
use crate::{InstallationId, PolicyName, TenantId, Timestamp};

/// The version of [`Attestation`] that this is.
pub const ATTESTATION_VERSION: u32 = 1;

/// An attestation and the signed note that covers it. `bailiwick verify` takes exactly this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignedAttestation {
    /// What is attested.
    pub attestation: Attestation,
    /// A signed note (C2SP) over the hash of the attestation's canonical text, its tenant, time and checkpoint.
    pub note: String,
}

/// What is attested. Its canonical text is this object as JSON, in this order, without white space between tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Attestation {
    /// The version of this shape: 1.
    pub v: u32,
    /// Of whom.
    pub tenant: AttestedTenant,
    /// On which installation.
    pub installation: InstallationId,
    /// When.
    pub issued_at: Timestamp,
    /// The tenant's ledger when the request was decided: before the entry of the request itself.
    pub checkpoint: AttestedCheckpoint,
    /// Which server answered.
    pub server: AttestedServer,
    /// What ships with the server and is part of every decision.
    pub shipped: AttestedShipped,
    /// What came of proving the rules in force.
    pub proof: AttestedProof,
    /// The operator's rules for all tenants, in the order of their hashes.
    pub guardrails: Vec<AttestedGuardrail>,
    /// The tenant's policies, in the order of their names.
    pub policies: Vec<AttestedPolicy>,
    /// The tenant's invariants, in the order of their names.
    pub invariants: Vec<AttestedInvariant>,
    /// The routes that the server answers on.
    pub routes: AttestedRoutes,
    /// What the server found when it tried its own isolation on its canary tenants.
    pub isolation: AttestedIsolation,
}

/// Of whom something is attested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedTenant {
    /// The id.
    pub id: TenantId,
    /// The slug.
    pub slug: String,
}

/// A state of the tenant's ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedCheckpoint {
    /// The log's origin.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root hash, base64.
    pub root: String,
}

/// Which server answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedServer {
    /// Its version.
    pub version: String,
    /// The hash of the program that it runs, as it says itself; null if it does not know.
    pub build: Option<String>,
}

/// What ships with the server and is part of every decision: hashes of texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedShipped {
    /// The Cedar schema: `bailiwick policy schema`.
    pub schema: String,
    /// The rule that keeps tenants apart.
    pub isolation: String,
    /// What every principal may do with itself.
    pub self_service: String,
    /// The templates of all roles, each as `name`, newline, template, newline.
    pub roles: String,
}

/// What came of proving the rules in force, for all requests that the tenant's principals could make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedProof {
    /// The worst of what came of isolation, guardrails and invariants.
    pub outcome: Outcome,
    /// That nobody reaches another tenant.
    pub isolation: Outcome,
    /// The hash of everything that was to be proved; null if nothing was prepared.
    pub hash: Option<String>,
    /// The solver and its version; null if there is none.
    pub solver: Option<String>,
}

/// A guardrail: the operator's, and so neither its name nor its text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedGuardrail {
    /// The hash of its text.
    pub sha256: String,
    /// That the tenant's rules keep to it.
    pub proof: Outcome,
}

/// A policy of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedPolicy {
    /// Its name.
    pub name: PolicyName,
    /// The hash of its text.
    pub sha256: String,
    /// What was proved of the rules as they were when it was changed last. What holds now is in the proof of the whole.
    pub proof: Outcome,
}

/// An invariant of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedInvariant {
    /// Its name.
    pub name: PolicyName,
    /// What it speaks about.
    pub covers: Covers,
    /// The hash of its text.
    pub sha256: String,
    /// That it holds now.
    pub proof: Outcome,
}

/// The routes that the server answers on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedRoutes {
    /// How many.
    pub count: u64,
    /// The hash of the lines `METHOD path action`, each with a newline at its end, sorted by their bytes; `open` for a
    /// route that takes no credential.
    pub sha256: String,
}

/// What the server found when it tried its own isolation on its canary tenants. Pass or fail, and how much was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedIsolation {
    /// What is known.
    pub state: IsolationState,
    /// When the last whole round ended; null if there was none.
    pub finished: Option<Timestamp>,
    /// What that round looked at; null if there was none.
    pub counts: Option<ProbeCounts>,
    /// Whether time tells a foreign thing from a missing one.
    pub timing: AttestedTiming,
}

/// Whether time tells a foreign thing from a missing one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AttestedTiming {
    /// On how many routes it was measured.
    pub measured: u64,
    /// On how many of them a difference was seen.
    pub seen: u64,
}
