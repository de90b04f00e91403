//! To which server, and as whom.
//!
//! The nearer source wins: the command line, then the environment, then the profile.
//!
//! | what | order |
//! | --- | --- |
//! | credential | `--credential-file` or `--insecure-credential`; `--profile`; `BAILIWICK_CREDENTIAL`; `BAILIWICK_PROFILE`; the default profile |
//! | address | `--address`; `--profile`; `BAILIWICK_ADDRESS`; `BAILIWICK_PROFILE`; the default profile; `http://127.0.0.1:8200` |
//! | CA file | `--ca-file`; `BAILIWICK_CA_FILE`; the profile that gave the address |
//!
//! # Invariants
//! - INV-TARGET-1: a profile's credential goes to the profile's address only: whoever can set `BAILIWICK_ADDRESS`
//!   must not thereby receive it.

use std::path::{Path, PathBuf};

use bailiwick_types::{CredentialText, CredentialTextError, Secret};
use zeroize::Zeroizing;

use crate::args::Globals;
use crate::env::Environment;
use crate::fail::Fail;
use crate::profiles::{Profile, Profiles};

/// Where a server listens unless told otherwise.
pub(crate) const DEFAULT_ADDRESS: &str = "http://127.0.0.1:8200";

/// The server and the caller.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) credential: Option<Secret<String>>,
}

/// Settles what the sources say.
pub(crate) fn resolve(globals: &Globals, env: &Environment) -> Result<Target, Fail> {
    let profiles = Profiles::read(env.config_dir.as_deref())?;
    let asked = globals.profile.as_deref();
    let fallback = env.profile.as_deref().or(profiles.default.as_deref());
    // A profile that is named must exist, even where another source then wins: a typing error must not make the
    // command run as somebody else.
    let asked = asked.map(|name| profiles.named(name)).transpose()?;
    let fallback = fallback.map(|name| profiles.named(name)).transpose()?;

    let (address, address_profile) = address(globals, env, asked, fallback);
    let (credential, credential_profile) = credential(globals, env, asked, fallback)?;
    if let Some(profile) = credential_profile
        && profile.address.trim_end_matches('/') != address.trim_end_matches('/')
    {
        return Err(Fail::usage(format!(
            "the profile's credential is for {}, not for {}",
            profile.address.escape_debug(),
            address.escape_debug()
        ))
        .with_hint("leave the address out, choose another --profile, or give a --credential-file"));
    }
    let of_profile = address_profile.and_then(|profile| profile.ca_file.clone());
    let ca_file = globals.ca_file.clone().or_else(|| env.ca_file.clone()).or(of_profile);
    Ok(Target { address: address.to_owned(), ca_file, credential })
}

fn address<'a>(
    globals: &'a Globals,
    env: &'a Environment,
    asked: Option<&'a Profile>,
    fallback: Option<&'a Profile>,
) -> (&'a str, Option<&'a Profile>) {
    match (&globals.address, asked, &env.address, fallback) {
        (Some(address), ..) => (address, None),
        (None, Some(profile), ..) => (&profile.address, Some(profile)),
        (None, None, Some(address), _) => (address, None),
        (None, None, None, Some(profile)) => (&profile.address, Some(profile)),
        (None, None, None, None) => (DEFAULT_ADDRESS, None),
    }
}

fn credential<'a>(
    globals: &Globals,
    env: &Environment,
    asked: Option<&'a Profile>,
    fallback: Option<&'a Profile>,
) -> Result<(Option<Secret<String>>, Option<&'a Profile>), Fail> {
    let of = |profile: &Profile| profile.credential.clone().map(Secret::new);
    if let Some(file) = &globals.credential_file {
        return Ok((Some(read(file)?), None));
    }
    if let Some(text) = &globals.insecure_credential {
        return Ok((Some(Secret::new(text.expose().to_owned())), None));
    }
    if let Some(profile) = asked {
        return Ok((of(profile), Some(profile)));
    }
    if let Some(credential) = &env.credential {
        return Ok((Some(Secret::new(credential.expose().trim().to_owned())), None));
    }
    Ok(match fallback {
        // Without a credential there is nothing to keep at home.
        Some(profile) if profile.credential.is_some() => (of(profile), Some(profile)),
        _ => (None, None),
    })
}

/// The credential in a file: its one line.
fn read(file: &Path) -> Result<Secret<String>, Fail> {
    let text = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|error| Fail::file(file, &error))?;
    Ok(Secret::new(text.trim().to_owned()))
}

/// The credential as what it says it is. A typing error is told apart here, before anything is sent.
pub(crate) fn parse(credential: &Secret<String>) -> Result<CredentialText, Fail> {
    CredentialText::parse(credential.expose()).map_err(|error| match error {
        CredentialTextError::Malformed => Fail::credential("the credential is malformed")
            .with_hint("a credential is one word that starts with `bwk_` or `bwo_`"),
        CredentialTextError::Checksum => {
            Fail::credential("the credential's checksum does not match").with_hint("it was cut off or mistyped")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "https://of-profile.example";

    struct Case {
        globals: Globals,
        env: Environment,
        home: tempfile::TempDir,
    }

    impl Case {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let profile = |credential: &str, address: &str| Profile {
                address: address.into(),
                credential: Some(credential.into()),
                ca_file: Some("/profile/ca.pem".into()),
            };
            let profiles = [
                ("default".to_owned(), profile("of-default", SERVER)),
                ("env".to_owned(), profile("of-env-profile", SERVER)),
                ("flag".to_owned(), profile("of-flag-profile", "https://of-flag.example")),
            ];
            let profiles = Profiles { default: Some("default".into()), profiles: profiles.into() };
            profiles.write(Some(home.path())).unwrap();
            let env = Environment { config_dir: Some(home.path().to_owned()), ..Environment::default() };
            Self { globals: Globals::default(), env, home }
        }

        fn file(&self, text: &str) -> PathBuf {
            let path = self.home.path().join("credential");
            std::fs::write(&path, text).unwrap();
            path
        }

        fn credential(&self) -> String {
            resolve(&self.globals, &self.env).unwrap().credential.unwrap().expose().clone()
        }

        fn address(&self) -> String {
            resolve(&self.globals, &self.env).unwrap().address
        }
    }

    #[test]
    fn the_nearest_credential_wins() {
        let mut case = Case::new();
        assert_eq!(case.credential(), "of-default");
        case.env.profile = Some("env".into());
        assert_eq!(case.credential(), "of-env-profile");
        case.env.credential = Some(Secret::new(" of-env \n".into()));
        assert_eq!(case.credential(), "of-env");
        case.globals.profile = Some("flag".into());
        assert_eq!(case.credential(), "of-flag-profile");
        case.globals.insecure_credential = Some("of-flag".parse().unwrap());
        assert_eq!(case.credential(), "of-flag");
        case.globals.insecure_credential = None;
        case.globals.credential_file = Some(case.file("of-file\n"));
        assert_eq!(case.credential(), "of-file");
    }

    #[test]
    fn the_nearest_address_wins() {
        let mut case = Case::new();
        case.globals.credential_file = Some(case.file("x"));
        assert_eq!(case.address(), SERVER);
        case.env.address = Some("https://of-env.example".into());
        assert_eq!(case.address(), "https://of-env.example");
        case.globals.profile = Some("flag".into());
        assert_eq!(case.address(), "https://of-flag.example");
        case.globals.address = Some("https://of-address.example".into());
        assert_eq!(case.address(), "https://of-address.example");

        let nothing = Environment::default();
        assert_eq!(resolve(&Globals::default(), &nothing).unwrap().address, DEFAULT_ADDRESS);
        assert!(resolve(&Globals::default(), &nothing).unwrap().credential.is_none());
    }

    #[test]
    fn a_profiles_credential_goes_to_its_own_address_only() {
        let mut case = Case::new();
        case.env.address = Some("https://evil.example".into());
        let text = resolve(&case.globals, &case.env).unwrap_err().text();
        assert!(text.contains("https://of-profile.example") && text.contains("https://evil.example"), "{text}");
        assert!(!text.contains("of-default"), "{text}");
        case.env.address = Some(format!("{SERVER}/"));
        assert_eq!(case.credential(), "of-default");
        // With a credential of its own the address is free.
        case.env.address = Some("https://other.example".into());
        case.env.credential = Some(Secret::new("mine".into()));
        assert_eq!((case.address(), case.credential()), ("https://other.example".into(), "mine".into()));
    }

    #[test]
    fn a_profile_that_is_named_must_exist() {
        let mut case = Case::new();
        case.globals.credential_file = Some(case.file("x"));
        case.globals.profile = Some("typo".into());
        assert!(resolve(&case.globals, &case.env).unwrap_err().text().contains("no profile `typo`"));
        case.globals.profile = None;
        case.env.profile = Some("typo".into());
        assert!(resolve(&case.globals, &case.env).is_err());
    }

    #[test]
    fn the_ca_file_comes_with_the_address() {
        let mut case = Case::new();
        let ca = |case: &Case| resolve(&case.globals, &case.env).unwrap().ca_file;
        assert_eq!(ca(&case), Some("/profile/ca.pem".into()));
        case.env.ca_file = Some("/env/ca.pem".into());
        assert_eq!(ca(&case), Some("/env/ca.pem".into()));
        case.globals.ca_file = Some("/flag/ca.pem".into());
        assert_eq!(ca(&case), Some("/flag/ca.pem".into()));
        case.globals.ca_file = None;
        case.env = Environment { config_dir: case.env.config_dir.take(), ..Environment::default() };
        case.globals.credential_file = Some(case.file("x"));
        case.globals.address = Some("https://elsewhere.example".into());
        assert_eq!(ca(&case), None);
    }

    #[test]
    fn a_typing_error_is_told_before_anything_is_sent() {
        let check = |text: &str| parse(&Secret::new(text.to_owned())).unwrap_err();
        assert_eq!(check("hunter2").exit_code(), 3);
        assert!(!check("hunter2").text().contains("hunter2"));
    }
}
