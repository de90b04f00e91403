//! Checks of what people type that are not names or ids.

use std::net::IpAddr;
use std::time::Duration;

use bailiwick_types::api::identity::Labels;
use bailiwick_types::limits::{
    DESCRIPTION_BYTES_MAX, DISPLAY_NAME_BYTES_MAX, LABEL_NAME_BYTES_MAX, LABEL_VALUE_BYTES_MAX, LABELS_MAX,
    SOURCE_NETWORKS_MAX,
};
use bailiwick_types::time::parse_duration;
use bailiwick_types::{Timestamp, limits};
use ipnet::IpNet;

use crate::error::AppError;

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

pub(crate) fn display_name(text: &str) -> Result<(), AppError> {
    if text.is_empty() || text.len() > DISPLAY_NAME_BYTES_MAX || !is_plain(text) {
        return Err(AppError::invalid(format!(
            "`name` must have 1 to {DISPLAY_NAME_BYTES_MAX} bytes and no control characters"
        )));
    }
    Ok(())
}

pub(crate) fn description(text: &str) -> Result<(), AppError> {
    if text.len() > DESCRIPTION_BYTES_MAX || text.chars().any(|c| c.is_control() && c != '\n') {
        return Err(AppError::invalid(format!(
            "`description` must have at most {DESCRIPTION_BYTES_MAX} bytes and no control characters"
        )));
    }
    Ok(())
}

pub(crate) fn email(text: &str) -> Result<(), AppError> {
    let is_plausible = text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'));
    if text.len() > 254 || !is_plausible || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(AppError::invalid("`email` is not an e-mail address"));
    }
    Ok(())
}

pub(crate) fn labels(labels: &Labels) -> Result<(), AppError> {
    if labels.len() > LABELS_MAX {
        return Err(AppError::invalid(format!("at most {LABELS_MAX} labels")));
    }
    for (name, value) in labels {
        let is_name = !name.is_empty()
            && name.len() <= LABEL_NAME_BYTES_MAX
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
        if !is_name {
            return Err(AppError::invalid(format!(
                "a label's name must have 1 to {LABEL_NAME_BYTES_MAX} characters of a-z, A-Z, 0-9, `-`, `_`, `.` and `/`"
            )));
        }
        if value.len() > LABEL_VALUE_BYTES_MAX || !is_plain(value) {
            return Err(AppError::invalid(format!(
                "a label's value must have at most {LABEL_VALUE_BYTES_MAX} bytes and no control characters"
            )));
        }
    }
    Ok(())
}

/// The networks of a credential: CIDR blocks or single addresses.
pub(crate) fn networks(texts: &[String]) -> Result<Vec<IpNet>, AppError> {
    if texts.len() > SOURCE_NETWORKS_MAX {
        return Err(AppError::invalid(format!("at most {SOURCE_NETWORKS_MAX} source networks")));
    }
    texts
        .iter()
        .map(|text| {
            let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            net.map(|net| net.trunc())
                .map_err(|_| AppError::invalid("`source_networks` takes CIDR blocks such as `10.0.0.0/8`"))
        })
        .collect()
}

/// An expiry given as a moment or as a span from now, but not both, and not in the past.
pub(crate) fn expiry(
    expires: Option<Timestamp>,
    ttl: Option<&str>,
    now: Timestamp,
) -> Result<Option<Timestamp>, AppError> {
    let expires = match (expires, ttl) {
        (Some(_), Some(_)) => return Err(AppError::invalid("give `expires` or `ttl`, not both")),
        (Some(moment), None) => Some(moment),
        (None, Some(span)) => Some(now.plus(duration("ttl", span)?)),
        (None, None) => None,
    };
    if expires.is_some_and(|moment| moment <= now) {
        return Err(AppError::invalid("the expiry is in the past"));
    }
    Ok(expires)
}

/// How long versions live, in seconds.
pub(crate) fn lifetime(seconds: i64) -> Result<(), AppError> {
    if seconds > 100 * 366 * 86_400 {
        return Err(AppError::invalid("`delete_version_after_seconds` may be 100 years at most"));
    }
    Ok(())
}

pub(crate) fn duration(what: &str, text: &str) -> Result<Duration, AppError> {
    parse_duration(text).map_err(|error| AppError::invalid(format!("`{what}` is {error}")))
}

pub(crate) fn custom_metadata<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> Result<(), AppError> {
    let mut count = 0;
    for (name, value) in pairs {
        count += 1;
        if count > limits::CUSTOM_METADATA_MAX {
            return Err(AppError::invalid(format!(
                "custom_metadata may hold at most {} pairs",
                limits::CUSTOM_METADATA_MAX
            )));
        }
        if name.is_empty() || name.len() > limits::CUSTOM_METADATA_NAME_BYTES_MAX || !is_plain(name) {
            return Err(AppError::invalid(format!(
                "a name in custom_metadata must have 1 to {} bytes and no control characters",
                limits::CUSTOM_METADATA_NAME_BYTES_MAX
            )));
        }
        if value.is_empty() || value.len() > limits::CUSTOM_METADATA_VALUE_BYTES_MAX || !is_plain(value) {
            return Err(AppError::invalid(format!(
                "a value in custom_metadata must have 1 to {} bytes and no control characters",
                limits::CUSTOM_METADATA_VALUE_BYTES_MAX
            )));
        }
    }
    Ok(())
}

/// A text as entries have it: at most so many bytes, and a sign when that is not all of it.
pub(crate) fn clipped(text: &str, bytes_max: usize) -> String {
    match text.get(..text.floor_char_boundary(bytes_max)) {
        Some(beginning) if beginning.len() < text.len() => format!("{beginning}…"),
        _ => text.to_owned(),
    }
}
