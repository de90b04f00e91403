//! A store with two tenants in it that look as much alike as two tenants can.

use std::sync::Arc;

use bailiwick_store::{Commit, CommitError, Committed, Header, Record, Space, Store, StoredEntry};
use bailiwick_types::TenantId;

use crate::Place;
use crate::build::{Build, create, put};

/// A tenant of the world.
#[derive(Debug, Clone, Copy)]
pub struct Party {
    /// Its id.
    pub id: TenantId,
    /// Its slug.
    pub slug: &'static str,
}

/// A store, and two tenants.
pub struct World {
    /// The store. Cases that need it shared clone it.
    pub store: Arc<dyn Store>,
    /// The one that acts.
    pub a: Party,
    /// The other one.
    pub b: Party,
    place: Box<dyn Place>,
}

/// A third tenant, for cases that make one.
pub const THIRD: Party = Party { id: TenantId::from_bytes([9; 16]), slug: "third" };

/// Everything that can be read of a tenant. Two dumps are equal if nothing has happened in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    header: Option<Header>,
    records: Vec<(Space, Vec<u8>, Record)>,
    entries: Vec<StoredEntry>,
    is_due: bool,
}

impl Dump {
    /// Without what means something in its own store only, to compare a tenant with what became of it in another one.
    #[must_use]
    pub fn without_revision(mut self) -> Self {
        if let Some(header) = &mut self.header {
            header.revision = 0;
        }
        self
    }
}

impl World {
    /// A fresh world. Neither tenant has anything but its header.
    pub async fn new(place: Box<dyn Place>, swapped: bool) -> Self {
        let store = place.open().await;
        // Neighbours in every index: the ids differ in the last bit, and one slug is the beginning of the other.
        let (mut low, mut high) = ([0x7f; 16], [0x7f; 16]);
        (low[15], high[15]) = (0xfe, 0xff);
        let low = Party { id: TenantId::from_bytes(low), slug: "acme" };
        let high = Party { id: TenantId::from_bytes(high), slug: "acme-2" };
        for party in [low, high] {
            store.commit(create(party.id, party.slug).commit()).await.expect("a new tenant");
        }
        let (a, b) = if swapped { (high, low) } else { (low, high) };
        Self { store, a, b, place }
    }

    /// Gives both tenants a record of the same name in each space, and an entry.
    pub async fn furnish(&self) {
        for party in [self.a, self.b] {
            let mut part = crate::build::at(party.id, 1).entry(&format!("entry of {}", party.slug));
            for space in Space::ALL {
                part = part.write(put(*space, b"same", format!("{space:?} of {}", party.slug)));
            }
            self.ok(part.commit()).await;
        }
    }

    /// Closes the store and opens it again.
    ///
    /// # Panics
    /// If the case still holds a clone of the store.
    pub async fn reopened(self) -> Self {
        let Self { store, a, b, place } = self;
        assert_eq!(Arc::strong_count(&store), 1, "the store is still in use");
        drop(store);
        let store = place.open().await;
        Self { store, a, b, place }
    }

    /// Commits what must pass.
    pub async fn ok(&self, commit: Commit) -> Committed {
        match self.store.commit(commit.clone()).await {
            Ok(committed) => committed,
            Err(error) => panic!("{error}: {commit:?}"),
        }
    }

    /// Commits what must be refused, and makes sure that it left no trace in either tenant.
    pub async fn refused(&self, commit: Commit) -> CommitError {
        let before = (self.dump(self.a.id).await, self.dump(self.b.id).await);
        let refusal = match self.store.commit(commit.clone()).await {
            Ok(committed) => panic!("applied as {committed:?}: {commit:?}"),
            Err(error) => error,
        };
        assert_eq!((self.dump(self.a.id).await, self.dump(self.b.id).await), before, "a refused commit left a trace");
        refusal
    }

    /// The header of a tenant that exists.
    pub async fn header(&self, tenant: TenantId) -> Header {
        self.store.header(tenant).await.unwrap().expect("a header")
    }

    /// The value of a record, as text.
    pub async fn value(&self, tenant: TenantId, space: Space, key: impl AsRef<[u8]>) -> Option<String> {
        let record = self.store.record(tenant, space, key.as_ref()).await.unwrap()?;
        Some(String::from_utf8(record.sealed).unwrap())
    }

    /// Everything that can be read of a tenant.
    pub async fn dump(&self, tenant: TenantId) -> Dump {
        dump(&*self.store, tenant).await
    }
}

/// Everything that can be read of a tenant.
pub async fn dump(store: &dyn Store, tenant: TenantId) -> Dump {
    let mut records = Vec::new();
    for space in Space::ALL {
        let found = store.records(tenant, *space, b"", None, usize::MAX).await.unwrap();
        records.extend(found.into_iter().map(|(key, record)| (*space, key, record)));
    }
    let due = store.due(crate::build::time(i64::MAX), usize::MAX).await.unwrap();
    Dump {
        header: store.header(tenant).await.unwrap(),
        records,
        entries: store.entries(tenant, 0, usize::MAX).await.unwrap(),
        is_due: due.iter().any(|(_, who)| *who == tenant),
    }
}
