//! Numbers as they are shown in the report.

use super::proc::Memory;
use super::stats::Spread;

/// The median, and in brackets the range.
pub(super) fn rated(spread: Spread, show: fn(f64) -> String) -> String {
    format!("**{}** ({})", show(spread.median), range(spread, show))
}

/// A ratio with its spread.
pub(super) fn times(ratio: Spread) -> String {
    format!("**{}×** ({})", short(ratio.median), range(ratio, short))
}

/// A share with its spread.
pub(super) fn shown_share(share: Spread) -> String {
    let shown = |part: f64| format!("{:.0}", part * 100.0);
    format!("**{} %** ({}–{})", shown(share.median), shown(share.min), shown(share.max))
}

/// A share in hundredths.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// Resident, and in brackets what the process has written itself.
pub(super) fn mib(memory: Memory) -> String {
    format!("**{:.0}** ({:.0})", memory.resident_mib, memory.anonymous_mib)
}

/// From the lowest to the highest.
pub(super) fn range(spread: Spread, show: fn(f64) -> String) -> String {
    format!("{}–{}", show(spread.min), show(spread.max))
}

/// With thousands separated.
pub(super) fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// With as many places as matter.
pub(super) fn short(value: f64) -> String {
    match value {
        value if value >= 1000.0 => whole(value),
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// An amount of data.
pub(super) fn bytes(value: f64) -> String {
    let (mut value, mut unit) = (value, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if value.abs() < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{value:.0} B") } else { format!("{} {unit}", short(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_the_places_that_matter() {
        assert_eq!([1_234_567.0, 999.6, 0.0].map(whole), ["1,234,567", "1,000", "0"]);
        assert_eq!([12345.6, 123.4, 12.34, 1.234].map(short), ["12,346", "123", "12.3", "1.23"]);
    }

    #[test]
    fn data_has_the_unit_that_suits_it() {
        assert_eq!([0.0, 1_023.0, 1_536.0, 3.0e9].map(bytes), ["0 B", "1023 B", "1.50 KiB", "2.79 GiB"]);
        assert_eq!(bytes(-2_048.0), "-2.00 KiB");
    }
}
