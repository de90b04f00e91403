//! What a tenant, or the installation's operator, has seen: ids, credentials, names, cursors.
//!
//! A tenant's book holds only what its own answers said. So if the answers do not depend on the others, what is asked next
//! does not either.

use bailiwick_types::{Action, CredentialText, Random};
use serde_json::Value;

use crate::asking::Asked;
use crate::script::Caller;

/// A tenant's book; the installation's has operators for members and guardrails for policies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Book {
    pub(crate) slug: String,
    /// Empty until the tenant is there.
    pub(crate) id: String,
    /// Their texts, the first owner's first.
    pub(crate) credentials: Vec<String>,
    pub(crate) members: Vec<String>,
    pub(crate) accounts: Vec<String>,
    /// (account, key)
    pub(crate) keys: Vec<(String, String)>,
    pub(crate) bindings: Vec<String>,
    pub(crate) cursors: Vec<(Action, String)>,
    /// The newest shares of the root key.
    pub(crate) shares: Vec<String>,
    /// What was answered, in that order.
    pub(crate) sent: Vec<Asked>,
}

impl Book {
    pub(crate) fn of_tenant(tenant: usize) -> Self {
        Self { slug: slug(tenant), ..Self::default() }
    }

    /// What somebody sends. Empty: nothing.
    pub(crate) fn credential(&self, caller: Caller) -> String {
        match caller {
            Caller::First => self.credentials.first().cloned().unwrap_or_default(),
            Caller::Some(which) => one(&self.credentials, which).cloned().unwrap_or_default(),
            Caller::Forged => self.forged().unwrap_or_default(),
            Caller::Nobody => String::new(),
        }
    }

    fn forged(&self) -> Option<String> {
        let known = CredentialText::parse(self.credentials.first()?).ok()?;
        Some(CredentialText::generate(known.claimed_tenant(), known.id(), &Ones).reveal().expose().clone())
    }

    /// Reads an answer to what was asked.
    pub(crate) fn learn(&mut self, asked: &Asked, status: u16, answer: &Value) {
        self.sent.push(asked.clone());
        if !(200..300).contains(&status) {
            return;
        }
        let text = |at: &str| answer.pointer(at).and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
        match asked.action {
            Some(Action::TenantCreate) => {
                self.id = text("/tenant/id");
                self.members.push(text("/admin/member"));
                self.credentials.push(text("/admin/credential"));
            }
            Some(Action::MemberCreate | Action::OperatorCreate) => self.members.push(text("/id")),
            Some(Action::AccountCreate) => self.accounts.push(text("/id")),
            Some(Action::BindingCreate) => self.bindings.push(text("/id")),
            Some(
                Action::MemberCredentialIssue | Action::OperatorCredentialIssue | Action::KeyIssue | Action::KeyRotate,
            ) => {
                self.keys.push((text("/key/principal"), text("/key/id")));
                self.credentials.push(text("/credential"));
            }
            Some(Action::RootKeyRotate) => {
                let shares = answer["shares"].as_array().into_iter().flatten();
                self.shares = shares.filter_map(Value::as_str).map(str::to_owned).collect();
            }
            _ => {}
        }
        if let (Some(action), Some(next)) = (asked.action, answer["next"].as_str()) {
            self.cursors.push((action, next.to_owned()));
        }
    }
}

/// The slug of a tenant.
pub(crate) fn slug(tenant: usize) -> String {
    ["acme", "globex", "initech", "umbrella", "hooli"][tenant].to_owned()
}

/// One of these, if there is any. The newest are the likeliest: old ones tend to be gone.
pub(crate) fn one<T>(from: &[T], which: u8) -> Option<&T> {
    if which.is_multiple_of(2) { from.last() } else { from.get(usize::from(which / 2) % from.len().max(1)) }
}

/// The randomness of forgers.
struct Ones;

impl Random for Ones {
    fn fill(&self, out: &mut [u8]) {
        out.fill(1);
    }
}
