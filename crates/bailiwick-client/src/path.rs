//! Request paths, built from segments so that no value can become structure.

use std::fmt;

use bailiwick_types::SecretPath;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters: `/`, `?`, `#`, `%` and all else that means something is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of a request, escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A path that is written in the source: taken as it is.
    pub fn fixed(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    /// Adds `/` and one segment, whatever it holds.
    #[must_use]
    pub fn segment(mut self, text: &str) -> Self {
        self.0.push('/');
        match text {
            // Dots cannot be escaped away: intermediaries treat `%2E` as `.`. The server refuses these two with
            // `invalid_path`, and it should be the one to say so rather than a proxy that resolved them silently.
            "." => self.0.push_str("%2E"),
            ".." => self.0.push_str("%2E%2E"),
            _ => self.0.extend(utf8_percent_encode(text, ESCAPED)),
        }
        self
    }

    /// Adds the segments of a secret's path.
    #[must_use]
    pub fn secret(self, path: &SecretPath) -> Self {
        path.as_str().split('/').fold(self, Self::segment)
    }

    /// Adds the slash that makes it a folder.
    #[must_use]
    pub fn folder(mut self) -> Self {
        self.0.push('/');
        self
    }

    /// Adds text that is written in the source: `/ledger/entries`, `:check`.
    #[must_use]
    pub fn then(mut self, text: &'static str) -> Self {
        self.0.push_str(text);
        self
    }

    /// The path as it goes over the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends `?name=value&…`, escaped.
pub(crate) fn push_query(target: &mut String, query: &[(&str, String)]) {
    for (at, (name, value)) in query.iter().enumerate() {
        target.push(if at == 0 { '?' } else { '&' });
        target.extend(utf8_percent_encode(name, ESCAPED));
        target.push('=');
        target.extend(utf8_percent_encode(value, ESCAPED));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_cannot_become_structure() {
        for (segment, wire) in [
            ("acme", "/t/acme"),
            ("a/b", "/t/a%2Fb"),
            ("a?b#c", "/t/a%3Fb%23c"),
            ("50%", "/t/50%25"),
            ("%2e%2e", "/t/%252e%252e"),
            ("with space", "/t/with%20space"),
            ("ключ", "/t/%D0%BA%D0%BB%D1%8E%D1%87"),
            ("a:b;c=d", "/t/a%3Ab%3Bc%3Dd"),
            ("a-._~", "/t/a-._~"),
            ("..", "/t/%2E%2E"),
            ("a\0\r\nb", "/t/a%00%0D%0Ab"),
        ] {
            assert_eq!(Path::fixed("/t").segment(segment).as_str(), wire);
        }
    }

    #[test]
    fn a_secret_path_keeps_its_slashes_and_nothing_else() {
        let path: SecretPath = "app/db main/100%/...".parse().unwrap();
        assert_eq!(Path::fixed("/s").secret(&path).as_str(), "/s/app/db%20main/100%25/...");
        assert_eq!(Path::fixed("/s").secret(&path).folder().as_str(), "/s/app/db%20main/100%25/.../");
    }

    #[test]
    fn query_values_are_escaped() {
        let mut target = String::from("/x");
        push_query(&mut target, &[("label", "a=b&c".to_owned()), ("q", "ü +".to_owned())]);
        assert_eq!(target, "/x?label=a%3Db%26c&q=%C3%BC%20%2B");
    }
}
