//! A page of a ledger: where the index says so, and where there is none yet, everything.
//!
//! A search goes through the ledger in its direction, stretch by stretch. Where segments are indexed a stretch is the
//! entries that the index names; elsewhere (the newest entries, and a ledger that is being indexed) it is all of them.
//! Both are then opened and held against the filter.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_store::{Header, Space};
use bailiwick_types::api::ledger::LedgerPage;
use bailiwick_types::{Code, Secret};

use super::Query;
use super::index::{self, Mark, Row, SEGMENT};
use super::indexing::{is_behind, row_key, segments_indexed};
use crate::app::App;
use crate::error::AppError;
use crate::tx::{Scope, Tx};

/// Entries that one request opens, at most. A page may be short, or empty, and still have a next one.
const OPENED_MAX: u64 = 20_000;
/// Segments that one request looks up in the index, at most.
const LOOKED_UP_MAX: u64 = 20_000;
/// Entries that are read at a time.
const READ_STEP: u64 = 500;
/// How far apart entries may be that are read together with what lies between them.
const GAP_MAX: u64 = 8;
/// Segments that are looked up at a time, once there was little in the ones before.
const REACH_MAX: u64 = 64;
/// Entries that are opened before others get the thread.
const OPENED_AT_ONCE: u64 = 64;

/// Where a search is.
struct Walk<'q> {
    query: &'q Query,
    wanted: Vec<Vec<Mark>>,
    size: u64,
    /// From here on nothing is indexed.
    indexed: u64,
    /// The next entry to look at; going down, one more than it.
    at: u64,
    reach: u64,
    opened: u64,
    looked_up: u64,
}

/// Entries to look at, in the direction of the search, and where it is when that is done.
struct Stretch {
    indices: Vec<u64>,
    then: u64,
}

impl<'q> Walk<'q> {
    fn new(query: &'q Query, header: &Header, position: Option<u64>) -> Self {
        let size = header.ledger.size();
        let at = match (position, query.is_descending) {
            (Some(position), _) => position.min(size),
            (None, false) => query.from.unwrap_or(0).min(size),
            (None, true) => query.from.map_or(size, |from| from.saturating_add(1).min(size)),
        };
        let wanted = index::wanted(&query.filter);
        let is_helped = !wanted.is_empty() || query.filter.since.is_some() || query.filter.until.is_some();
        let indexed = if is_helped { (segments_indexed(header) * SEGMENT).min(size) } else { 0 };
        Self { query, wanted, size, indexed, at, reach: 1, opened: 0, looked_up: 0 }
    }

    fn is_end(&self) -> bool {
        if self.query.is_descending { self.at == 0 } else { self.at >= self.size }
    }

    fn is_spent(&self) -> bool {
        self.opened >= OPENED_MAX || self.looked_up >= LOOKED_UP_MAX
    }

    /// Where it is once the entry at `index` was looked at.
    fn behind(&self, index: u64) -> u64 {
        if self.query.is_descending { index } else { index + 1 }
    }

    /// The segments to look up next, first and one more than the last; `None` where there is no index.
    fn segments(&self) -> Option<(u64, u64)> {
        if self.query.is_descending {
            let top = self.at.checked_sub(1).filter(|next| *next < self.indexed)? / SEGMENT;
            Some((top.saturating_sub(self.reach - 1), top + 1))
        } else {
            let first = (self.at < self.indexed).then_some(self.at / SEGMENT)?;
            Some((first, (first + self.reach).min(self.indexed / SEGMENT)))
        }
    }

    /// A stretch between two indices, of which the search has those before it.
    fn stretch(&self, from: u64, to: u64, indices: impl DoubleEndedIterator<Item = u64>) -> Stretch {
        if self.query.is_descending {
            let (from, at) = (from.min(self.at), self.at);
            Stretch { indices: indices.filter(|index| *index < at).rev().collect(), then: from }
        } else {
            let (to, at) = (to.max(self.at), self.at);
            Stretch { indices: indices.filter(|index| *index >= at).collect(), then: to }
        }
    }

    /// All of the next few entries, of those that are not indexed.
    fn everything(&self) -> Stretch {
        let (from, to) = if self.query.is_descending {
            (self.at.saturating_sub(READ_STEP).max(self.indexed.min(self.at)), self.at)
        } else {
            (self.at, (self.at + READ_STEP).min(self.size))
        };
        self.stretch(from, to, from..to)
    }
}

/// One row of each of several segments, opened.
type Rows = Vec<(u64, Secret<Vec<u8>>)>;

/// Splits indices into runs that are read together.
fn runs(indices: &[u64]) -> impl Iterator<Item = &[u64]> {
    let mut first = None;
    indices.chunk_by(move |one, next| {
        let begin = *first.get_or_insert(*one);
        let is_together = one.abs_diff(*next) <= GAP_MAX && begin.abs_diff(*next) < READ_STEP;
        if !is_together {
            first = Some(*next);
        }
        is_together
    })
}

impl<S: Scope> Tx<'_, S> {
    pub(super) async fn ledger_page(&self, query: &Query) -> Result<LedgerPage, AppError> {
        query.filter.check()?;
        let limit = self.page_limit(&query.page)?;
        let text = format!("{} {}", query.filter.query(), query.is_descending);
        let header = self.ledger_header().await?;
        let position = match self.page_after(&query.page, &text)? {
            Some(bytes) => {
                let bytes = <[u8; 8]>::try_from(bytes.as_slice()).map_err(|_| AppError::new(Code::InvalidCursor))?;
                Some(u64::from_be_bytes(bytes))
            }
            None => None,
        };
        let mut walk = Walk::new(query, &header, position);
        if is_behind(&header) {
            self.app.want_index(self.snapshot.tenant);
        }
        let mut items = Vec::new();
        while !walk.is_end() && items.len() < limit && !walk.is_spent() {
            let stretch = self.next_stretch(&mut walk).await?;
            let mut is_whole = true;
            for run in runs(&stretch.indices) {
                is_whole = self.look_at(run, &mut walk, limit, &mut items).await?;
                if !is_whole {
                    break;
                }
            }
            if is_whole {
                walk.at = stretch.then;
            }
        }
        // Going up there is always a next: what comes later.
        let next = match (walk.is_end(), query.is_descending) {
            (true, true) => None,
            _ => Some(self.cursor(&text, &walk.at.to_be_bytes())?),
        };
        Ok(LedgerPage { items, next, size: walk.size, is_complete: walk.is_end() })
    }

    async fn next_stretch(&self, walk: &mut Walk<'_>) -> Result<Stretch, AppError> {
        let Some((from, to)) = walk.segments() else { return Ok(walk.everything()) };
        let found = self.look_up(walk, from, to).await?;
        walk.looked_up += to - from;
        let indices: Vec<u64> = found
            .iter()
            .flat_map(|(segment, places)| places.iter().map(move |place| segment * SEGMENT + u64::from(*place)))
            .collect();
        if indices.is_empty() {
            walk.reach = (walk.reach * 4).min(REACH_MAX);
        }
        Ok(walk.stretch(from * SEGMENT, to * SEGMENT, indices.into_iter()))
    }

    /// The places, by segment, of the entries that have what the search wants.
    async fn look_up(&self, walk: &Walk<'_>, from: u64, to: u64) -> Result<BTreeMap<u64, BTreeSet<u16>>, AppError> {
        let (since, until) = (walk.query.filter.since, walk.query.filter.until);
        let mut rows: BTreeMap<u8, Rows> = BTreeMap::new();
        let mut found: Option<BTreeMap<u64, BTreeSet<u16>>> = None;
        // Only a time is wanted: every row of a segment says which it is of.
        let any = [Vec::new()];
        for group in if walk.wanted.is_empty() { &any[..] } else { &walk.wanted } {
            let numbers: BTreeSet<u8> =
                if group.is_empty() { BTreeSet::from([0]) } else { group.iter().map(|mark| mark.row()).collect() };
            let mut of_group: BTreeMap<u64, BTreeSet<u16>> = BTreeMap::new();
            for number in numbers {
                if let std::collections::btree_map::Entry::Vacant(vacant) = rows.entry(number) {
                    vacant.insert(self.index_rows(number, from, to).await?);
                }
                for (segment, bytes) in rows.get(&number).into_iter().flatten() {
                    let row = Row::parse(bytes.expose()).ok_or_else(damaged)?;
                    if row.is_within(since, until) {
                        let places =
                            if group.is_empty() { Row::all() } else { row.places(group).ok_or_else(damaged)? };
                        of_group.entry(*segment).or_default().extend(places);
                    }
                }
            }
            let both = match found {
                None => of_group,
                Some(found) => found
                    .into_iter()
                    .filter_map(|(segment, places)| Some((segment, &places & of_group.get(&segment)?)))
                    .collect(),
            };
            let is_empty = both.values().all(BTreeSet::is_empty);
            found = Some(both);
            if is_empty {
                break;
            }
        }
        Ok(found.unwrap_or_default())
    }

    /// One row of each of these segments, in order. All are there, as whole segments are indexed, in order.
    async fn index_rows(&self, row: u8, from: u64, to: u64) -> Result<Rows, AppError> {
        let (tenant, space) = (self.snapshot.tenant, Space::LedgerIndex);
        let after = from.checked_sub(1).map(|before| row_key(row, before));
        let limit = usize::try_from(to - from).unwrap_or(0);
        let records = self.app.store.records(tenant, space, &[row], after.as_deref(), limit).await?;
        let mut rows = Vec::with_capacity(records.len());
        for (segment, (key, record)) in (from..).zip(records) {
            if key != row_key(row, segment) {
                return Err(damaged());
            }
            let opened = self.snapshot.open_bytes(space.as_str(), &key, record.version, &record.sealed)?;
            rows.push((segment, opened));
        }
        if rows.len() == limit { Ok(rows) } else { Err(damaged()) }
    }

    /// Opens entries that lie close together and keeps those that fit. `false` if it stopped before the last.
    async fn look_at(
        &self,
        run: &[u64],
        walk: &mut Walk<'_>,
        limit: usize,
        items: &mut Vec<bailiwick_types::api::ledger::LedgerEntry>,
    ) -> Result<bool, AppError> {
        let (Some(one), Some(other)) = (run.first(), run.last()) else { return Ok(true) };
        let first = *one.min(other);
        let span = usize::try_from(one.abs_diff(*other) + 1).unwrap_or(0);
        let entries = self.app.store.entries(self.snapshot.tenant, first, span).await?;
        let reader = &self.principal().id;
        for index in run {
            if items.len() == limit || walk.is_spent() {
                return Ok(false);
            }
            let stored = usize::try_from(index - first)
                .ok()
                .and_then(|at| entries.get(at))
                .ok_or_else(|| AppError::internal("the ledger has a gap"))?;
            if let Some(bytes) = App::open_entry(&self.snapshot, stored)?
                && walk.query.filter.fits(&App::parse_entry(&bytes)?, reader)
            {
                items.push(App::show_entry(stored, Some(&bytes))?);
            }
            walk.at = walk.behind(*index);
            walk.opened += 1;
            if walk.opened.is_multiple_of(OPENED_AT_ONCE) {
                // A long search must not hold a thread that others' requests wait for.
                tokio::task::yield_now().await;
            }
        }
        Ok(true)
    }
}

fn damaged() -> AppError {
    AppError::internal("the ledger's index is damaged")
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_lies_close_together_is_read_together() {
        let runs = |indices: &[u64]| super::runs(indices).map(<[u64]>::to_vec).collect::<Vec<_>>();
        assert_eq!(runs(&[]), Vec::<Vec<u64>>::new());
        assert_eq!(runs(&[1, 2, 10, 30]), [vec![1, 2, 10], vec![30]]);
        assert_eq!(runs(&[30, 10, 2, 1]), [vec![30], vec![10, 2, 1]]);
        let all: Vec<u64> = (0..1_200).collect();
        assert_eq!(runs(&all).iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 200]);
    }
}
