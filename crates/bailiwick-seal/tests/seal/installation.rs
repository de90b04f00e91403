//! The installation record notices a wrong root key and any change to itself.

use bailiwick_ledger::note::NoteSigner as _;
use bailiwick_seal::{InstallationRecord, Keyring, PassphraseParams, Provider, SealError, SharesError};
use bailiwick_types::{ErrorClass, InstallationId};

use crate::support::{NOW, Seeded, installation, root, tenant};

fn record(provider: Provider) -> InstallationRecord {
    InstallationRecord::create(installation(), provider, &root(1), NOW, &Seeded::new(1)).unwrap()
}

fn providers() -> Vec<Provider> {
    vec![
        Provider::File,
        Provider::Passphrase(PassphraseParams::recommended(&Seeded::new(2))),
        Provider::Shamir { threshold: 3, shares: 5, set: "00ff".to_owned() },
    ]
}

#[test]
fn a_record_round_trips_and_knows_its_root_key() {
    for provider in providers() {
        let made = record(provider.clone());
        let read = InstallationRecord::from_bytes(&made.to_bytes().unwrap()).unwrap();
        assert_eq!(read, made);
        assert_eq!((read.installation(), read.created(), read.root_version()), (installation(), NOW, 1));
        assert_eq!(read.provider(), &provider);
        assert_eq!(read.verify(&root(1)), Ok(()));
        assert_eq!(read.verify(&root(2)), Err(SealError::WrongRootKey));
    }
}

#[test]
fn what_a_person_can_put_right_is_no_fault() {
    for (error, class) in [
        (SealError::WrongRootKey, ErrorClass::Invalid),
        (SealError::Shares(SharesError::Forged), ErrorClass::Invalid),
        (SealError::Passphrase("short"), ErrorClass::Invalid),
        (SealError::RotationUnderWay, ErrorClass::Conflict),
        (SealError::Full, ErrorClass::Limited),
        (SealError::Open, ErrorClass::Fault),
        (SealError::ForeignContext, ErrorClass::Fault),
        (SealError::UnknownKeyVersion(1), ErrorClass::Fault),
    ] {
        assert_eq!(error.class(), class, "{error}");
    }
}

#[test]
fn the_provider_is_told_by_its_kind() {
    let kinds: Vec<_> = providers().iter().map(|p| serde_json::to_value(p).unwrap()["kind"].clone()).collect();
    assert_eq!(kinds, ["file", "passphrase", "shamir"]);
}

#[test]
fn every_changed_character_of_a_record_is_noticed() {
    for provider in providers() {
        let bytes = record(provider).to_bytes().unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
            let result = InstallationRecord::from_bytes(&changed).and_then(|record| record.verify(&root(1)));
            assert!(result.is_err(), "at {at}: {}", String::from_utf8_lossy(&changed));
            assert!(InstallationRecord::from_bytes(&bytes[..at]).is_err());
        }
    }
}

#[test]
fn a_later_format_and_unknown_fields_are_refused() {
    let text = String::from_utf8(record(Provider::File).to_bytes().unwrap()).unwrap();
    let later = text.replace("\"format\":1", "\"format\":2");
    assert_ne!(later, text);
    assert!(matches!(InstallationRecord::from_bytes(later.as_bytes()), Err(SealError::Damaged(_))));
    let more = text.replace("\"format\":1", "\"format\":1,\"more\":1");
    assert!(matches!(InstallationRecord::from_bytes(more.as_bytes()), Err(SealError::Damaged(_))));
}

#[test]
fn a_rotation_keeps_the_old_root_key_until_it_is_finished() {
    let random = Seeded::new(3);
    let first = record(Provider::File);
    assert!(first.previous_root(&root(1)).unwrap().is_none());
    let (_, wrapped) = Keyring::create(&root(1), 1, installation(), tenant(1), NOW, &random).unwrap();

    let shamir = Provider::Shamir { threshold: 2, shares: 3, set: "aa".to_owned() };
    assert_eq!(first.rotate(&root(3), &root(2), shamir.clone(), &random), Err(SealError::WrongRootKey));
    let second = first.rotate(&root(1), &root(2), shamir.clone(), &random).unwrap();
    let second = InstallationRecord::from_bytes(&second.to_bytes().unwrap()).unwrap();
    assert_eq!((second.root_version(), second.provider()), (2, &shamir));
    assert_eq!(second.previous_root_version(), Some(1));
    assert_eq!(second.verify(&root(1)), Err(SealError::WrongRootKey));

    // A server that starts half-way has the new root key only, and can still open what is wrapped under the old one.
    let (version, old) = second.previous_root(&root(2)).unwrap().unwrap();
    assert_eq!(version, wrapped.root_version());
    assert!(Keyring::unwrap(&old, installation(), tenant(1), &wrapped).is_ok());
    assert_eq!(second.rotate(&root(2), &root(3), Provider::File, &random), Err(SealError::RotationUnderWay));

    let done = second.finish_rotation(&root(2), &random).unwrap();
    assert_eq!((done.root_version(), done.previous_root_version()), (2, None));
    assert!(done.previous_root(&root(2)).unwrap().is_none());
    assert_eq!(done.rotate(&root(2), &root(3), Provider::File, &random).unwrap().root_version(), 3);
}

#[test]
fn the_installation_signs_with_a_key_of_its_own() {
    let signer = root(1).installation_signer(installation(), "bailiwick.example").unwrap();
    assert_eq!(signer.name(), "bailiwick.example");
    let key = signer.public_key();
    assert_eq!(root(1).installation_signer(installation(), "other name").unwrap().public_key(), key);
    assert_ne!(root(2).installation_signer(installation(), "bailiwick.example").unwrap().public_key(), key);
    let elsewhere = InstallationId::from_bytes([8; 16]);
    assert_ne!(root(1).installation_signer(elsewhere, "bailiwick.example").unwrap().public_key(), key);
}
