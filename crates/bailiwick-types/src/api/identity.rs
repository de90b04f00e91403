//! Members, accounts and their credentials.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::secret::Unseen;
use crate::{AccountId, CredentialId, MemberId, Timestamp};

/// Labels: names and values that policy can see as tags.
pub type Labels = BTreeMap<String, String>;

/// A person of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Display name.
    pub name: String,
    /// E-mail address, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The role on the whole tenant.
    pub role: String,
    /// Whether it may do nothing for now.
    pub is_disabled: bool,
    /// When it was added.
    pub created: Timestamp,
}

/// A new member.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateMember {
    /// Display name.
    pub name: String,
    /// E-mail address, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// `owner`, `admin`, `auditor`, `viewer` or another role of the tenant.
    pub role: String,
}

/// Changes of a member; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateMember {
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The role on the whole tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Disable or enable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
}

/// The kind of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountKind {
    /// A service, a job, an integration.
    Service,
    /// An AI agent or other automation that decides by itself.
    Agent,
}

/// By hand, because the derived one would take `{"service": null}` too: one value has one spelling.
impl<'de> Deserialize<'de> for AccountKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "service" => Ok(Self::Service),
            "agent" => Ok(Self::Agent),
            _ => Err(serde::de::Error::custom("want `service` or `agent`")),
        }
    }
}

/// A non-human identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// Service account or agent.
    pub kind: AccountKind,
    /// Unique among the tenant's accounts is the id, not the name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Names and values that policy can see.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// The member who answers for it.
    pub owner: MemberId,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whether it may do nothing for now.
    pub is_disabled: bool,
    /// When it was created.
    pub created: Timestamp,
}

/// A new account.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccount {
    /// Service account or agent.
    #[serde(default = "service")]
    pub kind: AccountKind,
    /// Display name.
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Names and values that policy can see.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// The member who answers for it.
    pub owner: MemberId,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

fn service() -> AccountKind {
    AccountKind::Service
}

/// Changes of an account; what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateAccount {
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Replaces all labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// The member who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<MemberId>,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Disable or enable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_disabled: Option<bool>,
}

/// A credential without its secret: an account's API key, a member's or an operator's credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// Whose it is.
    pub principal: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it was issued.
    pub created: Timestamp,
    /// When it stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// When it was or will be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
    /// The networks that it may be used from (CIDR); empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_networks: Vec<String>,
    /// The key that it replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_from: Option<CredentialId>,
    /// When it was used last, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
}

/// A new credential.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueCredential {
    /// What it is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// When it stops working. Not with `ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// How long it works, such as `90d`. Not with `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// The networks that it may be used from (CIDR); empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_networks: Vec<String>,
}

/// A rotation: issue a successor and let the old key live on for a while.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateCredential {
    /// How long the old key still works, such as `24h`; `0s` revokes it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<String>,
    /// When the successor stops working. Not with `ttl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// How long the successor works, such as `90d`. Not with `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
}

/// A freshly issued credential. The text is shown this once. It is kept nowhere, unless the request had an
/// `Idempotency-Key`: then it is kept sealed for 24 hours, for a repetition of that very request.
#[derive(Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IssuedKey {
    /// The key without its secret.
    pub key: Credential,
    /// The credential itself.
    pub credential: String,
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedKey").field("key", &self.key).field("credential", &Unseen).finish()
    }
}
