//! Sealed bytes open in one place, with one key, unchanged; or not at all.

use bailiwick_seal::{Context, Keyring, Purpose, SealError};
use bailiwick_types::{InstallationId, TenantId};

use crate::support::{LATER, NOW, Seeded, installation, keyring, place, root, tenant};

const TEXT: &[u8] = b"correct horse battery staple";

fn sealed(keys: &Keyring) -> Vec<u8> {
    keys.seal(&Seeded::new(9), Purpose::Records, &place(1), TEXT).unwrap()
}

#[test]
fn what_was_sealed_opens_in_its_place() {
    let (keys, record) = keyring(1);
    for purpose in [Purpose::Records, Purpose::Ledger] {
        for text in [&b""[..], b"x", TEXT, &[0xa5; 100_000]] {
            let sealed = keys.seal(&Seeded::new(9), purpose, &place(1), text).unwrap();
            assert_eq!(sealed.len(), text.len() + 33);
            assert_eq!(keys.open(purpose, &place(1), &sealed).unwrap().expose(), text);
            let again = Keyring::unwrap(&root(1), installation(), tenant(1), &record).unwrap();
            assert_eq!(again.open(purpose, &place(1), &sealed).unwrap().expose(), text);
        }
    }
}

#[test]
fn the_layout_is_format_then_version_then_nonce_and_the_text_is_not_in_it() {
    let (keys, _) = keyring(1);
    let sealed = sealed(&keys);
    assert_eq!(&sealed[..5], [1, 0, 0, 0, 1]);
    assert!(!sealed.windows(4).any(|window| TEXT.windows(4).any(|text| text == window)));
    assert_eq!(Keyring::key_version(&sealed), Some(1));
    assert_eq!(Keyring::key_version(&[]), None);
    assert_eq!(Keyring::key_version(&[2, 0, 0, 0, 1, 9]), None);
}

#[test]
fn the_same_text_never_seals_to_the_same_bytes_twice() {
    let (keys, _) = keyring(1);
    let random = Seeded::new(9);
    let one = keys.seal(&random, Purpose::Records, &place(1), TEXT).unwrap();
    let two = keys.seal(&random, Purpose::Records, &place(1), TEXT).unwrap();
    assert_ne!(one, two);
    assert_ne!(one[5..17], two[5..17]);
}

#[test]
fn sealed_bytes_do_not_open_at_any_other_space_key_or_version() {
    let (keys, _) = keyring(1);
    let sealed = sealed(&keys);
    let places = [
        Context { space: "secreT", ..place(1) },
        Context { space: "", ..place(1) },
        Context { key: b"db/passwore", ..place(1) },
        Context { key: b"", ..place(1) },
        Context { version: 2, ..place(1) },
        Context { version: 4, ..place(1) },
        Context { version: u64::MAX, ..place(1) },
        // The same letters, split elsewhere.
        Context { space: "secre", key: b"tdb/password", ..place(1) },
        Context { space: "secretd", key: b"b/password", ..place(1) },
        Context { space: "secretdb/password", key: b"", ..place(1) },
    ];
    for place in places {
        assert_eq!(keys.open(Purpose::Records, &place, &sealed).unwrap_err(), SealError::Open, "{place:?}");
    }
    assert!(keys.open(Purpose::Records, &place(1), &sealed).is_ok());
}

#[test]
fn sealed_bytes_do_not_open_for_another_purpose() {
    let (keys, _) = keyring(1);
    assert_eq!(keys.open(Purpose::Ledger, &place(1), &sealed(&keys)).unwrap_err(), SealError::Open);
    for purpose in [Purpose::Credentials, Purpose::Cursors, Purpose::LedgerSigning] {
        let refused = SealError::NotASealingPurpose(purpose);
        assert_eq!(keys.open(purpose, &place(1), &sealed(&keys)).unwrap_err(), refused);
        assert_eq!(keys.seal(&Seeded::new(9), purpose, &place(1), TEXT).unwrap_err(), refused);
    }
}

#[test]
fn sealed_bytes_of_one_tenant_do_not_open_with_the_keys_of_another() {
    let (mine, _) = keyring(1);
    let (theirs, _) = keyring(2);
    for (keys, other, number, other_number) in [(&mine, &theirs, 1, 2), (&theirs, &mine, 2, 1)] {
        let sealed = keys.seal(&Seeded::new(9), Purpose::Records, &place(number), TEXT).unwrap();
        // Moved to the other tenant's place, and opened with the other tenant's keys.
        assert_eq!(other.open(Purpose::Records, &place(other_number), &sealed).unwrap_err(), SealError::Open);
        // A context of one tenant with the keys of another is refused before anything is opened.
        assert_eq!(other.open(Purpose::Records, &place(number), &sealed).unwrap_err(), SealError::ForeignContext);
        assert_eq!(keys.open(Purpose::Records, &place(other_number), &sealed).unwrap_err(), SealError::ForeignContext);
        let refused = other.seal(&Seeded::new(9), Purpose::Records, &place(number), TEXT);
        assert_eq!(refused.unwrap_err(), SealError::ForeignContext);
    }
}

#[test]
fn sealed_bytes_do_not_open_in_another_installation_even_with_the_same_randomness() {
    let (keys, _) = keyring(1);
    let elsewhere = InstallationId::from_bytes([8; 16]);
    // The same root key and the same random bytes, so the very same data keys: only the installation differs.
    let (twin, _) = Keyring::create(&root(1), 1, elsewhere, tenant(1), NOW, &Seeded::new(1)).unwrap();
    let there = Context { installation: elsewhere, ..place(1) };
    assert_eq!(twin.open(Purpose::Records, &there, &sealed(&keys)).unwrap_err(), SealError::Open);
    assert_eq!(twin.open(Purpose::Records, &place(1), &sealed(&keys)).unwrap_err(), SealError::ForeignContext);
}

#[test]
fn a_tenant_with_the_very_same_data_keys_still_opens_nothing() {
    let (keys, _) = keyring(1);
    // What would happen if two tenants' keys were ever the same: the associated data still tells them apart.
    let (twin, _) = Keyring::create(&root(1), 1, installation(), tenant(2), NOW, &Seeded::new(1)).unwrap();
    assert_eq!(twin.open(Purpose::Records, &place(2), &sealed(&keys)).unwrap_err(), SealError::Open);
    // The control: with the same tenant, the same randomness does open it.
    let (same, _) = Keyring::create(&root(3), 5, installation(), tenant(1), LATER, &Seeded::new(1)).unwrap();
    assert!(same.open(Purpose::Records, &place(1), &sealed(&keys)).is_ok());
}

#[test]
fn the_platform_is_a_place_of_its_own() {
    let (keys, _) = keyring(1);
    let (platform, _) = Keyring::create(&root(1), 1, installation(), TenantId::PLATFORM, NOW, &Seeded::new(1)).unwrap();
    let there = Context { tenant: TenantId::PLATFORM, ..place(1) };
    assert_eq!(platform.open(Purpose::Records, &there, &sealed(&keys)).unwrap_err(), SealError::Open);
    let own = platform.seal(&Seeded::new(9), Purpose::Records, &there, TEXT).unwrap();
    assert_eq!(platform.open(Purpose::Records, &there, &own).unwrap().expose(), TEXT);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (keys, _) = keyring(1);
    let sealed = sealed(&keys);
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << bit;
            let error = keys.open(Purpose::Records, &place(1), &flipped).unwrap_err();
            let names_another_version = (1..5).contains(&at);
            assert_eq!(matches!(error, SealError::UnknownKeyVersion(_)), names_another_version, "byte {at} bit {bit}");
            assert_eq!(error == SealError::Open, !names_another_version, "byte {at} bit {bit}");
        }
    }
}

#[test]
fn every_truncation_and_extension_is_noticed() {
    let (keys, _) = keyring(1);
    let sealed = sealed(&keys);
    for end in 0..sealed.len() {
        assert_eq!(keys.open(Purpose::Records, &place(1), &sealed[..end]).unwrap_err(), SealError::Open, "{end}");
        let tail = &sealed[sealed.len() - end..];
        assert!(keys.open(Purpose::Records, &place(1), tail).is_err());
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(keys.open(Purpose::Records, &place(1), &longer).unwrap_err(), SealError::Open);
}

#[test]
fn the_key_version_is_authenticated_too() {
    let (keys, record) = keyring(1);
    let rotated =
        record.rotate_data(&root(1), installation(), tenant(1), Purpose::Records, LATER, &Seeded::new(5)).unwrap();
    let rotated = Keyring::unwrap(&root(1), installation(), tenant(1), &rotated).unwrap();
    let mut sealed = sealed(&keys);
    assert!(rotated.open(Purpose::Records, &place(1), &sealed).is_ok());
    sealed[4] = 2;
    assert_eq!(rotated.open(Purpose::Records, &place(1), &sealed).unwrap_err(), SealError::Open);
    assert_eq!(keys.open(Purpose::Records, &place(1), &sealed).unwrap_err(), SealError::UnknownKeyVersion(2));
}

#[test]
fn a_data_key_is_good_for_two_to_the_thirty_second_seals() {
    // NIST SP 800-38D, 8.3, for random nonces of 96 bits.
    assert_eq!(bailiwick_seal::SEALS_PER_KEY_MAX, 4_294_967_296);
}
