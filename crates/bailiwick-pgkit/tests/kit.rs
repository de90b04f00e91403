//! The fixtures do what they say.
#![cfg(target_os = "linux")]

use bailiwick_pgkit::{Cluster, Program, is_ready};

#[test]
fn what_was_committed_survives_a_kill() {
    if !is_ready(&[Program::Postgres]) {
        return;
    }
    let mut cluster = Cluster::start().unwrap();
    let database = cluster.database("acme").unwrap();
    cluster.sql(&database.name, &["CREATE TABLE t (n int)", "INSERT INTO t VALUES (41)"]).unwrap();
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
    let role =
        "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'acme_server'";
    assert_eq!(cluster.sql("acme", &[role]).unwrap(), "f");
    let psql = |url: &str, statement: &str| {
        let mut psql = cluster.tool("psql").unwrap();
        psql.args(["--no-psqlrc", "--dbname", url, "--command", statement]).output().unwrap().status.success()
    };
    assert!(psql(&database.server_url, "SELECT 1"));
    assert!(!psql(&database.server_url, "CREATE TABLE t (n int)"));
    assert!(psql(&database.owner_url, "CREATE TABLE t (n int)"));
    assert!(!psql(&database.server_url, "SELECT * FROM t"));
    // Passwords are asked for.
    assert!(!psql(
        &database.admin_url.replace(database.admin_url.split([':', '@']).nth(2).unwrap(), "wrong"),
        "SELECT 1"
    ));
}
