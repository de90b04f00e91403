//! Names that people choose: slugs, mounts, policies, secret paths.
//!
//! Names are compared byte for byte. What could look the same and be different (another Unicode normal form, control
//! and format characters) or be different and mean the same (`.`, `..`, empty segments) is refused, so that nobody
//! has to normalise later.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// Why a text is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("{what} is empty")]
    Empty {
        /// What was being named.
        what: &'static str,
    },
    /// Longer than the limit.
    #[error("{what} is longer than {max} bytes")]
    TooLong {
        /// What was being named.
        what: &'static str,
        /// The limit in bytes.
        max: usize,
    },
    /// Characters outside the allowed set.
    #[error("{what} may only use {allowed}")]
    Alphabet {
        /// What was being named.
        what: &'static str,
        /// The allowed set, for people.
        allowed: &'static str,
    },
    /// A word with a meaning of its own.
    #[error("{what} `{name}` is reserved")]
    Reserved {
        /// What was being named.
        what: &'static str,
        /// The word.
        name: String,
    },
    /// A path segment that is empty, `.` or `..`.
    #[error("a path may not hold empty segments, `.` or `..`")]
    Segment,
    /// NUL or another control or invisible formatting character.
    #[error("a path may not hold control or invisible formatting characters")]
    Control,
    /// Not in Unicode normal form C, so that two spellings could look the same.
    #[error("a path must be in Unicode normal form C")]
    NotNormalized,
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

name_type!(
    /// A tenant's name in URLs and namespaces: `[a-z][a-z0-9-]{0,62}`, not ending in `-`. Never reused.
    Slug, "^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$"
);
name_type!(
    /// The name of a mount: one path segment of `[a-zA-Z0-9._-]`, at most 64 bytes.
    MountName, "^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,63}$"
);
name_type!(
    /// The name of a policy, guardrail or role: `[a-z0-9][a-z0-9._-]{0,127}`.
    PolicyName, "^[a-z0-9][a-z0-9._-]{0,127}$"
);
name_type!(
    /// Where a secret lives inside its mount: segments joined by `/`, at most 1,024 bytes, Unicode NFC.
    SecretPath, "^[^/]+(?:/[^/]+)*$"
);

/// Words that mean something at one of the doors (OpenBao's reserved namespace names, and ours).
const RESERVED_SLUGS: &[&str] =
    &["api", "audit", "auth", "console", "cubbyhole", "identity", "platform", "root", "secret", "self", "sys"];
/// Paths of the Vault door that are not mounts.
const RESERVED_MOUNTS: &[&str] = &["audit", "auth", "cubbyhole", "identity", "sys"];

fn checked(
    text: &str,
    what: &'static str,
    max: usize,
    allowed: &'static str,
    fits: impl Fn(usize, char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what });
    }
    if text.len() > max {
        return Err(NameError::TooLong { what, max });
    }
    if !text.char_indices().all(|(at, c)| fits(at, c)) {
        return Err(NameError::Alphabet { what, allowed });
    }
    Ok(())
}

impl FromStr for Slug {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        const ALLOWED: &str = "a-z, 0-9 and `-`, starting with a letter and not ending in `-`";
        checked(text, "slug", 63, ALLOWED, |at, c| match c {
            'a'..='z' => true,
            '0'..='9' => at > 0,
            '-' => at > 0 && at + 1 < text.len(),
            _ => false,
        })?;
        if RESERVED_SLUGS.contains(&text) {
            return Err(NameError::Reserved { what: "slug", name: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for MountName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        const ALLOWED: &str = "a-z, A-Z, 0-9, `_`, `-` and `.` (not at the start `-` or `.`)";
        checked(text, "mount name", 64, ALLOWED, |at, c| {
            c.is_ascii_alphanumeric() || c == '_' || (at > 0 && matches!(c, '-' | '.'))
        })?;
        if RESERVED_MOUNTS.contains(&text) {
            return Err(NameError::Reserved { what: "mount name", name: text.to_owned() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl FromStr for PolicyName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        const ALLOWED: &str = "a-z, 0-9, `_`, `-` and `.`, starting with a letter or digit";
        checked(text, "name", 128, ALLOWED, |at, c| match c {
            'a'..='z' | '0'..='9' => true,
            '_' | '-' | '.' => at > 0,
            _ => false,
        })?;
        Ok(Self(text.to_owned()))
    }
}

impl SecretPath {
    /// The longest path, in bytes.
    pub const MAX_BYTES: usize = 1_024;

    /// The folders that hold the secret, outermost first: `a/b/c` is in `a` and `a/b`.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.char_indices().filter(|(_, c)| *c == '/').filter_map(|(at, _)| self.0.get(..at))
    }
}

impl FromStr for SecretPath {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty { what: "path" });
        }
        if text.len() > Self::MAX_BYTES {
            return Err(NameError::TooLong { what: "path", max: Self::MAX_BYTES });
        }
        if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(NameError::Segment);
        }
        if text.chars().any(|c| c.is_control() || is_invisible(c)) {
            return Err(NameError::Control);
        }
        let is_nfc = match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => true,
            IsNormalized::No => false,
            IsNormalized::Maybe => text.nfc().eq(text.chars()),
        };
        if !is_nfc {
            return Err(NameError::NotNormalized);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Characters that print as nothing or turn the text around them: two paths that differ by these look the same.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for good in ["a", "acme", "acme-2", "a1"] {
            assert!(good.parse::<Slug>().is_ok(), "{good}");
        }
        for bad in ["", "Acme", "1a", "-a", "a-", "a_b", "a.b", "root", "sys", "é", &"a".repeat(64), "a b", "a/b"] {
            assert!(bad.parse::<Slug>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths() {
        for good in ["a", "a/b", "Ünïcode/ключ", "with space", "a.b", "...", "a%2fb", "a\\b"] {
            assert!(good.parse::<SecretPath>().is_ok(), "{good}");
        }
        let long = "a".repeat(1_025);
        for bad in ["", "/a", "a/", "a//b", ".", "a/../b", "a/.", "a\0b", "a\nb", "e\u{301}", "a\u{200b}b", &long] {
            assert!(bad.parse::<SecretPath>().is_err(), "{bad:?}");
        }
        let path: SecretPath = "a/b/c".parse().unwrap();
        assert_eq!(path.folders().collect::<Vec<_>>(), ["a", "a/b"]);
    }

    #[test]
    fn mounts() {
        assert!("kv-v2".parse::<MountName>().is_ok());
        for bad in ["sys", "auth", "a/b", "", ".", "..", "-a"] {
            assert!(bad.parse::<MountName>().is_err(), "{bad}");
        }
    }
}
