//! From a backup into a store: read to its end once and compared with the target before the first write, then put, then
//! compared again, then opened.

use std::collections::HashSet;
use std::io::{self, Read};
use std::sync::Arc;

use async_trait::async_trait;
use bailiwick_store::{Header, Record, Space, Store, StoredEntry};
use bailiwick_types::TenantId;

use crate::compare::{Compare, Extent};
use crate::copy::open_platform;
use crate::error::named;
use crate::file::{self, Contents};
use crate::put::Put;
use crate::read::Tenants;
use crate::{Phase, Progress, Rule, Sink, TransferError};

/// Opens the backup anew, at its beginning.
pub type Open<'a> = &'a (dyn Fn() -> io::Result<Box<dyn Read + Send>> + Sync);

/// Reads a backup to its end and checks everything that can be checked without keys.
///
/// # Errors
/// As [`file::read`].
pub async fn check_file(open: Open<'_>, progress: &Progress) -> Result<Contents, TransferError> {
    progress.start(Phase::Reading, 0);
    file::read(open()?.as_mut(), &mut Nowhere, progress).await
}

/// Checks that the target holds nothing but what an interrupted restore of just this backup may have left. Writes nothing.
///
/// # Errors
/// As [`file::read`]; [`TransferError::Foreign`].
pub async fn check_target(
    open: Open<'_>,
    to: &Arc<dyn Store>,
    rule: &Rule,
    contents: &Contents,
    progress: &Progress,
) -> Result<(), TransferError> {
    let known: HashSet<TenantId> = contents.ids.iter().copied().collect();
    let mut is_empty = to.header(TenantId::PLATFORM).await.map_err(TransferError::Target)?.is_none();
    let mut listed = Tenants::of(to.as_ref());
    loop {
        let page = listed.page().await.map_err(TransferError::Target)?;
        if page.is_empty() {
            break;
        }
        is_empty = false;
        if let Some(other) = page.iter().find(|header| !known.contains(&header.tenant)) {
            let who = named(other.tenant, &other.slug);
            return Err(TransferError::Foreign(format!("{who} is not in the backup")));
        }
    }
    if is_empty {
        return Ok(());
    }
    let mut compare = Compare::new(Arc::clone(to), rule.clone(), Extent::Part);
    same(contents, &pass(open, &mut compare, contents, (Phase::Comparing, progress)).await?)
}

/// Puts a backup into a store that [`check_target`] has found fit, compares the two, and only then opens the target.
///
/// # Errors
/// Whatever failed. The target then answers nothing, and the same call goes on.
pub async fn restore(
    open: Open<'_>,
    to: &Arc<dyn Store>,
    rule: &Rule,
    contents: &Contents,
    progress: &Progress,
) -> Result<(), TransferError> {
    let closed = rule.with_platform_closed();
    let mut put = Put::new(Arc::clone(to), closed.clone());
    same(contents, &pass(open, &mut put, contents, (Phase::Moving, progress)).await?)?;
    let mut compare = Compare::new(Arc::clone(to), closed, Extent::Whole);
    same(contents, &pass(open, &mut compare, contents, (Phase::Comparing, progress)).await?)?;
    open_platform(to, rule, &contents.platform).await
}

async fn pass(
    open: Open<'_>,
    sink: &mut dyn Sink,
    contents: &Contents,
    (phase, progress): (Phase, &Progress),
) -> Result<Contents, TransferError> {
    progress.start(phase, contents.manifest.totals.tenants);
    file::read(open()?.as_mut(), sink, progress).await
}

/// The file is still the one that was checked.
fn same(before: &Contents, after: &Contents) -> Result<(), TransferError> {
    match before.manifest == after.manifest {
        true => Ok(()),
        false => Err(TransferError::File("the backup was replaced while it was read".to_owned())),
    }
}

/// Takes everything and keeps nothing.
struct Nowhere;

#[async_trait]
impl Sink for Nowhere {
    async fn begin(&mut self, _: TenantId, _: &str) -> Result<(), TransferError> {
        Ok(())
    }
    async fn again(&mut self) -> Result<(), TransferError> {
        Ok(())
    }
    async fn records(&mut self, _: Space, _: Vec<(Vec<u8>, Record)>) -> Result<(), TransferError> {
        Ok(())
    }
    async fn entries(&mut self, _: Vec<StoredEntry>) -> Result<(), TransferError> {
        Ok(())
    }
    async fn finish(&mut self, _: &Header) -> Result<(), TransferError> {
        Ok(())
    }
}
