//! One state of a tenant that goes on: which values belong to it, and whether it changed where nobody kept what was.

use std::collections::VecDeque;
use std::str::FromStr as _;

use bailiwick_ledger::entry::Entry;
use bailiwick_store::Space;
use bailiwick_types::{Action, Sensitivity};

use super::export::{BundleStream, STEP};
use crate::error::AppError;
use crate::records::SecretRecord;

/// The secrets at the size, read alongside their values: both come in the order of their paths.
#[derive(Default)]
pub(super) struct SecretsAt {
    page: VecDeque<(Vec<u8>, SecretRecord)>,
    after: Option<Vec<u8>>,
    is_read: bool,
}

impl SecretsAt {
    /// Whether the secret of a value's key had that version.
    pub(super) async fn has(&mut self, stream: &BundleStream, key: &[u8]) -> Result<bool, AppError> {
        // No path holds a NUL, so paths in front of one come in the order of the paths.
        let Some((secret, [0, version @ ..])) = key.split_last_chunk::<9>() else { return Ok(false) };
        loop {
            match self.page.front() {
                Some((found, _)) if found.as_slice() < secret => drop(self.page.pop_front()),
                Some((found, record)) if found.as_slice() == secret => {
                    let version = record.versions.get(&u64::from_be_bytes(*version));
                    return Ok(version.is_some_and(|known| !known.is_destroyed));
                }
                Some(_) => return Ok(false),
                None if self.is_read => return Ok(false),
                None => self.read_on(stream).await?,
            }
        }
    }

    async fn read_on(&mut self, stream: &BundleStream) -> Result<(), AppError> {
        let page = stream.read(Space::Secret, self.after.as_deref()).await?;
        self.is_read = page.len() < STEP;
        self.after = page.last().map(|(key, _)| key.clone());
        for (key, record) in page {
            let opened = stream.open::<SecretRecord>(&key, &record)?;
            self.page.push_back((key, opened));
        }
        Ok(())
    }
}

/// Whether what an entry says may have changed a record. An action that is not known may have.
pub(super) fn changes(entry: &Entry) -> bool {
    let is_read = Action::from_str(&entry.action).is_ok_and(|action| {
        // Another export changes no record; one for good moves the epoch, which ends this one.
        matches!(action.sensitivity(), Sensitivity::Read | Sensitivity::Reveal) || action == Action::BundleExport
    });
    entry.outcome == "ok" && !is_read
}
