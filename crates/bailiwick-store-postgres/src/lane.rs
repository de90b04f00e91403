//! A group of commits on one connection: at first what needs no lock, then the rest.
//!
//! *Append*: commits that only add entries to tenants whose rows this node has in memory. One statement changes each row
//! where it is as remembered (epoch, revision, size) and adds the entries; the platform's epoch is held by a stripe.
//! What it does not find as remembered goes the other way.
//!
//! *Change*: rows are locked, versions read, everything is checked in memory ([`Book`]), and written with the COMMIT.
//! Two round trips.
//!
//! # Invariants
//! - INV-LANE-1: nobody is answered before the COMMIT that holds their request, not even those who are refused: what they
//!   were refused for could still be rolled back.
//! - INV-LANE-2: rows are locked before a stripe of the platform's epoch, in order of tenants, and whoever holds a stripe
//!   waits for no row. So nodes do not wait for each other in a circle.
//! - INV-LANE-3: a COMMIT whose answer was lost is looked for before anybody is answered: its entries are in the ledger, or
//!   they are not and cannot come any more, because the rows that they need are locked by who looks, or have changed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bailiwick_ledger::{CompactRange, Hash};
use bailiwick_store::{Commit, CommitError, Committed, Counts, Expect, Head, HeaderChange, NewEntry, Receipt, Subtree};
use bailiwick_types::{TenantId, Timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Shared;
use crate::book::Book;
use crate::pool::{Lease, Pool};
use crate::rows::Rows;
use crate::session::{Mode, Plane, Session, tenant, uuid};
use crate::sql::Query;
use crate::trouble::Trouble;

/// Stripes of the platform's epoch: so many groups can rest on it at the same time, on all nodes.
pub(crate) const STRIPES: i16 = 64;
/// How long after a failure the same group is tried again.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the database may take to answer a round trip before its connection counts as lost.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// How long a COMMIT whose answer was lost is looked for.
const SETTLE_MAX: Duration = Duration::from_secs(30);
/// How often a group is repeated because the database put somebody else first.
const REPEATS_MAX: u32 = 20;

/// A commit that somebody waits for.
pub(crate) struct Job {
    pub(crate) commit: Commit,
    pub(crate) reply: oneshot::Sender<Result<Committed, CommitError>>,
    /// Not begun any more after this.
    pub(crate) deadline: Instant,
    /// Whose rows it needs.
    pub(crate) tenants: Vec<TenantId>,
}

impl Job {
    pub(crate) fn answer(self, answer: Result<Committed, CommitError>) {
        // Whoever has gone away does not need it.
        let _ = self.reply.send(answer);
    }

    /// About how much it adds to a transaction.
    pub(crate) fn bytes(&self) -> usize {
        self.commit.parts.iter().fold(0, |sum, part| {
            let writes = part.writes.iter().filter_map(|write| write.value.as_ref()).map(|(_, sealed)| sealed.len());
            writes.chain(part.entries.iter().map(|entry| entry.sealed.len())).fold(sum, usize::saturating_add)
        })
    }

    /// The commit's one part, if all that it does is to add entries.
    fn append(&self) -> Option<(&bailiwick_store::Part, Option<u64>)> {
        let [part] = self.commit.parts.as_slice() else { return None };
        let guard = match self.commit.guards.as_slice() {
            [] => None,
            [(tenant, epoch)] if tenant.is_platform() && !part.tenant.is_platform() => Some(*epoch),
            _ => return None,
        };
        let is_plain = part.writes.is_empty()
            && !part.entries.is_empty()
            && part.header == HeaderChange::default()
            && !matches!(part.expect, Expect::Absent { .. });
        is_plain.then_some((part, guard))
    }
}

/// Whether rows that others hold are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Commits that need such a row are handed back, so that nobody else waits for it.
    Skip,
    /// One tenant's commits, which have been handed back before.
    Wait,
}

impl Patience {
    /// Whose connections it is carried out on.
    fn pool(self, shared: &Shared) -> &Arc<Pool> {
        match self {
            Self::Skip => &shared.writers,
            Self::Wait => &shared.waiting_writers,
        }
    }
}

/// Carries a group out and answers it. Hands back what needs a row that another node holds.
pub(crate) async fn run(shared: &Arc<Shared>, mut group: Vec<Job>, patience: Patience) -> Vec<Job> {
    let mut held = Vec::new();
    let mut repeats = 0;
    while !group.is_empty() {
        let now = Instant::now();
        let (live, late): (Vec<Job>, Vec<Job>) = group.into_iter().partition(|job| now < job.deadline);
        for job in late {
            job.answer(Err(unavailable("the database was not reached in time")));
        }
        group = live;
        let Some(deadline) = group.iter().map(|job| job.deadline).min() else { break };
        let lease = match patience.pool(shared).lease(deadline.saturating_duration_since(now)).await {
            Ok(lease) => lease,
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let mut lane = Lane { shared, lease: Some(lease), patience };
        match lane.group(group).await {
            Ok(more) => {
                held.extend(more);
                break;
            }
            Err((trouble, rest)) => {
                group = rest;
                if trouble.ends_session() {
                    patience.pool(shared).drain();
                }
                match trouble {
                    Trouble::Gone(_) | Trouble::Ambiguous(_) | Trouble::Full(_) => tokio::time::sleep(PAUSE).await,
                    Trouble::Again(_) | Trouble::Taken(_) if repeats < REPEATS_MAX => {
                        repeats += 1;
                        shared.metrics.group_retried();
                    }
                    Trouble::Again(why) | Trouble::Taken(why) | Trouble::Statement(why) => {
                        // Nobody may spoil the commits of those who happen to share their group.
                        if group.len() > 1 {
                            let rest = group.split_off(group.len() / 2);
                            held.extend(Box::pin(run(shared, group, patience)).await);
                            group = rest;
                        } else {
                            tracing::error!(why, "a commit failed in the database");
                            for job in group.drain(..) {
                                job.answer(Err(CommitError::Unavailable(why.clone())));
                            }
                        }
                    }
                }
            }
        }
    }
    held
}

/// A round trip that takes too long is one whose answer is lost.
async fn in_time<T>(work: impl Future<Output = Result<T, Trouble>>, lost: fn(String) -> Trouble) -> Result<T, Trouble> {
    let late = |_| lost("the database does not answer".to_owned());
    tokio::time::timeout(ANSWER_MAX, work).await.map_err(late)?
}

fn unavailable(why: &str) -> CommitError {
    CommitError::Unavailable(why.to_owned())
}

/// A failure, and the jobs that are still to be done: none of them was.
type Failed = (Trouble, Vec<Job>);

struct Lane<'a> {
    shared: &'a Arc<Shared>,
    lease: Option<Lease>,
    patience: Patience,
}

impl Lane<'_> {
    async fn group(&mut self, group: Vec<Job>) -> Result<Vec<Job>, Failed> {
        let (appends, mut changes) = match self.patience {
            Patience::Skip => Appends::gather(self.shared, group),
            Patience::Wait => (Appends::default(), group),
        };
        if !appends.rows.is_empty() {
            match self.append(appends).await {
                Ok(missed) => changes.extend(missed),
                Err((trouble, mut rest)) => {
                    rest.extend(changes);
                    return Err((trouble, rest));
                }
            }
        }
        let held = if changes.is_empty() { Vec::new() } else { self.change(changes).await? };
        if let Some(lease) = self.lease.take() {
            lease.done();
        }
        Ok(held)
    }

    fn lease(&self) -> Result<&Lease, Trouble> {
        self.lease.as_ref().ok_or_else(|| Trouble::Gone("no connection".to_owned()))
    }

    /// Ends a transaction that failed, and keeps its connection if that is possible.
    async fn give_up(&mut self, trouble: &Trouble) {
        if let Some(lease) = self.lease.take()
            && !trouble.ends_session()
            && let Ok(session) = lease.session()
            && session.rollback().await.is_ok()
        {
            lease.done();
        }
    }

    /// Appends in one round trip. Hands back what must go the other way.
    async fn append(&mut self, appends: Appends) -> Result<Vec<Job>, Failed> {
        let tenants: Vec<TenantId> = appends.rows.iter().map(|row| row.tenant).collect();
        let sent = async {
            let session = self.lease()?.session()?;
            let work = appends.send(session, self.shared.stripe());
            session.whole(Mode::Hurry, &Plane::Tenants(tenants.clone()), work).await
        };
        let applied = match in_time(sent, Trouble::Ambiguous).await {
            Ok(applied) => applied,
            Err(trouble @ Trouble::Ambiguous(_)) => {
                let claims: Vec<Claim> = appends.rows.iter().map(Append::claim).collect();
                match self.settle(claims).await {
                    Some(true) => {
                        // Which of the rows had been as remembered is not known for the others: each is looked for.
                        return self.settle_appends(appends).await;
                    }
                    Some(false) => return Err((trouble, appends.into_jobs())),
                    None => {
                        for job in appends.into_jobs() {
                            job.answer(Err(unavailable("whether it is done is not known")));
                        }
                        return Ok(Vec::new());
                    }
                }
            }
            Err(trouble) => {
                self.give_up(&trouble).await;
                if matches!(trouble, Trouble::Again(_)) {
                    // One of the rows is held by another node. The other way finds out which, and leaves it out.
                    tenants.iter().for_each(|tenant| self.shared.memory.shared(*tenant));
                }
                return Err((trouble, appends.into_jobs()));
            }
        };
        let applied: HashSet<TenantId> = applied.into_iter().collect();
        let mut missed = Vec::new();
        let mut done = 0;
        for row in appends.rows {
            if applied.contains(&row.tenant) {
                done += row.jobs.len();
                let revision = row.head.revision;
                self.shared.memory.learn(row.tenant, row.head, revision, []);
                for (job, receipt) in row.jobs {
                    job.answer(Ok(Committed { receipts: vec![receipt] }));
                }
            } else {
                self.shared.memory.shared(row.tenant);
                missed.extend(row.jobs.into_iter().map(|(job, _)| job));
            }
        }
        self.shared.metrics.appended(done);
        if !missed.is_empty() {
            self.shared.metrics.group_missed();
        }
        Ok(missed)
    }

    /// After an append whose answer was lost but that was carried out: each row is looked for by itself.
    async fn settle_appends(&mut self, appends: Appends) -> Result<Vec<Job>, Failed> {
        let mut missed = Vec::new();
        let mut rows = appends.rows.into_iter();
        while let Some(row) = rows.next() {
            match self.settle(vec![row.claim()]).await {
                Some(is_there) => {
                    self.shared.memory.forget(row.tenant);
                    for (job, receipt) in row.jobs {
                        if is_there {
                            job.answer(Ok(Committed { receipts: vec![receipt] }));
                        } else {
                            missed.push(job);
                        }
                    }
                }
                None => {
                    for (job, _) in row.jobs.into_iter().chain(rows.by_ref().flat_map(|row| row.jobs)) {
                        job.answer(Err(unavailable("whether it is done is not known")));
                    }
                }
            }
        }
        Ok(missed)
    }

    /// Locks, checks, writes. Hands back the jobs whose rows another node holds.
    async fn change(&mut self, group: Vec<Job>) -> Result<Vec<Job>, Failed> {
        let read = async {
            let lease = self.lease()?;
            Needs::of(&group).read(lease.session()?, self.patience, self.shared.stripe()).await
        };
        let Locked { mut book, held } = match in_time(read, Trouble::Gone).await {
            Ok(locked) => locked,
            Err(trouble) => {
                self.give_up(&trouble).await;
                return Err((trouble, group));
            }
        };
        let (held, group): (Vec<Job>, Vec<Job>) =
            group.into_iter().partition(|job| job.tenants.iter().any(|tenant| held.contains(tenant)));
        for _ in &held {
            self.shared.metrics.row_contended();
        }
        let answers: Vec<_> = group.iter().map(|job| book.perform(&job.commit)).collect();
        let written = async {
            let session = self.lease()?.session()?;
            session.finish(Rows::of(&book).send(session)).await
        };
        match in_time(written, Trouble::Ambiguous).await {
            Ok(()) => {}
            Err(trouble @ Trouble::Ambiguous(_)) => {
                let claims = claims(&group, &answers);
                let settled = if claims.is_empty() { None } else { self.settle(claims).await };
                match settled {
                    Some(true) => {}
                    Some(false) => return Err((trouble, group.into_iter().chain(held).collect())),
                    None => {
                        for job in group {
                            job.answer(Err(unavailable("whether it is done is not known")));
                        }
                        return Ok(held);
                    }
                }
            }
            Err(trouble) => {
                self.give_up(&trouble).await;
                return Err((trouble, group.into_iter().chain(held).collect()));
            }
        }
        self.remember(&mut book);
        self.shared.metrics.group(group.len());
        for (job, answer) in group.into_iter().zip(answers) {
            if let Err(CommitError::Outdated { tenant }) = &answer {
                self.shared.memory.outdated(*tenant);
            }
            job.answer(answer);
        }
        Ok(held)
    }

    /// What the group has made of its rows is what this node knows of them.
    fn remember(&self, book: &mut Book) {
        let mut written: HashMap<TenantId, Vec<(bailiwick_store::Space, &[u8])>> = HashMap::new();
        for (tenant, space, key) in book.records.keys() {
            written.entry(*tenant).or_default().push((*space, key));
        }
        for (tenant, slot) in book.slots.drain() {
            let before = slot.before.as_ref().map_or(0, |before| before.revision);
            let written = written.remove(&tenant).unwrap_or_default();
            self.shared.memory.learn(tenant, slot.head, before, written);
        }
    }

    /// Finds out whether a COMMIT whose answer was lost was carried out. `None`: it could not be found out in time.
    ///
    /// The crash argument: the rows of all claims are locked first, on another connection. A lost *change* holds them until
    /// it has ended, so this waits for it. A lost *append* may not even have begun; but if its entries are not there now,
    /// the rows get another revision under these locks, and an append that finds another revision changes nothing. So what
    /// is seen here stays true.
    async fn settle(&mut self, claims: Vec<Claim>) -> Option<bool> {
        self.shared.metrics.commit_ambiguous();
        self.lease = None;
        self.patience.pool(self.shared).drain();
        let until = Instant::now() + SETTLE_MAX;
        while Instant::now() < until {
            match self.look_for(&claims).await {
                Ok(found) => return Some(found),
                Err(trouble) => {
                    tracing::debug!(?trouble, "a lost answer cannot be looked for yet");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        None
    }

    async fn look_for(&mut self, claims: &[Claim]) -> Result<bool, Trouble> {
        if self.lease.is_none() {
            self.lease = Some(self.patience.pool(self.shared).lease(Duration::from_secs(5)).await?);
        }
        let tenants: BTreeSet<TenantId> = claims.iter().map(|claim| claim.tenant).collect();
        let looked = async {
            let session = self.lease()?.session()?;
            let ids: Vec<Uuid> = tenants.iter().copied().map(uuid).collect();
            session.begin(Mode::Write, &Plane::Tenants(tenants.iter().copied().collect())).await?;
            session.query(Query::LockAll, &[&ids]).await?;
            let (of, at): (Vec<Uuid>, Vec<i64>) =
                claims.iter().map(|claim| (uuid(claim.tenant), claim.index.cast_signed())).unzip();
            let rows = session.query(Query::EntriesAt, &[&of, &at]).await?;
            let mut found = HashMap::new();
            for row in &rows {
                let leaf: Option<Hash> = row.try_get::<_, &[u8]>(2)?.try_into().ok();
                found.insert((tenant(row.try_get(0)?), row.try_get::<_, i64>(1)?.cast_unsigned()), leaf);
            }
            let is_there =
                claims.iter().any(|claim| found.get(&(claim.tenant, claim.index)) == Some(&Some(claim.leaf)));
            if !is_there {
                session.query(Query::Fence, &[&ids]).await?;
            }
            session.commit().await?;
            Ok::<_, Trouble>(is_there)
        };
        let outcome = in_time(looked, Trouble::Gone).await;
        if outcome.is_err() {
            self.lease = None;
        }
        outcome
    }
}

/// An entry that is in the ledger if a transaction was carried out, and nowhere if not: leaves are salted.
struct Claim {
    tenant: TenantId,
    index: u64,
    leaf: Hash,
}

fn claims(group: &[Job], answers: &[Result<Committed, CommitError>]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (job, answer) in group.iter().zip(answers) {
        let Ok(committed) = answer else { continue };
        for (part, receipt) in job.commit.parts.iter().zip(&committed.receipts) {
            if let Some(entry) = part.entries.first() {
                claims.push(Claim { tenant: part.tenant, index: receipt.first_index, leaf: entry.leaf });
            }
        }
    }
    claims
}

/// A tenant's appends: its row as it will be, and who waits.
struct Append {
    tenant: TenantId,
    before: (u64, u64, u64),
    guard: Option<u64>,
    head: Head,
    entries: Vec<NewEntry>,
    jobs: Vec<(Job, Receipt)>,
}

impl Append {
    fn claim(&self) -> Claim {
        let leaf = self.entries.first().map(|entry| entry.leaf).unwrap_or_default();
        Claim { tenant: self.tenant, index: self.before.2, leaf }
    }
}

#[derive(Default)]
struct Appends {
    rows: Vec<Append>,
}

impl Appends {
    /// Parts a group into what can be appended from memory and what cannot.
    fn gather(shared: &Shared, group: Vec<Job>) -> (Self, Vec<Job>) {
        let mut rows: Vec<Append> = Vec::new();
        let mut at: HashMap<TenantId, usize> = HashMap::new();
        let mut rest = Vec::new();
        for job in group {
            let Some((part, guard)) = job.append() else {
                rest.push(job);
                continue;
            };
            let found = at.get(&part.tenant).and_then(|at| rows.get_mut(*at));
            let mut subtrees: Vec<Subtree> = Vec::new();
            match found {
                Some(row) if row.guard == guard && row.head.holds(part).is_ok() => {
                    let mut head = row.head.clone();
                    let receipt = head.apply(part, &mut subtrees);
                    if subtrees.is_empty() {
                        row.head = head;
                        row.entries.extend(part.entries.iter().cloned());
                        row.jobs.push((job, receipt));
                    } else {
                        rest.push(job);
                    }
                }
                Some(_) => rest.push(job),
                None => {
                    let head = shared.memory.own_head(part.tenant).filter(|head| head.holds(part).is_ok());
                    let Some(mut head) = head else {
                        rest.push(job);
                        continue;
                    };
                    let before = (head.epoch, head.revision, head.ledger.size());
                    let receipt = head.apply(part, &mut subtrees);
                    if subtrees.is_empty() {
                        at.insert(part.tenant, rows.len());
                        let (tenant, entries) = (part.tenant, part.entries.clone());
                        rows.push(Append { tenant, before, guard, head, entries, jobs: vec![(job, receipt)] });
                    } else {
                        rest.push(job);
                    }
                }
            }
        }
        // In order of tenants: what the database locks on the way it locks in the same order everywhere.
        rows.sort_by_key(|row| row.tenant);
        (Self { rows }, rest)
    }

    fn into_jobs(self) -> Vec<Job> {
        self.rows.into_iter().flat_map(|row| row.jobs).map(|(job, _)| job).collect()
    }

    async fn send(&self, session: &Session, stripe: i16) -> Result<Vec<TenantId>, Trouble> {
        let tenants: Vec<Uuid> = self.rows.iter().map(|row| uuid(row.tenant)).collect();
        let column = |value: fn(&Append) -> i64| self.rows.iter().map(value).collect::<Vec<i64>>();
        let epochs = column(|row| row.before.0.cast_signed());
        let revisions = column(|row| row.before.1.cast_signed());
        let guards: Vec<Option<i64>> = self.rows.iter().map(|row| row.guard.map(u64::cast_signed)).collect();
        let sizes = column(|row| row.before.2.cast_signed());
        let new_sizes = column(|row| row.head.ledger.size().cast_signed());
        let edges: Vec<Vec<u8>> = self.rows.iter().map(|row| row.head.ledger.to_bytes()).collect();
        let first = |row: &Append| row.entries.first().cloned();
        let (leaves, sealed): (Vec<Vec<u8>>, Vec<Vec<u8>>) =
            self.rows.iter().filter_map(first).map(|entry| (entry.leaf.to_vec(), entry.sealed)).unzip();
        let platform = uuid(TenantId::PLATFORM);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 11] =
            [&tenants, &epochs, &revisions, &guards, &sizes, &new_sizes, &edges, &leaves, &sealed, &platform, &stripe];
        let (mut of, mut to, mut at, mut more, mut more_sealed) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in &self.rows {
            for (index, entry) in (row.before.2..).zip(&row.entries).skip(1) {
                of.push(uuid(row.tenant));
                to.push(row.head.ledger.size().cast_signed());
                at.push(index.cast_signed());
                more.push(entry.leaf.to_vec());
                more_sealed.push(entry.sealed.clone());
            }
        }
        let rest: [&(dyn tokio_postgres::types::ToSql + Sync); 5] = [&of, &to, &at, &more, &more_sealed];
        let (rows, ()) = tokio_join(session, session.query(Query::Append, &params), async {
            if !of.is_empty() {
                session.query(Query::AppendMore, &rest).await?;
            }
            Ok(())
        })
        .await?;
        rows.iter().map(|row| Ok(tenant(row.try_get(0)?))).collect()
    }
}

/// Two pieces of work, sent in this order; at once if the connection allows it.
async fn tokio_join<A, B>(
    session: &Session,
    first: impl Future<Output = Result<A, Trouble>>,
    second: impl Future<Output = Result<B, Trouble>>,
) -> Result<(A, B), Trouble> {
    if session.pipelines() {
        let (first, second) = futures_util::join!(first, second);
        Ok((first?, second?))
    } else {
        Ok((first.await?, second.await?))
    }
}

/// What a group has to look at before it can be decided.
struct Needs {
    tenants: Vec<TenantId>,
    slugs: Vec<String>,
    places: Vec<(TenantId, bailiwick_store::Space, Vec<u8>)>,
    guards_platform: bool,
}

/// What was found, under locks.
struct Locked {
    book: Book,
    /// Tenants whose rows somebody else holds.
    held: HashSet<TenantId>,
}

impl Needs {
    fn of(group: &[Job]) -> Self {
        let mut tenants = BTreeSet::new();
        let (mut slugs, mut places) = (Vec::new(), Vec::new());
        let mut guards_platform = false;
        for commit in group.iter().map(|job| &job.commit) {
            for (guard, _) in &commit.guards {
                if guard.is_platform() {
                    guards_platform = true;
                } else {
                    tenants.insert(*guard);
                }
            }
            for part in &commit.parts {
                tenants.insert(part.tenant);
                if let Expect::Absent { slug } = &part.expect {
                    slugs.push(slug.clone());
                }
                places.extend(part.writes.iter().map(|write| (part.tenant, write.space, write.key.clone())));
            }
        }
        Self { tenants: tenants.into_iter().collect(), slugs, places, guards_platform }
    }

    async fn read(&self, session: &Session, patience: Patience, stripe: i16) -> Result<Locked, Trouble> {
        let plane = if self.slugs.is_empty() {
            Plane::Tenants(self.tenants.clone())
        } else {
            Plane::Directory(self.tenants.clone())
        };
        let ids: Vec<Uuid> = self.tenants.iter().copied().map(uuid).collect();
        let of: Vec<Uuid> = self.places.iter().map(|(tenant, _, _)| uuid(*tenant)).collect();
        let spaces: Vec<i16> = self.places.iter().map(|(_, space, _)| i16::from(space.number())).collect();
        let keys: Vec<&[u8]> = self.places.iter().map(|(_, _, key)| key.as_slice()).collect();
        let lock = match patience {
            Patience::Skip => Query::LockFree,
            Patience::Wait => Query::LockAll,
        };
        let (lock_ids, slugs): (Vec<Uuid>, Vec<&str>) = (ids.clone(), self.slugs.iter().map(String::as_str).collect());
        let platform = uuid(TenantId::PLATFORM);
        let begin = session.begin(Mode::Write, &plane);
        let lock_params: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&lock_ids];
        let locks = session.query(lock, &lock_params);
        let slugs_of =
            async { if slugs.is_empty() { Ok(Vec::new()) } else { session.query(Query::SlugsTaken, &[&slugs]).await } };
        let versions_of = async {
            if keys.is_empty() { Ok(Vec::new()) } else { session.query(Query::Versions, &[&of, &spaces, &keys]).await }
        };
        let guard_of = async {
            if self.guards_platform {
                session.query(Query::GuardFree, &[&platform, &stripe]).await
            } else {
                Ok(Vec::new())
            }
        };
        let (heads, (slugs_found, (versions, guard))) = if session.pipelines() {
            let (begun, heads, slugs, versions, guard) =
                futures_util::join!(begin, locks, slugs_of, versions_of, guard_of);
            begun?;
            (heads?, (slugs?, (versions?, guard?)))
        } else {
            begin.await?;
            (locks.await?, (slugs_of.await?, (versions_of.await?, guard_of.await?)))
        };
        let mut book = Book::default();
        let mut missing: BTreeSet<TenantId> = self.tenants.iter().copied().collect();
        for row in &heads {
            let (tenant, head) = head_of(row)?;
            missing.remove(&tenant);
            book.enter(tenant, head);
        }
        for row in slugs_found {
            book.enter_slug(row.try_get(0)?);
        }
        for row in versions {
            let at = usize::try_from(row.try_get::<_, i64>(0)?).unwrap_or_default();
            if let Some(place) = at.checked_sub(1).and_then(|at| self.places.get(at)) {
                book.enter_version(place.clone(), row.try_get::<_, i64>(1)?.cast_unsigned());
            }
        }
        if self.guards_platform {
            let guard = match guard.is_empty() {
                false => guard,
                // All are held: the platform's epoch is being moved, or there are more groups than stripes.
                true => session.query(Query::GuardWait, &[&platform, &(stripe % STRIPES)]).await?,
            };
            if let Some(row) = guard.first() {
                book.enter_guard(row.try_get::<_, i64>(0)?.cast_unsigned());
            }
        }
        let mut held = HashSet::new();
        if patience == Patience::Skip && !missing.is_empty() {
            let ids: Vec<Uuid> = missing.iter().copied().map(uuid).collect();
            for row in session.query(Query::Existing, &[&ids]).await? {
                held.insert(tenant(row.try_get(0)?));
            }
        }
        Ok(Locked { book, held })
    }
}

/// A row as it was locked.
pub(crate) fn head_of(row: &Row) -> Result<(TenantId, Head), Trouble> {
    let id = tenant(row.try_get(0)?);
    let counts = Counts::from_bytes(row.try_get(6)?);
    let ledger = CompactRange::from_bytes(row.try_get(7)?);
    let (Some(counts), Some(ledger)) = (counts, ledger) else {
        return Err(Trouble::Statement(format!("the row of {id} does not parse")));
    };
    let head = Head {
        state: state_of(row.try_get(1)?)?,
        wake: row.try_get::<_, Option<i64>>(2)?.map(Timestamp::from_unix_ms),
        epoch: row.try_get::<_, i64>(3)?.cast_unsigned(),
        revision: row.try_get::<_, i64>(4)?.cast_unsigned(),
        meta_version: row.try_get::<_, i64>(5)?.cast_unsigned(),
        counts,
        ledger,
    };
    Ok((id, head))
}

/// A state as the port has it.
pub(crate) fn state_of(number: i16) -> Result<u8, Trouble> {
    u8::try_from(number).map_err(|_| Trouble::Statement("a tenant's state does not fit".to_owned()))
}
