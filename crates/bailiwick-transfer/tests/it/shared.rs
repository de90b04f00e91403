//! To a database that many nodes share, and back: the same installation, whatever keeps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bailiwick_pgkit::{Cluster, Database};
use bailiwick_store::{Space, Store};
use bailiwick_store_conformance::build::{Build, at, create, of, time};
use bailiwick_store_conformance::{Fault, FaultyStore};
use bailiwick_store_postgres::{Migrator, Options, PostgresStore, Url};
use bailiwick_transfer::TransferError;
use bailiwick_types::TenantId;

use crate::house::{
    BIG, CLOSED, SMALL, back_up, check_subtrees, copy, count, everything, exact, furnish, go_on, model, ok, restore,
    sqlite,
};

/// A database server with a migrated database.
struct House {
    base: Database,
    _cluster: Cluster,
}

impl House {
    async fn new() -> Self {
        let cluster = Cluster::start().unwrap();
        let base = cluster.database("base").unwrap();
        let owner = Url::parse(&base.owner_url).unwrap();
        Migrator::connect(&owner, &base.server, 4).await.unwrap().run(|_| {}).await.unwrap();
        Self { base, _cluster: cluster }
    }

    async fn node(&self) -> Arc<dyn Store> {
        PostgresStore::connect(&Url::parse(&self.base.server_url).unwrap(), Options::default()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_goes_to_a_database_and_back() {
    let (house, from) = (House::new().await, model().await);
    furnish(&from).await;
    let to = house.node().await;
    copy(&from, &to).await.unwrap();
    assert_eq!(everything(&to).await, everything(&from).await);
    check_subtrees(&to).await;
    assert_eq!(to.due(time(i64::MAX), 9).await.unwrap(), from.due(time(i64::MAX), 9).await.unwrap());
    // Another node sees it as well, guards of the platform's epoch among it.
    let other = house.node().await;
    assert_eq!(everything(&other).await, everything(&from).await);
    let decided = bailiwick_store_conformance::build::guarded(at(BIG, 1).commit(), &[(TenantId::PLATFORM, 2)]);
    other.commit(decided).await.unwrap();
    let late = bailiwick_store_conformance::build::guarded(at(BIG, 1).commit(), &[(TenantId::PLATFORM, 1)]);
    other.commit(late).await.unwrap_err();
    // Life goes on in the source, and the copy is brought up to date.
    go_on(&from).await;
    copy(&from, &to).await.unwrap();
    assert_eq!(everything(&to).await, everything(&from).await);
    // And back into a file of one machine, both ways.
    let (back, _place) = sqlite();
    copy(&to, &back).await.unwrap();
    assert_eq!(everything(&back).await, everything(&from).await);
    let (restored, _other_place) = sqlite();
    restore(&back_up(&to).await, &restored, &exact()).await.unwrap();
    assert_eq!(everything(&restored).await, everything(&from).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_into_a_database_that_is_cut_off_is_gone_on_from() {
    let from = model().await;
    furnish(&from).await;
    let (bytes, wanted, house) = (back_up(&from).await, everything(&from).await, House::new().await);
    // Each attempt fails at its second commit, applied or not.
    for attempt in 0.. {
        assert!(attempt < 40, "it does not go on");
        let faulty = FaultyStore::new(house.node().await);
        faulty.fail(1, if attempt % 2 == 0 { Fault::AfterPersist } else { Fault::BeforePersist });
        let to: Arc<dyn Store> = faulty;
        if restore(&bytes, &to, &exact()).await.is_ok() {
            assert!(attempt > 3, "{attempt} interruptions say nothing");
            break;
        }
        let platform = house.node().await.header(TenantId::PLATFORM).await.unwrap();
        let is_open = platform.is_some_and(|platform| platform.state != CLOSED);
        assert!(!is_open || everything(&to).await == wanted, "open in attempt {attempt}");
    }
    assert_eq!(everything(&house.node().await).await, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_database_in_use_has_one_state_of_each_tenant_or_is_refused() {
    let house = House::new().await;
    let from = house.node().await;
    for (tenant, slug) in [(BIG, "big"), (SMALL, "small"), (TenantId::PLATFORM, "platform")] {
        ok(&from, create(tenant, slug)).await;
    }
    let (writer, is_over) = (house.node().await, Arc::new(AtomicBool::new(false)));
    let over = Arc::clone(&is_over);
    let writing = tokio::spawn(async move {
        for n in 1.. {
            if over.load(Ordering::Relaxed) {
                return n - 1;
            }
            for tenant in [BIG, SMALL] {
                ok(&writer, of(tenant).write(count("a", n)).write(count("z", n)).entry("both")).await;
            }
        }
        0
    });
    let (mut seen, mut refused) = (0, 0);
    while seen + refused < 8 {
        let mut bytes = Vec::new();
        let intro = bailiwick_transfer::file::Intro {
            installation: String::new(),
            engine: String::new(),
            program: String::new(),
            created: time(0),
        };
        let progress = bailiwick_transfer::Progress::default();
        match bailiwick_transfer::file::back_up(&from, &mut bytes, intro, &progress).await {
            Err(TransferError::Moving(_)) => refused += 1,
            Err(error) => panic!("{error}"),
            Ok(_) => {
                let to = model().await;
                restore(&bytes, &to, &exact()).await.unwrap();
                for tenant in [BIG, SMALL] {
                    // One commit writes both counters and the entry: a state in which they disagree never was.
                    let entries = to.header(tenant).await.unwrap().unwrap().ledger.size();
                    for key in [b"a", b"z"] {
                        let record = to.record(tenant, Space::Usage, key).await.unwrap();
                        assert_eq!(record.map_or(0, |record| record.version), entries);
                    }
                }
                seen += 1;
            }
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap();
    println!("{seen} backups, {refused} refusals, while {written} rounds were written");
    assert!(written > 8, "nothing was written meanwhile");
    // At rest it is read in any case.
    let bytes = back_up(&from).await;
    let to = model().await;
    restore(&bytes, &to, &exact()).await.unwrap();
    assert_eq!(to.header(BIG).await.unwrap().unwrap().ledger.size(), written);
}
