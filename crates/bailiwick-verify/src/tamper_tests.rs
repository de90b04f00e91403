//! Detection is total: whatever is done to an export, it is noticed, and the message says where.

use std::collections::{BTreeMap, BTreeSet};

use crate::VerifyError;
use crate::testing::{Export, name_of, verify};

fn export() -> Export {
    Export::new(7, 4).erase(2)
}

fn lines(file: &[u8]) -> Vec<Vec<u8>> {
    file.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Which line of the file a byte is on, counted from 1.
fn line_of(file: &[u8], at: usize) -> u64 {
    1 + file[..at].iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The names of all errors, by what the line is.
#[derive(Default)]
struct Seen(BTreeMap<&'static str, BTreeSet<String>>);

impl Seen {
    fn add(&mut self, line: u64, error: &VerifyError) {
        let what = ["", "header", "entry", "entry", "erased entry", "entry", "checkpoint", "seal"];
        self.0.entry(what[usize::try_from(line).unwrap()]).or_default().insert(name_of(error));
    }

    fn table(&self) -> String {
        let row = |(what, names): (&&str, &BTreeSet<String>)| {
            format!("{what}: {}\n", names.iter().map(String::as_str).collect::<Vec<_>>().join(" "))
        };
        self.0.iter().map(row).collect()
    }
}

#[test]
fn the_untouched_export_verifies() {
    verify(&export().file()).unwrap();
}

#[test]
fn changing_any_byte_is_noticed_where_it_happened() {
    let file = export().file();
    let mut seen = Seen::default();
    for at in 0..file.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut other = file.clone();
            other[at] ^= flip;
            let line = line_of(&file, at);
            let error = verify(&other).expect_err(&format!("byte {at} on line {line} ^ {flip}"));
            seen.add(line, &error);
            // A leaf without its entry, and what the header says of itself, are covered by what comes later.
            let may_be_later = line == 1 || name_of(&error) == "CheckpointRoot";
            assert!(error.line() == Some(line) || may_be_later && error.line() > Some(line), "byte {at}: {error}");
        }
    }
    expect_test::expect![[r#"
        checkpoint: Checkpoint CheckpointUnsigned Malformed
        entry: Altered Malformed Missing NotCanonical Repeated
        erased entry: CheckpointRoot Malformed Missing NotCanonical
        header: CheckpointOrigin Foreign Malformed Missing NotCanonical SealDigest UnknownFormat
        seal: Malformed Seal SealSigners Truncated
    "#]]
    .assert_eq(&seen.table());
}

#[test]
fn adding_or_removing_any_byte_is_noticed() {
    let file = export().file();
    for at in 0..=file.len() {
        for byte in [b' ', b'\n', b'0', b'"', 0] {
            let mut other = file.clone();
            other.insert(at, byte);
            verify(&other).expect_err(&format!("byte {byte} added at {at}"));
        }
        if at < file.len() {
            let mut other = file.clone();
            other.remove(at);
            verify(&other).expect_err(&format!("byte {at} removed"));
        }
    }
}

#[test]
fn cutting_off_at_any_byte_is_noticed_as_such() {
    let file = export().file();
    assert!(matches!(verify(b""), Err(VerifyError::Empty)));
    for at in 1..file.len() {
        let error = verify(&file[..at]).expect_err(&format!("cut off at {at}"));
        // Where exactly a line ends, the next one is what is missing.
        let line = line_of(&file, at);
        assert!(
            matches!(error, VerifyError::Truncated { line: found, .. } if found == line),
            "cut off at {at}: {error}"
        );
    }
}

#[test]
fn anything_after_the_end_is_noticed() {
    let file = export().file();
    for more in [&b"\n"[..], b" ", b"{}\n", &file] {
        let error = verify(&[&file[..], more].concat()).unwrap_err();
        assert!(matches!(error, VerifyError::TrailingData { line: 8 }), "{error}");
    }
}

#[test]
fn taking_repeating_or_swapping_any_line_is_noticed() {
    let lines = lines(&export().file());
    let mut report = String::new();
    let mut check = |what: String, lines: &[Vec<u8>]| {
        let error = verify(&lines.concat()).expect_err(&what);
        report.push_str(&format!("{what}: {error}\n"));
    };
    for at in 0..lines.len() {
        let mut other = lines.clone();
        other.remove(at);
        check(format!("without {}", at + 1), &other);
        let mut other = lines.clone();
        other.insert(at, lines[at].clone());
        check(format!("twice {}", at + 1), &other);
        for with in at + 1..lines.len() {
            let mut other = lines.clone();
            other.swap(at, with);
            check(format!("swapped {} and {}", at + 1, with + 1), &other);
        }
    }
    expect_test::expect![[r#"
        without 1: line 1: this is not a Bailiwick export of a known format
        twice 1: line 2: entry 0 is damaged: not the JSON of such a line
        swapped 1 and 2: line 1: this is not a Bailiwick export of a known format
        swapped 1 and 3: line 1: this is not a Bailiwick export of a known format
        swapped 1 and 4: line 1: this is not a Bailiwick export of a known format
        swapped 1 and 5: line 1: this is not a Bailiwick export of a known format
        swapped 1 and 6: line 1: this is not a Bailiwick export of a known format
        swapped 1 and 7: line 1: this is not a Bailiwick export of a known format
        without 2: line 2: entry 0 is missing
        twice 2: line 3: entry 0 is there again, where entry 1 belongs
        swapped 2 and 3: line 2: entry 1 stands where entry 0 belongs, which is on line 3
        swapped 2 and 4: line 2: entry 2 stands where entry 0 belongs, which is on line 4
        swapped 2 and 5: line 2: entry 3 stands where entry 0 belongs, which is on line 5
        swapped 2 and 6: line 2: entry 0 is missing
        swapped 2 and 7: line 2: entry 0 is missing
        without 3: line 3: entry 1 is missing
        twice 3: line 4: entry 1 is there again, where entry 2 belongs
        swapped 3 and 4: line 3: entry 2 stands where entry 1 belongs, which is on line 4
        swapped 3 and 5: line 3: entry 3 stands where entry 1 belongs, which is on line 5
        swapped 3 and 6: line 3: entry 1 is missing
        swapped 3 and 7: line 3: entry 1 is missing
        without 4: line 4: entry 2 is missing
        twice 4: line 5: entry 2 is there again, where entry 3 belongs
        swapped 4 and 5: line 4: entry 3 stands where entry 2 belongs, which is on line 5
        swapped 4 and 6: line 4: entry 2 is missing
        swapped 4 and 7: line 4: entry 2 is missing
        without 5: line 5: entry 3 is missing
        twice 5: line 6: there are more entries than the 4 that the header states
        swapped 5 and 6: line 5: entry 3 is missing
        swapped 5 and 7: line 5: entry 3 is missing
        without 6: line 6: the checkpoint is missing
        twice 6: line 7: the seal is damaged: not the JSON of such a line
        swapped 6 and 7: line 6: the checkpoint is missing
        without 7: line 7: the export is cut off where the seal should be
        twice 7: line 8: there is something after the end of the export
    "#]]
    .assert_eq(&report);
}

#[test]
fn every_line_of_another_tenants_export_is_noticed() {
    let ours = lines(&export().file());
    let theirs = lines(&Export::new(9, 4).erase(2).file());
    let mut report = String::new();
    for at in 0..ours.len() {
        let mut other = ours.clone();
        other[at] = theirs[at].clone();
        let error = verify(&other.concat()).expect_err(&format!("their line {}", at + 1));
        report.push_str(&format!("theirs on {}: {error}\n", at + 1));
        // The other way around, so that it does not depend on who comes first.
        let mut other = theirs.clone();
        other[at] = ours[at].clone();
        verify(&other.concat()).expect_err(&format!("our line {}", at + 1));
    }
    expect_test::expect![[r#"
        theirs on 1: line 2: entry 0 belongs to another tenant
        theirs on 2: line 2: entry 0 belongs to another tenant
        theirs on 3: line 3: entry 1 belongs to another tenant
        theirs on 4: line 6: the 4 entries do not have the root of the checkpoint: at least one is not the original
        theirs on 5: line 5: entry 3 belongs to another tenant
        theirs on 6: line 6: key `bailiwick.example/7` did not sign the checkpoint
        theirs on 7: line 7: the seal is not signed exactly once by each key of the header
    "#]]
    .assert_eq(&report);
}

#[test]
fn an_error_repeats_nothing_that_an_entry_says() {
    let file = String::from_utf8(export().file()).unwrap();
    for (from, to) in [("kv/a", "<b>x"), ("\"door\"", "\"<b>x\""), ("\"index\":1", "\"<b>x\":1"), ("acme", "<b>x")] {
        assert!(file.contains(from), "{from}");
        let error = verify(file.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(!error.to_string().contains("<b>"), "{error}");
    }
}
