//! Lines of bounded length, one in memory at a time.

use std::io::{BufRead, ErrorKind};

use bailiwick_ledger::export::LINE_BYTES_MAX;

use crate::error::{Expected, VerifyError};

/// The lines of an export.
pub(super) struct Lines<R> {
    reader: R,
    number: u64,
    buffer: Vec<u8>,
    /// Whether the last line was none: what comes after it is nothing's beginning.
    is_broken: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn of(reader: R) -> Self {
        Self { reader, number: 0, buffer: Vec::new(), is_broken: false }
    }

    /// Goes to the next line, which has to be there and to be complete.
    pub(super) fn advance(&mut self, expected: Expected) -> Result<(), VerifyError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let outcome = self.append(expected, &mut buffer);
        self.buffer = buffer;
        outcome
    }

    /// Appends the next line to `buffer`, with its newline. It has to be there and to be complete.
    pub(super) fn append(&mut self, expected: Expected, buffer: &mut Vec<u8>) -> Result<(), VerifyError> {
        let start = buffer.len();
        self.is_broken = true;
        let is_complete = self.read(buffer)?;
        self.is_broken = !is_complete;
        let length = buffer.len() - start;
        if length == 0 && self.number == 0 {
            return Err(VerifyError::Empty);
        }
        self.number += 1;
        let line = self.number;
        match length {
            _ if is_complete => Ok(()),
            0..=LINE_BYTES_MAX => Err(VerifyError::Truncated { line, expected }),
            _ => Err(VerifyError::LineTooLong { line }),
        }
    }

    /// How many lines were read: the number of the last one, counted from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The line, without its newline.
    pub(super) fn line(&self) -> &[u8] {
        self.buffer.strip_suffix(b"\n").unwrap_or(&self.buffer)
    }

    /// The line, with its newline.
    pub(super) fn raw(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads up to a newline, the end or the limit. Whether there was a newline.
    fn read(&mut self, buffer: &mut Vec<u8>) -> Result<bool, VerifyError> {
        // As `read_until` does, whose search for the newline takes several times as long.
        let mut room = LINE_BYTES_MAX + 1;
        loop {
            let there = match self.reader.fill_buf() {
                Ok(there) => there.get(..room).unwrap_or(there),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => return Err(VerifyError::Read { line: self.number, source }),
            };
            let end = memchr::memchr(b'\n', there).map(|at| at + 1);
            let taken = end.unwrap_or(there.len());
            buffer.extend_from_slice(there.get(..taken).unwrap_or(there));
            self.reader.consume(taken);
            room -= taken;
            if end.is_some() || taken == 0 {
                return Ok(end.is_some());
            }
        }
    }

    /// Nothing may follow.
    pub(super) fn end(&mut self) -> Result<(), VerifyError> {
        self.buffer.clear();
        let mut buffer = std::mem::take(&mut self.buffer);
        self.read(&mut buffer)?;
        if buffer.is_empty() { Ok(()) } else { Err(VerifyError::TrailingData { line: self.number + 1 }) }
    }

    /// The number of the next line that is `wanted`, if there is one before the end or anything that is no line.
    pub(super) fn find(&mut self, mut wanted: impl FnMut(&[u8]) -> bool) -> Option<u64> {
        while !self.is_broken && self.advance(Expected::Seal).is_ok() {
            if wanted(self.line()) {
                return Some(self.number);
            }
        }
        None
    }
}
