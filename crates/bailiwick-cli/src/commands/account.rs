//! `bailiwick account`: service accounts and agents.

use bailiwick_client::routes::Tenant;
use bailiwick_types::MemberId;
use bailiwick_types::api::identity::{AccountKind, CreateAccount, Labels, UpdateAccount};
use clap::{Args, Subcommand, ValueEnum};

use crate::args::Paging;
use crate::fail::Fail;
use crate::input::{Pair, When};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick account create ci-deploy --description \"deploys the shop\" --label env=prod
  bailiwick account create helper --kind agent --owner mem_… --expires 90d
  bailiwick account list --label env=prod
  bailiwick account disable acc_…

An account answers to one member, its owner. It can do nothing until a role is bound to it \
(`bailiwick binding create`), and nobody can act as it until it has a key (`bailiwick key issue`).")]
pub(crate) enum AccountCommand {
    /// Create a service account or an agent
    Create(CreateArgs),
    /// List the accounts
    List {
        /// Only this kind
        #[arg(long)]
        kind: Option<Kind>,
        /// Only those that this member answers for
        #[arg(long, value_name = "MEMBER")]
        owner: Option<String>,
        /// Only those with this label
        #[arg(long, value_name = "NAME=VALUE")]
        label: Option<Pair>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one account
    Show {
        /// Its id
        account: String,
    },
    /// Change an account
    Update(UpdateArgs),
    /// Disable an account: its keys work no more until it is enabled
    Disable {
        /// Its id
        account: String,
    },
    /// Enable an account
    Enable {
        /// Its id
        account: String,
    },
    /// Delete an account, its keys and its bindings
    Delete {
        /// Its id
        account: String,
    },
}

/// The kind of an account.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Kind {
    /// A service, a job, an integration
    Service,
    /// An AI agent or other automation that decides by itself
    Agent,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Agent => "agent",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Display name
    name: String,
    /// What it is
    #[arg(long, default_value = "service")]
    kind: Kind,
    /// The member who answers for it [default: you]
    #[arg(long, value_name = "MEMBER")]
    owner: Option<MemberId>,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    description: String,
    /// A label, which policies see as a tag; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE")]
    labels: Vec<Pair>,
    /// When it stops working: a time, or a span such as `90d` [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<When>,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("change").required(true).multiple(true))]
pub(crate) struct UpdateArgs {
    /// Its id
    account: String,
    /// The new display name
    #[arg(long, group = "change")]
    name: Option<String>,
    /// The new description
    #[arg(long, group = "change", value_name = "TEXT")]
    description: Option<String>,
    /// The new owner
    #[arg(long, group = "change", value_name = "MEMBER")]
    owner: Option<MemberId>,
    /// A label; all labels that are not given go away
    #[arg(long = "label", group = "change", value_name = "NAME=VALUE")]
    labels: Vec<Pair>,
    /// Take all labels away
    #[arg(long, group = "change", conflicts_with = "labels")]
    no_labels: bool,
    /// When it stops working: a time, or a span such as `90d`
    #[arg(long, group = "change", value_name = "WHEN")]
    expires: Option<When>,
}

pub(crate) fn run(session: &mut Session, command: AccountCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        AccountCommand::Create(args) => create(session, &tenant, args),
        AccountCommand::List { kind, owner, label, paging } => {
            let call = tenant
                .accounts()
                .query_opt("kind", kind.map(Kind::as_str))
                .query_opt("owner", owner)
                .query_opt("label", label.map(|label| format!("{}={}", label.name, label.value)));
            session.list(call, &paging)
        }
        AccountCommand::Show { account } => session.show(&tenant.account(&account)),
        AccountCommand::Update(args) => {
            let has_labels = args.no_labels || !args.labels.is_empty();
            let body = UpdateAccount {
                name: args.name,
                description: args.description,
                labels: has_labels.then(|| labels(args.labels)).transpose()?,
                owner: args.owner,
                expires: args.expires.map(|when| when.after(session.now)),
                is_disabled: None,
            };
            session.show(&tenant.update_account(&args.account, &body))
        }
        AccountCommand::Disable { account } => {
            session.confirm(&format!("Disable account `{account}`?"))?;
            let body = UpdateAccount { is_disabled: Some(true), ..UpdateAccount::default() };
            session.show(&tenant.update_account(&account, &body))
        }
        AccountCommand::Enable { account } => {
            let body = UpdateAccount { is_disabled: Some(false), ..UpdateAccount::default() };
            session.show(&tenant.update_account(&account, &body))
        }
        AccountCommand::Delete { account } => {
            session.confirm(&format!("Delete account `{account}`, its keys and its bindings?"))?;
            session.done(&tenant.delete_account(&account), &format!("deleted account {account}"))
        }
    }
}

fn create(session: &mut Session, tenant: &Tenant, args: CreateArgs) -> Result<(), Fail> {
    let owner = match args.owner {
        Some(owner) => owner,
        None => myself(session, tenant)?,
    };
    let body = CreateAccount {
        kind: match args.kind {
            Kind::Service => AccountKind::Service,
            Kind::Agent => AccountKind::Agent,
        },
        name: args.name,
        description: args.description,
        labels: labels(args.labels)?,
        owner,
        expires: args.expires.map(|when| when.after(session.now)),
    };
    session.show(&tenant.create_account(&body))
}

/// Whoever creates an account answers for it, unless they name another.
fn myself(session: &Session, tenant: &Tenant) -> Result<MemberId, Fail> {
    let who = session.send(&tenant.whoami())?.value()?;
    who.principal
        .id
        .parse()
        .map_err(|_| Fail::usage("an account answers to a member, and you are none").with_hint("name one with --owner"))
}

fn labels(pairs: Vec<Pair>) -> Result<Labels, Fail> {
    let mut labels = Labels::new();
    for Pair { name, value } in pairs {
        if labels.insert(name.clone(), value).is_some() {
            return Err(Fail::usage(format!("the label `{name}` is given twice")));
        }
    }
    Ok(labels)
}
