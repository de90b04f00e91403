//! What was acknowledged survives the process, however it ends.
//!
//! The parent starts this test program again as a child, which commits and prints what was acknowledged, and kills it
//! at some point. A power cut is more than that; what is kept from the disk's own cache cannot be tested from here.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bailiwick_store::{CommitError, Space, Store, Write};
use bailiwick_store_conformance::build::{Build, create, of, put, together};
use bailiwick_store_conformance::naive;
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_types::TenantId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

/// Where a child finds its database. Without it, the children's tests do nothing.
const PLACE: &str = "BAILIWICK_TEST_CRASH_PLACE";
const ROUNDS: u64 = 30;
const TASKS: u8 = 16;
const TENANTS: u8 = 5;

fn place() -> Option<PathBuf> {
    std::env::var_os(PLACE).map(PathBuf::from)
}

fn child(test: &str, place: &Path) -> Command {
    // In a shell that ignores SIGXFSZ, so that a file that may not grow is an error of write(2) and not the end.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]).env(PLACE, place);
    command
}

fn tenant(n: u8) -> TenantId {
    TenantId::from_bytes([0x10 + n; 16])
}

async fn open(path: &Path) -> Arc<SqliteStore> {
    // So short a log that some are killed while it is moved into the tables.
    let store = SqliteStore::open(path, Options { log_bytes: 10_000, ..Options::default() }).unwrap();
    for n in 0..TENANTS {
        match store.commit(create(tenant(n), &format!("tenant-{n}")).commit()).await {
            Ok(_) | Err(CommitError::TenantExists) => {}
            Err(error) => panic!("{error}"),
        }
    }
    store
}

/// Commits number `n` of a task: its counter, an entry in its own tenant, and one in the last tenant.
async fn step(store: &SqliteStore, task: u8, n: u64) -> Result<u64, CommitError> {
    let counter = Write {
        expected: (n > 1).then(|| n - 1),
        value: Some((n, n.to_string().into_bytes())),
        ..put(Space::Usage, [task], "")
    };
    let text = format!("{task} {n}");
    let parts = [of(tenant(task % (TENANTS - 1))).entry(&text).write(counter), of(tenant(TENANTS - 1)).entry(&text)];
    Ok(store.commit(together(parts)).await?.receipts[0].first_index)
}

async fn counter(store: &SqliteStore, task: u8) -> u64 {
    let record = store.record(tenant(task % (TENANTS - 1)), Space::Usage, &[task]).await.unwrap();
    record.map_or(0, |record| record.version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of a_killed_server_has_lost_nothing"]
async fn child_that_commits_until_it_is_killed() {
    let Some(place) = place() else { return };
    let store = open(&place).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                // Not for ever, in case the parent is gone.
                let begin = counter(&store, task).await;
                for n in begin + 1..begin + 5_000 {
                    let index = step(&store, task, n).await.unwrap();
                    println!("\nacknowledged {task} {n} {index}");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Runs a child, kills it after so many lines, and returns what it said was acknowledged.
fn kill_after(lines: u64, place: &Path) -> Vec<(u8, u64, u64)> {
    let mut child = child("child_that_commits_until_it_is_killed", place)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        if let ["acknowledged", task, n, index] = words[..]
            && let (Ok(task), Ok(n), Ok(index)) = (task.parse(), n.parse(), index.parse())
        {
            acknowledged.push((task, n, index));
        }
        if acknowledged.len() as u64 == lines {
            // What it still prints until it is dead was acknowledged too, so reading goes on.
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success(), "it ended by itself");
    assert!(acknowledged.len() as u64 >= lines, "it died before it was killed");
    acknowledged
}

/// Everything acknowledged is there, everything there is whole, and nothing is there twice.
async fn verify(store: &SqliteStore, acknowledged: &[(u8, u64, u64)]) {
    let mut said: BTreeMap<TenantId, Vec<String>> = BTreeMap::new();
    for n in 0..TENANTS {
        let who = tenant(n);
        let entries = store.entries(who, 0, 1_000_000).await.unwrap();
        assert!((0..).zip(&entries).all(|(index, entry)| entry.index == index));
        let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf).collect();
        assert_eq!(store.header(who).await.unwrap().unwrap().ledger, naive::edge(&leaves));
        let subtrees = naive::subtrees(&leaves, 1);
        assert_eq!(store.subtrees(who, 1, 0, subtrees.len() as u64).await.unwrap(), subtrees);
        said.insert(who, entries.into_iter().map(|entry| String::from_utf8(entry.sealed).unwrap()).collect());
    }
    for (task, n, index) in acknowledged {
        let entry = &said[&tenant(task % (TENANTS - 1))][usize::try_from(*index).unwrap()];
        assert_eq!(*entry, format!("{task} {n}"));
    }
    // Entry, counter and the entry of the other tenant were one commit.
    let mut everywhere = Vec::new();
    for task in 0..TASKS {
        let all: Vec<String> = (1..=counter(store, task).await).map(|n| format!("{task} {n}")).collect();
        let own = &said[&tenant(task % (TENANTS - 1))];
        let prefix = format!("{task} ");
        assert_eq!(own.iter().filter(|text| text.starts_with(&prefix)).cloned().collect::<Vec<_>>(), all);
        everywhere.extend(all);
    }
    let mut other = said[&tenant(TENANTS - 1)].clone();
    everywhere.sort();
    other.sort();
    assert_eq!(other, everywhere);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_has_lost_nothing() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("bailiwick.db");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        // From at once to some groups and a checkpoint later.
        acknowledged.extend(kill_after(1 + round * round * 7 % 400, &path));
        let store = open(&path).await;
        verify(&store, &acknowledged).await;
    }
    println!("{} commits were acknowledged in {ROUNDS} lives", acknowledged.len());
}

/// How far this process may make files grow.
fn limit_files(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of a_disk_that_refuses_writes_is_survived"]
async fn child_whose_disk_refuses_writes() {
    let Some(place) = place() else { return };
    let store = open(&place).await;
    let mut done = [0; TASKS as usize];
    let (mut acknowledged, mut refused) = (Vec::new(), 0);
    for round in 0..20u64 {
        // Somewhere in the middle of what the next commits will write: the log, or the database at a checkpoint.
        limit_files(Some(store.size_bytes().await.unwrap() / 2 + round * 3_000));
        for turn in 0..40 {
            let task = turn % TASKS;
            let n = done[usize::from(task)] + 1;
            match step(&store, task, n).await {
                Ok(index) => {
                    acknowledged.push((task, n, index));
                    done[usize::from(task)] = n;
                }
                Err(CommitError::Unavailable(_)) => refused += 1,
                // It was refused when recovery had already kept it: the caller has to look.
                Err(CommitError::Conflict { .. }) => done[usize::from(task)] = counter(&store, task).await,
                Err(error) => panic!("{error}"),
            }
        }
        limit_files(None);
        // The disk is back; the first request finds the store recovered.
        store.ping().await.unwrap();
        verify(&store, &acknowledged).await;
        for task in 0..TASKS {
            done[usize::from(task)] = counter(&store, task).await;
        }
    }
    println!("\nrefused {refused}, acknowledged {}", acknowledged.len());
    assert!(refused > 0 && acknowledged.len() > 100);
}

#[test]
fn a_disk_that_refuses_writes_is_survived() {
    let directory = TempDir::new().unwrap();
    let output = child("child_whose_disk_refuses_writes", &directory.path().join("bailiwick.db")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    assert!(said.contains("refused "), "the child did nothing");
}
