//! Times and sizes as people say them.

use std::time::Duration;

use bailiwick_types::Timestamp;

/// Formats relative to a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Human {
    /// The present.
    pub(crate) now: Timestamp,
}

impl Human {
    /// How far away: `3h ago`, `in 29d`, `now`.
    pub(crate) fn away(self, moment: Timestamp) -> String {
        let (past, future) = (self.now.since(moment), moment.since(self.now));
        match (rough(past), rough(future)) {
            (None, None) => "now".to_owned(),
            (Some(past), _) => format!("{past} ago"),
            (None, Some(future)) => format!("in {future}"),
        }
    }

    /// How far away, if at all.
    pub(crate) fn away_opt(self, moment: Option<Timestamp>) -> String {
        moment.map_or_else(|| "-".to_owned(), |moment| self.away(moment))
    }

    /// When something ends, if it does.
    pub(crate) fn end(self, moment: Option<Timestamp>) -> String {
        moment.map_or_else(|| "never".to_owned(), |moment| self.moment(moment))
    }

    /// The moment to the second, and how far away it is.
    pub(crate) fn moment(self, moment: Timestamp) -> String {
        format!("{} ({})", to_second(moment), self.away(moment))
    }

    /// The moment, if any.
    pub(crate) fn moment_opt(self, moment: Option<Timestamp>) -> String {
        moment.map_or_else(|| "-".to_owned(), |moment| self.moment(moment))
    }
}

/// `2026-01-31 12:00:00Z`
pub(crate) fn to_second(moment: Timestamp) -> String {
    let text = Timestamp::from_unix_ms(moment.unix_seconds().saturating_mul(1_000)).to_string();
    text.replace('T', " ").replace(".000Z", "Z")
}

/// The largest unit that fits, rounded; nothing below one second.
fn rough(span: Duration) -> Option<String> {
    let seconds = span.as_secs();
    let rounded = |unit: u64| (seconds + unit / 2) / unit;
    match seconds {
        0 => None,
        1..=119 => Some(format!("{seconds}s")),
        120..=7_199 => Some(format!("{}m", rounded(60))),
        7_200..=172_799 => Some(format!("{}h", rounded(3_600))),
        172_800..=63_071_999 => Some(format!("{}d", rounded(86_400))),
        _ => Some(format!("{}y", rounded(31_536_000))),
    }
}

/// `1h 30m`, `7d`, `0s`: whole units only.
pub(crate) fn span(span: Duration) -> String {
    let mut rest = span.as_secs();
    let mut parts = Vec::new();
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest / size > 0 {
            parts.push(format!("{}{unit}", rest / size));
        }
        rest %= size;
    }
    if parts.is_empty() { "0s".to_owned() } else { parts.join(" ") }
}

/// `1.5 MiB`
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: &[&str] = &["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1_024 {
        return format!("{count} B");
    }
    // Tenths, in whole numbers: a size is no place for rounding surprises.
    let mut tenths = u128::from(count) * 10 / 1_024;
    for (at, unit) in UNITS.iter().enumerate() {
        if tenths < 10_240 || at + 1 == UNITS.len() {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        tenths /= 1_024;
    }
    format!("{count} B")
}

/// `1,234,567`
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_relative_to_now() {
        let now = Timestamp::from_unix_ms(1_767_268_800_000);
        let human = Human { now };
        for (seconds, text) in [
            (0, "now"),
            (-1, "1s ago"),
            (-119, "119s ago"),
            (-120, "2m ago"),
            (-3 * 3_600, "3h ago"),
            (-3 * 86_400, "3d ago"),
            (-900 * 86_400, "2y ago"),
            (59, "in 59s"),
            (30 * 86_400, "in 30d"),
            (30 * 86_400 - 1, "in 30d"),
        ] {
            assert_eq!(human.away(Timestamp::from_unix_ms(now.unix_ms() + seconds * 1_000)), text);
        }
        assert_eq!(human.moment(now), "2026-01-01 12:00:00Z (now)");
        assert_eq!(human.moment_opt(None), "-");
    }

    #[test]
    fn spans_sizes_and_counts() {
        assert_eq!(span(Duration::from_secs(5_400)), "1h 30m");
        assert_eq!(span(Duration::from_secs(7 * 86_400)), "7d");
        assert_eq!(span(Duration::ZERO), "0s");
        for (number, text) in [(0, "0 B"), (1_023, "1023 B"), (1_024, "1.0 KiB"), (1_572_864, "1.5 MiB")] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(bytes(u64::MAX), "16383.9 PiB");
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(count(number), text);
        }
    }
}
