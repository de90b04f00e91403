//! Notes: a foreign vector, our own, and every malformed shape.

use super::*;
use crate::testing::Signer;

/// The note and key in the documentation of Go's `golang.org/x/mod/sumdb/note`.
const FOREIGN_KEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const FOREIGN_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn a_note_that_go_signed_is_opened() {
    let key: VerifierKey = FOREIGN_KEY.parse().unwrap();
    assert_eq!((key.name(), key.to_string().as_str()), ("PeterNeumann", FOREIGN_KEY));
    let opened = open(FOREIGN_NOTE, std::slice::from_ref(&key)).unwrap();
    assert_eq!(opened.verified, [key]);
    assert!(opened.text.ends_with("problem is.\n") && opened.unknown == 0);
}

#[test]
fn changing_any_byte_of_a_foreign_note_is_noticed() {
    let key: VerifierKey = FOREIGN_KEY.parse().unwrap();
    for at in 0..FOREIGN_NOTE.len() {
        for flip in [0x01, 0x20] {
            let mut bytes = FOREIGN_NOTE.as_bytes().to_vec();
            bytes[at] ^= flip;
            if let Ok(note) = String::from_utf8(bytes) {
                assert!(open(&note, std::slice::from_ref(&key)).is_err(), "byte {at} ^ {flip}");
            }
        }
    }
}

#[test]
fn what_is_signed_is_opened_with_all_signers_in_order() {
    let (a, b) = (Signer::new("a.example/log", 1), Signer::new("bailiwick.example", 2));
    let text = "first\n\nsecond\n";
    let note = sign(text, &[&a, &b]).unwrap();
    let opened = open(&note, &[b.key(), a.key()]).unwrap();
    assert_eq!(opened, Opened { text: text.to_owned(), verified: vec![a.key(), b.key()], unknown: 0 });
    let opened = open(&note, &[b.key()]).unwrap();
    assert_eq!((opened.verified, opened.unknown), (vec![b.key()], 1));
}

#[test]
fn an_unknown_key_is_ignored_even_if_it_shares_the_name() {
    let (known, other) = (Signer::new("log", 1), Signer::new("log", 2));
    let note = sign("text\n", &[&other, &known]).unwrap();
    let opened = open(&note, &[known.key()]).unwrap();
    assert_eq!((opened.verified, opened.unknown), (vec![known.key()], 1));
    let note = sign("text\n", &[&other]).unwrap();
    assert_eq!(open(&note, &[known.key()]), Err(NoteError::NoKnownKey));
    assert_eq!(open(&note, &[]), Err(NoteError::NoKnownKey));
}

#[test]
fn one_bad_signature_of_a_known_key_spoils_the_note() {
    let (a, b) = (Signer::new("a", 1), Signer::new("b", 2));
    let good = sign("text\n", &[&a]).unwrap();
    let elsewhere = sign("other\n", &[&b]).unwrap();
    let note = format!("{good}{}", elsewhere.rsplit_once("\n\n").unwrap().1);
    assert_eq!(open(&note, &[a.key(), b.key()]), Err(NoteError::BadSignature { key: "b".to_owned() }));
    assert!(open(&note, &[a.key()]).is_ok());
}

#[test]
fn a_signature_that_is_there_twice_counts_once() {
    let a = Signer::new("a", 1);
    let note = sign("text\n", &[&a, &a]).unwrap();
    assert_eq!(open(&note, &[a.key(), a.key()]).unwrap().verified, [a.key()]);
}

#[test]
fn keys_that_cannot_be_told_apart_are_refused() {
    let a = Signer::new("a", 1);
    let note = sign("text\n", &[&a]).unwrap();
    let mut twin = Signer::new("a", 2).key();
    twin.id = a.key().id;
    assert_eq!(open(&note, &[a.key(), twin]), Err(NoteError::AmbiguousKey { key: "a".to_owned() }));
}

#[test]
fn malformed_notes_are_refused() {
    let a = Signer::new("a", 1);
    let good = sign("text\n", &[&a]).unwrap();
    let line = good.rsplit_once("\n\n").unwrap().1.to_owned();
    let signature = line.trim_end().rsplit_once(' ').unwrap().1.to_owned();
    let open = |note: &str| open(note, &[a.key()]);
    assert!(open(&good).is_ok());

    for note in ["", "\n", "\n\n", "text\n", "text\n\n", "text", &format!("text\n{line}"), &line] {
        assert_eq!(open(note), Err(NoteError::Unsigned), "{note:?}");
    }
    for bad in [
        line.trim_end().to_owned(),                                  // no newline
        format!("{line}\u{2014} a\n"),                               // no signature
        format!("{line}junk\n"),                                     // no dash
        format!("- a {signature}\n"),                                // another dash
        format!("\u{2014}  {signature}\n"),                          // no name
        format!("\u{2014} a+b {signature}\n"),                       // plus in the name
        format!("\u{2014} a\u{a0}b {signature}\n"),                  // white space in the name
        format!("\u{2014} a {signature} \n"),                        // trailing space
        format!("\u{2014} a {}\n", signature.trim_end_matches('=')), // no padding
        format!("\u{2014} a {}\n", signature.split_at(4).0),         // too short for a key id
        "\u{2014} a AAAAAA==\n".to_owned(),                          // a key id and nothing else
        format!("{}\r\n", line.trim_end()),                          // carriage return
        "\u{2014} a AAAAAAB=\n".to_owned(),                          // trailing bits
    ] {
        let found = open(&format!("text\n\n{bad}"));
        assert!(matches!(found, Err(NoteError::SignatureLine { .. })), "{bad:?}: {found:?}");
    }
    for text in ["te\tx\n", "te\u{0}t\n", "te\rxt\n"] {
        assert_eq!(open(&format!("{text}\n{line}")), Err(NoteError::Text));
        assert_eq!(sign(text, &[&a]), Err(NoteError::Text));
    }
    assert_eq!(sign("no newline", &[&a]), Err(NoteError::Text));
    assert_eq!(sign("text\n", &[]), Err(NoteError::Unsigned));
    assert_eq!(sign("text\n", &[&Signer::new("a b", 1)]), Err(NoteError::Name));
    // The signature is of a text with another last line.
    assert!(matches!(open(&format!("text\n\n\n{line}")), Err(NoteError::BadSignature { .. })));
}

#[test]
fn a_second_spelling_of_a_signature_is_refused() {
    let a = Signer::new("a", 1);
    let note = sign("text\n", &[&a]).unwrap();
    // 68 bytes leave one character of padding, and two unused bits in the character before it.
    let at = note.len() - 3;
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let place = alphabet.iter().position(|c| *c == note.as_bytes()[at]).unwrap();
    assert_eq!(place % 4, 0);
    for other in 1..4 {
        let mut bytes = note.clone().into_bytes();
        bytes[at] = alphabet[place + other];
        let note = String::from_utf8(bytes).unwrap();
        assert_eq!(open(&note, &[a.key()]), Err(NoteError::SignatureLine { line: 1 }));
    }
}

#[test]
fn signature_lines_are_limited() {
    let a = Signer::new("a", 1);
    let others: Vec<Signer> = (0..99).map(|n| Signer::new(&format!("other-{n}"), 2)).collect();
    let mut signers: Vec<&dyn NoteSigner> = others.iter().map(|signer| signer as &dyn NoteSigner).collect();
    signers.push(&a);
    let note = sign("text\n", &signers).unwrap();
    assert_eq!(open(&note, &[a.key()]).unwrap().unknown, 99);
    let line = note.trim_end().rsplit_once('\n').unwrap().1;
    assert_eq!(open(&format!("{note}{line}\n"), &[a.key()]), Err(NoteError::TooManySignatures));
    signers.push(&a);
    assert_eq!(sign("text\n", &signers), Err(NoteError::TooManySignatures));
    let long = format!("{}\n", "x".repeat(NOTE_BYTES_MAX));
    assert_eq!(sign(&long, &[&a]), Err(NoteError::TooLong));
    assert_eq!(open(&long, &[a.key()]), Err(NoteError::TooLong));
}

#[test]
fn a_verifier_key_has_one_spelling() {
    let key = Signer::new("log.example/1", 3).key();
    let text = key.to_string();
    assert_eq!(text.parse::<VerifierKey>().unwrap(), key);
    assert_eq!(serde_json::from_str::<VerifierKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
    for at in 0..text.len() {
        for flip in [0x01, 0x02, 0x20] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= flip;
            if let Ok(other) = String::from_utf8(bytes) {
                assert!(other.parse::<VerifierKey>().is_err(), "{other}");
            }
        }
    }
    for bad in
        ["", "a", "a+b", "a+00000000+", "+00000000+AQ==", &text.to_uppercase(), &format!("{text} "), text.split_at(1).1]
    {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    // Another type of key is not ours to check.
    let mut typed = vec![4];
    typed.extend_from_slice(key.public_key());
    assert_eq!(format!("a+00000000+{}", BASE64.encode(&typed)).parse::<VerifierKey>(), Err(NoteError::Key));
    assert_eq!(VerifierKey::new("a b", [0; 32]), Err(NoteError::Name));
}
