//! Texts of lines such as `name value`, of which each has its place: what certificates and attestations are written in.
//!
//! # Deliberately absent
//! No optional spelling: a line is exactly what is expected there, or the text is refused.

use crate::checkpoint::{Checkpoint, decimal, hash_from_base64};
use crate::note;

/// A line that is missing, or not what belongs there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadLine {
    /// Which, counted from 1.
    pub(crate) line: usize,
    /// What belongs there.
    pub(crate) expected: &'static str,
}

/// The lines that are left of a text.
pub(crate) struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self { rest: text, line: 0 }
    }

    /// The next line; it has to end in a newline.
    pub(crate) fn next(&mut self) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        self.line += 1;
        Some(line)
    }

    /// Whether the next line begins so.
    pub(crate) fn begins_with(&self, start: &str) -> bool {
        self.rest.starts_with(start)
    }

    /// The value of the next line, which has to look like `expected`.
    pub(crate) fn field<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, BadLine> {
        let error = BadLine { line: self.line + 1, expected };
        let (name, value) = self.next().and_then(|line| line.split_once(' ')).ok_or(error.clone())?;
        let is_named = expected.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '));
        if is_named { read(value).ok_or(error) } else { Err(error) }
    }

    /// There are no more lines.
    pub(crate) fn end(self) -> Result<(), BadLine> {
        if self.rest.is_empty() { Ok(()) } else { Err(BadLine { line: self.line + 1, expected: "the end" }) }
    }
}

/// A text without white space and control characters.
pub(crate) fn word(text: &str) -> Option<String> {
    let is_word = !text.is_empty() && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    is_word.then(|| text.to_owned())
}

/// `<origin> <size> <root>`
pub(crate) fn checkpoint(text: &str) -> Option<Checkpoint> {
    let (rest, root) = text.rsplit_once(' ')?;
    let (origin, size) = rest.rsplit_once(' ')?;
    note::check_name(origin).ok()?;
    Some(Checkpoint { origin: origin.to_owned(), size: decimal(size)?, root: hash_from_base64(root)? })
}

/// Something in the one spelling that it is printed in.
pub(crate) fn spelled<T: std::str::FromStr + ToString>(text: &str) -> Option<T> {
    text.parse().ok().filter(|value: &T| value.to_string() == text)
}
