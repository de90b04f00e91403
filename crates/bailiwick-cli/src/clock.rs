//! The system's time; the only place of the CLI that asks for it.

use std::time::{SystemTime, UNIX_EPOCH};

use bailiwick_types::Timestamp;

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "this is the clock that is injected elsewhere")]
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
