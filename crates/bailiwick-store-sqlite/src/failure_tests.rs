//! What happens when the disk, a neighbour's data or our own code fails.

use std::future::Future as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use bailiwick_store::{Commit, CommitError, Space, Store, StoreError};
use bailiwick_store_conformance::build::{Build, create, of, put, together};
use bailiwick_store_conformance::naive;
use bailiwick_types::TenantId;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::{Options, SqliteStore};

const A: TenantId = TenantId::from_bytes([0xaa; 16]);
const B: TenantId = TenantId::from_bytes([0xbb; 16]);

struct Setup {
    store: Arc<SqliteStore>,
    path: PathBuf,
    _directory: TempDir,
}

async fn setup(options: Options) -> Setup {
    setup_in(TempDir::new().unwrap(), options).await
}

async fn setup_in(directory: TempDir, options: Options) -> Setup {
    let path = directory.path().join("bailiwick.db");
    let store = SqliteStore::open(&path, options).unwrap();
    for (tenant, slug) in [(A, "a"), (B, "b")] {
        store.commit(create(tenant, slug).commit()).await.unwrap();
    }
    Setup { store, path, _directory: directory }
}

impl Setup {
    /// Another program's connection.
    fn intruder(&self) -> Connection {
        Connection::open(&self.path).unwrap()
    }

    /// What all slots of the log take, the free ones too.
    fn log_bytes(&self) -> usize {
        let slots: i64 = self.intruder().query_row("SELECT count(*) FROM log_slot", [], |row| row.get(0)).unwrap();
        usize::try_from(slots).unwrap() * crate::slots::SLOT_BYTES
    }

    async fn texts(&self, tenant: TenantId) -> Vec<String> {
        let entries = self.store.entries(tenant, 0, 10_000).await.unwrap();
        let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf).collect();
        assert_eq!(self.store.header(tenant).await.unwrap().unwrap().ledger, naive::edge(&leaves));
        entries.into_iter().map(|entry| String::from_utf8(entry.sealed).unwrap()).collect()
    }
}

fn say(tenant: TenantId, text: &str) -> Commit {
    of(tenant).entry(text).write(put(Space::Usage, text, text)).commit()
}

fn is_unavailable<T>(result: &Result<T, CommitError>) -> bool {
    matches!(result, Err(CommitError::Unavailable(_)))
}

#[tokio::test]
async fn a_failure_before_commit_leaves_nothing() {
    let setup = setup(Options::default()).await;
    setup.store.commit(say(A, "one")).await.unwrap();
    setup.store.sabotage.before_commit.store(1, Ordering::SeqCst);
    assert!(is_unavailable(&setup.store.commit(say(A, "lost")).await));
    assert_eq!(setup.texts(A).await, ["one"]);
    let receipt = setup.store.commit(say(A, "two")).await.unwrap().receipts[0];
    assert_eq!(receipt.first_index, 1);
    assert_eq!(setup.texts(A).await, ["one", "two"]);
}

#[tokio::test]
async fn a_commit_that_failed_but_is_on_disk_is_found_by_recovery() {
    let setup = setup(Options::default()).await;
    setup.store.commit(say(A, "one")).await.unwrap();
    setup.store.sabotage.after_commit.store(1, Ordering::SeqCst);
    assert!(is_unavailable(&setup.store.commit(say(A, "late")).await));
    // The next one builds on what is really there, not on what was remembered.
    let receipt = setup.store.commit(say(A, "two")).await.unwrap().receipts[0];
    assert_eq!(receipt.first_index, 2);
    assert_eq!(setup.texts(A).await, ["one", "late", "two"]);
    assert!(matches!(setup.store.commit(say(A, "late")).await, Err(CommitError::Conflict { .. })));
}

#[tokio::test]
async fn a_failed_creation_does_not_leave_its_number_behind() {
    let setup = setup(Options::default()).await;
    let (lost, found) = (TenantId::from_bytes([1; 16]), TenantId::from_bytes([2; 16]));
    setup.store.sabotage.before_commit.store(1, Ordering::SeqCst);
    assert!(is_unavailable(&setup.store.commit(create(lost, "lost").entry("lost").commit()).await));
    setup.store.commit(create(found, "found").entry("found").commit()).await.unwrap();
    assert_eq!(setup.texts(found).await, ["found"]);
    assert!(setup.store.header(lost).await.unwrap().is_none());
    setup.store.commit(create(lost, "lost").entry("again").commit()).await.unwrap();
    assert_eq!(setup.texts(lost).await, ["again"]);
    assert_eq!(setup.texts(found).await, ["found"]);
}

#[tokio::test]
async fn nothing_is_answered_while_recovery_fails() {
    let setup = setup(Options::default()).await;
    setup.store.commit(say(A, "one")).await.unwrap();
    setup.store.sabotage.before_commit.store(1, Ordering::SeqCst);
    setup.store.sabotage.reopen.store(3, Ordering::SeqCst);
    // The first attempt to recover comes with the failure; each of the next two requests tries again.
    for _ in 0..2 {
        assert!(is_unavailable(&setup.store.commit(say(A, "lost")).await));
        assert!(matches!(setup.store.header(A).await, Err(StoreError::Unavailable(_))));
        assert!(matches!(setup.store.record(A, Space::Usage, b"one").await, Err(StoreError::Unavailable(_))));
    }
    assert!(setup.store.ping().await.is_ok());
    assert_eq!(setup.texts(A).await, ["one"]);
    setup.store.commit(say(A, "two")).await.unwrap();
}

#[tokio::test]
async fn a_panic_does_not_end_the_writer() {
    let setup = setup(Options::default()).await;
    setup.store.sabotage.panic.store(1, Ordering::SeqCst);
    assert!(is_unavailable(&setup.store.commit(say(A, "lost")).await));
    setup.store.commit(say(A, "one")).await.unwrap();
    assert_eq!(setup.texts(A).await, ["one"]);
}

/// Commits that wait for the writer together, because somebody else holds the lock that it needs.
async fn in_one_group(setup: &Setup, commits: Vec<Commit>) -> Vec<Result<bailiwick_store::Committed, CommitError>> {
    let intruder = setup.intruder();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tasks: Vec<_> = commits
        .into_iter()
        .map(|commit| {
            let store = Arc::clone(&setup.store);
            tokio::spawn(async move { store.commit(commit).await })
        })
        .collect();
    // On one thread, each task has put its commit in the queue once it had a turn.
    tokio::task::yield_now().await;
    intruder.execute_batch("ROLLBACK").unwrap();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test]
async fn what_fails_in_the_engine_fails_alone() {
    let setup = setup(Options::default()).await;
    setup
        .intruder()
        .execute_batch(
            "CREATE TRIGGER poison BEFORE INSERT ON tenant WHEN new.meta = CAST('poison' AS BLOB)
             BEGIN SELECT RAISE(ABORT, 'poison'); END",
        )
        .unwrap();
    let commits = (0..100).map(|n: u8| {
        let meta = if n % 9 == 4 { "poison" } else { "fine" };
        let mut part = create(TenantId::from_bytes([n; 16]), &n.to_string());
        part.header.meta = Some((0, meta.into()));
        together([part, of(B).entry(&n.to_string())])
    });
    let results = in_one_group(&setup, commits.collect()).await;
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result.is_err(), n % 9 == 4, "{n}: {result:?}");
    }
    let fine: Vec<String> = (0..100).filter(|n| n % 9 != 4).map(|n| n.to_string()).collect();
    assert_eq!(setup.texts(B).await, fine);
}

/// The rows of the log that are not done.
fn rows(conn: &Connection) -> usize {
    crate::slots::load(conn).unwrap().unwrap().rows.len()
}

#[tokio::test]
async fn what_cannot_be_moved_into_a_table_keeps_nobody_else() {
    let setup = setup(Options { log_bytes: 0, ..Options::default() }).await;
    let intruder = setup.intruder();
    intruder
        .execute_batch(
            "CREATE TRIGGER poison BEFORE INSERT ON record WHEN new.sealed = CAST('poison' AS BLOB)
             BEGIN SELECT RAISE(ABORT, 'poison'); END",
        )
        .unwrap();
    let says = |who, n: u8, value| of(who).entry(&n.to_string()).write(put(Space::Usage, [n], value)).commit();
    for n in 0..20 {
        let commits = vec![says(A, n, if n == 3 { "poison" } else { "fine" }), says(B, n, "fine")];
        for result in in_one_group(&setup, commits).await {
            result.unwrap();
        }
    }
    let all: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    let count = |sql| intruder.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    for who in [A, B] {
        assert_eq!(setup.texts(who).await, all);
        assert_eq!(setup.store.records(who, Space::Usage, b"", None, 100).await.unwrap().len(), 20);
    }
    assert!(count("SELECT count(*) FROM record") > 3 && rows(&intruder) > 0);
    // Nor is it lost, or in the way of a start.
    drop(setup.store);
    intruder.execute_batch("DROP TRIGGER poison").unwrap();
    let setup = Setup { store: SqliteStore::open(&setup.path, Options::default()).unwrap(), ..setup };
    for who in [A, B] {
        assert_eq!(setup.texts(who).await, all);
        assert_eq!(setup.store.records(who, Space::Usage, b"", None, 100).await.unwrap().len(), 20);
    }
    drop(setup.store);
    assert_eq!(count("SELECT count(*) FROM record"), 40);
    assert_eq!(rows(&intruder), 0);
}

#[tokio::test]
async fn a_damaged_row_fails_its_tenant_only() {
    let setup = setup(Options::default()).await;
    drop(setup.store);
    let intruder = Connection::open(&setup.path).unwrap();
    intruder.execute("UPDATE tenant SET ledger = x'07' WHERE slug = 'a'", []).unwrap();
    drop(intruder);
    let setup = Setup { store: SqliteStore::open(&setup.path, Options::default()).unwrap(), ..setup };
    let commits = (0..10).map(|n| say(if n % 2 == 0 { A } else { B }, &n.to_string())).collect();
    for (n, result) in in_one_group(&setup, commits).await.into_iter().enumerate() {
        match result {
            Err(CommitError::Damaged(_)) => assert_eq!(n % 2, 0),
            result => assert!(result.is_ok() && n % 2 == 1, "{n}: {result:?}"),
        }
    }
    assert!(matches!(setup.store.header(A).await, Err(StoreError::Damaged(_))));
    assert_eq!(setup.texts(B).await, ["1", "3", "5", "7", "9"]);
}

#[tokio::test]
async fn a_missing_entry_is_damage_and_not_a_shorter_ledger() {
    let setup = setup(Options { log_bytes: 0, ..Options::default() }).await;
    for text in ["one", "two", "three", "four"] {
        setup.store.commit(say(A, text)).await.unwrap();
    }
    assert_eq!(setup.intruder().execute("DELETE FROM ledger_run WHERE first = 1", []).unwrap(), 1);
    assert!(matches!(setup.store.entries(A, 0, 10).await, Err(StoreError::Damaged(_))));
    assert!(matches!(setup.store.leaves(A, 0, 3).await, Err(StoreError::Damaged(_))));
}

#[tokio::test]
async fn a_later_commit_of_a_group_sees_the_earlier_ones() {
    let setup = setup(Options::default()).await;
    let bump = || bailiwick_store_conformance::build::at(A, 1).bump().entry("bump").commit();
    let results = in_one_group(&setup, (0..20).map(|_| bump()).collect()).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(results[0].is_ok());
    assert_eq!(setup.texts(A).await, ["bump"]);
}

#[tokio::test]
async fn a_full_queue_is_said_soon() {
    let options = Options { queue: 2, queue_wait: Duration::from_millis(10), ..Options::default() };
    let setup = setup(options).await;
    let intruder = setup.intruder();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let store = Arc::clone(&setup.store);
            tokio::spawn(async move { store.commit(say(A, &n.to_string())).await })
        })
        .collect();
    // The writer is stuck with a few and the queue holds two; all others are turned away while it still is.
    while tasks.iter().filter(|task| task.is_finished()).count() < 90 {
        tokio::task::yield_now().await;
    }
    intruder.execute_batch("ROLLBACK").unwrap();
    let mut passed = Vec::new();
    for (n, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(_) => passed.push(n.to_string()),
            result => assert!(is_unavailable(&result), "{result:?}"),
        }
    }
    // What was accepted is done, and nothing else; who waits for a place gets it in whatever order.
    let mut done = setup.texts(A).await;
    done.sort();
    passed.sort();
    assert_eq!(done, passed);
}

#[tokio::test]
async fn closing_carries_out_what_waits() {
    let setup = setup(Options::default()).await;
    let intruder = setup.intruder();
    intruder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let store = Arc::clone(&setup.store);
            tokio::spawn(async move { store.commit(say(A, &n.to_string())).await })
        })
        .collect();
    tokio::task::yield_now().await;
    for task in tasks {
        task.abort();
        assert!(task.await.is_err());
    }
    intruder.execute_batch("ROLLBACK").unwrap();
    drop(intruder);
    drop(setup.store);
    let setup = Setup { store: SqliteStore::open(&setup.path, Options::default()).unwrap(), ..setup };
    assert_eq!(setup.texts(A).await.len(), 50);
}

#[tokio::test]
async fn a_slow_disk_keeps_no_thread_that_answers() {
    // In memory: it is to be as slow as this says and no slower.
    let directory = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
    let setup = setup_in(directory, Options::default()).await;
    let sabotage = &setup.store.sabotage;
    let was_here = || *sabotage.committed_by.lock() == Some(std::thread::current().id());
    setup.store.commit(say(A, "at once")).await.unwrap();
    assert!(was_here(), "a fast disk needs no other thread");
    sabotage.slowness.store(20, Ordering::SeqCst);
    for n in 0..3 {
        setup.store.commit(say(A, &format!("slow {n}"))).await.unwrap();
    }
    assert!(!was_here(), "a thread that answers is kept waiting");
    // Once it is fast again, so is who commits.
    sabotage.slowness.store(0, Ordering::SeqCst);
    for n in 0..1_000 {
        setup.store.commit(say(A, &format!("fast {n}"))).await.unwrap();
        if was_here() {
            return;
        }
    }
    panic!("a thousand fast commits are not noticed");
}

#[test]
fn a_runtime_that_ends_takes_nothing_with_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let setup = first.block_on(setup(Options::default()));
    for round in 0..2 {
        let runtime = runtime();
        runtime.block_on(async {
            // Accepted, and nobody has begun: the turn comes after this task.
            let mut waiting = Box::pin(setup.store.commit(say(A, &format!("accepted {round}"))));
            assert!(std::future::poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await);
        });
        drop(runtime);
        second.block_on(setup.store.commit(say(A, &format!("later {round}")))).unwrap();
    }
    let texts = second.block_on(setup.texts(A));
    assert_eq!(texts, ["accepted 0", "later 0", "accepted 1", "later 1"]);
}

#[tokio::test]
async fn nobody_waits_for_a_writer_that_has_panicked() {
    let setup = setup(Options::default()).await;
    setup.store.sabotage.panic_later.store(1, Ordering::SeqCst);
    setup.store.commit(say(A, "one")).await.unwrap();
    for text in ["two", "three"] {
        assert!(is_unavailable(&setup.store.commit(say(A, text)).await));
    }
    assert_eq!(setup.texts(A).await, ["one"]);
}

#[tokio::test]
async fn a_long_read_of_another_program_does_not_stop_those_who_write() {
    let setup = setup(Options { checkpoint_pages: 1, ..Options::default() }).await;
    let intruder = setup.intruder();
    intruder.execute_batch("BEGIN").unwrap();
    let _: i64 = intruder.query_row("SELECT count(*) FROM tenant", [], |row| row.get(0)).unwrap();
    let start = std::time::Instant::now();
    for n in 0..300 {
        setup.store.commit(say(A, &n.to_string())).await.unwrap();
    }
    // Waiting once for as long as SQLite would by itself takes this long.
    assert!(start.elapsed() < crate::connect::BUSY_TIMEOUT, "{:?}", start.elapsed());
    let log = || std::fs::metadata(crate::connect::beside(&setup.path, "-wal")).unwrap().len();
    assert!(log() > 1 << 20, "the reader holds nothing up: {}", log());
    intruder.execute_batch("ROLLBACK").unwrap();
    assert_eq!(setup.texts(A).await.len(), 300);
}

#[tokio::test]
async fn what_cannot_be_moved_out_of_the_log_is_not_lost() {
    let setup = setup(Options { log_bytes: 0, ..Options::default() }).await;
    setup.store.sabotage.settling.store(2, Ordering::SeqCst);
    for text in ["one", "two", "three"] {
        setup.store.commit(say(A, text)).await.unwrap();
    }
    assert_eq!(setup.store.sabotage.settling.load(Ordering::SeqCst), 0, "it was tried");
    assert_eq!(setup.texts(A).await, ["one", "two", "three"]);
}

/// The disk has room again: the log is not to grow for long by what is committed from then on.
#[tokio::test]
async fn what_there_was_no_room_for_is_moved_soon_once_there_is() {
    let setup = setup(Options { log_bytes: 0, ..Options::default() }).await;
    setup.store.sabotage.room.store(3, Ordering::SeqCst);
    setup.store.commit(say(A, "one")).await.unwrap();
    let began = std::time::Instant::now();
    let has_room = || setup.store.sabotage.room.load(Ordering::SeqCst) == 0;
    while !has_room() || rows(&setup.intruder()) > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        setup.store.commit(of(B).entry("more").commit()).await.unwrap();
        assert!(began.elapsed() < Duration::from_secs(5), "it waits as it does for what is damaged");
    }
    assert_eq!(setup.texts(A).await, ["one"]);
}

/// Some other program that has the lock just then is no reason to recover anything.
#[tokio::test]
async fn another_program_does_not_stop_the_log_from_being_moved_later() {
    let setup = setup(Options { log_bytes: crate::slots::SLOT_BYTES - 1, ..Options::default() }).await;
    let (locked, intruder) = std::sync::mpsc::channel();
    let other = setup.intruder();
    *setup.store.sabotage.tidying.lock() = Some(Box::new(move || {
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        locked.send(other).unwrap();
    }));
    setup.store.sabotage.reopen.store(1, Ordering::SeqCst);
    setup.store.commit(say(A, "one")).await.unwrap();
    let other = intruder.recv().unwrap();
    assert!(rows(&setup.intruder()) > 0, "it was moved");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(setup.store.sabotage.reopen.load(Ordering::SeqCst), 1, "it was recovered");
    setup.store.commit(say(A, "two")).await.unwrap();
    assert_eq!(setup.texts(A).await, ["one", "two"]);
    assert_eq!(rows(&setup.intruder()), 0);
}

#[tokio::test]
async fn another_program_that_keeps_the_database_has_nothing_recovered() {
    let setup = setup(Options::default()).await;
    let other = setup.intruder();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    setup.store.sabotage.reopen.store(1, Ordering::SeqCst);
    let refused = setup.store.commit(say(A, "lost")).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(setup.store.sabotage.reopen.load(Ordering::SeqCst), 1, "it was recovered");
    setup.store.commit(say(A, "kept")).await.unwrap();
    assert_eq!(setup.texts(A).await, ["kept"]);
}

#[tokio::test]
async fn a_ledger_is_the_same_wherever_its_entries_are() {
    let texts: Vec<String> = (0..600).map(|n| n.to_string()).collect();
    // Moved after each commit, in runs of about ten, and never: blocks fill up in different ways.
    for log_bytes in [0, 40_000, usize::MAX] {
        let setup = setup(Options { log_bytes, ..Options::default() }).await;
        for text in &texts {
            setup.store.commit(say(A, text)).await.unwrap();
        }
        let is_whole = async |setup: &Setup| {
            assert_eq!(setup.texts(A).await, texts);
            let leaves = setup.store.leaves(A, 0, 600).await.unwrap();
            assert_eq!(setup.store.subtrees(A, 1, 0, 2).await.unwrap(), naive::subtrees(&leaves, 1));
            for (from, to) in [(0, 0), (0, 1), (255, 257), (300, 600), (599, 600)] {
                let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
                assert_eq!(setup.store.leaves(A, from, to).await.unwrap(), leaves[range.clone()]);
                let found = setup.store.entries(A, from, range.len()).await.unwrap();
                assert!(found.iter().map(|entry| entry.index).eq(from..to));
            }
            assert!(setup.store.leaves(A, 599, 601).await.is_err());
        };
        is_whole(&setup).await;
        drop(setup.store);
        let runs = Connection::open(&setup.path).unwrap();
        let count = |sql| runs.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(rows(&runs), 0, "a store that is closed leaves nothing to be read");
        assert!(count("SELECT count(*) FROM ledger_run WHERE first < 512") <= 2 * 33, "complete blocks have few runs");
        is_whole(&Setup { store: SqliteStore::open(&setup.path, Options::default()).unwrap(), ..setup }).await;
    }
}

#[tokio::test]
async fn an_erased_tenant_has_left_the_log_too() {
    const WORD: &str = "a word that nobody else says";
    // Not moved at all, or so often that it is also where the log has been.
    for log_bytes in [usize::MAX, 40_000] {
        let setup = setup(Options { log_bytes, ..Options::default() }).await;
        for n in 0..35 {
            setup.store.commit(say(A, &format!("{WORD} {n}"))).await.unwrap();
        }
        setup.store.commit(say(B, "something")).await.unwrap();
        let free = crate::slots::load(&setup.intruder()).unwrap().unwrap().slots.free();
        assert_eq!(free > 0, log_bytes == 40_000);
        let file = || {
            let files = [&setup.path, &crate::connect::beside(&setup.path, "-wal")];
            files.map(|file| std::fs::read(file).unwrap()).concat()
        };
        let holds = |bytes: &[u8]| bytes.windows(WORD.len()).any(|window| window == WORD.as_bytes());
        assert!(holds(&file()));
        setup.store.erase(A).await.unwrap();
        assert!(!holds(&file()));
        assert_eq!(setup.texts(B).await, ["something"]);
    }
}

/// Whoever commits hundreds of records at a time, as an import does, adds to the log no faster than it is moved.
#[tokio::test]
async fn large_commits_do_not_make_the_log_grow() {
    const LOG_BYTES: usize = 256 << 10;
    // Where the disk is slow the next commit waits before anything was moved for the last one.
    for (records, slowness) in [(10, 0), (100, 0), (512, 0), (512, 30)] {
        let setup = setup(Options { log_bytes: LOG_BYTES, ..Options::default() }).await;
        setup.store.sabotage.slowness.store(slowness, Ordering::SeqCst);
        let mut longest = 0;
        for commit in 0..8_000 / records {
            let text = |n: u32| format!("{commit} {n} {}", "x".repeat(300));
            let part = (0..records).fold(of(A), |part, n| {
                part.entry(&text(n)).write(put(Space::Secret, format!("{commit:05} {n:05}"), text(n)))
            });
            setup.store.commit(part.commit()).await.unwrap();
            longest = longest.max(setup.log_bytes());
        }
        // Twice of it while a round goes on, as much again free, and one commit.
        assert!(longest < 4 * LOG_BYTES + 512 * 1_000, "{records} at a time: {longest}");
    }
}

/// A slice of large values is as short as one of small ones.
#[tokio::test]
async fn large_values_are_moved_few_at_a_time() {
    const VALUE: usize = 100_000;
    const LOG_BYTES: usize = 40 * VALUE;
    let setup = setup(Options { log_bytes: LOG_BYTES, ..Options::default() }).await;
    let moved = || -> f64 {
        let sql = "SELECT total(length(sealed)) FROM record";
        setup.intruder().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let (mut before, mut most) = (0.0, 0.0_f64);
    for n in 0..200 {
        let write = put(Space::SecretVersion, format!("{n:05}"), vec![7; VALUE]);
        setup.store.commit(of(A).entry("written").write(write).commit()).await.unwrap();
        let now = moved();
        most = most.max(now - before);
        before = now;
    }
    assert!(before > 100.0 * VALUE as f64, "hardly anything was moved: {before}");
    assert!(most < 20.0 * VALUE as f64, "{most} bytes at once");
    assert!(setup.log_bytes() < 4 * LOG_BYTES, "{}", setup.log_bytes());
}

/// Who writes much at a time makes those who write little wait for one of these, not for all that are there.
#[tokio::test]
async fn small_commits_overtake_large_ones() {
    let setup = setup(Options::default()).await;
    let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let large: Vec<_> = (0..20)
        .map(|n| {
            let (store, done) = (Arc::clone(&setup.store), Arc::clone(&done));
            let write = put(Space::SecretVersion, format!("{n}"), vec![7; 100_000]);
            tokio::spawn(async move {
                store.commit(of(A).entry("large").write(write).commit()).await.unwrap();
                done.fetch_add(1, Ordering::SeqCst)
            })
        })
        .collect();
    let (store, counted) = (Arc::clone(&setup.store), Arc::clone(&done));
    let small = tokio::spawn(async move {
        store.commit(say(B, "small")).await.unwrap();
        counted.load(Ordering::SeqCst)
    });
    let before = small.await.unwrap();
    assert!(before <= 2, "{before} large ones were first");
    for large in large {
        large.await.unwrap();
    }
    assert_eq!((done.load(Ordering::SeqCst), setup.texts(A).await.len()), (20, 20));
}

/// Of what is more than a slice a part is in the tables, and a part in the log; whoever loads the log meanwhile, after the
/// process was killed or for a backup, finds the same.
#[tokio::test]
async fn a_tenant_that_is_moved_in_part_is_whole() {
    let setup = setup(Options { log_bytes: 20_000, ..Options::default() }).await;
    let path = |n: u32| format!("{n:05}");
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..3_u64 {
        let mut part = of(A);
        for n in 0..1_500 {
            part = part.entry(&format!("{round} {n}"));
        }
        for n in 0..700 {
            let text = format!("{round}");
            let write =
                bailiwick_store::Write { expected: (round > 0).then_some(round), ..put(Space::Secret, path(n), text) };
            let value = write.value.map(|(_, sealed)| (round + 1, sealed));
            part = part.write(bailiwick_store::Write { value, ..write });
        }
        setup.store.commit(part.commit()).await.unwrap();
        for commit in 0..4 {
            let sql =
                "SELECT total(length(leaves)) / 32 FROM ledger_run JOIN tenant ON no = tenant_no WHERE slug = 'a'";
            let moved: f64 = setup.intruder().query_row(sql, [], |row| row.get(0)).unwrap();
            seen.insert(format!("{moved}"));
            let other = crate::SqliteSnapshot::open(&setup.path).unwrap();
            let stores: [&dyn Store; 2] = [&*setup.store, &*other];
            for store in stores {
                let size = (round + 1) * 1_500;
                let header = store.header(A).await.unwrap().unwrap();
                let leaves = store.leaves(A, 0, size).await.unwrap();
                assert_eq!((header.ledger, header.counts.of(Space::Secret)), (naive::edge(&leaves), 700));
                assert_eq!(store.subtrees(A, 1, 0, size / 256).await.unwrap(), naive::subtrees(&leaves, 1));
                assert_eq!(store.entries(A, 0, 10_000).await.unwrap().len() as u64, size);
                let text = |record: &bailiwick_store::Record| String::from_utf8(record.sealed.clone()).unwrap();
                let records = store.records(A, Space::Secret, b"", None, 1_000).await.unwrap();
                assert!(records.len() == 700 && records.iter().all(|(_, record)| text(record) == round.to_string()));
            }
            for at in 0..=round {
                let then = setup.store.records_at(A, Space::Secret, at * 1_500, None, 1_000).await.unwrap();
                assert_eq!(then.len(), if at == 0 { 0 } else { 700 });
                let is_then = |record: &bailiwick_store::Record| record.sealed == (at - 1).to_string().into_bytes();
                assert!(then.iter().all(|(_, record)| is_then(record)), "{round} {at}");
            }
            // Somebody else's commit moves one slice more.
            setup.store.commit(say(B, &format!("{round} {commit}"))).await.unwrap();
        }
    }
    assert!(seen.iter().any(|moved| !["0", "1500", "3000", "4500"].contains(&moved.as_str())), "{seen:?}");
}

/// A record that is changed again and again holds up nobody for as long as all that it was takes to be moved.
#[tokio::test]
async fn what_a_record_was_is_moved_in_slices_too() {
    let setup = setup(Options { log_bytes: 150_000, ..Options::default() }).await;
    let kept = || -> i64 { setup.intruder().query_row("SELECT count(*) FROM past", [], |row| row.get(0)).unwrap() };
    let mut before = 0;
    for version in 1..=3_000_u64 {
        let write = bailiwick_store::Write {
            expected: (version > 1).then(|| version - 1),
            value: Some((version, version.to_string().into_bytes())),
            ..put(Space::Secret, "key", "")
        };
        setup.store.commit(of(A).entry("written").write(write).commit()).await.unwrap();
        let now = kept();
        assert!(now - before <= 600, "{before} {now}");
        before = now;
        if version % 250 == 0 {
            for at in [1, version / 2, version - 1] {
                let then = setup.store.records_at(A, Space::Secret, at, None, 10).await.unwrap();
                assert_eq!(then.first().map(|(_, record)| record.version), Some(at));
            }
        }
    }
    assert!(before > 1_000, "{before}");
}

#[tokio::test]
async fn what_is_forgotten_while_it_is_in_the_log_does_not_come_into_the_table() {
    let setup = setup(Options::default()).await;
    for version in 1..=4_u64 {
        let expected = (version > 1).then(|| version - 1);
        let write = bailiwick_store::Write {
            expected,
            value: Some((version, version.to_string().into_bytes())),
            ..put(Space::Secret, "key", "")
        };
        setup.store.commit(of(A).entry("written").write(write).commit()).await.unwrap();
    }
    setup.store.forget_past(A, 2).await.unwrap();
    let then = setup.store.records_at(A, Space::Secret, 2, None, 10).await.unwrap();
    assert_eq!(then.first().map(|(_, record)| record.version), Some(2));
    drop(setup.store);
    let conn = Connection::open(&setup.path).unwrap();
    let kept: Vec<i64> = conn
        .prepare("SELECT until FROM past ORDER BY until")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(kept, [2, 3]);
}
