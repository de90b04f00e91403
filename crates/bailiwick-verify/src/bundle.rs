//! Bundles: what somebody without keys can check of a tenant that is on its way.
//!
//! That it is whole and in order, that nobody changed a byte since it was sealed, that its entries' leaves give the root
//! that the tenant's key and the installation's have signed. What is in it, only its recipient can look at.

use std::io::{Read, Seek};

use bailiwick_ledger::Hash;
use bailiwick_ledger::bundle::{
    BundleChecker, BundleError, BundleHead, BundleProblem, FRAME_HEAD_BYTES, Kind, MAGIC, Piece,
};
use bailiwick_ledger::note::VerifierKey;

use crate::export::Signer;

/// What a verified bundle is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleReport {
    /// What it says of itself.
    pub head: BundleHead,
    /// How many records.
    pub records: u64,
    /// The root of the tree of its entries.
    pub ledger: Hash,
    /// The root in its seal: its name.
    pub root: Hash,
    /// The keys that signed it.
    pub signers: Vec<Signer>,
}

/// Why a bundle does not hold.
#[derive(Debug, thiserror::Error)]
pub enum BundleVerifyError {
    /// It is not what was sealed.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// It could not be read.
    #[error("the bundle cannot be read: {0}")]
    Read(std::io::Error),
    /// None of the keys that you trust has signed it.
    #[error("it was signed by other keys than those that you trust: {}", .found.join(", "))]
    NotPinned {
        /// Who signed it.
        found: Vec<String>,
    },
}

/// Where a bundle that was cut off can be gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// What it says of itself.
    pub head: BundleHead,
    /// What to show whoever sends the rest.
    pub bookmark: Vec<u8>,
    /// How many bytes are to be kept. The rest follows them.
    pub keep_bytes: u64,
}

/// How much room is made for a frame before any of it was seen.
const ROOM_AT_FIRST: usize = 1 << 16;

struct Frames<R> {
    reader: R,
    checker: BundleChecker,
    offset: u64,
}

impl<R: Read> Frames<R> {
    fn begin(mut reader: R) -> Result<Self, BundleVerifyError> {
        let checker = BundleChecker::new();
        let mut magic = Vec::with_capacity(MAGIC.len());
        let length = u64::try_from(MAGIC.len()).unwrap_or(u64::MAX);
        reader.by_ref().take(length).read_to_end(&mut magic).map_err(BundleVerifyError::Read)?;
        BundleChecker::magic(&magic)?;
        Ok(Self { reader, checker, offset: length })
    }

    /// The next frame; `None` at the end of the file. A frame that is cut off is an error.
    fn next(&mut self) -> Result<Option<(Kind, Vec<u8>)>, BundleVerifyError> {
        let mut head = Vec::with_capacity(FRAME_HEAD_BYTES);
        let length = u64::try_from(FRAME_HEAD_BYTES).unwrap_or(u64::MAX);
        self.reader.by_ref().take(length).read_to_end(&mut head).map_err(BundleVerifyError::Read)?;
        if head.is_empty() {
            return Ok(None);
        }
        let cut_off = || self.checker.error(BundleProblem::CutOff);
        let head = <[u8; FRAME_HEAD_BYTES]>::try_from(head.as_slice()).map_err(|_| cut_off())?;
        let (kind, length) = Kind::of_head(&head).map_err(|problem| self.checker.error(problem))?;
        // A length is a promise of whoever wrote it: room is made for what there is, not for what is promised.
        let mut payload = Vec::with_capacity(length.min(ROOM_AT_FIRST));
        let wanted = u64::try_from(length).unwrap_or(u64::MAX);
        self.reader.by_ref().take(wanted).read_to_end(&mut payload).map_err(BundleVerifyError::Read)?;
        if payload.len() != length {
            return Err(self.checker.error(BundleProblem::CutOff).into());
        }
        self.offset = self.offset.saturating_add(wanted).saturating_add(5);
        Ok(Some((kind, payload)))
    }
}

/// Verifies a bundle. Reads it once, front to back. `pinned` are keys that you trust: if there are any, one of them has to
/// have signed it.
///
/// # Errors
/// [`BundleVerifyError`] says which frame, and what is wrong with it.
pub fn verify_bundle(reader: impl Read, pinned: &[VerifierKey]) -> Result<BundleReport, BundleVerifyError> {
    let mut frames = Frames::begin(reader)?;
    let (mut records, mut root) = (0u64, None);
    while let Some((kind, payload)) = frames.next()? {
        match frames.checker.take(kind, &payload)? {
            Piece::Records { records: found, .. } => {
                records = records.saturating_add(u64::try_from(found.len()).unwrap_or(u64::MAX));
            }
            Piece::End(found) => root = Some(found),
            Piece::Head | Piece::Entries { .. } | Piece::Bookmark(_) | Piece::Checkpoint => {}
        }
    }
    let checker = &frames.checker;
    let cut_off = || checker.error(BundleProblem::CutOff);
    let root = root.ok_or_else(cut_off)?;
    let head = checker.head().cloned().ok_or_else(cut_off)?;
    let ledger = checker.ledger().ok_or_else(cut_off)?.root();
    let signers: Vec<Signer> =
        head.keys.iter().map(|key| Signer { key: key.clone(), is_pinned: pinned.contains(key) }).collect();
    if !pinned.is_empty() && !signers.iter().any(|signer| signer.is_pinned) {
        return Err(BundleVerifyError::NotPinned { found: head.keys.iter().map(ToString::to_string).collect() });
    }
    Ok(BundleReport { head, records, ledger, root, signers })
}

/// Looks for the last place that a bundle which was cut off can be gone on from; `None` if it has to be begun anew.
///
/// # Errors
/// [`BundleVerifyError`] if what is there is no beginning of a bundle.
pub fn unfinished(file: &mut (impl Read + Seek)) -> Result<Option<Unfinished>, BundleVerifyError> {
    file.rewind().map_err(BundleVerifyError::Read)?;
    let mut frames = Frames::begin(std::io::BufReader::with_capacity(1 << 16, file))?;
    let mut found = None;
    loop {
        let before = frames.offset;
        let (kind, payload) = match frames.next() {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(found),
            Err(BundleVerifyError::Bundle(BundleError { problem: BundleProblem::CutOff, .. })) => return Ok(found),
            Err(error) => return Err(error),
        };
        if let Piece::Bookmark(bookmark) = frames.checker.take(kind, &payload)?
            && let Some(head) = frames.checker.head()
        {
            found = Some(Unfinished { head: head.clone(), bookmark: bookmark.to_vec(), keep_bytes: before });
        }
    }
}
