//! Whether time tells a foreign thing from a missing one.
//!
//! Pairs of requests, one for each, in random order within the pair, so that drift of the machine meets both alike. What
//! is judged is the median of the differences: noise of a shared machine has heavy tails, of which a mean would speak.
//!
//! The confidence interval is that of the sign test: between two order statistics, whose distance from the middle is the
//! binomial's. It assumes that differences are independent and nothing about their distribution. The power is what this
//! test would have seen of a constant difference, given the spread that was measured.

use bailiwick_types::api::isolation::TimingResult;

/// Two-sided 99.9 %: so many standard deviations. With a few routes a round, a false alarm is rare.
const CONFIDENCE_Z: f64 = 3.290_527;
/// One-sided 95 %: the power.
const POWER_Z: f64 = 1.644_854;
/// With fewer pairs there is no order statistic for such a confidence.
pub const PAIRS_MIN: usize = 30;

/// Judges the differences (foreign minus missing, in nanoseconds) of one route; `None` for too few.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "ranks of at most some thousand pairs"
)]
pub fn judge(route: &str, differences: &[i64]) -> Option<TimingResult> {
    let pairs = differences.len();
    if pairs < PAIRS_MIN {
        return None;
    }
    let mut sorted = differences.to_vec();
    sorted.sort_unstable();
    let n = pairs as f64;
    // The rank below which the true median is with half the remaining probability.
    let margin = (n - CONFIDENCE_Z * n.sqrt()) / 2.0;
    let lower = margin.max(1.0).floor() as usize - 1;
    let upper = pairs - 1 - lower;
    let median = *sorted.get(pairs / 2)?;
    // A shift is seen if more than `upper` differences are above zero. How many a shift lifts above zero is binomial.
    let is_seen = |above: f64| {
        let p = above / n;
        n * p - POWER_Z * (n * p * (1.0 - p)).sqrt() > upper as f64
    };
    // The smallest shift that lifts enough of the centred differences above zero is one of them, turned around.
    let lifted = sorted.iter().rev().enumerate().find(|(at, _)| is_seen((at + 1) as f64));
    let detectable = lifted.map_or(i64::MAX, |(_, difference)| median.saturating_sub(*difference).max(0));
    Some(TimingResult {
        route: route.to_owned(),
        pairs: pairs as u64,
        median_ns: median,
        low_ns: *sorted.get(lower)?,
        high_ns: *sorted.get(upper)?,
        detectable_ns: detectable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise with a heavy tail, the same at each call.
    fn noise(count: usize, shift: i64) -> Vec<i64> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as i64 % 10_000
        };
        (0..count).map(|at| next() - next() + if at % 50 == 0 { 5_000_000 } else { 0 } + shift).collect()
    }

    #[test]
    fn no_difference_is_none() {
        let result = judge("GET /", &noise(500, 0)).unwrap();
        assert!(!result.is_seen(), "{result:?}");
        assert!(result.median_ns.abs() < 1_000, "{result:?}");
        assert!(result.low_ns < 0 && result.high_ns > 0, "{result:?}");
    }

    #[test]
    fn what_is_said_to_be_detectable_is_detected() {
        let power = judge("GET /", &noise(500, 0)).unwrap().detectable_ns;
        assert!((500..5_000).contains(&power), "{power}");
        for (shift, wanted) in [(power * 3 / 2, true), (-power * 3 / 2, true), (power / 10, false)] {
            assert_eq!(judge("GET /", &noise(500, shift)).unwrap().is_seen(), wanted, "{shift}");
        }
    }

    #[test]
    fn more_pairs_see_more() {
        let power = |count| judge("GET /", &noise(count, 0)).unwrap().detectable_ns;
        assert!(power(2_000) < power(200), "{} {}", power(2_000), power(200));
    }

    #[test]
    fn too_few_pairs_say_nothing() {
        assert_eq!(judge("GET /", &noise(PAIRS_MIN - 1, 0)), None);
        assert!(judge("GET /", &noise(PAIRS_MIN, 0)).is_some());
    }
}
