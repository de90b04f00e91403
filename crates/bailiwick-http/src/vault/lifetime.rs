//! Spans of time as Vault's clients write them: seconds, Go's durations (`1h30m`, `1.5h`, `100ms`), or whole days.

/// The longest lifetime, in seconds: 100 years.
pub(super) const SECONDS_MAX: i64 = 100 * 366 * 86_400;

/// Whole seconds; what is below a second is cut off. `None` if the text is no span.
pub(super) fn parse(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    if let Some(days) = text.strip_suffix('d') {
        return days.parse::<i64>().ok()?.checked_mul(86_400);
    }
    let (is_negative, span) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanos = nanoseconds(span)?;
    let seconds = i64::try_from(nanos / 1_000_000_000).ok()?;
    // Shorter than a second, but on the wrong side of nothing.
    if is_negative && seconds == 0 && nanos > 0 {
        return Some(-1);
    }
    Some(if is_negative { -seconds } else { seconds })
}

/// The sum of parts such as `1h`, `30m`, `1.5s`.
fn nanoseconds(mut rest: &str) -> Option<u128> {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    if rest.is_empty() {
        return None;
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        // Eighteen digits are enough for everything that is allowed, and cannot overflow.
        if (whole.is_empty() && fraction.is_empty())
            || whole.len() > 18
            || fraction.len() > 18
            || fraction.contains('.')
        {
            return None;
        }
        let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
        let name_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (name, next) = after.split_at_checked(name_end)?;
        let unit = UNITS.iter().find(|(known, _)| *known == name)?.1;
        let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let part = digits(whole)?.checked_mul(unit)?.checked_add(digits(fraction)?.checked_mul(unit)? / scale)?;
        total = total.checked_add(part)?;
        rest = next;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_reads_them() {
        for (text, seconds) in [
            ("", 0),
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("1h30m5s", 5_405),
            ("1.5h", 5_400),
            (".5h", 1_800),
            ("100ms", 0),
            ("1999ms", 1),
            ("1d", 86_400),
            ("+1m", 60),
            ("-5", -5),
            ("-5s", -5),
            ("-1d", -86_400),
            ("-1ms", -1),
        ] {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
        for bad in
            ["abc", "2d12h", "1w", "1y", "30.5", "h", "1h ", " 1h", "1..5h", ".h", "-", "1h30", "9999999999999999999h"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
