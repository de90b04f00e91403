//! Sources that are in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bailiwick_store::{Commit, Expect, HeaderChange, Part, Space, Store};
use bailiwick_store_conformance::build::{Build, at, create, of, put};
use bailiwick_store_sqlite::SqliteSnapshot;
use bailiwick_transfer::TransferError;
use bailiwick_types::TenantId;

use crate::hooked::Hooked;
use crate::house::{BIG, SMALL, back_up, count, exact, model, ok, restore, sqlite};

/// How many entries a tenant has that say `n`, and the counter that each of them came with.
async fn compare_counter(store: &Arc<dyn Store>, tenant: TenantId) -> u64 {
    let entries = store.header(tenant).await.unwrap().unwrap().ledger.size();
    let counter = store.record(tenant, Space::Usage, b"a").await.unwrap().map_or(0, |record| record.version);
    let other = store.record(tenant, Space::Usage, b"z").await.unwrap().map_or(0, |record| record.version);
    // One commit writes both counters and the entry: a state in which they disagree never was.
    assert_eq!((counter, other), (entries, entries));
    entries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_store_in_use_has_one_state_of_each_tenant() {
    let (from, place) = sqlite();
    for (tenant, slug) in [(BIG, "big"), (SMALL, "small"), (TenantId::PLATFORM, "platform")] {
        ok(&from, create(tenant, slug)).await;
    }
    // Many pages between the two counters, so that there is time to go on in between.
    let mut filler = at(BIG, 1);
    for n in 0..1_000 {
        filler = filler.write(put(Space::Usage, format!("m{n}"), "x"));
    }
    ok(&from, filler).await;
    let (is_over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (store, over, progress) = (Arc::clone(&from), Arc::clone(&is_over), Arc::clone(&written));
    let writer = tokio::spawn(async move {
        for n in 1.. {
            if over.load(Ordering::Relaxed) {
                break;
            }
            for tenant in [BIG, SMALL] {
                ok(&store, of(tenant).write(count("a", n)).write(count("z", n)).entry("both")).await;
            }
            progress.store(n, Ordering::Relaxed);
        }
    });
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let snapshot = SqliteSnapshot::open(&place.path().join("bailiwick.db")).unwrap();
        let snapshot: Arc<dyn Store> = snapshot;
        let bytes = back_up(&snapshot).await;
        let to = model().await;
        restore(&bytes, &to, &exact()).await.unwrap();
        seen.push((compare_counter(&to, BIG).await, compare_counter(&to, SMALL).await));
    }
    is_over.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    println!("{seen:?} of {}", written.load(Ordering::Relaxed));
    assert!(seen.first() < seen.last(), "nothing was written meanwhile: {seen:?}");
}

/// A store that will change so many times while it is read.
async fn changing(
    times: u64,
    tenant: TenantId,
    change: fn(u64) -> (HeaderChange, Vec<bailiwick_store::Write>),
) -> Arc<dyn Store> {
    let inner = model().await;
    ok(&inner, create(SMALL, "small").entry("e").write(put(Space::Member, "m", "v"))).await;
    ok(&inner, create(TenantId::PLATFORM, "platform").entry("e")).await;
    let left = AtomicU64::new(times);
    let on_records = move |space| {
        let turn = left.load(Ordering::SeqCst);
        if space != Space::Usage || turn == 0 {
            return None;
        }
        left.store(turn - 1, Ordering::SeqCst);
        let (header, writes) = change(turn);
        let part = Part { tenant, expect: Expect::Exists, header, writes, entries: Vec::new() };
        Some(Commit { parts: vec![part], guards: Vec::new() })
    };
    Arc::new(Hooked { inner, on_records: Box::new(on_records), on_commit: || {} })
}

#[tokio::test]
async fn records_that_changed_while_they_were_read_are_read_again() {
    // A member is added behind the place that was read already: the counts alone would not show a replacement.
    let add = |left| (HeaderChange::default(), vec![put(Space::Member, format!("m{left}"), "more")]);
    let from = changing(5, SMALL, add).await;
    let bytes = back_up(&from).await;
    let to = model().await;
    restore(&bytes, &to, &exact()).await.unwrap();
    assert_eq!(to.header(SMALL).await.unwrap().unwrap().counts.of(Space::Member), 6);
    // A copy writes what it read first and corrects it.
    let from = changing(5, SMALL, add).await;
    let to = model().await;
    crate::house::copy(&from, &to).await.unwrap();
    assert_eq!(to.header(SMALL).await.unwrap().unwrap().counts.of(Space::Member), 6);
}

#[tokio::test]
async fn a_tenant_that_never_rests_is_not_backed_up_wrong_but_refused() {
    let add = |left| (HeaderChange::default(), vec![put(Space::Member, format!("m{left}"), "more")]);
    let (from, to) = (changing(u64::MAX, SMALL, add).await, model().await);
    let error = crate::house::copy(&from, &to).await.unwrap_err();
    assert!(matches!(&error, TransferError::Moving(who) if who == "tenant `small`"), "{error}");
    assert!(to.header(TenantId::PLATFORM).await.unwrap().is_none());
}

#[tokio::test]
async fn a_root_key_that_is_rotated_meanwhile_is_noticed() {
    let rotate =
        |_| (HeaderChange { meta: Some((1, b"under another key".to_vec())), ..HeaderChange::default() }, Vec::new());
    let (from, to) = (changing(1, TenantId::PLATFORM, rotate).await, model().await);
    let error = crate::house::copy(&from, &to).await.unwrap_err();
    assert!(matches!(error, TransferError::KeysMoved), "{error}");
    // The next one finds it at rest.
    crate::house::copy(&from, &to).await.unwrap();
}
