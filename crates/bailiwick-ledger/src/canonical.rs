//! Reading canonical JSON in place: what `serde_json` would have written, and no other spelling of it.
//!
//! [`Entry::parse`](crate::entry::Entry::parse) defines what an entry is: parse, write again, compare. That costs a
//! dozen allocations. A verifier of millions of entries reads them with a [`Cursor`] instead, which takes exactly the
//! bytes that the writer produces and allocates nothing. That the two accept the same bytes is tested.
//!
//! # Deliberately absent
//! No values: nothing here decodes more than it has to compare.

use std::borrow::Cow;

use bailiwick_types::Timestamp;

use crate::entry::{ENTRY_BYTES_MAX, is_salt};

/// A position in canonical JSON. Every method takes what it names and moves on, or answers `None`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Exactly this text.
    pub(crate) fn literal(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text.as_bytes())?;
        Some(())
    }

    /// This text, if it is next.
    fn has(&mut self, text: &str) -> bool {
        self.literal(text).is_some()
    }

    /// `n` bytes.
    pub(crate) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(n)?;
        self.rest = rest;
        Some(taken)
    }

    /// A number without sign or leading zeros.
    pub(crate) fn number(&mut self) -> Option<u64> {
        let end = self.rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.rest.len());
        let digits = self.take(end)?;
        if digits.is_empty() || (digits.starts_with(b"0") && digits.len() > 1) {
            return None;
        }
        digits.iter().try_fold(0u64, |n, digit| n.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
    }

    /// A string: what is between its quotes, still escaped. Not checked to be UTF-8.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.literal("\"")?;
        let start = *self;
        loop {
            self.take(plain_prefix(self.rest))?;
            let (byte, rest) = self.rest.split_first()?;
            match byte {
                b'"' => {
                    let length = start.rest.len() - self.rest.len();
                    self.rest = rest;
                    return start.rest.get(..length);
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// One of the escapes that the writer uses: the short ones, and `\u00xx` for control characters without one.
    fn escape(&mut self) -> Option<()> {
        match self.take(2)? {
            [_, b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't'] => Some(()),
            [_, b'u'] => match self.take(4)? {
                [b'0', b'0', b'0', b'8' | b'9' | b'a' | b'c' | b'd'] => None,
                [b'0', b'0', b'0' | b'1', b'0'..=b'9' | b'a'..=b'f'] => Some(()),
                _ => None,
            },
            _ => None,
        }
    }

    /// One of these strings.
    fn one_of(&mut self, texts: &[&str]) -> Option<()> {
        let found = self.string()?;
        texts.iter().any(|text| text.as_bytes() == found).then_some(())
    }

    /// Comma-separated strings up to `]`.
    fn strings_to_bracket(&mut self) -> Option<()> {
        loop {
            self.string()?;
            if !self.has(",") {
                return self.literal("]");
            }
        }
    }

    /// Comma-separated pairs of strings up to `}`, with ascending names.
    fn pairs_to_brace(&mut self) -> Option<()> {
        let mut last: Option<Cow<'_, [u8]>> = None;
        loop {
            let name = unescape(self.string()?);
            if last.is_some_and(|last| last >= name) {
                return None;
            }
            last = Some(name);
            self.literal(":")?;
            self.string()?;
            if !self.has(",") {
                return self.literal("}");
            }
        }
    }
}

/// How many bytes come before the first quote, backslash or control character.
fn plain_prefix(bytes: &[u8]) -> usize {
    const LOW: u64 = u64::MAX / 0xff; // 0x01 in each byte
    const HIGH: u64 = LOW << 7;
    // Eight bytes at a time: a byte below `n` (≤ 0x80) is one that borrows when `n` is taken from it. A borrow can
    // spill into the bytes above, so only the lowest one that is found is certain, and that is the one that is wanted.
    let below = |word: u64, n: u64| word.wrapping_sub(LOW * n) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = below(word ^ (LOW * u64::from(b'"')), 1);
        let backslash = below(word ^ (LOW * u64::from(b'\\')), 1);
        let found = quote | backslash | below(word, u64::from(b' '));
        if found != 0 {
            return 8 * at + usize::try_from(found.trailing_zeros() / 8).unwrap_or(0);
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    bytes.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

/// The text of a string that [`Cursor::string`] took.
fn unescape(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'\\') {
        return Cow::Borrowed(text);
    }
    // It was checked already; if this should fail nevertheless, then the escaped text equals nothing that is expected.
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice(&quoted).map_or(Cow::Borrowed(text), |text: String| Cow::Owned(text.into_bytes()))
}

/// Tenant and time of an entry; `None` unless the bytes are the canonical bytes of one.
pub(crate) fn entry(bytes: &[u8]) -> Option<(Cow<'_, str>, Timestamp)> {
    if bytes.len() > ENTRY_BYTES_MAX {
        return None;
    }
    std::str::from_utf8(bytes).ok()?;
    let mut at = Cursor::new(bytes);
    at.literal("{\"v\":1,\"tenant\":")?;
    let tenant = at.string()?;
    at.literal(",\"time\":")?;
    let time = timestamp(at.string()?)?;
    at.literal(",\"request\":")?;
    at.string()?;
    at.literal(",\"actor\":{\"kind\":")?;
    at.one_of(&["member", "service", "agent", "operator", "anonymous", "system"])?;
    for name in [",\"id\":", ",\"credential\":", ",\"operator\":"] {
        if at.has(name) {
            at.string()?;
        }
    }
    at.literal("}")?;
    if at.has(",\"source\":") {
        at.string()?;
    }
    at.literal(",\"door\":")?;
    at.string()?;
    at.literal(",\"action\":")?;
    at.string()?;
    at.literal(",\"resource\":{\"kind\":")?;
    at.string()?;
    at.literal(",\"id\":")?;
    at.string()?;
    if at.has(",\"version\":") {
        at.number()?;
    }
    at.literal("},\"decision\":")?;
    at.one_of(&["allow", "deny", "none"])?;
    if at.has(",\"policies\":[") {
        at.strings_to_bracket()?;
    }
    at.literal(",\"outcome\":")?;
    at.string()?;
    if at.has(",\"code\":") {
        at.string()?;
    }
    if at.has(",\"detail\":{") {
        at.pairs_to_brace()?;
    }
    at.literal(",\"salt\":")?;
    let salt = at.string()?;
    at.literal("}")?;
    if !at.rest().is_empty() || !is_salt(salt) {
        return None;
    }
    let tenant = match unescape(tenant) {
        Cow::Borrowed(tenant) => Cow::Borrowed(std::str::from_utf8(tenant).ok()?),
        Cow::Owned(tenant) => Cow::Owned(String::from_utf8(tenant).ok()?),
    };
    Some((tenant, time))
}

/// A time in the one spelling that [`Timestamp`] has.
fn timestamp(text: &[u8]) -> Option<Timestamp> {
    if let Some(time) = common_timestamp(text) {
        return Some(time);
    }
    // The rest are times before year 0 or at the far end of time, and texts that are no times at all.
    let text = std::str::from_utf8(text).ok()?;
    let time: Timestamp = text.parse().ok()?;
    (time.to_string() == text).then_some(time)
}

/// A time of the years 0 to 9998, which all have the form `2023-11-14T22:13:20.123Z`. (`Timestamp` ends somewhere in
/// the last days of 9999.)
fn common_timestamp(text: &[u8]) -> Option<Timestamp> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', i1, i2, b':', s1, s2, b'.', f1, f2, f3, b'Z'] =
        *text
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0i64, |n, digit| digit.is_ascii_digit().then(|| 10 * n + i64::from(digit - b'0')))
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[i1, i2])?, number(&[s1, s2])?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    if year > 9_998 || day < 1 || day > days_in_month || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970-01-01, with years that start in March so that the leap day comes last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp::from_unix_ms(seconds * 1_000 + number(&[f1, f2, f3])?))
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
