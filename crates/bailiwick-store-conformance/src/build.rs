//! Commits in few words, for cases and for other tests.

use bailiwick_ledger::leaf_hash;
use bailiwick_store::{Commit, Expect, HeaderChange, NewEntry, Part, Restored, Space, Wake, Write};
use bailiwick_types::{TenantId, Timestamp};

/// The state that new tenants get.
pub const ACTIVE: u8 = 1;

/// A part that creates a tenant.
pub fn create(tenant: TenantId, slug: &str) -> Part {
    Part {
        tenant,
        expect: Expect::Absent { slug: slug.to_owned() },
        header: HeaderChange { state: Some(ACTIVE), meta: Some((0, b"meta".to_vec())), ..HeaderChange::default() },
        writes: Vec::new(),
        entries: Vec::new(),
    }
}

/// A part that expects an epoch and does nothing yet.
pub fn at(tenant: TenantId, epoch: u64) -> Part {
    Part::append(tenant, epoch, Vec::new())
}

/// A part that expects the tenant to exist and does nothing yet.
pub fn of(tenant: TenantId) -> Part {
    Part { expect: Expect::Exists, ..at(tenant, 0) }
}

/// An entry whose sealed bytes are the text, and whose leaf is that of the text.
pub fn entry(text: &str) -> NewEntry {
    NewEntry { leaf: leaf_hash(text.as_bytes()), sealed: text.as_bytes().to_vec() }
}

/// Writes version 1 of a record that is absent.
pub fn put(space: Space, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Write {
    Write {
        space,
        key: key.as_ref().to_vec(),
        expected: None,
        value: Some((1, value.as_ref().to_vec())),
        count_max: None,
    }
}

/// Writes the version after this one.
pub fn replace(space: Space, key: impl AsRef<[u8]>, version: u64, value: impl AsRef<[u8]>) -> Write {
    Write { expected: Some(version), value: Some((version + 1, value.as_ref().to_vec())), ..put(space, key, []) }
}

/// Removes a record that is at this version.
pub fn remove(space: Space, key: impl AsRef<[u8]>, version: u64) -> Write {
    Write { expected: Some(version), value: None, ..put(space, key, []) }
}

/// A moment.
pub fn time(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms)
}

/// Adds to a part.
pub trait Build: Sized {
    /// With this write too.
    #[must_use]
    fn write(self, write: Write) -> Self;
    /// With this entry too.
    #[must_use]
    fn entry(self, text: &str) -> Self;
    /// With a new epoch.
    #[must_use]
    fn bump(self) -> Self;
    /// With a new state.
    #[must_use]
    fn state(self, state: u8) -> Self;
    /// With a new meta in place of the one of this version.
    #[must_use]
    fn meta(self, expected: u64, meta: &str) -> Self;
    /// With a wake-up.
    #[must_use]
    fn wake(self, wake: Wake) -> Self;
    /// With the numbers of another store.
    #[must_use]
    fn restored(self, restored: Restored) -> Self;
    /// As a commit of its own.
    fn commit(self) -> Commit;
}

impl Build for Part {
    fn write(mut self, write: Write) -> Self {
        self.writes.push(write);
        self
    }
    fn entry(mut self, text: &str) -> Self {
        self.entries.push(entry(text));
        self
    }
    fn bump(mut self) -> Self {
        self.header.bump_epoch = true;
        self
    }
    fn state(mut self, state: u8) -> Self {
        self.header.state = Some(state);
        self
    }
    fn meta(mut self, expected: u64, meta: &str) -> Self {
        self.header.meta = Some((expected, meta.as_bytes().to_vec()));
        self
    }
    fn wake(mut self, wake: Wake) -> Self {
        self.header.wake = Some(wake);
        self
    }
    fn restored(mut self, restored: Restored) -> Self {
        self.header.restored = Some(restored);
        self
    }
    fn commit(self) -> Commit {
        together([self])
    }
}

/// One commit of several parts.
pub fn together(parts: impl IntoIterator<Item = Part>) -> Commit {
    Commit { parts: parts.into_iter().collect(), guards: Vec::new() }
}

/// The commit, if these planes are still at these epochs.
pub fn guarded(commit: Commit, guards: &[(TenantId, u64)]) -> Commit {
    Commit { guards: guards.to_vec(), ..commit }
}
