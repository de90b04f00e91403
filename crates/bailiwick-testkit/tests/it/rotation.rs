//! Data keys are replaced by the server itself before one of them has sealed too much.

use bailiwick_app::AppConfig;
use bailiwick_testkit::{Plane, Tenant, World, WorldOptions, names};
use serde_json::Value;

const EVERY: u64 = 16;

fn world() -> World {
    let app = AppConfig { rotate_data_every: EVERY, ..AppConfig::default() };
    let world = World::with(WorldOptions { app, ..WorldOptions::default() });
    // What the template has left to do is done first.
    world.advance(std::time::Duration::from_secs(25 * 3_600));
    while world.block_on(world.app().run_due_jobs()).unwrap() > 0 {}
    world
}

/// The current versions of a tenant's keys, by purpose.
fn versions(world: &World, tenant: &Tenant) -> Vec<(String, u64)> {
    let shown = world.get(&tenant.owner, &format!("/api/v1/t/{}/keyring", tenant.slug)).expect(200);
    let current = shown["keys"].as_array().unwrap().iter().filter(|key| key["is_current"] == true);
    current.map(|key| (key["purpose"].as_str().unwrap().to_owned(), key["version"].as_u64().unwrap())).collect()
}

#[test]
fn data_keys_are_replaced_as_the_ledger_grows_and_nobody_else_notices() {
    for side in 0..2 {
        let world = world();
        let (own, other) = world.both_ways()[side];
        let secret = format!("/api/v1/t/{}/secrets/{}/{}", own.slug, names::MOUNT, names::LIVE);
        let before = world.get(&own.owner, &secret).expect(200)["data"].clone();
        let old = versions(&world, own);
        let theirs = world.stored(Plane::Tenant(other));

        // Fewer entries than make it due, then as many as do.
        assert_eq!(world.block_on(world.app().run_due_jobs()).unwrap(), 0);
        for _ in 0..EVERY {
            world.get(&own.owner, &secret).expect(200);
        }
        world.run_due_jobs();
        let new = versions(&world, own);
        for ((purpose, before), (_, after)) in old.iter().zip(&new) {
            let rotated = matches!(purpose.as_str(), "records" | "ledger");
            assert_eq!(*after, before + u64::from(rotated), "{purpose}");
        }

        // What the old keys sealed still opens, the rotation is in the ledger, and the other's bytes are untouched.
        assert_eq!(world.get(&own.owner, &secret).expect(200)["data"], before);
        let entries = world.get(&own.owner, &format!("/api/v1/t/{}/ledger/entries?limit=1000", own.slug)).expect(200);
        let is_rotation = |entry: &&Value| {
            entry["entry"]["action"] == "keyring:rotate" && entry["entry"]["actor"]["kind"] == "system"
        };
        assert!(entries["items"].as_array().unwrap().iter().any(|entry| is_rotation(&entry)));
        assert!(theirs == world.stored(Plane::Tenant(other)));
    }
}
