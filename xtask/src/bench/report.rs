//! The report: Markdown that can be read as it stands, and pasted into the documentation.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::cost::{self, Costs};
use super::growth::{self, Level};
use super::load::Run;
use super::neighbour::{self, Neighbour};
use super::numbers::{percent, range, rated, short, shown_share, times, whole};
use super::search::{self, Searched};
use super::stats::Spread;
use super::{Bench, TENANTS, aims, machine};
use crate::failure::{Context, Outcome};

const OPENING: &str = "<!-- results -->";
const CLOSING: &str = "<!-- /results -->";

/// Names of rows that more is made of than a line.
pub(crate) const READS: &str = "KV v2 read";
pub(crate) const WRITES: &str = "KV v2 write";
pub(crate) const CREATED: &str = "tenants created, 64 at a time";

/// One thing measured, with the runs of each side in the order of the rounds.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) connections: usize,
    pub(crate) columns: Vec<Vec<Run>>,
}

/// Everything measured.
pub(crate) struct Report {
    /// The sides, in the order of the columns.
    pub(crate) names: Vec<String>,
    pub(crate) rows: Vec<Row>,
    pub(crate) levels: Vec<Level>,
    /// Rows of one side alone.
    pub(crate) alone: Vec<Row>,
    /// One side against itself.
    pub(crate) control: Option<Row>,
    /// The HTTP stack and the store alone, and audited reads beside them.
    pub(crate) bare: Option<Row>,
    /// Reads in tenants with so many policies.
    pub(crate) policies: Option<(Vec<usize>, Row)>,
    /// The generator against a server that does nothing.
    pub(crate) generator: Option<Vec<Run>>,
    /// What floods cost a neighbour.
    pub(crate) neighbours: Vec<Neighbour>,
    /// How long a large ledger is searched.
    pub(crate) searched: Option<Searched>,
    /// What tenants and requests cost.
    pub(crate) costs: Option<Costs>,
    /// What the measurement of proofs printed.
    pub(crate) proofs: Option<String>,
    /// What was aimed for, if it was with this kind of store.
    pub(crate) is_aimed: bool,
    /// Pictures of it all, where the report is written to a file: text for who does not see them, and the link.
    pub(crate) pictures: Vec<(String, String)>,
    pub(crate) conditions: String,
}

impl Report {
    /// An empty one, with the conditions of this machine.
    pub(crate) fn new(bench: &Bench) -> Outcome<Self> {
        let (rate, sync) = machine::sync_rate(bench.home())?;
        let conditions = format!(
            "{}. Servers and load generator share these cores. Disk: {rate:.0} durable 4 KiB appends a second one after \
             the other (median {:.2} ms, worst {:.1} ms). {} runs of {} s for each side and row.",
            machine::describe(),
            sync.median,
            sync.max,
            bench.runs,
            bench.window.as_secs(),
        );
        Ok(Self::empty(conditions))
    }

    /// Nothing, under these conditions.
    pub(crate) fn empty(conditions: String) -> Self {
        Self {
            names: Vec::new(),
            rows: Vec::new(),
            levels: Vec::new(),
            alone: Vec::new(),
            control: None,
            bare: None,
            policies: None,
            generator: None,
            neighbours: Vec::new(),
            searched: None,
            costs: None,
            proofs: None,
            is_aimed: false,
            pictures: Vec::new(),
            conditions,
        }
    }

    /// The parts that there is nothing of here, whatever the reason.
    fn not_run(&self) -> Vec<&'static str> {
        let has = |name: &str| self.rows.iter().any(|row| row.name == name);
        let parts = [
            ("kv", has(READS)),
            ("ceiling", self.generator.is_some()),
            ("creation", has(CREATED)),
            ("growth", !self.levels.is_empty()),
            ("cost", self.costs.is_some()),
            ("policies", self.policies.is_some()),
            ("proofs", self.proofs.is_some()),
            ("neighbour", !self.neighbours.is_empty()),
            ("search", self.searched.is_some()),
        ];
        parts.into_iter().filter(|(_, is_there)| !is_there).map(|(name, _)| name).collect()
    }

    /// The whole report.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("{}\n", self.conditions);
        let not_run = self.not_run();
        if !not_run.is_empty() {
            let _ = writeln!(text, "\nNot run in this call: {}.", not_run.join(", "));
        }
        if self.is_aimed {
            aims::table(&mut text, self);
        }
        for (alt, link) in &self.pictures {
            let _ = writeln!(text, "\n![{alt}]({link})");
        }
        if !self.rows.is_empty() {
            self.throughput(&mut text);
            self.limits(&mut text);
        }
        if !self.levels.is_empty() {
            growth::tables(&mut text, &self.levels);
        }
        for row in &self.alone {
            let runs = row.columns.first().map(Vec::as_slice).unwrap_or_default();
            let rate = Spread::of(runs.iter().map(|run| run.rate));
            let p99 = Spread::of(runs.iter().map(|run| run.p99_ms));
            let _ = write!(
                text,
                "\n{}, {} connections: **{}**/s ({}), p99 {} ms.\n",
                row.name,
                row.connections,
                whole(rate.median),
                range(rate, whole),
                short(p99.median)
            );
        }
        if !self.neighbours.is_empty() {
            neighbour::table(&mut text, &self.neighbours);
        }
        if let Some(costs) = &self.costs {
            cost::tables(&mut text, costs);
        }
        if let Some(searched) = &self.searched {
            search::table(&mut text, searched);
        }
        if let Some(proofs) = &self.proofs {
            let _ = write!(
                text,
                "\n### A change of policies, proved\n\nOne of 20 policies is changed again and again, and the set is proved \
                 to keep isolation and 5 invariants, for every request. Without server, store and network.\n\n```text\n\
                 {proofs}```\n"
            );
        }
        self.policies(&mut text);
        self.controls(&mut text);
        text
    }

    fn throughput(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n### Throughput and latency\n\nReads and writes go around {TENANTS} tenants, each request with its \
             tenant's own credential. Requests (or tenants) a second: median, and lowest–highest run. Latency: medians \
             of the runs' p50 and p99. Ratio: every other side by the first, of the runs of one round.\n\n"
        );
        let mut header = "| work | connections |".to_owned();
        for name in &self.names {
            let _ = write!(header, " {name}, 1/s | p50 / p99 ms |");
        }
        header.push_str(" ratio |");
        let columns = header.matches('|').count() - 1;
        let _ = writeln!(text, "{header}\n|{}", "---|".repeat(columns));
        for row in &self.rows {
            let _ = write!(text, "| {} | {} |", row.name, row.connections);
            for runs in &row.columns {
                let rate = Spread::of(runs.iter().map(|run| run.rate));
                let p50 = Spread::of(runs.iter().map(|run| run.p50_ms));
                let p99 = Spread::of(runs.iter().map(|run| run.p99_ms));
                let (p50, p99) = (short(p50.median), short(p99.median));
                let _ = write!(text, " {} | {p50} / {p99} |", rated(rate, whole));
            }
            let ratios: Vec<String> = row.ratios().into_iter().map(times).collect();
            let _ = writeln!(text, " {} |", if ratios.is_empty() { "–".to_owned() } else { ratios.join(", ") });
        }
    }

    fn limits(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n### What limited each run, and what disturbed it\n\nCores are CPU seconds per second. Other: CPU of all \
             other processes, the idle server among them. Steal: CPU taken away from this virtual machine. The worst run \
             of the row.\n\n| work | side | server cores | generator cores | idle | disk wait | KiB written per unit | \
             limited by | other (worst) | steal (worst) |\n|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for row in &self.rows {
            for (side, runs) in self.names.iter().zip(&row.columns) {
                let _ = writeln!(text, "| {} | {side} |{}", row.name, limits_of(runs));
            }
        }
    }

    fn policies(&self, text: &mut String) {
        let Some((counts, row)) = &self.policies else { return };
        text.push_str(
            "\n### As policies grow\n\nKV v2 reads in tenants with so many policies, none of which is about the \
            secrets that are read. Share: of the runs of one round, of the first line.\n\n",
        );
        text.push_str("| policies | reads, 1/s | p50 / p99 ms | share |\n|---|---|---|---|\n");
        let shares = [None].into_iter().chain(row.ratios().into_iter().map(Some));
        for ((count, runs), share) in counts.iter().zip(&row.columns).zip(shares) {
            let rate = Spread::of(runs.iter().map(|run| run.rate));
            let p50 = Spread::of(runs.iter().map(|run| run.p50_ms)).median;
            let p99 = Spread::of(runs.iter().map(|run| run.p99_ms)).median;
            let share = share.map_or("–".to_owned(), shown_share);
            let rate = rated(rate, whole);
            let _ = writeln!(text, "| {count} | {rate} | {} / {} | {share} |", short(p50), short(p99));
        }
    }

    fn bare(&self, text: &mut String) {
        let Some(row) = &self.bare else { return };
        let (Some(bare), Some(share)) = (row.columns.first(), row.ratios().first().copied()) else { return };
        let rate = Spread::of(bare.iter().map(|run| run.rate));
        let _ = writeln!(
            text,
            "- The bare ceiling (the same HTTP stack, and for each request an entry of the same size, made durable by the \
             same store; no credential, policy, key or secret): {}/s ({}). Audited reads beside it reach {} of that.",
            whole(rate.median),
            range(rate, whole),
            shown_share(share),
        );
    }

    fn controls(&self, text: &mut String) {
        if self.control.is_some() || self.generator.is_some() {
            text.push_str("\n### Controls\n\n");
        }
        if let Some(row) = &self.control {
            let ratio = row.ratios().first().copied().map_or("–".to_owned(), times);
            let _ = writeln!(text, "- {}: {ratio}. It should be 1.00; the rest is noise.", row.name);
        }
        self.bare(text);
        if let Some(runs) = &self.generator {
            let rate = Spread::of(runs.iter().map(|run| run.rate));
            let p99 = Spread::of(runs.iter().map(|run| run.p99_ms)).median;
            let cores = Spread::of(runs.iter().map(|run| run.generator_cpu / run.seconds)).median;
            let _ = writeln!(
                text,
                "- The generator against a server that does nothing: {}/s ({}), p99 {} ms, {cores:.2} cores. No result \
                 above comes near what the generator can send.",
                whole(rate.median),
                range(rate, whole),
                short(p99),
            );
        }
    }
}

impl Row {
    /// Every other side by the first, round by round.
    pub(super) fn ratios(&self) -> Vec<Spread> {
        let Some((first, others)) = self.columns.split_first() else { return Vec::new() };
        let by_first =
            |other: &Vec<Run>| Spread::of(first.iter().zip(other).map(|(first, other)| other.rate / first.rate));
        others.iter().map(by_first).collect()
    }
}

fn limits_of(runs: &[Run]) -> String {
    let median = |value: fn(&Run) -> f64| Spread::of(runs.iter().map(value)).median;
    let worst = |value: fn(&Run) -> f64| Spread::of(runs.iter().map(value)).max;
    let server = median(|run| run.server_cpu / run.seconds);
    let generator = median(|run| run.generator_cpu / run.seconds);
    let idle = median(|run| run.machine.idle / run.machine.total());
    let disk = median(|run| run.machine.io_wait / run.machine.total());
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    let written = median(|run| run.written_mib * 1024.0 / run.done as f64);
    let other = worst(|run| (run.machine.busy - run.server_cpu - run.generator_cpu).max(0.0) / run.seconds);
    let steal = worst(|run| run.machine.steal / run.machine.total());
    format!(
        " {server:.2} | {generator:.2} | {} | {} | {written:.1} | {} | {other:.2} cores | {} |",
        percent(idle),
        percent(disk),
        limited_by(generator, idle, disk),
        percent(steal),
    )
}

/// A rule of thumb, stated so that a reader can disagree: the columns that it uses stand next to it.
fn limited_by(generator_cores: f64, idle: f64, disk: f64) -> &'static str {
    if generator_cores > 0.9 {
        "generator"
    } else if idle + disk < 0.1 {
        "CPU"
    } else if disk > idle {
        "disk"
    } else {
        "waiting: locks or fsync"
    }
}

/// Puts the report into a file: between the marks when it has them, else as all of it.
pub(crate) fn write(file: &Path, text: &str) -> Outcome {
    let old = fs::read_to_string(file).unwrap_or_default();
    fs::write(file, placed(&old, text)).context(file.display())
}

fn placed(old: &str, text: &str) -> String {
    let around = old.split_once(OPENING).and_then(|(before, rest)| Some((before, rest.split_once(CLOSING)?.1)));
    match around {
        Some((before, after)) => format!("{before}{OPENING}\n{text}{CLOSING}{after}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rate: f64) -> Run {
        Run { load: bailiwick_load::Run { rate, ..Default::default() }, ..Run::default() }
    }

    #[test]
    fn a_ratio_compares_the_two_runs_of_one_round() {
        let columns = vec![vec![run(10.0), run(20.0), run(40.0)], vec![run(100.0), run(100.0), run(200.0)]];
        let row = Row { name: String::new(), connections: 1, columns };
        assert_eq!(row.ratios(), [Spread { median: 5.0, min: 5.0, max: 10.0 }]);
    }

    #[test]
    fn results_replace_what_stood_between_the_marks() {
        let old = "a\n<!-- results -->\nold\n<!-- /results -->\nb\n";
        assert_eq!(placed(old, "new\n"), "a\n<!-- results -->\nnew\n<!-- /results -->\nb\n");
        assert_eq!(placed("no marks", "new\n"), "new\n");
    }

    #[test]
    fn a_partial_run_says_what_it_left_out() {
        let mut report = Report::empty("here".to_owned());
        report.rows.push(Row { name: READS.to_owned(), connections: 1, columns: Vec::new() });
        report.proofs = Some(String::new());
        let left_out = "\nNot run in this call: ceiling, creation, growth, cost, policies, neighbour, search.\n";
        assert!(report.markdown().contains(left_out), "{}", report.markdown());
    }
}
