//! Events: three of them whole, and for every action what OCSF 1.8.0 requires of its class.

use super::*;
use crate::entry::{Actor, EntryResource};
use crate::testing::{bare_entry, full_entry};

const SOURCE: Source<'static> = Source { origin: "bailiwick.example/7f", product_version: "0.1.0" };

fn pretty(entry: &Entry) -> String {
    // Another crate of the build may ask serde_json to keep members in the order of insertion.
    let mut event = event(entry, 41, &SOURCE);
    event.sort_all_objects();
    serde_json::to_string_pretty(&event).unwrap()
}

#[test]
fn a_read_is_an_api_activity() {
    expect_test::expect![[r#"
        {
          "activity_id": 2,
          "activity_name": "Read",
          "actor": {
            "authorizations": [
              {
                "decision": "allow",
                "policy": {
                  "uid": "isolation"
                }
              },
              {
                "decision": "allow",
                "policy": {
                  "uid": "p/1"
                }
              }
            ],
            "user": {
              "credential_uid": "key_1",
              "type": "Agent",
              "type_id": 99,
              "uid": "acc_1"
            }
          },
          "api": {
            "group": {
              "name": "vault"
            },
            "operation": "secret:reveal",
            "service": {
              "name": "Bailiwick"
            }
          },
          "category_name": "Application Activity",
          "category_uid": 6,
          "class_name": "API Activity",
          "class_uid": 6003,
          "message": "secret:reveal Secret kv/a \"b\"\\é: invalid",
          "metadata": {
            "correlation_uid": "req_0123456789abcdefghjkmnpqrs",
            "log_name": "bailiwick.example/7f",
            "product": {
              "name": "Bailiwick",
              "vendor_name": "Bailiwick",
              "version": "0.1.0"
            },
            "sequence": 41,
            "tenant_uid": "ten_0w3ge1r70w3ge1r70w3ge1r70w",
            "uid": "bailiwick.example/7f/41",
            "version": "1.8.0"
          },
          "resources": [
            {
              "type": "Secret",
              "uid": "kv/a \"b\"\\é",
              "version": "3"
            }
          ],
          "severity": "Informational",
          "severity_id": 1,
          "src_endpoint": {
            "ip": "192.0.2.7"
          },
          "status": "Failure",
          "status_code": "cas_required",
          "status_detail": "invalid",
          "status_id": 2,
          "time": 1769860800123,
          "type_name": "API Activity: Read",
          "type_uid": 600302,
          "unmapped": {
            "detail": {
              "a": "1\n2\t\u0001\u001f\b\f\r",
              "b\"": ""
            },
            "door": "vault",
            "operator": "opr_1"
          }
        }"#]]
    .assert_eq(&pretty(&full_entry()));
}

#[test]
fn a_failed_authentication_is_an_authentication() {
    let entry = Entry {
        outcome: "unauthenticated".into(),
        code: Some("credential_expired".into()),
        source: Some("2001:db8::1".to_owned()),
        ..bare_entry()
    };
    expect_test::expect![[r#"
        {
          "activity_id": 1,
          "activity_name": "Logon",
          "actor": {
            "user": {
              "name": "anonymous",
              "type": "Unknown",
              "type_id": 0
            }
          },
          "category_name": "Identity & Access Management",
          "category_uid": 3,
          "class_name": "Authentication",
          "class_uid": 3002,
          "is_remote": true,
          "message": "secret:reveal Ledger : unauthenticated",
          "metadata": {
            "correlation_uid": "req_0123456789abcdefghjkmnpqrs",
            "log_name": "bailiwick.example/7f",
            "product": {
              "name": "Bailiwick",
              "vendor_name": "Bailiwick",
              "version": "0.1.0"
            },
            "sequence": 41,
            "tenant_uid": "ten_0w3ge1r70w3ge1r70w3ge1r70w",
            "uid": "bailiwick.example/7f/41",
            "version": "1.8.0"
          },
          "service": {
            "name": "Bailiwick",
            "version": "0.1.0"
          },
          "severity": "Low",
          "severity_id": 2,
          "src_endpoint": {
            "ip": "2001:db8::1"
          },
          "status": "Failure",
          "status_code": "credential_expired",
          "status_detail": "unauthenticated",
          "status_id": 2,
          "time": 1769860800123,
          "type_name": "Authentication: Logon",
          "type_uid": 300201,
          "unmapped": {
            "door": "vault"
          },
          "user": {
            "name": "anonymous",
            "type": "Unknown",
            "type_id": 0
          }
        }"#]]
    .assert_eq(&pretty(&entry));
}

#[test]
fn revoking_a_key_is_entity_management() {
    let entry = Entry {
        actor: Actor { kind: ActorKind::Member, id: Some("mem_1".to_owned()), credential: None, operator: None },
        action: "key:revoke".into(),
        resource: EntryResource { kind: "Credential".into(), id: "key_1".to_owned(), version: None },
        decision: Decision::Deny,
        outcome: "denied".into(),
        ..bare_entry()
    };
    expect_test::expect![[r#"
        {
          "activity_id": 4,
          "activity_name": "Delete",
          "actor": {
            "authorizations": [
              {
                "decision": "deny"
              }
            ],
            "user": {
              "type": "User",
              "type_id": 1,
              "uid": "mem_1"
            }
          },
          "category_name": "Identity & Access Management",
          "category_uid": 3,
          "class_name": "Entity Management",
          "class_uid": 3004,
          "entity": {
            "type": "Credential",
            "uid": "key_1"
          },
          "message": "key:revoke Credential key_1: denied",
          "metadata": {
            "correlation_uid": "req_0123456789abcdefghjkmnpqrs",
            "log_name": "bailiwick.example/7f",
            "product": {
              "name": "Bailiwick",
              "vendor_name": "Bailiwick",
              "version": "0.1.0"
            },
            "sequence": 41,
            "tenant_uid": "ten_0w3ge1r70w3ge1r70w3ge1r70w",
            "uid": "bailiwick.example/7f/41",
            "version": "1.8.0"
          },
          "severity": "Low",
          "severity_id": 2,
          "src_endpoint": {
            "svc_name": "vault"
          },
          "status": "Failure",
          "status_detail": "denied",
          "status_id": 2,
          "time": 1769860800123,
          "type_name": "Entity Management: Delete",
          "type_uid": 300404,
          "unmapped": {
            "door": "vault"
          }
        }"#]]
    .assert_eq(&pretty(&entry));
}

/// What the schema requires of an event, as far as these classes go.
fn check(event: &Value) {
    let number =
        |pointer: &str| event.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {event}"));
    let has = |pointer: &str| event.pointer(pointer).is_some_and(|value| value != "" && !value.is_null());
    let has_one = |pointers: &[&str]| assert!(pointers.iter().any(|pointer| has(pointer)), "{pointers:?}: {event}");
    assert_eq!(number("/class_uid") / 1000, number("/category_uid"));
    assert_eq!(number("/type_uid"), number("/class_uid") * 100 + number("/activity_id"));
    assert!(number("/time") > 1_000_000_000_000, "milliseconds");
    assert!((1..=6).contains(&number("/severity_id")) && (1..=2).contains(&number("/status_id")));
    assert_eq!(number("/metadata/sequence"), 41);
    for pointer in ["version", "product/name", "tenant_uid", "log_name", "correlation_uid", "uid"] {
        has_one(&[&format!("/metadata/{pointer}")]);
    }
    has_one(&["/actor/user", "/actor/app_name"]);
    has_one(&["/actor/user/uid", "/actor/user/name"]);
    has_one(&["/src_endpoint/ip", "/src_endpoint/name", "/src_endpoint/svc_name"]);
    match number("/class_uid") {
        3002 => {
            has_one(&["/user/uid", "/user/name"]);
            has_one(&["/service/name"]);
        }
        3004 => has_one(&["/entity/uid", "/entity/name"]),
        6003 => {
            has_one(&["/api/operation"]);
            has_one(&["/resources/0/uid", "/resources/0/name"]);
        }
        other => panic!("class {other}"),
    }
    assert!(!event.to_string().contains("null"), "{event}");
}

#[test]
fn every_action_becomes_a_valid_event_of_one_class_and_activity() {
    let mut table = String::new();
    for action in Action::ALL {
        let entry = Entry {
            action: action.as_str().into(),
            resource: EntryResource { kind: action.resource().as_str().into(), ..full_entry().resource },
            ..full_entry()
        };
        let event = event(&entry, 41, &SOURCE);
        check(&event);
        table.push_str(&format!("{action} {} {}\n", event["class_uid"], event["activity_name"].as_str().unwrap()));
    }
    expect_test::expect![[r#"
        self:show 6003 Read
        self:revoke 3004 Delete
        capabilities:show 6003 Read
        limits:show 6003 Read
        member:create 6003 Create
        member:list 6003 Read
        member:show 6003 Read
        member:update 3004 Update
        member:delete 3004 Delete
        member-credential:issue 6003 Create
        member-credential:list 6003 Read
        member-credential:revoke 3004 Delete
        account:create 6003 Create
        account:list 6003 Read
        account:show 6003 Read
        account:update 3004 Update
        account:delete 3004 Delete
        key:issue 6003 Create
        key:list 6003 Read
        key:show 6003 Read
        key:rotate 3004 Update
        key:revoke 3004 Delete
        role:list 6003 Read
        role:show 6003 Read
        binding:create 6003 Create
        binding:list 6003 Read
        binding:show 6003 Read
        binding:delete 3004 Delete
        policy:put 3004 Update
        policy:list 6003 Read
        policy:show 6003 Read
        policy:delete 3004 Delete
        policy:check 6003 Read
        policy:diff 6003 Read
        invariant:put 3004 Update
        invariant:list 6003 Read
        invariant:show 6003 Read
        invariant:delete 3004 Delete
        invariant:check 6003 Read
        mount:create 6003 Create
        mount:list 6003 Read
        mount:show 6003 Read
        mount:update 3004 Update
        mount:delete 3004 Delete
        secret:reveal 6003 Read
        secret:write 6003 Update
        secret:patch 6003 Update
        secret:delete 6003 Delete
        secret:undelete 6003 Update
        secret:destroy 6003 Delete
        secret:list 6003 Read
        secret:describe 6003 Read
        secret:configure 6003 Update
        secret:purge 6003 Delete
        ledger:read 6003 Read
        ledger:prove 6003 Read
        ledger:export 6003 Read
        attestation:issue 6003 Read
        keyring:show 6003 Read
        keyring:rotate 3004 Update
        keyring:seal 3004 Deactivate
        bundle:export 6003 Update
        operator-self:show 6003 Read
        platform:health 6003 Read
        isolation:show 6003 Read
        isolation:probe 6003 Update
        tenant:create 6003 Create
        tenant:list 6003 Read
        tenant:show 6003 Read
        tenant:update 3004 Update
        tenant:suspend 3004 Suspend
        tenant:resume 3004 Resume
        tenant:delete 3004 Delete
        tenant:seal 3004 Deactivate
        tenant:unseal 3004 Activate
        tenant:import 6003 Update
        recipient:show 6003 Read
        quota:show 6003 Read
        quota:set 6003 Update
        guardrail:put 3004 Update
        guardrail:list 6003 Read
        guardrail:show 6003 Read
        guardrail:delete 3004 Delete
        platform-invariant:put 3004 Update
        platform-invariant:list 6003 Read
        platform-invariant:show 6003 Read
        platform-invariant:delete 3004 Delete
        platform-invariant:check 6003 Read
        operator:create 6003 Create
        operator:list 6003 Read
        operator:show 6003 Read
        operator:update 3004 Update
        operator:delete 3004 Delete
        operator-credential:issue 6003 Create
        operator-credential:list 6003 Read
        operator-credential:revoke 6003 Delete
        platform-ledger:read 6003 Read
        platform-ledger:prove 6003 Read
        platform-ledger:export 6003 Read
        root-key:rotate 6003 Update
        installation:seal 3004 Deactivate
    "#]]
    .assert_eq(&table);
}

#[test]
fn every_actor_and_outcome_becomes_a_valid_event() {
    use ActorKind::{Agent, Anonymous, Member, Operator, Service, System};
    for kind in [Member, Service, Agent, Operator, Anonymous, System] {
        for class in ErrorClass::ALL.iter().map(|class| class.as_str()).chain(["ok"]) {
            for entry in [full_entry(), bare_entry()] {
                let actor = Actor { kind, ..entry.actor.clone() };
                let event = event(&Entry { actor, outcome: class.into(), ..entry }, 41, &SOURCE);
                check(&event);
                assert_eq!(event["class_uid"] == 3002, class == "unauthenticated", "{class}");
                assert_eq!(event["status_id"] == 1, class == "ok", "{class}");
            }
        }
    }
}

#[test]
fn what_is_made_in_a_container_is_not_the_container() {
    let of = |kind: &'static str| {
        let resource = EntryResource { kind: kind.into(), ..full_entry().resource };
        event(&Entry { action: "key:issue".into(), resource, ..full_entry() }, 41, &SOURCE)["type_uid"].clone()
    };
    assert_eq!((of("Account"), of("Credential")), (json!(600_301), json!(300_401)));
}

#[test]
fn an_unknown_action_is_an_other_api_activity() {
    let event = event(&Entry { action: "tide:turn".into(), ..bare_entry() }, 41, &SOURCE);
    check(&event);
    assert_eq!((&event["type_uid"], &event["activity_name"]), (&json!(600_399), &json!("tide:turn")));
}
