//! From one store into another.

use std::sync::Arc;

use bailiwick_store::{Space, Store};
use bailiwick_store_conformance::build::{Build, at, create, put};
use bailiwick_store_conformance::{Fault, FaultyStore};
use bailiwick_transfer::{Progress, Standing, TransferError, plan, verify};
use bailiwick_types::TenantId;

use crate::house::{
    ALL, BIG, CLOSED, SMALL, check_subtrees, copy, everything, exact, furnish, go_on, model, ok, sqlite,
};

#[tokio::test]
async fn a_copy_is_the_same_in_everything() {
    let from = model().await;
    furnish(&from).await;
    let ((first, _place), second) = (sqlite(), model().await);
    copy(&from, &first).await.unwrap();
    assert_eq!(everything(&first).await, everything(&from).await);
    check_subtrees(&first).await;
    // And from there on, over another engine.
    copy(&first, &second).await.unwrap();
    assert_eq!(everything(&second).await, everything(&from).await);
    let due = |store: Arc<dyn Store>| async move {
        store.due(bailiwick_store_conformance::build::time(i64::MAX), 9).await.unwrap()
    };
    assert_eq!(due(second).await, due(from).await);
}

#[tokio::test]
async fn a_copy_is_brought_up_to_date() {
    let (from, (to, _place)) = (model().await, sqlite());
    furnish(&from).await;
    copy(&from, &to).await.unwrap();
    go_on(&from).await;
    let what = plan(from.as_ref(), to.as_ref(), &exact()).await.unwrap();
    let standing = |slug: &str| what.tenants.iter().find(|(other, _)| other == slug).unwrap().1;
    assert_eq!([standing("big"), standing("small"), standing("platform")], [Standing::Behind; 3]);
    assert_eq!((standing("erased"), standing("late")), (Standing::Same, Standing::Absent));
    copy(&from, &to).await.unwrap();
    assert_eq!(everything(&to).await, everything(&from).await);
    // Once more changes nothing, not even a revision.
    let before = to.header(BIG).await.unwrap();
    copy(&from, &to).await.unwrap();
    assert_eq!(to.header(BIG).await.unwrap(), before);
}

#[tokio::test]
async fn what_is_erased_in_the_source_is_erased_in_the_copy() {
    let (from, (to, _place)) = (model().await, sqlite());
    furnish(&from).await;
    copy(&from, &to).await.unwrap();
    from.erase(SMALL).await.unwrap();
    ok(&from, at(SMALL, 3).state(4).bump()).await;
    copy(&from, &to).await.unwrap();
    assert_eq!(everything(&to).await, everything(&from).await);
    assert!(to.entries(SMALL, 0, 9).await.unwrap().iter().all(|entry| entry.sealed.is_empty()));
}

/// Whoever opens the target now gets no answer: there is no installation, or it is closed; and each tenant is closed, or
/// just what it is in the source.
async fn answers_nothing(from: &Arc<dyn Store>, to: &Arc<dyn Store>, at: &str) {
    for tenant in ALL {
        let Some(there) = to.header(tenant).await.unwrap() else { continue };
        if there.state == CLOSED {
            assert_eq!(there.wake, None, "{at}: a closed tenant is due");
        } else {
            assert!(!tenant.is_platform(), "{at}: the platform is open before the end");
            let source = from.header(tenant).await.unwrap().unwrap();
            assert_eq!((there.ledger, there.counts, there.epoch), (source.ledger, source.counts, source.epoch), "{at}");
        }
    }
}

#[tokio::test]
async fn an_interruption_at_any_commit_leaves_nothing_that_answers_and_is_gone_on_from() {
    let from = model().await;
    furnish(&from).await;
    let wanted = everything(&from).await;
    for fault in [Fault::BeforePersist, Fault::AfterPersist] {
        let mut number = 0;
        loop {
            let store = model().await;
            let faulty = FaultyStore::new(Arc::clone(&store));
            faulty.fail(number, fault.clone());
            let to: Arc<dyn Store> = faulty.clone();
            let at = format!("{fault:?} at {number}");
            let cut_off = copy(&from, &to).await;
            let is_last = faulty.commits() == number + 1;
            if cut_off.is_ok() {
                assert!(faulty.commits() <= number, "{at}: it was not noticed");
                break;
            }
            if !(is_last && matches!(fault, Fault::AfterPersist) && everything(&store).await == wanted) {
                answers_nothing(&from, &store, &at).await;
            }
            copy(&from, &to).await.unwrap_or_else(|error| panic!("{at}: {error}"));
            assert_eq!(everything(&store).await, wanted, "{at}");
            number += 1;
        }
        assert!(number >= 9, "{number} commits are too few to say anything");
    }
}

#[tokio::test]
async fn a_catching_up_that_is_interrupted_leaves_nothing_that_answers() {
    let from = model().await;
    furnish(&from).await;
    for number in 0..6 {
        let store = model().await;
        copy(&from, &store).await.unwrap();
        let further = model().await;
        copy(&from, &further).await.unwrap();
        go_on(&further).await;
        let faulty = FaultyStore::new(Arc::clone(&store));
        faulty.fail(number, Fault::AfterPersist);
        let to: Arc<dyn Store> = faulty;
        copy(&further, &to).await.unwrap_err();
        let platform = store.header(TenantId::PLATFORM).await.unwrap().unwrap();
        if everything(&store).await != everything(&further).await {
            assert_eq!(platform.state, CLOSED, "after commit {number}");
        }
        copy(&further, &to).await.unwrap();
        assert_eq!(everything(&store).await, everything(&further).await);
    }
}

async fn refused(from: &Arc<dyn Store>, to: &Arc<dyn Store>) -> String {
    let before = everything(to).await;
    let error = copy(from, to).await.unwrap_err();
    assert!(matches!(error, TransferError::Foreign(_)), "{error}");
    assert_eq!(everything(to).await, before, "{error}, but it was written to");
    error.to_string()
}

#[tokio::test]
async fn a_target_that_holds_something_else_is_refused_and_left_alone() {
    let from = model().await;
    furnish(&from).await;

    let other = model().await;
    ok(&other, create(TenantId::from_bytes([8; 16]), "theirs")).await;
    assert!(refused(&from, &other).await.ends_with("tenant `theirs` is not in the source"));

    let gone_on = model().await;
    copy(&from, &gone_on).await.unwrap();
    ok(&gone_on, at(SMALL, 3).entry("it was in use")).await;
    assert!(refused(&from, &gone_on).await.contains("its ledger is longer"));

    let forked = model().await;
    copy(&from, &forked).await.unwrap();
    ok(&forked, at(SMALL, 3).entry("here")).await;
    let further = model().await;
    copy(&from, &further).await.unwrap();
    ok(&further, at(SMALL, 3).entry("there")).await;
    assert!(refused(&further, &forked).await.contains("its ledger has another root"));

    let slug = model().await;
    ok(&slug, create(BIG, "not-big")).await;
    assert!(refused(&from, &slug).await.contains("has another slug there"));

    let platform = model().await;
    ok(&platform, create(TenantId::PLATFORM, "platform").entry("another installation")).await;
    assert!(refused(&from, &platform).await.starts_with("the target holds something else: the platform"));
}

#[tokio::test]
async fn an_empty_source_is_no_installation() {
    let (from, to) = (model().await, model().await);
    assert!(matches!(copy(&from, &to).await.unwrap_err(), TransferError::Empty));
}

#[tokio::test]
async fn verification_notices_every_difference() {
    let from = model().await;
    furnish(&from).await;
    let compared = async |to: &Arc<dyn Store>| verify(&from, to, &exact(), &Arc::new(Progress::default())).await;
    let spoiled = [
        at(SMALL, 3).write(put(Space::Invariant, "more", "x")),
        at(SMALL, 3).write(bailiwick_store_conformance::build::replace(Space::Member, "m", 2, "other")),
        at(SMALL, 3).write(bailiwick_store_conformance::build::remove(Space::Member, "m", 2)),
        at(SMALL, 3).entry("more"),
        at(SMALL, 3).bump(),
        at(SMALL, 3).state(1),
        at(SMALL, 3).meta(3, "other"),
        at(SMALL, 3).wake(bailiwick_store::Wake::Never),
        create(TenantId::from_bytes([8; 16]), "more"),
    ];
    for part in spoiled {
        let to = model().await;
        copy(&from, &to).await.unwrap();
        compared(&to).await.unwrap();
        ok(&to, part.clone()).await;
        let error = compared(&to).await.unwrap_err();
        assert!(matches!(error, TransferError::Differs { .. }), "{error}: {part:?}");
    }
    let missing = model().await;
    assert!(compared(&missing).await.is_err());
}
