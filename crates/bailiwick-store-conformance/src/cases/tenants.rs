//! Tenants: how they begin, and what their header says.

use bailiwick_ledger::CompactRange;
use bailiwick_store::{CommitError, Counts, Header, Restored, Space, Totals};
use bailiwick_types::TenantId;

use crate::World;
use crate::build::{ACTIVE, Build, at, create, of, put, time, together};
use crate::world::THIRD;

pub(super) async fn a_new_tenant_is_empty_and_at_epoch_one(world: World) {
    let committed = world.ok(create(THIRD.id, THIRD.slug).commit()).await;
    let receipt = committed.receipts[0];
    assert_eq!((receipt.first_index, receipt.size, receipt.epoch), (0, 0, 1));
    let expected = Header {
        tenant: THIRD.id,
        slug: THIRD.slug.to_owned(),
        state: ACTIVE,
        epoch: 1,
        ledger: CompactRange::new(),
        counts: Counts::default(),
        meta: b"meta".to_vec(),
        meta_version: 1,
        revision: 0,
        wake: None,
    };
    assert_eq!(world.header(THIRD.id).await, expected);
}

pub(super) async fn a_creation_may_bring_records_and_entries(world: World) {
    let part = create(THIRD.id, THIRD.slug).write(put(Space::Member, "m", "v")).entry("one").entry("two");
    let receipt = world.ok(part.commit()).await.receipts[0];
    assert_eq!((receipt.first_index, receipt.size, receipt.epoch), (0, 2, 1));
    assert_eq!(world.value(THIRD.id, Space::Member, "m").await.as_deref(), Some("v"));
    let header = world.header(THIRD.id).await;
    assert_eq!((header.ledger.size(), header.counts.of(Space::Member)), (2, 1));
}

pub(super) async fn a_creation_bumps_nothing(world: World) {
    let receipt = world.ok(create(THIRD.id, THIRD.slug).bump().commit()).await.receipts[0];
    assert_eq!(receipt.epoch, 1);
    assert_eq!(world.header(THIRD.id).await.epoch, 1);
}

pub(super) async fn a_creation_needs_state_and_meta(world: World) {
    let whole = create(THIRD.id, THIRD.slug);
    let mut without_state = whole.clone();
    without_state.header.state = None;
    let mut without_meta = whole.clone();
    without_meta.header.meta = None;
    for part in [without_state, without_meta, whole.clone().meta(1, "meta")] {
        let refusal = world.refused(part.commit()).await;
        assert!(matches!(refusal, CommitError::Conflict { space: None }), "{refusal:?}");
    }
    world.ok(whole.commit()).await;
}

pub(super) async fn a_slug_is_never_used_twice(world: World) {
    let refusal = world.refused(create(THIRD.id, world.a.slug).commit()).await;
    assert!(matches!(refusal, CommitError::SlugTaken), "{refusal:?}");
    assert_eq!(world.store.header(THIRD.id).await.unwrap(), None);
    assert_eq!(world.store.tenant_by_slug(world.a.slug).await.unwrap(), Some(world.a.id));
}

pub(super) async fn an_id_is_never_used_twice(world: World) {
    // With its own slug too: whoever repeats a creation whose answer was lost learns that it was done.
    for slug in ["another", world.a.slug, world.b.slug] {
        let refusal = world.refused(create(world.a.id, slug).commit()).await;
        assert!(matches!(refusal, CommitError::TenantExists), "{slug}: {refusal:?}");
    }
}

pub(super) async fn two_creations_in_one_commit_need_two_slugs(world: World) {
    let other = TenantId::from_bytes([8; 16]);
    let refusal = world.refused(together([create(THIRD.id, "one"), create(other, "one")])).await;
    assert!(matches!(refusal, CommitError::SlugTaken), "{refusal:?}");
    world.ok(together([create(THIRD.id, "one"), create(other, "two")])).await;
    assert_eq!(world.store.tenant_by_slug("two").await.unwrap(), Some(other));
}

pub(super) async fn a_refused_creation_takes_nothing(world: World) {
    let refusal = world.refused(together([create(THIRD.id, THIRD.slug), at(world.a.id, 99)])).await;
    assert!(matches!(refusal, CommitError::Stale { .. }), "{refusal:?}");
    assert_eq!(world.store.tenant_by_slug(THIRD.slug).await.unwrap(), None);
    world.ok(create(THIRD.id, THIRD.slug).commit()).await;
}

pub(super) async fn a_slug_is_found_by_its_exact_bytes(world: World) {
    assert_eq!(world.store.tenant_by_slug("acme").await.unwrap(), Some(world.a.id));
    assert_eq!(world.store.tenant_by_slug("acme-2").await.unwrap(), Some(world.b.id));
    for other in ["", "Acme", "acme ", "acm", "acme-", "acme%", "acme\0"] {
        assert_eq!(world.store.tenant_by_slug(other).await.unwrap(), None, "{other:?}");
    }
}

pub(super) async fn an_unknown_tenant_reads_as_empty(world: World) {
    world.furnish().await;
    let (store, nobody) = (&world.store, THIRD.id);
    assert_eq!(store.header(nobody).await.unwrap(), None);
    assert_eq!(store.record(nobody, Space::Secret, b"same").await.unwrap(), None);
    assert_eq!(store.records(nobody, Space::Secret, b"", None, 10).await.unwrap(), []);
    assert_eq!(store.children(nobody, Space::Secret, b"", None, 10).await.unwrap(), []);
    assert_eq!(store.entries(nobody, 0, 10).await.unwrap(), []);
    assert_eq!(store.due(time(i64::MAX), 10).await.unwrap(), []);
}

pub(super) async fn meta_is_replaced_only_at_its_version(world: World) {
    let a = world.a.id;
    for wrong in [0, 2] {
        let refusal = world.refused(at(a, 1).meta(wrong, "new").commit()).await;
        assert!(matches!(refusal, CommitError::Conflict { space: None }), "{wrong}: {refusal:?}");
    }
    world.ok(at(a, 1).meta(1, "new").commit()).await;
    let header = world.header(a).await;
    assert_eq!((header.meta.as_slice(), header.meta_version), (&b"new"[..], 2));
    let refusal = world.refused(at(a, 1).meta(1, "newer").commit()).await;
    assert!(matches!(refusal, CommitError::Conflict { space: None }), "{refusal:?}");
    world.ok(of(a).meta(2, "").commit()).await;
    let header = world.header(a).await;
    assert_eq!((header.meta.as_slice(), header.meta_version), (&b""[..], 3));
}

pub(super) async fn a_bump_adds_one_to_the_epoch(world: World) {
    for epoch in 1..5 {
        let receipt = world.ok(at(world.a.id, epoch).bump().commit()).await.receipts[0];
        assert_eq!(receipt.epoch, epoch + 1);
        assert_eq!(world.header(world.a.id).await.epoch, epoch + 1);
    }
}

pub(super) async fn state_and_meta_stay_until_they_are_changed(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).state(7).meta(1, "kept").commit()).await;
    world.ok(at(a, 1).bump().entry("e").write(put(Space::Secret, "k", "v")).commit()).await;
    let header = world.header(a).await;
    assert_eq!((header.state, header.meta.as_slice(), header.meta_version), (7, &b"kept"[..], 2));
    world.ok(at(a, 2).state(0).commit()).await;
    assert_eq!(world.header(a).await.state, 0);
}

pub(super) async fn headers_come_in_order_of_slugs_and_in_pages(world: World) {
    // Made in no order, with ids in another one.
    for (n, slug) in (10u8..).zip(["zeta", "acme-10", "b", "beta", "a"]) {
        world.ok(create(TenantId::from_bytes([n; 16]), slug).commit()).await;
    }
    let sorted = ["a", "acme", "acme-10", "acme-2", "b", "beta", "zeta"];
    let all = world.store.headers(None, 100).await.unwrap();
    assert_eq!(all.iter().map(|header| header.slug.as_str()).collect::<Vec<_>>(), sorted);
    for header in &all {
        assert_eq!(world.header(header.tenant).await, *header);
    }
    for limit in 1..=sorted.len() + 1 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = world.store.headers(after.as_deref(), limit).await.unwrap();
            assert!(page.len() <= limit);
            let Some(last) = page.last() else { break };
            after = Some(last.slug.clone());
            seen.extend(page.into_iter().map(|header| header.slug));
        }
        assert_eq!(seen, sorted, "in pages of {limit}");
    }
    // After a slug that nobody has.
    let after = world.store.headers(Some("acme-3"), 1).await.unwrap();
    assert_eq!(after[0].slug, "b");
}

pub(super) async fn the_platform_is_neither_listed_nor_counted(world: World) {
    world.ok(create(TenantId::PLATFORM, "aa-platform").commit()).await;
    let listed = world.store.headers(None, 100).await.unwrap();
    assert_eq!(listed.iter().map(|header| header.tenant).collect::<Vec<_>>(), [world.a.id, world.b.id]);
    assert_eq!(world.store.totals().await.unwrap(), Totals { by_state: vec![(ACTIVE, 2)] });
    assert_eq!(world.header(TenantId::PLATFORM).await.slug, "aa-platform");
    world.ok(at(TenantId::PLATFORM, 1).state(9).commit()).await;
    assert_eq!(world.store.totals().await.unwrap(), Totals { by_state: vec![(ACTIVE, 2)] });
}

pub(super) async fn a_restored_tenant_has_the_numbers_that_it_had(world: World) {
    let numbers = Restored { epoch: 41, meta_version: 17, revision: 1 << 40 };
    // Begun as any tenant, and finished with what it was elsewhere.
    let begun = create(THIRD.id, THIRD.slug).meta(0, "").write(put(Space::Member, "m", "v")).entry("one");
    world.ok(begun.commit()).await;
    let finished = at(THIRD.id, 1).meta(1, "as it was").state(7).bump().write(put(Space::Member, "n", "v"));
    let receipt = world.ok(finished.restored(numbers).entry("two").commit()).await.receipts[0];
    assert_eq!((receipt.first_index, receipt.size, receipt.epoch), (1, 2, 41));
    let is = |header: &Header| Restored {
        epoch: header.epoch,
        meta_version: header.meta_version,
        revision: header.revision,
    };
    let header = world.header(THIRD.id).await;
    assert_eq!((is(&header), header.state, header.meta.as_slice()), (numbers, 7, b"as it was".as_slice()));
    // It goes on from there.
    world.refused(at(THIRD.id, 1).entry("late").commit()).await;
    world.ok(at(THIRD.id, 41).meta(17, "newer").bump().write(put(Space::Member, "o", "v")).commit()).await;
    let next = Restored { epoch: 42, meta_version: 18, revision: (1 << 40) + 1 };
    assert_eq!(is(&world.header(THIRD.id).await), next);
    // Or all at once.
    let fourth = TenantId::from_bytes([8; 16]);
    let receipt = world.ok(create(fourth, "fourth").entry("e").restored(numbers).commit()).await.receipts[0];
    assert_eq!((is(&world.header(fourth).await), receipt.epoch), (numbers, 41));
}

pub(super) async fn restored_numbers_never_go_back(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).bump().meta(1, "m").write(put(Space::Member, "m", "v")).commit()).await;
    let here = Restored { epoch: 2, meta_version: 2, revision: 1 };
    for less in [Restored { epoch: 1, ..here }, Restored { meta_version: 1, ..here }, Restored { revision: 0, ..here }]
    {
        let refusal = world.refused(at(a, 2).restored(less).commit()).await;
        assert!(matches!(refusal, CommitError::Conflict { space: None }), "{refusal:?}");
    }
    world.ok(at(a, 2).restored(here).commit()).await;
    let header = world.header(a).await;
    assert_eq!((header.epoch, header.meta_version, header.revision), (2, 2, 1));
}

pub(super) async fn totals_count_tenants_by_state(world: World) {
    assert_eq!(world.store.totals().await.unwrap(), Totals { by_state: vec![(ACTIVE, 2)] });
    world.ok(at(world.a.id, 1).state(0).commit()).await;
    world.ok(create(THIRD.id, THIRD.slug).commit()).await;
    assert_eq!(world.store.totals().await.unwrap(), Totals { by_state: vec![(0, 1), (ACTIVE, 2)] });
    world.ok(at(world.a.id, 1).state(200).commit()).await;
    assert_eq!(world.store.totals().await.unwrap(), Totals { by_state: vec![(ACTIVE, 2), (200, 1)] });
}
