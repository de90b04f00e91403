//! Many at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use bailiwick_store::{CommitError, Space, Write};
use bailiwick_types::TenantId;

use crate::build::{Build, at, create, of, put, replace, together};
use crate::world::THIRD;
use crate::{World, naive};

const TASKS: u8 = 64;
const COMMITS: u8 = 50;
const TENANTS: u8 = 16;

fn tenant(n: u8) -> TenantId {
    TenantId::from_bytes([0x20 + n % TENANTS; 16])
}

pub(super) async fn many_tasks_on_many_tenants_leave_no_gaps(world: World) {
    for n in 0..TENANTS {
        world.ok(create(tenant(n), &format!("tenant-{n}")).commit()).await;
    }
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move {
                let mut told = Vec::new();
                for n in 0..COMMITS {
                    let who = tenant(task.wrapping_add(n));
                    let text = format!("{task} {n}");
                    let mut part = of(who).entry(&text).write(put(Space::Usage, &text, "v"));
                    if n % 5 == 0 {
                        part = part.entry(&format!("{text} too"));
                    }
                    let parts =
                        if n % 7 == 0 { vec![part, of(tenant(task + n + 1)).entry("other")] } else { vec![part] };
                    let committed = store.commit(together(parts)).await.unwrap();
                    told.push((who, committed.receipts[0], text));
                }
                told
            })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.extend(task.await.unwrap());
    }
    let mut total = 0;
    let mut ledgers = BTreeMap::new();
    for n in 0..TENANTS {
        let header = world.header(tenant(n)).await;
        let entries = world.store.entries(tenant(n), 0, usize::MAX).await.unwrap();
        assert!((0..).zip(&entries).all(|(index, entry)| entry.index == index));
        let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf).collect();
        assert_eq!(header.ledger, naive::edge(&leaves));
        total += entries.len();
        ledgers.insert(tenant(n), entries);
    }
    let (tasks, commits) = (usize::from(TASKS), usize::from(COMMITS));
    assert_eq!(total, tasks * (commits + commits.div_ceil(5) + commits.div_ceil(7)), "each exactly once");
    for (who, receipt, text) in told {
        let at = usize::try_from(receipt.first_index).unwrap();
        assert_eq!(ledgers[&who][at].sealed, text.as_bytes());
        assert!(world.store.record(who, Space::Usage, text.as_bytes()).await.unwrap().is_some());
    }
}

pub(super) async fn a_record_counts_every_success(world: World) {
    let a = world.a.id;
    world.ok(at(a, 1).write(put(Space::Usage, "n", "0")).commit()).await;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let store = Arc::clone(&world.store);
            tokio::spawn(async move {
                let mut done = 0;
                while done < 20 {
                    let record = store.record(a, Space::Usage, b"n").await.unwrap().unwrap();
                    let n: u64 = String::from_utf8(record.sealed).unwrap().parse().unwrap();
                    // Somebody else's turn, so that what was read is often out of date.
                    tokio::task::yield_now().await;
                    let write = replace(Space::Usage, "n", record.version, (n + 1).to_string());
                    match store.commit(at(a, 1).write(write).entry("counted").commit()).await {
                        Ok(_) => done += 1,
                        Err(CommitError::Conflict { space: Some(Space::Usage) }) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.value(a, Space::Usage, "n").await.as_deref(), Some("320"));
    assert_eq!(world.header(a).await.ledger.size(), 320);
}

pub(super) async fn one_of_many_bumps_wins(world: World) {
    let a = world.a.id;
    for epoch in 1..6 {
        let tasks: Vec<_> = (0..32)
            .map(|_| {
                let store = Arc::clone(&world.store);
                tokio::spawn(async move { store.commit(at(a, epoch).bump().entry("won").commit()).await })
            })
            .collect();
        let mut won = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert!(matches!(error, CommitError::Stale { tenant } if tenant == a), "{error:?}"),
            }
        }
        assert_eq!(won, 1);
    }
    let header = world.header(a).await;
    assert_eq!((header.epoch, header.ledger.size()), (6, 5));
}

pub(super) async fn one_of_many_creations_wins(world: World) {
    let tasks: Vec<_> = (0..32u8)
        .map(|n| {
            let store = Arc::clone(&world.store);
            let id = TenantId::from_bytes([0x40 + n; 16]);
            tokio::spawn(async move { (id, store.commit(create(id, "wanted").entry("born").commit()).await) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (id, Ok(_)) => winners.push(id),
            (_, Err(error)) => assert!(matches!(error, CommitError::SlugTaken), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(world.store.tenant_by_slug("wanted").await.unwrap(), Some(winners[0]));
    assert_eq!(world.store.headers(None, 100).await.unwrap().len(), 3);
}

pub(super) async fn an_acknowledged_commit_can_be_read_at_once(world: World) {
    let tasks: Vec<_> = (0..32u8)
        .map(|task| {
            let store = Arc::clone(&world.store);
            let a = world.a.id;
            tokio::spawn(async move {
                for n in 1..=20 {
                    let key = [task];
                    let write = Write {
                        expected: (n > 1).then(|| n - 1),
                        value: Some((n, vec![task])),
                        ..put(Space::Usage, key, "")
                    };
                    let part = of(a).write(write).entry("read me").bump();
                    let receipt = store.commit(part.commit()).await.unwrap().receipts[0];
                    let header = store.header(a).await.unwrap().unwrap();
                    assert!(header.epoch >= receipt.epoch && header.ledger.size() >= receipt.size);
                    assert_eq!(store.record(a, Space::Usage, &key).await.unwrap().unwrap().version, n);
                    let entry = store.entries(a, receipt.first_index, 1).await.unwrap();
                    assert_eq!(entry[0].index, receipt.first_index);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.header(world.a.id).await.epoch, 641);
}

pub(super) async fn an_abandoned_commit_is_whole_or_absent(world: World) {
    let a = world.a.id;
    world.ok(create(THIRD.id, THIRD.slug).commit()).await;
    for n in 0..100u8 {
        let store = Arc::clone(&world.store);
        let text = n.to_string();
        let parts = [of(a).entry(&text).write(put(Space::Usage, &text, "v")), of(THIRD.id).entry(&text)];
        let task = tokio::spawn(async move { store.commit(together(parts)).await });
        for _ in 0..n % 4 {
            tokio::task::yield_now().await;
        }
        task.abort();
        let _ = task.await;
    }
    // Whatever was still on its way is ordered before this, tenant by tenant.
    world.ok(together([of(a).entry("last"), of(THIRD.id).entry("last")])).await;
    let texts = async |tenant| {
        let entries = world.store.entries(tenant, 0, 1_000).await.unwrap();
        let mut texts: Vec<_> = entries.into_iter().map(|entry| String::from_utf8(entry.sealed).unwrap()).collect();
        assert_eq!(texts.pop().as_deref(), Some("last"));
        texts.sort();
        texts
    };
    let mut kept: Vec<String> = Vec::new();
    for (key, _) in world.store.records(a, Space::Usage, b"", None, 1_000).await.unwrap() {
        kept.push(String::from_utf8(key).unwrap());
    }
    assert_eq!(texts(a).await, kept);
    assert_eq!(texts(THIRD.id).await, kept);
}
