//! JSON merge patch (RFC 7396) on secret values.
//!
//! Works on raw member texts, so that what is not touched keeps its bytes (a number's exact digits, say).

use std::collections::BTreeMap;

use bailiwick_types::Secret;
use serde_json::value::RawValue;

use crate::error::AppError;

type Members = BTreeMap<String, Box<RawValue>>;

/// Merges `patch` into `target`, both JSON texts of objects.
pub(crate) fn merge_patch(target: &[u8], patch: &[u8]) -> Result<Secret<Vec<u8>>, AppError> {
    let merged = merge(std::str::from_utf8(target).ok(), std::str::from_utf8(patch).map_err(AppError::internal)?)?;
    Ok(Secret::new(merged.into_bytes()))
}

fn members(text: &str) -> Option<Members> {
    serde_json::from_str(text).ok()
}

fn merge(target: Option<&str>, patch: &str) -> Result<String, AppError> {
    // Not an object: it replaces whatever was there.
    let Some(patch) = members(patch) else { return Ok(patch.to_owned()) };
    let mut merged = target.and_then(members).unwrap_or_default();
    for (name, value) in patch {
        if value.get() == "null" {
            merged.remove(&name);
            continue;
        }
        let before = merged.get(&name).map(|value| value.get());
        let value = RawValue::from_string(merge(before, value.get())?).map_err(AppError::internal)?;
        merged.insert(name, value);
    }
    serde_json::to_string(&merged).map_err(AppError::internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7396() {
        // Appendix A, those whose target and patch are objects.
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#"{"n":1.0e3}"#, r#"{"m":12345678901234567890123}"#, r#"{"m":12345678901234567890123,"n":1.0e3}"#),
        ] {
            let merged = merge_patch(target.as_bytes(), patch.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(merged.expose().clone()).unwrap(), result, "{target} + {patch}");
        }
    }
}
