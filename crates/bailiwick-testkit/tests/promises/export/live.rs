//! Exports of the real server while others write.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bailiwick_ledger::entry::Entry;
use serde_json::{Value, json};

use crate::harness::Ask;
use crate::harness::export::{Lines, keys_of, verdict};
use crate::harness::process::{Credentials, Running, Start};

const ROUNDS: usize = 3;
/// So many things are written between two exports, at least.
const WRITES_BETWEEN: u64 = 10;

/// Somebody's ledger.
struct Plane {
    path: String,
    reader: String,
    /// Whose entries: a tenant's id, or `platform`.
    name: String,
}

impl Plane {
    fn ask(&self, path: &str) -> Ask {
        Ask::get(format!("{}{path}", self.path)).by(&self.reader)
    }
}

fn planes(data: &Path, server: &Running) -> Vec<Plane> {
    let credentials = Credentials::read(data);
    let operator = credentials.operator();
    let mut planes = vec![Plane { path: "/api/v1/platform".into(), reader: operator, name: "platform".into() }];
    for slug in ["acme", "globex"] {
        let (path, reader) = (format!("/api/v1/t/{slug}"), credentials.admin(slug));
        let me = server.ask(&Ask::get(format!("{path}/whoami")).by(&reader)).ok().value();
        let name = me.pointer("/tenant/id").and_then(Value::as_str).unwrap().to_owned();
        planes.push(Plane { path, reader, name });
    }
    planes
}

/// Writers that go on until they are told to stop.
struct Writers {
    is_over: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Writers {
    fn start(server: &Running, planes: &[Plane]) -> Self {
        let (is_over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = planes.iter().filter(|plane| plane.name != "platform").flat_map(|plane| [plane, plane]);
        let threads = threads.enumerate().map(|(number, plane)| {
            let (mut wire, is_over, written) = (server.wire(), Arc::clone(&is_over), Arc::clone(&written));
            let (path, writer) = (format!("{}/secrets/secret/of-{number}", plane.path), plane.reader.clone());
            std::thread::spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    let ask = Ask::put(&path).by(&writer).json(json!({ "data": { "number": number } }));
                    wire.ask(&ask).unwrap().ok();
                    wire.ask(&Ask::get(&path).by(&writer)).unwrap().ok();
                    written.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        let threads = threads.collect();
        Self { is_over, written, threads }
    }

    fn wait_for(&self, more: u64) {
        let until = self.written.load(Ordering::SeqCst) + more;
        while self.written.load(Ordering::SeqCst) < until {
            std::thread::yield_now();
        }
    }

    fn stop(self) {
        self.is_over.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn exports_of_a_server_that_is_written_to_verify_and_agree_in_every_form() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Start::dev(&data).arg("--log").arg("error").run();
    let planes = planes(&data, &server);
    let keys: Vec<_> = planes.iter().map(|plane| keys_of(&server.ask(&plane.ask("/ledger/checkpoint")).ok())).collect();
    let writers = Writers::start(&server, &planes);
    let mut kept: Vec<Option<(String, u64)>> = vec![None; planes.len()];
    for _ in 0..ROUNDS {
        for (plane, (keys, kept)) in planes.iter().zip(keys.iter().zip(&mut kept)) {
            writers.wait_for(WRITES_BETWEEN);
            let export = server.ask(&plane.ask("/ledger/export")).ok();
            for key in keys {
                let previous = kept.as_ref().map(|(note, _)| note.as_str());
                let report = verdict(&export.body, std::slice::from_ref(key), previous).unwrap();
                assert_eq!((report.tenant.as_str(), report.erased), (plane.name.as_str(), 0));
                assert_eq!(report.previous, kept.as_ref().map(|(_, size)| *size));
                assert!(kept.as_ref().is_none_or(|(_, size)| *size < report.entries), "its own entry is in it");
            }
            let checkpoint = server.ask(&plane.ask("/ledger/checkpoint")).ok().value();
            let size = checkpoint.get("size").and_then(Value::as_u64).unwrap();
            *kept = Some((checkpoint["note"].as_str().unwrap().to_owned(), size));
            forms_agree(&server, plane, &planes);
        }
    }
    writers.stop();
}

/// Each form is the same ledger, up to where the first one ends; and of nobody else.
fn forms_agree(server: &Running, plane: &Plane, planes: &[Plane]) {
    let own = server.ask(&plane.ask("/ledger/export")).ok();
    let lines = Lines::of(&own.body);
    let plain = server.ask(&plane.ask("/ledger/export?format=jsonl")).ok();
    let events = server.ask(&plane.ask("/ledger/export?format=ocsf")).ok();
    let of = |body: &[u8]| -> Vec<Vec<u8>> {
        body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let (plain_lines, event_lines) = (of(&plain.body), of(&events.body));
    assert!(lines.entries() < plain_lines.len() && plain_lines.len() < event_lines.len(), "each is in the next");
    for (index, (plain, event)) in plain_lines.iter().zip(&event_lines).enumerate() {
        if index < lines.entries() {
            assert_eq!(lines.entry(index), *plain, "entry {index}");
        }
        let entry = Entry::parse(plain).unwrap();
        assert_eq!(entry.tenant, plane.name);
        let event: Value = serde_json::from_slice(event).unwrap();
        let metadata = &event["metadata"];
        assert_eq!(metadata["sequence"], index);
        assert_eq!(
            (&metadata["tenant_uid"], &metadata["correlation_uid"]),
            (&json!(entry.tenant), &json!(entry.request))
        );
        assert_eq!(event["time"], entry.time.unix_ms());
        assert_eq!(event["status_id"], if entry.outcome == "ok" { 1 } else { 2 });
    }
    if plane.name != "platform" {
        for other in planes.iter().filter(|other| other.name != plane.name && other.name != "platform") {
            for body in [&own.body, &plain.body, &events.body] {
                assert!(!String::from_utf8_lossy(body).contains(&other.name), "it names another tenant");
            }
        }
    }
}
