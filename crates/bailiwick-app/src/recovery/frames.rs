//! A bundle in a file, frame by frame, read where no request waits for it.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};

use bailiwick_ledger::bundle::{BundleChecker, BundleError, BundleProblem, FRAME_HEAD_BYTES, Kind, MAGIC};

use crate::error::AppError;

/// How much room is made for a frame before any of it was seen.
const ROOM_AT_FIRST: usize = 1 << 16;

/// One frame.
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) payload: Vec<u8>,
}

/// What a frame could not be read for.
enum Failed {
    Bundle(BundleProblem),
    Io(std::io::Error),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Bundle(BundleProblem::CutOff),
            _ => Self::Io(error),
        }
    }
}

/// The frames of a bundle, in order.
pub(super) struct Frames {
    /// Absent only while somebody reads.
    reader: Option<BufReader<File>>,
    is_begun: bool,
}

impl Frames {
    pub(super) fn of(file: File) -> Self {
        Self { reader: Some(BufReader::with_capacity(1 << 16, file)), is_begun: false }
    }

    /// Back to the beginning.
    pub(super) fn rewind(&mut self) -> Result<(), AppError> {
        self.is_begun = false;
        let reader = self.reader.as_mut().ok_or_else(|| AppError::internal("a bundle that is being read"))?;
        reader.seek(SeekFrom::Start(0)).map_err(AppError::internal)?;
        Ok(())
    }

    /// The next frame; `None` at the end of the file.
    pub(super) async fn next(&mut self, checker: &BundleChecker) -> Result<Option<Frame>, AppError> {
        let mut reader = self.reader.take().ok_or_else(|| AppError::internal("a bundle that is being read"))?;
        let is_begun = std::mem::replace(&mut self.is_begun, true);
        let read = tokio::task::spawn_blocking(move || {
            let frame = read_frame(&mut reader, is_begun);
            (reader, frame)
        });
        let (reader, frame) = read.await.map_err(AppError::internal)?;
        self.reader = Some(reader);
        frame.map_err(|failed| match failed {
            Failed::Bundle(problem) => super::verify::refused(&checker.error(problem)),
            Failed::Io(error) => AppError::internal(error),
        })
    }
}

fn read_frame(reader: &mut BufReader<File>, is_begun: bool) -> Result<Option<Frame>, Failed> {
    if !is_begun {
        let mut magic = [0u8; MAGIC.len()];
        reader.read_exact(&mut magic).map_err(|_| Failed::Bundle(BundleProblem::Format))?;
        BundleChecker::magic(&magic).map_err(|BundleError { problem, .. }| Failed::Bundle(problem))?;
    }
    let mut head = [0u8; FRAME_HEAD_BYTES];
    let (first, rest) = head.split_at_mut(1);
    if reader.read(first)? == 0 {
        return Ok(None);
    }
    reader.read_exact(rest)?;
    let (kind, length) = Kind::of_head(&head).map_err(Failed::Bundle)?;
    // A length is a promise of whoever wrote it: room is made for what there is, not for what is promised.
    let mut payload = Vec::with_capacity(length.min(ROOM_AT_FIRST));
    let wanted = u64::try_from(length).unwrap_or(u64::MAX);
    reader.by_ref().take(wanted).read_to_end(&mut payload)?;
    if payload.len() != length {
        return Err(Failed::Bundle(BundleProblem::CutOff));
    }
    Ok(Some(Frame { kind, payload }))
}
