//! A ledger: a tenant's, or the platform's own.

use std::fmt;

use bailiwick_types::Timestamp;
use bailiwick_types::api::ledger::{ConsistencyProof, InclusionProof, LedgerEntry, LedgerPage, SignedCheckpoint};

use crate::call::Call;
use crate::path::Path;

/// The routes of one ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    pub(crate) base: Path,
}

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// The first index.
    pub from: Option<u64>,
    /// An actor's id.
    pub actor: Option<String>,
    /// An action, such as `secret:reveal`.
    pub action: Option<String>,
    /// A resource.
    pub resource: Option<String>,
    /// `ok`, or the class of the failure.
    pub outcome: Option<String>,
    /// `allow`, `deny` or `none`.
    pub decision: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// `asc` or `desc`.
    pub order: Option<&'static str>,
}

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFormat {
    /// Whole and sealed: what `bailiwick verify` checks.
    #[default]
    Bailiwick,
    /// One entry a line, as it is.
    JsonLines,
    /// One event a line, in the Open Cybersecurity Schema Framework.
    Ocsf,
}

impl fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bailiwick => "bailiwick",
            Self::JsonLines => "jsonl",
            Self::Ocsf => "ocsf",
        })
    }
}

impl Ledger {
    fn at(&self, rest: &'static str) -> Path {
        self.base.clone().then(rest)
    }

    /// A page of entries.
    pub fn entries(&self, filter: &EntryFilter, limit: u64, cursor: Option<&str>) -> Call<LedgerPage> {
        Call::get(self.at("/entries"))
            .query_opt("from", filter.from)
            .query_opt("actor", filter.actor.as_ref())
            .query_opt("action", filter.action.as_ref())
            .query_opt("resource", filter.resource.as_ref())
            .query_opt("outcome", filter.outcome.as_ref())
            .query_opt("decision", filter.decision.as_ref())
            .query_opt("since", filter.since)
            .query_opt("until", filter.until)
            .query_opt("order", filter.order)
            .query("limit", limit)
            .query_opt("cursor", cursor)
    }

    /// One entry.
    pub fn entry(&self, index: u64) -> Call<LedgerEntry> {
        Call::get(self.at("/entries").segment(&index.to_string()))
    }

    /// The signed checkpoint.
    pub fn checkpoint(&self) -> Call<SignedCheckpoint> {
        Call::get(self.at("/checkpoint"))
    }

    /// Proof that an entry is in the tree of that size; the current one if none is named.
    pub fn inclusion(&self, index: u64, size: Option<u64>) -> Call<InclusionProof> {
        Call::get(self.at("/inclusion")).query("index", index).query_opt("size", size)
    }

    /// Proof that the older tree is a beginning of the newer one; the current one if none is named.
    pub fn consistency(&self, old: u64, new: Option<u64>) -> Call<ConsistencyProof> {
        Call::get(self.at("/consistency")).query("old", old).query_opt("new", new)
    }

    /// The whole ledger; for [`crate::Client::download`].
    pub fn export(&self, format: ExportFormat) -> Call<()> {
        Call::get(self.at("/export")).query("format", format)
    }
}
