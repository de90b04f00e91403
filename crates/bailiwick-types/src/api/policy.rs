//! Roles, bindings, policies and what they decide.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::proof::ProofMark;
use crate::{BindingId, PolicyName, Timestamp};

/// A role that ships with the product.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// The actions that it allows.
    pub actions: Vec<String>,
    /// Its Cedar template.
    pub template: String,
}

/// What a role is given on: `tenant`, `mount/secret`, `folder/secret/app`, `secret/secret/app/db`.
pub type BindingTarget = String;

/// A role given to a principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Binding {
    /// Its id.
    pub id: BindingId,
    /// Who: an account's or a member's id.
    pub principal: String,
    /// The role.
    pub role: String,
    /// On what: `tenant`, `mount/NAME`, `folder/MOUNT/PATH` or `secret/MOUNT/PATH`.
    pub on: BindingTarget,
    /// When it was made.
    pub created: Timestamp,
}

/// A new binding.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBinding {
    /// Who: an account's or a member's id.
    pub principal: String,
    /// The role.
    pub role: String,
    /// On what: `tenant` (also when absent), `mount/NAME`, `folder/MOUNT/PATH` or `secret/MOUNT/PATH`.
    #[serde(default = "tenant")]
    pub on: BindingTarget,
}

fn tenant() -> String {
    "tenant".to_owned()
}

/// A policy of the tenant, or a guardrail of the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Policy {
    /// Its name.
    pub name: PolicyName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Cedar.
    pub text: String,
    /// Grows with each change; the ETag.
    pub version: u64,
    /// When it was changed last.
    pub updated: Timestamp,
    /// What a reviewer should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What was proved when it was changed last, of the whole set that it became part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ProofMark>,
}

/// A new text for a policy or guardrail.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PutPolicy {
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Cedar: one or more `permit` or `forbid` statements.
    pub text: String,
    /// Check the text and show what would be stored, and store nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// A new policy, named in the body.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePolicy {
    /// Its name.
    pub name: PolicyName,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Cedar: one or more `permit` or `forbid` statements.
    pub text: String,
    /// Check the text and show what would be stored, and store nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// One error in a policy text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PolicyProblem {
    /// What is wrong.
    pub message: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What to try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A hypothetical request.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// An account's or a member's id; the caller itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The action, such as `secret:reveal`.
    pub action: String,
    /// The resource: `tenant`, `secret/MOUNT/PATH`, `folder/MOUNT/PATH`, `mount/NAME`, `account/ID`, `member/ID`,
    /// `key/ID`, `policy/NAME`, `role/NAME`, `binding/ID`, `ledger`, `keyring`.
    pub resource: String,
    /// Tags of the resource, instead of the stored ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<BTreeMap<String, String>>,
    /// When; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// From which address; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Policies to try instead of or besides the stored ones; a null text leaves one out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with_policies: BTreeMap<String, Option<String>>,
}

/// What would be decided, and why.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckResult {
    /// `allow` or `deny`.
    pub decision: String,
    /// The policies that determined it: `role:…`, `policy:…`, `guardrail:…`, `isolation`. Empty for a default deny.
    pub determining: Vec<String>,
    /// Policies that failed to evaluate; any of these denies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// How many policies could match and were evaluated.
    pub candidates: usize,
    /// How many there are.
    pub total: usize,
}
