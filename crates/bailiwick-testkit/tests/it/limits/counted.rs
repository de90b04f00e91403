//! Things that are counted: one more than the quota is refused, at both doors; what goes away makes room.

use serde_json::{Value, json};

use super::{Case, Full, Passes, run};

/// How one kind of thing is made and taken away again.
struct Kind {
    /// Makes the `n`-th one more.
    grow: fn(&Full<'_>, usize) -> bailiwick_testkit::Answer,
    /// Takes away what the first growing made, given its answer.
    shrink: fn(&Full<'_>, &Value),
    /// What is read and changed without growing, also when there is more than may be.
    live: &'static str,
}

fn id(made: &Value) -> &str {
    made["id"].as_str().or_else(|| made["key"]["id"].as_str()).unwrap()
}

fn delete(full: &Full<'_>, path: &str) {
    full.own("DELETE", path, &Value::Null).expect(200);
}

const TEXT: &str = r#"forbid(principal, action == Action::"secret:purge", resource);"#;

const MEMBERS: Kind = Kind {
    grow: |full, n| full.own("POST", "members", &json!({ "name": format!("m{n}"), "role": "viewer" })),
    shrink: |full, made| delete(full, &format!("members/{}", id(made))),
    live: "members",
};
const ACCOUNTS: Kind = Kind {
    grow: |full, n| full.own("POST", "accounts", &json!({ "name": format!("a{n}"), "owner": full.own.admin.id })),
    shrink: |full, made| delete(full, &format!("accounts/{}", id(made))),
    live: "accounts",
};
const CREDENTIALS: Kind = Kind {
    grow: |full, _| full.own("POST", &format!("accounts/{}/keys", full.own.bare.id), &json!({})),
    shrink: |full, made| {
        // A revoked one still counts: that it was revoked has to be known. With its account it goes.
        delete(full, &format!("accounts/{}/keys/{}", full.own.bare.id, id(made)));
        let keys = format!("accounts/{}/keys", full.own.bare.id);
        assert_eq!(full.own("POST", &keys, &json!({})).status, 429);
        delete(full, &format!("accounts/{}", full.own.reader.id));
    },
    live: "accounts",
};
const BINDINGS: Kind = Kind {
    grow: |full, n| {
        let on = format!("folder/secret/f{n}");
        full.own("POST", "bindings", &json!({ "principal": full.own.bare.id, "role": "viewer", "on": on }))
    },
    shrink: |full, made| delete(full, &format!("bindings/{}", id(made))),
    live: "bindings",
};
const POLICIES: Kind = Kind {
    grow: |full, n| full.own("POST", "policies", &json!({ "name": format!("p{n}"), "text": TEXT })),
    shrink: |full, made| delete(full, &format!("policies/{}", made["name"].as_str().unwrap())),
    live: "policies",
};
const INVARIANTS: Kind = Kind {
    grow: |full, n| {
        full.own("POST", "invariants", &json!({ "name": format!("i{n}"), "text": TEXT, "covers": "policies" }))
    },
    shrink: |full, made| delete(full, &format!("invariants/{}", made["name"].as_str().unwrap())),
    live: "invariants",
};
const MOUNTS: Kind = Kind {
    grow: |full, n| full.own("POST", "mounts", &json!({ "name": format!("m{n}") })),
    shrink: |full, made| delete(full, &format!("mounts/{}", made["name"].as_str().unwrap())),
    live: "mounts",
};
const SECRETS: Kind = Kind {
    grow: |full, n| full.own("PUT", &format!("secrets/secret/s{n}"), &json!({ "data": {} })),
    shrink: |full, _| delete(full, "secret-metadata/secret/s0"),
    live: "secrets/secret",
};
const VERSIONS: Kind = Kind {
    grow: |full, _| full.own("PUT", "secrets/secret/app/db", &json!({ "data": {} })),
    shrink: |full, made| {
        let body = json!({ "versions": [made["version"]] });
        // A version that can come back still counts; one that is destroyed does not.
        full.own("POST", "secret-delete/secret/app/db", &body).expect(200);
        assert_eq!(full.own("PUT", "secrets/secret/app/db", &json!({ "data": {} })).status, 429);
        full.own("POST", "secret-destroy/secret/app/db", &body).expect(200);
    },
    live: "secret-metadata/secret/app/db",
};

/// Up to the quota, one more, away with one, one more; then with a quota below what there is; then without.
fn fill(full: &Full<'_>, kind: &Kind, used: u64) {
    let most = used + 2;
    full.quota(Some(most));
    let shown = full.shown();
    assert_eq!((&shown["limit"], &shown["is_quota"]), (&json!(most), &json!(true)));
    let grown = |n: usize| {
        let answer = (kind.grow)(full, n);
        assert!(matches!(answer.status, 200 | 201), "{}: {n}: {}", full.limit, answer.text());
        answer.json()
    };
    let first = grown(0);
    grown(1);
    for n in 2..4 {
        full.refused(&(kind.grow)(full, n), most);
    }
    full.own("GET", kind.live, &Value::Null).expect(200);
    (kind.shrink)(full, &first);
    let second = grown(4);
    // Below what there is: nothing is taken away, nothing comes to it, and what goes away goes.
    full.quota(Some(1));
    full.refused(&(kind.grow)(full, 5), 1);
    full.own("GET", kind.live, &Value::Null).expect(200);
    full.own("GET", "secrets/secret/outside", &Value::Null).expect(200);
    full.own("PATCH", &format!("members/{}", full.own.viewer.id), &json!({ "name": "renamed" })).expect(200);
    if full.limit.as_str() != "secrets"
        && full.limit.as_str() != "secret_versions"
        && full.limit.as_str() != "credentials"
    {
        (kind.shrink)(full, &second);
        full.refused(&(kind.grow)(full, 5), 1);
    }
    // With the default there is room again.
    full.quota(None);
    grown(6);
    assert_eq!(full.shown()["is_quota"], false);
    let beyond = full.try_quota(json!(full.limit.ceiling() + 1));
    beyond.expect_refusal(400, "invalid_request");
    assert!(beyond.text().contains(&format!("must be between 1 and {}", full.limit.ceiling())), "{}", beyond.text());
    assert_eq!(full.shown()["is_quota"], false);
}

macro_rules! counted {
    ($($limit:literal: $kind:ident;)+) => {
        [$(Case { limit: $limit, run: |full| fill(full, &$kind, full.used()), passes: Passes::Nothing }),+]
    };
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = counted! {
        "members": MEMBERS;
        "accounts": ACCOUNTS;
        "credentials": CREDENTIALS;
        "bindings": BINDINGS;
        "policies": POLICIES;
        "invariants": INVARIANTS;
        "mounts": MOUNTS;
        "secrets": SECRETS;
        "secret_versions": VERSIONS;
    }
    .into();
    cases.push(Case { limit: "credentials_per_principal", run: keys_of_one, passes: Passes::Nothing });
    cases.push(Case { limit: "bindings_per_principal", run: bindings_of_one, passes: Passes::Nothing });
    cases.push(Case { limit: "idempotency_keys", run: remembered, passes: Passes::ADay });
    cases
}

/// One principal is full, and its tenant is not.
fn keys_of_one(full: &Full<'_>) {
    let issue = |account: &str| full.own("POST", &format!("accounts/{account}/keys"), &json!({}));
    let bare = &full.own.bare.id;
    full.quota(Some(3));
    let first = issue(bare).expect(201);
    issue(bare).expect(201);
    full.refused(&issue(bare), 3);
    // The revoked and the expired key of this one do not count among the live ones.
    issue(&full.own.reader.id).expect(201);
    // To rotate is to have one more for a while.
    let rotate = format!("accounts/{bare}/keys/{}/rotate", id(&first));
    full.refused(&full.own("POST", &rotate, &json!({})), 3);
    delete(full, &format!("accounts/{bare}/keys/{}", id(&first)));
    issue(bare).expect(201);
    full.refused(&issue(bare), 3);
    full.quota(Some(1));
    full.own("GET", &format!("accounts/{bare}/keys"), &Value::Null).expect(200);
    full.world.get(&full.own.bare, &format!("/api/v1/t/{}/whoami", full.own.slug)).expect(200);
    full.quota(None);
    issue(bare).expect(201);
}

fn bindings_of_one(full: &Full<'_>) {
    let bind = |principal: &str, n: usize| {
        let on = format!("folder/secret/f{n}");
        full.own("POST", "bindings", &json!({ "principal": principal, "role": "viewer", "on": on }))
    };
    let (bare, reader) = (&full.own.bare.id, &full.own.reader.id);
    full.quota(Some(2));
    let first = bind(bare, 0).expect(201);
    bind(bare, 1).expect(201);
    full.refused(&bind(bare, 2), 2);
    bind(reader, 0).expect(201);
    delete(full, &format!("bindings/{}", id(&first)));
    bind(bare, 3).expect(201);
    full.refused(&bind(bare, 4), 2);
    full.quota(Some(1));
    full.refused(&bind(bare, 4), 1);
    full.own("GET", &format!("bindings?principal={bare}"), &Value::Null).expect(200);
    full.quota(None);
    bind(bare, 5).expect(201);
}

/// Answers that are remembered: too many of them, and the next request is refused rather than done and forgotten.
fn remembered(full: &Full<'_>) {
    let mount = |n: usize| {
        let target = format!("/api/v1/t/{}/mounts", full.own.slug);
        let request = full.world.request("POST", &target).by(&full.own.owner).json(&json!({ "name": format!("r{n}") }));
        request.header("idempotency-key", &format!("k{n}")).send()
    };
    let most = full.used() + 2;
    full.quota(Some(most));
    let first = mount(0).expect(201);
    mount(1).expect(201);
    full.refused(&mount(2), most);
    full.own("GET", "mounts/r2", &Value::Null).expect_refusal(404, "not_found");
    // What is remembered is answered again, and without a key all goes on.
    assert_eq!(mount(0).expect(201), first);
    full.own("POST", "mounts", &json!({ "name": "without" })).expect(201);
    // After a day they are forgotten.
    full.pass();
    mount(2).expect(201);
    assert_eq!(full.used(), 1);
    full.quota(None);
}

#[test]
fn what_is_counted_is_each_tenants_own_and_ends_where_it_says() {
    run(&cases()[..5]);
}

#[test]
fn what_is_counted_is_each_tenants_own_and_ends_where_it_says_too() {
    run(&cases()[5..]);
}

#[test]
fn at_the_vault_door_what_is_full_is_told_with_its_number() {
    let world = bailiwick_testkit::World::two_tenants();
    for (own, other) in world.both_ways() {
        let before = world.stored(bailiwick_testkit::Plane::Tenant(other));
        let target = format!("/api/v1/tenants/{}/quotas", own.slug);
        let quotas = json!({ "quotas": { "mounts": 3, "secrets": 8, "secret_versions": 8 } });
        world.send(&world.platform.admin, "PUT", &target, &quotas).expect(200);
        for (path, body, told) in [
            ("sys/mounts/more", json!({ "type": "kv-v2" }), "mounts is limited to 3 mounts"),
            ("secret/data/more", json!({ "data": {} }), "is limited to 8"),
            ("secret/data/app/db", json!({ "data": {} }), "secret_versions is limited to 8 versions"),
            ("secret/metadata/more", json!({ "max_versions": 3 }), "secrets is limited to 8 secrets"),
        ] {
            let answer = world.send(&own.owner, "POST", &format!("/v1/{path}"), &body);
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            assert!(answer.code().contains(told), "{path}: {}", answer.text());
        }
        world.get(&own.owner, "/v1/secret/data/app/db").expect(200);
        assert!(before == world.stored(bailiwick_testkit::Plane::Tenant(other)));
    }
}
