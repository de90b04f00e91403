//! The one who writes.
//!
//! Whose turn it is (see `turn`) takes what waits in a bounded queue, runs it as one transaction, and answers everybody
//! after the one fsync. There is no timer: while a group is being made durable the next one gathers. Of large requests few are
//! in one group, and small ones that came later overtake the others: who writes much at a time is not who makes others wait.
//!
//! # Invariants
//! - INV-WRITER-1: nobody is answered before the COMMIT that holds their request has returned, not even those who are
//!   refused: what they were refused for could still be rolled back.
//! - INV-WRITER-2: after a failure that may have been one of fsync, every connection is closed, WAL recovery decides what
//!   is in the file, and that is made durable in the database itself, before anything else is acknowledged.
//! - INV-WRITER-3: a request that cannot be carried out fails alone. A group that fails is halved until what fails is
//!   found, so nobody can spoil the commits of those who happen to share their group.
//! - INV-WRITER-4: of what waits, the first is in the next group, however large it is.
//!
//! # Deliberately absent
//! No skipping of requests whose caller has gone: a refused attempt stays evidence even if the attacker hangs up.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick_store::{Commit, CommitError, Committed};
use bailiwick_types::TenantId;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::{mpsc, oneshot};

use crate::checkpoint::{Checkpointer, Wal, wal};
use crate::error::{Fail, Fault, OpenError};
use crate::heads::Heads;
use crate::pool::Pool;
use crate::settle::Settling;
use crate::{Options, apply, connect, erase, slots, tail};

/// The most requests of one transaction.
const GROUP_MAX: usize = 1_024;
/// About the most bytes of one transaction.
const GROUP_BYTES_MAX: usize = 8 << 20;
/// A request with so many bytes is a large one.
const LARGE: usize = 16 << 10;
/// About the most bytes of the large requests of one transaction: for these the small ones beside them have to wait.
const LARGE_BYTES_MAX: usize = 128 << 10;
/// So many pages of the WAL the writer moves itself.
const CHECKPOINT_PAGES_MAX: i64 = 64;
/// In so many pieces the WAL is moved: a commit's fsync waits for that of a piece. Half a MiB each is worth one more fsync
/// beside the commits: of 64 tasks the slowest thousandth waited 15 ms for pieces of 4 MiB, and 5 to 8 for small ones.
const PIECES: i64 = 32;
/// At so many times [`Options::checkpoint_pages`] everybody has to wait for a moment, so that the WAL can start anew: a
/// long read has held it up, or the disk is slower than those who commit. If the moment was too short (a backup may read for
/// minutes) the WAL has to double before the next attempt, so that whoever reads for long does not stop those who write.
const CHECKPOINT_OVERDUE: i64 = 4;
/// How long that moment is.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(50);
/// How long moving something out of the log waits for those who read.
const SETTLE_WAIT: Duration = Duration::from_millis(1);
/// At so many times [`Options::log_bytes`] it waits for as long as it takes.
const LOG_OVERDUE: usize = 4;
/// How much a slice out of the log moves at least, if there is as much: an entry, a record, or what one was weighs one, and a
/// large one more (see `tail::weight_of`). It takes half a millisecond to one, for which the next group waits.
const SLICE_MIN: usize = 64;
/// The most, but for a log that has become too long.
const SLICE_MAX: usize = 256;

/// Where a COMMIT takes longer than this, nobody's thread is kept for it.
const SYNC_LONG: Duration = Duration::from_millis(1);
/// It is the mean of about so many.
const SYNCS_MEANT: u32 = 16;

const BEGIN: &str = "BEGIN IMMEDIATE";
const BEAT: &str = "UPDATE pulse SET beat = beat + 1 WHERE one = 1 RETURNING beat";
/// A beat that only changed a number would find room on a disk that has none for any request. This takes more pages than
/// the entry of a read does, and gives them back: to those who come next, as the file does not shrink.
const ROOM: [&str; 2] = ["INSERT INTO room (bytes) VALUES (zeroblob(65536))", "DELETE FROM room"];

/// Something to be done in the writer's transaction.
#[derive(Debug)]
pub(crate) enum Request {
    Commit(Commit),
    /// The first step of an erasure: out of the log.
    Strip {
        tenant: TenantId,
    },
    /// One step of taking what was stripped out of where the log has been.
    Clear,
    /// One step of an erasure, from this ledger index on.
    Erase {
        tenant: TenantId,
        from: u64,
    },
    /// One step of forgetting what records were before the ledger had this size.
    Forget {
        tenant: TenantId,
        size: u64,
    },
    /// A durable write that says nothing.
    Beat,
}

impl Request {
    /// How much it adds to what is to be moved out of the log, about: entries, records and what these were.
    fn weight(&self) -> usize {
        let Self::Commit(commit) = self else { return 0 };
        commit.parts.iter().fold(0, |sum, part| {
            let entries = part.entries.iter().map(|entry| tail::weight_of(entry.sealed.len()));
            let records = part.writes.iter().map(|write| {
                let weight = tail::weight_of(write.value.as_ref().map_or(0, |(_, sealed)| sealed.len()));
                if write.space.keeps_past() { 2 * weight } else { weight }
            });
            entries.chain(records).fold(sum, usize::saturating_add)
        })
    }

    /// About how much it adds to the transaction.
    fn bytes(&self) -> usize {
        match self {
            Self::Commit(commit) => commit.parts.iter().fold(0, |sum, part| {
                let writes =
                    part.writes.iter().filter_map(|write| write.value.as_ref()).map(|(_, sealed)| sealed.len());
                writes.chain(part.entries.iter().map(|entry| entry.sealed.len())).fold(sum, usize::saturating_add)
            }),
            Self::Strip { .. } | Self::Clear | Self::Erase { .. } | Self::Forget { .. } => GROUP_BYTES_MAX / 8,
            Self::Beat => 0,
        }
    }
}

/// What was done.
#[derive(Debug)]
pub(crate) enum Answer {
    Committed(Committed),
    Stripped { is_more: bool },
    Erased { next: Option<u64> },
    Forgotten { is_more: bool },
    Beat(i64),
}

/// A request and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) request: Request,
    pub(crate) reply: oneshot::Sender<Result<Answer, CommitError>>,
}

/// The writer's state. Whose turn it is has it (see `turn`).
pub(crate) struct Writer {
    queue: mpsc::Receiver<Job>,
    /// What was taken from the queue, in its order, and waits for a group.
    waiting: Vec<Job>,
    /// What is carried out next.
    group: Vec<Job>,
    path: PathBuf,
    options: Options,
    /// `None` while recovery has not succeeded.
    conn: Option<Connection>,
    heads: Heads,
    pool: Arc<Pool>,
    /// Pages in the WAL from which on readers have to wait for it.
    overdue: i64,
    /// Whether the log or the WAL has become so long that readers have to wait for it.
    is_overdue: bool,
    /// How long a COMMIT takes, in the mean of the last ones.
    sync_takes: Duration,
    settling: Settling,
    /// How much is to be moved for what the groups so far have added to the log.
    owed: usize,
    /// How much of that before the next group: as much as the last one has added.
    due: usize,
    /// Whether some of it can be moved now.
    is_behind: bool,
    checkpointer: Checkpointer,
    #[cfg(test)]
    pub(crate) sabotage: Arc<crate::sabotage::Sabotage>,
}

impl Writer {
    /// A writer on an open connection.
    pub(crate) fn new(
        path: PathBuf,
        options: &Options,
        conn: Connection,
        pool: Arc<Pool>,
        queue: mpsc::Receiver<Job>,
    ) -> Result<Self, OpenError> {
        let settling = load(&conn, &pool)?;
        let checkpointer = Checkpointer::start().map_err(|error| OpenError::Io { path: path.clone(), error })?;
        checkpointer.open(&path, options)?;
        Ok(Self {
            queue,
            waiting: Vec::new(),
            group: Vec::new(),
            path,
            checkpointer,
            options: options.clone(),
            settling,
            owed: 0,
            due: 0,
            is_behind: false,
            conn: Some(conn),
            heads: Heads::new(options.cache_tenants, Arc::clone(&pool.memory)),
            pool,
            overdue: i64::from(options.checkpoint_pages).saturating_mul(CHECKPOINT_OVERDUE),
            is_overdue: false,
            sync_takes: Duration::ZERO,
            #[cfg(test)]
            sabotage: Arc::default(),
        })
    }

    /// Whether anybody waits.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.group.is_empty() || !self.waiting.is_empty() || !self.queue.is_empty()
    }

    /// Whether there is anything to do, though nobody may wait for it.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_waited_for() || self.is_behind
    }

    /// Makes a group of what waits and carries it out; or, if that may keep a thread waiting, returns that it is to
    /// [`Writer::go_on`] where this does no harm.
    pub(crate) fn begin(&mut self) -> bool {
        self.gather();
        let is_long = self.is_long();
        if !is_long {
            self.carry_out(false);
        }
        is_long
    }

    /// Carries out what was gathered, however long it takes.
    pub(crate) fn go_on(&mut self) {
        self.be_patient();
        self.carry_out(true);
    }

    /// Carries out everything that waits.
    pub(crate) fn finish(&mut self) {
        while self.is_waited_for() {
            self.gather();
            self.go_on();
        }
    }

    /// Carries out what still waits, and closes the database.
    pub(crate) fn close(&mut self) {
        self.finish();
        self.be_patient();
        // Whoever opens the file next need not read the log. If it cannot be, they do.
        self.settle_all();
        self.checkpointer.close();
        // The writer closes last: only a connection that may write empties the WAL when it goes.
        self.pool.close();
        self.conn = None;
    }

    /// Leaves undone what waits, and accepts nothing more. Whoever waits is told.
    pub(crate) fn stop(&mut self) {
        self.queue.close();
        while self.queue.try_recv().is_ok() {}
        self.waiting.clear();
        self.group.clear();
    }

    /// Makes a group of what waits, unless there is one, or something is to be done before.
    fn gather(&mut self) {
        if self.due > 0 || !self.group.is_empty() {
            return;
        }
        while self.waiting.len() < GROUP_MAX
            && let Ok(job) = self.queue.try_recv()
        {
            self.waiting.push(job);
        }
        let (mut is_first, mut bytes, mut large) = (true, 0_usize, 0_usize);
        let fits = |job: &mut Job| {
            let adds = job.request.bytes();
            let adds_large = if adds < LARGE { 0 } else { adds };
            let with_it = (bytes.saturating_add(adds), large.saturating_add(adds_large));
            let fits = with_it.0 <= GROUP_BYTES_MAX && (adds_large == 0 || with_it.1 <= LARGE_BYTES_MAX);
            if std::mem::take(&mut is_first) || fits {
                (bytes, large) = with_it;
                return true;
            }
            false
        };
        self.group = self.waiting.extract_if(.., fits).collect();
    }

    /// Whether to carry out the group may keep a thread waiting. If not, its transaction has begun, unless it is empty.
    fn is_long(&self) -> bool {
        let takes_long = |job: &Job| !matches!(job.request, Request::Commit(_) | Request::Beat);
        self.is_overdue
            || self.sync_takes > SYNC_LONG
            || self.checkpointer.has_failed()
            || self.group.iter().any(takes_long)
            || !self.conn.as_ref().is_some_and(|conn| {
                // Some other program may have the lock.
                wait_for_others(conn, Duration::ZERO);
                self.group.is_empty() || execute(conn, BEGIN).is_ok()
            })
    }

    /// From here on, other programs that hold a lock are waited for.
    fn be_patient(&self) {
        if let Some(conn) = &self.conn {
            wait_for_others(conn, connect::BUSY_TIMEOUT);
        }
    }

    fn carry_out(&mut self, may_wait: bool) {
        let group = std::mem::take(&mut self.group);
        let added = group.iter().map(|job| job.request.weight()).fold(0, usize::saturating_add);
        if !group.is_empty() {
            self.serve(group);
        }
        self.tidy(added, may_wait);
    }

    /// Carries out a group and answers it.
    fn serve(&mut self, mut group: Vec<Job>) {
        let fault = match self.transact(&group) {
            Ok(answers) => {
                for (job, answer) in group.into_iter().zip(answers) {
                    // Whoever has gone away does not need the answer.
                    let _ = job.reply.send(answer);
                }
                return;
            }
            Err(fault) => fault,
        };
        match &fault {
            Fault::Data(_) if group.len() > 1 => {
                self.be_patient();
                let rest = group.split_off(group.len() / 2);
                self.serve(group);
                self.serve(rest);
                return;
            }
            Fault::Data(error) => tracing::warn!(%error, "a request to the store failed"),
            Fault::Busy(error) => tracing::warn!(%error, "another program keeps the database to itself"),
            Fault::Engine(why) => {
                tracing::error!(why, "the database failed, recovering it");
                // Before the answers: a caller who retries at once must not find the past.
                self.recover();
            }
        }
        for job in group {
            let _ = job.reply.send(Err(fault.answer()));
        }
    }

    /// Runs a group as one transaction. On an error nothing of it is applied, as far as this process can tell.
    fn transact(&mut self, group: &[Job]) -> Result<Vec<Result<Answer, CommitError>>, Fault> {
        if (self.conn.is_none() || self.checkpointer.has_failed()) && !self.recover() {
            return Err(Fault::Engine("the database cannot be opened".to_owned()));
        }
        let Some(conn) = &self.conn else { return Err(Fault::Engine("the database is closed".to_owned())) };
        let (heads, settling) = (&mut self.heads, &self.settling);
        // A panic in here is our bug. It must not take all tenants' writer away.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            if conn.is_autocommit() {
                execute(conn, BEGIN).map_err(Fault::of_begin)?;
            }
            let clears = group.iter().any(|job| matches!(job.request, Request::Clear));
            let (cleared, is_more) =
                if clears { settling.clear(conn) } else { Ok(Default::default()) }.map_err(Fault::of_statement)?;
            let answers = group.iter().map(|job| perform(conn, heads, &job.request, is_more));
            let answers = answers.collect::<Result<Vec<_>, _>>().map_err(Fault::of_statement)?;
            let used = match heads.flush(conn).map_err(Fault::of_statement)? {
                Some(body) => settling.append(conn, body, cleared).map_err(Fault::of_statement)?,
                None => cleared,
            };
            let strips = group.iter().any(|job| matches!(job.request, Request::Strip { .. }));
            let anew = strips.then(|| slots::load(conn)).transpose().map_err(Fault::of_statement)?.flatten();
            #[cfg(test)]
            self.sabotage.before_commit()?;
            let began = Instant::now();
            execute(conn, "COMMIT").map_err(Fault::of_commit)?;
            #[cfg(test)]
            self.sabotage.committing();
            #[cfg(test)]
            self.sabotage.after_commit()?;
            Ok((answers, used, anew, began.elapsed()))
        }));
        match outcome.unwrap_or_else(|_| Err(Fault::Engine("the writer panicked".to_owned()))) {
            Ok((answers, used, anew, sync)) => {
                self.sync_takes = (self.sync_takes * (SYNCS_MEANT - 1) + sync) / SYNCS_MEANT;
                self.heads.keep();
                self.settling.grown(used);
                if let Some(anew) = anew {
                    self.settling.stripped(anew);
                }
                // Copies of what was erased must not stay behind in the WAL either. (If some other program reads it just
                // now they do, until the WAL starts anew.)
                if answers.iter().any(|answer| matches!(answer, Ok(Answer::Erased { next: None }))) {
                    self.checkpoint("TRUNCATE");
                }
                Ok(answers)
            }
            Err(Fault::Data(error)) => {
                self.heads.forget();
                // SQLite may have rolled back by itself; if it has not and we cannot, nothing is known any more.
                if !conn.is_autocommit()
                    && let Err(error) = execute(conn, "ROLLBACK")
                {
                    return Err(Fault::Engine(error.to_string()));
                }
                Err(Fault::Data(error))
            }
            Err(fault) => Err(fault),
        }
    }

    /// Keeps the log and the WAL short. Runs after the answers, so that nobody waits for it but the next group. What only
    /// waiting helps is left to a group that may wait.
    fn tidy(&mut self, added: usize, may_wait: bool) {
        #[cfg(test)]
        self.sabotage.before_tidying();
        (self.is_overdue, self.is_behind) = (false, false);
        let due = std::mem::take(&mut self.due).saturating_add(added);
        let bytes = self.settling.bytes();
        if self.settling.is_under_way() || self.settling.is_due(self.options.log_bytes) {
            // Readers are waited for only if the log has become far too long.
            self.is_overdue = bytes > self.options.log_bytes.saturating_mul(LOG_OVERDUE);
            // Faster than it grows, and the faster the longer it is.
            let times = bytes.checked_div(self.options.log_bytes).unwrap_or(usize::MAX).saturating_add(1);
            self.owed = self.owed.saturating_add(added.saturating_mul(2).saturating_mul(times));
            let weight = self.owed.clamp(SLICE_MIN, SLICE_MAX.saturating_mul(times));
            let patience = if self.is_overdue && may_wait { connect::BUSY_TIMEOUT } else { SETTLE_WAIT };
            let is_done = self.settle(weight, patience);
            self.owed = if self.settling.is_under_way() { self.owed.saturating_sub(weight) } else { 0 };
            // What could not be moved now waits for the next group, as whoever reads may do so for long.
            self.is_behind = is_done && self.owed > 0;
            self.due = if self.is_behind { due.saturating_sub(weight) } else { 0 };
        }
        let Some(conn) = &self.conn else { return };
        let enough = i64::from(self.options.checkpoint_pages.max(1));
        match wal(conn, "NOOP") {
            Ok(Wal { pages, .. }) if pages >= self.overdue && !may_wait => self.is_overdue = true,
            Ok(Wal { pages, .. }) if pages >= self.overdue => {
                self.overdue = pages.saturating_mul(2);
                self.checkpoint("RESTART");
            }
            Ok(Wal { pages, moved, .. }) if pages >= enough && pages - moved <= CHECKPOINT_PAGES_MAX => {
                self.checkpoint("PASSIVE");
            }
            Ok(Wal { pages, moved, .. }) => {
                if pages >= enough || pages - moved >= enough / PIECES {
                    self.checkpointer.wake();
                }
                if pages < enough {
                    // It has started anew.
                    self.overdue = enough.saturating_mul(CHECKPOINT_OVERDUE);
                }
            }
            Err(error) => tracing::warn!(%error, "the size of the write-ahead log is unknown"),
        }
    }

    /// Moves everything out of the log.
    fn settle_all(&mut self) {
        while self.settling.is_under_way() || self.settling.bytes() > 0 {
            if !self.settle(usize::MAX, connect::BUSY_TIMEOUT) {
                return;
            }
        }
    }

    /// Moves a slice out of the log. Returns whether that went well.
    fn settle(&mut self, weight: usize, patience: Duration) -> bool {
        let Some(conn) = &self.conn else { return false };
        let (settling, tail, keep) = (&mut self.settling, &self.pool.memory.tail, self.options.log_bytes);
        // A panic in here is our bug. It must not take all tenants' writer away.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // Without an fsync: what is lost is in the log.
            conn.execute_batch("PRAGMA synchronous = NORMAL").map_err(Fault::of_statement)?;
            execute(conn, BEGIN).map_err(Fault::of_begin)?;
            let slice = settling.slice(conn, tail, weight, keep).map_err(Fault::of_statement)?;
            #[cfg(test)]
            self.sabotage.before_settling()?;
            let Some(_alone) = tail.exclude(patience) else {
                // Those who read will be done when the next slice is moved.
                execute(conn, "ROLLBACK").map_err(Fault::of_commit)?;
                return Ok(false);
            };
            execute(conn, "COMMIT").map_err(Fault::of_commit)?;
            settling.done(tail, &slice);
            Ok(true)
        }));
        let outcome = outcome.unwrap_or_else(|_| Err(Fault::Engine("the writer panicked".to_owned())));
        let outcome = match outcome {
            Ok(is_done) => Ok(is_done),
            Err(Fault::Data(error)) => {
                // There is no room, or something in a table is damaged. What is in the log stays there.
                tracing::warn!(%error, "some of the log of commits cannot be moved into the tables");
                settling.stumbled(error.sqlite_error_code() == Some(ErrorCode::DiskFull));
                let is_over = conn.is_autocommit() || execute(conn, "ROLLBACK").is_ok();
                if is_over { Ok(false) } else { Err("a transaction cannot be rolled back".to_owned()) }
            }
            Err(Fault::Busy(_)) => Ok(false),
            Err(Fault::Engine(why)) => Err(why),
        };
        let durable = || conn.execute_batch(connect::DURABLE).map_err(|error| error.to_string());
        outcome.and_then(|is_done| durable().map(|()| is_done)).unwrap_or_else(|why| {
            tracing::error!(why, "the database failed, recovering it");
            self.recover();
            false
        })
    }

    /// Moves the WAL into the database. What was acknowledged is durable with or without.
    fn checkpoint(&mut self, mode: &str) {
        let Some(conn) = &self.conn else { return };
        let still = (mode != "PASSIVE").then(|| self.checkpointer.pause());
        wait_for_others(conn, CHECKPOINT_WAIT);
        let done = wal(conn, mode);
        wait_for_others(conn, connect::BUSY_TIMEOUT);
        drop(still);
        if let Err(error) = done {
            match Fault::of_commit(error) {
                // There is no room yet. The WAL keeps what it has, and commits fail once it cannot grow either.
                Fault::Data(error) | Fault::Busy(error) => {
                    tracing::warn!(%error, "the write-ahead log cannot be moved into the database")
                }
                Fault::Engine(why) => {
                    tracing::error!(why, "the database failed, recovering it");
                    self.recover();
                }
            }
        }
    }

    /// Closes everything and opens it again, whatever the connections believed.
    ///
    /// The crash argument: after a failed fsync the kernel may count pages as written that are not on disk. A commit that
    /// failed may be in the WAL as this process reads it, and be followed by one that is acknowledged; a power cut that
    /// then loses the first would lose the second with it, as frames are valid only in sequence. So whatever recovery
    /// finds is written to the database and synced there, and the WAL starts empty, before anything else is accepted.
    fn recover(&mut self) -> bool {
        // In this order: nothing that is read meanwhile is kept.
        self.checkpointer.close();
        self.pool.close();
        self.heads.forget_all();
        if let Some(conn) = self.conn.take() {
            // It must not checkpoint on its way out by what it has in memory. If this fails it will; the WAL is
            // checksummed, so the worst is that a failed commit becomes a late one.
            let _ = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
        match self.reopen() {
            Ok((conn, settling)) => (self.conn, self.settling) = (Some(conn), settling),
            Err(why) => {
                tracing::error!(why, "the database cannot be recovered yet");
                self.pool.close();
            }
        }
        self.conn.is_some()
    }

    fn reopen(&self) -> Result<(Connection, Settling), String> {
        #[cfg(test)]
        self.sabotage.reopen()?;
        let conn = connect::writer(&self.path, &self.options).map_err(|error| error.to_string())?;
        let Wal { is_busy, .. } = wal(&conn, "TRUNCATE").map_err(|error| error.to_string())?;
        if is_busy {
            return Err("another program is reading the write-ahead log".to_owned());
        }
        let settling = load(&conn, &self.pool).map_err(|error| error.to_string())?;
        self.checkpointer.open(&self.path, &self.options).map_err(|error| error.to_string())?;
        self.pool.open().map_err(|error| error.to_string())?;
        Ok((conn, settling))
    }
}

/// What the log of a database holds, into memory.
fn load(conn: &Connection, pool: &Pool) -> Result<Settling, OpenError> {
    let found = slots::load(conn)?.ok_or_else(tail::damaged)?;
    pool.memory.tail.load(conn, &found.rows)?;
    Ok(Settling::new(found))
}

/// Does what a request asks for; what [`Request::Clear`] asks for was done, with or without more to do. An outer error means
/// that the transaction has to go.
fn perform(
    conn: &Connection,
    heads: &mut Heads,
    request: &Request,
    is_more: bool,
) -> rusqlite::Result<Result<Answer, CommitError>> {
    let done = match request {
        Request::Commit(commit) => apply::commit(conn, heads, commit).map(Answer::Committed),
        Request::Strip { tenant } => erase::strip(conn, heads, *tenant).map(|()| Answer::Stripped { is_more: true }),
        Request::Clear => Ok(Answer::Stripped { is_more }),
        Request::Erase { tenant, from } => erase::step(conn, heads, *tenant, *from).map(|next| Answer::Erased { next }),
        Request::Forget { tenant, size } => {
            erase::forget(conn, heads, *tenant, *size).map(|is_more| Answer::Forgotten { is_more })
        }
        Request::Beat => beat(conn),
    };
    match done {
        Ok(answer) => Ok(Ok(answer)),
        Err(Fail::Refused(refusal)) => Ok(Err(refusal)),
        Err(Fail::Statement(error)) => Err(error),
    }
}

fn beat(conn: &Connection) -> Result<Answer, Fail> {
    for sql in ROOM {
        execute(conn, sql)?;
    }
    Ok(Answer::Beat(conn.prepare_cached(BEAT)?.query_row([], |row| row.get(0))?))
}

/// How long to wait for other programs that hold a lock.
fn wait_for_others(conn: &Connection, patience: Duration) {
    // It sets a number: of a connection that is open it cannot fail.
    let _ = conn.busy_timeout(patience);
}

fn execute(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(drop)
}
