//! The password file of PostgreSQL's clients: where it is, and whether it may be believed. What is in it reads
//! `bailiwick-store-postgres`.
//!
//! # Invariants
//! - INV-PASSFILE-1: what others than its owner may read or write is not used, and it is said so.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bailiwick_types::Secret;

use crate::env::PasswordFile;
use crate::fail::Fail;

/// More than anybody has.
const BYTES_MAX: u64 = 1 << 20;

/// What is in the file. `None` if nobody has named one and there is none at the usual place that can be opened.
pub(crate) fn read(file: &PasswordFile) -> Result<Option<Secret<Vec<u8>>>, Fail> {
    let (path, is_named) = match file {
        PasswordFile::Named(path) => (path, true),
        PasswordFile::Usual(path) => (path, false),
    };
    // Looked at before it is opened: to open a pipe could wait for ever.
    let is_plain = match std::fs::metadata(path) {
        Ok(found) => found.is_file(),
        Err(error) if is_named => return Err(Fail::file(path, &error).with_hint("`PGPASSFILE` names it")),
        Err(_) => return Ok(None),
    };
    if !is_plain {
        return Err(Fail::usage(format!("the password file `{}` is not a plain file", path.display())));
    }
    match File::open(path) {
        Ok(opened) => contents(path, opened).map(Some),
        Err(error) if is_named => Err(Fail::file(path, &error).with_hint("`PGPASSFILE` names it")),
        Err(_) => Ok(None),
    }
}

fn contents(path: &Path, mut file: File) -> Result<Secret<Vec<u8>>, Fail> {
    let found = file.metadata().map_err(|error| Fail::file(path, &error))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(Fail::usage(format!("`{}` holds passwords of databases, and others may read it", path.display()))
            .with_hint(format!("chmod 600 {}", path.display())));
    }
    if found.len() > BYTES_MAX {
        return Err(Fail::usage(format!("the password file `{}` is larger than 1 MiB", path.display())));
    }
    // With room for all of it, so that it is not moved, which would leave a copy behind.
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default().saturating_add(1));
    let read = file.by_ref().take(BYTES_MAX).read_to_end(&mut bytes);
    let bytes = Secret::new(bytes);
    read.map_err(|error| Fail::file(path, &error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_that_others_may_read_or_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pgpass");
        std::fs::write(&path, "*:*:*:*:s3cret").unwrap();
        for place in [PasswordFile::Named(path.clone()), PasswordFile::Usual(path.clone())] {
            for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644] {
                set_mode(&path, mode);
                let refused = read(&place).unwrap_err().text();
                assert!(refused.contains("others may read it"), "{mode:o}: {refused}");
                assert!(refused.contains("hint: chmod 600 ") && !refused.contains("s3cret"), "{mode:o}: {refused}");
            }
            for mode in [0o600, 0o400] {
                set_mode(&path, mode);
                assert_eq!(read(&place).unwrap().unwrap().expose(), b"*:*:*:*:s3cret", "{mode:o}");
            }
        }
    }

    #[test]
    fn a_file_that_was_named_has_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone");
        assert!(read(&PasswordFile::Usual(path.clone())).unwrap().is_none());
        let refused = read(&PasswordFile::Named(path)).unwrap_err().text();
        assert!(refused.contains("gone") && refused.contains("PGPASSFILE"), "{refused}");
    }

    #[test]
    fn what_is_no_plain_file_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [socket, directory.path().to_owned(), "/dev/null".into()] {
            let refused = read(&PasswordFile::Usual(path)).unwrap_err().text();
            assert!(refused.contains("is not a plain file"), "{refused}");
        }
        let large = directory.path().join("large");
        std::fs::write(&large, vec![b'#'; usize::try_from(BYTES_MAX).unwrap() + 1]).unwrap();
        set_mode(&large, 0o600);
        assert!(read(&PasswordFile::Usual(large)).unwrap_err().text().contains("larger than"));
    }
}
