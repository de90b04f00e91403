//! How to make a valid request for each route.

use serde_json::{Value, json};

use super::Sides;
use crate::holdings::names;

/// What a route's request is made of, besides what its path says.
pub struct Row {
    /// Method and path, as [`bailiwick_http::Route::name`].
    pub route: String,
    /// The query, with its question mark.
    pub query: &'static str,
    /// The body; `null`: none.
    pub body: Body,
    /// A content type other than `application/json`.
    pub content_type: Option<&'static str>,
    /// Parameters of the path that stand for another thing than the usual one.
    pub given: &'static [(&'static str, &'static str)],
    /// Why a server that runs does not send the rightful request: it would change more than a canary.
    pub withheld: Option<&'static str>,
}

/// Makes a body, for `own`'s things.
pub type Body = fn(&Sides<'_>) -> Value;

fn row(route: impl Into<String>, body: Body) -> Row {
    Row { route: route.into(), query: "", body, content_type: None, given: &[], withheld: None }
}

impl Row {
    fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }
    fn given(self, given: &'static [(&'static str, &'static str)]) -> Self {
        Self { given, ..self }
    }
    fn content_type(self, content_type: &'static str) -> Self {
        Self { content_type: Some(content_type), ..self }
    }
    fn withheld(self, why: &'static str) -> Self {
        Self { withheld: Some(why), ..self }
    }
}

/// One row for each route.
pub(super) fn rows() -> Vec<Row> {
    let mut rows = operations();
    rows.extend(platform());
    rows.extend(identity());
    rows.extend(policy());
    rows.extend(secrets());
    rows.extend(tenant());
    rows.extend(vault());
    rows.extend(strays());
    rows
}

/// An installation that does not exist: what is sealed to it, nobody opens.
const RECIPIENT: &str =
    "bwr_0w3ge1r70w3ge1r70w3ge1r70w0000011400000000000000000000000000000000000000000000000001xgqtcc";

const NOWHERE: &str = "nothing is there";
const MAYBE_NONE: &str = "the installation may have none";

fn none(_: &Sides<'_>) -> Value {
    Value::Null
}

const FORBID: &str = r#"forbid(principal, action == Action::"secret:purge", resource);"#;

fn new_policy(_: &Sides<'_>) -> Value {
    json!({ "name": "fresh", "text": FORBID })
}

fn policy_text(_: &Sides<'_>) -> Value {
    json!({ "text": FORBID })
}

fn new_invariant(_: &Sides<'_>) -> Value {
    json!({ "name": "fresh", "text": FORBID, "covers": "policies" })
}

fn invariant_text(_: &Sides<'_>) -> Value {
    json!({ "text": FORBID, "covers": "policies" })
}

fn changed_policy(_: &Sides<'_>) -> Value {
    json!({ "with_policies": { "fresh": FORBID } })
}

fn renamed(_: &Sides<'_>) -> Value {
    json!({ "name": "renamed" })
}

fn described(_: &Sides<'_>) -> Value {
    json!({ "description": "described" })
}

fn value(_: &Sides<'_>) -> Value {
    json!({ "data": { "value": "third" } })
}

fn versions(_: &Sides<'_>) -> Value {
    json!({ "versions": [1] })
}

fn settings(_: &Sides<'_>) -> Value {
    json!({ "max_versions": 5 })
}

fn capability_paths(_: &Sides<'_>) -> Value {
    json!({ "paths": [format!("{}/data/{}", names::MOUNT, names::LIVE)] })
}

fn operations() -> Vec<Row> {
    vec![
        row("GET /healthz", none),
        row("GET /readyz", none),
        row("GET /api/v1/openapi.json", none),
        row("GET /api/v1/seal-status", none),
        row("POST /api/v1/init", |_| json!({ "provider": "file" })),
        row("POST /api/v1/unseal", |_| json!({ "key": "no share" })),
    ]
}

fn platform() -> Vec<Row> {
    let tenant = "/api/v1/tenants/{tenant}";
    let operator = "/api/v1/operators/{operator}";
    let guardrail = "/api/v1/guardrails/{guardrail}";
    let invariant = "/api/v1/invariants/{invariant}";
    let mut rows = vec![
        row("GET /api/v1/platform/whoami", none),
        row("GET /api/v1/platform/health", none),
        row("GET /api/v1/platform/isolation", none),
        row("POST /api/v1/platform/isolation:probe", none).withheld("it would begin another round"),
        row("POST /api/v1/platform/root-key/rotate", |_| json!({ "provider": "shamir" })),
        row("POST /api/v1/platform/seal", none),
        row("GET /api/v1/tenants", none),
        row("POST /api/v1/tenants", |_| json!({ "slug": "initech" })),
        row("POST /api/v1/tenants:import", none)
            .content_type("application/vnd.bailiwick.bundle")
            .withheld("there is no bundle to bring"),
        row("GET /api/v1/platform/recipient", none),
        row(format!("GET {tenant}"), none),
        row(format!("PATCH {tenant}"), renamed),
        row(format!("DELETE {tenant}"), none),
        row(format!("GET {tenant}/quotas"), none),
        row(format!("PUT {tenant}/quotas"), |_| json!({ "quotas": { "accounts": 5_000 } })),
        row("GET /api/v1/guardrails", none),
        row("POST /api/v1/guardrails", new_policy),
        row(format!("GET {guardrail}"), none).withheld(MAYBE_NONE),
        row(format!("PUT {guardrail}"), policy_text),
        row(format!("DELETE {guardrail}"), none),
        row("GET /api/v1/invariants", none),
        row("POST /api/v1/invariants", new_invariant),
        row(format!("GET {invariant}"), none).withheld(MAYBE_NONE),
        row(format!("PUT {invariant}"), invariant_text),
        row(format!("DELETE {invariant}"), none),
        row("POST /api/v1/invariants:check", none),
        row("GET /api/v1/operators", none),
        row("POST /api/v1/operators", |_| json!({ "name": "fresh", "role": "operator-viewer" })),
        row(format!("GET {operator}"), none),
        row(format!("PATCH {operator}"), renamed),
        row(format!("DELETE {operator}"), none),
        row(format!("GET {operator}/credentials"), none),
        row(format!("POST {operator}/credentials"), none),
        row(format!("DELETE {operator}/credentials/{{credential}}"), none),
    ];
    for act in ["suspend", "resume", "seal", "unseal"] {
        rows.push(row(format!("POST {tenant}/{act}"), none));
    }
    rows.extend(ledger("/api/v1/platform/ledger"));
    rows
}

fn ledger(base: &str) -> Vec<Row> {
    vec![
        row(format!("GET {base}/entries"), none),
        row(format!("GET {base}/entries/{{index}}"), none),
        row(format!("GET {base}/checkpoint"), none),
        row(format!("GET {base}/inclusion"), none).query("?index=0"),
        row(format!("GET {base}/consistency"), none).query("?old=1"),
        row(format!("GET {base}/export"), none),
    ]
}

fn identity() -> Vec<Row> {
    let members = "/api/v1/t/{tenant}/members";
    let accounts = "/api/v1/t/{tenant}/accounts";
    let keys = "/api/v1/t/{tenant}/accounts/{account}/keys";
    vec![
        row(format!("GET {members}"), none),
        row(format!("POST {members}"), |_| json!({ "name": "fresh", "role": "viewer" })),
        row(format!("GET {members}/{{member}}"), none),
        row(format!("PATCH {members}/{{member}}"), renamed),
        row(format!("DELETE {members}/{{member}}"), none),
        row(format!("GET {members}/{{member}}/credentials"), none),
        row(format!("POST {members}/{{member}}/credentials"), none),
        row(format!("DELETE {members}/{{member}}/credentials/{{credential}}"), none),
        row(format!("GET {accounts}"), none),
        row(format!("POST {accounts}"), |sides| json!({ "name": "fresh", "owner": sides.own.admin.id })),
        row(format!("GET {accounts}/{{account}}"), none),
        row(format!("PATCH {accounts}/{{account}}"), renamed),
        row(format!("DELETE {accounts}/{{account}}"), none),
        row(format!("GET {keys}"), none),
        row(format!("POST {keys}"), none),
        row(format!("GET {keys}/{{key}}"), none),
        row(format!("DELETE {keys}/{{key}}"), none),
        row(format!("POST {keys}/{{key}}/rotate"), none),
    ]
}

fn policy() -> Vec<Row> {
    let base = "/api/v1/t/{tenant}";
    vec![
        row(format!("GET {base}/roles"), none),
        row(format!("GET {base}/roles/{{role}}"), none),
        row(format!("GET {base}/bindings"), none),
        row(format!("POST {base}/bindings"), |sides| json!({ "principal": sides.own.bare.id, "role": "viewer" })),
        row(format!("GET {base}/bindings/{{binding}}"), none),
        row(format!("DELETE {base}/bindings/{{binding}}"), none),
        row(format!("GET {base}/policies"), none),
        row(format!("POST {base}/policies"), new_policy),
        row(format!("GET {base}/policies/{{policy}}"), none),
        row(format!("PUT {base}/policies/{{policy}}"), policy_text),
        row(format!("DELETE {base}/policies/{{policy}}"), none),
        row(
            format!("POST {base}/policies:check"),
            |sides| json!({ "principal": sides.own.reader.id, "action": "secret:reveal", "resource": "secret/secret/app/db" }),
        ),
        row(format!("POST {base}/policies:diff"), changed_policy),
        row(format!("POST {base}/policies:subset"), changed_policy),
        row(format!("GET {base}/policies:schema"), none),
        row(format!("GET {base}/invariants"), none),
        row(format!("POST {base}/invariants"), new_invariant),
        row(format!("GET {base}/invariants/{{invariant}}"), none),
        row(format!("PUT {base}/invariants/{{invariant}}"), invariant_text),
        row(format!("DELETE {base}/invariants/{{invariant}}"), none),
        row(format!("POST {base}/invariants:check"), none),
    ]
}

fn secrets() -> Vec<Row> {
    let base = "/api/v1/t/{tenant}";
    let secret = format!("{base}/secrets/{{mount}}/{{*path}}");
    let metadata = format!("{base}/secret-metadata/{{mount}}/{{*path}}");
    vec![
        row(format!("GET {base}/mounts"), none),
        row(format!("POST {base}/mounts"), |_| json!({ "name": "fresh" })),
        row(format!("GET {base}/mounts/{{mount}}"), none),
        row(format!("PATCH {base}/mounts/{{mount}}"), described),
        row(format!("DELETE {base}/mounts/{{mount}}"), none),
        row(format!("GET {secret}"), none),
        row(format!("PUT {secret}"), value),
        row(format!("PATCH {secret}"), value),
        row(format!("DELETE {secret}"), none),
        row(format!("POST {base}/secret-delete/{{mount}}/{{*path}}"), versions),
        row(format!("POST {base}/secret-undelete/{{mount}}/{{*path}}"), versions).given(&[("path", names::DELETED)]),
        row(format!("POST {base}/secret-destroy/{{mount}}/{{*path}}"), versions),
        row(format!("GET {metadata}"), none),
        row(format!("PUT {metadata}"), settings),
        row(format!("PATCH {metadata}"), settings),
        row(format!("DELETE {metadata}"), none),
        row(format!("GET {base}/secrets/{{mount}}"), none),
        row(format!("GET {base}/secrets/{{mount}}/"), none),
        row(format!("GET {base}/secrets/{{mount}}/{{*path}}/"), none),
    ]
}

fn tenant() -> Vec<Row> {
    let base = "/api/v1/t/{tenant}";
    let mut rows = vec![
        row(format!("GET {base}/whoami"), none),
        row(format!("POST {base}/whoami/revoke"), none),
        row(format!("POST {base}/capabilities"), capability_paths),
        row(format!("GET {base}/limits"), none),
        row(format!("GET {base}/attestation"), none),
        row(format!("GET {base}/keyring"), none),
        row(format!("POST {base}/keyring/rotate"), |_| json!({ "purpose": "records" }))
            .withheld("each would leave one more key"),
        row(format!("POST {base}/keyring/seal"), none).withheld("only an operator could unseal the canary"),
        row(format!("POST {base}/bundle"), |_| json!({ "recipient": RECIPIENT })),
    ];
    rows.extend(ledger("/api/v1/t/{tenant}/ledger"));
    rows
}

fn vault() -> Vec<Row> {
    const MERGE: &str = "application/merge-patch+json";
    let mut rows = vec![
        row("GET /v1/sys/health", none),
        row("HEAD /v1/sys/health", none),
        row("GET /v1/sys/seal-status", none),
        row("GET /v1/sys/leader", none),
        row("GET /v1/sys/init", none),
        row("POST /v1/sys/init", |_| json!({ "secret_shares": 1, "secret_threshold": 1 })),
        row("POST /v1/sys/unseal", |_| json!({ "key": "00" })),
        row("POST /v1/sys/seal", none),
        row("GET /v1/sys/mounts", none),
        row("POST /v1/sys/mounts/{mount}", |_| json!({ "type": "kv", "options": { "version": "2" } }))
            .given(&[("mount", "fresh")]),
        row("GET /v1/sys/mounts/{mount}/tune", none),
        row("POST /v1/sys/mounts/{mount}/tune", described),
        row("GET /v1/sys/internal/ui/mounts", none),
        row("GET /v1/sys/internal/ui/mounts/", none).withheld(NOWHERE),
        row("GET /v1/sys/internal/ui/mounts/{*path}", none),
        row("GET /v1/sys/internal/ui/mounts/{*path}/", none),
        row("POST /v1/sys/capabilities-self", capability_paths),
        row("GET /v1/auth/token/lookup-self", none),
        row("POST /v1/auth/token/lookup-self", none),
        row("POST /v1/auth/token/renew-self", none).withheld("credentials are not renewed"),
        row("POST /v1/auth/token/revoke-self", none),
        row("GET /v1/{mount}/data/{*path}", none),
        row("POST /v1/{mount}/data/{*path}", value),
        row("PATCH /v1/{mount}/data/{*path}", value).content_type(MERGE),
        row("DELETE /v1/{mount}/data/{*path}", none),
        row("POST /v1/{mount}/delete/{*path}", versions),
        row("POST /v1/{mount}/undelete/{*path}", versions).given(&[("path", names::DELETED)]),
        row("POST /v1/{mount}/destroy/{*path}", versions),
        row("GET /v1/{mount}/subkeys/{*path}", none),
        row("GET /v1/{mount}/config", none),
        row("POST /v1/{mount}/config", settings),
        row("GET /v1/{mount}/metadata/{*path}", none),
        row("POST /v1/{mount}/metadata/{*path}", settings),
        row("PATCH /v1/{mount}/metadata/{*path}", settings).content_type(MERGE),
        row("DELETE /v1/{mount}/metadata/{*path}", none),
    ];
    for path in ["/v1/{mount}/metadata", "/v1/{mount}/metadata/", "/v1/{mount}/metadata/{*path}/"] {
        rows.push(row(format!("LIST {path}"), none));
    }
    rows.push(row("LIST /v1/{mount}/metadata/{*path}", none).given(&[("path", names::FOLDER)]));
    for path in ["/v1/sys/mounts/{mount}", "/v1/sys/mounts/{mount}/"] {
        rows.push(row(format!("GET {path}"), none));
        rows.push(row(format!("DELETE {path}"), none));
    }
    rows
}

/// The rows of the Vault door that lead nowhere, so that whoever takes a wrong turn is known, and written down, too.
fn strays() -> Vec<Row> {
    let mut rows = vec![row("GET /v1/", none).withheld(NOWHERE)];
    for method in ["GET", "POST", "PATCH", "DELETE", "LIST"] {
        for base in ["/v1/{mount}", "/v1/sys", "/v1/auth"] {
            for rest in ["", "/", "/{*rest}", "/{*rest}/"] {
                rows.push(row(format!("{method} {base}{rest}"), none).withheld(NOWHERE));
            }
        }
    }
    rows
}
