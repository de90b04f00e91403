//! What was proved about policies, and what was found instead.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{PolicyName, Timestamp};

/// What came of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds for every request.
    Proved,
    /// Nobody knows. The reason says why.
    Unproven,
    /// There is a request for which it does not hold.
    Refuted,
}

impl Outcome {
    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Unproven => "unproven",
            Self::Refuted => "refuted",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an invariant speaks about.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Covers {
    /// Everything that can be allowed: by policies, and by any role that anybody has or will be given. What holds here
    /// stays true whatever roles are bound.
    #[default]
    Everything,
    /// What policies allow. Roles are left aside.
    Policies,
}

impl Covers {
    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Policies => "policies",
        }
    }
}

/// Somebody or something in an example.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExampleParty {
    /// Its Cedar type, such as `Agent`.
    pub kind: String,
    /// Its id; one that no policy names is made up.
    pub id: String,
    /// Its tenant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Its name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is in, besides its tenant, as Cedar writes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub within: Vec<String>,
    /// Its tags: labels, custom metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// A request that shows something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ExampleRequest {
    /// Who.
    pub principal: ExampleParty,
    /// What.
    pub action: String,
    /// On what.
    pub resource: ExampleParty,
    /// The request's context: `now`, `source`, `door`; only what a policy involved looks at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, String>,
    /// What allows it, or forbids it: `policy:…`, `guardrail:…`, `isolation`; `any role` stands for every role that
    /// allows the action, such as `owner`. Empty: nothing allows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub determining: Vec<String>,
    /// All of it in one sentence.
    pub sentence: String,
}

/// What came of one property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Verdict {
    /// `isolation`, `guardrail:NAME`, `invariant:NAME` or `subset`.
    pub property: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it is not proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A request for which it does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counterexample: Option<Box<ExampleRequest>>,
    /// For how many kinds of request (principal type, action, resource type) it was asked.
    pub environments: usize,
}

/// What came of all properties of one set of policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Proof {
    /// The worst of the verdicts.
    pub outcome: Outcome,
    /// Why it is not proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// SHA-256, in hexadecimal, of what was to be proved: schema, every statement, every property.
    pub hash: String,
    /// The solver and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<String>,
    /// One for each property.
    pub verdicts: Vec<Verdict>,
}

impl Proof {
    /// `proved`, `refuted`, `unproven: no solver`, ….
    pub fn status(&self) -> String {
        match &self.reason {
            Some(reason) => format!("{}: {reason}", self.outcome),
            None => self.outcome.to_string(),
        }
    }

    /// The first verdict that says that something does not hold.
    pub fn refuted(&self) -> Option<&Verdict> {
        self.verdicts.iter().find(|verdict| verdict.outcome == Outcome::Refuted)
    }
}

/// What is known of the set of policies since the last change of this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProofMark {
    /// `proved`, or `unproven: ` and why.
    pub status: String,
    /// SHA-256 of what was to be proved, as in the ledger.
    pub hash: String,
    /// The solver and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<String>,
    /// When.
    pub checked: Timestamp,
}

/// A change of policies that is not made: what would it come to?
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposeChange {
    /// Policies instead of or besides the stored ones; a null text leaves one out.
    pub with_policies: BTreeMap<String, Option<String>>,
}

/// Something that a change newly allows or denies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Difference {
    /// One such request.
    pub example: ExampleRequest,
    /// All actions for which there is one like it.
    pub actions: Vec<String>,
}

/// What a change would newly allow and newly deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyDiff {
    /// `proved` if what is listed is all that changes (by kind of request), `unproven` if something may be missing.
    pub outcome: Outcome,
    /// Why something may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Newly allowed.
    pub allowed: Vec<Difference>,
    /// Newly denied.
    pub denied: Vec<Difference>,
    /// What a reviewer should know.
    pub warnings: Vec<String>,
    /// The solver and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<String>,
}

/// Whether a change only takes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SubsetResult {
    /// `proved`: whatever the proposal allows is allowed now.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The solver and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<String>,
}

/// A rule that a tenant, or the platform, declares over all possible requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Invariant {
    /// Its name.
    pub name: PolicyName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Cedar: the most that may ever be allowed. Without a `permit` all is that no `forbid` matches.
    pub text: String,
    /// What it speaks about.
    #[serde(default)]
    pub covers: Covers,
    /// Grows with each change; the ETag.
    pub version: u64,
    /// When it was changed last.
    pub updated: Timestamp,
    /// What is known of it since its last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofMark>,
    /// What a reviewer should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A new text for an invariant.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutInvariant {
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Cedar: the most that may ever be allowed. Without a `permit` all is that no `forbid` matches.
    pub text: String,
    /// What it speaks about: `everything` (also when absent) or `policies`.
    #[serde(default)]
    pub covers: Covers,
    /// Check the text, prove it, and store nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// A new invariant, named in the body.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvariant {
    /// Its name.
    pub name: PolicyName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Cedar: the most that may ever be allowed. Without a `permit` all is that no `forbid` matches.
    pub text: String,
    /// What it speaks about: `everything` (also when absent) or `policies`.
    #[serde(default)]
    pub covers: Covers,
    /// Check the text, prove it, and store nothing.
    #[serde(default)]
    pub dry_run: bool,
}
