//! The ledger, read and proved.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One entry with its place.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LedgerEntry {
    /// Its place in the ledger.
    pub index: u64,
    /// Its leaf hash, base64.
    pub leaf: String,
    /// The entry; null where the tenant was erased.
    pub entry: Value,
}

/// A page of entries.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LedgerPage {
    /// Entries that match, in order of their index.
    pub items: Vec<LedgerEntry>,
    /// The cursor of the next page. On the last page of a followed ledger: where to go on from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The ledger's size when the page was read.
    pub size: u64,
    /// Whether `size` was reached: nothing more matches as of now.
    pub is_complete: bool,
}

/// A signed checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SignedCheckpoint {
    /// The log's origin.
    pub origin: String,
    /// How many entries it covers.
    pub size: u64,
    /// The root hash, base64.
    pub root: String,
    /// The signed note (C2SP tlog-checkpoint).
    pub note: String,
    /// The keys that verify it (C2SP verifier keys).
    pub keys: Vec<String>,
}

/// Proof that an entry is in the ledger (RFC 9162, 2.1.3).
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct InclusionProof {
    /// The entry's place.
    pub index: u64,
    /// The size of the tree that it is proved in.
    pub size: u64,
    /// The entry's leaf hash, base64.
    pub leaf: String,
    /// The audit path, base64 hashes.
    pub proof: Vec<String>,
    /// The checkpoint of that tree, signed.
    pub checkpoint: String,
}

/// Proof that an older tree is a beginning of a newer one (RFC 9162, 2.1.4).
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ConsistencyProof {
    /// The older size.
    pub old: u64,
    /// The newer size.
    pub new: u64,
    /// The older root, base64.
    pub old_root: String,
    /// The proof, base64 hashes.
    pub proof: Vec<String>,
    /// The checkpoint of the newer tree, signed.
    pub checkpoint: String,
}
