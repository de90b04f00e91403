//! Exports that are right, and each way in which one can be wrong although its seal is good: what a server with all
//! keys could try.

use std::cell::{Cell, RefCell};
use std::io;

use bailiwick_ledger::export::{EntryLine, LINE_BYTES_MAX};
use bailiwick_ledger::note::{self, NoteSigner};
use bailiwick_ledger::{Checkpoint, Entry};

use super::*;
use crate::testing::{Export, TestSigner, entry, name_of, tenant, verify, with_leaf};

/// The error of an export, after changing it and sealing it again.
fn error_of(change: impl FnOnce(&mut Export)) -> VerifyError {
    let mut export = Export::new(7, 4);
    change(&mut export);
    verify(&export.file()).expect_err("the changed export should not verify")
}

#[test]
fn a_good_export_is_reported() {
    let export = Export::new(7, 300).erase(0).erase(17);
    let report = verify(&export.file()).unwrap();
    assert_eq!(report.root, export.at(300).root);
    let report = Report { root: [1; 32], ..report };
    expect_test::expect![[r#"
        {
          "origin": "bailiwick.example/7",
          "tenant": "ten_0w3ge1r70w3ge1r70w3ge1r70w",
          "slug": "acme",
          "exported_at": "2026-01-31T22:53:20.000Z",
          "entries": 300,
          "erased": 2,
          "root": "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
          "first": "2026-01-31T12:00:00.001Z",
          "last": "2026-01-31T12:00:00.299Z",
          "signers": [
            {
              "key": "bailiwick.example/7+0d70a40a+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs",
              "is_pinned": false
            },
            {
              "key": "bailiwick.example+6b3c0141+AZf/yIPIC+5yN++V2bm3A9StY+YKIeYFhnaCt1uLP0MD",
              "is_pinned": false
            }
          ],
          "previous": null
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&report).unwrap());
}

#[test]
fn empty_and_wholly_erased_ledgers_verify() {
    let report = verify(&Export::new(7, 0).file()).unwrap();
    assert_eq!((report.entries, report.first, report.root), (0, None, bailiwick_ledger::empty_root()));
    let report = verify(&Export::new(7, 2).erase(0).erase(1).file()).unwrap();
    assert_eq!((report.entries, report.erased, report.last), (2, 2, None));
}

#[test]
fn the_writers_exports_verify() {
    let export = Export::new(7, 3);
    let (mut writer, mut file) = bailiwick_ledger::export::ExportWriter::new(export.header.clone());
    for (index, (leaf, bytes)) in export.entries.iter().enumerate() {
        file.extend(writer.entry(index as u64, leaf, bytes.as_deref()).unwrap());
    }
    let note = export.checkpoint.sign(&export.signers()).unwrap();
    file.extend(writer.finish(&note, &export.signers()).unwrap());
    assert_eq!(file, export.file());
    verify(&file).unwrap();
}

#[test]
fn an_entry_that_is_no_longer_its_leafs_is_noticed() {
    let error = error_of(|export| {
        let other = Entry { request: "req_x".to_owned(), ..entry(7, 1) };
        export.entries[1].1 = Some(other.canonical());
    });
    assert_eq!(error.to_string(), "line 3: entry 1 was altered: it does not have its leaf hash");
}

#[test]
fn an_entry_that_was_replaced_with_its_leaf_is_noticed() {
    let error = error_of(|export| {
        export.entries[1] = with_leaf(Entry { request: "req_x".to_owned(), ..entry(7, 1) }.canonical());
    });
    expect_test::expect![
        "line 6: the 4 entries do not have the root of the checkpoint: at least one is not the original"
    ]
    .assert_eq(&error.to_string());
}

#[test]
fn an_entry_of_another_tenant_is_noticed_even_with_its_leaf_and_its_checkpoint() {
    let error = error_of(|export| {
        export.entries[1] = with_leaf(entry(9, 1).canonical());
        export.checkpoint = export.at(4);
    });
    assert_eq!(error.to_string(), "line 3: entry 1 belongs to another tenant");
}

#[test]
fn bytes_that_are_no_entry_are_noticed_even_with_their_leaf_and_checkpoint() {
    for (bytes, reason) in [
        (entry(7, 1).canonical().replace("\"api\"", " \"api\""), "the entry is not in its canonical form"),
        (entry(7, 1).canonical().replace("BwcHBwcHBwcHBwcHBwcHBw==", ""), "the entry's salt is not 16 bytes in base64"),
        (b"{}".to_vec(), "not an entry: a field is missing, unknown, twice there or of the wrong type at byte 2"),
    ] {
        let error = error_of(|export| {
            export.entries[1] = with_leaf(bytes);
            export.checkpoint = export.at(4);
        });
        assert_eq!(error.to_string(), format!("line 3: entry 1 is not an entry: {reason}"));
    }
}

/// `replace` for bytes that are text.
trait Replace {
    fn replace(self, from: &str, to: &str) -> Vec<u8>;
}
impl Replace for Vec<u8> {
    fn replace(self, from: &str, to: &str) -> Vec<u8> {
        let text = String::from_utf8(self).unwrap();
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    }
}

#[test]
fn more_or_fewer_entries_than_stated_are_noticed() {
    let error = error_of(|export| export.header.size = 3);
    assert_eq!(error.to_string(), "line 5: there are more entries than the 3 that the header states");
    let error = error_of(|export| export.header.size = 5);
    assert_eq!(error.to_string(), "line 6: entry 4 is missing");
    let error = error_of(|export| {
        export.entries.pop();
        export.header.size = 3;
    });
    assert_eq!(error.to_string(), "line 5: the checkpoint is of 4 entries, and the export holds 3");
}

#[test]
fn another_ledgers_checkpoint_is_noticed() {
    let error = error_of(|export| export.checkpoint.origin = "bailiwick.example/9".to_owned());
    assert_eq!(error.to_string(), "line 6: the checkpoint is of another ledger than the header");
}

#[test]
fn a_checkpoint_has_to_be_signed_by_every_key() {
    let export = Export::new(7, 1);
    let both = export.checkpoint.sign(&export.signers()).unwrap();
    let half = export.checkpoint.sign(&[&export.installation_key]).unwrap();
    let swap = |from: &str, to: &str| {
        let json = |note: &str| serde_json::to_string(note).unwrap();
        export.sealed(export.unsealed().replace(&json(from), &json(to)))
    };
    let error = verify(&swap(&both, &half)).unwrap_err();
    assert_eq!(error.to_string(), "line 3: key `bailiwick.example/7` did not sign the checkpoint");
    let stranger = TestSigner::new("bailiwick.example", 99);
    let by_stranger = export.checkpoint.sign(&[&stranger]).unwrap();
    let error = verify(&swap(&both, &by_stranger)).unwrap_err();
    expect_test::expect!["line 3: the checkpoint does not hold: none of the note's signatures is of a known key"]
        .assert_eq(&error.to_string());
    // A witness may sign as well.
    let witness = TestSigner::new("witness.example", 42);
    let signers: [&dyn NoteSigner; 3] = [&export.tenant_key, &witness, &export.installation_key];
    verify(&swap(&both, &export.checkpoint.sign(&signers).unwrap())).unwrap();
}

#[test]
fn a_seal_is_signed_once_by_every_key_and_by_nobody_else() {
    let export = Export::new(7, 1);
    let [tenant, installation] = export.signers();
    let stranger = TestSigner::new("stranger.example", 99);
    let text = export.seal_of(&export.unsealed()).to_string();
    let sealed_by = |signers: &[&dyn NoteSigner]| {
        verify(&export.with_seal(export.unsealed(), &note::sign(&text, signers).unwrap())).map_err(|e| name_of(&e))
    };
    sealed_by(&[tenant, installation]).unwrap();
    for signers in [
        &[tenant][..],
        &[installation],
        &[installation, tenant],
        &[tenant, installation, installation],
        &[tenant, installation, &stranger],
    ] {
        assert_eq!(sealed_by(signers).unwrap_err(), "SealSigners");
    }
    assert_eq!(sealed_by(&[&stranger]).unwrap_err(), "Seal");
}

#[test]
fn another_exports_seal_is_noticed() {
    let export = Export::new(7, 1);
    let seal_with = |change: &dyn Fn(&mut Seal)| {
        let mut seal = export.seal_of(&export.unsealed());
        change(&mut seal);
        let note = note::sign(&seal.to_string(), &export.signers()).unwrap();
        name_of(&verify(&export.with_seal(export.unsealed(), &note)).unwrap_err())
    };
    assert_eq!(seal_with(&|seal| seal.origin.push('9')), "SealText");
    assert_eq!(seal_with(&|seal| seal.size = 2), "SealText");
    assert_eq!(seal_with(&|seal| seal.digest[0] ^= 1), "SealDigest");
    // A checkpoint instead of a seal: signed by the right keys, but another statement.
    let note = export.checkpoint.sign(&export.signers()).unwrap();
    assert_eq!(name_of(&verify(&export.with_seal(export.unsealed(), &note)).unwrap_err()), "SealText");
}

#[test]
fn what_only_the_seal_covers_is_noticed() {
    let export = Export::new(7, 1);
    let seal = note::sign(&export.seal_of(&export.unsealed()).to_string(), &export.signers()).unwrap();
    for (from, to) in [("acme", "acmf"), ("22:53:20.000Z", "22:53:20.001Z")] {
        let error = verify(&export.with_seal(export.unsealed().replace(from, to), &seal)).unwrap_err();
        assert!(matches!(error, VerifyError::SealDigest { line: 4 }), "{error}");
    }
    // Erasing an entry is the server's to do, and only with a new seal.
    let erased = Export::new(7, 1).erase(0);
    let error = verify(&export.with_seal(erased.unsealed(), &seal)).unwrap_err();
    assert!(matches!(error, VerifyError::SealDigest { line: 4 }), "{error}");
}

#[test]
fn a_key_that_is_not_pinned_is_not_trusted() {
    let export = Export::new(7, 2);
    let pin = |pinned: Vec<VerifierKey>| verify_export(&export.file()[..], &Options { pinned, ..Options::default() });
    let (ours, installation) = (export.tenant_key.key(), export.installation_key.key());
    let flags = |report: Report| report.signers.iter().map(|signer| signer.is_pinned).collect::<Vec<_>>();
    assert_eq!(flags(pin(vec![]).unwrap()), [false, false]);
    assert_eq!(flags(pin(vec![ours.clone()]).unwrap()), [true, false]);
    let stranger = TestSigner::new("bailiwick.example", 99).key();
    assert_eq!(flags(pin(vec![stranger.clone(), installation.clone(), ours.clone()]).unwrap()), [true, true]);
    let error = pin(vec![stranger]).unwrap_err();
    assert_eq!(error.to_string(), format!("none of the export's keys is pinned: {ours}, {installation}"));
}

#[test]
fn an_export_has_to_extend_the_earlier_checkpoint() {
    let export = Export::new(7, 40).erase(3);
    let check = |note: String| {
        verify_export(&export.file()[..], &Options { previous: Some(note), ..Options::default() })
            .map(|report| report.previous)
            .map_err(|error| (name_of(&error), error.to_string()))
    };
    for size in 0..=40 {
        assert_eq!(check(export.at(size).sign(&export.signers()).unwrap()), Ok(Some(size)));
    }
    // What was kept says something else about the first 10.
    let mut kept = export.at(10);
    kept.root[31] ^= 1;
    let (name, text) = check(kept.sign(&export.signers()).unwrap()).unwrap_err();
    assert_eq!(name, "Rewritten");
    assert_eq!(text, "line 11: history was rewritten: the first 10 entries are not those of the earlier checkpoint");
    kept = Checkpoint { size: 0, ..kept };
    assert_eq!(check(kept.sign(&export.signers()).unwrap()).unwrap_err().0, "Rewritten");
    let longer = Checkpoint { size: 41, ..export.at(40) };
    let (name, text) = check(longer.sign(&export.signers()).unwrap()).unwrap_err();
    assert_eq!(name, "Shrunk");
    assert_eq!(text, "the ledger shrank: the earlier checkpoint covers 41 entries, and the export states 40");
    let other = Export::new(9, 4);
    let note = other.checkpoint.sign(&other.signers()).unwrap();
    assert_eq!(check(note).unwrap_err().0, "PreviousOrigin");
    let stranger = TestSigner::new("stranger.example", 99);
    let note = export.at(10).sign(&[&stranger]).unwrap();
    assert_eq!(check(note.clone()).unwrap_err().0, "Previous");
    // Unless that stranger is pinned, next to a key of the export: keys change over time.
    let pinned = vec![stranger.key(), export.tenant_key.key()];
    let options = Options { pinned, previous: Some(note), ..Options::default() };
    assert_eq!(verify_export(&export.file()[..], &options).unwrap().previous, Some(10));
}

#[test]
fn a_ledger_that_was_rewritten_with_all_keys_is_noticed_by_whoever_kept_a_checkpoint() {
    let kept = Export::new(7, 4);
    let mut rewritten = Export::new(7, 4);
    rewritten.entries[1] = with_leaf(Entry { request: "req_x".to_owned(), ..entry(7, 1) }.canonical());
    rewritten.checkpoint = rewritten.at(4);
    verify(&rewritten.file()).unwrap();
    let note = kept.at(3).sign(&kept.signers()).unwrap();
    let options = Options { previous: Some(note), ..Options::default() };
    let error = verify_export(&rewritten.file()[..], &options).unwrap_err();
    assert!(matches!(error, VerifyError::Rewritten { line: 4, previous: 3 }), "{error}");
}

#[test]
fn progress_is_told_and_ends_with_all_entries() {
    let export = Export::new(7, 20_000);
    let told = RefCell::new(Vec::new());
    let progress = |done, all| told.borrow_mut().push((done, all));
    verify_export(&export.file()[..], &Options { progress: Some(&progress), ..Options::default() }).unwrap();
    assert_eq!(*told.borrow(), [(16_384, 20_000), (20_000, 20_000)]);
}

/// The lines of an export that does not end, one at a time.
struct Endless<'a> {
    export: &'a Export,
    next: &'a Cell<u64>,
    line: Vec<u8>,
    at: usize,
}

impl io::Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.line.len() {
            let index = self.next.replace(self.next.get() + 1);
            if index == 40_000 {
                return Err(io::Error::other("enough"));
            }
            let (leaf, bytes) = &self.export.entries[0];
            self.line.clear();
            EntryLine { index, leaf: *leaf, entry: bytes.as_deref() }.write(&mut self.line);
            self.line.push(b'\n');
            self.at = 0;
        }
        let read = io::Read::read(&mut &self.line[self.at..], buffer)?;
        self.at += read;
        Ok(read)
    }
}

#[test]
fn what_is_read_ahead_does_not_grow_with_the_export() {
    const BYTES: usize = 20_000;
    let mut export = Export::new(7, 1);
    export.header.size = CompactRange::SIZE_MAX;
    let header = export.header.line();
    for (threads, blocks) in [(1, 1), (2, 4), (5, 10)] {
        let (next, told, most) = (Cell::new(0), Cell::new(0), Cell::new(0));
        let progress = |done, _| {
            told.set(done);
            most.set(most.get().max(next.get() - done));
        };
        let entries = Endless { export: &export, next: &next, line: vec![b'\n'], at: 0 };
        let reader = io::BufReader::with_capacity(400, io::Read::chain(&header[..], entries));
        let options = Options { threads: NonZeroUsize::new(threads), progress: Some(&progress), ..Options::default() };
        let error = verify_in_blocks(reader, &options, BYTES).unwrap_err();
        assert!(matches!(error, VerifyError::Read { line: 40_001, .. }), "{error}");
        assert_eq!(told.get(), 32_768);
        // A block ends with the line that fills it, and the reader is a line ahead of that.
        let per_block = BYTES / export.entries[0].1.as_ref().unwrap().len() + 2;
        assert!(most.get() <= (blocks * per_block) as u64, "{threads}: {} entries ahead", most.get());
    }
}

#[test]
fn several_threads_say_what_one_says_wherever_in_a_block_it_is() {
    let good = Export::new(7, 60).file();
    let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
    let kept = Export::new(7, 60);
    for at in 1..=60 {
        // `verify` compares.
        let mut swapped = lines.clone();
        swapped.swap(at, 60);
        assert_eq!(verify(&swapped.concat()).is_ok(), at == 60);
        let mut dropped = lines.clone();
        dropped.remove(at);
        verify(&dropped.concat()).unwrap_err();
        // An earlier checkpoint that does not fit comes before an entry that does not, and after one before it.
        let mut checkpoint = kept.at(30);
        checkpoint.root[0] ^= 1;
        let previous = Some(checkpoint.sign(&kept.signers()).unwrap());
        let options = Options { previous, threads: NonZeroUsize::new(2), ..Options::default() };
        let error = verify_in_blocks(&swapped.concat()[..], &options, 2_000).unwrap_err();
        assert_eq!(error.line(), Some(31.min(at as u64 + 1)), "{error}");
    }
}

#[test]
fn a_line_that_is_too_long_ends_the_search_for_an_entry() {
    let export = Export::new(7, 3);
    let unsealed = export.unsealed();
    let mut lines: Vec<Vec<u8>> = unsealed.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let first = lines.remove(1);
    // Exactly as long as what is read of a line, and then what looks like the line that is missing.
    lines.insert(2, [&vec![b'x'; LINE_BYTES_MAX + 1][..], &first].concat());
    assert_eq!(verify(&lines.concat()).unwrap_err().to_string(), "line 2: entry 0 is missing");
}

#[test]
fn other_files_are_refused() {
    for (file, expected) in [
        (&b"\n"[..], "UnknownFormat"),
        (b"{}\n", "UnknownFormat"),
        (b"{\"format\":\"bailiwick-export/v2\",\"more\":1}\n", "UnknownFormat"),
        (b"{\"format\":\"bailiwick-export/v1\"}\n", "Malformed"),
        (b"\x1f\x8b\x08\n", "UnknownFormat"),
        (b"no newline", "Truncated"),
    ] {
        assert_eq!(name_of(&verify(file).unwrap_err()), expected);
    }
    let huge = vec![b'x'; LINE_BYTES_MAX + 2];
    assert_eq!(name_of(&verify(&huge).unwrap_err()), "LineTooLong");
    assert_eq!(name_of(&verify(huge.get(..LINE_BYTES_MAX).unwrap()).unwrap_err()), "Truncated");
    assert_eq!(tenant(7), Export::new(7, 0).header.tenant);
}

#[test]
fn a_file_that_cannot_be_read_is_not_a_file_that_ends() {
    struct Broken;
    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("disk on fire"))
        }
    }
    let file = Export::new(7, 4).file();
    for at in [0, 10, file.len() / 2, file.len()] {
        let reader = io::BufReader::new(io::Read::chain(&file[..at], Broken));
        let error = verify_export(reader, &Options::default()).unwrap_err();
        assert!(matches!(error, VerifyError::Read { .. }), "{at}: {error}");
    }
}
