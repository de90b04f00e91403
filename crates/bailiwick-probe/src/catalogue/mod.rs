//! The route table, made askable: for every route the requests that aim at one's own things, at things that are not
//! there, and at another tenant's.
//!
//! # Invariants
//! - INV-CATALOGUE-1: every route that is mounted has exactly one row, and every row a route: what is mounted is tried, in
//!   the tests and by the server itself, or the build is red.

mod aim;
mod caller;
mod rows;

use std::collections::HashMap;

use bailiwick_http::{Access, Route};
use bailiwick_types::Sensitivity;

pub use aim::{Aim, Kind, NOBODY, Sides, aims};
pub use caller::{ANONYMOUS, Caller, callers, forged_of};
pub use rows::{Body, Row};

/// What the summary of a route is that leads nowhere by design.
pub const STRAY: &str = "a path that leads nowhere";

/// Why the rows do not fit the route table.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// A row is there twice.
    #[error("two rows for {0}")]
    Twice(String),
    /// Routes that nobody tries.
    #[error("routes without a row in `catalogue/rows.rs`, so untried: {0:?}")]
    Missing(Vec<String>),
    /// Rows of nothing.
    #[error("rows of routes that are not mounted: {0:?}")]
    Left(Vec<String>),
    /// A parameter that no value is known for.
    #[error("{route}: nobody knows what `{{{parameter}}}` is")]
    UnknownParameter {
        /// Method and path.
        route: String,
        /// Its name.
        parameter: &'static str,
    },
}

/// A row for every route, in the order of the routes.
///
/// # Errors
/// [`CatalogueError`] names everything that is missing or too much.
pub fn rows_of(routes: &[Route]) -> Result<Vec<Row>, CatalogueError> {
    let mut by_name: HashMap<String, Row> = HashMap::new();
    for row in rows::rows() {
        let name = row.route.clone();
        if by_name.insert(name.clone(), row).is_some() {
            return Err(CatalogueError::Twice(name));
        }
    }
    let mut found = Vec::with_capacity(routes.len());
    let mut missing = Vec::new();
    for route in routes {
        aim::check_parameters(route)?;
        match by_name.remove(&route.name()) {
            Some(row) => found.push(row),
            None => missing.push(route.name()),
        }
    }
    if !missing.is_empty() {
        return Err(CatalogueError::Missing(missing));
    }
    if !by_name.is_empty() {
        return Err(CatalogueError::Left(by_name.into_keys().collect()));
    }
    Ok(found)
}

/// Whether it takes no credential at all.
pub fn is_open(route: &Route) -> bool {
    matches!(route.access, Access::Open(_))
}

/// Whether a success of this route may have changed something.
pub fn is_write(route: &Route) -> bool {
    match route.access {
        Access::Action(action) => !matches!(action.sensitivity(), Sensitivity::Read | Sensitivity::Reveal),
        Access::Open(_) => route.method == "POST",
    }
}

/// Whether `missing` is to nothing what `foreign` is to another tenant's thing.
pub fn is_counterpart(foreign: &Aim, missing: &Aim) -> bool {
    match (&foreign.kind, &missing.kind) {
        (Kind::TheirTenant, Kind::NoTenant) => true,
        (Kind::Theirs(name), Kind::Absent(of)) => name == of,
        _ => false,
    }
}

/// Whether this door refuses the route by its grammar, before it looks at anything else: Vault writes to no folders.
pub fn is_refused_by_grammar(route: &Route) -> bool {
    route.door == bailiwick_http::DoorKind::Vault
        && matches!(route.method, "POST" | "PATCH")
        && route.path.ends_with('/')
}

/// The words that a caller itself has said and that some of Vault's messages repeat: where two answers are compared,
/// they stand for the same.
pub fn echoes(other: &crate::holdings::Tenant) -> [&str; 5] {
    [&other.only, "no-such-mount", "no-such-path", "no-such-folder", "no-such-policy"]
}
