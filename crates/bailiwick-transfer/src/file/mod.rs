//! An installation in one file.
//!
//! ```text
//! "bailiwick backup\n", version (4 bytes)
//! frame: kind (1), length of payload (4), payload, SHA-256 (32) over (hash of the frame before, kind, length, payload)
//!   intro    installation, engine, program, time
//!   tenant   id, slug            ┐
//!   records  of one space …      │ for each tenant in the order of slugs,
//!   entries  …                   │ the platform last
//!   header   what it was then    ┘
//!   end      how much it was
//! ```
//!
//! Numbers are big-endian. The first frame's hash is over the file's first bytes too, so each hash is one over the whole file
//! up to there, and the last, which is what a backup is called by, over all of it.
//!
//! # What the hashes are for
//! They find damage, cutting and patching. Whoever can write a whole new file can make its hashes: that a file is the one
//! that was made is known by comparing its last hash with one that was kept elsewhere. Contents are safe either way: records
//! and entries are sealed for their place, and a ledger's root must fit the checkpoints that its tenant holds.
//!
//! # Deliberately absent
//! Compression: what is sealed does not compress, and it is nearly all there is. Encryption: the same.

mod codec;
mod format;
mod reader;
mod writer;

pub use format::{Intro, Manifest, TenantSummary, VERSION};
pub use reader::{Contents, read};
pub use writer::{Medium, Written, back_up};
