//! From one store into another.

use std::sync::Arc;

use bailiwick_store::{Commit, Header, HeaderChange, Part, Store, Wake};
use bailiwick_types::TenantId;
use tokio::task::JoinSet;

use crate::compare::{Compare, Extent};
use crate::lineage::{Plan, Standing};
use crate::put::Put;
use crate::read::{self, Tenants};
use crate::{Phase, Progress, Rule, Sink, Totals, TransferError};

/// Tenants that are moved at the same time, so that their commits share transactions.
const AT_ONCE: usize = 16;

/// Moves everything from one store into another, or brings what was moved before up to date, compares the two as [`verify`]
/// does, and only then opens the target. `plan` is what [`crate::plan`] said of the two.
///
/// # Errors
/// Whatever failed. The target then answers nothing, and the same call goes on.
pub async fn copy(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    rule: &Rule,
    plan: &Plan,
    progress: &Arc<Progress>,
) -> Result<Totals, TransferError> {
    if plan.tenants.iter().all(|(_, standing)| *standing == Standing::Same) {
        return verify(from, to, rule, progress).await;
    }
    close_platform(to, rule).await?;
    let closed = rule.with_platform_closed();
    let put = |_: &Header| -> Box<dyn Sink> { Box::new(Put::new(Arc::clone(to), closed.clone())) };
    pass(from, put, Phase::Moving, progress).await?;
    let totals = verify(from, to, &closed, progress).await?;
    open_platform(to, rule, &read::platform(from.as_ref()).await?).await?;
    Ok(totals)
}

/// Reads both stores to their end and compares everything: every record and entry, every header, and the tree of each ledger,
/// computed anew from the leaves of each side.
///
/// # Errors
/// [`TransferError::Differs`] says what is not the same.
pub async fn verify(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    rule: &Rule,
    progress: &Arc<Progress>,
) -> Result<Totals, TransferError> {
    let there = read::count(to.as_ref()).await.map_err(TransferError::Target)?;
    let compare = |_: &Header| -> Box<dyn Sink> { Box::new(Compare::new(Arc::clone(to), rule.clone(), Extent::Whole)) };
    let totals = pass(from, compare, Phase::Comparing, progress).await?;
    // Each of the source's is in the target, so as many are the same ones.
    if there != totals.tenants {
        return Err(TransferError::differs("the target", format!("it has {there} tenants, not {}", totals.tenants)));
    }
    Ok(totals)
}

/// The last commit of a move: from here on the target answers.
pub(crate) async fn open_platform(to: &Arc<dyn Store>, rule: &Rule, source: &Header) -> Result<(), TransferError> {
    let there = to.header(TenantId::PLATFORM).await.map_err(TransferError::Target)?;
    let header = there.ok_or_else(|| TransferError::differs("the platform", "it is gone from the target"))?;
    let change = HeaderChange { state: Some(rule.of(source).state), ..HeaderChange::default() };
    change_platform(to, &header, change, "opening the platform").await
}

/// Whatever the target answered until now, it answers no more.
async fn close_platform(to: &Arc<dyn Store>, rule: &Rule) -> Result<(), TransferError> {
    let Some(header) = to.header(TenantId::PLATFORM).await.map_err(TransferError::Target)? else { return Ok(()) };
    if header.state == rule.closed {
        return Ok(());
    }
    let change = HeaderChange { state: Some(rule.closed), wake: Some(Wake::Never), ..HeaderChange::default() };
    change_platform(to, &header, change, "closing the platform").await
}

async fn change_platform(
    to: &Arc<dyn Store>,
    there: &Header,
    header: HeaderChange,
    what: &str,
) -> Result<(), TransferError> {
    let part = Part { header, ..Part::append(TenantId::PLATFORM, there.epoch, Vec::new()) };
    let committed = to.commit(Commit { parts: vec![part], guards: Vec::new() }).await;
    committed.map(drop).map_err(|error| TransferError::Commit { what: what.to_owned(), error })
}

/// One pass over a store: every tenant into a sink of its own, some at the same time, and the platform last.
async fn pass(
    from: &Arc<dyn Store>,
    sink: impl Fn(&Header) -> Box<dyn Sink>,
    phase: Phase,
    progress: &Arc<Progress>,
) -> Result<Totals, TransferError> {
    let before = read::platform(from.as_ref()).await?;
    progress.start(phase, read::count(from.as_ref()).await.map_err(TransferError::Source)?);
    let mut running: JoinSet<Result<(), TransferError>> = JoinSet::new();
    let mut listed = Tenants::of(from.as_ref());
    loop {
        let page = listed.page().await.map_err(TransferError::Source)?;
        if page.is_empty() {
            break;
        }
        for header in page {
            while running.len() >= AT_ONCE {
                joined(running.join_next().await)?;
            }
            let (from, mut sink, progress) = (Arc::clone(from), sink(&header), Arc::clone(progress));
            running.spawn(async move { read::tenant(&from, header.tenant, sink.as_mut(), &progress).await.map(drop) });
        }
    }
    while let Some(result) = running.join_next().await {
        joined(Some(result))?;
    }
    check_keys_stand(&before, from).await?;
    let after = read::tenant(from, TenantId::PLATFORM, sink(&before).as_mut(), progress).await?;
    keys_stand(&before, &after)?;
    Ok(progress.totals())
}

fn joined(result: Option<Result<Result<(), TransferError>, tokio::task::JoinError>>) -> Result<(), TransferError> {
    match result {
        Some(Ok(done)) => done,
        Some(Err(error)) => Err(TransferError::Stopped(error.to_string())),
        None => Ok(()),
    }
}

async fn check_keys_stand(before: &Header, from: &Arc<dyn Store>) -> Result<(), TransferError> {
    keys_stand(before, &read::platform(from.as_ref()).await?)
}

/// The platform's meta says under which root key the tenants' keys are. If it changed while tenants were read, some may be
/// wrapped under a key that it no longer, or does not yet, know; and such a copy would open for nobody.
pub(crate) fn keys_stand(before: &Header, after: &Header) -> Result<(), TransferError> {
    if before.meta_version == after.meta_version { Ok(()) } else { Err(TransferError::KeysMoved) }
}
