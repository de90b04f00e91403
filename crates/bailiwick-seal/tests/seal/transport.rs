//! A tenant's keys, sealed to another installation.

use bailiwick_seal::{Context, Keyring, KeyringRecord, Purpose, SealError, SealedKeys};
use bailiwick_types::{CredentialId, InstallationId, Recipient, TenantId};

use crate::support::{LATER, NOW, Seeded, installation, keyring, place, root, tenant};

const BOUND: &[u8] = b"the head of a bundle";

fn elsewhere() -> InstallationId {
    InstallationId::from_bytes([8; 16])
}

fn platform() -> (Keyring, KeyringRecord) {
    Keyring::create(&root(2), 1, elsewhere(), TenantId::PLATFORM, NOW, &Seeded::new(99)).unwrap()
}

fn sealed(recipient: &Recipient) -> SealedKeys {
    let (_, record) = keyring(1);
    record.seal_to(&root(1), installation(), tenant(1), recipient, BOUND, b"a note").unwrap()
}

#[test]
fn keys_that_travelled_open_what_they_sealed_and_check_what_they_checked() {
    let (there, _) = platform();
    let recipient = there.recipient().unwrap();
    let (here, _) = keyring(1);
    let secret = here.seal(&Seeded::new(5), Purpose::Records, &place(1), b"plaintext").unwrap();
    let id = CredentialId::from_bytes([3; 16]);
    let verifier = here.credential_verifier(id, &[4; 32]);

    let opened = there.open_keys(&recipient, &sealed(&recipient), BOUND).unwrap();
    assert_eq!(opened.note(), b"a note");
    let (moved, record) = opened.wrap(&root(2), 7, installation(), tenant(1), LATER, &Seeded::new(6)).unwrap();
    assert_eq!(moved.open(Purpose::Records, &place(1), &secret).unwrap().expose(), b"plaintext");
    assert!(moved.check_credential(id, &[4; 32], &verifier));
    assert_eq!(moved.ledger_keys().unwrap(), here.ledger_keys().unwrap());
    // Under the other root key, still bound to where the tenant was made.
    assert_eq!(record.root_version(), 7);
    assert!(Keyring::unwrap(&root(2), installation(), tenant(1), &record).is_ok());
    assert_eq!(Keyring::unwrap(&root(2), elsewhere(), tenant(1), &record).unwrap_err(), SealError::Open);
    assert_eq!(Keyring::unwrap(&root(1), installation(), tenant(1), &record).unwrap_err(), SealError::Open);
    let foreign = Context { installation: elsewhere(), ..place(1) };
    assert_eq!(moved.open(Purpose::Records, &foreign, &secret).unwrap_err(), SealError::ForeignContext);
}

#[test]
fn keys_open_for_their_recipient_and_with_what_they_are_bound_to_and_unchanged_only() {
    let (there, _) = platform();
    let recipient = there.recipient().unwrap();
    let keys = sealed(&recipient);
    let (other, _) = Keyring::create(&root(3), 1, elsewhere(), TenantId::PLATFORM, NOW, &Seeded::new(98)).unwrap();
    assert_eq!(other.open_keys(&recipient, &keys, BOUND).unwrap_err(), SealError::Open);
    let as_other = Recipient { public_key: other.recipient().unwrap().public_key, ..recipient.clone() };
    assert_eq!(other.open_keys(&as_other, &keys, BOUND).unwrap_err(), SealError::Open);
    assert_eq!(there.open_keys(&recipient, &keys, b"another head").unwrap_err(), SealError::Open);
    let unknown = Recipient { key_version: 2, ..recipient.clone() };
    assert_eq!(there.open_keys(&unknown, &keys, BOUND).unwrap_err(), SealError::UnknownKeyVersion(2));
    for at in 0..keys.sealed.len() {
        let mut changed = keys.clone();
        changed.sealed[at] ^= 1;
        assert_eq!(there.open_keys(&recipient, &changed, BOUND).unwrap_err(), SealError::Open, "{at}");
    }
    let mut changed = keys.clone();
    changed.encapsulated[0] ^= 1;
    assert_eq!(there.open_keys(&recipient, &changed, BOUND).unwrap_err(), SealError::Open);
    changed.encapsulated.pop();
    assert_eq!(there.open_keys(&recipient, &changed, BOUND).unwrap_err(), SealError::Open);
    assert!(!keys.sealed.windows(4).any(|window| window == b"note"), "the note is sealed too");
}

#[test]
fn a_recipient_outlives_its_root_key_and_a_rotation_of_its_own() {
    let (there, record) = platform();
    let recipient = there.recipient().unwrap();
    let keys = sealed(&recipient);
    let (installation, plane) = (elsewhere(), TenantId::PLATFORM);
    let rewrapped = record.rewrap(&root(2), &root(4), 2, installation, plane, &Seeded::new(1)).unwrap();
    let rotated =
        rewrapped.rotate_data(&root(4), installation, plane, Purpose::Credentials, LATER, &Seeded::new(2)).unwrap();
    let later = Keyring::unwrap(&root(4), installation, plane, &rotated).unwrap();
    assert_eq!(later.recipient().unwrap().key_version, 2);
    assert_ne!(later.recipient().unwrap().public_key, recipient.public_key);
    assert!(later.open_keys(&recipient, &keys, BOUND).is_ok());
}

#[test]
fn a_tenant_is_no_recipient() {
    let (there, _) = platform();
    let recipient = there.recipient().unwrap();
    let (tenant, _) = keyring(1);
    assert_eq!(tenant.recipient().unwrap_err(), SealError::NotTheInstallation);
    assert_eq!(tenant.open_keys(&recipient, &sealed(&recipient), BOUND).unwrap_err(), SealError::NotTheInstallation);
    assert_eq!(format!("{:?}", there.open_keys(&recipient, &sealed(&recipient), BOUND).unwrap()), "TransportedKeys");
}
