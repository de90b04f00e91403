//! `cargo xtask bench`: Bailiwick and a real `bao server` side by side, on this machine, in alternation.
//!
//! # How a number comes about
//! - Both servers run for the whole measurement; only one is under load at a time. Rounds alternate, and every second
//!   round begins with the other side, so a machine that slows down with time slows both alike.
//! - Each run is a process of its own (see [`load`]), with a warm-up that is not counted.
//! - One wrong answer anywhere ends the benchmark: a fast refusal is not a result.
//! - Controls: one server against itself (its ratio should be 1.00, and how far it is from that is the noise of every
//!   other ratio), and the generator against a server that does nothing (no result may come near that).
//!
//! # Deliberately absent
//! Retries of runs that look bad, and outlier removal. Noise is reported next to the numbers, not removed from them.

mod aims;
mod bare;
mod cost;
mod disk;
mod fleet;
mod growth;
pub(crate) mod load;
mod machine;
mod neighbour;
mod numbers;
mod openbao;
mod pictures;
mod plot;
mod proc;
mod report;
mod search;
mod side;
mod stats;
mod svg;
mod syncs;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;

use crate::failure::{Context, Failure, Outcome};
use crate::http::Client;
use crate::server::{Server, free_address};
use crate::{packages, setup, shell};
use bailiwick_load::Tenant;
use load::{Plan, Request, Run, Until};
use openbao::OpenBao;
use report::{Report, Row};
use side::{Bailiwick, Side};

/// Flags of `bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Short runs and few tenants: whether it works, not what it measures
    #[arg(long)]
    quick: bool,
    /// Length of one run, warm-up not counted [default: 10, quick: 2]
    #[arg(long)]
    seconds: Option<u64>,
    /// Runs of each side for each row [default: 5, quick: 2]
    #[arg(long)]
    runs: Option<usize>,
    /// Numbers of tenants at which memory and restart are measured [default: 0,1000,5000, quick: 0,200]
    #[arg(long, value_delimiter = ',')]
    tenants: Option<Vec<u64>>,
    /// Entries of the ledger that is searched [default: 1000000, quick: 20000]
    #[arg(long)]
    entries: Option<u64>,
    /// Measure only these
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Measure only this side
    #[arg(long, value_enum)]
    side: Option<Which>,
    /// What everything is kept in: the embedded store, or a PostgreSQL that the benchmark starts, for both sides
    #[arg(long, value_enum, default_value = "embedded")]
    store: Engine,
    /// Write the report to this file too; between `<!-- results -->` and `<!-- /results -->` when it has these lines
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Engine {
    /// A file; OpenBao's raft
    Embedded,
    /// One PostgreSQL for OpenBao, one node, three nodes; and the embedded store beside them
    Postgres,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// KV v2 reads and writes, with each tenant's own credential
    Kv,
    /// The cheapest request of each side, and the generator's own ceiling
    Ceiling,
    /// Tenants created per second
    Creation,
    /// Creation, memory, disk, restarts and first requests as the number of tenants grows
    Growth,
    /// What an idle tenant, reads and writes cost: CPU, bytes, fsyncs
    Cost,
    /// KV v2 reads in tenants with more and more policies
    Policies,
    /// How long a change of policies takes to prove
    Proofs,
    /// What a tenant's flood costs its neighbour
    Neighbour,
    /// The first page of a search in a large ledger
    Search,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Openbao,
    Bailiwick,
}

/// Tenants that the reads and writes go around.
const TENANTS: u64 = 200;
const CONNECTIONS: usize = 64;
/// The profile that people are told to install.
const MEASURED: &str = "dist";

/// What all measurements share.
struct Bench {
    home: PathBuf,
    generator: PathBuf,
    bailiwick: Option<PathBuf>,
    openbao: Option<PathBuf>,
    window: Duration,
    runs: usize,
    is_quick: bool,
}

type Sides = Vec<Box<dyn Side>>;

/// The order of the sides in a round: every second one begins with the last.
fn in_turn(round: usize, sides: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sides).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Measures, and prints the report.
pub(crate) fn bench(options: &Options) -> Outcome {
    let bench = Bench::prepare(options)?;
    let measured = match options.store {
        Engine::Embedded => bench.measure(options),
        Engine::Postgres => bench.measure_fleet(options),
    };
    let mut report = measured.advice(format!("what the servers wrote is in {}", bench.home.display()))?;
    if let Some(file) = &options.out {
        pictures::draw(&mut report, file)?;
    }
    let text = report.markdown();
    println!("\n{text}");
    if let Some(file) = &options.out {
        report::write(file, &text)?;
    }
    fs::remove_dir_all(&bench.home).context(bench.home.display())
}

impl Bench {
    fn measure(&self, options: &Options) -> Outcome<Report> {
        let wants = |part: Part| options.only.is_empty() || options.only.contains(&part);
        let mut report = Report::new(self)?;
        report.is_aimed = true;
        if wants(Part::Kv) || wants(Part::Ceiling) {
            let sides = self.launch("kv", &mut report)?;
            if wants(Part::Kv) {
                self.kv(&sides, &mut report)?;
            }
            if wants(Part::Ceiling) {
                self.ceiling(&sides, &mut report)?;
            }
        }
        if wants(Part::Creation) {
            let sides = self.launch("creation", &mut report)?;
            self.creation(&sides, &mut report)?;
        }
        if wants(Part::Growth) {
            let mut levels =
                options.tenants.clone().unwrap_or(if options.quick { vec![0, 200] } else { vec![0, 1000, 5000] });
            levels.sort_unstable();
            let mut sides = self.launch("growth", &mut report)?;
            self.growth(&mut sides, &levels, &mut report)?;
        }
        if wants(Part::Cost) {
            self.cost(&mut report)?;
        }
        if wants(Part::Policies) && self.bailiwick.is_some() {
            self.policies(&mut report)?;
        }
        if wants(Part::Neighbour) {
            let sides = self.launch("neighbour", &mut report)?;
            report.neighbours = self.neighbours(&sides)?;
        }
        if wants(Part::Search) && self.bailiwick.is_some() {
            self.search(options.entries.unwrap_or(if options.quick { 20_000 } else { 1_000_000 }), &mut report)?;
        }
        if wants(Part::Proofs) && self.bailiwick.is_some() {
            packages::install(&[packages::SOLVER])?;
            println!("proving changes of policies");
            let mut measure = shell::cargo();
            measure.args(["run", "--quiet", "--release", "--package=bailiwick-prove", "--example=proved_change"]);
            report.proofs = Some(shell::capture(&mut measure)?);
        }
        Ok(report)
    }

    fn prepare(options: &Options) -> Outcome<Self> {
        let wants = |side: Which| options.side.is_none_or(|only| only == side);
        let target = shell::target_dir()?;
        shell::run(shell::cargo().args(["build", "--release", "--package=xtask"]))?;
        if wants(Which::Bailiwick) {
            let mut build = shell::cargo();
            build.args(["build", "--profile", MEASURED, "--package=bailiwick-cli", "--bin=bailiwick"]);
            shell::run(build.arg("--example=ceiling"))?;
        }
        // Next to the build, not in /tmp: that may be memory, where an fsync costs nothing.
        let home = target.join("xtask").join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&home).context(home.display())?;
        let seconds = options.seconds.unwrap_or(if options.quick { 2 } else { 10 });
        Ok(Self {
            home,
            generator: target.join("release/xtask"),
            bailiwick: wants(Which::Bailiwick).then(|| target.join(MEASURED).join("bailiwick")),
            openbao: if wants(Which::Openbao) { Some(setup::setup()?.bao()?) } else { None },
            window: Duration::from_secs(seconds),
            runs: options.runs.unwrap_or(if options.quick { 2 } else { 5 }),
            is_quick: options.quick,
        })
    }

    /// Fresh servers, OpenBao first.
    fn launch(&self, name: &str, report: &mut Report) -> Outcome<Sides> {
        let sides = self.launch_with(name, |_| None)?;
        report.names = sides.iter().map(|side| side.name().to_owned()).collect();
        Ok(sides)
    }

    /// Fresh servers whose fsyncs are counted.
    fn launch_traced(&self, name: &str) -> Outcome<Sides> {
        self.launch_with(name, |home| Some(home.with_extension("fsyncs")))
    }

    fn launch_with(&self, name: &str, trace: fn(&Path) -> Option<PathBuf>) -> Outcome<Sides> {
        let mut sides: Sides = Vec::new();
        if let Some(binary) = &self.openbao {
            let home = self.home.join(format!("{name}-openbao"));
            let trace = trace(&home);
            sides.push(Box::new(OpenBao::launch(binary, home, trace)?));
        }
        if let Some(binary) = &self.bailiwick {
            let home = self.home.join(format!("{name}-bailiwick"));
            let trace = trace(&home);
            sides.push(Box::new(Bailiwick::launch(binary, home, trace)?));
        }
        Ok(sides)
    }

    fn kv(&self, sides: &Sides, report: &mut Report) -> Outcome {
        let mut tenants = Vec::new();
        for side in sides {
            println!("{}: {TENANTS} tenants with a credential and secrets", side.name());
            let names = (0..TENANTS).map(|number| format!("tenant-{number}"));
            tenants.push(names.map(|name| side.add_tenant(&name)).collect::<Outcome<Vec<Tenant>>>()?);
        }
        let around = |request: fn(&Tenant, usize) -> Request| {
            let of_side = |tenants: &Vec<Tenant>| -> Vec<Vec<Request>> {
                (0..5).flat_map(|number| tenants.iter().map(move |tenant| vec![request(tenant, number)])).collect()
            };
            tenants.iter().map(of_side).collect::<Vec<_>>()
        };
        let reads = around(Tenant::read);
        report.rows.push(self.alternate(report::READS, sides, &reads, CONNECTIONS)?);
        report.rows.push(self.alternate(report::WRITES, sides, &around(Tenant::write), CONNECTIONS)?);
        // The last side is ours when we measure ourselves.
        if let (Some(side), Some(units)) = (sides.last(), reads.last()) {
            let plan = self.plan(side.as_ref(), units, CONNECTIONS)?;
            let name = format!("{} against itself, {}", side.name(), report::READS);
            report.control = Some(self.rounds(&name, &[plan.clone(), plan.clone()])?);
            if let Some(server) = &self.bailiwick {
                self.bare(server, side.name(), &plan, report)?;
            }
        }
        Ok(())
    }

    fn ceiling(&self, sides: &Sides, report: &mut Report) -> Outcome {
        let units: Vec<_> = sides.iter().map(|side| vec![vec![side.ceiling()]]).collect();
        let paths: Vec<String> = sides.iter().map(|side| format!("`{}`", side.ceiling().path)).collect();
        let name = format!("bare HTTP: {}", paths.join(", "));
        report.rows.push(self.alternate(&name, sides, &units, CONNECTIONS)?);
        let idle = self.responder()?;
        let units = vec![vec![Request::new("GET", "/")]];
        let plan = self.plan_at(vec![idle.0], vec![idle.1.pid()], units, CONNECTIONS);
        let mut runs = Vec::new();
        for _ in 0..self.runs {
            runs.push(self.load(&plan)?);
        }
        report.generator = Some(runs);
        Ok(())
    }

    fn responder(&self) -> Outcome<(SocketAddr, Server)> {
        let address = free_address()?;
        let mut command = Command::new(&self.generator);
        command.arg("respond").arg(address.port().to_string());
        let mut server = Server::start(&mut command, &self.home.join("responder.log"))?;
        server.wait_until(|| Client::connect(address).is_ok())?;
        Ok((address, server))
    }

    fn creation(&self, sides: &Sides, report: &mut Report) -> Outcome {
        for connections in [CONNECTIONS, 4] {
            let prefix = format!("at-{connections}");
            let units: Vec<_> = sides.iter().map(|side| vec![side.creation(&prefix)]).collect();
            let name = format!("tenants created, {connections} at a time");
            report.rows.push(self.alternate(&name, sides, &units, connections)?);
        }
        Ok(())
    }

    /// One row: every side's units, in alternation.
    fn alternate(&self, name: &str, sides: &Sides, units: &[Vec<Vec<Request>>], connections: usize) -> Outcome<Row> {
        let plans = sides.iter().zip(units).map(|(side, units)| self.plan(side.as_ref(), units, connections));
        self.rounds(name, &plans.collect::<Outcome<Vec<Plan>>>()?)
    }

    fn rounds(&self, name: &str, plans: &[Plan]) -> Outcome<Row> {
        let mut columns: Vec<Vec<Run>> = plans.iter().map(|_| Vec::new()).collect();
        let mut next: Vec<u64> = plans.iter().map(|plan| plan.load.first).collect();
        for round in 0..self.runs {
            for index in in_turn(round, plans.len()) {
                let (Some(plan), Some(column), Some(next)) =
                    (plans.get(index), columns.get_mut(index), next.get_mut(index))
                else {
                    continue;
                };
                // A creation must not repeat a name, not even one whose answer a run did not wait for.
                let mut plan = plan.clone();
                plan.load.first = *next;
                let run = self.load(&plan).context(name)?;
                *next = run.next;
                println!("{name}, round {}, side {}: {:.0}/s", round + 1, index + 1, run.rate);
                column.push(run);
            }
        }
        Ok(Row { name: name.to_owned(), connections: plans.first().map_or(0, |plan| plan.load.connections), columns })
    }

    fn plan(&self, side: &dyn Side, units: &[Vec<Request>], connections: usize) -> Outcome<Plan> {
        Ok(self.plan_at(side.addresses(), side.pids()?, units.to_vec(), connections))
    }

    fn plan_at(
        &self,
        addresses: Vec<SocketAddr>,
        pids: Vec<u32>,
        units: Vec<Vec<Request>>,
        connections: usize,
    ) -> Plan {
        let (host, until, rest) = ("localhost".to_owned(), Until::window(self.window), Duration::ZERO);
        Plan { load: bailiwick_load::Plan { addresses, host, connections, until, rest, first: 0, units }, pids }
    }

    /// Sends the load, whatever is answered.
    fn sent(&self, plan: &Plan) -> Outcome<Run> {
        let file = self.home.join("plan.json");
        fs::write(&file, serde_json::to_string(plan)?).context(file.display())?;
        let text = shell::capture(Command::new(&self.generator).arg("load").arg(&file))?;
        let run: Run = serde_json::from_str(&text)?;
        // A generator ends in time even if the server answers nothing. One that did not was not running itself.
        if let Until::Time { window, .. } = plan.load.until
            && run.seconds > 1.5 * window.as_secs_f64()
        {
            return Err(Failure::new(format!("the generator stood still: {:.1} s instead of {window:?}", run.seconds)));
        }
        Ok(run)
    }

    fn load(&self, plan: &Plan) -> Outcome<Run> {
        let run = self.sent(plan)?;
        if run.wrong > 0 {
            return Err(Failure::new(format!("{} wrong answers, the first: {}", run.wrong, run.first_wrong)));
        }
        if run.done == 0 {
            return Err(Failure::new("nothing was answered in the whole run"));
        }
        Ok(run)
    }

    fn home(&self) -> &Path {
        &self.home
    }
}
