//! Files that hold credentials or evidence: private from the first byte, and replaced as a whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Writes a file of mode 0600 so that a reader sees the old contents or the new, never a part, and nobody else sees
/// either.
///
/// # Errors
/// As the file system says. The old file is then as it was.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = PrivateFile::create(path)?;
    file.write_all(contents)?;
    file.finish()
}

/// Writes a file of mode 0644, as [`write_private`] does: evidence that is meant for others.
///
/// # Errors
/// As the file system says. The old file is then as it was.
pub(crate) fn write_shared(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = PrivateFile::create(path)?;
    file.write_all(contents)?;
    file.file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.finish()
}

/// A file of mode 0600 in the making. It gets its name when it is finished; dropped before, it never was.
pub(crate) struct PrivateFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    is_finished: bool,
}

impl PrivateFile {
    /// Begins a file that will be at `path`.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or_else(|| io::Error::other("it has no file name"))?;
        let mut temporary = name.to_owned();
        temporary.push(format!(".{}.tmp", std::process::id()));
        let temporary = directory_of(path).join(temporary);
        // A leftover of a killed process may be there; `create_new` makes sure that it is not somebody else's file
        // that is written through a link.
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        Ok(Self { file, temporary, path: path.to_owned(), is_finished: false })
    }

    /// Makes it durable, and gives it its name.
    ///
    /// # Errors
    /// As the file system says. What was at `path` is then as it was.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.temporary, &self.path)?;
        self.is_finished = true;
        // The new name is durable only once the directory is.
        File::open(directory_of(&self.path))?.sync_all()
    }
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl bailiwick_transfer::file::Medium for PrivateFile {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.seek(io::SeekFrom::Start(length)).map(drop)
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // A leftover would hold the credential too. That it may be gone already is no news.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Makes a directory of mode 0700, with its parents.
///
/// # Errors
/// As the file system says.
pub(crate) fn create_private_dir(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Whether anyone but the owner may read or write the file.
///
/// # Errors
/// As the file system says.
pub(crate) fn is_exposed(path: &Path) -> io::Result<bool> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 != 0)
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_file_can_be_read_by_others_and_written_by_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.attestation");
        write_shared(&path, b"signed").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"signed");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[test]
    fn a_private_file_is_private_and_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.json");
        std::fs::write(&path, "old").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(is_exposed(&path).unwrap());
        write_private(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert!(!is_exposed(&path).unwrap());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        std::fs::create_dir(&path).unwrap();
        assert!(write_private(&path, b"new").is_err());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
