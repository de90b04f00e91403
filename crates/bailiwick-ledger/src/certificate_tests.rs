//! Deletion certificates: what is signed is read again, and nothing else is.

use super::*;
use crate::testing::Signer;

fn certificate() -> DeletionCertificate {
    let key = |name: &str, n| DestroyedKey { name: name.to_owned(), fingerprint: [n; 32] };
    DeletionCertificate {
        tenant: TenantId::from_bytes([7; 16]),
        slug: "acme".to_owned(),
        deleted_at: Timestamp::from_unix_ms(1_769_860_800_000),
        ledger: Checkpoint { origin: "bailiwick.example/7f".to_owned(), size: 12, root: [1; 32] },
        keys: vec![key("records/1", 2), key("records/2", 3), key("tenant/1", 4)],
        platform: Checkpoint { origin: "bailiwick.example/platform".to_owned(), size: 99, root: [5; 32] },
    }
}

#[test]
fn a_certificate_reads_as_it_was_written() {
    let text = certificate().to_string();
    expect_test::expect![[r"
        bailiwick-deletion/v1
        tenant ten_0w3ge1r70w3ge1r70w3ge1r70w
        slug acme
        deleted-at 2026-01-31T12:00:00.000Z
        ledger bailiwick.example/7f 12 AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
        key records/1 AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
        key records/2 AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=
        key tenant/1 BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=
        platform bailiwick.example/platform 99 BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=
    "]]
    .assert_eq(&text);
    assert_eq!(DeletionCertificate::parse(&text), Ok(certificate()));
    let bare = DeletionCertificate { keys: Vec::new(), ..certificate() };
    assert_eq!(DeletionCertificate::parse(&bare.to_string()), Ok(bare));
}

#[test]
fn a_certificate_has_one_spelling() {
    let text = certificate().to_string();
    for at in 0..text.len() {
        for flip in [0x01, 0x10, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= flip;
            // It may be another certificate, but then it is written exactly so.
            if let Some(other) =
                String::from_utf8(bytes).ok().and_then(|t| Some((DeletionCertificate::parse(&t).ok()?, t)))
            {
                assert_eq!(other.0.to_string(), other.1);
                assert_ne!(other.0, certificate());
            }
        }
        assert!(DeletionCertificate::parse(text.get(..at).unwrap()).is_err());
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for at in 0..lines.len() {
        let is_key = lines[at].starts_with("key ");
        let without: String = lines.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, line)| *line).collect();
        assert_eq!(DeletionCertificate::parse(&without).is_ok(), is_key, "without {}", lines[at]);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        assert!(DeletionCertificate::parse(&doubled.concat()).is_err(), "twice {}", lines[at]);
        if at > 0 {
            let mut swapped = lines.clone();
            swapped.swap(at, at - 1);
            assert!(DeletionCertificate::parse(&swapped.concat()).is_err(), "swapped {}", lines[at]);
        }
    }
}

#[test]
fn a_signed_certificate_opens_with_its_key_only() {
    let (signer, stranger) = (Signer::new("bailiwick.example", 1), Signer::new("bailiwick.example", 2));
    let note = certificate().sign(&[&signer]).unwrap();
    let (opened, by) = DeletionCertificate::open(&note, &[signer.key()]).unwrap();
    assert_eq!((opened, by.verified), (certificate(), vec![signer.key()]));
    let error = DeletionCertificate::open(&note, &[stranger.key()]).unwrap_err();
    assert_eq!(error, CertificateError::Note(NoteError::NoKnownKey));
    // A checkpoint by the same key is not a certificate.
    let checkpoint = certificate().ledger.sign(&[&signer]).unwrap();
    let error = DeletionCertificate::open(&checkpoint, &[signer.key()]).unwrap_err();
    assert_eq!(error, CertificateError::UnknownFormat);
}

#[test]
fn what_could_be_read_as_something_else_is_not_signed() {
    let signer = Signer::new("bailiwick.example", 1);
    for slug in ["", "a b", "acme\nledger x 1 y", "acme\r"] {
        let forged = DeletionCertificate { slug: slug.to_owned(), ..certificate() };
        assert!(forged.sign(&[&signer]).is_err(), "{slug:?}");
    }
    let mut unsorted = certificate();
    unsorted.keys.reverse();
    assert_eq!(unsorted.sign(&[&signer]), Err(CertificateError::KeyOrder));
    let mut many = certificate();
    many.keys = (0..=KEYS_MAX).map(|n| DestroyedKey { name: format!("k/{n:05}"), fingerprint: [0; 32] }).collect();
    assert_eq!(many.sign(&[&signer]), Err(CertificateError::TooManyKeys));
}
