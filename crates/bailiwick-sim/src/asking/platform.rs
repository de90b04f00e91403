//! What operators ask, and tenants at the operators' door.

use bailiwick_types::Action;
use serde_json::json;

use super::{Call, Scene, call};
use crate::book::one;

const GUARDRAILS: &[&str] = &["no-embargoed", "no-purging"];
const TEXTS: &[&str] = &[
    r#"forbid(principal, action == Action::"secret:reveal", resource)
       when { resource.hasTag("embargo") && resource.getTag("embargo") == "yes" };"#,
    r#"forbid(principal is Agent, action == Action::"secret:purge", resource);"#,
    r#"permit(principal, action, resource);"#,
];

pub(super) fn call_of(scene: &Scene<'_>) -> Call {
    let tenant = || format!("/api/v1/tenants/{}", scene.tenant());
    let act = |name: &str| call("POST", format!("{}/{name}", tenant()));
    let guardrail = || format!("/api/v1/guardrails/{}", scene.name(GUARDRAILS));
    let operator = || format!("/api/v1/operators/{}", scene.id("opr_", |book| one(&book.members, scene.pick())));
    let invariant = |method| call(method, format!("/api/v1/invariants/{}", scene.name(GUARDRAILS)));
    let ledger = |rest: &str| call("GET", format!("/api/v1/platform/ledger/{rest}"));
    let text = TEXTS[usize::from(scene.variant()) % TEXTS.len()];
    match scene.ask.action {
        Action::OperatorSelfShow => call("GET", "/api/v1/platform/whoami".to_owned()),
        Action::PlatformHealth => call("GET", "/api/v1/platform/health".to_owned()),
        Action::IsolationShow => call("GET", "/api/v1/platform/isolation".to_owned()),
        Action::IsolationProbe => call("POST", "/api/v1/platform/isolation:probe".to_owned()),
        Action::TenantCreate => call("POST", "/api/v1/tenants".to_owned()).body(json!({ "slug": scene.subject.slug })),
        // All on one page: where pages end depends on who else is there.
        Action::TenantList => call("GET", "/api/v1/tenants?limit=1000".to_owned()),
        Action::TenantShow => call("GET", tenant()),
        Action::TenantUpdate => call("PATCH", tenant()).body(json!({ "name": format!("Renamed {}", scene.pick()) })),
        Action::TenantSuspend => act("suspend"),
        Action::TenantResume => act("resume"),
        Action::TenantSeal => act("seal"),
        Action::TenantUnseal => act("unseal"),
        Action::TenantDelete => {
            let hold = ["", "?hold=1d", "?hold=1s", "?hold=2d"][usize::from(scene.variant() % 4)];
            call("DELETE", format!("{}{hold}", tenant()))
        }
        Action::RecipientShow => call("GET", "/api/v1/platform/recipient".to_owned()),
        // Histories hold no bundles: what is allowed is refused for what it brings.
        Action::TenantImport => call("POST", "/api/v1/tenants:import".to_owned()),
        Action::QuotaShow => call("GET", format!("{}/quotas", tenant())),
        Action::QuotaSet => {
            let quotas = match scene.variant() % 5 {
                0 => json!({ "accounts": 1 }),
                1 => json!({ "secrets": 2, "members": 3 }),
                2 => json!({ "requests_per_second": 1 }),
                3 => json!({ "accounts": null, "secrets": null, "members": null, "requests_per_second": null }),
                _ => json!({ "concurrent_requests": 1 }),
            };
            call("PUT", format!("{}/quotas", tenant())).body(json!({ "quotas": quotas }))
        }
        Action::GuardrailPut if scene.variant().is_multiple_of(2) => {
            call("POST", "/api/v1/guardrails".to_owned()).body(json!({ "name": scene.of(GUARDRAILS), "text": text }))
        }
        Action::GuardrailPut => call("PUT", guardrail()).body(json!({ "text": text })),
        Action::GuardrailList => call("GET", format!("/api/v1/guardrails{}", scene.page())),
        Action::GuardrailShow => call("GET", guardrail()),
        Action::GuardrailDelete => call("DELETE", guardrail()),
        Action::OperatorCreate => {
            let role = ["operator-viewer", "operator-admin"][usize::from(scene.variant() % 2)];
            call("POST", "/api/v1/operators".to_owned()).body(json!({ "name": "another", "role": role }))
        }
        Action::OperatorList => call("GET", format!("/api/v1/operators{}", scene.page())),
        Action::OperatorShow => call("GET", operator()),
        Action::OperatorUpdate => call("PATCH", operator()).body(match scene.variant() % 3 {
            0 => json!({ "is_disabled": true }),
            1 => json!({ "is_disabled": false }),
            _ => json!({ "name": "renamed" }),
        }),
        Action::OperatorDelete => call("DELETE", operator()),
        Action::OperatorCredentialIssue => call("POST", format!("{}/credentials", operator())),
        Action::OperatorCredentialList => call("GET", format!("{}/credentials", operator())),
        Action::OperatorCredentialRevoke => {
            let (operator, key) = scene.key("opr_");
            call("DELETE", format!("/api/v1/operators/{operator}/credentials/{key}"))
        }
        Action::PlatformLedgerRead => ledger("entries?order=desc&limit=5"),
        Action::PlatformLedgerProve => ledger("checkpoint"),
        Action::PlatformLedgerExport => ledger("export?format=jsonl"),
        Action::RootKeyRotate => call("POST", "/api/v1/platform/root-key/rotate".to_owned())
            .body(json!({ "provider": "shamir", "shares": 2, "threshold": 2 })),
        Action::InstallationSeal => call("POST", "/api/v1/platform/seal".to_owned()),
        Action::PlatformInvariantPut => invariant("PUT").body(json!({ "text": text, "covers": "policies" })),
        Action::PlatformInvariantList => call("GET", format!("/api/v1/invariants{}", scene.page())),
        Action::PlatformInvariantShow => invariant("GET"),
        Action::PlatformInvariantDelete => invariant("DELETE"),
        Action::PlatformInvariantCheck => call("POST", "/api/v1/invariants:check".to_owned()),
        other => unreachable!("nobody knows how to ask for {other}"),
    }
}
