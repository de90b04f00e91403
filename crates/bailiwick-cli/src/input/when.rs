//! A moment, as people name it.

use std::str::FromStr;
use std::time::Duration;

use bailiwick_types::Timestamp;
use bailiwick_types::time::parse_duration;

/// `2026-01-31T12:00:00Z`, `2026-01-31` or a span such as `90d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// This moment.
    At(Timestamp),
    /// This far from now.
    Away(Duration),
}

impl When {
    /// With a span into the future.
    pub(crate) fn after(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Away(span) => now.plus(span),
        }
    }

    /// With a span into the past.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Away(span) => {
                let ms = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
                Timestamp::from_unix_ms(now.unix_ms().saturating_sub(ms))
            }
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(moment) = text.parse().or_else(|_| format!("{text}T00:00:00Z").parse()) {
            return Ok(Self::At(moment));
        }
        // A bare number would be seconds to some and a year to others.
        if !text.ends_with(|c: char| c.is_ascii_digit())
            && let Ok(span) = parse_duration(text)
        {
            return Ok(Self::Away(span));
        }
        Err("not a time such as `2026-01-31T12:00:00Z`, `2026-01-31` or `90d`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_dates_and_spans() {
        let now: Timestamp = "2026-01-10T00:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<When>().unwrap();
        assert_eq!(at("2026-01-31T12:00:00Z").after(now).to_string(), "2026-01-31T12:00:00.000Z");
        assert_eq!(at("2026-01-31T12:00:00+02:00").after(now).to_string(), "2026-01-31T10:00:00.000Z");
        assert_eq!(at("2026-01-31").before(now).to_string(), "2026-01-31T00:00:00.000Z");
        assert_eq!(at("2d").after(now).to_string(), "2026-01-12T00:00:00.000Z");
        assert_eq!(at("1h30m").before(now).to_string(), "2026-01-09T22:30:00.000Z");
        for bad in ["", "2026", "tomorrow", "2026-13-01", "-1d", "90"] {
            assert!(bad.parse::<When>().is_err(), "{bad}");
        }
    }
}
