//! Entries: their bytes are fixed, and no other bytes are entries.

use super::*;
use crate::testing::{Dice, bare_entry, full_entry};

#[test]
fn the_bytes_of_an_entry_are_these() {
    let full = String::from_utf8(full_entry().canonical()).unwrap();
    expect_test::expect![[r#"{"v":1,"tenant":"ten_0w3ge1r70w3ge1r70w3ge1r70w","time":"2026-01-31T12:00:00.123Z","request":"req_0123456789abcdefghjkmnpqrs","actor":{"kind":"agent","id":"acc_1","credential":"key_1","operator":"opr_1"},"source":"192.0.2.7","door":"vault","action":"secret:reveal","resource":{"kind":"Secret","id":"kv/a \"b\"\\é","version":3},"decision":"allow","policies":["isolation","p/1"],"outcome":"invalid","code":"cas_required","detail":{"a":"1\n2\t\u0001\u001f\b\f\r","b\"":""},"salt":"CQkJCQkJCQkJCQkJCQkJCQ=="}"#]]
    .assert_eq(&full);
    let bare = String::from_utf8(bare_entry().canonical()).unwrap();
    expect_test::expect![[r#"{"v":1,"tenant":"ten_0w3ge1r70w3ge1r70w3ge1r70w","time":"2026-01-31T12:00:00.123Z","request":"req_0123456789abcdefghjkmnpqrs","actor":{"kind":"anonymous"},"door":"vault","action":"secret:reveal","resource":{"kind":"Ledger","id":""},"decision":"none","outcome":"ok","salt":"CQkJCQkJCQkJCQkJCQkJCQ=="}"#]]
    .assert_eq(&bare);
}

#[test]
fn an_entry_reads_as_it_was_written() {
    for entry in [full_entry(), bare_entry()] {
        let bytes = entry.canonical();
        assert_eq!(Entry::parse(&bytes), Ok(entry.clone()));
        let checked = Entry::check(&bytes).unwrap();
        assert_eq!((checked.tenant.as_ref(), checked.time), (entry.tenant.as_str(), entry.time));
        assert_eq!(entry.leaf_hash(), leaf_hash(&bytes));
    }
}

/// What both readers say, which has to be the same.
fn read(bytes: &[u8]) -> Result<Entry, EntryError> {
    let parsed = Entry::parse(bytes);
    let checked = Entry::check(bytes);
    match (&parsed, &checked) {
        (Ok(entry), Ok(checked)) => assert_eq!((entry.tenant.as_str(), entry.time), (&*checked.tenant, checked.time)),
        (Err(parsed), Err(checked)) => assert_eq!(parsed, checked),
        _ => panic!("the readers disagree on {:?}: {parsed:?}, {checked:?}", String::from_utf8_lossy(bytes)),
    }
    parsed
}

#[test]
fn other_spellings_are_refused() {
    let text = String::from_utf8(full_entry().canonical()).unwrap();
    let bare = String::from_utf8(bare_entry().canonical()).unwrap();
    let swap = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    };
    for other in [
        swap("{\"v\":1", "{ \"v\":1"),
        swap("==\"}", "==\"}\n"),
        swap("\"v\":1", "\"v\":1.0"),
        swap("\"v\":1", "\"v\":2"),
        swap("\"v\":1,", ""),
        swap("12:00:00.123Z", "12:00:00.1230Z"),
        swap("12:00:00.123Z", "13:00:00.123+01:00"),
        swap("T12", "t12"),
        swap("2026-01-31", "2026-01-32"),
        swap("\"agent\"", "\"robot\""),
        swap("\"agent\"", "\"\\u0061gent\""),
        swap("\"agent\"", "{\"agent\":null}"),
        swap("\"source\":\"192.0.2.7\"", "\"source\":null"),
        swap("\"version\":3", "\"version\":03"),
        swap("\"version\":3", "\"version\":3e0"),
        swap("\"version\":3", "\"version\":18446744073709551616"),
        swap("\"version\":3", "\"version\":-3"),
        swap("\\u001f", "\\u001F"),
        swap("\\b", "\\u0008"),
        swap("\\n", "\\u000a"),
        swap("é", "\\u00e9"),
        swap("kv/", "kv\\/"),
        swap("\"a\":\"1", "\"c\":\"1"),
        swap("\"a\":\"1", "\"b\\\"\":\"1"),
        swap("\"policies\":[\"isolation\",\"p/1\"]", "\"policies\":[]"),
        swap("\"outcome\"", "\"extra\":1,\"outcome\""),
        swap("\"door\":\"vault\"", "\"door\":\"vault\",\"door\":\"vault\""),
        swap("CQkJCQkJCQkJCQkJCQkJCQ==", ""),
        swap("CQkJCQkJCQkJCQkJCQkJCQ==", "CQkJCQkJCQkJCQkJCQkJCR=="),
        swap("CQkJCQkJCQkJCQkJCQkJCQ==", "CQkJCQkJCQkJCQkJCQkJCQ"),
        swap("CQkJCQkJCQkJCQkJCQkJCQ==", "CQkJCQkJCQkJCQkJCQkJCQkJ"),
        bare.replace(",\"salt\"", ",\"detail\":{},\"salt\""),
        bare.replace("\"id\":\"\"", "\"id\":\"\\ud800\""),
        bare.replace("\"id\":\"\"", "\"id\":\"\n\""),
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
    ] {
        assert!(read(other.as_bytes()).is_err(), "{other}");
    }
    // One field before another that comes first.
    let swapped = bare
        .replace("\"door\":\"vault\",\"action\":\"secret:reveal\"", "\"action\":\"secret:reveal\",\"door\":\"vault\"");
    assert_ne!(swapped, bare);
    assert_eq!(read(swapped.as_bytes()), Err(EntryError::NotCanonical));
}

#[test]
fn both_readers_accept_the_same_bytes_whatever_is_changed() {
    let mut accepted = 0;
    for bytes in [full_entry().canonical(), bare_entry().canonical()] {
        for at in 0..bytes.len() {
            for value in [0, b' ', b'"', b'\\', b'0', b'1', b'u', b'}', b',', bytes[at] ^ 1, bytes[at] ^ 0x20, 0xc3] {
                let mut other = bytes.clone();
                other[at] = value;
                accepted += usize::from(read(&other).is_ok());
                other = bytes.clone();
                other.insert(at, value);
                accepted += usize::from(read(&other).is_ok());
            }
            let mut other = bytes.clone();
            other.remove(at);
            accepted += usize::from(read(&other).is_ok());
            assert!(read(&bytes[..at]).is_err());
        }
    }
    // Most changes inside of strings are other entries; if none were accepted, nothing was compared.
    assert!(accepted > 1_000, "{accepted}");
}

#[test]
fn both_readers_accept_the_same_pieces_in_any_order() {
    let bytes = full_entry().canonical();
    let mut dice = Dice::new(11);
    for _ in 0..4_000 {
        let mut other = bytes.clone();
        for _ in 0..=dice.below(3) {
            let (from, to) = (dice.below(bytes.len()), dice.below(other.len()));
            let length = dice.below(24).min(bytes.len() - from);
            let gone = dice.below(24).min(other.len() - to);
            other.splice(to..to + gone, bytes[from..from + length].iter().copied());
        }
        let _ = read(&other);
    }
}

#[test]
fn every_character_has_one_spelling() {
    for c in (0..=0x2fffu32).chain([0xd7ff, 0xe000, 0xffff, 0x1_0000, 0x10_ffff]).filter_map(char::from_u32) {
        let entry = Entry { request: format!("a{c}b"), ..bare_entry() };
        assert_eq!(read(&entry.canonical()), Ok(entry), "{c:?}");
    }
    // All escapes that there could be: only those that the writer uses are taken.
    let text = String::from_utf8(bare_entry().canonical()).unwrap();
    let mut taken = Vec::new();
    let short = (0..=0x7f_u8).map(|c| format!("\\{}", char::from(c)));
    let long = (0..=0x17f).flat_map(|n| [format!("\\u{n:04x}"), format!("\\u{n:04X}")]);
    for escape in short.chain(long) {
        if read(text.replace("vault", &escape).as_bytes()).is_ok() {
            taken.push(escape);
        }
    }
    taken.sort();
    taken.dedup();
    assert_eq!(taken.len(), 32 + 2, "{taken:?}");
}

#[test]
fn an_error_says_where_and_repeats_nothing() {
    let text = String::from_utf8(bare_entry().canonical()).unwrap();
    let bad = text.replace("\"door\"", "\"do<script>or\"");
    let error = Entry::parse(bad.as_bytes()).unwrap_err();
    assert!(matches!(error, EntryError::Json { byte, .. } if byte > 100 && byte < text.len()), "{error:?}");
    assert!(!error.to_string().contains("script"), "{error}");
    assert_eq!(Entry::parse(&vec![b' '; ENTRY_BYTES_MAX + 1]), Err(EntryError::TooLong));
    assert!(Entry::check(&vec![b' '; ENTRY_BYTES_MAX + 1]).is_err());
}

#[test]
fn salt_is_sixteen_random_bytes() {
    struct Nines;
    impl Random for Nines {
        fn fill(&self, out: &mut [u8]) {
            out.fill(9);
        }
    }
    assert_eq!(salt(&Nines), full_entry().salt);
}

#[test]
fn a_salt_is_what_decodes_to_16_bytes() {
    let good = BASE64.encode(&[0xff; 16]);
    for at in 0..good.len() {
        for byte in 0..=u8::MAX {
            let mut text = good.clone().into_bytes();
            text[at] = byte;
            let decoded = BASE64.decode(&text).is_ok_and(|bytes| bytes.len() == 16);
            assert_eq!(is_salt(&text), decoded, "{byte} at {at}");
        }
    }
    assert!(!is_salt(&good.as_bytes()[1..]) && !is_salt(b"") && !is_salt(b"=="));
}
