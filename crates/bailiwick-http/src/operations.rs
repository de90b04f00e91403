//! Health, readiness and metrics: for load balancers and monitoring, open to everybody, about no tenant.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use bailiwick_types::api::isolation::IsolationState;
use http::StatusCode;

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
            |call| {
                Box::pin(async move {
                    let reason = if call.server.is_draining.load(Ordering::Relaxed) {
                        Some("draining")
                    } else if !call.app().is_unsealed() {
                        Some("sealed")
                    } else if call.app().check_storage().await.is_err() {
                        Some("storage unavailable")
                    } else if is_broken(&call) && !call.server.config.stays_ready_when_broken {
                        Some("isolation broken")
                    } else {
                        None
                    };
                    let text = full(format!("{}\n", reason.unwrap_or("ready")));
                    let reply = Reply::of("text/plain; charset=utf-8", text);
                    Ok(match reason {
                        Some(_) => reply.status(StatusCode::SERVICE_UNAVAILABLE),
                        None => reply,
                    })
                })
            },
        ),
        Route::new(
            "GET",
            METRICS,
            Access::Open("totals over the whole server, mounted on the operations listener only"),
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
    page.family("bailiwick_unsealed", "gauge", "Whether the root key is in memory.")?;
    page.value("", u64::from(call.app().is_unsealed()))?;

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
        writeln!(self.text, "{}{labels} {value}", self.name)
    }
}
