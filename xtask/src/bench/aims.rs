//! What was aimed for, and what this run has shown of it.
//!
//! A verdict is made from the numbers of this run and nothing else; what was not run has none.

use std::fmt::Write as _;

use super::growth::Level;
use super::neighbour::Neighbour;
use super::numbers::{rated, short, shown_share, times, whole};
use super::report::{CREATED, READS, Report, Row, WRITES};
use super::side::OURS;
use super::stats::Spread;

/// The size of one node that the aims about tenants are about.
const TENANTS: u64 = 1_000_000;

/// What this run has shown.
#[derive(Debug, PartialEq)]
struct Seen {
    figure: String,
    is_reached: bool,
    /// What it was seen at, if that is less than what was aimed for.
    only_at: Option<String>,
}

/// One line of the table.
type Aim = (String, &'static str, Option<Seen>);

impl Seen {
    fn new(figure: String, is_reached: bool) -> Self {
        Self { figure, is_reached, only_at: None }
    }

    fn at(self, tenants: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let shown = whole(tenants as f64);
        let figure = format!("{}, at {shown} tenants", self.figure);
        Self { figure, only_at: (tenants < TENANTS).then_some(shown), ..self }
    }

    fn verdict(&self) -> String {
        let verdict = if self.is_reached { "reached" } else { "**missed**" };
        // Few tenants are better for some figures, and worse for others: what is there once is shared by fewer.
        match &self.only_at {
            Some(tenants) => format!("{verdict}, but at {tenants} tenants only"),
            None => verdict.to_owned(),
        }
    }
}

/// Everything that was aimed for.
pub(super) fn table(text: &mut String, report: &Report) {
    text.push_str(
        "\n### Against what was aimed for\n\nVerdicts are of the medians. What is about 1,000,000 tenants is of as many as there \
         were in this run.\n\n| what | aimed for | this run | |\n|---|---|---|---|\n",
    );
    for (what, target, seen) in aims(report) {
        let (figure, verdict) =
            seen.map_or(("–".to_owned(), "not run".to_owned()), |seen| (seen.figure.clone(), seen.verdict()));
        let _ = writeln!(text, "| {what} | {target} | {figure} | {verdict} |");
    }
}

fn aims(report: &Report) -> Vec<Aim> {
    let row = |name: &str| report.rows.iter().find(|row| row.name.starts_with(name)).filter(|_| is_compared(report));
    let at_least =
        |least: f64| move |row: &Row| row.ratios().first().map(|ratio| Seen::new(times(*ratio), ratio.median >= least));
    let mut aims: Vec<Aim> = vec![
        ("reads, by OpenBao's".to_owned(), "≥ 15×", row(READS).and_then(at_least(15.0))),
        ("p99 of reads, by OpenBao's".to_owned(), "≤ 1/20", row(READS).and_then(latency)),
        (
            "audited reads, of the bare ceiling".to_owned(),
            "≥ 65 %",
            report.bare.as_ref().and_then(|row| share(row, 0.65)),
        ),
        ("writes, by OpenBao's".to_owned(), "≥ 12×", row(WRITES).and_then(at_least(12.0))),
        (
            "reads with 5,000 policies, of those with 5".to_owned(),
            "≥ 80 %",
            report.policies.as_ref().and_then(|(_, row)| share(row, 0.8)),
        ),
        ("tenants created, by OpenBao's".to_owned(), "≥ 50×", row(CREATED).and_then(at_least(50.0))),
    ];
    aims.extend(of_growth(report.levels.iter().filter(|level| level.side == OURS).max_by_key(|level| level.tenants)));
    let ours: Vec<_> = report.neighbours.iter().filter(|neighbour| neighbour.side() == OURS).collect();
    if ours.is_empty() {
        aims.push(("a neighbour's p99 in a flood, by its p99 alone".to_owned(), "≤ 1.5×", None));
    }
    for neighbour in ours {
        let what = format!("a neighbour's p99 in a flood of {}, by its p99 alone", neighbour.flood());
        aims.push((what, "≤ 1.5×", Some(flooded(neighbour))));
    }
    let found = report.searched.as_ref().and_then(|searched| Some((searched.entries(), searched.slowest()?)));
    aims.push((
        "first page of a search in a ledger, the slowest question".to_owned(),
        "< 50 ms",
        found.map(|(entries, slowest)| {
            #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
            let entries = whole(entries as f64);
            Seen::new(format!("{} ms, {entries} entries", rated(slowest, short)), slowest.median < 50.0)
        }),
    ));
    let proved = report.proofs.as_deref().and_then(slowest_proof);
    let seen = proved.map(|ms| Seen::new(format!("**{}** ms", short(ms)), ms < 100.0));
    aims.push(("a change of policies proved, the slowest kind's median".to_owned(), "< 100 ms", seen));
    aims
}

/// Whether the first side is theirs and the second ours.
fn is_compared(report: &Report) -> bool {
    matches!(report.names.as_slice(), [theirs, ours] if theirs.starts_with("OpenBao") && ours == OURS)
}

fn share(row: &Row, least: f64) -> Option<Seen> {
    row.ratios().last().map(|share| Seen::new(shown_share(*share), share.median >= least))
}

fn latency(row: &Row) -> Option<Seen> {
    let [theirs, ours] = row.columns.as_slice() else { return None };
    let ratio = Spread::of(theirs.iter().zip(ours).map(|(theirs, ours)| theirs.p99_ms / ours.p99_ms));
    let part = |value: f64| format!("1/{}", short(value));
    Some(Seen::new(rated(ratio, part), ratio.median >= 20.0))
}

fn of_growth(largest: Option<&Level>) -> Vec<Aim> {
    let seen = |of: fn(&Level) -> Option<Seen>| largest.and_then(|level| Some(of(level)?.at(level.tenants)));
    vec![
        (
            "creation, the last quarter by the first".to_owned(),
            "0.8–1.2×",
            seen(|level| {
                let ratio = level.last_by_first()?;
                Some(Seen::new(format!("**{}×**", short(ratio)), (0.8..=1.2).contains(&ratio)))
            }),
        ),
        (
            "memory after a start".to_owned(),
            "< 200 MiB",
            seen(|level| below(Some(level.idle.resident_mib), "MiB", 200.0)),
        ),
        ("disk for each tenant".to_owned(), "< 4 KiB", seen(|level| below(level.kib_each(), "KiB", 4.0))),
        (
            "first request to a cold tenant, median".to_owned(),
            "< 5 ms",
            seen(|level| below(level.cold().map(|(median, _)| median), "ms", 5.0)),
        ),
        ("restart".to_owned(), "< 2 s", seen(|level| below(Some(level.restart().median), "s", 2.0))),
        (
            "restart after `kill -9` under load".to_owned(),
            "< 2 s",
            seen(|level| below(level.crash().map(|crash| crash.median), "s", 2.0)),
        ),
    ]
}

fn below(figure: Option<f64>, unit: &str, limit: f64) -> Option<Seen> {
    figure.map(|figure| Seen::new(format!("**{}** {unit}", short(figure)), figure < limit))
}

fn flooded(neighbour: &Neighbour) -> Seen {
    match neighbour.ratio_if_answered() {
        Some(ratio) => Seen::new(times(ratio), ratio.median <= 1.5),
        None => Seen::new("no answer in some round".to_owned(), false),
    }
}

/// Milliseconds of the slowest median among lines like `a permit: median 61.3ms, p90 78.2ms, of 41`.
fn slowest_proof(printed: &str) -> Option<f64> {
    let medians =
        printed.lines().filter_map(|line| line.split_once(": median ")?.1.split(',').next().and_then(milliseconds));
    medians.reduce(f64::max)
}

/// A duration as Rust prints it.
fn milliseconds(text: &str) -> Option<f64> {
    let units = [("ns", 1e-6), ("µs", 1e-3), ("ms", 1.0), ("s", 1e3)];
    let (number, times) = units.iter().find_map(|(unit, times)| Some((text.trim().strip_suffix(unit)?, times)))?;
    number.parse::<f64>().ok().map(|number| number * times)
}

#[cfg(test)]
mod tests {
    use super::super::growth::tests::level;
    use super::super::load::Run;
    use super::*;

    fn report() -> Report {
        let runs = |rate: f64, p99_ms: f64| {
            vec![Run { load: bailiwick_load::Run { rate, p99_ms, ..Default::default() }, ..Run::default() }]
        };
        let mut report = Report::empty("here".to_owned());
        report.names = vec!["OpenBao 1".to_owned(), "Bailiwick".to_owned()];
        let columns = vec![runs(100.0, 100.0), runs(1_500.0, 5.1)];
        report.rows.push(Row { name: READS.to_owned(), connections: 64, columns });
        report.levels = vec![level("OpenBao 1", 1.0, 900.0, 9.0), level("Bailiwick", 100.0, 199.0, 1.5)];
        report.proofs =
            Some("nothing new: median 22.9µs, p90 3s, of 4\na permit: median 61.5ms, p90 1s, of 4\n".to_owned());
        report
    }

    fn verdicts(report: &Report) -> Vec<(String, String)> {
        let verdict = |seen: Option<Seen>| seen.map_or("not run".to_owned(), |seen| seen.verdict());
        aims(report).into_iter().map(|(what, _, seen)| (what, verdict(seen))).collect()
    }

    fn verdict(report: &Report, what: &str) -> String {
        verdicts(report).into_iter().find(|(of, _)| of == what).unwrap().1
    }

    #[test]
    fn a_verdict_follows_from_the_numbers() {
        let mut report = report();
        assert_eq!(verdict(&report, "reads, by OpenBao's"), "reached");
        assert_eq!(verdict(&report, "p99 of reads, by OpenBao's"), "**missed**");
        assert_eq!(verdict(&report, "a change of policies proved, the slowest kind's median"), "reached");
        report.rows[0].columns[0][0].load.rate = 101.0;
        assert_eq!(verdict(&report, "reads, by OpenBao's"), "**missed**");
    }

    #[test]
    fn what_was_reached_with_fewer_tenants_is_told_from_what_was_aimed_for() {
        let mut report = report();
        assert_eq!(verdict(&report, "restart"), "reached, but at 999 tenants only");
        // The server takes twice as long after a crash there.
        assert_eq!(verdict(&report, "restart after `kill -9` under load"), "**missed**, but at 999 tenants only");
        report.levels[1].tenants = TENANTS;
        assert_eq!(verdict(&report, "restart"), "reached");
        assert_eq!(verdict(&report, "memory after a start"), "reached");
        report.levels[1].idle.resident_mib = 200.0;
        assert_eq!(verdict(&report, "memory after a start"), "**missed**");
    }

    #[test]
    fn what_was_not_run_has_no_verdict() {
        let verdicts = verdicts(&Report::empty(String::new()));
        assert!(verdicts.len() > 12 && verdicts.iter().all(|(_, verdict)| verdict == "not run"), "{verdicts:?}");
        let mut alone = report();
        alone.names.remove(0);
        alone.rows[0].columns.remove(0);
        assert_eq!(verdict(&alone, "reads, by OpenBao's"), "not run");
    }
}
