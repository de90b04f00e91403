//! The prober: all routes, one after the other, at a configured pace, for as long as the server runs. Of several nodes on
//! one store, one at a time.

use std::sync::Arc;
use std::time::Duration;

use bailiwick_app::{App, AppError, Canaries, Canary, Turn};
use bailiwick_http::Route;
use bailiwick_types::Code;
use bailiwick_types::api::isolation::{ProbeCounts, ProbeFinding, ProbeRound};
use tokio::time::Instant;

use crate::catalogue::{self, CatalogueError, Row, Sides, aims};
use crate::doors::{Ask, Doors};
use crate::furnish::Furnisher;
use crate::holdings::{Key, Platform, Principal, Tenant};
use crate::timing;
use crate::trial::{Outcome, Trial};

/// How the prober behaves.
#[derive(Debug, Clone)]
pub struct ProberConfig {
    /// How long after one route the next is tried. Without it all are tried when somebody asks for it, and never else.
    pub every: Option<Duration>,
    /// How many pairs of requests a round times on each route that is timed; none for zero.
    pub timed_pairs: usize,
}

impl Default for ProberConfig {
    fn default() -> Self {
        Self { every: None, timed_pairs: 400 }
    }
}

/// Routes that look something up, and where time could therefore tell.
const TIMED: &[&str] = &[
    "GET /api/v1/t/{tenant}/secrets/{mount}/{*path}",
    "GET /api/v1/t/{tenant}/accounts/{account}",
    "GET /v1/{mount}/data/{*path}",
    "GET /api/v1/tenants/{tenant}",
];
/// Pairs before those that count.
const WARM_UP_PAIRS: usize = 20;
/// Credentials with less time left are replaced before the next route.
const RENEW_BEFORE: Duration = Duration::from_secs(3_600);
/// The shortest time for which another node's turn must have stood still before it is taken.
const PATIENCE_MIN: Duration = Duration::from_secs(60);
/// How long after a failure it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Tries the server's isolation.
pub struct Prober {
    app: Arc<App>,
    doors: Arc<dyn Doors>,
    config: ProberConfig,
    rows: Vec<Row>,
}

/// The canaries, furnished.
struct House {
    canaries: Canaries,
    tenants: [Tenant; 2],
    platform: Platform,
}

impl House {
    /// Each of the two as actor, with the other as victim.
    fn both_ways(&self) -> [(&Tenant, &Tenant); 2] {
        let [one, other] = &self.tenants;
        [(one, other), (other, one)]
    }
}

impl Prober {
    /// A prober of the server with these doors.
    ///
    /// # Errors
    /// [`CatalogueError`] if it is not known how to try every route.
    pub fn new(app: Arc<App>, doors: Arc<dyn Doors>, config: ProberConfig) -> Result<Self, CatalogueError> {
        let rows = catalogue::rows_of(doors.routes())?;
        let tried = doors.routes().iter().filter(|route| !catalogue::is_open(route)).count();
        app.isolation().begin(config.every, tried as u64);
        Ok(Self { app, doors, config, rows })
    }

    /// Probes until it is dropped.
    pub async fn run(self) {
        let mut house = None;
        let mut number = 0;
        loop {
            number += 1;
            let is_asked = self.config.every.is_none();
            if is_asked {
                self.app.isolation().hurried().await;
            }
            self.round(number, &mut house, is_asked).await;
            // Who probes only when asked keeps nobody waiting in between.
            if is_asked && let Err(error) = self.app.release_probing_turn().await {
                tracing::warn!(%error, "the turn to probe could not be given back; it will be taken from us");
            }
        }
    }

    /// For how long another node's turn must stand still before it is taken.
    fn patience(&self) -> Duration {
        self.config.every.map_or(PATIENCE_MIN, |every| every.saturating_mul(3)).max(PATIENCE_MIN)
    }

    /// Waits until it is this node's turn. While it is not, what is known of the canaries is worth nothing.
    async fn take_turn(&self, house: &mut Option<House>, is_hurried: bool) {
        let mut is_passed_on = !is_hurried;
        loop {
            // A node that is sealed can try nothing: another one may.
            let taken = match self.app.is_unsealed() {
                true => self.app.take_probing_turn(self.patience()).await,
                false => Err(AppError::new(Code::Sealed)),
            };
            match taken {
                Ok(Turn::Own) => return,
                Ok(Turn::Elsewhere(node)) => {
                    *house = None;
                    tracing::debug!(node, "another node probes isolation");
                    if !std::mem::replace(&mut is_passed_on, true)
                        && let Err(error) = self.app.want_probing_round().await
                    {
                        tracing::warn!(%error, "the wish for a round of probes could not be passed on");
                    }
                }
                Err(error) => {
                    *house = None;
                    tracing::debug!(%error, "whose turn it is to probe cannot be read");
                    self.app.isolation().blind(error.code().title().to_owned());
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_AFTER) => {}
                () = self.app.isolation().hurried() => is_passed_on = false,
            }
        }
    }

    /// Tries every route once, at once.
    pub async fn round_now(&self) {
        self.round(1, &mut None, true).await;
        if let Err(error) = self.app.release_probing_turn().await {
            tracing::warn!(%error, "the turn to probe could not be given back");
        }
    }

    /// Waits for the turn of the next route.
    async fn pause(&self, is_hurried: &mut bool) {
        let Some(every) = self.config.every.filter(|_| !*is_hurried) else { return };
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = self.app.isolation().hurried() => *is_hurried = true,
        }
    }

    /// The routes that take a credential, each with its row.
    fn tried(&self) -> impl Iterator<Item = (&Route, &Row)> {
        self.doors.routes().iter().zip(&self.rows).filter(|(route, _)| !catalogue::is_open(route))
    }

    async fn round(&self, number: u64, house: &mut Option<House>, mut is_hurried: bool) {
        let board = self.app.isolation();
        let started = self.app.now();
        board.begin_round();
        let mut counts = ProbeCounts::default();
        for (route, row) in self.tried() {
            self.pause(&mut is_hurried).await;
            loop {
                self.take_turn(house, is_hurried).await;
                let tried = self.one_route(route, row, house).await;
                // A node that stood still for long may have lost its turn on the way; then it saw another one's doing.
                if matches!(self.app.has_probing_turn().await, Ok(false)) {
                    *house = None;
                    continue;
                }
                match tried {
                    Ok(tried) => {
                        counts = counts.plus(tried.counts);
                        self.tell(tried.counts, &tried.findings).await;
                        break;
                    }
                    Err(why) => {
                        // What the canaries are like is not known any more.
                        *house = None;
                        tracing::warn!(route = route.name(), %why, "isolation cannot be probed; it will be tried again");
                        board.blind(why);
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                }
            }
        }
        if let Some(house) = house {
            self.time(house).await;
        }
        let round = ProbeRound { number, started, finished: self.app.now(), counts };
        if let Err(error) = self.app.record_round(&round).await {
            tracing::warn!(%error, "a round of probes could not be written down");
        }
        tracing::info!(number, probes = counts.probes, findings = counts.findings, "isolation was probed");
        board.complete(round);
    }

    async fn tell(&self, counts: ProbeCounts, findings: &[ProbeFinding]) {
        for finding in findings {
            let ProbeFinding { kind, route, caller, what, .. } = finding;
            if finding.kind == "control-failed" {
                tracing::warn!(route, what, "a probe of isolation shows nothing");
            } else {
                tracing::error!(kind, route, caller, what, "isolation is broken");
            }
            if let Err(error) = self.app.record_finding(finding).await {
                tracing::error!(%error, "a finding could not be written down");
            }
        }
        self.app.isolation().add(counts, findings);
    }

    /// Tries one route, both ways, and mends what was used up.
    async fn one_route(&self, route: &Route, row: &Row, house: &mut Option<House>) -> Result<Outcome, String> {
        let told = |error: AppError| error.detail().map_or_else(|| error.code().title().to_owned(), str::to_owned);
        if !self.app.is_unsealed() {
            return Err("the installation is sealed".to_owned());
        }
        if let Some(house) = house
            && house.canaries.expires.since(self.app.now()) < RENEW_BEFORE
        {
            house.renew(self.app.canaries().await.map_err(told)?);
        }
        let house = match house {
            Some(house) => house,
            None => house.insert(self.furnished().await?),
        };
        let mut both = Outcome::default();
        for way in 0..2 {
            let Some((actor, victim)) = house.both_ways().get(way).copied() else { continue };
            let trial = Trial {
                app: &self.app,
                doors: self.doors.as_ref(),
                canaries: &house.canaries,
                route,
                row,
                actor,
                victim,
                platform: &house.platform,
            };
            let one = trial.run().await.map_err(told)?;
            // The actor of this way is the tenant of the same number.
            for (at, tenant) in house.tenants.iter_mut().enumerate() {
                let is_changed = if at == way { one.is_actor_changed } else { one.is_victim_changed };
                if is_changed {
                    let mut furnisher = Furnisher { doors: self.doors.as_ref(), tenant };
                    furnisher.mend(route).await.map_err(|error| error.to_string())?;
                }
            }
            both.counts = both.counts.plus(one.counts);
            both.findings.extend(one.findings);
        }
        // Both ways are one route.
        both.counts.routes = 1;
        both.counts.without_control = both.counts.without_control.min(1);
        Ok(both)
    }

    async fn furnished(&self) -> Result<House, String> {
        let canaries = self
            .app
            .canaries()
            .await
            .map_err(|error| error.detail().map_or_else(|| error.code().title().to_owned(), str::to_owned))?;
        let mut house = House {
            tenants: [Tenant::default(), Tenant::default()],
            platform: Platform { viewer: principal(&canaries.operator), ..Platform::default() },
            canaries,
        };
        for (tenant, canary) in house.tenants.iter_mut().zip(&house.canaries.tenants) {
            *tenant = Tenant {
                slug: canary.slug.clone(),
                id: canary.tenant.to_string(),
                owner: principal(canary),
                only: canary.slug.replace("bailiwick-canary", "only"),
                ..Tenant::default()
            };
            let mut furnisher = Furnisher { doors: self.doors.as_ref(), tenant };
            furnisher.all().await.map_err(|error| error.to_string())?;
        }
        let slugs = house.tenants.iter().filter_map(|tenant| tenant.slug.parse().ok()).collect();
        self.app.isolation().has_canaries(slugs);
        Ok(house)
    }

    /// Times foreign against missing on the routes that look something up.
    async fn time(&self, house: &House) {
        let [(actor, victim), _] = house.both_ways();
        let sides = Sides { own: actor, other: victim, platform: &house.platform };
        for (route, row) in self.tried().filter(|(route, _)| TIMED.contains(&route.name().as_str())) {
            let all = aims(route, row, &sides);
            let pair = all.iter().find_map(|foreign| {
                Some((foreign, all.iter().find(|missing| catalogue::is_counterpart(foreign, missing))?))
            });
            let Some((foreign, missing)) = pair else { continue };
            let mut differences = Vec::with_capacity(self.config.timed_pairs);
            for pair in 0..self.config.timed_pairs.saturating_add(WARM_UP_PAIRS) {
                let mut coin = [0_u8];
                self.app.random().fill(&mut coin);
                let [coin] = coin;
                let is_foreign_first = coin.is_multiple_of(2);
                let order = if is_foreign_first { [foreign, missing] } else { [missing, foreign] };
                let mut taken = [0_i64; 2];
                for (aim, taken) in order.into_iter().zip(&mut taken) {
                    let ask = Ask::of(route, row, aim, actor.owner.as_ref(), &sides);
                    let begun = Instant::now();
                    self.doors.answer(ask).await;
                    *taken = i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX);
                }
                let [first, second] = taken;
                if pair >= WARM_UP_PAIRS {
                    differences.push(if is_foreign_first { first - second } else { second - first });
                }
            }
            if let Some(result) = timing::judge(&route.name(), &differences) {
                self.app.isolation().add_timing(result);
            }
        }
    }
}

impl House {
    /// Takes over fresh credentials.
    fn renew(&mut self, canaries: Canaries) {
        for (tenant, canary) in self.tenants.iter_mut().zip(&canaries.tenants) {
            tenant.owner = principal(canary);
        }
        self.platform.viewer = principal(&canaries.operator);
        self.canaries = canaries;
    }
}

fn principal(canary: &Canary) -> Principal {
    let key = Key { id: canary.key.to_string(), credential: canary.credential.expose().clone() };
    Principal { id: canary.principal.clone(), key }
}
