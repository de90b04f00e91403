//! From one version of the schema to the next, with nodes that run meanwhile.

use bailiwick_pgkit::Cluster;
use bailiwick_store::Store as _;
use bailiwick_store_conformance::build::{Build as _, at, create};
use bailiwick_store_postgres::{Migration, Migrator, OpenError, Options, PostgresStore, newest};
use bailiwick_types::TenantId;

use crate::house::{House, url};

const ACME: TenantId = TenantId::from_bytes([0xaa; 16]);

/// A later release: it adds a column that old nodes know nothing of.
const EXPANDED: &[Migration] = &[Migration {
    version: 1001,
    name: "expand",
    serves_from: 1,
    sql: |_| "ALTER TABLE bailiwick.tenant ADD COLUMN region text;\n".to_owned(),
}];

/// The release after it: old nodes could not work with what it leaves.
const CONTRACTED: &[Migration] = &[Migration {
    version: 1002,
    name: "contract",
    serves_from: 1001,
    sql: |_| "ALTER TABLE bailiwick.tenant ALTER COLUMN region SET DEFAULT 'here';\n".to_owned(),
}];

const BROKEN: &[Migration] = &[Migration {
    version: 1003,
    name: "broken",
    serves_from: 1,
    sql: |_| "CREATE TABLE bailiwick.half (x int);\nALTER TABLE bailiwick.nowhere ADD COLUMN x int;\n".to_owned(),
}];

async fn later(house: &House, migrations: &'static [Migration]) -> Result<(), OpenError> {
    let migrator = Migrator::with(&url(&house.base.owner_url), &house.base.server, 2, migrations).await.unwrap();
    migrator.run(|_| {}).await
}

#[tokio::test]
async fn a_second_run_finds_nothing_to_do() {
    let house = House::new(2).await;
    let migrator = Migrator::connect(&url(&house.base.owner_url), &house.base.server, 2).await.unwrap();
    assert_eq!(migrator.plan().await.unwrap(), "");
    let steps = migrator.steps().await.unwrap();
    assert_eq!(steps.len(), usize::try_from(newest()).unwrap());
    assert!(steps.iter().all(|step| step.applied.is_some()), "{steps:?}");
    migrator.run(|migration| panic!("{migration:?} was applied again")).await.unwrap();
}

#[tokio::test]
async fn the_plan_is_what_is_carried_out() {
    let cluster = Cluster::start().unwrap();
    let base = cluster.database("base").unwrap();
    let migrator = Migrator::connect(&url(&base.owner_url), &base.server, 2).await.unwrap();
    let plan = migrator.plan().await.unwrap();
    assert!(migrator.steps().await.unwrap().iter().all(|step| step.applied.is_none()), "a plan changes nothing");
    // By hand, as an administrator who reads first would.
    let (client, connection) = tokio_postgres::connect(&base.owner_url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&plan).await.unwrap();
    assert_eq!(migrator.plan().await.unwrap(), "");
    PostgresStore::connect(&url(&base.server_url), Options::default()).await.unwrap();
}

#[tokio::test]
async fn two_at_once_apply_each_step_once() {
    let cluster = Cluster::start().unwrap();
    let base = cluster.database("base").unwrap();
    let one = Migrator::connect(&url(&base.owner_url), &base.server, 2).await.unwrap();
    let two = Migrator::connect(&url(&base.owner_url), &base.server, 2).await.unwrap();
    let (mut first, mut second) = (0, 0);
    let (a, b) = tokio::join!(one.run(|_| first += 1), two.run(|_| second += 1));
    a.unwrap();
    b.unwrap();
    assert_eq!(first + second, newest());
    PostgresStore::connect(&url(&base.server_url), Options::default()).await.unwrap();
}

#[tokio::test]
async fn nodes_run_on_while_the_schema_expands() {
    let house = House::new(2).await;
    let old = house.node().await;
    old.commit(create(ACME, "acme").entry("before").commit()).await.unwrap();
    later(&house, EXPANDED).await.unwrap();
    // The node that was there, and another of the same build that starts now.
    old.commit(at(ACME, 1).entry("meanwhile").commit()).await.unwrap();
    let restarted = house.node().await;
    restarted.commit(at(ACME, 1).entry("after").commit()).await.unwrap();
    let header = old.header(ACME).await.unwrap().unwrap();
    assert_eq!(header.ledger.size(), 3);
}

#[tokio::test]
async fn a_node_refuses_a_schema_that_it_does_not_know() {
    let house = House::new(2).await;
    later(&house, EXPANDED).await.unwrap();
    later(&house, CONTRACTED).await.unwrap();
    let refused = PostgresStore::connect(&url(&house.base.server_url), Options::default()).await.err().unwrap();
    assert!(matches!(refused, OpenError::Schema(_)), "{refused}");
    assert!(refused.to_string().contains("serves builds from version 1001 on"), "{refused}");
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let house = House::new(2).await;
    let failed = later(&house, BROKEN).await.unwrap_err();
    assert!(failed.to_string().contains("migration 1003 failed"), "{failed}");
    let half = house.admin(&["SELECT to_regclass('bailiwick.half') IS NULL"]);
    assert_eq!(half.trim(), "t");
    house.node().await;
}
