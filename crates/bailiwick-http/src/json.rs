//! Strict JSON: what two parsers could read differently is refused.
//!
//! Members named twice, nesting beyond the limit and bytes after the end are errors, wherever they are, also inside
//! secret values. Everything else is serde's.

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
    serde_json::from_slice(bytes).map_err(|error| {
        let text = error.to_string();
        let code = if text.starts_with("unknown field") { Code::UnknownField } else { Code::InvalidJson };
        AppError::with_detail(code, text)
    })
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
