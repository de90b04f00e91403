//! `Debug` of everything that carries a secret on the wire: the one way in which a log line of tomorrow could show it.

use std::fmt::Debug;

use bailiwick_types::api::{identity, platform, secret};
use bailiwick_types::{CredentialText, Secret};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::canary::Canaries;

/// `Debug` of what JSON says, in both forms.
fn shown<T: Debug + DeserializeOwned>(value: Value) -> String {
    let parsed: T = serde_json::from_value(value).unwrap();
    format!("{parsed:?}\n{parsed:#?}")
}

#[test]
fn nothing_that_carries_a_secret_shows_it_in_debug() {
    let mut canaries = Canaries::new(7);
    let (value, member) = (canaries.spiced("value"), canaries.plain("member"));
    let (member_id, operator_id) = ("mem_0123456789abcdefghjkmnpqrg", "opr_0123456789abcdefghjkmnpqrg");
    let key = json!({ "id": "key_0123456789abcdefghjkmnpqrg", "principal": "p", "created": "2026-01-01T00:00:00Z" });
    let version = json!({ "version": 1, "created": "2026-01-01T00:00:00Z", "is_destroyed": false });
    let operator = json!({ "id": operator_id, "credential": value });
    let random = bailiwick_testkit::SeededRandom::new("debug");
    let id = bailiwick_types::CredentialId::random(&random);
    let credential = CredentialText::generate(bailiwick_types::TenantId::PLATFORM, id, &random);
    canaries.adopt_credential("credential", credential.reveal().expose());
    let all = [
        shown::<identity::IssuedKey>(json!({ "key": key, "credential": value })),
        shown::<platform::CreatedAdmin>(json!({ "member": member_id, "credential": value })),
        shown::<platform::CreatedOperator>(operator.clone()),
        shown::<platform::Initialize>(json!({ "provider": "passphrase", "passphrase": value })),
        shown::<platform::Initialized>(json!({ "shares": [value], "operator": operator })),
        shown::<platform::Unseal>(json!({ "key": value })),
        shown::<platform::RotateRootKey>(json!({ "provider": "passphrase", "passphrase": value })),
        shown::<platform::RotatedRootKey>(
            json!({ "version": 2, "tenants": 1, "installation_key": "k", "shares": [value] }),
        ),
        shown::<secret::WriteSecret>(json!({ "data": { "a": value, member.as_str(): 1 } })),
        shown::<secret::RevealedSecret>(json!({ "data": { "a": value, member.as_str(): 1 }, "version": version })),
        format!("{credential:?} {:?} {:?}", credential.reveal(), credential.secret()),
        format!("{:?} {:#?}", Secret::new(value.clone()), Some(Secret::new(value.clone().into_bytes()))),
    ];
    let net = canaries.net();
    for shown in &all {
        assert_eq!(net.seen(shown.as_bytes()), [], "{shown}");
    }
    // The search finds it where it is.
    assert_eq!(net.seen(format!("{:?}", json!({ "a": value })).as_bytes()).len(), 1);
}
