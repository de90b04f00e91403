//! Values of the right type that mean nothing: moments that are over, spans that are none, networks, roles, numbers at
//! their edges.

use bailiwick_testkit::{Tenant, World};
use bailiwick_types::Limit;
use serde_json::{Value, json};

use super::Watch;

const NO_SPANS: &[&str] = &[
    "",
    " ",
    "x",
    "-1h",
    "1h30",
    "1.5h",
    "40000d",
    "1 h",
    "1H",
    "h",
    "1w",
    "∞",
    "１h",
    "99999999999999999999s",
    "9223372036854775808",
    "1h-1s",
    "PT1H",
];
/// Well-formed, and over.
const PAST: &[&str] = &[
    "2025-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "-009999-01-02T01:59:59Z",
    "2026-01-01T02:00:00Z",
    "2026-01-01T03:00:00+01:00",
];
const NO_MOMENTS: &[&str] = &[
    "",
    "x",
    "2027",
    "2027-01-01",
    "2027-01-01T00:00:00",
    "2027-02-30T00:00:00Z",
    "2027-01-01T25:00:00Z",
    "1798761600",
    "tomorrow",
    "10000-01-01T00:00:00Z",
    "2027-01-01T00:00:00+99:00",
];
const NO_NETWORKS: &[&str] = &[
    "",
    "x",
    "10.0.0.0/33",
    "10.0.0/8",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "256.0.0.1",
    "::/129",
    "10.0.0.0-10.0.0.9",
    "010.0.0.1",
    "*",
    "localhost",
    " 10.0.0.0/8",
    "10.0.0.0/8 ",
    "fe80::1%eth0",
];
const NO_EMAILS: &[&str] = &["", "x", "@b.example", "a@", "a@b", "a b@c.example", "a@b.example\n"];
const NO_ROLES: &[&str] = &["", "Owner", "root", "operator-admin", "viewer ", "no-such-role"];
const NO_TARGETS: &[&str] =
    &["", "Tenant", "tenant/x", "mount", "folder/secret", "secret/secret", "key/x", "secret//app", "ledger", "*"];

struct Asking<'w> {
    world: &'w World,
    watch: Watch<'w>,
    base: String,
    own: &'w Tenant,
}

impl Asking<'_> {
    /// Each value in place of `%` is refused.
    #[track_caller]
    fn refused(&self, method: &str, path: &str, body: &Value, values: &[&str], code: &str) {
        for value in values {
            let body: Value = replaced(body, value);
            let (caller, target) = match path.strip_prefix('/') {
                Some(path) => (self.world.platform.admin.as_ref(), format!("/api/v1/{path}")),
                None => (self.own.owner.as_ref(), format!("{}/{path}", self.base)),
            };
            let answer = self.world.send(caller, method, &target, &body);
            self.watch.refused(&answer, 400, code, &format!("{method} {path} {body}"));
        }
    }
}

fn replaced(body: &Value, value: &str) -> Value {
    match body {
        Value::String(text) if text == "%" => json!(value),
        Value::Array(items) => items.iter().map(|item| replaced(item, value)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), replaced(member, value))).collect()
        }
        other => other.clone(),
    }
}

fn on_both_sides(case: impl Fn(&Asking<'_>)) {
    let world = World::two_tenants();
    for (own, other) in world.both_ways() {
        let base = format!("/api/v1/t/{}", own.slug);
        let asking = Asking { world: &world, watch: Watch::on(&world, own, other), base, own };
        case(&asking);
        asking.watch.end();
    }
}

#[test]
fn spans_and_moments_that_are_none_or_over_are_refused() {
    on_both_sides(|asking| {
        let (account, key) = (&asking.own.reader.id, &asking.own.reader.key.id);
        let operator = format!("/operators/{}/credentials", asking.world.platform.viewer.id);
        let keys = format!("accounts/{account}/keys");
        let credentials = format!("members/{}/credentials", asking.own.viewer.id);
        let rotate = format!("{keys}/{key}/rotate");
        for path in [&keys, &credentials, &rotate, &operator] {
            asking.refused("POST", path, &json!({ "ttl": "%" }), NO_SPANS, "invalid_request");
            asking.refused("POST", path, &json!({ "ttl": "%" }), &["0", "0s", "0h0m"], "invalid_request");
            asking.refused("POST", path, &json!({ "expires": "%" }), PAST, "invalid_request");
            asking.refused("POST", path, &json!({ "expires": "%" }), NO_MOMENTS, "invalid_json");
            asking.refused(
                "POST",
                path,
                &json!({ "expires": "2099-01-01T00:00:00Z", "ttl": "%" }),
                &["1h"],
                "invalid_request",
            );
        }
        asking.refused("POST", &rotate, &json!({ "overlap": "%" }), NO_SPANS, "invalid_request");
        asking.refused("POST", &rotate, &json!({ "overlap": "%" }), &["91d", "2161h"], "invalid_request");
        let new = json!({ "name": "x", "owner": asking.own.admin.id, "expires": "%" });
        asking.refused("POST", "accounts", &new, PAST, "invalid_request");
        asking.refused("POST", "accounts", &new, NO_MOMENTS, "invalid_json");
        asking.refused("PATCH", &format!("accounts/{account}"), &json!({ "expires": "%" }), PAST, "invalid_request");
        let check = json!({ "action": "self:show", "resource": "tenant", "at": "%" });
        asking.refused("POST", "policies:check", &check, NO_MOMENTS, "invalid_json");
        asking.refused("POST", "/tenants", &json!({ "slug": "new", "admin_ttl": "%" }), NO_SPANS, "invalid_request");
    });
}

#[test]
fn networks_roles_addresses_and_targets_that_are_none_are_refused() {
    on_both_sides(|asking| {
        let keys = format!("accounts/{}/keys", asking.own.reader.id);
        let member = format!("members/{}", asking.own.viewer.id);
        asking.refused(
            "POST",
            &keys,
            &json!({ "source_networks": ["10.0.0.0/8", "%"] }),
            NO_NETWORKS,
            "invalid_request",
        );
        asking.refused("POST", "members", &json!({ "name": "x", "role": "%" }), NO_ROLES, "invalid_reference");
        asking.refused("PATCH", &member, &json!({ "role": "%" }), NO_ROLES, "invalid_reference");
        let binding = json!({ "principal": asking.own.bare.id, "role": "%" });
        asking.refused("POST", "bindings", &binding, NO_ROLES, "invalid_reference");
        let mail = json!({ "name": "x", "role": "viewer", "email": "%" });
        asking.refused("POST", "members", &mail, NO_EMAILS, "invalid_request");
        asking.refused("PATCH", &member, &json!({ "email": "%" }), NO_EMAILS, "invalid_request");
        let on = json!({ "principal": asking.own.bare.id, "role": "viewer", "on": "%" });
        let bad_targets: Vec<&str> = NO_TARGETS.iter().copied().filter(|on| *on != "secret//app").collect();
        asking.refused("POST", "bindings", &on, &bad_targets, "invalid_request");
        asking.refused("POST", "bindings", &on, &["mount/", "mount/a/b", "mount/sys", "secret//app"], "invalid_name");
        asking.refused("POST", "bindings", &on, &["folder/secret/..", "secret/secret/a//b"], "invalid_path");
        let source = json!({ "action": "self:show", "resource": "tenant", "source": "%" });
        asking.refused("POST", "policies:check", &source, &["", "x", "10.0.0.0/8", "256.0.0.1"], "invalid_request");
        let action = json!({ "action": "%", "resource": "tenant" });
        let no_actions = ["", "x", "secret:*", "tenant:create", "secret:reveal", "Self:Show"];
        asking.refused("POST", "policies:check", &action, &no_actions, "invalid_request");
        let resource = json!({ "action": "secret:reveal", "resource": "%" });
        asking.refused(
            "POST",
            "policies:check",
            &resource,
            &["", "x", "secret", "mount/secret", "tenant"],
            "invalid_request",
        );
        asking.refused(
            "POST",
            "keyring/rotate",
            &json!({ "purpose": "%" }),
            &["", "x", "Records", "root"],
            "invalid_request",
        );
        asking.refused(
            "POST",
            "/operators",
            &json!({ "name": "x", "role": "%" }),
            &["", "owner", "x"],
            "invalid_reference",
        );
        asking.refused(
            "POST",
            "/platform/root-key/rotate",
            &json!({ "provider": "%" }),
            &["", "x", "FILE"],
            "invalid_request",
        );
    });
}

#[test]
fn names_that_are_none_are_refused_in_bodies_too() {
    on_both_sides(|asking| {
        let long = "x".repeat(2_000);
        let controlled = ["", "a\nb", "a\u{0}b", "\u{1b}[31m", long.as_str()];
        let owner = &asking.own.admin.id;
        asking.refused("POST", "accounts", &json!({ "name": "%", "owner": owner }), &controlled, "invalid_request");
        asking.refused("POST", "members", &json!({ "name": "%", "role": "viewer" }), &controlled, "invalid_request");
        asking.refused(
            "POST",
            "/operators",
            &json!({ "name": "%", "role": "operator-viewer" }),
            &controlled,
            "invalid_request",
        );
        let tenant = format!("/tenants/{}", asking.own.slug);
        asking.refused("PATCH", &tenant, &json!({ "name": "%" }), &controlled, "invalid_request");
        asking.refused(
            "POST",
            &format!("{tenant}/suspend"),
            &json!({ "reason": "%" }),
            &controlled[2..],
            "invalid_request",
        );
        let no_mounts = ["", ".", "..", "a/b", "-a", "a b", "ａ", "a%2fb", "a\u{0}", "sys", "auth", &long];
        asking.refused("POST", "mounts", &json!({ "name": "%" }), &no_mounts, "invalid_json");
        asking.refused("POST", "mounts", &json!({ "name": "%" }), &[&asking.own.slug, &asking.own.id], "invalid_name");
        let text = r#"permit(principal, action == Action::"mount:list", resource);"#;
        let no_policies = ["", "A", "-a", ".a", "a/b", "a b", "é", "guardrail:x", "role:x", &long];
        asking.refused("POST", "policies", &json!({ "name": "%", "text": text }), &no_policies, "invalid_json");
        let no_slugs =
            ["", "A", "1a", "a_b", "a-", "root", "sys", "api", "a/b", "ten_0123456789abcdefghjkmnpqrg", "аcme", &long];
        asking.refused("POST", "/tenants", &json!({ "slug": "%" }), &no_slugs, "invalid_json");
        let no_owners = ["", "x", &asking.own.reader.id, &asking.own.owner.id.to_uppercase(), "mem_"];
        asking.refused("POST", "accounts", &json!({ "name": "x", "owner": "%" }), &no_owners, "invalid_json");
        let no_principals = ["", "x", "mem_", &asking.own.id, &asking.own.reader.key.id, "*"];
        let binding = json!({ "principal": "%", "role": "viewer" });
        asking.refused("POST", "bindings", &binding, &no_principals, "invalid_reference");
    });
}

#[test]
fn numbers_stop_at_their_edges() {
    on_both_sides(|asking| {
        let send = |method: &str, path: &str, body: String, code: &str| {
            let (caller, target) = match path.strip_prefix('/') {
                Some(path) => (asking.world.platform.admin.as_ref(), format!("/api/v1/{path}")),
                None => (asking.own.owner.as_ref(), format!("{}/{path}", asking.base)),
            };
            let answer = asking.world.request(method, &target).by(caller).bytes(body.clone()).send();
            asking.watch.refused(&answer, 400, code, &format!("{method} {path} {body}"));
        };
        let quotas = format!("/tenants/{}/quotas", asking.own.slug);
        for limit in Limit::ALL {
            for (value, code) in [
                ("0".to_owned(), "invalid_request"),
                ((limit.ceiling() + 1).to_string(), "invalid_request"),
                ("18446744073709551615".to_owned(), "invalid_request"),
                ("9223372036854775808".to_owned(), "invalid_request"),
                ("18446744073709551616".to_owned(), "invalid_json"),
                ("-1".to_owned(), "invalid_json"),
                ("1.5".to_owned(), "invalid_json"),
                ("1e1".to_owned(), "invalid_json"),
                ("1e999".to_owned(), "invalid_json"),
            ] {
                send("PUT", &quotas, format!(r#"{{"quotas":{{"{limit}":{value}}}}}"#), code);
                // One that is wrong spoils all.
                send(
                    "PUT",
                    &quotas,
                    format!(r#"{{"quotas":{{"accounts":7,"{limit}":{value},"zzz":1}}}}"#).replacen(
                        r#""accounts":7,"accounts""#,
                        r#""accounts""#,
                        1,
                    ),
                    code,
                );
            }
        }
        send("PUT", &quotas, r#"{"quotas":{"no_such_limit":5}}"#.to_owned(), "invalid_request");
        let live = "secrets/secret/app/db";
        for cas in ["-1", "1.5", "1e0", "18446744073709551616", "1e999"] {
            send("PUT", live, format!(r#"{{"data":{{}},"cas":{cas}}}"#), "invalid_json");
        }
        for data in [r#"{"n":1e999}"#, r#"{"n":-1e999}"#, r#"{"n":[1e400]}"#] {
            send("PUT", live, format!(r#"{{"data":{data}}}"#), "invalid_json");
        }
        for verb in ["delete", "undelete", "destroy"] {
            let many: Vec<u64> = (0..1_001).collect();
            for (versions, code) in [
                ("[]".to_owned(), "invalid_request"),
                (json!(many).to_string(), "invalid_request"),
                ("[-1]".to_owned(), "invalid_json"),
            ] {
                send("POST", &format!("secret-{verb}/secret/app/db"), format!(r#"{{"versions":{versions}}}"#), code);
            }
        }
        let metadata = "secret-metadata/secret/app/db";
        for (path, method) in [(metadata, "PUT"), (metadata, "PATCH"), ("mounts/kv", "PATCH")] {
            for value in ["3162240001", "9223372036854775807", "9223372036854775808", "18446744073709551615"] {
                send(method, path, format!(r#"{{"delete_version_after_seconds":{value}}}"#), "invalid_request");
            }
            send(method, path, r#"{"max_versions":4294967296}"#.to_owned(), "invalid_json");
        }
        let shamir = |shares: u64, threshold: u64| {
            format!(r#"{{"provider":"shamir","shares":{shares},"threshold":{threshold}}}"#)
        };
        for (shares, threshold) in [(0, 0), (1, 1), (3, 1), (3, 0), (3, 4), (65, 3), (255, 2)] {
            send("POST", "/platform/root-key/rotate", shamir(shares, threshold), "invalid_request");
        }
        send("POST", "/platform/root-key/rotate", shamir(256, 2), "invalid_json");
        send(
            "POST",
            "/platform/root-key/rotate",
            r#"{"provider":"passphrase","passphrase":"short"}"#.to_owned(),
            "invalid_request",
        );
    });
}
