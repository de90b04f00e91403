//! The route table, made askable: for every route the requests that aim at one's own things, at things that are not
//! there, and at another tenant's.
//!
//! A route without a [`Row`] fails the tests that use this, and so does a row without a route: what is mounted is
//! tested, or the build is red.

mod aim;
mod callers;
mod rows;

use std::collections::HashMap;
use std::sync::OnceLock;

use bailiwick_http::{Access, DoorKind, Route};
use bailiwick_testkit::{Answer, Request, World};
use bailiwick_types::Sensitivity;

pub(crate) use aim::{Aim, Kind, NOBODY, Sides, aims};
pub(crate) use callers::{Caller, callers, forged_of};
pub(crate) use rows::Row;
use rows::rows;

/// What a route answers with where it leads nowhere by design.
pub(crate) const STRAY: &str = "a path that leads nowhere";

/// Every route with its row, in the order of the table.
///
/// Panics, naming them all, if any route has no row or any row no route.
pub(crate) fn routes_with_rows(world: &World) -> impl Iterator<Item = (&Route, &'static Row)> {
    static ROWS: OnceLock<Vec<Row>> = OnceLock::new();
    let routes = world.server().routes();
    let rows = ROWS.get_or_init(|| in_order(routes));
    routes.iter().zip(rows)
}

fn in_order(routes: &[Route]) -> Vec<Row> {
    let mut by_name: HashMap<String, Row> = HashMap::new();
    for row in rows() {
        let name = row.route.clone();
        assert!(by_name.insert(name.clone(), row).is_none(), "two rows for {name}");
    }
    let (found, missing): (Vec<_>, Vec<_>) =
        routes.iter().map(|route| by_name.remove(&route.name()).ok_or(route.name())).partition(Result::is_ok);
    let missing: Vec<String> = missing.into_iter().filter_map(Result::err).collect();
    let left: Vec<&String> = by_name.keys().collect();
    assert!(missing.is_empty(), "routes without a row in `routes/rows.rs`, so untested: {missing:#?}");
    assert!(left.is_empty(), "rows of routes that are not mounted: {left:#?}");
    found.into_iter().filter_map(Result::ok).collect()
}

/// Whether it takes a credential at all.
pub(crate) fn is_open(route: &Route) -> bool {
    matches!(route.access, Access::Open(_))
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

/// Whether a success of this route may have changed something.
pub(crate) fn is_write(route: &Route) -> bool {
    match route.access {
        Access::Action(action) => !matches!(action.sensitivity(), Sensitivity::Read | Sensitivity::Reveal),
        Access::Open(_) => route.method == "POST",
    }
}

/// The door's name, for people.
pub(crate) fn door(kind: DoorKind) -> &'static str {
    match kind {
        DoorKind::Api => "native API",
        DoorKind::Vault => "Vault door",
        DoorKind::Operations => "operations",
    }
}
