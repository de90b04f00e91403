//! Randomness of the operating system, through the crypto library.

use bailiwick_types::Random;

/// The production source of randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[expect(
        clippy::panic,
        reason = "without randomness every nonce and key would be guessable; there is nothing to go on with"
    )]
    fn fill(&self, out: &mut [u8]) {
        if aws_lc_rs::rand::fill(out).is_err() {
            panic!("the operating system gives no randomness");
        }
    }
}
