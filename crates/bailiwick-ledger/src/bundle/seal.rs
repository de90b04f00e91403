//! The text that seals a bundle.

use std::fmt;
use std::str::FromStr;

use bailiwick_types::TenantId;
use data_encoding::BASE64;

use crate::checkpoint::{decimal, hash_from_base64};
use crate::lines::{Lines, spelled};
use crate::tree::Hash;

use super::BundleProblem;

const FORMAT: &str = "bailiwick-bundle-seal/v1";

/// What the seal of a bundle says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSeal {
    /// Whose bundle.
    pub tenant: TenantId,
    /// How many frames came before.
    pub frames: u64,
    /// The root of the Merkle tree over them, each with its kind and length.
    pub root: Hash,
}

impl fmt::Display for BundleSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, frames, root } = self;
        writeln!(f, "{FORMAT}\ntenant {tenant}\nframes {frames}\nroot {}", BASE64.encode(root))
    }
}

impl FromStr for BundleSeal {
    type Err = BundleProblem;
    fn from_str(text: &str) -> Result<Self, BundleProblem> {
        let bad = |_| BundleProblem::Payload("the seal");
        let mut lines = Lines::of(text);
        if lines.next() != Some(FORMAT) {
            return Err(BundleProblem::Payload("the seal"));
        }
        let tenant = lines.field("tenant <tenant id>", spelled).map_err(bad)?;
        let frames = lines.field("frames <number>", decimal).map_err(bad)?;
        let root = lines.field("root <hash>", |value| hash_from_base64(value)).map_err(bad)?;
        lines.end().map_err(bad)?;
        Ok(Self { tenant, frames, root })
    }
}
