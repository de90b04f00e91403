//! The fixtures do what they say.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bailiwick_pgkit::{Backend, Cluster, Database, HaProxy, PgBouncer, Program, Standby, Trap, Wire, is_ready};

const PATIENCE: Duration = Duration::from_secs(60);

fn psql(cluster: &Cluster, url: &str, statements: &[&str]) -> Output {
    let mut psql = cluster.tool("psql").unwrap();
    psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", url]);
    for statement in statements {
        psql.args(["--command", statement]);
    }
    psql.stdin(Stdio::null()).output().unwrap()
}

fn succeeds(cluster: &Cluster, url: &str, statement: &str) -> bool {
    psql(cluster, url, &[statement]).status.success()
}

/// Whether a client that is patient for a while gives up.
fn times_out(cluster: &Cluster, url: &str) -> bool {
    let mut psql = cluster.tool("psql").unwrap();
    let ran = psql.args(["--dbname", url, "--command", "SELECT 1"]).env("PGCONNECT_TIMEOUT", "2").output().unwrap();
    String::from_utf8_lossy(&ran.stderr).contains("timeout expired")
}

/// A cluster with a table of numbers.
fn numbers() -> (Cluster, Database) {
    let cluster = Cluster::start().unwrap();
    let database = cluster.database("acme").unwrap();
    cluster.sql("acme", &["CREATE TABLE t (n int)", "GRANT ALL ON t TO acme_server"]).unwrap();
    (cluster, database)
}

#[test]
fn what_was_committed_survives_a_kill() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let (mut cluster, _) = numbers();
    cluster.sql("acme", &["INSERT INTO t VALUES (41)"]).unwrap();
    cluster.kill9().unwrap();
    assert!(cluster.sql("acme", &["SELECT 1"]).is_err());
    cluster.restart().unwrap();
    assert_eq!(cluster.sql("acme", &["SELECT n + 1 FROM t"]).unwrap(), "42");
    cluster.stop_fast().unwrap();
    cluster.restart().unwrap();
    assert_eq!(cluster.sql("acme", &["SELECT n + 1 FROM t"]).unwrap(), "42");
}

#[test]
fn the_servers_role_owns_nothing_and_bypasses_nothing() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let cluster = Cluster::start().unwrap();
    let database = cluster.database("acme").unwrap();
    let attributes = "rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication";
    let role = format!("SELECT {attributes} FROM pg_roles WHERE rolname = '{}'", database.server);
    assert_eq!(cluster.sql("acme", &[&role]).unwrap(), "f");
    assert!(succeeds(&cluster, &database.server_url, "SELECT 1"));
    assert!(!succeeds(&cluster, &database.server_url, "CREATE TABLE t (n int)"));
    assert!(succeeds(&cluster, &database.owner_url, "CREATE TABLE t (n int)"));
    assert!(!succeeds(&cluster, &database.server_url, "SELECT * FROM t"));
    // Passwords are asked for.
    let password = database.admin_url.split([':', '@']).nth(2).unwrap();
    assert!(!succeeds(&cluster, &database.admin_url.replace(password, "wrong"), "SELECT 1"));
}

#[test]
fn a_promoted_standby_has_what_the_killed_primary_acknowledged() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let (mut primary, database) = numbers();
    let standby = Standby::of(&primary, &[]).unwrap();
    let both = database.through(&[primary.port(), standby.port()]);
    assert!(psql(&primary, &both.server_url, &["INSERT INTO t VALUES (1)"]).status.success());
    assert_eq!(standby.cluster().sql("acme", &["SELECT count(*) FROM pg_stat_wal_receiver"]).unwrap(), "1");
    assert!(standby.cluster().sql("acme", &["INSERT INTO t VALUES (0)"]).is_err());
    primary.kill9().unwrap();
    let promoted = standby.promote().unwrap();
    // The same URL finds the new primary, and that waits for nobody.
    let read = psql(&promoted, &both.server_url, &["INSERT INTO t VALUES (2)", "SELECT sum(n) FROM t"]);
    assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), "3", "{}", String::from_utf8_lossy(&read.stderr));
}

#[test]
fn a_pooled_session_leaves_behind_what_another_one_finds() {
    if !is_ready(&[Program::Postgres, Program::PgBouncer]) {
        return;
    }
    let (cluster, database) = numbers();
    let pooler = PgBouncer::start(cluster.port(), &database, 2).unwrap();
    let pooled = database.through(&[pooler.port()]);
    let pid = "SELECT pg_backend_pid()";
    // One client; its transactions take turns on two connections once there are two.
    let hold = "SELECT pg_sleep(0.2)";
    let (one, two) = (pooled.clone(), pooled.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(succeeds(&cluster, &one.server_url, hold)));
        scope.spawn(|| assert!(succeeds(&cluster, &two.server_url, hold)));
    });
    let told = psql(&cluster, &pooled.server_url, &[pid, pid, "SET application_name = 'left'", pid, pid]);
    let told = String::from_utf8(told.stdout).unwrap();
    let mut pids: Vec<&str> = told.lines().collect();
    assert_eq!(pids.len(), 4, "{told}{}", pooler.log());
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 2, "{told}");
}

#[test]
fn a_commit_is_cut_off_before_and_after() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let (cluster, database) = numbers();
    let wire = Wire::to(cluster.port()).unwrap();
    let wired = database.through(&[wire.port()]);
    let count = || cluster.sql("acme", &["SELECT count(*) FROM t"]).unwrap();
    let insert = "BEGIN; INSERT INTO t VALUES (1); COMMIT";
    assert!(succeeds(&cluster, &wired.server_url, insert));
    assert_eq!(count(), "1");

    // Other transactions are left in peace.
    wire.set(Trap::BeforeCommit("INSERT"));
    assert!(succeeds(&cluster, &wired.server_url, "BEGIN; SELECT 1; COMMIT"));
    assert!(!succeeds(&cluster, &wired.server_url, insert));
    wire.wait_until_sprung(1).unwrap();
    assert_eq!(count(), "1");

    wire.set(Trap::AfterCommit("INSERT"));
    assert!(succeeds(&cluster, &wired.server_url, "BEGIN; SELECT 1; COMMIT"));
    assert!(!succeeds(&cluster, &wired.server_url, insert));
    wire.wait_until_sprung(2).unwrap();
    assert_eq!(count(), "2");

    // Some bytes of the answer come; not all.
    wire.set(Trap::ServerBytes(8_000));
    assert!(!succeeds(&cluster, &wired.server_url, "SELECT repeat('x', 9000)"));
    wire.set(Trap::ClientBytes(8_000));
    let long = format!("SELECT '{}'", "x".repeat(9_000));
    assert!(!succeeds(&cluster, &wired.server_url, &long));
    assert_eq!(wire.sprung(), 4);
    assert!(succeeds(&cluster, &wired.server_url, &long));
}

#[test]
fn a_wire_refuses_and_holds_until_it_is_mended() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let (cluster, database) = numbers();
    let wire = Wire::to(cluster.port()).unwrap();
    let wired = database.through(&[wire.port()]);
    wire.refuse();
    assert!(!succeeds(&cluster, &wired.server_url, "SELECT 1"));
    wire.mend();
    wire.hold();
    assert!(times_out(&cluster, &wired.server_url));
    let mut waiting = cluster.tool("psql").unwrap();
    let mut waiting = waiting.args(["--dbname", &wired.server_url, "--command", "SELECT 1"]).spawn().unwrap();
    wire.mend();
    assert!(waiting.wait().unwrap().success());
    wire.delay(Duration::from_millis(20));
    let began = Instant::now();
    assert!(succeeds(&cluster, &wired.server_url, "SELECT 1"));
    assert!(began.elapsed() > Duration::from_millis(40));
}

#[test]
fn a_paused_cluster_answers_nobody_until_it_goes_on() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let (cluster, database) = numbers();
    cluster.pause().unwrap();
    let mut waiting = cluster.tool("psql").unwrap();
    let mut waiting = waiting.args(["--dbname", &database.server_url, "--command", "SELECT 1"]).spawn().unwrap();
    assert!(times_out(&cluster, &database.server_url));
    assert!(waiting.try_wait().unwrap().is_none());
    cluster.resume().unwrap();
    assert!(waiting.wait().unwrap().success());
}

/// A node that says which one it is, and at its other port whether it is ready.
fn node(name: &'static str, ready: Arc<AtomicBool>) -> Backend {
    let listen = |answer: Box<dyn Fn() -> String + Send>| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let _ = stream.write_all(answer().as_bytes());
            }
        });
        port
    };
    let state = move || if ready.load(Ordering::SeqCst) { "200 OK" } else { "503 Service Unavailable" };
    Backend {
        port: listen(Box::new(move || name.to_owned())),
        operations_port: listen(Box::new(move || format!("HTTP/1.0 {}\r\n\r\n", state()))),
    }
}

#[test]
fn the_balancer_asks_only_who_is_ready() {
    if !is_ready(&[Program::HaProxy]) {
        return;
    }
    let ready: [Arc<AtomicBool>; 2] = std::array::from_fn(|_| Arc::new(AtomicBool::new(true)));
    let nodes = [node("zero", ready[0].clone()), node("one", ready[1].clone())];
    let balancer = HaProxy::start(&nodes).unwrap();
    let ask = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, balancer.port())).unwrap();
        stream.write_all(b"\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    // Its threads take turns each for itself, so one of two askers may get the same node as the other.
    let asked = || (0..8).map(|_| ask()).collect::<BTreeSet<String>>();
    let both = BTreeSet::from(["one".to_owned(), "zero".to_owned()]);
    assert_eq!(asked(), both);
    let from = balancer.lines_so_far();
    ready[0].store(false, Ordering::SeqCst);
    balancer.wait_until(from, 0, false).unwrap();
    assert_eq!(asked(), BTreeSet::from(["one".to_owned()]));
    let from = balancer.lines_so_far();
    ready[0].store(true, Ordering::SeqCst);
    balancer.wait_until(from, 0, true).unwrap();
    assert_eq!(asked(), both);
}

/// What the next test kills: it says where its files are, and waits.
#[test]
#[ignore = "waits to be killed"]
fn a_process_with_a_paused_cluster() {
    let cluster = Cluster::start().unwrap();
    cluster.pause().unwrap();
    println!("\nfolder {}", bailiwick_pgkit::folder("mark").unwrap().parent().unwrap().display());
    std::thread::park();
}

fn working_below(folder: &Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let cwds = processes.filter_map(|process| std::fs::read_link(process.path().join("cwd")).ok());
    cwds.filter(|cwd| cwd.starts_with(folder)).collect()
}

#[test]
fn nothing_outlives_a_process_that_is_killed() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut itself = Command::new(std::env::current_exe().unwrap());
    itself.args(["--exact", "a_process_with_a_paused_cluster", "--ignored", "--nocapture"]);
    let mut child = itself.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let folder = lines.filter_map(|line| line.strip_prefix("folder ").map(PathBuf::from)).next().unwrap();
    assert!(!working_below(&folder).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let until = Instant::now() + PATIENCE;
    while folder.exists() || !working_below(&folder).is_empty() {
        assert!(Instant::now() < until, "{} is left, with {:?}", folder.display(), working_below(&folder));
        std::thread::yield_now();
    }
}
