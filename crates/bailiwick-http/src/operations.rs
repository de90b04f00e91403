//! Health, readiness and metrics: for load balancers and monitoring, open to everybody, about no tenant.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use http::StatusCode;

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
                    let metrics = &call.server.metrics;
                    let mut text = String::new();
                    let mut line =
                        |args: std::fmt::Arguments<'_>| text.write_fmt(args).and_then(|()| text.write_char('\n'));
                    let written = (|| {
                        line(format_args!("# HELP bailiwick_http_responses_total Answers by status class."))?;
                        line(format_args!("# TYPE bailiwick_http_responses_total counter"))?;
                        for (class, count) in metrics.by_status.iter().enumerate() {
                            let count = count.load(Ordering::Relaxed);
                            line(format_args!("bailiwick_http_responses_total{{class=\"{}xx\"}} {count}", class + 1))?;
                        }
                        line(format_args!("# HELP bailiwick_http_in_flight Requests being answered."))?;
                        line(format_args!("# TYPE bailiwick_http_in_flight gauge"))?;
                        line(format_args!("bailiwick_http_in_flight {}", metrics.in_flight.load(Ordering::Relaxed)))?;
                        line(format_args!("# HELP bailiwick_unsealed Whether the root key is in memory."))?;
                        line(format_args!("# TYPE bailiwick_unsealed gauge"))?;
                        line(format_args!("bailiwick_unsealed {}", u8::from(call.app().is_unsealed())))
                    })();
                    written.map_err(bailiwick_app::AppError::internal)?;
                    Ok(Reply::of("text/plain; version=0.0.4", full(text)))
                })
            },
        ),
    ]
}
