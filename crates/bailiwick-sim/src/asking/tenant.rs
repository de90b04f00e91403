//! What tenants ask at their doors, and operators who try.

use bailiwick_types::Action;
use serde_json::{Value, json};

use super::{Call, MOUNTS, PATHS, POLICIES, SECRETS_IN, Scene, call};

const TEXTS: &[&str] = &[
    r#"forbid(principal is Agent, action == Action::"secret:destroy", resource);"#,
    r#"permit(principal, action == Action::"secret:list", resource);"#,
    r#"forbid(principal, action == Action::"mount:delete", resource);"#,
    "permit(principal, action",
];

/// An installation that does not exist.
const RECIPIENT: &str =
    "bwr_0w3ge1r70w3ge1r70w3ge1r70w0000011400000000000000000000000000000000000000000000000001xgqtcc";

/// Whether a way to ask that both doors have is asked at the Vault door.
fn at_vault(scene: &Scene<'_>) -> bool {
    scene.variant() % 3 == 1
}

pub(super) fn call_of(scene: &Scene<'_>) -> (Call, bool) {
    if at_vault(scene)
        && let Some(call) = vault(scene)
    {
        return (call, true);
    }
    (native(scene), false)
}

fn secret_of(scene: &Scene<'_>) -> (&'static str, &'static str) {
    let path = PATHS[usize::from(scene.pick() / 4) % PATHS.len()];
    (scene.name(SECRETS_IN), path)
}

/// What the Vault door has of it.
fn vault(scene: &Scene<'_>) -> Option<Call> {
    let (mount, path) = secret_of(scene);
    let at = |method, kind: &str| call(method, format!("/v1/{mount}/{kind}/{path}"));
    let data = json!({ "data": { "value": scene.variant() } });
    let versions = json!({ "versions": [1, 2] });
    Some(match scene.ask.action {
        Action::SelfShow => call("GET", "/v1/auth/token/lookup-self".to_owned()),
        Action::SelfRevoke => call("POST", "/v1/auth/token/revoke-self".to_owned()),
        Action::CapabilitiesShow => call("POST", "/v1/sys/capabilities-self".to_owned())
            .body(json!({ "paths": [format!("{mount}/data/{path}")] })),
        Action::MountCreate => call("POST", format!("/v1/sys/mounts/{}", scene.of(MOUNTS)))
            .body(json!({ "type": "kv", "options": { "version": "2" } })),
        Action::MountList => call("GET", "/v1/sys/mounts".to_owned()),
        Action::MountShow => call("GET", format!("/v1/{}/config", scene.name(MOUNTS))),
        Action::MountUpdate => {
            call("POST", format!("/v1/{}/config", scene.name(MOUNTS))).body(json!({ "max_versions": 4 }))
        }
        Action::SecretReveal => at("GET", "data"),
        Action::SecretWrite => at("POST", "data").body(data),
        Action::SecretPatch => at("PATCH", "data").body(data),
        Action::SecretDelete => at("DELETE", "data"),
        Action::SecretUndelete => at("POST", "undelete").body(versions),
        Action::SecretDestroy => at("POST", "destroy").body(versions),
        Action::SecretList => call("LIST", format!("/v1/{mount}/metadata/app")),
        Action::SecretDescribe => at("GET", "metadata"),
        Action::SecretConfigure => at("POST", "metadata").body(json!({ "max_versions": 3 })),
        Action::SecretPurge => at("DELETE", "metadata"),
        _ => return None,
    })
}

fn native(scene: &Scene<'_>) -> Call {
    let base = format!("/api/v1/t/{}", scene.tenant());
    let get = |rest: &str| call("GET", format!("{base}/{rest}"));
    let post = |rest: &str| call("POST", format!("{base}/{rest}"));
    let at = |method, rest: String| call(method, format!("{base}/{rest}"));
    let page = || scene.page();
    let name = |what: &str| format!("{what}-{}", scene.pick() % 8);
    let (pick, variant) = (scene.pick(), scene.variant());
    let (mount, path) = secret_of(scene);
    let change = || match variant % 4 {
        0 => json!({ "is_disabled": true }),
        1 => json!({ "is_disabled": false }),
        _ => json!({ "name": name("renamed") }),
    };
    match scene.ask.action {
        Action::SelfShow => get("whoami"),
        Action::SelfRevoke => post("whoami/revoke"),
        Action::CapabilitiesShow => post("capabilities").body(json!({ "paths": [format!("{mount}/data/{path}")] })),
        Action::LimitsShow => get("limits"),
        Action::MemberCreate => post("members").body(json!({ "name": name("member"), "role": scene.role() })),
        Action::MemberList => at("GET", format!("members{}", page())),
        Action::MemberShow => at("GET", format!("members/{}", scene.member())),
        Action::MemberUpdate => at("PATCH", format!("members/{}", scene.member())).body(change()),
        Action::MemberDelete => at("DELETE", format!("members/{}", scene.member())),
        Action::MemberCredentialIssue => at("POST", format!("members/{}/credentials", scene.member())),
        Action::MemberCredentialList => at("GET", format!("members/{}/credentials", scene.member())),
        Action::MemberCredentialRevoke => {
            let (member, key) = scene.key("mem_");
            at("DELETE", format!("members/{member}/credentials/{key}"))
        }
        Action::AccountCreate => {
            let kind = ["service", "agent"][usize::from(variant % 2)];
            let owner = scene.id("mem_", |book| book.members.first());
            post("accounts").body(json!({ "kind": kind, "name": name("account"), "owner": owner }))
        }
        Action::AccountList => at("GET", format!("accounts{}", page())),
        Action::AccountShow => at("GET", format!("accounts/{}", scene.account())),
        Action::AccountUpdate => at("PATCH", format!("accounts/{}", scene.account())).body(change()),
        Action::AccountDelete => at("DELETE", format!("accounts/{}", scene.account())),
        Action::KeyIssue => {
            let body =
                if variant.is_multiple_of(3) { json!({ "ttl": "1h" }) } else { json!({ "description": name("key") }) };
            at("POST", format!("accounts/{}/keys", scene.account())).body(body)
        }
        Action::KeyList => at("GET", format!("accounts/{}/keys", scene.account())),
        Action::KeyShow | Action::KeyRevoke | Action::KeyRotate => {
            let (account, key) = scene.key("acc_");
            let rest = format!("accounts/{account}/keys/{key}");
            match scene.ask.action {
                Action::KeyShow => at("GET", rest),
                Action::KeyRevoke => at("DELETE", rest),
                _ => at("POST", format!("{rest}/rotate")).body(json!({ "overlap": "1h" })),
            }
        }
        Action::RoleList => get("roles"),
        Action::RoleShow => at("GET", format!("roles/{}", scene.role())),
        Action::BindingCreate => post("bindings").body(binding(scene)),
        Action::BindingList => at("GET", format!("bindings{}", page())),
        Action::BindingShow => at("GET", format!("bindings/{}", scene.binding())),
        Action::BindingDelete => at("DELETE", format!("bindings/{}", scene.binding())),
        Action::PolicyPut => {
            let text = TEXTS[usize::from(variant) % TEXTS.len()];
            match variant % 2 {
                0 => post("policies").body(json!({ "name": scene.of(POLICIES), "text": text })),
                _ => at("PUT", format!("policies/{}", scene.name(POLICIES))).body(json!({ "text": text })),
            }
        }
        Action::PolicyList if variant.is_multiple_of(4) => get("policies:schema"),
        Action::PolicyList => at("GET", format!("policies{}", page())),
        Action::PolicyShow => at("GET", format!("policies/{}", scene.name(POLICIES))),
        Action::PolicyDelete => at("DELETE", format!("policies/{}", scene.name(POLICIES))),
        Action::PolicyCheck => post("policies:check").body(json!({
            "principal": scene.account(), "action": "secret:reveal", "resource": format!("secret/{mount}/{path}"),
        })),
        Action::MountCreate => post("mounts").body(json!({ "name": scene.of(MOUNTS) })),
        Action::MountList => at("GET", format!("mounts{}", page())),
        Action::MountShow => at("GET", format!("mounts/{}", scene.name(MOUNTS))),
        Action::MountUpdate => at("PATCH", format!("mounts/{mount}")).body(json!({ "description": name("mount") })),
        Action::MountDelete => at("DELETE", format!("mounts/{}", scene.name(MOUNTS))),
        Action::SecretReveal if variant.is_multiple_of(4) => at("GET", format!("secrets/{mount}/{path}?version=1")),
        Action::SecretReveal => at("GET", format!("secrets/{mount}/{path}")),
        Action::SecretWrite => at("PUT", format!("secrets/{mount}/{path}")).body(value(pick)),
        Action::SecretPatch => at("PATCH", format!("secrets/{mount}/{path}")).body(value(pick)),
        Action::SecretDelete => at("DELETE", format!("secrets/{mount}/{path}")),
        Action::SecretUndelete => post(&format!("secret-undelete/{mount}/{path}")).body(json!({ "versions": [1, 2] })),
        Action::SecretDestroy => post(&format!("secret-destroy/{mount}/{path}")).body(json!({ "versions": [1] })),
        Action::SecretList => at("GET", format!("secrets/{mount}/app/{}", page())),
        Action::SecretDescribe => at("GET", format!("secret-metadata/{mount}/{path}")),
        Action::SecretConfigure => {
            let embargo = if variant.is_multiple_of(2) { "yes" } else { "no" };
            at("PATCH", format!("secret-metadata/{mount}/{path}"))
                .body(json!({ "custom_metadata": { "embargo": embargo } }))
        }
        Action::SecretPurge => at("DELETE", format!("secret-metadata/{mount}/{path}")),
        Action::LedgerRead => at("GET", format!("ledger/entries{}", page())),
        Action::LedgerProve => match variant % 3 {
            0 => get("ledger/checkpoint"),
            1 => at("GET", format!("ledger/inclusion?index={}", pick % 16)),
            _ => at("GET", format!("ledger/consistency?old={}", pick % 16)),
        },
        Action::AttestationIssue => get("attestation"),
        Action::LedgerExport => {
            get(["ledger/export", "ledger/export?format=jsonl", "ledger/export?format=ocsf"][usize::from(variant % 3)])
        }
        Action::KeyringShow => get("keyring"),
        Action::KeyringRotate => {
            let purpose = ["tenant", "records", "ledger", "credentials", "cursors", "ledger-signing", "nonsense"];
            post("keyring/rotate").body(json!({ "purpose": scene.of(&purpose) }))
        }
        Action::KeyringSeal => post("keyring/seal"),
        Action::BundleExport => post("bundle").body(json!({ "recipient": RECIPIENT })),
        Action::PolicyDiff => {
            let text = TEXTS[usize::from(variant) % TEXTS.len()];
            post("policies:diff").body(json!({ "with_policies": { scene.of(POLICIES): text } }))
        }
        Action::InvariantPut => {
            let text = TEXTS[usize::from(variant) % TEXTS.len()];
            at("PUT", format!("invariants/{}", scene.name(POLICIES)))
                .body(json!({ "text": text, "covers": "policies" }))
        }
        Action::InvariantList => at("GET", format!("invariants{}", page())),
        Action::InvariantShow => at("GET", format!("invariants/{}", scene.name(POLICIES))),
        Action::InvariantDelete => at("DELETE", format!("invariants/{}", scene.name(POLICIES))),
        Action::InvariantCheck => post("invariants:check"),
        other => unreachable!("nobody knows how to ask for {other}"),
    }
}

fn binding(scene: &Scene<'_>) -> Value {
    let principal = if scene.variant().is_multiple_of(2) { scene.account() } else { scene.member() };
    let on = ["tenant", "mount/secret", "folder/secret/app"][usize::from(scene.variant() % 3)];
    json!({ "principal": principal, "role": scene.role(), "on": on })
}

fn value(pick: u8) -> Value {
    json!({ "data": { "value": format!("value {pick}") } })
}
