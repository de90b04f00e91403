//! `bailiwick isolation`: what the server found when it tried its own isolation.

use std::time::{Duration, Instant};

use bailiwick_client::routes;
use bailiwick_types::ErrorClass;
use bailiwick_types::api::isolation::{IsolationState, IsolationStatus, ProbeCounts, TimingResult};
use clap::Subcommand;

use crate::fail::Fail;
use crate::output::{Human, count, fields, table};
use crate::session::Session;

/// How often a round that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// A round that somebody asked for has begun by then.
const BEGINS_WITHIN: Duration = Duration::from_secs(2);
/// Without progress for so long nobody waits any more.
const STUCK_AFTER: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick isolation status
  bailiwick isolation probe
  bailiwick platform ledger list --action isolation:probe

The server makes two tenants for itself, and asks in the name of one for what is the other's: on every route, with \
every kind of credential. What it is told must be, to the byte, what it is told of a thing that is not there; the other \
must not change; and the refusal must be in the ledgers. `[isolation] every` in the server's configuration lets it go \
on doing so.

Exit codes: 0 nothing was found, 6 isolation is broken, 9 probes could not be made.")]
pub(crate) enum IsolationCommand {
    /// Show what was found
    Status,
    /// Try every route at once, and show what was found
    Probe {
        /// Ask for it and go
        #[arg(long)]
        no_wait: bool,
    },
}

pub(crate) fn run(session: &mut Session, command: IsolationCommand) -> Result<(), Fail> {
    match command {
        IsolationCommand::Status => shown(session),
        IsolationCommand::Probe { no_wait } => {
            let before = session.send(&routes::probe_isolation())?.value()?;
            if no_wait {
                return session.show_with(&routes::isolation(), view);
            }
            let began = Instant::now();
            let mut moved = (before.under_way, began);
            loop {
                let now = session.send(&routes::isolation())?.value()?;
                let is_over = now.last.is_some() && now.last != before.last;
                // What was blind before it was asked begins anew in a moment.
                let is_new = before.state != IsolationState::Blind || began.elapsed() > BEGINS_WITHIN;
                if is_over || (now.state == IsolationState::Blind && is_new) {
                    session.terminal.progress("");
                    session.has_waited(began.elapsed());
                    return shown(session);
                }
                if now.under_way != moved.0 {
                    moved = (now.under_way, Instant::now());
                }
                if moved.1.elapsed() > STUCK_AFTER {
                    let what = "the server has not gone on with it for a minute";
                    return Err(Fail::new(ErrorClass::Busy, "isolation_unknown", what)
                        .with_hint("if it was started anew meanwhile, ask again"));
                }
                let (done, all) = (now.under_way.routes, now.routes);
                session.terminal.progress(&format!("{} of {} routes", count(done), count(all)));
                std::thread::sleep(LOOK_EVERY);
            }
        }
    }
}

fn shown(session: &mut Session) -> Result<(), Fail> {
    let reply = session.send(&routes::isolation())?;
    session.print_with(&reply, view)?;
    let status = reply.value()?;
    match status.state {
        IsolationState::Broken => {
            Err(Fail::new(ErrorClass::Conflict, "isolation_broken", "something crossed a tenant's boundary")
                .with_hint("`bailiwick platform ledger list --action isolation:probe` has every finding"))
        }
        IsolationState::Blind => Err(Fail::new(
            ErrorClass::Busy,
            "isolation_unknown",
            status.reason.unwrap_or_else(|| "probes could not be made".to_owned()),
        )),
        IsolationState::Off | IsolationState::Starting | IsolationState::Holds => Ok(()),
    }
}

fn view(status: IsolationStatus, human: Human) -> String {
    let state = match status.state {
        IsolationState::Off => "not known: nobody has asked for a probe",
        IsolationState::Starting => "not known yet: the first round is under way",
        IsolationState::Holds => "holds",
        IsolationState::Broken => "BROKEN",
        IsolationState::Blind => "not known: probes could not be made",
    };
    let mut lines = vec![("isolation", state.to_owned())];
    lines.extend(status.reason.map(|why| ("because", why)));
    let pace =
        status.every.map_or_else(|| "when an operator asks".to_owned(), |every| format!("one route every {every}"));
    lines.push(("probed", pace));
    if !status.canaries.is_empty() {
        let slugs: Vec<&str> = status.canaries.iter().map(|slug| slug.as_str()).collect();
        lines.push(("canaries", slugs.join(", ")));
    }
    if let Some(last) = &status.last {
        lines.push(("last round", human.moment(last.finished)));
        lines.extend(counted(last.counts));
    }
    if status.under_way.routes > 0 {
        lines.push(("under way", format!("{} of {} routes", count(status.under_way.routes), count(status.routes))));
    }
    let mut text = fields(&lines);
    if !status.findings.is_empty() {
        let rows: Vec<_> = status
            .findings
            .into_iter()
            .map(|finding| vec![human.away(finding.time), finding.kind, finding.route, finding.caller, finding.what])
            .collect();
        text.push('\n');
        text.push_str(&table(&["WHEN", "FINDING", "ROUTE", "CALLER", "WHAT"], &rows));
    }
    if !status.timing.is_empty() {
        let rows: Vec<_> = status.timing.iter().map(timed).collect();
        text.push('\n');
        text.push_str(&table(
            &["TIME OF", "PAIRS", "FOREIGN − MISSING", "99.9 % INTERVAL", "WOULD BE SEEN", ""],
            &rows,
        ));
    }
    text
}

fn counted(counts: ProbeCounts) -> Vec<(&'static str, String)> {
    vec![
        ("routes", format!("{}, {} without a rightful request", count(counts.routes), count(counts.without_control))),
        ("foreign against missing", format!("{} compared", count(counts.probes))),
        ("rightful requests", format!("{} answered", count(counts.controls))),
        ("found", count(counts.findings)),
        ("showed nothing", count(counts.inconclusive)),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds, shown as tenths of a microsecond")]
fn timed(timing: &TimingResult) -> Vec<String> {
    let micros = |ns: i64| format!("{:.1} µs", ns as f64 / 1_000.0);
    vec![
        timing.route.clone(),
        count(timing.pairs),
        micros(timing.median_ns),
        format!("{} to {}", micros(timing.low_ns), micros(timing.high_ns)),
        format!("from {}", micros(timing.detectable_ns)),
        if timing.is_seen() { "SEEN" } else { "not seen" }.to_owned(),
    ]
}
