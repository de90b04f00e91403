//! Two nodes on one database, and what the way between can do to a commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bailiwick_pgkit::{PgBouncer, Trap, Wire};
use bailiwick_store::{CommitError, Expect, Part, Space, Store};
use bailiwick_store_conformance::build::{Build as _, at, create, guarded, of, put, replace};
use bailiwick_store_postgres::{OpenError, Options, PostgresStore};
use bailiwick_types::TenantId;

use crate::house::{House, patient, url};

const ACME: TenantId = TenantId::from_bytes([0xaa; 16]);
const GLOBEX: TenantId = TenantId::from_bytes([0xbb; 16]);

async fn two_nodes() -> (House, Arc<PostgresStore>, Arc<PostgresStore>) {
    let house = House::new(4).await;
    let (one, two) = (house.node().await, house.node().await);
    for (tenant, slug) in [(TenantId::PLATFORM, "platform"), (ACME, "acme"), (GLOBEX, "globex")] {
        one.commit(create(tenant, slug).commit()).await.unwrap();
    }
    (house, one, two)
}

/// Adds one to a counter, as often as it takes.
async fn increment(store: &dyn Store, tenant: TenantId) {
    loop {
        let found = store.record(tenant, Space::Secret, b"counter").await.unwrap();
        let write = match &found {
            None => put(Space::Secret, "counter", "1"),
            Some(record) => {
                let number: u64 = std::str::from_utf8(&record.sealed).unwrap().parse().unwrap();
                replace(Space::Secret, "counter", record.version, (number + 1).to_string())
            }
        };
        match store.commit(at(tenant, 1).write(write).entry("increment").commit()).await {
            Ok(_) => return,
            Err(CommitError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn all_nodes_ask_one_clock() {
    let (_house, one, two) = two_nodes().await;
    let mut last = one.clock().await.unwrap().unwrap();
    // The database is on this machine.
    let own = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    assert!((last.unix_ms() - own).abs() < 60_000, "{last}");
    for node in [&two, &one, &two] {
        let now = node.clock().await.unwrap().unwrap();
        assert!(now >= last, "{now} after {last}");
        last = now;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_is_lost_between_nodes() {
    const EACH: u64 = 60;
    let (_house, one, two) = two_nodes().await;
    let workers = (0..4).map(|worker| {
        let store: Arc<PostgresStore> = Arc::clone(if worker % 2 == 0 { &one } else { &two });
        tokio::spawn(async move {
            for _ in 0..EACH {
                increment(&*store, ACME).await;
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let record = two.record(ACME, Space::Secret, b"counter").await.unwrap().unwrap();
    assert_eq!(record.sealed, (4 * EACH).to_string().as_bytes());
    let header = one.header(ACME).await.unwrap().unwrap();
    assert_eq!(header.ledger.size(), 4 * EACH);
    let leaves = two.leaves(ACME, 0, 4 * EACH).await.unwrap();
    assert_eq!(header.ledger, bailiwick_store_conformance::naive::edge(&leaves), "the edge is that of the leaves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_of_two_nodes_make_one_ledger() {
    const EACH: u64 = 200;
    let (_house, one, two) = two_nodes().await;
    let workers = (0..8).map(|worker| {
        let store = Arc::clone(if worker % 2 == 0 { &one } else { &two });
        tokio::spawn(async move {
            for turn in 0..EACH {
                store.commit(at(ACME, 1).entry(&format!("{worker} {turn}")).commit()).await.unwrap();
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let entries = one.entries(ACME, 0, usize::MAX).await.unwrap();
    let mut texts: Vec<&[u8]> = entries.iter().map(|entry| entry.sealed.as_slice()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 1_600, "each once");
    let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf).collect();
    let header = two.header(ACME).await.unwrap().unwrap();
    assert_eq!(header.ledger, bailiwick_store_conformance::naive::edge(&leaves));
    let subtrees = two.subtrees(ACME, 1, 0, 6).await.unwrap();
    assert_eq!(subtrees, bailiwick_store_conformance::naive::subtrees(&leaves, 1)[..6]);
}

/// Bumps an epoch on one node again and again, while the other goes on committing under what it believes. After a bump was
/// acknowledged, nothing that began later may pass under the epoch before it.
async fn nothing_passes_under_an_old_epoch(moved: TenantId, rounds: u64) {
    let (_house, one, two) = two_nodes().await;
    let acknowledged = Arc::new(AtomicU64::new(1));
    let ends = Arc::new(AtomicBool::new(false));
    let others = (0..6).map(|_| {
        let (store, acknowledged, ends) = (Arc::clone(&two), Arc::clone(&acknowledged), Arc::clone(&ends));
        tokio::spawn(async move {
            let (mut believed, mut passed) = (1, 0u64);
            while !ends.load(Ordering::SeqCst) {
                let before = acknowledged.load(Ordering::SeqCst);
                let commit = if moved.is_platform() {
                    guarded(of(ACME).entry("guarded").commit(), &[(moved, believed)])
                } else {
                    at(moved, believed).entry("decided").commit()
                };
                match store.commit(commit).await {
                    Ok(_) => {
                        assert!(believed >= before, "passed under {believed} after {before} was acknowledged");
                        passed += 1;
                    }
                    Err(CommitError::Stale { tenant }) => {
                        assert_eq!(tenant, moved);
                        believed = store.header(moved).await.unwrap().unwrap().epoch;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            passed
        })
    });
    let others: Vec<_> = others.collect();
    for epoch in 1..=rounds {
        let receipt = one.commit(at(moved, epoch).bump().entry("moved").commit()).await.unwrap().receipts[0];
        assert_eq!(receipt.epoch, epoch + 1);
        acknowledged.store(epoch + 1, Ordering::SeqCst);
    }
    ends.store(true, Ordering::SeqCst);
    let mut passed = 0;
    for other in others {
        passed += other.await.unwrap();
    }
    assert!(passed > 0, "nothing passed at all: the test shows nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_epoch_holds_on_all_nodes_at_once() {
    nothing_passes_under_an_old_epoch(ACME, 150).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platforms_epoch_holds_on_all_nodes_at_once() {
    nothing_passes_under_an_old_epoch(TenantId::PLATFORM, 150).await;
}

#[tokio::test]
async fn what_a_node_remembers_is_found_out_at_the_commit() {
    let (_house, one, two) = two_nodes().await;
    one.commit(at(ACME, 1).write(put(Space::Secret, "k", "first")).commit()).await.unwrap();
    let look = async |store: &PostgresStore| {
        let known = store.known(ACME, Space::Secret, b"k").await.unwrap();
        (known.record.unwrap().sealed, known.revision)
    };
    let read = |revision| Part { expect: Expect::Seen { epoch: 1, revision }, ..at(ACME, 1) }.entry("read").commit();
    two.commit(at(ACME, 1).entry("two knows the row").commit()).await.unwrap();
    assert_eq!(look(&two).await, (b"first".to_vec(), None), "the first look is at the database");
    let (value, revision) = look(&two).await;
    assert_eq!(value, b"first");
    two.commit(read(revision.expect("from memory"))).await.unwrap();

    one.commit(at(ACME, 1).write(replace(Space::Secret, "k", 1, "second")).commit()).await.unwrap();
    let (value, revision) = look(&two).await;
    assert_eq!(value, b"first", "it cannot know");
    let refused = two.commit(read(revision.unwrap())).await;
    assert!(matches!(refused, Err(CommitError::Outdated { tenant }) if tenant == ACME), "{refused:?}");
    assert_eq!(look(&two).await.0, b"second", "it does not go on believing");

    two.commit(at(ACME, 1).write(replace(Space::Secret, "k", 2, "third")).commit()).await.unwrap();
    assert_eq!(look(&two).await.0, b"third", "nor does its own write hide behind what it remembered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_behind_another_tenants_row() {
    let (house, one, two) = two_nodes().await;
    let (admin, connection) = tokio_postgres::connect(&house.base.admin_url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let lock = format!("BEGIN; SELECT 1 FROM bailiwick.tenant WHERE tenant = '{}' FOR UPDATE", "aa".repeat(16));
    admin.batch_execute(&lock).await.unwrap();
    let held: Vec<_> = (0..3)
        .map(|turn| {
            let store = Arc::clone(&one);
            tokio::spawn(async move { store.commit(of(ACME).entry(&format!("held {turn}")).commit()).await })
        })
        .collect();
    for turn in 0..50 {
        one.commit(at(GLOBEX, 1).entry(&format!("one {turn}")).commit()).await.unwrap();
        two.commit(at(GLOBEX, 1).entry(&format!("two {turn}")).commit()).await.unwrap();
    }
    assert!(held.iter().all(|held| !held.is_finished()), "they wait for the row");
    admin.batch_execute("COMMIT").await.unwrap();
    for held in held {
        held.await.unwrap().unwrap();
    }
    assert_eq!(one.header(ACME).await.unwrap().unwrap().ledger.size(), 3);
}

/// A node whose way to the database goes over a wire.
async fn over_a_wire() -> (House, Wire, Arc<PostgresStore>) {
    let house = House::new(4).await;
    let wire = Wire::to(house.cluster.port()).unwrap();
    let way = url(&house.base.through(&[wire.port()]).server_url);
    let node = PostgresStore::connect(&way, Options::default()).await.unwrap();
    for (tenant, slug) in [(ACME, "acme"), (GLOBEX, "globex")] {
        node.commit(create(tenant, slug).commit()).await.unwrap();
    }
    (house, wire, node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_done_exactly_once() {
    let (_house, wire, node) = over_a_wire().await;
    let mut version = None;
    let mut size = 0;
    for round in 0..12usize {
        const WRITES: &str = "ISOLATION LEVEL READ COMMITTED";
        let trap = if round % 2 == 0 { Trap::BeforeCommit(WRITES) } else { Trap::AfterCommit(WRITES) };
        // Appends, which take one way, and changes, which take another; alone, and in company.
        let write = match version {
            None => put(Space::Secret, "k", "0"),
            Some(version) => replace(Space::Secret, "k", version, round.to_string()),
        };
        let change = at(ACME, 1).write(write).entry(&format!("change {round}")).commit();
        let append = at(ACME, 1).entry(&format!("append {round}")).commit();
        let neighbour = at(GLOBEX, 1).entry(&format!("neighbour {round}")).commit();
        let first = if round % 4 < 2 { change.clone() } else { append.clone() };
        let second = if round % 4 < 2 { append } else { change };
        wire.set(trap);
        let (one, other) = tokio::join!(node.commit(first), node.commit(neighbour));
        wire.wait_until_sprung(round + 1).unwrap();
        let receipt = one.unwrap_or_else(|error| panic!("round {round}: {error}")).receipts[0];
        assert_eq!(receipt.first_index, size, "round {round}");
        other.unwrap();
        node.commit(second).await.unwrap();
        size += 2;
        version = Some(version.map_or(1, |version| version + 1));
        let header = node.header(ACME).await.unwrap().unwrap();
        assert_eq!(header.ledger.size(), size, "round {round}");
        let record = node.record(ACME, Space::Secret, b"k").await.unwrap().unwrap();
        assert_eq!(Some(record.version), version, "round {round}");
    }
    let entries = node.entries(ACME, 0, usize::MAX).await.unwrap();
    let mut texts: Vec<&[u8]> = entries.iter().map(|entry| entry.sealed.as_slice()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(u64::try_from(texts.len()).unwrap(), size, "each entry once");
    assert_eq!(node.header(GLOBEX).await.unwrap().unwrap().ledger.size(), 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_finds_back_by_itself() {
    let (_house, wire, node) = over_a_wire().await;
    wire.refuse();
    assert!(node.ping().await.is_err(), "it says that it cannot");
    assert!(node.header(ACME).await.is_err());
    let refused = node.commit(at(ACME, 1).entry("lost").commit()).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    wire.mend();
    let back = async {
        while node.ping().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), back).await.expect("it comes back");
    node.commit(at(ACME, 1).entry("kept").commit()).await.unwrap();
    assert_eq!(node.header(ACME).await.unwrap().unwrap().ledger.size(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_has_lost_nothing() {
    let (mut house, one, two) = two_nodes().await;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let ends = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..6)
        .map(|worker| {
            let store = Arc::clone(if worker % 2 == 0 { &one } else { &two });
            let (acknowledged, ends) = (Arc::clone(&acknowledged), Arc::clone(&ends));
            tokio::spawn(async move {
                let mut turn = 0;
                while !ends.load(Ordering::SeqCst) {
                    turn += 1;
                    let tenant = if turn % 2 == 0 { ACME } else { GLOBEX };
                    let commit = of(tenant).entry(&format!("{worker} {turn}")).commit();
                    if store.commit(commit).await.is_ok() {
                        acknowledged.fetch_add(1, Ordering::SeqCst);
                    }
                }
                turn
            })
        })
        .collect();
    for round in 1..=3 {
        while acknowledged.load(Ordering::SeqCst) < round * 60 {
            tokio::task::yield_now().await;
        }
        house.cluster.kill9().unwrap();
        house.cluster.restart().unwrap();
    }
    let so_far = acknowledged.load(Ordering::SeqCst);
    while acknowledged.load(Ordering::SeqCst) < so_far + 60 {
        tokio::task::yield_now().await;
    }
    ends.store(true, Ordering::SeqCst);
    let mut tried = 0;
    for worker in workers {
        tried += worker.await.unwrap();
    }
    let mut found = 0;
    for tenant in [ACME, GLOBEX] {
        let entries = one.entries(tenant, 0, usize::MAX).await.unwrap();
        let leaves: Vec<_> = entries.iter().map(|entry| entry.leaf).collect();
        let header = two.header(tenant).await.unwrap().unwrap();
        assert_eq!(header.ledger, bailiwick_store_conformance::naive::edge(&leaves));
        let mut texts: Vec<_> = entries.into_iter().map(|entry| entry.sealed).collect();
        found += u64::try_from(texts.len()).unwrap();
        texts.sort_unstable();
        let all = texts.len();
        texts.dedup();
        assert_eq!(texts.len(), all, "nothing is there twice");
    }
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    assert!((acknowledged..=tried).contains(&found), "{acknowledged} acknowledged, {found} found, {tried} tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_transaction_mode_changes_nothing() {
    let house = House::new(4).await;
    let pooler = PgBouncer::start(house.cluster.port(), &house.base, 4).unwrap();
    let through = format!("{}?statements=text", house.base.through(&[pooler.port()]).server_url);
    let nodes = [
        PostgresStore::connect(&url(&through), Options::default()).await.unwrap(),
        PostgresStore::connect(&url(&through), Options::default()).await.unwrap(),
    ];
    for (tenant, slug) in [(ACME, "acme"), (GLOBEX, "globex")] {
        nodes[0].commit(create(tenant, slug).commit()).await.unwrap();
    }
    let workers: Vec<_> = (0..8)
        .map(|worker: usize| {
            let store = Arc::clone(&nodes[worker % 2]);
            let tenant = if worker < 4 { ACME } else { GLOBEX };
            tokio::spawn(async move {
                for _ in 0..20 {
                    increment(&*store, tenant).await;
                    // Whatever connection this comes over, it shows this tenant's rows.
                    let entries = store.entries(tenant, 0, usize::MAX).await.unwrap();
                    assert!(entries.iter().all(|entry| entry.sealed == b"increment"));
                    assert!(!entries.is_empty());
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for tenant in [ACME, GLOBEX] {
        let record = nodes[1].record(tenant, Space::Secret, b"counter").await.unwrap().unwrap();
        assert_eq!(record.sealed, b"80");
        assert_eq!(nodes[0].header(tenant).await.unwrap().unwrap().ledger.size(), 80);
    }
}

#[tokio::test]
async fn a_node_begins_with_three_connections_or_not_at_all() {
    let house = House::new(0).await;
    let limit = |count: i32| format!("ALTER ROLE {} CONNECTION LIMIT {count}", house.base.server);
    let options = Options { start_wait: Duration::from_millis(600), ..patient() };
    house.admin(&[&limit(2)]);
    let refused = PostgresStore::connect(&url(&house.base.server_url), options).await.err().unwrap();
    assert!(refused.to_string().contains("too many connections for role"), "{refused}");
    assert!(matches!(refused, OpenError::Crowded(_)), "{refused:?}");
    house.admin(&[&limit(3)]);
    let node = house.node().await;
    // More at a time than there are connections.
    let reads = (0..20).map(|_| node.header(ACME));
    assert!(futures_util::future::join_all(reads).await.into_iter().all(|read| read.is_ok()));
    let gauge = |name: &str| node.metrics().into_iter().find(|(found, _, _)| *found == name).unwrap().2;
    assert_eq!(gauge("store_connections_open"), 3);
    assert!(gauge("store_connections_short") > 0);
}

#[test]
fn the_budget_of_connections_is_as_documented() {
    let Options { readers, writers, waiting_writers, .. } = Options::default();
    let each = readers + writers + waiting_writers;
    let page = include_str!("../../../../docs/operating/postgres.md");
    assert!(page.contains(&format!("`max_connections ≥ {each} × nodes + 10`")));
    let crowded = OpenError::Crowded(String::new());
    assert!(crowded.hint().unwrap().contains(&format!("to {each} for each node and 10 more")));
}
