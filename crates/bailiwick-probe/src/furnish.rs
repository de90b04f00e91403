//! Fills a canary tenant with a thing of every kind, and mends it after a rightful request has used something up.
//!
//! Everything goes through the doors, with the canary owner's credential. What is there by a name that is not ours was
//! made by a probe, and is taken away again: a canary does not grow.

use bailiwick_http::Route;
use serde_json::{Value, json};

use crate::doors::{Ask, Doors};
use crate::holdings::{Account, Key, Principal, Tenant, names};

/// What of a canary could not be made: the route and its answer.
#[derive(Debug, thiserror::Error)]
#[error("{method} {target} was answered with {status}: {body}")]
pub(crate) struct NotFurnished {
    method: &'static str,
    target: String,
    status: u16,
    body: String,
}

type Result<T> = std::result::Result<T, NotFurnished>;

const RULE: &str = r#"forbid(principal is Agent, action == Action::"secret:destroy", resource);"#;

/// One canary, and its owner's way in.
pub(crate) struct Furnisher<'a> {
    pub(crate) doors: &'a dyn Doors,
    pub(crate) tenant: &'a mut Tenant,
}

impl Furnisher<'_> {
    /// Makes everything anew: of what was made by an earlier process nobody has the credentials.
    pub(crate) async fn all(&mut self) -> Result<()> {
        self.tenant.admin = Principal::default();
        self.members().await?;
        self.rules().await?;
        self.secrets().await
    }

    /// Mends what a request of this route may have used up, or made.
    pub(crate) async fn mend(&mut self, route: &Route) -> Result<()> {
        let is_about = |nouns: &[&str]| nouns.iter().any(|noun| route.path.contains(noun));
        if is_about(&["/members", "/accounts", "/bindings", "/whoami", "/auth/token"]) {
            self.members().await
        } else if is_about(&["/policies", "/invariants"]) {
            self.rules().await
        } else if is_about(&["/mounts", "/config"]) {
            self.secrets().await
        } else {
            self.used_secrets().await
        }
    }

    async fn ask(&self, method: &'static str, path: &str, body: Value) -> Result<Value> {
        let target = format!("/api/v1/t/{}/{path}", self.tenant.slug);
        let seen = self.doors.answer(Ask::plain(method, target.clone(), self.tenant.owner.as_ref(), body)).await;
        if (200..300).contains(&seen.status) || (method == "DELETE" && seen.status == 404) {
            return Ok(seen.json());
        }
        let body = String::from_utf8_lossy(&seen.body).chars().take(300).collect();
        Err(NotFurnished { method, target, status: seen.status, body })
    }

    /// The items of a list that fits on one page.
    async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let page = self.ask("GET", &format!("{path}?limit=1000"), Value::Null).await?;
        Ok(page["items"].as_array().cloned().unwrap_or_default())
    }

    async fn delete(&self, path: &str) -> Result<()> {
        self.ask("DELETE", path, Value::Null).await.map(|_| ())
    }

    /// Takes away what is on a list and is none of `ours`; says which of ours are there.
    async fn sweep(&self, path: &str, member: &str, ours: &[&str]) -> Result<Vec<String>> {
        let mut there = Vec::new();
        for item in self.list(path).await? {
            let name = text(&item[member]);
            if ours.contains(&name.as_str()) {
                there.push(name);
            } else {
                self.delete(&format!("{path}/{name}")).await?;
            }
        }
        Ok(there)
    }

    async fn works(&self, credential: &str) -> bool {
        let target = format!("/api/v1/t/{}/whoami", self.tenant.slug);
        self.doors.answer(Ask::plain("GET", target, credential, Value::Null)).await.status == 200
    }

    // --- people and programs -----------------------------------------------------------------------------------------

    async fn members(&mut self) -> Result<()> {
        let tenant = &self.tenant;
        let (reader, bare) = (tenant.reader.id.clone(), tenant.bare.id.clone());
        // Accounts first: a member who owns one stays.
        let accounts = self.sweep("accounts", "id", &[&reader, &bare]).await?;
        let ours = [&tenant.owner, &tenant.admin, &tenant.auditor, &tenant.viewer].map(|member| member.id.clone());
        let there = self.sweep("members", "id", &ours.each_ref().map(String::as_str)).await?;
        for role in ["admin", "auditor", "viewer"] {
            let known = match role {
                "admin" => &self.tenant.admin,
                "auditor" => &self.tenant.auditor,
                _ => &self.tenant.viewer,
            };
            let path = format!("members/{}", known.id);
            if there.contains(&known.id)
                && self.is_as_it_was(&path, role, known.as_ref()).await
                && self.list(&format!("{path}/credentials")).await?.len() == 1
            {
                continue;
            }
            if there.contains(&known.id) {
                self.delete(&path).await?;
            }
            let made = self.ask("POST", "members", json!({ "name": role, "role": role })).await?;
            let id = text(&made["id"]);
            let key = issued(&self.ask("POST", &format!("members/{id}/credentials"), Value::Null).await?);
            let member = Principal { id, key };
            match role {
                "admin" => self.tenant.admin = member,
                "auditor" => self.tenant.auditor = member,
                _ => self.tenant.viewer = member,
            }
        }
        let is_reader = accounts.contains(&reader)
            && self.is_as_it_was(&format!("accounts/{reader}"), names::READER, self.tenant.reader.as_ref()).await
            && self.list(&format!("accounts/{reader}/keys")).await?.len() == 3;
        if !is_reader {
            self.delete(&format!("accounts/{reader}")).await?;
            self.reader().await?;
        }
        if !(accounts.contains(&bare) && self.works(self.tenant.bare.as_ref()).await) {
            self.delete(&format!("accounts/{bare}")).await?;
            self.tenant.bare = self.account("agent", "bare").await?;
        }
        self.bindings().await
    }

    /// Whether a member or an account still has its name, and its credential still works.
    async fn is_as_it_was(&self, path: &str, name: &str, credential: &str) -> bool {
        let shown = self.ask("GET", path, Value::Null).await.unwrap_or_default();
        shown["name"] == name
            && shown["description"].as_str().unwrap_or_default().is_empty()
            && self.works(credential).await
    }

    async fn account(&self, kind: &str, name: &str) -> Result<Account> {
        let body = json!({ "kind": kind, "name": name, "owner": self.tenant.admin.id });
        let id = text(&self.ask("POST", "accounts", body).await?["id"]);
        let key = self.key(&id, Value::Null).await?;
        Ok(Account { id, key })
    }

    async fn key(&self, account: &str, body: Value) -> Result<Key> {
        Ok(issued(&self.ask("POST", &format!("accounts/{account}/keys"), body).await?))
    }

    /// A key that will have expired in a moment. Until then it is nobody's: half of a pair of requests could be made before
    /// and half after.
    async fn expiring_key(&mut self, account: &str) -> Result<()> {
        let path = format!("accounts/{account}/keys");
        let answer = self.ask("POST", &path, json!({ "ttl": "1s" })).await?;
        self.tenant.expired = issued(&answer);
        self.tenant.expired_from = text(&answer["key"]["expires"]).parse().ok();
        Ok(())
    }

    /// The service account, with a key that works, one that is revoked and one that is about to expire.
    async fn reader(&mut self) -> Result<()> {
        self.tenant.reader = self.account("service", names::READER).await?;
        let id = self.tenant.reader.id.clone();
        self.tenant.revoked = self.key(&id, Value::Null).await?;
        self.delete(&format!("accounts/{id}/keys/{}", self.tenant.revoked.id)).await?;
        self.expiring_key(&id).await
    }

    async fn bindings(&mut self) -> Result<()> {
        let binding = self.tenant.binding.clone();
        if self.sweep("bindings", "id", &[&binding]).await?.is_empty() {
            let folder = format!("folder/{}/{}", names::MOUNT, names::FOLDER);
            let body = json!({ "principal": self.tenant.reader.id, "role": "secret-reader", "on": folder });
            self.tenant.binding = text(&self.ask("POST", "bindings", body).await?["id"]);
        }
        Ok(())
    }

    // --- rules -------------------------------------------------------------------------------------------------------

    async fn rules(&self) -> Result<()> {
        let only = self.tenant.only.as_str();
        for (path, ours) in [("policies", [names::POLICY, only]), ("invariants", [names::INVARIANT, only])] {
            self.sweep(path, "name", &ours).await?;
            let there = self.list(path).await?;
            for name in ours {
                // Each change is proved: that is work, and an entry.
                if !there.iter().any(|item| item["name"] == name && item["text"] == RULE) {
                    self.ask("PUT", &format!("{path}/{name}"), json!({ "text": RULE })).await?;
                }
            }
        }
        Ok(())
    }

    // --- secrets -----------------------------------------------------------------------------------------------------

    async fn mounts(&self) -> Result<()> {
        let only = self.tenant.only.as_str();
        let there = self.sweep("mounts", "name", &[names::MOUNT, names::SECOND_MOUNT, only]).await?;
        for name in [names::SECOND_MOUNT, only] {
            if !there.iter().any(|known| known == name) {
                self.ask("POST", "mounts", json!({ "name": name })).await?;
            }
        }
        Ok(())
    }

    /// All secrets, from their first version on.
    async fn secrets(&self) -> Result<()> {
        self.mounts().await?;
        let only = self.tenant.only.as_str();
        for (mount, path) in [(names::SECOND_MOUNT, names::LIVE), (only, only), (only, names::LIVE)] {
            self.sweep_secrets(mount, &[only]).await?;
            self.anew(mount, path).await?;
        }
        self.anew(names::MOUNT, names::OUTSIDE).await?;
        self.anew(names::MOUNT, only).await?;
        self.used_secrets().await
    }

    /// Those that requests are about.
    async fn used_secrets(&self) -> Result<()> {
        let mount = names::MOUNT;
        self.sweep_secrets(mount, &[names::OUTSIDE, &self.tenant.only]).await?;
        self.anew(mount, names::LIVE).await?;
        self.anew(mount, names::DELETED).await?;
        let deleted = format!("secret-delete/{mount}/{}", names::DELETED);
        self.ask("POST", &deleted, json!({ "versions": [1] })).await.map(|_| ())
    }

    /// Takes away what lies in a mount, outside of folders, and is none of `ours`.
    async fn sweep_secrets(&self, mount: &str, ours: &[&str]) -> Result<()> {
        let there = self.ask("GET", &format!("secrets/{mount}/?limit=1000"), Value::Null).await?;
        let names = there["items"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for name in names.filter(|name| !name.ends_with('/') && !ours.contains(name)) {
            self.delete(&format!("secret-metadata/{mount}/{name}")).await?;
        }
        Ok(())
    }

    async fn anew(&self, mount: &str, path: &str) -> Result<()> {
        self.delete(&format!("secret-metadata/{mount}/{path}")).await?;
        let value = json!({ "data": { "value": "first" } });
        self.ask("PUT", &format!("secrets/{mount}/{path}"), value).await.map(|_| ())
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn issued(answer: &Value) -> Key {
    Key { id: text(&answer["key"]["id"]), credential: text(&answer["credential"]) }
}
