//! What is said of an export that somebody has touched.

use bailiwick_ledger::export::LineKind;

use crate::harness::Dice;
use crate::harness::desk::Desk;
use crate::harness::export::{Lines, verdict};
use crate::harness::house::House;

use super::Kept;

const SAMPLES: usize = 250;
const SAMPLES_TYPED: usize = 12;

/// Which line of the file a byte is on, counted from 1.
fn line_of(file: &[u8], at: usize) -> u64 {
    1 + file[..at].iter().filter(|byte| **byte == b'\n').count() as u64
}

/// What `bailiwick verify` says, which must be that it does not hold.
fn typed(desk: &Desk, file: &[u8], more: &[&str]) -> String {
    desk.file("touched.ledger", file);
    let ran = desk.run(&[&["verify", "touched.ledger"], more].concat()).ends(6);
    assert_eq!(ran.out, "");
    let said = ran.err.strip_prefix("error: it does not hold: ");
    said.unwrap_or_else(|| panic!("{}", ran.err)).lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_changed_byte_anywhere_is_refused_with_its_line() {
    let house = House::new().await;
    let [acme, _] = Kept::two(&house, 30).await;
    let file = acme.export(&house).await.bytes();
    verdict(&file, &acme.keys, None).unwrap();
    let desk = Desk::new();
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    let mut dice = Dice::new(seed);
    // All of the header, which says things that no hash of an entry covers; samples of the rest.
    let header = 0..file.iter().position(|byte| *byte == b'\n').unwrap();
    let ends = [file.len() / 2, file.len() - 2, file.len() - 1];
    let rest = std::iter::repeat_with(|| (dice.index(file.len()), 1 << dice.below(8)));
    let places = ends.into_iter().chain(header).map(|at| (at, 1)).chain(rest.take(SAMPLES));
    for (sample, (at, flip)) in places.enumerate() {
        let mut touched = file.clone();
        touched[at] ^= flip;
        let line = line_of(&file, at);
        let error = verdict(&touched, &[], None).expect_err(&format!("byte {at} ^ {flip}"));
        // What the header says of itself is covered by what comes later.
        let is_there = error.line() == Some(line) || line == 1 && error.line() > Some(line);
        assert!(is_there, "byte {at} ^ {flip} on line {line}: {error}");
        if sample < SAMPLES_TYPED {
            assert_eq!(typed(&desk, &touched, &[]), error.to_string());
        }
    }
}

#[tokio::test]
async fn what_was_dropped_moved_or_brought_in_is_named() {
    let house = House::new().await;
    let [acme, globex] = Kept::two(&house, 30).await;
    let (ours, theirs) = (acme.export(&house).await, globex.export(&house).await);
    let size = ours.entries();
    let last = ours.0.len() - 1;
    assert_eq!(LineKind::of(&ours.0[last]), Some(LineKind::Seal));
    let same_place = |line: usize| ours.with(|lines| lines[line].clone_from(&theirs.0[line]));
    let end = format!("line {}", last + 1);
    let cases: Vec<(Lines, String)> = vec![
        // Line 7 is where entry 5 is.
        (ours.with(|lines| drop(lines.remove(6))), "line 7: entry 5 is missing".to_owned()),
        (
            ours.with(|lines| lines.swap(6, 9)),
            "line 7: entry 8 stands where entry 5 belongs, which is on line 10".to_owned(),
        ),
        (
            ours.with(|lines| lines.insert(7, lines[6].clone())),
            "line 8: entry 5 is there again, where entry 6 belongs".into(),
        ),
        (same_place(6), "line 7: entry 5 belongs to another tenant".to_owned()),
        (
            ours.with(|lines| lines.insert(last - 1, theirs.0[last - 2].clone())),
            format!("line {last}: there are more entries than the {size} that the header states"),
        ),
        (ours.with(|lines| drop(lines.remove(last - 2))), format!("line {}: entry {} is missing", last - 1, size - 1)),
        (ours.with(|lines| drop(lines.remove(last - 1))), format!("line {last}: the checkpoint is missing")),
        (ours.with(|lines| drop(lines.pop())), format!("{end}: the export is cut off where the seal should be")),
        (ours.with(|lines| lines.truncate(10)), "line 11: the export is cut off where entry 9 should be".to_owned()),
        (
            ours.with(|lines| lines.push(b"{}\n".to_vec())),
            format!("line {}: there is something after the end", last + 2),
        ),
        (ours.with(|lines| drop(lines.remove(0))), "line 1: this is not a Bailiwick export".to_owned()),
        // Everything in it is another tenant's, or else nothing of it fits.
        (same_place(0), "line 2: entry 0 belongs to another tenant".to_owned()),
        (same_place(last - 1), format!("line {last}: key `{}` did not sign the checkpoint", acme.own_key().name())),
        (same_place(last), format!("{end}: the seal is not signed exactly once by each key of the header")),
    ];
    let desk = Desk::new();
    for (touched, says) in cases {
        let error = verdict(&touched.bytes(), &[], None).expect_err(&says).to_string();
        assert!(error.starts_with(&says), "{error}\n{says}");
        assert_eq!(typed(&desk, &touched.bytes(), &[]), error);
    }
}

#[tokio::test]
async fn a_whole_export_is_not_taken_for_another_tenants_or_a_later_one() {
    let house = House::new().await;
    let [acme, globex] = Kept::two(&house, 10).await;
    let older = acme.export(&house).await.bytes();
    acme.grow(&house).await;
    let newer = acme.export(&house).await.bytes();
    let theirs = globex.export(&house).await.bytes();
    let desk = Desk::new();
    desk.file("older.ledger", &older);
    desk.file("newer.ledger", &newer);
    let (ours, stranger) = (acme.own_key().to_string(), globex.own_key().to_string());
    desk.run(&["verify", "newer.ledger", "--key", &ours, "--previous", "older.ledger"]).ok();
    for (file, more, says) in [
        (&theirs, ["--key", ours.as_str()], "none of the export's keys is pinned: "),
        (&newer, ["--key", stranger.as_str()], "none of the export's keys is pinned: "),
        (&older, ["--previous", "newer.ledger"], "the ledger shrank: "),
    ] {
        let said = typed(&desk, file, &more);
        assert!(said.starts_with(says), "{said}");
    }
    // A checkpoint of another ledger says nothing about this one, whoever signed it.
    let said = typed(&desk, &theirs, &["--previous", "older.ledger"]);
    assert_eq!(said, "the earlier checkpoint is of another ledger");
    // What is no such file, or not there, is not called a forgery.
    desk.run(&["verify", "nothing.ledger"]).ends(2);
    desk.run(&["verify", "newer.ledger", "--key", "nonsense"]).ends(2);
}
