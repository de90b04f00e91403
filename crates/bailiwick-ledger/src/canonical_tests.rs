//! Times that are read in place against the library that prints them. Entries are compared in `entry`'s tests.

use super::*;
use crate::testing::Dice;

#[test]
fn the_plain_prefix_ends_at_the_first_special_byte() {
    let slow =
        |bytes: &[u8]| bytes.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' ')).unwrap_or(bytes.len());
    let mut dice = Dice::new(5);
    for byte in 0..=255 {
        for at in 0..20 {
            let mut bytes = [b'a'; 20];
            bytes[at] = byte;
            assert_eq!(plain_prefix(&bytes), slow(&bytes), "{byte} at {at}");
            // Neighbours that are just not special, or special too.
            for other in [b'!', b'#', b'[', b']', b' ', 0x1f, 0x7f, 0x80, 0xff] {
                bytes[(at + 1) % 20] = other;
                assert_eq!(plain_prefix(&bytes), slow(&bytes), "{byte} at {at}, then {other}");
            }
        }
    }
    for _ in 0..5_000 {
        let length = dice.below(40);
        let bytes: Vec<u8> = (0..length).map(|_| dice.next().to_be_bytes()[0]).collect();
        assert_eq!(plain_prefix(&bytes), slow(&bytes), "{bytes:?}");
    }
}

#[test]
fn times_are_those_that_are_printed() {
    let mut dice = Dice::new(3);
    // The years 0 to 9998.
    let (first, last) = (-62_167_219_200_000i64, 253_370_764_799_999i64);
    let edges = [first, first + 1, -1, 0, 1, 951_782_399_999, 951_782_400_000, 4_107_542_400_000 - 1, last];
    let random = (0..20_000).map(|_| first + (dice.next() % (last - first) as u64) as i64);
    for ms in edges.into_iter().chain(random) {
        let text = Timestamp::from_unix_ms(ms).to_string();
        assert_eq!(common_timestamp(text.as_bytes()), Some(Timestamp::from_unix_ms(ms)), "{text}");
    }
    // Before and after that the slow way takes over.
    for ms in [first - 1, last + 1] {
        let time = Timestamp::from_unix_ms(ms);
        assert_eq!(common_timestamp(time.to_string().as_bytes()), None, "{time}");
        assert_eq!(timestamp(time.to_string().as_bytes()), Some(time));
    }
}

#[test]
fn what_is_no_time_or_another_spelling_of_one_is_refused() {
    for text in [
        "2023-02-29T00:00:00.000Z",
        "1900-02-29T00:00:00.000Z",
        "2023-04-31T00:00:00.000Z",
        "2023-00-01T00:00:00.000Z",
        "2023-13-01T00:00:00.000Z",
        "2023-01-00T00:00:00.000Z",
        "2023-01-01T24:00:00.000Z",
        "2023-01-01T00:60:00.000Z",
        "2023-01-01T00:00:60.000Z",
        "2023-01-01 00:00:00.000Z",
        "2023-01-01T00:00:00Z",
        "2023-01-01T00:00:00.0000Z",
        "2023-01-01T00:00:00.000z",
        "2023-01-01T00:00:00.000+00:00",
        "+002023-01-01T00:00:00.000Z",
        "-000000-01-01T00:00:00.000Z",
        "202a-01-01T00:00:00.000Z",
        "",
    ] {
        assert_eq!(timestamp(text.as_bytes()), None, "{text}");
    }
    assert!(timestamp(b"2000-02-29T23:59:59.999Z").is_some());
    assert!(timestamp(b"9998-12-31T23:59:59.999Z").is_some());
}
