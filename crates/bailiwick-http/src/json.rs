//! Strict JSON: what two parsers could read differently is refused.
//!
//! Members named twice, nesting beyond the limit and bytes after the end are errors, wherever they are, also inside
//! secret values. A body is an object, though serde would take an array for one. Everything else is serde's.
//!
//! # Invariants
//! - INV-JSON-1: no message repeats a value that was sent. It could be a secret in the wrong place.

use std::collections::HashSet;
use std::fmt;

use bailiwick_app::AppError;
use bailiwick_types::Code;
use bailiwick_types::limits::JSON_DEPTH_MAX;
use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

const DUPLICATE: &str = "bailiwick: duplicate member";
const TOO_DEEP: &str = "bailiwick: too deep";

/// Parses a body.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, AppError> {
    check(bytes)?;
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(AppError::with_detail(Code::InvalidJson, "the body must be a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let code = if text.starts_with("unknown field ") { Code::UnknownField } else { Code::InvalidJson };
        AppError::with_detail(code, misfit(&text))
    })
}

/// What serde says about something that does not fit, without that something. The name of an unknown member is told, so
/// far as it is short and plain.
fn misfit(text: &str) -> String {
    let Some((sent, wanted)) = text.rsplit_once(", expected ") else { return text.to_owned() };
    let what = match sent.strip_prefix("unknown field `").and_then(|name| name.strip_suffix('`')) {
        Some(name) if name.len() <= 64 && name.chars().all(|c| c.is_ascii_graphic()) => {
            format!("unknown member `{name}`")
        }
        Some(_) => "unknown member".to_owned(),
        None if sent.starts_with("invalid type: ") => "wrong type".to_owned(),
        None if sent.starts_with("unknown variant ") => "unknown word".to_owned(),
        None => "wrong value".to_owned(),
    };
    format!("{what}, expected {}", in_words(wanted))
}

/// Rust's types by the names that JSON's users know.
fn in_words(wanted: &str) -> String {
    let (kind, place) = wanted.split_once(" at line ").unwrap_or((wanted, ""));
    let kind = match kind {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "a sequence" => "an array",
        "a map" => "an object",
        kind if kind.starts_with("struct ") => "an object",
        kind => kind,
    };
    if place.is_empty() { kind.to_owned() } else { format!("{kind} at line {place}") }
}

/// Checks what serde does not.
pub(crate) fn check(bytes: &[u8]) -> Result<(), AppError> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let walked = Strict { depth: JSON_DEPTH_MAX }.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    walked.map_err(|error| {
        let text = error.to_string();
        if text.starts_with(DUPLICATE) {
            AppError::with_detail(Code::DuplicateMember, position(&error))
        } else if text.starts_with(TOO_DEEP) || text.starts_with("recursion limit") {
            AppError::new(Code::NestingTooDeep)
        } else {
            AppError::with_detail(Code::InvalidJson, text)
        }
    })
}

fn position(error: &serde_json::Error) -> String {
    format!("line {} column {}", error.line(), error.column())
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.inner().ok_or_else(|| A::Error::custom(TOO_DEEP))?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner().ok_or_else(|| A::Error::custom(TOO_DEEP))?;
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if !seen.insert(name) {
                return Err(A::Error::custom(DUPLICATE));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

impl Strict {
    fn inner(self) -> Option<Self> {
        self.depth.checked_sub(1).map(|depth| Self { depth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Option<Code> {
        check(text.as_bytes()).err().map(|error| error.code())
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        #[serde(default)]
        number: Option<u64>,
        #[serde(default)]
        kind: Option<bailiwick_types::api::identity::AccountKind>,
        #[serde(default)]
        list: Vec<String>,
    }

    fn detail(text: &str) -> String {
        parse::<Shape>(text.as_bytes()).unwrap_err().detail().unwrap_or_default().to_owned()
    }

    #[test]
    fn no_message_repeats_a_value() {
        let sent = [
            (
                r#"{"number":"hunter2, expected u64"}"#,
                "wrong type, expected a whole number, not negative at line 1 column 33",
            ),
            (r#"{"number":-7}"#, "wrong value, expected a whole number, not negative at line 1 column 12"),
            (r#"{"number":7.5}"#, "wrong type, expected a whole number, not negative at line 1 column 13"),
            (r#"{"list":"hunter2"}"#, "wrong type, expected an array at line 1 column 17"),
            (r#"{"list":[7]}"#, "wrong type, expected a string at line 1 column 10"),
            (r#"{"colour":1}"#, "unknown member `colour`, expected one of `number`, `kind`, `list` at line 1 column 9"),
            (r#"{"a\u001b[31m":1}"#, "unknown member, expected one of `number`, `kind`, `list` at line 1 column 14"),
        ];
        for (text, wanted) in sent {
            assert_eq!(detail(text), wanted, "{text}");
        }
        for text in [r#"{"kind":"hunter2"}"#, r#"{"kind":{"service":null}}"#, r#"{"kind":7}"#] {
            let detail = detail(text);
            assert!(!detail.contains("hunter2") && !detail.contains('7'), "{detail}");
        }
    }

    #[test]
    fn a_body_is_an_object() {
        for text in ["[]", "[1]", " [1,\"service\",[]]", "null", "1", "\"x\"", "true"] {
            let error = parse::<Shape>(text.as_bytes()).unwrap_err();
            assert_eq!(
                (error.code(), error.detail()),
                (Code::InvalidJson, Some("the body must be a JSON object")),
                "{text}"
            );
        }
        let shape = parse::<Shape>(b" \n{\"number\":1}\t").unwrap();
        assert_eq!((shape.number, shape.kind.is_none(), shape.list.len()), (Some(1), true, 0));
    }

    #[test]
    fn duplicates_depth_and_trailing_bytes_are_refused() {
        assert_eq!(code(r#"{"a":1,"b":[{"c":null}]}"#), None);
        assert_eq!(code(r#"{"a":1,"a":2}"#), Some(Code::DuplicateMember));
        assert_eq!(code(r#"{"a":1,"\u0061":2}"#), Some(Code::DuplicateMember));
        assert_eq!(code(r#"{"x":[{"a":1,"a":1}]}"#), Some(Code::DuplicateMember));
        assert_eq!(code(&format!("{}{}", "[".repeat(64), "]".repeat(64))), None);
        assert_eq!(code(&format!("{}{}", "[".repeat(65), "]".repeat(65))), Some(Code::NestingTooDeep));
        assert_eq!(code(&"[".repeat(100_000)), Some(Code::NestingTooDeep));
        assert_eq!(code("{} {}"), Some(Code::InvalidJson));
        assert_eq!(code(""), Some(Code::InvalidJson));
        assert_eq!(code("{\"a\":\"\u{0}\"}"), Some(Code::InvalidJson));
    }
}
