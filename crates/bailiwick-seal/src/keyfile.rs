//! The root key in a file: 64 hexadecimal digits and a newline, mode 0600.
//!
//! INV: a file that anyone but its owner may read or write is refused, and an existing file is never overwritten: it
//! may be the only key to everything.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use bailiwick_types::Secret;
use data_encoding::HEXLOWER;
use zeroize::{Zeroize as _, Zeroizing};

use crate::root::RootKey;

const TEXT_BYTES: usize = 65;

impl RootKey {
    /// Reads the key from a file that [`RootKey::write_file`] wrote.
    ///
    /// # Errors
    /// `PermissionDenied` if others than the owner may read or write the file, `InvalidData` if it holds something
    /// else, and whatever reading fails with.
    pub fn read_file(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let mut file = File::open(path)?;
        // Of the open file, not of the path: the file cannot be exchanged between the check and the reading.
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidData, "the root key is not a regular file"));
        }
        if metadata.mode() & 0o077 != 0 {
            let why = format!(
                "the root key `{}` is open to others (mode {:04o}); make it 0600, and consider it known to them",
                path.display(),
                metadata.mode() & 0o7777,
            );
            return Err(io::Error::new(ErrorKind::PermissionDenied, why));
        }
        // One byte more than there should be, so that a longer file is noticed and nothing is read into a growing buffer.
        let mut text = Zeroizing::new([0u8; TEXT_BYTES + 1]);
        let mut filled = 0;
        while let Some(free) = text.get_mut(filled..).filter(|free| !free.is_empty()) {
            match file.read(free) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let malformed = || io::Error::new(ErrorKind::InvalidData, "not a root key: want 64 hexadecimal digits");
        let text = text.get(..filled).ok_or_else(malformed)?;
        let digits = text.strip_suffix(b"\n").unwrap_or(text);
        if digits.len() != TEXT_BYTES - 1 {
            return Err(malformed());
        }
        let mut key = [0u8; 32];
        let decoded = HEXLOWER.decode_mut(digits, &mut key);
        let this = decoded.map(|_| Self::from_bytes(Secret::new(key))).map_err(|_| malformed());
        key.zeroize();
        this
    }

    /// Writes the key to a new file of mode 0600 and waits until it is on disk.
    ///
    /// # Errors
    /// `AlreadyExists` if there is a file, and whatever writing fails with.
    pub fn write_file(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        let mut text = Zeroizing::new([b'\n'; TEXT_BYTES]);
        if let Some(digits) = text.first_chunk_mut::<{ TEXT_BYTES - 1 }>() {
            HEXLOWER.encode_mut(self.bytes(), digits);
        }
        // `create_new` also refuses to follow a dangling link. The mode applies before the first byte is written.
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if let Err(error) = file.write_all(text.as_slice()).and_then(|()| file.sync_all()) {
            // The file is ours and holds no whole key; left there, it would only be in the way of the next attempt.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        // The name must survive a crash too, not only the contents.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}
