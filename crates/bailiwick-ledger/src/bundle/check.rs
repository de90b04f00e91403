//! Whether frames make a bundle: what anybody can check, without a key.

use crate::checkpoint::Checkpoint;
use crate::note::{self, VerifierKey};
use crate::tree::{CompactRange, leaf_hash};

use super::frame::{self, EntryItem, Kind, RecordItem};
use super::{BundleError, BundleHead, BundleProblem, BundleRoot, BundleSeal, MAGIC};

/// What a frame turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The head, which [`BundleChecker::head`] has.
    Head,
    /// Records of one space.
    Records {
        /// The space's number.
        space: u8,
        /// The records.
        records: Vec<RecordItem<'a>>,
    },
    /// Entries of the ledger.
    Entries {
        /// The index of the first.
        first: u64,
        /// The entries.
        entries: Vec<EntryItem<'a>>,
    },
    /// A place to go on from.
    Bookmark(&'a [u8]),
    /// The checkpoint, which holds and is that of all entries.
    Checkpoint,
    /// The end, which holds: a signed seal over everything before.
    End(BundleRoot),
}

/// Takes the frames of a bundle one by one.
#[derive(Debug, Default)]
pub struct BundleChecker {
    books: Option<Books>,
}

impl BundleChecker {
    /// At the beginning of a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first bytes of a file: whether it is a bundle.
    ///
    /// # Errors
    /// [`BundleProblem::Format`] if not.
    pub fn magic(bytes: &[u8]) -> Result<(), BundleError> {
        if bytes == MAGIC { Ok(()) } else { Err(BundleError { frame: 0, problem: BundleProblem::Format }) }
    }

    /// What is wrong with the frame that is next.
    pub fn error(&self, problem: BundleProblem) -> BundleError {
        BundleError { frame: self.books.as_ref().map_or(0, |books| books.frames.size()), problem }
    }

    /// The head, once it was read.
    pub fn head(&self) -> Option<&BundleHead> {
        self.books.as_ref().map(|books| &books.head)
    }

    /// The tree of the entries so far.
    pub fn ledger(&self) -> Option<&CompactRange> {
        self.books.as_ref().map(Books::ledger)
    }

    /// Whether the end was read.
    pub fn is_complete(&self) -> bool {
        self.books.as_ref().is_some_and(|books| books.stage == Stage::Done)
    }

    /// The next frame.
    ///
    /// # Errors
    /// [`BundleError`] if it cannot be the next frame of a bundle.
    pub fn take<'a>(&mut self, kind: Kind, payload: &'a [u8]) -> Result<Piece<'a>, BundleError> {
        match (&mut self.books, kind) {
            (Some(books), kind) => books.take(kind, payload),
            (books @ None, Kind::Head) => {
                let head = BundleHead::parse(payload).map_err(|problem| BundleError { frame: 0, problem })?;
                let (new, _) = Books::begin(head)?;
                books.insert(new).take(kind, payload)
            }
            (None, _) => Err(self.error(BundleProblem::Order("a bundle begins with its head"))),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Stage {
    Head,
    Records,
    Entries,
    Seal,
    Done,
}

/// What writer and checker keep of what went by.
#[derive(Debug)]
pub(super) struct Books {
    head: BundleHead,
    stage: Stage,
    /// The tree of all frames.
    frames: CompactRange,
    /// The tree of all entries.
    ledger: CompactRange,
    last_record: Option<(u8, Vec<u8>)>,
}

impl Books {
    pub(super) fn begin(head: BundleHead) -> Result<(Self, Vec<u8>), BundleError> {
        head.check().map_err(|problem| BundleError { frame: 0, problem })?;
        let payload = head.to_bytes();
        let (frames, ledger) = (CompactRange::new(), CompactRange::new());
        Ok((Self { head, stage: Stage::Head, frames, ledger, last_record: None }, payload))
    }

    pub(super) fn resume(head: BundleHead, state: &[u8]) -> Result<Self, BundleError> {
        let (mut books, _) = Self::begin(head)?;
        let bad = || BundleError { frame: 0, problem: BundleProblem::Payload("a bookmark") };
        let mut rest = state;
        let mut field = || -> Option<&[u8]> {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (bytes, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
            rest = after;
            Some(bytes)
        };
        let (frames, ledger, last) = match (field(), field(), field()) {
            (Some(frames), Some(ledger), Some(last)) if rest.is_empty() => (frames, ledger, last),
            _ => return Err(bad()),
        };
        books.frames = CompactRange::from_bytes(frames).ok_or_else(bad)?;
        books.ledger = CompactRange::from_bytes(ledger).ok_or_else(bad)?;
        books.last_record = last.split_first().map(|(space, key)| (*space, key.to_vec()));
        books.stage = if books.ledger.size() > 0 { Stage::Entries } else { Stage::Records };
        Ok(books)
    }

    pub(super) fn state(&self) -> Vec<u8> {
        let last = self.last_record.as_ref().map(|(space, key)| [&[*space], key.as_slice()].concat());
        let mut out = Vec::new();
        for field in [self.frames.to_bytes(), self.ledger.to_bytes(), last.unwrap_or_default()] {
            out.extend_from_slice(&u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(&field);
        }
        out
    }

    pub(super) fn ledger(&self) -> &CompactRange {
        &self.ledger
    }

    pub(super) fn last_record(&self) -> Option<(u8, &[u8])> {
        self.last_record.as_ref().map(|(space, key)| (*space, key.as_slice()))
    }

    pub(super) fn error(&self, problem: BundleProblem) -> BundleError {
        BundleError { frame: self.frames.size(), problem }
    }

    pub(super) fn seal(&self) -> BundleSeal {
        BundleSeal { tenant: self.head.tenant, frames: self.frames.size(), root: self.frames.root() }
    }

    pub(super) fn take<'a>(&mut self, kind: Kind, payload: &'a [u8]) -> Result<Piece<'a>, BundleError> {
        let piece = self.judge(kind, payload).map_err(|problem| self.error(problem))?;
        if kind != Kind::Seal {
            let mut frame = vec![kind.number()];
            frame.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
            frame.extend_from_slice(payload);
            self.frames.append(leaf_hash(&frame), |_, _, _| {});
        }
        Ok(piece)
    }

    fn judge<'a>(&mut self, kind: Kind, payload: &'a [u8]) -> Result<Piece<'a>, BundleProblem> {
        match (kind, self.stage) {
            (_, Stage::Done) => Err(BundleProblem::Trailing),
            (Kind::Head, Stage::Head) => {
                self.stage = Stage::Records;
                Ok(Piece::Head)
            }
            (Kind::Head, _) => Err(BundleProblem::Order("a second head")),
            (Kind::Records, Stage::Records) => self.records(payload),
            (Kind::Entries, Stage::Records | Stage::Entries) => self.entries(payload),
            (Kind::Bookmark, Stage::Records | Stage::Entries) => Ok(Piece::Bookmark(payload)),
            (Kind::Checkpoint, Stage::Records | Stage::Entries) => self.checkpoint(payload),
            (Kind::Seal, Stage::Seal) => self.end(payload),
            (Kind::Records, _) => Err(BundleProblem::Order("records after entries")),
            (Kind::Entries | Kind::Bookmark, _) => Err(BundleProblem::Order("entries after the checkpoint")),
            (Kind::Checkpoint, _) => Err(BundleProblem::Order("a second checkpoint")),
            (Kind::Seal, _) => Err(BundleProblem::Order("a seal before the checkpoint")),
        }
    }

    fn records<'a>(&mut self, payload: &'a [u8]) -> Result<Piece<'a>, BundleProblem> {
        let (space, records) = frame::read_records(payload).ok_or(BundleProblem::Payload("records"))?;
        for record in &records {
            let is_next = self.last_record().is_none_or(|last| last < (space, record.key));
            if !is_next {
                return Err(BundleProblem::RecordOrder);
            }
            self.last_record = Some((space, record.key.to_vec()));
        }
        Ok(Piece::Records { space, records })
    }

    fn entries<'a>(&mut self, payload: &'a [u8]) -> Result<Piece<'a>, BundleProblem> {
        let (first, entries) = frame::read_entries(payload).ok_or(BundleProblem::Payload("entries"))?;
        let expected = self.ledger.size();
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        if first != expected || expected.saturating_add(count) > self.head.size {
            return Err(BundleProblem::EntryOrder { found: first, expected });
        }
        for entry in &entries {
            self.ledger.append(entry.leaf, |_, _, _| {});
        }
        self.stage = Stage::Entries;
        Ok(Piece::Entries { first, entries })
    }

    fn checkpoint<'a>(&mut self, payload: &'a [u8]) -> Result<Piece<'a>, BundleProblem> {
        let note = std::str::from_utf8(payload).map_err(|_| BundleProblem::Payload("the checkpoint"))?;
        let (checkpoint, opened) = Checkpoint::open(note, &self.head.keys).map_err(BundleProblem::Checkpoint)?;
        self.all_signed(&opened.verified)?;
        let made = Checkpoint { origin: self.head.origin(), size: self.ledger.size(), root: self.ledger.root() };
        if checkpoint != made || made.size != self.head.size {
            return Err(BundleProblem::CheckpointMismatch);
        }
        self.stage = Stage::Seal;
        Ok(Piece::Checkpoint)
    }

    fn end<'a>(&mut self, payload: &'a [u8]) -> Result<Piece<'a>, BundleProblem> {
        let note = std::str::from_utf8(payload).map_err(|_| BundleProblem::Payload("the seal"))?;
        let opened = note::open(note, &self.head.keys).map_err(BundleProblem::Seal)?;
        self.all_signed(&opened.verified)?;
        // Nothing covers this frame but itself, so there must be nothing in it that could be added or left out.
        let signatures = note.get(opened.text.len()..).unwrap_or_default().trim_start_matches('\n').lines().count();
        if opened.verified != self.head.keys || signatures != self.head.keys.len() {
            return Err(BundleProblem::Payload("the seal"));
        }
        let seal: BundleSeal = opened.text.parse()?;
        if seal != self.seal() {
            return Err(BundleProblem::SealMismatch);
        }
        self.stage = Stage::Done;
        Ok(Piece::End(seal.root))
    }

    fn all_signed(&self, verified: &[VerifierKey]) -> Result<(), BundleProblem> {
        match self.head.keys.iter().find(|key| !verified.contains(key)) {
            Some(key) => Err(BundleProblem::Unsigned(key.name().to_owned())),
            None => Ok(()),
        }
    }
}
