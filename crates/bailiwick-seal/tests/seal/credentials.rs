//! Credentials, cursors and fingerprints: what the keyed hashes accept.

use bailiwick_seal::{Keyring, Purpose, Verifier};
use bailiwick_types::{CredentialId, CredentialText};

use crate::support::{LATER, Seeded, installation, keyring, root, tenant};

const SECRET: [u8; 32] = [0x5a; 32];

fn id(number: u8) -> CredentialId {
    CredentialId::from_bytes([number; 16])
}

fn rotated(purpose: Purpose) -> (Keyring, Keyring) {
    let (keys, record) = keyring(1);
    let next = record.rotate_data(&root(1), installation(), tenant(1), purpose, LATER, &Seeded::new(4)).unwrap();
    (keys, Keyring::unwrap(&root(1), installation(), tenant(1), &next).unwrap())
}

#[test]
fn a_verifier_accepts_its_own_secret_and_no_other() {
    let (keys, _) = keyring(1);
    let verifier = keys.credential_verifier(id(1), &SECRET);
    assert!(keys.check_credential(id(1), &SECRET, &verifier));
    for at in 0..32 {
        let mut other = SECRET;
        other[at] ^= 1;
        assert!(!keys.check_credential(id(1), &other, &verifier));
        let mut damaged = verifier.clone();
        damaged.mac[at] ^= 1;
        assert!(!keys.check_credential(id(1), &SECRET, &damaged));
    }
    assert!(!keys.check_credential(id(1), &[0; 32], &Verifier { key_version: 1, mac: [0; 32] }));
}

#[test]
fn a_verifier_is_bound_to_the_credential_id_and_the_tenant() {
    let (keys, _) = keyring(1);
    let verifier = keys.credential_verifier(id(1), &SECRET);
    assert!(!keys.check_credential(id(2), &SECRET, &verifier));
    let (others, _) = keyring(2);
    assert!(!others.check_credential(id(1), &SECRET, &verifier));
    // Even if the two tenants' keys were the same.
    let (twin, _) = Keyring::create(&root(1), 1, installation(), tenant(2), LATER, &Seeded::new(1)).unwrap();
    assert!(!twin.check_credential(id(1), &SECRET, &verifier));
}

#[test]
fn a_verifier_outlives_a_rotation_and_one_of_an_unknown_version_is_refused() {
    let (old, new) = rotated(Purpose::Credentials);
    let verifier = old.credential_verifier(id(1), &SECRET);
    assert!(new.check_credential(id(1), &SECRET, &verifier));
    let newer = new.credential_verifier(id(1), &SECRET);
    assert_eq!((verifier.key_version, newer.key_version), (1, 2));
    assert_ne!(verifier.mac, newer.mac);
    assert!(!old.check_credential(id(1), &SECRET, &newer));
    // The right hash under a version that is not there.
    for key_version in [0, 3, u32::MAX] {
        assert!(!new.check_credential(id(1), &SECRET, &Verifier { key_version, ..newer.clone() }));
    }
    // The right hash under another version that is there.
    assert!(!new.check_credential(id(1), &SECRET, &Verifier { key_version: 1, ..newer }));
}

#[test]
fn a_verifier_round_trips_as_json() {
    let (keys, _) = keyring(1);
    let credential = CredentialText::generate(tenant(1), id(1), &Seeded::new(3));
    let verifier = keys.credential_verifier(credential.id(), credential.secret().expose());
    let json = serde_json::to_string(&verifier).unwrap();
    let again: Verifier = serde_json::from_str(&json).unwrap();
    let presented = CredentialText::parse(credential.reveal().expose()).unwrap();
    assert!(keys.check_credential(presented.id(), presented.secret().expose(), &again));
    for bad in [r#"{"key_version":1,"mac":"AAAA"}"#, r#"{"key_version":1}"#, r#"{"key_version":1,"mac":"!"}"#] {
        assert!(serde_json::from_str::<Verifier>(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_cursor_is_accepted_only_as_it_was_made_and_only_until_the_key_rotates() {
    let (old, new) = rotated(Purpose::Cursors);
    let mac = old.cursor_mac(b"page 2");
    assert!(old.check_cursor(b"page 2", &mac));
    assert!(!old.check_cursor(b"page 3", &mac));
    assert!(!keyring(2).0.check_cursor(b"page 2", &mac));
    assert!(!new.check_cursor(b"page 2", &mac));
    assert!(new.check_cursor(b"page 2", &new.cursor_mac(b"page 2")));
}

#[test]
fn a_fingerprint_survives_rotation_differs_between_tenants_and_is_no_cursor() {
    let (old, new) = rotated(Purpose::Cursors);
    let print = old.fingerprint(b"retry-1");
    assert_eq!(new.fingerprint(b"retry-1"), print);
    assert_ne!(old.fingerprint(b"retry-2"), print);
    assert_ne!(keyring(2).0.fingerprint(b"retry-1"), print);
    assert!(!old.check_cursor(b"retry-1", &print));
}
