//! What a tenant asks while it is measured. KV v2 is asked as Vault's clients ask it, byte for byte.

use std::time::Duration;

use serde_json::json;

use crate::plan::Request;

/// Secrets of each tenant that the reads and writes go around.
pub const SECRETS: usize = 5;
/// Connections of a neighbour whose latency is watched while another tenant floods the server.
pub const QUIET_CONNECTIONS: usize = 4;
/// How long each of them rests after an answer.
pub const QUIET_REST: Duration = Duration::from_millis(10);
/// Connections of the flood.
pub const FLOOD_CONNECTIONS: usize = 512;
/// How long the flood runs before the neighbour is measured.
pub const FLOOD_RISE: Duration = Duration::from_secs(1);
/// Refusals because of its size, which a flood asks for.
pub const FLOOD_REFUSALS: [u16; 2] = [429, 503];
/// Statements in one document of policies.
const STATEMENTS_PER_DOCUMENT: usize = 50;

/// A tenant and the credential with which its load is sent; so it is not `Debug`.
#[derive(Clone)]
pub struct Tenant {
    /// Its slug, or namespace.
    pub slug: String,
    /// Its own.
    pub credential: String,
}

impl Tenant {
    /// What its requests carry.
    pub fn headers(&self) -> Vec<(String, String)> {
        let pairs = [("X-Vault-Token", &self.credential), ("X-Vault-Namespace", &self.slug)];
        pairs.map(|(name, value)| (name.to_owned(), value.clone())).to_vec()
    }

    fn secret(&self, number: usize) -> String {
        format!("/v1/secret/data/app/{}-{number}", self.slug)
    }

    /// What is written: no value is the same in two tenants, so a wrong answer cannot pass for a right one.
    fn value(&self, number: usize) -> String {
        format!("{}-{number}-{}", self.slug, "x".repeat(220))
    }

    /// A Vault client's request for this.
    pub fn asks(&self, method: &str, path: impl Into<String>) -> Request {
        Request { headers: self.headers(), ..Request::new(method, path) }
    }

    /// A request at the native API.
    pub fn native(&self, method: &str, path: &str) -> Request {
        let path = format!("/api/v1/t/{}{path}", self.slug);
        Request::new(method, path).header("Authorization", format!("Bearer {}", self.credential))
    }

    /// Reads one of its secrets.
    pub fn read(&self, number: usize) -> Request {
        let number = number % SECRETS;
        self.asks("GET", self.secret(number)).must_hold(self.value(number))
    }

    /// Reads all of its secrets, one after the other.
    pub fn reads(&self) -> impl Iterator<Item = Request> {
        (0..SECRETS).map(|number| self.read(number))
    }

    /// Writes a new version of one of its secrets.
    pub fn write(&self, number: usize) -> Request {
        let number = number % SECRETS;
        let body = json!({"data": {"value": self.value(number)}}).to_string();
        self.asks("POST", self.secret(number)).body(body).must_hold("\"version\":")
    }

    /// Writes all of its secrets.
    pub fn writes(&self) -> impl Iterator<Item = Request> {
        (0..SECRETS).map(|number| self.write(number))
    }

    /// Writes so many policies, each for a thing that nobody reads here.
    pub fn policies(&self, count: usize) -> Vec<Request> {
        let statement = |number: usize| {
            format!(
                "permit (principal, action == Action::\"secret:reveal\", resource in Folder::\"secret/team-{number}\");\n"
            )
        };
        let document = |from: usize| {
            let to = count.min(from + STATEMENTS_PER_DOCUMENT);
            let text: String = (from..to).map(statement).collect();
            let body = json!({"name": format!("teams-from-{from}"), "text": text}).to_string();
            self.native("POST", "/policies").body(body)
        };
        (0..count).step_by(STATEMENTS_PER_DOCUMENT).map(document).collect()
    }
}

/// Makes the tenant `PREFIX-NUMBER`, by an operator with this credential. One request does all of it: the answer holds the
/// tenant's first credential, and the mount exists.
pub fn creation(prefix: &str, operator: &str) -> Request {
    let body = json!({"slug": format!("{prefix}-{{n}}"), "name": format!("Bench {prefix} {{n}}")}).to_string();
    Request::new("POST", "/api/v1/tenants")
        .header("Authorization", format!("Bearer {operator}"))
        .body(body)
        .must_hold("\"credential\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_as_many_as_were_asked_for() {
        let tenant = Tenant { slug: "a".to_owned(), credential: "c".to_owned() };
        for (count, documents) in [(0, 0), (5, 1), (50, 1), (51, 2), (500, 10)] {
            let made = tenant.policies(count);
            let statements: usize = made.iter().map(|request| request.body.matches("permit (").count()).sum();
            assert_eq!((statements, made.len()), (count, documents));
        }
    }

    #[test]
    fn no_two_tenants_have_the_same_value() {
        let tenant = |slug: &str| Tenant { slug: slug.to_owned(), credential: "c".to_owned() };
        let held: Vec<_> = [tenant("a"), tenant("b")].iter().flat_map(|t| t.reads().map(|r| r.must_hold)).collect();
        let different: std::collections::BTreeSet<_> = held.iter().collect();
        assert_eq!(different.len(), 2 * SECRETS);
    }
}
