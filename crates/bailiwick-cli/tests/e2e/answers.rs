//! `--output json`: what the API answers, to the byte; and JSON for whatever is changed.

use serde_json::Value;

use super::house::Dev;

/// Reading commands, and where the API has the same. `{T}` is the tenant's part of the path.
const TENANT: &[(&str, &str)] = &[
    ("whoami", "{T}/whoami"),
    ("limits", "{T}/limits"),
    ("member list", "{T}/members?limit=100"),
    ("member show MEMBER", "{T}/members/MEMBER"),
    ("member credential list MEMBER", "{T}/members/MEMBER/credentials?limit=100"),
    ("account list", "{T}/accounts?limit=100"),
    ("account list --kind service --label env=prod --limit 1", "{T}/accounts?kind=service&label=env%3Dprod&limit=1"),
    ("account show ACCOUNT", "{T}/accounts/ACCOUNT"),
    ("key list ACCOUNT", "{T}/accounts/ACCOUNT/keys?limit=100"),
    ("key show ACCOUNT KEY", "{T}/accounts/ACCOUNT/keys/KEY"),
    ("role list", "{T}/roles"),
    ("role show owner", "{T}/roles/owner"),
    ("binding list", "{T}/bindings?limit=100"),
    ("binding list --principal ACCOUNT", "{T}/bindings?principal=ACCOUNT&limit=100"),
    ("binding show BINDING", "{T}/bindings/BINDING"),
    ("policy list", "{T}/policies?limit=100"),
    ("policy show rule", "{T}/policies/rule"),
    ("mount list", "{T}/mounts?limit=100"),
    ("mount show secret", "{T}/mounts/secret"),
    ("secret list secret", "{T}/secrets/secret?limit=100"),
    ("secret list secret/a", "{T}/secrets/secret/a/?limit=100"),
    ("secret get secret/a/b", "{T}/secrets/secret/a/b"),
    ("secret get secret/a/b --version 1", "{T}/secrets/secret/a/b?version=1"),
    ("secret metadata get secret/a/b", "{T}/secret-metadata/secret/a/b"),
    ("keyring show", "{T}/keyring"),
    ("ledger show 3", "{T}/ledger/entries/3"),
    ("ledger list --oldest-first --limit 3", "{T}/ledger/entries?order=asc&limit=3"),
];

const PLATFORM: &[(&str, &str)] = &[
    ("platform whoami", "/api/v1/platform/whoami"),
    ("tenant list", "/api/v1/tenants?limit=100"),
    ("tenant list --state active --limit 1", "/api/v1/tenants?state=active&limit=1"),
    ("tenant quota show acme", "/api/v1/tenants/acme/quotas"),
    ("operator list", "/api/v1/operators?limit=100"),
    ("operator show OPERATOR", "/api/v1/operators/OPERATOR"),
    ("operator credential list OPERATOR", "/api/v1/operators/OPERATOR/credentials?limit=100"),
    ("guardrail list", "/api/v1/guardrails?limit=100"),
    ("guardrail show ceiling", "/api/v1/guardrails/ceiling"),
    ("platform ledger show 0", "/api/v1/platform/ledger/entries/0"),
    ("platform ledger list --oldest-first --limit 2", "/api/v1/platform/ledger/entries?order=asc&limit=2"),
];

/// What moves on by being looked at.
fn settled(text: &str) -> Value {
    let mut value: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
    let is_ledger = value.get("is_complete").is_some();
    if let Some(object) = value.as_object_mut().filter(|_| is_ledger) {
        object.remove("size");
    }
    value
}

fn words(line: &str, known: &[(&str, String)]) -> String {
    known.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value))
}

#[test]
fn machines_get_what_the_api_answers() {
    let mut dev = Dev::start();
    let h = &dev.house;
    let policy = b"forbid(principal is Agent, action, resource);";
    h.sh("secret put secret/a/b x=1").ok();
    h.sh("secret put secret/a/b x=2").ok();
    h.run_with(&["policy", "put", "-", "--name", "rule"], policy).ok();
    let member = h.sh("whoami -q").word();
    let account = h.sh("account create ci --label env=prod -q").word();
    h.sh(&format!("key issue {account} -q")).ok();
    let key = h.sh(&format!("key list {account} -q")).word();
    let binding = h.sh(&format!("binding create {account} secret-reader --on mount/secret -q")).word();
    let known = [("MEMBER", member), ("ACCOUNT", account), ("KEY", key), ("BINDING", binding)];
    let acme = dev.acme.clone();
    compare(&dev, &acme, TENANT, &known);

    let operator = dev.operator.clone();
    dev.act_as(&operator);
    dev.house.run_with(&["guardrail", "put", "-", "--name", "ceiling"], policy).ok();
    let id = dev.house.sh("platform whoami -q").word();
    compare(&dev, &operator, PLATFORM, &[("OPERATOR", id)]);
}

fn compare(dev: &Dev, credential: &str, rows: &[(&str, &str)], known: &[(&str, String)]) {
    for (line, target) in rows {
        let ran = dev.house.sh(&format!("{} -o json", words(line, known))).ok();
        let target = words(&target.replace("{T}", "/api/v1/t/acme"), known);
        let (status, body) = dev.get(credential, &target);
        assert_eq!(status, 200, "{target}: {body}");
        assert_eq!(settled(&ran.out), settled(&body), "{line}");
        // Not only the same JSON: the same text, so that no digit of a number is lost on the way.
        if !line.contains("ledger") {
            assert_eq!(ran.out.trim_end(), body.trim_end(), "{line}");
        }
        assert_eq!(ran.err, "", "{line}");
    }
}

#[test]
fn what_is_changed_is_told_as_json_too() {
    let mut dev = Dev::start();
    let json = |dev: &Dev, line: &str, stdin: &[u8]| {
        let words: Vec<&str> = line.split_whitespace().chain(["-o", "json"]).collect();
        let ran = dev.house.run_with(&words, stdin);
        assert!(ran.clone().json().is_object(), "{line}: {}", ran.out);
        ran.json()
    };
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned();
    let policy = b"forbid(principal is Agent, action, resource);".as_slice();
    let account = text(&json(&dev, "account create ci", b"")["id"]);
    json(&dev, &format!("account update {account} --name new"), b"");
    let key = text(&json(&dev, &format!("key issue {account}"), b"")["key"]["id"]);
    json(&dev, &format!("key rotate {account} {key}"), b"");
    json(&dev, &format!("key revoke {account} {key}"), b"");
    let binding = text(&json(&dev, &format!("binding create {account} secret-reader"), b"")["id"]);
    json(&dev, &format!("binding delete {binding}"), b"");
    json(&dev, "policy put - --name rule", policy);
    json(&dev, "policy check secret:reveal secret/secret/a/b", b"");
    json(&dev, "policy delete rule", b"");
    json(&dev, "secret put secret/a/b x=1", b"");
    json(&dev, "secret patch secret/a/b y=2", b"");
    json(&dev, "secret delete secret/a/b", b"");
    json(&dev, "secret undelete secret/a/b --versions 2", b"");
    json(&dev, "secret destroy secret/a/b --versions 1", b"");
    json(&dev, "secret metadata put secret/a/b --custom a=b", b"");
    json(&dev, "secret metadata delete secret/a/b", b"");
    json(&dev, "mount create kv", b"");
    json(&dev, "mount delete kv", b"");
    json(&dev, &format!("account delete {account}"), b"");
    json(&dev, "capabilities secret/a/b", b"");
    json(&dev, "keyring rotate records", b"");
    json(&dev, "ledger checkpoint", b"");
    json(&dev, "ledger inclusion 0", b"");
    json(&dev, "ledger consistency 1", b"");
    let schema = dev.house.sh("policy schema").ok().out;
    assert!(schema.contains("entity Tenant") || schema.contains("entity"), "{schema}");
    json(&dev, "status", b"");
    json(&dev, "keyring seal --reason drill", b"");
    dev.house.sh("whoami").fails(8);

    let operator = dev.operator.clone();
    dev.act_as(&operator);
    json(&dev, "tenant unseal acme", b"");
    json(&dev, "tenant create initech", b"");
    json(&dev, "tenant quota set initech secrets=3", b"");
    json(&dev, "tenant delete initech --hold 1d", b"");
    json(&dev, "tenant resume initech", b"");
    json(&dev, "platform health", b"");
    let grace = text(&json(&dev, "operator create Grace --role operator-viewer", b"")["id"]);
    json(&dev, &format!("operator credential issue {grace}"), b"");
    json(&dev, &format!("operator delete {grace}"), b"");
    json(&dev, "guardrail put - --name ceiling", policy);
    json(&dev, "guardrail delete ceiling", b"");
    let acme = dev.acme.clone();
    dev.act_as(&acme);
    json(&dev, "revoke-self", b"");
    dev.house.sh("whoami").fails(3);
}

#[test]
fn a_list_of_several_pages_is_one_list() {
    let dev = Dev::start();
    for name in ["c", "a", "b", "d", "e"] {
        dev.house.sh(&format!("secret put secret/f/{name} x=1")).ok();
    }
    let page = dev.house.sh("secret list secret/f --limit 2 -o json").json();
    assert_eq!(page["items"], serde_json::json!(["a", "b"]));
    let cursor = page["next"].as_str().unwrap().to_owned();
    let next = dev.house.run(&["secret", "list", "secret/f", "--limit", "2", "--cursor", &cursor]).ok();
    assert_eq!(next.out, "c\nd\n");
    assert!(next.err.starts_with("there are more: --all, or --cursor "), "{}", next.err);
    assert_eq!(dev.house.sh("secret list secret/f --all").ok().out, "a\nb\nc\nd\ne\n");
    // A ledger has no last page, and still ends.
    let all = dev.house.sh("ledger list --all --oldest-first -q").ok().out;
    let indexes: Vec<u64> = all.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(indexes, (0..indexes.len() as u64).collect::<Vec<_>>());
    assert!(indexes.len() > 6);
    let few = dev.house.sh("ledger list --oldest-first --action secret:write").ok();
    assert_eq!((few.out.lines().count(), few.err.as_str()), (6, ""));
}

#[test]
fn completions_and_references_are_printed() {
    let house = super::house::House::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = house.sh(&format!("completions {shell}")).ok().out;
        assert!(script.contains("bailiwick") && script.contains("keyring"), "{shell}");
    }
    for page in ["cli", "openapi", "errors", "actions", "config", "limits"] {
        assert!(house.sh(&format!("docs {page}")).ok().out.len() > 500, "{page}");
    }
    assert!(house.sh("--version").ok().out.starts_with("bailiwick "));
    assert!(house.sh("--help").ok().out.contains("Exit codes"));
}
