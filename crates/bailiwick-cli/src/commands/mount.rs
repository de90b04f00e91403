//! `bailiwick mount`: where secrets live.

use bailiwick_types::MountName;
use bailiwick_types::api::secret::{CreateMount, MountConfig, UpdateMount};
use bailiwick_types::time::parse_duration;
use clap::{Args, Subcommand};

use crate::args::Paging;
use crate::fail::Fail;
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick mount create team-a --description \"secrets of team A\" --max-versions 20
  bailiwick mount update team-a --cas-required true

Every tenant starts with the mount `secret`. All mounts are of the engine kv, version 2.")]
pub(crate) enum MountCommand {
    /// Mount an engine
    Create {
        /// Its name: the first segment of every path in it
        name: MountName,
        /// What it is for
        #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
        description: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// List the mounts
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one mount
    Show {
        /// Its name
        mount: String,
    },
    /// Change a mount
    Update {
        /// Its name
        mount: String,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        settings: Settings,
    },
    /// Unmount an engine and destroy every secret in it
    Delete {
        /// Its name
        mount: String,
    },
}

/// What a mount and a secret can be told.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// How many versions to keep; 0 for the default
    #[arg(long, value_name = "N")]
    pub(crate) max_versions: Option<u32>,
    /// Whether every write must name the version that it replaces
    #[arg(long, value_name = "BOOL")]
    pub(crate) cas_required: Option<bool>,
    /// How long a version lives, such as `30d`; `0s` for ever
    #[arg(long, value_name = "SPAN")]
    delete_version_after: Option<String>,
}

impl Settings {
    pub(crate) fn delete_version_after_seconds(&self) -> Result<Option<u64>, Fail> {
        let parse = |text: &String| match parse_duration(text) {
            Ok(span) => Ok(span.as_secs()),
            Err(error) => Err(Fail::usage(format!("--delete-version-after `{text}`: {error}"))),
        };
        self.delete_version_after.as_ref().map(parse).transpose()
    }
}

pub(crate) fn run(session: &mut Session, command: MountCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        MountCommand::Create { name, description, settings } => {
            let config = MountConfig {
                max_versions: settings.max_versions.unwrap_or_default(),
                cas_required: settings.cas_required.unwrap_or_default(),
                delete_version_after_seconds: settings.delete_version_after_seconds()?.unwrap_or_default(),
            };
            session.show(&tenant.create_mount(&CreateMount { name, description, config }))
        }
        MountCommand::List { paging } => session.list(tenant.mounts(), &paging),
        MountCommand::Show { mount } => session.show(&tenant.mount(&mount)),
        MountCommand::Update { mount, description, settings } => {
            let body = UpdateMount {
                description,
                max_versions: settings.max_versions,
                cas_required: settings.cas_required,
                delete_version_after_seconds: settings.delete_version_after_seconds()?,
            };
            session.show(&tenant.update_mount(&mount, &body))
        }
        MountCommand::Delete { mount } => {
            session.confirm(&format!("Unmount `{mount}` and destroy every secret in it?"))?;
            session.done(&tenant.delete_mount(&mount), &format!("unmounted {mount}"))
        }
    }
}
