//! Tenants' bundles: as bytes that anybody can look at, and as an upload that a whole server is asked to take in.
//!
//! What must hold of either: nothing is taken but what was sealed, byte for byte.

use std::cell::RefCell;
use std::io::Cursor;
use std::ops::Range;
use std::sync::OnceLock;

use bailiwick_ledger::bundle::{
    BundleChecker, BundleFacts, BundleHead, BundleSeal, BundleWriter, EntryItem, FRAME_BYTES_MAX, FRAME_HEAD_BYTES,
    Kind, MAGIC, Piece, RecordItem,
};
use bailiwick_ledger::{Checkpoint, NoteSigner, VerifierKey, leaf_hash};
use bailiwick_seal::RootKey;
use bailiwick_types::{InstallationId, Recipient, TenantId, Timestamp};
use bailiwick_verify::{unfinished, verify_bundle};
use serde_json::{Value, json};

use crate::random::SeededRandom;
use crate::world::World;

const KINDS: [Kind; 6] = [Kind::Head, Kind::Records, Kind::Entries, Kind::Bookmark, Kind::Checkpoint, Kind::Seal];

// --- bytes -----------------------------------------------------------------------------------------------------------

/// Bundles that hold, and who signed them.
struct Sealed {
    head: BundleHead,
    keys: Vec<VerifierKey>,
    bundles: Vec<Vec<u8>>,
}

fn sealed() -> &'static Sealed {
    static SEALED: OnceLock<Sealed> = OnceLock::new();
    SEALED.get_or_init(|| build().expect("bundles that hold"))
}

fn build() -> Result<Sealed, Box<dyn std::error::Error>> {
    let random = SeededRandom::new("bundles");
    let (tenant, home) = (TenantId::random(&random), InstallationId::random(&random));
    let origin = format!("{home}/{tenant}");
    let own = RootKey::generate(&random).installation_signer(home, &origin)?;
    let exporter = RootKey::generate(&random).installation_signer(home, &home.to_string())?;
    let signers: [&dyn NoteSigner; 2] = [&own, &exporter];
    let keys = vec![VerifierKey::of(&own)?, VerifierKey::of(&exporter)?];
    let head = |size| {
        BundleHead::new(BundleFacts {
            tenant,
            slug: "acme".parse().expect("a slug"),
            home,
            exporter: home,
            size,
            exported_at: Timestamp::from_unix_ms(1_767_225_600_000),
            is_final: size > 1,
            recipient: Recipient { installation: home, key_version: 1, public_key: [9; 32] },
            keys: keys.clone(),
        })
        .with_keys(b"encapsulated", b"sealed keys")
    };
    let finish = |writer: BundleWriter, mut bytes: Vec<u8>| -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let ledger = writer.ledger();
        let checkpoint = Checkpoint { origin: origin.clone(), size: ledger.size(), root: ledger.root() };
        bytes.extend(writer.finish(&checkpoint.sign(&signers)?, &signers)?);
        Ok(bytes)
    };
    let entry = |sealed: &'static [u8]| EntryItem { leaf: leaf_hash(sealed), sealed };

    let (mut writer, mut small) = BundleWriter::new(head(1))?;
    small.extend(writer.entries(0, &[entry(b"one")])?);
    let small = finish(writer, small)?;

    let (mut writer, mut large) = BundleWriter::new(head(5))?;
    let record = |key: &'static [u8]| RecordItem { key, version: 7, sealed: b"sealed" };
    large.extend(writer.records(1, &[record(b"a"), record(b"b")])?);
    let state = writer.state();
    large.extend(writer.bookmark(&state)?);
    large.extend(writer.records(1, &[record(b"bb")])?);
    large.extend(writer.records(8, &[record(b"")])?);
    large.extend(writer.entries(0, &[entry(b"one"), entry(b"two")])?);
    let state = writer.state();
    large.extend(writer.bookmark(&state)?);
    large.extend(writer.entries(2, &[entry(b"three"), entry(b"four"), entry(b"five")])?);
    let large = finish(writer, large)?;
    Ok(Sealed { head: head(5), keys, bundles: vec![small, large] })
}

/// Kind and place of each frame of a bundle that holds.
fn frames(bundle: &[u8]) -> Vec<(Kind, Range<usize>)> {
    let (mut found, mut at) = (Vec::new(), MAGIC.len());
    while let Some((head, _)) = bundle[at..].split_first_chunk::<FRAME_HEAD_BYTES>() {
        let (kind, length) = Kind::of_head(head).expect("a frame");
        let end = at + FRAME_HEAD_BYTES + length;
        found.push((kind, at..end));
        at = end;
    }
    found
}

pub(super) fn bundle(input: &[u8]) {
    let Sealed { keys, bundles, .. } = sealed();
    for pinned in [keys.as_slice(), &[]] {
        if verify_bundle(input, pinned).is_ok() {
            assert!(bundles.iter().any(|bundle| bundle == input), "a bundle was accepted that nobody sealed");
        }
    }
    // The beginning of one, to be gone on with.
    if let Ok(Some(found)) = unfinished(&mut Cursor::new(input)) {
        let kept = usize::try_from(found.keep_bytes).unwrap();
        assert!(kept <= input.len(), "more is to be kept than there is");
        if let Ok(writer) = BundleWriter::resume(found.head, &found.bookmark) {
            assert_eq!(writer.state(), found.bookmark, "a bookmark has one spelling");
        }
    }
    if let Some(head) = input.first_chunk::<FRAME_HEAD_BYTES>()
        && let Ok((_, length)) = Kind::of_head(head)
    {
        assert!(length <= FRAME_BYTES_MAX, "a frame of any length");
    }
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(seal) = text.parse::<BundleSeal>()
    {
        assert_eq!(seal.to_string(), text);
    }
    for kind in KINDS {
        payload(kind, input);
    }
}

/// Takes the input for what is in a frame: a frame has one spelling, and whoever reads it may write it.
fn payload(kind: Kind, input: &[u8]) {
    let head = &sealed().head;
    let written = |begin: &BundleHead, write: &dyn Fn(&mut BundleWriter) -> Vec<u8>| {
        let (mut writer, bytes) = BundleWriter::new(begin.clone()).expect("a head that was read");
        (bytes, write(&mut writer))
    };
    if kind == Kind::Head {
        let mut checker = BundleChecker::new();
        if checker.take(kind, input).is_ok() {
            let read = checker.head().expect("a head that was taken");
            let (bytes, _) = written(read, &|_| Vec::new());
            assert_eq!(&bytes[MAGIC.len() + FRAME_HEAD_BYTES..], input);
        }
        return;
    }
    let (bytes, _) = written(head, &|_| Vec::new());
    let mut checker = BundleChecker::new();
    checker.take(Kind::Head, &bytes[MAGIC.len() + FRAME_HEAD_BYTES..]).expect("a head that holds");
    let again = match checker.take(kind, input) {
        Ok(Piece::Records { space, records }) => {
            written(head, &|writer| writer.records(space, &records).expect("records that were read")).1
        }
        Ok(Piece::Entries { first, entries }) => {
            written(head, &|writer| writer.entries(first, &entries).expect("entries that were read")).1
        }
        Ok(Piece::Bookmark(token)) => {
            assert_eq!(token, input);
            return;
        }
        Ok(Piece::Head | Piece::Checkpoint | Piece::End(_)) => panic!("an end without entries was accepted"),
        Err(_) => return,
    };
    assert_eq!(&again[FRAME_HEAD_BYTES..], input, "a frame has one spelling");
}

pub(super) fn bundles() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for bundle in &sealed().bundles {
        for (_, place) in frames(bundle) {
            all.push(bundle[place.start + FRAME_HEAD_BYTES..place.end].to_vec());
            all.push(bundle[..place.end].to_vec());
        }
        let text = String::from_utf8_lossy(&all[all.len() - 2]);
        all.push(text.rsplit_once("\n\n").map(|(text, _)| format!("{text}\n")).unwrap_or_default().into_bytes());
    }
    all
}

// --- a whole server --------------------------------------------------------------------------------------------------

/// An installation that a tenant leaves, and one that it is for. What is sealed differs from process to process, so an
/// input is not a bundle but what is done to one.
struct Moving {
    there: World,
    key: String,
    bundle: Vec<u8>,
    frames: Vec<(Kind, Range<usize>)>,
}

thread_local! {
    static MOVING: RefCell<Option<Moving>> = const { RefCell::new(None) };
}

impl Moving {
    fn begin() -> Self {
        let (here, there) = (World::two_tenants(), World::elsewhere("fuzz"));
        let shown = |world: &World, name: &str| {
            let shown = world.get(&world.platform.admin, "/api/v1/platform/recipient").expect(200);
            shown[name].as_str().unwrap().to_owned()
        };
        let wanted = json!({ "recipient": shown(&there, "recipient"), "is_final": true });
        let exported = here.send(&here.acme.owner, "POST", "/api/v1/t/acme/bundle", &wanted);
        assert_eq!((exported.status, exported.is_broken_off), (200, false));
        let key = shown(&here, "installation_key").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let frames = frames(&exported.body);
        Self { there, key, bundle: exported.body, frames }
    }

    /// Does what the input says, four bytes at a time: what, to which frame, how far into it, and with which byte.
    fn changed(&self, input: &[u8]) -> Vec<u8> {
        let mut pieces: Vec<Vec<u8>> =
            self.frames.iter().map(|(_, place)| self.bundle[place.clone()].to_vec()).collect();
        pieces.insert(0, MAGIC.to_vec());
        for act in input.chunks_exact(4) {
            if pieces.is_empty() {
                break;
            }
            let count = pieces.len();
            let (frame, other, byte) = (usize::from(act[1]) % count, usize::from(act[3]) % count, act[3]);
            let at = usize::from(act[2]) * pieces[frame].len() / 256;
            match act[0] % 10 {
                0 => pieces[frame].iter_mut().skip(at).take(1).for_each(|there| *there ^= byte),
                1 => pieces[frame].insert(at, byte),
                2 => pieces[frame].truncate(at),
                3 => {
                    let end = pieces[frame].len().min(at + usize::from(byte));
                    pieces[frame].drain(at..end);
                }
                4 => pieces.swap(frame, other),
                5 => pieces.insert(frame, pieces[other].clone()),
                6 => drop(pieces.remove(frame)),
                // As a frame that says of itself how long it is.
                7 => Self::resize(&mut pieces[frame]),
                // As a frame of another kind.
                8 => pieces[frame].iter_mut().take(1).for_each(|kind| *kind = byte % 7 + 1),
                _ => pieces.truncate(frame + 1),
            }
        }
        pieces.concat()
    }

    fn resize(frame: &mut [u8]) {
        if let Some((head, payload)) = frame.split_first_chunk_mut::<FRAME_HEAD_BYTES>() {
            head[1..].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
}

pub(super) fn import(input: &[u8]) {
    MOVING.with_borrow_mut(|moving| {
        let moving = moving.get_or_insert_with(Moving::begin);
        let changed = moving.changed(input);
        let there = &moving.there;
        let answer = there
            .request("POST", &format!("/api/v1/tenants:import?dry_run=true&key={}", moving.key))
            .by(&there.platform.admin)
            .header("content-type", "application/vnd.bailiwick.bundle")
            .bytes(changed.clone())
            .send();
        if changed == moving.bundle {
            let taken: Value = answer.expect(200);
            assert_eq!((&taken["outcome"], &taken["is_dry_run"]), (&json!("created"), &json!(true)));
        } else {
            // Whatever is wrong with it: no fault, nothing taken, and it is said what it is.
            answer.expect_refusal(400, "bundle_refused");
        }
    });
}

pub(super) fn changes() -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for frame in 0..8 {
        for what in 0..10 {
            all.push(vec![what, frame, 90, 3]);
        }
        // Something else, and the length that fits.
        all.push(vec![1, frame, 200, 7, 7, frame, 0, 0]);
        all.push(vec![3, frame, 120, 9, 7, frame, 0, 0]);
    }
    all
}
