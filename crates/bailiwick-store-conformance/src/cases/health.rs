//! The store's own health.

use crate::World;

pub(super) async fn an_idle_store_is_well(world: World) {
    world.store.ping().await.unwrap();
    world.store.ping().await.unwrap();
    assert!(world.store.size_bytes().await.unwrap() > 0);
    assert!(!world.store.engine().is_empty());
}
