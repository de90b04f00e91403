//! Randomness that can be repeated, in streams that do not disturb each other.
//!
//! Each request draws from a stream of its own, named by whoever sends it ([`SeededRandom::labelled`]). So what a request draws
//! depends on its name and on nothing that was drawn by others, and two runs can be compared byte for byte even if one
//! has requests that the other has not.
//!
//! # Deliberately absent
//! Secrecy. Never in a release graph.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_types::Random;

/// A stream and how much of it was drawn.
struct Stream {
    label: String,
    drawn: AtomicU64,
}

tokio::task_local! {
    static STREAM: Arc<Stream>;
}

/// Deterministic randomness.
pub struct SeededRandom {
    seed: String,
    /// For what is drawn outside of any request.
    ambient: Stream,
}

impl SeededRandom {
    /// A source with this seed. Two sources with one seed give the same streams.
    pub fn new(seed: &str) -> Self {
        let ambient = Stream { label: "ambient".to_owned(), drawn: AtomicU64::new(0) };
        Self { seed: seed.to_owned(), ambient }
    }

    /// Runs `future`; what it draws comes from the beginning of the stream `label`.
    pub async fn labelled<F: Future>(label: &str, future: F) -> F::Output {
        STREAM.scope(Arc::new(Stream { label: label.to_owned(), drawn: AtomicU64::new(0) }), future).await
    }

    fn draw(&self, stream: &Stream, out: &mut [u8]) {
        for piece in out.chunks_mut(32) {
            let number = stream.drawn.fetch_add(1, Ordering::SeqCst);
            let block = bailiwick_ledger::leaf_hash(format!("{}\0{}\0{number}", self.seed, stream.label).as_bytes());
            for (byte, random) in piece.iter_mut().zip(block) {
                *byte = random;
            }
        }
    }
}

impl Random for SeededRandom {
    fn fill(&self, out: &mut [u8]) {
        let drawn = STREAM.try_with(|stream| self.draw(stream, out));
        if drawn.is_err() {
            self.draw(&self.ambient, out);
        }
    }
}
