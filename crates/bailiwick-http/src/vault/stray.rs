//! Paths that lead nowhere, as Vault says it: to a caller who is known first, and then in the words that tell a mount
//! that is not there from a path that the engine does not have.

use bailiwick_app::AppError;
use bailiwick_app::whoami::{FindMount, WhoAmITenant};
use bailiwick_types::Code;
use http::StatusCode;

use super::adapt::KV;
use super::kv::no_handler;
use super::{envelope, row};
use crate::call::Call;
use crate::reply::Reply;
use crate::route::{Access, Route};

const METHODS: &[&str] = &["GET", "POST", "PATCH", "DELETE", "LIST"];
/// Paths below `sys/` that are open to everybody.
const OPEN: &[&str] = &["health", "init", "leader", "seal-status", "unseal"];
/// Paths that exist and take other methods.
const KNOWN: &[&str] = &[
    "mounts",
    "capabilities-self",
    "internal/ui/mounts",
    "seal",
    "token/lookup-self",
    "token/renew-self",
    "token/revoke-self",
];

pub(super) fn routes() -> Vec<Route> {
    let mut routes = Vec::new();
    for method in METHODS.iter().copied() {
        for path in ["/v1/{mount}", "/v1/{mount}/{*rest}"] {
            routes.push(stray::<FindMount>(method, path, false, below_a_mount));
        }
        for path in ["/v1/{mount}/", "/v1/{mount}/{*rest}/"] {
            routes.push(stray::<FindMount>(method, path, true, below_a_mount));
        }
        for path in ["/v1/sys", "/v1/sys/", "/v1/sys/{*rest}", "/v1/sys/{*rest}/"] {
            routes.push(stray::<WhoAmITenant>(method, path, path.ends_with('/'), below_sys));
        }
        for path in ["/v1/auth", "/v1/auth/", "/v1/auth/{*rest}", "/v1/auth/{*rest}/"] {
            routes.push(stray::<WhoAmITenant>(method, path, path.ends_with('/'), below_auth));
        }
    }
    routes.push(row::<WhoAmITenant, _>("GET", "/v1/", top));
    routes
}

/// What a row knows about its requests.
#[derive(Clone, Copy)]
struct Row {
    method: &'static str,
    is_folder: bool,
}

fn stray<U: bailiwick_app::UseCase>(
    method: &'static str,
    path: &'static str,
    is_folder: bool,
    answer: impl AsyncAnswer,
) -> Route {
    let row = Row { method, is_folder };
    let action = <U::Action as bailiwick_types::ActionType>::ACTION;
    Route::new(method, path, Access::Action(action), "a path that leads nowhere", move |call| {
        Box::pin(answer.answer(call, row))
    })
}

/// An `async fn(Call, Row)` whose future can be boxed.
trait AsyncAnswer: Copy + Send + Sync + 'static {
    fn answer(self, call: Call, row: Row) -> impl Future<Output = Result<Reply, AppError>> + Send + 'static;
}

impl<F, Fut> AsyncAnswer for F
where
    F: Fn(Call, Row) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<Reply, AppError>> + Send + 'static,
{
    fn answer(self, call: Call, row: Row) -> impl Future<Output = Result<Reply, AppError>> + Send + 'static {
        self(call, row)
    }
}

const UNSUPPORTED: &str = "1 error occurred:\n\t* unsupported operation\n\n";

fn unsupported_operation() -> AppError {
    AppError::with_detail(Code::MethodNotAllowed, UNSUPPORTED)
}

fn unsupported_path() -> AppError {
    AppError::with_detail(Code::RouteNotFound, "1 error occurred:\n\t* unsupported path\n\n")
}

async fn known_caller(call: &Call) -> Result<(), AppError> {
    call.app().run(call.meta(), || Ok(WhoAmITenant)).await.map(|_| ())
}

async fn top(call: Call) -> Result<Reply, AppError> {
    known_caller(&call).await?;
    Err(no_handler(""))
}

async fn below_sys(call: Call, row: Row) -> Result<Reply, AppError> {
    let rest = call.text("rest");
    if OPEN.contains(&rest) && !row.is_folder {
        // There is nobody to know yet: these answer before anybody can have a credential.
        return Err(AppError::new(Code::MethodNotAllowed));
    }
    known_caller(&call).await?;
    if row.method == "LIST" && rest == "namespaces" {
        // A tenant has no tenants in it.
        return Err(AppError::not_found());
    }
    let is_known = KNOWN.contains(&rest) || rest.starts_with("mounts/") || rest.starts_with("internal/ui/mounts/");
    match (is_known, row.method) {
        (true, "POST") if rest.starts_with("mounts/") => Err(AppError::invalid("a mount has a name of one segment")),
        (true, method) if method != "LIST" && !row.is_folder => Err(unsupported_operation()),
        _ => Err(unsupported_path()),
    }
}

async fn below_auth(call: Call, row: Row) -> Result<Reply, AppError> {
    known_caller(&call).await?;
    let rest = call.text("rest");
    if KNOWN.contains(&rest) && row.method != "LIST" {
        return Err(unsupported_operation());
    }
    if rest.starts_with("token/") {
        return Err(unsupported_path());
    }
    let slash = if row.is_folder { "/" } else { "" };
    let path = if rest.is_empty() { format!("auth{slash}") } else { format!("auth/{rest}{slash}") };
    Err(no_handler(&path))
}

async fn below_a_mount(call: Call, row: Row) -> Result<Reply, AppError> {
    let (mount, rest) = (call.text("mount"), call.text("rest"));
    let found = call.app().run(call.meta(), || Ok(FindMount { path: mount.to_owned() })).await;
    match found {
        Ok(_) => engine(&call, rest, row),
        Err(error) if error.code() == Code::NotFound => {
            let path = if rest.is_empty() { mount.to_owned() } else { format!("{mount}/{rest}") };
            Err(no_handler(&path))
        }
        Err(error) => Err(error),
    }
}

/// What the KV engine says to a path and a method that it does not have together.
fn engine(call: &Call, rest: &str, row: Row) -> Result<Reply, AppError> {
    let (first, below) = rest.split_once('/').unwrap_or((rest, ""));
    let is_verb = KV.contains(&first);
    let is_below = row.is_folder || !below.is_empty();
    let is_read = row.method == "GET" && matches!(first, "data" | "metadata" | "subkeys");
    match row.method {
        "LIST" if is_verb && first != "config" => Err(unsupported_operation()),
        // A folder has no value.
        _ if is_read && row.is_folder => Err(AppError::not_found()),
        "DELETE" if row.is_folder && matches!(first, "data" | "metadata") => Err(AppError::with_detail(
            Code::InvalidPath,
            "a path that ends in '/' is a folder, which cannot be deleted",
        )),
        "LIST" => Ok(elsewhere(call, row)?),
        _ if first == "config" && !is_below => Err(unsupported_operation()),
        _ if is_verb && first != "config" && is_below => Err(unsupported_operation()),
        _ if is_verb && !matches!(first, "config" | "subkeys") => {
            let root = "Non-listing operations on the root of a K/V v2 mount are not supported.";
            Ok(envelope::data(call, &[root.to_owned()], &())?.status(StatusCode::NOT_FOUND))
        }
        _ => elsewhere(call, row),
    }
}

/// Where to look instead.
fn elsewhere(call: &Call, row: Row) -> Result<Reply, AppError> {
    let command = match row.method {
        "POST" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        "LIST" => "list",
        _ => "get",
    };
    let warning = format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. \
         If using the OpenBao CLI, use 'bao kv {command}' for this operation."
    );
    Ok(envelope::data(call, &[warning], &())?.status(StatusCode::NOT_FOUND))
}
