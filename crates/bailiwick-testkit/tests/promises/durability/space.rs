//! The disk is full, or refuses to write: requests fail closed, health tells the truth, nothing is lost, and the server goes
//! on by itself when the disk does.

use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick_store_sqlite::Options;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};

use crate::harness::export::verdict;
use crate::harness::house::House;
use crate::harness::process::{Credentials, Running, Start, binary};
use crate::harness::wire::Wire;
use crate::harness::{Ask, Told};

const ADMIN_PATHS: &str = "/api/v1/t/acme/secrets/secret/";

/// A server with a client that remembers what was acknowledged.
struct Filled {
    server: Running,
    wire: Wire,
    admin: String,
    operator: String,
    acknowledged: Vec<(String, usize)>,
    asked: usize,
}

impl Filled {
    fn start(start: Start, data: &Path) -> Self {
        let server = start.run();
        let credentials = Credentials::read(data);
        let (admin, operator, wire) = (credentials.admin("acme"), credentials.operator(), server.wire());
        Self { server, wire, admin, operator, acknowledged: Vec::new(), asked: 0 }
    }

    fn write(&mut self, bytes: usize) -> Told {
        self.asked += 1;
        let path = format!("of-{bytes}/{}", self.asked);
        let value = "x".repeat(bytes);
        let ask = Ask::put(format!("{ADMIN_PATHS}{path}")).by(&self.admin).json(json!({ "data": { "value": value } }));
        let told = self.wire.ask(&ask).unwrap();
        if told.is_ok() {
            self.acknowledged.push((path, bytes));
        }
        told
    }

    /// Writes until not even this fits.
    fn fill(&mut self, bytes: usize) {
        for _ in 0..5_000 {
            let told = self.write(bytes);
            if !told.is_ok() {
                let retry = told.header("retry-after").map(str::to_owned);
                told.refused(503, "storage_unavailable");
                assert!(retry.is_some(), "a client is not told when to try again");
                return;
            }
        }
        unreachable!("it is never full");
    }

    /// Reads until not even an entry fits.
    fn fill_with_reads(&mut self) {
        let ask = Ask::get("/api/v1/t/acme/whoami").by(&self.admin);
        while self.wire.ask(&ask).unwrap().is_ok() {}
    }

    fn operations(&mut self, path: &str) -> (u16, String) {
        let told = self.wire.ask(&Ask::get(path)).unwrap();
        (told.status, told.text())
    }

    /// Nothing can be made durable: nothing is answered but that.
    fn is_closed(&mut self) {
        for ask in [
            Ask::get("/api/v1/t/acme/whoami").by(&self.admin),
            Ask::get("/api/v1/t/acme/ledger/checkpoint").by(&self.admin),
            Ask::get("/api/v1/tenants").by(&self.operator),
            Ask::post("/api/v1/tenants").by(&self.operator).json(json!({ "slug": "late" })),
        ] {
            let told = self.wire.ask(&ask).unwrap();
            assert_eq!((told.status, told.code().as_str()), (503, "storage_unavailable"), "{ask:?}: {}", told.text());
        }
        if let Some((path, _)) = self.acknowledged.first() {
            let told = self.wire.ask(&Ask::get(format!("{ADMIN_PATHS}{path}")).by(&self.admin)).unwrap();
            assert_eq!(told.code(), "storage_unavailable", "a secret was revealed without an entry: {}", told.text());
        }
        assert_eq!(self.operations("/healthz"), (200, "ok\n".to_owned()), "the process is alive");
        assert_eq!(self.operations("/readyz"), (503, "storage unavailable\n".to_owned()));
    }

    /// Everything that was acknowledged is there, and the ledger knows exactly that.
    fn is_whole(&mut self) {
        assert_eq!(self.operations("/readyz"), (200, "ready\n".to_owned()));
        self.write(100).ok();
        for (path, bytes) in self.acknowledged.clone() {
            let told = self.wire.ask(&Ask::get(format!("{ADMIN_PATHS}{path}")).by(&self.admin)).unwrap().ok();
            let value = told.value();
            let value = value.pointer("/data/value").and_then(Value::as_str).unwrap_or_default();
            assert_eq!(value.len(), bytes, "{path}");
        }
        let shown = self.wire.ask(&Ask::get("/api/v1/tenants/acme").by(&self.operator)).unwrap().ok().value();
        let count = |name: &str| shown.pointer(&format!("/counts/{name}")).and_then(Value::as_u64);
        assert_eq!(count("secrets"), Some(self.acknowledged.len() as u64), "a refused write was carried out");
        for plane in ["/api/v1/t/acme/ledger/export", "/api/v1/platform/ledger/export"] {
            let holder = if plane.contains("acme") { &self.admin } else { &self.operator };
            let export = self.wire.ask(&Ask::get(plane).by(holder)).unwrap().ok();
            verdict(&export.body, &[], None).unwrap();
        }
        let ask = Ask::get("/api/v1/t/acme/ledger/export?format=jsonl").by(&self.admin);
        let entries = crate::harness::export::lines(&self.wire.ask(&ask).unwrap().ok());
        let written = entries.iter().filter(|entry| entry.action == "secret:write" && entry.outcome == "ok").count();
        assert_eq!(written, self.acknowledged.len());
    }
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(directory.path());
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        is_mounted.then_some(Self(directory))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_loses_nothing_and_heals() {
    let Some(disk) = SmallDisk::mount("192m") else {
        // Not silently: the limit on pages and the limit on files below need no rights, and say the same.
        eprintln!("skipped: this user may not mount a small disk");
        return;
    };
    let (data, ballast) = (disk.0.path().join("data"), disk.0.path().join("ballast"));
    std::fs::write(&ballast, vec![1; 128 << 20]).unwrap();
    let mut filled = Filled::start(Start::dev(&data).arg("--log").arg("error"), &data);
    // What is acknowledged is in the log and on its way to the tables: what heals it is room for both.
    // Down to the last page: a read needs room for its entry as well.
    for bytes in [200_000, 20_000, 2_000, 1] {
        filled.fill(bytes);
    }
    filled.fill_with_reads();
    assert!(filled.acknowledged.len() > 5, "{:?}", filled.acknowledged);
    filled.is_closed();
    std::fs::remove_file(&ballast).unwrap();
    filled.is_whole();
    // Full once more, killed there, and started on a disk with room.
    std::fs::write(&ballast, vec![1; 48 << 20]).unwrap();
    for bytes in [200_000, 2_000, 1] {
        filled.fill(bytes);
    }
    let acknowledged = std::mem::take(&mut filled.acknowledged);
    let Filled { server, asked, .. } = filled;
    server.kill();
    std::fs::remove_file(&ballast).unwrap();
    let mut again = Filled::start(Start::dev(&data), &data);
    (again.acknowledged, again.asked) = (acknowledged, asked);
    again.is_whole();
}

#[test]
fn a_disk_that_fails_to_write_refuses_loses_nothing_and_heals() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    // Files that may not grow are errors of write(2), if the signal that comes with them is ignored.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(binary());
    shell.args(["dev", "--listen", "127.0.0.1:0", "--log", "off", "--data"]).arg(&data);
    let mut filled = Filled::start(Start::of(shell), &data);
    for _ in 0..20 {
        filled.write(5_000).ok();
    }
    let process = Pid::from_raw(i32::try_from(filled.server.id()).unwrap());
    let before = getrlimit(Resource::Fsize);
    for round in 0..5 {
        let nothing = Rlimit { current: Some(0), maximum: before.maximum };
        prlimit(process, Resource::Fsize, nothing).unwrap();
        filled.is_closed();
        filled.write(round).refused(503, "storage_unavailable");
        prlimit(process, Resource::Fsize, before).unwrap();
        filled.is_whole();
    }
}

/// The same without a disk to fill: the engine is told that there are no more pages.
#[tokio::test]
async fn a_database_that_may_not_grow_refuses_and_loses_nothing() {
    let house = House::new().await;
    let tenant = house.tenant("full").await;
    let ground = house.stop();
    let pages = std::fs::metadata(ground.database()).unwrap().len().div_ceil(4_096);
    let page_limit = Some(u32::try_from(pages + 200).unwrap());
    let house = House::open_with(ground, Options { page_limit, ..Options::default() });
    house.unseal_with_file().await;

    let mut acknowledged: Vec<(PathBuf, usize)> = Vec::new();
    for bytes in [100_000, 10_000, 1] {
        for number in 0.. {
            let path = format!("of-{bytes}/{number}");
            let ask = Ask::put(tenant.at(&format!("/secrets/secret/{path}"))).by(&tenant.owner);
            let told = house.ask(ask.json(json!({ "data": { "value": "x".repeat(bytes) } }))).await;
            if !told.is_ok() {
                told.refused(503, "storage_unavailable");
                break;
            }
            acknowledged.push((path.into(), bytes));
        }
    }
    assert!(acknowledged.len() > 3);
    // A read needs room for its entry as well.
    let read = loop {
        let told = house.ask(Ask::get(tenant.at("/whoami")).by(&tenant.owner)).await;
        if !told.is_ok() {
            break told;
        }
    };
    read.refused(503, "storage_unavailable");
    assert_eq!(house.ask(Ask::get("/readyz")).await.status, 503);
    assert_eq!(house.ask(Ask::get("/healthz")).await.status, 200);

    let ground = house.stop();
    let house = House::start(ground).await;
    assert_eq!(house.ask(Ask::get("/readyz")).await.status, 200);
    for (path, bytes) in &acknowledged {
        let ask = Ask::get(tenant.at(&format!("/secrets/secret/{}", path.display()))).by(&tenant.owner);
        let value = house.ask(ask).await.ok().value();
        assert_eq!(value.pointer("/data/value").and_then(Value::as_str).map(str::len), Some(*bytes));
    }
    let export = house.ask(Ask::get(tenant.at("/ledger/export")).by(&tenant.owner)).await.ok();
    verdict(&export.body, &[], None).unwrap();
}
