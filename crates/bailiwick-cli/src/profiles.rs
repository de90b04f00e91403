//! Profiles: an address and a credential under a name, in one private file.
//!
//! # Invariants
//! - INV-PROFILE-1: the file is readable by its owner only; one that is not is not used.
//! - INV-PROFILE-2: a profile's credential goes to the profile's address only (see [`crate::target`]).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::fail::Fail;
use crate::files;

/// One profile.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    pub(crate) address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) credential: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[zeroize(skip)]
    pub(crate) ca_file: Option<PathBuf>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("address", &self.address).finish_non_exhaustive()
    }
}

/// The file.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profiles {
    /// The one to use unless another is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<String>,
    #[serde(default)]
    pub(crate) profiles: BTreeMap<String, Profile>,
}

impl Profiles {
    /// Where the file is.
    pub(crate) fn file(config_dir: Option<&Path>) -> Result<PathBuf, Fail> {
        config_dir
            .map(|dir| dir.join("profiles.toml"))
            .ok_or_else(|| Fail::usage("there is no place for profiles").with_hint("set HOME or XDG_CONFIG_HOME"))
    }

    /// Reads the file; none is an empty one.
    pub(crate) fn read(config_dir: Option<&Path>) -> Result<Self, Fail> {
        let Some(directory) = config_dir else { return Ok(Self::default()) };
        let path = Self::file(Some(directory))?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Fail::file(&path, &error)),
        };
        if files::is_exposed(&path).map_err(|error| Fail::file(&path, &error))? {
            return Err(Fail::usage(format!("`{}` holds credentials and others may read it", path.display()))
                .with_hint(format!("chmod 600 {}; and think of its credentials as known", path.display())));
        }
        // A message of the parser would quote the line, and the line may be a credential.
        toml::from_str(&text).map_err(|error: toml::de::Error| {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Fail::usage(format!("`{}` is not a list of profiles, at line {line}", path.display()))
        })
    }

    /// Replaces the file.
    pub(crate) fn write(&self, config_dir: Option<&Path>) -> Result<PathBuf, Fail> {
        let path = Self::file(config_dir)?;
        let text = toml::to_string(self).map(Zeroizing::new);
        let text = text.map_err(|_| Fail::usage("the profile cannot be written as TOML"))?;
        if let Some(directory) = path.parent() {
            files::create_private_dir(directory).map_err(|error| Fail::file(directory, &error))?;
        }
        files::write_private(&path, text.as_bytes()).map_err(|error| Fail::file(&path, &error))?;
        Ok(path)
    }

    /// The profile of this name.
    pub(crate) fn named(&self, name: &str) -> Result<&Profile, Fail> {
        self.profiles.get(name).ok_or_else(|| {
            Fail::usage(format!("there is no profile `{}`", name.escape_debug()))
                .with_hint("`bailiwick profile list` shows them; `bailiwick profile add` makes one")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn one() -> Profiles {
        let profile = Profile {
            address: "https://bailiwick.example".into(),
            credential: Some("bwk_x".into()),
            ca_file: Some("/etc/ca.pem".into()),
        };
        Profiles { default: Some("acme".into()), profiles: [("acme".into(), profile)].into() }
    }

    #[test]
    fn profiles_are_kept_private() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("new/bailiwick");
        assert_eq!(Profiles::read(Some(&directory)).unwrap(), Profiles::default());
        let path = one().write(Some(&directory)).unwrap();
        assert_eq!(Profiles::read(Some(&directory)).unwrap(), one());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Profiles::read(Some(&directory)).unwrap_err().text().contains("others may read it"));
    }

    #[test]
    fn a_broken_file_is_not_quoted() {
        let home = tempfile::tempdir().unwrap();
        for broken in ["[profiles.a]\naddress = \"x\"\ncredential = bwk_secret", "[profiles.a]\n\nbwk_secret = 1"] {
            files::write_private(&home.path().join("profiles.toml"), broken.as_bytes()).unwrap();
            let text = Profiles::read(Some(home.path())).unwrap_err().text();
            assert!(!text.contains("bwk_secret"), "{text}");
            assert!(text.contains("at line"), "{text}");
        }
    }
}
