//! Secrets and folders, named `MOUNT/PATH`.

use std::fmt;
use std::str::FromStr;

use bailiwick_types::{MountName, SecretPath};

/// A secret: `secret/app/db` is `app/db` in the mount `secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretRef {
    pub(crate) mount: MountName,
    pub(crate) path: SecretPath,
}

impl FromStr for SecretRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mount, path) =
            text.split_once('/').ok_or("a secret is named MOUNT/PATH, such as `secret/app/db`".to_owned())?;
        let mount = mount.parse().map_err(|error| format!("{error}"))?;
        let path = path.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { mount, path })
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mount, self.path)
    }
}

/// A folder of secrets: `secret`, `secret/app` or `secret/app/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderRef {
    pub(crate) mount: MountName,
    pub(crate) folder: Option<SecretPath>,
}

impl FromStr for FolderRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (mount, folder) = match text.split_once('/') {
            Some((mount, folder)) => (mount, Some(folder.parse().map_err(|error| format!("{error}"))?)),
            None => (text, None),
        };
        Ok(Self { mount: mount.parse().map_err(|error| format!("{error}"))?, folder })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_segment_is_the_mount() {
        let secret: SecretRef = "secret/app/db".parse().unwrap();
        assert_eq!((secret.mount.as_str(), secret.path.as_str()), ("secret", "app/db"));
        assert_eq!(secret.to_string(), "secret/app/db");
        for bad in ["", "secret", "secret/", "/app", "secret//db", "secret/../x", "secret/app/", "sys/x", "a b/c"] {
            assert!(bad.parse::<SecretRef>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_folder_may_be_the_whole_mount() {
        let folder = |text: &str| {
            let parsed: FolderRef = text.parse().unwrap();
            (parsed.mount.to_string(), parsed.folder.map(|folder| folder.to_string()))
        };
        assert_eq!(folder("secret"), ("secret".to_owned(), None));
        assert_eq!(folder("secret/"), ("secret".to_owned(), None));
        assert_eq!(folder("secret/app"), ("secret".to_owned(), Some("app".to_owned())));
        assert_eq!(folder("secret/a/b/"), ("secret".to_owned(), Some("a/b".to_owned())));
        for bad in ["", "/", "secret//", "secret/../x"] {
            assert!(bad.parse::<FolderRef>().is_err(), "{bad}");
        }
    }
}
