//! What commands that move whole installations have in common: they run on the store itself, show how far they are, and say
//! at the end what was done.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_store::Store;
use bailiwick_transfer::{Phase, Progress, Totals, TransferError};
use bailiwick_types::{ErrorClass, TenantId};
use serde::Serialize;

use crate::fail::Fail;
use crate::output::{bytes, count, fields};
use crate::session::Session;

/// How often what is shown to a person changes.
const TICK: Duration = Duration::from_millis(200);
/// After so many ticks a line is written where nobody sits at a terminal.
const TICKS_PER_LINE: u32 = 50;
/// How wide the bar is.
const BAR: u64 = 24;

/// The failure of a move.
#[expect(clippy::needless_pass_by_value, reason = "an adapter for `map_err`")]
pub(crate) fn failed(error: TransferError) -> Fail {
    let fail = Fail::new(error.class(), error.code(), error.to_string());
    match error.hint() {
        Some(hint) => fail.with_hint(hint),
        None => fail,
    }
}

/// Waits for a move, and shows how far it is.
pub(crate) async fn watch<T>(
    session: &mut Session,
    progress: &Progress,
    work: impl Future<Output = Result<T, TransferError>>,
) -> Result<T, Fail> {
    let mut ticks = tokio::time::interval(TICK);
    let mut quiet_for = 0_u32;
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                session.terminal.progress("");
                return done.map_err(failed);
            }
            _ = ticks.tick() => {
                if session.is_quiet() || session.is_json() {
                    continue;
                }
                session.terminal.progress(&shown(progress, true));
                quiet_for += 1;
                if quiet_for.is_multiple_of(TICKS_PER_LINE) && !session.terminal.is_interactive {
                    session.terminal.note(&shown(progress, false));
                }
            }
        }
    }
}

/// `moving     [######..................] 3 of 12 tenants, 1,234 records, 5,678 entries, 9.1 MiB`
fn shown(progress: &Progress, with_bar: bool) -> String {
    let what = match progress.phase() {
        Phase::Reading => "reading",
        Phase::Moving => "moving",
        Phase::Comparing => "comparing",
    };
    let (done, expected) = (progress.totals(), progress.expected());
    let tenants = match expected {
        0 => format!("{} tenants", count(done.tenants)),
        all => format!("{} of {} tenants", count(done.tenants), count(all.max(done.tenants))),
    };
    let bar = match expected {
        all if with_bar && all > 0 => format!(" {}", bar(done.tenants, all)),
        _ => String::new(),
    };
    format!(
        "{what:<10}{bar} {tenants}, {} records, {} entries, {}",
        count(done.records),
        count(done.entries),
        bytes(done.bytes)
    )
}

fn bar(done: u64, all: u64) -> String {
    let full = done.min(all).saturating_mul(BAR).checked_div(all).unwrap_or(BAR);
    (0..BAR).map(|at| if at < full { '#' } else { '.' }).fold(String::from("["), |bar, c| format!("{bar}{c}")) + "]"
}

/// The installation in a store, for people and scripts.
pub(crate) async fn installation_in(store: &Arc<dyn Store>) -> Result<String, Fail> {
    let header = store.header(TenantId::PLATFORM).await.map_err(|error| failed(TransferError::Source(error)))?;
    let header = header.ok_or_else(|| failed(TransferError::Empty))?;
    if header.state == bailiwick_app::relocation::CLOSED {
        let what = "a copy or a restore into this store was not finished";
        return Err(
            Fail::new(ErrorClass::Conflict, "source_unfinished", what).with_hint("finish it: run that command again")
        );
    }
    let id = bailiwick_app::relocation::installation_of(&header);
    let id = id
        .ok_or_else(|| Fail::new(ErrorClass::Fault, "source_unreadable", "the installation's record does not parse"))?;
    Ok(id.to_string())
}

/// How much it was, as rows for people.
pub(crate) fn amounts(totals: Totals) -> Vec<(&'static str, String)> {
    vec![
        // The platform is in every installation, and no tenant.
        ("tenants", count(totals.tenants.saturating_sub(1))),
        ("records", count(totals.records)),
        ("ledger entries", count(totals.entries)),
        ("sealed bytes", bytes(totals.bytes)),
    ]
}

/// Prints what was done, for people or for machines.
pub(crate) fn conclude(
    session: &mut Session,
    answer: &impl Serialize,
    rows: Vec<(&'static str, String)>,
) -> Result<(), Fail> {
    if session.is_json() {
        let text =
            serde_json::to_string(answer).map_err(|error| Fail::new(ErrorClass::Fault, "output", error.to_string()))?;
        return session.json(&text);
    }
    if session.is_quiet() {
        return Ok(());
    }
    session.terminal.print(&fields(&rows))
}

/// Opens a backup for reading, as often as it is wanted.
pub(crate) fn opener(file: &Path) -> impl Fn() -> std::io::Result<Box<dyn std::io::Read + Send>> + Sync + use<'_> {
    move || Ok(Box::new(std::io::BufReader::with_capacity(1 << 20, std::fs::File::open(file)?)))
}

#[cfg(test)]
mod tests {
    use bailiwick_store::{Commit, Expect, HeaderChange, Part};

    use super::*;
    use crate::server::block_on;
    use crate::server::store_url::StoreUrl;

    #[test]
    fn what_was_not_finished_and_what_is_none_are_no_installation() {
        let directory = tempfile::tempdir().unwrap();
        let url = StoreUrl::Sqlite(directory.path().join("bailiwick.db"));
        let refused = block_on(async {
            let store = url.open().await?;
            let empty = installation_in(&store).await.unwrap_err();
            // As a restore leaves it when it is cut off.
            let part = Part {
                expect: Expect::Absent { slug: "platform".to_owned() },
                header: HeaderChange {
                    state: Some(bailiwick_app::relocation::CLOSED),
                    meta: Some((0, Vec::new())),
                    ..HeaderChange::default()
                },
                ..Part::append(TenantId::PLATFORM, 1, Vec::new())
            };
            store.commit(Commit { parts: vec![part], guards: Vec::new() }).await.unwrap();
            Ok((empty, installation_in(&store).await.unwrap_err()))
        });
        let (empty, unfinished) = refused.unwrap();
        assert_eq!(empty.text(), "error: the source holds no installation");
        assert!(unfinished.text().starts_with("error: a copy or a restore into this store was not finished"));
    }

    #[test]
    fn a_bar_is_full_when_all_is_done_and_not_before() {
        assert_eq!(bar(0, 7), format!("[{}]", ".".repeat(24)));
        assert_eq!(bar(3, 6), format!("[{}{}]", "#".repeat(12), ".".repeat(12)));
        assert_eq!(bar(6, 7), format!("[{}{}]", "#".repeat(20), ".".repeat(4)));
        for done in [7, 8] {
            assert_eq!(bar(done, 7), format!("[{}]", "#".repeat(24)));
        }
        assert_eq!(shown(&Progress::default(), true), "reading    0 tenants, 0 records, 0 entries, 0 B");
    }
}
