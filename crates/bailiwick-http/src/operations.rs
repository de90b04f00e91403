//! Health, readiness and metrics: for load balancers and monitoring. Health and readiness are open to everybody and about
//! no tenant; the metrics page, on the operations listener alone, counts by tenant.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bailiwick_app::installation::VERSION;
use bailiwick_app::metrics::{COMMIT_MS_BOUNDS, Counts, Metrics};
use bailiwick_app::{AppError, Load};
use bailiwick_types::api::isolation::IsolationState;
use http::{StatusCode, header};
use serde::Serialize;

use crate::call::Call;
use crate::reply::{Reply, full};
use crate::route::{Access, Route};

/// Where the metrics are.
pub(crate) const METRICS: &str = "/metrics";

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "GET",
            "/healthz",
            Access::Open("tells only that the process answers"),
            "whether the process is alive",
            |_| Box::pin(async { Ok(Reply::of("text/plain; charset=utf-8", full("ok\n"))) }),
        ),
        Route::new(
            "GET",
            "/readyz",
            Access::Open("tells only whether requests can be served"),
            "whether the server can answer requests",
            |call| Box::pin(async move { readiness(&call).await }),
        ),
        Route::new(
            "GET",
            METRICS,
            Access::Open("counts over the whole server and by tenant, mounted on the operations listener only"),
            "Prometheus metrics",
            |call| {
                Box::pin(async move {
                    let text = metrics(&call).map_err(bailiwick_app::AppError::internal)?;
                    Ok(Reply::of("text/plain; version=0.0.4", full(text)))
                })
            },
        ),
    ]
}

/// How long readiness waits for the store: a load balancer waits no longer than that either.
const STORAGE_WITHIN: Duration = Duration::from_secs(2);

/// What a node can say of itself, for whoever asks for JSON.
#[derive(Serialize)]
struct Readiness<'a> {
    node: &'a str,
    ready: bool,
    reason: Option<&'static str>,
    draining: bool,
    /// Unknown while the store does not answer.
    initialized: Option<bool>,
    sealed: bool,
    storage: bool,
    isolation: &'static str,
}

/// Asks the store each time, and nothing else decides: a store that comes back makes the node ready by itself.
async fn readiness(call: &Call) -> Result<Reply, AppError> {
    let app = call.app();
    let asked = async {
        app.check_storage().await?;
        Ok::<_, AppError>(app.seal_status().await?.is_initialized)
    };
    let initialized = tokio::time::timeout(STORAGE_WITHIN, asked).await.ok().and_then(Result::ok);
    let draining = call.server.is_draining.load(Ordering::Relaxed);
    let sealed = !app.is_unsealed();
    let reason = if draining {
        Some("draining")
    } else if sealed {
        Some("sealed")
    } else if initialized.is_none() {
        Some("storage unavailable")
    } else if is_broken(call) && !call.server.config.stays_ready_when_broken {
        Some("isolation broken")
    } else {
        None
    };
    let wants_json = call.headers.get_all(header::ACCEPT).iter().any(|accept| {
        accept.to_str().is_ok_and(|accept| accept.split(',').any(|kind| kind.trim().starts_with("application/json")))
    });
    let reply = if wants_json {
        Reply::open_json(&Readiness {
            node: app.node(),
            ready: reason.is_none(),
            reason,
            draining,
            initialized,
            sealed,
            storage: initialized.is_some(),
            isolation: app.isolation().status().state.as_str(),
        })?
    } else {
        Reply::of("text/plain; charset=utf-8", full(format!("{}\n", reason.unwrap_or("ready"))))
    };
    Ok(match reason {
        Some(_) => reply.status(StatusCode::SERVICE_UNAVAILABLE),
        None => reply,
    })
}

fn is_broken(call: &Call) -> bool {
    call.app().isolation().status().state == IsolationState::Broken
}

/// The page in Prometheus' text format.
fn metrics(call: &Call) -> Result<String, std::fmt::Error> {
    let mut page = Page::default();
    let metrics = &call.server.metrics;
    page.family("bailiwick_http_responses_total", "counter", "Answers by status class.")?;
    for (class, count) in metrics.by_status.iter().enumerate() {
        page.value(&format!("{{class=\"{}xx\"}}", class + 1), count.load(Ordering::Relaxed))?;
    }
    page.family("bailiwick_http_in_flight", "gauge", "Requests being answered.")?;
    page.value("", metrics.in_flight.load(Ordering::Relaxed))?;
    let (places, bodies) = (&call.server.places, &call.server.bodies);
    for (name, kind, help, value) in [
        ("bailiwick_connections", "gauge", "Connections of clients.", places.held()),
        ("bailiwick_connections_max", "gauge", "The most that there may be.", places.max()),
        (
            "bailiwick_connections_given_up_total",
            "counter",
            "Connections that were ended for new ones, as there were as many as may be.",
            places.given_up(),
        ),
        (
            "bailiwick_connections_refused_total",
            "counter",
            "Connections that were not taken, as there were as many as may be and something was being answered on each.",
            places.refused(),
        ),
        (
            "bailiwick_bodies_bytes",
            "gauge",
            "Memory in bodies of requests that are not answered, short ones aside.",
            bodies.held(),
        ),
        ("bailiwick_bodies_bytes_max", "gauge", "The most that it may be.", bodies.max()),
        (
            "bailiwick_bodies_given_up_total",
            "counter",
            "Bodies that were not received to their end, for others.",
            bodies.given_up(),
        ),
        (
            "bailiwick_bodies_refused_total",
            "counter",
            "Bodies that were refused for the memory that they would fill.",
            bodies.refused(),
        ),
    ] {
        page.family(name, kind, help)?;
        page.value("", value)?;
    }
    page.family("bailiwick_unsealed", "gauge", "Whether the root key is in memory.")?;
    page.value("", u64::from(call.app().is_unsealed()))?;

    page.family("bailiwick_node_info", "gauge", "Which node this is.")?;
    page.value(&format!("{{node=\"{}\",version=\"{VERSION}\"}}", escaped(call.app().node())), 1)?;
    page.family("bailiwick_draining", "gauge", "Whether the node is about to stop.")?;
    page.value("", u64::from(call.server.is_draining.load(Ordering::Relaxed)))?;
    page.family(
        "bailiwick_clocks_apart_milliseconds",
        "gauge",
        "How far this node's clock is surely off the database's, either way; 0 where the database has none.",
    )?;
    page.value("", u64::try_from(call.app().clocks_apart().as_millis()).unwrap_or(u64::MAX))?;
    of_app(&mut page, &call.app().metrics())?;

    let isolation = call.app().isolation().status();
    page.family(
        "bailiwick_isolation_state",
        "gauge",
        "What the probes of isolation say: 1 for the state that it is in.",
    )?;
    for state in IsolationState::ALL {
        page.value(&format!("{{state=\"{}\"}}", state.as_str()), u64::from(*state == isolation.state))?;
    }
    page.family("bailiwick_isolation_probes_total", "counter", "Probes of isolation by what came of them.")?;
    let total = isolation.total;
    for (result, count) in [
        ("same", total.probes.saturating_sub(total.findings.saturating_add(total.inconclusive))),
        ("finding", total.findings),
        ("inconclusive", total.inconclusive),
    ] {
        page.value(&format!("{{result=\"{result}\"}}"), count)?;
    }
    page.family("bailiwick_isolation_controls_total", "counter", "Rightful requests that showed that probes can see.")?;
    page.value("", total.controls)?;
    if let Some(last) = isolation.last {
        page.family(
            "bailiwick_isolation_last_round_seconds",
            "gauge",
            "When the last whole round ended, in Unix time.",
        )?;
        page.value("", u64::try_from(last.finished.unix_ms() / 1_000).unwrap_or_default())?;
    }
    page.family(
        "bailiwick_isolation_timing_seen",
        "gauge",
        "Routes on which time tells a foreign thing from a missing one.",
    )?;
    page.value("", isolation.timing.iter().filter(|timing| timing.is_seen()).count() as u64)?;
    Ok(page.text)
}

/// What the application and the store count.
fn of_app(page: &mut Page, metrics: &Metrics) -> std::fmt::Result {
    type Of = fn(&Counts) -> u64;
    let kinds: [(&'static str, &'static str, &str, Of); 5] = [
        ("bailiwick_requests_total", "bailiwick_tenant_requests_total", "Requests of authenticated callers", |c| {
            c.requests
        }),
        ("bailiwick_refusals_total", "bailiwick_tenant_refusals_total", "Requests refused or failed", |c| c.refusals),
        ("bailiwick_commits_total", "bailiwick_tenant_commits_total", "Commits of requests", |c| c.commits),
        ("bailiwick_stale_total", "bailiwick_tenant_stale_total", "Attempts made again after a change of epoch", |c| {
            c.stale
        }),
        (
            "bailiwick_conflicts_total",
            "bailiwick_tenant_conflicts_total",
            "Attempts made again after a change of a record",
            |c| c.conflicts,
        ),
    ];
    for (all, each, help, of) in kinds {
        page.family(all, "counter", &format!("{help}."))?;
        page.value("", of(&metrics.total))?;
        page.family(each, "counter", &format!("{help}, of the tenants that were here lately."))?;
        for (tenant, counts) in &metrics.tenants {
            page.value(&format!("{{tenant=\"{tenant}\"}}"), of(counts))?;
        }
    }
    page.family(
        "bailiwick_remembered_bytes",
        "gauge",
        "Memory, about, in what is remembered of tenants: keys, credentials, policies, decisions.",
    )?;
    page.value("", metrics.remembered_total)?;
    page.family("bailiwick_remembered_bytes_max", "gauge", "The most that it may be.")?;
    page.value("", metrics.remembered_max)?;
    page.family(
        "bailiwick_tenant_remembered_bytes",
        "gauge",
        "The same of each of the tenants that were here lately.",
    )?;
    for (tenant, bytes) in &metrics.remembered {
        page.value(&format!("{{tenant=\"{tenant}\"}}"), *bytes)?;
    }
    page.family(
        "bailiwick_node_limit",
        "gauge",
        "What this node alone grants a tenant without a quota of its own; every other node grants as much again.",
    )?;
    for (limit, value) in &metrics.node_limits {
        page.value(&format!("{{limit=\"{limit}\"}}"), *value)?;
    }
    type OfLoad = fn(&Load) -> u64;
    let loads: [(&'static str, &'static str, &str, OfLoad); 3] = [
        ("bailiwick_turns_running", "gauge", "Requests whose turn it is, by kind of work.", |load| load.running),
        ("bailiwick_turns_waiting", "gauge", "Requests that wait for their turn, by kind of work.", |load| {
            load.waiting
        }),
        (
            "bailiwick_turns_refused_total",
            "counter",
            "Requests that were refused because too many of their tenant waited, by kind of work.",
            |load| load.refused,
        ),
    ];
    for (name, kind, help, of) in loads {
        page.family(name, kind, help)?;
        for (work, load) in &metrics.turns {
            page.value(&format!("{{work=\"{}\"}}", work.as_str()), of(load))?;
        }
    }
    page.family("bailiwick_commit_seconds", "histogram", "How long commits took, until they were durable.")?;
    let times = &metrics.commit_times;
    let mut so_far = 0_u64;
    for (bound_ms, count) in COMMIT_MS_BOUNDS.iter().zip(times.counts) {
        so_far = so_far.saturating_add(count);
        let (seconds, thousandths) = (bound_ms / 1_000, bound_ms % 1_000);
        page.part("_bucket", &format!("{{le=\"{seconds}.{thousandths:03}\"}}"), so_far)?;
    }
    page.part("_bucket", "{le=\"+Inf\"}", times.count)?;
    let (seconds, millionths) = (times.sum_us / 1_000_000, times.sum_us % 1_000_000);
    page.part("_sum", "", format_args!("{seconds}.{millionths:06}"))?;
    page.part("_count", "", times.count)?;
    for (name, help, value) in &metrics.store {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        writeln!(
            page.text,
            "# HELP bailiwick_{name} {help}\n# TYPE bailiwick_{name} {kind}\nbailiwick_{name} {value}"
        )?;
    }
    Ok(())
}

/// A text as it stands between quotes in a label.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[derive(Default)]
struct Page {
    text: String,
    name: &'static str,
}

impl Page {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> std::fmt::Result {
        self.name = name;
        writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}")
    }

    fn value(&mut self, labels: &str, value: u64) -> std::fmt::Result {
        self.part("", labels, value)
    }

    /// A value of a family that has several kinds of them.
    fn part(&mut self, suffix: &str, labels: &str, value: impl std::fmt::Display) -> std::fmt::Result {
        writeln!(self.text, "{}{suffix}{labels} {value}", self.name)
    }
}
