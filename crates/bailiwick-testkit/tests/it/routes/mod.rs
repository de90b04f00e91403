//! The catalogue of routes, in a world of the tests.

use std::sync::OnceLock;

use bailiwick_http::{DoorKind, Route};
use bailiwick_probe::catalogue;
use bailiwick_testkit::{Answer, Request, SeededRandom, Tenant, World};

pub(crate) use bailiwick_probe::catalogue::{
    Aim, Caller, Kind, NOBODY, Row, STRAY, Sides, aims, echoes, is_counterpart, is_open, is_refused_by_grammar,
    is_write,
};

/// Every route with its row, in the order of the table.
///
/// Panics, naming them all, if any route has no row or any row no route.
pub(crate) fn routes_with_rows(world: &World) -> impl Iterator<Item = (&Route, &'static Row)> {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    let routes = world.server().routes();
    let rows = ROWS.get_or_init(|| catalogue::rows_of(routes).unwrap_or_else(|error| panic!("{error}")));
    routes.iter().zip(rows)
}

/// All callers, as `own` sees them.
pub(crate) fn callers(world: &World, own: &Tenant, other: &Tenant) -> Vec<Caller> {
    catalogue::callers(own, other, &world.platform, &SeededRandom::new("forger"))
}

/// A well-formed credential that says that it is this one of that tenant, with a secret that nobody ever had.
pub(crate) fn forged_of(tenant: &str, key: &str) -> String {
    catalogue::forged_of(tenant, key, &SeededRandom::new("forger"))
}

/// Puts a request together.
pub(crate) fn request<'w>(
    world: &'w World,
    route: &Route,
    row: &Row,
    aim: &Aim,
    caller: &str,
    sides: &Sides<'_>,
) -> Request<'w> {
    let mut request = world.request(route.method, &aim.target).by(caller).json(&(row.body)(sides));
    if let Some(content_type) = row.content_type {
        request = request.replace_header("content-type", content_type);
    }
    if let Some(namespace) = &aim.namespace {
        request = request.header("x-vault-namespace", namespace);
    }
    request
}

/// Status and code in one line; Vault's texts without their line breaks and without what they quote.
pub(crate) fn brief(answer: &Answer) -> String {
    let code = answer.code();
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ").replace("1 error occurred: ", "");
    let parts = code.split('"').enumerate().map(|(at, part)| if at % 2 == 0 { part } else { "…" });
    format!("{} {}", answer.status, parts.collect::<Vec<_>>().join("\"")).trim_end().to_owned()
}

/// The door's name, for people.
pub(crate) fn door(kind: DoorKind) -> &'static str {
    match kind {
        DoorKind::Api => "native API",
        DoorKind::Vault => "Vault door",
        DoorKind::Operations => "operations",
    }
}
