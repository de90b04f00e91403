//! Whether what a target holds is a part, or an earlier state, of what is to be moved there.
//!
//! Ids are random and never given twice, so a tenant of the same id is the same tenant. That it has not gone its own way
//! since shows in its ledger: every answer appends to it, so a copy that was ever in use has leaves that the source lacks.

use bailiwick_ledger::CompactRange;
use bailiwick_store::{Header, Store, StoreError};
use bailiwick_types::TenantId;
use serde::Serialize;

use crate::error::named;
use crate::read::{Tenants, platform};
use crate::{Rule, TransferError};

/// Leaves that are read at a time.
const LEAVES_PAGE: u64 = 4_096;

/// What a target has of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nothing.
    Absent,
    /// A part, from a move that was interrupted.
    Begun,
    /// An earlier state.
    Behind,
    /// As far as its header says, the same.
    Same,
}

/// What a move would do.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Each tenant by its slug, the platform last.
    pub tenants: Vec<(String, Standing)>,
}

impl Plan {
    /// How many tenants are in this standing.
    pub fn count(&self, standing: Standing) -> usize {
        self.tenants.iter().filter(|(_, other)| *other == standing).count()
    }
}

/// Compares the tenants of two stores by what their headers and leaves say. Writes nothing.
///
/// # Errors
/// [`TransferError::Foreign`] if the target holds anything but parts and earlier states of the source's tenants.
pub async fn plan(from: &dyn Store, to: &dyn Store, rule: &Rule) -> Result<Plan, TransferError> {
    let of_platform = platform(from).await?;
    let mut listed = Tenants::of(to);
    loop {
        let page = listed.page().await.map_err(TransferError::Target)?;
        if page.is_empty() {
            break;
        }
        for target in page {
            if from.header(target.tenant).await.map_err(TransferError::Source)?.is_none() {
                let who = named(target.tenant, &target.slug);
                return Err(TransferError::Foreign(format!("{who} is not in the source")));
            }
        }
    }
    let mut plan = Plan::default();
    let mut listed = Tenants::of(from);
    loop {
        let page = listed.page().await.map_err(TransferError::Source)?;
        if page.is_empty() {
            break;
        }
        for source in page {
            let standing = standing(from, to, rule, &source).await?;
            plan.tenants.push((source.slug, standing));
        }
    }
    let standing = standing(from, to, rule, &of_platform).await?;
    plan.tenants.push((of_platform.slug, standing));
    Ok(plan)
}

/// What a move into an empty store would do.
///
/// # Errors
/// [`TransferError::Empty`], or what the source says.
pub async fn plan_of_all(from: &dyn Store) -> Result<Plan, TransferError> {
    let of_platform = platform(from).await?;
    let mut plan = Plan::default();
    let mut listed = Tenants::of(from);
    loop {
        let page = listed.page().await.map_err(TransferError::Source)?;
        if page.is_empty() {
            break;
        }
        plan.tenants.extend(page.into_iter().map(|header| (header.slug, Standing::Absent)));
    }
    plan.tenants.push((of_platform.slug, Standing::Absent));
    Ok(plan)
}

async fn standing(from: &dyn Store, to: &dyn Store, rule: &Rule, source: &Header) -> Result<Standing, TransferError> {
    let foreign = |what: &str| TransferError::Foreign(format!("{} {what}", named(source.tenant, &source.slug)));
    let Some(target) = to.header(source.tenant).await.map_err(TransferError::Target)? else {
        return match to.tenant_by_slug(&source.slug).await.map_err(TransferError::Target)? {
            None => Ok(Standing::Absent),
            Some(_) => Err(foreign("has the slug of another one there")),
        };
    };
    if target.slug != source.slug {
        return Err(foreign("has another slug there"));
    }
    if target.ledger.size() > source.ledger.size() {
        return Err(foreign("has gone on there: its ledger is longer than in the source"));
    }
    let begun = match target.ledger.size() == source.ledger.size() {
        true => source.ledger.clone(),
        false => edge(from, source.tenant, target.ledger.size()).await.map_err(TransferError::Source)?,
    };
    if begun != target.ledger {
        return Err(foreign("has another history there: its ledger has another root"));
    }
    Ok(match rule.violation(source, &target) {
        None => Standing::Same,
        Some(_) if target.state == rule.closed => Standing::Begun,
        Some(_) => Standing::Behind,
    })
}

/// The edge of the tree of a ledger's first entries.
async fn edge(store: &dyn Store, tenant: TenantId, size: u64) -> Result<CompactRange, StoreError> {
    let mut tree = CompactRange::new();
    while tree.size() < size {
        let to = tree.size().saturating_add(LEAVES_PAGE).min(size);
        for leaf in store.leaves(tenant, tree.size(), to).await? {
            tree.append(leaf, |_, _, _| {});
        }
    }
    Ok(tree)
}
