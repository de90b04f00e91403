//! One route, tried: everybody of one canary asks for what is the other's, and for what is not there; then the other one
//! asks for what is its own.
//!
//! A difference that an operator made meanwhile is no finding: their acts on a tenant are in that tenant's ledger, by
//! their own name, and the trial looks there before it says anything.

use bailiwick_app::{App, AppError, Canaries, Canary, CanaryState};
use bailiwick_http::{Access, Route};
use bailiwick_types::api::isolation::{ProbeCounts, ProbeFinding};
use bailiwick_types::{Plane, ResourceKind};
use serde_json::Value;

use crate::catalogue::{self, Aim, Caller, Kind, Row, STRAY, Sides, aims, callers};
use crate::doors::{Ask, Doors, Seen};
use crate::holdings::{Platform, Tenant};

/// What is tried, by whom, on whom.
pub(crate) struct Trial<'a> {
    pub(crate) app: &'a App,
    pub(crate) doors: &'a dyn Doors,
    pub(crate) canaries: &'a Canaries,
    pub(crate) route: &'a Route,
    pub(crate) row: &'a Row,
    pub(crate) actor: &'a Tenant,
    pub(crate) victim: &'a Tenant,
    pub(crate) platform: &'a Platform,
}

/// What came of it.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) counts: ProbeCounts,
    pub(crate) findings: Vec<ProbeFinding>,
    /// Whether the actor may have gained something.
    pub(crate) is_actor_changed: bool,
    /// Whether the victim, by its own rightful request, may have lost or gained something.
    pub(crate) is_victim_changed: bool,
}

/// A foreign thing, and one that is not there.
struct Pair {
    foreign: Aim,
    missing: Aim,
    /// Whether the request states another plane: then it is refused, whatever it asks for.
    is_elsewhere: bool,
}

impl Trial<'_> {
    fn sides(&self) -> Sides<'_> {
        Sides { own: self.actor, other: self.victim, platform: self.platform }
    }

    fn is_of_platform(&self) -> bool {
        self.route.plane() == Some(Plane::Platform)
    }

    fn pairs(&self) -> Vec<Pair> {
        let all = aims(self.route, self.row, &self.sides());
        let mut pairs = Vec::new();
        let mut add = |foreign: &Aim, missing: &Aim, is_elsewhere| {
            pairs.push(Pair { foreign: foreign.clone(), missing: missing.clone(), is_elsewhere });
        };
        for foreign in &all {
            for missing in all.iter().filter(|missing| catalogue::is_counterpart(foreign, missing)) {
                add(foreign, missing, self.is_of_platform() || foreign.kind == Kind::TheirTenant);
            }
        }
        // A thing of the platform is foreign to every tenant.
        if self.is_of_platform()
            && let Some(own) = all.iter().find(|aim| aim.kind == Kind::Own)
        {
            let absent: Vec<&Aim> = all.iter().filter(|aim| matches!(aim.kind, Kind::Absent(_))).collect();
            for missing in if absent.is_empty() { vec![own] } else { absent } {
                add(own, missing, true);
            }
        }
        pairs
    }

    /// Those of the actor's side who can try it, who may least first: what somebody who may a lot makes by it at home must
    /// not be what the others find. At places that lead nowhere two are enough.
    fn attackers(&self) -> Vec<Caller> {
        let mut all = callers(self.actor, self.victim, self.platform, self.app.random());
        let is_of_actor = |name: &str| !matches!(name, "stranger" | "operator" | "watcher");
        all.retain(|caller| is_of_actor(caller.name));
        let is_expired = self.actor.expired_from.is_some_and(|moment| self.app.now() >= moment);
        all.retain(|caller| caller.name != "expired" || is_expired);
        if self.route.summary == STRAY {
            all.retain(|caller| matches!(caller.name, "owner" | "anonymous"));
        }
        all.reverse();
        all
    }

    /// Tries it.
    ///
    /// # Errors
    /// Whatever keeps the victim from being looked at.
    pub(crate) async fn run(&self) -> Result<Outcome, AppError> {
        let mut outcome = Outcome { counts: ProbeCounts { routes: 1, ..ProbeCounts::default() }, ..Outcome::default() };
        let before = self.victim_state().await?;
        for pair in self.pairs() {
            for caller in self.attackers() {
                if !self.compare(&pair, &caller, &mut outcome).await {
                    break;
                }
            }
        }
        let after = self.victim_state().await?;
        if before != after {
            self.explain(&before, &after, &mut outcome).await;
        }
        self.control(&mut outcome).await;
        Ok(outcome)
    }

    async fn ask(&self, aim: &Aim, credential: &str) -> Seen {
        self.doors.answer(Ask::of(self.route, self.row, aim, credential, &self.sides())).await
    }

    fn finding(&self, kind: &str, caller: &str, what: String, seen: &[&Seen]) -> ProbeFinding {
        ProbeFinding {
            time: self.app.now(),
            kind: kind.to_owned(),
            route: self.route.name(),
            caller: caller.to_owned(),
            what,
            requests: seen.iter().map(|seen| seen.request().to_owned()).collect(),
        }
    }

    /// Compares foreign with missing. `false` if the caller made something of its own by it, so that there is nothing
    /// left to compare.
    async fn compare(&self, pair: &Pair, caller: &Caller, outcome: &mut Outcome) -> bool {
        let foreign = self.ask(&pair.foreign, &caller.credential).await;
        let is_success = (200..400).contains(&foreign.status);
        outcome.is_actor_changed |= is_success && catalogue::is_write(self.route);
        if is_success && !pair.is_elsewhere && catalogue::is_write(self.route) {
            // With a name that the other one uses too. There is nothing foreign in that.
            return false;
        }
        let missing = self.ask(&pair.missing, &caller.credential).await;
        outcome.counts.probes += 1;
        if foreign.is_busy() || missing.is_busy() {
            outcome.counts.inconclusive += 1;
            return true;
        }
        let (label, seen) = (&pair.foreign.label, [&foreign, &missing]);
        if is_success && pair.is_elsewhere {
            let what = format!("{label}: answered with {}", foreign.status);
            outcome.findings.push(self.finding("allowed", caller.name, what, &seen));
        } else if let Some(what) = difference(&foreign, &missing, &catalogue::echoes(self.victim)) {
            let what = format!("{label} against {}: {what}", pair.missing.label);
            outcome.findings.push(self.finding("distinguishable", caller.name, what, &seen));
        } else if pair.is_elsewhere && caller.name == "owner" && !catalogue::is_refused_by_grammar(self.route) {
            self.look_for_entries(&foreign, outcome).await;
        }
        outcome.counts.findings = outcome.findings.len() as u64;
        true
    }

    /// The refused attempt is in the actor's ledger and in the platform's isolation stream.
    async fn look_for_entries(&self, refused: &Seen, outcome: &mut Outcome) {
        let id = refused.request();
        let own = format!("/api/v1/t/{}/ledger/entries?order=desc&limit=1&request={id}", self.actor.slug);
        let stream = format!("/api/v1/platform/ledger/entries?order=desc&limit=1&request={id}");
        let operator = self.canaries.operator.credential.expose();
        for (target, credential, whose) in
            [(own, self.actor.owner.as_ref(), "the actor's"), (stream, operator.as_str(), "the platform's")]
        {
            let seen = self.doors.answer(Ask::plain("GET", target, credential, Value::Null)).await;
            if seen.status != 200 {
                outcome.counts.inconclusive += 1;
                continue;
            }
            let entry = &seen.json()["items"][0]["entry"];
            if entry["decision"] != "deny" {
                let what = format!("the refused attempt is not in {whose} ledger");
                outcome.findings.push(self.finding("unrecorded", "owner", what, &[refused]));
            }
        }
    }

    fn victim(&self) -> Option<&Canary> {
        self.canaries.tenants.iter().find(|canary| canary.slug == self.victim.slug)
    }

    async fn victim_state(&self) -> Result<CanaryState, AppError> {
        match self.victim() {
            Some(canary) => self.app.canary_state(canary).await,
            None => Err(AppError::internal("the victim is no canary")),
        }
    }

    /// Whether what changed at the victim's was the act of an operator or of the server itself.
    async fn explain(&self, before: &CanaryState, after: &CanaryState, outcome: &mut Outcome) {
        let target = format!("/api/v1/t/{}/ledger/entries?from={}&limit=1000", self.victim.slug, before.entries);
        let seen = self.doors.answer(Ask::plain("GET", target, self.victim.owner.as_ref(), Value::Null)).await;
        let page = seen.json();
        let entries = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_known = |entry: &Value| matches!(entry["entry"]["actor"]["kind"].as_str(), Some("operator" | "system"));
        // The last is this very reading.
        let others = entries.split_last().map_or(&[][..], |(_, others)| others);
        if seen.status == 200 && !others.is_empty() && others.iter().all(is_known) {
            outcome.counts.inconclusive += 1;
            return;
        }
        let what = format!(
            "the victim was changed: epoch {} → {}, ledger {} → {}",
            before.epoch, after.epoch, before.entries, after.entries
        );
        outcome.findings.push(self.finding("victim-changed", "all", what, &[]));
        outcome.counts.findings = outcome.findings.len() as u64;
    }

    /// The rightful request for the very same thing: only if it succeeds, the refusals mean something.
    async fn control(&self, outcome: &mut Outcome) {
        let is_of_viewer = self.is_of_platform() && !catalogue::is_write(self.route);
        if self.row.withheld.is_some() || (self.is_of_platform() && !is_of_viewer) {
            outcome.counts.without_control += 1;
            return;
        }
        let sides = Sides { own: self.victim, other: self.actor, platform: self.platform };
        let credential = match self.kind() {
            _ if is_of_viewer => self.canaries.operator.credential.expose().as_str(),
            // A credential that revokes itself is not to be the one that mends what was used up.
            Some(ResourceKind::Credential) if self.is_of_the_caller() => self.victim.viewer.as_ref(),
            _ => self.victim.owner.as_ref(),
        };
        let Some(own) = aims(self.route, self.row, &sides).into_iter().find(|aim| aim.kind == Kind::Own) else {
            return;
        };
        let seen = self.doors.answer(Ask::of(self.route, self.row, &own, credential, &sides)).await;
        outcome.is_victim_changed |= catalogue::is_write(self.route);
        if (200..300).contains(&seen.status) {
            outcome.counts.controls += 1;
        } else {
            outcome.counts.inconclusive += 1;
            let what = format!("the rightful request was answered with {}", seen.status);
            outcome.findings.push(self.finding("control-failed", "owner", what, &[&seen]));
        }
    }

    /// Whether it is about whatever credential it is asked with.
    fn is_of_the_caller(&self) -> bool {
        !self.route.path.contains("{key}") && !self.route.path.contains("{credential}")
    }

    fn kind(&self) -> Option<ResourceKind> {
        match self.route.access {
            Access::Action(action) => Some(action.resource()),
            Access::Open(_) => None,
        }
    }
}

/// How two answers differ that must not.
fn difference(foreign: &Seen, missing: &Seen, echoes: &[&str]) -> Option<String> {
    let (one, other) = (foreign.comparable(echoes), missing.comparable(echoes));
    if one.status != other.status {
        return Some(format!("status {} against {}", one.status, other.status));
    }
    if one.headers != other.headers {
        let changed = one.headers.iter().zip(&other.headers).find(|(a, b)| a != b);
        let name = changed.map_or("one has more than the other", |((name, _), _)| name.as_str());
        return Some(format!("header: {name}"));
    }
    if one.body != other.body {
        let at = one.body.iter().zip(&other.body).position(|(a, b)| a != b);
        return Some(format!("body: {}", at.map_or("length".to_owned(), |at| format!("byte {at}"))));
    }
    None
}
