//! Records that were read lately, as they are in the tables.
//!
//! # Invariants
//! - INV-CACHE-1: a commit that writes a record takes it out of here before anybody is answered; with it goes the right to
//!   put in what was read before (INV-KEPT-3).

use std::sync::Arc;

use bailiwick_store::{Kept, Look, Owner, Record, Space};

use crate::read::Read;

/// A tenant, by its number: it keeps that for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct No(i64);

impl Owner for No {
    type Tenant = i64;

    fn tenant(self) -> i64 {
        self.0
    }
}

/// Where a record is.
pub(crate) type Place = bailiwick_store::Place<No>;

pub(crate) fn place(no: i64, space: Space, key: &[u8]) -> Place {
    Place::new(No(no), space, key)
}

/// The cache.
pub(crate) struct Records(Kept<No>);

impl Records {
    /// One that holds about so many bytes.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(Kept::new(bytes))
    }

    /// The record at a place, if it is here.
    pub(crate) fn get(&self, no: i64, space: Space, key: &[u8]) -> Option<Record> {
        self.0.get(No(no), space, key).map(|record| Record::clone(&record))
    }

    /// Reads a record from the tables, to keep it.
    pub(crate) fn read(&self, place: &Place, read: impl FnOnce() -> Read<Option<Record>>) -> Read<Option<Record>> {
        match self.0.look(place) {
            Look::Record(record) => Ok(Ok(Some(Record::clone(&record)))),
            Look::Gap(gap) => {
                let found = read()?;
                if let (Some(gap), Ok(Some(record))) = (gap, &found) {
                    gap.fill(Arc::new(record.clone()));
                }
                Ok(found)
            }
        }
    }

    /// A record was written.
    pub(crate) fn forget(&self, place: &Place) {
        self.0.remove(place.owner, place.space, &place.key);
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
        let place = super::place(1, Space::Secret, b"key");
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
    fn places_are_told_apart_and_absence_is_not_kept() {
        let records = Records::new(1 << 20);
        records.read(&super::place(1, Space::Secret, b"key"), || Ok(Ok(Some(record(1))))).unwrap().unwrap();
        assert_eq!(records.get(2, Space::Secret, b"key"), None);
        assert_eq!(records.get(1, Space::Mount, b"key"), None);
        assert_eq!(records.get(1, Space::Secret, b"ke"), None);
        let absent = super::place(3, Space::Secret, b"key");
        assert_eq!(records.read(&absent, || Ok(Ok(None))).unwrap().unwrap(), None);
        assert_eq!(records.read(&absent, || Ok(Ok(Some(record(1))))).unwrap().unwrap(), Some(record(1)));
    }
}
