//! What a commit may expect, and what becomes of it when it is wrong.

use bailiwick_store::{Commit, CommitError, Expect, Part, Space, Wake, Write};
use bailiwick_types::TenantId;

use crate::World;
use crate::build::{Build, at, create, guarded, of, put, remove, replace, together};
use crate::world::THIRD;

/// Asserts that a value matches a pattern, and shows it if it does not.
macro_rules! assert_is {
    ($value:expr, $pattern:pat $(if $guard:expr)?) => {{
        let value = $value;
        assert!(matches!(value, $pattern $(if $guard)?), "{value:?}");
    }};
}

pub(super) async fn an_epoch_that_is_over_is_refused(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).bump().commit()).await;
    for wrong in [0, 1, 3, u64::MAX] {
        let part = at(a, wrong).entry("late").write(put(Space::Secret, "k", "v")).bump().state(5).meta(1, "m");
        assert_is!(world.refused(part.commit()).await, CommitError::Stale { tenant } if tenant == a);
    }
    world.ok(at(a, 2).entry("in time").commit()).await;
}

pub(super) async fn the_revision_grows_with_each_part_that_writes(world: World) {
    let a = world.a.id;
    let revision = async || world.header(a).await.revision;
    let before = revision().await;
    world.ok(at(a, 1).entry("only an entry").wake(Wake::Never).meta(1, "m").state(2).commit()).await;
    assert_eq!(revision().await, before, "nothing was written to a record");
    world.ok(at(a, 1).write(put(Space::Secret, "k", "v")).write(put(Space::Secret, "l", "v")).commit()).await;
    assert_eq!(revision().await, before + 1, "one for the part, not one for each write");
    world.ok(at(a, 1).write(remove(Space::Secret, "l", 1)).commit()).await;
    assert_eq!(revision().await, before + 2, "a removal is a change");
    world.refused(at(a, 1).write(put(Space::Secret, "k", "v")).commit()).await;
    assert_eq!(revision().await, before + 2);
}

pub(super) async fn what_was_seen_must_still_be_so(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    let seen = |epoch, revision| Part { expect: Expect::Seen { epoch, revision }, ..at(a, epoch) };
    world.ok(at(a, 1).write(put(Space::Secret, "k", "v")).commit()).await;
    let revision = world.header(a).await.revision;
    world.ok(seen(1, revision).entry("nothing has changed").commit()).await;
    world.ok(at(b, 1).write(put(Space::Secret, "k", "v")).commit()).await;
    world.ok(seen(1, revision).entry("nothing of this tenant's").commit()).await;
    world.ok(seen(1, revision).write(replace(Space::Secret, "k", 1, "w")).commit()).await;
    for wrong in [0, revision, revision + 2] {
        let late = seen(1, wrong).entry("late").write(put(Space::Secret, "l", "v"));
        assert_is!(world.refused(late.commit()).await, CommitError::Outdated { tenant } if tenant == a);
    }
    // Whoever acts under an epoch that is over learns that, and nothing about records.
    world.ok(at(a, 1).bump().commit()).await;
    assert_is!(world.refused(seen(1, revision).entry("later").commit()).await, CommitError::Stale { tenant } if tenant == a);
}

pub(super) async fn what_is_known_is_true_of_its_revision(world: World) {
    let a = world.a.id;
    let mut version = None;
    for round in 1..=20u64 {
        // Twice, as the first look may be what a second one remembers.
        for _ in 0..2 {
            let known = world.store.known(a, Space::Secret, b"k").await.unwrap();
            let is_current = known.record.as_ref().map(|record| record.version) == version;
            assert!(is_current || known.revision.is_some_and(|seen| seen != round - 1), "{known:?} in round {round}");
            if let (true, Some(revision)) = (is_current, known.revision) {
                world.ok(Part { expect: Expect::Seen { epoch: 1, revision }, ..at(a, 1) }.entry("read").commit()).await;
            }
        }
        let write = match version {
            None => put(Space::Secret, "k", "v"),
            Some(version) => replace(Space::Secret, "k", version, "v"),
        };
        world.ok(at(a, 1).write(write).commit()).await;
        version = Some(round);
    }
    assert_eq!(world.store.known(world.b.id, Space::Secret, b"k").await.unwrap().record, None);
}

pub(super) async fn an_unknown_tenant_is_refused(world: World) {
    for part in [at(THIRD.id, 1), of(THIRD.id), at(THIRD.id, 0)] {
        assert_is!(world.refused(part.entry("lost").commit()).await, CommitError::NoSuchTenant);
    }
    assert_eq!(world.store.header(THIRD.id).await.unwrap(), None);
}

pub(super) async fn existence_holds_under_any_epoch(world: World) {
    world.ok(of(world.a.id).entry("one").commit()).await;
    world.ok(at(world.a.id, 1).bump().commit()).await;
    let receipt = world.ok(of(world.a.id).entry("two").commit()).await.receipts[0];
    assert_eq!((receipt.first_index, receipt.size, receipt.epoch), (1, 2, 2));
}

pub(super) async fn a_guard_must_hold(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    let commit = at(a, 1).entry("guarded").commit();
    world.ok(guarded(commit.clone(), &[(b, 1)])).await;
    world.ok(guarded(commit.clone(), &[(b, 1), (a, 1)])).await;
    assert_is!(world.refused(guarded(commit.clone(), &[(b, 2)])).await, CommitError::Stale { tenant } if tenant == b);
    world.ok(at(b, 1).bump().commit()).await;
    assert_is!(world.refused(guarded(commit.clone(), &[(b, 1)])).await, CommitError::Stale { tenant } if tenant == b);
    assert_is!(
        world.refused(guarded(commit.clone(), &[(b, 2), (THIRD.id, 1)])).await,
        CommitError::Stale { tenant } if tenant == THIRD.id
    );
    // A guard is looked at before the commit itself bumps it.
    world.ok(guarded(at(a, 1).bump().commit(), &[(a, 1), (b, 2)])).await;
}

pub(super) async fn an_absent_record_must_be_absent(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).write(put(Space::Secret, "k", "first")).commit()).await;
    let again = at(a, 1).write(put(Space::Secret, "other", "x")).write(put(Space::Secret, "k", "second")).entry("e");
    assert_is!(world.refused(again.commit()).await, CommitError::Conflict { space: Some(Space::Secret) });
    assert_eq!(world.value(a, Space::Secret, "k").await.as_deref(), Some("first"));
}

pub(super) async fn a_version_must_be_the_expected_one(world: World) {
    let a = world.a.id;
    for wrong in [replace(Space::Account, "k", 1, "x"), remove(Space::Account, "k", 1)] {
        let refusal = world.refused(at(a, 1).write(wrong).commit()).await;
        assert_is!(refusal, CommitError::Conflict { space: Some(Space::Account) });
    }
    world.ok(at(a, 1).write(put(Space::Account, "k", "one")).commit()).await;
    world.ok(at(a, 1).write(replace(Space::Account, "k", 1, "two")).commit()).await;
    for wrong in [0, 1, 3] {
        for write in [replace(Space::Account, "k", wrong, "x"), remove(Space::Account, "k", wrong)] {
            let refusal = world.refused(at(a, 1).entry("e").write(write).commit()).await;
            assert_is!(refusal, CommitError::Conflict { space: Some(Space::Account) });
        }
    }
    assert_eq!(world.value(a, Space::Account, "k").await.as_deref(), Some("two"));
}

pub(super) async fn a_version_must_grow(world: World) {
    let a = world.a.id;
    let first = Write { value: Some((5, b"five".to_vec())), ..put(Space::Policy, "p", "") };
    world.ok(at(a, 1).write(first).commit()).await;
    for wrong in [0, 4, 5] {
        let write = Write { value: Some((wrong, b"x".to_vec())), ..replace(Space::Policy, "p", 5, "") };
        let refusal = world.refused(at(a, 1).write(write).commit()).await;
        assert_is!(refusal, CommitError::Conflict { space: Some(Space::Policy) });
    }
    let far = Write { value: Some((u64::MAX, b"far".to_vec())), ..replace(Space::Policy, "p", 5, "") };
    world.ok(at(a, 1).write(far).commit()).await;
    assert_eq!(world.store.record(a, Space::Policy, b"p").await.unwrap().unwrap().version, u64::MAX);
    world.ok(at(a, 1).write(remove(Space::Policy, "p", u64::MAX)).commit()).await;
}

pub(super) async fn a_removed_record_is_absent(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).write(put(Space::Mount, "k", "v")).commit()).await;
    world.ok(at(a, 1).write(remove(Space::Mount, "k", 1)).commit()).await;
    assert_eq!(world.store.record(a, Space::Mount, b"k").await.unwrap(), None);
    assert_eq!(world.store.records(a, Space::Mount, b"", None, 10).await.unwrap(), []);
    world.ok(at(a, 1).write(put(Space::Mount, "k", "again")).commit()).await;
    assert_eq!(world.value(a, Space::Mount, "k").await.as_deref(), Some("again"));
}

pub(super) async fn absence_alone_can_be_insisted_on(world: World) {
    let a = world.a.id;
    let insist = || at(a, 1).entry("absent").write(Write { value: None, ..put(Space::Binding, "k", "") }).commit();
    world.ok(insist()).await;
    assert_eq!(world.header(a).await.counts.of(Space::Binding), 0);
    world.ok(at(a, 1).write(put(Space::Binding, "k", "v")).commit()).await;
    assert_is!(world.refused(insist()).await, CommitError::Conflict { space: Some(Space::Binding) });
}

pub(super) async fn a_malformed_commit_is_refused(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    let twice = at(a, 1).write(put(Space::Secret, "k", "1")).write(put(Space::Secret, "k", "2"));
    assert_is!(world.refused(twice.commit()).await, CommitError::Conflict { space: Some(Space::Secret) });
    let there_and_gone = at(a, 1).write(put(Space::Secret, "k", "1")).write(remove(Space::Secret, "k", 1));
    assert_is!(world.refused(there_and_gone.commit()).await, CommitError::Conflict { space: Some(Space::Secret) });
    let parts = [at(a, 1).entry("1"), at(b, 1).entry("2"), of(a).entry("3")];
    assert_is!(world.refused(together(parts)).await, CommitError::Conflict { space: None });
    let births = [create(THIRD.id, "x"), create(THIRD.id, "y")];
    assert_is!(world.refused(together(births)).await, CommitError::Conflict { space: None });
    // One key in two spaces, or in two tenants, is two keys.
    let fine = [
        at(a, 1).write(put(Space::Secret, "k", "1")).write(put(Space::Account, "k", "2")),
        at(b, 1).write(put(Space::Secret, "k", "3")),
    ];
    world.ok(together(fine)).await;
}

fn limited(key: &str, max: u64) -> Write {
    Write { count_max: Some(max), ..put(Space::Credential, key, "v") }
}

pub(super) async fn a_full_space_takes_no_more_records(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).write(limited("1", 2)).commit()).await;
    world.ok(at(a, 1).write(limited("2", 2)).commit()).await;
    let refusal = world.refused(at(a, 1).entry("e").write(limited("3", 2)).commit()).await;
    assert_is!(refusal, CommitError::Full { space: Space::Credential, max: 2 });
    assert_is!(world.refused(at(a, 1).write(limited("3", 0)).commit()).await, CommitError::Full { max: 0, .. });
    // Only this space counts, and only writes that name a limit are limited.
    world.ok(at(a, 1).write(Write { space: Space::Account, ..limited("3", 1) }).commit()).await;
    world.ok(at(a, 1).write(put(Space::Credential, "3", "v")).commit()).await;
    world.ok(at(a, 1).write(limited("4", 4)).commit()).await;
}

pub(super) async fn a_full_space_still_takes_changes(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).write(limited("1", 1)).commit()).await;
    let change = Write { count_max: Some(1), ..replace(Space::Credential, "1", 1, "new") };
    world.ok(at(a, 1).write(change).commit()).await;
    world.ok(at(a, 1).write(Write { count_max: Some(0), ..remove(Space::Credential, "1", 2) }).commit()).await;
    world.ok(at(a, 1).write(limited("2", 1)).commit()).await;
}

pub(super) async fn room_is_counted_in_order_of_writes(world: World) {
    let a = world.a.id;
    let refusal = world.refused(at(a, 1).write(limited("1", 1)).write(limited("2", 1)).commit()).await;
    assert_is!(refusal, CommitError::Full { space: Space::Credential, max: 1 });
    world.ok(at(a, 1).write(limited("1", 1)).commit()).await;
    let swap = at(a, 1).write(remove(Space::Credential, "1", 1)).write(limited("2", 1));
    world.ok(swap.commit()).await;
    let too_late = at(a, 1).write(limited("3", 1)).write(remove(Space::Credential, "2", 1));
    assert_is!(world.refused(too_late.commit()).await, CommitError::Full { .. });
}

pub(super) async fn counts_follow_the_records(world: World) {
    let a = world.a.id;
    let count = async || world.header(a).await.counts.of(Space::Usage);
    let many = (0..300).fold(at(a, 1), |part, n| part.write(put(Space::Usage, format!("{n:03}"), "v")));
    world.ok(many.commit()).await;
    assert_eq!(count().await, 300);
    world.ok(at(a, 1).write(replace(Space::Usage, "000", 1, "w")).write(remove(Space::Usage, "001", 1)).commit()).await;
    assert_eq!(count().await, 299);
    let rest = (2..300).fold(at(a, 1), |part, n| part.write(remove(Space::Usage, format!("{n:03}"), 1)));
    world.ok(rest.write(remove(Space::Usage, "000", 2)).commit()).await;
    assert_eq!(count().await, 0);
    assert_eq!(world.header(a).await.counts, bailiwick_store::Counts::default());
}

pub(super) async fn epochs_are_checked_before_versions(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    world.ok(at(a, 1).write(limited("there", 9)).commit()).await;
    let wrong = [put(Space::Credential, "there", "x"), replace(Space::Credential, "gone", 1, "x"), limited("new", 1)];
    for write in wrong {
        let stale = at(a, 9).write(write.clone()).meta(9, "m").commit();
        assert_is!(world.refused(stale).await, CommitError::Stale { tenant } if tenant == a);
        let fresh = at(a, 1).write(write.clone());
        assert_is!(world.refused(guarded(fresh.clone().commit(), &[(b, 9)])).await, CommitError::Stale { .. });
        assert_is!(world.refused(together([fresh.clone(), at(b, 9)])).await, CommitError::Stale { .. });
        assert_is!(world.refused(together([fresh, at(THIRD.id, 1)])).await, CommitError::NoSuchTenant);
    }
}

pub(super) async fn parts_are_applied_together(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    world.ok(at(b, 1).entry("before").commit()).await;
    let parts = [
        at(b, 1).entry("theirs").bump().write(put(Space::Secret, "k", "b")),
        of(a).entry("ours").entry("ours too").write(put(Space::Secret, "k", "a")),
    ];
    let committed = world.ok(together(parts)).await;
    let told: Vec<_> = committed.receipts.iter().map(|r| (r.first_index, r.size, r.epoch)).collect();
    assert_eq!(told, [(1, 2, 2), (0, 2, 1)], "receipts come in order of parts");
    assert_eq!(world.value(a, Space::Secret, "k").await.as_deref(), Some("a"));
    assert_eq!(world.value(b, Space::Secret, "k").await.as_deref(), Some("b"));
    let platform = create(TenantId::PLATFORM, "platform").entry("born");
    world.ok(together([platform, create(THIRD.id, THIRD.slug).entry("born"), of(a).entry("saw it")])).await;
    assert_eq!(world.header(a).await.ledger.size(), 3);
    assert_eq!(world.header(THIRD.id).await.ledger.size(), 1);
}

pub(super) async fn one_refused_part_refuses_all(world: World) {
    let (a, b) = (world.a.id, world.b.id);
    world.furnish().await;
    let good = || at(a, 1).entry("good").bump().state(3).meta(1, "m").write(put(Space::Secret, "new", "v"));
    let bad = [
        at(b, 2).entry("stale"),
        at(THIRD.id, 1).entry("nobody"),
        create(b, "new"),
        create(THIRD.id, world.b.slug),
        at(b, 1).meta(7, "conflict"),
        at(b, 1).write(put(Space::Secret, "same", "conflict")),
        at(b, 1).write(replace(Space::Secret, "same", 2, "conflict")),
        at(b, 1).write(Write { count_max: Some(1), ..put(Space::Secret, "full", "v") }),
    ];
    for bad in bad {
        world.refused(together([good(), bad.clone()])).await;
        world.refused(together([bad, good()])).await;
    }
    assert_eq!(world.store.header(THIRD.id).await.unwrap(), None);
    world.ok(good().commit()).await;
}

pub(super) async fn a_commit_of_nothing_passes(world: World) {
    let nothing = Commit { parts: Vec::new(), guards: Vec::new() };
    assert_eq!(world.ok(nothing.clone()).await.receipts, []);
    assert_is!(world.refused(guarded(nothing, &[(world.a.id, 9)])).await, CommitError::Stale { .. });
    let before = world.dump(world.a.id).await;
    let receipt = world.ok(at(world.a.id, 1).commit()).await.receipts[0];
    assert_eq!((receipt.first_index, receipt.size, receipt.epoch), (0, 0, 1));
    assert_eq!(world.dump(world.a.id).await, before);
}
