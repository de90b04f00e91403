//! The KV engine, version 2: names, settings and what people wrote beside the values.

use std::collections::BTreeMap;
use std::time::Duration;

use bailiwick_app::secrets::{self, ListPart, Settings};
use bailiwick_app::{AppError, mounts};
use bailiwick_types::limits::{CUSTOM_METADATA_MAX, CUSTOM_METADATA_NAME_BYTES_MAX, CUSTOM_METADATA_VALUE_BYTES_MAX};
use bailiwick_types::time::format_duration;
use bailiwick_types::{Code, Timestamp};
use serde::Serialize;

use super::envelope::{self, Moment};
use super::input::{self, Members, as_text};
use super::kv::{at, done_or_absent, max_versions, mount, refuse_metadata_cas, unmounted};
use super::row;
use crate::call::Call;
use crate::reply::Reply;
use crate::route::Route;

pub(super) fn routes() -> Vec<Route> {
    let metadata = "/v1/{mount}/metadata/{*path}";
    let mut routes = vec![
        row::<secrets::Describe, _>("GET", metadata, describe),
        row::<secrets::Configure, _>("POST", metadata, configure),
        row::<secrets::Configure, _>("PATCH", metadata, merge),
        row::<secrets::Purge, _>("DELETE", metadata, purge),
    ];
    for path in ["/v1/{mount}/metadata", "/v1/{mount}/metadata/", metadata, "/v1/{mount}/metadata/{*path}/"] {
        routes.push(
            row::<secrets::List, _>("LIST", path, list)
                .query(&[("after", "start after this name"), ("limit", "at most so many names; all if absent or 0")]),
        );
    }
    routes
}

#[derive(Serialize)]
struct Version {
    created_time: Timestamp,
    deletion_time: Moment,
    destroyed: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    cas_required: bool,
    created_time: Timestamp,
    current_metadata_version: u64,
    current_version: u64,
    custom_metadata: Option<&'a BTreeMap<String, String>>,
    delete_version_after: String,
    max_versions: u32,
    metadata_cas_required: bool,
    oldest_version: u64,
    updated_time: Timestamp,
    versions: BTreeMap<String, Version>,
}

async fn describe(call: Call) -> Result<Reply, AppError> {
    let found = call.app().run(call.meta(), || Ok(secrets::Describe { at: at(&call)? })).await;
    let found = found.map_err(|error| unmounted(&call, "metadata", error))?;
    let found = found.value();
    let version = |info: &bailiwick_types::api::secret::VersionInfo| Version {
        created_time: info.created,
        deletion_time: Moment(info.deleted),
        destroyed: info.is_destroyed,
    };
    let shown = Shown {
        cas_required: found.cas_required,
        created_time: found.created,
        current_metadata_version: 0,
        current_version: found.current_version,
        custom_metadata: Some(&found.custom_metadata).filter(|custom| !custom.is_empty()),
        delete_version_after: format_duration(Duration::from_secs(found.delete_version_after_seconds)),
        max_versions: found.max_versions,
        metadata_cas_required: false,
        // Vault says 0 until the first version is dropped.
        oldest_version: if found.oldest_version > 1 { found.oldest_version } else { 0 },
        updated_time: found.updated,
        versions: found.versions.iter().map(|info| (info.version.to_string(), version(info))).collect(),
    };
    let warnings = input::warnings(&call, &Members::default(), &[]);
    envelope::data(&call, &warnings, &shown)
}

async fn configure(call: Call) -> Result<Reply, AppError> {
    change(&call, false).await
}

async fn merge(call: Call) -> Result<Reply, AppError> {
    change(&call, true).await
}

/// Writes settings. What nobody knows changes nothing, and so it makes no secret either.
async fn change(call: &Call, is_patch: bool) -> Result<Reply, AppError> {
    let mut relaxes = false;
    let mut is_idle = false;
    let input = || {
        if is_patch {
            input::check_merge_patch(call)?;
        }
        let settings = settings(&Members::of(call)?, is_patch)?;
        relaxes = settings.cas_required == Some(false);
        is_idle = settings.max_versions.is_none()
            && settings.cas_required.is_none()
            && settings.delete_after_seconds.is_none()
            && settings.custom_metadata.is_none()
            && !settings.clears_custom_metadata;
        Ok(secrets::Configure { at: at(call)?, settings, is_merge: is_patch || is_idle, if_match: None })
    };
    match call.app().run(call.meta(), input).await {
        Ok(_) if relaxes => show_mandate(call).await,
        Ok(_) => Ok(envelope::done()),
        Err(error) if error.code() == Code::NotFound && is_idle => Ok(envelope::done()),
        Err(error) if error.code() == Code::NotFound && is_patch => Ok(envelope::nothing()),
        Err(error) => Err(unmounted(call, "metadata", error)),
    }
}

/// Tells whoever may see the mount that a secret cannot be laxer than it.
async fn show_mandate(call: &Call) -> Result<Reply, AppError> {
    let found = call.app().run(call.meta(), || Ok(mounts::Show { name: mount(call)? })).await;
    if !found.is_ok_and(|found| found.value().config.cas_required) {
        return Ok(envelope::done());
    }
    let warning = "\"cas_required\" set to false, but is mandated by backend config. This value will be ignored.";
    envelope::data(call, &[warning.to_owned()], &())
}

fn settings(members: &Members<'_>, is_patch: bool) -> Result<Settings, AppError> {
    refuse_metadata_cas(members)?;
    let custom = custom_metadata(members, is_patch)?;
    let is_null = members.raw("custom_metadata") == Some("null");
    Ok(Settings {
        max_versions: max_versions(members)?,
        cas_required: members.truth("cas_required")?,
        delete_after_seconds: members.lifetime("delete_version_after")?,
        clears_custom_metadata: is_patch && is_null,
        // A patch with no names in it changes nothing.
        custom_metadata: custom.filter(|custom| !is_patch || !custom.is_empty()),
    })
}

/// `custom_metadata`, with all that is wrong with it at once.
fn custom_metadata(
    members: &Members<'_>,
    is_patch: bool,
) -> Result<Option<BTreeMap<String, Option<String>>>, AppError> {
    let Some(pairs) = members.object("custom_metadata")? else { return Ok(None) };
    const FAILED: &str = "custom_metadata validation failed";
    let mut custom = BTreeMap::new();
    for (name, raw) in pairs.iter() {
        let value = as_text(raw)
            .ok_or_else(|| AppError::invalid(format!("{FAILED}: the value for key {name:?} is not a text")))?;
        custom.insert(name.to_owned(), if is_patch && raw == "null" { None } else { Some(value) });
    }
    let mut wrong = Vec::new();
    if custom.len() > CUSTOM_METADATA_MAX {
        wrong.push(format!("payload must contain at most {CUSTOM_METADATA_MAX} keys, provided {}", custom.len()));
    } else {
        for (name, value) in &custom {
            wrong.extend(faults(name, value.as_deref()));
        }
    }
    if wrong.is_empty() {
        return Ok(Some(custom));
    }
    let noun = if wrong.len() == 1 { "error" } else { "errors" };
    let list: Vec<String> = wrong.iter().map(|fault| format!("\t* {FAILED}: {fault}\n")).collect();
    Err(AppError::invalid(format!("{} {noun} occurred:\n{}\n", wrong.len(), list.concat())))
}

fn faults(name: &str, value: Option<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    let is_printable = |text: &str| !text.chars().any(char::is_control);
    let most = CUSTOM_METADATA_NAME_BYTES_MAX;
    if name.is_empty() || name.len() > most {
        faults.push(format!("length of key {name:?} is {} but must be 0 < len(key) <= {most}", name.len()));
    }
    if !is_printable(name) {
        faults.push(format!("key {name:?} ({name}) contains unprintable characters"));
    }
    let Some(value) = value else { return faults };
    let most = CUSTOM_METADATA_VALUE_BYTES_MAX;
    if value.is_empty() || value.len() > most {
        faults
            .push(format!("length of value for key {name:?} is {} but must be 0 < len(value) <= {most}", value.len()));
    }
    if !is_printable(value) {
        faults.push(format!("value for key {name:?} contains unprintable characters"));
    }
    faults
}

async fn purge(call: Call) -> Result<Reply, AppError> {
    let purged = call.app().run(call.meta(), || Ok(secrets::Purge { at: at(&call)?, if_match: None })).await;
    done_or_absent(&call, "metadata", purged)
}

/// Everything in a folder. Vault's clients know no pages, and half of a list is no list.
async fn list(call: Call) -> Result<Reply, AppError> {
    let input = || {
        let folder = match call.text("path") {
            "" => None,
            _ => Some(call.name("path")?),
        };
        let most = usize::try_from(input::query_number(&call, "limit")?).ok().filter(|most| *most > 0);
        let after = call.query("after").filter(|name| !name.is_empty()).map(str::to_owned);
        Ok(secrets::List { mount: mount(&call)?, folder, part: ListPart::Whole { after, most } })
    };
    let found = call.app().run(call.meta(), input).await.map_err(|error| unmounted(&call, "metadata", error))?;
    #[derive(Serialize)]
    struct Keys<'a> {
        keys: &'a [String],
    }
    let keys = found.value().items.as_slice();
    if keys.is_empty() {
        return Err(AppError::not_found());
    }
    let warnings = input::warnings(&call, &Members::default(), &[]);
    envelope::data(&call, &warnings, &Keys { keys })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told() {
        assert_eq!(faults("k", Some("v")), Vec::<String>::new());
        assert_eq!(faults("k", None), Vec::<String>::new());
        assert_eq!(faults("", Some("")).len(), 2);
        assert_eq!(faults("k\n", Some("v")), ["key \"k\\n\" (k\n) contains unprintable characters"]);
        assert_eq!(
            faults(&"k".repeat(129), Some("v")).concat(),
            format!("length of key \"{}\" is 129 but must be 0 < len(key) <= 128", "k".repeat(129))
        );
    }
}
