//! A tenant, the accounts in it, and what can be taken away from them.

use std::collections::BTreeSet;

use bailiwick_client::{Call, routes};
use bailiwick_types::api::identity::{AccountKind, CreateAccount, IssueCredential};
use bailiwick_types::api::platform::CreatedAdmin;
use bailiwick_types::api::policy::{CreateBinding, Policy, PutPolicy};
use bailiwick_types::api::secret::{RevealedSecret, VersionInfo, WriteSecret};
use bailiwick_types::{MemberId, SecretPath};
use serde_json::json;

use super::caller::Caller;
use super::node::Node;

/// Where secrets are.
pub(crate) const MOUNT: &str = "secret";
/// What every account may read, by the tenant's own policy: a key for an account without roles is cheap to make.
const SHARED: &str =
    r#"permit (principal is ServiceAccount, action == Action::"secret:reveal", resource == Secret::"secret/shared");"#;

/// A tenant and its owner's credential.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) slug: String,
    pub(crate) owner: String,
    member: MemberId,
}

/// An account with a key.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) account: String,
    pub(crate) key: String,
    pub(crate) credential: String,
}

impl Tenant {
    pub(crate) fn new(slug: &str, admin: &CreatedAdmin) -> Self {
        Self { slug: slug.to_owned(), owner: admin.credential.clone(), member: admin.member }
    }

    pub(crate) fn routes(&self) -> routes::Tenant {
        routes::tenant(&self.slug)
    }

    /// The owner, who asks this node.
    pub(crate) fn owner(&self, node: &Node) -> Caller {
        node.caller(&self.owner)
    }

    /// Makes what every account reads, and the policy that lets it.
    pub(crate) fn furnish(&self, node: &Node) {
        let owner = self.owner(node);
        owner.must(&self.write("shared", 1, None));
        owner.must(&self.permit("shared", SHARED));
    }

    /// Puts a policy.
    pub(crate) fn permit(&self, name: &str, text: &str) -> Call<Policy> {
        let body = PutPolicy { description: String::new(), text: text.to_owned(), dry_run: false };
        self.routes().policy(name).put(&body)
    }

    /// Reads a secret.
    pub(crate) fn read(&self, path: &str) -> Call<RevealedSecret> {
        self.routes().reveal_secret(MOUNT, &at(path), None)
    }

    /// Reads what every account may.
    pub(crate) fn read_shared(&self) -> Call<RevealedSecret> {
        self.read("shared")
    }

    /// Writes a number into a secret.
    pub(crate) fn write(&self, path: &str, value: usize, cas: Option<u64>) -> Call<VersionInfo> {
        let data = json!({ "value": value }).as_object().unwrap().clone();
        self.routes().write_secret(MOUNT, &at(path), &WriteSecret { data, cas })
    }

    /// Makes an account that may read what all may, and a key for it.
    pub(crate) fn subject(&self, node: &Node, name: &str) -> Subject {
        let owner = self.owner(node);
        let account = owner.must(&self.routes().create_account(&CreateAccount {
            kind: AccountKind::Service,
            name: name.to_owned(),
            description: String::new(),
            labels: Default::default(),
            owner: self.member,
            expires: None,
        }));
        let mut subject = Subject { account: account.id.to_string(), key: String::new(), credential: String::new() };
        self.issue(node, &mut subject);
        subject
    }

    /// Gives the account a role on one secret; answers the binding.
    pub(crate) fn bind(&self, node: &Node, subject: &Subject, path: &str) -> String {
        let (principal, role) = (subject.account.clone(), "secret-reader".to_owned());
        let binding = CreateBinding { principal, role, on: format!("secret/{MOUNT}/{path}").parse().unwrap() };
        self.owner(node).must(&self.routes().create_binding(&binding)).id.to_string()
    }

    /// The names of all secrets in a folder.
    pub(crate) fn names(&self, node: &Node, folder: &str) -> BTreeSet<String> {
        let (owner, list) = (self.owner(node), self.routes().list_secrets(MOUNT, Some(&at(folder))));
        owner.all(list).into_iter().collect()
    }

    /// Gives the account another key.
    pub(crate) fn issue(&self, node: &Node, subject: &mut Subject) {
        let body =
            IssueCredential { description: String::new(), expires: None, ttl: None, source_networks: Vec::new() };
        let issued = self.owner(node).must(&self.routes().issue_key(&subject.account, &body));
        subject.key = issued.key.id.to_string();
        subject.credential = issued.credential;
    }
}

fn at(path: &str) -> SecretPath {
    path.parse().unwrap()
}
