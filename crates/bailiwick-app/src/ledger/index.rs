//! What the index of a ledger is: for each segment of 4,096 entries, which of them have which words.
//!
//! A word (an actor, a resource, a folder, an action, …) is a [`Mark`]: four bytes of a hash. A segment's marks, each with
//! the places of its entries, are spread over 16 rows by the mark's first bits, so a search for a word reads one row of a
//! segment. Rows of the same bits lie side by side, segment after segment: a search reads them like a list.
//!
//! # Invariants
//! - INV-INDEX-1: the index says where to look and nothing more: each entry found through it is opened and held against
//!   the filter, so two words with the same mark cost time and never a wrong answer.
//! - INV-INDEX-2: whatever a filter that [`wanted`] makes marks of accepts has those marks, in every segment.
//!
//! # Deliberately absent
//! Plain words, and blinded ones in the open: rows are sealed like any record. Evidence: what was done is proved by the
//! tree, and whoever must be sure that nothing is missing verifies an export.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_ledger::entry::Entry;
use bailiwick_types::{Action, Timestamp};

use super::filter::{Filter, is_action};

/// Entries of a segment.
pub(super) const SEGMENT: u64 = 4_096;
/// Rows of a segment.
pub(super) const ROWS: u8 = 16;
/// The folders of a path that have marks: a search in a deeper one looks through the deepest of these.
const FOLDERS_MAX: usize = 8;
/// The format of a row.
const FORMAT: u8 = 1;

/// Four bytes that stand for a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark([u8; 4]);

/// What a word is of. The numbers are hashed into what is on disk: never change or reuse one.
#[derive(Clone, Copy)]
enum Kind {
    Actor = 1,
    Resource = 2,
    Folder = 3,
    Action = 4,
    Outcome = 5,
    Decision = 6,
    Request = 7,
}

impl Mark {
    fn of(kind: Kind, word: &str) -> Self {
        let mut bytes = Vec::with_capacity(1 + word.len());
        bytes.push(kind as u8);
        bytes.extend_from_slice(word.as_bytes());
        let [a, b, c, d, ..] = bailiwick_ledger::sha256(&bytes);
        Self([a, b, c, d])
    }

    /// Which of a segment's rows it is in.
    pub(super) fn row(self) -> u8 {
        self.0[0] % ROWS
    }
}

/// The folders that a path is in, from the top, as they are searched for: each ends with a `/`.
fn folders(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).take(FOLDERS_MAX).collect::<Vec<_>>();
    ends.into_iter().filter_map(|at| path.get(..=at))
}

/// An entry's marks. What nearly every entry has (that it went well, that it was allowed) has none.
fn marks(entry: &Entry) -> BTreeSet<Mark> {
    let mut marks: BTreeSet<Mark> = folders(&entry.resource.id).map(|folder| Mark::of(Kind::Folder, folder)).collect();
    marks.extend(entry.actor.id.as_ref().map(|actor| Mark::of(Kind::Actor, actor)));
    marks.insert(Mark::of(Kind::Resource, &entry.resource.id));
    marks.insert(Mark::of(Kind::Action, &entry.action));
    marks.insert(Mark::of(Kind::Request, &entry.request));
    marks.extend(has_mark(&entry.outcome).then(|| Mark::of(Kind::Outcome, &entry.outcome)));
    let decision = entry.decision.as_str();
    marks.extend(has_mark(decision).then(|| Mark::of(Kind::Decision, decision)));
    marks
}

/// Whether an outcome or a decision is rare enough to be searched for by the index.
fn has_mark(word: &str) -> bool {
    !matches!(word, "ok" | "allow")
}

/// What the index can do for a filter: an entry that it accepts has, of each of these groups, at least one mark.
pub(super) fn wanted(filter: &Filter) -> Vec<Vec<Mark>> {
    let one = |kind, word: Option<&str>| word.map(|word| vec![Mark::of(kind, word)]);
    let rare = |kind, word: Option<&str>| one(kind, word.filter(|word| has_mark(word)));
    let resource = filter.resource.as_deref().and_then(|wanted| match wanted.strip_suffix('*') {
        Some(beginning) => one(Kind::Folder, folders(beginning).next_back()),
        None => one(Kind::Resource, Some(wanted)),
    });
    let actions = filter.action.as_deref().map(|wanted| {
        let all = Action::ALL.iter().map(|action| action.as_str());
        all.filter(|action| is_action(wanted, action)).map(|action| Mark::of(Kind::Action, action)).collect()
    });
    // The rarest first: who looks them up one after the other stops where nothing is left.
    let groups = [
        one(Kind::Request, filter.request.as_deref()),
        rare(Kind::Outcome, filter.outcome.as_deref()),
        rare(Kind::Decision, filter.decision.as_deref()),
        // An entry without an actor is found by an empty one.
        one(Kind::Actor, filter.actor.as_deref().filter(|actor| !actor.is_empty())),
        resource,
        actions,
    ];
    groups.into_iter().flatten().collect()
}

/// A segment's index while it is being made.
pub(super) struct Segment {
    first: Timestamp,
    last: Timestamp,
    places: BTreeMap<Mark, Vec<u16>>,
}

impl Segment {
    pub(super) fn new() -> Self {
        let (first, last) = (Timestamp::from_unix_ms(i64::MAX), Timestamp::from_unix_ms(i64::MIN));
        Self { first, last, places: BTreeMap::new() }
    }

    /// Adds the entry at a place in the segment; places only grow.
    pub(super) fn add(&mut self, place: u16, entry: &Entry) {
        self.first = self.first.min(entry.time);
        self.last = self.last.max(entry.time);
        for mark in marks(entry) {
            self.places.entry(mark).or_default().push(place);
        }
    }

    /// The bytes of each row, in order.
    pub(super) fn rows(&self) -> Vec<Vec<u8>> {
        let row = |number: u8| {
            let mut bytes = vec![FORMAT];
            bytes.extend_from_slice(&self.first.unix_ms().to_be_bytes());
            bytes.extend_from_slice(&self.last.unix_ms().to_be_bytes());
            for (mark, places) in self.places.iter().filter(|(mark, _)| mark.row() == number) {
                bytes.extend_from_slice(&mark.0);
                // A segment has fewer places than this has numbers.
                bytes.extend_from_slice(&u16::try_from(places.len()).unwrap_or(u16::MAX).to_be_bytes());
                places.iter().for_each(|place| bytes.extend_from_slice(&place.to_be_bytes()));
            }
            bytes
        };
        (0..ROWS).map(row).collect()
    }
}

/// A row as it was stored.
pub(super) struct Row<'a> {
    first: Timestamp,
    last: Timestamp,
    lists: &'a [u8],
}

impl<'a> Row<'a> {
    /// The places of all of a segment's entries.
    pub(super) fn all() -> Vec<u16> {
        (0..).take(usize::try_from(SEGMENT).unwrap_or(0)).collect()
    }

    /// Parses what [`Segment::rows`] made; `None` if it did not.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&[FORMAT], rest) = bytes.split_first_chunk()? else { return None };
        let (first, rest) = rest.split_first_chunk()?;
        let (last, lists) = rest.split_first_chunk()?;
        let time = |bytes: &[u8; 8]| Timestamp::from_unix_ms(i64::from_be_bytes(*bytes));
        Some(Self { first: time(first), last: time(last), lists })
    }

    /// Whether the segment has an entry of that time. Clocks jump, so entries are not in its order.
    pub(super) fn is_within(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
        since.is_none_or(|since| self.last >= since) && until.is_none_or(|until| self.first < until)
    }

    /// The places of the entries that have any of these marks; `None` if the row is damaged.
    pub(super) fn places(&self, wanted: &[Mark]) -> Option<Vec<u16>> {
        let (mut found, mut rest) = (Vec::new(), self.lists);
        while !rest.is_empty() {
            let (mark, after) = rest.split_first_chunk()?;
            let (count, after) = after.split_first_chunk()?;
            let (places, after) = after.split_at_checked(2 * usize::from(u16::from_be_bytes(*count)))?;
            if wanted.contains(&Mark(*mark)) {
                found.extend(places.as_chunks().0.iter().map(|place| u16::from_be_bytes(*place)));
            }
            rest = after;
        }
        Some(found)
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
