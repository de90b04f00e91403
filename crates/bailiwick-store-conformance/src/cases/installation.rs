//! The installation's record, and the store's own health.

use std::sync::Arc;

use bailiwick_store::CommitError;

use crate::World;

pub(super) async fn it_is_absent_until_it_is_put(world: World) {
    assert_eq!(world.store.installation().await.unwrap(), None);
    world.store.put_installation(None, b"first").await.unwrap();
    assert_eq!(world.store.installation().await.unwrap().as_deref(), Some(&b"first"[..]));
}

pub(super) async fn it_is_replaced_only_if_it_is_what_was_expected(world: World) {
    let store = &world.store;
    assert!(matches!(store.put_installation(Some(b""), b"x").await, Err(CommitError::Conflict { space: None })));
    assert_eq!(store.installation().await.unwrap(), None);
    store.put_installation(None, b"first").await.unwrap();
    for wrong in [None, Some(&b"second"[..]), Some(b"")] {
        let refusal = store.put_installation(wrong, b"x").await;
        assert!(matches!(refusal, Err(CommitError::Conflict { space: None })), "{wrong:?}: {refusal:?}");
    }
    store.put_installation(Some(b"first"), b"second").await.unwrap();
    assert_eq!(store.installation().await.unwrap().as_deref(), Some(&b"second"[..]));
}

pub(super) async fn one_of_many_wins(world: World) {
    let tasks: Vec<_> = (0..16u8)
        .map(|n| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move { store.put_installation(None, &[n]).await.is_ok().then_some(n) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        winners.extend(task.await.unwrap());
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(world.store.installation().await.unwrap(), Some(winners));
}

pub(super) async fn an_idle_store_is_well(world: World) {
    world.store.ping().await.unwrap();
    world.store.ping().await.unwrap();
    assert!(world.store.size_bytes().await.unwrap() > 0);
    assert!(!world.store.engine().is_empty());
}
