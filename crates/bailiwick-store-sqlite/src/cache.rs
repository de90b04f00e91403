//! Records that were read lately, as they are in the tables.
//!
//! # Invariants
//! - INV-CACHE-1: a commit that writes a record takes it out of here before anybody is answered.
//! - INV-CACHE-2: what was read before that is not put in after it: who reads leaves a placeholder first, which the writer
//!   takes out with the record.
//!
//! # Deliberately absent
//! That a record is absent: who asks for what is not there would push out what is.

use std::time::Duration;

use bailiwick_store::{Record, Space};
use equivalent::Equivalent;
use quick_cache::Weighter;
use quick_cache::sync::{Cache, GuardResult};

use crate::read::Read;

/// Where a record is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    no: i64,
    space: Space,
    key: Box<[u8]>,
}

/// The same, borrowed: alike in its hash.
#[derive(Hash)]
struct At<'a> {
    no: i64,
    space: Space,
    key: &'a [u8],
}

impl Equivalent<Place> for At<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        self.no == place.no && self.space == place.space && *self.key == *place.key
    }
}

impl Place {
    pub(crate) fn new(no: i64, space: Space, key: &[u8]) -> Self {
        Self { no, space, key: key.into() }
    }
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Place, Record> for Bytes {
    fn weight(&self, place: &Place, record: &Record) -> u64 {
        /// What an entry takes beside its bytes, about.
        const OVERHEAD: usize = 160;
        u64::try_from(place.key.len() + record.sealed.len() + OVERHEAD).unwrap_or(u64::MAX)
    }
}

/// The cache.
pub(crate) struct Records(Cache<Place, Record, Bytes>);

impl Records {
    /// One that holds about so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        /// A guess at the size of a record; it sizes the table of keys.
        const TYPICAL: u64 = 1_024;
        Self(Cache::with_weighter(usize::try_from(bytes / TYPICAL).unwrap_or(1), bytes, Bytes))
    }

    /// The record at a place, if it is here.
    pub(crate) fn get(&self, no: i64, space: Space, key: &[u8]) -> Option<Record> {
        self.0.get(&At { no, space, key })
    }

    /// Reads a record from the tables, to keep it.
    pub(crate) fn read(&self, place: &Place, read: impl FnOnce() -> Read<Option<Record>>) -> Read<Option<Record>> {
        match self.0.get_value_or_guard(place, Some(Duration::ZERO)) {
            GuardResult::Value(record) => Ok(Ok(Some(record))),
            GuardResult::Guard(guard) => {
                let found = read()?;
                if let Ok(Some(record)) = &found {
                    // It is not taken if the placeholder is gone: the record was written meanwhile.
                    let _ = guard.insert(record.clone());
                }
                Ok(found)
            }
            // Somebody else is reading it just now.
            GuardResult::Timeout => read(),
        }
    }

    /// A record was written.
    pub(crate) fn forget(&self, place: &Place) {
        self.0.remove(place);
    }

    /// Nothing is known about what is on disk any more.
    pub(crate) fn forget_all(&self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(version: u64) -> Record {
        Record { version, sealed: vec![7; 100] }
    }

    #[test]
    fn what_was_read_before_a_write_is_not_kept_after_it() {
        let records = Records::new(1 << 20);
        let place = Place::new(1, Space::Secret, b"key");
        let found = records.read(&place, || {
            records.forget(&place);
            Ok(Ok(Some(record(1))))
        });
        assert_eq!(found.unwrap().unwrap(), Some(record(1)), "it was true when the read began");
        assert_eq!(records.get(1, Space::Secret, b"key"), None);
        assert_eq!(records.read(&place, || Ok(Ok(Some(record(2))))).unwrap().unwrap(), Some(record(2)));
        assert_eq!(records.get(1, Space::Secret, b"key"), Some(record(2)));
        records.forget(&place);
        assert_eq!(records.get(1, Space::Secret, b"key"), None);
    }

    #[test]
    fn nor_after_everything_was_forgotten() {
        let records = Records::new(1 << 20);
        let place = Place::new(1, Space::Secret, b"key");
        let found = records.read(&place, || {
            records.forget_all();
            Ok(Ok(Some(record(1))))
        });
        assert!(found.unwrap().unwrap().is_some());
        assert_eq!(records.get(1, Space::Secret, b"key"), None);
    }

    #[test]
    fn places_are_told_apart_and_absence_is_not_kept() {
        let records = Records::new(1 << 20);
        records.read(&Place::new(1, Space::Secret, b"key"), || Ok(Ok(Some(record(1))))).unwrap().unwrap();
        assert_eq!(records.get(2, Space::Secret, b"key"), None);
        assert_eq!(records.get(1, Space::Mount, b"key"), None);
        assert_eq!(records.get(1, Space::Secret, b"ke"), None);
        let absent = Place::new(3, Space::Secret, b"key");
        assert_eq!(records.read(&absent, || Ok(Ok(None))).unwrap().unwrap(), None);
        assert_eq!(records.read(&absent, || Ok(Ok(Some(record(1))))).unwrap().unwrap(), Some(record(1)));
    }

    #[test]
    fn it_is_bounded_by_bytes() {
        let records = Records::new(1 << 20);
        for n in 0..100_000_u32 {
            let place = Place::new(1, Space::Secret, &n.to_be_bytes());
            records.read(&place, || Ok(Ok(Some(record(1))))).unwrap().unwrap();
        }
        assert!(records.0.weight() <= 1 << 20);
    }
}
