//! How far a move is, to be looked at from another task.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// How much was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Totals {
    /// Tenants, the platform among them.
    pub tenants: u64,
    /// Records.
    pub records: u64,
    /// Ledger entries.
    pub entries: u64,
    /// Sealed bytes.
    pub bytes: u64,
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// A backup is made, or read before anything is done with it.
    Reading = 0,
    /// Tenants are put into the target.
    Moving = 1,
    /// Both sides are compared.
    Comparing = 2,
}

/// Counters that grow while a pass over an installation runs. Cheap to share.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    expected: AtomicU64,
    tenants: AtomicU64,
    records: AtomicU64,
    entries: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// A pass begins, over about so many tenants; 0 if nobody knows.
    pub(crate) fn start(&self, phase: Phase, tenants: u64) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.expected.store(tenants, Ordering::Relaxed);
        for counter in [&self.tenants, &self.records, &self.entries, &self.bytes] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// What the pass is for.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Reading,
            1 => Phase::Moving,
            _ => Phase::Comparing,
        }
    }

    /// How many tenants the pass is over; 0 if nobody knows.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// What is done.
    pub fn totals(&self) -> Totals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            tenants: read(&self.tenants),
            records: read(&self.records),
            entries: read(&self.entries),
            bytes: read(&self.bytes),
        }
    }

    pub(crate) fn add(&self, done: Totals) {
        self.tenants.fetch_add(done.tenants, Ordering::Relaxed);
        self.records.fetch_add(done.records, Ordering::Relaxed);
        self.entries.fetch_add(done.entries, Ordering::Relaxed);
        self.bytes.fetch_add(done.bytes, Ordering::Relaxed);
    }
}

/// The length of something, as it is counted.
pub(crate) fn length(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}
