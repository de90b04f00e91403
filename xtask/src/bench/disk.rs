//! What a server keeps on the disk.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};

use crate::failure::{Context, Outcome};

/// Where a server keeps everything.
pub(crate) struct Keeps {
    /// A folder.
    pub(crate) database: PathBuf,
    /// Evidence that is not in the database, if it is anywhere.
    pub(crate) audit: Option<PathBuf>,
}

/// How much that is, in bytes that the files take on the disk: a hole takes nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) database: u64,
    pub(crate) audit: u64,
}

impl Kept {
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    pub(crate) fn bytes(self) -> f64 {
        (self.database + self.audit) as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52")]
    pub(crate) fn audit_bytes(self) -> f64 {
        self.audit as f64
    }
}

impl Keeps {
    /// How much there is now.
    pub(crate) fn kept(&self) -> Outcome<Kept> {
        let sum = |path: &Path| -> Outcome<u64> {
            files(path)?.iter().map(|file| Ok(fs::metadata(file).context(file.display())?.blocks() * 512)).sum()
        };
        Ok(Kept { database: sum(&self.database)?, audit: self.audit.as_deref().map_or(Ok(0), sum)? })
    }

    /// Takes the database out of the kernel's memory, so that the next to read it reads the disk.
    pub(crate) fn forget(&self) -> Outcome {
        for path in files(&self.database)? {
            let file = File::open(&path).context(path.display())?;
            // What is not on the disk yet cannot be forgotten.
            file.sync_all().context(path.display())?;
            fadvise(&file, 0, None, Advice::DontNeed).context(path.display())?;
        }
        Ok(())
    }
}

/// All files below a folder, or the file itself.
fn files(top: &Path) -> Outcome<Vec<PathBuf>> {
    let (mut found, mut left) = (Vec::new(), vec![top.to_path_buf()]);
    while let Some(path) = left.pop() {
        if path.is_dir() {
            for item in fs::read_dir(&path).context(path.display())? {
                left.push(item?.path());
            }
        } else if path.is_file() {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_folders_of_folders_is_counted_and_a_hole_is_not() {
        let home = std::env::temp_dir().join(format!("xtask-kept-{}", std::process::id()));
        fs::create_dir_all(home.join("a/b")).unwrap();
        fs::write(home.join("a/b/c"), [1; 40_960]).unwrap();
        File::create(home.join("hole")).unwrap().set_len(1 << 30).unwrap();
        fs::write(home.join("log"), [1; 4_096]).unwrap();
        let keeps = Keeps { database: home.join("a"), audit: Some(home.join("log")) };
        File::open(home.join("a/b/c")).unwrap().sync_all().unwrap();
        File::open(home.join("log")).unwrap().sync_all().unwrap();
        assert_eq!(keeps.kept().unwrap(), Kept { database: 40_960, audit: 4_096 });
        let hole = Keeps { database: home.join("hole"), audit: None };
        assert_eq!(hole.kept().unwrap().bytes(), 0.0);
        keeps.forget().unwrap();
        fs::remove_dir_all(home).unwrap();
    }
}
