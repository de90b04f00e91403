//! Stores with something of everything in them.

use std::io::{self, Read};
use std::sync::Arc;

use bailiwick_store::{Part, Space, Store, Wake, Write};
use bailiwick_store_conformance::build::{Build, at, create, put, remove, replace, time};
use bailiwick_store_conformance::{Dump, Engine as _, ModelEngine, dump};
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_transfer::file::{self, Contents, Intro};
use bailiwick_transfer::{Progress, Rule, TransferError};
use bailiwick_types::{TenantId, Timestamp};
use tempfile::TempDir;

/// The state that answers nothing, here.
pub(crate) const CLOSED: u8 = 0;

pub(crate) const BIG: TenantId = TenantId::from_bytes([1; 16]);
pub(crate) const SMALL: TenantId = TenantId::from_bytes([2; 16]);
pub(crate) const ERASED: TenantId = TenantId::from_bytes([3; 16]);
pub(crate) const ALL: [TenantId; 4] = [BIG, SMALL, ERASED, TenantId::PLATFORM];

pub(crate) fn exact() -> Rule {
    Rule::exact(CLOSED)
}

pub(crate) async fn model() -> Arc<dyn Store> {
    ModelEngine::default().place().await.open().await
}

/// A store in a file, and the directory that goes with it.
pub(crate) fn sqlite() -> (Arc<dyn Store>, TempDir) {
    let directory = TempDir::new().unwrap();
    let store = SqliteStore::open(&directory.path().join("bailiwick.db"), Options::default()).unwrap();
    (store, directory)
}

pub(crate) async fn ok(store: &Arc<dyn Store>, part: Part) {
    store.commit(part.commit()).await.unwrap();
}

/// An installation: a tenant of several batches, with complete subtrees; a small one that has lived; one that was erased
/// halfway through its life; and the platform.
pub(crate) async fn furnish(store: &Arc<dyn Store>) {
    ok(store, create(BIG, "big").entry("created")).await;
    for round in 0..7_u64 {
        let mut part = at(BIG, 1);
        for n in 0..100_u64 {
            let (space, key) = (if n % 2 == 0 { Space::Secret } else { Space::Usage }, format!("{round}/{n}"));
            part = part.write(put(space, key, format!("value {round} {n}"))).entry(&format!("entry {round} {n}"));
        }
        ok(store, part).await;
    }
    let large = vec![7; 700_000];
    ok(
        store,
        at(BIG, 1).write(put(Space::SecretVersion, "large", &large)).write(put(Space::SecretVersion, "m", &large)),
    )
    .await;

    ok(store, create(SMALL, "small").entry("created").write(put(Space::Member, "m", "one"))).await;
    ok(store, at(SMALL, 1).bump().meta(1, "second").write(replace(Space::Member, "m", 1, "two")).entry("changed"))
        .await;
    ok(store, at(SMALL, 2).bump().meta(2, "third").state(2).wake(Wake::At(time(1_234))).entry("suspended")).await;
    ok(store, at(SMALL, 3).write(put(Space::Policy, "", "an empty key")).write(put(Space::Policy, b"\xff\xff", "")))
        .await;

    ok(store, create(ERASED, "erased").write(put(Space::Secret, "s", "gone")).entry("one").entry("two")).await;
    store.erase(ERASED).await.unwrap();
    ok(store, at(ERASED, 1).state(4).bump().wake(Wake::By(time(77)))).await;

    ok(store, create(TenantId::PLATFORM, "platform").entry("initialised")).await;
    let mut part = at(TenantId::PLATFORM, 1);
    for n in 0..600 {
        part = part.entry(&format!("operation {n}"));
    }
    ok(store, part).await;
    ok(store, at(TenantId::PLATFORM, 1).bump().write(put(Space::Operator, "o", "operator")).entry("operator")).await;
}

/// Life goes on: everything that can happen to a record, and to a tenant.
pub(crate) async fn go_on(store: &Arc<dyn Store>) {
    let mut part = at(BIG, 1).write(replace(Space::Secret, "0/0", 1, "newer")).write(remove(Space::Secret, "0/2", 1));
    part = part.write(put(Space::Binding, "b", "new")).entry("on").entry("and on");
    ok(store, part).await;
    // Made anew, its versions begin again, below the one that was moved before.
    ok(store, at(SMALL, 3).write(remove(Space::Member, "m", 2))).await;
    ok(store, at(SMALL, 3).write(put(Space::Member, "m", "three")).state(1).bump().wake(Wake::Never).entry("resumed"))
        .await;
    ok(store, create(TenantId::from_bytes([9; 16]), "late").entry("created")).await;
    ok(store, at(TenantId::PLATFORM, 2).entry("a tenant more")).await;
}

/// Everything of an installation, without what means something in its own store only.
pub(crate) async fn everything(store: &Arc<dyn Store>) -> Vec<(Dump, Option<Timestamp>)> {
    let mut all = Vec::new();
    for tenant in ALL.into_iter().chain([TenantId::from_bytes([9; 16])]) {
        let wake = store.header(tenant).await.unwrap().and_then(|header| header.wake);
        all.push((dump(store.as_ref(), tenant).await.without_revision(), wake));
    }
    all
}

/// Subtrees are derived in each store: they are those of the leaves.
pub(crate) async fn check_subtrees(store: &Arc<dyn Store>) {
    let leaves = store.leaves(BIG, 0, 701).await.unwrap();
    let wanted = bailiwick_store_conformance::naive::subtrees(&leaves, 1);
    assert_eq!(store.subtrees(BIG, 1, 0, 2).await.unwrap(), wanted);
}

pub(crate) async fn copy(from: &Arc<dyn Store>, to: &Arc<dyn Store>) -> Result<(), TransferError> {
    let plan = bailiwick_transfer::plan(from.as_ref(), to.as_ref(), &exact()).await?;
    bailiwick_transfer::copy(from, to, &exact(), &plan, &Arc::new(Progress::default())).await.map(drop)
}

pub(crate) async fn back_up(from: &Arc<dyn Store>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let intro = Intro {
        installation: "ins_test".to_owned(),
        engine: from.engine().to_owned(),
        program: "test".to_owned(),
        created: time(5),
    };
    file::back_up(from, &mut bytes, intro, &Progress::default()).await.unwrap();
    bytes
}

/// Opens a backup in memory, as often as it is wanted.
pub(crate) fn opened(bytes: &[u8]) -> impl Fn() -> io::Result<Box<dyn Read + Send>> + Sync {
    let bytes: Arc<[u8]> = bytes.into();
    move || Ok(Box::new(io::Cursor::new(Arc::clone(&bytes))))
}

pub(crate) async fn restore(bytes: &[u8], to: &Arc<dyn Store>, rule: &Rule) -> Result<Contents, TransferError> {
    let (open, progress) = (opened(bytes), Progress::default());
    let contents = bailiwick_transfer::check_file(&open, &progress).await?;
    bailiwick_transfer::check_target(&open, to, rule, &contents, &progress).await?;
    bailiwick_transfer::restore(&open, to, rule, &contents, &progress).await?;
    Ok(contents)
}

/// A record that replaces whatever is there.
pub(crate) fn count(key: &str, n: u64) -> Write {
    if n == 1 { put(Space::Usage, key, "1") } else { replace(Space::Usage, key, n - 1, n.to_string()) }
}
