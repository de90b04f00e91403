//! What continuous verification found: a board that the prober writes to and that everybody else reads.
//!
//! The board is of one node. The node that probes tells the others how it stands, through the platform's header (see
//! `probing`). What lasts is in the platform's ledger: one entry for each round, one for each finding.

use std::time::Duration;

use bailiwick_types::Slug;
use bailiwick_types::action::act;
use bailiwick_types::api::isolation::{
    IsolationState, IsolationStatus, ProbeCounts, ProbeFinding, ProbeRound, TimingResult,
};
use bailiwick_types::time::format_duration;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::app::{App, PlatformUseCase};
use crate::error::AppError;
use crate::tenants::platform;
use crate::tx::{Answer, PlatformTx};

/// How many findings the board shows.
const FINDINGS_MAX: usize = 20;

/// What the prober has found so far.
#[derive(Default)]
pub struct IsolationBoard {
    status: Mutex<IsolationStatus>,
    /// Somebody wants a whole round at once.
    hurry: Notify,
}

impl IsolationBoard {
    /// What is known.
    pub fn status(&self) -> IsolationStatus {
        self.status.lock().clone()
    }

    /// A prober is there, which probes one of so many routes in each span; without one only when it is asked.
    pub fn begin(&self, every: Option<Duration>, routes: u64) {
        let mut status = self.status.lock();
        status.state = if every.is_some() { IsolationState::Starting } else { IsolationState::Off };
        status.every = every.map(format_duration);
        status.routes = routes;
    }

    /// The canaries are there.
    pub fn has_canaries(&self, slugs: Vec<Slug>) {
        self.status.lock().canaries = slugs;
    }

    /// A round begins: if nothing could be seen before, it is tried again.
    pub fn begin_round(&self) {
        let mut status = self.status.lock();
        status.under_way = ProbeCounts::default();
        if status.state == IsolationState::Blind {
            status.state = IsolationState::Starting;
            status.reason = None;
        }
    }

    /// One route was probed.
    pub fn add(&self, counts: ProbeCounts, findings: &[ProbeFinding]) {
        let mut status = self.status.lock();
        status.under_way = status.under_way.plus(counts);
        status.total = status.total.plus(counts);
        if counts.findings > 0 {
            status.state = IsolationState::Broken;
        }
        for finding in findings {
            status.findings.insert(0, finding.clone());
        }
        status.findings.truncate(FINDINGS_MAX);
    }

    /// What was measured of one route.
    pub fn add_timing(&self, result: TimingResult) {
        let mut status = self.status.lock();
        status.timing.retain(|known| known.route != result.route);
        status.timing.push(result);
    }

    /// A round is complete.
    pub fn complete(&self, round: ProbeRound) {
        let mut status = self.status.lock();
        status.state = match (round.counts.findings, round.counts.inconclusive) {
            (0, 0) => IsolationState::Holds,
            (0, _) => IsolationState::Blind,
            _ => IsolationState::Broken,
        };
        status.reason = (status.state == IsolationState::Blind).then(|| "some probes showed nothing".to_owned());
        status.under_way = ProbeCounts::default();
        status.last = Some(round);
    }

    /// Probes cannot be made. What was found to be broken stays broken.
    pub fn blind(&self, why: String) {
        let mut status = self.status.lock();
        if status.state != IsolationState::Broken {
            status.state = IsolationState::Blind;
        }
        status.reason = Some(why);
    }

    /// Another node probes, or did last: what it says that it has found.
    pub(crate) fn elsewhere(&self, node: &str, state: IsolationState, last: Option<ProbeRound>) {
        let mut status = self.status.lock();
        status.state = state;
        status.last = last;
        status.reason = Some(format!("the node `{node}` probes; what it finds is in the platform's ledger"));
    }

    /// What the other nodes are told.
    pub(crate) fn summary(&self) -> (IsolationState, Option<ProbeRound>) {
        let status = self.status.lock();
        (status.state, status.last.clone())
    }

    /// Somebody wants a whole round at once.
    pub(crate) fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Resolves when somebody wants a whole round at once.
    pub async fn hurried(&self) {
        self.hurry.notified().await;
    }
}

impl App {
    /// What continuous verification found.
    pub fn isolation(&self) -> &IsolationBoard {
        &self.isolation
    }

    /// Writes a finding into the platform's ledger, as an alert.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn record_finding(&self, finding: &ProbeFinding) -> Result<(), AppError> {
        self.append_isolation_entry(|entry| {
            entry.outcome = "fault".into();
            let ProbeFinding { kind, route, caller, what, requests, .. } = finding;
            for (name, text) in [
                ("finding", kind),
                ("route", route),
                ("caller", caller),
                ("what", what),
                ("requests", &requests.join(" ")),
            ] {
                entry.detail.insert(name.to_owned(), text.clone());
            }
        })
        .await
    }

    /// Writes the result of a round into the platform's ledger.
    ///
    /// # Errors
    /// Whatever the store says.
    pub async fn record_round(&self, round: &ProbeRound) -> Result<(), AppError> {
        self.append_isolation_entry(|entry| {
            let counts = round.counts;
            if counts.findings > 0 {
                entry.outcome = "fault".into();
            }
            for (name, number) in [
                ("round", round.number),
                ("routes", counts.routes),
                ("probes", counts.probes),
                ("controls", counts.controls),
                ("without_control", counts.without_control),
                ("findings", counts.findings),
                ("inconclusive", counts.inconclusive),
            ] {
                entry.detail.insert(name.to_owned(), number.to_string());
            }
        })
        .await
    }
}

/// Shows what continuous verification found.
pub struct Show;

impl PlatformUseCase for Show {
    type Action = act::IsolationShow;
    type Reply = IsolationStatus;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<IsolationStatus>, AppError> {
        let permit = tx.authorize::<act::IsolationShow>(&platform()).await?;
        let status = tx.app.isolation.status();
        tx.commit(permit, status).await
    }
}

/// Asks for a whole round at once. Answers with what is known before it.
pub struct Probe;

impl PlatformUseCase for Probe {
    type Action = act::IsolationProbe;
    type Reply = IsolationStatus;
    async fn run(&self, tx: &mut PlatformTx<'_>) -> Result<Answer<IsolationStatus>, AppError> {
        let permit = tx.authorize::<act::IsolationProbe>(&platform()).await?;
        let board = &tx.app.isolation;
        let answer = tx.commit(permit, board.status()).await?;
        board.hurry();
        Ok(answer)
    }
}
