//! What a [`Book`] has come to, as columns: one statement for each kind of row, whatever the size of the group.

use bailiwick_store::Head;
use bailiwick_types::{TenantId, Timestamp};
use uuid::Uuid;

use crate::book::{Book, Changed, Place, Slot};
use crate::lane::STRIPES;
use crate::session::{Param, Session, uuid};
use crate::sql::Query;
use crate::trouble::Trouble;

/// Rows of `record`, as columns.
#[derive(Default)]
struct Records<'a> {
    tenants: Vec<Uuid>,
    spaces: Vec<i16>,
    keys: Vec<&'a [u8]>,
    versions: Vec<i64>,
    sealed: Vec<&'a [u8]>,
}

impl<'a> Records<'a> {
    fn push(&mut self, (tenant, space, key): &'a Place, value: Option<&'a (u64, Vec<u8>)>) {
        self.tenants.push(uuid(*tenant));
        self.spaces.push(i16::from(space.number()));
        self.keys.push(key);
        if let Some((version, sealed)) = value {
            self.versions.push(version.cast_signed());
            self.sealed.push(sealed);
        }
    }
}

/// Everything that a group writes.
pub(crate) struct Rows<'a> {
    new: Vec<(TenantId, &'a Slot)>,
    progress: Vec<(TenantId, &'a Slot)>,
    changed: Vec<(TenantId, &'a Slot)>,
    put: Records<'a>,
    replaced: Records<'a>,
    removed: Records<'a>,
    book: &'a Book,
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

impl<'a> Rows<'a> {
    pub(crate) fn of(book: &'a Book) -> Self {
        let mut slots: Vec<(TenantId, &Slot)> =
            book.slots.iter().filter(|(_, slot)| slot.is_touched()).map(|(tenant, slot)| (*tenant, slot)).collect();
        slots.sort_by_key(|(tenant, _)| *tenant);
        let (new, progress): (Vec<_>, Vec<_>) = slots.into_iter().partition(|(_, slot)| slot.before.is_none());
        let changed = progress.iter().filter(|(_, slot)| slot.row_changed()).copied().collect();
        let mut rows = Self {
            new,
            progress,
            changed,
            put: Records::default(),
            replaced: Records::default(),
            removed: Records::default(),
            book,
        };
        let mut places: Vec<(&Place, &Changed)> = book.records.iter().collect();
        places.sort_by_key(|(place, _)| *place);
        for (place, changed) in places {
            match (changed.before, &changed.after) {
                (None, Some(value)) => rows.put.push(place, Some(value)),
                (Some(_), Some(value)) => rows.replaced.push(place, Some(value)),
                (Some(_), None) => rows.removed.push(place, None),
                (None, None) => {}
            }
        }
        rows
    }

    /// Sends everything, in an order in which rows may be locked, at once where the connection allows it.
    pub(crate) async fn send(&self, session: &Session) -> Result<(), Trouble> {
        if session.pipelines() {
            // Everything is sent with the first poll: what is sent later comes after the COMMIT.
            let (made, kept, past, written, logged, moved) = futures_util::join!(
                self.make(session),
                self.keep(session),
                self.keep_past(session),
                self.write(session),
                self.log(session),
                self.move_guard(session)
            );
            made.and(kept).and(past).and(written).and(logged).and(moved)
        } else {
            self.make(session).await?;
            self.keep(session).await?;
            self.keep_past(session).await?;
            self.write(session).await?;
            self.log(session).await?;
            self.move_guard(session).await
        }
    }

    /// New tenants, and for the platform the stripes of its epoch.
    async fn make(&self, session: &Session) -> Result<(), Trouble> {
        if self.new.is_empty() {
            return Ok(());
        }
        let columns = Heads::of(&self.new);
        let slugs: Vec<&str> = self.new.iter().map(|(_, slot)| slot.slug.as_deref().unwrap_or_default()).collect();
        let metas: Vec<&[u8]> = self.new.iter().map(|(_, slot)| slot.meta.as_deref().unwrap_or_default()).collect();
        let slug_params: [Param<'_>; 2] = [&slugs, &columns.tenants];
        let tenant_params: [Param<'_>; 11] = [
            &columns.tenants,
            &slugs,
            &columns.states,
            &columns.wakes,
            &columns.epochs,
            &columns.revisions,
            &columns.meta_versions,
            &columns.sizes,
            &columns.counts,
            &columns.edges,
            &metas,
        ];
        let stripes: Vec<i16> = (0..STRIPES).collect();
        let platform = self.new.iter().find(|(tenant, _)| tenant.is_platform());
        let epoch = platform.map_or(1, |(_, slot)| slot.head.epoch).cast_signed();
        let id = uuid(TenantId::PLATFORM);
        let guard_params: [Param<'_>; 3] = [&id, &stripes, &epoch];
        let slugs = session.query(Query::NewSlugs, &slug_params);
        let tenants = session.query(Query::NewTenants, &tenant_params);
        let guard = async {
            match platform {
                Some(_) => session.query(Query::GuardMake, &guard_params).await.map(drop),
                None => Ok(()),
            }
        };
        if session.pipelines() {
            let (slugs, tenants, guard) = futures_util::join!(slugs, tenants, guard);
            slugs.and(tenants).map(drop).and(guard)
        } else {
            slugs.await?;
            tenants.await?;
            guard.await
        }
    }

    /// Rows of tenants that were there.
    async fn keep(&self, session: &Session) -> Result<(), Trouble> {
        if self.progress.is_empty() {
            return Ok(());
        }
        let columns = Heads::of(&self.progress);
        let rows = count(self.progress.len());
        let progress: [Param<'_>; 7] = [
            &columns.tenants,
            &columns.epochs,
            &columns.revisions,
            &columns.sizes,
            &columns.counts,
            &columns.edges,
            &rows,
        ];
        let of_changed = Heads::of(&self.changed);
        let metas: Vec<Option<&[u8]>> = self.changed.iter().map(|(_, slot)| slot.meta.as_deref()).collect();
        let changed_rows = count(self.changed.len());
        let changed: [Param<'_>; 6] = [
            &of_changed.tenants,
            &of_changed.states,
            &of_changed.wakes,
            &of_changed.meta_versions,
            &metas,
            &changed_rows,
        ];
        let progress = session.query(Query::Progress, &progress);
        let changed = sent(session, Query::Row, &changed, self.changed.len());
        if session.pipelines() {
            let (progress, changed) = futures_util::join!(progress, changed);
            progress.map(drop).and(changed)
        } else {
            progress.await?;
            changed.await
        }
    }

    /// What records were, before anything of it is overwritten.
    async fn keep_past(&self, session: &Session) -> Result<(), Trouble> {
        let (mut was, mut until) = (Records::default(), Vec::new());
        for (place, size) in &self.book.past {
            was.push(place, None);
            until.push(size.cast_signed());
        }
        let (mut between, mut between_until) = (Records::default(), Vec::new());
        let (mut versions, mut sealed): (Vec<Option<i64>>, Vec<Option<&[u8]>>) = (Vec::new(), Vec::new());
        for (place, size, value) in &self.book.past_between {
            between.push(place, None);
            between_until.push(size.cast_signed());
            versions.push(value.as_ref().map(|(version, _)| version.cast_signed()));
            sealed.push(value.as_ref().map(|(_, sealed)| sealed.as_slice()));
        }
        let first: [Param<'_>; 4] = [&was.tenants, &was.spaces, &was.keys, &until];
        let later: [Param<'_>; 6] =
            [&between.tenants, &between.spaces, &between.keys, &between_until, &versions, &sealed];
        let first = sent(session, Query::KeepPast, &first, until.len());
        let later = sent(session, Query::PutPast, &later, between_until.len());
        if session.pipelines() {
            let (first, later) = futures_util::join!(first, later);
            first.and(later)
        } else {
            first.await?;
            later.await
        }
    }

    /// Records.
    async fn write(&self, session: &Session) -> Result<(), Trouble> {
        let (put, replaced, removed) = (&self.put, &self.replaced, &self.removed);
        let put_params: [Param<'_>; 5] = [&put.tenants, &put.spaces, &put.keys, &put.versions, &put.sealed];
        let replaced_rows = count(replaced.keys.len());
        let replaced_params: [Param<'_>; 6] =
            [&replaced.tenants, &replaced.spaces, &replaced.keys, &replaced.versions, &replaced.sealed, &replaced_rows];
        let removed_rows = count(removed.keys.len());
        let removed_params: [Param<'_>; 4] = [&removed.tenants, &removed.spaces, &removed.keys, &removed_rows];
        let removing = sent(session, Query::RemoveRecords, &removed_params, removed.keys.len());
        let replacing = sent(session, Query::ReplaceRecords, &replaced_params, replaced.keys.len());
        let putting = sent(session, Query::PutRecords, &put_params, put.keys.len());
        if session.pipelines() {
            let (removed, replaced, put) = futures_util::join!(removing, replacing, putting);
            removed.and(replaced).and(put)
        } else {
            removing.await?;
            replacing.await?;
            putting.await
        }
    }

    /// Entries, and the subtrees that they complete.
    async fn log(&self, session: &Session) -> Result<(), Trouble> {
        let entries = &self.book.entries;
        if entries.is_empty() {
            return Ok(());
        }
        let tenants: Vec<Uuid> = entries.iter().map(|(tenant, _, _)| uuid(*tenant)).collect();
        let places: Vec<i64> = entries.iter().map(|(_, index, _)| index.cast_signed()).collect();
        let leaves: Vec<&[u8]> = entries.iter().map(|(_, _, entry)| entry.leaf.as_slice()).collect();
        let sealed: Vec<&[u8]> = entries.iter().map(|(_, _, entry)| entry.sealed.as_slice()).collect();
        let entry_params: [Param<'_>; 4] = [&tenants, &places, &leaves, &sealed];
        let subtrees = &self.book.subtrees;
        let of: Vec<Uuid> = subtrees.iter().map(|(tenant, _)| uuid(*tenant)).collect();
        let levels: Vec<i16> = subtrees.iter().map(|(_, (level, _, _))| i16::from(*level)).collect();
        let numbers: Vec<i64> = subtrees.iter().map(|(_, (_, n, _))| n.cast_signed()).collect();
        let hashes: Vec<&[u8]> = subtrees.iter().map(|(_, (_, _, hash))| hash.as_slice()).collect();
        let subtree_params: [Param<'_>; 4] = [&of, &levels, &numbers, &hashes];
        let entries = session.query(Query::PutEntries, &entry_params);
        let subtrees = sent(session, Query::PutSubtrees, &subtree_params, of.len());
        if session.pipelines() {
            let (entries, subtrees) = futures_util::join!(entries, subtrees);
            entries.map(drop).and(subtrees)
        } else {
            entries.await?;
            subtrees.await
        }
    }

    /// When the platform's epoch moves, nobody may still decide under the old one. Last: whoever waits here holds
    /// everything else already.
    async fn move_guard(&self, session: &Session) -> Result<(), Trouble> {
        let Some(slot) = self.book.slots.get(&TenantId::PLATFORM) else { return Ok(()) };
        let Some(before) = slot.before.as_ref().filter(|before| before.epoch != slot.head.epoch) else {
            return Ok(());
        };
        debug_assert!(before.epoch < slot.head.epoch, "an epoch grows");
        let (id, epoch, stripes) = (uuid(TenantId::PLATFORM), slot.head.epoch.cast_signed(), i64::from(STRIPES));
        session.query(Query::GuardMove, &[&id, &epoch, &stripes]).await.map(drop)
    }
}

/// Sends a statement, if it has rows.
async fn sent(session: &Session, query: Query, params: &[Param<'_>], rows: usize) -> Result<(), Trouble> {
    if rows == 0 { Ok(()) } else { session.query(query, params).await.map(drop) }
}

/// Rows of `tenant`, as columns.
#[derive(Default)]
struct Heads {
    tenants: Vec<Uuid>,
    states: Vec<i16>,
    wakes: Vec<Option<i64>>,
    epochs: Vec<i64>,
    revisions: Vec<i64>,
    meta_versions: Vec<i64>,
    sizes: Vec<i64>,
    counts: Vec<Vec<u8>>,
    edges: Vec<Vec<u8>>,
}

impl Heads {
    fn of(slots: &[(TenantId, &Slot)]) -> Self {
        let mut columns = Self::default();
        for (tenant, slot) in slots {
            let Head { state, wake, epoch, revision, meta_version, counts, ledger } = &slot.head;
            columns.tenants.push(uuid(*tenant));
            columns.states.push(i16::from(*state));
            columns.wakes.push(wake.map(Timestamp::unix_ms));
            columns.epochs.push(epoch.cast_signed());
            columns.revisions.push(revision.cast_signed());
            columns.meta_versions.push(meta_version.cast_signed());
            columns.sizes.push(ledger.size().cast_signed());
            columns.counts.push(counts.to_bytes());
            columns.edges.push(ledger.to_bytes());
        }
        columns
    }
}
