//! Sizes: how long one policy, how large one value, how many versions, how many items on a page.

use serde_json::{Value, json};

use super::{Case, Full, Passes, run};

pub(super) fn cases() -> Vec<Case> {
    let case = |limit, run| Case { limit, run, passes: Passes::Nothing };
    vec![
        case("policy_bytes", policy_bytes),
        case("versions_per_secret", versions_per_secret),
        case("value_bytes", value_bytes),
        case("page_size", page_size),
    ]
}

/// A policy of so many bytes.
fn policy(bytes: usize) -> String {
    let text = r#"forbid(principal, action == Action::"secret:purge", resource); //"#;
    format!("{text}{}", "x".repeat(bytes - text.len()))
}

fn policy_bytes(full: &Full<'_>) {
    full.quota(Some(200));
    let put = |bytes: usize, dry_run: bool| {
        full.own("PUT", "policies/long", &json!({ "text": policy(bytes), "dry_run": dry_run }))
    };
    put(200, false).expect(200);
    for is_trial in [false, true] {
        full.refused(&put(201, is_trial), 200);
    }
    let create = json!({ "name": "longer", "text": policy(201) });
    full.refused(&full.own("POST", "policies", &create), 200);
    let question = json!({ "action": "self:show", "resource": "tenant", "with_policies": { "x": policy(201) } });
    full.refused(&full.own("POST", "policies:check", &question), 200);
    // What is there already is read, and decides.
    full.quota(Some(100));
    full.refused(&put(200, false), 100);
    assert_eq!(full.own("GET", "policies/long", &Value::Null).expect(200)["version"], 1);
    let purge = full.own("DELETE", "secret-metadata/secret/outside", &Value::Null);
    purge.expect_refusal(403, "permission_denied");
    put(100, false).expect(200);
    full.own("DELETE", "policies/long", &Value::Null).expect(200);
    full.quota(None);
    put(60_000, false).expect(200);
}

fn versions_per_secret(full: &Full<'_>) {
    full.quota(Some(3));
    for (path, method) in
        [("secret-metadata/secret/app/db", "PUT"), ("secret-metadata/secret/app/db", "PATCH"), ("mounts/kv", "PATCH")]
    {
        full.own(method, path, &json!({ "max_versions": 3 })).expect(200);
        full.refused(&full.own(method, path, &json!({ "max_versions": 4 })), 3);
    }
    let mount = json!({ "name": "more", "config": { "max_versions": 4 } });
    full.refused(&full.own("POST", "mounts", &mount), 3);
    for (path, told) in [("secret/metadata/app/db", 400), ("kv/config", 400)] {
        let target = format!("/v1/{path}");
        let answer = full.world.send(&full.own.owner, "POST", &target, &json!({ "max_versions": 4 }));
        assert_eq!(answer.status, told, "{}", answer.text());
        assert!(answer.code().contains("versions_per_secret is limited to 3 versions"), "{}", answer.text());
    }
    // Writing goes on: the oldest goes.
    for _ in 0..5 {
        full.own("PUT", "secrets/secret/app/db", &json!({ "data": {} })).expect(200);
    }
    let kept = full.own("GET", "secret-metadata/secret/app/db", &Value::Null).expect(200);
    assert_eq!(kept["versions"].as_array().unwrap().len(), 3);
    // Below what there is: nothing goes before the next write.
    full.quota(Some(1));
    full.own("GET", "secrets/secret/app/db?version=5", &Value::Null).expect(200);
    full.own("PUT", "secrets/secret/app/db", &json!({ "data": {} })).expect(200);
    full.own("GET", "secrets/secret/app/db?version=7", &Value::Null).expect_refusal(404, "version_not_found");
    full.quota(None);
}

fn value_bytes(full: &Full<'_>) {
    full.quota(Some(100));
    // `{"v":""}` is 8 bytes of it.
    let value = |bytes: usize| json!({ "data": { "v": "x".repeat(bytes - 8) } });
    let refused = |answer: &bailiwick_testkit::Answer| {
        answer.expect_refusal(413, "body_too_large");
        assert_eq!(answer.json()["detail"], "a secret's value may have 100 bytes");
    };
    full.own("PUT", "secrets/secret/large", &value(100)).expect(200);
    refused(&full.own("PUT", "secrets/secret/large", &value(101)));
    // What a patch makes of it counts, not the patch.
    refused(&full.own("PATCH", "secrets/secret/large", &json!({ "data": { "w": "x" } })));
    full.own("PATCH", "secrets/secret/large", &json!({ "data": { "v": null, "w": "x" } })).expect(200);
    let answer = full.world.send(&full.own.owner, "POST", "/v1/secret/data/large", &value(101));
    assert_eq!((answer.status, answer.code().as_str()), (413, "a secret's value may have 100 bytes"));
    full.quota(Some(5));
    full.own("GET", "secrets/secret/large", &Value::Null).expect(200);
    full.own("PUT", "secrets/secret/large", &value(9)).expect_refusal(413, "body_too_large");
    full.own("DELETE", "secrets/secret/large", &Value::Null).expect(200);
    full.quota(None);
    full.own("PUT", "secrets/secret/large", &value(524_288)).expect(200);
    full.own("PUT", "secrets/secret/large", &value(524_289)).expect_refusal(413, "body_too_large");
}

fn page_size(full: &Full<'_>) {
    full.quota(Some(2));
    for list in ["accounts", "members", "mounts", "policies", "bindings", "secrets/secret", "ledger/entries"] {
        let page = |limit: usize| full.own("GET", &format!("{list}?limit={limit}"), &Value::Null);
        page(2).expect(200);
        let refused = page(3);
        refused.expect_refusal(400, "invalid_request");
        assert_eq!(refused.json()["detail"], "`limit` must be between 1 and 2", "{list}");
        // Who says nothing gets what there is.
        let usual = full.own("GET", list, &Value::Null).expect(200);
        assert!(usual["items"].as_array().unwrap().len() <= 2, "{list}");
    }
    full.quota(None);
    full.own("GET", "accounts?limit=1000", &Value::Null).expect(200);
    full.own("GET", "accounts?limit=1001", &Value::Null).expect_refusal(400, "invalid_request");
}

#[test]
fn sizes_are_each_tenants_own_and_end_where_they_say() {
    run(&cases());
}
