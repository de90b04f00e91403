//! Into a file and back.

use std::sync::Arc;

use bailiwick_ledger::sha256;
use bailiwick_store::{Space, Store};
use bailiwick_store_conformance::build::{Build, at, create, put};
use bailiwick_store_conformance::{Fault, FaultyStore};
use bailiwick_transfer::{Progress, Rule, TransferError, check_file};
use bailiwick_types::TenantId;

use crate::house::{
    ALL, BIG, CLOSED, SMALL, back_up, check_subtrees, everything, exact, furnish, model, ok, opened, restore, sqlite,
};

#[tokio::test]
async fn a_restored_backup_is_the_same_in_everything() {
    let (from, (to, _place)) = (model().await, sqlite());
    furnish(&from).await;
    let bytes = back_up(&from).await;
    let contents = restore(&bytes, &to, &exact()).await.unwrap();
    assert_eq!(everything(&to).await, everything(&from).await);
    check_subtrees(&to).await;
    let manifest = &contents.manifest;
    assert_eq!((manifest.totals.tenants, manifest.totals.entries), (4, 701 + 3 + 2 + 602));
    let slugs: Vec<&str> = contents.tenants.iter().map(|tenant| tenant.slug.as_str()).collect();
    assert_eq!(slugs, ["big", "erased", "small", "platform"]);
    assert_eq!(bytes, back_up(&from).await, "the same installation is the same file");
}

#[tokio::test]
async fn a_history_that_begins_anew_meets_no_number_of_the_old_one() {
    let (from, to) = (model().await, model().await);
    furnish(&from).await;
    let bytes = back_up(&from).await;
    let rule = Rule::anew(CLOSED, 1_000_000, |header| if header.state == 1 { 2 } else { header.state });
    restore(&bytes, &to, &rule).await.unwrap();
    for tenant in ALL {
        let (old, new) = (from.header(tenant).await.unwrap().unwrap(), to.header(tenant).await.unwrap().unwrap());
        assert_eq!((new.epoch, new.state), (1_000_000, if old.state == 1 { 2 } else { old.state }));
        assert!(new.revision >= 1_000_000 && new.ledger == old.ledger && new.meta_version == old.meta_version);
    }
    // Begun again later, under a later number, it stays what it is.
    let later = Rule::anew(CLOSED, 2_000_000, |header| if header.state == 1 { 2 } else { header.state });
    restore(&bytes, &to, &later).await.unwrap();
    assert_eq!(to.header(BIG).await.unwrap().unwrap().epoch, 1_000_000);
}

#[tokio::test]
async fn an_interrupted_restore_leaves_nothing_that_answers_and_is_gone_on_from() {
    let from = model().await;
    furnish(&from).await;
    let (bytes, wanted) = (back_up(&from).await, everything(&from).await);
    let mut number = 0;
    loop {
        let store = model().await;
        let faulty = FaultyStore::new(Arc::clone(&store));
        faulty.fail(number, Fault::BeforePersist);
        let to: Arc<dyn Store> = faulty;
        if restore(&bytes, &to, &exact()).await.is_ok() {
            break;
        }
        let platform = store.header(TenantId::PLATFORM).await.unwrap();
        assert!(platform.is_none_or(|platform| platform.state == CLOSED), "open after {number} commits");
        restore(&bytes, &to, &exact()).await.unwrap();
        assert_eq!(everything(&store).await, wanted, "cut off at commit {number}");
        number += 1;
    }
    assert!(number >= 9, "{number} commits are too few to say anything");
}

#[tokio::test]
async fn a_target_that_holds_something_else_is_refused_before_the_first_write() {
    let from = model().await;
    furnish(&from).await;
    let bytes = back_up(&from).await;
    let whole = async || {
        let to = model().await;
        restore(&bytes, &to, &exact()).await.unwrap();
        to
    };
    for part in [
        create(TenantId::from_bytes([8; 16]), "theirs"),
        at(SMALL, 3).entry("it was in use"),
        at(SMALL, 3).write(put(Space::Invariant, "more", "x")),
        at(SMALL, 3).bump(),
        at(SMALL, 3).state(1),
    ] {
        let to = whole().await;
        ok(&to, part.clone()).await;
        let before = everything(&to).await;
        let error = restore(&bytes, &to, &exact()).await.unwrap_err();
        assert!(matches!(error, TransferError::Foreign(_)), "{error}: {part:?}");
        assert_eq!(everything(&to).await, before);
    }
}

/// A small installation, so that every byte of its backup can be tried.
async fn small() -> Vec<u8> {
    let store = model().await;
    ok(&store, create(SMALL, "small").entry("one").write(put(Space::Member, "m", "v"))).await;
    ok(&store, create(TenantId::PLATFORM, "platform").entry("initialised")).await;
    back_up(&store).await
}

async fn refused(bytes: &[u8]) -> String {
    let to = model().await;
    let error = restore(bytes, &to, &exact()).await.unwrap_err();
    assert!(matches!(error, TransferError::File(_)), "{error}");
    assert!(to.header(SMALL).await.unwrap().is_none() && to.header(TenantId::PLATFORM).await.unwrap().is_none());
    error.to_string()
}

#[tokio::test]
async fn a_backup_with_any_byte_changed_missing_or_added_is_refused() {
    let bytes = small().await;
    check_file(&opened(&bytes), &Progress::default()).await.unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x20;
        refused(&changed).await;
        refused(&bytes[..at]).await;
    }
    let longer = [bytes.as_slice(), b"\0"].concat();
    refused(&longer).await;
    let place = format!("the backup is damaged or was changed: the frame at byte {}", bytes.len());
    assert_eq!(refused(&[bytes.as_slice(), &bytes].concat()).await, place);
}

#[tokio::test]
async fn a_backup_of_a_newer_release_is_refused_by_name() {
    let mut bytes = small().await;
    bytes[20] = 2;
    assert_eq!(refused(&bytes).await, "the backup has format 2, this release knows 1");
    assert_eq!(refused(b"PK\x03\x04, a file of another kind").await, "the file is no backup of an installation");
    assert_eq!(refused(b"").await, "the file is no backup of an installation");
}

/// A frame: kind, payload.
type Frame = (u8, Vec<u8>);

fn frames(bytes: &[u8]) -> Vec<Frame> {
    let mut rest = &bytes[21..];
    let mut frames = Vec::new();
    while let [kind, a, b, c, d, more @ ..] = rest {
        let size = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap();
        frames.push((*kind, more[..size].to_vec()));
        rest = &more[size + 32..];
    }
    frames
}

/// Whoever writes a whole new file makes its hashes too.
fn forged(frames: &[Frame]) -> Vec<u8> {
    let mut out = b"bailiwick backup\n\0\0\0\x01".to_vec();
    let mut link = sha256(&out);
    for (kind, payload) in frames {
        let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
        link = sha256(&[link.as_slice(), &[*kind], &size, payload].concat());
        out.extend([[*kind].as_slice(), &size, payload, &link].concat());
    }
    out
}

#[tokio::test]
async fn a_forged_file_must_still_be_one_installation() {
    let bytes = small().await;
    let whole = frames(&bytes);
    assert_eq!(forged(&whole), bytes);
    // intro, tenant, records, entries, header; tenant, entries, header; end.
    assert_eq!(whole.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 2, 4, 5, 6]);
    let with = |change: &dyn Fn(&mut Vec<Frame>)| {
        let mut frames = whole.clone();
        change(&mut frames);
        forged(&frames)
    };
    for (what, bytes) in [
        ("an entry's leaf is another", with(&|frames| frames[3].1[9] ^= 1)),
        ("a record is missing", with(&|frames| drop(frames.remove(2)))),
        ("an entry is missing", with(&|frames| drop(frames.remove(3)))),
        ("a tenant is missing", with(&|frames| drop(frames.drain(1..5)))),
        ("the platform is missing", with(&|frames| drop(frames.drain(5..8)))),
        ("the platform is not the last", with(&|frames| frames[1..8].rotate_left(4))),
        ("records come after entries", with(&|frames| frames.swap(2, 3))),
        (
            "a tenant comes twice",
            with(&|frames| {
                let again = frames[1..5].to_vec();
                frames.splice(1..1, again);
            }),
        ),
        ("a record comes twice", with(&|frames| frames.insert(2, frames[2].clone()))),
        ("a tenant has no header", with(&|frames| drop(frames.remove(4)))),
        ("the end is missing", with(&|frames| drop(frames.pop()))),
        ("a frame holds nothing", with(&|frames| frames.insert(4, (4, frames[3].1[..8].to_vec())))),
        ("the intro is spelled otherwise", with(&|frames| frames[0].1.push(b' '))),
        ("the end is spelled otherwise", with(&|frames| frames[8].1.insert(1, b' '))),
        ("a frame is of no kind", with(&|frames| frames[2].0 = 9)),
        ("a space is of no kind", with(&|frames| frames[2].1[0] = 200)),
        ("a payload is longer", with(&|frames| frames[4].1.push(0))),
        ("a payload is shorter", with(&|frames| frames[4].1.truncate(40))),
    ] {
        println!("{what}: {}", refused(&bytes).await);
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap()
    }
}

/// Frames with right hashes and arbitrary damage inside: refused, or exactly what a backup of what comes out of it is.
#[tokio::test]
async fn arbitrary_frames_are_refused_or_mean_just_what_they_say() {
    let whole = frames(&small().await);
    let (mut taken, mut dice) = (0, Dice(7));
    for _ in 0..3_000 {
        let mut frames = whole.clone();
        for _ in 0..1 + dice.roll(2) {
            let at = dice.roll(frames.len());
            let place = dice.roll(frames[at].1.len().max(1));
            match dice.roll(5) {
                0 => frames[at].1.truncate(place),
                1 => frames[at].1.insert(place, u8::try_from(dice.roll(256)).unwrap()),
                2 => drop(frames.remove(at)),
                3 => frames.insert(at, whole[dice.roll(whole.len())].clone()),
                _ => match frames[at].1.get_mut(place) {
                    Some(byte) => *byte ^= 1 << dice.roll(8),
                    None => frames[at].0 ^= 1 << dice.roll(3),
                },
            }
        }
        let bytes = forged(&frames);
        let to = model().await;
        match restore(&bytes, &to, &exact()).await {
            Err(TransferError::File(_)) => {}
            Err(error) => {
                // It is a backup, and one that no store takes: a version that wraps, a slug that is twice.
                assert!(!matches!(error, TransferError::Foreign(_)), "{error}");
            }
            Ok(contents) => {
                taken += 1;
                let mut again = Vec::new();
                let intro = contents.manifest.intro.clone();
                bailiwick_transfer::file::back_up(&to, &mut again, intro, &Progress::default()).await.unwrap();
                // The revision is each store's own.
                let told = |bytes: &[u8]| -> Vec<Frame> {
                    let mut frames = self::frames(bytes);
                    for (kind, payload) in &mut frames {
                        if *kind == 5 {
                            payload[17..25].fill(0);
                        }
                    }
                    frames
                };
                assert_eq!(told(&again), told(&bytes));
            }
        }
    }
    assert!(taken > 50, "only {taken} were taken: nothing was compared");
}
