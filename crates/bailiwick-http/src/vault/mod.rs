//! The Vault door: `/v1`.

use bailiwick_app::AppError;
use bailiwick_types::{RequestId, Secret};
use http::{HeaderMap, Response};

use crate::reply::{Body, problem};
use crate::route::Route;

pub(crate) fn routes() -> Vec<Route> {
    Vec::new()
}

/// A request as the route table knows it.
pub(crate) struct Adapted {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) stated: Vec<String>,
}

pub(crate) fn adapt(
    parts: &http::request::Parts,
    _query: &mut Vec<(String, String)>,
) -> Result<Adapted, AppError> {
    Ok(Adapted { method: "GET", path: parts.uri.path().to_owned(), stated: Vec::new() })
}

pub(crate) fn credential(headers: &HeaderMap) -> Result<Option<Secret<String>>, AppError> {
    crate::server::bearer(headers)
}

pub(crate) fn failure(error: &AppError, id: RequestId) -> Response<Body> {
    problem(error, id)
}
