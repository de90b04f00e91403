//! What the server of the transcript knows: one answer per route.

use std::sync::LazyLock;

use super::fake::{Canned, Seen};

pub(super) const TENANT: &str = r#"{"id":"ten_04106101040g20g4081040g208","slug":"acme","name":"Acme Ltd","state":"active","is_sealed":false,"created":"2026-01-01T00:00:00Z","counts":{"members":1,"accounts":2,"credentials":3,"bindings":4,"policies":0,"mounts":1,"secrets":1234,"secret_versions":5678,"ledger_entries":91011}}"#;
pub(super) const OPERATOR: &str = r#"{"id":"opr_00000000000000000000000004","name":"Grace","role":"operator-admin","is_disabled":false,"created":"2026-01-01T00:00:00Z"}"#;
pub(super) const MEMBER: &str = r#"{"id":"mem_00000000000000000000000004","name":"Ada","email":"ada@acme.example","role":"owner","is_disabled":false,"created":"2026-01-01T00:00:00Z"}"#;
pub(super) const ACCOUNT: &str = r#"{"id":"acc_00000000000000000000000004","kind":"agent","name":"helper","description":"helps","labels":{"env":"prod"},"owner":"mem_00000000000000000000000004","expires":"2026-02-01T00:00:00Z","is_disabled":false,"created":"2026-01-01T00:00:00Z"}"#;
pub(super) const CREDENTIAL: &str = r#"{"id":"key_00000000000000000000000004","principal":"acc_00000000000000000000000004","description":"ci","created":"2026-01-01T00:00:00Z","expires":"2026-02-01T00:00:00Z","source_networks":["10.0.0.0/8"],"last_used":"2026-01-09T23:00:00Z"}"#;
pub(super) const ROLE: &str = r#"{"name":"secret-reader","description":"reads secrets","actions":["secret:reveal","secret:list"],"template":"permit (\n  principal == ?principal, action, resource in ?resource\n);\n"}"#;
pub(super) const BINDING: &str = r#"{"id":"bnd_00000000000000000000000004","principal":"acc_00000000000000000000000004","role":"secret-reader","on":"folder/secret/app","created":"2026-01-01T00:00:00Z"}"#;
pub(super) const POLICY: &str = r#"{"name":"deploy","description":"who deploys","text":"permit (principal, action, resource);\n","version":3,"updated":"2026-01-01T00:00:00Z","warnings":["unscoped"]}"#;
pub(super) const MOUNT: &str = r#"{"name":"secret","id":"mnt_00000000000000000000000004","engine":"kv","config":{"max_versions":20,"cas_required":true,"delete_version_after_seconds":86400},"created":"2026-01-01T00:00:00Z"}"#;
pub(super) const VERSION: &str = r#"{"version":4,"created":"2026-01-01T00:00:00Z","is_destroyed":false}"#;
pub(super) const REVEALED: &str = r#"{"data":{"user":"app","port":5432,"pem":"line 1\nline 2"},"version":{"version":4,"created":"2026-01-01T00:00:00Z","is_destroyed":false},"custom_metadata":{"env":"prod"}}"#;
pub(super) const METADATA: &str = r#"{"current_version":2,"oldest_version":1,"created":"2026-01-01T00:00:00Z","updated":"2026-01-02T00:00:00Z","max_versions":0,"cas_required":false,"delete_version_after_seconds":0,"custom_metadata":{"env":"prod"},"versions":[{"version":1,"created":"2026-01-01T00:00:00Z","deleted":"2026-01-02T00:00:00Z","is_destroyed":false},{"version":2,"created":"2026-01-02T00:00:00Z","is_destroyed":false}]}"#;
pub(super) const ENTRY: &str = r#"{"index":7,"leaf":"bGVhZg==","entry":{"v":1,"tenant":"ten_04106101040g20g4081040g208","time":"2026-01-01T12:00:00.123Z","request":"req_00000000000000000000000004","actor":{"kind":"service","id":"acc_00000000000000000000000004","credential":"key_00000000000000000000000004"},"source":"10.0.0.1","door":"vault","action":"secret:reveal","resource":{"kind":"secret","id":"secret/app/db"},"decision":"deny","outcome":"denied","code":"permission_denied","salt":"c2FsdA=="}}"#;
pub(super) const WHO: &str = r#"{"tenant":{"id":"ten_04106101040g20g4081040g208","slug":"acme"},"principal":{"kind":"member","id":"mem_00000000000000000000000004","name":"Ada"},"credential":{"id":"key_00000000000000000000000004","created":"2026-01-01T00:00:00Z"},"roles":[{"role":"owner","on":"tenant"}]}"#;
pub(super) const ISOLATION: &str = r#"{"state":"holds","every":"1m","canaries":["bailiwick-canary-1","bailiwick-canary-2"],"routes":187,"under_way":{"routes":3,"probes":90,"controls":6,"without_control":0,"findings":0,"inconclusive":0},"last":{"number":2,"started":"2026-01-31T11:00:00.000Z","finished":"2026-01-31T11:30:00.000Z","counts":{"routes":187,"probes":8123,"controls":211,"without_control":60,"findings":0,"inconclusive":0}},"total":{"routes":190,"probes":8213,"controls":217,"without_control":60,"findings":1,"inconclusive":0},"findings":[{"time":"2026-01-31T10:00:00.000Z","kind":"distinguishable","route":"GET /api/v1/t/{tenant}/accounts","caller":"owner","what":"their tenant against no such tenant: header: x-cache","requests":["req_00000000000000000000000004"]}],"timing":[{"route":"GET /api/v1/t/{tenant}/accounts/{account}","pairs":400,"median_ns":-210,"low_ns":-1900,"high_ns":1400,"detectable_ns":2100}]}"#;
pub(super) const OPERATOR_WHO: &str = r#"{"principal":{"kind":"operator","id":"opr_00000000000000000000000004","name":"Grace"},"credential":{"id":"key_00000000000000000000000004","created":"2026-01-01T00:00:00Z"},"roles":[{"role":"operator-admin","on":"platform"}]}"#;
pub(super) const LIMITS: &str = r#"{"limits":[{"name":"secrets","limit":5000,"unit":"secrets","used":12,"is_quota":true,"summary":"secrets in all mounts"},{"name":"page_size","limit":1000,"unit":"items","is_quota":false,"summary":"items on one page"}]}"#;
pub(super) const KEYRING: &str = r#"{"keys":[{"purpose":"records","version":2,"created":"2026-01-02T00:00:00Z","is_current":true},{"purpose":"records","version":1,"created":"2026-01-01T00:00:00Z","is_current":false}],"ledger_keys":["acme+01234567+QUJD"]}"#;
pub(super) const SEALED: &str = r#"{"is_initialized":true,"is_sealed":true,"provider":"shamir","threshold":3,"shares":5,"progress":1,"version":"0.1.0"}"#;
pub(super) const UNSEALED: &str = r#"{"is_initialized":true,"is_sealed":false,"provider":"shamir","threshold":3,"shares":5,"progress":0,"version":"0.1.0"}"#;
pub(super) const HEALTH: &str = r#"{"version":"0.1.0","engine":"sqlite","storage":"ok","tenants":{"active":2000,"suspended":1},"size_bytes":1572864,"ledger_entries":91011,"uptime_ms":5400000}"#;
pub(super) const CHECKPOINT: &str = r#"{"origin":"bailiwick.example/x","size":8,"root":"cm9vdA==","note":"bailiwick.example/x\n8\ncm9vdA==\n\n— x sig\n","keys":["x+01234567+QUJD"]}"#;
pub(super) const INCLUSION: &str =
    r#"{"index":7,"size":8,"leaf":"bGVhZg==","proof":["aDE=","aDI="],"checkpoint":"o\n8\nr\n\n— x sig\n"}"#;
pub(super) const CONSISTENCY: &str =
    r#"{"old":4,"new":8,"old_root":"cg==","proof":["aDE="],"checkpoint":"o\n8\nr\n\n— x sig\n"}"#;
/// Whom bundles are sealed to.
const RECIPIENT: &str =
    "bwr_0w3ge1r70w3ge1r70w3ge1r70w0000011400000000000000000000000000000000000000000000000001xgqtcc";
const IMPORTED: &str = r#"{"tenant":"ten_04106101040g20g4081040g208","slug":"acme","outcome":"created","is_dry_run":false,"records":120,"entries":91011,"credentials_revoked":7,"recovery":{"member":"mem_04106101040g20g4081040g208","credential":"bwk_recovery"}}"#;
pub(super) const ATTESTATION: &str = r#"{"attestation":{"v":1,"tenant":{"id":"ten_04106101040g20g4081040g208","slug":"acme"},"installation":"ins_04106101040g20g4081040g208","issued_at":"2026-01-09T23:59:00.000Z","checkpoint":{"origin":"ins_04106101040g20g4081040g208/ten_04106101040g20g4081040g208","size":91011,"root":"cm9vdA=="},"server":{"version":"0.1.0","build":"01ab"},"shipped":{"schema":"02ab","isolation":"03ab","self_service":"04ab","roles":"05ab"},"proof":{"outcome":"proved","isolation":"proved","hash":"06ab","solver":"cvc5 1.0.3"},"guardrails":[{"sha256":"07ab","proof":"proved"}],"policies":[{"name":"deploy","sha256":"08ab","proof":"proved"}],"invariants":[{"name":"no-prod","covers":"everything","sha256":"09ab","proof":"proved"}],"routes":{"count":144,"sha256":"0aab"},"isolation":{"state":"holds","finished":"2026-01-09T22:00:00.000Z","counts":{"routes":144,"probes":2000,"controls":1800,"without_control":7,"findings":0,"inconclusive":0},"timing":{"measured":20,"seen":0}}},"note":"bailiwick-attestation/v1\n\n— x sig\n"}"#;
pub(super) const CHECK: &str =
    r#"{"decision":"deny","determining":["guardrail:no-eternal-keys"],"candidates":3,"total":12}"#;

pub(super) const INVARIANT: &str = r#"{"name":"no-prod","description":"agents stay out","text":"forbid(principal is Agent, action, resource);","covers":"everything","version":2,"updated":"2026-01-01T00:00:00Z","proof":{"status":"proved","hash":"00ff","solver":"cvc5 1.0.3","checked":"2026-01-01T00:00:00Z"}}"#;
const EXAMPLE: &str = r#"{"principal":{"kind":"Agent","id":"x"},"action":"secret:reveal","resource":{"kind":"Secret","id":"y"},"determining":["policy:deploy"],"sentence":"Agent \"x\" may secret:reveal Secret \"y\": allowed by policy:deploy"}"#;
pub(super) const SUBSET: &str = r#"{"property":"subset","outcome":"proved","environments":180,"solver":"cvc5 1.0.3"}"#;
pub(super) const PROOF: &str = r#"{"outcome":"proved","hash":"00ff","solver":"cvc5 1.0.3","verdicts":[{"property":"isolation","outcome":"proved","environments":180}]}"#;
pub(super) static DIFF: LazyLock<String> = LazyLock::new(|| {
    let difference = format!(r#"{{"example":{EXAMPLE},"actions":["secret:reveal","secret:list"]}}"#);
    format!(
        r#"{{"outcome":"proved","allowed":[{difference}],"denied":[{difference}],"warnings":["policy:deploy: unscoped"]}}"#
    )
});

pub(super) fn page(item: &str) -> String {
    format!(r#"{{"items":[{item}],"next":"cursor_2"}}"#)
}

/// One answer per route.
pub(super) fn answer(_: usize, seen: &Seen) -> Canned {
    let path = seen.target.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("/api/v1").unwrap_or(path);
    let rest = path.strip_prefix("/t/").and_then(|rest| rest.split_once('/')).map_or(path, |(_, rest)| rest);
    let segments: Vec<_> = rest.trim_start_matches('/').split('/').collect();
    let is_delete = seen.method == "DELETE";
    let issued = format!(r#"{{"key":{CREDENTIAL},"credential":"bwk_issued"}}"#);
    let body = match (seen.method.as_str(), segments.as_slice()) {
        ("GET", ["seal-status"]) => SEALED.to_owned(),
        ("POST", ["unseal"]) => UNSEALED.to_owned(),
        ("POST", ["init"]) => {
            r#"{"shares":["share-1","share-2"],"operator":{"id":"opr_00000000000000000000000004","credential":"bwo_issued"}}"#.to_owned()
        }
        (_, ["platform", "whoami"]) => OPERATOR_WHO.to_owned(),
        (_, ["platform", "health"]) => HEALTH.to_owned(),
        ("GET", ["platform", "isolation"]) => ISOLATION.to_owned(),
        (_, ["platform", "isolation:probe"]) => r#"{"state":"off"}"#.to_owned(),
        (_, ["platform", "root-key", "rotate"]) => r#"{"version":2,"tenants":2001,"installation_key":"ins_04106101040g20g4081040g208+01234567+AQID","shares":["share-1"]}"#.to_owned(),
        (_, ["platform", "seal"] | ["keyring", "seal"] | ["whoami", "revoke"]) => "{}".to_owned(),
        (_, ["tenants", _, "quotas"]) => r#"{"quotas":{"secrets":5000}}"#.to_owned(),
        ("POST", ["tenants"]) => format!(
            r#"{{"tenant":{TENANT},"admin":{{"member":"mem_00000000000000000000000004","credential":"bwk_admin"}}}}"#
        ),
        (_, ["tenants"]) => page(TENANT),
        (_, ["tenants", ..]) => TENANT.to_owned(),
        ("GET", ["guardrails"] | ["policies"]) => page(POLICY),
        (_, ["guardrails" | "policies", ..]) if !is_delete => POLICY.to_owned(),
        ("GET", ["operators"]) => page(OPERATOR),
        ("GET", [.., "credentials" | "keys"]) => page(CREDENTIAL),
        ("POST", [.., "credentials" | "keys" | "rotate"]) if segments[0] != "keyring" => issued,
        ("GET", ["accounts", _, "keys", _]) => CREDENTIAL.to_owned(),
        (_, ["operators", ..]) if !is_delete => OPERATOR.to_owned(),
        ("GET", ["members"]) => page(MEMBER),
        (_, ["members", ..]) if !is_delete => MEMBER.to_owned(),
        ("GET", ["accounts"]) => page(ACCOUNT),
        (_, ["accounts", ..]) if !is_delete => ACCOUNT.to_owned(),
        ("GET", ["roles"]) => page(ROLE),
        ("GET", ["roles", _]) => ROLE.to_owned(),
        ("GET", ["bindings"]) => page(BINDING),
        (_, ["bindings", ..]) if !is_delete => BINDING.to_owned(),
        (_, ["policies:check"]) => CHECK.to_owned(),
        (_, ["policies:diff"]) => DIFF.to_owned(),
        (_, ["policies:subset"]) => SUBSET.to_owned(),
        ("GET", ["invariants"]) => page(INVARIANT),
        (_, ["invariants:check"]) => PROOF.to_owned(),
        (_, ["invariants", ..]) if !is_delete => INVARIANT.to_owned(),
        (_, ["policies:schema"]) => "entity Tenant;\n".to_owned(),
        ("GET", ["mounts"]) => page(MOUNT),
        (_, ["mounts", ..]) if !is_delete => MOUNT.to_owned(),
        ("GET", ["secrets", _]) => page(r#""app/","db""#),
        ("GET", ["secrets", .., ""]) => page(r#""db""#),
        ("GET", ["secrets", ..]) => REVEALED.to_owned(),
        ("PUT" | "PATCH", ["secrets", ..]) => VERSION.to_owned(),
        (_, ["secret-metadata", ..]) if !is_delete => METADATA.to_owned(),
        (_, ["secret-delete" | "secret-undelete" | "secret-destroy", ..]) => "{}".to_owned(),
        (_, [.., "entries"]) => {
            format!(r#"{{"items":[{ENTRY}],"next":"cursor_2","size":8,"is_complete":false}}"#)
        }
        (_, [.., "entries", _]) => ENTRY.to_owned(),
        (_, [.., "checkpoint"]) => CHECKPOINT.to_owned(),
        ("GET", ["platform", "recipient"]) => format!(r#"{{"recipient":"{RECIPIENT}","installation_key":"ins_04106101040g20g4081040g208+01020304+AQ=="}}"#),
        ("POST", ["tenants:import"]) => IMPORTED.to_owned(),
        ("POST", ["bundle"]) => "sealed\n".to_owned(),
        ("GET", ["attestation"]) => ATTESTATION.to_owned(),
        (_, [.., "inclusion"]) => INCLUSION.to_owned(),
        (_, [.., "consistency"]) => CONSISTENCY.to_owned(),
        (_, [.., "export"]) => "{\"line\":1}\n{\"line\":2}\n".to_owned(),
        (_, ["whoami"]) => WHO.to_owned(),
        (_, ["capabilities"]) => r#"{"secret/data/app/db":["read","update"]}"#.to_owned(),
        (_, ["limits"]) => LIMITS.to_owned(),
        (_, ["keyring", ..]) => KEYRING.to_owned(),
        ("DELETE", _) => "{}".to_owned(),
        (method, path) => panic!("no answer for {method} {path:?}"),
    };
    Canned::json(200, body)
}
