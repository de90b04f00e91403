//! The Vault door: `/v1`, as the KV version 2 API of OpenBao 2.7 has it.
//!
//! Every row names its use case, and so the caller is known, asked for permission and written down here as at every other
//! door; the few that are open say why. What stands here is translation: of requests in [`adapt()`] and `input`, of
//! answers in `envelope` and `failure`.
//!
//! # Deliberately absent
//! Leases, wrapping, policies, other engines, other ways to log in; and any way to name a tenant that the credential does
//! not belong to.

mod adapt;
mod envelope;
mod failure;
mod init;
mod input;
mod kv;
mod lifetime;
mod metadata;
mod mounts;
mod stray;
mod sys;
mod token;

use std::pin::Pin;

use bailiwick_app::{AppError, UseCase};
use bailiwick_types::ActionType;

pub(crate) use adapt::{adapt, credential};
pub(crate) use failure::failure;

use crate::call::Call;
use crate::reply::Reply;
use crate::route::{Access, Route};

/// What clients hear of the version: whose API it is, and, behind the plus sign, which server.
const PRODUCT_VERSION: &str = concat!("2.7.2+bailiwick.", env!("CARGO_PKG_VERSION"));

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = sys::routes();
    routes.extend(mounts::routes());
    routes.extend(token::routes());
    routes.extend(kv::routes());
    routes.extend(metadata::routes());
    routes.extend(stray::routes());
    routes
}

/// Reads a body as every row of this door could, for [`crate::fuzzing`].
pub(crate) fn read_body(body: &[u8]) -> Option<usize> {
    input::read_all(body)
}

/// Reads a span of time, for [`crate::fuzzing`].
pub(crate) fn read_span(text: &str) -> Option<i64> {
    lifetime::parse(text)
}

type Handler = fn(Call) -> Pin<Box<dyn Future<Output = Result<Reply, AppError>> + Send>>;

/// A row whose handler runs `U`.
fn row<U: UseCase, F>(method: &'static str, path: &'static str, handler: fn(Call) -> F) -> Route
where
    F: Future<Output = Result<Reply, AppError>> + Send + 'static,
{
    let action = U::Action::ACTION;
    Route::new(method, path, Access::Action(action), action.summary(), move |call| Box::pin(handler(call)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use matchit::Router;

    use super::*;

    /// The row that a request finds, as the dispatcher looks for it.
    fn found(method: &str, path: &str) -> Option<&'static str> {
        let mut routers: HashMap<(&str, bool), Router<&'static str>> = HashMap::new();
        for route in routes() {
            let trimmed = route.path.strip_suffix('/').unwrap_or(route.path);
            let router = routers.entry((route.method, route.path.ends_with('/'))).or_default();
            router.insert(trimmed, route.path).unwrap_or_else(|error| panic!("{}: {error}", route.name()));
        }
        let router = routers.get(&(method, path.ends_with('/')))?;
        router.at(path.strip_suffix('/').unwrap_or(path)).ok().map(|matched| *matched.value)
    }

    #[test]
    fn every_path_finds_its_own_row() {
        for (method, path, row) in [
            ("GET", "/v1/secret/data/a/b", "/v1/{mount}/data/{*path}"),
            ("GET", "/v1/secret/data/data", "/v1/{mount}/data/{*path}"),
            ("GET", "/v1/data/data/a", "/v1/{mount}/data/{*path}"),
            ("GET", "/v1/secret/datax/a", "/v1/{mount}/{*rest}"),
            ("GET", "/v1/secret/data", "/v1/{mount}/{*rest}"),
            ("GET", "/v1/secret/data/a/", "/v1/{mount}/{*rest}/"),
            ("GET", "/v1/secret/config", "/v1/{mount}/config"),
            ("DELETE", "/v1/secret/config", "/v1/{mount}/{*rest}"),
            ("GET", "/v1/secret", "/v1/{mount}"),
            ("GET", "/v1/secret/", "/v1/{mount}/"),
            ("LIST", "/v1/secret/metadata", "/v1/{mount}/metadata"),
            ("LIST", "/v1/secret/metadata/", "/v1/{mount}/metadata/"),
            ("LIST", "/v1/secret/metadata/a/b", "/v1/{mount}/metadata/{*path}"),
            ("LIST", "/v1/secret/metadata/a/b/", "/v1/{mount}/metadata/{*path}/"),
            ("LIST", "/v1/secret/data/a", "/v1/{mount}/{*rest}"),
            ("GET", "/v1/sys/mounts", "/v1/sys/mounts"),
            ("GET", "/v1/sys/mounts/tune", "/v1/sys/mounts/{mount}"),
            ("GET", "/v1/sys/mounts/m/tune", "/v1/sys/mounts/{mount}/tune"),
            ("GET", "/v1/sys/mounts/m/other", "/v1/sys/{*rest}"),
            ("GET", "/v1/sys/data/a", "/v1/sys/{*rest}"),
            ("GET", "/v1/sys/internal/ui/mounts", "/v1/sys/internal/ui/mounts"),
            ("GET", "/v1/sys/internal/ui/mounts/", "/v1/sys/internal/ui/mounts/"),
            ("GET", "/v1/sys/internal/ui/mounts/a/b", "/v1/sys/internal/ui/mounts/{*path}"),
            ("GET", "/v1/sys", "/v1/sys"),
            ("GET", "/v1/system/data/a", "/v1/{mount}/data/{*path}"),
            ("POST", "/v1/sys/health", "/v1/sys/{*rest}"),
            ("GET", "/v1/auth/token/lookup-self", "/v1/auth/token/lookup-self"),
            ("GET", "/v1/auth/data/a", "/v1/auth/{*rest}"),
            ("GET", "/v1/", "/v1/"),
        ] {
            assert_eq!(found(method, path), Some(row), "{method} {path}");
        }
    }

    #[test]
    fn reading_is_never_answered_to_other_methods() {
        for method in ["HEAD", "OTHER", "PUT", "OPTIONS"] {
            assert_eq!(found(method, "/v1/secret/data/a"), None, "{method}");
        }
    }
}
