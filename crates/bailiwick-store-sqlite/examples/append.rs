//! How many commits per second the engine makes durable.
//!
//! `cargo run --release -p bailiwick-store-sqlite --example append -- <directory> [seconds] [checkpoint pages]`
//!
//! Appends: tasks that each append one entry of 500 bytes at a time, to 1,000 tenants in turn. Creations: a new tenant
//! with 600 bytes of meta, five records and two entries per commit. Reads: the header and one record of a tenant.
//! Requests: such a read, then an append.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a product")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bailiwick_store::{Commit, Part, Space, Store};
use bailiwick_store_conformance::build::{Build, create, of, put};
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_types::TenantId;

const TENANTS: u64 = 1_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let directory = args.next().unwrap_or_else(|| "target/append".to_owned());
    let seconds = args.next().map_or(4.0, |text| text.parse().unwrap());
    let mut options = Options::default();
    if let Some(pages) = args.next() {
        options.checkpoint_pages = pages.parse().unwrap();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(measure(Path::new(&directory), Duration::from_secs_f64(seconds), options));
}

/// Ids that lie anywhere, as random ones do.
fn tenant(n: u64) -> TenantId {
    let low = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let high = low.rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    TenantId::from_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
}

fn creation(n: u64) -> Commit {
    let mut part = create(tenant(n), &format!("tenant-{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    part.header.meta = Some((0, vec![7; 600]));
    for space in [Space::Member, Space::Credential, Space::CredentialOf, Space::Binding, Space::Mount] {
        part = part.write(put(space, [9; 16], [8; 300]));
    }
    let mut part = part.entry("created").entry("key issued");
    part.entries.iter_mut().for_each(|entry| entry.sealed = vec![5; 500]);
    part.commit()
}

fn append(n: u64) -> Part {
    let mut part = of(tenant(n % TENANTS)).entry(&n.to_string());
    part.entries.iter_mut().for_each(|entry| entry.sealed = vec![5; 500]);
    part
}

/// What many tasks did in a given time.
async fn load<F, Fut>(name: &str, tasks: u64, time: Duration, work: F)
where
    F: Fn(u64) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    static NEXT: AtomicU64 = AtomicU64::new(TENANTS);
    let start = Instant::now();
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            tokio::spawn(async move {
                let mut times = Vec::new();
                while start.elapsed() < time {
                    let before = Instant::now();
                    work(NEXT.fetch_add(1, Ordering::Relaxed)).await;
                    times.push(before.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for handle in handles {
        times.extend(handle.await.unwrap());
    }
    times.sort();
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    let at = |per_mille: usize| times.get((times.len() - 1) * per_mille / 1_000).unwrap().as_secs_f64() * 1e3;
    println!(
        "{name:9} tasks {tasks:4}  {rate:9.0}/s  p50 {:7.2} ms  p99 {:7.2} ms  p99.9 {:7.2} ms  worst {:7.1} ms",
        at(500),
        at(990),
        at(999),
        at(1_000)
    );
}

async fn measure(directory: &Path, time: Duration, options: Options) {
    let path = directory.join("append.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(directory.join(format!("append.db{suffix}")));
    }
    let store: &'static Arc<SqliteStore> = Box::leak(Box::new(SqliteStore::open(&path, options).unwrap()));
    for n in 0..TENANTS {
        store.commit(creation(n)).await.unwrap();
    }
    for tasks in [1, 8, 64, 256] {
        load("append", tasks, time, move |n| async move {
            store.commit(append(n).commit()).await.unwrap();
        })
        .await;
    }
    load("request", 64, time, move |n| async move {
        let who = tenant(n % TENANTS);
        assert!(store.header(who).await.unwrap().is_some());
        assert!(store.record(who, Space::Member, &[9; 16]).await.unwrap().is_some());
        store.commit(append(n).commit()).await.unwrap();
    })
    .await;
    load("create", 64, time, move |n| async move {
        store.commit(creation(n)).await.unwrap();
    })
    .await;
    load("read", 2, time, move |n| async move {
        let who = tenant(n % TENANTS);
        assert!(store.header(who).await.unwrap().is_some());
        assert!(store.record(who, Space::Member, &[9; 16]).await.unwrap().is_some());
    })
    .await;
    println!("{} MiB on disk", store.size_bytes().await.unwrap() >> 20);
}
