//! `bailiwick secret`: secrets and their versions.

use std::path::PathBuf;

use bailiwick_client::Call;
use bailiwick_client::routes::Tenant;
use bailiwick_types::Secret;
use bailiwick_types::api::secret::{RevealedSecret, VersionInfo, Versions, WriteSecret};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::secret_metadata::{self, MetadataCommand};
use crate::args::Paging;
use crate::fail::Fail;
use crate::input::{FolderRef, SecretItem, SecretRef, secret_data};
use crate::output::{Human, fields, table};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick secret put secret/app/db user=app password=@password.txt
  openssl rand -base64 32 | bailiwick secret put secret/app/session key=-
  bailiwick secret put secret/app/db --json db.json --cas 3
  bailiwick secret get secret/app/db
  bailiwick secret get secret/app/db --field password
  bailiwick secret patch secret/app/db password=- --remove old_password
  bailiwick secret list secret/app
  bailiwick secret delete secret/app/db --versions 1,2

A secret is named MOUNT/PATH. Values written on the command line can be seen by other processes of this \
machine and are remembered by the shell: take them from a file (KEY=@FILE) or standard input (KEY=-).")]
pub(crate) enum SecretCommand {
    /// Show a secret's value
    Get {
        /// MOUNT/PATH
        secret: SecretRef,
        /// Which version [default: the current one]
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        /// Only the value of this key, as it is
        #[arg(long, value_name = "KEY")]
        field: Option<String>,
    },
    /// Write a new version of a secret
    Put(WriteArgs),
    /// Write a new version by changing some keys of the current one
    Patch {
        #[command(flatten)]
        write: WriteArgs,
        /// Take this key away; may be repeated
        #[arg(long = "remove", value_name = "KEY", conflicts_with = "json")]
        removed: Vec<String>,
    },
    /// List the names in a folder; folders end in `/`
    List {
        /// MOUNT or MOUNT/FOLDER
        #[arg(default_value = "secret")]
        folder: FolderRef,
        #[command(flatten)]
        paging: Paging,
    },
    /// Delete the current version, or some versions, so that they can be undeleted
    Delete {
        /// MOUNT/PATH
        secret: SecretRef,
        /// Which versions [default: the current one]
        #[arg(long, value_delimiter = ',', value_name = "N,N…")]
        versions: Vec<u64>,
    },
    /// Bring deleted versions back
    Undelete {
        /// MOUNT/PATH
        secret: SecretRef,
        /// Which versions
        #[arg(long, value_delimiter = ',', value_name = "N,N…", required = true)]
        versions: Vec<u64>,
    },
    /// Destroy versions for good
    Destroy {
        /// MOUNT/PATH
        secret: SecretRef,
        /// Which versions
        #[arg(long, value_delimiter = ',', value_name = "N,N…", required = true)]
        versions: Vec<u64>,
    },
    /// A secret's versions, settings and custom metadata, without its value
    #[command(subcommand)]
    Metadata(MetadataCommand),
}

#[derive(Debug, Args)]
pub(crate) struct WriteArgs {
    /// MOUNT/PATH
    secret: SecretRef,
    /// KEY=VALUE, KEY=@FILE or KEY=- (standard input); `\@` begins a value that begins with `@`
    #[arg(value_name = "KEY=VALUE", conflicts_with = "json")]
    items: Vec<String>,
    /// The whole value, a JSON object, from this file, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only if this is the current version; 0: only if there is none
    #[arg(long, value_name = "VERSION")]
    cas: Option<u64>,
}

pub(crate) fn run(session: &mut Session, command: SecretCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        SecretCommand::Get { secret, version, field } => get(session, &tenant, &secret, version, field.as_deref()),
        SecretCommand::Put(args) => {
            let body = body(session, &args, &[])?;
            let call = tenant.write_secret(args.secret.mount.as_str(), &args.secret.path, &nothing());
            written(session, &args.secret, call.json(&body.view()?))
        }
        SecretCommand::Patch { write, removed } => {
            let body = body(session, &write, &removed)?;
            let call = tenant.patch_secret(write.secret.mount.as_str(), &write.secret.path, &nothing());
            written(session, &write.secret, call.json(&body.view()?))
        }
        SecretCommand::List { folder, paging } => {
            let call = tenant.list_secrets(folder.mount.as_str(), folder.folder.as_ref());
            session.list_with(call, &paging, |names: Vec<String>, _| {
                names.iter().map(|name| format!("{}\n", crate::output::clean(name))).collect()
            })
        }
        SecretCommand::Delete { secret, versions } if versions.is_empty() => {
            let call = tenant.delete_secret(secret.mount.as_str(), &secret.path);
            session.done(&call, &format!("deleted the current version of {secret}"))
        }
        SecretCommand::Delete { secret, versions } => {
            let call =
                tenant.delete_versions(secret.mount.as_str(), &secret.path, &Versions { versions: versions.clone() });
            session.done(&call, &format!("deleted {} of {secret}", numbers(&versions)))
        }
        SecretCommand::Undelete { secret, versions } => {
            let call =
                tenant.undelete_versions(secret.mount.as_str(), &secret.path, &Versions { versions: versions.clone() });
            session.done(&call, &format!("brought back {} of {secret}", numbers(&versions)))
        }
        SecretCommand::Destroy { secret, versions } => {
            session.confirm(&format!("Destroy {} of `{secret}` for good?", numbers(&versions)))?;
            let call =
                tenant.destroy_versions(secret.mount.as_str(), &secret.path, &Versions { versions: versions.clone() });
            session.done(&call, &format!("destroyed {} of {secret}", numbers(&versions)))
        }
        SecretCommand::Metadata(command) => secret_metadata::run(session, &tenant, command),
    }
}

fn numbers(versions: &[u64]) -> String {
    let list: Vec<_> = versions.iter().map(u64::to_string).collect();
    let noun = if versions.len() == 1 { "version" } else { "versions" };
    format!("{noun} {}", list.join(", "))
}

/// The value as JSON text that is never taken apart: what the person wrote is what is stored.
struct Body {
    data: Secret<String>,
    cas: Option<u64>,
}

#[derive(Serialize)]
struct BodyView<'a> {
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    cas: Option<u64>,
}

impl Body {
    fn view(&self) -> Result<BodyView<'_>, Fail> {
        let data = serde_json::from_str(self.data.expose()).map_err(|_| Fail::usage("the value is not JSON"))?;
        Ok(BodyView { data, cas: self.cas })
    }
}

/// Stands in the route until the real body is put there.
fn nothing() -> WriteSecret {
    WriteSecret { data: Map::new(), cas: None }
}

fn body(session: &mut Session, args: &WriteArgs, removed: &[String]) -> Result<Body, Fail> {
    if args.items.is_empty() && args.json.is_none() && removed.is_empty() {
        return Err(Fail::usage("there is nothing to write").with_hint("give KEY=VALUE, KEY=@FILE, KEY=- or --json"));
    }
    // Parsed here and not by the command line's parser, whose message would quote what may be the value.
    let items = args.items.iter().map(|item| item.parse::<SecretItem>()).collect::<Result<Vec<_>, _>>();
    let items = items.map_err(Fail::usage)?;
    let data = secret_data(&items, removed, args.json.as_deref(), &mut session.terminal)?;
    Ok(Body { data, cas: args.cas })
}

fn written(session: &mut Session, secret: &SecretRef, call: Call<VersionInfo>) -> Result<(), Fail> {
    let is_quiet = session.is_quiet();
    session.show_with(&call, |version, human| {
        if is_quiet {
            return format!("{}\n", version.version);
        }
        fields(&[
            ("secret", secret.to_string()),
            ("version", version.version.to_string()),
            ("written", human.moment(version.created)),
        ])
    })
}

fn get(
    session: &mut Session,
    tenant: &Tenant,
    secret: &SecretRef,
    version: Option<u64>,
    field: Option<&str>,
) -> Result<(), Fail> {
    let call = tenant.reveal_secret(secret.mount.as_str(), &secret.path, version);
    let Some(field) = field else {
        let is_quiet = session.is_quiet();
        return session.show_with(&call, |revealed, human| view(secret, &revealed, is_quiet, human));
    };
    let revealed = session.send(&call)?.value()?;
    let Some(value) = revealed.data.get(field) else {
        let known: Vec<_> = revealed.data.keys().map(String::as_str).collect();
        return Err(Fail::new(
            bailiwick_types::ErrorClass::Absent,
            "no_such_key",
            format!("`{secret}` has no key `{field}`"),
        )
        .with_hint(format!("it has {}", known.join(", "))));
    };
    if session.is_json() {
        return session.json(&value.to_string());
    }
    // For a program exactly the value, for a person a line.
    let text = plain(value);
    if session.terminal.is_out_terminal { session.terminal.line(&text) } else { session.terminal.print(&text) }
}

fn view(secret: &SecretRef, revealed: &RevealedSecret, is_quiet: bool, human: Human) -> String {
    let mut text = String::new();
    if !is_quiet {
        let version = &revealed.version;
        let mut head = vec![
            ("secret", secret.to_string()),
            ("version", version.version.to_string()),
            ("written", human.moment(version.created)),
        ];
        head.extend(version.deleted.map(|moment| ("deleted", human.moment(moment))));
        let custom: Vec<_> = revealed.custom_metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !custom.is_empty() {
            head.push(("metadata", custom.join("\n")));
        }
        text = fields(&head);
        text.push('\n');
    }
    let rows: Vec<_> = revealed.data.iter().map(|(key, value)| vec![key.clone(), plain(value)]).collect();
    text.push_str(&table(&["KEY", "VALUE"], &rows));
    text
}

/// Text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
