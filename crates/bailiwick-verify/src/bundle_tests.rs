//! Bundles: one that holds, and every way to touch it.

use bailiwick_ledger::bundle::{
    BundleFacts, BundleHead, BundleProblem, BundleWriter, EntryItem, Kind, MAGIC, RecordItem,
};
use bailiwick_ledger::{Checkpoint, CompactRange, NoteSigner, leaf_hash};
use bailiwick_types::{InstallationId, Recipient, TenantId, Timestamp};

use crate::testing::TestSigner;
use crate::{BundleVerifyError, VerifierKey, unfinished, verify_bundle};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const HOME: InstallationId = InstallationId::from_bytes([2; 16]);
const EXPORTER: InstallationId = InstallationId::from_bytes([3; 16]);

fn signers() -> (TestSigner, TestSigner) {
    (TestSigner::new(&format!("{HOME}/{TENANT}"), 1), TestSigner::new(&EXPORTER.to_string(), 2))
}

fn head(size: u64) -> BundleHead {
    let (tenant, installation) = signers();
    BundleHead::new(BundleFacts {
        tenant: TENANT,
        slug: "acme".parse().unwrap(),
        home: HOME,
        exporter: EXPORTER,
        size,
        exported_at: Timestamp::from_unix_ms(1_767_225_600_000),
        is_final: false,
        recipient: Recipient { installation: EXPORTER, key_version: 1, public_key: [9; 32] },
        keys: vec![VerifierKey::of(&tenant).unwrap(), VerifierKey::of(&installation).unwrap()],
    })
    .with_keys(b"encapsulated", b"sealed keys")
}

fn entries() -> Vec<Vec<u8>> {
    (0..5u8).map(|number| vec![number; 40]).collect()
}

fn write(writer: &mut BundleWriter, file: &mut Vec<u8>, with_bookmarks: bool) {
    let record = |key: &'static [u8]| RecordItem { key, version: 7, sealed: b"sealed" };
    file.extend(writer.records(1, &[record(b"a"), record(b"b")]).unwrap());
    if with_bookmarks {
        let state = writer.state();
        file.extend(writer.bookmark(&state).unwrap());
    }
    finish(writer, file);
}

fn finish(writer: &mut BundleWriter, file: &mut Vec<u8>) {
    file.extend(writer.records(8, &[RecordItem { key: b"a", version: 1, sealed: b"x" }]).unwrap());
    let entries = entries();
    let items: Vec<EntryItem<'_>> =
        entries.iter().map(|sealed| EntryItem { leaf: leaf_hash(sealed), sealed }).collect();
    file.extend(writer.entries(0, &items[..2]).unwrap());
    file.extend(writer.entries(2, &items[2..]).unwrap());
}

fn end(writer: BundleWriter, file: &mut Vec<u8>) {
    let (tenant, installation) = signers();
    let signers: [&dyn NoteSigner; 2] = [&tenant, &installation];
    let ledger = writer.ledger();
    let checkpoint = Checkpoint { origin: format!("{HOME}/{TENANT}"), size: ledger.size(), root: ledger.root() };
    let note = checkpoint.sign(&signers).unwrap();
    file.extend(writer.finish(&note, &signers).unwrap());
}

fn bundle(with_bookmarks: bool) -> Vec<u8> {
    let (mut writer, mut file) = BundleWriter::new(head(5)).unwrap();
    write(&mut writer, &mut file, with_bookmarks);
    end(writer, &mut file);
    file
}

#[test]
fn a_bundle_that_holds_says_whose_it_is_and_who_signed_it() {
    let (tenant, _) = signers();
    let report = verify_bundle(bundle(true).as_slice(), &[VerifierKey::of(&tenant).unwrap()]).unwrap();
    assert_eq!((report.head, report.records), (head(5), 3));
    let mut tree = CompactRange::new();
    entries().iter().for_each(|entry| tree.append(leaf_hash(entry), |_, _, _| {}));
    assert_eq!(report.ledger, tree.root());
    let pinned: Vec<bool> = report.signers.iter().map(|signer| signer.is_pinned).collect();
    assert_eq!(pinned, [true, false]);
    let stranger = VerifierKey::of(&TestSigner::new("stranger", 3)).unwrap();
    assert!(matches!(
        verify_bundle(bundle(true).as_slice(), &[stranger]),
        Err(BundleVerifyError::NotPinned { found }) if found.len() == 2
    ));
}

#[test]
fn any_change_of_any_bit_and_any_cut_is_noticed() {
    let whole = bundle(true);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            assert!(verify_bundle(changed.as_slice(), &[]).is_err(), "byte {at}, bit {bit}");
        }
        assert!(verify_bundle(&whole[..at], &[]).is_err(), "cut at {at}");
        let without = [&whole[..at], &whole[at + 1..]].concat();
        assert!(verify_bundle(without.as_slice(), &[]).is_err(), "without byte {at}");
    }
    assert!(verify_bundle([whole.as_slice(), b"x"].concat().as_slice(), &[]).is_err());
}

#[test]
fn a_writer_refuses_what_the_checker_would() {
    let record = |key: &'static [u8]| RecordItem { key, version: 1, sealed: b"x" };
    let new = || BundleWriter::new(head(2)).unwrap().0;
    let problem = |result: Result<Vec<u8>, bailiwick_ledger::bundle::BundleError>| result.unwrap_err().problem;
    for wrong in [&[record(b"b"), record(b"a")][..], &[record(b"a"), record(b"a")]] {
        assert_eq!(problem(new().records(1, wrong)), BundleProblem::RecordOrder);
    }
    let mut writer = new();
    writer.records(2, &[record(b"a")]).unwrap();
    assert_eq!(problem(writer.records(1, &[record(b"b")])), BundleProblem::RecordOrder);
    assert_eq!(problem(new().records(1, &[])), BundleProblem::Payload("records"));
    let entry = EntryItem { leaf: [1; 32], sealed: b"x" };
    assert_eq!(problem(new().entries(1, &[entry])), BundleProblem::EntryOrder { found: 1, expected: 0 });
    assert_eq!(problem(new().entries(0, &[entry; 3])), BundleProblem::EntryOrder { found: 0, expected: 0 });
    let mut writer = new();
    writer.entries(0, &[entry]).unwrap();
    assert!(matches!(problem(writer.records(1, &[record(b"a")])), BundleProblem::Order(_)));
    // Fewer entries than the head says.
    let (tenant, installation) = signers();
    let checkpoint = Checkpoint { origin: format!("{HOME}/{TENANT}"), size: 1, root: writer.ledger().root() };
    let note = checkpoint.sign(&[&tenant, &installation]).unwrap();
    assert_eq!(problem(writer.finish(&note, &[&tenant, &installation])), BundleProblem::CheckpointMismatch);
    let broken: [fn(&mut BundleHead); 4] = [
        |head| drop(head.keys.pop()),
        |head| head.keys.reverse(),
        |head| head.tenant = TenantId::PLATFORM,
        |head| head.sealed_keys.clear(),
    ];
    for change in broken {
        let mut head = head(1);
        change(&mut head);
        assert!(matches!(BundleWriter::new(head).unwrap_err().problem, BundleProblem::Head(_)));
    }
}

#[test]
fn a_bundle_that_was_gone_on_with_is_the_one_that_was_not_cut_off() {
    let whole = bundle(true);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &whole[..whole.len() / 2 + 80]).unwrap();
    let found = unfinished(&mut file).unwrap().unwrap();
    assert_eq!(found.head, head(5));
    let kept = &whole[..usize::try_from(found.keep_bytes).unwrap()];
    let mut writer = BundleWriter::resume(head(5), &found.bookmark).unwrap();
    let mut rest = Vec::new();
    finish(&mut writer, &mut rest);
    end(writer, &mut rest);
    let joined = [kept, &rest].concat();
    assert_eq!(joined, bundle(false), "a bookmark leaves nothing behind");
    verify_bundle(joined.as_slice(), &[]).unwrap();

    for nothing in [MAGIC, &whole[..MAGIC.len() + 60]] {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, nothing).unwrap();
        assert_eq!(unfinished(&mut file).unwrap(), None);
    }
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, b"my notes").unwrap();
    assert!(unfinished(&mut file).is_err());
}

#[test]
fn arbitrary_bytes_are_no_bundle_and_nothing_panics() {
    let whole = bundle(true);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |below: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        usize::try_from(state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % below.max(1)
    };
    for _ in 0..3_000 {
        let mut bytes = whole.clone();
        for _ in 0..=next(3) {
            let (from, length) = (next(whole.len()), next(200));
            let piece = whole[from..(from + length).min(whole.len())].to_vec();
            let at = next(bytes.len());
            let gone = next(bytes.len() - at);
            bytes.splice(at..at + gone.min(300), piece);
        }
        if bytes != whole {
            assert!(verify_bundle(bytes.as_slice(), &[]).is_err());
        }
    }
    for number in 0..=u8::MAX {
        let known = Kind::of_head(&[number, 0, 0, 0, 0]).is_ok();
        assert_eq!(known, (1..=6).contains(&number));
    }
    assert!(Kind::of_head(&[1, 0xff, 0xff, 0xff, 0xff]).is_err());
}
