//! As tenants grow: how fast they are made, what they take in memory and on the disk, how long a start takes — after an
//! orderly end and after `kill -9` under load — and how long the first request to a tenant that nobody asked for yet.

use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::disk::Kept;
use super::load::{Request, Run, Until};
use super::machine;
use super::numbers::{mib, rated, short};
use super::proc::Memory;
use super::report::Report;
use super::side::Side;
use super::stats::{Spread, quantile};
use super::{Bench, CONNECTIONS, Sides};
use crate::failure::{Context, Failure, Outcome};
use crate::http::Client;
use bailiwick_load::Tenant;

/// Tenants that are asked for once, after a start on a disk that nobody has read yet.
const COLD: u64 = 200;
/// The creations of a level are cut into as many parts, so that the cold tenants lie between all the others,
const PARTS_MAX: u64 = 200;
/// but no part is shorter than this, or it would measure its own beginning and end.
const PART_MIN: u64 = 500;
/// How long the load has run when the server is killed in it.
const KILLED_AFTER: Duration = Duration::from_secs(1);
/// Tenants whose secrets that load reads and writes.
const UNDER_LOAD: usize = 20;

/// One side with a number of tenants in it.
#[derive(Default)]
pub(crate) struct Level {
    pub(crate) side: String,
    pub(crate) tenants: u64,
    /// The runs that created them, since the level before.
    pub(crate) legs: Vec<Run>,
    /// Memory after these runs.
    pub(crate) grown: Memory,
    /// Memory after a restart, with nothing asked but one secret.
    pub(crate) idle: Memory,
    /// Seconds from process start to the first answer with content.
    pub(crate) restarts: Vec<f64>,
    /// The same after `kill -9` under load.
    pub(crate) crashes: Vec<f64>,
    /// Tenants besides: the probe, and those that are asked for when they are cold.
    pub(crate) others: u64,
    /// What they all take on the disk when the server has been stopped.
    pub(crate) kept: Option<Kept>,
    /// The first request to each cold tenant.
    pub(crate) cold_ms: Vec<f64>,
}

/// What became of one side on the way to a level.
#[derive(Default)]
struct Climb {
    legs: Vec<Run>,
    cold: Vec<Tenant>,
}

/// `total` in so many parts that differ by at most one.
fn cut(total: u64, parts: u64) -> impl Iterator<Item = u64> {
    (0..parts).map(move |part| total * (part + 1) / parts - total * part / parts)
}

/// Into how many parts so many creations are cut: a multiple of four.
fn parts(total: u64) -> u64 {
    (total / PART_MIN / 4 * 4).clamp(4, PARTS_MAX)
}

impl Bench {
    /// Grows every side to each level, and measures it there.
    pub(super) fn growth(&self, sides: &mut Sides, levels: &[u64], report: &mut Report) -> Outcome {
        let probes = sides.iter().map(|side| side.add_tenant("probe")).collect::<Outcome<Vec<Tenant>>>()?;
        let cold = if self.is_quick { COLD / 10 } else { COLD };
        let (mut grown, mut others) = (0, 1);
        for level in levels {
            let mut climbs: Vec<Climb> = sides.iter().map(|_| Climb::default()).collect();
            let total = level - grown;
            let parts = if total == 0 { 0 } else { parts(total) };
            // The parts of the sides alternate, for the same reason as everything else here.
            for (part, count) in (1..).zip(cut(total, parts)).filter(|(_, count)| *count > 0) {
                for (side, climb) in sides.iter().zip(&mut climbs) {
                    let mut plan = self.plan(side.as_ref(), &[side.creation("grown")], CONNECTIONS)?;
                    (plan.load.until, plan.load.first) = (Until::Count(count), grown);
                    climb.legs.push(self.load(&plan)?);
                    let due = cold * part / parts - cold * (part - 1) / parts;
                    for number in 0..due {
                        climb.cold.push(side.add_tenant(&format!("cold-{grown}-{number}"))?);
                    }
                    if part % (parts / 4) == 0 {
                        let run = climb.legs.last().map_or(0.0, |run| run.rate);
                        println!("{}: {} tenants, {run:.1}/s", side.name(), grown + count);
                    }
                }
                grown += count;
            }
            others += climbs.first().map_or(0, |climb| u64::try_from(climb.cold.len()).unwrap_or(u64::MAX));
            for ((side, probe), climb) in sides.iter_mut().zip(&probes).zip(climbs) {
                let mut measured = self.level(side.as_mut(), probe, climb)?;
                (measured.tenants, measured.others) = (*level, others);
                println!("{}: {}", side.name(), measured.line());
                report.levels.push(measured);
            }
        }
        Ok(())
    }

    fn level(&self, side: &mut dyn Side, probe: &Tenant, climb: Climb) -> Outcome<Level> {
        let mut level = Level { side: side.name().to_owned(), legs: climb.legs, ..Level::default() };
        level.grown = machine::settled_memory(side.pid()?)?;
        for _ in 0..self.runs.min(3) {
            side.stop()?;
            level.kept = side.keeps().map(|keeps| keeps.kept()).transpose()?;
            level.restarts.push(side.awaken(probe)?.as_secs_f64());
        }
        level.idle = machine::settled_memory(side.pid()?)?;
        level.cold_ms = cold_requests(side, probe, &climb.cold)?;
        for _ in 0..self.runs.min(3) {
            level.crashes.push(self.crash(side, probe, &climb.cold)?.as_secs_f64());
        }
        Ok(level)
    }

    /// Kills the server in the middle of reads and writes, and awakens it.
    fn crash(&self, side: &mut dyn Side, probe: &Tenant, others: &[Tenant]) -> Outcome<Duration> {
        let both =
            |tenant: &Tenant| tenant.writes().zip(tenant.reads()).map(|(write, read)| vec![write, read]).collect();
        let loaded = std::iter::once(probe).chain(others).take(UNDER_LOAD);
        let units: Vec<Vec<Request>> = loaded.flat_map(|tenant| -> Vec<Vec<Request>> { both(tenant) }).collect();
        let mut plan = self.plan(side, &units, CONNECTIONS)?;
        plan.load.until = Until::window(Duration::from_secs(60));
        let mut sender = self.start_sender(&plan)?;
        std::thread::sleep(KILLED_AFTER);
        if let Some(status) = sender.0.try_wait()? {
            return Err(Failure::new(format!("the load ended before the server was killed: {status}")));
        }
        side.kill();
        drop(sender);
        side.awaken(probe)
    }

    fn start_sender(&self, plan: &super::load::Plan) -> Outcome<Sender> {
        let file = self.home().join("crash.json");
        std::fs::write(&file, serde_json::to_string(plan)?).context(file.display())?;
        let mut command = Command::new(&self.generator);
        let quiet = command.arg("load").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().map(Sender).context(self.generator.display())
    }
}

/// A generator that is not waited for.
struct Sender(Child);

impl Drop for Sender {
    fn drop(&mut self) {
        // Without a server it has ended by itself, or is about to.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Milliseconds of one read for each of the tenants, on a server that has read nothing of them, nor has the kernel.
fn cold_requests(side: &mut dyn Side, probe: &Tenant, tenants: &[Tenant]) -> Outcome<Vec<f64>> {
    if tenants.is_empty() {
        return Ok(Vec::new());
    }
    side.stop()?;
    side.keeps().map_or(Ok(()), |keeps| keeps.forget())?;
    // The process is warm then, and the tenants are not.
    side.awaken(probe)?;
    let mut client = Client::connect(side.address())?;
    let mut times = Vec::new();
    for tenant in tenants {
        let read = tenant.read(0);
        let began = Instant::now();
        let (status, body) = client.call(&read.method, &read.path, &read.headers, "")?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
        if status != 200 || !body.to_string().contains(&read.must_hold) {
            return Err(Failure::new(format!("{}: {status} {body}", read.path)));
        }
    }
    Ok(times)
}

impl Level {
    /// For the terminal, while the benchmark goes on.
    pub(crate) fn line(&self) -> String {
        format!(
            "at {} tenants {:.0} MiB, {:.0} MiB after a restart of {:.2} s",
            self.tenants,
            self.grown.resident_mib,
            self.idle.resident_mib,
            self.restart().median
        )
    }

    /// Tenants a second in each quarter of the creations, in their order.
    pub(crate) fn quarters(&self) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let rate = |runs: &[Run]| {
            runs.iter().map(|run| run.done as f64).sum::<f64>() / runs.iter().map(|run| run.seconds).sum::<f64>()
        };
        self.legs.chunks(self.legs.len().div_ceil(4).max(1)).map(rate).collect()
    }

    /// The last quarter's rate by the first's.
    pub(crate) fn last_by_first(&self) -> Option<f64> {
        let quarters = self.quarters();
        let (first, last) = (quarters.first()?, quarters.last()?);
        (quarters.len() == 4 && *first > 0.0).then_some(last / first)
    }

    pub(crate) fn rate(&self) -> Spread {
        Spread::of(self.quarters())
    }

    pub(crate) fn restart(&self) -> Spread {
        Spread::of(self.restarts.iter().copied())
    }

    /// After `kill -9`, if that was measured.
    pub(crate) fn crash(&self) -> Option<Spread> {
        (!self.crashes.is_empty()).then(|| Spread::of(self.crashes.iter().copied()))
    }

    /// KiB on the disk for each tenant that there is.
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    pub(crate) fn kib_each(&self) -> Option<f64> {
        let all = self.tenants + self.others;
        self.kept.filter(|_| self.tenants > 0).map(|kept| kept.bytes() / 1024.0 / all as f64)
    }

    /// Median and p99 of the first requests to cold tenants.
    pub(crate) fn cold(&self) -> Option<(f64, f64)> {
        let (half, most) = (quantile(&self.cold_ms, 0.5)?, quantile(&self.cold_ms, 0.99)?);
        Some((half, most))
    }

    fn created_cells(&self) -> String {
        if self.legs.is_empty() {
            return "– | – | – | –".to_owned();
        }
        let of = |value: fn(&Run) -> f64| short(Spread::of(self.legs.iter().map(value)).median);
        let (p50, p99) = (of(|run| run.p50_ms), of(|run| run.p99_ms));
        let quarters: Vec<String> = self.quarters().into_iter().map(short).collect();
        let change = self.last_by_first().map_or("–".to_owned(), |ratio| format!("{}×", short(ratio)));
        format!("{} | {p50} / {p99} | {} | {change}", rated(self.rate(), short), quarters.join(", "))
    }

    fn held_cells(&self) -> String {
        const MIB: f64 = (1 << 20) as f64;
        let kept = self.kept.map_or("–".to_owned(), |kept| match kept.audit {
            0 => short(kept.bytes() / MIB),
            _ => format!("{} ({})", short(kept.bytes() / MIB), short(kept.audit_bytes() / MIB)),
        });
        let each = self.kib_each().map_or("–".to_owned(), |kib| format!("**{}**", short(kib)));
        format!("{} | {} | {kept} | {each}", mib(self.grown), mib(self.idle))
    }

    fn started_cells(&self) -> String {
        let crash = self.crash().map_or("–".to_owned(), |crash| rated(crash, short));
        let cold = self.cold().map_or("–".to_owned(), |(p50, p99)| format!("**{}** / {}", short(p50), short(p99)));
        format!("{} | {crash} | {cold}", rated(self.restart(), short))
    }

    /// This side by the other, with as many tenants; nothing where there is nothing to compare.
    fn ratios(&self, other: &Self) -> [String; 3] {
        let by = |this: Option<f64>, other: Option<f64>| match (this, other) {
            (Some(this), Some(other)) if other > 0.0 => format!("{}×", short(this / other)),
            _ => "–".to_owned(),
        };
        let all = |of: fn(&Self) -> Option<f64>| by(of(self), of(other));
        let created = all(|level| Some(level.rate().median));
        [
            format!("**{created}** | | |"),
            format!(
                "{} | {} | {} | {}",
                all(|level| Some(level.grown.resident_mib)),
                all(|level| Some(level.idle.resident_mib)),
                all(|level| level.kept.map(Kept::bytes)),
                all(Self::kib_each)
            ),
            format!(
                "{} | {} | {}",
                all(|level| Some(level.restart().median)),
                all(|level| level.crash().map(|crash| crash.median)),
                all(|level| level.cold().map(|(median, _)| median))
            ),
        ]
    }
}

/// Everything about growth: three tables of the same rows.
pub(crate) fn tables(text: &mut String, levels: &[Level]) {
    let others = levels.iter().map(|level| level.others).max().unwrap_or_default();
    let of_cold = levels.iter().map(|level| level.cold_ms.len()).max().unwrap_or_default();
    let _ = write!(
        text,
        "\n### As tenants grow\n\nA tenant is one that can store secrets (OpenBao: a namespace with a KV v2 mount). Besides those \
         stated there are up to {others} more, with secrets, which are asked for below.\n\nCreated: since the line before, 64 at a \
         time; median and lowest–highest of the four quarters, then the quarters in their order; last: the last quarter by the \
         first. Latency: medians of the parts that a quarter consists of.\n\n| tenants | side | created, 1/s | p50 / p99 ms | by \
         quarter, 1/s | last |\n|{}\n",
        "---|".repeat(6)
    );
    lines(text, levels, Level::created_cells, 0);
    let _ = write!(
        text,
        "\nMemory: resident, and in brackets what the process has written itself. Disk: what the files of the stopped server take, \
         in brackets the part of it that is an audit log; each: that by all tenants there are.\n\n| tenants | side | MiB after \
         creating them | MiB after a restart | MiB on disk | KiB on disk each |\n|{}\n",
        "---|".repeat(6)
    );
    lines(text, levels, Level::held_cells, 1);
    let _ = write!(
        text,
        "\nRestart: from process start to the first secret read with a tenant's credential, unsealing included; after an orderly \
         end, and after `kill -9` in the middle of reads and writes over 64 connections. Cold: one read for each of {of_cold} \
         tenants that were created between all those of the line, with the tenant's own credential, after a restart on files that \
         the kernel has forgotten.\n\n| tenants | side | restart, s | after `kill -9`, s | first request to a cold tenant, median / \
         p99 ms |\n|{}\n",
        "---|".repeat(5)
    );
    lines(text, levels, Level::started_cells, 2);
}

/// The rows of one of the tables, with a comparison below the second side.
fn lines(text: &mut String, levels: &[Level], cells: fn(&Level) -> String, table: usize) {
    for (index, level) in levels.iter().enumerate() {
        let _ = writeln!(text, "| {} | {} | {} |", level.tenants, level.side, cells(level));
        let before = index.checked_sub(1).and_then(|index| levels.get(index));
        if let Some(before) = before.filter(|before| before.tenants == level.tenants) {
            let ratios = level.ratios(before);
            let _ =
                writeln!(text, "| {} | *ratio* | {} |", level.tenants, ratios.get(table).map_or("", String::as_str));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn run(done: u64, seconds: f64) -> Run {
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let rate = done as f64 / seconds;
        Run { load: bailiwick_load::Run { done, seconds, rate, ..Default::default() }, ..Run::default() }
    }

    /// A level of 1,000 tenants.
    pub(crate) fn level(side: &str, rate: f64, mib: f64, restart: f64) -> Level {
        let memory = Memory { resident_mib: mib, anonymous_mib: mib };
        let legs = (0..8).map(|_| run(100, 100.0 / rate)).collect();
        let (side, restarts, crashes) = (side.to_owned(), vec![restart], vec![2.0 * restart]);
        let kept = Some(Kept { database: 1_500 * 1_024, audit: 500 * 1_024 });
        let cold_ms = vec![1.0, 2.0, 9.0];
        Level { side, tenants: 999, others: 1, legs, grown: memory, idle: memory, restarts, crashes, kept, cold_ms }
    }

    #[test]
    fn a_level_is_compared_with_the_other_side_at_as_many_tenants() {
        let ratios = level("", 100.0, 5.0, 0.5).ratios(&level("", 10.0, 50.0, 5.0));
        assert_eq!(ratios, ["**10.0×** | | |", "0.10× | 0.10× | 1.00× | 1.00×", "0.10× | 0.10× | 1.00×"]);
    }

    #[test]
    fn a_quarter_is_all_of_its_parts() {
        let mut level = level("", 100.0, 5.0, 0.5);
        level.legs = vec![run(100, 1.0), run(100, 3.0), run(80, 1.0), run(80, 1.0), run(60, 1.0), run(60, 1.0)];
        level.legs.extend([run(10, 1.0), run(30, 3.0)]);
        assert_eq!(level.quarters(), [50.0, 80.0, 60.0, 10.0]);
        assert_eq!(level.last_by_first(), Some(0.2));
    }

    #[test]
    fn creations_are_cut_into_parts_of_one_size_that_are_all_of_them() {
        for total in [1, 4, 200, 1_000, 4_000, 1_000_000, 1_234_567] {
            let all: Vec<u64> = cut(total, parts(total)).collect();
            assert_eq!(all.iter().sum::<u64>(), total);
            assert!(all.iter().max().unwrap() - all.iter().min().unwrap() <= 1);
            assert!(all.len().is_multiple_of(4) && all.len() <= 200, "{}", all.len());
        }
        assert_eq!((parts(200), parts(4_000), parts(1_000_000)), (4, 8, 200));
    }

    #[test]
    fn disk_is_divided_by_all_tenants_that_there_are() {
        assert_eq!(level("", 1.0, 1.0, 1.0).kib_each(), Some(2.0));
        assert_eq!(Level { tenants: 0, ..level("", 1.0, 1.0, 1.0) }.kib_each(), None);
    }
}
