//! `bailiwick tenant`: tenants as operators see them.

use std::collections::BTreeMap;

use bailiwick_client::routes;
use bailiwick_types::api::platform::{CreateTenant, Quotas, SetQuotas, UpdateTenant};
use bailiwick_types::api::tenant::Reason;
use bailiwick_types::{Limit, Slug};
use clap::{Args, Subcommand};

use super::bundle::{self, ExportArgs, ImportArgs};
use crate::args::Paging;
use crate::fail::Fail;
use crate::input::Pair;
use crate::output::{Noun as _, fields, table};
use crate::session::Session;

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick tenant create acme --name \"Acme Ltd\"
  bailiwick tenant create acme --quiet > acme.credential     only the first member's credential
  bailiwick tenant list --state suspended
  bailiwick tenant quota set acme secrets=5000 accounts=default
  bailiwick tenant delete acme --hold 7d
  bailiwick tenant export --to-recipient bwr_… --file acme.bwk       as its owner
  bailiwick tenant import --file acme.bwk --dry-run

A tenant is named by its slug or its id. Neither is ever used again for another.")]
pub(crate) enum TenantCommand {
    /// Create a tenant and its first member, who may do everything in it
    Create(CreateArgs),
    /// List the tenants
    List {
        /// Only those in this state: active, suspended, deleting or deleted
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Show a tenant's state and counts, never its contents
    Show {
        /// Slug or id
        tenant: String,
    },
    /// Change a tenant's display name
    Update {
        /// Slug or id
        tenant: String,
        /// The new display name
        #[arg(long)]
        name: String,
    },
    /// Suspend a tenant: its plane refuses every request
    Suspend(ReasonArgs),
    /// Resume a suspended tenant, or cancel its deletion
    Resume(ReasonArgs),
    /// Delete a tenant: suspended for the hold period, then crypto-shredded
    Delete {
        /// Slug or id
        tenant: String,
        /// How long it can still be brought back with `resume`, such as `7d`
        #[arg(long, value_name = "SPAN")]
        hold: Option<String>,
    },
    /// Seal a tenant: its plane answers as sealed
    Seal(ReasonArgs),
    /// Unseal a tenant
    Unseal(ReasonArgs),
    /// Export your own tenant whole, sealed to an installation: a backup, or a move for good
    Export(ExportArgs),
    /// Bring a tenant back, or in, from a bundle that was sealed to this installation
    Import(ImportArgs),
    /// A tenant's quotas
    #[command(subcommand)]
    Quota(QuotaCommand),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name in URLs, and its Vault namespace
    slug: Slug,
    /// Display name [default: the slug]
    #[arg(long)]
    name: Option<String>,
    /// Display name of the first member [default: admin]
    #[arg(long, value_name = "NAME")]
    admin_name: Option<String>,
    /// E-mail address of the first member
    #[arg(long, value_name = "EMAIL")]
    admin_email: Option<String>,
    /// How long the first credential works, such as `90d` [default: until revoked]
    #[arg(long, value_name = "SPAN")]
    admin_ttl: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ReasonArgs {
    /// Slug or id
    tenant: String,
    /// Why, for the tenant's ledger
    #[arg(long)]
    reason: Option<String>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick tenant quota show acme
  bailiwick tenant quota set acme secrets=5000 accounts=default")]
pub(crate) enum QuotaCommand {
    /// Show the limits that are not at their default
    Show {
        /// Slug or id
        tenant: String,
    },
    /// Set limits; those that are not named stay
    #[command(after_help = "`bailiwick limits` lists the limits of a tenant.")]
    Set {
        /// Slug or id
        tenant: String,
        /// LIMIT=NUMBER, or LIMIT=default
        #[arg(required = true, value_name = "LIMIT=NUMBER")]
        quotas: Vec<Pair>,
    },
}

pub(crate) fn run(session: &mut Session, command: TenantCommand) -> Result<(), Fail> {
    match command {
        TenantCommand::Create(args) => create(session, args),
        TenantCommand::List { state, paging } => {
            let call = match state {
                Some(state) => routes::tenants_in_state(&state),
                None => routes::tenants(),
            };
            session.list(call, &paging)
        }
        TenantCommand::Show { tenant } => session.show(&routes::tenant_as_operator(&tenant).show()),
        TenantCommand::Update { tenant, name } => {
            session.show(&routes::tenant_as_operator(&tenant).update(&UpdateTenant { name: Some(name) }))
        }
        TenantCommand::Suspend(args) => {
            session.confirm(&format!("Suspend tenant `{}`? All its requests will be refused.", args.tenant))?;
            session.show(&routes::tenant_as_operator(&args.tenant).suspend(&Reason { reason: args.reason }))
        }
        TenantCommand::Resume(args) => {
            session.show(&routes::tenant_as_operator(&args.tenant).resume(&Reason { reason: args.reason }))
        }
        TenantCommand::Delete { tenant, hold } => {
            session.confirm(&format!("Delete tenant `{tenant}`? After the hold period nobody can bring it back."))?;
            session.show(&routes::tenant_as_operator(&tenant).delete(hold.as_deref()))
        }
        TenantCommand::Seal(args) => {
            session.confirm(&format!("Seal tenant `{}`? All its requests will be refused.", args.tenant))?;
            session.show(&routes::tenant_as_operator(&args.tenant).seal(&Reason { reason: args.reason }))
        }
        TenantCommand::Unseal(args) => {
            session.show(&routes::tenant_as_operator(&args.tenant).unseal(&Reason { reason: args.reason }))
        }
        TenantCommand::Export(args) => bundle::export(session, &args),
        TenantCommand::Import(args) => bundle::import(session, &args),
        TenantCommand::Quota(QuotaCommand::Show { tenant }) => {
            session.show_with(&routes::tenant_as_operator(&tenant).quotas(), |quotas, _| view(quotas))
        }
        TenantCommand::Quota(QuotaCommand::Set { tenant, quotas }) => {
            let body = SetQuotas { quotas: parse_quotas(quotas)? };
            session.show_with(&routes::tenant_as_operator(&tenant).set_quotas(&body), |quotas, _| view(quotas))
        }
    }
}

fn create(session: &mut Session, args: CreateArgs) -> Result<(), Fail> {
    let body = CreateTenant {
        slug: args.slug,
        name: args.name,
        admin_name: args.admin_name,
        admin_email: args.admin_email,
        admin_ttl: args.admin_ttl,
    };
    let reply = session.send(&routes::create_tenant(&body))?;
    if session.is_json() {
        session.json(reply.text())?;
    } else {
        let created = reply.value()?;
        if session.is_quiet() {
            return session.terminal.line(&created.admin.credential);
        }
        let mut lines = created.tenant.fields(session.human());
        lines.push(("admin", created.admin.member.to_string()));
        lines.push(("credential", created.admin.credential));
        session.terminal.print(&fields(&lines))?;
    }
    session.shown_once("the admin's credential");
    Ok(())
}

fn parse_quotas(pairs: Vec<Pair>) -> Result<BTreeMap<String, Option<u64>>, Fail> {
    let mut quotas = BTreeMap::new();
    for Pair { name, value } in pairs {
        let number = match value.as_str() {
            "default" => None,
            text => {
                Some(text.parse().map_err(|_| Fail::usage(format!("`{name}={value}`: want a number or `default`")))?)
            }
        };
        if name.parse::<Limit>().is_err() {
            let known: Vec<_> = Limit::ALL.iter().map(|limit| limit.as_str()).collect();
            return Err(Fail::usage(format!("there is no limit `{name}`")).with_hint(known.join(", ")));
        }
        if quotas.insert(name.clone(), number).is_some() {
            return Err(Fail::usage(format!("`{name}` is given twice")));
        }
    }
    Ok(quotas)
}

fn view(quotas: Quotas) -> String {
    let rows: Vec<_> = quotas.quotas.into_iter().map(|(name, value)| vec![name, value.to_string()]).collect();
    table(&["LIMIT", "QUOTA"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_numbers_or_default_of_limits_that_exist() {
        let parse = |texts: &[&str]| parse_quotas(texts.iter().map(|text| text.parse().unwrap()).collect());
        let quotas = parse(&["secrets=5000", "accounts=default"]).unwrap();
        assert_eq!(quotas, [("secrets".to_owned(), Some(5_000)), ("accounts".to_owned(), None)].into());
        for bad in [&["secrets=many"][..], &["nothing=1"], &["secrets=1", "secrets=2"], &["secrets=-1"]] {
            assert_eq!(parse(bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
    }
}
