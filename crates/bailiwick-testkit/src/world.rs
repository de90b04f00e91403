//! A server with two tenants.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_app::{App, AppConfig};
use bailiwick_http::{HttpConfig, Server};
use bailiwick_store::{Header, Record, Space, Store, StoredEntry};
use bailiwick_store_sqlite::{Options, SqliteStore};
use bailiwick_types::{Clock as _, TenantId, Timestamp};
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::build::template;
use crate::clock::TestClock;
use crate::observed::{Observed, Operation};
use crate::random::SeededRandom;
use crate::request::{Answer, Request};
use bailiwick_probe::holdings::{Platform, Tenant};

/// How a world differs from the usual one.
#[derive(Debug, Clone, Default)]
pub struct WorldOptions {
    /// How the kernel behaves.
    pub app: AppConfig,
    /// What the doors know. Where the root key file is, is said by the world.
    pub http: HttpConfig,
    /// The store; small unless said otherwise.
    pub store: Option<Options>,
    /// The seed of everything random in this world.
    pub seed: String,
}

/// A server with two tenants, in this process, on a directory of its own.
pub struct World {
    /// The tenant `acme`.
    pub acme: Tenant,
    /// The tenant `globex`.
    pub globex: Tenant,
    /// The platform.
    pub platform: Platform,
    /// The world's time.
    pub clock: Arc<TestClock>,
    pub(crate) options: WorldOptions,
    random: Arc<SeededRandom>,
    sent: Mutex<HashMap<String, u64>>,
    /// `None` only while the server is being restarted.
    running: Option<Running>,
    runtime: Runtime,
    directory: TempDir,
}

struct Running {
    server: Arc<Server>,
    store: Arc<SqliteStore>,
    observed: Arc<Observed>,
}

/// Whose plane to look at.
#[derive(Debug, Clone, Copy)]
pub enum Plane<'a> {
    /// The platform's.
    Platform,
    /// A tenant's.
    Tenant(&'a Tenant),
}

impl Plane<'_> {
    fn id(self) -> TenantId {
        match self {
            Plane::Platform => TenantId::PLATFORM,
            Plane::Tenant(tenant) => tenant.id.parse().expect("a tenant's id"),
        }
    }
}

/// Everything that is stored of one plane, as the bytes that they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its row: state, epoch, counts, wrapped keys, ledger.
    pub header: Header,
    /// Its records.
    pub records: Vec<(Space, Vec<u8>, Record)>,
    /// Its ledger.
    pub entries: Vec<StoredEntry>,
}

impl World {
    /// The usual world. Every test gets its own, from a template that is built once in a process.
    pub fn two_tenants() -> Self {
        Self::with(WorldOptions::default())
    }

    /// A world that differs.
    pub fn with(options: WorldOptions) -> Self {
        let template = template();
        let directory = tempfile::tempdir().expect("a temporary directory");
        for file in std::fs::read_dir(template.directory()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
        }
        let mut world = Self::unopened(directory, options, template.now);
        world.acme.clone_from(&template.acme);
        world.globex.clone_from(&template.globex);
        world.platform.clone_from(&template.platform);
        world.start();
        world.block_on(world.app().unseal_with_file(&world.root_key_file())).expect("the template's root key");
        world
    }

    /// Another installation: its own id, root key and platform, and no tenants.
    pub fn elsewhere(seed: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let options = WorldOptions { seed: format!("elsewhere {seed}"), ..WorldOptions::default() };
        let mut world = Self::unopened(directory, options, template().now);
        world.start();
        let body = serde_json::json!({ "provider": "file" });
        let made = world.send(bailiwick_probe::catalogue::ANONYMOUS, "POST", "/api/v1/init", &body).expect(200);
        let text = |name: &str| made["operator"][name].as_str().expect("an operator").to_owned();
        world.platform.admin.id = text("id");
        world.platform.admin.key.credential = text("credential");
        world
    }

    /// A server on another directory that has this world's installation, moved there. It knows the same parties, and its
    /// clock stands where this one's does.
    pub fn moved_to(&self, directory: TempDir) -> Self {
        let options = WorldOptions { seed: format!("{}, moved", self.options.seed), ..self.options.clone() };
        let mut world = Self::unopened(directory, options, self.clock.now());
        world.acme.clone_from(&self.acme);
        world.globex.clone_from(&self.globex);
        world.platform.clone_from(&self.platform);
        std::fs::copy(self.root_key_file(), world.root_key_file()).expect("the root key goes along");
        world.start();
        world.block_on(world.app().unseal_with_file(&world.root_key_file())).expect("the root key");
        world
    }

    pub(crate) fn unopened(directory: TempDir, options: WorldOptions, now: Timestamp) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self {
            acme: Tenant::default(),
            globex: Tenant::default(),
            platform: Platform::default(),
            clock: Arc::new(TestClock::at(now)),
            random: Arc::new(SeededRandom::new(&options.seed)),
            options,
            sent: Mutex::new(HashMap::new()),
            running: None,
            runtime,
            directory,
        }
    }

    /// The directory with the database and the root key.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn into_directory(mut self) -> TempDir {
        self.stop();
        self.directory
    }

    /// Where the root key is.
    pub fn root_key_file(&self) -> PathBuf {
        self.directory.path().join("root.key")
    }

    /// Where the database is.
    pub fn database_file(&self) -> PathBuf {
        self.directory.path().join("bailiwick.db")
    }

    pub(crate) fn start(&mut self) {
        let small =
            Options { read_connections: 2, queue: 256, cache_tenants: 64, cache_bytes: 1 << 20, ..Options::default() };
        let options = self.options.store.clone().unwrap_or(small);
        let store = SqliteStore::open(&self.database_file(), options).expect("the database opens");
        let observed = Arc::new(Observed::new(Arc::clone(&store) as Arc<dyn Store>));
        let mut config = self.options.app.clone();
        // The only waits that the world's clock does not decide about.
        (config.turns.refusal_delay, config.turns.brief_hold) = (Duration::ZERO, Duration::ZERO);
        let app = App::new(
            Arc::clone(&observed) as Arc<dyn Store>,
            Arc::clone(&self.clock) as _,
            Arc::clone(&self.random) as _,
            config,
        );
        let http = HttpConfig { root_key_file: Some(self.root_key_file()), ..self.options.http.clone() };
        let server = Server::new(app, http).expect("no two routes collide");
        self.running = Some(Running { server, store, observed });
    }

    /// Another node over the same store, sealed still: a fleet in this process. It behaves as `app` says.
    pub fn another_node(&self, name: &str, app: AppConfig) -> Arc<Server> {
        self.another_node_over(Arc::clone(self.store()) as Arc<dyn Store>, name, app)
    }

    /// As [`World::another_node`], with something between it and the store.
    pub fn another_node_over(&self, store: Arc<dyn Store>, name: &str, app: AppConfig) -> Arc<Server> {
        self.another_node_by(Arc::clone(&self.clock), store, name, app)
    }

    /// As [`World::another_node_over`], with a clock of its own.
    pub fn another_node_by(
        &self,
        clock: Arc<TestClock>,
        store: Arc<dyn Store>,
        name: &str,
        app: AppConfig,
    ) -> Arc<Server> {
        let app = AppConfig { node: name.to_owned(), ..app };
        let app = App::new(store, clock, Arc::clone(&self.random) as _, app);
        let http = HttpConfig { root_key_file: Some(self.root_key_file()), ..self.options.http.clone() };
        Server::new(app, http).expect("no two routes collide")
    }

    /// Stops the server. What is on disk is what an orderly end leaves there.
    pub fn stop(&mut self) {
        self.running = None;
    }

    /// Starts the server again (after stopping it, if it runs), and unseals it.
    pub fn restart(&mut self) {
        self.stop();
        self.start();
        self.block_on(self.app().unseal_with_file(&self.root_key_file())).expect("the root key");
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.running().server
    }

    /// The kernel.
    pub fn app(&self) -> &Arc<App> {
        self.server().app()
    }

    /// The store.
    pub fn store(&self) -> &Arc<SqliteStore> {
        &self.running().store
    }

    /// Both tenants, as (one, the other): every case of tenancy runs for both.
    pub fn both_ways(&self) -> [(&Tenant, &Tenant); 2] {
        [(&self.acme, &self.globex), (&self.globex, &self.acme)]
    }

    /// Waits for a future on the world's own thread.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Time goes on.
    pub fn advance(&self, span: Duration) {
        self.clock.advance(span);
    }

    /// Does what background work is due, as the server does every second.
    pub fn run_due_jobs(&self) {
        self.block_on(self.app().run_due_jobs()).expect("background work");
    }

    /// The stream of randomness of somebody's next request.
    pub(crate) fn next_label(&self, whose: &str) -> String {
        let mut sent = self.sent.lock();
        let number = sent.entry(whose.to_owned()).or_default();
        *number += 1;
        format!("{whose}:{number}")
    }

    // --- asking ------------------------------------------------------------------------------------------------------

    /// A request that is still to be told who sends it.
    pub fn request(&self, method: &str, target: &str) -> Request<'_> {
        Request::new(self, method, target)
    }

    /// Sends a request with a JSON body (`null`: none) and waits for the answer.
    pub fn send(&self, caller: impl AsRef<str>, method: &str, target: &str, body: &Value) -> Answer {
        self.request(method, target).by(caller).json(body).send()
    }

    /// Sends a GET.
    pub fn get(&self, caller: impl AsRef<str>, target: &str) -> Answer {
        self.send(caller, "GET", target, &Value::Null)
    }

    /// The newest entries of a tenant's ledger as the owner sees them, newest first, without its own reading of them.
    pub fn ledger(&self, tenant: &Tenant, count: usize) -> Vec<Value> {
        let target = format!("/api/v1/t/{}/ledger/entries?order=desc&limit={count}", tenant.slug);
        entries(&self.get(&tenant.owner, &target))
    }

    /// The newest entries of the platform's ledger, newest first, without this reading of them.
    pub fn platform_ledger(&self, count: usize) -> Vec<Value> {
        let target = format!("/api/v1/platform/ledger/entries?order=desc&limit={count}");
        entries(&self.get(&self.platform.admin, &target))
    }

    // --- looking -----------------------------------------------------------------------------------------------------

    /// What the server did with its store since the last call of this.
    pub fn operations(&self) -> Vec<Operation> {
        self.running().observed.take()
    }

    /// From now on the store answers as an engine that keeps no past.
    pub fn hide_past(&self) {
        self.running().observed.hide_past();
    }

    /// The header of a plane: all of its commits show in it.
    pub fn header(&self, plane: Plane<'_>) -> Header {
        self.block_on(self.store().header(plane.id())).unwrap().expect("the plane exists")
    }

    /// Everything that is stored of a plane.
    pub fn stored(&self, plane: Plane<'_>) -> Stored {
        let id = plane.id();
        self.block_on(async {
            let store = self.store();
            let header = store.header(id).await.unwrap().expect("the plane exists");
            let mut records = Vec::new();
            for space in Space::ALL {
                let mut after: Option<Vec<u8>> = None;
                loop {
                    let page = store.records(id, *space, b"", after.as_deref(), 100).await.unwrap();
                    let Some((last, _)) = page.last() else { break };
                    after = Some(last.clone());
                    records.extend(page.into_iter().map(|(key, record)| (*space, key, record)));
                }
            }
            let mut entries = Vec::new();
            while (entries.len() as u64) < header.ledger.size() {
                let page = store.entries(id, entries.len() as u64, 100).await.unwrap();
                assert!(!page.is_empty(), "the ledger has a gap");
                entries.extend(page);
            }
            Stored { header, records, entries }
        })
    }
}

fn entries(answer: &Answer) -> Vec<Value> {
    let page = answer.expect(200);
    page["items"].as_array().unwrap().iter().map(|item| item["entry"].clone()).collect()
}
