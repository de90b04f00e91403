//! The KV engine, version 2: values and their versions.

use bailiwick_app::secrets::{self, SecretAt, Which};
use bailiwick_app::{AppError, mounts};
use bailiwick_types::api::secret::UpdateMount;
use bailiwick_types::time::format_duration;
use bailiwick_types::{Code, MountName, Secret};
use http::StatusCode;
use serde::Serialize;
use std::time::Duration;

use super::envelope::{self, VersionShown};
use super::input::{self, Members, field_error};
use super::row;
use crate::call::Call;
use crate::reply::Reply;
use crate::route::Route;

pub(super) fn routes() -> Vec<Route> {
    const VERSION: (&str, &str) = ("version", "which version; the newest if absent or 0");
    let data = "/v1/{mount}/data/{*path}";
    vec![
        row::<secrets::Reveal, _>("GET", data, read).query(&[VERSION]),
        row::<secrets::Write, _>("POST", data, write).query(&[VERSION]),
        row::<secrets::Patch, _>("PATCH", data, patch).query(&[VERSION]),
        row::<secrets::Delete, _>("DELETE", data, delete_newest),
        row::<secrets::Delete, _>("POST", "/v1/{mount}/delete/{*path}", delete),
        row::<secrets::Undelete, _>("POST", "/v1/{mount}/undelete/{*path}", undelete),
        row::<secrets::Destroy, _>("POST", "/v1/{mount}/destroy/{*path}", destroy),
        row::<secrets::Reveal, _>("GET", "/v1/{mount}/subkeys/{*path}", subkeys)
            .query(&[VERSION, ("depth", "how many levels of names; all if absent or 0")]),
        row::<mounts::Show, _>("GET", "/v1/{mount}/config", show_config),
        row::<mounts::Update, _>("POST", "/v1/{mount}/config", update_config),
    ]
}

/// The mount. A text that is no mount's name is a mount that is not there.
pub(super) fn mount(call: &Call) -> Result<MountName, AppError> {
    call.text("mount").parse().map_err(|_| AppError::new(Code::MountNotFound))
}

pub(super) fn at(call: &Call) -> Result<SecretAt, AppError> {
    Ok(SecretAt { mount: mount(call)?, path: call.name("path")? })
}

/// Says which path has no handler, where nothing is mounted.
pub(super) fn unmounted(call: &Call, verb: &str, error: AppError) -> AppError {
    if error.code() != Code::MountNotFound {
        return error;
    }
    let path: Vec<&str> =
        [call.text("mount"), verb, call.text("path")].into_iter().filter(|part| !part.is_empty()).collect();
    no_handler(&path.join("/"))
}

pub(super) fn no_handler(path: &str) -> AppError {
    AppError::with_detail(Code::MountNotFound, format!("no handler for route \"{path}\". route entry not found."))
}

/// Done, also where there was nothing to do it to.
pub(super) fn done_or_absent<T>(call: &Call, verb: &str, outcome: Result<T, AppError>) -> Result<Reply, AppError> {
    match outcome {
        Ok(_) => Ok(envelope::done()),
        Err(error) if error.code() == Code::NotFound => Ok(envelope::done()),
        Err(error) => Err(unmounted(call, verb, error)),
    }
}

fn version(call: &Call) -> Result<Option<u64>, AppError> {
    // Zero and what is below it stand for the newest.
    Ok(u64::try_from(input::query_number(call, "version")?).ok())
}

async fn read(call: Call) -> Result<Reply, AppError> {
    let answer = call.app().run(call.meta(), || Ok(secrets::Reveal { at: at(&call)?, version: version(&call)? })).await;
    let answer = answer.map_err(|error| unmounted(&call, "data", error))?;
    let revealed = answer.value();
    let value = revealed.data.as_ref().map(Secret::expose);
    let warnings = input::warnings(&call, &Members::default(), &[]);
    let reply = envelope::written(&call, &warnings, value.map_or(0, Vec::len), |out| {
        out.extend_from_slice(b"{\"data\":");
        // Checked when it was written; it goes out as it came in.
        out.extend_from_slice(value.map_or(b"null".as_slice(), Vec::as_slice));
        out.extend_from_slice(b",\"metadata\":");
        envelope::put(out, &VersionShown::of(&revealed.version, &revealed.custom_metadata))?;
        out.push(b'}');
        Ok(())
    })?;
    Ok(if value.is_some() { reply } else { reply.status(StatusCode::NOT_FOUND) })
}

/// `data`, as it was written.
fn data(members: &Members<'_>) -> Result<Secret<Vec<u8>>, AppError> {
    match members.raw("data") {
        None => Err(AppError::invalid("no data provided")),
        Some(text) if text.starts_with('{') => Ok(Secret::new(text.as_bytes().to_vec())),
        Some(_) => Err(field_error("data", "want an object")),
    }
}

/// `options.cas`. A number that no version can have matches none.
fn cas(members: &Members<'_>) -> Result<Option<u64>, AppError> {
    let Some(options) = members.object("options")? else { return Ok(None) };
    let number = options.number("cas").map_err(|_| AppError::invalid("error parsing check-and-set parameter"))?;
    Ok(number.map(|number| u64::try_from(number).unwrap_or(u64::MAX)))
}

const WRITTEN: &[&str] = &["data", "options", "version"];

async fn write(call: Call) -> Result<Reply, AppError> {
    let mut warnings = Vec::new();
    let input = || {
        let members = Members::of(&call)?;
        warnings = input::warnings(&call, &members, WRITTEN);
        Ok(secrets::Write { at: at(&call)?, data: data(&members)?, cas: cas(&members)? })
    };
    let written = call.app().run(call.meta(), input).await.map_err(|error| unmounted(&call, "data", error))?;
    let written = written.value();
    envelope::data(&call, &warnings, &VersionShown::of(&written.version, &written.custom_metadata))
}

async fn patch(call: Call) -> Result<Reply, AppError> {
    let mut warnings = Vec::new();
    let input = || {
        input::check_merge_patch(&call)?;
        let members = Members::of(&call)?;
        warnings = input::warnings(&call, &members, WRITTEN);
        Ok(secrets::Patch { at: at(&call)?, patch: data(&members)?, cas: cas(&members)? })
    };
    match call.app().run(call.meta(), input).await {
        Ok(written) => {
            let written = written.value();
            envelope::data(&call, &warnings, &VersionShown::of(&written.version, &written.custom_metadata))
        }
        Err(error) if error.code() == Code::NotFound => Ok(envelope::nothing()),
        Err(error) if error.code() == Code::VersionNotFound => show_gone(&call).await,
        Err(error) => Err(unmounted(&call, "data", error)),
    }
}

/// What became of the version that was to be patched, for whoever may know.
async fn show_gone(call: &Call) -> Result<Reply, AppError> {
    let found = call.app().run(call.meta(), || Ok(secrets::Describe { at: at(call)? })).await;
    let newest = found.as_ref().ok().and_then(|found| {
        let found = found.value();
        let newest = found.versions.iter().find(|version| version.version == found.current_version)?;
        Some(VersionShown::of(newest, &found.custom_metadata))
    });
    match newest {
        Some(newest) => Ok(envelope::data(call, &[], &newest)?.status(StatusCode::NOT_FOUND)),
        None => Ok(envelope::nothing()),
    }
}

async fn delete_newest(call: Call) -> Result<Reply, AppError> {
    let input = || Ok(secrets::Delete { at: at(&call)?, which: Which::Newest });
    done_or_absent(&call, "data", call.app().run(call.meta(), input).await)
}

/// `versions`, of which there must be some.
fn which(call: &Call, missing: &str) -> Result<Which, AppError> {
    match Members::of(call)?.versions("versions")? {
        none if none.is_empty() => Err(AppError::invalid(missing)),
        versions => Ok(Which::These(versions)),
    }
}

async fn delete(call: Call) -> Result<Reply, AppError> {
    let input = || Ok(secrets::Delete { at: at(&call)?, which: which(&call, "No version number provided")? });
    done_or_absent(&call, "delete", call.app().run(call.meta(), input).await)
}

async fn undelete(call: Call) -> Result<Reply, AppError> {
    let input = || Ok(secrets::Undelete { at: at(&call)?, which: which(&call, "No version number provided")? });
    done_or_absent(&call, "undelete", call.app().run(call.meta(), input).await)
}

async fn destroy(call: Call) -> Result<Reply, AppError> {
    let input = || Ok(secrets::Destroy { at: at(&call)?, which: which(&call, "no version number provided")? });
    done_or_absent(&call, "destroy", call.app().run(call.meta(), input).await)
}

/// The names in a value. Whoever sees them has seen a part of the value, so the action is the one of reading it.
async fn subkeys(call: Call) -> Result<Reply, AppError> {
    let mut depth = 0;
    let input = || {
        depth = input::query_number(&call, "depth")?;
        Ok(secrets::Reveal { at: at(&call)?, version: version(&call)? })
    };
    let answer = call.app().run(call.meta(), input).await.map_err(|error| unmounted(&call, "subkeys", error))?;
    let revealed = answer.value();
    let names = match &revealed.data {
        None => None,
        Some(data) => {
            let value = serde_json::from_slice(data.expose()).map_err(AppError::internal)?;
            Some(names(value, u64::try_from(depth).ok().filter(|depth| *depth > 0)))
        }
    };
    #[derive(Serialize)]
    struct Shown<'a> {
        metadata: VersionShown<'a>,
        subkeys: &'a Option<Names>,
    }
    let metadata = VersionShown::of(&revealed.version, &revealed.custom_metadata);
    let warnings = input::warnings(&call, &Members::default(), &[]);
    let reply = envelope::data(&call, &warnings, &Shown { metadata, subkeys: &names })?;
    Ok(if names.is_some() { reply } else { reply.status(StatusCode::NOT_FOUND) })
}

type Names = std::collections::BTreeMap<String, Option<Box<Below>>>;

/// The names below a name.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
struct Below(Names);

/// The names of an object, down to a depth. What is no object, or an empty one, has none.
fn names(value: Shape, depth: Option<u64>) -> Names {
    let deeper = depth.map(|depth| depth - 1);
    let below = |value| match value {
        Shape::Object(inner) if !inner.is_empty() && deeper != Some(0) => {
            Some(Box::new(Below(names(Shape::Object(inner), deeper))))
        }
        _ => None,
    };
    match value {
        Shape::Object(members) => members.into_iter().map(|(name, value)| (name, below(value))).collect(),
        Shape::Leaf(_) => Names::new(),
    }
}

/// A value without what is in its leaves.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Shape {
    Object(std::collections::BTreeMap<String, Shape>),
    Leaf(serde::de::IgnoredAny),
}

#[derive(Serialize)]
struct Config {
    cas_required: bool,
    delete_version_after: String,
    max_versions: u32,
    metadata_cas_required: bool,
}

async fn show_config(call: Call) -> Result<Reply, AppError> {
    let found = call.app().run(call.meta(), || Ok(mounts::Show { name: mount(&call)? })).await;
    let found = found.map_err(|error| absent_mount(&call, error))?;
    let config = &found.value().config;
    let shown = Config {
        cas_required: config.cas_required,
        delete_version_after: format_duration(Duration::from_secs(config.delete_version_after_seconds)),
        max_versions: config.max_versions,
        metadata_cas_required: false,
    };
    let warnings = input::warnings(&call, &Members::default(), &[]);
    envelope::data(&call, &warnings, &shown)
}

async fn update_config(call: Call) -> Result<Reply, AppError> {
    let input = || {
        let members = Members::of(&call)?;
        refuse_metadata_cas(&members)?;
        let lifetime = members.lifetime("delete_version_after")?;
        let input = UpdateMount {
            description: None,
            max_versions: max_versions(&members)?,
            cas_required: members.truth("cas_required")?,
            delete_version_after_seconds: lifetime.and_then(|seconds| u64::try_from(seconds).ok()),
        };
        Ok(mounts::Update { name: mount(&call)?, input, if_match: None })
    };
    let updated = call.app().run(call.meta(), input).await;
    updated.map_err(|error| absent_mount(&call, error))?;
    Ok(envelope::done())
}

/// What a mount's own use cases say when it is not there, as the other paths below it say it.
fn absent_mount(call: &Call, error: AppError) -> AppError {
    match error.code() {
        Code::NotFound | Code::MountNotFound => unmounted(call, "config", AppError::new(Code::MountNotFound)),
        _ => error,
    }
}

pub(super) fn max_versions(members: &Members<'_>) -> Result<Option<u32>, AppError> {
    let number = members.number("max_versions")?;
    let fits = |number| u32::try_from(number).map_err(|_| field_error("max_versions", "want a number of versions"));
    number.map(fits).transpose()
}

/// OpenBao's check-and-set on metadata is not offered. To ignore it would be to overwrite what a client protects.
pub(super) fn refuse_metadata_cas(members: &Members<'_>) -> Result<(), AppError> {
    let asks = |name| members.given(name).is_some_and(|text| text != "false");
    if asks("metadata_cas") || asks("metadata_cas_required") {
        return Err(AppError::invalid("check-and-set on metadata is not supported"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_show_no_values() {
        let text = r#"{"a":1,"b":{"c":{"d":{"e":1}},"n":null},"l":[{"x":1}],"e":{}}"#;
        let shown = |depth| serde_json::to_string(&names(serde_json::from_str(text).unwrap(), depth)).unwrap();
        assert_eq!(shown(None), r#"{"a":null,"b":{"c":{"d":{"e":null}},"n":null},"e":null,"l":null}"#);
        assert_eq!(shown(Some(1)), r#"{"a":null,"b":null,"e":null,"l":null}"#);
        assert_eq!(shown(Some(2)), r#"{"a":null,"b":{"c":null,"n":null},"e":null,"l":null}"#);
    }
}
