//! Mounts and secrets.

use std::collections::BTreeMap;

use bailiwick_app::secrets::{self, ListPart, Revealed, SecretAt, Settings, VersionWritten, Which};
use bailiwick_app::{Answer, AppError, mounts};
use bailiwick_types::Code;
use bailiwick_types::api::secret::{
    ConfigureSecret, CreateMount, RevealedSecret, UpdateMount, VersionInfo, Versions, WriteSecret,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::call::Call;
use crate::reply::{Reply, full};
use crate::route::Route;

const SECRET: &str = "/api/v1/t/{tenant}/secrets/{mount}/{*path}";
const METADATA: &str = "/api/v1/t/{tenant}/secret-metadata/{mount}/{*path}";

pub(crate) fn routes() -> Vec<Route> {
    let mut routes = vec![
        Route::tenant("GET", "/api/v1/t/{tenant}/mounts", |call| Ok(mounts::List { page: call.page()? })).paged(),
        Route::tenant("POST", "/api/v1/t/{tenant}/mounts", |call| Ok(mounts::Create { input: call.json()? }))
            .takes::<CreateMount>()
            .creates(),
        Route::tenant("GET", "/api/v1/t/{tenant}/mounts/{mount}", |call| Ok(mounts::Show { name: call.id("mount")? })),
        Route::tenant("PATCH", "/api/v1/t/{tenant}/mounts/{mount}", |call| {
            Ok(mounts::Update { name: call.id("mount")?, input: call.json()?, if_match: call.if_match()? })
        })
        .takes::<UpdateMount>(),
        Route::tenant("DELETE", "/api/v1/t/{tenant}/mounts/{mount}", |call| {
            Ok(mounts::Delete { name: call.id("mount")?, if_match: call.if_match()? })
        }),
        written(Route::tenant_as("PUT", SECRET, write, show_written).takes::<WriteSecret>()),
        written(Route::tenant_as("PATCH", SECRET, patch, show_written).takes::<WriteSecret>()),
        Route::tenant("DELETE", SECRET, |call| Ok(secrets::Delete { at: at(call)?, which: Which::Newest })),
        Route::tenant("POST", "/api/v1/t/{tenant}/secret-delete/{mount}/{*path}", |call| {
            Ok(secrets::Delete { at: at(call)?, which: which(call)? })
        })
        .takes::<Versions>(),
        Route::tenant("POST", "/api/v1/t/{tenant}/secret-undelete/{mount}/{*path}", |call| {
            Ok(secrets::Undelete { at: at(call)?, which: which(call)? })
        })
        .takes::<Versions>(),
        Route::tenant("POST", "/api/v1/t/{tenant}/secret-destroy/{mount}/{*path}", |call| {
            Ok(secrets::Destroy { at: at(call)?, which: which(call)? })
        })
        .takes::<Versions>(),
        Route::tenant("GET", METADATA, |call| Ok(secrets::Describe { at: at(call)? })),
        Route::tenant("PUT", METADATA, |call| configure(call, false)).takes::<ConfigureSecret>(),
        Route::tenant("PATCH", METADATA, |call| configure(call, true)).takes::<ConfigureSecret>(),
        Route::tenant("DELETE", METADATA, |call| Ok(secrets::Purge { at: at(call)?, if_match: call.if_match()? })),
    ];
    let mut reveal = Route::tenant_as("GET", SECRET, reveal, show_revealed)
        .query(&[("version", "which version; the newest if absent")]);
    reveal.answer = Some(|generator| generator.subschema_for::<RevealedSecret>());
    routes.push(reveal);
    for path in [
        "/api/v1/t/{tenant}/secrets/{mount}",
        "/api/v1/t/{tenant}/secrets/{mount}/",
        "/api/v1/t/{tenant}/secrets/{mount}/{*path}/",
    ] {
        routes.push(Route::tenant("GET", path, list).paged());
    }
    routes
}

fn written(mut route: Route) -> Route {
    route.answer = Some(|generator| generator.subschema_for::<VersionInfo>());
    route
}

fn at(call: &Call) -> Result<SecretAt, AppError> {
    Ok(SecretAt { mount: call.name("mount")?, path: call.name("path")? })
}

fn which(call: &Call) -> Result<Which, AppError> {
    Ok(Which::These(call.json::<Versions>()?.versions))
}

fn reveal(call: &Call) -> Result<secrets::Reveal, AppError> {
    Ok(secrets::Reveal { at: at(call)?, version: call.parsed("version")? })
}

fn list(call: &Call) -> Result<secrets::List, AppError> {
    let folder = match call.text("path") {
        "" => None,
        _ => Some(call.name("path")?),
    };
    Ok(secrets::List { mount: call.name("mount")?, folder, part: ListPart::Page(call.page()?) })
}

/// [`WriteSecret`] without a copy of the value: its very text is what is stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWrite {
    data: Box<RawValue>,
    #[serde(default)]
    cas: Option<u64>,
}

fn write(call: &Call) -> Result<secrets::Write, AppError> {
    let input: RawWrite = call.json()?;
    Ok(secrets::Write { at: at(call)?, data: Call::raw_object(&input.data, "data")?, cas: input.cas })
}

fn patch(call: &Call) -> Result<secrets::Patch, AppError> {
    let input: RawWrite = call.json()?;
    Ok(secrets::Patch { at: at(call)?, patch: Call::raw_object(&input.data, "data")?, cas: input.cas })
}

fn show_written(_: &Call, answer: Answer<VersionWritten>) -> Result<Reply, AppError> {
    Reply::open_json(&answer.into_value().version)
}

fn show_revealed(_: &Call, answer: Answer<Revealed>) -> Result<Reply, AppError> {
    #[derive(Serialize)]
    struct Shown<'a> {
        data: &'a RawValue,
        version: &'a VersionInfo,
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        custom_metadata: &'a BTreeMap<String, String>,
    }
    let revealed = answer.value();
    let Some(data) = &revealed.data else { return Err(AppError::new(Code::VersionNotFound)) };
    let data: &RawValue = serde_json::from_slice(data.expose()).map_err(AppError::internal)?;
    let shown = Shown { data, version: &revealed.version, custom_metadata: &revealed.custom_metadata };
    Ok(Reply::of("application/json", full(serde_json::to_vec(&shown).map_err(AppError::internal)?)))
}

fn configure(call: &Call, is_merge: bool) -> Result<secrets::Configure, AppError> {
    let input: ConfigureSecret = call.json()?;
    let seconds = input.delete_version_after_seconds.map(i64::try_from).transpose();
    let settings = Settings {
        max_versions: input.max_versions,
        cas_required: input.cas_required,
        delete_after_seconds: seconds.map_err(|_| AppError::invalid("`delete_version_after_seconds` is too long"))?,
        custom_metadata: input.custom_metadata,
        clears_custom_metadata: false,
    };
    Ok(secrets::Configure { at: at(call)?, settings, is_merge, if_match: call.if_match()? })
}
