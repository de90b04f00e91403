//! Random histories, compared with the naive model. A failure prints the seed, which repeats it.

use std::sync::Arc;

use bailiwick_store::{Commit, Part, Restored, Space, Store, Wake, Write};
use bailiwick_types::TenantId;

use crate::build::{Build, at, create, guarded, of, put, time, together};
use crate::world::{Party, dump};
use crate::{Model, World};

const SPACES: [Space; 2] = [Space::Secret, Space::Usage];
const SLUGS: [&str; 4] = ["acme", "acme-2", "third", "fourth"];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.roll(of.len() as u64)).unwrap()].clone()
    }

    /// A short key of few different bytes, so that keys meet.
    fn key(&mut self) -> Vec<u8> {
        (0..1 + self.roll(3)).map(|_| self.pick(b"ab/\0\xff")).collect()
    }

    /// A write that mostly expects what is there.
    async fn write(&mut self, model: &dyn Store, tenant: TenantId) -> Write {
        let (space, key) = (self.pick(&SPACES), self.key());
        let found = model.record(tenant, space, &key).await.unwrap().map(|record| record.version);
        let expected = if self.roll(8) > 0 { found } else { (self.roll(2) > 0).then_some(self.roll(3)) };
        let version = expected.unwrap_or(0) + if self.roll(8) > 0 { 1 } else { self.roll(3) };
        let value = (self.roll(4) > 0).then(|| (version, vec![self.pick(b"xyz")]));
        let count_max = (self.roll(4) == 0).then(|| self.roll(30));
        Write { expected, value, count_max, ..put(space, key, "") }
    }

    /// A part that mostly expects what is so.
    async fn part(&mut self, model: &dyn Store, tenant: TenantId) -> Part {
        let header = model.header(tenant).await.unwrap();
        let (epoch, meta_version) = header.map_or((1, 0), |header| (header.epoch, header.meta_version));
        let mut part = match self.roll(16) {
            0 => create(tenant, self.pick(&SLUGS)),
            1..4 => of(tenant),
            4 => at(tenant, self.roll(4)),
            _ => at(tenant, epoch),
        };
        for _ in 0..self.roll(4) {
            part = part.write(self.write(model, tenant).await);
        }
        for _ in 0..self.roll(3) {
            part = part.entry(&self.roll(1_000).to_string());
        }
        part = if self.roll(10) == 0 { part.bump() } else { part };
        part = if self.roll(8) == 0 { part.state(self.pick(&[1, 2])) } else { part };
        part = match self.roll(12) {
            0 => part.meta(self.roll(4), "guess"),
            1 | 2 => part.meta(meta_version, "meta"),
            _ => part,
        };
        part = match self.roll(40) {
            0 => part.restored(Restored {
                epoch: epoch + self.roll(3),
                meta_version: self.roll(5),
                revision: self.roll(99),
            }),
            _ => part,
        };
        match self.roll(6) {
            0 => part.wake(Wake::By(time(self.roll(100).cast_signed()))),
            1 => part.wake(Wake::At(time(self.roll(100).cast_signed()))),
            2 => part.wake(Wake::Never),
            _ => part,
        }
    }

    async fn commit(&mut self, model: &dyn Store, tenants: &[TenantId]) -> Commit {
        let mut parts = Vec::new();
        for _ in 0..1 + self.roll(4) / 3 {
            let tenant = self.pick(tenants);
            parts.push(self.part(model, tenant).await);
        }
        let guards = (0..self.roll(8) / 7).map(|_| (self.pick(tenants), 1 + self.roll(2))).collect::<Vec<_>>();
        guarded(together(parts), &guards)
    }
}

/// Commits the same to both, and compares what they answer. Which of several refusals it is, is not in the contract.
/// Whether it passed.
async fn both(store: &dyn Store, model: &dyn Store, commit: Commit) -> bool {
    let (found, expected) = (store.commit(commit.clone()).await, model.commit(commit.clone()).await);
    match (&found, &expected) {
        (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{commit:?}"),
        (Err(_), Err(_)) => {}
        _ => panic!("{commit:?}: {found:?}, the model says {expected:?}"),
    }
    found.is_ok()
}

/// A model in which the world's tenants exist too.
async fn model(parties: &[Party]) -> Arc<dyn Store> {
    let model = Model::default();
    for party in parties {
        model.commit(create(party.id, party.slug).commit()).await.unwrap();
    }
    Arc::new(model)
}

pub(super) async fn any_history_reads_as_the_model_says(world: World) {
    let model = model(&[world.a, world.b]).await;
    let tenants = [world.a.id, world.b.id, TenantId::from_bytes([3; 16]), TenantId::PLATFORM];
    for seed in 0..12 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut passed = 0;
        for _ in 0..100 {
            let commit = dice.commit(&*model, &tenants).await;
            passed += u32::from(both(&*world.store, &*model, commit).await);
        }
        // Neither all nor none: a history that is only refused says little.
        assert!((10..=90).contains(&passed), "{passed} of 100 commits passed");
        if seed % 4 == 3 {
            let tenant = dice.pick(&tenants);
            world.store.erase(tenant).await.unwrap();
            model.erase(tenant).await.unwrap();
        }
        for tenant in tenants {
            assert_eq!(dump(&*world.store, tenant).await, dump(&*model, tenant).await);
            for _ in 0..50 {
                compare_lists(&*world.store, &*model, tenant, &mut dice).await;
            }
        }
        let now = time(dice.roll(100).cast_signed());
        assert_eq!(world.store.due(now, 9).await.unwrap().len(), model.due(now, 9).await.unwrap().len());
        assert_eq!(world.store.headers(None, 9).await.unwrap(), model.headers(None, 9).await.unwrap());
        assert_eq!(world.store.totals().await.unwrap(), model.totals().await.unwrap());
    }
}

async fn compare_lists(store: &dyn Store, model: &dyn Store, tenant: TenantId, dice: &mut Dice) {
    let (space, limit) = (dice.pick(&SPACES), usize::try_from(dice.roll(12)).unwrap());
    let prefix = if dice.roll(3) == 0 { Vec::new() } else { dice.key() };
    let after = (dice.roll(2) == 0).then(|| dice.key());
    let (prefix, after) = (prefix.as_slice(), after.as_deref());
    let context = format!("{tenant} {space:?} {prefix:?} {after:?} {limit}");
    let found = store.records(tenant, space, prefix, after, limit).await.unwrap();
    assert_eq!(found, model.records(tenant, space, prefix, after, limit).await.unwrap(), "records {context}");
    // A name holds no slash but at its end; what else `after` could be has no meaning.
    let after = after.and_then(|after| after.split_inclusive(|byte| *byte == b'/').next());
    let found = store.children(tenant, space, prefix, after, limit).await.unwrap();
    assert_eq!(found, model.children(tenant, space, prefix, after, limit).await.unwrap(), "children {context}");
}

/// Non-interference: the store holds the histories of both, the model has never heard of the other tenant.
pub(super) async fn a_tenant_cannot_tell_whether_the_other_exists(world: World) {
    let model = model(&[world.b]).await;
    let (a, b) = (world.a.id, world.b.id);
    let mut dice = Dice(42);
    for _ in 0..600 {
        if dice.roll(2) == 0 {
            let commit = Commit { guards: Vec::new(), ..dice.commit(&*world.store, &[a]).await };
            let _ = world.store.commit(commit).await;
        } else {
            // Not a creation: that a slug is taken is the one thing that tenants do share.
            let part = Part { expect: bailiwick_store::Expect::Exists, ..dice.part(&*model, b).await };
            both(&*world.store, &*model, part.commit()).await;
        }
        if dice.roll(100) == 0 {
            world.store.erase(a).await.unwrap();
        }
        compare_lists(&*world.store, &*model, b, &mut dice).await;
    }
    assert_eq!(dump(&*world.store, b).await, dump(&*model, b).await);
}
