//! How much memory it takes to look at a bundle: as much as one frame needs, whatever the file promises and however long
//! it is. What is counted is all that this thread has allocated at the same time.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bailiwick_ledger::bundle::{
    BundleFacts, BundleHead, BundleWriter, EntryItem, FRAME_BYTES_MAX, FRAME_HEAD_BYTES, Kind, MAGIC, RecordItem,
};
use bailiwick_ledger::{Checkpoint, NoteSigner, VerifierKey, leaf_hash};
use bailiwick_types::{InstallationId, Recipient, TenantId, Timestamp};
use bailiwick_verify::verify_bundle;

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const HOME: InstallationId = InstallationId::from_bytes([2; 16]);
/// What it takes to look at nothing.
const ROOM: u64 = 256 << 10;

struct Signer(String, Ed25519KeyPair);

impl NoteSigner for Signer {
    fn name(&self) -> &str {
        &self.0
    }
    fn public_key(&self) -> [u8; 32] {
        self.1.public_key().as_ref().try_into().unwrap()
    }
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.1.sign(message).as_ref().try_into().unwrap()
    }
}

fn signers() -> [Signer; 2] {
    let signer = |name: String, seed| Signer(name, Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap());
    [signer(format!("{HOME}/{TENANT}"), 1), signer(HOME.to_string(), 2)]
}

/// A bundle with so many frames of entries, of so many bytes each.
fn bundle(frames: u64, bytes: usize) -> Vec<u8> {
    let [own, exporter] = signers();
    let head = BundleHead::new(BundleFacts {
        tenant: TENANT,
        slug: "acme".parse().unwrap(),
        home: HOME,
        exporter: HOME,
        size: frames,
        exported_at: Timestamp::from_unix_ms(0),
        is_final: false,
        recipient: Recipient { installation: HOME, key_version: 1, public_key: [9; 32] },
        keys: vec![VerifierKey::of(&own).unwrap(), VerifierKey::of(&exporter).unwrap()],
    });
    let (mut writer, mut file) = BundleWriter::new(head.with_keys(b"encapsulated", b"sealed keys")).unwrap();
    file.extend(writer.records(1, &[RecordItem { key: b"a", version: 1, sealed: b"x" }]).unwrap());
    for number in 0..frames {
        let sealed = vec![number.to_le_bytes()[0]; bytes];
        file.extend(writer.entries(number, &[EntryItem { leaf: leaf_hash(&sealed), sealed: &sealed }]).unwrap());
    }
    let ledger = writer.ledger();
    let checkpoint = Checkpoint { origin: format!("{HOME}/{TENANT}"), size: ledger.size(), root: ledger.root() };
    let signers: [&dyn NoteSigner; 2] = [&own, &exporter];
    file.extend(writer.finish(&checkpoint.sign(&signers).unwrap(), &signers).unwrap());
    file
}

/// The most that was allocated at once while it was looked at; and whether it holds.
fn most(bundle: &[u8]) -> (u64, bool) {
    let mut holds = false;
    let counted = allocation_counter::measure(|| holds = verify_bundle(bundle, &[]).is_ok());
    (counted.bytes_max, holds)
}

/// Where the frame ends that begins there.
fn end_of(bundle: &[u8], at: usize) -> usize {
    let head: [u8; FRAME_HEAD_BYTES] = bundle[at..][..FRAME_HEAD_BYTES].try_into().unwrap();
    at + FRAME_HEAD_BYTES + Kind::of_head(&head).unwrap().1
}

#[test]
fn a_frame_that_only_promises_to_be_long_takes_no_room() {
    let whole = bundle(3, 100);
    for kind in 1..=6 {
        for length in [FRAME_BYTES_MAX, FRAME_BYTES_MAX + 1, 1 << 31, 0xffff_ffff] {
            let length = u32::try_from(length).unwrap().to_be_bytes();
            let promise = [&[kind][..], &length].concat();
            // As the first frame, and after each frame of a good bundle.
            let mut at = MAGIC.len();
            while at < whole.len() {
                let broken = [&whole[..at], &promise, b"and no more"].concat();
                let (bytes, holds) = most(&broken);
                assert!(!holds && bytes <= ROOM, "kind {kind} at {at}: {bytes} bytes");
                at = end_of(&whole, at);
            }
        }
    }
}

#[test]
fn a_long_bundle_takes_no_more_than_its_longest_frame() {
    let (of_few, holds) = most(&bundle(2, 1 << 20));
    assert!(holds);
    let long = bundle(24, 1 << 20);
    let (of_many, holds) = most(&long);
    assert!(holds && long.len() > 24 << 20);
    assert!(of_many <= of_few + ROOM, "{of_many} bytes, and {of_few} for a shorter one");
    assert!(of_many <= (4 << 20) + ROOM, "{of_many} bytes for frames of 1 MiB");
}

#[test]
fn a_frame_of_very_many_records_takes_some_times_its_length() {
    // The shortest records that there are, as many as fit: each is more in memory than in the file.
    let mut payload = vec![1];
    for number in 0..u32::MAX {
        if payload.len() + 21 > FRAME_BYTES_MAX {
            break;
        }
        payload.extend_from_slice(&4u32.to_be_bytes());
        payload.extend_from_slice(&number.to_be_bytes());
        payload.extend_from_slice(&1u64.to_be_bytes());
        payload.extend_from_slice(&1u32.to_be_bytes());
        payload.push(b'x');
    }
    let whole = bundle(1, 1);
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let dense = [&whole[..end_of(&whole, MAGIC.len())], &[2], &length, &payload].concat();
    let (bytes, holds) = most(&dense);
    let times = bytes / u64::try_from(payload.len()).unwrap();
    assert!(!holds && times < 12, "{times} times its length");
}
