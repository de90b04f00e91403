//! Whole installations on the move: from one store into another, into a file, and back.
//!
//! What a store keeps is sealed already, and bound to its installation, tenant, space, key and version. So nothing is
//! opened here: ids, versions and bytes are moved as they are, and the target builds its own tree from the leaves.
//!
//! ```text
//! dyn Store ──read──▶ Sink: Put (into a dyn Store) · Compare (with one) · file::Writer
//! backup file ─read─▶ Sink: Put · Compare
//! ```
//!
//! # Invariants
//! - INV-MOVE-1: what a sink is told of a tenant is one state of it (`read.rs`).
//! - INV-MOVE-2: a tenant that is being put answers nothing before it is complete, and the platform comes last: without it
//!   no server can be unsealed (`put.rs`).
//! - INV-MOVE-3: nothing that was not put there by a move of the same installation is written over: a target is looked at
//!   before its first write (`lineage.rs`).
//! - INV-MOVE-4: nothing is called done before both sides were read to their end and compared, trees included.
//!
//! # Deliberately absent
//! Keys, SQL, Cedar, and what a state or a header's meta means: who calls says which state answers nothing
//! ([`Rule::closed`]) and which states a restored installation comes up in.

mod compare;
mod copy;
mod cursor;
mod error;
pub mod file;
mod lineage;
mod progress;
mod put;
mod read;
mod restore;
mod rule;

use async_trait::async_trait;
use bailiwick_store::{Header, Record, Space, StoredEntry};
use bailiwick_types::TenantId;

pub use copy::{copy, verify};
pub use error::TransferError;
pub use lineage::{Plan, Standing, plan, plan_of_all};
pub use progress::{Phase, Progress, Totals};
pub use restore::{Open, check_file, check_target, restore};
pub use rule::Rule;

/// Where a tenant goes, told in this order: who, its records (spaces in the order of their numbers, keys in byte order),
/// its entries from the first to the last, its header.
#[async_trait]
pub trait Sink: Send {
    /// A tenant begins.
    async fn begin(&mut self, tenant: TenantId, slug: &str) -> Result<(), TransferError>;

    /// The records told so far are not of one state of the tenant: they come again from the first. Only before entries.
    async fn again(&mut self) -> Result<(), TransferError>;

    /// The next records.
    async fn records(&mut self, space: Space, records: Vec<(Vec<u8>, Record)>) -> Result<(), TransferError>;

    /// The next entries.
    async fn entries(&mut self, entries: Vec<StoredEntry>) -> Result<(), TransferError>;

    /// The tenant is complete, and this is its header.
    async fn finish(&mut self, header: &Header) -> Result<(), TransferError>;
}
