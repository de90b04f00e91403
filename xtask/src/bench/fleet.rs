//! `cargo xtask bench --store postgres`: one PostgreSQL, started for the measurement, under OpenBao and under one and three
//! nodes of ours; the embedded store beside them.
//!
//! All of them share the machine's cores with the database and the load generator, so three nodes on one machine show what
//! coordination costs, not what two more machines would bring.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick_pgkit::{Cluster, Database, Setting};
use serde_json::{Value, json};

use super::growth::Level;
use super::load::{Request, Until};
use super::openbao::OpenBao;
use super::report::Report;
use super::side::{Bailiwick, Side, native_credential};
use super::{Bench, CONNECTIONS, Options, Part, Sides, machine};
use crate::failure::{Context, Failure, Outcome};
use crate::http::Client;
use crate::server::{Server, free_address};
use crate::shell;

/// What a database server of this size would be given. Durability is as it comes.
const SETTINGS: [Setting; 3] =
    [Setting("shared_buffers", "512MB"), Setting("max_wal_size", "4GB"), Setting("max_connections", "200")];

impl Bench {
    pub(super) fn measure_fleet(&self, options: &Options) -> Outcome<Report> {
        let wants = |part: Part| options.only.is_empty() || options.only.contains(&part);
        let mut report = Report::new(self)?;
        let cluster = Cluster::start_with(&SETTINGS)?;
        if wants(Part::Kv) {
            let sides = self.launch_fleet(&cluster, "kv", &[1, 3], true, &mut report)?;
            self.kv(&sides, &mut report)?;
        }
        if wants(Part::Creation) {
            let sides = self.launch_fleet(&cluster, "creation", &[1], false, &mut report)?;
            self.creation(&sides, &mut report)?;
        }
        if wants(Part::Growth) {
            let mut levels =
                options.tenants.clone().unwrap_or(if options.quick { vec![0, 200] } else { vec![0, 1_000, 100_000] });
            levels.sort_unstable();
            self.fleet_growth(&cluster, &levels, &mut report)?;
        }
        Ok(report)
    }

    /// Fresh servers on fresh databases: OpenBao, so many nodes each, and the embedded store.
    fn launch_fleet(
        &self,
        cluster: &Cluster,
        name: &str,
        nodes: &[usize],
        beside: bool,
        report: &mut Report,
    ) -> Outcome<Sides> {
        let mut sides: Sides = Vec::new();
        if let Some(binary) = &self.openbao {
            let database = cluster.database(&format!("{name}_bao"))?;
            let url = format!("{}?sslmode=disable", database.owner_url);
            let storage = json!({"postgresql": {"connection_url": url, "max_parallel": "128"}});
            let home = self.home.join(format!("{name}-openbao"));
            sides.push(Box::new(OpenBao::launch_on(binary, home, None, ", PostgreSQL", storage)?));
        }
        if let Some(binary) = &self.bailiwick {
            for count in nodes {
                let database = cluster.database(&format!("{name}_{count}"))?;
                let home = self.home.join(format!("{name}-{count}-nodes"));
                sides.push(Box::new(Fleet::launch(binary, home, &database, *count)?));
            }
            if beside {
                let home = self.home.join(format!("{name}-embedded"));
                sides.push(Box::new(Named("Bailiwick, embedded".to_owned(), Bailiwick::launch(binary, home, None)?)));
            }
        }
        report.names = sides.iter().map(|side| side.name().to_owned()).collect();
        Ok(sides)
    }

    /// One node as its tenants grow: how fast they are made, what a read costs, how long a restart takes.
    fn fleet_growth(&self, cluster: &Cluster, levels: &[u64], report: &mut Report) -> Outcome {
        let Some(binary) = &self.bailiwick else { return Ok(()) };
        let database = cluster.database("growth")?;
        let mut side = Fleet::launch(binary, self.home.join("growth"), &database, 1)?;
        let probe = side.add_tenant("probe")?;
        let mut grown = 0;
        for level in levels {
            let mut legs = Vec::new();
            let per_leg = (level - grown).div_ceil(4);
            while grown < *level {
                let count = per_leg.min(level - grown);
                let mut plan = self.plan(&side, &[side.creation("grown")], CONNECTIONS)?;
                (plan.load.until, plan.load.first) = (Until::Count(count), grown);
                let run = self.load(&plan)?;
                println!("{}: {} tenants, {:.1}/s", side.name(), grown + count, run.rate);
                legs.push(run);
                grown += count;
            }
            let memory = machine::settled_memory(side.pid()?)?;
            let mut restarts = Vec::new();
            for _ in 0..self.runs.min(3) {
                restarts.push(side.restart(&probe)?.as_secs_f64());
            }
            let idle = machine::settled_memory(side.pid()?)?;
            let name = side.name().to_owned();
            let level = Level { side: name, tenants: *level, legs, grown: memory, idle, restarts, ..Level::default() };
            println!("{}: {}", side.name(), level.line());
            println!("{}: at {grown} tenants {}", side.name(), sizes(cluster)?);
            report.levels.push(level);
            let reads = vec![vec![probe.read(0)]];
            let plan = self.plan(&side, &reads, CONNECTIONS)?;
            let name = format!("one tenant's secret read, among {grown}");
            let columns = vec![(0..self.runs).map(|_| self.load(&plan)).collect::<Outcome<Vec<_>>>()?];
            report.alone.push(super::report::Row { name, connections: CONNECTIONS, columns });
        }
        Ok(())
    }
}

/// How large the database of the growing node is, and what an entry of a ledger takes in it, with its place in the index.
fn sizes(cluster: &Cluster) -> Outcome<String> {
    const SIZES: &str = "SELECT 'its database has ' || pg_size_pretty(pg_database_size(current_database())) \
        || ', ' || entries || ' ledger entries of ' || bytes / greatest(entries, 1) || ' bytes each' \
        FROM (SELECT count(*) AS entries FROM bailiwick.ledger_entry) e, \
        (SELECT sum(pg_total_relation_size(c.oid))::bigint AS bytes FROM pg_class c \
        WHERE c.relnamespace = 'bailiwick'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'ledger\\_entry%') s";
    Ok(cluster.sql("growth", &[SIZES])?)
}

/// The embedded server under a name that tells it from the others.
struct Named(String, Bailiwick);

impl Side for Named {
    fn name(&self) -> &str {
        &self.0
    }
    fn address(&self) -> SocketAddr {
        self.1.address()
    }
    fn pid(&self) -> Outcome<u32> {
        self.1.pid()
    }
    fn creation(&self, prefix: &str) -> Vec<Request> {
        self.1.creation(prefix)
    }
    fn ceiling(&self) -> Request {
        self.1.ceiling()
    }
    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String> {
        self.1.credential(client, slug)
    }
    fn stop(&mut self) -> Outcome {
        self.1.stop()
    }
    fn kill(&mut self) {
        self.1.kill();
    }
    fn start(&mut self) -> Outcome {
        self.1.start()
    }
}

/// Some `bailiwick serve` on one database.
struct Fleet {
    name: String,
    binary: PathBuf,
    home: PathBuf,
    url: String,
    addresses: Vec<SocketAddr>,
    nodes: Vec<Server>,
    operator: String,
}

impl Fleet {
    fn launch(binary: &Path, home: PathBuf, database: &Database, count: usize) -> Outcome<Self> {
        fs::create_dir_all(&home).context(home.display())?;
        let mut migrate = Command::new(binary);
        migrate.args(["store", "migrate", "--store", &database.owner_url, "--server-role", &database.server]);
        shell::capture(&mut migrate)?;
        let addresses = (0..count).map(|_| free_address()).collect::<Outcome<Vec<_>>>()?;
        let name = match count {
            1 => "Bailiwick, PostgreSQL, 1 node".to_owned(),
            _ => format!("Bailiwick, PostgreSQL, {count} nodes"),
        };
        let (binary, url) = (binary.to_path_buf(), database.server_url.clone());
        let mut side = Self { name, binary, home, url, addresses, nodes: Vec::new(), operator: String::new() };
        side.start()?;
        Ok(side)
    }

    fn node(&self, at: usize, address: SocketAddr) -> Outcome<Server> {
        let key = self.home.join("root.key");
        let config = self.home.join(format!("node-{at}.toml"));
        let text = format!(
            "listen = \"{address}\"\ndata = \"{}\"\n[root_key]\nprovider = \"file\"\nfile = \"{}\"\n\
             [log]\nlevel = \"warn\"\n",
            self.home.join(format!("node-{at}")).display(),
            key.display()
        );
        fs::write(&config, text).context(config.display())?;
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--config").arg(&config).args(["--store", &self.url]);
        let mut server = Server::start(&mut command, &self.home.join(format!("node-{at}.log")))?;
        server.wait_until(|| call(address, "GET", "/api/v1/seal-status", "").is_ok())?;
        Ok(server)
    }
}

fn call(address: SocketAddr, method: &str, path: &str, body: &str) -> Outcome<Value> {
    let (status, answer) = Client::connect(address)?.call(method, path, &[], body)?;
    if (200..300).contains(&status) { Ok(answer) } else { Err(Failure::new(format!("{path}: {status} {answer}"))) }
}

impl Side for Fleet {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> SocketAddr {
        self.addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    fn pid(&self) -> Outcome<u32> {
        self.nodes.first().map(Server::pid).context("not started")
    }

    fn pids(&self) -> Outcome<Vec<u32>> {
        Ok(self.nodes.iter().map(Server::pid).collect())
    }

    fn creation(&self, prefix: &str) -> Vec<Request> {
        vec![bailiwick_load::creation(prefix, &self.operator)]
    }

    fn ceiling(&self) -> Request {
        Request::new("GET", "/healthz")
    }

    fn credential(&self, client: &mut Client, slug: &str) -> Outcome<String> {
        native_credential(client, slug, &self.operator)
    }

    fn stop(&mut self) -> Outcome {
        self.nodes.drain(..).try_for_each(Server::stop)
    }

    fn kill(&mut self) {
        self.nodes.clear();
    }

    fn start(&mut self) -> Outcome {
        for (at, address) in self.addresses.clone().into_iter().enumerate() {
            let node = self.node(at, address)?;
            self.nodes.push(node);
            if self.operator.is_empty() {
                let made = call(address, "POST", "/api/v1/init", &json!({"provider": "file"}).to_string())?;
                let credential = made.pointer("/operator/credential").and_then(Value::as_str).map(str::to_owned);
                self.operator = credential.context("an installation without an operator")?;
            }
        }
        Ok(())
    }
}
