//! The API's JSON, passed on: laid out for a reader, or joined from pages, but never re-made from types, so that
//! members which this version does not know get through.

use bailiwick_client::ClientError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The same JSON with line breaks and indentation: tokens are copied, not understood.
pub(crate) fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut chars = text.trim().chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                out.push(c);
                let mut is_escaped = false;
                for c in chars.by_ref() {
                    out.push(c);
                    if c == '"' && !is_escaped {
                        break;
                    }
                    is_escaped = c == '\\' && !is_escaped;
                }
            }
            '{' | '[' => {
                out.push(c);
                while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match chars.next_if(|next| matches!(next, '}' | ']')) {
                    Some(close) => out.push(close),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

/// One page, its items as they came.
#[derive(Deserialize, Serialize)]
pub(crate) struct RawPage {
    pub(crate) items: Vec<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
    /// Ledgers say that this is all there is, and yet where to go on from, since they grow.
    #[serde(default, skip_serializing)]
    pub(crate) is_complete: bool,
}

/// Collects pages: `fetch` is called with each cursor in turn until there is none, or nothing behind it.
pub(crate) fn merged(
    mut fetch: impl FnMut(Option<&str>) -> Result<String, ClientError>,
) -> Result<String, ClientError> {
    let mut all = RawPage { items: Vec::new(), next: None, is_complete: false };
    let mut cursor: Option<String> = None;
    loop {
        let text = fetch(cursor.as_deref())?;
        let page: RawPage = serde_json::from_str(&text).map_err(|_| no_page())?;
        all.items.extend(page.items);
        match page.next.filter(|_| !page.is_complete) {
            Some(next) => cursor = Some(next),
            None => return serde_json::to_string(&all).map_err(|_| no_page()),
        }
    }
}

fn no_page() -> ClientError {
    ClientError::Unexpected { what: "list".to_owned(), reason: "the answer is no page".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretty_json_is_the_same_json() {
        let text = r#"{"b":[1,{"x":"a\"b,{[: \\"},[],{}],"a":null, "c" : { } }"#;
        let laid_out = pretty(text);
        assert_eq!(
            laid_out,
            "{\n  \"b\": [\n    1,\n    {\n      \"x\": \"a\\\"b,{[: \\\\\"\n    },\n    [],\n    {}\n  ],\n  \"a\": null,\n  \"c\": {}\n}"
        );
        let (before, after): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(text).unwrap(), serde_json::from_str(&laid_out).unwrap());
        assert_eq!(before, after);
        assert_eq!(pretty(&laid_out), laid_out);
    }

    #[test]
    fn pages_are_joined_with_their_items_untouched() {
        let mut asked = Vec::new();
        let text = merged(|cursor| {
            asked.push(cursor.map(str::to_owned));
            Ok(match asked.len() {
                1 => r#"{"items":[{"z":1.0,"a":"\u0041"}],"next":"c1"}"#.to_owned(),
                _ => r#"{"items":[{"b":2}]}"#.to_owned(),
            })
        });
        assert_eq!(text.unwrap(), r#"{"items":[{"z":1.0,"a":"\u0041"},{"b":2}]}"#);
        assert_eq!(asked, [None, Some("c1".to_owned())]);
    }

    #[test]
    fn a_growing_ledger_is_read_to_its_end_once() {
        let mut asked = 0;
        let text = merged(|_| {
            asked += 1;
            Ok(format!(r#"{{"items":[{asked}],"next":"c","size":{asked},"is_complete":{}}}"#, asked == 2))
        });
        assert_eq!(text.unwrap(), r#"{"items":[1,2]}"#);
    }
}
