//! How long it takes to find something in a large ledger.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::load::{Request, Until};
use super::numbers::{range, short};
use super::side::{OURS, expect_success};
use super::stats::Spread;
use super::{Bench, CONNECTIONS};
use crate::failure::{Failure, Outcome};
use crate::http::Client;
use bailiwick_load::Tenant;
use serde_json::Value;

/// Each question is asked so often.
const ASKED: usize = 20;
/// Entries that the generator makes between two lines of progress.
const LEG: u64 = 500_000;
/// What is asked for once, before everything else is.
const RARE: &str = "once";

/// A question, and how long its first page took.
pub(crate) struct Found {
    question: String,
    items: usize,
    milliseconds: Spread,
}

/// A ledger that was searched.
pub(crate) struct Searched {
    entries: u64,
    found: Vec<Found>,
}

impl Searched {
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Milliseconds of the question that took longest.
    pub(crate) fn slowest(&self) -> Option<Spread> {
        let all = self.found.iter().map(|found| found.milliseconds);
        all.max_by(|one, other| one.median.total_cmp(&other.median))
    }
}

impl Bench {
    /// Grows one tenant's ledger to so many entries, and searches it.
    pub(super) fn search(&self, entries: u64, report: &mut super::report::Report) -> Outcome {
        let sides = self.launch("search", report)?;
        let Some(side) = sides.iter().find(|side| side.name() == OURS) else { return Ok(()) };
        let tenant = side.add_tenant("searched")?;
        let mut client = Client::connect(side.address())?;
        // At the far end for who begins with the newest.
        let once = tenant.asks("GET", format!("/v1/secret/data/{RARE}"));
        client.call(&once.method, &once.path, &once.headers, "")?;
        let units: Vec<Vec<Request>> = (0..5).map(|number| vec![tenant.read(number)]).collect();
        let mut grown = 0;
        while grown < entries {
            let mut plan = self.plan(side.as_ref(), &units, CONNECTIONS)?;
            // Below the rate that one tenant may have unless an operator says otherwise: 20,000 a second.
            plan.load.rest = Duration::from_millis(5);
            plan.load.until = Until::Count(LEG.min(entries - grown));
            let run = self.load(&plan)?;
            grown += run.done;
            println!("{}: {grown} entries, {:.0}/s", side.name(), run.rate);
        }
        // The first one was idle for too long.
        let mut client = Client::connect(side.address())?;
        let who = answer(&tenant, &mut client, "/whoami")?;
        let actor = who.pointer("/principal/id").and_then(Value::as_str).unwrap_or_default();
        let questions = [
            format!("actor={actor}"),
            format!("resource=secret/app/{}-0", tenant.slug),
            format!("resource=secret/{RARE}"),
            "actor=nobody".to_owned(),
            format!("actor={actor}&decision=deny"),
        ];
        await_index(&tenant, &mut client)?;
        let found =
            questions.iter().map(|question| ask(&tenant, &mut client, question)).collect::<Outcome<Vec<_>>>()?;
        report.searched = Some(Searched { entries: grown, found });
        Ok(())
    }
}

/// What our own API answers about the tenant.
fn answer(tenant: &Tenant, client: &mut Client, path: &str) -> Outcome<Value> {
    expect_success(client, &tenant.native("GET", path))
}

fn question(asked: &str) -> String {
    format!("/ledger/entries?order=desc&limit=100&{asked}")
}

/// Waits until what is nowhere is known to be nowhere in one answer: then the index is whole.
fn await_index(tenant: &Tenant, client: &mut Client) -> Outcome {
    let began = Instant::now();
    while answer(tenant, client, &question("actor=nobody"))?.get("is_complete") != Some(&Value::Bool(true)) {
        if began.elapsed().as_secs() > 300 {
            return Err(Failure::new("the ledger's index is not made"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

fn ask(tenant: &Tenant, client: &mut Client, asked: &str) -> Outcome<Found> {
    let (mut items, mut times) = (0, Vec::new());
    for _ in 0..ASKED {
        let began = Instant::now();
        let page = answer(tenant, client, &question(asked))?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
        items = page.get("items").and_then(Value::as_array).map_or(0, Vec::len);
    }
    Ok(Found { question: asked.to_owned(), items, milliseconds: Spread::of(times) })
}

/// Everything about searching.
pub(crate) fn table(text: &mut String, searched: &Searched) {
    let _ = write!(
        text,
        "\n### Searching a ledger\n\nA tenant with {} entries, newest first, pages of 100; the first page, {ASKED} times, median and \
         lowest–highest. `{RARE}` is the oldest entry of all.\n\n| asked | found on the page | ms |\n|---|---|---|\n",
        searched.entries
    );
    for Found { question, items, milliseconds } in &searched.found {
        let _ = writeln!(
            text,
            "| `{question}` | {items} | **{}** ({}) |",
            short(milliseconds.median),
            range(*milliseconds, short)
        );
    }
}
