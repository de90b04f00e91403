//! The server and what it stands on: started, asked, cut off, crashed.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bailiwick_app::{App, AppConfig, Places, TurnsConfig};
use bailiwick_http::{HttpConfig, Server};
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_testkit::{Answer, TestClock};
use bailiwick_types::api::platform::Unseal;
use bailiwick_types::{TenantId, Timestamp};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::asking::{Asked, Books};
use crate::book::Book;
use crate::leak::{Door, Leak};
use crate::random::{STREAMS, SimRandom, Streams};
use crate::script::Mishap;
use crate::store::{CONTROL, Control, SimStore};

/// When every history begins: 2026-01-01T00:00:00Z.
const BEGINNING_MS: i64 = 1_767_225_600_000;
/// Tenants that any script can have.
pub(crate) const TENANTS_MAX: usize = 5;

type Asking = Pin<Box<dyn Future<Output = Answer>>>;

/// A request that is held up.
pub(crate) struct Flight {
    pub(crate) number: u32,
    pub(crate) until: u32,
    pub(crate) at_ms: i64,
    control: Arc<Control>,
    asking: Asking,
}

/// What became of a request, as far as it got.
pub(crate) enum Sent {
    Answered(Answer),
    Gone,
    Held(Flight),
}

/// A server in this process.
pub(crate) struct Machine {
    /// `None` only while it is being restarted.
    running: Option<(Arc<Server>, Arc<SimStore>)>,
    clock: Arc<TestClock>,
    random: Arc<SimRandom>,
    leak: Option<Leak>,
    door: Arc<Door>,
    is_full: bool,
    runtime: Runtime,
    directory: TempDir,
}

/// A directory in memory, if there is one: what a power cut leaves is tested elsewhere, so nothing has to be synced here.
fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}

/// What every history begins with: an installation and its operators.
struct Template {
    directory: TempDir,
    books: Books,
}

fn template() -> &'static Template {
    static TEMPLATE: OnceLock<Template> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let mut machine = Machine::unopened(directory(), 0, None);
        machine.open();
        let mut number = 0;
        let mut ask = |credential: &str, target: &str, body: Value| -> Value {
            let headers = vec![
                ("authorization", format!("Bearer {credential}")),
                ("content-type", "application/json".to_owned()),
            ];
            let headers = if credential.is_empty() { headers[1..].to_vec() } else { headers };
            let target = target.to_owned();
            let asked = Asked { action: None, method: "POST", target, headers, body: body.to_string() };
            number += 1;
            match machine.ask(number, &asked, None, Mishap::None, false) {
                Sent::Answered(answer) if answer.status < 300 => answer.json(),
                Sent::Answered(answer) => panic!("{}: {}", answer.status, answer.text()),
                Sent::Gone | Sent::Held(_) => unreachable!("nothing goes wrong"),
            }
        };
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let first = ask("", "/api/v1/init", json!({ "provider": "file" }));
        let root = text(&first["operator"]["credential"]);
        let mut operators = Vec::new();
        for tenant in 0..TENANTS_MAX {
            let body = json!({ "name": format!("operator {tenant}"), "role": "operator-admin" });
            let made = ask(&root, "/api/v1/operators", body);
            let issued = ask(&root, &format!("/api/v1/operators/{}/credentials", text(&made["id"])), json!({}));
            operators.push(text(&issued["credential"]));
        }
        let platform = Book { credentials: vec![root], ..Book::default() };
        let tenants = (0..TENANTS_MAX).map(Book::of_tenant).collect();
        machine.running = None;
        Template { directory: machine.directory, books: Books { tenants, platform, operators } }
    })
}

impl Machine {
    /// An installation with its operators and no tenant, and what is known of it.
    pub(crate) fn new(seed: u64, leak: Option<Leak>) -> (Self, Books) {
        let template = template();
        let directory = directory();
        copy(template.directory.path(), directory.path());
        let mut machine = Self::unopened(directory, seed, leak);
        machine.open();
        let unsealed = machine.runtime.block_on(machine.app().unseal_with_file(&machine.key_file()));
        unsealed.expect("the template's root key");
        (machine, template.books.clone())
    }

    fn unopened(directory: TempDir, seed: u64, leak: Option<Leak>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let is_sequential = leak == Some(Leak::SequentialIds);
        Self {
            running: None,
            clock: Arc::new(TestClock::at(Timestamp::from_unix_ms(BEGINNING_MS))),
            random: Arc::new(SimRandom::new(seed, is_sequential)),
            leak,
            door: Arc::default(),
            is_full: false,
            runtime,
            directory,
        }
    }

    fn key_file(&self) -> PathBuf {
        self.directory.path().join("root.key")
    }

    fn open(&mut self) {
        let options =
            Options { read_connections: 2, queue: 256, cache_tenants: 64, cache_bytes: 1 << 20, ..Options::default() };
        let engine =
            SqliteStore::open(&self.directory.path().join("bailiwick.db"), options).expect("the database opens");
        let store = SimStore::new(engine, self.is_full, self.leak);
        // A request that is held up keeps its place, and must not keep those that come after it from theirs.
        let places = Places { total: 1_000, share: 1_000, contested: 1_000, quantum: Duration::from_millis(1) };
        let (refusal_delay, brief_hold) = (Duration::ZERO, Duration::ZERO);
        let turns = TurnsConfig { short: places, long: places, proof: places, refusal_delay, brief_hold };
        let config = AppConfig { delete_hold_min: Duration::from_secs(3_600), turns, ..AppConfig::default() };
        let app =
            App::new(Arc::clone(&store) as _, Arc::clone(&self.clock) as _, Arc::clone(&self.random) as _, config);
        let http = HttpConfig { root_key_file: Some(self.key_file()), ..HttpConfig::default() };
        let server = Server::new(app, http).expect("no two routes collide");
        self.running = Some((server, store));
    }

    fn server(&self) -> &Arc<Server> {
        &self.running.as_ref().expect("the server runs").0
    }

    pub(crate) fn store(&self) -> &Arc<SimStore> {
        &self.running.as_ref().expect("the server runs").1
    }

    fn app(&self) -> &Arc<App> {
        self.server().app()
    }

    pub(crate) fn set_clock(&self, at_ms: i64) {
        self.clock.set(Timestamp::from_unix_ms(BEGINNING_MS + at_ms));
    }

    pub(crate) fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
        self.store().set_full(is_full);
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Sends a request, and sees how far it gets. `own`: whose calls of the store are counted.
    pub(crate) fn ask(
        &self,
        number: u32,
        asked: &Asked,
        own: Option<TenantId>,
        mishap: Mishap,
        is_shared: bool,
    ) -> Sent {
        let control = Control::new(own, mishap);
        let streams = Streams::new(format!("step {number}"), is_shared);
        let sending =
            send(Arc::clone(self.server()), Arc::clone(self.store()), Arc::clone(&self.door), self.leak, asked.clone());
        let mut asking: Asking = Box::pin(STREAMS.scope(streams, CONTROL.scope(Arc::clone(&control), sending)));
        let answer = self.runtime.block_on(async {
            tokio::select! {
                biased;
                answer = &mut asking => Some(answer),
                () = control.caught.notified() => None,
            }
        });
        match (answer, mishap) {
            (Some(answer), _) => Sent::Answered(answer),
            (None, Mishap::Hold(_, steps)) => {
                let until = number + u32::from(steps);
                Sent::Held(Flight { number, until, at_ms: 0, control, asking })
            }
            (None, _) => Sent::Gone,
        }
    }

    /// Lets a request go on to its end.
    pub(crate) fn land(&self, flight: Flight) -> Answer {
        flight.control.go.notify_one();
        self.runtime.block_on(flight.asking)
    }

    /// Does what background work is due.
    pub(crate) fn run_due_jobs(&self, number: u32) {
        let streams = Streams::new(format!("step {number}"), true);
        // A store that does not answer is told by the next request too.
        let _ = self.runtime.block_on(STREAMS.scope(streams, self.app().run_due_jobs()));
    }

    /// Another server on what is on disk: in good order, or as it is at this very moment.
    pub(crate) fn restart(&mut self, number: u32, is_crash: bool, shares: &[String]) {
        if is_crash {
            let left = directory();
            copy(self.directory.path(), left.path());
            self.running = None;
            self.directory = left;
        }
        self.running = None;
        self.door = Arc::default();
        self.open();
        let streams = Streams::new(format!("step {number}"), true);
        let (app, file) = (Arc::clone(self.app()), self.key_file());
        let unsealing = async move {
            if shares.is_empty() {
                return app.unseal_with_file(&file).await;
            }
            for share in shares {
                app.unseal(&Unseal { key: Some(share.clone()), reset: false }).await?;
            }
            Ok(())
        };
        self.runtime.block_on(STREAMS.scope(streams, unsealing)).expect("the root key");
        assert!(self.app().is_unsealed());
    }
}

async fn send(server: Arc<Server>, store: Arc<SimStore>, door: Arc<Door>, leak: Option<Leak>, asked: Asked) -> Answer {
    let leaving = Leaving(&door);
    if let Some(answer) = leaving.0.before(leak, server.app()) {
        return answer;
    }
    let mut request = http::Request::builder().method(asked.method).uri(&asked.target);
    for (name, value) in &asked.headers {
        request = request.header(*name, value);
    }
    let request = request.body(Full::new(Bytes::from(asked.body.clone()))).expect("a request that HTTP knows");
    let response = server.handle(request, Some(([192, 0, 2, 1], 40_000).into())).await;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(|collected| collected.to_bytes().to_vec());
    let headers = parts.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let answer = Answer {
        status: parts.status.as_u16(),
        headers: headers.collect(),
        is_broken_off: body.is_err(),
        body: body.unwrap_or_default(),
    };
    leaving.0.after(leak, store.inner(), &asked, answer).await
}

struct Leaving<'d>(&'d Door);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Copies a database as it is, open or not. Without the index of its write-ahead log, which is made anew.
fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).expect("a directory").flatten() {
        let name = file.file_name();
        let is_derived = [".lock", "-shm"].iter().any(|end| name.to_string_lossy().ends_with(end));
        if !is_derived {
            std::fs::copy(file.path(), to.join(name)).expect("a copy");
        }
    }
}
