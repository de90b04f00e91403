//! The writer: what it writes is read again, and it refuses what the verifier would.

use super::*;
use crate::testing::{Signer, TENANT, bare_entry, full_entry};
use crate::tree::empty_root;
use bailiwick_types::Timestamp;

const ORIGIN: &str = "bailiwick.example/7f";

fn signers() -> (Signer, Signer) {
    (Signer::new(ORIGIN, 1), Signer::new("bailiwick.example", 2))
}

fn header(size: u64) -> ExportHeader {
    let (tenant, installation) = signers();
    ExportHeader {
        origin: ORIGIN.to_owned(),
        tenant: TENANT.to_owned(),
        slug: "acme".to_owned(),
        size,
        exported_at: Timestamp::from_unix_ms(0),
        keys: vec![tenant.key(), installation.key()],
    }
}

fn checkpoint(size: u64, root: Hash) -> String {
    let (tenant, installation) = signers();
    Checkpoint { origin: ORIGIN.to_owned(), size, root }.sign(&[&tenant, &installation]).unwrap()
}

#[test]
fn every_line_reads_as_it_was_written() {
    let (tenant, installation) = signers();
    let entries = [full_entry().canonical(), bare_entry().canonical()];
    let leaves: Vec<Hash> = entries.iter().map(|bytes| leaf_hash(bytes)).collect();
    let (mut writer, mut file) = ExportWriter::new(header(3));
    let mut tree = CompactRange::new();
    for (index, bytes) in entries.iter().enumerate() {
        file.extend(writer.entry(index as u64, &leaves[index], Some(bytes)).unwrap());
        tree.append(leaves[index], |_, _, _| {});
    }
    file.extend(writer.entry(2, &[7; 32], None).unwrap());
    tree.append([7; 32], |_, _, _| {});
    let note = checkpoint(3, tree.root());
    file.extend(writer.finish(&note, &[&tenant, &installation]).unwrap());

    let lines: Vec<&[u8]> =
        file.split_inclusive(|byte| *byte == b'\n').map(|l| l.strip_suffix(b"\n").unwrap()).collect();
    let kinds: Vec<_> = lines.iter().map(|line| LineKind::of(line).unwrap()).collect();
    use LineKind as K;
    assert_eq!(kinds, [K::Header, K::Entry, K::Entry, K::Entry, K::Checkpoint, K::Seal]);
    assert_eq!(ExportHeader::parse(lines[0]), Ok(header(3)));
    for (index, bytes) in entries.iter().enumerate() {
        let line = EntryLine { index: index as u64, leaf: leaves[index], entry: Some(bytes) };
        assert_eq!(EntryLine::parse(lines[1 + index]), Ok(line));
    }
    assert_eq!(EntryLine::parse(lines[3]), Ok(EntryLine { index: 2, leaf: [7; 32], entry: None }));
    assert_eq!(CheckpointLine::parse(lines[4]).unwrap().checkpoint, note);
    let seal = SealLine::parse(lines[5]).unwrap().seal;
    let seal: Seal = note::open(&seal, &header(3).keys).unwrap().text.parse().unwrap();
    let mut digest = Sha256::new();
    for line in &lines[..5] {
        // The first `"entry":{` is the frame's, and the entry ends before the last two bytes.
        let line = [line, &b"\n"[..]].concat();
        let text = String::from_utf8(line.clone()).unwrap();
        match text.split_once(",\"entry\":{") {
            Some((start, _)) => digest.update(format!("{start},\"entry\":}}\n").as_bytes()),
            None => digest.update(&line),
        }
    }
    assert_eq!(seal, Seal { origin: ORIGIN.to_owned(), size: 3, digest: digest.finish() });
}

#[test]
fn an_empty_ledger_can_be_exported() {
    let (tenant, installation) = signers();
    let (writer, first) = ExportWriter::new(header(0));
    let rest = writer.finish(&checkpoint(0, empty_root()), &[&tenant, &installation]).unwrap();
    assert_eq!([first, rest].concat().iter().filter(|byte| **byte == b'\n').count(), 3);
}

#[test]
fn the_writer_refuses_entries_that_are_not_next_or_not_this_ledgers() {
    let (mut writer, _) = ExportWriter::new(header(2));
    let bytes = bare_entry().canonical();
    let leaf = leaf_hash(&bytes);
    assert_eq!(writer.entry(1, &leaf, Some(&bytes)), Err(ExportError::Index { found: 1, expected: 0 }));
    assert_eq!(writer.entry(0, &[0; 32], Some(&bytes)), Err(ExportError::Leaf { index: 0 }));
    let spaced = [&bytes[..], b" "].concat();
    let error = writer.entry(0, &leaf_hash(&spaced), Some(&spaced)).unwrap_err();
    assert_eq!(error, ExportError::Entry { index: 0, source: EntryError::NotCanonical });
    let foreign = Entry { tenant: "ten_00000000000000000000000004".to_owned(), ..bare_entry() }.canonical();
    assert_eq!(writer.entry(0, &leaf_hash(&foreign), Some(&foreign)), Err(ExportError::Foreign { index: 0 }));
    assert!(writer.entry(0, &leaf, Some(&bytes)).is_ok());
    assert_eq!(writer.entry(0, &leaf, Some(&bytes)), Err(ExportError::Index { found: 0, expected: 1 }));
}

#[test]
fn the_writer_does_not_seal_what_the_checkpoint_does_not_cover() {
    let (tenant, installation) = signers();
    let bytes = bare_entry().canonical();
    let leaf = leaf_hash(&bytes);
    let finish = |header: ExportHeader, note: &str, signers: &[&dyn NoteSigner]| {
        let (mut writer, _) = ExportWriter::new(header);
        writer.entry(0, &leaf, Some(&bytes)).unwrap();
        writer.finish(note, signers)
    };
    let both: [&dyn NoteSigner; 2] = [&tenant, &installation];
    let good = checkpoint(1, leaf);
    assert!(finish(header(1), &good, &both).is_ok());
    assert_eq!(finish(header(2), &good, &both), Err(ExportError::Mismatch));
    assert_eq!(finish(header(1), &checkpoint(2, leaf), &both), Err(ExportError::Mismatch));
    assert_eq!(finish(header(1), &checkpoint(1, [0; 32]), &both), Err(ExportError::Mismatch));
    let other = Checkpoint { origin: "bailiwick.example/00".to_owned(), size: 1, root: leaf }.sign(&both).unwrap();
    assert_eq!(finish(header(1), &other, &both), Err(ExportError::Mismatch));
    let half = Checkpoint { origin: ORIGIN.to_owned(), size: 1, root: leaf }.sign(&[&installation]).unwrap();
    assert_eq!(finish(header(1), &half, &both), Err(ExportError::Unsigned { key: ORIGIN.to_owned() }));
    assert_eq!(finish(header(1), &good, &[&installation, &tenant]), Err(ExportError::Signers));
    assert_eq!(finish(header(1), &good, &[&tenant]), Err(ExportError::Signers));
    assert!(matches!(finish(header(1), &good.replace("\n1\n", "\n2\n"), &both), Err(ExportError::Checkpoint(_))));
    let twice = ExportHeader { keys: vec![tenant.key(), tenant.key()], ..header(1) };
    let field = ExportError::Header(LineError::Field { field: "keys" });
    assert_eq!(finish(twice, &good, &[&tenant, &tenant]), Err(field));
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let line = String::from_utf8(header(3).line()).unwrap();
    let parse = |from: &str, to: &str| {
        assert!(line.contains(from), "{from}");
        ExportHeader::parse(line.replacen(from, to, 1).as_bytes())
    };
    assert_eq!(parse("export/v1", "export/v2"), Err(LineError::UnknownFormat));
    assert_eq!(parse("{\"format\"", "{\"forma\""), Err(LineError::UnknownFormat));
    assert_eq!(parse("\"from\":0", "\"from\":1"), Err(LineError::Field { field: "from" }));
    assert_eq!(parse(ORIGIN, "two words"), Err(LineError::Field { field: "origin" }));
    assert_eq!(parse(TENANT, "ten_00000000000000000000000000"), Err(LineError::Field { field: "tenant" }));
    assert_eq!(parse("\"size\":3", "\"size\":9223372036854775808"), Err(LineError::Field { field: "size" }));
    assert_eq!(parse("\"size\":3", "\"size\":3.0"), Err(LineError::Json));
    assert_eq!(parse("\"slug\":", "\"slug\": "), Err(LineError::NotCanonical));
    assert_eq!(parse("\"slug\":\"acme\",", ""), Err(LineError::Json));
    assert_eq!(parse("\"slug\"", "\"more\":1,\"slug\""), Err(LineError::Json));
    assert_eq!(parse(TENANT, "platform").unwrap().tenant, "platform");
    let bare = ExportHeader { keys: Vec::new(), ..header(3) };
    assert_eq!(ExportHeader::parse(&bare.line()), Err(LineError::Field { field: "keys" }));
    assert_eq!(ExportHeader::parse(b""), Err(LineError::UnknownFormat));
}

#[test]
fn entry_lines_have_one_spelling() {
    let mut line = Vec::new();
    EntryLine { index: 10, leaf: [3; 32], entry: Some(b"{}") }.write(&mut line);
    let text = String::from_utf8(line).unwrap();
    for (from, to, error) in [
        ("{\"index\"", " {\"index\"", LineError::NotCanonical),
        ("10", "010", LineError::Json),
        ("10", "1e1", LineError::Json),
        ("10", " 10", LineError::NotCanonical),
        ("{}}", "{}} ", LineError::NotCanonical),
        ("{}", " {}", LineError::NotCanonical),
        ("{}", "[]", LineError::NotCanonical),
        ("{}", "null ", LineError::NotCanonical),
        ("{}}", "{}", LineError::Json),
        ("{}", "", LineError::Json),
        ("Aw", "Aw=", LineError::NotCanonical),
        ("M=", "N=", LineError::NotCanonical),
        (",\"entry\":{}", "", LineError::NotCanonical),
        ("\"leaf\"", "\"leav\"", LineError::Json),
        ("}}", "},\"more\":1}", LineError::Json),
    ] {
        assert!(text.contains(from), "{from}");
        let other = text.replacen(from, to, 1);
        assert_eq!(EntryLine::parse(other.as_bytes()), Err(error), "{other}");
    }
    assert_eq!(EntryLine::parse(b""), Err(LineError::Json));
    assert_eq!(EntryLine::parse(&[0xff; 80]), Err(LineError::Json));
}

#[test]
fn a_seals_text_has_one_spelling() {
    let seal = Seal { origin: ORIGIN.to_owned(), size: 7, digest: [1; 32] };
    let text = seal.to_string();
    assert_eq!(text.parse::<Seal>(), Ok(seal));
    for (from, to) in
        [("v2", "v1"), ("\n7\n", "\n07\n"), ("\n7\n", "\n\n"), ("E=\n", "F=\n"), ("E=\n", "E=\n\n"), ("E=\n", "E=")]
    {
        assert!(text.contains(from), "{from}");
        assert!(text.replace(from, to).parse::<Seal>().is_err(), "{from:?} {to:?}");
    }
    // A checkpoint is no seal, and a seal is no checkpoint.
    assert!(text.parse::<Checkpoint>().is_err());
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: 7, root: [1; 32] };
    assert!(checkpoint.to_string().parse::<Seal>().is_err());
}
