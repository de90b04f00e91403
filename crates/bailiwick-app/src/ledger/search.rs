//! A page of a ledger: where the index says so, and where there is none yet, everything.
//!
//! A search goes through the ledger in its direction, stretch by stretch. Where segments are indexed a stretch is the
//! entries that the index names; elsewhere (the newest entries, and a ledger that is being indexed) it is all of them.
//! Both are then opened and held against the filter. Where a row of the index is not what it should be, the segment is
//! read as if it had none, and the index is made anew.

use bailiwick_seal::{Purpose, SealError};
use bailiwick_store::{Record, Space};
use bailiwick_types::api::ledger::LedgerPage;
use bailiwick_types::{Code, Secret};

use super::Query;
use super::index::{self, FIRST_ROW, Mark, Row, SEGMENT};
use super::indexing::{Wanted, is_behind, row_key, segments_indexed};
use super::places::Places;
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
    /// What the bytes of an entry have that fits.
    texts: Vec<&'q str>,
    wanted: Vec<Mark>,
    size: u64,
    /// From here on nothing is indexed.
    indexed: u64,
    /// The segment, before that, whose index is damaged.
    damaged: Option<u64>,
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
    fn new(query: &'q Query, size: u64, indexed: u64, position: Option<u64>) -> Self {
        let at = match (position, query.is_descending) {
            (Some(position), _) => position.min(size),
            (None, false) => query.from.unwrap_or(0).min(size),
            (None, true) => query.from.map_or(size, |from| from.saturating_add(1).min(size)),
        };
        let wanted = index::wanted(&query.filter);
        let is_helped = !wanted.is_empty() || query.filter.since.is_some() || query.filter.until.is_some();
        let indexed = if is_helped { (indexed * SEGMENT).min(size) } else { 0 };
        let texts = query.filter.texts();
        Self { query, texts, wanted, size, indexed, damaged: None, at, reach: 1, opened: 0, looked_up: 0 }
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

    /// The segment of the next entry, if it is an indexed one.
    fn segment(&self) -> Option<u64> {
        let next = if self.query.is_descending { self.at.checked_sub(1)? } else { self.at };
        (next < self.indexed).then_some(next / SEGMENT)
    }

    /// The segments to look up next, first and one more than the last; `None` where there is no index.
    fn segments(&self) -> Option<(u64, u64)> {
        let next = self.segment().filter(|next| self.damaged != Some(*next))?;
        if self.query.is_descending {
            Some((next.saturating_sub(self.reach - 1), next + 1))
        } else {
            Some((next, (next + self.reach).min(self.indexed / SEGMENT)))
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

    /// All of the next few entries: of the segment whose index is damaged, or of those that are not indexed.
    fn everything(&self) -> Stretch {
        let (first, last) = match self.segment() {
            Some(segment) => (segment * SEGMENT, (segment + 1) * SEGMENT),
            None => (self.indexed, self.size),
        };
        let (from, to) = if self.query.is_descending {
            (self.at.saturating_sub(READ_STEP).max(first), self.at)
        } else {
            (self.at, (self.at + READ_STEP).min(last))
        };
        self.stretch(from, to, from..to)
    }
}

/// What a search wants of one segment.
type Found = (u64, Places);

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
        let is_sound = self.app.is_sound(&header).await?;
        let indexed = if is_sound { segments_indexed(&header) } else { 0 };
        let mut walk = Walk::new(query, header.ledger.size(), indexed, position);
        if is_behind(&header) || !is_sound {
            self.app.want_index(self.snapshot.tenant, Wanted::Rest);
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
        while let Some((from, to)) = walk.segments() {
            let Some(found) = self.look_up(walk, from, to).await? else {
                if to - from == 1 {
                    tracing::error!(tenant = %self.snapshot.tenant, segment = from, "a ledger's index is damaged");
                    self.app.want_index(self.snapshot.tenant, Wanted::Anew);
                    walk.damaged = Some(from);
                }
                walk.reach = 1;
                continue;
            };
            walk.looked_up += to - from;
            let indices: Vec<u64> = found
                .iter()
                .flat_map(|(segment, places)| places.iter().map(move |place| segment * SEGMENT + u64::from(place)))
                .collect();
            if indices.is_empty() {
                walk.reach = (walk.reach * 4).min(REACH_MAX);
            }
            return Ok(walk.stretch(from * SEGMENT, to * SEGMENT, indices.into_iter()));
        }
        Ok(walk.everything())
    }

    /// The segments, in order, that have entries with what the search wants. `None`: a row is not what it should be.
    async fn look_up(&self, walk: &Walk<'_>, from: u64, to: u64) -> Result<Option<Vec<Found>>, AppError> {
        let (since, until) = (walk.query.filter.since, walk.query.filter.until);
        let mut found: Vec<Found> = (from..to).map(|segment| (segment, Places::all())).collect();
        let wanted = walk.wanted.iter().copied().map(Some);
        // Only a time is wanted: every row of a segment says which it is of.
        let any = walk.wanted.is_empty().then_some(None);
        for mark in wanted.chain(any) {
            let (Some((first, _)), Some((last, _))) = (found.first(), found.last()) else { break };
            let (first, number) = (*first, mark.map_or(FIRST_ROW, Mark::row));
            let Some(records) = self.index_rows(number, first, last + 1).await? else { return Ok(None) };
            let mut left = Vec::with_capacity(found.len());
            for (segment, mut places) in found {
                let record = usize::try_from(segment - first).ok().and_then(|at| records.get(at));
                let Some(bytes) = record.map(|record| self.open_row(record)).transpose()?.flatten() else {
                    return Ok(None);
                };
                let Some(row) = Row::parse(bytes.expose()) else { return Ok(None) };
                if !row.is_within(since, until) {
                    continue;
                }
                if let Some(mark) = mark {
                    let Some(of_mark) = row.places(mark) else { return Ok(None) };
                    places.retain(&of_mark);
                }
                if !places.is_empty() {
                    left.push((segment, places));
                }
            }
            found = left;
            // A long search must not hold a thread that others' requests wait for.
            tokio::task::yield_now().await;
        }
        Ok(Some(found))
    }

    /// One row of each of these segments, in order. `None`: one is missing, though whole segments are indexed, in order.
    async fn index_rows(&self, row: u8, from: u64, to: u64) -> Result<Option<Vec<(Vec<u8>, Record)>>, AppError> {
        // Behind the key before the first one: no key lies between two that are next to each other.
        let after = match from.checked_sub(1) {
            Some(before) => row_key(row, before),
            None => vec![row],
        };
        let limit = usize::try_from(to - from).unwrap_or(0);
        let (tenant, space) = (self.snapshot.tenant, Space::LedgerIndex);
        let records = self.app.store.records(tenant, space, &[row], Some(&after), limit).await?;
        let keys = (from..to).map(|segment| row_key(row, segment));
        Ok(records.iter().map(|(key, _)| key.as_slice()).eq(keys).then_some(records))
    }

    /// Opens a row. `None`: it is not what was sealed.
    fn open_row(&self, (key, record): &(Vec<u8>, Record)) -> Result<Option<Secret<Vec<u8>>>, AppError> {
        let context = self.snapshot.context(Space::LedgerIndex.as_str(), key, record.version);
        match self.snapshot.keyring()?.open(Purpose::Records, &context, &record.sealed) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(SealError::Open) => Ok(None),
            // Another node has rotated keys since: the commit of this very failure finds that out.
            Err(SealError::UnknownKeyVersion(version)) => Err(AppError::behind(version)),
            Err(error) => Err(error.into()),
        }
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
                && has_all(&bytes, &walk.texts)
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

/// Whether the bytes of an entry have these texts somewhere.
fn has_all(bytes: &[u8], texts: &[&str]) -> bool {
    texts.is_empty() || std::str::from_utf8(bytes).is_ok_and(|entry| texts.iter().all(|text| entry.contains(text)))
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
