//! `bailiwick secret metadata`: a secret's versions, settings and custom metadata.

use std::collections::BTreeMap;

use bailiwick_client::routes::Tenant;
use bailiwick_types::api::secret::{ConfigureSecret, SecretMetadata};
use clap::{Args, Subcommand};

use super::mount::Settings;
use crate::fail::Fail;
use crate::input::{Pair, SecretRef};
use crate::output::{Human, fields, or_default, seconds, table};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick secret metadata get secret/app/db
  bailiwick secret metadata put secret/app/db --max-versions 10 --custom owner=team-a --custom env=prod
  bailiwick secret metadata patch secret/app/db --custom env=staging --remove-custom owner

Policies see custom metadata as tags of the secret.")]
pub(crate) enum MetadataCommand {
    /// Show versions, settings and custom metadata
    Get {
        /// MOUNT/PATH
        secret: SecretRef,
    },
    /// Set settings; replaces all custom metadata
    Put {
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Change settings; what is not named stays
    Patch {
        #[command(flatten)]
        change: ChangeArgs,
        /// Take this custom metadata away; may be repeated
        #[arg(long = "remove-custom", value_name = "NAME")]
        removed: Vec<String>,
    },
    /// Destroy a secret with all versions and metadata
    Delete {
        /// MOUNT/PATH
        secret: SecretRef,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    /// MOUNT/PATH
    secret: SecretRef,
    #[command(flatten)]
    settings: Settings,
    /// Custom metadata; may be repeated
    #[arg(long = "custom", value_name = "NAME=VALUE")]
    custom: Vec<Pair>,
}

pub(crate) fn run(session: &mut Session, tenant: &Tenant, command: MetadataCommand) -> Result<(), Fail> {
    match command {
        MetadataCommand::Get { secret } => {
            session.show_with(&tenant.secret_metadata(secret.mount.as_str(), &secret.path), view)
        }
        MetadataCommand::Put { change } => {
            // A put says what there is, so saying nothing takes all custom metadata away.
            let mut body = body(&change, Vec::new())?;
            body.custom_metadata.get_or_insert_default();
            let call = tenant.put_secret_metadata(change.secret.mount.as_str(), &change.secret.path, &body);
            session.show_with(&call, view)
        }
        MetadataCommand::Patch { change, removed } => {
            let body = body(&change, removed)?;
            let call = tenant.patch_secret_metadata(change.secret.mount.as_str(), &change.secret.path, &body);
            session.show_with(&call, view)
        }
        MetadataCommand::Delete { secret } => {
            session.confirm(&format!("Destroy `{secret}` with all its versions for good?"))?;
            let call = tenant.purge_secret(secret.mount.as_str(), &secret.path);
            session.done(&call, &format!("destroyed {secret}"))
        }
    }
}

fn body(change: &ChangeArgs, removed: Vec<String>) -> Result<ConfigureSecret, Fail> {
    let mut custom = BTreeMap::new();
    let given = change.custom.iter().map(|pair| (pair.name.clone(), Some(pair.value.clone())));
    for (name, value) in given.chain(removed.into_iter().map(|name| (name, None))) {
        if custom.insert(name.clone(), value).is_some() {
            return Err(Fail::usage(format!("`{name}` is given twice")));
        }
    }
    Ok(ConfigureSecret {
        max_versions: change.settings.max_versions,
        cas_required: change.settings.cas_required,
        delete_version_after_seconds: change.settings.delete_version_after_seconds()?,
        custom_metadata: (!custom.is_empty()).then_some(custom),
    })
}

fn view(metadata: SecretMetadata, human: Human) -> String {
    let mut lines = vec![
        ("current version", metadata.current_version.to_string()),
        ("oldest version", metadata.oldest_version.to_string()),
        ("created", human.moment(metadata.created)),
        ("updated", human.moment(metadata.updated)),
        ("max versions", or_default(u64::from(metadata.max_versions), |n| n.to_string())),
        ("cas required", metadata.cas_required.to_string()),
        ("delete version after", or_default(metadata.delete_version_after_seconds, seconds)),
    ];
    let custom: Vec<_> = metadata.custom_metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if !custom.is_empty() {
        lines.push(("custom", custom.join("\n")));
    }
    let rows: Vec<_> = metadata
        .versions
        .iter()
        .map(|version| {
            let state = match (version.is_destroyed, version.deleted) {
                (true, _) => "destroyed".to_owned(),
                (false, Some(moment)) => format!("deleted {}", human.away(moment)),
                (false, None) => "there".to_owned(),
            };
            vec![version.version.to_string(), human.moment(version.created), state]
        })
        .collect();
    format!("{}\n{}", fields(&lines), table(&["VERSION", "WRITTEN", "STATE"], &rows))
}
