//! The root key from a file and from a passphrase.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use bailiwick_ledger::note::NoteSigner as _;
use bailiwick_seal::{InstallationRecord, PassphraseParams, Provider, RootKey, SealError, SystemRandom};
use bailiwick_types::{Random as _, Secret};

use crate::support::{NOW, Seeded, installation, root};

/// Two root keys are the same if they derive the same; there is no way to compare them.
fn same(a: &RootKey, b: &RootKey) -> bool {
    let key = |root: &RootKey| root.installation_signer(installation(), "x").unwrap().public_key();
    key(a) == key(b)
}

#[test]
fn a_generated_key_is_new_every_time() {
    let random = Seeded::new(1);
    assert!(!same(&RootKey::generate(&random), &RootKey::generate(&random)));
}

#[test]
fn the_systems_randomness_fills_everything_and_never_twice_the_same() {
    let [one, two] = [(), ()].map(|()| {
        let mut bytes = [0; 64];
        SystemRandom.fill(&mut bytes);
        bytes
    });
    assert_ne!(one, two);
    // Sixteen zeros in a row come once in 2^128 times.
    assert!(one.chunks(16).chain(two.chunks(16)).all(|chunk| *chunk != [0; 16]));
}

#[test]
fn a_key_file_round_trips_with_mode_0600() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    root(0xab).write_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", "ab".repeat(32)));
    assert!(same(&RootKey::read_file(&path).unwrap(), &root(0xab)));
}

#[test]
fn a_key_file_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    root(1).write_file(&path).unwrap();
    assert_eq!(root(2).write_file(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(same(&RootKey::read_file(&path).unwrap(), &root(1)));
    // Nor is anything written through a link, dangling or not.
    let (link, target) = (folder.path().join("link"), folder.path().join("target"));
    symlink(&target, &link).unwrap();
    assert_eq!(root(2).write_file(&link).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(!target.exists());
}

#[test]
fn a_key_file_that_others_may_touch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    root(1).write_file(&path).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o606, 0o644, 0o601, 0o610, 0o620] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = RootKey::read_file(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{mode:o}");
        assert!(error.to_string().contains(&format!("{mode:04o}")));
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(RootKey::read_file(&path).is_ok(), "{mode:o}");
    }
}

#[test]
fn a_key_file_with_anything_else_in_it_is_refused_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let good = "ab".repeat(32);
    let texts = [
        String::new(),
        "\n".to_owned(),
        good.chars().skip(1).collect(),
        format!("{good}0"),
        format!("{good}\n\n"),
        format!("{good}\nmore"),
        format!(" {good}"),
        good.to_uppercase(),
        good.replacen('a', "g", 1),
        "x".repeat(1_000_000),
    ];
    for (number, text) in texts.iter().enumerate() {
        let path = folder.path().join(number.to_string());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let error = RootKey::read_file(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{number}");
        assert!(!format!("{error} {error:?}").contains("abab"));
    }
    // Without the newline it is still the key.
    let path = folder.path().join("bare");
    fs::write(&path, &good).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(same(&RootKey::read_file(&path).unwrap(), &root(0xab)));
    assert_eq!(RootKey::read_file(folder.path()).unwrap_err().kind(), ErrorKind::InvalidData);
    assert_eq!(RootKey::read_file(folder.path().join("absent")).unwrap_err().kind(), ErrorKind::NotFound);
}

/// The process's own memory: a regular file of mode 0600, of which the first page cannot be read.
#[cfg(target_os = "linux")]
#[test]
fn a_key_file_that_cannot_be_read_is_an_error_and_not_tried_for_ever() {
    let error = RootKey::read_file("/proc/self/mem").unwrap_err();
    assert!(!matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidData), "{error}");
}

fn cheap() -> PassphraseParams {
    PassphraseParams {
        salt: [9; 16],
        m_cost_kib: PassphraseParams::M_COST_KIB_MIN,
        t_cost: PassphraseParams::T_COST_MIN,
        p_cost: 1,
    }
}

fn from(passphrase: &str, params: &PassphraseParams) -> Result<RootKey, SealError> {
    RootKey::from_passphrase(&Secret::new(passphrase.to_owned()), params)
}

#[test]
fn a_wrong_passphrase_is_noticed() {
    let key = from("correct horse battery", &cheap()).unwrap();
    let record =
        InstallationRecord::create(installation(), Provider::Passphrase(cheap()), &key, NOW, &Seeded::new(1)).unwrap();
    let Provider::Passphrase(params) = record.provider() else { panic!("not a passphrase") };
    assert_eq!(record.verify(&from("correct horse battery", params).unwrap()), Ok(()));
    assert_eq!(record.verify(&from("correct horse batterz", params).unwrap()), Err(SealError::WrongRootKey));
    // The same passphrase with another salt is another key.
    let salted = PassphraseParams { salt: [8; 16], ..cheap() };
    assert_eq!(record.verify(&from("correct horse battery", &salted).unwrap()), Err(SealError::WrongRootKey));
}

#[test]
fn a_short_passphrase_and_parameters_out_of_bounds_are_refused() {
    assert!(matches!(from("too short", &cheap()), Err(SealError::Passphrase(_))));
    assert!(matches!(from("eleven byte", &cheap()), Err(SealError::Passphrase(_))));
    assert!(from("twelve bytes", &cheap()).is_ok());
    let bad = [
        PassphraseParams { m_cost_kib: PassphraseParams::M_COST_KIB_MIN - 1, ..cheap() },
        PassphraseParams { m_cost_kib: u32::MAX, ..cheap() },
        PassphraseParams { t_cost: 1, ..cheap() },
        PassphraseParams { t_cost: u32::MAX, ..cheap() },
        PassphraseParams { p_cost: 0, ..cheap() },
        PassphraseParams { p_cost: u32::MAX, ..cheap() },
    ];
    for params in bad {
        assert!(matches!(from("correct horse battery", &params), Err(SealError::Passphrase(_))), "{params:?}");
    }
}

#[test]
fn the_recommended_parameters_are_those_of_the_design_and_make_a_key() {
    let random = Seeded::new(1);
    let params = PassphraseParams::recommended(&random);
    assert_eq!((params.m_cost_kib, params.t_cost, params.p_cost), (65_536, 3, 1));
    assert_ne!(params.salt, PassphraseParams::recommended(&random).salt);
    assert!(from("correct horse battery", &params).is_ok());
}
