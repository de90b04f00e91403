//! The entries: checked by several threads, put together in order.
//!
//! A fixed number of blocks goes around. This thread fills them and hands them to the workers in turn; a worker checks its
//! lines, hashes its entries and what of the tree is over them alone; this thread takes them back in the same turn and puts
//! together what has to be in order, the rest of the tree and the hash for the seal. So the first problem is the first in the file, and memory is what these blocks take
//! (INV-VERIFY-2): no channel has to be bounded.

use std::io::BufRead;
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use bailiwick_ledger::export::{ExportHeader, Sha256};
use bailiwick_ledger::{Checkpoint, CompactRange};
use bailiwick_types::Timestamp;

use super::Options;
use super::block::{Block, Found, Problem, Terms, has, line_of};
use super::lines::Lines;
use crate::error::{Expected, VerifyError};

/// After how many entries progress is told.
const PROGRESS_ENTRIES: u64 = 1 << 14;

/// So few entries are checked before the threads would have been started.
const FEW_ENTRIES: u64 = 1 << 10;

/// What is kept of the entries.
pub(super) struct Entries<'a> {
    size: u64,
    tenant: &'a str,
    previous: Option<&'a Checkpoint>,
    options: &'a Options<'a>,
    pub(super) digest: Sha256,
    pub(super) tree: CompactRange,
    pub(super) erased: u64,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
}

/// A thread that checks blocks, as seen from outside.
struct Worker {
    blocks: Sender<Block>,
    results: Receiver<(Block, Found)>,
}

impl<'a> Entries<'a> {
    pub(super) fn read(
        header: &'a ExportHeader,
        lines: &mut Lines<impl BufRead>,
        digest: Sha256,
        previous: Option<&'a Checkpoint>,
        options: &'a Options<'a>,
        block_bytes: usize,
    ) -> Result<Self, VerifyError> {
        let ExportHeader { size, tenant, .. } = header;
        let (size, tree) = (*size, CompactRange::new());
        let mut entries = Self { size, tenant, previous, options, digest, tree, erased: 0, first: None, last: None };
        entries.compare()?;
        let threads = match options.threads {
            None if size <= FEW_ENTRIES => 1,
            threads => threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get),
        };
        match threads {
            1 => entries.read_alone(lines, block_bytes)?,
            _ => entries.read_with(threads, lines, block_bytes)?,
        }
        Ok(entries)
    }

    fn read_alone(&mut self, lines: &mut Lines<impl BufRead>, block_bytes: usize) -> Result<(), VerifyError> {
        let mut block = Block::default();
        let mut is_more = self.size > 0;
        while is_more {
            is_more = block.fill(lines, self.size, block_bytes);
            let found = block.check(self.terms());
            self.take(found).map_err(|problem| problem.explain([&block], lines))?;
        }
        Ok(())
    }

    fn read_with(
        &mut self,
        threads: usize,
        lines: &mut Lines<impl BufRead>,
        block_bytes: usize,
    ) -> Result<(), VerifyError> {
        let terms = self.terms();
        thread::scope(|scope| {
            let workers: Vec<Worker> = (0..threads)
                .map(|_| {
                    let (blocks, to_check) = mpsc::channel::<Block>();
                    let (checked, results) = mpsc::channel();
                    scope.spawn(move || {
                        for mut block in to_check {
                            let found = block.check(terms);
                            let _ = checked.send((block, found));
                        }
                    });
                    Worker { blocks, results }
                })
                .collect();
            // One that is checked and one that waits, for each worker.
            let mut empty: Vec<Block> = (0..2 * threads).map(|_| Block::default()).collect();
            let (mut to, mut from) = (workers.iter().cycle(), workers.iter().cycle());
            let mut under_way = 0_usize;
            let mut is_more = self.size > 0;
            loop {
                while is_more && let Some(mut block) = empty.pop() {
                    is_more = block.fill(lines, self.size, block_bytes);
                    let _ = to.next().map(|worker| worker.blocks.send(block));
                    under_way += 1;
                }
                // A thread that is gone has panicked, and then so does the scope.
                let mut results = from.by_ref().take(under_way).map_while(|worker| worker.results.recv().ok());
                let Some((block, found)) = results.next() else { return Ok(()) };
                if let Err(problem) = self.take(found) {
                    let ahead: Vec<Block> = std::iter::once(block).chain(results.map(|(block, _)| block)).collect();
                    return Err(problem.explain(&ahead, lines));
                }
                under_way -= 1;
                empty.push(block);
            }
        })
    }

    fn terms(&self) -> Terms<'a> {
        let cut = self.previous.map(|previous| previous.size);
        Terms { tenant: self.tenant, cut, step: PROGRESS_ENTRIES }
    }

    /// Appends what a block holds.
    fn take(&mut self, found: Found) -> Result<(), Problem> {
        self.digest.update(&found.frames);
        for run in found.runs {
            // Blocks are taken in the order in which they were filled: each run begins where the one before it ended.
            let _ = self.tree.extend(&run);
            self.compare()?;
            let done = self.tree.size();
            if let Some(progress) = self.options.progress
                && (done.is_multiple_of(PROGRESS_ENTRIES) || done == self.size)
            {
                progress(done, self.size);
            }
        }
        self.erased += found.erased;
        if let Some((first, last)) = found.times {
            self.first.get_or_insert(first);
            self.last = Some(last);
        }
        found.problem.map_or(Ok(()), Err)
    }

    /// Compares with the earlier checkpoint once as many entries are there.
    fn compare(&self) -> Result<(), VerifyError> {
        match self.previous {
            Some(previous) if previous.size == self.tree.size() && previous.root != self.tree.root() => {
                Err(VerifyError::Rewritten { line: self.tree.size() + 1, previous: previous.size })
            }
            _ => Ok(()),
        }
    }
}

impl Problem {
    /// What it is. `ahead` are the blocks that were read by then, from that of the problem on.
    fn explain<'b>(self, ahead: impl IntoIterator<Item = &'b Block>, lines: &mut Lines<impl BufRead>) -> VerifyError {
        let (index, found) = match self {
            Self::Wrong(error) => return error,
            Self::Misplaced { index, found } => (index, found),
        };
        let line = line_of(index);
        // All before `index` were there.
        if found < index {
            return VerifyError::Repeated { line, index, found };
        }
        // Whether it comes later costs reading on, but tells a deletion from a swap.
        let later = ahead.into_iter().find_map(|block| block.find_after(index));
        match later.or_else(|| lines.find(|line| has(line, index))) {
            Some(later) => VerifyError::OutOfOrder { line, index, found, later },
            None => VerifyError::Missing { line, expected: Expected::Entry(index) },
        }
    }
}
