//! `name=value`, and what a secret is made of.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use bailiwick_types::Secret;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::fail::Fail;
use crate::terminal::Terminal;

/// `name=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self { name: name.to_owned(), value: value.to_owned() }),
            _ => Err("want NAME=VALUE".to_owned()),
        }
    }
}

/// One key of a secret and where its value comes from. `Debug` shows no value: clap may print arguments.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretItem {
    key: String,
    source: Source,
}

#[derive(Clone, PartialEq, Eq)]
enum Source {
    Literal(String),
    File(PathBuf),
    Stdin,
}

impl std::fmt::Debug for SecretItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.key)
    }
}

impl FromStr for SecretItem {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The message must not quote the argument: it may be the value alone.
        let (key, value) = text.split_once('=').ok_or("want KEY=VALUE, KEY=@FILE or KEY=-".to_owned())?;
        if key.is_empty() {
            return Err("the key before `=` is empty".to_owned());
        }
        let source = match (value, value.strip_prefix('@'), value.strip_prefix('\\')) {
            ("-", _, _) => Source::Stdin,
            (_, Some(""), _) => return Err("the file name after `@` is empty".to_owned()),
            (_, Some(file), _) => Source::File(PathBuf::from(file)),
            // `\@` and `\-` begin values that begin with these characters.
            (_, _, Some(rest)) if rest.starts_with('@') || rest == "-" => Source::Literal(rest.to_owned()),
            _ => Source::Literal(value.to_owned()),
        };
        Ok(Self { key: key.to_owned(), source })
    }
}

/// The JSON object that a secret's new value is: from `KEY=VALUE` items and keys to remove (as null, in a patch), or
/// from a whole object in a file.
pub(crate) fn secret_data(
    items: &[SecretItem],
    removed: &[String],
    json: Option<&Path>,
    terminal: &mut Terminal,
) -> Result<Secret<String>, Fail> {
    if let Some(file) = json {
        let name = if file.as_os_str() == "-" { "standard input".to_owned() } else { format!("`{}`", file.display()) };
        return parse_object(super::text_of(file, terminal)?, &name).map(Secret::new);
    }
    let mut data = Map::new();
    let mut is_stdin_read = false;
    for item in items {
        let value = match &item.source {
            Source::Literal(text) => text.clone(),
            Source::File(file) => super::text_of(file, terminal)?,
            Source::Stdin if is_stdin_read => {
                return Err(Fail::usage("only one value can come from standard input"));
            }
            Source::Stdin => {
                is_stdin_read = true;
                super::text_of(Path::new("-"), terminal)?
            }
        };
        insert(&mut data, &item.key, Value::String(value))?;
    }
    for key in removed {
        insert(&mut data, key, Value::Null)?;
    }
    serde_json::to_string(&data).map(Secret::new).map_err(|_| Fail::usage("the value does not make JSON"))
}

fn insert(data: &mut Map<String, Value>, key: &str, value: Value) -> Result<(), Fail> {
    match data.insert(key.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(Fail::usage(format!("`{key}` is given twice"))),
    }
}

/// Checks that the text is one JSON object without a member named twice, and hands it on as it is.
fn parse_object(text: String, name: &str) -> Result<String, Fail> {
    match serde_json::from_str::<&RawValue>(&text) {
        Err(error) => {
            let place = format!("line {} column {}", error.line(), error.column());
            Err(Fail::usage(format!("{name} is not JSON, at {place}")))
        }
        Ok(raw) if !raw.get().starts_with('{') => Err(Fail::usage(format!("{name} is not a JSON object"))),
        // The parser of most programs keeps the last of two; which one was meant nobody can know.
        Ok(raw) if serde_json::from_str::<NoTwice>(raw.get()).is_err() => {
            Err(Fail::usage(format!("{name} names a member twice")))
        }
        Ok(_) => Ok(text),
    }
}

/// Any JSON in which no object names a member twice.
struct NoTwice;

impl<'de> Deserialize<'de> for NoTwice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NoTwiceVisitor)
    }
}

struct NoTwiceVisitor;

impl<'de> Visitor<'de> for NoTwiceVisitor {
    type Value = NoTwice;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NoTwice, A::Error> {
        let mut seen = std::collections::HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if !seen.insert(key) {
                return Err(serde::de::Error::custom("twice"));
            }
            map.next_value::<NoTwice>()?;
        }
        Ok(NoTwice)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<NoTwice, A::Error> {
        while seq.next_element::<NoTwice>()?.is_some() {}
        Ok(NoTwice)
    }

    fn visit_bool<E>(self, _: bool) -> Result<NoTwice, E> {
        Ok(NoTwice)
    }
    fn visit_i64<E>(self, _: i64) -> Result<NoTwice, E> {
        Ok(NoTwice)
    }
    fn visit_u64<E>(self, _: u64) -> Result<NoTwice, E> {
        Ok(NoTwice)
    }
    fn visit_f64<E>(self, _: f64) -> Result<NoTwice, E> {
        Ok(NoTwice)
    }
    fn visit_str<E>(self, _: &str) -> Result<NoTwice, E> {
        Ok(NoTwice)
    }
    fn visit_unit<E>(self) -> Result<NoTwice, E> {
        Ok(NoTwice)
    }
    fn visit_none<E>(self) -> Result<NoTwice, E> {
        Ok(NoTwice)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<NoTwice, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| NoTwice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::terminal;

    fn items(texts: &[&str]) -> Vec<SecretItem> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn data(texts: &[&str], stdin: &str) -> Result<String, String> {
        let (mut terminal, _, _) = terminal(stdin);
        secret_data(&items(texts), &[], None, &mut terminal).map(|data| data.expose().clone()).map_err(|e| e.text())
    }

    #[test]
    fn values_come_from_the_line_a_file_or_standard_input() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("cert.pem");
        std::fs::write(&file, "line 1\nline 2\n").unwrap();
        let from_file = format!("b=@{}", file.display());
        assert_eq!(
            data(&["a=1=2", &from_file, "c=-", "d="], "from stdin\n").unwrap(),
            r#"{"a":"1=2","b":"line 1\nline 2\n","c":"from stdin\n","d":""}"#
        );
        assert_eq!(
            data(&[r"a=\@home", r"b=\-", r"c=\n", "d=--"], "").unwrap(),
            r#"{"a":"@home","b":"-","c":"\\n","d":"--"}"#
        );
    }

    #[test]
    fn nothing_is_guessed() {
        assert_eq!(data(&["a=1", "a=2"], "").unwrap_err(), "error: `a` is given twice");
        assert_eq!(data(&["a=-", "b=-"], "x").unwrap_err(), "error: only one value can come from standard input");
        assert!(data(&["a=@/nonexistent"], "").unwrap_err().contains("/nonexistent"));
        for bad in ["novalue", "=x", "a=@"] {
            let error = bad.parse::<SecretItem>().unwrap_err();
            assert!(!error.contains("novalue"), "the value must not be repeated: {error}");
        }
    }

    #[test]
    fn a_removed_key_is_a_null() {
        let (mut terminal, _, _) = terminal("");
        let both = secret_data(&items(&["a=1"]), &["b".to_owned()], None, &mut terminal).unwrap();
        assert_eq!(both.expose(), r#"{"a":"1","b":null}"#);
        assert!(secret_data(&items(&["a=1"]), &["a".to_owned()], None, &mut terminal).is_err());
    }

    #[test]
    fn a_json_secret_is_an_object_that_means_one_thing() {
        let check = |text: &str| parse_object(text.to_owned(), "`x.json`").map_err(|error| error.text());
        let good = r#" {"n": 1.50, "o": {"a": [1, null, true, "x", {}]}} "#;
        assert_eq!(check(good).unwrap(), good, "passed on as it is");
        assert_eq!(check("[1]").unwrap_err(), "error: `x.json` is not a JSON object");
        assert_eq!(check(r#"{"a":1,"a":2}"#).unwrap_err(), "error: `x.json` names a member twice");
        assert_eq!(check(r#"{"o":[{"a":1,"\u0061":2}]}"#).unwrap_err(), "error: `x.json` names a member twice");
        assert_eq!(check("{\"a\":\n s3cret}").unwrap_err(), "error: `x.json` is not JSON, at line 2 column 2");
    }

    #[test]
    fn debug_shows_no_value() {
        assert_eq!(format!("{:?}", items(&["password=hunter2"])), "[password=…]");
    }
}
