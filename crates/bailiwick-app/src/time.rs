//! What time it is, when this node's clock and the store's do not agree.
//!
//! Nodes that share a store can all ask the store's clock. Each knows by how much its own is surely off, and judges by the
//! stricter of the two, so that no single clock gives anybody more time than the other does.
//!
//! # Invariants
//! - INV-TIME-1: what ends at a moment has ended once *either* clock says so ([`App::latest`]); an end that is some time
//!   from now is counted by the clock that is behind.
//! - INV-TIME-2: what must not be done before a moment is done once *both* say so ([`App::earliest`]); a moment that is some
//!   time from now is counted by the clock that is ahead.
//! - INV-TIME-3: what was ended by somebody has ended whatever any clock says: that is not asked here at all.
//!
//! # Deliberately absent
//! Correcting a clock. What is written down (entries, `created`) has this node's own time, so a node whose clock is wrong
//! can be told from what it wrote.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use bailiwick_types::Timestamp;

use crate::app::App;
use crate::error::AppError;

/// From where on it is worth a person's while.
const WORTH_SAYING: Duration = Duration::from_secs(5);

/// How far the store's clock is ahead of this node's, in milliseconds, as it was last seen; less than zero: behind.
#[derive(Default)]
pub(crate) struct Apart {
    ahead_ms: AtomicI64,
    was_said: AtomicBool,
}

impl Apart {
    /// Takes note of what the store said, between two moments of this node's: what it surely was off by, and so nothing for a
    /// store that only was slow to answer.
    fn note(&self, before: Timestamp, store: Timestamp, after: Timestamp) -> i64 {
        let ahead = store.unix_ms().saturating_sub(after.unix_ms()).max(0);
        let behind = store.unix_ms().saturating_sub(before.unix_ms()).min(0);
        let ahead = ahead.saturating_add(behind);
        self.ahead_ms.store(ahead, Ordering::Relaxed);
        ahead
    }

    fn ahead_ms(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed)
    }
}

impl App {
    /// Asks the store what time it is, if it knows.
    pub(crate) async fn compare_clocks(&self) -> Result<(), AppError> {
        let before = self.now();
        let Some(store) = self.store.clock().await? else { return Ok(()) };
        let ahead_ms = self.apart.note(before, store, self.now());
        let is_worth_saying = Duration::from_millis(ahead_ms.unsigned_abs()) >= WORTH_SAYING;
        if self.apart.was_said.swap(is_worth_saying, Ordering::Relaxed) == is_worth_saying {
            return Ok(());
        }
        if is_worth_saying {
            tracing::warn!(
                ahead_ms,
                "the database's clock and this node's do not agree: what ends does so by the one that is ahead"
            );
        } else {
            tracing::info!("the database's clock and this node's agree again");
        }
        Ok(())
    }

    /// How far this node's clock is off the store's, either way, as far as is known.
    pub fn clocks_apart(&self) -> Duration {
        Duration::from_millis(self.apart.ahead_ms().unsigned_abs())
    }

    /// The present moment by the clock that is ahead: what ends is then over no later than by either.
    pub fn latest(&self) -> Timestamp {
        shifted(self.now(), self.apart.ahead_ms().max(0))
    }

    /// The present moment by the clock that is behind: what cannot be undone comes then no earlier than by either.
    pub fn earliest(&self) -> Timestamp {
        shifted(self.now(), self.apart.ahead_ms().min(0))
    }
}

fn shifted(now: Timestamp, by_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(now.unix_ms().saturating_add(by_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_be_the_way_to_the_store_is_no_difference() {
        let at = Timestamp::from_unix_ms;
        let apart = Apart::default();
        for (before, store, after, ahead) in
            [(100, 100, 100, 0), (100, 150, 200, 0), (100, 200, 200, 0), (100, 260, 200, 60), (100, 70, 200, -30)]
        {
            assert_eq!(apart.note(at(before), at(store), at(after)), ahead, "{store} between {before} and {after}");
            assert_eq!(apart.ahead_ms(), ahead);
        }
        assert_eq!(apart.note(at(0), at(i64::MAX), at(-1)), i64::MAX);
        assert_eq!(apart.note(at(i64::MAX), at(i64::MIN), at(i64::MAX)), i64::MIN);
    }
}
