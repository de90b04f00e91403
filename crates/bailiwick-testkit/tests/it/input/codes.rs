//! Every problem code, provoked by a request, or with the reason why no request can.
//!
//! A code without a row fails; so does a row whose request is answered with something else. What is documented is what
//! happens.

use bailiwick_testkit::{ANONYMOUS, Answer, Request, World};
use bailiwick_types::{Code, ErrorClass};
use serde_json::{Value, json};

use crate::routes::forged_of;

type Provoke = fn(&World) -> Answer;

/// The codes that a request at the native API can be answered with, and one that is.
const PROVOKED: &[(Code, Provoke)] = &[
    (Code::InvalidRequest, |world| own(world, "GET", "accounts?limit=0", &Value::Null)),
    (Code::InvalidJson, |world| own(world, "POST", "accounts", &json!({}))),
    (Code::DuplicateMember, |world| raw(world, "POST", "accounts", r#"{"name":"a","name":"b"}"#)),
    (Code::UnknownField, |world| own(world, "POST", "accounts", &json!({ "surplus": 1 }))),
    (Code::NestingTooDeep, |world| raw(world, "POST", "accounts", &"[".repeat(65))),
    (Code::UnknownParameter, |world| own(world, "GET", "accounts?surplus=1", &Value::Null)),
    (Code::InvalidPath, |world| own(world, "GET", "secrets/secret/a/../b", &Value::Null)),
    (Code::InvalidName, |world| own(world, "GET", "secrets/-/a", &Value::Null)),
    (Code::InvalidCursor, |world| own(world, "GET", "accounts?cursor=x", &Value::Null)),
    (Code::InvalidPolicy, |world| own(world, "POST", "policies", &json!({ "name": "x", "text": "x" }))),
    (Code::InvalidReference, |world| {
        own(world, "POST", "bindings", &json!({ "principal": "nobody", "role": "viewer" }))
    }),
    (Code::BodyTooLarge, |world| raw(world, "POST", "accounts", &" ".repeat(2_097_153))),
    (Code::UriTooLong, |world| own(world, "GET", &format!("accounts?cursor={}", "a".repeat(8_192)), &Value::Null)),
    (Code::BundleRefused, |world| operator(world, "POST", "tenants:import", &Value::Null)),
    (Code::UnsupportedMediaType, |world| {
        asking(world, "POST", "accounts").header("content-type", "text/plain").bytes("{}").send()
    }),
    (Code::MethodNotAllowed, |world| own(world, "PUT", "accounts", &Value::Null)),
    (Code::Unauthenticated, |world| whoami(world, ANONYMOUS)),
    (Code::CredentialMalformed, |world| whoami(world, "bwk_x")),
    (Code::CredentialChecksum, |world| {
        let text = &world.acme.owner.key.credential;
        let last = if text.ends_with('0') { "1" } else { "0" };
        whoami(world, &format!("{}{}{}", &text[..20], if &text[20..21] == last { "2" } else { last }, &text[21..]))
    }),
    (Code::CredentialInvalid, |world| whoami(world, &forged_of(&world.acme.id, &world.acme.owner.key.id))),
    (Code::CredentialExpired, |world| whoami(world, world.acme.expired.as_ref())),
    (Code::CredentialRevoked, |world| whoami(world, world.acme.revoked.as_ref())),
    (Code::PrincipalDisabled, |world| {
        own(world, "PATCH", &format!("members/{}", world.acme.viewer.id), &json!({ "is_disabled": true })).expect(200);
        whoami(world, world.acme.viewer.as_ref())
    }),
    (Code::SourceNotAllowed, |world| {
        let keys = format!("accounts/{}/keys", world.acme.reader.id);
        let key = own(world, "POST", &keys, &json!({ "source_networks": ["10.0.0.0/8"] })).expect(201);
        whoami(world, key["credential"].as_str().unwrap())
    }),
    (Code::PermissionDenied, |world| world.get(&world.acme.bare, "/api/v1/t/acme/members")),
    (Code::TenantSuspended, |world| {
        operator(world, "POST", "tenants/acme/suspend", &Value::Null).expect(200);
        whoami(world, world.acme.owner.as_ref())
    }),
    (Code::NotFound, |world| own(world, "GET", "accounts/x", &Value::Null)),
    (Code::MountNotFound, |world| own(world, "GET", "secrets/nothing/a", &Value::Null)),
    (Code::VersionNotFound, |world| own(world, "GET", "secrets/secret/app/db?version=9", &Value::Null)),
    (Code::RouteNotFound, |world| own(world, "GET", "nothing", &Value::Null)),
    (Code::AlreadyExists, |world| own(world, "POST", "mounts", &json!({ "name": "kv" }))),
    (Code::CasConflict, |world| own(world, "PUT", "secrets/secret/app/db", &json!({ "data": {}, "cas": 0 }))),
    (Code::CasRequired, |world| {
        own(world, "PATCH", "mounts/kv", &json!({ "cas_required": true })).expect(200);
        own(world, "PUT", "secrets/kv/x", &json!({ "data": {} }))
    }),
    (Code::StillInUse, |world| own(world, "DELETE", &format!("members/{}", world.acme.admin.id), &Value::Null)),
    (Code::WrongState, |world| {
        let (account, key) = (&world.acme.reader.id, &world.acme.revoked.id);
        own(world, "POST", &format!("accounts/{account}/keys/{key}/rotate"), &Value::Null)
    }),
    (Code::PreconditionFailed, |world| {
        let request = asking(world, "PATCH", "mounts/kv").header("if-match", "\"99\"");
        request.json(&json!({ "description": "x" })).send()
    }),
    (Code::IdempotencyMismatch, |world| {
        let mount = |name: &str| {
            let request = asking(world, "POST", "mounts").header("idempotency-key", "k");
            request.json(&json!({ "name": name })).send()
        };
        mount("a").expect(201);
        mount("b")
    }),
    (Code::LimitExceeded, |world| {
        operator(world, "PUT", "tenants/acme/quotas", &json!({ "quotas": { "mounts": 1 } })).expect(200);
        own(world, "POST", "mounts", &json!({ "name": "x" }))
    }),
    (Code::RateLimited, |world| {
        operator(world, "PUT", "tenants/acme/quotas", &json!({ "quotas": { "requests_per_second": 1 } })).expect(200);
        whoami(world, world.acme.owner.as_ref()).expect(200);
        whoami(world, world.acme.owner.as_ref())
    }),
    (Code::TenantSealed, |world| {
        own(world, "POST", "keyring/seal", &Value::Null).expect(200);
        whoami(world, world.acme.owner.as_ref())
    }),
    (Code::Sealed, |world| {
        operator(world, "POST", "platform/seal", &Value::Null).expect(200);
        whoami(world, world.acme.owner.as_ref())
    }),
];

/// The codes that no request alone can provoke here, and where else they are.
const UNPROVOKED: &[(Code, &str)] = &[
    (Code::NotInitialized, "a world is initialised; `promises` asks a server that is not"),
    (Code::Contention, "state has to move 64 times while one request is decided"),
    (Code::StorageUnavailable, "the disk has to fail: `a_full_disk_refuses_loses_nothing_and_heals` in `promises`"),
    (Code::Overloaded, "many requests have to come at once: `flood`"),
    (Code::ProofRefuted, "a solver has to be there: `proofs`"),
    (Code::ProofRequired, "the configuration has to ask for proofs: `proofs`"),
    (Code::Internal, "there must be no such request: `fuzz` fails on one"),
];

fn asking<'w>(world: &'w World, method: &str, path: &str) -> Request<'w> {
    world.request(method, &format!("/api/v1/t/acme/{path}")).by(&world.acme.owner)
}

fn own(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    asking(world, method, path).json(body).send()
}

fn raw(world: &World, method: &str, path: &str, body: &str) -> Answer {
    asking(world, method, path).bytes(body.to_owned()).send()
}

fn operator(world: &World, method: &str, path: &str, body: &Value) -> Answer {
    world.send(&world.platform.admin, method, &format!("/api/v1/{path}"), body)
}

fn whoami(world: &World, caller: &str) -> Answer {
    world.get(caller, "/api/v1/t/acme/whoami")
}

#[test]
fn every_code_is_provoked_or_says_why_it_cannot_be() {
    let (mut provoked, mut left) = (0, Vec::new());
    for code in Code::ALL.iter().copied() {
        let row = PROVOKED.iter().find(|(known, _)| *known == code);
        let reason = UNPROVOKED.iter().find(|(known, _)| *known == code);
        assert!(row.is_none() || reason.is_none(), "{code} cannot be both");
        let Some((_, provoke)) = row else {
            left.extend(reason.is_none().then_some(code));
            continue;
        };
        let world = World::two_tenants();
        let answer = provoke(&world);
        let body = answer.json();
        assert_eq!((answer.status, body["code"].as_str()), (code.status(), Some(code.as_str())), "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(body["type"], format!("urn:bailiwick:error:{code}"));
        assert_eq!((&body["title"], &body["status"]), (&json!(code.title()), &json!(code.status())));
        assert_eq!(body["hint"].as_str().unwrap_or_default(), code.hint());
        // Who caused it stays the only one who notices.
        if code.class() != ErrorClass::Sealed || code == Code::TenantSealed {
            world.get(&world.globex.owner, "/api/v1/t/globex/secrets/secret/app/db").expect(200);
        }
        provoked += 1;
    }
    assert!(left.is_empty(), "codes that nothing provokes: {left:?}");
    assert!(provoked >= 40, "{provoked}");
}

#[test]
fn every_code_is_documented_with_its_status() {
    let path = [env!("CARGO_MANIFEST_DIR"), "../../docs/reference/errors.md"].iter().collect::<std::path::PathBuf>();
    let document = std::fs::read_to_string(path).unwrap();
    for code in Code::ALL {
        let row = format!("| `{code}` | {} | {} |", code.status(), code.class().exit_code());
        assert!(document.contains(&row), "{row}");
    }
}
