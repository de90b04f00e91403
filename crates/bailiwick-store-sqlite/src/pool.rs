//! Read connections.
//!
//! A point read takes some ten microseconds, less than handing it to another thread would; so it runs where it is asked
//! for, on whichever connection is free. Only long reads move to a blocking thread.
//!
//! # Invariants
//! - INV-POOL-1: no connection is left inside a transaction: the next read would see the past.
//! - INV-POOL-2: while the pool is closed every read fails; nothing waits for a store that may never recover.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bailiwick_store::StoreError;
use bailiwick_types::TenantId;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use rusqlite::Connection;

use crate::cache::Records;
use crate::error::of_read;
use crate::tail::Tail;
use crate::{Options, connect};

/// What readers know beside the tables.
pub(crate) struct Memory {
    /// The numbers of tenants, as far as they were looked up. Sound without invalidation: a number is read only once it is
    /// committed, and a tenant keeps its number for ever.
    pub(crate) numbers: Cache<TenantId, i64>,
    pub(crate) tail: Tail,
    pub(crate) records: Records,
}

impl Memory {
    /// That of nobody who has read anything.
    pub(crate) fn new(options: &Options) -> Self {
        let numbers = Cache::new(options.cache_tenants.max(1));
        Self { numbers, tail: Tail::default(), records: Records::new(options.cache_bytes) }
    }
}

/// A fixed set of read connections, or none while the store recovers.
pub(crate) struct Pool {
    path: PathBuf,
    slots: Box<[Mutex<Option<Connection>>]>,
    next: AtomicUsize,
    pub(crate) memory: Arc<Memory>,
}

impl Pool {
    /// A closed pool.
    pub(crate) fn new(path: PathBuf, options: &Options) -> Self {
        Self {
            path,
            slots: (0..options.read_connections.max(1)).map(|_| Mutex::new(None)).collect(),
            next: AtomicUsize::new(0),
            memory: Arc::new(Memory::new(options)),
        }
    }

    /// Opens all connections.
    pub(crate) fn open(&self) -> rusqlite::Result<()> {
        for slot in &self.slots {
            let conn = connect::reader(&self.path)?;
            *slot.lock() = Some(conn);
        }
        Ok(())
    }

    /// Closes all connections, each as soon as the read that it serves is done.
    pub(crate) fn close(&self) {
        for slot in &self.slots {
            slot.lock().take();
        }
    }

    /// Runs a read here and now.
    pub(crate) fn read<T>(
        &self,
        read: impl FnOnce(&Connection, &Memory) -> rusqlite::Result<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let turn = start % self.slots.len();
        let (before, after) = self.slots.split_at_checked(turn).unwrap_or_default();
        let free = after.iter().chain(before).find_map(Mutex::try_lock);
        let slot = match free {
            Some(slot) => slot,
            None => match self.slots.get(turn) {
                Some(slot) => slot.lock(),
                None => return Err(StoreError::Unavailable("no read connection".to_owned())),
            },
        };
        match slot.as_ref() {
            Some(conn) => read(conn, &self.memory).map_err(|error| of_read(&error))?,
            None => Err(StoreError::Unavailable("the database is being recovered".to_owned())),
        }
    }
}
