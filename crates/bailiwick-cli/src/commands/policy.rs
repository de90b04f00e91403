//! `bailiwick policy`: the tenant's own policies.

use std::collections::BTreeMap;
use std::path::Path;

use bailiwick_client::routes::Tenant;
use bailiwick_types::api::policy::{CheckRequest, CheckResult, PutPolicy};
use clap::{Args, Subcommand};

use super::policy_change::{self, ChangeArgs};
use super::policy_text::{self, PutArgs};
use crate::args::Paging;
use crate::fail::Fail;
use crate::files;
use crate::input::{self, Pair, When};
use crate::output::{clean_lines, fields};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick policy diff policies/deploy.cedar
  bailiwick policy subset policies/deploy.cedar
  bailiwick policy put policies/deploy.cedar --dry-run
  bailiwick policy put policies/deploy.cedar --description \"only the release job deploys\"
  bailiwick policy check secret:reveal secret/secret/app/db --principal acc_…
  bailiwick policy check key:issue account/acc_… --with deploy=policies/deploy.cedar
  bailiwick policy schema > bailiwick.cedarschema

A policy is one or more Cedar statements. Most tenants need none: `bailiwick role list`.")]
pub(crate) enum PolicyCommand {
    /// Create or replace a policy
    Put(PutArgs),
    /// List the policies
    List {
        #[command(flatten)]
        paging: Paging,
    },
    /// Show one policy
    Show {
        /// Its name
        policy: String,
        /// Only its text
        #[arg(long)]
        text: bool,
    },
    /// Change a policy in your editor (VISUAL or EDITOR)
    Edit {
        /// Its name
        policy: String,
    },
    /// Delete a policy
    Delete {
        /// Its name
        policy: String,
    },
    /// Decide a hypothetical request, and say which policies determined it
    Check(CheckArgs),
    /// Show what a change would newly allow and deny, and what is worth a warning
    Diff(ChangeArgs),
    /// Prove that a change allows nothing new
    Subset(ChangeArgs),
    /// Print the Cedar schema that policies are validated against
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The action, such as secret:reveal
    action: String,
    /// The resource: tenant, secret/MOUNT/PATH, folder/MOUNT/PATH, mount/NAME, account/ID, policy/NAME, ledger, …
    resource: String,
    /// Who: the id of a member or an account [default: you]
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    /// A tag of the resource, instead of the stored ones; may be repeated
    #[arg(long = "tag", value_name = "NAME=VALUE")]
    tags: Vec<Pair>,
    /// When: a time, or a span from now [default: now]
    #[arg(long, value_name = "WHEN")]
    at: Option<When>,
    /// From which address
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
    /// Try this policy instead of or besides the stored ones; may be repeated
    #[arg(long = "with", value_name = "NAME=FILE")]
    with: Vec<Pair>,
    /// Leave this policy out; may be repeated
    #[arg(long = "without", value_name = "NAME")]
    without: Vec<String>,
}

pub(crate) fn run(session: &mut Session, command: PolicyCommand) -> Result<(), Fail> {
    let tenant = session.tenant()?;
    match command {
        PolicyCommand::Put(args) => {
            args.run(session, |body| tenant.create_policy(body), |name, body| tenant.policy(name.as_str()).put(body))
        }
        PolicyCommand::List { paging } => session.list(tenant.policies(), &paging),
        PolicyCommand::Show { policy, text: false } => session.show(&tenant.policy(&policy).show()),
        PolicyCommand::Show { policy, text: true } => {
            session.show_with(&tenant.policy(&policy).show(), |policy, _| policy_text::text(&policy))
        }
        PolicyCommand::Edit { policy } => edit(session, &tenant, &policy),
        PolicyCommand::Delete { policy } => {
            session.confirm(&format!("Delete policy `{policy}`?"))?;
            session.done(&tenant.policy(&policy).delete(), &format!("deleted policy {policy}"))
        }
        PolicyCommand::Check(args) => check(session, &tenant, args),
        PolicyCommand::Diff(args) => policy_change::diff(session, &tenant, args),
        PolicyCommand::Subset(args) => policy_change::subset(session, &tenant, args),
        PolicyCommand::Schema => {
            // The one answer that is text and not JSON.
            let schema = session.send(&tenant.policy_schema())?;
            session.terminal.print(&clean_lines(schema.text()))
        }
    }
}

fn edit(session: &mut Session, tenant: &Tenant, name: &str) -> Result<(), Fail> {
    let Some(editor) = session.env.editor.clone() else {
        return Err(Fail::usage("no editor is set").with_hint("set VISUAL or EDITOR"));
    };
    let reply = session.send(&tenant.policy(name).show())?;
    let before = reply.value()?;
    let directory = tempfile::tempdir().map_err(|error| Fail::file(Path::new("a temporary directory"), &error))?;
    let file = directory.path().join(format!("{}.cedar", before.name));
    files::write_private(&file, before.text.as_bytes()).map_err(|error| Fail::file(&file, &error))?;

    // The variable may hold arguments (`code --wait`), as everywhere that EDITOR is used.
    let status =
        std::process::Command::new("sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(&file).status();
    if !status.is_ok_and(|status| status.success()) {
        return Err(Fail::usage("the editor failed; nothing was changed"));
    }
    let text = std::fs::read_to_string(&file).map_err(|error| Fail::file(&file, &error))?;
    if text == before.text {
        session.terminal.note("nothing was changed");
        return Ok(());
    }
    let body = PutPolicy { description: before.description, text: text.clone(), dry_run: false };
    let version = reply.etag().map_or_else(|| before.version.to_string(), str::to_owned);
    let changed = session.show_with(&tenant.policy(name).put(&body).if_match(&version), |policy, human| {
        policy_text::stored(&policy, false, human)
    });
    if changed.is_err() {
        // What was typed is not thrown away with the directory.
        let kept = directory.keep().join(file.file_name().unwrap_or_default());
        session.terminal.note(&format!("your text is kept in {}", kept.display()));
    }
    changed
}

fn check(session: &mut Session, tenant: &Tenant, args: CheckArgs) -> Result<(), Fail> {
    let mut with_policies = BTreeMap::new();
    for Pair { name, value } in args.with {
        let text = input::text_of(Path::new(&value), &mut session.terminal)?;
        with_policies.insert(name, Some(text));
    }
    with_policies.extend(args.without.into_iter().map(|name| (name, None)));
    let tags: BTreeMap<_, _> = args.tags.into_iter().map(|tag| (tag.name, tag.value)).collect();
    let body = CheckRequest {
        principal: args.principal,
        action: args.action,
        resource: args.resource,
        tags: (!tags.is_empty()).then_some(tags),
        at: args.at.map(|when| when.after(session.now)),
        source: args.source,
        with_policies,
    };
    let is_quiet = session.is_quiet();
    session.show_with(&tenant.check_policy(&body), |result, _| {
        if is_quiet { format!("{}\n", result.decision) } else { view(&result) }
    })
}

fn view(result: &CheckResult) -> String {
    let determining = match (result.determining.is_empty(), result.decision.as_str()) {
        (false, _) => result.determining.join("\n"),
        (true, "deny") => "none: nothing allows it".to_owned(),
        (true, _) => "none".to_owned(),
    };
    let mut lines = vec![
        ("decision", result.decision.clone()),
        ("because of", determining),
        ("evaluated", format!("{} of {} policies", result.candidates, result.total)),
    ];
    lines.extend(result.errors.iter().map(|error| ("error", error.clone())));
    fields(&lines)
}
