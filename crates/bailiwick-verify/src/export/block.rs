//! A block: as many lines with entries as one thread checks at a time.

use std::io::BufRead;

use bailiwick_ledger::entry::Entry;
use bailiwick_ledger::export::{EntryLine, frame};
use bailiwick_ledger::{LeafRun, leaf_hash_in_place};
use bailiwick_types::Timestamp;

use super::damaged;
use super::lines::Lines;
use crate::error::{Expected, VerifyError};

/// The line that an entry belongs on: the first is the header's.
pub(super) fn line_of(index: u64) -> u64 {
    index.saturating_add(2)
}

/// Whole lines, and why there is none after them.
#[derive(Default)]
pub(super) struct Block {
    /// The entry that belongs on the first line.
    first: u64,
    bytes: Vec<u8>,
    /// Where each line ends, after its newline.
    ends: Vec<usize>,
    fault: Option<VerifyError>,
}

/// What entries are held against.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) tenant: &'a str,
    /// The tree is looked at when it has this many leaves, and
    pub(super) cut: Option<u64>,
    /// whenever it has a multiple of this many more.
    pub(super) step: u64,
}

/// What a block holds, up to the first problem.
#[derive(Default)]
pub(super) struct Found {
    /// The leaves, as runs that end where the tree is looked at.
    pub(super) runs: Vec<LeafRun>,
    /// What the seal covers of the lines.
    pub(super) frames: Vec<u8>,
    pub(super) erased: u64,
    /// The times of the first and the last entry that was not erased.
    pub(super) times: Option<(Timestamp, Timestamp)>,
    pub(super) problem: Option<Problem>,
}

/// Why a block does not hold.
pub(super) enum Problem {
    Wrong(VerifyError),
    /// Another entry than the one that belongs there. What that means, the lines after it tell.
    Misplaced {
        index: u64,
        found: u64,
    },
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        Self::Wrong(error)
    }
}

impl Block {
    /// Fills it with the next entries of `size`. Whether there are more to come.
    pub(super) fn fill(&mut self, lines: &mut Lines<impl BufRead>, size: u64, bytes: usize) -> bool {
        let Self { first, bytes: buffer, ends, fault } = self;
        let next = |lines: &Lines<_>| lines.number().saturating_sub(1);
        *first = next(lines);
        buffer.clear();
        ends.clear();
        while next(lines) < size && buffer.len() < bytes {
            if let Err(error) = lines.append(Expected::Entry(next(lines)), buffer) {
                *fault = Some(error);
                return false;
            }
            ends.push(buffer.len());
        }
        next(lines) < size
    }

    /// Its lines with their newlines, and the entries that belong there.
    fn lines(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let lines = starts.zip(&self.ends).map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default());
        (self.first..).zip(lines)
    }

    /// Whether the entries are whole, canonical, in their places and of this tenant.
    pub(super) fn check(&mut self, terms: Terms<'_>) -> Found {
        let mut found = Found::default();
        let Self { first, bytes, ends, .. } = self;
        let mut rest = bytes.as_mut_slice();
        let mut start = 0;
        for (index, end) in (*first..).zip(ends) {
            let Some((line, after)) = std::mem::take(&mut rest).split_at_mut_checked(*end - start) else { break };
            (start, rest) = (*end, after);
            if let Err(problem) = found.take(index, line, terms) {
                found.problem = Some(problem);
                return found;
            }
        }
        found.problem = self.fault.take().map(Problem::Wrong);
        found
    }

    /// The number of the first line that has entry `index` and comes after where it belongs.
    pub(super) fn find_after(&self, index: u64) -> Option<u64> {
        self.lines().find(|(at, line)| *at > index && has(line, index)).map(|(at, _)| line_of(at))
    }
}

impl Found {
    fn take(&mut self, index: u64, raw: &mut [u8], terms: Terms<'_>) -> Result<(), Problem> {
        let (line, text) = (line_of(index), raw.strip_suffix(b"\n").unwrap_or(raw));
        let EntryLine { index: found, leaf, entry } =
            EntryLine::parse(text).map_err(|source| damaged(line, text, Expected::Entry(index), source))?;
        if found != index {
            return Err(Problem::Misplaced { index, found });
        }
        for part in frame(raw, entry) {
            self.frames.extend_from_slice(part);
        }
        if let Some(bytes) = entry {
            let length = bytes.len();
            // The entry with the byte before it, and without what closes the line.
            let start = text.len().checked_sub(length + 2);
            let place = start.and_then(|start| raw.get_mut(start..start + 1 + length)).unwrap_or_default();
            if leaf_hash_in_place(place) != leaf {
                return Err(VerifyError::Altered { line, index }.into());
            }
            let bytes = place.get(1..).unwrap_or_default();
            let checked = Entry::check(bytes).map_err(|source| VerifyError::Entry { line, index, source })?;
            if checked.tenant != terms.tenant {
                return Err(VerifyError::Foreign { line, index }.into());
            }
            let (_, last) = self.times.get_or_insert((checked.time, checked.time));
            *last = checked.time;
        } else {
            self.erased += 1;
        }
        let is_looked_at = terms.cut == Some(index) || index.is_multiple_of(terms.step);
        match self.runs.last_mut().filter(|_| !is_looked_at) {
            Some(run) => run.push(leaf),
            None => {
                let mut run = LeafRun::at(index);
                run.push(leaf);
                self.runs.push(run);
            }
        }
        Ok(())
    }
}

/// Whether a line has this entry.
pub(super) fn has(line: &[u8], index: u64) -> bool {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    EntryLine::parse(line).is_ok_and(|entry| entry.index == index)
}
