//! Time, injected: milliseconds since the Unix epoch, printed as RFC 3339 in UTC.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A source of time. One per process, chosen at start; simulations inject their own.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// A text that is not an RFC 3339 time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time such as `2026-01-31T12:00:00Z`")]
pub struct TimeError;

impl Timestamp {
    /// The moment this many milliseconds after the Unix epoch.
    pub const fn from_unix_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// The moment `span` later; the far end of time if that does not fit.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is beyond the years that have a text is printed as the last or first moment that has, which parses again.
        let bounds = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        let outside = if self.0 < 0 { bounds.0 } else { bounds.1 };
        let moment = jiff::Timestamp::from_millisecond(self.0).unwrap_or(outside);
        write!(f, "{moment:.3}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;
    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::Timestamp>().map(|t| Self(t.as_millisecond())).map_err(|_| TimeError)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Parses a span such as `90s`, `15m`, `12h`, `30d`, `1h30m`, or a bare number of seconds (the forms that
/// Vault clients send).
///
/// # Errors
/// [`DurationError`] for anything else, and for spans over 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    const MAX_SECONDS: u64 = 100 * 366 * 86_400;
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    let mut units = 0;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let next = number.unwrap_or(0).checked_mul(10).and_then(|n| n.checked_add(u64::from(digit)));
            number = Some(next.ok_or(DurationError)?);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(DurationError),
        };
        let n = number.take().ok_or(DurationError)?;
        total = n.checked_mul(unit).and_then(|n| total.checked_add(n)).ok_or(DurationError)?;
        units += 1;
    }
    match (number, units) {
        (Some(n), 0) => total = n,
        (None, 1..) => {}
        _ => return Err(DurationError),
    }
    if total > MAX_SECONDS { Err(DurationError) } else { Ok(Duration::from_secs(total)) }
}

/// Prints a span the way Go (and so Vault's API) does: `1h30m0s`, `0s`.
pub fn format_duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let (h, m, s) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (h, m) {
        (0, 0) => format!("{s}s"),
        (0, _) => format!("{m}m{s}s"),
        _ => format!("{h}h{m}m{s}s"),
    }
}

/// A text that is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a duration such as `90s`, `15m`, `12h` or `30d`")]
pub struct DurationError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_and_print() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("1h30m", 5_400), ("30d", 2_592_000)] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "h", "1x", "-1s", "1h30", "99999999999999999999s", "1 h", "40000d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(format_duration(Duration::from_secs(5_400)), "1h30m0s");
        assert_eq!(format_duration(Duration::ZERO), "0s");
    }

    #[test]
    fn time_prints_as_rfc_3339() {
        let t = Timestamp::from_unix_ms(1_700_000_000_123);
        assert_eq!(t.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(t.to_string().parse::<Timestamp>().unwrap(), t);
        for far in [i64::MIN, i64::MAX] {
            let text = Timestamp::from_unix_ms(far).to_string();
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }
}
