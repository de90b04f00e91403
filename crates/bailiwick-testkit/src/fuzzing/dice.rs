//! A generator of inputs: pieces of samples, cut, repeated, mixed and changed. The same seed gives the same inputs.

/// xorshift64*: small, and the same everywhere.
#[derive(Debug)]
pub struct Dice(u64);

/// What parsers decide by.
const STRUCTURAL: &[u8] = b"{}[]\",:\\/0-9+e.%&=?~_ \n\t\x00\x7f\xff\xe2\x80";

impl Dice {
    /// A generator. All seeds but 0 are different.
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `n`; 0 if there is none.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n.max(1)).unwrap();
        usize::try_from((self.next() >> 11) % n).unwrap()
    }

    fn slice<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let from = self.below(bytes.len());
        let length = self.below(bytes.len() - from + 1);
        &bytes[from..from + length]
    }

    /// One of the samples, or pieces of several, with some changes.
    pub fn mutated(&mut self, samples: &[Vec<u8>]) -> Vec<u8> {
        let pick = self.below(samples.len());
        let mut bytes = samples[pick].clone();
        for _ in 0..self.below(3) {
            let sample = self.below(samples.len());
            let piece = self.slice(&samples[sample]).to_vec();
            let at = self.below(bytes.len() + 1);
            let most = bytes.len() - at + 1;
            let gone = self.below(most.min(piece.len() + 2));
            bytes.splice(at..at + gone, piece);
        }
        for _ in 0..self.below(4) {
            let byte = match self.below(2) {
                0 => STRUCTURAL[self.below(STRUCTURAL.len())],
                _ => self.next().to_be_bytes()[0],
            };
            let at = self.below(bytes.len() + 1);
            match self.below(3) {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => bytes.push(byte),
            }
        }
        bytes
    }
}
