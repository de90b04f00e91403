//! Continuous verification: what the server found when it tried its own isolation on its canary tenants.

use serde::{Deserialize, Serialize};

use crate::{Slug, Timestamp};

/// What is known of isolation in this server right now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IsolationState {
    /// The configuration asks for no probes and nobody else has: nothing is known.
    #[default]
    Off,
    /// No round is complete since the server started, or since probes could be made again.
    Starting,
    /// The last whole round found nothing, and nothing was found since.
    Holds,
    /// Something crossed the boundary. Stays until a whole round finds nothing.
    Broken,
    /// Probes could not be made, or their controls failed: nothing is known.
    Blind,
}

impl IsolationState {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::Off, Self::Starting, Self::Holds, Self::Broken, Self::Blind];

    /// The stable text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Holds => "holds",
            Self::Broken => "broken",
            Self::Blind => "blind",
        }
    }
}

/// How many things a round, or a part of one, has looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeCounts {
    /// Routes.
    pub routes: u64,
    /// Requests for a foreign thing, each compared with one for a thing that is not there.
    pub probes: u64,
    /// Rightful requests for the very things that were refused to the others: they are there.
    pub controls: u64,
    /// Routes without such a control, because it would change more than a canary.
    pub without_control: u64,
    /// What was found.
    pub findings: u64,
    /// Probes that showed nothing, because the server was busy or the control failed.
    pub inconclusive: u64,
}

impl ProbeCounts {
    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            routes: self.routes.saturating_add(other.routes),
            probes: self.probes.saturating_add(other.probes),
            controls: self.controls.saturating_add(other.controls),
            without_control: self.without_control.saturating_add(other.without_control),
            findings: self.findings.saturating_add(other.findings),
            inconclusive: self.inconclusive.saturating_add(other.inconclusive),
        }
    }
}

/// Every route, once, both ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeRound {
    /// Counted from the server's start.
    pub number: u64,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub finished: Timestamp,
    /// What it looked at.
    pub counts: ProbeCounts,
}

/// Something that crossed the boundary, or that hides whether something did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeFinding {
    /// When.
    pub time: Timestamp,
    /// `allowed`, `distinguishable`, `victim-changed` or `unrecorded`; `control-failed` for a probe that shows nothing.
    pub kind: String,
    /// Method and path of the row.
    pub route: String,
    /// What kind of caller: `owner`, `bare`, `anonymous`, …
    pub caller: String,
    /// What crossed, for people.
    pub what: String,
    /// The requests' ids, for the ledgers.
    pub requests: Vec<String>,
}

/// Whether time tells a foreign thing from a missing one, on one route.
///
/// Pairs of requests, foreign and missing in random order; what is looked at is the median of the differences, with a
/// confidence interval that assumes nothing about how times are distributed (order statistics, as in the sign test).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TimingResult {
    /// Method and path of the row.
    pub route: String,
    /// How many pairs.
    pub pairs: u64,
    /// The median of foreign minus missing, in nanoseconds.
    pub median_ns: i64,
    /// The interval that has the true median with a confidence of 99.9 %, in nanoseconds: from here
    pub low_ns: i64,
    /// to here. A difference was seen if zero is outside.
    pub high_ns: i64,
    /// The power: a constant difference of this much would have been seen with a probability of 95 %, in nanoseconds.
    pub detectable_ns: i64,
}

impl TimingResult {
    /// Whether a difference was seen.
    pub const fn is_seen(&self) -> bool {
        self.low_ns > 0 || self.high_ns < 0
    }
}

/// The answer to `isolation:show`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IsolationStatus {
    /// What is known.
    pub state: IsolationState,
    /// Why nothing is known, if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often the next route is probed; absent if only when somebody asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// The canary tenants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<Slug>,
    /// How many routes there are.
    #[serde(default)]
    pub routes: u64,
    /// What the round that is under way has looked at.
    #[serde(default)]
    pub under_way: ProbeCounts,
    /// The last round that is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<ProbeRound>,
    /// All since the server started.
    #[serde(default)]
    pub total: ProbeCounts,
    /// What was found, newest first, twenty at most. All are in the platform's ledger.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<ProbeFinding>,
    /// Whether time tells, on routes that look something up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timing: Vec<TimingResult>,
}
