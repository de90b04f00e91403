//! A process that is killed while it restores: the next one goes on, and nothing answers in between.
//!
//! The parent starts this test program again as a child that prints a line after each commit, and kills it after some.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bailiwick_store::Store;
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_types::TenantId;
use tempfile::TempDir;

use crate::hooked::Hooked;
use crate::house::{CLOSED, back_up, everything, exact, furnish, model, restore};

/// Where the child finds backup and store. Without it, it does nothing.
const PLACE: &str = "BAILIWICK_TEST_TRANSFER_PLACE";

fn open(place: &Path) -> Arc<dyn Store> {
    SqliteStore::open(&place.join("bailiwick.db"), Options::default()).unwrap()
}

#[tokio::test]
#[ignore = "the child of a_killed_restore_is_gone_on_from"]
async fn child_that_restores() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let bytes = std::fs::read(place.join("backup")).unwrap();
    let on_commit = || {
        println!("\ncommitted");
        // Until the parent has decided: a line that it reads is a chance to kill in just this state.
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
    };
    let to: Arc<dyn Store> = Arc::new(Hooked { inner: open(&place), on_records: Box::new(|_| None), on_commit });
    restore(&bytes, &to, &exact()).await.unwrap();
    println!("\nrestored");
}

/// Lets a child make so many commits, and kills it. Whether it was finished before.
fn killed_after(commits: usize, place: &Path) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "killed::child_that_restores"])
        .env(PLACE, place)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut go_on, mut seen) = (child.stdin.take().unwrap(), 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        match line.unwrap().as_str() {
            "restored" => return child.wait().unwrap().success(),
            "committed" => {
                seen += 1;
                if seen == commits {
                    child.kill().unwrap();
                } else {
                    std::io::Write::write_all(&mut go_on, b"\n").unwrap();
                }
            }
            _ => {}
        }
    }
    assert!(!child.wait().unwrap().success(), "it ended by itself");
    false
}

#[tokio::test]
async fn a_killed_restore_is_gone_on_from() {
    let from = model().await;
    furnish(&from).await;
    let (bytes, wanted) = (back_up(&from).await, everything(&from).await);
    // Each life of a restore is two commits longer than the one before it began with.
    let directory = TempDir::new().unwrap();
    std::fs::write(directory.path().join("backup"), &bytes).unwrap();
    let mut lives = 0;
    while !killed_after(2, directory.path()) {
        lives += 1;
        assert!(lives < 50, "it does not go on");
        let to = open(directory.path());
        let platform = to.header(TenantId::PLATFORM).await.unwrap();
        let is_open = platform.is_some_and(|platform| platform.state != CLOSED);
        assert!(!is_open || everything(&to).await == wanted, "open before everything is there, in life {lives}");
    }
    assert!(lives > 3, "{lives} kills say nothing");
    assert_eq!(everything(&open(directory.path())).await, wanted);
}
