//! Injected randomness.

/// A source of randomness. Production uses the operating system's generator through the crypto library
/// (`bailiwick-seal`); simulations use a seeded one, so that a run can be repeated byte for byte.
pub trait Random: Send + Sync {
    /// Fills `out` with random bytes.
    fn fill(&self, out: &mut [u8]);
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Counts: not random at all, but never the same twice.
    #[derive(Default)]
    pub(crate) struct Counting(AtomicU64);

    impl super::Random for Counting {
        fn fill(&self, out: &mut [u8]) {
            let n = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            for (slot, byte) in out.iter_mut().zip(n.to_be_bytes().iter().cycle()) {
                *slot = *byte;
            }
        }
    }
}
