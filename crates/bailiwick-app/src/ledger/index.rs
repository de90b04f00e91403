//! What the index of a ledger is: for each segment of 4,096 entries, which of them have which words.
//!
//! A word (an actor, a resource, a folder, an action, …) is a [`Mark`]: a few bytes of a hash. A segment's marks, each with
//! the places of its entries, are spread over 64 small rows by other bits of the hash, so a search for a word reads one row of a
//! segment, and of a word that is nowhere little more than that it is not there. Ids of requests, of which every entry has
//! its own, have 32 rows beside these. Rows of one number lie side by side, segment after segment: a search reads them like
//! a list.
//!
//! # Invariants
//! - INV-INDEX-1: the index says where to look and nothing more: each entry found through it is opened and held against
//!   the filter, so two words with the same mark cost time and never a wrong answer.
//! - INV-INDEX-2: whatever a filter that [`wanted`] makes marks of accepts has those marks, in every segment.
//!
//! # Deliberately absent
//! Plain words, and blinded ones in the open: rows are sealed like any record. Evidence: what was done is proved by the
//! tree, and whoever must be sure that nothing is missing verifies an export. Reading rows of an older format: they lie
//! elsewhere, and are made anew.

use std::collections::{BTreeMap, HashMap};

use bailiwick_ledger::entry::Entry;
use bailiwick_types::Timestamp;

use super::filter::Filter;
use super::places::{self, Places, Stored};

/// Entries of a segment.
pub(super) const SEGMENT: u64 = 4_096;
/// The number of the first row. Those of the first format were 0 to 15.
pub(super) const FIRST_ROW: u8 = 16;
/// Rows of a segment for words,
const WORD_ROWS: u8 = 64;
/// and for ids of requests: as many as make a row small enough for the page that it lies on.
const REQUEST_ROWS: u8 = 32;
/// Rows of a segment.
pub(super) const ROWS: u8 = WORD_ROWS + REQUEST_ROWS;
/// The folders of a path that have marks: a search in a deeper one looks through the deepest of these.
const FOLDERS_MAX: usize = 8;
/// The format of a row.
const FORMAT: u8 = 2;

/// What stands for a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    row: u8,
    hash: [u8; 4],
}

/// What a word is of. The numbers are hashed into what is on disk: never change or reuse one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Actor = 1,
    Resource = 2,
    Folder = 3,
    Action = 4,
    Outcome = 5,
    Decision = 6,
    Request = 7,
    Noun = 8,
}

/// A word's kind and its text, as they are hashed.
fn write_word(kind: Kind, text: &str, out: &mut Vec<u8>) {
    out.clear();
    out.push(kind as u8);
    out.extend_from_slice(text.as_bytes());
}

impl Mark {
    fn of(kind: Kind, text: &str) -> Self {
        let mut word = Vec::with_capacity(1 + text.len());
        write_word(kind, text, &mut word);
        Self::of_word(&word)
    }

    fn of_word(word: &[u8]) -> Self {
        let [a, b, c, d, e, ..] = bailiwick_ledger::sha256(word);
        let is_request = word.first() == Some(&(Kind::Request as u8));
        let row = if is_request { WORD_ROWS + e % REQUEST_ROWS } else { e % WORD_ROWS };
        Self { row: FIRST_ROW + row, hash: [a, b, c, d] }
    }

    /// Which of a segment's rows it is in.
    pub(super) fn row(self) -> u8 {
        self.row
    }
}

/// The folders that a path is in, from the top, as they are searched for: each ends with a `/`.
fn folders(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).take(FOLDERS_MAX).collect::<Vec<_>>();
    ends.into_iter().filter_map(|at| path.get(..=at))
}

/// The noun of an action, as it is searched for: with its `:`.
fn noun(action: &str) -> Option<&str> {
    action.get(..=action.find(':')?)
}

/// An entry's words that have marks, each once. What nearly every entry has (that it went well, that it was allowed) has none.
fn words(entry: &Entry) -> impl Iterator<Item = (Kind, &str)> {
    let decision = entry.decision.as_str();
    let words = [
        entry.actor.id.as_deref().map(|actor| (Kind::Actor, actor)),
        Some((Kind::Resource, entry.resource.id.as_str())),
        Some((Kind::Action, &entry.action)),
        noun(&entry.action).map(|noun| (Kind::Noun, noun)),
        Some((Kind::Request, entry.request.as_str())),
        has_mark(&entry.outcome).then_some((Kind::Outcome, &entry.outcome)),
        has_mark(decision).then_some((Kind::Decision, decision)),
    ];
    let folders = folders(&entry.resource.id).map(|folder| (Kind::Folder, folder));
    words.into_iter().flatten().chain(folders)
}

/// Whether an outcome or a decision is rare enough to be searched for by the index.
fn has_mark(word: &str) -> bool {
    !matches!(word, "ok" | "allow")
}

/// What the index can do for a filter: an entry that it accepts has all of these marks.
pub(super) fn wanted(filter: &Filter) -> Vec<Mark> {
    let one = |kind, word: Option<&str>| word.map(|word| Mark::of(kind, word));
    let rare = |kind, word: Option<&str>| one(kind, word.filter(|word| has_mark(word)));
    let resource = filter.resource.as_deref().and_then(|wanted| match wanted.strip_suffix('*') {
        Some(beginning) => one(Kind::Folder, folders(beginning).next_back()),
        None => one(Kind::Resource, Some(wanted)),
    });
    let action = filter.action.as_deref().and_then(|wanted| match wanted.ends_with(':') {
        true => one(Kind::Noun, noun(wanted)),
        false => one(Kind::Action, Some(wanted)),
    });
    // The rarest first: who looks them up one after the other stops where nothing is left.
    let marks = [
        one(Kind::Request, filter.request.as_deref()),
        rare(Kind::Outcome, filter.outcome.as_deref()),
        rare(Kind::Decision, filter.decision.as_deref()),
        // An entry without an actor is found by an empty one.
        one(Kind::Actor, filter.actor.as_deref().filter(|actor| !actor.is_empty())),
        resource,
        action,
    ];
    marks.into_iter().flatten().collect()
}

/// A segment's index while it is being made.
pub(super) struct Segment {
    first: Timestamp,
    last: Timestamp,
    /// Where each word is. They become marks at the end: most words are those of many entries.
    places: HashMap<Vec<u8>, Vec<u16>>,
    word: Vec<u8>,
}

impl Segment {
    pub(super) fn new() -> Self {
        let (first, last) = (Timestamp::from_unix_ms(i64::MAX), Timestamp::from_unix_ms(i64::MIN));
        Self { first, last, places: HashMap::new(), word: Vec::new() }
    }

    /// Adds the entry at a place in the segment; places only grow.
    pub(super) fn add(&mut self, place: u16, entry: &Entry) {
        self.first = self.first.min(entry.time);
        self.last = self.last.max(entry.time);
        for (kind, text) in words(entry) {
            write_word(kind, text, &mut self.word);
            match self.places.get_mut(&self.word) {
                Some(places) => places.push(place),
                None => drop(self.places.insert(self.word.clone(), vec![place])),
            }
        }
    }

    /// Each row's number and bytes, in order.
    pub(super) fn rows(self) -> impl Iterator<Item = (u8, Vec<u8>)> {
        let mut marks: BTreeMap<Mark, Vec<u16>> = BTreeMap::new();
        for (word, places) in self.places {
            marks.entry(Mark::of_word(&word)).or_default().extend(places);
        }
        // Two words may have the same mark.
        for places in marks.values_mut() {
            places.sort_unstable();
            places.dedup();
        }
        (FIRST_ROW..FIRST_ROW + ROWS).map(move |number| {
            let mut bytes = vec![FORMAT];
            bytes.extend_from_slice(&self.first.unix_ms().to_be_bytes());
            bytes.extend_from_slice(&self.last.unix_ms().to_be_bytes());
            let first = Mark { row: number, hash: [0; 4] };
            let last = Mark { row: number, hash: [u8::MAX; 4] };
            for (mark, places) in marks.range(first..=last) {
                bytes.extend_from_slice(&mark.hash);
                places::write(places, &mut bytes);
            }
            (number, bytes)
        })
    }
}

/// A row as it was stored.
pub(super) struct Row<'a> {
    first: Timestamp,
    last: Timestamp,
    lists: &'a [u8],
}

impl<'a> Row<'a> {
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

    /// The places of the entries that have this mark; `None` if the row is damaged.
    pub(super) fn places(&self, wanted: Mark) -> Option<Places> {
        let (mut found, mut rest) = (None, self.lists);
        while !rest.is_empty() {
            let (hash, after) = rest.split_first_chunk()?;
            let (stored, after) = Stored::split(after)?;
            if *hash == wanted.hash {
                found = Some(stored);
            }
            rest = after;
        }
        found.map_or_else(|| Some(Places::none()), |stored| stored.places())
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
