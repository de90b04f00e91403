//! When to try again, and how long to wait before.

use std::time::Duration;

use bailiwick_types::{ErrorClass, Random};

use crate::call::Repeat;
use crate::error::ClientError;

const FIRST_DELAY_MS: u64 = 50;
const DELAY_MS_MAX: u64 = 2_000;
const RETRY_AFTER_SECONDS_MAX: u64 = 10;

/// Whether the same request may be sent again after this failure.
pub(crate) fn may_repeat(repeat: Repeat, error: &ClientError) -> bool {
    match error {
        // It never arrived: nothing can happen twice.
        ClientError::Unreachable { .. } => true,
        // Busy and stale mean that nothing was carried out; but only where a repetition is harmless anyway do we take
        // the server's word for it.
        ClientError::Problem { problem, .. } => {
            repeat == Repeat::Safe
                && matches!(problem.status, 429 | 503)
                && matches!(error.class(), ErrorClass::Busy | ErrorClass::Stale)
        }
        ClientError::Interrupted { .. } => repeat == Repeat::Safe,
        // A second wait of the same length is the caller's decision.
        ClientError::Timeout { .. } => false,
        ClientError::Setup { .. } | ClientError::Tls { .. } | ClientError::Unexpected { .. } => false,
    }
}

/// How long to wait before attempt number `attempt` (from 1, the first repetition): doubling, half of it random so
/// that many clients do not come back at once, and at least what the server asked for.
pub(crate) fn delay(attempt: u32, error: &ClientError, random: &dyn Random) -> Duration {
    let full = FIRST_DELAY_MS.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(DELAY_MS_MAX);
    let mut bytes = [0u8; 8];
    random.fill(&mut bytes);
    let half = full / 2;
    let backoff = Duration::from_millis(half + u64::from_be_bytes(bytes) % (half + 1));
    let asked = match error {
        ClientError::Problem { retry_after_seconds: Some(seconds), .. } => *seconds,
        _ => 0,
    };
    backoff.max(Duration::from_secs(asked.min(RETRY_AFTER_SECONDS_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct All(u8);
    impl Random for All {
        fn fill(&self, out: &mut [u8]) {
            out.fill(self.0);
        }
    }

    #[test]
    fn delays_double_up_to_a_limit_and_are_spread() {
        let error = ClientError::Unreachable { address: String::new(), reason: String::new() };
        let low: Vec<_> = (1..9).map(|n| delay(n, &error, &All(0)).as_millis()).collect();
        assert_eq!(low, [25, 50, 100, 200, 400, 800, 1_000, 1_000]);
        assert!((1..9).all(|n| delay(n, &error, &All(0xff)) >= delay(n, &error, &All(0))));
        assert!((1..99).all(|n| delay(n, &error, &All(0xff)) <= Duration::from_secs(2)));
    }
}
