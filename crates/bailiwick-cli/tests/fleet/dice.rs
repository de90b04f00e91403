//! Where the tests' chances come from, and how long they take them.

use std::hash::{BuildHasher as _, RandomState};

/// The numbers that follow from a seed (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// From the environment, so that a failure can be repeated; else a new one. It is printed either way.
    pub(crate) fn new() -> Self {
        let seed = number("BAILIWICK_FLEET_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) % 1_000_000);
        eprintln!("BAILIWICK_FLEET_SEED={seed} repeats this");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below this.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// Dice for somebody else.
    pub(crate) fn another(&mut self) -> Self {
        Self(self.next())
    }
}

/// How many rounds to go, where this many are usual.
pub(crate) fn rounds(usual: usize) -> usize {
    usual * usize::try_from(number("BAILIWICK_FLEET_ROUNDS").unwrap_or(1)).unwrap()
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?;
    Some(text.to_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{name} is a number")))
}
