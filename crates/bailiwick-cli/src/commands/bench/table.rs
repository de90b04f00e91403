//! What was measured, as a table and as JSON.

use std::collections::BTreeMap;

use bailiwick_load::Run;
use bailiwick_types::ErrorClass;
use serde::Serialize;

use super::BenchArgs;
use crate::fail::Fail;
use crate::output::{count, fields, table};
use crate::session::Session;

/// Above this share of its one core the generator is what limits, and not the server.
const GENERATOR_CORES_MAX: f64 = 0.9;

/// Everything measured.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    address: String,
    /// What the slugs of its tenants begin with.
    prefix: String,
    seconds: u64,
    tenants: u64,
    /// Whether all that was asked for was measured.
    pub(super) is_complete: bool,
    rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) neighbour: Option<Neighbour>,
}

/// One thing measured.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    work: &'static str,
    name: String,
    connections: usize,
    /// Successes a second.
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// Answers in the window, of any kind; the latencies are theirs.
    answers: u64,
    seconds: f64,
    /// Statuses that are no success, and how often they came; warm-up included.
    errors: BTreeMap<String, u64>,
    /// Successes that held something else than they must.
    mistaken: u64,
    /// Connections that were closed and opened anew.
    reopened: u64,
    generator_cores: f64,
    #[serde(skip)]
    first_wrong: String,
}

/// What a flood costs a neighbour.
#[derive(Debug, Serialize)]
pub(super) struct Neighbour {
    /// Its p99 in the flood by its p99 alone; none if it was not answered at all.
    p99_ratio: Option<f64>,
    /// The flood's refusals with status 429.
    refused: u64,
    /// Those of them that say when to try again.
    refused_with_retry_after: u64,
}

impl Row {
    pub(super) fn of(work: &'static str, name: &str, connections: usize, run: &Run) -> Self {
        let errors = run.statuses.iter().filter(|(status, _)| !(200..300).contains(*status));
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
        let succeeded = run.done.saturating_sub(run.failed) as f64;
        Self {
            work,
            name: name.to_owned(),
            connections,
            per_second: succeeded / run.seconds,
            p50_ms: run.p50_ms,
            p99_ms: run.p99_ms,
            max_ms: run.max_ms,
            answers: run.done,
            seconds: run.seconds,
            errors: errors.map(|(status, times)| (status.to_string(), *times)).collect(),
            mistaken: run.mistaken,
            reopened: run.reopened,
            generator_cores: run.generator_cpu / run.seconds,
            first_wrong: run.first_wrong.clone(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let mut errors: Vec<String> =
            self.errors.iter().map(|(status, times)| format!("{status}: {}", count(*times))).collect();
        if self.mistaken > 0 {
            errors.push(format!("WRONG CONTENT: {}", count(self.mistaken)));
        }
        if self.reopened > 0 {
            errors.push(format!("closed: {}", count(self.reopened)));
        }
        vec![
            self.name.clone(),
            self.connections.to_string(),
            number(self.per_second),
            number(self.p50_ms),
            number(self.p99_ms),
            if errors.is_empty() { "none".to_owned() } else { errors.join(", ") },
        ]
    }
}

impl Neighbour {
    pub(super) fn of(alone: &Run, flooded: &Run, flood: &Run) -> Self {
        let is_answered = alone.done > 0 && flooded.done > 0 && alone.p99_ms > 0.0;
        Self {
            p99_ratio: is_answered.then(|| flooded.p99_ms / alone.p99_ms),
            refused: flood.refused,
            refused_with_retry_after: flood.refused.saturating_sub(flood.refused_for_ever),
        }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let ratio = self.p99_ratio.map_or_else(
            || "the neighbour was not answered".to_owned(),
            |ratio| format!("{}× what it is alone", number(ratio)),
        );
        let refused = format!(
            "{} with 429, {} of them with Retry-After",
            count(self.refused),
            count(self.refused_with_retry_after)
        );
        vec![("neighbour's p99", ratio), ("flood refused", refused)]
    }
}

impl Measured {
    pub(super) fn new(address: &str, prefix: &str, args: &BenchArgs) -> Self {
        let (address, prefix) = (address.to_owned(), prefix.to_owned());
        let (seconds, tenants) = (args.seconds, args.tenants);
        Self { address, prefix, seconds, tenants, is_complete: false, rows: Vec::new(), neighbour: None }
    }

    pub(super) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(super) fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    pub(super) fn print(&self, session: &mut Session) -> Result<(), Fail> {
        if session.is_json() {
            let text = serde_json::to_string(self)
                .map_err(|error| Fail::new(ErrorClass::Fault, "output", error.to_string()))?;
            return session.json(&text);
        }
        session.terminal.print(&self.text())?;
        if !session.is_quiet() {
            for note in self.notes() {
                session.terminal.note(&format!("note: {}", crate::output::clean(&note)));
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(Row::cells).collect();
        let mut text = table(&["WORK", "CONNECTIONS", "1/S", "P50 MS", "P99 MS", "ERRORS"], &rows);
        if let Some(neighbour) = &self.neighbour {
            text.push('\n');
            text.push_str(&fields(&neighbour.fields()));
        }
        text
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let busy: Vec<&str> = self
            .rows
            .iter()
            .filter(|row| row.generator_cores > GENERATOR_CORES_MAX)
            .map(|row| row.name.as_str())
            .collect();
        if !busy.is_empty() {
            notes.push(format!("the load generator had no more to give, the server may: {}", busy.join(", ")));
        }
        let wrong = self.rows.iter().find(|row| !row.first_wrong.is_empty());
        notes.extend(wrong.map(|row| format!("the first error of `{}`: {}", row.name, row.first_wrong)));
        notes
    }

    /// A success that holds what it must not is more than a slow answer.
    pub(super) fn verdict(&self) -> Result<(), Fail> {
        match self.rows.iter().find(|row| row.mistaken > 0) {
            None => Ok(()),
            Some(row) => Err(Fail::new(
                ErrorClass::Fault,
                "wrong_content",
                format!(
                    "`{}`: {} answers said success and did not hold what the tenant had written",
                    row.name, row.mistaken
                ),
            )
            .with_hint(
                "`bailiwick isolation probe` tries every route; do not trust this installation until it is known why",
            )),
        }
    }
}

/// With as many places as matter.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, rounded to be read")]
            let whole = value.round() as u64;
            count(whole)
        }
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        let statuses = [(200, 900), (429, 80), (503, 20)].into();
        let (p50_ms, p99_ms, max_ms) = (1.234, 45.678, 99.0);
        Run {
            done: 1_000,
            failed: 100,
            seconds: 2.0,
            p50_ms,
            p99_ms,
            max_ms,
            statuses,
            refused: 80,
            refused_for_ever: 3,
            ..Run::default()
        }
    }

    fn measured(rows: Vec<Row>, neighbour: Option<Neighbour>) -> Measured {
        let (address, prefix) = ("http://x".to_owned(), "bench-x".to_owned());
        Measured { address, prefix, seconds: 2, tenants: 1, is_complete: true, rows, neighbour }
    }

    #[test]
    fn a_table_has_successes_latencies_and_every_error_by_its_status() {
        let alone = Run { p99_ms: 10.0, done: 5, ..Run::default() };
        let neighbour = Neighbour::of(&alone, &run(), &run());
        let rows = vec![Row::of("kv_read", "KV v2 read", 16, &run())];
        expect_test::expect![[r"
            WORK        CONNECTIONS  1/S  P50 MS  P99 MS  ERRORS
            KV v2 read  16           450  1.23    45.7    429: 80, 503: 20

            neighbour's p99  4.57× what it is alone
            flood refused    80 with 429, 77 of them with Retry-After
        "]]
        .assert_eq(&measured(rows, Some(neighbour)).text());
    }

    #[test]
    fn a_neighbour_without_an_answer_has_no_ratio() {
        let neighbour = Neighbour::of(&run(), &Run::default(), &run());
        assert_eq!(neighbour.p99_ratio, None);
    }

    #[test]
    fn wrong_content_is_a_failure_and_refusals_are_none() {
        let refused = Run { wrong: 100, ..run() };
        assert!(measured(vec![Row::of("kv_read", "a", 1, &refused)], None).verdict().is_ok());
        let mistaken = measured(vec![Row::of("kv_read", "a", 1, &Run { mistaken: 2, ..run() })], None);
        assert_eq!(mistaken.verdict().unwrap_err().exit_code(), 10);
        assert!(mistaken.text().contains("WRONG CONTENT: 2"));
    }

    #[test]
    fn it_is_told_when_the_generator_is_the_limit() {
        let busy = Run { generator_cpu: 1.9, ..run() };
        assert_eq!(measured(vec![Row::of("kv_read", "a", 1, &run())], None).notes().len(), 0);
        assert!(measured(vec![Row::of("kv_read", "a", 1, &busy)], None).notes()[0].contains("the server may: a"));
    }
}
