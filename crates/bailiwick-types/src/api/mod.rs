//! The shapes of the native API: what is sent and what is answered, one module per noun.
//!
//! Requests refuse members that they do not know; answers may grow. Times are RFC 3339 in UTC, spans are text such as
//! `12h`, sizes are bytes.

pub mod identity;
pub mod ledger;
pub mod platform;
pub mod policy;
pub mod secret;
pub mod tenant;

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Page<T> {
    /// The items, in the list's stable order.
    pub items: Vec<T>,
    /// The cursor of the next page; absent on the last. Holds for the same tenant, caller and query only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// RFC 9457 problem details.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Problem {
    /// `urn:bailiwick:error:<code>`
    #[serde(rename = "type")]
    pub kind: String,
    /// One line for people.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable error code.
    pub code: String,
    /// What exactly is wrong, where that may be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The request's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Positions of errors in a policy text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<policy::PolicyProblem>,
}

/// An empty answer, where there is nothing to say but that it is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Done {}
