//! Which program this process runs, for attestations.
//!
//! # Deliberately absent
//! No trust in what is found: a program can be made to say anything about itself. What it says is a claim, signed.

use std::fs::File;
use std::io::{self, Read};

use bailiwick_ledger::export::Sha256;
use data_encoding::HEXLOWER;

/// SHA-256 of the running program, in hexadecimal; `None` if it cannot be read. Reads a file of many megabytes.
pub(crate) fn digest() -> Option<String> {
    let file = running().map_err(|error| tracing::warn!(%error, "cannot read the program that is running")).ok()?;
    let hash = hash_of(file).map_err(|error| tracing::warn!(%error, "cannot read the program that is running")).ok()?;
    Some(HEXLOWER.encode(&hash))
}

/// On Linux what runs, and not what has taken its name since: an upgrade replaces the file while the old one runs on.
fn running() -> io::Result<File> {
    if cfg!(target_os = "linux") { File::open("/proc/self/exe") } else { File::open(std::env::current_exe()?) }
}

fn hash_of(mut reader: impl Read) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        match buffer.get(..read).filter(|piece| !piece.is_empty()) {
            Some(piece) => digest.update(piece),
            None => return Ok(digest.finish()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_hash_of_the_file_that_runs() {
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(whole.len() > 1 << 16);
        assert_eq!(digest().unwrap(), HEXLOWER.encode(&bailiwick_ledger::sha256(&whole)));
    }
}
