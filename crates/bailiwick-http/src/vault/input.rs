//! Input as Vault takes it: JSON whatever the content type says, numbers also as text, `null` for absent.
//!
//! Our strictness about JSON holds here, too: a member named twice, half a character or a second document is refused.
//! A member that nobody knows is not: Vault's clients send some, and are told with a warning.

use std::collections::BTreeMap;

use bailiwick_app::AppError;
use bailiwick_types::Code;
use http::header;
use serde_json::value::RawValue;

use super::lifetime;
use crate::call::Call;
use crate::json;

/// The members of a body, each as it was written.
#[derive(Default)]
pub(super) struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// Those of a request. No body at all and `null` have none.
    pub(super) fn of(call: &'a Call) -> Result<Self, AppError> {
        Self::parse(&call.body)
    }

    fn parse(body: &'a [u8]) -> Result<Self, AppError> {
        let body = body.trim_ascii();
        if body.is_empty() || body == b"null" {
            return Ok(Self::default());
        }
        json::check(body)?;
        // Checked, so this is the one thing that can be wrong. What serde says would repeat the body.
        let not_an_object = |_| AppError::with_detail(Code::InvalidJson, "the body must be a JSON object");
        serde_json::from_slice(body).map(Self).map_err(not_an_object)
    }

    /// The text of a member.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|value| value.get())
    }

    /// The text of a member that is there and not `null`.
    pub(super) fn given(&self, name: &str) -> Option<&'a str> {
        self.raw(name).filter(|text| *text != "null")
    }

    /// A member that is an object, or must have none: `null` and the empty list stand for nothing.
    pub(super) fn object(&self, name: &str) -> Result<Option<Members<'a>>, AppError> {
        match self.raw(name) {
            None => Ok(None),
            Some("null" | "[]") => Ok(Some(Members::default())),
            Some(text) if text.starts_with('{') => Self::parse(text.as_bytes()).map(Some),
            Some(_) => Err(field_error(name, "want an object")),
        }
    }

    /// A whole number. `null` is 0.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, AppError> {
        self.raw(name).map(|text| whole(text).ok_or_else(|| field_error(name, "want a whole number"))).transpose()
    }

    /// Yes or no. `null` is no.
    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, AppError> {
        let parse = |text: &str| match Weak::of(text) {
            Weak::Null => Some(false),
            Weak::Bool(value) => Some(value),
            Weak::Number(text) => truth(text),
            Weak::Text(text) if text.is_empty() => Some(false),
            Weak::Text(text) => truth(&text),
            Weak::List(_) | Weak::Object => None,
        };
        self.raw(name).map(|text| parse(text).ok_or_else(|| field_error(name, "want true or false"))).transpose()
    }

    /// A text; numbers and booleans are texts, too. `null` is absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, AppError> {
        self.given(name).map(|text| as_text(text).ok_or_else(|| field_error(name, "want a text"))).transpose()
    }

    /// A span of time in seconds. `null` is absent.
    pub(super) fn lifetime(&self, name: &str) -> Result<Option<i64>, AppError> {
        let Some(raw) = self.given(name) else { return Ok(None) };
        let seconds = match Weak::of(raw) {
            Weak::Number(text) => text.parse().ok(),
            Weak::Text(text) => lifetime::parse(&text),
            _ => None,
        };
        match seconds {
            Some(seconds) if seconds < 0 => {
                let shown = raw.trim_matches('"');
                Err(AppError::invalid(format!(
                    "error converting input for field \"{name}\": cannot provide negative value '{shown}'"
                )))
            }
            Some(seconds) if seconds <= lifetime::SECONDS_MAX => Ok(Some(seconds)),
            _ => Err(field_error(name, "want a span of time such as \"90s\", \"1h30m\" or \"30d\", 100 years at most")),
        }
    }

    /// Several texts: a list of them, or one with commas. `null` is none.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<String>, AppError> {
        let Some(raw) = self.given(name) else { return Ok(Vec::new()) };
        let bad = || field_error(name, "want a list of texts");
        match Weak::of(raw) {
            Weak::List(items) => items.into_iter().map(|item| as_text(item.get()).ok_or_else(bad)).collect(),
            Weak::Object => Err(bad()),
            _ => {
                let text = as_text(raw).ok_or_else(bad)?;
                Ok(text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
            }
        }
    }

    /// Numbers of versions: a list, one, or a text with commas. What is no version is 0, which none has.
    pub(super) fn versions(&self, name: &str) -> Result<Vec<u64>, AppError> {
        let Some(raw) = self.given(name) else { return Ok(Vec::new()) };
        let bad = || field_error(name, "want a list of whole numbers");
        let numbers: Option<Vec<i64>> = match Weak::of(raw) {
            Weak::List(items) => items.into_iter().map(|item| whole(item.get())).collect(),
            Weak::Text(text) if text.is_empty() => Some(Vec::new()),
            Weak::Text(text) => text.split(',').map(|part| part.trim().parse().ok()).collect(),
            Weak::Object => None,
            _ => whole(raw).map(|number| vec![number]),
        };
        Ok(numbers.ok_or_else(bad)?.into_iter().map(|number| u64::try_from(number).unwrap_or(0)).collect())
    }

    /// Each name with its text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }
}

/// A JSON value, to be taken for what it is or for what it stands for.
enum Weak<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(String),
    List(Vec<&'a RawValue>),
    Object,
}

impl<'a> Weak<'a> {
    fn of(text: &'a str) -> Self {
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).map_or(Self::Object, Self::Text),
            Some(b'[') => serde_json::from_str(text).map_or(Self::Object, Self::List),
            Some(b'{') | None => Self::Object,
            Some(b'n') => Self::Null,
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(_) => Self::Number(text),
        }
    }
}

fn whole(text: &str) -> Option<i64> {
    match Weak::of(text) {
        Weak::Null => Some(0),
        Weak::Bool(value) => Some(i64::from(value)),
        Weak::Number(text) => text.parse().ok(),
        Weak::Text(text) if text.is_empty() => Some(0),
        Weak::Text(text) => text.parse().ok(),
        Weak::List(_) | Weak::Object => None,
    }
}

/// A scalar as text, as Vault does it: `true` is `1`.
pub(super) fn as_text(text: &str) -> Option<String> {
    match Weak::of(text) {
        Weak::Null => Some(String::new()),
        Weak::Bool(value) => Some(u8::from(value).to_string()),
        Weak::Number(text) => Some(text.to_owned()),
        Weak::Text(text) => Some(text),
        Weak::List(_) | Weak::Object => None,
    }
}

/// A boolean as Go reads one.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

pub(super) fn field_error(name: &str, why: &str) -> AppError {
    AppError::invalid(format!("Field validation failed: error converting input for field \"{name}\": {why}"))
}

/// A whole number in the query. Absent and empty are 0; two of them are none.
pub(super) fn query_number(call: &Call, name: &str) -> Result<i64, AppError> {
    let mut values = call.query.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let number = match (values.next(), values.next()) {
        (None | Some(""), None) => Some(0),
        (Some(text), None) => text.parse().ok(),
        (_, Some(_)) => None,
    };
    number.ok_or_else(|| field_error(name, "want one whole number"))
}

/// What to tell about parameters that made no difference. `known` are the body's; the row knows the query's.
pub(super) fn warnings(call: &Call, members: &Members<'_>, known: &[&str]) -> Vec<String> {
    let query = call.query.iter().map(|(name, _)| name.as_str());
    let query = query.filter(|name| !call.known_query.contains(name) && !known.contains(name));
    let members = members.iter().map(|(name, _)| name).filter(|name| !known.contains(name));
    let mut unknown: Vec<&str> = query.chain(members).collect();
    unknown.sort_unstable();
    unknown.dedup();
    let (replaced, ignored): (Vec<&str>, Vec<&str>) = unknown.into_iter().partition(|name| *name == "path");
    let mut warnings = Vec::new();
    if !ignored.is_empty() {
        warnings.push(format!("Endpoint ignored these unrecognized parameters: [{}]", ignored.join(" ")));
    }
    if !replaced.is_empty() {
        warnings.push(
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [path]"
                .to_owned(),
        );
    }
    warnings
}

/// The one content type that a PATCH may have.
pub(super) fn check_merge_patch(call: &Call) -> Result<(), AppError> {
    const WANTED: &str = "application/merge-patch+json";
    let given = call.headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default().trim());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.is_empty() {
        return Err(AppError::invalid("mime: no media type"));
    }
    if essence.eq_ignore_ascii_case(WANTED) {
        return Ok(());
    }
    let shown = essence.to_ascii_lowercase();
    let detail = format!("PATCH requires Content-Type of {WANTED}, provided {shown}");
    Err(AppError::with_detail(Code::UnsupportedMediaType, detail))
}

/// Reads every kind of member from a body, and says how many members it has.
pub(super) fn read_all(body: &[u8]) -> Option<usize> {
    let members = Members::parse(body).ok()?;
    for (name, _) in members.iter() {
        let _ = (members.object(name), members.number(name), members.truth(name), members.text(name));
        let _ = (members.lifetime(name), members.texts(name), members.versions(name));
    }
    Some(members.iter().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(body: &str, read: impl FnOnce(Members<'_>) -> T) -> T {
        read(Members::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn bodies_that_stand_for_nothing() {
        for body in ["", " \n", "null", "{}"] {
            assert!(with(body, |members| members.iter().next().is_none()), "{body:?}");
        }
        for body in ["[]", "5", "\"x\"", "{", "{\"a\":1,\"a\":2}", "{}{}", "{\"a\":\"\\ud800\"}"] {
            assert!(Members::parse(body.as_bytes()).is_err(), "{body:?}");
        }
    }

    #[test]
    fn numbers_and_truth_are_taken_from_text() {
        let number = |value: &str| with(&format!("{{\"n\":{value}}}"), |members| members.number("n").ok().flatten());
        for (value, wanted) in [("5", 5), ("\"5\"", 5), ("true", 1), ("null", 0), ("\"\"", 0), ("-1", -1)] {
            assert_eq!(number(value), Some(wanted), "{value}");
        }
        for value in ["1.5", "5.0", "1e1", "\"x\"", "[]", "{}", "99999999999999999999"] {
            assert_eq!(number(value), None, "{value}");
        }
        let truth = |value: &str| with(&format!("{{\"n\":{value}}}"), |members| members.truth("n").ok().flatten());
        assert_eq!(truth("\"false\""), Some(false));
        assert_eq!(truth("1"), Some(true));
        assert_eq!(truth("null"), Some(false));
        assert_eq!(truth("2"), None);
        assert_eq!(truth("\"yes\""), None);
    }

    #[test]
    fn versions_are_taken_in_all_their_forms() {
        let versions = |value: &str| with(&format!("{{\"n\":{value}}}"), |members| members.versions("n").ok());
        for (value, wanted) in [
            ("[1,\"2\"]", vec![1, 2]),
            ("3", vec![3]),
            ("\"3,4\"", vec![3, 4]),
            ("[-1]", vec![0]),
            ("[]", vec![]),
            ("null", vec![]),
            ("\"\"", vec![]),
        ] {
            assert_eq!(versions(value), Some(wanted), "{value}");
        }
        for value in ["[\"x\"]", "[[3]]", "[3.5]", "{}", "\"1,x\""] {
            assert_eq!(versions(value), None, "{value}");
        }
    }

    #[test]
    fn lifetimes_have_two_ends() {
        let span = |value: &str| {
            with(&format!("{{\"n\":{value}}}"), |members| members.lifetime("n").map_err(|error| error.to_string()))
        };
        assert_eq!(span("30"), Ok(Some(30)));
        assert_eq!(span("\"1h30m5s\""), Ok(Some(5_405)));
        assert_eq!(span("null"), Ok(None));
        for value in ["30.5", "true", "\"abc\"", "[]", "\"9999999h\"", "99999999999999"] {
            assert!(span(value).is_err(), "{value}");
        }
        assert!(span("\"-5s\"").unwrap_err().ends_with("cannot provide negative value '-5s'"));
    }
}
