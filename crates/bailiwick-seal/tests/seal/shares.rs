//! Splitting the root key and making it again.

use bailiwick_ledger::note::NoteSigner as _;
use bailiwick_seal::{Provider, RootKey, SealError, ShareLabel, SharesError, SystemRandom};
use bailiwick_types::Secret;
use data_encoding::BASE64URL_NOPAD;

use crate::support::{Seeded, installation, root};

fn texts(shares: u8, threshold: u8, seed: u64) -> Vec<String> {
    let (_, shares) = root(1).split(shares, threshold, &Seeded::new(seed)).unwrap();
    shares.iter().map(|share| share.expose().clone()).collect()
}

fn combine<T: AsRef<str>>(texts: &[T]) -> Result<[u8; 32], SharesError> {
    let secrets: Vec<_> = texts.iter().map(|text| Secret::new(text.as_ref().to_owned())).collect();
    match RootKey::combine(&secrets) {
        Ok(key) => Ok(identity(&key)),
        Err(SealError::Shares(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

fn identity(key: &RootKey) -> [u8; 32] {
    key.installation_signer(installation(), "x").unwrap().public_key()
}

#[test]
fn every_subset_of_at_least_the_threshold_makes_the_key_and_no_smaller_one_does() {
    for (shares, threshold) in [(2, 2), (3, 2), (5, 3), (6, 6)] {
        let all = texts(shares, threshold, 1);
        for subset in 0u32..1 << shares {
            let mut some: Vec<_> =
                (0..usize::from(shares)).filter(|at| subset >> at & 1 == 1).map(|at| &all[at]).collect();
            // Order does not matter.
            some.reverse();
            let combined = combine(&some);
            if some.len() >= usize::from(threshold) {
                assert_eq!(combined, Ok(identity(&root(1))), "{subset:b} of {shares}");
            } else {
                let threshold = if some.is_empty() { 2 } else { threshold };
                assert_eq!(combined, Err(SharesError::TooFew { given: some.len(), threshold }));
            }
        }
    }
}

#[test]
fn splitting_with_the_systems_randomness_and_many_shares_works() {
    let (provider, shares) = root(4).split(255, 40, &SystemRandom).unwrap();
    assert!(matches!(provider, Provider::Shamir { threshold: 40, shares: 255, .. }));
    let key = RootKey::combine(&shares[200..240]).unwrap();
    assert_eq!(identity(&key), identity(&root(4)));
}

#[test]
fn a_share_tells_its_set_threshold_and_index_and_the_provider_names_the_same_set() {
    let (provider, shares) = root(1).split(5, 3, &Seeded::new(1)).unwrap();
    let Provider::Shamir { threshold: 3, shares: 5, set } = provider else { panic!("{provider:?}") };
    for (index, share) in (1..).zip(&shares) {
        assert_eq!(ShareLabel::of(share).unwrap(), ShareLabel { set: set.clone(), threshold: 3, index });
        assert_eq!(share.expose().len(), 80);
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    for (shares, threshold) in [(1, 1), (3, 1), (3, 0), (0, 0), (2, 3)] {
        let refused = root(1).split(shares, threshold, &Seeded::new(1)).unwrap_err();
        assert_eq!(refused, SealError::Shares(SharesError::Numbers), "{threshold} of {shares}");
    }
}

#[test]
fn shares_of_two_splittings_do_not_mix() {
    let (one, two) = (texts(3, 2, 1), texts(3, 2, 2));
    assert_eq!(combine(&[&one[0], &two[1]]), Err(SharesError::MixedSets(2)));
    assert_eq!(combine(&[&one[0], &one[1], &two[2]]), Err(SharesError::MixedSets(3)));
    let message = SharesError::MixedSets(2).to_string();
    assert_eq!(message, "share 2 belongs to another set than share 1");
}

#[test]
fn the_same_share_twice_counts_once() {
    let shares = texts(3, 2, 1);
    assert_eq!(combine(&[&shares[0], &shares[0]]), Err(SharesError::Duplicate(2)));
}

#[test]
fn every_mistyped_or_cut_off_share_is_noticed_and_named() {
    let shares = texts(3, 2, 1);
    for at in 0..shares[1].len() {
        let mut typo = shares[1].clone().into_bytes();
        typo[at] = if typo[at] == b'A' { b'B' } else { b'A' };
        let typo = String::from_utf8(typo).unwrap();
        let error = combine(&[&shares[0], &typo]).unwrap_err();
        assert_eq!(error, if at < 4 { SharesError::Malformed(2) } else { SharesError::Damaged(2) }, "at {at}");
        assert_eq!(combine(&[&shares[0], &shares[1].chars().take(at).collect()]), Err(SharesError::Malformed(2)));
    }
    // White space around a pasted share is no typing error.
    assert!(combine(&[shares[0].clone(), format!("  {}\n", shares[1])]).is_ok());
    assert_eq!(combine(&["hello"]), Err(SharesError::Malformed(1)));
}

/// A share with other contents and a checksum that is right again: what a malicious holder can make.
fn forge(text: &str, change: impl Fn(&mut [u8])) -> String {
    let mut bytes = BASE64URL_NOPAD.decode(&text.as_bytes()[4..]).unwrap();
    let end = bytes.len() - 6;
    change(&mut bytes[..end]);
    let message = [b"bailiwick/v1/share-checksum\0", &bytes[..end]].concat();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &message);
    bytes[end..].copy_from_slice(&hash.as_ref()[..6]);
    format!("bws_{}", BASE64URL_NOPAD.encode(&bytes))
}

#[test]
fn a_forged_share_makes_no_key() {
    let shares = texts(3, 2, 1);
    // The control: an unchanged share with a recomputed checksum is the same share.
    assert_eq!(forge(&shares[1], |_| ()), shares[1]);
    for at in 11..51 {
        let forged = forge(&shares[1], |bytes| bytes[at] ^= 1);
        assert_eq!(combine(&[&shares[0], &forged]), Err(SharesError::Forged), "at {at}");
    }
    // Another index, another threshold, the share at zero, another format.
    assert_eq!(combine(&[&shares[0], &forge(&shares[1], |bytes| bytes[10] = 9)]), Err(SharesError::Forged));
    assert_eq!(combine(&[&shares[0], &forge(&shares[1], |bytes| bytes[9] = 3)]), Err(SharesError::MixedSets(2)));
    for (at, value) in [(10, 0), (9, 1), (9, 0), (0, 2)] {
        let forged = forge(&shares[1], |bytes| bytes[at] = value);
        assert_eq!(combine(&[&shares[0], &forged]), Err(SharesError::Malformed(2)), "{at} {value}");
    }
}

#[test]
fn a_lowered_threshold_does_not_help_who_has_too_few() {
    let shares = texts(5, 3, 1);
    let lowered: Vec<_> = shares[..2].iter().map(|share| forge(share, |bytes| bytes[9] = 2)).collect();
    assert_eq!(combine(&lowered), Err(SharesError::Forged));
}

#[test]
fn shares_do_not_hold_the_key_in_clear() {
    let key = RootKey::from_bytes(Secret::new(*b"0123456789abcdef0123456789abcdef"));
    let (_, shares) = key.split(5, 3, &Seeded::new(1)).unwrap();
    for share in shares {
        let bytes = BASE64URL_NOPAD.decode(&share.expose().as_bytes()[4..]).unwrap();
        assert!(!bytes.windows(4).any(|window| b"0123456789abcdef0123".windows(4).any(|key| key == window)));
    }
}
