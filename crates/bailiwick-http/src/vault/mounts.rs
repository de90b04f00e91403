//! `sys/mounts` and what stands beside it: the tenant's mounts, of which every one is KV version 2.

use std::collections::BTreeMap;

use bailiwick_app::whoami::{FindMount, ShowCapabilities};
use bailiwick_app::{AppError, PageRequest, mounts};
use bailiwick_types::api::secret::{CreateMount, Mount, MountConfig, UpdateMount};
use bailiwick_types::{Code, MountName, NameError};
use serde::Serialize;

use super::input::Members;
use super::{PRODUCT_VERSION, envelope, row};
use crate::call::Call;
use crate::reply::Reply;
use crate::route::Route;

pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        row::<mounts::List, _>("GET", "/v1/sys/mounts", list),
        row::<mounts::Create, _>("POST", "/v1/sys/mounts/{mount}", enable),
        row::<mounts::Show, _>("GET", "/v1/sys/mounts/{mount}/tune", show_tuning),
        row::<mounts::Update, _>("POST", "/v1/sys/mounts/{mount}/tune", tune),
        row::<mounts::List, _>("GET", "/v1/sys/internal/ui/mounts", list_for_ui),
        row::<FindMount, _>("GET", "/v1/sys/internal/ui/mounts/", no_preflight),
        row::<ShowCapabilities, _>("POST", "/v1/sys/capabilities-self", capabilities),
    ];
    for path in ["/v1/sys/mounts/{mount}", "/v1/sys/mounts/{mount}/"] {
        routes.push(row::<mounts::Show, _>("GET", path, show));
        routes.push(row::<mounts::Delete, _>("DELETE", path, disable));
    }
    for path in ["/v1/sys/internal/ui/mounts/{*path}", "/v1/sys/internal/ui/mounts/{*path}/"] {
        routes.push(row::<FindMount, _>("GET", path, preflight));
    }
    routes
}

#[derive(Serialize)]
struct Lifetimes {
    default_lease_ttl: u64,
    force_no_cache: bool,
    max_lease_ttl: u64,
}

#[derive(Serialize)]
struct Options {
    version: &'static str,
}

#[derive(Serialize)]
struct Shown<'a> {
    accessor: String,
    config: Lifetimes,
    deprecation_status: &'static str,
    description: &'a str,
    external_entropy_access: bool,
    local: bool,
    options: Options,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    plugin_version: &'static str,
    running_plugin_version: String,
    running_sha256: &'static str,
    seal_wrap: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    uuid: String,
}

impl<'a> Shown<'a> {
    fn of(mount: &'a Mount) -> Self {
        let hex: String = mount.id.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        Self {
            accessor: format!("kv_{}", part(0, 8)),
            config: Lifetimes { default_lease_ttl: 0, force_no_cache: false, max_lease_ttl: 0 },
            deprecation_status: "supported",
            description: &mount.description,
            external_entropy_access: false,
            local: false,
            options: Options { version: "2" },
            path: None,
            plugin_version: "",
            running_plugin_version: format!("v{PRODUCT_VERSION}"),
            running_sha256: "",
            seal_wrap: false,
            kind: "kv",
            uuid: [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"),
        }
    }
}

/// The mount's name. A text that is none is a mount that is not there.
fn name(call: &Call) -> Result<MountName, AppError> {
    call.id("mount")
}

/// All mounts, by their path.
async fn all(call: &Call) -> Result<Vec<Mount>, AppError> {
    let mut mounts = Vec::new();
    let mut cursor = None;
    loop {
        let page = PageRequest { limit: None, cursor };
        let answer = call.app().run(call.meta(), || Ok(mounts::List { page })).await?.into_value();
        mounts.extend(answer.items);
        cursor = answer.next;
        if cursor.is_none() {
            return Ok(mounts);
        }
    }
}

fn by_path(mounts: &[Mount]) -> BTreeMap<String, Shown<'_>> {
    mounts.iter().map(|mount| (format!("{}/", mount.name), Shown::of(mount))).collect()
}

async fn list(call: Call) -> Result<Reply, AppError> {
    envelope::data(&call, &[], &by_path(&all(&call).await?))
}

async fn list_for_ui(call: Call) -> Result<Reply, AppError> {
    #[derive(Serialize)]
    struct Listed<'a> {
        auth: BTreeMap<String, ()>,
        secret: BTreeMap<String, Shown<'a>>,
    }
    let mounts = all(&call).await?;
    envelope::data(&call, &[], &Listed { auth: BTreeMap::new(), secret: by_path(&mounts) })
}

async fn show(call: Call) -> Result<Reply, AppError> {
    let found = call.app().run(call.meta(), || Ok(mounts::Show { name: name(&call)? })).await;
    let missing = format!("No secret engine mount at {}/", call.text("mount"));
    let found = found.map_err(|error| absent(error, missing))?;
    envelope::data(&call, &[], &Shown::of(found.value()))
}

/// Vault answers a mount that is not there with 400 and a text.
fn absent(error: AppError, text: String) -> AppError {
    if error.code() == Code::NotFound { AppError::invalid(text) } else { error }
}

async fn enable(call: Call) -> Result<Reply, AppError> {
    let input = || {
        let members = Members::of(&call)?;
        let path = call.text("mount");
        let name = path.parse().map_err(|error| match error {
            NameError::Reserved { .. } => AppError::invalid(format!("cannot mount \"{path}/\"")),
            other => AppError::from(other),
        })?;
        check_engine(&members)?;
        let description = members.text("description")?.unwrap_or_default();
        Ok(mounts::Create { input: CreateMount { name, description, config: MountConfig::default() } })
    };
    match call.app().run(call.meta(), input).await {
        Ok(_) => Ok(envelope::done()),
        Err(error) if error.code() == Code::AlreadyExists => {
            Err(AppError::invalid(format!("path is already in use at {}/", call.text("mount"))))
        }
        Err(error) => Err(error),
    }
}

/// KV version 2 and nothing else. Version 1 is never made version 2 behind the caller's back.
fn check_engine(members: &Members<'_>) -> Result<(), AppError> {
    let version = match members.object("options")? {
        Some(options) => options.text("version")?,
        None => None,
    };
    match (members.text("type")?.as_deref().unwrap_or_default(), version.as_deref()) {
        ("", _) => Err(AppError::invalid("backend type must be specified as a string")),
        ("kv", Some("2")) | ("kv-v2", None | Some("2")) => Ok(()),
        ("kv" | "kv-v2", _) => Err(AppError::invalid(
            "only version 2 of the KV engine is offered: say `\"type\": \"kv-v2\"`, or `\"options\": {\"version\": \"2\"}`",
        )),
        (other, _) => Err(AppError::invalid(format!("plugin not found in the catalog: {other}"))),
    }
}

async fn disable(call: Call) -> Result<Reply, AppError> {
    let path = call.text("mount");
    let input = || match path.parse() {
        Ok(name) => Ok(mounts::Delete { name, if_match: None }),
        Err(NameError::Reserved { .. }) => Err(AppError::invalid(format!("cannot unmount \"{path}/\""))),
        Err(_) => Err(AppError::not_found()),
    };
    match call.app().run(call.meta(), input).await {
        Ok(_) => Ok(envelope::done()),
        Err(error) if error.code() == Code::NotFound => Ok(envelope::done()),
        Err(error) => Err(error),
    }
}

async fn show_tuning(call: Call) -> Result<Reply, AppError> {
    /// Leases do not exist here; this is what OpenBao says unless told otherwise.
    const LEASE_SECONDS: u64 = 2_764_800;
    #[derive(Serialize)]
    struct Tuning<'a> {
        default_lease_ttl: u64,
        description: &'a str,
        force_no_cache: bool,
        max_lease_ttl: u64,
        options: Options,
    }
    let found = call.app().run(call.meta(), || Ok(mounts::Show { name: name(&call)? })).await;
    let missing = format!("cannot fetch sysview for path \"{}/\"", call.text("mount"));
    let found = found.map_err(|error| absent(error, missing))?;
    let tuning = Tuning {
        default_lease_ttl: LEASE_SECONDS,
        description: &found.value().description,
        force_no_cache: false,
        max_lease_ttl: LEASE_SECONDS,
        options: Options { version: "2" },
    };
    envelope::data(&call, &[], &tuning)
}

async fn tune(call: Call) -> Result<Reply, AppError> {
    let input = || {
        let members = Members::of(&call)?;
        let version = match members.object("options")? {
            Some(options) => options.text("version")?,
            None => None,
        };
        if version.is_some_and(|version| version != "2") {
            return Err(AppError::invalid("cannot downgrade mount from version 2"));
        }
        let input = UpdateMount { description: members.text("description")?, ..UpdateMount::default() };
        Ok(mounts::Update { name: name(&call)?, input, if_match: None })
    };
    let tuned = call.app().run(call.meta(), input).await;
    let missing = format!("tune of path \"{}/\" failed: no mount entry found", call.text("mount"));
    tuned.map_err(|error| absent(error, missing))?;
    Ok(envelope::done())
}

/// Where a path leads, which the command line asks before each of its requests.
///
/// To what it cannot reach it must hear 403. To a 404 it answers by sending what was to be written, in the clear, to a path
/// that nobody meant.
async fn preflight(call: Call) -> Result<Reply, AppError> {
    let path = call.text("path");
    match call.app().run(call.meta(), || Ok(FindMount { path: path.to_owned() })).await {
        Ok(found) => {
            let found = found.value();
            let mut shown = Shown::of(&found.mount);
            let first = path.split('/').next().filter(|_| found.is_namespaced);
            let namespace = first.map(|slug| format!("{slug}/")).unwrap_or_default();
            shown.path = Some(format!("{namespace}{}/", found.mount.name));
            envelope::data(&call, &[], &shown)
        }
        Err(error) if matches!(error.code(), Code::NotFound | Code::PermissionDenied) => {
            let text = format!(
                "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}/\""
            );
            Ok(envelope::errors(http::StatusCode::FORBIDDEN, &[&text]))
        }
        Err(error) => Err(error),
    }
}

async fn no_preflight(call: Call) -> Result<Reply, AppError> {
    // Known callers only, as everywhere.
    match call.app().run(call.meta(), || Ok(FindMount { path: String::new() })).await {
        Err(error) if error.code() != Code::NotFound => Err(error),
        _ => Err(AppError::with_detail(Code::RouteNotFound, "unsupported path")),
    }
}

async fn capabilities(call: Call) -> Result<Reply, AppError> {
    let input = || {
        let members = Members::of(&call)?;
        let mut paths = members.texts("paths")?;
        if paths.is_empty() {
            paths = members.texts("path")?;
        }
        if paths.is_empty() {
            return Err(AppError::invalid("paths must be supplied"));
        }
        Ok(ShowCapabilities { paths })
    };
    let answer = call.app().run(call.meta(), input).await?;
    let mut shown: BTreeMap<&str, &[String]> =
        answer.value().0.iter().map(|(path, held)| (path.as_str(), held.as_slice())).collect();
    if shown.len() == 1
        && let Some(held) = shown.values().next().copied()
    {
        shown.insert("capabilities", held);
    }
    envelope::data(&call, &[], &shown)
}
