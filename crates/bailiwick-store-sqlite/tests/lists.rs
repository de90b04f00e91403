//! Lists of what is partly in the tables and partly still in the log.

use std::collections::BTreeMap;

use bailiwick_store::{Space, Store};
use bailiwick_store_conformance::build::{Build, create, of, put, remove, replace};
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_types::TenantId;
use tempfile::TempDir;

const A: TenantId = TenantId::from_bytes([0xaa; 16]);
const SPACE: Space = Space::Secret;

fn key(number: u32) -> Vec<u8> {
    format!("k{number:03}").into_bytes()
}

#[tokio::test]
async fn a_page_is_the_same_wherever_its_records_are() {
    for log_bytes in [1, Options::default().log_bytes] {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("bailiwick.db");
        let store = SqliteStore::open(&path, Options { log_bytes, ..Options::default() }).unwrap();
        store.commit(create(A, "a").commit()).await.unwrap();
        for number in (0..60).filter(|number| number % 4 != 3) {
            store.commit(of(A).entry("put").write(put(SPACE, key(number), b"old")).commit()).await.unwrap();
        }
        drop(store);
        // With a short log most of that is in the tables by now. What follows is not.
        let store = SqliteStore::open(&path, Options::default()).unwrap();
        let mut wanted = BTreeMap::new();
        for number in 0..60 {
            let (before, after) = match (number % 4, number % 5) {
                (3, 0) => (None, None),
                (3, _) => (None, Some(put(SPACE, key(number), b"new"))),
                (_, 1) => (Some(1), Some(replace(SPACE, key(number), 1, b"newer"))),
                (_, 2 | 3) if number > 20 => (Some(1), Some(remove(SPACE, key(number), 1))),
                _ => (Some(1), None),
            };
            let version = match &after {
                Some(write) => write.value.as_ref().map(|(version, _)| *version),
                None => before,
            };
            wanted.extend(version.map(|version| (key(number), version)));
            if let Some(write) = after {
                store.commit(of(A).entry("change").write(write).commit()).await.unwrap();
            }
        }
        for limit in [1, 2, 7, 30, 100] {
            for after in std::iter::once(None).chain((0..61).map(|number| Some(key(number)))) {
                for prefix in [&b""[..], b"k02"] {
                    let page = store.records(A, SPACE, prefix, after.as_deref(), limit).await.unwrap();
                    let page: Vec<_> = page.into_iter().map(|(key, record)| (key, record.version)).collect();
                    let rest = wanted.iter().filter(|(key, _)| key.starts_with(prefix) && after.as_ref() < Some(*key));
                    let rest: Vec<_> = rest.take(limit).map(|(key, version)| (key.clone(), *version)).collect();
                    assert_eq!(page, rest, "{limit} of `{prefix:?}` after {after:?}");
                }
            }
        }
    }
}
