//! `bailiwick login` and `profile`: names for addresses and credentials.

use std::path::PathBuf;

use bailiwick_client::routes;
use bailiwick_types::Secret;
use clap::{Args, Subcommand};
use zeroize::Zeroizing;

use super::caller;
use crate::fail::Fail;
use crate::output::table;
use crate::profiles::{Profile, Profiles};
use crate::session::Session;
use crate::target::{self, DEFAULT_ADDRESS, Target};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bailiwick login                                   asks for the credential
  bailiwick login acme --address https://bailiwick.example < acme.credential

The profile becomes the default one. `bailiwick profile use` chooses another.")]
pub(crate) struct LoginArgs {
    /// The profile's name [default: the tenant's slug, or `operator`]
    name: Option<String>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick profile add acme --address https://bailiwick.example --ca-file ca.pem < acme.credential
  bailiwick profile use acme
  bailiwick --profile operator tenant list

Profiles are kept in ~/.config/bailiwick/profiles.toml, readable by you only. A profile's credential is only \
ever sent to the profile's address.")]
pub(crate) enum ProfileCommand {
    /// Keep an address and a credential, without trying them
    Add {
        /// The profile's name
        name: String,
        /// Keep no credential, only the address
        #[arg(long)]
        no_credential: bool,
    },
    /// List the profiles, never their credentials
    List,
    /// Make a profile the default one
    Use {
        /// The profile's name
        name: String,
    },
    /// Forget a profile. Its credential is not revoked: `bailiwick revoke-self` does that
    Remove {
        /// The profile's name
        name: String,
    },
}

pub(crate) fn run(session: &mut Session, command: ProfileCommand) -> Result<(), Fail> {
    match command {
        ProfileCommand::Add { name, no_credential } => {
            let credential = if no_credential { None } else { Some(credential(session)?) };
            keep(session, &name, credential.as_ref(), false)
        }
        ProfileCommand::List => list(session),
        ProfileCommand::Use { name } => change(session, &format!("`{name}` is the default profile now"), |profiles| {
            profiles.named(&name)?;
            profiles.default = Some(name.clone());
            Ok(())
        }),
        ProfileCommand::Remove { name } => {
            session.confirm(&format!("Forget profile `{name}`?"))?;
            change(session, &format!("forgot profile `{name}`"), |profiles| {
                profiles.named(&name)?;
                profiles.profiles.remove(&name);
                profiles.default.take_if(|default| *default == name);
                Ok(())
            })
        }
    }
}

pub(crate) fn login(session: &mut Session, args: LoginArgs) -> Result<(), Fail> {
    let credential = credential(session)?;
    let parsed = target::parse(&credential)?;
    let (address, ca_file) = place(session);
    let copy = Secret::new(credential.expose().clone());
    let client = session.client_as(Target { address, ca_file, credential: Some(copy) })?;
    let call = if parsed.is_operator() {
        routes::platform_whoami()
    } else {
        routes::tenant(&parsed.claimed_tenant().to_string()).whoami()
    };
    let reply = client.send(&call)?;
    let who = reply.value()?;
    let name = match (args.name, &who.tenant) {
        (Some(name), _) => name,
        (None, Some(tenant)) => tenant.slug.to_string(),
        (None, None) => "operator".to_owned(),
    };
    keep(session, &name, Some(&credential), true)?;
    session.print_with(&reply, |who, human| caller::view(&who, human))
}

/// The address and CA file to keep: those that were asked for, never another profile's.
fn place(session: &Session) -> (String, Option<PathBuf>) {
    let (globals, env) = (&session.globals, &session.env);
    let address = globals.address.clone().or_else(|| env.address.clone()).unwrap_or_else(|| DEFAULT_ADDRESS.to_owned());
    (address, globals.ca_file.clone().or_else(|| env.ca_file.clone()))
}

/// The credential to keep: named by a flag, or else typed or piped in.
fn credential(session: &mut Session) -> Result<Secret<String>, Fail> {
    let text = if let Some(file) = &session.globals.credential_file {
        Zeroizing::new(std::fs::read_to_string(file).map_err(|error| Fail::file(file, &error))?)
    } else if let Some(text) = &session.globals.insecure_credential {
        Zeroizing::new(text.expose().to_owned())
    } else {
        Zeroizing::new(session.terminal.secret("credential")?.expose().clone())
    };
    let credential = Secret::new(text.trim().to_owned());
    target::parse(&credential)?;
    Ok(credential)
}

fn keep(session: &mut Session, name: &str, credential: Option<&Secret<String>>, is_default: bool) -> Result<(), Fail> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(
            Fail::usage(format!("`{name}` is no profile's name")).with_hint("letters, digits, `-`, `_` and `.`")
        );
    }
    let (address, ca_file) = place(session);
    // A relative path would mean another file from another directory.
    let ca_file = ca_file.map(|file| std::path::absolute(&file).unwrap_or(file));
    let profile = Profile { address, credential: credential.map(|credential| credential.expose().clone()), ca_file };
    change(session, &format!("kept as profile `{name}`"), |profiles| {
        profiles.profiles.insert(name.to_owned(), profile);
        if is_default || profiles.default.is_none() {
            profiles.default = Some(name.to_owned());
        }
        Ok(())
    })
}

fn change(
    session: &mut Session,
    sentence: &str,
    act: impl FnOnce(&mut Profiles) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let directory = session.env.config_dir.clone();
    let mut profiles = Profiles::read(directory.as_deref())?;
    act(&mut profiles)?;
    let file = profiles.write(directory.as_deref())?;
    if !session.is_quiet() {
        session.terminal.note(&format!("{sentence} ({})", file.display()));
    }
    Ok(())
}

fn list(session: &mut Session) -> Result<(), Fail> {
    let profiles = Profiles::read(session.env.config_dir.as_deref())?;
    let is_default = |name: &str| profiles.default.as_deref() == Some(name);
    if session.is_json() {
        let items: Vec<_> = profiles
            .profiles
            .iter()
            .map(|(name, profile)| {
                serde_json::json!({
                    "name": name,
                    "address": profile.address,
                    "ca_file": profile.ca_file,
                    "has_credential": profile.credential.is_some(),
                    "is_default": is_default(name),
                })
            })
            .collect();
        return session.json(&serde_json::json!({ "items": items }).to_string());
    }
    let rows: Vec<_> = profiles
        .profiles
        .iter()
        .map(|(name, profile)| {
            let holds = match &profile.credential {
                Some(text) if text.starts_with("bwo_") => "operator",
                Some(_) => "tenant",
                None => "-",
            };
            let mark = if is_default(name) { "default" } else { "" };
            vec![name.clone(), profile.address.clone(), holds.to_owned(), mark.to_owned()]
        })
        .collect();
    let text = table(&["NAME", "ADDRESS", "CREDENTIAL", ""], &rows);
    session.terminal.print(&text)
}
