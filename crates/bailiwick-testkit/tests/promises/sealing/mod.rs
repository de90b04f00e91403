//! Somebody edits the database file. Sealed bytes open only where they were sealed: for their tenant, space, key and version.
//! Moved or changed ones are a fault of the request that meets them, which says nothing but its id, and of nothing else.
//!
//! - `records`: rows of one tenant in another, under other keys, versions and spaces; flipped bytes.
//! - `ledger`: entries swapped between tenants and positions; leaves and subtrees changed. What is wrong is never signed.
//!
//! # Deliberately absent
//! Rows put back as they were once, or taken away: they open. What shows that is the ledger, whose tree does not go back
//! without contradicting a checkpoint that somebody has kept.

mod edit;
mod ledger;
mod records;
