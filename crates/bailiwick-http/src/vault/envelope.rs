//! Answers in Vault's envelope.
//!
//! `{"request_id":…,"lease_id":"","renewable":false,"lease_duration":0,"data":…,"wrap_info":null,"warnings":…,"auth":null}`
//! and a line feed. The media type is `application/json` and nothing behind it: `hvac` compares it as a whole.

use std::collections::BTreeMap;

use bailiwick_app::AppError;
use bailiwick_types::Timestamp;
use bailiwick_types::api::secret::VersionInfo;
use http::StatusCode;
use serde::{Serialize, Serializer};

use crate::call::Call;
use crate::reply::{Reply, full};

const BEFORE_DATA: &[u8] = br#"","lease_id":"","renewable":false,"lease_duration":0,"data":"#;
/// More than the envelope and a version's description take.
const ROOM: usize = 640;

fn json(bytes: Vec<u8>) -> Reply {
    Reply::of("application/json", full(bytes))
}

/// An answer whose `data` is written by `data`, in one allocation if it takes `room` bytes at most.
pub(super) fn written(
    call: &Call,
    warnings: &[String],
    room: usize,
    data: impl FnOnce(&mut Vec<u8>) -> Result<(), AppError>,
) -> Result<Reply, AppError> {
    let mut out = Vec::with_capacity(ROOM + room);
    out.extend_from_slice(br#"{"request_id":""#);
    out.extend_from_slice(call.meta().id.to_string().as_bytes());
    out.extend_from_slice(BEFORE_DATA);
    data(&mut out)?;
    out.extend_from_slice(br#","wrap_info":null,"warnings":"#);
    if warnings.is_empty() {
        out.extend_from_slice(b"null");
    } else {
        put(&mut out, warnings)?;
    }
    out.extend_from_slice(b",\"auth\":null}\n");
    Ok(json(out))
}

/// An answer with this `data`.
pub(super) fn data(call: &Call, warnings: &[String], data: &impl Serialize) -> Result<Reply, AppError> {
    written(call, warnings, 0, |out| put(out, data))
}

/// Writes a value as JSON.
pub(super) fn put(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) -> Result<(), AppError> {
    serde_json::to_writer(out, value).map_err(AppError::internal)
}

/// An answer outside the envelope: health, seal status and the like.
pub(super) fn plain(value: &impl Serialize) -> Result<Reply, AppError> {
    let mut bytes = serde_json::to_vec(value).map_err(AppError::internal)?;
    bytes.push(b'\n');
    Ok(json(bytes))
}

/// Done, and nothing to say.
pub(super) fn done() -> Reply {
    json(Vec::new()).status(StatusCode::NO_CONTENT)
}

/// A failure.
pub(super) fn errors(status: StatusCode, texts: &[&str]) -> Reply {
    #[derive(Serialize)]
    struct Errors<'a> {
        errors: &'a [&'a str],
    }
    let mut bytes = serde_json::to_vec(&Errors { errors: texts }).unwrap_or_default();
    bytes.push(b'\n');
    json(bytes).status(status)
}

/// A 404 without a body, which is how Vault answers a PATCH of something that is not there.
pub(super) fn nothing() -> Reply {
    json(Vec::new()).status(StatusCode::NOT_FOUND)
}

/// A version as Vault shows it.
#[derive(Serialize)]
pub(super) struct VersionShown<'a> {
    created_time: Timestamp,
    custom_metadata: Option<&'a BTreeMap<String, String>>,
    deletion_time: Moment,
    destroyed: bool,
    version: u64,
}

impl<'a> VersionShown<'a> {
    pub(super) fn of(version: &VersionInfo, custom: &'a BTreeMap<String, String>) -> Self {
        Self {
            created_time: version.created,
            custom_metadata: Some(custom).filter(|custom| !custom.is_empty()),
            deletion_time: Moment(version.deleted),
            destroyed: version.is_destroyed,
            version: version.version,
        }
    }
}

/// A moment, or an empty text for never.
pub(super) struct Moment(pub(super) Option<Timestamp>);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(moment) => moment.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }
}
