//! What a tenant costs that nobody asks anything of, and what a million requests cost: CPU, bytes written, fsyncs, disk.
//!
//! CPU and bytes are the kernel's account of the server's process. What it does after the last answer — moving what was
//! logged to where it belongs, say — is a part of the price, so the account is closed when it has stopped writing.
//!
//! Fsyncs are counted in a run of its own (see [`syncs`](super::syncs)), for counting them takes time.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::disk::Kept;
use super::load::{Request, Until};
use super::numbers::{bytes, rated, short, whole};
use super::report::Report;
use super::side::Side;
use super::stats::Spread;
use super::{Bench, CONNECTIONS, Sides, in_turn, proc, syncs};
use crate::failure::{Context, Outcome};
use bailiwick_load::Tenant;

/// What is scaled to: thirty days, and a million requests.
const MONTH: Duration = Duration::from_secs(30 * 24 * 3_600);
const MILLION: f64 = 1e6;
const MIB: f64 = (1 << 20) as f64;

/// How much is run.
#[derive(Clone, Copy)]
struct Scale {
    /// Tenants that exist while nothing is asked,
    idle_tenants: u64,
    /// for so long.
    idle: Duration,
    /// Tenants that the requests go around.
    active_tenants: u64,
    reads: u64,
    writes: u64,
    /// How often all of that is done.
    rounds: usize,
}

/// What was spent in a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Spent {
    cpu_seconds: f64,
    written_mib: f64,
    syncs: Option<u64>,
}

/// One thing of one side.
#[derive(Default)]
struct Account {
    rounds: Vec<Spent>,
    /// Fsyncs of one round, from the run in which they are counted.
    syncs: Option<u64>,
    /// What all rounds together have left on the disk; for an idle tenant, what making all of them has.
    left_bytes: Option<f64>,
}

/// One side.
struct Bill {
    side: String,
    idle: Account,
    reads: Account,
    writes: Account,
}

/// Everything about cost.
pub(crate) struct Costs {
    scale: Scale,
    bills: Vec<Bill>,
}

/// The state of the accounts at one moment.
fn reading(side: &dyn Side) -> Outcome<Spent> {
    let pid = side.pid()?;
    let syncs = side.trace().map(syncs::count).transpose()?;
    Ok(Spent { cpu_seconds: proc::cpu_seconds(pid)?, written_mib: proc::written_mib(pid)?, syncs })
}

impl Spent {
    fn since(self, earlier: Self) -> Self {
        let syncs = self.syncs.zip(earlier.syncs).map(|(now, then)| now - then);
        Self {
            cpu_seconds: self.cpu_seconds - earlier.cpu_seconds,
            written_mib: self.written_mib - earlier.written_mib,
            syncs,
        }
    }
}

/// Waits until the server has not written for two seconds, or for half a minute.
fn come_to_rest(side: &dyn Side) -> Outcome {
    let (pid, began) = (side.pid()?, Instant::now());
    let mut last = proc::written_mib(pid)?;
    while began.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_secs(2));
        let now = proc::written_mib(pid)?;
        if (now - last).abs() < f64::EPSILON {
            break;
        }
        last = now;
    }
    Ok(())
}

/// What it keeps on the disk, in the form that it has after an orderly end.
fn kept(side: &mut dyn Side) -> Outcome<Option<f64>> {
    side.stop()?;
    let kept = side.keeps().map(|keeps| keeps.kept()).transpose()?;
    side.start()?;
    Ok(kept.map(Kept::bytes))
}

fn grown(before: Option<f64>, after: Option<f64>) -> Option<f64> {
    before.zip(after).map(|(before, after)| after - before)
}

impl Bench {
    /// Makes the bills of all sides: without counting fsyncs, and once more to count them.
    pub(super) fn cost(&self, report: &mut Report) -> Outcome {
        let rounds = self.runs.min(3);
        let scale = if self.is_quick {
            let idle = Duration::from_secs(10);
            Scale { idle_tenants: 50, idle, active_tenants: 20, reads: 5_000, writes: 1_000, rounds }
        } else {
            let idle = Duration::from_secs(60);
            Scale { idle_tenants: 1_000, idle, active_tenants: 100, reads: 100_000, writes: 20_000, rounds }
        };
        let sides = self.launch("cost", report)?;
        let mut bills = self.bills(sides, scale)?;
        if syncs::can_be_counted() {
            println!("once more, to count fsyncs");
            let traced = self.launch_traced("cost-traced")?;
            let counted = self.bills(traced, Scale { rounds: 1, ..scale })?;
            for (bill, counted) in bills.iter_mut().zip(counted) {
                bill.idle.syncs = counted.idle.last_syncs();
                bill.reads.syncs = counted.reads.last_syncs();
                bill.writes.syncs = counted.writes.last_syncs();
            }
        }
        report.costs = Some(Costs { scale, bills });
        Ok(())
    }

    fn bills(&self, mut sides: Sides, scale: Scale) -> Outcome<Vec<Bill>> {
        let mut bills = Vec::new();
        for side in &mut sides {
            println!("{}: {} idle tenants", side.name(), scale.idle_tenants);
            let before = kept(side.as_mut())?;
            let mut plan = self.plan(side.as_ref(), &[side.creation("idle")], CONNECTIONS)?;
            plan.load.until = Until::Count(scale.idle_tenants);
            self.load(&plan)?;
            let left_bytes = grown(before, kept(side.as_mut())?);
            let idle = Account { left_bytes, ..Account::default() };
            let (reads, writes) = Default::default();
            bills.push(Bill { side: side.name().to_owned(), idle, reads, writes });
        }
        self.idle(&sides, &mut bills, scale)?;
        let tenants = sides.iter().map(|side| {
            let names = (0..scale.active_tenants).map(|number| format!("active-{number}"));
            names.map(|name| side.add_tenant(&name)).collect::<Outcome<Vec<Tenant>>>()
        });
        let tenants = tenants.collect::<Outcome<Vec<_>>>()?;
        let reads = tenants.iter().map(|all| all.iter().flat_map(Tenant::reads).collect()).collect();
        self.asked(&mut sides, reads, scale.reads, scale.rounds, &mut bills, |bill| &mut bill.reads)?;
        let writes = tenants.iter().map(|all| all.iter().flat_map(Tenant::writes).collect()).collect();
        self.asked(&mut sides, writes, scale.writes, scale.rounds, &mut bills, |bill| &mut bill.writes)?;
        Ok(bills)
    }

    /// All sides at once: none does anything that could disturb the other.
    fn idle(&self, sides: &Sides, bills: &mut [Bill], scale: Scale) -> Outcome {
        sides.iter().try_for_each(|side| come_to_rest(side.as_ref()))?;
        for _ in 0..scale.rounds {
            let before = sides.iter().map(|side| reading(side.as_ref())).collect::<Outcome<Vec<_>>>()?;
            std::thread::sleep(scale.idle);
            for ((side, before), bill) in sides.iter().zip(before).zip(bills.iter_mut()) {
                let spent = reading(side.as_ref())?.since(before);
                println!("{}: {:?} of nothing cost {spent:?}", side.name(), scale.idle);
                bill.idle.rounds.push(spent);
            }
        }
        Ok(())
    }

    /// So many requests of each side in alternation.
    fn asked(
        &self,
        sides: &mut Sides,
        requests: Vec<Vec<Request>>,
        count: u64,
        rounds: usize,
        bills: &mut [Bill],
        account: fn(&mut Bill) -> &mut Account,
    ) -> Outcome {
        let before = sides.iter_mut().map(|side| kept(side.as_mut())).collect::<Outcome<Vec<_>>>()?;
        for round in 0..rounds {
            for index in in_turn(round, sides.len()) {
                let (side, requests) =
                    (sides.get(index).context("no side")?, requests.get(index).context("no requests")?);
                let units: Vec<Vec<Request>> = requests.iter().map(|request| vec![request.clone()]).collect();
                let mut plan = self.plan(side.as_ref(), &units, CONNECTIONS)?;
                plan.load.until = Until::Count(count);
                come_to_rest(side.as_ref())?;
                let opened = reading(side.as_ref())?;
                self.load(&plan)?;
                come_to_rest(side.as_ref())?;
                let spent = reading(side.as_ref())?.since(opened);
                println!("{}: {count} requests cost {spent:?}", side.name());
                account(bills.get_mut(index).context("no bill")?).rounds.push(spent);
            }
        }
        for ((side, before), bill) in sides.iter_mut().zip(before).zip(bills) {
            account(bill).left_bytes = grown(before, kept(side.as_mut())?);
        }
        Ok(())
    }
}

/// What one thing costs, in the units of a table.
#[derive(Debug, PartialEq)]
struct Price {
    cpu_seconds: Spread,
    written_bytes: Spread,
    syncs: Option<f64>,
    left_bytes: Option<f64>,
}

impl Account {
    fn last_syncs(&self) -> Option<u64> {
        self.rounds.last().and_then(|spent| spent.syncs)
    }

    /// Of `times` as much as one round; `left` is the same for all that the disk was measured over.
    fn price(&self, times: f64, left: f64) -> Price {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let syncs = self.syncs.map(|syncs| syncs as f64 * times);
        Price {
            cpu_seconds: Spread::of(self.rounds.iter().map(|spent| spent.cpu_seconds * times)),
            written_bytes: Spread::of(self.rounds.iter().map(|spent| spent.written_mib * MIB * times)),
            syncs,
            left_bytes: self.left_bytes.map(|bytes| bytes * left),
        }
    }
}

impl Price {
    fn cells(&self) -> String {
        let syncs = self.syncs.map_or("not counted".to_owned(), |syncs| match syncs {
            0.0 => "0".to_owned(),
            few if few < 10.0 => short(few),
            many => whole(many),
        });
        let left = self.left_bytes.map_or("–".to_owned(), bytes);
        format!("{} | {} | {syncs} | {left}", rated(self.cpu_seconds, short), rated(self.written_bytes, bytes))
    }
}

/// What one side spent on one thing: as it was run, and what follows from that.
struct Line<'a> {
    what: &'static str,
    run: String,
    side: &'a str,
    seen: Price,
    scaled: Price,
}

/// All lines, those of one thing side by side.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn priced(costs: &Costs) -> Vec<Line<'_>> {
    struct Thing {
        what: &'static str,
        run: String,
        account: fn(&Bill) -> &Account,
        times: f64,
        /// What the disk was measured over, as run and scaled.
        left: (f64, f64),
    }
    let scale = costs.scale;
    let (tenants, rounds, seconds) = (scale.idle_tenants as f64, scale.rounds as f64, scale.idle.as_secs());
    let asked = |what, name, count: u64, account| {
        let times = MILLION / count as f64;
        Thing { what, run: format!("{} {name}", whole_of(count)), account, times, left: (1.0 / rounds, times / rounds) }
    };
    let idle = Thing {
        what: "an idle tenant, for a month",
        run: format!("{} idle tenants, {seconds} s", whole_of(scale.idle_tenants)),
        account: |bill| &bill.idle,
        times: MONTH.as_secs_f64() / scale.idle.as_secs_f64() / tenants,
        left: (1.0, 1.0 / tenants),
    };
    let things = [
        idle,
        asked("1,000,000 reads", "reads", scale.reads, |bill| &bill.reads),
        asked("1,000,000 writes", "writes", scale.writes, |bill| &bill.writes),
    ];
    let mut lines = Vec::new();
    for thing in &things {
        for bill in &costs.bills {
            let account = (thing.account)(bill);
            let (seen, scaled) = (account.price(1.0, thing.left.0), account.price(thing.times, thing.left.1));
            lines.push(Line { what: thing.what, run: thing.run.clone(), side: &bill.side, seen, scaled });
        }
    }
    lines
}

/// Everything about cost: what follows for a month and a million, and what was seen.
pub(crate) fn tables(text: &mut String, costs: &Costs) {
    let Scale { idle_tenants, idle, active_tenants, reads, writes, rounds } = costs.scale;
    let seconds = idle.as_secs();
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let tick = 0.01 * MONTH.as_secs_f64() / idle.as_secs_f64() / idle_tenants as f64;
    let _ = write!(
        text,
        "\n### What it costs\n\n**Scaled**, not run: a month of 30 days from {seconds} s, a million from {} reads and {} writes. \
         An idle tenant is one of {} without a request, so it bears its share of what the server does anyway; what it takes on \
         the disk is what {} took when they were made. What fits into room that the database's file has already takes nothing more. \
         Requests are audited KV v2 reads and writes around {active_tenants} tenants over {CONNECTIONS} connections; their \
         price has in it what the server writes until it is at rest again. Median and lowest–highest of {rounds} rounds; fsyncs are of one round more, under `strace`. A clock tick of 10 ms is {} CPU \
         seconds of an idle tenant's month.\n\n| what | side | CPU seconds | written | fsyncs | on disk |\n|{}\n",
        whole_of(reads),
        whole_of(writes),
        whole_of(idle_tenants),
        whole_of(idle_tenants),
        short(tick),
        "---|".repeat(6)
    );
    let lines = priced(costs);
    for Line { what, side, scaled, .. } in &lines {
        let _ = writeln!(text, "| {what} | {side} | {} |", scaled.cells());
    }
    let _ = write!(
        text,
        "\nWhat was run, each round:\n\n| what | side | CPU seconds | written | fsyncs | on disk |\n|{}\n",
        "---|".repeat(6)
    );
    for Line { run, side, seen, .. } in &lines {
        let _ = writeln!(text, "| {run} | {side} | {} |", seen.cells());
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
fn whole_of(count: u64) -> String {
    whole(count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        let spent = |cpu_seconds, written_mib| Spent { cpu_seconds, written_mib, syncs: None };
        let rounds = vec![spent(1.0, 10.0), spent(3.0, 20.0), spent(2.0, 30.0)];
        Account { rounds, syncs: Some(40), left_bytes: Some(6_000.0) }
    }

    #[test]
    fn everything_is_scaled_by_what_it_was_measured_over() {
        let idle = Duration::from_secs(60);
        let scale = Scale { idle_tenants: 1_000, idle, active_tenants: 1, reads: 100_000, writes: 20_000, rounds: 3 };
        let bill = Bill { side: "x".to_owned(), idle: account(), reads: account(), writes: account() };
        let costs = Costs { scale, bills: vec![bill] };
        let scaled: Vec<Price> = priced(&costs).into_iter().map(|line| line.scaled).collect();
        let of = |price: &Price| (price.cpu_seconds.median, price.syncs.unwrap(), price.left_bytes.unwrap().round());
        // 43,200 minutes of a thousandth; ten times 100,000 reads; fifty times 20,000 writes.
        assert_eq!(
            scaled.iter().map(of).collect::<Vec<_>>(),
            [(86.4, 1_728.0, 6.0), (20.0, 400.0, 20_000.0), (100.0, 2_000.0, 100_000.0)]
        );
    }

    #[test]
    fn what_was_not_counted_is_not_called_nothing() {
        let price = Account { syncs: None, ..account() }.price(1.0, 1.0);
        assert_eq!(price.cells(), "**2.00** (1.00–3.00) | **20.0 MiB** (10.0 MiB–30.0 MiB) | not counted | 5.86 KiB");
    }
}
