//! Ledgers: the tenant's, and the platform's; and what a server attests to a tenant.

use std::pin::Pin;
use std::time::Duration;

use bailiwick_app::attestation;
use bailiwick_app::ledger::{self, ExportFormat, ExportPlan, Filter, Query};
use bailiwick_app::{Answer, AppError};
use bailiwick_types::api::ledger::LedgerPage;
use bailiwick_types::{Action, ActionType, action::act};

use crate::call::Call;
use crate::reply::Reply;
use crate::route::{Access, Route};
use crate::stream;

/// The longest that a follower may wait for news, in seconds.
const WAIT_MAX_SECONDS: u64 = 30;

const ENTRIES: &[(&str, &str)] = &[
    ("actor", "only by this principal"),
    ("action", "only this action, such as `secret:reveal`, or all of a noun, such as `secret:`"),
    ("resource", "only on this resource, or on those that begin so, with a `*` at the end"),
    ("outcome", "only `ok`, `denied`, `absent`, `invalid`, …"),
    ("decision", "only `allow`, `deny` or `none`"),
    ("request", "only this request"),
    ("since", "not before this time (RFC 3339)"),
    ("until", "before this time (RFC 3339)"),
    ("from", "start at this index"),
    ("order", "`asc` (default) or `desc`"),
    ("wait", "if there is nothing, wait so many seconds (30 at most) for something; leaves out the reader's own reads"),
];

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        entries::<act::LedgerRead>("/api/v1/t/{tenant}/ledger/entries", |call| {
            Box::pin(async move {
                follow(&call, || call.app().run(call.meta(), || Ok(ledger::List { query: query(&call)? }))).await
            })
        }),
        Route::tenant("GET", "/api/v1/t/{tenant}/ledger/entries/{index}", |call| {
            Ok(ledger::ShowEntry { index: call.id("index")? })
        }),
        Route::tenant("GET", "/api/v1/t/{tenant}/ledger/checkpoint", |_| Ok(ledger::SignCheckpoint {})),
        Route::tenant("GET", "/api/v1/t/{tenant}/ledger/inclusion", |call| {
            Ok(ledger::ProveInclusion { index: required(call, "index")?, size: call.parsed("size")? })
        })
        .query(INCLUSION),
        Route::tenant("GET", "/api/v1/t/{tenant}/ledger/consistency", |call| {
            Ok(ledger::ProveConsistency { old: required(call, "old")?, new: call.parsed("new")? })
        })
        .query(CONSISTENCY),
        export::<act::LedgerExport>("/api/v1/t/{tenant}/ledger/export", |call| {
            Box::pin(async move {
                let allowed = call.app().run(call.meta(), || Ok(ledger::Export { format: format(&call)? })).await?;
                stream(&call, allowed).await
            })
        }),
        Route::tenant("GET", "/api/v1/t/{tenant}/attestation", |call| {
            Ok(attestation::Issue { routes: call.server.attested_routes() })
        }),
        entries::<act::PlatformLedgerRead>("/api/v1/platform/ledger/entries", |call| {
            Box::pin(async move {
                let read =
                    || call.app().run_platform(call.meta(), || Ok(ledger::PlatformList { query: query(&call)? }));
                follow(&call, read).await
            })
        }),
        Route::platform("GET", "/api/v1/platform/ledger/entries/{index}", |call| {
            Ok(ledger::PlatformShowEntry { index: call.id("index")? })
        }),
        Route::platform("GET", "/api/v1/platform/ledger/checkpoint", |_| Ok(ledger::PlatformSignCheckpoint {})),
        Route::platform("GET", "/api/v1/platform/ledger/inclusion", |call| {
            Ok(ledger::PlatformProveInclusion { index: required(call, "index")?, size: call.parsed("size")? })
        })
        .query(INCLUSION),
        Route::platform("GET", "/api/v1/platform/ledger/consistency", |call| {
            Ok(ledger::PlatformProveConsistency { old: required(call, "old")?, new: call.parsed("new")? })
        })
        .query(CONSISTENCY),
    ];
    routes.push(export::<act::PlatformLedgerExport>("/api/v1/platform/ledger/export", |call| {
        Box::pin(async move {
            let input = || Ok(ledger::PlatformExport { format: format(&call)? });
            let allowed = call.app().run_platform(call.meta(), input).await?;
            stream(&call, allowed).await
        })
    }));
    routes
}

const INCLUSION: &[(&str, &str)] =
    &[("index", "which entry"), ("size", "in the tree of this size; the present one if absent")];
const CONSISTENCY: &[(&str, &str)] = &[("old", "the older size"), ("new", "the newer size; the present one if absent")];

type Boxed = Pin<Box<dyn Future<Output = Result<Reply, AppError>> + Send>>;

fn entries<A: ActionType>(path: &'static str, handler: fn(Call) -> Boxed) -> Route {
    let action: Action = A::ACTION;
    let mut route = Route::new("GET", path, Access::Action(action), action.summary(), handler).paged().query(ENTRIES);
    route.answer = Some(|generator| generator.subschema_for::<LedgerPage>());
    route
}

fn export<A: ActionType>(path: &'static str, handler: fn(Call) -> Boxed) -> Route {
    let action: Action = A::ACTION;
    Route::new("GET", path, Access::Action(action), action.summary(), handler)
        .query(&[("format", "`bailiwick` (default; for `bailiwick verify`), `jsonl` or `ocsf`")])
}

fn required(call: &Call, name: &str) -> Result<u64, AppError> {
    call.parsed(name)?.ok_or_else(|| AppError::invalid(format!("`{name}` is missing")))
}

fn query(call: &Call) -> Result<Query, AppError> {
    call.check_query()?;
    let text = |name| call.query(name).map(str::to_owned);
    let is_descending = match call.query("order") {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(AppError::invalid("`order` must be `asc` or `desc`")),
    };
    wait(call)?;
    Ok(Query {
        page: call.page()?,
        filter: Filter {
            actor: text("actor"),
            action: text("action"),
            resource: text("resource"),
            outcome: text("outcome"),
            decision: text("decision"),
            request: text("request"),
            since: call.parsed("since")?,
            until: call.parsed("until")?,
            skip_own_reads: call.query("wait").is_some(),
        },
        from: call.parsed("from")?,
        is_descending,
    })
}

fn wait(call: &Call) -> Result<Option<Duration>, AppError> {
    match call.parsed::<u64>("wait")? {
        Some(seconds) if seconds > WAIT_MAX_SECONDS => {
            Err(AppError::invalid(format!("`wait` may be {WAIT_MAX_SECONDS} at most")))
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

/// Reads a page; if it is empty and the caller will wait, waits for the ledger to grow, then reads once more. Both reads
/// are admitted in full, so whoever loses the right to read while waiting gets nothing.
async fn follow<F, R>(call: &Call, read: F) -> Result<Reply, AppError>
where
    F: Fn() -> R,
    R: Future<Output = Result<Answer<LedgerPage>, AppError>>,
{
    let answer = read().await?;
    let page = answer.value();
    if let Ok(Some(span)) = wait(call)
        && page.items.is_empty()
        && page.is_complete
        && let Some(credential) = &call.meta().credential
        && let Some(watch) = call.app().ledger_watch(credential.expose())
    {
        // The page's own entry has made the ledger one longer than the page says.
        call.app().wait_for_growth(&watch, page.size + 1, span).await?;
        // Also if nothing came: what allowed the first reading may have ended meanwhile (a guardrail leaves no entry in
        // a tenant's ledger). The second reading takes a place of its own.
        drop(answer);
        return Reply::json(read().await?);
    }
    Reply::json(answer)
}

fn format(call: &Call) -> Result<ExportFormat, AppError> {
    call.check_query()?;
    match call.query("format") {
        None | Some("bailiwick") => Ok(ExportFormat::Bailiwick),
        Some("jsonl") => Ok(ExportFormat::JsonLines),
        Some("ocsf") => Ok(ExportFormat::Ocsf),
        Some(_) => Err(AppError::invalid("`format` must be `bailiwick`, `jsonl` or `ocsf`")),
    }
}

async fn stream(call: &Call, allowed: Answer<ExportPlan>) -> Result<Reply, AppError> {
    let export = call.app().export(allowed).await?;
    Ok(stream::reply("application/x-ndjson", export))
}
