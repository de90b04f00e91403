//! Randomness of the operating system, through the crypto library.

use std::cell::RefCell;

use bailiwick_types::Random;

/// What is asked for at most of what was drawn ahead: salts, nonces and ids. Keys are drawn when they are made.
const SMALL: usize = 16;
/// How much each thread draws ahead. To ask the library costs far more than the bytes that it gives.
const AHEAD: usize = 512;

/// The production source of randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

/// Random bytes of which those before `used` were given out, and are no longer here.
struct Ahead {
    bytes: [u8; AHEAD],
    used: usize,
}

thread_local! {
    static DRAWN: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; AHEAD], used: AHEAD }) };
}

impl Random for SystemRandom {
    fn fill(&self, out: &mut [u8]) {
        if out.len() > SMALL {
            return draw(out);
        }
        // Nothing in here calls back, and a thread that is ending draws for itself.
        let is_given = DRAWN.try_with(|drawn| drawn.borrow_mut().give(out)).is_ok();
        if !is_given {
            draw(out);
        }
    }
}

impl Ahead {
    fn give(&mut self, out: &mut [u8]) {
        if AHEAD - self.used < out.len() {
            draw(&mut self.bytes);
            self.used = 0;
        }
        for (place, byte) in out.iter_mut().zip(self.bytes.iter_mut().skip(self.used)) {
            *place = std::mem::take(byte);
        }
        self.used += out.len();
    }
}

#[expect(
    clippy::panic,
    reason = "without randomness every nonce and key would be guessable; there is nothing to go on with"
)]
fn draw(out: &mut [u8]) {
    if aws_lc_rs::rand::fill(out).is_err() {
        panic!("the operating system gives no randomness");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_is_given_twice_whatever_is_asked_for_on_however_many_threads() {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(|| {
                    let mut given = Vec::new();
                    for n in 0..10_000 {
                        let mut bytes = vec![0; [12, 16, 32, 9][n % 4]];
                        SystemRandom.fill(&mut bytes);
                        given.push(bytes);
                    }
                    given
                })
            })
            .collect();
        let given: Vec<Vec<u8>> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        // Of eight bytes each: that two of so many are the same is a chance of one in ten thousand million.
        let starts: HashSet<&[u8]> = given.iter().map(|bytes| &bytes[..8]).collect();
        assert_eq!(starts.len(), given.len());
    }

    #[test]
    fn what_was_given_out_is_no_longer_kept() {
        SystemRandom.fill(&mut [0; 16]);
        SystemRandom.fill(&mut [0; 12]);
        DRAWN.with_borrow(|drawn| {
            assert_eq!(drawn.used, 28);
            assert_eq!(drawn.bytes[..28], [0; 28]);
            assert_ne!(drawn.bytes[28..60], [0; 32]);
        });
    }

    #[test]
    fn every_byte_is_random() {
        let mut seen = [0_u8; 16];
        for _ in 0..64 {
            let mut bytes = [0; 16];
            SystemRandom.fill(&mut bytes);
            for (seen, byte) in seen.iter_mut().zip(bytes) {
                *seen |= byte;
            }
        }
        assert_eq!(seen, [0xff; 16]);
    }
}
