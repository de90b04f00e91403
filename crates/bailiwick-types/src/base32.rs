//! Crockford's base32 in lower case, without padding: what ids and credentials are printed in.
//!
//! Decoding is strict (lower case only, no aliases, trailing bits must be zero), so that each value has exactly one
//! spelling: two spellings of one credential would be two cache keys and two log lines for the same thing.

use std::sync::LazyLock;

use data_encoding::{Encoding, Specification};

static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    #[expect(clippy::expect_used, reason = "the specification is a constant")]
    spec.encoding().expect("32 distinct symbols")
});

/// The characters that 16 bytes make.
pub(crate) const ID_CHARS: usize = 26;

pub(crate) fn encode(bytes: &[u8]) -> String {
    CROCKFORD.encode(bytes)
}

/// As [`encode`], into a place that the caller has.
pub(crate) fn encode_id(bytes: &[u8; 16], out: &mut [u8; ID_CHARS]) {
    CROCKFORD.encode_mut(bytes, out);
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    CROCKFORD.decode(text.as_bytes()).ok()
}
