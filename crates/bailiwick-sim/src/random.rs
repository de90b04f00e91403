//! Randomness that belongs to whoever draws it.
//!
//! In production every draw is independent of every other. Here draws must be repeatable, and still independent: what B
//! draws may not depend on what A drew before. So each step of a script has a stream of its own; and within a step that is
//! about several tenants (background work, a rotation of the root key) each tenant has one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_types::{Random, TenantId};
use parking_lot::Mutex;

/// The streams of one step.
pub(crate) struct Streams {
    label: String,
    /// Whose stream is drawn from, in steps about several tenants.
    current: Mutex<Option<TenantId>>,
    drawn: Mutex<HashMap<Option<TenantId>, u64>>,
    /// Whether the step is about several tenants.
    is_shared: bool,
}

tokio::task_local! {
    pub(crate) static STREAMS: Arc<Streams>;
}

impl Streams {
    pub(crate) fn new(label: String, is_shared: bool) -> Arc<Self> {
        Arc::new(Self { label, current: Mutex::default(), drawn: Mutex::default(), is_shared })
    }

    /// From now on it is about this tenant. A look at the platform changes nothing: whether there is one depends on what is
    /// in a cache.
    pub(crate) fn turn_to(tenant: TenantId) {
        let _ = STREAMS.try_with(|streams| {
            if streams.is_shared && !tenant.is_platform() {
                *streams.current.lock() = Some(tenant);
            }
        });
    }
}

/// Deterministic randomness. Never in a release graph.
pub(crate) struct SimRandom {
    seed: u64,
    /// With a leak: the next id is the last one plus one, whoever asks.
    pub(crate) sequence: Option<AtomicU64>,
    ambient: Arc<Streams>,
}

impl SimRandom {
    pub(crate) fn new(seed: u64, is_sequential: bool) -> Self {
        let ambient = Streams::new("ambient".to_owned(), false);
        Self { seed, sequence: is_sequential.then(AtomicU64::default), ambient }
    }

    fn draw(&self, streams: &Streams, out: &mut [u8]) {
        let current = *streams.current.lock();
        let mut drawn = streams.drawn.lock();
        let count = drawn.entry(current).or_default();
        let whose = current.map(|tenant| tenant.to_string()).unwrap_or_default();
        for piece in out.chunks_mut(32) {
            let text = format!("{}\0{}\0{whose}\0{count}", self.seed, streams.label);
            *count += 1;
            let block = bailiwick_ledger::leaf_hash(text.as_bytes());
            for (byte, random) in piece.iter_mut().zip(block) {
                *byte = random;
            }
        }
    }
}

impl Random for SimRandom {
    fn fill(&self, out: &mut [u8]) {
        // Ids have 16 bytes; nothing else has.
        if let (Some(sequence), 16) = (&self.sequence, out.len()) {
            let next = u128::from(sequence.fetch_add(1, Ordering::SeqCst)) + 1;
            out.copy_from_slice(&next.to_be_bytes());
            return;
        }
        if STREAMS.try_with(|streams| self.draw(streams, out)).is_err() {
            self.draw(&self.ambient, out);
        }
    }
}
