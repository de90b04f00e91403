//! Wrapping, rotating and rewrapping a tenant's keys.

use bailiwick_ledger::note::{self, NoteSigner as _, VerifierKey};
use bailiwick_seal::{KeyInfo, Keyring, KeyringRecord, Purpose, SealError};
use bailiwick_types::InstallationId;

use crate::support::{LATER, NOW, Seeded, installation, keyring, place, root, tenant};

const TEXT: &[u8] = b"correct horse battery staple";

fn open(record: &KeyringRecord) -> Result<Keyring, SealError> {
    Keyring::unwrap(&root(1), installation(), tenant(1), record)
}

fn rotated(record: &KeyringRecord, purpose: Purpose) -> KeyringRecord {
    record.rotate_data(&root(1), installation(), tenant(1), purpose, LATER, &Seeded::new(77)).unwrap()
}

#[test]
fn a_record_is_small_and_round_trips() {
    let (_, record) = keyring(1);
    let bytes = record.to_bytes();
    assert!(bytes.len() < 350, "{} bytes", bytes.len());
    assert_eq!(KeyringRecord::from_bytes(&bytes).unwrap(), record);
    let json = serde_json::to_string(&record).unwrap();
    assert!(json.len() < 700, "{} bytes of JSON", json.len());
    assert_eq!(serde_json::from_str::<KeyringRecord>(&json).unwrap(), record);
    assert_eq!((record.root_version(), record.tenant_key_version()), (1, 1));
}

#[test]
fn an_unwrapped_keyring_is_small() {
    assert!(size_of::<Keyring>() < 4_096, "{} bytes", size_of::<Keyring>());
}

#[test]
fn a_record_unwraps_only_under_its_root_key_installation_and_tenant() {
    let (_, record) = keyring(1);
    assert!(open(&record).is_ok());
    let elsewhere = InstallationId::from_bytes([8; 16]);
    let wrong = [
        Keyring::unwrap(&root(2), installation(), tenant(1), &record),
        Keyring::unwrap(&root(1), elsewhere, tenant(1), &record),
        Keyring::unwrap(&root(1), installation(), tenant(2), &record),
    ];
    for result in wrong {
        assert_eq!(result.unwrap_err(), SealError::Open);
    }
}

#[test]
fn every_flipped_byte_and_every_truncation_of_a_record_is_noticed() {
    let (_, record) = keyring(1);
    let bytes = record.to_bytes();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x01;
        let opened = KeyringRecord::from_bytes(&flipped).and_then(|record| open(&record));
        assert!(opened.is_err(), "byte {at}");
        let opened = KeyringRecord::from_bytes(&bytes[..at]).and_then(|record| open(&record));
        assert!(opened.is_err(), "cut at {at}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(KeyringRecord::from_bytes(&longer).and_then(|record| open(&record)).is_err());
    let huge = [&bytes[..], &vec![0; 1 << 20]].concat();
    assert_eq!(KeyringRecord::from_bytes(&huge).unwrap_err(), SealError::Damaged("keyring record"));
}

#[test]
fn two_states_of_a_record_cannot_be_mixed() {
    let (_, old) = keyring(1);
    let new = old.rotate_tenant_key(&root(1), installation(), tenant(1), LATER, &Seeded::new(4)).unwrap();
    // The same versions and times, other keys.
    let (_, twin) = Keyring::create(&root(1), 1, installation(), tenant(1), NOW, &Seeded::new(99)).unwrap();
    // One's tenant key over the other's list. 77 bytes are the head and the wrapped tenant key.
    for (front, back) in [(&new, &old), (&old, &new), (&twin, &old), (&old, &twin)] {
        let mixed = [&front.to_bytes()[..77], &back.to_bytes()[77..]].concat();
        assert_eq!(open(&KeyringRecord::from_bytes(&mixed).unwrap()).unwrap_err(), SealError::Open);
    }
}

#[test]
fn rotating_a_data_key_keeps_the_old_for_opening_and_seals_with_the_new() {
    for purpose in [Purpose::Records, Purpose::Ledger] {
        let (keys, record) = keyring(1);
        let old = keys.seal(&Seeded::new(9), purpose, &place(1), TEXT).unwrap();
        let twice = rotated(&rotated(&record, purpose), purpose);
        let keys = open(&twice).unwrap();
        assert_eq!(keys.open(purpose, &place(1), &old).unwrap().expose(), TEXT);
        let new = keys.seal(&Seeded::new(9), purpose, &place(1), TEXT).unwrap();
        assert_eq!(Keyring::key_version(&new), Some(3));
        assert_eq!(keys.open(purpose, &place(1), &new).unwrap().expose(), TEXT);
        assert_eq!(open(&record).unwrap().open(purpose, &place(1), &new).unwrap_err(), SealError::UnknownKeyVersion(3));
    }
}

#[test]
fn rotating_one_purpose_leaves_the_others_alone() {
    let (before, record) = keyring(1);
    let after = open(&rotated(&record, Purpose::Ledger)).unwrap();
    for (was, is) in before.describe().iter().zip(after.describe().iter().filter(|key| key.version == 1)) {
        assert_eq!((was.purpose, was.created), (is.purpose, is.created));
    }
    let sealed = before.seal(&Seeded::new(9), Purpose::Records, &place(1), TEXT).unwrap();
    assert_eq!(after.seal(&Seeded::new(9), Purpose::Records, &place(1), TEXT).unwrap(), sealed);
}

#[test]
fn rotating_the_tenant_key_keeps_every_data_key() {
    let (keys, record) = keyring(1);
    let sealed = keys.seal(&Seeded::new(9), Purpose::Records, &place(1), TEXT).unwrap();
    let new = record.rotate_tenant_key(&root(1), installation(), tenant(1), LATER, &Seeded::new(4)).unwrap();
    assert_eq!(new.tenant_key_version(), 2);
    let keys = open(&new).unwrap();
    assert_eq!(keys.open(Purpose::Records, &place(1), &sealed).unwrap().expose(), TEXT);
    let tenant_key = KeyInfo { purpose: "tenant", version: 2, created: LATER, is_current: true };
    assert_eq!(keys.describe()[0], tenant_key);
    assert_ne!(new.fingerprint(), record.fingerprint());
}

#[test]
fn rewrapping_moves_a_record_to_another_root_key_and_nothing_else() {
    let (keys, record) = keyring(1);
    let sealed = keys.seal(&Seeded::new(9), Purpose::Records, &place(1), TEXT).unwrap();
    let new = record.rewrap(&root(1), &root(2), 2, installation(), tenant(1), &Seeded::new(4)).unwrap();
    assert_eq!((new.root_version(), new.tenant_key_version()), (2, 1));
    assert_eq!(open(&new).unwrap_err(), SealError::Open);
    let moved = Keyring::unwrap(&root(2), installation(), tenant(1), &new).unwrap();
    assert_eq!(moved.open(Purpose::Records, &place(1), &sealed).unwrap().expose(), TEXT);
    assert_eq!(moved.describe(), keys.describe());
    // The old root key is needed, and the right tenant.
    let refused = record.rewrap(&root(2), &root(3), 2, installation(), tenant(1), &Seeded::new(4));
    assert_eq!(refused.unwrap_err(), SealError::Open);
    let refused = record.rewrap(&root(1), &root(2), 2, installation(), tenant(2), &Seeded::new(4));
    assert_eq!(refused.unwrap_err(), SealError::Open);
}

#[test]
fn rotation_needs_the_right_root_key_and_tenant() {
    let (_, record) = keyring(1);
    let random = Seeded::new(4);
    let refused = record.rotate_data(&root(2), installation(), tenant(1), Purpose::Records, LATER, &random);
    assert_eq!(refused.unwrap_err(), SealError::Open);
    let refused = record.rotate_data(&root(1), installation(), tenant(2), Purpose::Records, LATER, &random);
    assert_eq!(refused.unwrap_err(), SealError::Open);
    let refused = record.rotate_tenant_key(&root(2), installation(), tenant(1), LATER, &random);
    assert_eq!(refused.unwrap_err(), SealError::Open);
}

#[test]
fn a_keyring_has_a_limit() {
    let (_, mut record) = keyring(1);
    let random = Seeded::new(4);
    let mut rotated = 0;
    let mut refused = None;
    while refused.is_none() && rotated < 1_000 {
        match record.rotate_data(&root(1), installation(), tenant(1), Purpose::Records, LATER, &random) {
            Ok(next) => (record, rotated) = (next, rotated + 1),
            Err(error) => refused = Some(error),
        }
    }
    assert_eq!((refused, rotated), (Some(SealError::Full), 251));
    // Still readable at its largest.
    let again = KeyringRecord::from_bytes(&record.to_bytes()).unwrap();
    assert_eq!(open(&again).unwrap().describe().len(), 257);
    // And nothing larger is even looked at.
    let longer = [&record.to_bytes()[..], &[0]].concat();
    assert_eq!(KeyringRecord::from_bytes(&longer).unwrap_err(), SealError::Damaged("keyring record"));
}

#[test]
fn a_keyring_describes_its_keys() {
    let (_, record) = keyring(1);
    let keys = open(&rotated(&record, Purpose::Cursors)).unwrap();
    let shown: Vec<_> =
        keys.describe().into_iter().map(|key| (key.purpose, key.version, key.created, key.is_current)).collect();
    let expected = [
        ("tenant", 1, NOW, true),
        ("records", 1, NOW, true),
        ("ledger", 1, NOW, true),
        ("credentials", 1, NOW, true),
        ("cursors", 1, NOW, false),
        ("cursors", 2, LATER, true),
        ("ledger-signing", 1, NOW, true),
    ];
    assert_eq!(shown, expected);
    assert_eq!(keys.tenant(), tenant(1));
    for purpose in Purpose::ALL {
        assert_eq!(Purpose::from_name(purpose.as_str()), Some(purpose));
    }
}

#[test]
fn a_ledger_signer_signs_notes_that_its_public_key_verifies() {
    let (keys, _) = keyring(1);
    let signer = keys.ledger_signer("bailiwick.example/log/1").unwrap();
    let signed = note::sign("a checkpoint\n", &[&signer]).unwrap();
    let key = VerifierKey::of(&signer).unwrap();
    assert_eq!(note::open(&signed, std::slice::from_ref(&key)).unwrap().text, "a checkpoint\n");
    let (other, _) = keyring(2);
    let other = VerifierKey::of(&other.ledger_signer("bailiwick.example/log/1").unwrap()).unwrap();
    assert_ne!(other.public_key(), key.public_key());
    assert!(note::open(&signed, &[other]).is_err());
    // The same pair every time, and again after unwrapping.
    assert_eq!(keys.ledger_signer("elsewhere").unwrap().public_key(), signer.public_key());
}

#[test]
fn rotating_the_ledger_key_keeps_the_old_public_key_listed() {
    let (keys, record) = keyring(1);
    let old = keys.ledger_signer("origin").unwrap().public_key();
    let keys = open(&rotated(&record, Purpose::LedgerSigning)).unwrap();
    let new = keys.ledger_signer("origin").unwrap().public_key();
    assert_ne!(new, old);
    let listed: Vec<_> =
        keys.ledger_keys().unwrap().into_iter().map(|k| (k.version, k.public_key, k.is_current)).collect();
    assert_eq!(listed, [(1, old, false), (2, new, true)]);
}
